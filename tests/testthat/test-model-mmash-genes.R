# mmash_genes(): windows, shared weights, restarts, bad genes, back ends.

genes_case <- function() {
  set.seed(5)
  x <- simulate_mmash(100, 40, conditions = 2, causal = 0, genotypes = TRUE)$x
  dimnames(x) <- list(paste0("s", 1:100), paste0("v", 1:40))
  genes <- lapply(1:4, function(g) {
    simulate_mmash(100, 10, conditions = 2, causal = 1, pve = .4, effects = "equal",
                   x = x[, (g - 1) * 10 + 1:10])$y
  })
  names(genes) <- paste0("gene", 1:4)
  windows <- data.frame(gene = names(genes), first = c(1, 11, 21, 31), last = c(10, 20, 30, 40))
  prior <- mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.2, 1))
  list(x = x, genes = genes, windows = windows, prior = prior)
}

map_case <- function(d, genotypes = d$x, windows = d$windows, ...) {
  mmash_genes(d$genes, genotypes, windows, prior = d$prior, learn = 3, rounds = 2, seed = 1, ...)
}

test_that("one table of all genes; the same whatever form data and windows have", {
  d <- genes_case()
  found <- map_case(d)
  expect_identical(found$units$status, rep("ok", 4))
  expect_identical(names(found$weights), mixology:::prior_components(d$prior))
  expect_true(all(c("gene", "variant", "condition", "estimate", "lfsr", "pip", "set") %in%
                    names(tidy(found))))
  expect_true(all(found$units$sets >= 1))
  expect_match(utils::capture.output(print(found)), "4 genes mapped by mmash: 4 with", all = FALSE)
  same <- function(...) expect_equal(tidy(map_case(d, ...)), tidy(found))
  columns <- Map(seq, d$windows$first, d$windows$last)
  names(columns) <- d$windows$gene
  same(windows = columns)
  same(windows = lapply(columns, function(at) colnames(d$x)[at]))
  pos <- 100 * seq_len(40)
  places <- data.frame(chr = "chr7", pos = pos)
  pairs <- data.frame(gene = d$windows$gene, chr = "7", start = 100 * d$windows$first,
                      end = 100 * d$windows$last)
  same(windows = pairs, positions = places)
  twice <- rbind(transform(pairs, end = start + 499), transform(pairs, start = start + 500))
  same(windows = twice, positions = places)
  shuffled <- sample(40)
  moved <- map_case(d, d$x[, shuffled], pairs, positions = places[shuffled, ])
  expect_setequal(tidy(moved)$variant, tidy(found)$variant)
  same(genotypes = Matrix::Matrix(d$x, sparse = TRUE))
  wide <- array(unlist(d$genes), c(100, 2, 4), c(dimnames(d$genes[[1]]), list(names(d$genes))))
  expect_identical(tidy(mmash_genes(wide, d$x, d$windows, prior = d$prior, learn = 3, rounds = 2,
                                    seed = 1)), tidy(found))
  expect_identical(map_case(d, verbose = TRUE)$results, found$results)
})

test_that("windows come as ranges, genotypes from files, genes from experiments", {
  skip_if_not_installed("GenomicRanges")
  skip_if_not_installed("SummarizedExperiment")
  skip_if_not_installed("HDF5Array")
  d <- genes_case()
  found <- tidy(map_case(d))
  ranges <- GenomicRanges::GRanges("chr1", IRanges::IRanges(d$windows$first, d$windows$last,
                                                            names = d$windows$gene))
  places <- GenomicRanges::GRanges("1", IRanges::IRanges(seq_len(40), width = 1))
  expect_equal(tidy(map_case(d, windows = ranges, positions = places)), found)
  bed <- write_bed(d$x, tempfile()) # chromosome 1, positions 1 to 40
  expect_equal(tidy(map_case(d, bed, ranges)), found)
  on_disk <- HDF5Array::writeHDF5Array(d$x, tempfile(fileext = ".h5"), "x", with.dimnames = TRUE)
  expect_equal(tidy(map_case(d, on_disk)), found)
  assays <- lapply(c(a = 1, b = 2), function(j) t(vapply(d$genes, function(y) y[, j], d$x[, 1])))
  se <- SummarizedExperiment::SummarizedExperiment(assays)
  from_se <- mmash_genes(se, d$x, d$windows, prior = d$prior, learn = 3, rounds = 2, seed = 1)
  expect_equal(tidy(from_se)$estimate, found$estimate)
  expect_identical(unique(tidy(from_se)$condition), c("a", "b"))
})

test_that("a bad gene is a row that says so, and nothing more", {
  d <- genes_case()
  d$genes$gene2[, 1] <- NA
  d$genes$gene3 <- d$genes$gene3[-1, ]
  d$genes$word <- "none"
  d$genes$three <- cbind(d$genes$gene1, 1:100)
  d$genes$lonely <- d$genes$gene1
  d$windows$start <- d$windows$first
  d$windows$end <- d$windows$last
  places <- data.frame(chr = 1, pos = seq_len(40))
  more <- data.frame(gene = c("word", "three", "lonely"), chr = 1, start = c(1, 1, 500),
                     end = c(10, 10, 600))
  pairs <- rbind(cbind(d$windows["gene"], chr = 1, d$windows[c("start", "end")]), more)
  found <- map_case(d, windows = pairs, positions = places)
  status <- stats::setNames(found$units$status, found$units$gene)
  expect_identical(unname(status[c("gene1", "gene4")]), c("ok", "ok"))
  expect_match(status[["gene2"]], "observed at least twice")
  expect_match(status[["gene3"]], "one row per sample of 'x' \\(100\\); got 99 rows")
  expect_match(status[["word"]], "'y' must be a numeric matrix")
  expect_match(status[["three"]], "'prior' must be one for 3 conditions")
  expect_match(status[["lonely"]], "no variant is in its window")
  expect_setequal(tidy(found)$gene, c("gene1", "gene4"))
  by_default <- mmash_genes(d$genes, d$x, pairs, positions = places, rounds = 1, seed = 1)
  expect_identical(sum(by_default$units$status == "ok"), 2L)
  expect_warning(none <- mmash_genes(d$genes["word"], d$x, list(word = 1:5), prior = d$prior),
                 "no gene could be fitted; the first says: .*'y' must be")
  expect_identical(nrow(tidy(none)), 0L)
  expect_error(mmash_genes(d$genes["word"], d$x, list(word = 1:5)), "no gene gives a prior")
  x <- replace(d$x, 35 * 100, NA)
  expect_error(map_case(d, x, windows = pairs, positions = places), "without missing values")
})

test_that("windows and genes that make no sense are named", {
  d <- genes_case()
  expect_error(mmash_genes(d$genes, d$x, list(gene1 = 1:5)), "given for every gene.*gene2")
  of_gene <- function(window) mmash_genes(d$genes[1], d$x, list(gene1 = window))
  expect_error(of_gene(1:500), "'windows' must be variants .* got 41 for gene1")
  expect_error(of_gene("v99"), "'windows' must be variants .* got \"v99\" for gene1")
  expect_error(of_gene(1.5), "'windows' must be variants .* got 1.5 for gene1")
  expect_error(mmash_genes(d$genes, d$x, 3), "'windows' must be a named list")
  expect_error(mmash_genes(d$genes, d$x, transform(d$windows, last = 99)),
               "'windows' must be column numbers .* got first 1, last 99 for gene1")
  pairs <- data.frame(gene = "gene1", chr = 1, start = 1, end = 9)
  expect_error(mmash_genes(d$genes[1], d$x, pairs), "'positions' must be")
  expect_error(mmash_genes(d$genes[1], d$x, pairs, positions = data.frame(chr = 1, pos = 1)),
               "'positions' must be")
  expect_error(mmash_genes(d$genes[1], d$x, pairs[-2]), "gene, chr, start, end")
  expect_error(mmash_genes(d$genes[1], d$x, transform(pairs, end = 0)),
               "start <= end; got start 1, end 0 for gene1")
  expect_error(mmash_genes(unname(d$genes), d$x, d$windows), "'expression' must be a named list")
  expect_error(map_case(d, folder = 3), "'folder' must be")
  expect_error(map_case(d, BPPARAM = 2), "'BPPARAM' must be")
})

test_that("a run that was killed goes on where it was and gives the same table", {
  skip_on_os("windows")
  d <- genes_case()
  whole <- tempfile()
  found <- map_case(d, folder = whole)
  expect_length(list.files(whole, "^gene"), 4)
  kept <- file.info(list.files(whole, full.names = TRUE))$mtime
  expect_identical(map_case(d, folder = whole), found)
  expect_identical(file.info(list.files(whole, full.names = TRUE))$mtime, kept)
  folder <- tempfile()
  data <- tempfile()
  saveRDS(d, data)
  code <- sprintf("d <- readRDS('%s'); library(mixology); trace('gene_unit', quote(
    if (gene == 'gene3') tools::pskill(Sys.getpid(), 9)), where = asNamespace('mixology'),
    print = FALSE); mmash_genes(d$genes, d$x, d$windows, prior = d$prior, learn = 3, rounds = 2,
    seed = 1, folder = '%s')", data, folder)
  status <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote(code)), stdout = FALSE,
                    stderr = FALSE, env = paste0("R_LIBS=", paste(.libPaths(), collapse = ":")))
  expect_false(status == 0)
  expect_length(list.files(folder, "^gene[12].*rds$"), 2)
  writeLines("half a file", list.files(folder, "^gene2.*rds$", full.names = TRUE))
  again <- map_case(d, folder = folder)
  expect_identical(tidy(again), tidy(found))
  expect_identical(again$weights, found$weights)
  other <- d
  other$genes$gene4[1, 1] <- 9
  expect_false(identical(tidy(map_case(other, folder = folder)), tidy(found)))
})

test_that("every back end gives the same table", {
  skip_if_not_installed("BiocParallel")
  d <- genes_case()
  found <- map_case(d)
  backs <- list(BiocParallel::SerialParam(), BiocParallel::MulticoreParam(2))
  bed <- write_bed(d$x, tempfile())
  for (back in backs) {
    expect_identical(map_case(d, BPPARAM = back)$results, found$results)
    expect_equal(map_case(d, bed, BPPARAM = back)$results, found$results)
  }
  skip_unless_extended()
  snow <- BiocParallel::SnowParam(2)
  expect_identical(map_case(d, BPPARAM = snow)$results, found$results)
})

subset_rows <- function(table, genes) {
  out <- do.call(rbind, lapply(genes, function(gene) table[table$gene == gene, ]))
  `rownames<-`(out, NULL)
}

test_that("genes are chosen, refitted and drawn like those of other fits", {
  d <- genes_case()
  found <- map_case(d)
  two <- found[c("gene3", "gene1")]
  expect_identical(glance(two)$gene, c("gene3", "gene1"))
  expect_identical(glance(two)$min_lfsr, glance(found)$min_lfsr[c(3, 1)])
  expect_identical(unique(tidy(two)$gene), c("gene3", "gene1"))
  expect_identical(found[["gene2"]], found[2])
  expect_identical(found[["weights"]], found$weights)
  expect_error(found["gene9"], "'i' must be names or positions of genes")
  expect_error(found[["gene9"]], "'i' must be names or positions of genes")
  expect_identical(credible_sets(two), subset_rows(credible_sets(found), c("gene3", "gene1")))
  expect_identical(objective(two)$value, glance(two)$objective)
  expect_identical(nobs(two), 200L)
  expect_match(utils::capture.output(print(summary(two))), "2 genes mapped by mmash", all = FALSE)
  for (type in c("genes", "weights")) {
    expect_gt(length(ggplot2::ggplot_build(autoplot(found, type = type))$data), 0)
  }
  expect_identical(ggplot2::ggplot_build(autoplot(found))$data[[2]]$y,
                   -log10(glance(found)$min_lfsr))
  whole <- mmash_genes(d$genes, d$x, d$windows, prior = d$prior, learn = 3, rounds = 2, seed = 1)
  again <- update(whole[["gene2"]], penalty = 20)
  expect_identical(glance(again)$gene, "gene2")
  expect_identical(tidy(again), tidy(update(whole, penalty = 20)["gene2"]))
})

test_that("what only a fit has is refused, and the way to have it works", {
  d <- genes_case()
  found <- map_case(d)
  functions <- list(coef = coef, fitted = fitted, residuals = residuals, predict = predict,
                    simulate = simulate, vcov = vcov, confint = confint, lfsr = lfsr, pip = pip,
                    augment = augment, tidy = function(fit) tidy(fit, conf.int = TRUE),
                    credible_sets = function(fit) credible_sets(fit, coverage = .9))
  for (name in names(functions)) {
    said <- paste0(name, ": 'fit' must be of one gene .* 4 genes; try")
    expect_error(functions[[name]](found), said, info = name)
  }
  expect_error(logLik(found), "has no log likelihood; try objective")
  expect_error(resume(found, 5), "resume: .*try update")
  expect_error(clusters(found), "no clusters")
  expect_error(responsibilities(found), "no clusters")
  expect_error(tidy(found, no_such_name = 1), "unknown argument")
  one <- mmash(d$x[, 1:10], d$genes$gene1, prior = found$prior, update = "residual",
               seed = found$seed)
  expect_identical(tail(objective(one)$value, 1), objective(found["gene1"])$value)
})

test_that("conditions are those of their names, in every gene", {
  d <- genes_case()
  turned <- d
  turned$genes$gene2 <- d$genes$gene2[, 2:1]
  expect_identical(tidy(map_case(turned)), tidy(map_case(d)))
  by_data <- function(d) mmash_genes(d$genes, d$x, d$windows, learn = 3, rounds = 2, seed = 1)
  expect_identical(tidy(by_data(turned)), tidy(by_data(d)))
})

test_that("an experiment chooses its conditions and takes the results", {
  skip_if_not_installed("SummarizedExperiment")
  d <- genes_case()
  assays <- lapply(c(a = 1, b = 2), function(j) t(vapply(d$genes, function(y) y[, j], d$x[, 1])))
  se <- SummarizedExperiment::SummarizedExperiment(c(assays, list(quality = 0 * assays$a)))
  map <- function(...) {
    mmash_genes(se, d$x, d$windows, prior = d$prior, learn = 3, rounds = 2, seed = 1, ...)
  }
  found <- map(assay = c("a", "b"))
  expect_equal(tidy(found)$estimate, tidy(map_case(d))$estimate)
  expect_error(map(assay = "z"), "'assay' must be of \"a\", \"b\", \"quality\"; got \"z\"")
  out <- add_results(se, found)
  expect_identical(SummarizedExperiment::rowData(out)$mmash_sets, glance(found)$sets)
  expect_identical(S4Vectors::metadata(out)$mmash_effects, tidy(found))
})

test_that("an interrupt of one gene is one of all, and none that was cut short is kept", {
  skip_on_os("windows")
  set.seed(1)
  d <- simulate_mmash(400, 300, conditions = 5, causal = 3, pve = .3, x_correlation = .8,
                      genotypes = TRUE)
  genes <- stats::setNames(rep(list(d$y), 200), paste0("g", 1:200))
  windows <- stats::setNames(rep(list(1:300), 200), names(genes))
  prior <- mash_prior(d$y, X = d$x)
  folder <- tempfile()
  all <- function(n) {
    mmash_genes(genes[1:n], d$x, windows[1:n], prior = prior, learn = 0, seed = 1, folder = folder)
  }
  system(sprintf("(sleep 1; kill -INT %d) &", Sys.getpid()))
  began <- proc.time()[["elapsed"]]
  found <- tryCatch(all(200), interrupt = function(i) NULL) # a slow machine has no gene by then
  if (!is.null(found)) {
    done <- sum(glance(found)$status == "ok")
    expect_lt(done, 200)
    expect_identical(glance(found)$status, rep(c("ok", "stopped"), c(done, 200 - done)))
  }
  expect_identical(unique(glance(all(20))$status), "ok")
})
