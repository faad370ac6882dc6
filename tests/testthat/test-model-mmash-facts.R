# The facts that mmash is held to: invariances, exact special cases, monotone bounds.

test_that("the bound never falls, whatever the options", {
  d <- mixed_data(missing = .1)
  whole <- mixed_data()
  for (residual in list("full", "diagonal", low_rank(1), diag(3))) {
    for (standardize in c(TRUE, FALSE)) {
      for (y in list(d$y, whole$y)) {
        fit <- quiet_mmash(whole$x, y, quick_prior(), residual = residual,
                           standardize = standardize, control = vb_control(max_iterations = 60))
        value <- objective(fit)$value
        expect_true(all(diff(value) >= -1e-8 * abs(value[-1])))
        expect_false(fit$convergence$status == "objective_fell")
      }
    }
  }
})

test_that("one condition agrees with varbvs's mixture", {
  skip_if_not_installed("varbvs")
  set.seed(3)
  x <- scale(matrix(stats::rnorm(80 * 20), 80), scale = FALSE)
  y <- drop(x[, 1:3] %*% c(1, -1, .5)) + stats::rnorm(80)
  sd <- c(0, .3, 1)
  peer <- varbvs::varbvsmix(x, NULL, y, sa = sd^2, sigma = 1, w = c(.6, .2, .2),
                            update.sigma = FALSE, update.sa = FALSE, update.w = FALSE,
                            tol = 1e-12, maxiter = 1000, verbose = FALSE, drop.threshold = 0)
  prior <- mash_prior(matrices = list(one = matrix(1)), grid = sd[-1], weights = c(.6, .2, .2))
  fit <- mmash(x, y, prior, residual = matrix(1), update = "none", penalty = 1,
               control = tight(accelerate = FALSE))
  expect_equal(unname(coef(fit)[-1, 1]), unname(rowSums(peer$alpha * peer$mu)), tolerance = 1e-5)
})

test_that("individual, sufficient and summary statistics give one answer", {
  d <- mixed_data()
  s <- suff_stats(crossprod(d$x), crossprod(d$x, d$y), crossprod(d$y), nrow(d$x), colMeans(d$x),
                  colMeans(d$y))
  x <- scale(sweep(d$x, 2, 1, "+"), scale = FALSE)
  y <- scale(d$y, scale = FALSE)
  centred <- suff_stats(crossprod(x), crossprod(x, y), crossprod(y), nrow(x), colMeans(d$x) + 1,
                        colMeans(d$y)) # users have both conventions
  expect_equal(coef(quiet_mmash(centred, prior = quick_prior())),
               coef(quiet_mmash(sweep(d$x, 2, 1, "+"), d$y, quick_prior())), tolerance = 1e-9)
  marginal <- mixology:::prior_effects(d$y, d$x, FALSE, NULL, "error", "second", "test")
  from_b <- summary_stats(bhat = marginal$bhat, shat = marginal$shat, ld = stats::cor(d$x),
                          n = nrow(d$x), cov_y = stats::cov(d$y))
  from_z <- summary_stats(z = marginal$bhat / marginal$shat, ld = stats::cor(d$x), n = nrow(d$x),
                          cov_y = stats::cov(d$y))
  for (standardize in c(TRUE, FALSE)) {
    fit_to <- function(...) {
      quiet_mmash(..., prior = quick_prior(), standardize = standardize,
                  control = vb_control(max_iterations = 30))
    }
    whole <- fit_to(d$x, d$y)
    expect_equal(coef(fit_to(s)), coef(whole), tolerance = 1e-10)
    expect_equal(objective(fit_to(s))$value, objective(whole)$value, tolerance = 1e-10)
    effects <- unname(coef(fit_to(from_b))[-1, ])
    expect_equal(effects, unname(coef(whole)[-1, ]), tolerance = 1e-9)
    expect_equal(lfsr(fit_to(s)), lfsr(whole), tolerance = 1e-8)
  }
  z <- quiet_mmash(from_z, prior = quick_prior(), control = vb_control(max_iterations = 30))
  scaled <- quiet_mmash(scale(d$x), d$y, quick_prior(), control = vb_control(max_iterations = 30))
  expect_equal(unname(coef(z)[-1, ]), unname(coef(scaled)[-1, ]), tolerance = 1e-9)
})

test_that("permuted conditions or variants permute the answer; a split component changes nothing", {
  d <- mixed_data()
  prior <- quick_prior(weights = c(.4, rep(.6 / 9, 9)))
  base <- quiet_mmash(d$x, d$y, prior, control = tight())
  flip <- c(3, 1, 2)
  turned <- prior
  turned$matrices <- lapply(prior$matrices, function(u) u[flip, flip])
  other <- quiet_mmash(d$x, d$y[, flip], turned, control = tight())
  expect_equal(coef(other), coef(base)[, flip], tolerance = 1e-8)
  shuffle <- sample(ncol(d$x))
  moved <- quiet_mmash(d$x[, shuffle], d$y, prior, order = order(shuffle), control = tight())
  expect_equal(coef(moved)[rownames(coef(base)), ], coef(base), tolerance = 1e-10)
  split <- mash_prior(matrices = c(prior$matrices, list(again = prior$matrices$any)),
                      grid = prior$grid,
                      weights = c(.4, rep(.2 / 3, 3), rep(.1 / 3, 3), rep(.2 / 3, 3),
                                  rep(.1 / 3, 3)))
  fixed <- function(prior) {
    quiet_mmash(d$x, d$y, prior, residual = diag(3), update = "none", control = tight())
  }
  expect_equal(coef(fixed(split)), coef(fixed(prior)), tolerance = 1e-10)
})

test_that("a linear change of the conditions and a change of units come out as they must", {
  d <- mixed_data()
  w <- c(.4, rep(.6 / 9, 9))
  prior <- quick_prior(weights = w)
  sigma <- random_spd(3)
  fit_to <- function(y, u, sigma) {
    prior <- mash_prior(matrices = u, grid = prior$grid, weights = w)
    quiet_mmash(d$x, y, prior, residual = sigma, control = plain(40), penalty = 1)
  }
  base <- fit_to(d$y, prior$matrices, sigma)
  r <- chol(sigma)
  inverse <- solve(r)
  white <- fit_to(d$y %*% inverse, lapply(prior$matrices, function(u) t(inverse) %*% u %*% inverse),
                  diag(3))
  expect_equal(unname(coef(white) %*% r), unname(coef(base)), tolerance = 1e-9)
  scaled <- fit_to(7 * d$y, lapply(prior$matrices, function(u) 49 * u), 49 * sigma)
  expect_equal(coef(scaled), 7 * coef(base), tolerance = 1e-9)
  shifted <- fit_to(sweep(d$y, 2, c(5, -3, 100), "+"), prior$matrices, sigma)
  expect_equal(coef(shifted)[-1, ], coef(base)[-1, ], tolerance = 1e-9)
  expect_equal(coef(shifted)[1, ], coef(base)[1, ] + c(5, -3, 100), tolerance = 1e-9)
})

test_that("fitted values are predictions at the data", {
  d <- mixed_data()
  c1 <- cbind(age = stats::rnorm(60), sex = rep(0:1, 30))
  y <- d$y + c1 %*% matrix(c(1, 2, 0, 1, -1, 0), 2)
  gaps <- replace(y, sample(length(y), 20), NA)
  for (response in list(y, gaps)) {
    fit <- quiet_mmash(d$x, response, quick_prior(), covariates = c1)
    expect_equal(unname(predict(fit, d$x, covariates = c1)), unname(fitted(fit)),
                 tolerance = 1e-9)
    expect_identical(dim(coef(fit)), c(16L, 3L))
    expect_identical(rownames(fit$estimate$covariates), c("age", "sex"))
  }
})

test_that("uncorrelated variants: one sweep gives mash for each, and all three engines agree", {
  set.seed(5)
  x <- qr.Q(qr(scale(matrix(stats::rnorm(80 * 8), 80), scale = FALSE))) * 9
  y <- x[, 1] %*% t(c(.5, .5, 0)) + matrix(stats::rnorm(240), 80)
  sigma <- random_spd(3)
  w <- c(.5, rep(.5 / 9, 9))
  prior <- quick_prior(weights = w)
  fit <- function(...) {
    quiet_mmash(x, y, prior, residual = sigma, update = "none", penalty = 1, ...)
  }
  vb <- fit(control = plain(1))
  again <- fit(control = plain(5))
  expect_equal(coef(vb), coef(again), tolerance = 1e-10)
  em <- fit(method = "em")
  expect_equal(coef(em), coef(vb), tolerance = 1e-10)
  expect_equal(objective(em)$value[1], objective(vb)$value[1], tolerance = 1e-10)
  single <- oracle_mmash_effect(drop(solve(sigma) %*% crossprod(scale(y, scale = FALSE), x[, 1])),
                                81 * solve(sigma), oracle_prior(prior, w))
  expect_equal(unname(coef(vb)[2, ]), single$mean, tolerance = 1e-10)
  gibbs <- fit(method = "gibbs", seed = 1,
               control = gibbs_control(chains = 2, iterations = 1500, warmup = 100))
  expect_equal(unname(coef(gibbs)), unname(coef(vb)), tolerance = .06)
  expect_equal(unname(gibbs$posterior$sd), unname(vb$posterior$sd), tolerance = .1)
  expect_equal(unname(gibbs$posterior$null), unname(vb$posterior$null), tolerance = .06)
})

test_that("lfsr is mashr's for uncorrelated variants", {
  skip_if_not_installed("mashr")
  set.seed(6)
  x <- qr.Q(qr(scale(matrix(stats::rnorm(80 * 8), 80), scale = FALSE))) * 9
  y <- x[, 1] %*% t(c(.5, .5, 0)) + matrix(stats::rnorm(240), 80)
  sigma <- diag(c(1, 2, 1.5))
  w <- c(.5, rep(.5 / 9, 9))
  prior <- quick_prior(weights = w)
  fit <- quiet_mmash(x, y, prior, residual = sigma, update = "none", penalty = 1,
                     control = plain(1))
  bhat <- crossprod(x, scale(y, scale = FALSE)) / 81
  shat <- matrix(sqrt(diag(sigma) / 81), 8, 3, byrow = TRUE)
  data <- mashr::mash_set_data(bhat, shat)
  u <- c(list(null = matrix(0, 3, 3)), mixology:::component_covariances(prior)[-1])
  names(u) <- c("null", paste0("m", seq_along(u[-1])))
  peer <- mashr::mash(data, g = list(pi = w, Ulist = u, grid = 1, usepointmass = FALSE),
                      fixg = TRUE, outputlevel = 2, verbose = FALSE)
  expect_equal(unname(lfsr(fit)), unname(peer$result$lfsr), tolerance = 1e-6)
  expect_equal(unname(coef(fit)[-1, ]), unname(peer$result$PosteriorMean), tolerance = 1e-6)
})

test_that("with one variant the bound is the log marginal likelihood", {
  d <- mixed_data(p = 3)
  w <- c(.4, rep(.6 / 9, 9))
  prior <- quick_prior(weights = w)
  sigma <- random_spd(3)
  for (y in list(d$y, replace(d$y, c(2, 70, 100:120), NA))) {
    fit <- quiet_mmash(d$x[, 1, drop = FALSE], y, prior, residual = sigma, update = "none",
                       penalty = 1, control = plain(1))
    exact <- oracle_mmash_log_marginal(d$x[, 1, drop = FALSE], y, oracle_prior(prior, w), sigma)
    expect_equal(objective(fit)$value, exact, tolerance = 1e-10)
  }
})

test_that("gaps: none is the complete path, their content is nothing, empty samples are dropped", {
  d <- mixed_data()
  y <- d$y
  y[1, ] <- NA
  all <- quiet_mmash(d$x, y, quick_prior(), control = vb_control(max_iterations = 20))
  part <- quiet_mmash(d$x[-1, ], y[-1, ], quick_prior(), control = vb_control(max_iterations = 20))
  expect_equal(coef(all), coef(part), tolerance = 1e-10)
  expect_true(all(is.na(fitted(all)[1, ])))
  y[5:9, 2] <- NA
  with_na <- quiet_mmash(d$x, y, quick_prior(), control = vb_control(max_iterations = 20))
  y[5:9, 2] <- NaN
  with_nan <- quiet_mmash(d$x, y, quick_prior(), control = vb_control(max_iterations = 20))
  expect_identical(coef(with_na), coef(with_nan))
})

test_that("diagonal residual and one diagonal matrix: the conditions do not see one another", {
  d <- mixed_data()
  prior <- mash_prior(matrices = list(any = diag(3)), grid = .5, null = FALSE)
  joint <- quiet_mmash(d$x, d$y, prior, residual = "diagonal", control = tight())
  alone <- mash_prior(matrices = list(any = matrix(1)), grid = .5, null = FALSE)
  for (j in 1:3) {
    one <- quiet_mmash(d$x, d$y[, j], alone, residual = "diagonal", control = tight())
    expect_equal(unname(coef(joint)[, j]), unname(coef(one)[, 1]), tolerance = 1e-5)
  }
})

test_that("one component: the mean is that of generalised ridge regression", {
  d <- mixed_data()
  v <- random_spd(3)
  sigma <- random_spd(3)
  prior <- mash_prior(matrices = list(v = v), grid = 1, null = FALSE)
  fit <- quiet_mmash(d$x, d$y, prior, residual = sigma,
                     control = tight(accelerate = FALSE, parameter_tolerance = 0))
  expect_equal(unname(coef(fit)[-1, ]), oracle_mmash_ridge(d$x, d$y, v, sigma), tolerance = 1e-4)
})

test_that("low rank: J - 1 columns restrict nothing, none is isotropic, BIC chooses", {
  d <- mixed_data(n = 100)
  full <- quiet_mmash(d$x, d$y, quick_prior(), control = tight())
  most <- quiet_mmash(d$x, d$y, quick_prior(), residual = low_rank(2), control = tight())
  expect_equal(utils::tail(objective(most)$value, 1), utils::tail(objective(full)$value, 1),
               tolerance = 1e-6)
  none <- quiet_mmash(d$x, d$y, quick_prior(), residual = low_rank(0))
  s <- unname(none$estimate$residual_covariance)
  expect_equal(s, diag(s[1, 1], 3), tolerance = 1e-10)
  set.seed(8)
  j <- 6
  shared <- matrix(stats::rnorm(300), 300) %*% t(rep(1.5, j))
  y <- shared + matrix(stats::rnorm(300 * j), 300)
  x <- matrix(stats::rnorm(300 * 5), 300)
  chosen <- quiet_mmash(x, y, quick_prior(j), residual = low_rank("auto"))
  expect_identical(chosen$rank, 1L)
  expect_true(all(c("rank", "BIC") %in% names(glance(chosen, all = TRUE))))
  expect_equal(glance(chosen)$BIC, min(glance(chosen, all = TRUE)$BIC))
  short <- quiet_mmash(x, y, quick_prior(j), residual = low_rank("auto"),
                       control = vb_control(max_iterations = 2, restarts = 1))
  expect_false(short$convergence$converged)
  expect_identical(short$candidates$rank, 0:(j - 1)) # none of them converged: all were tried
  cut <- quiet_mmash(x, y, quick_prior(j), residual = low_rank("auto"),
                     control = vb_control(time_limit = 1e-6))
  expect_identical(cut$candidates$status, "time_limit")
  expect_identical(cut$control$time_limit, 1e-6)
})

test_that("probabilities and covariances are what they are called", {
  d <- mixed_data()
  fit <- quiet_mmash(d$x, d$y, quick_prior())
  post <- fit$posterior
  expect_true(all(post$positive + post$negative <= 1 + 1e-10))
  expect_equal(sum(fit$estimate$weights), 1)
  expect_equal(lfsr(fit), 1 - pmax(post$positive, post$negative))
  for (p in 1:4) {
    v <- vcov(fit, variant = p)
    expect_true(min(eigen(v, symmetric = TRUE)$values) > -1e-12)
    expect_equal(unname(sqrt(diag(v))), unname(post$sd[p, ]), tolerance = 1e-8)
  }
  expect_identical(names(fit$estimate$weights)[1:3], c("null", "same_0.1", "same_0.5"))
})

test_that("a random order is governed by the seed; a warm start stops at once", {
  d <- mixed_data()
  one <- quiet_mmash(d$x, d$y, quick_prior(), order = "random", seed = 4)
  expect_identical(one$estimate, quiet_mmash(d$x, d$y, quick_prior(), order = "random",
                                             seed = 4)$estimate)
  expect_false(identical(one$order, seq_len(ncol(d$x))))
  done <- quiet_mmash(d$x, d$y, quick_prior(), control = vb_control(tolerance = 1e-10))
  warm <- mmash(d$x, d$y, quick_prior(), control = vb_control(start = done))
  expect_true(warm$convergence$converged)
  expect_lte(warm$convergence$iterations, 3)
})

test_that("leaving out a component costs about the variants it had", {
  d <- mixed_data()
  prior <- quick_prior(weights = c(.5, rep(.5 / 9, 9)))
  fit <- function(prior) {
    quiet_mmash(d$x, d$y, prior, residual = diag(3), update = "none", penalty = 1,
                control = tight())
  }
  w <- prior$weights
  small <- w
  small[2] <- 1e-6
  with <- prior
  with$weights <- small / sum(small)
  without <- prior
  without$weights <- replace(small, 2, 0) / sum(small[-2])
  loss <- utils::tail(objective(fit(with))$value, 1) - utils::tail(objective(fit(without))$value, 1)
  expect_lt(abs(loss), ncol(d$x) * 1e-4)
})

test_that("bytes, sparse columns and doubles are one", {
  set.seed(9)
  x <- matrix(stats::rbinom(60 * 20, 2, .3), 60)
  y <- x[, 2] + matrix(stats::rnorm(120), 60)
  prior <- mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.2, 1))
  for (standardize in c(TRUE, FALSE)) {
    fit <- function(x, ...) quiet_mmash(x, y, prior, standardize = standardize, ...)
    doubles <- fit(x + 0)
    expect_equal(coef(fit(x + 0, storage = "int8")), coef(doubles), tolerance = 1e-10)
    expect_equal(coef(fit(x)), coef(doubles), tolerance = 1e-10)
    expect_equal(coef(fit(Matrix::Matrix(x, sparse = TRUE))), coef(doubles), tolerance = 1e-10)
    bytes <- fit(x)
    expect_equal(predict(bytes, x), predict(doubles, x + 0), tolerance = 1e-10)
  }
})

test_that("many samples in several chunks give the same bits for 1, 2 and 4 threads", {
  set.seed(10)
  x <- matrix(stats::rbinom(20000 * 6, 2, .3), 20000)
  y <- x[, 2] + matrix(stats::rnorm(40000), 20000)
  prior <- mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.2, 1))
  fits <- lapply(c(1, 2, 4), function(threads) {
    quiet_mmash(x, y, prior, threads = threads, seed = 1,
                control = vb_control(max_iterations = 15))
  })
  expect_identical(fits[[1]]$estimate, fits[[2]]$estimate)
  expect_identical(fits[[1]]$estimate, fits[[3]]$estimate)
})

test_that("means and bound are those of mr.mashr", {
  skip_if_not_installed("mr.mashr")
  peer_fit <- getExportedValue("mr.mashr", "mr.mash")  # not on CRAN, hence not in Suggests
  d <- mixed_data()
  prior <- quick_prior(weights = c(.4, rep(.6 / 9, 9)))
  u <- lapply(mixology:::component_covariances(prior), function(v) {
    if (is.null(v)) matrix(0, 3, 3) else v
  })
  v <- stats::cov(d$y)
  peer <- suppressWarnings(
    peer_fit(d$x, d$y, u, w0 = unname(prior$weights), V = v, standardize = TRUE, e = 0,
                      update_V = TRUE, tol = 0, max_iter = 25, verbose = FALSE, nthreads = 1))
  fit <- quiet_mmash(d$x, d$y, prior, residual = v, standardize = TRUE, penalty = 1,
                     update = c("weights", "residual"), control = plain(25))
  expect_equal(unname(coef(fit)[-1, ]), unname(peer$mu1), tolerance = 1e-8)
  expect_equal(objective(fit)$value, peer$progress$ELBO + log(nrow(d$x)) / 2, tolerance = 1e-10)
})

test_that("starts are compared by the bound and what it misses, and the best one is gone on from", {
  set.seed(12)
  d <- simulate_mmash(150, 60, conditions = 4, causal = 12, x_correlation = .8,
                      effects = "independent")
  fit <- quiet_mmash(d$x, d$y, standardize = TRUE, seed = 1)
  zero <- quiet_mmash(d$x, d$y, standardize = TRUE, seed = 1, control = vb_control(restarts = 1))
  expect_length(fit$starts$objective, vb_control()$restarts)
  chosen <- fit$starts$objective[fit$starts$chosen]
  expect_gt(chosen, fit$starts$objective[1])
  error <- function(f) mean((coef(f)[-1, ] - d$truth$coefficients)^2)
  expect_lt(error(fit), error(zero))
  few <- quiet_mmash(d$x, d$y, standardize = TRUE, control = vb_control(max_iterations = 3))
  expect_lte(few$convergence$iterations, 3)
  same <- lapply(c(1, 2), function(threads) {
    quiet_mmash(d$x, d$y, standardize = TRUE, seed = 1, threads = threads)$estimate
  })
  expect_identical(same[[1]], same[[2]])
})

# r2 of a response is the squared correlation with its prediction; medians are over replicates and
# responses. Published for mr.mash from a group-lasso start (mr.mash from zero: .36 and .32 at .8).
test_that("simulations reach the published accuracy", {
  skip_if_not(identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true"))
  accuracy <- function(seed, effects, correlation) {
    set.seed(seed)
    d <- simulate_mmash(600, 1000, effects = effects, x_correlation = correlation)
    at <- 1:480
    fit <- quiet_mmash(d$x[at, ], d$y[at, ], standardize = TRUE, seed = 1)
    diag(stats::cor(predict(fit, d$x[-at, ]), d$y[-at, ]))^2
  }
  table <- data.frame(correlation = c(0, .5, .8, 0, .5, .8),
                      effects = rep(c("shared", "independent"), each = 3),
                      published = c(.462, .457, .456, .441, .425, .406))
  for (i in seq_len(nrow(table))) {
    r2 <- vapply(1:20, accuracy, numeric(10), table$effects[i], table$correlation[i])
    # responses of one replicate are alike: its mean is the unit of the Monte Carlo error
    error <- 3 * 1.25 * stats::sd(colMeans(r2)) / sqrt(20)
    message(sprintf("X correlation %.1f, %s effects: median test r2 %.3f (published %.3f)",
                    table$correlation[i], table$effects[i], stats::median(r2),
                    table$published[i]))
    expect_gt(stats::median(r2), table$published[i] - error)
  }
})

test_that("matrices that weigh next to nothing are heard by the variants that need them", {
  d <- mixed_data(5, n = 80, p = 6)
  d$y[sample(length(d$y), 30)] <- NA
  weights <- c(.98, rep(c(.02 / 3, 1e-40, 1e-12), each = 3))
  prior <- quick_prior(weights = weights)
  sigma <- diag(3)
  big <- d$y + 4 * cbind(d$x[, 2], -d$x[, 2], d$x[, 2]) # no effect of "same" or "first" alone
  for (y in list(d$y, big)) {
    fit <- quiet_mmash(d$x, y, prior, residual = sigma, update = "none", control = plain(1))
    oracle <- oracle_mmash_sweep_missing(d$x, y, matrix(0, 6, 3), oracle_prior(prior, weights),
                                         sigma)
    expect_equal(unname(coef(fit)[-1, ]), unname(oracle$mean), tolerance = 1e-10)
  }
  expect_gt(max(abs(coef(fit)["variant2", ])), 2)
})

test_that("weights that run ahead end no lower than those of the sweeps, and sooner", {
  d <- simulate_mmash(150, 60, conditions = 3, causal = 6, pve = .4)
  prior <- mash_prior(d$y, X = d$x)
  fit <- function(ahead) {
    quiet_mmash(d$x, d$y, prior, seed = 1,
                control = vb_control(accelerate = ahead, restarts = 1, max_iterations = 20000))
  }
  plain <- fit(FALSE)
  ahead <- fit(TRUE)
  bound <- function(fit) utils::tail(objective(fit)$value, 1)
  expect_true(plain$convergence$converged && ahead$convergence$converged)
  expect_gt(bound(ahead), bound(plain) - 1e-4)
  expect_lt(ahead$convergence$iterations, plain$convergence$iterations / 4)
})
