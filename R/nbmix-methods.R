# What nbmix fits answer to.

# ---- 4. predict, simulate, tidy -----------------------------------------------------------------

#' @export
describe_fit.nbmix <- function(fit) {
  if (holds_units(fit)) return(nbmix_describe_many(fit))
  unit <- if (is.null(fit$gene)) "1 gene" else sprintf("gene %s", fit$gene)
  head <- sprintf("%s in %s%s", unit, count_of(fit$nobs, "cell"), nbmix_size_factor_words(fit))
  if (length(fit$estimate$weight) == 0) {
    return(c(head, paste(c("not fitted:", fit$outcome, unname(fit$messages)), collapse = " ")))
  }
  e <- fit$estimate
  kind <- ifelse(nbmix_always_zero(e$mean, e$dispersion), "always zero",
                 ifelse(e$dispersion == 0, sprintf("mean %.4g, Poisson (dispersion 0)", e$mean),
                        sprintf("mean %.4g, dispersion %.4g", e$mean, e$dispersion)))
  parts <- sprintf("  %d: %4.1f%% of the cells, %s", seq_along(kind), 100 * e$weight, kind)
  c(head, sprintf("%d component%s%s", fit$k, if (fit$k > 1) "s" else "", nbmix_choice_words(fit)),
    parts, nbmix_empty_words(fit), if (!is.na(fit$log_lik %||% NA)) {
      sprintf("log likelihood %.4f on %d parameters", fit$log_lik, as.integer(fit$df))
    })
}

# Components that the prior has emptied.
nbmix_empty_words <- function(fit) {
  if (fit$method == "em") return(NULL)
  alpha <- fit$prior$concentration
  e <- fit$estimate
  cells <- e$weight * (alpha + fit$nobs) - alpha / length(e$weight)
  held <- sum(cells[e$mean > 0] > 1)
  if (held < fit$k) sprintf("%d of %d components hold more than one cell", held, fit$k)
}

nbmix_size_factor_words <- function(fit) {
  s <- fit$size_factors
  if (length(s) == 1) return(if (s == 1) "" else sprintf(", all with size factor %.4g", s))
  sprintf(", size factors from %.3g to %.3g", min(s), max(s))
}

nbmix_choice_words <- function(fit) {
  tried <- fit$candidates
  words <- if (NROW(tried) > 1) {
    by <- if (fit$method == "em") fit$criterion else "evidence"
    sprintf(", chosen among %s by %s%s", toString(tried$k), by,
            if (all(tried$converged)) "" else {
              sprintf(" (not fitted to the end: %s)", toString(tried$k[!tried$converged]))
            })
  }
  paste(c(words, if (fit$zero_inflated) ", beside a point mass at zero"), collapse = "")
}

nbmix_describe_many <- function(fit) {
  units <- fit$units
  status <- table(units$status)
  k <- table(units$k[units$status %in% c("ok", "not_converged")])
  c(sprintf("%s in %s%s", count_of(nrow(units), "gene"), count_of(fit$cells, "cell"),
            nbmix_size_factor_words(fit)),
    paste0("status: ", paste(sprintf("%d %s", status, names(status)), collapse = ", ")),
    if (length(k) > 0) {
      paste0("components: ", paste(count_of(k, "gene"), "with", names(k), collapse = ", "))
    })
}

#' @export
parameter_table.nbmix <- function(fit, level = NULL) {
  if (holds_units(fit)) return(nbmix_many_parameters(fit))
  e <- fit$estimate
  parts <- length(e$weight)
  out <- data.frame(gene = rep(fit$gene %||% NA_character_, 3 * parts),
                    component = rep(seq_len(parts), 3),
                    term = rep(c("weight", "mean", "dispersion"), each = parts),
                    estimate = unlist(e, use.names = FALSE),
                    std.error = nbmix_errors(fit$vcov, parts))
  out$scale <- rep(c("logit", "log", "log"), each = parts)
  if (!is.null(fit$posterior$draws) && !is.null(level)) {
    limits <- draws_table(fit$posterior$draws, level)
    out[c("conf.low", "conf.high")] <-
      limits[match(nbmix_variables(parts), limits$variable), c("conf.low", "conf.high")]
  }
  out[order(out$component), ]
}

# A weight that cannot move has no error; neither has a parameter at its boundary.
nbmix_errors <- function(vcov, parts) {
  if (parts == 0) return(numeric())
  errors <- sqrt(unname(diag(vcov)))
  if (parts == 1) errors[1] <- NA_real_
  errors
}

nbmix_many_parameters <- function(fit) {
  e <- fit$estimate
  gene <- match(e$gene, fit$units$gene)
  parts <- tabulate(gene, nrow(fit$units))[gene]
  first <- c(0, nbmix_covariance_ends(parts[!duplicated(gene)]))[match(gene, unique(gene))]
  # The diagonal entry j of a packed lower triangle of size d stands at this place.
  place <- function(j, d) first + (j - 1) * d - (j - 1) * (j - 2) / 2 + 1
  error <- function(term) {
    out <- sqrt(fit$covariance[place((term - 1) * parts + e$component, 3 * parts)])
    if (term == 1) out[parts == 1] <- NA_real_
    out
  }
  out <- data.frame(gene = rep(e$gene, each = 3), component = rep(e$component, each = 3),
                    term = rep(c("weight", "mean", "dispersion"), nrow(e)),
                    estimate = as.vector(rbind(e$weight, e$mean, e$dispersion)),
                    std.error = as.vector(rbind(error(1), error(2), error(3))))
  out$scale <- rep(c("logit", "log", "log"), nrow(e))
  out
}

#' Predictions, residuals and simulated counts of an nbmix fit
#'
#' @param object A fit by [nbmix()].
#' @param newdata Counts: a vector for a fit of one gene; for a fit of many genes anything that
#'   [nbmix()] takes, with the genes of the fit. Missing: the counts of the fit.
#' @param size_factors Size factors of the new cells: numbers, `"total"` for a matrix, or the name
#'   of a column of `colData`. Default: `sizeFactors()` of a SingleCellExperiment that has them;
#'   else those of the fit, for cells that it knows by name, for its own counts, and where all its
#'   cells had the same. Other cells need them.
#' @param type `"cluster"` (labels), `"prob"` (responsibilities; for many genes a list of matrices)
#'   or `"density"` (the probability of each count under the mixture).
#' @param assay The assay of an experiment. Default: that of the fit.
#' @param data For residuals: the data of the fit, if its call no longer finds them, in whatever
#'   storage or experiment, or a data frame that has the counts of one gene in a column. Other
#'   counts are an error.
#' @param nsim Number of data sets.
#' @param seed Whole number; `NULL` uses R's generator as it stands.
#' @param ... Not used.
#' @return `predict()`: labels, a matrix or a list as `type` says. `residuals()`: `"response"`
#'   (count minus fitted value), `"pearson"`, or randomised quantile residuals (standard normal when
#'   the model is right); for many genes a matrix genes x cells. `simulate()`: a data frame with
#'   a column for each data set, or for many genes a list of genes x cells matrices, with the
#'   attribute `"seed"` that [stats::simulate()] describes. `fitted()`: the
#'   expected count of each cell given its responsibilities; for many genes the mean over
#'   components, genes x cells.
#' @references Dunn and Smyth (1996) Randomized quantile residuals. Journal of Computational and
#'   Graphical Statistics 5:236.
#' @examples
#' set.seed(1)
#' x <- simulate_nbmix(300, c(.4, .6), c(2, 30), .2)$x
#' fit <- nbmix(x, k = 2, seed = 1)
#' predict(fit, newdata = c(0, 5, 40), size_factors = c(1, 1, 2), type = "prob")
#' r <- residuals(fit, type = "quantile")
#' @name nbmix-methods
NULL

#' @rdname nbmix-methods
#' @export
predict.nbmix <- function(object, newdata, size_factors = NULL,
                          type = c("cluster", "prob", "density"), assay = NULL, ...) {
  no_more("predict", ...)
  type <- check_choice(type, c("cluster", "prob", "density"), "predict", "type")
  if (missing(newdata)) {
    given <- c(size_factors = !is.null(size_factors), assay = !is.null(assay))
    if (any(given)) {
      abort_arg("predict", names(given)[given][1], "left out unless 'newdata' is given", "it")
    }
    return(nbmix_predict_training(object, type, parent.frame()))
  }
  cells <- nbmix_new_cells(object, newdata, size_factors, assay)
  if (holds_units(object)) return(nbmix_predict_many(object, cells$source, cells$s, type))
  nbmix_predict_cells(object$estimate, cells$x, cells$s, type, cells$source$cell_names)
}

# Without new counts: what the fit says of its own.
nbmix_predict_training <- function(fit, type, env) {
  if (!holds_units(fit) && type != "density" && !is.null(fit$clusters)) {
    return(if (type == "cluster") fit$clusters else fit$responsibilities)
  }
  if (!is.null(fit$gene)) {
    x <- nbmix_training_counts(fit, NULL, "predict", env)
    s <- rep_len(fit$size_factors, fit$cells)
    return(nbmix_predict_cells(fit$estimate, x, s, type, fit$cell_names))
  }
  source <- nbmix_training_source(fit, training_data(fit, NULL, "predict", env), "predict")
  s <- rep_len(fit$size_factors, fit$cells)
  if (holds_units(fit)) return(nbmix_predict_many(fit, source, s, type))
  nbmix_predict_cells(fit$estimate, nbmix_new_counts(source), s, type, fit$cell_names)
}

# The data of the fit as a source; genes without names have those that the fit gave them.
nbmix_training_source <- function(fit, data, fun) {
  if (is_se(data)) data <- se_assay(data, fit$assay, fun)
  source <- count_source(data, fun, "data")
  source$gene_names <- source_gene_names(source)
  source
}

nbmix_predict_cells <- function(estimate, x, s, type, cells) {
  out <- nbmix_posterior(x, s, estimate$weight, estimate$mean, estimate$dispersion)
  switch(type,
    cluster = nbmix_labels(out$prob, cells),
    prob = nbmix_prob_matrix(out$prob, cells),
    density = stats::setNames(exp(out$log_density), cells))
}

# The one gene of a source.
nbmix_new_counts <- function(source) {
  if (source$genes != 1) {
    abort_arg("predict", "newdata", "counts of one gene", sprintf("%d genes", source$genes))
  }
  row <- source$read(1L, 1L)
  check_counts(replace(numeric(source$cells), row$i + 1, row$x), "predict", "newdata")
}

# The counts and size factors of cells to predict.
nbmix_new_cells <- function(fit, newdata, size_factors, assay) {
  own <- cells <- NULL
  counts <- newdata
  if (is_se(newdata)) {
    own <- se_size_factors(newdata)
    cells <- se_cells(newdata)
    counts <- se_assay(newdata, assay %||% fit$assay, "predict")
  } else if (!is.null(assay)) {
    abort_arg("predict", "assay", "NULL unless 'newdata' is an experiment", describe_value(assay))
  }
  column <- is.numeric(counts) && length(dim(counts)) == 2 && ncol(counts) == 1
  if (!holds_units(fit) && column) {
    counts <- stats::setNames(as.vector(counts), rownames(counts)) # a column of one gene's counts
  }
  source <- count_source(counts, "predict", "newdata")
  x <- if (!holds_units(fit)) nbmix_new_counts(source)
  n <- source$cells
  if (is.numeric(size_factors) && length(size_factors) == 1) size_factors <- rep(size_factors, n)
  s <- size_factors %||% own %||% nbmix_known_size_factors(fit, newdata, source)
  s <- resolve_size_factors(s, source, "predict", cells = cells)
  list(source = source, x = x, s = s)
}

# Size factors of cells that the fit knows: by name, or because they are its data. Where all were
# equal in the fit they are so for new cells.
nbmix_known_size_factors <- function(fit, newdata, source) {
  s <- fit$size_factors
  if (length(s) == 1) return(rep(s, source$cells))
  known <- !is.null(source$cell_names) && !is.null(fit$cell_names) &&
    !anyDuplicated(fit$cell_names)
  if (known) {
    at <- match(source$cell_names, fit$cell_names)
    if (!anyNA(at)) return(s[at])
  } else if (length(s) == source$cells && nbmix_is_training(fit, newdata)) {
    return(s)
  }
  abort_arg("predict", "size_factors", "given for cells that are not those of the fit", "NULL",
            "\"total\", or numbers, one per cell")
}

# Of genes x cells in any storage or experiment. Where the fit holds some of the genes these count.
#' @export
hash_to_be.nbmix <- function(fit, data, call, env) {
  source <- tryCatch(nbmix_training_source(fit, data, "resume"), error = function(e) NULL)
  if (is.null(source)) return("no counts")
  source_hashes(source, named_blocks(source, some_units(fit)) %||% source_blocks(source))
}

# Are these the counts of the fit, cell by cell?
nbmix_is_training <- function(fit, x) {
  if (holds_units(fit)) return(same_hash(hash_to_be(fit, x), fit$data_info$hash))
  if (!is.numeric(x) || length(x) != fit$cells) return(FALSE)
  x <- plain_numbers(x, "predict", "newdata")
  hash <- fit$data_info$hash
  if (!is.null(fit$gene)) hash <- hash[fit$gene]
  same_hash(unname(source_hashes(count_source(as.vector(x), "predict"))), unname(hash))
}

nbmix_predict_many <- function(fit, source, s, type) {
  nbmix_check_result_size(fit, source, type)
  out <- nbmix_each_gene(fit, source, "predict", function(x, estimate) {
    nbmix_predict_cells(estimate, x, s, type, source$cell_names)
  })
  if (type == "prob") out else nbmix_gene_rows(out, source$cells)
}

# One row per gene, `NA` for one that has none.
nbmix_gene_rows <- function(rows, cells) {
  missing <- rep(NA, cells)
  do.call(rbind, lapply(rows, function(row) row %||% missing))
}

# What `of(counts, estimate)` is for each gene of the fit, by blocks of the source; `NULL` for one
# that was not fitted or has no counts there.
nbmix_each_gene <- function(fit, source, fun, of) {
  genes <- fit$units$gene
  rows <- if (is.null(source$gene_names)) seq_len(source$genes) else match(genes, source$gene_names)
  if (anyNA(rows) || length(rows) != length(genes)) {
    abort_arg(fun, "newdata", "counts of the genes of the fit",
              sprintf("%d genes, not all of them in the fit", source$genes))
  }
  estimates <- split(fit$estimate[c("weight", "mean", "dispersion")],
                     factor(fit$estimate$gene, genes))
  out <- stats::setNames(vector("list", length(genes)), genes)
  blocks <- source_blocks(source)
  for (b in seq_len(nrow(blocks))) {
    mine <- which(rows >= blocks$first[b] & rows <= blocks$last[b])
    if (length(mine) == 0) next
    read <- source$read(blocks$first[b], blocks$last[b])
    out[mine] <- lapply(mine, function(g) {
      x <- nbmix_row_counts(read, rows[g] - blocks$first[b] + 1, source$cells)
      if (nrow(estimates[[g]]) == 0 || !is.null(count_fault(x))) return(NULL)
      of(x, estimates[[g]])
    })
  }
  out
}

nbmix_check_result_size <- function(fit, source, type) {
  parts <- if (type == "prob") nrow(fit$estimate) else nrow(fit$units)
  size <- 8 * parts * as.double(source$cells)
  if (size > getOption("mixology.max_memory", 4e9)) {
    abort("predict", sprintf("the result would take %.1f GB", size / 1e9),
          "; try predict(fit[genes], newdata) or options(mixology.max_memory =)")
  }
}

#' @export
fitted.nbmix <- function(object, ...) {
  no_more("fitted", ...)
  if (holds_units(object)) return(nbmix_fitted_many(object))
  if (length(object$estimate$weight) == 0) {
    return(stats::setNames(rep(NA_real_, object$nobs), object$cell_names))
  }
  mean <- if (is.null(object$responsibilities)) {
    sum(object$estimate$weight * object$estimate$mean)
  } else {
    drop(object$responsibilities %*% object$estimate$mean)
  }
  rep_len(object$size_factors, object$nobs) * mean
}

nbmix_check_dense <- function(fit, fun) {
  if (nrow(fit$units) * as.double(fit$cells) <= 5e7) return(invisible())
  abort(fun, sprintf("%d genes x %d cells would be a large dense matrix", nrow(fit$units),
                     fit$cells), sprintf("; try %s(fit[genes])", fun))
}

nbmix_fitted_many <- function(fit) {
  nbmix_check_dense(fit, "fitted")
  e <- fit$estimate
  mean <- tapply(e$weight * e$mean, factor(e$gene, unique(fit$units$gene)), sum)
  out <- outer(as.vector(mean), rep_len(fit$size_factors, fit$cells))
  dimnames(out) <- list(fit$units$gene, fit$cell_names)
  out
}

#' @rdname nbmix-methods
#' @export
residuals.nbmix <- function(object, type = c("response", "pearson", "quantile"), data = NULL,
                            seed = NULL, ...) {
  no_more("residuals", ...)
  type <- check_choice(type, c("response", "pearson", "quantile"), "residuals", "type")
  if (holds_units(object)) {
    return(nbmix_residuals_many(object, type, data, seed, parent.frame()))
  }
  x <- nbmix_training_counts(object, data, "residuals", parent.frame())
  s <- rep_len(object$size_factors, object$nobs)
  if (length(object$estimate$weight) == 0) type <- "response" # not fitted: NA
  out <- switch(type, response = x - fitted(object), pearson = nbmix_pearson(object$estimate, x, s),
                quantile = nbmix_quantile_residuals(object$estimate, x, s, seed))
  stats::setNames(out, object$cell_names)
}

# Genes x cells, from the mean over the components as fitted() of many genes.
nbmix_residuals_many <- function(fit, type, data, seed, env) {
  nbmix_check_dense(fit, "residuals")
  source <- nbmix_training_source(fit, training_data(fit, data, "residuals", env), "residuals")
  s <- rep_len(fit$size_factors, fit$cells)
  rows <- with_seed(seed, nbmix_each_gene(fit, source, "residuals", function(x, e) {
    switch(type, response = x - s * sum(e$weight * e$mean), pearson = nbmix_pearson(e, x, s),
           quantile = nbmix_quantile_residuals(e, x, s, NULL))
  }), "residuals")
  out <- nbmix_gene_rows(rows, fit$cells)
  colnames(out) <- fit$cell_names
  out
}

#' @export
pointwise_log_lik.nbmix <- function(fit, draws, data, env) {
  x <- nbmix_training_counts(fit, data, "loo", env)
  s <- rep_len(fit$size_factors, fit$nobs)
  parts <- length(fit$estimate$weight)
  part <- rep(1:3, each = parts)
  t(apply(draws, 1, function(d) {
    nbmix_posterior(x, s, d[part == 1], d[part == 2], d[part == 3])$log_density
  }))
}

# The counts of the fit: given (as they are, or as a column of a data frame), or found again.
nbmix_training_counts <- function(fit, data, fun, env) {
  data <- data %||% tryCatch(eval(fit$call[[data_argument(fit)]], env), error = function(e) NULL)
  columns <- if (is.data.frame(data)) data else if (is.atomic(data)) list(data)
  for (x in lapply(columns, plain_numbers, fun, "data")) {
    if (nbmix_is_training(fit, x)) return(as.double(x))
  }
  x <- nbmix_gene_counts(fit, data, fun)
  if (nbmix_is_training(fit, x)) return(x)
  must <- if (is.null(fit$gene)) "the data of the fit, which keeps no copy of them" else
    sprintf("the %d counts of gene %s", fit$nobs, fit$gene)
  abort_arg(fun, "data", must, if (is.null(data)) "nothing" else "other data",
            sprintf("%s(fit, data = x)", fun))
}

# Of a gene out of many: its row of genes x cells; NULL where there is none.
nbmix_gene_counts <- function(fit, data, fun) {
  if (length(dim(data)) != 2 || is.null(fit$gene)) return(NULL)
  source <- tryCatch(nbmix_training_source(fit, data, fun), error = function(e) NULL)
  if (is.null(source)) return(NULL)
  at <- if (source$genes == 1) 1L else match(fit$gene, source$gene_names)
  if (!is.na(at)) nbmix_row_counts(source$read(at, at), 1, source$cells)
}

# Whatever holds the counts, beside a data frame of the cells, gives these as a column.
#' @export
observations.nbmix <- function(fit, data, env) {
  if (is.data.frame(data) && nrow(data) == fit$nobs) return(data)
  data.frame(x = nbmix_training_counts(fit, data, "augment", env))
}

nbmix_pearson <- function(e, x, s) {
  mean <- s * sum(e$weight * e$mean)
  second <- s^2 * sum(e$weight * (1 + e$dispersion) * e$mean^2)
  (x - mean) / sqrt(pmax(mean + second - mean^2, .Machine$double.xmin))
}

# Normal scores of a uniform draw between F(x - 1) and F(x), from the tail that is smaller.
nbmix_quantile_residuals <- function(e, x, s, seed) {
  lower <- nbmix_cdf(e, x - 1, s, TRUE)
  upper <- nbmix_cdf(e, x, s, FALSE)
  u <- with_seed(seed, stats::runif(length(x)), "residuals")
  mass <- pmax(1 - lower - upper, 0)
  low <- lower < upper
  ifelse(low, stats::qnorm(pmax(lower + u * mass, 1e-320)),
         stats::qnorm(pmax(upper + (1 - u) * mass, 1e-320), lower.tail = FALSE))
}

nbmix_cdf <- function(e, x, s, lower.tail) {
  parts <- lapply(seq_along(e$weight), function(j) {
    phi <- e$dispersion[j]
    m <- s * e$mean[j]
    e$weight[j] * if (phi == 0) stats::ppois(x, m, lower.tail) else
      stats::pnbinom(x, size = 1 / phi, mu = m, lower.tail = lower.tail)
  })
  Reduce(`+`, parts)
}

#' @rdname nbmix-methods
#' @export
simulate.nbmix <- function(object, nsim = 1, seed = NULL, ...) {
  no_more("simulate", ...)
  nsim <- check_count(nsim, "simulate", "nsim")
  s <- rep_len(object$size_factors, object$cells)
  one <- function(e) nbmix_draw_counts(e, s)
  many <- function(e) {
    parts <- split(e, factor(e$gene, unique(object$units$gene)))
    out <- do.call(rbind, lapply(parts, one))
    colnames(out) <- object$cell_names
    out
  }
  draw <- if (holds_units(object)) many else one
  simulated(seed, {
    draws <- replicate(nsim, draw(object$estimate), simplify = FALSE)
    names(draws) <- paste0("sim_", seq_len(nsim))
    if (holds_units(object)) draws else as.data.frame(draws)
  })
}

nbmix_draw_counts <- function(e, s) {
  if (length(e$weight) == 0) return(rep(NA_real_, length(s)))
  cluster <- draw_labels(length(s), e$weight)
  stats::rpois(length(s), s * draw_rates(unname(e$mean)[cluster], unname(e$dispersion)[cluster]))
}

#' @export
result_columns.nbmix <- function(fit) {
  if (!holds_units(fit)) {
    abort_arg("add_results", "fit", "of all genes of 'se'", "a fit of one gene",
              "colData(se)$cluster <- clusters(fit)")
  }
  units <- fit$units
  e <- fit$estimate
  gene <- match(e$gene, units$gene)
  row <- units[c("k", "logLik", "BIC", "status", "converged")]
  for (part in seq_len(max(c(1, e$component)))) {
    mine <- e$component == part
    for (term in c("weight", "mean", "dispersion")) {
      row[[paste0(term, "_", part)]] <- e[[term]][mine][match(seq_len(nrow(units)), gene[mine])]
    }
  }
  # Rows are found again by the names of the genes, where the data had some.
  if (!is.null(fit$data_info$dimnames[[1]])) rownames(row) <- units$gene
  list(row = row)
}
