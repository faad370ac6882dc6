# Going on with what was stopped early, whatever the model; see also test-contract.R.

test_that("a choice among candidates that were stopped goes on with all of them", {
  crabs <- MASS::crabs
  choose <- function(...) cwm(RW ~ CL, crabs, k = 1:3, covariance = c("EII", "VVV"), seed = 1, ...)
  stopped <- suppressWarnings(choose(control = em_control(time_limit = 1e-9)))
  expect_false(stopped$convergence$converged)
  on <- resume(stopped, 2000)
  whole <- choose()
  expect_identical(on$estimate, whole$estimate)
  expect_identical(on$vcov, whole$vcov)
  expect_identical(on$candidates$BIC, whole$candidates$BIC)
  expect_identical(nrow(resume(whole, 5)$candidates), 6L)
})

test_that("starts that were not tried are tried when the fit goes on", {
  crabs <- MASS::crabs
  stopped <- suppressWarnings(cwm(RW ~ CL, crabs, k = 4, seed = 1,
                                  control = em_control(time_limit = 1e-9)))
  expect_identical(resume(stopped, 2000)$estimate, cwm(RW ~ CL, crabs, k = 4, seed = 1)$estimate)
})

test_that("a fit that was called with its data written out says so", {
  set.seed(1)
  fit <- do.call(nbmix, list(rpois(30000, 3), k = 1, seed = 1))
  expect_error(resume(fit, 5), "resume: the fit was called with its data written out")
  expect_error(update(fit, seed = 2), "update: the fit was called with its data written out")
  expect_error(residuals(fit), "'data' must be the data of the fit")
})

test_that("other data are refused before anything runs", {
  set.seed(1)
  y <- rnbinom(120, mu = 8, size = 2)
  s <- runif(120) + .5
  short <- gibbs_control(chains = 1, iterations = 60)
  other <- function(fit, ...) {
    expect_error(suppressWarnings(resume(fit, 20, ...)), "^resume: the data are not those of the f")
  }
  counts <- suppressWarnings(nbmix(y, k = 2, method = "gibbs", control = short, seed = 3))
  other(counts, data = y + 1L)
  sized <- suppressWarnings(nbmix(y, size_factors = s, method = "gibbs", control = short, seed = 3))
  other(sized, data = y[1:50])
  # so many sweeps that they would be refused if they were begun
  expect_error(resume(counts, 2e9, data = rev(y)), "the data are not those of the fit")

  lines <- suppressWarnings(cwm(dist ~ speed, cars, k = 1, method = "gibbs", control = short,
                                seed = 3))
  other(lines, data = cars[1:40, ])

  x <- matrix(rbinom(600, 2, .3), 60)
  z <- cbind(a = x[, 3], b = 0) + matrix(rnorm(120), 60)
  effects <- suppressWarnings(mmash(x, z, method = "gibbs", control = short, seed = 3))
  expect_identical(suppressWarnings(resume(effects, 20))$convergence$iterations, 80L)
  other(effects, data = x[, 1:4])
  z <- z[1:9, ]
  other(effects)
})

test_that("update() names the argument whose value its call finds no more", {
  x <- c(0, 1, 2, 1, 0, 3, 2, 4)
  fits <- lapply(1:2, function(size) nbmix(x, k = size, seed = 1))
  expect_error(update(fits[[1]], seed = 2),
               "^update: 'k' must be given: .* got the name 'size'; try update\\(fit, k = \\)")
  expect_identical(update(fits[[1]], k = 2)$k, 2L)
})
