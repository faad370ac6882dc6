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
