# Data that come again: experiments, counts of the fit, tables; and what belongs to which name.

pbmc <- pbmc_cells$counts

experiment <- function(cells = 200) {
  set.seed(1)
  counts <- matrix(rpois(2 * cells, c(1, 10)), 2,
                   dimnames = list(c("lo", "hi"), paste0("c", seq_len(cells))))
  out <- SingleCellExperiment::SingleCellExperiment(list(counts = counts))
  SingleCellExperiment::sizeFactors(out) <- exp(rnorm(cells, 0, .3))
  out
}

test_that("results are written to the genes and cells that they are of", {
  skip_if_not_installed("SingleCellExperiment")
  sce <- experiment()
  fit <- nbmix(sce, k = 1, seed = 1)
  means <- function(x) SummarizedExperiment::rowData(add_results(x, fit))$nbmix_mean_1
  expect_identical(means(sce[2:1, ]), rev(means(sce)))
  expect_identical(means(sce[2, ]), means(sce)[2])
  other <- sce
  rownames(other) <- c("lo", "new")
  expect_error(add_results(other, fit), "\"new\", which the fit does not know")
  bare <- sce
  rownames(bare) <- NULL
  expect_error(add_results(bare, fit), "without names")
  expect_error(add_results(sce, fit[["lo"]]), "'fit' must be of all genes of 'se'")
  fit <- nbmix(bare, k = 1, seed = 1)
  expect_identical(means(bare), means(sce))
  expect_error(add_results(bare[1, ], fit), "'se' must be the experiment of the fit")
})

test_that("results of clusters are written to the cells that they are of", {
  skip_if_not_installed("SingleCellExperiment")
  sce <- experiment(60)
  set.seed(2)
  space <- cbind(rep(c(0, 8), 30) + rnorm(60), rnorm(60))
  SingleCellExperiment::reducedDim(sce, "PCA") <- space
  for (named in c(TRUE, FALSE)) {
    if (!named) colnames(sce) <- NULL
    fit <- cwm(sce, k = 2, seed = 1)
    cluster <- SummarizedExperiment::colData(add_results(sce, fit))$cwm_cluster
    expect_identical(cluster, unname(clusters(fit)))
    if (!named) next
    expect_identical(SummarizedExperiment::colData(add_results(sce[, 60:1], fit))$cwm_cluster,
                     rev(cluster))
  }
})

test_that("an experiment is predicted with its own size factors, cells found by name", {
  skip_if_not_installed("SingleCellExperiment")
  sce <- experiment()
  fit <- nbmix(sce, k = 1, seed = 1)
  density <- function(x, ...) predict(fit, x, type = "density", ...)
  all <- density(sce)
  counts <- SingleCellExperiment::counts(sce)
  expect_identical(density(sce[, 200:1]), all[, 200:1])
  expect_identical(density(sce[, 1:50]), all[, 1:50])
  expect_identical(density(counts[, 5:1]), all[, 5:1])
  expect_identical(predict(fit, type = "density"), all)
  sce$mine <- 2 * SingleCellExperiment::sizeFactors(sce)
  expect_identical(density(sce, size_factors = "mine"),
                   density(counts, size_factors = sce$mine))
  expect_error(density(sce, size_factors = "none"), "'size_factors' must be")
  expect_error(density(unname(counts[, 1:50])), "'size_factors' must be given for cells")
  expect_error(predict(fit, size_factors = 3), "'size_factors' must be left out unless 'newdata'")
  expect_error(predict(fit, counts, assay = "counts"), "'assay' must be NULL unless")
})

test_that("an experiment is predicted from the assay that was fitted", {
  skip_if_not_installed("SummarizedExperiment")
  m <- as.matrix(pbmc[1:3, 1:300])
  for (names in list(c("counts", "b"), c("a", "b"))) {
    se <- SummarizedExperiment::SummarizedExperiment(
      stats::setNames(list(m * 0 + 1, m), names))
    fit <- nbmix(se, assay = "b", k = 1, seed = 1)
    expected <- predict(fit, m, type = "density")
    expect_identical(predict(fit, type = "density"), expected)
    expect_identical(predict(fit, se, type = "density"), expected)
    expect_identical(predict(fit, se, type = "density", assay = names[1]),
                     predict(fit, m * 0 + 1, type = "density"))
    expect_identical(resume(fit, 10)$estimate, fit$estimate)
  }
})

test_that("augment() finds the column that was fitted, and no other data are taken for it", {
  quine <- MASS::quine
  fit <- nbmix(quine$Days, k = 2, seed = 1)
  expect_equal(augment(fit, quine)$.resid, unname(quine$Days - fitted(fit)))
  table <- data.frame(id = seq_len(146), Days = quine$Days)
  expect_identical(augment(fit, table)$.resid, augment(fit, quine$Days)$.resid)
  expect_error(augment(fit, table["id"]), "'data' must be the data of the fit")
  expect_error(residuals(fit, data = rev(quine$Days)), "got other data")
  expect_error(augment(fit, rev(quine$Days)), "got other data")
  expect_silent(residuals(fit, data = as.double(quine$Days)))
  genes <- nbmix(pbmc[1:2, 1:300], k = 1:2, seed = 1)
  gene <- genes[[rownames(pbmc)[1]]]
  x <- as.vector(pbmc[1, 1:300])
  expect_length(residuals(gene, data = x), 300)
  expect_error(residuals(gene, data = as.vector(pbmc[2, 1:300])), "counts of gene")
  skip_if_not_installed("loo")
  chains <- suppressWarnings(nbmix(quine$Days, method = "gibbs", seed = 1,
                                   control = gibbs_control(chains = 2, iterations = 40)))
  expect_error(loo::loo(chains, data = rev(quine$Days)), "got other data")
})

test_that("tables and matrices with a class of their own are genes by cells", {
  set.seed(1)
  table <- xtabs(~ gene + cell, data.frame(gene = rep(c("A", "B"), c(30, 60)),
                                           cell = sample(20, 90, TRUE)))
  plain <- matrix(as.double(table), 2, dimnames = unname(dimnames(table)))
  fit <- nbmix(table, k = 1, seed = 1)
  expect_identical(fit$units$gene, c("A", "B"))
  expect_identical(fit$estimate, nbmix(plain, k = 1, seed = 1)$estimate)
  own <- structure(plain, class = "myclass")
  expect_identical(nbmix(own, k = 1, seed = 1)$estimate, fit$estimate)
})

test_that("logical matrices are refused in every storage", {
  m <- as.matrix(pbmc[1:3, 1:50]) > 0
  expect_error(nbmix(m), "mode logical")
  expect_error(nbmix(Matrix::Matrix(m, sparse = TRUE)), "mode logical")
  skip_if_not_installed("DelayedArray")
  expect_error(nbmix(DelayedArray::DelayedArray(m)), "mode logical")
})

test_that("one column of counts is said to be genes in one cell", {
  expect_warning(nbmix(MASS::quine["Days"], k = 1), "146 genes in one cell; if it is one gene")
})

test_that("size factors by total leave out the genes that hold no counts", {
  m <- rbind(as.matrix(pbmc[1:20, 1:100]), bad = c(NA, -1, rep(1, 98)))
  m[1, ] <- m[1, ] + 1
  fit <- nbmix(m, k = 1, size_factors = "total", seed = 1)
  expect_identical(fit$units$status[21], "invalid")
  expect_equal(fit$size_factors, unname(colSums(m[-21, ]) / mean(colSums(m[-21, ]))))
})

test_that("a gene cannot be taken twice", {
  fit <- nbmix(pbmc[1:4, 1:200], k = 1, seed = 1)
  expect_error(fit[c(1, 2, 1)], "each once; got \"LINC00115\" twice")
})

test_that("fits of many genes by other engines count their observations and show their objective", {
  m <- pbmc[1:3, 1:100]
  expect_identical(nobs(nbmix(m, k = 1, method = "vb", seed = 1)), 300L)
  control <- gibbs_control(chains = 2, iterations = 40)
  fit <- suppressWarnings(nbmix(m, k = 1, method = "gibbs", control = control, seed = 1))
  expect_equal(nobs(fit), 300)
  expect_true(all(is.finite(glance(fit)$objective)))
  expect_true(all(is.finite(objective(fit)$value)))
})

test_that("a gene that was not fitted has no fitted values", {
  m <- rbind(a = c(-1, 2, 3, 4), b = 1:4)
  gene <- nbmix(m, k = 1, seed = 1)[["a"]]
  expect_identical(as.vector(fitted(gene)), rep(NA_real_, 4))
  expect_identical(augment(gene, m["a", ])$.resid, rep(NA_real_, 4))
  expect_identical(unname(residuals(gene, "quantile", data = m["a", ])), rep(NA_real_, 4))
})

test_that("genes are predicted in any order and from every storage", {
  m <- pbmc[c(1:30), 1:400]
  fit <- nbmix(m, k = 1:2, seed = 1)
  all <- predict(fit, m, type = "density")
  expect_identical(predict(fit, m[30:1, ], type = "density"), all)
  expect_identical(predict(fit, as.matrix(m), type = "density"), all)
  expect_identical(predict(fit[c(7, 3)], m[7:1, ], type = "density"), all[c(7, 3), ])
  expect_identical(predict(fit[[rownames(m)[3]]], m[3, ], type = "density"), all[3, ])
  skip_if_not_installed("DelayedArray")
  expect_identical(predict(fit, DelayedArray::DelayedArray(m), type = "density"), all)
  expect_error(local({
    op <- options(mixology.max_memory = 1000)
    on.exit(options(op))
    predict(fit, m)
  }), "the result would take")
})
