# mmash against its plain-R oracle, and what its page promises.

test_that("sweeps, weights, residual and bound are those of the dense oracle", {
  set.seed(1)
  d <- simulate_mmash(40, 8, conditions = 3, causal = 2)
  w <- c(.5, rep(.5 / 9, 9))
  prior <- quick_prior(weights = w)
  v <- stats::cov(d$y)
  for (kind in c("full", "diagonal")) {
    fit <- quiet_mmash(d$x, d$y, prior, residual = kind, penalty = 1, control = plain(6))
    start <- if (kind == "full") v else diag(diag(v))
    oracle <- oracle_mmash_fit(d$x, d$y, oracle_prior(prior, w), unname(start),
                               update = c("weights", "residual"), residual = kind, iterations = 6)
    expect_equal(unname(coef(fit)[-1, ]), oracle$state$mean, tolerance = 1e-10)
    expect_equal(objective(fit)$value, oracle$trace_sweep, tolerance = 1e-10)
    expect_equal(unname(fit$posterior$sd), oracle_mmash_summary(oracle$state)$sd,
                 tolerance = 1e-9)
    expect_equal(unname(lfsr(fit)), oracle_mmash_summary(oracle$state)$lfsr, tolerance = 1e-9)
    expect_equal(unname(vcov(fit, variant = 2)), oracle$state$cov[, , 2], tolerance = 1e-9)
    expect_equal(unname(pip(fit)), 1 - oracle$state$alpha[, 1], tolerance = 1e-9)
  }
})

test_that("responses with gaps are integrated out as the oracle does", {
  set.seed(2)
  d <- simulate_mmash(40, 6, conditions = 3, causal = 2, missing = .25)
  w <- c(.5, rep(.5 / 9, 9))
  prior <- quick_prior(weights = w)
  v <- matrix(.3, 3, 3) + diag(1, 3)
  fit <- quiet_mmash(d$x, d$y, prior, residual = v, update = c("weights", "residual"),
                     penalty = 1, control = plain(5))
  oracle <- oracle_mmash_fit(d$x, d$y, oracle_prior(prior, w), v,
                             update = c("weights", "residual"), iterations = 5)
  expect_equal(unname(coef(fit)[-1, ]), oracle$state$mean, tolerance = 1e-9)
  expect_equal(objective(fit)$value, oracle$trace_sweep, tolerance = 1e-10)
  expect_equal(unname(lfsr(fit)), oracle_mmash_summary(oracle$state)$lfsr, tolerance = 1e-9)
  expect_equal(unname(vcov(fit, variant = 2)), oracle$state$cov[, , 2], tolerance = 1e-9)
})

test_that("every kind of plot can be drawn, with and without a null and credible sets", {
  d <- mixed_data(4, n = 60, p = 8)
  fits <- list(quiet_mmash(d$x, d$y, quick_prior(), seed = 1),
               quiet_mmash(d$x, d$y, quick_prior(null = FALSE), seed = 1),
               quiet_mmash(d$x, d$y, quick_prior(), method = "em", seed = 1))
  for (fit in fits) {
    types <- c(if (fit$prior$null) "variants", "effects", "weights", "trace")
    for (type in types) expect_gt(length(ggplot2::ggplot_build(autoplot(fit, type = type))$data), 0)
  }
  expect_error(autoplot(fits[[2]], type = "variants"), "must be one of")
  shown <- ggplot2::ggplot_build(autoplot(fits[[1]], type = "effects", most = 2))
  expect_equal(nrow(shown$layout$layout), 2)
})

test_that("labels of an axis keep numbers apart that differ little", {
  expect_identical(distinct_labels(c(-1398.2091, -1398.2092, NA)),
                   c("-1398.2091", "-1398.2092", NA))
  expect_identical(distinct_labels(c(.1, .2)), c("0.1", "0.2"))
})

test_that("tables have the names and the gaps that they should", {
  d <- mixed_data(4, n = 60, p = 8)
  fit <- quiet_mmash(d$x, d$y, quick_prior(), seed = 1)
  expect_identical(rownames(vcov(fit)), rownames(confint(fit)))
  expect_true(all(is.na(tidy(quiet_mmash(d$x, d$y, quick_prior(null = FALSE), seed = 1))$pip)))
  expect_false(any(is.nan(tidy(quiet_mmash(d$x, d$y, quick_prior(null = FALSE), seed = 1))$pip)))
})

test_that("the seconds of a fit are those that it took, its starts included", {
  d <- mixed_data(4, n = 400, p = 300, j = 5)
  spent <- system.time(fit <- quiet_mmash(d$x, d$y, quick_prior(5), seed = 1))[["elapsed"]]
  expect_gt(glance(fit)$seconds, spent / 2)
  expect_lte(glance(fit)$seconds, spent)
  expect_false(is.unsorted(objective(fit)$seconds))
})

test_that("the objective has the penalty while the weights are learned", {
  d <- mixed_data(4, n = 60, p = 8)
  bound <- function(fit) utils::tail(objective(fit)$value, 1)
  fit_to <- function(weights, ...) {
    quiet_mmash(d$x, d$y, quick_prior(weights = weights), residual = diag(3), seed = 1, ...)
  }
  learned <- fit_to(rep(.1, 10), penalty = 5, control = tight())
  weights <- learned$estimate$weights
  start <- list(coef = coef(learned)[-1, ])
  kept <- lapply(c(1, 5), function(penalty) {
    fit_to(unname(weights), update = "none", penalty = penalty, control = tight(start = start))
  })
  expect_identical(bound(kept[[1]]), bound(kept[[2]]))
  expect_equal(bound(learned) - bound(kept[[1]]), 4 * log(weights[["null"]]), tolerance = 1e-5)
})
