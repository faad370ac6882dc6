# mmash(): data are found by their names, and what cannot be right is refused.

read_data <- function() {
  set.seed(1)
  x <- matrix(rbinom(480, 2, .4), 60, dimnames = list(NULL, paste0("v", 1:8))) + 0
  y <- cbind(a = x[, 1], b = -x[, 1] + x[, 5]) + matrix(rnorm(120), 60)
  list(x = x, y = y)
}
read_prior <- mash_prior(matrices = list(any = diag(2)), grid = c(.3, 1))

test_that("covariates are found by their names, for any number of samples", {
  d <- read_data()
  z <- cbind(age = rnorm(60), dose = rnorm(60))
  y <- d$y + 3 * z
  fit <- quiet_mmash(d$x, y, read_prior, covariates = z, seed = 1)
  whole <- predict(fit, d$x, covariates = z)
  expect_equal(predict(fit, d$x, covariates = z[, 2:1]), whole)
  expect_equal(unname(whole), unname(fitted(fit)), tolerance = 1e-10)
  expect_error(predict(fit, d$x, covariates = z[, 1, drop = FALSE]), "no 'dose'")
  expect_error(predict(fit, d$x), "'covariates' must be of the 2 columns of the fit; got NULL")
  frame <- data.frame(age = z[, 1], sex = rep(c("f", "m", "m"), 20))
  fit <- quiet_mmash(`rownames<-`(d$x, paste0("s", 1:60)), y, read_prior, covariates = frame,
                     seed = 1) # row numbers of a data frame are no sample names
  whole <- unname(predict(fit, d$x, covariates = frame))
  for (k in list(1L, c(2, 3), c(1, 5, 7))) {
    some <- predict(fit, d$x[k, , drop = FALSE], covariates = frame[k, 2:1])
    expect_equal(unname(some), whole[k, , drop = FALSE], tolerance = 1e-12)
  }
  other <- transform(frame, sex = "x")
  expect_error(predict(fit, d$x, covariates = other),
               "of the levels of the fit in 'sex'; got \"x\"")
  expect_error(predict(fit, d$x, covariates = frame["age"]), "no 'sex'")
  expect_error(predict(quiet_mmash(d$x, y, read_prior, seed = 1), d$x, covariates = z), "left out")
  expect_error(mmash(d$x, y, covariates = transform(frame, sex = "m")), "at least two levels")
})

test_that("the means of the fit take the place of missing genotypes", {
  d <- read_data()
  gaps <- replace(d$x, sample(480, 20), NA)
  late <- replace(d$y, cbind(rep(1:15, 2), rep(1:2, each = 15)), NA)
  k <- 16:60
  fit <- function(x, y, ...) {
    quiet_mmash(x, y, read_prior, missing_x = "mean", seed = 1, ...)
  }
  bytes <- fit(gaps, late, storage = "int8")
  doubles <- fit(gaps, late, storage = "double")
  expect_equal(coef(bytes), coef(doubles), tolerance = 1e-10)
  expect_equal(coef(fit(gaps[k, ], late[k, ])), coef(doubles), tolerance = 1e-10)
  for (one in list(bytes, doubles)) {
    expect_equal(unname(fitted(one)[k, ]), unname(predict(one, gaps)[k, ]), tolerance = 1e-10)
    expect_equal(predict(one, gaps[1:2, ]), predict(one, gaps)[1:2, ], tolerance = 1e-12)
  }
})

test_that("responses, conditions and priors are found by their names or refused", {
  d <- read_data()
  fit <- quiet_mmash(d$x, d$y, read_prior, seed = 1)
  expect_equal(residuals(fit, d$y[, 2:1]), d$y - fitted(fit))
  expect_error(residuals(fit, d$y + 1), "'data' must be the responses of the fit")
  y <- d$y
  fit <- suppressWarnings(mmash(d$x, y, read_prior, seed = 1))
  y <- y + 100
  expect_error(residuals(fit), "'data' must be the responses of the fit")
  s <- matrix(c(5, .2, .2, 1), 2, dimnames = rep(list(c("b", "a")), 2))
  given <- quiet_mmash(d$x, d$y, read_prior, residual = s, seed = 1)
  expect_equal(given$estimate$residual_covariance, s[2:1, 2:1])
  expect_error(mmash(d$x, d$y, residual = 1:2), "'residual' must be a 2 x 2 covariance matrix")
  expect_error(mmash(d$x, d$y, residual = 1), "'residual' must be a 2 x 2 covariance matrix")
  dimnames(s) <- rep(list(c("b", "c")), 2)
  expect_error(mmash(d$x, d$y, residual = s), "'residual' must be one for the conditions a, b")
  turned <- mash_prior(d$y[, 2:1], X = d$x)
  expect_equal(coef(quiet_mmash(d$x, d$y, turned, seed = 1)),
               coef(quiet_mmash(d$x, d$y, mash_prior(d$y, X = d$x), seed = 1)), tolerance = 1e-6)
  named <- matrix(c(1, 0, 0, 0), 2, dimnames = rep(list(c("b", "a")), 2))
  made <- mash_prior(d$y, matrices = list(b = named), grid = 1)
  expect_equal(unname(made$matrices$b), diag(c(0, 1)))
  expect_error(mmash(d$x, cbind(a = d$y[, 1], a = d$y[, 2])), "\"a\" twice")
  expect_warning(quiet <- mmash(d$x, d$y, turned, standardize = TRUE, seed = 1), "standardize")
  twice <- quiet_mmash(`colnames<-`(d$x, rep("v", 8)), d$y, read_prior, seed = 1)
  expect_identical(anyDuplicated(tidy(twice)[c("variant", "condition")]), 0L)
})

test_that("names that somebody gave are matched whatever they are", {
  d <- read_data()
  r <- matrix(c(9, .5, .5, 1), 2)
  u <- diag(c(2, 1))
  fit <- function(names, given = names) {
    back <- list(rev(given), rev(given))
    prior <- mash_prior(matrices = list(u = `dimnames<-`(u, back)), grid = .3)
    mmash(d$x, `colnames<-`(d$y, names), prior, residual = `dimnames<-`(r, back), seed = 1)
  }
  by_letter <- fit(c("a", "b"))
  by_default <- fit(c("condition1", "condition2"))
  expect_identical(unname(by_default$estimate$residual_covariance), r[2:1, 2:1])
  expect_identical(unname(coef(by_default)), unname(coef(by_letter)))
  expect_identical(coef(fit(NULL, c("condition1", "condition2"))), coef(by_default))
  as_it_is <- fit(NULL, c("a", "b")) # names that are not known say nothing of the order
  expect_identical(unname(as_it_is$estimate$residual_covariance), r)
  expect_error(fit(c("condition1", "condition2"), c("a", "b")), "one for the conditions condition1")
  both <- mash_prior(matrices = list(u = `dimnames<-`(u, list(2:1, 2:1))),
                     add = list(v = `dimnames<-`(u, list(1:2, 1:2))), grid = 1)
  expect_identical(unname(both$matrices$v), u[2:1, 2:1])
  expect_identical(both$conditions, c("2", "1"))
})

test_that("a start is found by its conditions, and says what does not fit", {
  d <- read_data()
  fit <- quiet_mmash(d$x, d$y, read_prior, seed = 1)
  turned <- quiet_mmash(d$x, d$y[, 2:1], read_prior, seed = 1, control = vb_control(start = fit))
  expect_equal(coef(turned)[, 2:1], coef(fit), tolerance = 1e-6)
  expect_lte(turned$convergence$iterations, 3)
  unnamed <- quiet_mmash(d$x, unname(d$y), read_prior, seed = 1)
  expect_no_error(quiet_mmash(d$x, d$y, read_prior, control = vb_control(start = unnamed)))
  from <- function(start) mmash(d$x, d$y, read_prior, control = vb_control(start = start))
  other <- quiet_mmash(d$x, d$y, mash_prior(matrices = list(i = diag(2)), grid = 1), seed = 1)
  expect_error(from(other), "'start\\$weights' must be 3 numbers.*got 2 values.*try list\\(coef")
  expect_error(from(list(coef = matrix(NA, 8, 2))), "'start\\$coef' .* 8 x 2 .*NA at position 1$")
})

test_that("variants and conditions without a name are numbered, shared names are told", {
  d <- read_data()
  colnames(d$x) <- c("rs1", NA, "", "rs1", paste0("v", 5:8))
  colnames(d$y) <- c("a", "")
  expect_message(fit <- mmash(d$x, d$y, read_prior, seed = 1), "\"rs1\": the second is .*rs1.1")
  expect_identical(rownames(coef(fit))[2:6], c("rs1", "variant2", "variant3", "rs1.1", "v5"))
  expect_identical(colnames(coef(fit)), c("a", "condition2"))
  expect_message(mmash_genes(list(g = d$y), d$x, list(g = 1:8), read_prior, seed = 1),
                 "mmash_genes: 1 name of several variants")
})

test_that("values that are no numbers are named where they are", {
  d <- read_data()
  fit <- function(...) mmash(d$x, d$y, read_prior, ...)
  gap <- matrix(c(1, NA, NA, 1), 2)
  expect_error(fit(residual = matrix(NA, 2, 2)), "'residual' must be .*; got NA at position 1")
  expect_error(fit(residual = gap), "'residual' must be .*; got NA at position 2")
  expect_error(fit(residual = diag(3)), "'residual' must be a symmetric .* 2 x 2 matrix; got 3 x 3")
  expect_error(mash_prior(matrices = list(u = gap), grid = 1), "matrices\\$u.*NA at position 2")
  expect_error(mash_prior(matrices = list(), grid = 1), "'matrices' must be .* got an empty list")
  expect_error(mash_prior(matrices = list(u = diag(2)), grid = 1e200), "'grid' must be between")
  covariates <- data.frame(age = 1:60, dose = c(1, NA, 3:60))
  expect_error(fit(covariates = covariates), "'covariates' must be .*NA at .* 2 in column dose")
  expect_error(mmash(d$x, data.frame(a = d$y[, 1], b = "high")), "'b' of class character")
  expect_error(suff_stats(NA, d$y, d$y, 60), "'XtX' must be a .* P x P matrix; got NA at position")
  expect_error(mmash_cv(d$x), "mmash_cv: 'y' must be a numeric matrix")
  moments <- suff_stats(crossprod(d$x), crossprod(d$x, d$y), crossprod(d$y), 60)
  expect_error(mmash_cv(moments), "mmash_cv: 'x' must be genotypes")
})

test_that("resume() names the argument whose value its call finds no more", {
  d <- read_data()
  make <- function() {
    y <- d$y
    here <- list(y = y)
    list(mmash(d$x, y, read_prior, seed = 1), mmash(d$x, here$y, read_prior, seed = 1))
  }
  for (fit in suppressWarnings(make())) {
    expect_error(resume(fit, 5, data = d$x), "resume: 'y' must be given: .*got the name '(y|here)'")
  }
})

test_that("standardised statistics suit a prior of either scale", {
  d <- read_data()
  z <- summary_stats(z = 3 * cor(d$x, d$y), ld = cor(d$x), n = 60, cov_y = cov(d$y))
  for (standardize in c(TRUE, FALSE)) {
    expect_no_warning(mmash(z, prior = mash_prior(z, standardize = standardize), seed = 1))
  }
  expect_identical(mash_prior(z, grid = 1)$conditions, c("a", "b"))
  sparse <- Matrix::Matrix(cor(d$x), sparse = TRUE)
  expect_equal(summary_stats(z = as.data.frame(3 * cor(d$x, d$y)), ld = sparse, n = 60,
                             cov_y = as.data.frame(cov(d$y))), z)
})

test_that("correlations of another sample are refused, with what to do", {
  d <- read_data()
  z <- cbind(a = c(9, -9, 1, 1), b = 0)
  stats <- function(ld) summary_stats(z = z, ld = ld, n = 60, cov_y = diag(2))
  block <- matrix(.95, 4, 4) + diag(.05, 4)
  expect_error(stats(block), "'ld' must be from the sample.*the very samples.*\\?summary_stats")
  block[1, 2] <- block[2, 1] <- .5
  expect_error(stats(block), "positive semi-definite; got an eigenvalue of -.*try more digits")
})

test_that("statistics are put in the order of their names, and a guess is told", {
  d <- read_data()
  y <- d$y
  x <- d$x + .25 * seq_len(60) / 60 # dosages: cross-products of allele counts are known by sight
  expect_message(raw <- suff_stats(crossprod(x), crossprod(x, y), crossprod(y), 60, colMeans(x),
                                   colMeans(y)), "not centred")
  turned <- suff_stats(crossprod(x), crossprod(x, y), crossprod(y)[2:1, 2:1], 60, colMeans(x),
                       colMeans(y), centered = FALSE)
  expect_equal(turned, raw)
  fit <- quiet_mmash(raw, prior = read_prior, order = 8:1, seed = 1)
  expect_equal(coef(fit), coef(quiet_mmash(x, y, read_prior, order = 8:1, seed = 1)),
               tolerance = 1e-8)
  b <- matrix(.1, 8, 2, dimnames = dimnames(crossprod(x, y)))
  expect_error(summary_stats(b, b[8:1, ], ld = cor(x), n = 60, cov_y = cov(y)), "'shat' must be of")
})

test_that("numbers of samples and means that cannot be right are refused", {
  d <- read_data()
  stats <- function(x = d$x, n = 60, x_means = colMeans(x), y_means = colMeans(d$y), ...) {
    suff_stats(crossprod(x), crossprod(x, d$y), crossprod(d$y), n, x_means, y_means, ...)
  }
  expect_silent(counts <- stats())
  expect_identical(counts, stats(centered = FALSE))
  expect_error(stats(x_means = NULL), "'x_means' must be given where the other means are")
  expect_error(stats(y_means = NULL), "'y_means' must be given where the other means are")
  expect_error(stats(x_means = NULL, y_means = NULL, centered = FALSE), "'x_means' must be given")
  for (n in c(59, 61, 70, 1e4)) {
    expect_error(stats(n = n), "'n' must be the number of samples")
    expect_error(stats(n = n, centered = FALSE), "'n' must be the number of samples")
    expect_no_error(stats(n = n, centered = TRUE)) # the means are of no account for the effects
  }
  dosages <- d$x + .25 * seq_len(60) / 60
  expect_message(stats(dosages, n = 120), "as those of centred data, as 120 samples .*'n' is too")
  expect_error(stats(dosages, n = 120, centered = FALSE), "120, which leaves a negative variance")
  expect_silent(stats(scale(d$x), x_means = numeric(8), y_means = numeric(2)))
  z <- cor(d$x, d$y)
  expect_error(summary_stats(z = z, ld = cor(d$x), n = 60, cov_y = cov(d$y), x_means = 1:8),
               "'y_means' must be given where")
})

test_that("settings that say nothing are refused", {
  d <- read_data()
  expect_error(mash_prior(d$y, X = d$x, refine = "yes"), "'refine' must be")
  expect_error(mash_prior(d$y, X = d$x, refine = TRUE), "nothing to refine")
  expect_error(mash_prior(matrices = list(i = diag(2)), grid = 1, standardize = "x"), "standardize")
  expect_error(mash_prior(matrices = list(i = diag(2)), grid = 1, missing_x = "x"), "missing_x")
  expect_error(mash_prior(matrices = list(i = diag(2)), grid = 1, weights = c(a = 1, b = 2)),
               "named as the components")
  expect_error(mmash(d$x, d$y, penalty = Inf), "'penalty' must be finite")
  fit <- quiet_mmash(d$x, d$y, read_prior, seed = 1)
  expect_error(predict(fit, d$x, interval = "confidence"), "unknown argument 'interval'")
  expect_error(confint(fit, "zz"), "'parm' must be")
  expect_error(confint(fit, level = 2), "'level' must be")
})

test_that("means of sufficient statistics are those of their names", {
  set.seed(9)
  x <- matrix(rbinom(2400, 2, .3), 120, dimnames = list(NULL, paste0("rs", 1:20)))
  y <- cbind(a = x[, 2] + rnorm(120) + 5, b = rnorm(120) - 3, c = rnorm(120) + 10)
  stats <- function(x_order, y_order) {
    suff_stats(crossprod(x), crossprod(x, y), crossprod(y), 120, colMeans(x)[x_order],
               colMeans(y)[y_order], centered = FALSE)
  }
  expect_identical(stats(20:1, c("c", "a", "b")), stats(1:20, 1:3))
  expect_error(suff_stats(crossprod(x), crossprod(x, y), crossprod(y), 120, colMeans(x),
                          c(a = 5, b = -3, d = 10)), "'y_means' must be named as a, b, c")
})
