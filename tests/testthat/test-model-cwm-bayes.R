# cwm by variational Bayes and Gibbs sampling: recovery, agreement of the engines, the bound, pruning,
# calibration, and exact continuation.

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

test_that("the sampler is calibrated", {
  prior <- cwm_prior(mean = c(0, 0), mean_precision = 0.5, covariance_df = 6, covariance_scale = 2,
                     coefficients = matrix(0, 3, 1), coefficient_precision = 0.3, noise_df = 5,
                     noise_scale = 2, concentration = 2)
  inverse_wishart <- function(df, scale) {
    p <- nrow(scale)
    solve(matrix(rWishart(1, df, solve(scale)), p))
  }
  generate <- function() {
    g <- rgamma(2, 2)
    parts <- lapply(1:2, function(k) {
      s <- inverse_wishart(6, diag(2, 2))
      p <- inverse_wishart(5, diag(2, 1))
      list(mean = drop(crossprod(chol(s / 0.5), rnorm(2))), s = s, p = p,
           b = matrix(rnorm(3), 3) * sqrt(p[1] / 0.3))
    })
    z <- sample(2, 40, TRUE, g)
    x <- t(vapply(z, function(k) parts[[k]]$mean + drop(crossprod(chol(parts[[k]]$s), rnorm(2))),
                  numeric(2)))
    y <- vapply(seq_len(40), function(i) {
      drop(c(1, x[i, ]) %*% parts[[z[i]]]$b) + rnorm(1) * sqrt(parts[[z[i]]]$p[1])
    }, 0)
    theta <- list(weights = g / sum(g), means = rbind(parts[[1]]$mean, parts[[2]]$mean),
                  covariances = array(c(parts[[1]]$s, parts[[2]]$s), c(2, 2, 2)),
                  coefficients = array(c(parts[[1]]$b, parts[[2]]$b), c(3, 1, 2)),
                  noise = array(c(parts[[1]]$p, parts[[2]]$p), c(1, 1, 2)))
    list(parameters = theta, data = data.frame(x1 = x[, 1], x2 = x[, 2], y = y))
  }
  read <- function(v) {
    full <- function(s) matrix(s[c(1, 2, 2, 3)], 2)
    list(weights = v[c(1, 11)], means = rbind(v[2:3], v[12:13]),
         covariances = array(c(full(v[4:6]), full(v[14:16])), c(2, 2, 2)),
         coefficients = array(c(v[7:9], v[17:19]), c(3, 1, 2)),
         noise = array(v[c(10, 20)], c(1, 1, 2)))
  }
  draws <- function(data) {
    fit <- suppressWarnings(cwm(y ~ x1 + x2, data, k = 2, method = "gibbs", prior = prior,
                                control = gibbs_control(chains = 1, iterations = 2200, warmup = 200,
                                                        thin = 20)))
    chain <- fit$state$chains[[1]]$draws # all components, also those without rows
    lapply(seq_len(nrow(chain)), function(i) read(chain[i, ]))
  }
  log_lik <- function(theta, data) {
    x <- as.matrix(data[c("x1", "x2")])
    oracle_cwm_log_likelihood(x, cbind(1, x), as.matrix(data["y"]), theta)
  }
  quantities <- list(
    log_likelihood = log_lik,
    weight = function(theta, data) max(theta$weights),
    noise = function(theta, data) min(theta$noise),
    slope = function(theta, data) max(theta$coefficients[2, 1, ]),
    mean = function(theta, data) max(theta$means[, 1]),
    spread = function(theta, data) min(theta$covariances[1, 1, ]))
  set.seed(20)
  expect_calibrated(sbc_ranks(generate, draws, quantities))
})

test_that("a prior may be given and is checked", {
  d <- forum_data(7, 100)$data
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = list()), "'prior' must be made by")
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = cwm_prior(mean = c(1, 2))), "'mean'")
  expect_error(cwm(y ~ x1, d, k = 2, method = "vb", prior = cwm_prior(covariance_scale = -1)),
               "positive definite")
  expect_error(cwm_prior(concentration = 0), "'concentration'")
  expect_error(cwm(y ~ x1, d, k = 1:3, method = "vb"), "'k' must be one number")
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
