test_that("simulated rows follow their cluster's normal and regression", {
  set.seed(6)
  psi <- matrix(c(0.5, 0.2, 0.2, 0.3), 2)
  d <- simulate_cwm(6000, c(1, 2), rbind(c(-1, 0), c(2, 1)), list(0.2, diag(c(1, 0.5))),
                    list(rbind(1, diag(2)), -diag(2)), psi)
  expect_named(d$data, c("x1", "x2", "y1", "y2"))
  expect_equal(mean(d$cluster == 1), 1 / 3, tolerance = 0.1)
  for (k in 1:2) {
    mine <- d$data[d$cluster == k, ]
    fit <- lm(cbind(y1, y2) ~ x1 + x2, mine)
    expect_equal(unname(coef(fit)), d$truth$coefficients[[k]], tolerance = 0.1)
    expect_equal(unname(crossprod(resid(fit))) / nrow(mine), psi, tolerance = 0.1)
    expect_equal(unname(cov(mine[, 1:2])), d$truth$covariances[[k]], tolerance = 0.1)
    expect_equal(unname(colMeans(mine[, 1:2])), d$truth$means[k, ], tolerance = 0.1)
  }
})

test_that("the forum case has its four planes, noise or none", {
  set.seed(7)
  exact <- simulate_cwm_forum(200, noise_sd = 0)
  for (k in 1:4) {
    fit <- lm(y ~ x1 + x2, exact$data, subset = exact$cluster == k)
    expect_equal(unname(coef(fit)), drop(exact$truth$coefficients[[k]]))
  }
  same <- simulate_cwm_forum(1000, noise_sd = 0, repeated = TRUE)
  expect_equal(nrow(same$data), 1000)
  expect_equal(sum(duplicated(same$data)), 900)
})

test_that("missing responses, regression-only covariates and repeatability", {
  draw <- function() {
    set.seed(8)
    simulate_cwm(500, c(1, 1), NULL, 1, list(c(0, 1), c(2, -1)), 0.1,
                 covariates = rep(1:5, 100), missing = 0.2)
  }
  d <- draw()
  expect_identical(d, draw())
  expect_named(d$data, c("w1", "y"))
  expect_equal(mean(is.na(d$data$y)), 0.2, tolerance = 0.3)
  expect_false(anyNA(d$truth$response))
})

test_that("arguments out of range are named", {
  two <- function(...) {
    arguments <- list(n = 10, weights = c(1, 1), means = diag(2), covariances = 1,
                      coefficients = list(1:2, 1:2), noise = 1)
    changed <- list(...)
    arguments[names(changed)] <- changed
    do.call(simulate_cwm, arguments)
  }
  expect_error(two(n = 1.5), "simulate_cwm: 'n' must be")
  expect_error(two(means = diag(3)), "'means' must be")
  expect_error(two(covariances = -1), "'covariances' must be")
  expect_error(two(covariances = matrix(c(1, 2, 2, 1), 2)), "smallest eigenvalue")
  expect_error(two(covariances = matrix(c(1, 0, 0.5, 1), 2)), "asymmetric")
  expect_error(two(covariances = list(1)), "'covariances' must be a list of 2")
  expect_error(two(coefficients = list(1:5, 1:5)), "'coefficients' must be")
  expect_error(two(coefficients = 1:2), "'coefficients' must be")
  expect_error(two(coefficients = list(1:2, diag(2))), "different numbers of responses")
  expect_error(two(noise = "a"), "'noise' must be")
  expect_error(two(missing = 1), "'missing' must be")
  expect_error(two(covariates = matrix(0, 3, 1)), "'covariates' must be")
  expect_error(simulate_cwm(10, 1, NULL, 1, list(1), 1), "'covariates' must be")
  expect_error(simulate_cwm_forum(noise_sd = -1), "'noise_sd' must be")
  expect_error(simulate_cwm_forum(repeated = 1), "'repeated' must be")
})
