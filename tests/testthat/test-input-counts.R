# Counts are checked and tabulated in C++.

first_not_count <- mixology:::first_not_count
count_fault <- mixology:::count_fault
table_of_counts <- mixology:::table_of_counts

test_that("the first value that is no count is found, whatever is wrong with it", {
  expect_identical(first_not_count(c(0, 1, 2147483647)), 0)
  expect_identical(first_not_count(numeric()), 0)
  for (bad in list(-1, 0.5, NA, NaN, Inf, -Inf, 2147483648)) {
    expect_identical(first_not_count(c(3, bad, 2, bad)), 2)
    expect_match(count_fault(c(3, bad, 2)), "at position 2$")
  }
  expect_null(count_fault(c(0L, 5L)))
  expect_match(count_fault(c(0L, NA)), "NA at position 2")
})

test_that("the table of counts is that of table(), for small counts and large", {
  set.seed(1)
  for (x in list(rpois(500, 2), rnbinom(500, size = 1, mu = 3000), c(1023, 1024, 1024, 0, 1e9))) {
    found <- table_of_counts(x)
    expected <- table(x)
    expect_identical(found$count, as.numeric(names(expected)))
    expect_identical(found$cells, as.vector(unname(expected)))
  }
})

test_that("a fit whose time is up before its rule is made is whole all the same", {
  set.seed(1)
  s <- exp(rnorm(6000, 0, .4))
  x <- rnbinom(6000, size = 2, mu = .3 * s)
  for (method in c("em", "vb")) {
    maker <- if (method == "em") em_control else vb_control
    for (restarts in c(1, 10)) {
      control <- maker(time_limit = 1e-9, restarts = restarts)
      fit <- suppressWarnings(nbmix(x, k = 3, size_factors = s, method = method, control = control,
                                    seed = 1))
      expect_identical(fit$convergence$status, "time_limit")
      expect_true(all(is.finite(unlist(fit$estimate))))
      expect_equal(rowSums(responsibilities(fit)), rep(1, 6000))
    }
  }
})
