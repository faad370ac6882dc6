# Cis-window mapping over many genes with shared prior weights.

#' Cis-window mapping of many genes
#'
#' Fits [mmash()] to every gene in its window of variants. The prior weights are learned once over
#' a sample of genes and then kept, so that a gene borrows strength from all others; the residual
#' covariance is each gene's own.
#'
#' A gene that cannot be fitted does not stop the others: it is a row of `glance()` whose `status`
#' says why.
#'
#' @param expression Responses: a named list with a samples x conditions matrix per gene; an array
#'   samples x conditions x genes; or a SummarizedExperiment genes x samples with one assay per
#'   condition. Conditions are found by their names, where genes have them in another order.
#' @param genotypes As `x` of [mmash()], all variants together. A `.bed` file is read window by
#'   window where the gene is fitted, a DelayedMatrix window by window.
#' @param windows The variants of each gene: a named list of column numbers or variant names; a data
#'   frame `gene, first, last` (column numbers); or a data frame `gene, chr, start, end`, or a named
#'   GRanges, in base pairs with both ends included (a leading "chr" is ignored). Rows of one gene
#'   add up.
#' @param positions Where the variants are, for windows in base pairs: a data frame `chr, pos` or a
#'   GRanges in the order of the variants. Default: as the `.bim` or the VCF file says.
#' @param prior From [mash_prior()]. Default: canonical matrices and a grid from the sampled genes.
#' @param learn Number of genes over which the weights are learned, chosen at random. Default 50;
#'   0 keeps the weights of `prior`.
#' @param rounds Passes over these genes at most. Default 50; the weights have usually converged
#'   before, and a warning says so when they have not in the default number. Without weights in
#'   `prior` the first pass tries three weights of the null.
#' @param residual,covariates,penalty,standardize,missing_x,allele,control As in [mmash()].
#' @param assay Of an experiment genes x samples the names of the assays that are the conditions;
#'   default all. Of a list of experiments as in [mmash()].
#' @param lfsr_below,pip_above A variant is reported with an effect of lfsr below the one or a
#'   probability above the other, or when it is in a credible set. Defaults 0.05 and 0.1.
#' @param folder A folder where the weights of each round and the result of each gene are kept as
#'   they are made. Called again with the same data and settings, `mmash_genes()` goes on where it
#'   was stopped, however that happened. Default: nothing is kept.
#' @param seed Whole number that fixes every random choice. Default: drawn from R's generator.
#' @param BPPARAM A BiocParallel back end over the genes; `NULL` (default): one after the other. The
#'   answer does not depend on it. After an interrupt the genes that are not done are `stopped`.
#' @param verbose Show progress? Default `interactive()`.
#' @return An object of class `mmash_genes`: `tidy()` gives one row per gene, variant and condition
#'   reported (`gene, variant, condition, term, estimate, std.error, prob_positive, prob_negative,
#'   lfsr, pip, set`), `glance()` one row per gene with its `status` (`"ok"`, how a fit ended that
#'   did not converge, such as `"max_iterations"`, or the message of the error that met it),
#'   `credible_sets()` those of every gene, preceded by `gene`, and `objective()` where the bound of
#'   each gene ended; the fields are `weights`, `prior`, `results`, `units`. `fit[genes]` and
#'   `fit[["gene"]]` are the results of some genes and of one, which `update()` fits again and no
#'   others. `plot()` shows the smallest lfsr of each gene (`type = "genes"`), or the shared weights
#'   (`"weights"`). The fits themselves are not kept: `coef()`, `predict()` and what else needs one
#'   say how to have that of a gene.
#' @section Errors: genes without a window, windows outside the genotypes, windows in base pairs
#'   without positions. A window in base pairs without a variant, responses with another number of
#'   samples and whatever else [mmash()] refuses are the status of that gene; a warning says so when
#'   no gene at all could be fitted.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(6000, 2, .3), 100)
#' expression <- list(a = cbind(X[, 3], X[, 3]) + rnorm(200), b = matrix(rnorm(200), 100))
#' found <- mmash_genes(expression, X, list(a = 1:30, b = 31:60), seed = 1)
#' tidy(found)
#' @export
mmash_genes <- function(expression, genotypes, windows, prior = NULL, learn = 50, rounds = 50,
                        residual = "full", covariates = NULL, penalty = 10, standardize = FALSE,
                        missing_x = c("error", "mean"), allele = c("second", "first"),
                        assay = NULL, control = NULL, lfsr_below = 0.05, pip_above = 0.1,
                        folder = NULL, seed = NULL, BPPARAM = NULL, positions = NULL,
                        verbose = interactive()) {
  fun <- "mmash_genes"
  call <- match.call()
  folder <- check_folder(folder, fun)
  seed <- resolve_seed(seed %||% folder_seed(folder), fun)
  keep_seed(seed, folder)
  settings <- list(missing_x = check_choice(missing_x, c("error", "mean"), fun, "missing_x"),
                   allele = check_choice(allele, c("second", "first"), fun, "allele"),
                   arg = "genotypes")
  source <- with_variant_labels(window_source(genotypes, fun, settings), fun)
  genes <- check_expression(expression, assay, fun)
  if (is_se(expression)) assay <- NULL
  shared <- list(source = source, genes = genes, seed = seed, missing_x = settings$missing_x,
                 windows = check_windows(windows, names(genes), source, positions, fun),
                 arguments = shared_arguments(residual, covariates, penalty, standardize, assay,
                                              control, source, genes, fun),
                 report = c(lfsr = check_number(lfsr_below, fun, "lfsr_below", 0, 1),
                            pip = check_number(pip_above, fun, "pip_above", 0, 1)),
                 folder = folder, BPPARAM = resolve_bpparam(BPPARAM, fun),
                 verbose = check_flag(verbose, fun, "verbose"))
  stop_back_end <- start_back_end(shared$BPPARAM)
  on.exit(stop_back_end())
  shared$prior <- genes_prior(shared, prior, check_count(learn, fun, "learn", 0),
                              check_count(rounds, fun, "rounds"), fun)
  if (isFALSE(shared$prior$converged) && missing(rounds)) {
    warning(sprintf("mmash_genes: the shared weights did not converge in %d rounds", rounds),
            "; try a larger 'rounds'", call. = FALSE)
  }
  shared$key <- rlang::hash(list(shared$prior, shared$arguments, shared$report, seed,
                                 shared$missing_x))
  new_mmash_genes(all_results(control$only %||% names(genes), shared), shared, call)
}

# After an interrupt the genes that are not done are `stopped`; with none that is, it goes on up.
all_results <- function(genes, shared) {
  done <- over_genes(genes, shared, gene_result, "genes")
  if (length(done) == 0 && length(genes) > 0) rlang::interrupt()
  left <- genes[seq_along(genes) > length(done)]
  c(done, lapply(left, function(gene) list(unit = failed_unit(gene, "stopped"))))
}

# What is wrong with an argument that all genes share is an error, not the status of each of them.
shared_arguments <- function(residual, covariates, penalty, standardize, assay, control, source,
                             genes, fun) {
  first <- tryCatch(mmash_response_matrix(genes[[1]], fun, assay = assay),
                    error = function(e) NULL)
  if (!is.null(first)) {
    resolve_residual(residual, condition_names(colnames(first), ncol(first)), fun)
  }
  mmash_covariates(covariates, source, fun)
  control <- resolve_control(control, "vb", fun)
  control$only <- NULL
  list(residual = residual, covariates = covariates,
       penalty = check_penalty(penalty, fun),
       standardize = check_flag(standardize, fun, "standardize"), assay = assay, control = control)
}

# Without a seed the one of the first run in a folder is used again: else nothing kept there would
# be found.
folder_seed <- function(folder) {
  if (!is.null(folder)) read_result(file.path(folder, "seed.rds"))
}

keep_seed <- function(seed, folder) {
  if (is.null(folder) || identical(folder_seed(folder), seed)) return(invisible())
  save_result(seed, file.path(folder, "seed.rds"))
}

# A named list with what is given for each gene; what is wrong with one is found when it is fitted.
check_expression <- function(expression, assay, fun) {
  if (is_se(expression)) expression <- assays_by_gene(expression, assay, fun)
  if (is.numeric(expression) && length(dim(expression)) == 3) {
    labels <- dimnames(expression)[[3]] %||% paste0("gene", seq_len(dim(expression)[3]))
    expression <- stats::setNames(lapply(seq_along(labels), function(g) {
      matrix(expression[, , g], nrow(expression), dimnames = dimnames(expression)[1:2])
    }), labels)
  }
  named <- is.list(expression) && length(expression) > 0 && !is.null(names(expression)) &&
    all(nzchar(names(expression))) && !anyDuplicated(names(expression))
  if (!named || is.data.frame(expression)) {
    abort_arg(fun, "expression", "a named list of matrices, or an array, no name twice",
              describe_value(expression))
  }
  same_conditions(expression)
}

# The conditions of every gene in the order of the first that names them.
same_conditions <- function(genes) {
  names_of <- function(y) if (is_se(y)) rownames(y) else colnames(y)
  first <- Find(Negate(is.null), lapply(genes, names_of))
  lapply(genes, function(y) {
    other <- names_of(y)
    if (identical(other, first) || anyDuplicated(other) || !setequal(other, first)) return(y)
    if (is_se(y)) y[first, ] else y[, first, drop = FALSE]
  })
}

# samples x conditions x genes of an experiment whose assays are the conditions.
assays_by_gene <- function(se, assay, fun) {
  check_installed("SummarizedExperiment", fun, "a SummarizedExperiment")
  have <- SummarizedExperiment::assayNames(se)
  lost <- setdiff(assay, have)
  if (length(lost) > 0) {
    abort_arg(fun, "assay", paste("of", toString(dQuote(have, FALSE))), describe_value(lost[1]),
              closest_name(lost[1], have))
  }
  parts <- lapply(as.list(SummarizedExperiment::assays(se)), as.matrix)
  if (!is.null(assay)) parts <- parts[assay]
  if (length(parts) == 0 || nrow(se) == 0) {
    abort_arg(fun, "expression", "an experiment with assays and genes", "none")
  }
  stacked <- array(unlist(parts, use.names = FALSE), c(dim(se), length(parts)),
                   list(distinct_names(rownames(se)), colnames(se), assay %||% have))
  aperm(stacked, c(2, 3, 1))
}

check_folder <- function(folder, fun) {
  if (is.null(folder)) return(NULL)
  if (!is.character(folder) || !is_scalar(folder)) {
    abort_arg(fun, "folder", "the path of a folder", describe_value(folder))
  }
  if (!dir.exists(folder) && !dir.create(folder, showWarnings = FALSE, recursive = TRUE)) {
    abort_arg(fun, "folder", "a folder that exists or can be made", describe_value(folder))
  }
  normalizePath(folder)
}

# ---- one gene after the other, here or on workers -----------------------------------------------

# task(item, common) of each gene, in their order, until there is an interrupt. A worker is sent the
# one window it needs, or, of a .bed file, nothing but its path.
over_genes <- function(genes, shared, task, label) {
  common <- shared[c("arguments", "prior", "seed", "missing_x", "report", "folder", "key")]
  if (shared$source$kind == "bed") common$source <- shared$source
  bar <- if (shared$verbose) progress_bar(label, length(genes))
  following <- one_by_one(seq_along(genes), function(g) {
    if (!is.null(bar)) bar(g - 1, length(genes), NA)
    gene_item(genes[g], shared)
  })
  parts <- list()
  collect <- function(part) parts <<- c(parts, list(part))
  if (is.null(shared$BPPARAM)) {
    tryCatch(while (!is.null(item <- following())) collect(task(item, common)),
             interrupt = function(i) NULL)
  } else {
    stream_items(following, task, common, collect, shared$BPPARAM)
  }
  parts
}

gene_item <- function(gene, shared) {
  at <- shared$windows[[gene]]
  item <- list(gene = gene, y = shared$genes[[gene]], at = at, start = shared$starts[[gene]])
  if (shared$source$kind != "bed" && length(at) > 0) {
    item$x <- tryCatch(window_genotypes(shared$source, at), error = identity)
  }
  item
}

item_genotypes <- function(item, common) {
  if (length(item$at) == 0) stop("no variant is in its window", call. = FALSE)
  if (inherits(item$x, "error")) stop(item$x)
  item$x %||% window_genotypes(common$source, item$at)
}

# The genotypes of one window as a matrix.
window_genotypes <- function(source, at) {
  names <- list(source$samples, source$variants[at])
  if (source$kind %in% c("dense", "int8")) {
    x <- source$x[, at, drop = FALSE]
  } else if (source$kind %in% c("sparse", "delayed")) {
    x <- as.matrix(source$x[, at, drop = FALSE])
    if (fits_byte(x)) storage.mode(x) <- "integer"
  } else {
    x <- mmash_read(source, at - 1L)
    x[is.nan(x)] <- NA
  }
  dimnames(x) <- names
  x
}

# An interrupt of a gene's fit is one of all genes; a worker, which heeds the stop sign, only ends.
fit_gene <- function(item, x, common, stop_sign) {
  common$arguments$control$stop_sign <- stop_sign
  fit <- quietly(do.call(mmash, c(list(x, item$y, prior = common$prior), common$arguments,
                                  list(missing_x = common$missing_x, seed = common$seed,
                                       threads = 1, verbose = FALSE,
                                       update = learned_of_gene(common)))))
  if (fit$convergence$status == "interrupted" && is.null(stop_sign)) rlang::interrupt()
  fit
}

# ---- shared weights -----------------------------------------------------------------------------

genes_prior <- function(shared, prior, learn, rounds, fun) {
  genes <- names(shared$genes)[lengths(shared$windows) > 0]
  count <- min(learn, length(genes))
  sampled <- genes[if (count > 0) with_seed_of(shared$seed, sort(sample.int(length(genes), count)))]
  prior <- prior %||% pooled_prior(shared, if (count > 0) sampled else utils::head(genes, 1), fun)
  if (!inherits(prior, "mash_prior")) {
    abort_arg(fun, "prior", "made by mash_prior()", describe_value(prior))
  }
  if (count > 0) return(learn_weights(prior, sampled, rounds, shared))
  prior$weights <- prior$weights %||% start_weights(prior)[[1]]
  prior
}

# Rounds over the sampled genes: fits with the weights as they are, then weights from the fits. From
# a small weight of the null it would take hundreds of rounds to tell it from the smallest scales:
# the first round tries several, and steps grow as long as the bound of all genes rises.
learn_weights <- function(prior, genes, rounds, shared) {
  file <- if (!is.null(shared$folder)) weights_file(prior, genes, shared)
  at <- read_result(file) %||% list(round = 0L, converged = FALSE)
  while (at$round < rounds && !at$converged) {
    at <- if (at$round == 0) first_round(prior, genes, shared) else
      next_round(at, prior, genes, shared)
    save_result(at, file)
  }
  prior$weights <- at$plain
  prior$converged <- at$converged
  prior
}

# at: where the climb stands. weights and their bound, plain: what a plain step makes of them,
# step: how much further than that the next step goes, starts: where the fits of the genes ended.
first_round <- function(prior, genes, shared) {
  tried <- lapply(start_weights(prior), function(weights) {
    evaluate_weights(weights, NULL, prior, genes, shared, "weights, round 1")
  })
  best <- tried[[which.max(vapply(tried, `[[`, 0, "bound"))]]
  c(best, list(round = 1L, step = 1, converged = !is.finite(best$bound))) # no gene could be fitted
}

next_round <- function(at, prior, genes, shared, tolerance = 1e-3) {
  label <- sprintf("weights, round %d", at$round + 1L)
  floor <- 1e-12 # a weight may come back from 0
  theta <- log(pmax(at$weights, floor))
  theta <- theta + at$step * (log(pmax(at$plain, floor)) - theta)
  weights <- exp(theta - max(theta))
  weights <- weights / sum(weights)
  new <- evaluate_weights(weights, at$starts, prior, genes, shared, label)
  at$round <- at$round + 1L
  if (new$bound < at$bound && at$step > 1) { # back, and no further than the plain step
    at$step <- 1
    return(at)
  }
  if (!is.finite(new$bound)) return(utils::modifyList(at, list(converged = TRUE)))
  settled <- max(abs(new$plain - new$weights)) < tolerance && new$bound - at$bound < 0.1
  c(new, list(round = at$round, step = 2 * at$step, converged = settled))
}

start_weights <- function(prior) {
  if (!is.null(prior$weights)) return(list(prior$weights))
  labels <- prior_components(prior)
  others <- length(labels) - prior$null
  lapply(if (prior$null) c(.99, .9, .999) else 0, function(null) {
    stats::setNames(c(if (prior$null) null, rep((1 - null) / others, others)), labels)
  })
}

# The bound of all genes under these weights, and the weights that their fits ask for. The penalty
# counts once for each gene, as in mmash().
evaluate_weights <- function(weights, starts, prior, genes, shared, label) {
  shared$prior <- prior
  shared$prior$weights <- weights
  shared$starts <- starts
  parts <- over_genes(genes, shared, gene_counts, label)
  if (length(parts) < length(genes)) rlang::interrupt()
  fitted <- Filter(Negate(is.null), parts)
  out <- list(bound = -Inf, weights = weights, plain = weights,
              starts = stats::setNames(lapply(parts, `[[`, "start"), genes))
  if (length(fitted) == 0) return(out)
  count <- Reduce(`+`, lapply(fitted, `[[`, "alpha"))
  extra <- if (prior$null) length(fitted) * (shared$arguments$penalty - 1) else 0
  count[1] <- count[1] + extra
  out$bound <- sum(vapply(fitted, `[[`, 0, "bound")) + extra * log(max(weights[[1]], 1e-300))
  out$plain[] <- count / sum(count)
  out
}

weights_file <- function(prior, genes, shared) {
  data <- lapply(genes, function(gene) {
    item <- gene_item(gene, shared)
    rlang::hash(list(item$y, tryCatch(item_genotypes(item, shared), error = conditionMessage)))
  })
  hash <- rlang::hash(list(prior, data, genes, shared$arguments, shared$seed, shared$missing_x))
  file.path(shared$folder, paste0("weights-", hash, ".rds"))
}

# One grid for all genes, from the effects of the sampled ones.
pooled_prior <- function(shared, genes, fun) {
  effects <- lapply(genes, function(gene) {
    item <- gene_item(gene, shared)
    effects_of <- function() {
      prior_effects(item$y, item_genotypes(item, shared), shared$arguments$standardize,
                    shared$arguments$covariates, shared$missing_x, "second", fun,
                    shared$arguments$assay)
    }
    suppressMessages(tryCatch(effects_of(), error = conditionMessage))
  })
  failed <- vapply(effects, is.character, NA)
  if (all(failed)) {
    abort(fun, "no gene gives a prior; the first says: ",
          if (length(effects) > 0) effects[[1]] else "no variant is in its window")
  }
  sizes <- vapply(effects[!failed], function(e) ncol(e$bhat), 0L)
  usual <- as.integer(names(which.max(table(sizes))))
  effects <- effects[!failed][sizes == usual]
  all <- list(bhat = do.call(rbind, lapply(effects, `[[`, "bhat")),
              shat = do.call(rbind, lapply(effects, `[[`, "shat")))
  conditions <- effects[[1]]$conditions
  new_mash_prior(canonical_matrices(conditions), data_grid(all), TRUE, NULL,
                 shared$arguments$standardize, stated_names(conditions), TRUE)
}

# How many variants of a gene belong to each component, in expectation, and its bound; NULL when
# it cannot be fitted.
gene_counts <- function(item, common, stop_sign = NULL) {
  tryCatch({
    if (!is.null(item$start)) {
      common$arguments$control <- utils::modifyList(common$arguments$control,
                                                    list(start = item$start))
    }
    fit <- fit_gene(item, item_genotypes(item, common), common, stop_sign)
    list(alpha = fit$state$progress$memory$alpha, bound = utils::tail(fit$objective$value, 1),
         start = list(coef = unname(fit$posterior$mean),
                      residual = unname(fit$estimate$residual_covariance)))
  }, error = function(e) NULL)
}

# A residual covariance that was given is kept.
learned_of_gene <- function(common) {
  if (is.numeric(common$arguments$residual)) "none" else "residual"
}

# ---- one gene -----------------------------------------------------------------------------------

gene_result <- function(item, common, stop_sign = NULL) {
  gene <- item$gene
  file <- NULL
  out <- tryCatch({
    x <- item_genotypes(item, common)
    file <- gene_file(item, x, common)
    kept <- read_result(file)
    if (!is.null(kept)) return(kept)
    fit <- fit_gene(item, x, common, stop_sign)
    if (fit$convergence$status == "interrupted") file <- NULL # to be done again
    sets <- credible_sets_or_none(fit)
    list(unit = gene_unit(gene, fit, sets), results = gene_table(gene, fit, sets, common$report),
         sets = cbind(data.frame(gene = rep(gene, nrow(sets))), sets))
  }, error = function(e) list(unit = failed_unit(gene, conditionMessage(e))))
  save_result(out, file)
  out
}

# The name of the file says which gene, and by its hash with which data and settings.
gene_file <- function(item, x, common) {
  if (is.null(common$folder)) return(NULL)
  hash <- rlang::hash(list(common$key, item$gene, item$y, x))
  file.path(common$folder, paste0(gsub("[^A-Za-z0-9._-]", "_", item$gene), "-", hash, ".rds"))
}

read_result <- function(file) {
  if (!is.null(file) && file.exists(file)) tryCatch(readRDS(file), error = function(e) NULL)
}

# Written beside, then renamed: whoever is killed leaves a whole file or none.
save_result <- function(value, file) {
  if (is.null(file)) return(invisible())
  beside <- sprintf("%s.%d.part", file, Sys.getpid())
  saveRDS(value, beside)
  file.rename(beside, file)
}

gene_unit <- function(gene, fit, sets) {
  cbind(data.frame(gene = gene), glance(fit), variants = nrow(fit$posterior$mean),
        sets = length(unique(sets$set)), min_lfsr = min(lfsr(fit)), message = "")
}

failed_unit <- function(gene, message) {
  data.frame(gene = gene, model = "mmash", method = "vb", df = NA_real_, nobs = NA_real_,
             objective = NA_real_, converged = FALSE, status = "failed", iterations = NA_integer_,
             seconds = NA_real_, variants = NA_integer_, sets = NA_integer_, min_lfsr = NA_real_,
             message = message)
}

# What tidy() has when no gene gave a result.
no_results <- function() {
  data.frame(gene = character(), variant = character(), condition = character(),
             term = character(), estimate = numeric(), std.error = numeric(),
             prob_positive = numeric(), prob_negative = numeric(), lfsr = numeric(),
             pip = numeric(), set = integer())
}

credible_sets_or_none <- function(fit) {
  if (fit$prior$null) credible_sets(fit) else data.frame(set = integer(), variant = character())
}

gene_table <- function(gene, fit, sets, report) {
  table <- tidy(fit)
  table$set <- sets$set[match(table$variant, sets$variant)]
  seen <- table$lfsr < report[["lfsr"]] | !is.na(table$set) |
    (!is.na(table$pip) & table$pip > report[["pip"]])
  wanted <- table$variant %in% table$variant[seen]
  cbind(data.frame(gene = rep(gene, sum(wanted))), table[wanted, ])
}

new_mmash_genes <- function(parts, shared, call) {
  bound <- function(part) do.call(rbind, lapply(parts, `[[`, part))
  units <- bind_units(lapply(parts, `[[`, "unit"))
  if (all(vapply(parts, function(part) is.null(part$results), NA))) {
    warning("mmash_genes: no gene could be fitted; the first says: ", units$status[1],
            call. = FALSE)
  }
  control <- shared$arguments$control
  control$seed <- shared$seed
  fit <- new_fit("mmash", "vb", NULL, list(weights = shared$prior$weights),
                 final_objectives(units), genes_convergence(units), control,
                 list(dims = length(shared$genes)), sum(units$nobs, na.rm = TRUE), units$df,
                 results = `rownames<-`(bound("results") %||% no_results(), NULL),
                 sets = bound("sets"), units = units, weights = shared$prior$weights,
                 prior = shared$prior, seed = shared$seed)
  fit$call <- small_call(call, "mmash_genes")
  class(fit) <- c("mmash_genes", "mixology_fit")
  fit
}

bind_units <- function(units) {
  columns <- unique(unlist(lapply(units, names)))
  units <- do.call(rbind, lapply(units, function(u) {
    u[setdiff(columns, names(u))] <- NA
    u[columns]
  }))
  units$status <- ifelse(units$status == "failed", units$message, units$status)
  units$status[units$converged] <- "ok"
  units[setdiff(names(units), "message")]
}

genes_convergence <- function(units) {
  fitted <- !is.na(units$objective)
  bad <- sum(units$status != "ok")
  list(converged = bad == 0,
       status = if (!any(fitted)) "not_fitted" else if (bad > 0) "units" else "converged",
       reason = if (bad == 0) paste(count_of(sum(fitted), "gene"), "fitted") else
         sprintf("%d of %d genes", bad, nrow(units)),
       iterations = max(c(0L, units$iterations), na.rm = TRUE))
}
