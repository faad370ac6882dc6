# mmash(): signals, intervals, convergence, residual covariances at the edge, what fits report.

two_causal <- function(r, n = 1000, p = 20) {
  z <- rnorm(n)
  x <- sqrt(1 - r) * matrix(rnorm(n * p), n) + sqrt(r) * z
  list(x = x, y = x[, 3] %o% c(1, 1, 1) + x[, 17] %o% c(1, -.5, .8) + matrix(rnorm(n * 3), n))
}

test_that("correlated variants that both have an effect are two signals", {
  set.seed(3)
  for (r in c(.5, .6, .8)) {
    d <- two_causal(r)
    fit <- quiet_mmash(d$x, d$y, seed = 1)
    sets <- credible_sets(fit)
    expect_true(all(c(3, 17) %in% sets$position))
    expect_false(any(tapply(sets$position, sets$set, function(p) all(c(3, 17) %in% p))))
    mass <- vapply(fit$signals, function(s) sum(pip(fit)[s$members]), 0)
    expect_lt(max(mass), 1.1)
  }
})

test_that("nine sets in ten and more hold their causal variant", {
  skip_unless_extended()
  hits <- unlist(lapply(1:100, function(seed) {
    set.seed(seed)
    r <- c(0, .5, .8, .95)[seed %% 4 + 1]
    blocks <- matrix(rnorm(400 * 12), 400)[, rep(1:12, each = 5)]
    x <- sqrt(r) * blocks + sqrt(1 - r) * matrix(rnorm(400 * 60), 400)
    b <- sample(seq(1, 60, 5), 1)
    causal <- if (seed %% 2 == 1) sample(60, 3) else unique(c(b, b + 2, sample(60, 1)))
    effects <- matrix(rnorm(length(causal) * 3) * .4, length(causal))
    y <- x[, causal, drop = FALSE] %*% effects + matrix(rnorm(1200), 400)
    sets <- credible_sets(quiet_mmash(x, y, seed = 1))
    tapply(sets$position, sets$set, function(p) any(p %in% causal))
  }))
  expect_gt(mean(hits), .9)
})

test_that("starts and residual covariances stay in their family and off the edge", {
  set.seed(2)
  x <- matrix(rnorm(240), 60)
  y <- x %*% matrix(rnorm(12), 4) + matrix(rnorm(180), 60) %*% matrix(rnorm(9), 3)
  full <- quiet_mmash(x, y, seed = 1)
  for (residual in list(low_rank(1), "diagonal")) {
    fit <- mmash(x, y, full$prior, residual, control = vb_control(start = full), seed = 1)
    expect_true(fit$convergence$converged)
  }
  for (noise in 10^-(4:6)) {
    fit <- suppressMessages(quiet_mmash(x, cbind(y[, 1], y[, 1] + noise * rnorm(60)), seed = 1))
    expect_false(fit$convergence$status == "objective_fell")
  }
})

test_that("the same data in other forms or units give the same fit at the defaults", {
  set.seed(1)
  x <- matrix(rbinom(960, 2, .3), 120) + 0
  y <- x %*% matrix(rnorm(24) * .4, 8) + matrix(rnorm(360), 120) + 3
  prior <- mash_prior(y, X = x)
  fit <- mmash(x, y, prior, seed = 1)
  stats <- suff_stats(crossprod(x), crossprod(x, y), crossprod(y), 120, colMeans(x), colMeans(y),
                      centered = FALSE)
  expect_equal(coef(mmash(stats, prior = prior, seed = 1)), coef(fit), tolerance = 1e-9,
               ignore_attr = TRUE)
  o <- sample(120)
  turned <- mmash(x[o, ], y[o, ], prior, seed = 1)
  expect_equal(lfsr(turned), lfsr(fit), tolerance = 1e-9)
  for (unit in c(2^-20, 2^20, 1e-6, 1e6)) {
    scaled <- mmash(x, y * unit, mash_prior(y * unit, X = x), seed = 1)
    expect_identical(scaled$convergence$iterations, fit$convergence$iterations)
    expect_equal(coef(scaled) / unit, coef(fit), tolerance = 1e-8)
  }
})

test_that("intervals are quantiles of q and of the draws", {
  d <- mixed_data(4, p = 6)
  fit <- quiet_mmash(d$x, d$y, quick_prior(), seed = 1)
  limits <- confint(fit, level = .8)
  draws <- mixology:::posterior_sample(fit, 20000)
  by_draws <- t(apply(draws, 2, stats::quantile, c(.1, .9)))
  expect_lt(max(abs(limits - by_draws)), .05)
  null <- fit$posterior$null > .95
  expect_true(all(limits[rep(null, 3), ] == 0))
  control <- gibbs_control(chains = 2, iterations = 100)
  gibbs <- quiet_mmash(d$x, d$y, quick_prior(), method = "gibbs", control = control, seed = 1,
                       order = 6:1)
  flat <- mixology:::flat_draws(gibbs$posterior$draws)[, "effect[variant2,condition3]"]
  table <- tidy(gibbs, conf.int = TRUE)
  row <- table[table$variant == "variant2" & table$condition == "condition3", ]
  expect_equal(c(row$conf.low, row$conf.high), unname(stats::quantile(flat, c(.025, .975))))
})

test_that("a Gibbs fit has one row per sweep kept, and goes on with them", {
  d <- mixed_data(4, p = 6)
  control <- gibbs_control(chains = 2, iterations = 60, warmup = 20, thin = 2)
  fit <- suppressWarnings(mmash(d$x, d$y, quick_prior(), method = "gibbs", control = control,
                                seed = 1))
  trace <- objective(fit)
  expect_identical(nrow(trace), 20L)
  expect_true(all(is.finite(as.matrix(trace))))
  expect_true(all(c("chain_1", "chain_2") %in% names(trace)))
  expect_equal(trace$value, rowMeans(trace[c("chain_1", "chain_2")]))
  longer <- suppressWarnings(resume(fit, 20))
  expect_identical(nrow(objective(longer)), 30L)
  expect_identical(objective(longer)[1:20, ], trace)
})

test_that("results go into an experiment, and a changed file is noticed", {
  d <- mixed_data(5, p = 6, genotypes = TRUE)
  dimnames(d$x) <- list(paste0("s", 1:60), paste0("v", 1:6))
  bed <- write_bed(d$x, tempfile())
  prior <- quick_prior()
  y <- d$y
  fit <- suppressWarnings(mmash(bed, y, prior, control = vb_control(max_iterations = 2), seed = 1))
  expect_no_error(suppressWarnings(resume(fit, 2)))
  write_bed(2 - d$x, sub(".bed", "", bed, fixed = TRUE))
  expect_error(suppressWarnings(resume(fit, 2)), "the data are not those of the fit")
  skip_if_not_installed("SummarizedExperiment")
  se <- SummarizedExperiment::SummarizedExperiment(list(expression = t(d$y)))
  out <- add_results(se, quiet_mmash(d$x, se, prior, seed = 1))
  expect_true("mmash_residual_variance" %in% names(SummarizedExperiment::rowData(out)))
  expect_identical(nrow(S4Vectors::metadata(out)$mmash_effects), 18L)
})

test_that("shared weights of genes are learned to the end", {
  set.seed(14)
  d <- simulate_mmash(100, 60, conditions = 3, causal = 0, x_correlation = .8, genotypes = TRUE)
  genes <- paste0("g", 1:8)
  windows <- stats::setNames(lapply(0:7, function(i) i * 4 + 1:30), genes)
  ex <- stats::setNames(lapply(1:8, function(g) {
    d$x[, windows[[g]][7]] %o% (rnorm(3) * (g %% 2)) + matrix(rnorm(300), 100)
  }), genes)
  found <- mmash_genes(ex, d$x, windows, seed = 1, verbose = FALSE)
  expect_true(found$prior$converged)
  more <- mmash_genes(ex, d$x, windows, seed = 1, rounds = 200, verbose = FALSE)
  expect_equal(found$weights, more$weights)
  expect_gt(found$weights[["null"]], .95)
  expect_false(any(tidy(found)$gene %in% c("g2", "g4", "g6", "g8")))
  expect_error(mmash_genes(ex, d$x, windows, residual = "ful"), "'residual' must be")
  expect_error(mmash_genes(ex, d$x, windows, penalty = -1), "'penalty' must be")
  expect_error(mmash_genes(ex, d$x, windows, control = list(zz = 1)), "unknown argument 'zz'")
  expect_error(mmash_genes(ex, d$x, c(windows, windows["g1"])), "without a name twice")
  ex$g3 <- ex$g3[, 1:2]
  expect_match(glance(mmash_genes(ex, d$x, windows, seed = 1, verbose = FALSE))$status[3],
               "'prior' must be one for 2 conditions")
  folder <- tempfile()
  first <- mmash_genes(ex, d$x, windows, folder = folder, learn = 0, prior = found$prior)
  files <- list.files(folder)
  again <- mmash_genes(ex, d$x, windows, folder = folder, learn = 0, prior = found$prior)
  expect_identical(list.files(folder), files)
  expect_identical(tidy(again), tidy(first))
})

test_that("folds without data have no score, and scores are pooled", {
  d <- mixed_data(6, n = 30, p = 5)
  y <- d$y
  y[1:10, 1] <- NA
  cv <- mmash_cv(d$x, y, folds = rep(1:3, each = 10), prior = quick_prior(), seed = 1)
  expect_true(is.na(tidy(cv)$rmse[1]))
  expect_true(all(is.finite(unlist(glance(cv)[c("r2", "rmse")]))))
  loo <- mmash_cv(d$x[1:12, ], d$y[1:12, ], folds = 12, prior = quick_prior(), seed = 1)
  expect_true(is.finite(glance(loo)$r2) && all(is.na(tidy(loo)$r2)))
})

test_that("folds of noise explain nothing", {
  set.seed(1)
  x <- matrix(rbinom(600, 2, .3), 60)
  y <- matrix(rnorm(120), 60)
  expect_equal(glance(mmash_cv(x, y, folds = 60, seed = 1))$r2, 0)
})

test_that("responses whose squares are no numbers are refused by their size", {
  d <- mixed_data(6, n = 30, p = 5)
  expect_error(mmash(d$x, d$y * 1e200), "'y' must be between 1e-140 and 1e140 in size")
  expect_error(mmash(d$x, d$y * 1e-200), "'y' must be between 1e-140 and 1e140 in size")
  expect_error(mmash(d$x * 1e200, d$y), "'x' must be between 1e-140 and 1e140 in size")
})

test_that("folds run on workers that do not know the data", {
  skip_unless_extended()
  skip_if_not_installed("BiocParallel")
  d <- mixed_data(6, n = 30, p = 5)
  here <- mmash_cv(d$x, d$y, folds = 2, prior = quick_prior(), seed = 1)
  libraries <- Sys.getenv("R_LIBS", NA) # as where .libPaths() alone knows where the package is
  Sys.unsetenv("R_LIBS")
  on.exit(if (!is.na(libraries)) Sys.setenv(R_LIBS = libraries))
  there <- mmash_cv(d$x, d$y, folds = 2, prior = quick_prior(), seed = 1,
                    BPPARAM = BiocParallel::SnowParam(2))
  expect_identical(there$predictions, here$predictions)
})

test_that("one time limit holds for the search of a rank and the chains after it", {
  d <- two_causal(.5, n = 100)
  fit <- suppressWarnings(mmash(d$x, d$y, method = "gibbs", residual = low_rank("auto"), seed = 1,
                                control = gibbs_control(chains = 1, iterations = 1e6,
                                                        time_limit = .5)))
  expect_identical(fit$convergence$status, "time_limit")
  expect_identical(fit$control$time_limit, .5)
  spent <- range(objective(fit)$seconds)
  expect_gt(spent[1], sum(fit$candidates$seconds) - .05)
  expect_lt(spent[2], 1.5)
})

test_that("what is printed of signals is what credible_sets() gives", {
  d <- two_causal(.8, n = 200)
  fit <- mmash(d$x, d$y, seed = 1, verbose = FALSE)
  sets <- length(unique(credible_sets(fit)$set))
  expect_match(describe_fit(fit), sprintf("%d credible set", sets), all = FALSE)
})

test_that("a full residual covariance from few samples is warned of", {
  set.seed(1)
  x <- matrix(rnorm(40 * 20), 40)
  y <- matrix(rnorm(400), 40)
  expect_warning(mmash(x, y, seed = 1), "10 conditions is learned from 40 samples")
  expect_silent(mmash(x, y, seed = 1, residual = "diagonal", verbose = FALSE))
  expect_silent(mmash(x, y[, 1:4], seed = 1, verbose = FALSE))
})

test_that("a time limit holds for the starts, and a fit stopped there compares them again", {
  d <- two_causal(.8, n = 200)
  stopped <- suppressWarnings(mmash(d$x, d$y, seed = 1, control = vb_control(time_limit = 1e-6)))
  expect_identical(stopped$convergence$status, "time_limit")
  expect_false(stopped$starts$complete)
  expect_lte(stopped$convergence$iterations, 2)
  expect_identical(coef(resume(stopped, 20)), coef(quiet_mmash(d$x, d$y, seed = 1)))
})
