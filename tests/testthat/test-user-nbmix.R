# What a demanding user does with fits of one gene and of many.

user_counts <- function(genes = 30, cells = 80) {
  with_seed <- function(expr) {
    set.seed(21)
    expr
  }
  with_seed({
    s <- exp(rnorm(cells, 0, 0.4))
    x <- t(vapply(seq_len(genes), function(g) {
      high <- rbinom(cells, 1, 0.4)
      as.double(rnbinom(cells, mu = s * c(1 + g / 4, 6 + g)[high + 1], size = 3))
    }, numeric(cells)))
  })
  dimnames(x) <- list(paste0("gene_", seq_len(genes)), paste0("cell_", seq_len(cells)))
  list(x = x, s = s)
}

same_fit <- function(a, b) {
  expect_identical(a$estimate, b$estimate)
  timeless <- setdiff(names(a$units), "seconds")
  expect_identical(a$units[timeless], b$units[timeless])
  expect_identical(a$covariance, b$covariance)
  expect_identical(a$posterior, b$posterior)
}

test_that("a field of a fit is had by its full name alone", {
  data <- user_counts(3)
  fit <- nbmix(data$x, k = 1:2, seed = 1)
  expect_null(fit$k)
  expect_null(fit$uni)
  expect_s3_class(fit$units, "data.frame")
})

test_that("back ends of BiocParallel give the answer of this process", {
  skip_if_not_installed("BiocParallel")
  data <- user_counts()
  short <- gibbs_control(chains = 2, iterations = 40)
  for (method in c("em", "vb", "gibbs")) {
    control <- if (method == "gibbs") short
    fit <- function(...) {
      suppressWarnings(nbmix(data$x, k = 2, size_factors = data$s, method = method, seed = 4,
                             control = control, ...))
    }
    same_fit(fit(BPPARAM = BiocParallel::SerialParam()), fit())
  }
  skip_on_os("windows")
  few <- nbmix(data$x, k = 1:2, seed = 4)
  same_fit(nbmix(data$x, k = 1:2, seed = 4, BPPARAM = BiocParallel::MulticoreParam(2)), few)
  sparse <- methods::as(data$x, "dgCMatrix")
  same_fit(nbmix(sparse, k = 1:2, seed = 4, BPPARAM = BiocParallel::MulticoreParam(2)), few)
  snow <- BiocParallel::SnowParam(2)
  same_fit(nbmix(sparse, k = 1:2, seed = 4, BPPARAM = snow), few)
  expect_error(nbmix(data$x, BPPARAM = 2), "'BPPARAM' must be NULL or a back end of BiocParallel")
})

test_that("an interrupt on the way back from workers costs the blocks that are not there yet", {
  skip_if_not_installed("BiocParallel")
  for (back_end in list(BiocParallel::SerialParam(), BiocParallel::MulticoreParam(2))) {
    sent <- 0
    seen <- NULL
    following <- function() {
      sent <<- sent + 1
      if (sent <= 3) sent
    }
    collect <- function(result) {
      seen <<- c(seen, result)
      if (result == 20) rlang::interrupt()
    }
    task <- function(item, common, stop_sign = NULL) common * item
    mixology:::stream_items(following, task, 10, collect, back_end)
    expect_identical(seen, c(10, 20))
  }
})

test_that("once stopped, the blocks that follow are not begun", {
  data <- user_counts()
  source <- mixology:::count_source(methods::as(data$x, "dgCMatrix"), "nbmix")
  expect_gt(nrow(mixology:::source_blocks(source)), 4)
  run <- mixology:::block_run("nbmix", 30, Inf, FALSE)
  expect_true(run$going())
  run$stop()
  expect_false(run$going())
  fit <- suppressWarnings(nbmix(methods::as(data$x, "dgCMatrix"), k = 2, seed = 1,
                                control = em_control(time_limit = 1e-9)))
  expect_true(all(glance(fit)$status == "stopped"))
  expect_identical(fit$convergence$status, "units")
})

test_that("a file that goes away costs the genes that were not read yet, and no others", {
  data <- user_counts()
  source <- mixology:::count_source(data$x, "nbmix")
  read <- source$read
  source$block <- 10L
  source$read <- function(first, last) {
    if (first > 15) stop("the file is gone") else read(first, last)
  }
  inputs <- mixology:::nbmix_bridge(source, NULL, 2, "em", FALSE, FALSE, "BIC", NULL, NULL, 1, 1,
                                    FALSE, NULL)
  fit <- suppressWarnings(mixology:::nbmix_fit(inputs, data$x, quote(nbmix(x))))
  whole <- nbmix(data$x, k = 2, seed = 1)
  expect_identical(glance(fit)$status, c(glance(whole)$status[1:20], rep("not_read", 10)))
  expect_identical(glance(fit)$logLik[1:20], glance(whole)$logLik[1:20])
  expect_output(print(fit[["gene_25"]]), "the file is gone")
  expect_match(fit$convergence$reason, "10 of 30 genes, 10 of them not read: the file is gone")
  source$read <- function(first, last) stop("the file is gone")
  inputs$source <- source
  expect_error(mixology:::nbmix_fit(inputs, data$x, quote(nbmix(x))), "the file is gone")
})

test_that("a missing HDF5 file is named", {
  skip_if_not_installed("HDF5Array")
  file <- tempfile(fileext = ".h5")
  x <- HDF5Array::writeHDF5Array(user_counts(3)$x, file, "counts", with.dimnames = TRUE)
  unlink(file)
  expect_error(nbmix(x), "^nbmix: 'x' cannot be read: .*try again when its file is back")
})

test_that("genes of one name, or of none, are kept apart", {
  data <- user_counts(6)
  fit <- nbmix(data$x, k = 1:2, seed = 1)
  rownames(data$x) <- c("A", "B", "A", NA, "", "A")
  twice <- nbmix(data$x, k = 1:2, seed = 1)
  expect_identical(glance(twice)$gene, c("A", "B", "A.1", "gene", "gene.1", "A.2"))
  expect_identical(tidy(twice)[-1], tidy(fit)[-1])
  expect_identical(twice[["A.2"]]$estimate, fit[["gene_6"]]$estimate)
})

test_that("update() and resume() of some of the genes give back these genes", {
  data <- user_counts(6)
  x <- data$x
  fit <- nbmix(x, k = 2, seed = 1)
  other <- update(fit[c("gene_2", "gene_5")], k = 1)
  expect_identical(glance(other)$gene, c("gene_2", "gene_5"))
  expect_identical(glance(other)$k, c(1L, 1L))
  one <- update(fit[["gene_3"]], k = 1)
  expect_identical(one$gene, "gene_3")
  expect_equal(one$k, 1)
  short <- suppressWarnings(nbmix(x, k = 1:2, seed = 1, control = em_control(max_iterations = 2)))
  long <- suppressWarnings(nbmix(x, k = 1:2, seed = 1, control = em_control(max_iterations = 5)))
  same_fit(suppressWarnings(resume(short, 3)), long)
  part <- suppressWarnings(resume(short[["gene_4"]], 3))
  expect_identical(part$estimate, long[["gene_4"]]$estimate)
})

test_that("update() of some of the genes fits no others", {
  data <- user_counts(6)
  x <- data$x
  file <- tempfile(fileext = ".rds")
  fit <- nbmix(x, k = 2, seed = 1, control = list(restarts = 3, checkpoint = file))
  blocks <- function() unname(as.list(readRDS(file)$pieces$blocks))
  expect_identical(blocks(), list(1L, 6L))
  one <- update(fit[["gene_3"]], k = 1:2)
  expect_identical(blocks(), list(3L, 3L))
  expect_identical(one$call$control, fit$call$control)
  expect_identical(one$control$restarts, 3L)
  all <- nbmix(x, k = 1:2, seed = 1, control = list(restarts = 3))
  expect_identical(one$estimate, all[["gene_3"]]$estimate)
  expect_identical(update(fit[c("gene_5", "gene_2")])$units$gene, c("gene_5", "gene_2"))
  expect_identical(blocks(), list(c(2L, 5L), c(2L, 5L)))
  expect_identical(update(fit[["gene_3"]], method = "vb", control = NULL)$method, "vb")
})

test_that("a gene is had by its name also where a field of the fit has it", {
  data <- user_counts(6)
  rownames(data$x) <- c("call", "estimate", "units", "control", "model", "k")
  x <- data$x
  fit <- nbmix(x, k = 1, seed = 1)
  plain <- nbmix(unname(x), k = 1, seed = 1)
  for (i in seq_len(nrow(x))) {
    one <- fit[[rownames(x)[i]]]
    expect_identical(one$gene, rownames(x)[i])
    expect_identical(one$estimate, plain[[paste0("gene", i)]]$estimate)
  }
  expect_identical(fit$model, "nbmix")
  expect_identical(stats::getCall(fit), fit$call)
  expect_identical(glance(update(fit, k = 2))$k, rep(2L, 6))
  expect_output(print(fit), "6 genes")
  expect_identical(tidy(fit)[-1], tidy(plain)[-1])
})

test_that("a gene that could not be fitted still answers", {
  data <- user_counts(4)
  data$x[2, 3] <- -1
  fit <- nbmix(data$x, k = 1:2, seed = 1)
  bad <- fit[["gene_2"]]
  expect_output(print(bad), "-1 in cell 3")
  expect_named(tidy(bad, conf.int = TRUE),
               c("gene", "component", "term", "estimate", "std.error", "conf.low", "conf.high"))
  expect_error(autoplot(bad), "not fitted")
  expect_output(print(fit), "3 ok|1 invalid")
})

test_that("predict() without new counts and residuals() are as lm users expect", {
  set.seed(3)
  x <- c(rpois(60, 2), rpois(40, 30))
  names(x) <- paste0("cell", seq_along(x))
  fit <- nbmix(x, k = 2, seed = 1)
  expect_identical(predict(fit), clusters(fit))
  expect_identical(predict(fit, type = "prob"), responsibilities(fit))
  expect_equal(predict(fit, type = "density"), predict(fit, newdata = x, type = "density"))
  expect_equal(residuals(fit), x - fitted(fit))
  frame <- augment(fit, data.frame(count = x))
  expect_equal(frame$.resid, frame$count - frame$.fitted)
  expect_error(residuals(fit, data = x[1:5]), "'data' must be the data of the fit")
})

test_that("leave-one-out cross-validation tells one component from two", {
  skip_if_not_installed("loo")
  set.seed(3)
  x <- c(rpois(60, 2), rpois(40, 30))
  fit <- function(k) {
    suppressWarnings(nbmix(x, k = k, method = "gibbs", seed = 1,
                           control = gibbs_control(chains = 2, iterations = 300)))
  }
  two <- fit(2)
  out <- suppressWarnings(loo::loo(two))
  expect_s3_class(out, "psis_loo")
  best <- sum(log(predict(two, newdata = x, type = "density")))
  expect_lt(out$estimates["elpd_loo", 1], best)
  expect_gt(out$estimates["elpd_loo", 1], best - 15)
  expect_gt(out$estimates["elpd_loo", 1], suppressWarnings(loo::loo(fit(1)))$estimates[1, 1] + 20)
  expect_s3_class(suppressWarnings(loo::waic(two)), "waic")
  expect_error(loo::loo(nbmix(x, k = 2)), "gibbs")
})

test_that("a shortened name of a setting is an unknown one", {
  expect_error(em_control(tol = 1e-3), "unknown argument 'tol'; try \"tolerance\"")
  expect_error(gibbs_control(iter = 100), "unknown argument 'iter'")
  expect_error(nbmix(1:5, control = list(max_iter = 3)), "unknown argument 'max_iter'")
})

test_that("a progress bar that is asked for more than its total does not end the fit", {
  bars <- function() {
    draw <- mixology:::progress_bar("bar", 10, environment())
    for (i in c(1, 9, 10, 11, 500)) draw(i, NA, -3)
    draw(2, 5, NA)
    draw(5, 5, NA)
    draw(6, 5, NA)
    "done"
  }
  old <- options(cli.progress_show_after = 0, cli.dynamic = TRUE, cli.progress_clear = FALSE)
  on.exit(options(old))
  utils::capture.output(out <- bars(), type = "message")
  expect_identical(out, "done")
  set.seed(1)
  x <- rnbinom(20000, mu = 8, size = 2)
  slow <- em_control(tolerance = 0, parameter_tolerance = 0, max_iterations = 5)
  utils::capture.output(type = "message", {
    one <- suppressWarnings(nbmix(x, k = 3, seed = 1, verbose = TRUE, control = slow))
    many <- suppressWarnings(nbmix(matrix(x, 100), k = 2, seed = 1, verbose = TRUE))
  })
  expect_s3_class(one, "nbmix")
  expect_identical(nrow(glance(many)), 100L)
})

test_that("a fit that ends by converging shows its sweeps and no time of arrival", {
  shown_by <- function(control) {
    bar <- mixology:::new_monitor("fit", control, TRUE, 5000)$progress
    utils::capture.output(type = "message", for (i in 1:3) {
      bar(i, NA, -1.5)
      bar(i, 7, NA) # inside of the sweep
      bar(0, NA, 0)
    })
    as.list(environment(environment(bar)$draw))
  }
  for (control in list(em_control(), vb_control())) {
    shown <- shown_by(control)
    expect_identical(shown[c("sweeps", "status")],
                     list(sweeps = 3L, status = ", objective -1.5"))
    expect_false(any(grepl("eta|percent|total|pb_bar", shown$words)))
  }
  expect_identical(shown_by(gibbs_control())$total, 5000)
})

test_that("a gene of zeros has no standard errors and no intervals", {
  none <- function(fit) {
    table <- tidy(fit, conf.int = TRUE)
    for (name in c("std.error", "conf.low", "conf.high")) {
      expect_identical(table[[name]], rep(NA_real_, nrow(table)))
    }
  }
  counts <- rbind(a = rep(0, 20), b = rep(c(1, 4, 2, 7), 5))
  for (inflated in c(FALSE, TRUE)) {
    fit <- nbmix(counts["a", ], zero_inflated = inflated, seed = 1)
    none(fit)
    expect_true(all(is.na(vcov(fit))) && !any(is.nan(confint(fit))))
    many <- nbmix(counts, zero_inflated = inflated, seed = 1)
    none(many["a"])
    none(many[["a"]])
  }
  expect_identical(tidy(nbmix(rep(5, 20)))$std.error[2], .5)
})

test_that("residuals find the counts of one gene and of all", {
  data <- user_counts(5)
  x <- data$x
  x[2, ] <- 0
  x[4, 3] <- -1
  fit <- nbmix(x, k = 2, size_factors = data$s, seed = 1)
  all <- residuals(fit)
  expect_equal(all, x * ifelse(rownames(x) == "gene_4", NA, 1) - fitted(fit))
  expect_identical(dimnames(all), dimnames(x))
  one <- fit[["gene_3"]]
  expect_equal(residuals(one), x[3, ] - fitted(one))
  expect_identical(residuals(one, data = x), residuals(one))
  for (type in c("pearson", "quantile")) {
    all <- residuals(fit, type, seed = 1)
    expect_equal(all[1, ], residuals(fit[["gene_1"]], type, seed = 1))
    expect_identical(dim(residuals(fit[c("gene_5", "gene_3")], type)), c(2L, 80L))
  }
  expect_identical(residuals(fit, "pearson", data = x)[c(5, 3), ],
                   residuals(fit[c("gene_5", "gene_3")], "pearson"))
  expect_gt(stats::shapiro.test(all[1, ])$p.value, 1e-3)
  expect_equal(predict(one, type = "density"), predict(fit, type = "density")[3, ])
  bare <- unname(x)
  plain <- nbmix(bare, k = 2, size_factors = data$s, seed = 1)
  expect_equal(residuals(plain[["gene5"]]), unname(residuals(fit[["gene_5"]])))
  expect_equal(unname(residuals(plain[c(5, 3)])), unname(residuals(fit)[c(5, 3), ]))
  x <- x + 1
  expect_error(residuals(fit), "'data' must be the data of the fit")
  expect_error(residuals(one), "'data' must be the 80 counts of gene gene_3")
})

test_that("a fit in which no gene could be fitted says so", {
  x <- matrix(c(1.5, 2, 3, -1), 2)
  expect_warning(fit <- nbmix(x, k = 1), "nothing was fitted")
  expect_output(print(fit), "nothing was fitted")
  expect_false(fit$convergence$converged)
  expect_error(logLik(fit), "no gene of the fit was fitted")
  expect_no_warning(nbmix(rbind(x, 1:2), k = 1))
})

test_that("results of genes that share a name go to no others", {
  skip_if_not_installed("SummarizedExperiment")
  counts <- user_counts(4)$x
  rownames(counts) <- c("e", "a", "b", "e")
  se <- SummarizedExperiment::SummarizedExperiment(list(counts = counts))
  fit <- nbmix(se, k = 1, seed = 1)
  means <- function(se) SummarizedExperiment::rowData(add_results(se, fit))$nbmix_mean_1
  expect_identical(means(se), fit$estimate$mean)
  expect_identical(means(se[3:2, ]), fit$estimate$mean[3:2])
  for (rows in list(4:1, 2:4, c(2, 2))) expect_error(means(se[rows, ]), "some share a name; got")
})

test_that("totals that a missing count would spoil are of the genes that hold counts", {
  x <- rbind(user_counts(4)$x, 0.5, NA)
  total <- colSums(x[1:4, ])
  expect_equal(nbmix(x, size_factors = "total", seed = 1)$size_factors, unname(total / mean(total)))
})

test_that("a number of components beyond all integers is one error", {
  expect_no_warning(expect_error(nbmix(1:20, k = 1e10), "at most the number of cells \\(20\\)"))
})
