# cwm by variational Bayes and Gibbs sampling: recovery, agreement of the engines, pruning, missing
# values, priors.

forum_data <- function(seed, n = 1000, ...) {
  set.seed(seed)
  simulate_cwm_forum(n, ...)
}
nearest_cluster <- function(fit, means) {
  apply(means, 1, function(m) which.min(colSums((t(fit$estimate$means) - m)^2)))
}
slopes_of <- function(fit, at) t(vapply(coef(fit)[at], function(b) b[2:3, 1], numeric(2)))

test_that("both priors prune from ten components to four, at any noise", {
  for (seed in 1:3) {
    for (noise in c(0.5, 1e-3, 0)) {
      d <- forum_data(seed, noise_sd = noise)
      for (weights in c("dirichlet", "stick_breaking")) {
        fit <- cwm(y ~ x1 + x2, d$data, k = 10, method = "vb", prior = cwm_prior(weights), seed = 1)
        expect_identical(fit$k, 4L)
        expect_gte(mclust::adjustedRandIndex(clusters(fit), d$cluster), 0.98)
        at <- nearest_cluster(fit, d$truth$means)
        truth <- t(vapply(d$truth$coefficients, function(b) b[2:3], numeric(2)))
        limit <- if (noise == 0.5) 0.35 else 0.002
        expect_lt(max(abs(slopes_of(fit, at) - truth)), limit)
        expect_lt(max(abs(fit$estimate$means[at, ] - d$truth$means)), 0.08)
        value <- objective(fit)$value
        expect_true(all(diff(value) >= -1e-9 * abs(value[-1])))
      }
    }
  }
})

test_that("Gibbs recovers the four clusters under both priors", {
  control <- gibbs_control(chains = 2, iterations = 300)
  for (noise in c(0.5, 1e-3, 0)) {
    d <- forum_data(4, noise_sd = noise)
    for (weights in c("dirichlet", "stick_breaking")) {
      fit <- cwm(y ~ x1 + x2, d$data, k = 6, method = "gibbs", prior = cwm_prior(weights), seed = 1,
                 control = control)
      expect_identical(fit$k, 4L)
      expect_gte(mclust::adjustedRandIndex(clusters(fit), d$cluster), 0.98)
      at <- nearest_cluster(fit, d$truth$means)
      truth <- t(vapply(d$truth$coefficients, function(b) b[2:3], numeric(2)))
      expect_lt(max(abs(slopes_of(fit, at) - truth)), if (noise == 0.5) 0.35 else 0.002)
      expect_equal(range(diag(fit$similarity$matrix)), c(1, 1))
    }
  }
})

test_that("the variational mean is within a tenth of a posterior deviation of Gibbs'", {
  d <- forum_data(5, 600)$data
  vb <- cwm(y ~ x1 + x2, d, k = 4, method = "vb", seed = 1)
  gibbs <- cwm(y ~ x1 + x2, d, k = 4, method = "gibbs", seed = 1,
               control = gibbs_control(chains = 4, iterations = 1500, warmup = 250))
  a <- tidy(vb)
  b <- tidy(gibbs)
  # 0.03 posterior deviations are the sampler's own error at 5000 draws
  expect_lt(max(abs(a$estimate - b$estimate) / b$std.error), 0.1 + 0.03)
  expect_lt(max(abs(log(a$std.error / b$std.error))), 0.15)
})

test_that("missing responses and covariates pass through both engines", {
  d <- forum_data(6, 400)
  data <- d$data
  data$y2 <- data$x1 - data$x2 + rnorm(400, sd = 0.2)
  data$y[1:60] <- NA
  data$y2[41:80] <- NA
  data$x1[100:110] <- NA
  for (method in c("vb", "gibbs")) {
    control <- if (method == "gibbs") gibbs_control(chains = 2, iterations = 200)
    fit <- suppressWarnings(cwm(cbind(y, y2) ~ x1 + x2, data, k = 5, method = method, seed = 1,
                                na_x = "marginalise", control = control))
    expect_gte(mclust::adjustedRandIndex(clusters(fit)[-(100:110)], d$cluster[-(100:110)]), 0.95)
    value <- objective(fit)$value
    if (method == "vb") expect_true(all(diff(value) >= -1e-9 * abs(value[-1])))
  }
})

test_that("a prior may be given and is checked", {
  d <- forum_data(7, 100)$data
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = list()), "'prior' must be made by")
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = cwm_prior(mean = c(1, 2))), "'mean'")
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = cwm_prior(covariance_scale = -1)),
               "positive definite")
  expect_error(cwm_prior(concentration = 0), "'concentration'")
  expect_error(cwm(y ~ x1, d, k = 1:3, method = "gibbs"), "'k' must be one number")
  expect_error(cwm(y ~ x1, d, k = 2, method = "gibbs", covariance = c("EII", "VVV")),
               "'covariance' must be one family")
  expect_output(print(cwm_prior()), "taken from the data")
})

test_that("without a response or without clustering covariates every engine works", {
  set.seed(1)
  d <- data.frame(x = runif(300, -2, 2))
  z <- rep(1:2, 150)
  d$y <- ifelse(z == 1, 1 + 2 * d$x, -1 - 2 * d$x) + rnorm(300, sd = 0.2)
  for (method in c("vb", "gibbs")) {
    control <- if (method == "gibbs") gibbs_control(chains = 2, iterations = 200)
    lines <- suppressWarnings(cwm(y ~ x, d, cluster = ~ 0, k = 2, method = method, seed = 1,
                                  control = control))
    expect_gt(mclust::adjustedRandIndex(clusters(lines), z), 0.7)
    geyser <- suppressWarnings(cwm(~ 1, faithful, cluster = ~ ., k = 2, method = method, seed = 1,
                                   control = control))
    expect_identical(geyser$k, 2L)
  }
})
