# The facts about one gene: agreement with the reference implementation, with MASS, and with what
# the notebook on mixtures of negative binomials got wrong.

notebook <- function(name) {
  utils::read.csv(test_path("fixtures", paste0("notebook_", name, ".csv")))[[1]]
}

theta_of <- function(fit) {
  e <- lapply(fit$estimate, unname)
  point <- e$mean == 0
  oracle_nb_theta(e$weight[!point], e$mean[!point], e$dispersion[!point], sum(e$weight[point]))
}

spike_ins <- function(n = 1000) {
  g <- rbinom(n, 1, 0.5)
  s <- exp(rnorm(n, log(ifelse(g == 1, 2, 0.5)), 0.15))
  s <- s / mean(s)
  list(s = s, x = rpois(n, 20 * s))
}

test_that("Poisson counts have dispersion exactly 0 and one component", {
  x <- notebook("poisson")
  fit <- nbmix(x, k = 1:2, seed = 1)
  expect_identical(fit$k, 1L)
  expect_equal(unname(fit$estimate$mean), 99.753)
  expect_identical(unname(fit$estimate$dispersion), 0)
  expect_equal(as.numeric(logLik(fit)), -3690.9935, tolerance = 1e-8)
  expect_true(is.na(subset(tidy(fit), term == "dispersion")$std.error))
  two <- glance(fit, all = TRUE)
  expect_equal(two$logLik[2], two$logLik[1], tolerance = 1e-7)
  set.seed(1)
  other <- nbmix(rpois(1000, 100))
  expect_equal(unname(other$estimate$dispersion), 6.14e-5, tolerance = 1e-3)
  expect_equal(as.numeric(logLik(other)), -3723.992, tolerance = 1e-6)
})

test_that("one component equals MASS, and a second adds nothing", {
  set.seed(1)
  x <- rnbinom(1000, 3, 1e-3)
  fit <- nbmix(x, k = 1:2, seed = 1)
  expect_identical(fit$k, 1L)
  expect_equal(unname(fit$estimate$mean), 3028.626, tolerance = 1e-7)
  expect_equal(unname(fit$estimate$dispersion), 0.33846, tolerance = 1e-4)
  expect_equal(as.numeric(logLik(fit)), -8770.9505, tolerance = 1e-8)
  tried <- glance(fit, all = TRUE)
  expect_gte(tried$logLik[2], -8770.068)
  expect_gt(diff(tried$BIC), 10)
  expect_equal(tried$df, c(2, 5))
  skip_if_not_installed("MASS")
  theirs <- suppressWarnings(MASS::fitdistr(x, "negative binomial"))
  expect_equal(unname(fit$estimate$mean), theirs$estimate[["mu"]], tolerance = 1e-6)
  expect_equal(1 / unname(fit$estimate$dispersion), theirs$estimate[["size"]], tolerance = 1e-6)
  expect_equal(subset(tidy(fit), term == "mean")$std.error, theirs$sd[["mu"]], tolerance = 1e-3)
})

test_that("size factors explain the two modes of spike-ins", {
  set.seed(1)
  d <- spike_ins()
  without <- glance(nbmix(d$x, k = 1:2, seed = 1), all = TRUE)
  expect_gt(without$BIC[1] - without$BIC[2], 490)
  fit <- nbmix(d$x, k = 1:2, size_factors = d$s, seed = 1)
  expect_identical(fit$k, 1L)
  expect_equal(unname(fit$estimate$dispersion), 6e-4, tolerance = 0.1)
})

test_that("two real modes are found with honest standard errors", {
  set.seed(20)
  d <- simulate_nbmix(2000, c(0.3, 0.7), c(5, 60), c(0.3, 0.1))
  fit <- nbmix(d$x, k = 2, seed = 1)
  table <- tidy(fit)
  truth <- c(0.7, 60, 0.1, 0.3, 5, 0.3)
  expect_true(all(abs(table$estimate - truth) < 3 * table$std.error))
  best <- oracle_nb_responsibilities(d$x, 1, oracle_nb_theta(c(0.7, 0.3), c(60, 5), c(0.1, 0.3)))
  labels <- 3 - d$cluster
  expect_lt(mean(clusters(fit) != labels), mean(max.col(best) != labels) + 0.01)
  reference <- oracle_nb_mle(d$x, 1, 2)
  expect_gte(as.numeric(logLik(fit)), reference$log_likelihood - 1e-6)
  errors <- oracle_nb_standard_errors(d$x, 1, theta_of(fit))
  expect_equal(table$std.error[table$term == "weight"], errors$weights, tolerance = 1e-6)
  expect_equal(table$std.error[table$term == "mean"], errors$means, tolerance = 1e-6)
  expect_equal(table$std.error[table$term == "dispersion"], errors$dispersions, tolerance = 1e-6)
})

test_that("likelihood, responsibilities and maximum agree with the reference", {
  for (seed in 1:4) {
    set.seed(seed)
    s <- if (seed == 2) rep(c(0.5, 1, 2), length.out = 300) else exp(rnorm(300, 0, 0.5))
    zero <- if (seed >= 3) 0.3 else 0
    d <- simulate_nbmix(300, c(0.4, 0.6), c(2, 25), c(0.5, 0), s, zero_weight = zero)
    fit <- nbmix(d$x, k = 2, size_factors = s, seed = 1, zero_inflated = zero > 0)
    theta <- theta_of(fit)
    expect_equal(as.numeric(logLik(fit)), oracle_nb_log_likelihood(d$x, s, theta),
                 tolerance = 1e-10)
    reference <- oracle_nb_mle(d$x, s, 2, zero_inflated = zero > 0, starts = list(theta))
    expect_gte(as.numeric(logLik(fit)), reference$log_likelihood - 1e-5)
    resp <- oracle_nb_responsibilities(d$x, s, theta)
    regular <- unname(fit$estimate$mean) > 0
    order <- c(which(regular), which(!regular))
    expect_equal(unname(responsibilities(fit)[, order]), resp, tolerance = 1e-8)
    expect_identical(fit$df, 5L + (zero > 0))
  }
})

test_that("counts beyond any table, tiny dispersions and repeated counts stay exact", {
  set.seed(3)
  large <- round(rnorm(200, 2e9, 1e5))
  fit <- nbmix(large, k = 1)
  theta <- theta_of(fit)
  mean <- theta$means
  size <- 1 / theta$dispersions
  expect_equal(mean, mean(large))
  expect_equal(as.numeric(logLik(fit)), sum(dnbinom(large, size = size, mu = mean, log = TRUE)),
               tolerance = 1e-6)
  few <- c(rep(0, 50), rep(1, 30), rep(7, 20))
  expect_equal(as.numeric(logLik(nbmix(few, k = 2, seed = 1))),
               oracle_nb_mle(few, 1, 2)$log_likelihood, tolerance = 1e-6)
})

test_that("the answer does not depend on the order, the scale or a copy of the cells", {
  set.seed(4)
  d <- simulate_nbmix(400, c(0.4, 0.6), c(3, 30), 0.2, exp(rnorm(400, 0, 0.3)))
  fit <- function(x, s) nbmix(x, k = 2, size_factors = s, seed = 1)
  a <- fit(d$x, d$size_factors)
  shuffled <- sample(400)
  b <- fit(d$x[shuffled], d$size_factors[shuffled])
  expect_equal(a$estimate, b$estimate, tolerance = 1e-6)
  expect_equal(clusters(a)[shuffled], clusters(b))
  scaled <- fit(d$x, 4 * d$size_factors)
  expect_equal(a$estimate$mean, 4 * scaled$estimate$mean, tolerance = 1e-6)
  expect_equal(a$estimate$dispersion, scaled$estimate$dispersion, tolerance = 1e-6)
  twice <- fit(rep(d$x, 2), rep(d$size_factors, 2))
  expect_equal(2 * as.numeric(logLik(a)), as.numeric(logLik(twice)), tolerance = 1e-8)
})

test_that("the log likelihood never falls, with or without acceleration, to the same maximum", {
  set.seed(5)
  d <- simulate_nbmix(500, c(0.5, 0.5), c(4, 12), 0.2)
  slow <- nbmix(d$x, k = 2, seed = 1,
                control = em_control(accelerate = FALSE, max_iterations = 20000))
  fast <- nbmix(d$x, k = 2, seed = 1)
  for (fit in list(slow, fast)) {
    value <- objective(fit)$value
    expect_true(all(diff(value) >= -1e-10 * abs(value[-1])))
  }
  expect_equal(as.numeric(logLik(slow)), as.numeric(logLik(fast)), tolerance = 1e-6)
  expect_lt(fast$convergence$iterations, slow$convergence$iterations + 1)
})

test_that("Cox-Reid dispersions are those of glmGamPoi", {
  skip_if_not_installed("MASS")
  days <- MASS::quine$Days
  adjusted <- nbmix(days, cox_reid = TRUE)
  expect_equal(unname(adjusted$estimate$dispersion), 0.94382407, tolerance = 1e-7)
  expect_equal(unname(nbmix(days)$estimate$dispersion), 0.93739637, tolerance = 1e-7)
  set.seed(6)
  s <- exp(rnorm(60, 0, 0.5))
  x <- rnbinom(60, mu = 5 * s, size = 2)
  ours <- nbmix(x, size_factors = s, cox_reid = TRUE)
  reference <- oracle_nb_cox_reid_mle(x, s)
  expect_equal(unname(ours$estimate$dispersion), reference$dispersion, tolerance = 1e-6)
  expect_equal(unname(ours$estimate$mean), reference$mean, tolerance = 1e-6)
  skip_if_not_installed("glmGamPoi")
  set.seed(1)
  y <- rnbinom(n = 10, mu = 3, size = 1 / 2.4)
  design <- matrix(1, 10, 1)
  theirs <- glmGamPoi::overdispersion_mle(y, model_matrix = design, do_cox_reid_adjustment = TRUE)
  expect_equal(unname(nbmix(y, cox_reid = TRUE)$estimate$dispersion), theirs$estimate,
               tolerance = 1e-4)
  poisson <- rpois(n = 10, lambda = 3)
  expect_identical(unname(nbmix(poisson, cox_reid = TRUE)$estimate$dispersion), 0)
})

test_that("equal counts, all zeros and more components than values have documented answers", {
  zeros <- nbmix(rep(0, 10), k = 1:2)
  expect_identical(zeros$outcome, "all_zero")
  expect_identical(unname(zeros$estimate$mean), 0)
  expect_equal(as.numeric(logLik(zeros)), 0)
  fives <- nbmix(rep(5, 10), k = 2)
  expect_identical(fives$outcome, "one_value")
  expect_equal(unname(fives$estimate$mean), c(5, 5))
  expect_identical(unname(fives$estimate$dispersion), c(0, 0))
  expect_true(all(is.finite(responsibilities(fives))))
  expect_true(is.finite(as.numeric(logLik(nbmix(c(0, 1), k = 2, seed = 1)))))
  one_cell <- nbmix(7)
  expect_equal(unname(one_cell$estimate$mean), 7)
})

test_that("components that coincide have no standard errors", {
  for (x in list(c(5, 5, 6), c(3, 3, 4), c(10, 11, 10, 10))) {
    expect_true(all(is.na(tidy(nbmix(x, k = 2, seed = 1))$std.error)))
  }
})

test_that("equal counts of cells that differ in size are data like others", {
  s <- rep(c(.2, 1, 5), each = 20)
  x <- rep(4, 60)
  fit <- nbmix(x, k = 1:3, size_factors = s, seed = 1)
  expect_identical(fit$outcome, "ok")
  minus <- function(p) -sum(dnbinom(x, size = exp(-p[2]), mu = s * exp(p[1]), log = TRUE))
  best <- optim(c(log(4), 0), minus, control = list(reltol = 1e-14, maxit = 5000))
  one <- nbmix(x, size_factors = s)
  expect_equal(as.numeric(logLik(one)), -best$value, tolerance = 1e-8)
  expect_equal(unname(one$estimate$dispersion), exp(best$par[2]), tolerance = 1e-4)
  three <- nbmix(x, k = 3, size_factors = s, seed = 1)
  expect_gt(as.numeric(logLik(three)), as.numeric(logLik(one)))
})

test_that("bad counts, size factors and numbers of components are errors that name them", {
  expect_error(nbmix(c(1, -1)), "'x' must be counts")
  expect_error(nbmix(c(1, 1.5)), "1.5 at position 2")
  expect_error(nbmix(c(1, NA)), "NA at position 2")
  expect_error(nbmix(c(1, Inf)), "Inf at position 2")
  expect_error(nbmix(c(1, 2^31)), "'x' must be counts")
  expect_error(nbmix("a"), "'x' must be")
  expect_error(nbmix(c(1, 2), size_factors = c(1, 0)), "'size_factors' must be 2 positive")
  expect_error(nbmix(c(1, 2), size_factors = c(1, NA)), "NA at position 2")
  expect_error(nbmix(c(1, 2), size_factors = 1:3), "'size_factors'")
  expect_error(nbmix(c(1, 2), k = 0), "'k' must be")
  expect_error(nbmix(c(1, 2), k = 1.5), "'k' must be")
  expect_error(nbmix(c(1, 2), k = 3), "at most the number of cells")
  expect_error(nbmix(c(1, 2), k = c(1, 1)), "none twice")
  expect_error(nbmix(c(1, 2), kk = 2), "unknown argument 'kk'")
  expect_error(nbmix(c(1, 2), k = 2, cox_reid = TRUE), "'cox_reid' must be")
  expect_error(nbmix(c(1, 2), prior = nbmix_prior()), "'prior' must be NULL")
  expect_error(nbmix(matrix(0, 0, 3)), "at least one gene")
  expect_error(nbmix(c(1, 2), k = 1, control = em_control(start = list(weight = 1))), "'start'")
  expect_error(nbmix(c(1, 2), k = 1:2, method = "gibbs"), "one number")
  expect_error(nbmix_prior(concentration = -1), "'concentration' must be")
  expect_error(nbmix_prior(log_mean = 1), "'log_mean' must be")
})

test_that("a start is honoured: a fit, labels, or values", {
  set.seed(7)
  d <- simulate_nbmix(300, c(0.4, 0.6), c(3, 40), 0.2)
  fit <- nbmix(d$x, k = 2, seed = 1)
  again <- nbmix(d$x, k = 2, seed = 1, control = em_control(start = fit))
  expect_lte(again$convergence$iterations, 2L)
  labels <- nbmix(d$x, k = 2, seed = 1, control = em_control(start = d$cluster))
  values <- nbmix(d$x, k = 2, seed = 1, control = em_control(
    start = list(weight = c(0.5, 0.5), mean = c(1, 50), dispersion = c(0.1, 0.1))))
  expect_equal(labels$estimate, fit$estimate, tolerance = 1e-6)
  expect_equal(values$estimate, fit$estimate, tolerance = 1e-6)
})

test_that("the default starts find small outer clusters", {
  best <- function(x, k) as.numeric(logLik(nbmix(round(x), k = k, seed = 1)))
  expect_gt(best(10 * precip, 3), -430.532)
  expect_gt(best(islands, 4), -290.35)
})

test_that("a component of zeros and the point mass share a weight that the data do not part", {
  set.seed(9)
  y <- ifelse(rbinom(2000, 1, .5) == 1, 0, rpois(2000, 6))
  table <- tidy(nbmix(y, k = 2, zero_inflated = TRUE, seed = 1))
  weights <- table[table$term == "weight", ]
  means <- table$estimate[table$term == "mean"]
  expect_true(all(is.na(weights$std.error[means < 1e-3])))
  expect_lt(weights$std.error[means > 1], .02)
})
