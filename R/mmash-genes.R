# Cis-window mapping over many genes with shared prior weights.

#' Cis-window mapping of many genes
#'
#' Fits [mmash()] to every gene in its window of variants. The prior weights are learned once over
#' a sample of genes and then kept, so that a gene borrows strength from all others; the residual
#' covariance is each gene's own.
#'
#' @param expression Responses: a named list with a samples x conditions matrix per gene, or an
#'   array samples x conditions x genes.
#' @param genotypes As `x` of [mmash()], all variants together.
#' @param windows The variants of each gene: a named list of column numbers or variant names, or a
#'   data frame `gene, first, last` (column numbers).
#' @param prior From [mash_prior()]. Default: canonical matrices and a grid from the sampled genes.
#' @param learn Number of genes over which the weights are learned, chosen at random. Default 50;
#'   0 keeps the weights of `prior`.
#' @param rounds Passes over these genes. Default 5.
#' @param residual,covariates,penalty,standardize,missing_x,allele,control As in [mmash()].
#' @param lfsr_below,pip_above A variant is reported with an effect of lfsr below the one or a
#'   probability above the other, or when it is in a credible set. Defaults 0.05 and 0.1.
#' @param folder A folder where the result of each gene is kept as it is made. Called again with
#'   the same data and settings, `mmash_genes()` goes on where it was stopped. Default: nothing is
#'   kept.
#' @param seed Whole number that fixes every random choice. Default: drawn from R's generator.
#' @param BPPARAM A BiocParallel back end over the genes; `NULL` (default): one after the other.
#' @return An object of class `mmash_genes`: `tidy()` gives one row per gene, variant and condition
#'   reported (`gene, variant, condition, term, estimate, std.error, prob_positive, prob_negative,
#'   lfsr, pip, set`), `glance()` one row per gene with its `status` (`"ok"`, `"not_converged"` or
#'   the message of the error that met it; the others go on), and the fields are `weights`,
#'   `prior`, `results`, `units`.
#' @section Errors: genes without a window, windows outside the genotypes, responses with another
#'   number of samples.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(6000, 2, .3), 100)
#' expression <- list(a = cbind(X[, 3], X[, 3]) + rnorm(200), b = matrix(rnorm(200), 100))
#' found <- mmash_genes(expression, X, list(a = 1:30, b = 31:60), seed = 1)
#' tidy(found)
#' @export
mmash_genes <- function(expression, genotypes, windows, prior = NULL, learn = 50, rounds = 5,
                        residual = "full", covariates = NULL, penalty = 10, standardize = FALSE,
                        missing_x = c("error", "mean"), allele = c("second", "first"),
                        control = NULL, lfsr_below = 0.05, pip_above = 0.1, folder = NULL,
                        seed = NULL, BPPARAM = NULL) {
  fun <- "mmash_genes"
  seed <- resolve_seed(seed, fun)
  settings <- list(missing_x = check_choice(missing_x, c("error", "mean"), fun, "missing_x"),
                   allele = check_choice(allele, c("second", "first"), fun, "allele"))
  source <- mmash_source(genotypes, fun, settings)
  genes <- check_expression(expression, source, fun)
  windows <- check_windows(windows, names(genes), source, fun)
  shared <- list(source = source, genes = genes, windows = windows, seed = seed,
                 arguments = list(residual = residual, covariates = covariates, penalty = penalty,
                                  standardize = standardize, control = control),
                 report = c(lfsr = check_number(lfsr_below, fun, "lfsr_below", 0, 1),
                            pip = check_number(pip_above, fun, "pip_above", 0, 1)))
  shared$prior <- genes_prior(shared, prior, check_count(learn, fun, "learn", 0),
                              check_count(rounds, fun, "rounds"), BPPARAM, fun)
  shared$folder <- check_folder(folder, fun)
  shared$key <- rlang::hash(list(shared$prior, shared$arguments, shared$report, seed))
  parts <- over_tasks(names(genes), function(gene) gene_result(gene, shared), BPPARAM, fun)
  new_mmash_genes(parts, names(genes), shared)
}

check_expression <- function(expression, source, fun) {
  if (is.numeric(expression) && length(dim(expression)) == 3) {
    labels <- dimnames(expression)[[3]] %||% paste0("gene", seq_len(dim(expression)[3]))
    expression <- stats::setNames(lapply(seq_along(labels), function(g) {
      matrix(expression[, , g], nrow(expression), dimnames = dimnames(expression)[1:2])
    }), labels)
  }
  if (!is.list(expression) || length(expression) == 0 || is.null(names(expression)) ||
        anyDuplicated(names(expression))) {
    abort_arg(fun, "expression", "a named list of matrices, or an array",
              describe_value(expression))
  }
  for (gene in names(expression)) {
    y <- mmash_response_matrix(expression[[gene]], fun)
    if (nrow(y) != source$rows) {
      abort_arg(fun, "expression", sprintf("of the %d samples of 'genotypes'", source$rows),
                sprintf("%d in gene %s", nrow(y), gene))
    }
    expression[[gene]] <- y
  }
  expression
}

# A list of column numbers for every gene.
check_windows <- function(windows, genes, source, fun) {
  if (is.data.frame(windows)) {
    if (!all(c("gene", "first", "last") %in% names(windows))) {
      abort_arg(fun, "windows", "a list, or a data frame with gene, first, last",
                toString(names(windows)))
    }
    windows <- stats::setNames(Map(seq, windows$first, windows$last), windows$gene)
  }
  lost <- setdiff(genes, names(windows))
  if (length(lost) > 0) {
    abort_arg(fun, "windows", "given for every gene", sprintf("none for %s", lost[1]))
  }
  lapply(windows[genes], function(at) {
    if (is.character(at)) at <- match(at, source$variants)
    if (length(at) == 0 || anyNA(at) || any(at < 1 | at > source$cols)) {
      abort_arg(fun, "windows", sprintf("variants of 'genotypes' (1 to %d)", source$cols),
                "others, or none")
    }
    as.integer(at)
  })
}

check_folder <- function(folder, fun) {
  if (is.null(folder)) return(NULL)
  if (!is.character(folder) || !is_scalar(folder)) {
    abort_arg(fun, "folder", "the path of a folder", describe_value(folder))
  }
  dir.create(folder, showWarnings = FALSE, recursive = TRUE)
  normalizePath(folder)
}

# The genotypes of one window as a matrix.
window_genotypes <- function(source, at) {
  names <- list(source$samples, (source$variants %||% paste0("variant", seq_len(source$cols)))[at])
  if (source$kind %in% c("dense", "int8")) {
    x <- source$x[, at, drop = FALSE]
  } else if (source$kind == "sparse") {
    x <- as.matrix(source$x[, at, drop = FALSE])
  } else {
    x <- mmash_read(source, at - 1L)
    x[is.nan(x)] <- NA
  }
  dimnames(x) <- names
  x
}

fit_gene <- function(gene, shared, prior, ...) {
  x <- window_genotypes(shared$source, shared$windows[[gene]])
  suppressWarnings(do.call(mmash, c(list(x, shared$genes[[gene]], prior = prior),
                                    shared$arguments,
                                    list(missing_x = "mean", seed = shared$seed, threads = 1,
                                         verbose = FALSE, ...))))
}

# ---- shared weights -----------------------------------------------------------------------------

genes_prior <- function(shared, prior, learn, rounds, BPPARAM, fun) {
  genes <- names(shared$genes)
  count <- min(learn, length(genes))
  sampled <- if (count > 0) with_seed_of(shared$seed, sort(sample.int(length(genes), count)))
  if (is.null(prior)) prior <- pooled_prior(shared, genes[if (count > 0) sampled else 1])
  if (!inherits(prior, "mash_prior")) {
    abort_arg(fun, "prior", "made by mash_prior()", describe_value(prior))
  }
  parts <- length(prior_components(prior))
  if (is.null(prior$weights)) {
    prior$weights <- stats::setNames(rep(1 / parts, parts), prior_components(prior))
  }
  for (round in seq_len(if (count > 0) rounds else 0)) {
    counts <- over_tasks(genes[sampled], function(gene) gene_counts(gene, shared, prior), BPPARAM,
                         fun)
    prior$weights[] <- pooled_weights(counts, prior, shared$arguments$penalty)
  }
  prior
}

# One grid for all genes, from the effects of the sampled ones.
pooled_prior <- function(shared, genes) {
  effects <- lapply(genes, function(gene) {
    x <- window_genotypes(shared$source, shared$windows[[gene]])
    tryCatch(prior_effects(shared$genes[[gene]], x, shared$arguments$standardize,
                           shared$arguments$covariates, "mean", "second", "mmash_genes"),
             error = function(e) conditionMessage(e))
  })
  failed <- vapply(effects, is.character, NA)
  if (all(failed)) abort("mmash_genes", "no gene gives a prior; the first says: ", effects[[1]])
  effects <- effects[!failed]
  all <- list(bhat = do.call(rbind, lapply(effects, `[[`, "bhat")),
              shat = do.call(rbind, lapply(effects, `[[`, "shat")))
  new_mash_prior(canonical_matrices(colnames(shared$genes[[1]])), data_grid(all), TRUE, NULL,
                 shared$arguments$standardize)
}

# How many variants of a gene belong to each component, in expectation; NULL when it cannot be
# fitted.
gene_counts <- function(gene, shared, prior) {
  tryCatch(fit_gene(gene, shared, prior, update = "residual")$state$progress$memory$alpha,
           error = function(e) NULL)
}

pooled_weights <- function(counts, prior, penalty) {
  total <- Reduce(`+`, Filter(Negate(is.null), counts))
  if (is.null(total)) return(prior$weights)
  if (prior$null) total[1] <- total[1] + penalty - 1
  total / sum(total)
}

# ---- one gene -----------------------------------------------------------------------------------

gene_result <- function(gene, shared) {
  file <- gene_file(gene, shared)
  if (!is.null(file) && file.exists(file)) {
    kept <- tryCatch(readRDS(file), error = function(e) NULL)
    if (!is.null(kept)) return(kept)
  }
  out <- tryCatch({
    fit <- fit_gene(gene, shared, shared$prior, update = "residual")
    list(unit = gene_unit(gene, fit), results = gene_table(gene, fit, shared$report))
  }, error = function(e) list(unit = failed_unit(gene, conditionMessage(e)), results = NULL))
  if (!is.null(file)) {
    beside <- paste0(file, ".part")
    saveRDS(out, beside)
    file.rename(beside, file)
  }
  out
}

# The name of the file says which gene, and by its hash with which data and settings.
gene_file <- function(gene, shared) {
  if (is.null(shared$folder)) return(NULL)
  x <- window_genotypes(shared$source, shared$windows[[gene]])
  hash <- rlang::hash(list(shared$key, gene, shared$genes[[gene]], x))
  file.path(shared$folder, paste0(gsub("[^A-Za-z0-9._-]", "_", gene), "-", hash, ".rds"))
}

gene_unit <- function(gene, fit) {
  sets <- credible_sets_or_none(fit)
  cbind(data.frame(gene = gene), glance(fit), variants = nrow(fit$posterior$mean),
        sets = length(unique(sets$set)), min_lfsr = min(lfsr(fit)), message = "")
}

failed_unit <- function(gene, message) {
  data.frame(gene = gene, model = "mmash", converged = FALSE, status = "failed", message = message)
}

credible_sets_or_none <- function(fit) {
  if (fit$prior$null && fit$method != "em") credible_sets(fit) else data.frame(set = integer())
}

gene_table <- function(gene, fit, report) {
  table <- tidy(fit)
  sets <- credible_sets_or_none(fit)
  table$set <- sets$set[match(table$variant, sets$variant)]
  seen <- table$lfsr < report[["lfsr"]] | !is.na(table$set) |
    (!is.na(table$pip) & table$pip > report[["pip"]])
  wanted <- table$variant %in% table$variant[seen]
  cbind(data.frame(gene = rep(gene, sum(wanted))), table[wanted, ])
}

new_mmash_genes <- function(parts, genes, shared) {
  units <- lapply(parts, `[[`, "unit")
  columns <- unique(unlist(lapply(units, names)))
  units <- do.call(rbind, lapply(units, function(u) {
    u[setdiff(columns, names(u))] <- NA
    u[columns]
  }))
  units$status <- ifelse(units$status == "failed", units$message, units$status)
  units$status[units$converged] <- "ok"
  results <- do.call(rbind, lapply(parts, `[[`, "results"))
  rownames(results) <- NULL
  structure(list(results = results, units = units[setdiff(names(units), "message")],
                 weights = shared$prior$weights, prior = shared$prior, seed = shared$seed),
            class = "mmash_genes")
}

#' @export
tidy.mmash_genes <- function(x, ...) {
  no_more("tidy", ...)
  x$results
}

#' @export
glance.mmash_genes <- function(x, ...) {
  no_more("glance", ...)
  x$units
}

#' @export
print.mmash_genes <- function(x, ...) {
  cat(sprintf("%d genes mapped by mmash: %d with credible sets, %d not fitted or not converged\n",
              nrow(x$units), sum(x$units$sets > 0, na.rm = TRUE), sum(x$units$status != "ok")))
  top <- utils::head(sort(x$weights, decreasing = TRUE), 4)
  cat("shared weights:", toString(sprintf("%s %.3g", names(top), top)), "\n")
  invisible(x)
}
