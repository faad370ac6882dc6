# The calibration helpers must pass a right sampler and fail wrong ones. Model: mean ~ N(1, 4),
# precision ~ Gamma(3, 2), five observations.

toy_prior <- function() list(mean = rnorm(1, 1, 2), precision = rgamma(1, 3, 2))
toy_model <- function(p) rnorm(5, p$mean, 1 / sqrt(p$precision))
toy_quantities <- list(
  mean = function(p, y) p$mean,
  precision = function(p, y) p$precision,
  log_likelihood = function(p, y) sum(dnorm(y, p$mean, 1 / sqrt(p$precision), log = TRUE))
)

# One Gibbs sweep; `shrink` and `shape` other than the defaults are errors planted on purpose.
toy_sweep <- function(p, y, shrink = 1, shape = 3) {
  precision <- 1 / 4 + length(y) * p$precision
  p$mean <- rnorm(1, (1 / 4 + p$precision * sum(y)) / precision, shrink / sqrt(precision))
  p$precision <- rgamma(1, shape + length(y) / 2, 2 + sum((y - p$mean)^2) / 2)
  p
}

toy_draws <- function(y, ...) {
  p <- list(mean = mean(y), precision = 1)
  out <- vector("list", 400)
  for (i in 1:400) out[[i]] <- p <- toy_sweep(p, y, ...)
  out[seq(8, 400, 4)]
}

toy_generate <- function() {
  p <- toy_prior()
  list(parameters = p, data = toy_model(p))
}

test_that("a right sampler is calibrated and wrong ones are found out", {
  set.seed(1)
  run <- function(...) {
    draws <- function(y) toy_draws(y, ...)
    sbc_ranks(toy_generate, draws, toy_quantities, runs = 100, size = 49)
  }
  ranks <- run()
  expect_true(all(ranks >= 0 & ranks <= 49))
  expect_calibrated(ranks)
  expect_failure(expect_calibrated(run(shrink = 0.4)), "not uniform")
  expect_failure(expect_calibrated(run(shape = 9)), "not uniform")
})

test_that("ranks of a discrete quantity are uniform too", {
  set.seed(2)
  coin <- list(heads = function(p, y) p)
  ranks <- sbc_ranks(function() list(parameters = rbinom(1, 3, 0.5), data = NULL),
                     function(data) as.list(rbinom(60, 3, 0.5)), coin, runs = 200, size = 9)
  expect_calibrated(ranks)
})

test_that("effective size is that of an autoregression", {
  set.seed(3)
  x <- as.numeric(arima.sim(list(ar = 0.8), 20000))
  expect_equal(chain_ess(x) / 20000, 0.2 / 1.8, tolerance = 0.2)
  expect_equal(chain_ess(rnorm(20000)) / 20000, 1, tolerance = 0.2)
})

test_that("the joint test passes a right sampler and fails wrong ones", {
  set.seed(4)
  test <- function(...) {
    geweke_joint_test(toy_prior, toy_model, function(p, y) toy_sweep(p, y, ...), toy_quantities,
                      iterations = 4000)
  }
  expect_geweke(test())
  expect_failure(expect_geweke(test(shrink = 0.5)), "differs")
  expect_failure(expect_geweke(test(shape = 4)), "differs")
})
