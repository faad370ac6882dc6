test_that("the variance explained, the correlations and the shapes are as asked for", {
  set.seed(1)
  d <- simulate_mmash(4000, 30, conditions = 3, causal = 6, pve = 0.4, x_correlation = 0.5,
                      effects = "independent", residual_correlation = 0.3, intercept = 1:3)
  expect_equal(dim(d$y), c(4000, 3))
  expect_equal(colnames(d$x)[30], "variant30")
  expect_equal(which(rowSums(abs(d$truth$coefficients)) > 0), d$truth$causal,
               ignore_attr = TRUE)
  expect_equal(unname(cor(d$x)[1, 2]), 0.5, tolerance = 0.1)
  signal <- sweep(d$x %*% d$truth$coefficients, 2, 1:3, `+`)
  e <- d$y - signal
  expect_equal(apply(signal, 2, var) / apply(d$y, 2, var), rep(0.4, 3), tolerance = 0.1,
               ignore_attr = TRUE)
  expect_equal(cov(e), d$truth$residual_covariance, tolerance = 0.1)
  expect_equal(unname(cor(e)[1, 2]), 0.3, tolerance = 0.15)
  expect_lt(max(abs(colMeans(e))) / sd(e) * sqrt(4000), 4)
})

test_that("each pattern of effects is what it is called", {
  effects <- function(pattern, ...) {
    set.seed(2)
    d <- simulate_mmash(50, 400, conditions = 4, causal = 300, effects = pattern, active = 2, ...)
    unname(d$truth$coefficients[d$truth$causal, ])
  }
  same <- function(b) expect_equal(b, matrix(b[, 1], nrow(b), ncol(b)))
  same(effects("equal"))
  same(effects("shared"))
  expect_equal(cor(effects("shared", effect_correlation = 0.6)), matrix(0.6, 4, 4) + diag(0.4, 4),
               tolerance = 0.15)
  expect_lt(max(abs(cor(effects("independent"))[upper.tri(diag(4))])), 0.2)
  expect_true(all(rowSums(effects("singletons") != 0) == 1))
  expect_true(all(effects("mostly_null")[, -1] == 0))
  expect_true(all(effects("equal_null")[, 3:4] == 0))
  same(effects("equal_null")[, 1:2])
  groups <- effects("subgroups")
  same(groups[, 1:2])
  same(groups[, 3:4])
  expect_lt(abs(cor(groups[, 1], groups[, 3])), 0.2)
  expect_equal(var(as.vector(effects("independent", effect_variance = 2))), 2, tolerance = 0.15)
})

test_that("allele counts have their frequencies and fall off along the chromosome", {
  set.seed(3)
  d <- simulate_mmash(3000, 20, conditions = 2, causal = 0, x_correlation = 0.8,
                      genotypes = TRUE)
  expect_true(all(d$x %in% 0:2))
  expect_true(all(colMeans(d$x) > 0.05 & colMeans(d$x) < 1.1))
  r <- abs(cor(d$x))
  expect_gt(mean(r[cbind(1:19, 2:20)]), 2 * mean(r[cbind(1:10, 11:20)]))
  expect_equal(unname(diag(d$truth$residual_covariance)), c(1, 1)) # nothing causal
})

test_that("own variants, missing responses and repeatability", {
  draw <- function() {
    set.seed(4)
    simulate_mmash(30, x = matrix(rbinom(90, 2, 0.3), 30), conditions = 2, causal = 1,
                   missing = 0.3)
  }
  d <- draw()
  expect_identical(d, draw())
  expect_equal(ncol(d$x), 3)
  expect_true(anyNA(d$y))
})

test_that("arguments out of range are named", {
  sim <- function(...) simulate_mmash(n = 20, p = 5, conditions = 2, ...)
  expect_error(simulate_mmash(1, 5), "simulate_mmash: 'n' must be")
  expect_error(simulate_mmash(20, 0), "'p' must be")
  expect_error(simulate_mmash(20, 5, conditions = 0), "'conditions' must be")
  expect_error(sim(causal = 6), "'causal' must be")
  expect_error(sim(pve = 1), "'pve' must be")
  expect_error(sim(x_correlation = 1), "'x_correlation' must be")
  expect_error(sim(residual_correlation = -0.1), "'residual_correlation' must be")
  expect_error(sim(effects = "any"), "'effects' must be")
  expect_error(sim(effect_correlation = 2), "'effect_correlation' must be")
  expect_error(sim(effect_variance = 0), "'effect_variance' must be")
  expect_error(sim(active = 3), "'active' must be")
  expect_error(sim(genotypes = NA), "'genotypes' must be")
  expect_error(sim(x = matrix(0, 3, 2)), "'x' must be")
  expect_error(sim(intercept = 1:3), "'intercept' must be")
  expect_error(sim(missing = 1), "'missing' must be")
})
