# What a fit says in words, and of arguments that are almost right.

test_that("a boundary weight takes no standard error from the other parameters", {
  set.seed(2)
  x <- rpois(300, 5) + 1L
  fit <- nbmix(x, k = 1, zero_inflated = TRUE, seed = 1)
  alone <- nbmix(x, k = 1, seed = 1)
  table <- tidy(fit)
  error <- function(table, term) table$std.error[table$term == term & table$estimate > 0]
  expect_equal(error(table, "mean"), error(tidy(alone), "mean"), tolerance = 1e-6)
  expect_true(all(is.na(table$std.error[table$term == "weight"])))
  two <- tidy(nbmix(c(x, x + 60L), k = 2, zero_inflated = TRUE, seed = 1))
  plain <- tidy(nbmix(c(x, x + 60L), k = 2, seed = 1))
  expect_equal(error(two, "mean"), error(plain, "mean"), tolerance = 1e-5)
  expect_equal(error(two, "weight"), error(plain, "weight"), tolerance = 1e-5)
})

test_that("size factors too far apart are an error", {
  x <- rep(c(1, 4, 2, 7), 5)
  expect_error(nbmix(x, size_factors = c(1e300, rep(1, 19))), "within a factor of 1e15")
  expect_true(is.finite(logLik(nbmix(x, size_factors = c(1e14, rep(1, 19)), seed = 1))))
})

test_that("the environment variable is named when it is wrong", {
  old <- Sys.getenv("MIXOLOGY_NUM_THREADS", NA)
  on.exit(if (is.na(old)) Sys.unsetenv("MIXOLOGY_NUM_THREADS") else
    Sys.setenv(MIXOLOGY_NUM_THREADS = old))
  Sys.setenv(MIXOLOGY_NUM_THREADS = "abc")
  expect_error(nbmix(1:9, seed = 1), "'MIXOLOGY_NUM_THREADS' must be .* got \"abc\"")
})

test_that("a hint is a name that is near", {
  expect_error(gibbs_control(chian = 2), "try \"chains\"")
  fit <- nbmix(pbmc_cells$counts[1:3, 1:100], k = 1, seed = 1)
  message <- tryCatch(fit["SF3B"], error = conditionMessage)
  expect_false(grepl("try", message))
  expect_error(nbmix(numeric(0)), "'x' must be at least one count; got no values")
  expect_error(nbmix(1:9, k = factor(1:2)), "got a factor")
})

test_that("a fit of many genes says how to have what it keeps", {
  fit <- nbmix(pbmc_cells$counts[1, 1:100, drop = FALSE], k = 2, seed = 1)
  expect_error(clusters(fit), "clusters(fit[[\"LINC00115\"]])", fixed = TRUE)
  control <- gibbs_control(chains = 2, iterations = 24)
  set.seed(1)
  counts <- rbind(a = rpois(60, 3), b = rnbinom(60, 1, mu = 9))
  chains <- suppressWarnings(nbmix(counts, k = 2, method = "gibbs", control = control, seed = 1))
  unmixed <- chains$units$gene[chains$units$status == "not_converged"]
  skip_if(length(unmixed) == 0)
  expect_output(print(chains[[unmixed[1]]]), "mixing: largest split R-hat .* run longer chains")
})

test_that("assays without names are said to be so", {
  skip_if_not_installed("SummarizedExperiment")
  m <- matrix(rpois(20, 4), 2)
  se <- SummarizedExperiment::SummarizedExperiment(list(m, m))
  expect_error(nbmix(se, k = 1), "got 2 assays without names")
})

test_that("starting values of another model, or that cannot be left again, are errors", {
  x <- MASS::quine$Days
  start <- function(weight, mean, dispersion = rep(.1, length(mean)), ...) {
    values <- list(weight = weight, mean = mean, dispersion = dispersion)
    nbmix(x, k = 2, seed = 1, control = list(start = values), ...)
  }
  for (method in c("em", "vb", "gibbs")) {
    expect_error(start(c(.5, .5), c(0, 100), method = method), "'start\\$mean' must be positive")
  }
  expect_error(start(c(.5, .3, .2), c(0, 20, 0), zero_inflated = TRUE), "2 values equal to 0")
  expect_error(start(c(.5, .3, .2), c(5, 20, 9), zero_inflated = TRUE), "0 values equal to 0")
  expect_error(start(c(0, 0), c(1, 100)), "'start\\$weight' must be positive")
  expect_error(start(c(0, 1), c(1, 100)), "'start\\$weight' must be positive")
  expect_error(start(c(.5, .5), c(9, 9)), "components that differ")
  expect_error(start(c(.5, .5), c(9, 90), c(1e300, .1)), "'start\\$dispersion' must be of at most")
  expect_identical(start(c(.5, .5), c(3, 30))$k, 2L)
  three <- nbmix(x, k = 3, seed = 1)
  expect_error(nbmix(x, k = 2, zero_inflated = TRUE, control = list(start = three)),
               "with a point mass at zero")
})

test_that("the trace shows the whole climb", {
  set.seed(3)
  x <- simulate_nbmix(400, c(.5, .5), c(4, 9), c(.2, .2))$x
  for (method in c("em", "vb")) {
    fit <- nbmix(x, k = 2, method = method, seed = 1)
    trace <- objective(fit)
    expect_gt(nrow(trace), 5)
    expect_identical(trace$iter[1], 0L)
    expect_true(all(diff(trace$value) > -1e-8 * abs(trace$value[1])))
    expect_gt(trace$value[nrow(trace)] - trace$value[1], 0.01)
  }
})

test_that("superfluous components of a variational fit empty", {
  set.seed(1)
  invisible(rpois(1000, 100))
  y <- rnbinom(1000, 3, 1e-3)
  weight <- nbmix(y, k = 4, method = "vb", seed = 1)$estimate$weight
  expect_gt(weight[[1]], 0.99)
  x <- as.numeric(pbmc_cells$counts["LINC00115", ])
  s <- pbmc_cells$cells$size_factor
  weight <- nbmix(x, k = 2, method = "vb", size_factors = s, seed = 1)$estimate$weight
  expect_gt(weight[[1]], 0.99)
})

test_that("what the data do not determine has no standard error", {
  for (seed in c(2, 4, 6)) { # the second and third Poisson component coincide
    set.seed(seed)
    x <- rpois(300, 50)
    weight <- subset(tidy(nbmix(x, k = 3, seed = seed)), term == "weight")
    expect_true(all(is.na(weight$std.error) | weight$std.error < 1))
  }
  skip_if_not_installed("MASS")
  fit <- nbmix(MASS::quine$Days, k = 3, seed = 1) # its smallest component holds zeros alone
  expect_output(print(fit), "% of the cells, always zero", fixed = TRUE)
  silent <- subset(tidy(fit, conf.int = TRUE), component == 3 & term != "weight")
  expect_true(all(is.na(silent$std.error)))
  small <- fit
  small$estimate$mean[[1]] <- 1e-7 # small, but with a standard error
  expect_output(print(small), "mean 1e-07", fixed = TRUE)
  rest <- subset(tidy(fit), component < 3)
  expect_true(all(rest$std.error[rest$estimate > 0] < 10 * rest$estimate[rest$estimate > 0]))
})

test_that("size factors that only rescale the mean do so, or are refused", {
  set.seed(1)
  x <- rnbinom(100, mu = rep(c(3, 30), 50), size = 3)
  plain <- nbmix(x, k = 2, seed = 1)
  for (s in c(1e-12, 1e12)) {
    fit <- nbmix(x, k = 2, size_factors = rep(s, 100), seed = 1)
    expect_equal(as.numeric(logLik(fit)), as.numeric(logLik(plain)), tolerance = 1e-6)
    expect_equal(fit$estimate$mean * s, plain$estimate$mean, tolerance = 1e-3)
  }
  expect_error(nbmix(x, size_factors = rep(1e-30, 100)), "dividing them by their mean")
  expect_error(nbmix(x, size_factors = rep(1e30, 100)), "between 1e-15 and 1e15")
})

test_that("errors show the values, the limits and the parts that are wrong", {
  expect_error(nbmix(1:5, k = c(2, 2, 1)), "none twice; got 2, 2, 1; try")
  expect_error(em_control(max_iterations = 1e12), "from 1 to 2147483647; got 1e\\+12")
  expect_error(nbmix(1:5, seed = 1e10), "'seed' must be one whole number from 0 to 2147483647")
  expect_error(em_control(max_iterations = 0), "one whole number of at least 1; got 0")
  begin <- function(start) nbmix(1:5, k = 2, control = em_control(start = start))
  expect_error(begin(list(weight = c(.5, .5), mean = 1)),
               "got a list of weight \\(2 values\\), mean \\(1 value\\)")
  expect_error(begin(list(1, 2)), "got a list of 2 elements without names")
})
