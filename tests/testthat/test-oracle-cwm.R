# The reference implementation itself, against what it must equal.

gmm_data <- function(z) list(x = as.matrix(z), w = matrix(1, nrow(z)), y = matrix(0, nrow(z), 0))

two_responses <- function(n = 60, seed = 1) {
  set.seed(seed)
  z <- rep(1:2, length.out = n)
  x <- cbind(rnorm(n, c(-1, 1)[z]), rnorm(n))
  y <- cbind(2 * x[, 1] * (3 - 2 * z), x[, 2] + z) + 0.3 * matrix(rnorm(2 * n), n)
  list(x = x, w = cbind(1, x), y = y, z = z)
}

# holes of every kind: one response, the other, both
with_holes <- function(d) {
  d$y[1:6, 1] <- NA
  d$y[5:12, 2] <- NA
  d
}

cwm_test_prior <- function(d, weights = "dirichlet") {
  a <- ncol(d$x)
  r <- ncol(d$w)
  m <- ncol(d$y)
  list(weights = weights, alpha = 0.8, m0 = seq_len(a) / 10, beta0 = 0.5,
       w0_inverse = diag(1.5, a) + 0.1, nu0 = a + 1.5, b0 = matrix(0.2, r, m),
       l0 = diag(0.3, r) + 0.05, v0_inverse = diag(0.7, m) + 0.1, n0 = m + 2)
}

test_that("without a response every family is mclust's", {
  skip_if_not_installed("mclust")
  suppressPackageStartupMessages(library(mclust))
  on.exit(detach("package:mclust"))
  d <- gmm_data(faithful)
  for (family in c("EII", "VII", "EEI", "VVI", "EEE", "VVV")) {
    other <- Mclust(faithful, 2, family, verbose = FALSE,
                    control = emControl(tol = c(1e-10, 1e-10)))
    fit <- oracle_cwm_em(d$x, d$w, d$y, other$z, family)
    expect_equal(fit$log_likelihood, other$loglik, tolerance = 1e-6)
    expect_equal(oracle_cwm_df(2, 2, 1, 0, family), other$df)
  }
})

test_that("published log likelihoods of faithful and iris are met", {
  skip_if_not_installed("mclust")
  suppressPackageStartupMessages(library(mclust))
  on.exit(detach("package:mclust"))
  start <- function(z, k, family) Mclust(z, k, family, verbose = FALSE)$z
  fit <- function(z, k, family) {
    d <- gmm_data(z)
    oracle_cwm_em(d$x, d$w, d$y, start(z, k, family), family)$log_likelihood
  }
  expect_equal(fit(faithful, 3, "EEE"), -1126.326, tolerance = 1e-4)
  expect_equal(fit(faithful, 2, "VVV"), -1130.264, tolerance = 1e-4)
  expect_equal(fit(iris[, 1:4], 3, "VVV"), -180.186, tolerance = 1e-4)
})

test_that("a regression on all covariates is the joint Gaussian mixture", {
  x <- as.matrix(faithful[, "waiting", drop = FALSE])
  y <- as.matrix(faithful[, "eruptions", drop = FALSE])
  fit <- oracle_cwm_em(x, cbind(1, x), y, 1 + (x[, 1] > 67))
  expect_equal(fit$log_likelihood, -1130.264, tolerance = 1e-6)
  joint <- oracle_cwm_to_joint(fit$theta)
  expect_equal(oracle_gmm_log_likelihood(cbind(x, y), joint), fit$log_likelihood)
  expect_equal(unname(oracle_joint_to_cwm(joint, 1)$coefficients),
               unname(fit$theta$coefficients))
  expect_equal(oracle_cwm_df(2, 1, 2, 1), oracle_cwm_df(2, 2, 1, 0))
})

test_that("one component is lm() and the sample moments", {
  d <- two_responses()
  fit <- oracle_cwm_em(d$x, d$w, d$y, rep(1, 60))
  other <- lm(d$y ~ d$x)
  expect_equal(matrix(fit$theta$coefficients, 3), unname(coef(other)))
  expect_equal(fit$theta$means[1, ], colMeans(d$x))
  expect_equal(fit$theta$covariances[, , 1], cov(d$x) * 59 / 60)
  expect_equal(fit$theta$noise[, , 1], unname(crossprod(resid(other))) / 60)
  one <- oracle_cwm_em(d$x, d$w, d$y[, 1, drop = FALSE], rep(1, 60))
  normal <- oracle_gmm_log_likelihood(d$x, list(weights = 1, means = one$theta$means,
                                                covariances = one$theta$covariances))
  expect_equal(one$log_likelihood, normal + as.numeric(logLik(lm(d$y[, 1] ~ d$x))))
})

test_that("without clustering covariates it is flexmix's mixture of regressions", {
  skip_if_not_installed("flexmix")
  data("NPreg", package = "flexmix", envir = environment())
  set.seed(1)
  other <- flexmix::flexmix(yn ~ x + I(x^2), data = NPreg, k = 2)
  w <- cbind(1, NPreg$x, NPreg$x^2)
  fit <- oracle_cwm_em(matrix(0, 200, 0), w, matrix(NPreg$yn), NPreg$class)
  # flexmix divides residual sums by their degrees of freedom, so it ends a little lower
  expect_gte(fit$log_likelihood, other@logLik)
  expect_equal(fit$log_likelihood, other@logLik, tolerance = 1e-4)
  expect_equal(oracle_cwm_df(2, 0, 3, 1), other@df)
})

test_that("missing responses are marginalised and EM climbs with them", {
  d <- with_holes(two_responses())
  for (noise in c("free", "equal")) {
    fit <- oracle_cwm_em(d$x, d$w, d$y, d$z, noise = noise, tolerance = 1e-9)
    expect_true(all(diff(fit$trace) > -1e-9))
    expect_equal(fit$log_likelihood, oracle_gmm_log_likelihood(
      cbind(d$x, d$y), oracle_cwm_to_joint(fit$theta)))
  }
  # a row without responses is as good as absent from the regressions
  gone <- which(rowSums(is.na(d$y)) == 2)
  expect_equal(gone, 5:6)
  all_in <- oracle_cwm_m_step(d$x, d$w, d$y, diag(2)[d$z, ])
  without <- oracle_cwm_m_step(d$x[-gone, ], d$w[-gone, ], d$y[-gone, ], diag(2)[d$z[-gone], ])
  expect_equal(all_in$coefficients, without$coefficients)
})

test_that("the EM optimum is stationary for every family", {
  skip_if_not_installed("numDeriv")
  d <- with_holes(two_responses())
  fit <- oracle_cwm_em(d$x, d$w, d$y, d$z, tolerance = 1e-14, max_iterations = 5000)
  value <- function(p) {
    theta <- fit$theta
    theta$means[] <- p[1:4]
    theta$coefficients[] <- p[5:16]
    oracle_cwm_log_likelihood(d$x, d$w, d$y, theta)
  }
  slope <- numDeriv::grad(value, c(fit$theta$means, fit$theta$coefficients))
  expect_lt(max(abs(slope)), 1e-3)
})

test_that("predictive mean, density, distribution and quantile belong together", {
  d <- two_responses()
  theta <- oracle_cwm_em(d$x, d$w, d$y[, 1, drop = FALSE], d$z)$theta
  x <- d$x[1, , drop = FALSE]
  w <- d$w[1, , drop = FALSE]
  density <- function(q) {
    vapply(q, function(v) oracle_cwm_predict_density(x, w, matrix(v), theta), 0)
  }
  inside <- function(f, upper) integrate(f, -30, upper, rel.tol = 1e-9, subdivisions = 1000)$value
  q <- oracle_cwm_predict_quantile(x, w, 0.3, theta)
  expect_equal(inside(density, q), 0.3, tolerance = 1e-6)
  expect_equal(oracle_cwm_predict_cdf(x, w, q, theta), 0.3, tolerance = 1e-9)
  expect_equal(inside(function(v) v * density(v), 30),
               drop(oracle_cwm_predict_mean(x, w, theta)), tolerance = 1e-6)
})

test_that("with one component the bound is the exact log evidence", {
  d <- two_responses(20)
  for (weights in c("dirichlet", "stick_breaking")) {
    prior <- cwm_test_prior(d, weights)
    one <- matrix(1, 20, 1)
    q <- oracle_cwm_vb_global(d$x, d$w, d$y, one, prior)
    expect_equal(oracle_cwm_vb_bound(d$x, d$w, d$y, one, q, prior),
                 oracle_cwm_log_evidence(d$x, d$w, d$y, prior))
  }
})

test_that("the log evidence is the integral it claims to be", {
  d <- list(x = matrix(c(0.3, -1, 2)), w = matrix(1, 3), y = matrix(c(1, 0.5, -0.2)))
  prior <- cwm_test_prior(d)
  # the mean summed out by hand given the precision p, the precision on a grid
  normal <- function(v, mean, spread, inverse, nu) {
    f <- function(p) {
      vapply(p, function(one) {
        shared <- list(weights = 1, means = matrix(mean, 1, 3),
                       covariances = array((diag(3) + 1 / spread) / one, c(3, 3, 1)))
        exp(oracle_gmm_log_likelihood(t(v), shared))
      }, 0) * dgamma(p, nu / 2, drop(inverse) / 2)
    }
    log(integrate(f, 0, Inf, rel.tol = 1e-9)$value)
  }
  exact <- normal(d$x, prior$m0, prior$beta0, prior$w0_inverse, prior$nu0) +
    normal(d$y, drop(prior$b0), drop(prior$l0), prior$v0_inverse, prior$n0)
  expect_equal(oracle_cwm_log_evidence(d$x, d$w, d$y, prior), exact, tolerance = 1e-5)
})

# Every parameter of q scaled a little either way lowers the bound.
expect_bound_at_top <- function(state, bound) {
  top <- bound(state)
  for (block in c("covariates", "regressions")) {
    for (piece in names(state$posterior[[block]][[1]])) {
      for (factor in c(0.97, 1.03)) {
        moved <- state
        moved$posterior[[block]][[1]][[piece]] <- state$posterior[[block]][[1]][[piece]] * factor
        expect_lt(bound(moved), top + 1e-6)
      }
    }
  }
}

test_that("coordinate ascent never lowers the bound and ends where nothing raises it", {
  d <- with_holes(two_responses())
  for (weights in c("dirichlet", "stick_breaking")) {
    prior <- cwm_test_prior(d, weights)
    set.seed(3)
    resp <- matrix(runif(180), 60)
    state <- list(resp = resp / rowSums(resp))
    state$posterior <- oracle_cwm_vb_global(d$x, d$w, d$y, state$resp, prior)
    bound <- function(s) oracle_cwm_vb_bound(d$x, d$w, d$y, s$resp, s$posterior, prior)
    values <- bound(state)
    for (i in 1:150) {
      state <- oracle_cwm_vb_sweep(d$x, d$w, d$y, state$posterior, prior)
      values[i + 1] <- bound(state)
    }
    expect_true(all(diff(values) > -1e-9))
    expect_bound_at_top(state, bound)
  }
})

test_that("predictive densities under q integrate to one", {
  d <- two_responses()
  d$y <- d$y[, 1, drop = FALSE]
  prior <- cwm_test_prior(d, "stick_breaking")
  q <- oracle_cwm_vb_global(d$x, d$w, d$y, diag(2)[d$z, ], prior)
  x <- d$x[3, , drop = FALSE]
  w <- d$w[3, , drop = FALSE]
  f <- function(v) vapply(v, function(u) oracle_cwm_vb_predict_density(x, w, matrix(u), q), 0)
  expect_equal(integrate(f, -Inf, Inf)$value, 1, tolerance = 1e-6)
  expect_equal(integrate(function(v) v * f(v), -Inf, Inf)$value,
               drop(oracle_cwm_vb_predict_mean(x, w, q)), tolerance = 1e-5)
  expect_equal(sum(oracle_vb_mean_weights(q$weights)), 1)
})
