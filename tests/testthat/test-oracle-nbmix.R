# The reference implementation itself, against what it must equal.

notebook_poisson <- function() read.csv(test_path("fixtures", "notebook_poisson.csv"))$x
notebook_nb <- function() read.csv(test_path("fixtures", "notebook_nb.csv"))$x

two_modes <- function(n = 400, seed = 5) {
  set.seed(seed)
  s <- exp(rnorm(n, 0, 0.3))
  first <- runif(n) < 0.3
  x <- rnbinom(n, mu = s * ifelse(first, 5, 60), size = 1 / ifelse(first, 0.3, 0.1))
  list(x = x, s = s, theta = oracle_nb_theta(c(0.3, 0.7), c(5, 60), c(0.3, 0.1)))
}

test_that("the density is R's, with the exact Poisson limit", {
  x <- 0:400
  expect_equal(oracle_nb_log_density(x, 30, 0.3),
               dnbinom(x, size = 1 / 0.3, mu = 30, log = TRUE), tolerance = 1e-12)
  expect_equal(oracle_nb_log_density(x, 30, 0), dpois(x, 30, log = TRUE), tolerance = 1e-12)
  expect_equal(oracle_nb_log_density(x, 30, 1e-14), dpois(x, 30, log = TRUE), tolerance = 1e-10)
  expect_equal(sum(exp(oracle_nb_log_density(0:20000, 30, 2))), 1, tolerance = 1e-12)
})

test_that("the density's derivatives are those of the density", {
  skip_if_not_installed("numDeriv")
  for (phi in c(0.001, 0.02, 0.7, 5)) {
    for (x in c(0, 3, 17)) {
      d <- oracle_nb_derivatives(x, 2, 5, phi)
      f <- function(p) oracle_nb_log_density(x, 2 * p[1], p[2])
      expect_equal(numDeriv::grad(f, c(5, phi)), c(d$mu, d$phi), tolerance = 1e-7)
      expect_equal(numDeriv::hessian(f, c(5, phi))[c(1, 2, 4)], c(d$mu_mu, d$mu_phi, d$phi_phi),
                   tolerance = 1e-5)
    }
  }
  at_zero <- oracle_nb_derivatives(c(0, 7), 1, 5, 0)$phi
  expect_equal(at_zero, ((c(0, 7) - 5)^2 - c(0, 7)) / 2)
})

test_that("the notebook's Poisson counts give the sample mean and no dispersion", {
  x <- notebook_poisson()
  expect_equal(sum(x), 99753)
  fit <- oracle_nb_mle(x)
  expect_equal(fit$theta$means, 99.753)
  expect_identical(fit$theta$dispersions, 0)
  expect_equal(fit$log_likelihood, -3690.9935, tolerance = 1e-8)
  expect_lt(sum((x - mean(x))^2 - x) / 2, 0) # the score at the boundary
})

test_that("R's own Poisson and negative binomial draws give the known optima", {
  set.seed(1)
  poisson <- oracle_nb_fit_component(rpois(1000, 100), rep(1, 1000), rep(1, 1000))
  expect_equal(unname(poisson), c(99.775, 6.137e-5), tolerance = 1e-4)
  set.seed(1)
  x <- rnbinom(1000, 3, 1e-3)
  fit <- oracle_nb_mle(x)
  expect_equal(fit$log_likelihood, -8770.9505, tolerance = 1e-8)
  expect_equal(c(fit$theta$means, fit$theta$dispersions), c(3028.626, 0.33846), tolerance = 1e-5)
  both <- oracle_nb_fit_component(x, rep(1, 1000), rep(1, 1000))
  expect_equal(unname(both), c(fit$theta$means, fit$theta$dispersions), tolerance = 1e-6)
})

test_that("one component equals MASS::fitdistr", {
  skip_if_not_installed("MASS")
  x <- notebook_nb()
  fit <- oracle_nb_mle(x)
  other <- MASS::fitdistr(x, "negative binomial", control = list(reltol = 1e-14))
  expect_equal(fit$log_likelihood, as.numeric(logLik(other)), tolerance = 1e-9)
  expect_equal(1 / fit$theta$dispersions, other$estimate[["size"]], tolerance = 1e-5)
})

test_that("a second component on the notebook's kinds of data never pays by BIC", {
  x <- notebook_poisson()
  two <- oracle_nb_mle(x, k = 2)
  expect_equal(two$log_likelihood, -3690.9935, tolerance = 1e-6)
  skip_unless_extended()
  set.seed(1)
  x <- rnbinom(1000, 3, 1e-3)
  # the highest of 145 random starts; there are optima at -8767.0002, -8768.258, -8770.068 too
  best <- list(oracle_nb_theta(c(0.015, 0.985), c(5006, 2998), c(2.6e-5, 0.339)))
  two <- oracle_nb_mle(x, k = 2, starts = c(oracle_nb_starts(x, 1, 2), best))
  expect_gte(two$log_likelihood, -8766.997)
  expect_gt(-2 * two$log_likelihood + 3 * log(1000), 2 * 8770.9505)
})

test_that("bimodal size factors explain bimodal spike-ins", {
  set.seed(1)
  n <- 1000
  s <- exp(rnorm(n, log(ifelse(rbinom(n, 1, 0.5) == 1, 2, 0.5)), 0.15))
  s <- s / mean(s)
  x <- rpois(n, 20 * s)
  bic <- function(s, k) (3 * k - 1) * log(n) - 2 * oracle_nb_mle(x, s, k)$log_likelihood
  expect_equal(bic(1, 1) - bic(1, 2), 499.8, tolerance = 1e-3)
  expect_gt(bic(s, 2), bic(s, 1))
  expect_equal(oracle_nb_mle(x, s)$theta$dispersions, 6.27e-4, tolerance = 0.01)
})

test_that("Cox-Reid dispersions are glmGamPoi's", {
  skip_if_not_installed("numDeriv")
  skip_if_not_installed("MASS")
  x <- MASS::quine$Days
  expect_equal(oracle_nb_cox_reid_mle(x)$dispersion, 0.94382407, tolerance = 1e-7)
  expect_equal(oracle_nb_mle(x)$theta$dispersions, 0.93739637, tolerance = 1e-7)
})

test_that("EM climbs to the optimum that optim finds", {
  d <- two_modes()
  theta <- oracle_nb_theta(c(0.5, 0.5), c(10, 40), c(0.2, 0.2))
  values <- oracle_nb_log_likelihood(d$x, d$s, theta)
  for (i in 1:12) {
    theta <- oracle_nb_em_step(d$x, d$s, theta)
    values <- c(values, oracle_nb_log_likelihood(d$x, d$s, theta))
  }
  expect_true(all(diff(values) > -1e-9))
  expect_equal(values[13], oracle_nb_mle(d$x, d$s, 2)$log_likelihood, tolerance = 1e-6)
})

test_that("responsibilities, gradient and the zero component agree with one another", {
  d <- two_modes()
  d$x[1:80] <- 0
  theta <- oracle_nb_theta(c(0.25, 0.6), c(5, 60), c(0.3, 0.1), 0.15)
  resp <- oracle_nb_responsibilities(d$x, d$s, theta)
  expect_equal(rowSums(resp), rep(1, 400))
  expect_true(all(resp[d$x > 0, 3] == 0))
  skip_if_not_installed("numDeriv")
  par <- oracle_nb_pack(theta)
  value <- function(p) oracle_nb_log_likelihood(d$x, d$s, oracle_nb_unpack(p, 2, TRUE))
  expect_equal(oracle_nb_gradient(par, d$x, d$s, 2, TRUE), numDeriv::grad(value, par),
               tolerance = 1e-7)
})

test_that("Louis' information is minus the Hessian of the log likelihood", {
  skip_if_not_installed("numDeriv")
  d <- two_modes()
  d$x[1:80] <- 0
  for (theta in list(d$theta, oracle_nb_theta(c(0.25, 0.6), c(5, 60), c(0.3, 0.1), 0.15),
                     oracle_nb_theta(c(0.25, 0.75), c(5, 60), c(0, 0.1)))) {
    expect_equal(oracle_nb_information_louis(d$x, d$s, theta),
                 oracle_nb_information_numeric(d$x, d$s, theta), tolerance = 1e-6)
  }
})

test_that("each full conditional is proportional to the joint density", {
  set.seed(2)
  x <- c(0, 4, 11, 30, 2, 7)
  s <- exp(rnorm(6, 0, 0.2))
  prior <- list(alpha = 0.5, shape = 2, rate = 7, m1 = -1, v1 = 2)
  state <- list(z = c(1, 1, 2, 2, 1, 2), lambda = rgamma(6, 3, 0.5), weights = c(0.3, 0.7),
                mu = c(3, 12), phi = c(0.4, 0.2))
  joint <- function(...) oracle_nb_gibbs_joint(x, s, modifyList(state, list(...)), prior)
  ratio <- function(change, conditional) {
    expect_equal(do.call(joint, change) - joint(), conditional, tolerance = 1e-10)
  }
  rate <- rgamma(6, 3, 0.5)
  ratio(list(lambda = rate), sum(oracle_nb_log_cond_lambda(rate, x, s, state) -
                                   oracle_nb_log_cond_lambda(state$lambda, x, s, state)))
  label <- c(2, 1, 1, 2, 2, 2)
  cond <- oracle_nb_log_cond_z(x, s, state, collapsed = FALSE)
  ratio(list(z = label), sum(cond[cbind(1:6, label)] - cond[cbind(1:6, state$z)]))
  w <- c(0.6, 0.4)
  ratio(list(weights = w), oracle_nb_log_cond_weights(w, state, prior) -
          oracle_nb_log_cond_weights(state$weights, state, prior))
  ratio(list(mu = c(5, 12)), oracle_nb_log_cond_mean(5, 1, state, prior) -
          oracle_nb_log_cond_mean(3, 1, state, prior))
  ratio(list(phi = c(0.4, 0.9)), oracle_nb_log_cond_dispersion(0.9, 2, x, s, state, prior) -
          oracle_nb_log_cond_dispersion(0.2, 2, x, s, state, prior))
})

test_that("summing the rate out of the joint density gives the negative binomial", {
  state <- list(weights = c(0.3, 0.7), mu = c(3, 12), phi = c(0.4, 0.2))
  f <- function(l) dpois(7, 1.3 * l) * dgamma(l, 1 / 0.2, 1 / (0.2 * 12))
  expect_equal(log(integrate(f, 0, 200, rel.tol = 1e-10)$value),
               oracle_nb_log_density(7, 1.3 * 12, 0.2), tolerance = 1e-8)
  cond <- oracle_nb_log_cond_z(c(0, 7), 1.3, state)
  expect_equal(rowSums(exp(cond)), c(1, 1))
})

test_that("the variational bound lies below the log evidence and never falls", {
  d <- two_modes(150)
  prior <- list(m0 = 3, v0 = 4, m1 = -1, v1 = 2)
  state <- list(dirichlet = c(75, 75), mu = c(10, 40), phi = c(0.2, 0.2))
  values <- c()
  for (i in 1:6) {
    state <- oracle_nb_vb_step(d$x, d$s, 1, state$dirichlet, state$mu, state$phi, prior)
    values[i] <- oracle_nb_bound(d$x, d$s, 1, state$resp, state$dirichlet, state$mu, state$phi,
                                 prior)
  }
  expect_true(all(diff(values) > -1e-8))
  # the weights integrated out on a grid, at the same (mu, phi): the exact log evidence
  f <- vapply(1:2, function(k) {
    oracle_nb_log_density(d$x, d$s * state$mu[k], state$phi[k])
  }, numeric(150))
  w <- (1:999) / 1000
  log_lik <- vapply(w, function(p) sum(log(p * exp(f[, 1]) + (1 - p) * exp(f[, 2]))), 0)
  exact <- log(mean(exp(log_lik - max(log_lik)) * dbeta(w, 0.5, 0.5))) + max(log_lik) +
    sum(dnorm(log(state$mu), 3, 2, log = TRUE)) +
    sum(dnorm(log(state$phi), -1, sqrt(2), log = TRUE))
  expect_lt(values[6], exact)
  expect_gt(values[6], exact - 2)
})
