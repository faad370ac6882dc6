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

test_that("statistics are put in the order of their names, and a guess is told", {
  d <- read_data()
  y <- d$y
  x <- d$x
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
