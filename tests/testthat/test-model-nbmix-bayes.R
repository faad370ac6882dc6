# nbmix by variational Bayes and Gibbs sampling: against the plain-R reference, the prior, each
# other, and maximum likelihood.

case_5 <- function(n = 2000, seed = 5) {
  set.seed(seed)
  simulate_nbmix(n, weights = c(.3, .7), means = c(5, 60), dispersions = c(.3, .1))
}

quick_gibbs <- function(...) gibbs_control(chains = 2, iterations = 600, warmup = 200, ...)

# ---- variational Bayes --------------------------------------------------------------------------

vb_reference <- function(fit, x, s, prior) {
  state <- fit$state
  weights <- exp(digamma(state$dirichlet) - digamma(sum(state$dirichlet)))
  k <- length(state$log_mean)
  theta <- oracle_nb_theta(weights[seq_len(k)], exp(state$log_mean), state$dispersion,
                           if (length(weights) > k) weights[k + 1] else 0)
  resp <- oracle_nb_responsibilities(x, s, theta)
  list(resp = resp, bound = oracle_nb_bound(x, s, prior$alpha0, resp, state$dirichlet,
                                            exp(state$log_mean), state$dispersion, prior))
}

test_that("the bound and its fixed point are those of the reference", {
  set.seed(2)
  s <- exp(rnorm(200, 0, .4))
  for (zero in c(FALSE, TRUE)) {
    x <- simulate_nbmix(200, c(.4, .6), c(2, 25), c(.5, .2), s)$x
    if (zero) x[1:40] <- 0
    oracle_prior <- list(alpha0 = 1.5, m0 = 1, v0 = 4, m1 = -1, v1 = 2.25)
    fit <- nbmix(x, k = 2, size_factors = s, method = "vb", seed = 1, zero_inflated = zero,
                 prior = nbmix_prior(1.5, log_mean = c(1, 2), log_dispersion = c(-1, 1.5)),
                 control = vb_control(tolerance = 1e-13))
    reference <- vb_reference(fit, x, s, oracle_prior)
    expect_equal(tail(objective(fit)$value, 1), reference$bound, tolerance = 1e-11)
    state <- fit$state
    step <- oracle_nb_vb_step(x, s, 1.5, state$dirichlet, exp(state$log_mean), state$dispersion,
                              oracle_prior)
    expect_equal(step$dirichlet, state$dirichlet, tolerance = 1e-4)
    expect_equal(step$mu, exp(state$log_mean), tolerance = 1e-4)
    expect_equal(step$phi, state$dispersion, tolerance = 1e-3)
  }
})

test_that("variational Bayes empties superfluous components and chooses k", {
  x <- case_5()$x
  many <- nbmix(x, k = 6, method = "vb", seed = 1)
  expect_output(print(many), "2 of 6 components hold more than one cell")
  expect_equal(sum(many$estimate$weight > 1e-3), 2)
  chosen <- nbmix(x, k = 1:4, method = "vb", seed = 1)
  expect_equal(chosen$k, 2)
  table <- glance(chosen, all = TRUE)
  expect_equal(table$k, 1:4)
  expect_equal(which.max(table$evidence), 2)
  expect_output(print(chosen), "chosen among 1, 2, 3, 4 by evidence")
})

test_that("variational Bayes finds the maximum and its spread", {
  x <- case_5()$x
  em <- tidy(nbmix(x, k = 2, seed = 1))
  vb <- tidy(nbmix(x, k = 2, seed = 1, method = "vb"))
  expect_true(all(abs(vb$estimate - em$estimate) < 0.3 * em$std.error))
  # q(z) held fixed makes q too narrow, though not by much where the modes are apart
  expect_true(all(vb$std.error < em$std.error * 1.01))
  expect_true(all(vb$std.error > em$std.error * 0.8))
})

test_that("draws from q have the moments of q", {
  skip_if_not_installed("posterior")
  fit <- nbmix(case_5()$x, k = 2, seed = 1, method = "vb")
  set.seed(1)
  draws <- as.matrix(posterior::as_draws_matrix(as_draws(fit, draws = 4000)))
  table <- tidy(fit)
  name <- sprintf("%s[%d]", table$term, table$component)
  expect_true(all(abs(colMeans(draws)[name] - table$estimate) < 0.1 * table$std.error))
  expect_equal(unname(apply(draws, 2, sd)[name]), table$std.error, tolerance = 0.06)
})

test_that("at the Poisson limit the dispersion is small and never 0", {
  set.seed(1)
  x <- rpois(1000, 100)
  for (method in c("vb", "gibbs")) {
    fit <- nbmix(x, k = 1, method = method, seed = 1)
    expect_gt(fit$estimate$dispersion, 0)
    expect_lt(fit$estimate$dispersion, 2e-3)
    expect_equal(unname(fit$estimate$mean), mean(x), tolerance = 1e-2)
  }
})

test_that("counts that are all zero have a proper posterior", {
  for (method in c("vb", "gibbs")) {
    fit <- suppressWarnings(nbmix(rep(0, 30), k = 2, method = method, seed = 1,
                                  control = if (method == "gibbs") quick_gibbs()))
    expect_true(all(is.finite(unlist(fit$estimate))))
    expect_equal(fit$outcome, "all_zero")
  }
})

test_that("the point mass at zero is found, and has a weight and nothing else", {
  x <- case_5(1000)$x
  x[seq(1, 1000, 5)] <- 0
  em <- tidy(nbmix(x, k = 2, zero_inflated = TRUE, seed = 1))
  for (method in c("vb", "gibbs")) {
    fit <- nbmix(x, k = 2, zero_inflated = TRUE, method = method, seed = 1,
                 control = if (method == "gibbs") quick_gibbs())
    table <- tidy(fit)
    expect_identical(table$estimate == 0, em$estimate == 0)
    expect_identical(is.na(table$std.error), is.na(em$std.error))
    moved <- !is.na(em$std.error)
    expect_true(all(abs(table$estimate - em$estimate)[moved] < 2 * em$std.error[moved]))
  }
})

# ---- Gibbs --------------------------------------------------------------------------------------

test_that("posterior means are within two posterior deviations of the maximum", {
  for (seed in c(5, 6)) {
    x <- case_5(seed = seed)$x
    em <- tidy(nbmix(x, k = 2, seed = 1))
    fit <- nbmix(x, k = 2, method = "gibbs", seed = 1, control = quick_gibbs())
    expect_true(fit$convergence$converged)
    gibbs <- tidy(fit)
    expect_equal(gibbs[c("component", "term")], em[c("component", "term")])
    expect_true(all(abs(gibbs$estimate - em$estimate) < 2 * gibbs$std.error))
    expect_equal(gibbs$std.error, em$std.error, tolerance = 0.15)
    expect_gt(mean(clusters(fit) == clusters(nbmix(x, k = 2, seed = 1))), 0.99)
  }
})

test_that("chains mix in the Poisson limit and far from it", {
  skip_if_not_installed("posterior")
  set.seed(1)
  for (x in list(rpois(500, 50), rnbinom(500, 3, 1e-3))) {
    fit <- nbmix(x, k = 1, method = "gibbs", seed = 1, control = quick_gibbs())
    summary <- posterior::summarise_draws(as_draws(fit), "ess_bulk")
    expect_true(all(summary$ess_bulk[summary$variable != "weight[1]"] > 200))
  }
})

gibbs_prior <- nbmix_prior(concentration = 4, log_dispersion = c(-1, .7), mean = c(3, 30))

draw_prior <- function() {
  weight <- rgamma(2, 2)
  list(weight = weight / sum(weight), mean = 1 / rgamma(2, 3, 30),
       dispersion = exp(rnorm(2, -1, .7)))
}

draw_data <- function(parameters, s) {
  list(s = s, x = simulate_nbmix(length(s), parameters$weight, parameters$mean,
                                 parameters$dispersion, s)$x)
}

# None of them depends on the numbering of the components.
invariant <- list(
  log_lik = function(p, d) {
    oracle_nb_log_likelihood(d$x, d$s, oracle_nb_theta(p$weight, p$mean, p$dispersion))
  },
  mean = function(p, d) sum(p$weight * p$mean),
  largest_mean = function(p, d) max(p$mean),
  dispersion_of_largest = function(p, d) p$dispersion[which.max(p$mean)],
  weight_of_largest = function(p, d) p$weight[which.max(p$mean)]
)

one_draw <- function(row) {
  pick <- function(term) unname(row[paste0(term, "[", 1:2, "]")])
  list(weight = pick("weight"), mean = pick("mean"), dispersion = pick("dispersion"))
}

test_that("Gibbs sampling is calibrated (simulation-based calibration)", {
  set.seed(8)
  s <- rep(c(.5, 1, 1, 2), 10)
  control <- gibbs_control(chains = 2, iterations = 700, warmup = 200, thin = 5)
  ranks <- sbc_ranks(
    function() {
      parameters <- draw_prior()
      list(parameters = parameters, data = draw_data(parameters, s))
    },
    function(data) {
      fit <- suppressWarnings(nbmix(data$x, k = 2, size_factors = data$s, method = "gibbs",
                                    prior = gibbs_prior, control = control,
                                    seed = sample.int(1e6, 1)))
      draws <- fit$posterior$draws
      flat <- matrix(draws, ncol = dim(draws)[3], dimnames = list(NULL, dimnames(draws)[[3]]))
      apply(flat, 1, one_draw, simplify = FALSE)
    },
    invariant)
  expect_calibrated(ranks)
})

test_that("sweeps and fresh data return the prior (Geweke's joint test)", {
  set.seed(9)
  s <- rep(c(.5, 1, 2), 4)
  control <- gibbs_control(chains = 1, iterations = 1, warmup = 0)
  sweep <- function(parameters, data) {
    control$start <- parameters
    fit <- suppressWarnings(nbmix(data$x, k = 2, size_factors = data$s, method = "gibbs",
                                  prior = gibbs_prior, control = control,
                                  seed = sample.int(1e6, 1)))
    one_draw(fit$posterior$draws[1, 1, ])
  }
  z <- geweke_joint_test(draw_prior, function(p) draw_data(p, s), sweep, invariant[-1],
                         iterations = if (sbc_runs() > 20) 5000 else 300)
  expect_geweke(z)
})

test_that("a chain stopped before its first draw goes on as if it had not been", {
  x <- case_5(200)$x
  stopped <- suppressWarnings(nbmix(x, k = 2, method = "gibbs", seed = 1, control = gibbs_control(
    chains = 2, iterations = 60, warmup = 20, time_limit = 1e-9)))
  expect_equal(stopped$convergence$iterations, 0)
  expect_match(stopped$convergence$reason, "stopped in warm-up")
  expect_equal(objective(stopped)$iter, 0)
  table <- tidy(stopped, conf.int = TRUE) # where chains stand has no spread
  expect_true(all(is.na(table[c("std.error", "conf.low", "conf.high")])))
  whole <- suppressWarnings(nbmix(x, k = 2, method = "gibbs", seed = 1, control = gibbs_control(
    chains = 2, iterations = 60, warmup = 20)))
  on <- suppressWarnings(resume(stopped, 60))
  expect_identical(on$posterior$draws, whole$posterior$draws)
  expect_identical(on$estimate, whole$estimate)
  expect_identical(responsibilities(on), responsibilities(whole))
})

# ---- many genes ---------------------------------------------------------------------------------

gene_counts <- function() {
  set.seed(3)
  counts <- rbind(a = case_5(150)$x, b = rpois(150, 3), c = 0, d = rnbinom(150, mu = 20, size = 2))
  storage.mode(counts) <- "double"
  counts
}

test_that("many genes are fitted by both engines, whatever the number of threads", {
  counts <- gene_counts()
  for (method in c("vb", "gibbs")) {
    control <- if (method == "vb") vb_control() else quick_gibbs()
    fits <- lapply(1:2, function(threads) {
      suppressWarnings(nbmix(counts, k = 2, method = method, seed = 1, control = control,
                             threads = threads))
    })
    expect_identical(fits[[1]]$estimate, fits[[2]]$estimate)
    fit <- fits[[1]]
    expect_equal(glance(fit)$gene, rownames(counts))
    expect_equal(nrow(tidy(fit)), 4 * 6)
    expect_equal(glance(fit)$status[3], "all_zero")
    alone <- suppressWarnings(nbmix(counts["a", ], k = 2, method = method, seed = 1,
                                    control = control))
    expect_equal(unname(unlist(fit[["a"]]$estimate)), unname(unlist(alone$estimate)))
    if (requireNamespace("posterior", quietly = TRUE)) {
      expect_equal(posterior::nvariables(as_draws(fit[["d"]])), 6)
    }
  }
})

test_that("a fit of many genes goes on to the same answer", {
  counts <- gene_counts()[1:2, ]
  fit <- function(n) {
    control <- gibbs_control(chains = 2, iterations = n, warmup = 20)
    suppressWarnings(nbmix(counts, k = 2, method = "gibbs", seed = 1, control = control))
  }
  whole <- fit(60)
  part <- fit(40)
  on <- suppressWarnings(resume(part, 20))
  expect_identical(on$estimate, whole$estimate)
  expect_identical(on$posterior, whole$posterior)
})

test_that("a gene of bad counts has its status and harms no other", {
  counts <- gene_counts()
  counts["b", 3] <- -1
  fit <- suppressWarnings(nbmix(counts, k = 1, method = "gibbs", seed = 1,
                                control = quick_gibbs()))
  expect_equal(glance(fit)$status[2], "invalid")
  expect_true(all(is.finite(tidy(fit)$estimate)))
})

test_that("draws beyond memory are refused with what to change", {
  counts <- gene_counts()[rep(1, 2000), ]
  expect_error(nbmix(counts, k = 3, method = "gibbs"),
               "would take 0.6 GB; try gibbs_control\\(thin")
})

# ---- arguments ----------------------------------------------------------------------------------

test_that("priors are checked and printed", {
  x <- c(0, 3, 1, 0, 30, 28)
  expect_error(nbmix(x, k = 1:2, method = "gibbs"), "'k' must be one number")
  expect_error(nbmix(x, prior = nbmix_prior()), "'prior' must be NULL for method = \"em\"")
  expect_error(nbmix(x, method = "vb", prior = list(1)), "'prior' must be made by nbmix_prior")
  expect_error(nbmix_prior(concentration = 0), "'concentration' must be")
  expect_error(nbmix_prior(log_mean = c(1, -1)), "'log_mean' must be")
  expect_error(nbmix_prior(log_dispersion = 1), "'log_dispersion' must be")
  expect_error(nbmix_prior(mean = c(1, 0)), "'mean' must be")
  expect_output(print(nbmix_prior()), "by the gene")
})
