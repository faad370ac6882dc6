# Variational Bayes and Gibbs sampling: against the reference, against EM, and calibrated.

two_modes <- function(n = 500) {
  set.seed(40)
  simulate_nbmix(n, c(0.3, 0.7), c(5, 60), c(0.3, 0.1))
}

test_that("the bound is the reference's, and never falls", {
  d <- two_modes(300)
  fit <- nbmix(d$x, k = 2, method = "vb", seed = 1,
               prior = nbmix_prior(log_mean = c(3, 2), log_dispersion = c(-1, 1)))
  value <- objective(fit)$value
  expect_true(all(diff(value) >= -1e-9 * abs(value[-1])))
  prior <- list(m0 = 3, v0 = 4, m1 = -1, v1 = 1)
  parts <- fit$state
  mu <- exp(parts$log_mean)
  step <- oracle_nb_vb_step(d$x, 1, 1, parts$dirichlet, mu, parts$dispersion, prior)
  bound <- oracle_nb_bound(d$x, 1, 1, step$resp, parts$dirichlet, mu, parts$dispersion, prior)
  expect_equal(utils::tail(value, 1), bound, tolerance = 1e-9)
  # A further pass of the reference changes nothing: a fixed point of the same equations.
  expect_equal(step$dirichlet, parts$dirichlet, tolerance = 1e-4)
  expect_equal(step$mu, mu, tolerance = 1e-4)
  expect_equal(step$phi, parts$dispersion, tolerance = 1e-3)
})

test_that("superfluous components empty by themselves", {
  d <- two_modes(800)
  fit <- nbmix(d$x, k = 5, method = "vb", seed = 1, prior = nbmix_prior(concentration = 0.01))
  expect_equal(sum(fit$estimate$weight > 0.01), 2)
  expect_equal(sort(unname(fit$estimate$mean[1:2])), c(5, 60), tolerance = 0.1)
  chosen <- nbmix(d$x, k = 1:3, method = "vb", seed = 1)
  expect_identical(chosen$k, 2L)
  expect_error(logLik(chosen), "no log likelihood")
})

test_that("draws from q have the moments of q", {
  skip_if_not_installed("posterior")
  d <- two_modes(300)
  fit <- nbmix(d$x, k = 2, method = "vb", seed = 1)
  set.seed(1)
  draws <- posterior::as_draws_matrix(as_draws(fit, draws = 4000))
  expect_identical(posterior::variables(draws), rownames(vcov(fit)))
  expect_equal(unname(colMeans(draws)), unname(unlist(fit$estimate)), tolerance = 0.03)
})

test_that("Gibbs sampling agrees with maximum likelihood", {
  d <- two_modes(800)
  ml <- nbmix(d$x, k = 2, seed = 1)
  fit <- nbmix(d$x, k = 2, method = "gibbs", seed = 1,
               control = gibbs_control(chains = 4, iterations = 600))
  expect_true(fit$convergence$converged)
  sd <- sqrt(diag(vcov(fit)))
  expect_true(all(abs(unlist(fit$estimate) - unlist(ml$estimate)) < 2 * sd))
  expect_equal(unname(sd), unname(sqrt(diag(vcov(ml)))), tolerance = 0.3)
  expect_gt(mean(clusters(fit) == clusters(ml)), 0.99)
  expect_equal(unname(responsibilities(fit)), unname(responsibilities(ml)), tolerance = 0.02)
})

test_that("Gibbs sampling with size factors and a point mass agrees with maximum likelihood", {
  set.seed(41)
  s <- exp(rnorm(600, 0, 0.4))
  d <- simulate_nbmix(600, c(0.5, 0.5), c(4, 40), c(0.1, 0.1), s, zero_weight = 0.2)
  ml <- nbmix(d$x, k = 2, size_factors = s, zero_inflated = TRUE, seed = 1)
  fit <- suppressWarnings(nbmix(d$x, k = 2, size_factors = s, zero_inflated = TRUE, seed = 1,
                                method = "gibbs", control = gibbs_control(iterations = 600)))
  by_mean <- function(fit) lapply(fit$estimate, function(v) unname(v[order(fit$estimate$mean)]))
  expect_equal(by_mean(fit)$mean, by_mean(ml)$mean, tolerance = 0.1)
  expect_equal(by_mean(fit)$weight, by_mean(ml)$weight, tolerance = 0.15)
})

test_that("chains go on bitwise, and the seed alone governs them", {
  d <- two_modes(100)
  run <- function(iterations, ...) {
    suppressWarnings(nbmix(d$x, k = 2, method = "gibbs", seed = 3, ...,
                           control = gibbs_control(chains = 2, iterations = iterations,
                                                   warmup = 20)))
  }
  whole <- run(80)
  half <- run(50)
  on <- suppressWarnings(resume(half, 30, data = d$x))
  expect_identical(on$posterior$draws, whole$posterior$draws)
  expect_identical(responsibilities(on), responsibilities(whole))
  expect_identical(run(80, threads = 1)$posterior$draws, whole$posterior$draws)
})

# Simulation-based calibration (Talts et al. 2018): ranks of the truth among thinned draws are
# uniform when the sampler has the posterior as its limit.
calibration_ranks <- function(fits, iterations, thin) {
  prior <- nbmix_prior(concentration = 4, log_dispersion = c(-1, 0.5), mean = c(4, 40))
  one <- function(i) {
    w <- rgamma(2, 2)
    w <- w / sum(w)
    mu <- 1 / rgamma(2, 4, 40)
    phi <- exp(rnorm(2, -1, 0.5))
    order <- order(60 * w < 1, mu) # the sampler's labels
    d <- simulate_nbmix(60, w, mu, phi)
    fit <- suppressWarnings(nbmix(d$x, k = 2, method = "gibbs", prior = prior, seed = i,
                                  control = gibbs_control(1, iterations, thin = thin)))
    back <- order(fit$posterior$order)
    at <- c(back, 2 + back, 4 + back)
    draws <- matrix(fit$posterior$draws[, 1, at], ncol = 6)
    log_lik <- fit$objective$chain_1
    truth <- c(w[order], mu[order], phi[order])
    true_lik <- sum(log(w[1] * dnbinom(d$x, size = 1 / phi[1], mu = mu[1]) +
                          w[2] * dnbinom(d$x, size = 1 / phi[2], mu = mu[2])))
    c(rowMeans(t(draws) < truth), mean(log_lik < true_lik))
  }
  t(vapply(seq_len(fits), one, numeric(7)))
}

expect_uniform <- function(ranks, level) {
  for (j in seq_len(ncol(ranks))) {
    expect_gt(suppressWarnings(stats::ks.test(ranks[, j], "punif")$p.value), level)
  }
}

test_that("ranks of the truth are uniform (few fits)", {
  set.seed(42)
  expect_uniform(calibration_ranks(60, 1200, 10), 1e-3)
})

test_that("ranks of the truth are uniform (many fits)", {
  skip_unless_extended()
  set.seed(43)
  expect_uniform(calibration_ranks(300, 2200, 20), 1e-3)
})

test_that("a prior is shown in words", {
  expect_output(print(nbmix_prior()), "by the gene")
})

test_that("a component more than the data need does not move what is fitted", {
  set.seed(3)
  x <- rpois(300, 50)
  fit <- nbmix(x, k = 2, method = "gibbs", seed = 1)
  expect_equal(fit$estimate$mean[[1]], mean(x), tolerance = 0.02)
  expect_true(all(abs(fitted(fit) - mean(x)) < 2))
  expect_lt(subset(tidy(fit), term == "mean")$std.error[1], 5)
  expect_equal(unname(predict(fit, 48:52, type = "density")), dpois(48:52, mean(x)),
               tolerance = 0.15)
  expect_identical(unname(predict(fit, x)), unname(clusters(fit)))
  genes <- pbmc_cells$counts[seq(1, 1000, 100), 1:600]
  genes <- genes[Matrix::rowSums(genes) >= 10, ]
  many <- suppressWarnings(nbmix(genes, k = 2, method = "gibbs", seed = 1,
                                 control = gibbs_control(chains = 2, iterations = 600)))
  expect_gte(nrow(genes), 5)
  expect_lt(max(abs(rowMeans(fitted(many)) / Matrix::rowMeans(genes) - 1)), 0.1)
})
