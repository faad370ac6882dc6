# Fits of many genes: every storage gives the same answer, every gene a status, nothing is lost.

some_counts <- function(genes = 12, cells = 150) {
  set.seed(30)
  s <- exp(rnorm(cells, 0, 0.4))
  means <- exp(seq(log(0.05), log(20), length.out = genes))
  x <- t(vapply(means, function(m) rnbinom(cells, mu = s * m, size = 3), numeric(cells)))
  dimnames(x) <- list(paste0("g", seq_len(genes)), paste0("c", seq_len(cells)))
  list(x = x, s = s)
}

same_table <- function(a, b) {
  expect_equal(tidy(a), tidy(b), tolerance = 1e-10)
  drop <- function(fit) glance(fit)[setdiff(names(glance(fit)), "seconds")]
  expect_equal(drop(a), drop(b), tolerance = 1e-10)
}

test_that("matrix, integer matrix, data frame, sparse and delayed input give the same fit", {
  d <- some_counts()
  fit <- function(x) nbmix(x, k = 1:2, size_factors = d$s, seed = 1)
  dense <- fit(d$x)
  sparse <- Matrix::Matrix(d$x, sparse = TRUE)
  same_table(dense, fit(methods::as(sparse, "CsparseMatrix")))
  same_table(dense, fit(matrix(as.integer(d$x), nrow(d$x), dimnames = dimnames(d$x))))
  same_table(dense, fit(as.data.frame(d$x)))
  skip_if_not_installed("DelayedArray")
  same_table(dense, fit(DelayedArray::DelayedArray(d$x)))
})

test_that("experiments bring their size factors and take the results back", {
  skip_if_not_installed("SingleCellExperiment")
  d <- some_counts(4)
  sce <- SingleCellExperiment::SingleCellExperiment(list(counts = d$x))
  SingleCellExperiment::sizeFactors(sce) <- d$s
  sce$mine <- d$s
  fit <- nbmix(sce, k = 1:2, seed = 1)
  same_table(fit, nbmix(d$x, k = 1:2, size_factors = d$s, seed = 1))
  same_table(fit, nbmix(sce, k = 1:2, size_factors = "mine", seed = 1))
  expect_error(nbmix(sce, size_factors = "mien"), "mine")
  expect_error(nbmix(sce, assay = "logcounts"), "'assay' must be")
  out <- add_results(sce, fit)
  row <- SummarizedExperiment::rowData(out)
  expect_equal(row$nbmix_k, glance(fit)$k)
  expect_equal(row$nbmix_mean_1, subset(tidy(fit), component == 1 & term == "mean")$estimate)
})

test_that("each gene is fitted as it would be alone, whatever the threads or blocks", {
  d <- some_counts()
  all <- nbmix(d$x, k = 1:2, size_factors = d$s, seed = 1, threads = 2)
  same_table(all, nbmix(d$x, k = 1:2, size_factors = d$s, seed = 1, threads = 1))
  table <- tidy(all)
  for (g in c("g1", "g7", "g12")) {
    alone <- nbmix(d$x[g, ], k = 1:2, size_factors = d$s, seed = 1)
    mine <- table[table$gene == g, ]
    expect_equal(as.numeric(logLik(alone)), glance(all)$logLik[glance(all)$gene == g],
                 tolerance = 1e-7)
    expect_equal(tidy(alone)$estimate, mine$estimate, tolerance = 1e-4)
  }
  expect_equal(attr(logLik(all), "df"), sum(glance(all)$df))
})

test_that("a fit of many genes is subset by name, position and double bracket", {
  d <- some_counts()
  fit <- nbmix(d$x, k = 1:2, size_factors = d$s, seed = 1)
  part <- fit[c("g9", "g2")]
  expect_identical(glance(part)$gene, c("g9", "g2"))
  expect_equal(subset(tidy(part), gene == "g2"), subset(tidy(fit), gene == "g2"),
               ignore_attr = TRUE)
  one <- fit[["g9"]]
  expect_s3_class(one, "nbmix_em")
  expect_equal(tidy(one)$estimate, subset(tidy(fit), gene == "g9")$estimate)
  expect_equal(tidy(one)$std.error, subset(tidy(fit), gene == "g9")$std.error)
  expect_equal(unname(rowSums(responsibilities(one))), rep(1, ncol(d$x)))
  expect_identical(names(clusters(one)), colnames(d$x))
  expect_equal(unname(predict(fit, newdata = d$x, type = "cluster")["g9", ]),
               unname(clusters(one)))
  expect_equal(predict(fit, newdata = d$x, type = "prob")$g9, responsibilities(one))
  density <- predict(fit, newdata = d$x, type = "density")
  expect_equal(sum(log(density)), as.numeric(logLik(fit)), tolerance = 1e-8)
  expect_identical(fit[[9]], one)
  expect_identical(fit$units$gene[9], "g9")
  for (i in list(0, -1, 1.5, TRUE)) expect_error(fit[[i]], "the name or the position of one gene")
  expect_error(fit[[13]], "out of range")
  expect_identical(lapply(fit, class)$method, "character")
  expect_error(fit["nobody"], "'i' must be")
  expect_error(clusters(fit), "newdata")
  expect_true(is.matrix(vcov(one)))
})

test_that("genes that cannot be fitted keep a row that says why", {
  d <- some_counts(6)
  x <- d$x
  x["g1", ] <- 0
  x["g2", ] <- 3
  x["g3", 5] <- NA
  x["g4", 6] <- -1
  x["g5", 7] <- 0.5
  fit <- nbmix(x, k = 1:2, size_factors = d$s, seed = 1)
  one <- glance(fit)
  expect_identical(one$status, c("all_zero", "ok", rep("invalid", 3), "ok"))
  expect_identical(one$method, rep("em", 6))
  same_size <- glance(nbmix(x[c("g1", "g2", "g6"), ], k = 1:2, seed = 1))
  expect_identical(same_size$status, c("all_zero", "one_value", "ok"))
  expect_match(fit$messages[["g3"]], "NA in cell 5")
  expect_match(fit$messages[["g4"]], "-1 in cell 6")
  expect_match(fit$messages[["g5"]], "0.5 in cell 7")
  expect_false(any(c("g3", "g4", "g5") %in% tidy(fit)$gene))
  expect_true(all(is.finite(tidy(fit)$estimate)))
  expect_output(print(fit), "3 invalid")
  x["g6", 1] <- Inf
  expect_warning(alone <- nbmix(x[6, , drop = FALSE]), "nothing was fitted")
  expect_identical(glance(alone)$status, "invalid")
  expect_equal(nrow(fit["g3"]$units), 1L)
  expect_output(print(fit[["g3"]]), "not fitted")
})

test_that("a climb of many genes goes on as if it had never stopped", {
  d <- some_counts(4)
  fit <- function(n) {
    suppressWarnings(nbmix(d$x, k = 2, seed = 1, control = em_control(
      max_iterations = n, restarts = 1, short_iterations = 1, accelerate = FALSE)))
  }
  short <- fit(20)
  expect_false(short$convergence$converged)
  same_table(suppressWarnings(resume(short, 15)), fit(35))
})

test_that("the quadrature of the zeros agrees with the full sum", {
  set.seed(31)
  cells <- 2000
  s <- exp(rnorm(cells, 0, 0.6))
  d <- simulate_nbmix(cells, c(0.9, 0.1), c(0.02, 0.9), c(0, 0.5), s)
  fit <- nbmix(d$x, k = 2, size_factors = s, seed = 1)
  theta <- oracle_nb_theta(unname(fit$estimate$weight), unname(fit$estimate$mean),
                           unname(fit$estimate$dispersion))
  full <- oracle_nb_log_likelihood(d$x, s, theta)
  expect_equal(as.numeric(logLik(fit)), full, tolerance = 1e-12)
  expect_equal(utils::tail(objective(fit)$value, 1), full, tolerance = 1e-9)
  reference <- oracle_nb_mle(d$x, s, 2, starts = list(theta))
  expect_gte(as.numeric(logLik(fit)), reference$log_likelihood - 1e-6)
})

test_that("VB and Gibbs fit matrices too", {
  d <- some_counts(3, 60)
  vb <- nbmix(d$x, k = 2, size_factors = d$s, method = "vb", seed = 1)
  expect_true(all(glance(vb)$converged))
  expect_identical(glance(vb)$k, rep(2L, 3))
  control <- gibbs_control(chains = 2, iterations = 100)
  gibbs <- suppressWarnings(nbmix(d$x, k = 1, size_factors = d$s, method = "gibbs", seed = 1,
                                  control = control))
  expect_equal(nrow(tidy(gibbs)), 9L)
  expect_true(all(is.finite(tidy(gibbs)$std.error[tidy(gibbs)$term != "weight"])))
})

test_that("the packaged blood cells: modes of the markers are the sorted cell types", {
  markers <- c("MS4A1", "CD79A", "LYZ", "NKG7", "CD3D")
  counts <- pbmc_cells$counts[markers, ]
  fit <- nbmix(counts, k = 2, size_factors = pbmc_cells$cells$size_factor, seed = 1)
  expect_true(all(glance(fit)$status == "ok"))
  type <- as.character(pbmc_cells$cells$subpopulation)
  high <- vapply(markers, function(g) {
    e <- fit[[g]]$estimate
    unname(clusters(fit[[g]])) == which.max(e$mean)
  }, logical(ncol(counts)))
  share <- function(gene, group) mean(type[high[, gene]] == group)
  expect_gt(share("MS4A1", "B cell"), 0.9)
  expect_gt(share("CD79A", "B cell"), 0.9)
  caught <- function(gene, group) mean(high[type == group, gene])
  expect_gt(share("NKG7", "NK cell"), 0.8)
  expect_gt(share("CD3D", "T cell"), 0.95)
  expect_gt(caught("CD79A", "B cell"), 0.9)
  expect_gt(caught("NKG7", "NK cell"), 0.95)
  expect_gt(caught("LYZ", "CD14+"), 0.7)
})

test_that("many genes start from an earlier fit by name, or from labels of the cells", {
  counts <- pbmc_cells$counts[1:12, ]
  first <- nbmix(counts, k = 2, seed = 1)
  again <- nbmix(counts[12:1, ], seed = 2, control = em_control(start = first))
  expect_true(all(again$units$k == 2))
  at <- match(first$units$gene, again$units$gene)
  expect_true(all(again$units$logLik[at] >= first$units$logLik - 1e-6))
  labels <- rep(c("T cell", "other"), length.out = ncol(counts))
  for (start in list(labels, factor(labels))) {
    fit <- nbmix(counts, seed = 1, control = em_control(start = start))
    expect_true(all(fit$units$k == 2))
  }
  x <- as.numeric(counts[5, ])
  expect_identical(nbmix(x, seed = 1, control = em_control(start = labels))$k, 2L)
  expect_error(nbmix(x, k = 3, control = em_control(start = labels)), "labels of k = 3 components")
})

test_that("every kind of back end is handed all items, and what comes back keeps their order", {
  skip_if_not_installed("BiocParallel")
  for (back_end in list(BiocParallel::SerialParam(), BiocParallel::MulticoreParam(2))) {
    sent <- 0
    got <- NULL
    following <- function() if (sent < 11) sent <<- sent + 1
    double <- function(item, common, stop_sign = NULL) common * item
    mixology:::stream_items(following, double, 2, function(result) got <<- c(got, result), back_end)
    expect_equal(got, 2 * 1:11)
  }
})

test_that("one of many genes is drawn with its counts, which its call finds or the user gives", {
  set.seed(2)
  x <- matrix(rnbinom(300 * 2000, 1, mu = 3), 300, dimnames = list(paste0("g", 1:300), NULL))
  fit <- nbmix(x, k = 1, seed = 1)
  one <- fit[["g3"]]
  expect_null(one$histogram)
  for (type in c("histogram", "rootogram")) {
    expect_s3_class(autoplot(one, type = type), "ggplot")
  }
  bars <- autoplot(one, data = x["g3", ])$data
  expect_equal(sum(bars$observed), 2000)
  expect_error(autoplot(one, data = x["g4", ]), "'data' must be the 2000 counts of gene g3")
  expect_error(clusters(one), "predict\\(fit, type = \"cluster\"\\)")
  expect_error(responsibilities(one), "predict\\(fit, type = \"prob\"\\)")
})
