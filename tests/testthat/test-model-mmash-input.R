# What mmash is given: files, bad values, and what it answers.

small <- function() {
  set.seed(1)
  x <- matrix(stats::rbinom(40 * 6, 2, .4), 40,
              dimnames = list(paste0("s", 1:40), paste0("v", 1:6)))
  list(x = x, y = x[, 2] + matrix(stats::rnorm(80), 40, dimnames = list(rownames(x), c("a", "b"))))
}
small_prior <- mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.2, 1))

test_that("a .bed file is the matrix it was made of", {
  d <- small()
  for (n in 37:40) {
    at <- seq_len(n)
    bed <- write_bed(d$x[at, ], tempfile())
    from_file <- quiet_mmash(bed, d$y[at, ], small_prior, seed = 1)
    from_matrix <- quiet_mmash(d$x[at, ], d$y[at, ], small_prior, seed = 1)
    expect_equal(coef(from_file), coef(from_matrix), tolerance = 1e-10)
    expect_equal(predict(from_file, bed), predict(from_matrix, d$x[at, ]), tolerance = 1e-10)
  }
  first <- quiet_mmash(bed, d$y, small_prior, allele = "first", seed = 1)
  expect_equal(coef(first)[-1, ], -coef(from_file)[-1, ], tolerance = 1e-8)
  expect_equal(mash_prior(d$y, X = bed)$grid, mash_prior(d$y, X = d$x)$grid)
  age <- cbind(age = stats::rnorm(40))
  expect_equal(coef(quiet_mmash(bed, d$y, small_prior, covariates = age, seed = 1)),
               coef(quiet_mmash(d$x + 0, d$y, small_prior, covariates = age, seed = 1)),
               tolerance = 1e-9)
})

test_that("snpStats's files and objects are read as snpStats reads them", {
  skip_if_not_installed("snpStats")
  d <- small()
  x <- d$x
  x[3, 2] <- NA
  snps <- methods::new("SnpMatrix", matrix(as.raw(ifelse(is.na(x), 0, x + 1)), nrow(x),
                                           dimnames = dimnames(x)))
  stem <- tempfile()
  utils::capture.output(suppressMessages(snpStats::write.plink(stem, snps = snps)))
  fit <- function(x) quiet_mmash(x, d$y, small_prior, missing_x = "mean", seed = 1)
  expect_error(mmash(paste0(stem, ".bed"), d$y, small_prior), "without missing values; got 1 NA")
  expect_equal(unname(coef(fit(paste0(stem, ".bed")))), unname(coef(fit(x))), tolerance = 1e-10)
  expect_equal(coef(fit(snps)), coef(fit(x)), tolerance = 1e-10)
})

test_that("files that are no .bed files are told apart", {
  d <- small()
  stem <- tempfile()
  bed <- write_bed(d$x, stem)
  fit <- function() mmash(bed, d$y, small_prior)
  bytes <- readBin(bed, "raw", 1000)
  writeBin(bytes[-length(bytes)], bed)
  expect_error(fit(), "is cut short: 40 samples and 6 variants need 63 bytes, it has 62")
  writeBin(c(bytes, as.raw(0)), bed)
  expect_error(fit(), "is too long")
  writeBin(bytes[1:2], bed)
  expect_error(fit(), "less than its header")
  writeBin(c(as.raw(c(1, 2, 1)), bytes[-(1:3)]), bed)
  expect_error(fit(), "magic number")
  writeBin(c(bytes[1:2], as.raw(0), bytes[-(1:3)]), bed)
  expect_error(fit(), "sample after sample")
  writeBin(c(bytes[1:2], as.raw(7), bytes[-(1:3)]), bed)
  expect_error(fit(), "neither 00 nor 01")
  writeBin(bytes, bed)
  writeLines("1 v1 0 1 A", paste0(stem, ".bim"))
  expect_error(fit(), "must have 6 columns; got 5")
  file.create(paste0(stem, ".bim"))
  expect_error(fit(), "is empty")
  unlink(paste0(stem, ".bim"))
  expect_error(fit(), "there is no file")
  expect_error(mmash("no_such.bed", d$y, small_prior), "'x' must be a .bed file")
  unlink(paste0(stem, ".fam"))
  expect_error(fit(), "there is no file")
})

test_that("odd variants have documented answers", {
  d <- small()
  x <- cbind(d$x, flat = 1, twin = d$x[, 2])
  for (standardize in c(TRUE, FALSE)) {
    fit <- quiet_mmash(x, d$y, small_prior, standardize = standardize)
    expect_identical(unname(coef(fit)["flat", ]), c(0, 0))
    expect_equal(unname(pip(fit)["flat"]), 1 - fit$estimate$weights[["null"]], tolerance = 1e-10)
    sets <- credible_sets(fit)
    expect_setequal(sets$variant[sets$set == 1], c("v2", "twin"))
    expect_equal(sets$probability[sets$set == 1], c(.5, .5), tolerance = 1e-3)
    expect_true(all(is.finite(tidy(fit)$estimate)))
  }
  wide <- matrix(stats::rnorm(40 * 90), 40)
  expect_true(all(is.finite(coef(quiet_mmash(wide, d$y, small_prior)))))
})

test_that("bad data are named", {
  d <- small()
  fit <- function(x = d$x, y = d$y, prior = small_prior, ...) mmash(x, y, prior, ...)
  expect_error(fit(y = cbind(d$y[, 1], NA)), "'y' must be observed at least twice")
  expect_error(fit(y = cbind(d$y[, 1], 3)), "'y' must be varying in every condition")
  expect_error(fit(y = cbind(d$y[, 1], 2 * d$y[, 1])), "linearly independent conditions.*gibbs")
  exact <- suppressWarnings(fit(y = d$x[, 1:2] + 0)) # no noise at all
  expect_equal(unname(coef(exact)[2:3, ]), diag(2), tolerance = 1e-3)
  expect_error(mash_prior(0 * d$y, X = d$x), "'Y' must be varying")
  late <- replace(d$y, 3:40, NA)
  expect_error(mmash(d$x, late), "observed three times in every condition for a default prior")
  expect_error(fit(y = d$y[1:30, ]), "'y' must be one row per sample of 'x' \\(40\\); got 30 rows")
  expect_error(fit(y = replace(d$y, 3, Inf)), "'y' must be finite or NA")
  expect_error(fit(y = "a"), "'y' must be a numeric matrix")
  expect_error(mmash(d$x, prior = small_prior), "'y' must be a numeric matrix.*got NULL")
  wrong <- d$y
  rownames(wrong) <- rev(rownames(wrong))
  expect_error(fit(y = wrong), "\"s40\" beside \"s1\" in row 1; try the same order")
  expect_error(fit(x = replace(d$x, 5, NA)), "'x' must be without missing values; got 1 NA; try")
  expect_error(fit(x = replace(d$x + 0, 5, Inf)), "'x' must be finite")
  expect_error(fit(x = "a.txt"), "there is no file")
  expect_error(fit(x = list(1)), "'x' must be a numeric matrix samples x variants")
  expect_error(fit(x = data.frame(a = letters[1:40])), "numeric in every column")
  expect_error(fit(x = d$x[1, , drop = FALSE]), "at least two samples")
  expect_error(fit(x = d$x + .5, storage = "int8"), "whole numbers from -127 to 127")
  expect_error(fit(covariates = matrix(1, 3, 1)), "'covariates' must be")
  expect_error(fit(covariates = matrix(stats::rnorm(1600), 40)), "fewer than the samples")
  expect_error(fit(prior = mash_prior(matrices = list(a = diag(3)), grid = 1)),
               "'prior' must be one for 2 conditions; got one for 3")
  expect_error(fit(prior = list()), "made by mash_prior")
  expect_error(fit(residual = matrix(1, 2, 2)), "'residual' must be positive definite")
  expect_error(fit(residual = matrix(c(1, 2, 2, 1), 2)), "smallest eigenvalue")
  expect_error(fit(residual = "ful"), "try \"full\"")
  expect_error(fit(residual = low_rank(2)), "rank at most 1")
  expect_error(fit(penalty = 0), "'penalty' must be")
  expect_error(fit(update = "sigma"), "'update' must be")
  expect_error(fit(update = "residual", method = "em"), "without \"residual\"")
  expect_error(fit(order = c(1, 1, 2, 3, 4, 5)), "'order' must be")
  expect_error(fit(control = vb_control(start = 3)), "'start' must be")
  expect_error(predict(suppressWarnings(fit()), d$x[, 1:3]), "of the 6 variants of the fit; got 3")
  expect_error(predict(suppressWarnings(fit())), "'newx' must be given")
})

test_that("bad priors are named", {
  bad <- function(...) mash_prior(..., grid = 1)
  expect_error(bad(matrices = list(a = matrix(c(1, 2, 2, 1), 2))), "matrices\\$a.*eigenvalue")
  expect_error(bad(matrices = list(a = matrix(c(1, 0, 1, 1), 2))), "asymmetric")
  expect_error(bad(matrices = list(a = matrix(0, 2, 2))), "not all zero")
  expect_error(bad(matrices = list(a = diag(2), a = diag(2))), "all different")
  expect_error(bad(matrices = list(a = diag(2), b = diag(3))), "3 x 3|2 x 2")
  expect_error(bad(matrices = 3), "named list of covariance matrices")
  expect_error(mash_prior(), "'X' must be given")
  expect_error(mash_prior(matrices = list(a = diag(2)), grid = c(1, -1)), "'grid' must be")
  expect_error(mash_prior(matrices = list(a = diag(2)), grid = c(1, 1)), "none twice")
  expect_error(bad(matrices = list(a = diag(2)), weights = 1), "'weights' must be 2 numbers")
})

test_that("bad statistics are named", {
  d <- small()
  x <- scale(d$x, scale = FALSE)
  y <- scale(d$y, scale = FALSE)
  ld <- stats::cor(d$x)
  e <- mixology:::prior_effects(d$y, d$x, FALSE, NULL, "error", "second", "test")
  z <- e$bhat / e$shat
  expect_error(suff_stats(crossprod(x)[-1, ], crossprod(x, y), crossprod(y), 40), "'XtX' must be")
  expect_error(suff_stats(crossprod(x), crossprod(x, y)[-1, ], crossprod(y), 40), "'XtY' must be")
  skew <- ld
  skew[1, 2] <- .9
  expect_error(summary_stats(z = z, ld = skew, n = 40, cov_y = stats::cov(d$y)), "symmetric")
  expect_error(summary_stats(z = z, ld = 2 * ld, n = 40, cov_y = stats::cov(d$y)),
               "correlations \\(diagonal 1\\)")
  twins <- matrix(1, 6, 6)
  expect_error(summary_stats(z = 8 * sign(seq(-3, 2.5)) * abs(z), ld = twins, n = 40,
                             cov_y = stats::cov(d$y)), "'ld' must be from the sample")
  expect_error(summary_stats(ld = ld, n = 40, cov_y = stats::cov(d$y)), "'z' must be given")
  s <- suff_stats(crossprod(x), crossprod(x, y), crossprod(y), 40)
  expect_error(mmash(s, d$y, small_prior), "left out beside sufficient statistics")
  expect_error(fitted(quiet_mmash(s, prior = small_prior)), "has no samples")
})

test_that("statistics that cannot be are named", {
  d <- small()
  x <- scale(d$x, scale = FALSE)
  y <- scale(d$y, scale = FALSE)
  stats <- function(XtX = crossprod(x), XtY = crossprod(x, y), YtY = crossprod(y), n = 40) {
    suff_stats(XtX, XtY, YtY, n)
  }
  expect_error(stats(XtX = -crossprod(x)), "'XtX' must be of a diagonal of at least 0")
  expect_error(stats(XtX = crossprod(x) + 99 * (1 - diag(6))), "'XtX' must be a matrix of cross-pr")
  expect_error(stats(XtY = 99 * crossprod(x, y)), "'XtY' must be of the data of 'XtX' and 'YtY'")
  expect_error(stats(YtY = crossprod(y) + 999 * (1 - diag(2))), "'YtY' must be positive semi-def")
  expect_error(stats(n = Inf), "'n' must be finite")
  expect_error(stats(n = 6), "'n' must be larger than the rank .* got 6, for a rank of at least 8")
  few <- 1:7 # seven samples: of eight columns at most six are independent
  little <- scale(cbind(d$x, d$y)[few, ], scale = FALSE)
  square <- crossprod(little)
  expect_s3_class(suff_stats(square[1:6, 1:6], square[1:6, 7:8], square[7:8, 7:8], 7),
                  "mixology_suff_stats")
  expect_error(suff_stats(square[1:6, 1:6], square[1:6, 7:8], square[7:8, 7:8], 6), "'n' must be")
  expect_error(suff_stats(crossprod(d$x), crossprod(d$x, d$y), crossprod(d$y), 400, colMeans(d$x),
                          colMeans(d$y), centered = FALSE), "'n' must be .* a negative variance")
  expect_error(stats(XtX = replace(crossprod(x), 1, NA)), "'XtX' must be .*NA at position 1")
  turned <- crossprod(x)[6:1, 6:1]
  expect_error(stats(XtX = turned), "in their order; got \"v6\" beside \"v1\"")
  z <- array(1, c(6, 2))
  expect_error(summary_stats(z = z, n = 40, cov_y = diag(2)), "'ld' must be the P x P matrix")
  expect_error(summary_stats(z = z, ld = diag(6), n = 40), "'cov_y' must be the J x J")
  expect_error(summary_stats(z = z, ld = diag(6), cov_y = diag(2)), "'n' must be the number")
  expect_error(summary_stats(z = z, ld = diag(6), n = 40, cov_y = 1 + diag(-.5, 2)),
               "'cov_y' must be positive semi-definite")
  flat <- cbind(d$x, flat = 3) # rounding is all that centring leaves of it
  from <- suff_stats(crossprod(flat), crossprod(flat, d$y), crossprod(d$y), 40, colMeans(flat),
                     colMeans(d$y))
  expect_equal(coef(quiet_mmash(from, prior = small_prior)),
               coef(quiet_mmash(flat, d$y, small_prior)), tolerance = 1e-9)
})

test_that("every accessor answers or says why not, for every engine and every form of the data", {
  d <- small()
  stats <- suff_stats(crossprod(d$x), crossprod(d$x, d$y), crossprod(d$y), 40, colMeans(d$x),
                      colMeans(d$y))
  gaps <- replace(d$y, c(3, 70), NA)
  bed <- write_bed(d$x, tempfile())
  forms <- list(list(d$x, d$y), list(d$x, gaps), list(bed, d$y), list(stats, NULL))
  for (form in forms) {
    for (method in c("em", "vb", "gibbs")) {
      control <- if (method == "gibbs") gibbs_control(chains = 1, iterations = 60)
      fit <- quiet_mmash(form[[1]], form[[2]], small_prior, method = method, control = control,
                         seed = 1)
      expect_identical(dim(coef(fit)), c(7L, 2L))
      for (f in list(lfsr, pip, tidy, glance, confint, vcov, objective, autoplot)) {
        expect_false(is.null(f(fit)))
      }
      expect_identical(dim(predict(fit, d$x[1, , drop = FALSE])), c(1L, 2L))
      if (method == "em") {
        expect_error(credible_sets(fit), "one at a time")
        expect_match(utils::capture.output(print(fit)), "each variant was taken alone", all = FALSE)
      } else {
        expect_s3_class(credible_sets(fit), "data.frame")
      }
      expect_error(logLik(fit), "has no log likelihood") # that of "em" is one variant at a time
      expect_false(any(c("logLik", "AIC", "BIC") %in% names(glance(fit))))
      if (is.null(form[[2]])) {
        for (f in list(fitted, residuals, simulate, function(fit) augment(fit, d$y))) {
          expect_error(f(fit), "a fit to sufficient statistics has no samples")
        }
      } else {
        expect_equal(unname(fitted(fit)), unname(predict(fit, d$x)), tolerance = 1e-10)
        expect_equal(residuals(fit, form[[2]]), form[[2]] - fitted(fit))
        expect_error(residuals(fit, d$y[1:5, ]), "'data' must be the responses of the fit")
        expect_identical(nrow(augment(fit, form[[2]])), 80L)
        expect_length(simulate(fit, 2, seed = 1), 2)
      }
    }
  }
})

test_that("new genotypes are found by the names of their variants", {
  d <- small()
  fit <- quiet_mmash(d$x, d$y, small_prior, seed = 1)
  expect_equal(predict(fit, d$x[, 6:1]), predict(fit, d$x), tolerance = 1e-12)
  expect_equal(unname(predict(fit, unname(d$x))), unname(predict(fit, d$x)))
  other <- `colnames<-`(d$x, paste0("w", 1:6))
  expect_error(predict(fit, other), "of the variants of the fit; got \"w1\"; try unname")
  expect_error(predict(fit, d$x[, c(1, 1:5)]), "a name twice")
  expect_error(predict(fit, replace(d$x, 1, NA)), "'newx' must be without missing values")
  expect_false(anyNA(predict(fit, replace(d$x, 1, NA), missing_x = "mean")))
  expect_error(predict(fit, d$x[0, ]), "'newx' must be a matrix with at least one sample")
})

test_that("priors are made as they are described", {
  set.seed(2)
  d <- simulate_mmash(100, 30, conditions = 4, causal = 4)
  prior <- mash_prior(d$y, X = d$x, pca = 2, add = list(mine = diag(4:1)))
  expect_true(all(c("identity", "equal", "shared_0.5", "pca_1", "pca_all", "mine") %in%
                    names(prior$matrices)))
  expect_true(all(vapply(prior$matrices, function(u) max(diag(u)), 0) - 1 < 1e-12))
  e <- mixology:::prior_effects(d$y, d$x, FALSE, NULL, "error", "second", "test")
  by_hand <- summary(stats::lm(d$y[, 2] ~ d$x[, 3]))$coefficients[2, 1:2]
  expect_equal(unname(c(e$bhat[3, 2], e$shat[3, 2])), unname(by_hand), tolerance = 1e-10)
  expect_equal(max(prior$grid), 2 * sqrt(max(e$bhat^2 - e$shat^2)))
  expect_lte(min(prior$grid), min(e$shat) / 10)
  expect_equal(unique(round(diff(log2(prior$grid)), 10)), .5)
  refined <- mash_prior(d$y, X = d$x, pca = 2, refine = TRUE)
  expect_true(all(vapply(refined$matrices, function(u) min(eigen(u)$values), 0) > -1e-10))
  array3 <- mash_prior(matrices = array(diag(2), c(2, 2, 1)), grid = 1)
  expect_identical(names(array3$matrices), "matrix1")
})

test_that("the extreme-deconvolution EM climbs and finds a shared direction", {
  set.seed(3)
  u <- tcrossprod(c(1, 1, 0))
  b <- matrix(stats::rnorm(300), 300) %*% t(c(1, 1, 0)) + .2 * matrix(stats::rnorm(900), 300)
  out <- mixology:::mmash_refine(b, matrix(.2, 300, 3), list(diag(3)), 500L, 1e-9, 1L)
  expect_true(all(diff(out$trace$value) > -1e-8))
  expect_equal(out$matrices[[1]], u, tolerance = .15)
})

test_that("cross-validation predicts each sample without its fold", {
  set.seed(4)
  d <- simulate_mmash(120, 20, conditions = 2, causal = 3, pve = .6)
  cv <- mmash_cv(d$x, d$y, folds = 3, prior = small_prior, seed = 1)
  expect_identical(dim(cv$predictions), dim(d$y))
  expect_false(anyNA(cv$predictions))
  out <- cv$folds == 2
  fit <- quiet_mmash(d$x[!out, ], d$y[!out, ], small_prior, seed = 1)
  expect_equal(unname(cv$predictions[out, ]), unname(predict(fit, d$x[out, ])), tolerance = 1e-6)
  expect_gt(glance(cv)$r2, .3)
  expect_error(mmash_cv(d$x, d$y, folds = 1), "'folds' must be")
  skip_if_not_installed("BiocParallel")
  again <- mmash_cv(d$x, d$y, folds = 3, prior = small_prior, seed = 1,
                    BPPARAM = BiocParallel::SerialParam())
  expect_identical(again$predictions, cv$predictions)
})

test_that("a SummarizedExperiment gives its conditions", {
  skip_if_not_installed("SummarizedExperiment")
  d <- small()
  se <- SummarizedExperiment::SummarizedExperiment(list(expression = t(d$y)))
  expect_equal(coef(quiet_mmash(d$x, se, small_prior, seed = 1)),
               coef(quiet_mmash(d$x, d$y, small_prior, seed = 1)))
})

test_that("of several assays one is named, or counts are taken and told", {
  skip_if_not_installed("SummarizedExperiment")
  d <- small()
  pair <- function(...) SummarizedExperiment::SummarizedExperiment(list(...))
  se <- pair(raw = 9 * t(d$y), normal = t(d$y))
  fit <- suppressWarnings(mmash(d$x, se, small_prior, assay = "normal", seed = 1))
  expect_equal(coef(fit), coef(quiet_mmash(d$x, d$y, small_prior, seed = 1)))
  expect_equal(residuals(fit, se), d$y - fitted(fit))
  expect_no_error(suppressWarnings(resume(fit, 2)))
  expect_equal(mash_prior(se, X = d$x, assay = "normal"), mash_prior(d$y, X = d$x))
  cv <- function(y, ...) mmash_cv(d$x, y, folds = 2, prior = small_prior, seed = 1, ...)
  expect_equal(cv(se, assay = "normal"), cv(d$y))
  for (f in list(mmash, mmash_cv, function(x, y) mash_prior(y, X = x))) {
    expect_error(f(d$x, se), "'assay' must be named .*; got \"raw\", \"normal\"")
  }
  expect_error(mmash(d$x, se, small_prior, assay = "normale"), "try \"normal\"")
  expect_error(mmash(d$x, d$y, small_prior, assay = "normal"), "'y' is no experiment")
  counts <- pair(counts = t(d$y), normal = 9 * t(d$y))
  expect_message(taken <- quiet_mmash(d$x, counts, small_prior, seed = 1), "\"counts\" is taken")
  expect_equal(coef(taken), coef(fit))
})

# A VCF by hand; `ds`: dosages, samples x variants.
write_vcf <- function(x, file, ds = NULL, alt = rep("C", ncol(x)), calls = NULL) {
  calls <- calls %||% array(c("0/0", "0|1", "1/1")[x + 1], dim(x))
  calls[is.na(calls)] <- "./."
  values <- if (is.null(ds)) calls else array(paste0(calls, ":", ds), dim(x))
  writeLines(c(
    "##fileformat=VCFv4.2", "##contig=<ID=chr1>",
    "##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">",
    if (!is.null(ds)) "##FORMAT=<ID=DS,Number=A,Type=Float,Description=\"Dosage\">",
    paste(c("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", rownames(x)),
          collapse = "\t"),
    vapply(seq_len(ncol(x)), function(j) {
      paste(c("chr1", 100 * j, colnames(x)[j], "A", alt[j], ".", ".", ".",
              if (is.null(ds)) "GT" else "GT:DS", values[, j]), collapse = "\t")
    }, "")), file)
  file
}

test_that("a VCF is the matrix it was made of: calls, dosages, missing and several alleles", {
  skip_if_not_installed("VariantAnnotation")
  d <- small()
  fit <- function(x, ...) quiet_mmash(x, d$y, small_prior, seed = 1, ...)
  file <- write_vcf(d$x, tempfile(fileext = ".vcf"))
  from_matrix <- fit(d$x)
  from_file <- fit(file)
  expect_identical(coef(from_file), coef(from_matrix))
  expect_identical(predict(from_file, file), predict(from_matrix, d$x))
  packed <- suppressWarnings(VariantAnnotation::readVcf(file))
  expect_identical(coef(fit(packed)), coef(from_matrix))
  zipped <- paste0(file, ".gz")
  connection <- gzfile(zipped, "w")
  writeLines(readLines(file), connection)
  close(connection)
  expect_error(fit(zipped), "compressed by gzip; try gunzip, then bgzip")
  if (requireNamespace("Rsamtools", quietly = TRUE)) {
    blocked <- Rsamtools::bgzip(file, tempfile(fileext = ".vcf.bgz"))
    expect_identical(coef(fit(blocked)), coef(from_matrix))
  }
  set.seed(2)
  ds <- round(pmin(pmax(d$x + stats::rnorm(length(d$x), sd = .1), 0), 2), 3)
  with_ds <- write_vcf(d$x, tempfile(fileext = ".vcf"), ds)
  expect_equal(coef(fit(with_ds)), coef(fit(ds)), tolerance = 1e-6) # stored in single precision?
  gap <- replace(d$x, 5, NA)
  with_gap <- write_vcf(gap, tempfile(fileext = ".vcf"))
  expect_error(fit(with_gap), "without missing values; got 1 NA")
  expect_equal(coef(fit(with_gap, missing_x = "mean")), coef(fit(gap, missing_x = "mean")))
  calls <- array(c("0/0", "0|2", "2/1")[d$x + 1], dim(d$x))
  several <- write_vcf(d$x, tempfile(fileext = ".vcf"), alt = rep("C,G", 6), calls = calls)
  expect_identical(coef(fit(several)), coef(from_matrix))
})

test_that("files of other formats are refused with what to do", {
  d <- small()
  fit <- function(x) mmash(x, d$y, small_prior)
  expect_error(fit("chr1.bgen"), "'x' must be a .bed or .vcf file.*plink2 --bgen chr1.bgen")
  expect_error(fit("a.pgen"), "plink2 --pfile a --make-bed")
  expect_error(fit("a.bcf"), "plink2 --bcf a.bcf")
  expect_error(fit("no_such.vcf.gz"),
               "'x' must be a VCF file; got \"no_such.vcf.gz\", which is not")
  expect_error(fit(c("a.bed", "b.bed")), "'x' must be the path of one file")
  skip_if_not_installed("VariantAnnotation")
  empty <- tempfile(fileext = ".vcf")
  file.create(empty)
  expect_error(fit(empty), "'x' must be a VCF file; got '.*', which cannot be read")
})

test_that("sparse genotypes are read where they are", {
  set.seed(12)
  x <- matrix(stats::rbinom(50 * 40, 1, .05) * sample(c(1, 2, -3), 2000, TRUE), 50)
  y <- x[, 3] + matrix(stats::rnorm(100), 50)
  sparse <- Matrix::Matrix(replace(x, 7, NA), sparse = TRUE)
  for (standardize in c(TRUE, FALSE)) {
    fit <- function(x) {
      quiet_mmash(x, y, small_prior, standardize = standardize, missing_x = "mean", seed = 1)
    }
    expect_equal(coef(fit(sparse)), coef(fit(replace(x, 7, NA))), tolerance = 1e-10)
  }
  expect_equal(predict(fit(sparse), sparse), predict(fit(x), replace(x, 7, mean(x[-7, 1]))),
               tolerance = .2)
})

test_that("two bits, bytes, sparse columns and doubles give the same bits, covariates or not", {
  set.seed(13)
  age <- stats::rnorm(51)
  x <- matrix(stats::rbinom(51 * 40, 2, .3), 51,
              dimnames = list(paste0("s", 1:51), paste0("v", 1:40)))
  y <- x[, 3] + matrix(stats::rnorm(102), 51)
  bed <- write_bed(x, tempfile())
  for (standardize in c(TRUE, FALSE)) {
    for (covariates in list(NULL, age)) {
      fit <- function(x) {
        quiet_mmash(x, y, small_prior, standardize = standardize, covariates = covariates, seed = 1)
      }
      doubles <- coef(fit(x + 0))
      for (form in list(x, bed, Matrix::Matrix(x, sparse = TRUE))) {
        expect_identical(coef(fit(form)), doubles)
      }
    }
  }
})
