# The data of a fit are known again whatever object they come in, and others are not.

known_counts <- function() {
  set.seed(51)
  x <- matrix(rnbinom(8 * 60, size = 2, mu = 6), 8,
              dimnames = list(paste0("g", 1:8), paste0("c", 1:60)))
  list(x = x, fit = nbmix(x, k = 1:2, seed = 1))
}

test_that("equal counts are the data of the fit in every storage", {
  d <- known_counts()
  r <- residuals(d$fit, data = d$x)
  expect_identical(residuals(d$fit, data = matrix(as.integer(d$x), 8, dimnames = dimnames(d$x))), r)
  expect_identical(residuals(d$fit, data = as.data.frame(d$x)), r)
  expect_identical(residuals(d$fit, data = methods::as(d$x, "dgCMatrix")), r)
  skip_if_not_installed("DelayedArray")
  expect_identical(residuals(d$fit, data = DelayedArray::DelayedArray(d$x)), r)
})

test_that("other counts, genes or cells are not, and are refused before anything runs", {
  d <- known_counts()
  changed <- d$x
  changed["g8", 60] <- changed["g8", 60] + 1L
  moved <- d$x[, c(2, 1, 3:60)]
  other <- `rownames<-`(d$x, rev(rownames(d$x)))
  wider <- cbind(d$x, 0)
  for (data in list(changed, moved, other, wider, d$x[, -60], d$x[-1, ], "a")) {
    expect_error(residuals(d$fit, data = data), "'data' must be the data of the fit")
    expect_error(resume(d$fit, 10, data = data), "the data are not those of the fit")
  }
})

test_that("an experiment is the data of the fit after it has taken the results", {
  skip_if_not_installed("SingleCellExperiment")
  d <- known_counts()
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = d$x))
  fit <- nbmix(sce, k = 1:2, seed = 1)
  before <- list(residuals(fit), predict(fit))
  sce <- add_results(sce, fit)
  expect_identical(list(residuals(fit), predict(fit)), before)
  expect_identical(residuals(fit, data = sce), before[[1]])
  expect_identical(residuals(fit, data = SingleCellExperiment::counts(sce)), before[[1]])
  longer <- resume(fit, 100)
  expect_identical(longer$estimate, fit$estimate)
  expect_identical(resume(fit["g3"], 10)$estimate, fit["g3"]$estimate)
})

test_that("one gene of many finds its counts in all of them, in its row and in an experiment", {
  d <- known_counts()
  one <- d$fit[["g3"]]
  r <- residuals(one, data = d$x["g3", ])
  expect_identical(residuals(one, data = d$x), r)
  expect_identical(residuals(one, data = d$x["g3", , drop = FALSE]), r)
  expect_error(residuals(one, data = d$x["g4", ]), "must be the 60 counts of gene g3")
  skip_if_not_installed("SingleCellExperiment")
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = d$x))
  expect_identical(residuals(one, data = sce), r)
  expect_identical(residuals(one, data = sce["g3", ]), r)
  expect_identical(augment(one, sce["g3", ]), augment(one, unname(d$x["g3", ])))
  expect_identical(augment(one, sce)$.resid, unname(r))
  expect_error(augment(one, sce["g4", ]), "must be the 60 counts of gene g3")
})

test_that("a stopped fit goes on with data of which it had not read all", {
  skip_if_not_installed("DelayedArray")
  d <- known_counts()
  x <- DelayedArray::DelayedArray(d$x)
  stopped <- suppressWarnings(nbmix(x, k = 1:2, seed = 1,
                                    control = em_control(time_limit = 1e-9)))
  expect_true("stopped" %in% glance(stopped)$status)
  expect_identical(resume(stopped, 5000)$estimate, d$fit$estimate)
  expect_error(resume(stopped, 10, data = d$x[-1, ]), "the data are not those of the fit")
})

test_that("a checkpoint knows an experiment that has more columns by now", {
  skip_if_not_installed("SingleCellExperiment")
  d <- known_counts()
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = d$x))
  file <- tempfile(fileext = ".rds")
  fit <- nbmix(sce, k = 1:2, seed = 1, control = em_control(checkpoint = file))
  sce <- add_results(sce, fit)
  again <- nbmix(sce, k = 1:2, seed = 1, control = em_control(start = readRDS(file)))
  expect_identical(again$estimate, fit$estimate)
  SingleCellExperiment::counts(sce)["g1", 1] <- 99
  expect_error(nbmix(sce, k = 1:2, seed = 1, control = em_control(start = readRDS(file))),
               "other 'data'")
})

test_that("64-bit integers are numbers", {
  skip_if_not_installed("bit64")
  x <- c(0, 3, 1, 0, 2, 1, 31, 44, 38, 52, 29, 40)
  wide <- bit64::as.integer64(x)
  fit <- nbmix(x, k = 2, size_factors = rep(1:2, 6), seed = 1)
  long <- nbmix(wide, k = 2, size_factors = bit64::as.integer64(rep(1:2, 6)), seed = 1)
  expect_identical(long$estimate, fit$estimate)
  expect_identical(residuals(long, data = wide), residuals(fit, data = x))
  expect_identical(predict(fit, newdata = wide, size_factors = 1),
                   predict(fit, newdata = x, size_factors = 1))
  frame <- data.frame(a = x, b = rev(x))
  wide_frame <- data.frame(a = wide, b = rev(wide))
  expect_identical(nbmix(wide_frame, seed = 1)$estimate, nbmix(frame, seed = 1)$estimate)
})
