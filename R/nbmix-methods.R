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
  kind <- ifelse(e$mean == 0, "always zero",
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
  tried <- fit$candidates$k
  words <- if (length(tried) > 1) {
    by <- if (fit$method == "em") fit$criterion else "evidence"
    sprintf(", chosen among %s by %s", paste(tried, collapse = ", "), by)
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
#' @param size_factors Size factors of the new cells: numbers, or `"total"` for a matrix. Default:
#'   those of the fit when the number of cells is the same, else 1.
#' @param type `"cluster"` (labels), `"prob"` (responsibilities; for many genes a list of matrices)
#'   or `"density"` (the probability of each count under the mixture).
#' @param data For residuals: the counts of the fit, if its call no longer finds them.
#' @param nsim Number of data sets.
#' @param seed Whole number; `NULL` uses R's generator as it stands.
#' @param ... Not used.
#' @return `predict()`: labels, a matrix or a list as `type` says. `residuals()`: `"response"`
#'   (count minus fitted value), `"pearson"`, or randomised quantile residuals (standard normal when
#'   the model is right). `simulate()`: a data frame with a column for each data set, or
#'   for many genes a list of genes x cells matrices. `fitted()`: the expected count of each cell
#'   given its responsibilities; for many genes the mean over components, genes x cells.
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
                          type = c("cluster", "prob", "density"), ...) {
  type <- check_choice(type, c("cluster", "prob", "density"), "predict", "type")
  if (missing(newdata)) return(nbmix_predict_training(object, type, parent.frame()))
  if (holds_units(object)) return(nbmix_predict_many(object, newdata, size_factors, type))
  x <- check_counts(as.vector(newdata), "predict", "newdata")
  s <- nbmix_new_size_factors(object, size_factors, length(x))
  nbmix_predict_cells(object$estimate, x, s, type, names(newdata))
}

# Without new counts: what the fit says of its own.
nbmix_predict_training <- function(fit, type, env) {
  if (!holds_units(fit) && type != "density" && !is.null(fit$clusters)) {
    return(if (type == "cluster") fit$clusters else fit$responsibilities)
  }
  if (!is.null(fit$gene)) {
    abort_arg("predict", "newdata", "counts", "nothing", "predict(fit, newdata = counts)")
  }
  predict(fit, newdata = training_data(fit, NULL, "predict", env), type = type)
}

nbmix_predict_cells <- function(estimate, x, s, type, cells) {
  out <- nbmix_posterior(x, s, estimate$weight, estimate$mean, estimate$dispersion)
  switch(type,
    cluster = nbmix_labels(out$prob, cells),
    prob = nbmix_prob_matrix(out$prob, cells),
    density = stats::setNames(exp(out$log_density), cells))
}

nbmix_new_size_factors <- function(fit, size_factors, n) {
  if (is.null(size_factors)) {
    s <- fit$size_factors
    return(if (length(s) == n) s else if (length(s) == 1) rep(s, n) else rep(1, n))
  }
  if (length(size_factors) == 1 && is.numeric(size_factors)) size_factors <- rep(size_factors, n)
  check_positive(size_factors, "predict", "size_factors", length = n)
}

nbmix_predict_many <- function(fit, newdata, size_factors, type) {
  if (is_se(newdata)) newdata <- se_assay(newdata, NULL, "predict")
  source <- count_source(newdata, "predict", "newdata")
  genes <- fit$units$gene
  rows <- if (is.null(source$gene_names)) seq_len(source$genes) else match(genes, source$gene_names)
  if (anyNA(rows) || length(rows) != length(genes)) {
    abort_arg("predict", "newdata", "counts of the genes of the fit",
              sprintf("%d genes, not all of them in the fit", source$genes))
  }
  s <- if (identical(size_factors, "total")) total_size_factors(source, "predict") else
    nbmix_new_size_factors(fit, size_factors, source$cells)
  out <- lapply(seq_along(genes), function(g) {
    row <- source$read(rows[g], rows[g])
    x <- replace(numeric(source$cells), row$i + 1, row$x)
    e <- fit$estimate[fit$estimate$gene == genes[g], ]
    if (nrow(e) == 0 || !is.null(count_fault(x))) return(NULL)
    nbmix_predict_cells(e, x, s, type, source$cell_names)
  })
  names(out) <- genes
  if (type == "prob") return(out)
  missing <- rep(NA, source$cells)
  do.call(rbind, lapply(out, function(row) row %||% missing))
}

#' @export
fitted.nbmix <- function(object, ...) {
  if (holds_units(object)) return(nbmix_fitted_many(object))
  mean <- if (is.null(object$responsibilities)) {
    sum(object$estimate$weight * object$estimate$mean)
  } else {
    drop(object$responsibilities %*% object$estimate$mean)
  }
  rep_len(object$size_factors, object$nobs) * mean
}

nbmix_fitted_many <- function(fit) {
  if (nrow(fit$units) * as.double(fit$cells) > 5e7) {
    abort("fitted", sprintf("%d genes x %d cells would be a large dense matrix", nrow(fit$units),
                            fit$cells), "; try fitted(fit[genes])")
  }
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
  type <- check_choice(type, c("response", "pearson", "quantile"), "residuals", "type")
  need_one_unit(object, "residuals", "residuals(fit[[\"gene\"]], data = <counts of that gene>)")
  x <- nbmix_training_counts(object, data, "residuals", parent.frame())
  s <- rep_len(object$size_factors, object$nobs)
  out <- switch(type, response = x - fitted(object), pearson = nbmix_pearson(object$estimate, x, s),
                quantile = nbmix_quantile_residuals(object$estimate, x, s, seed))
  stats::setNames(out, object$cell_names)
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

# The counts of the fit: given (alone or as the first column of a data frame), or found again.
nbmix_training_counts <- function(fit, data, fun, env) {
  if (is.data.frame(data)) data <- data[[1]]
  if (!is.numeric(data) || length(data) != fit$nobs) {
    if (!is.null(fit$gene)) {
      abort_arg(fun, "data", sprintf("the %d counts of the gene", fit$nobs), describe_value(data))
    }
    data <- training_data(fit, data, fun, env)
  }
  check_counts(as.vector(data), fun, "data")
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
  u <- with_generator(seed, stats::runif(length(x)))
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

# Evaluates with R's generator at `seed`, then puts the generator back where it was.
with_generator <- function(seed, expr) {
  if (is.null(seed)) return(expr)
  old <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit(if (is.null(old)) rm(".Random.seed", envir = globalenv()) else
    assign(".Random.seed", old, globalenv()))
  set.seed(seed)
  expr
}

#' @rdname nbmix-methods
#' @export
simulate.nbmix <- function(object, nsim = 1, seed = NULL, ...) {
  nsim <- check_count(nsim, "simulate", "nsim")
  s <- rep_len(object$size_factors, object$cells)
  one <- function(e) nbmix_draw_counts(e, s)
  with_generator(seed, if (holds_units(object)) {
    parts <- split(object$estimate, factor(object$estimate$gene, unique(object$units$gene)))
    lapply(stats::setNames(seq_len(nsim), paste0("sim_", seq_len(nsim))),
           function(i) do.call(rbind, lapply(parts, one)))
  } else {
    draws <- replicate(nsim, one(object$estimate), simplify = FALSE)
    stats::setNames(as.data.frame(draws), paste0("sim_", seq_len(nsim)))
  })
}

nbmix_draw_counts <- function(e, s) {
  if (length(e$weight) == 0) return(rep(NA_real_, length(s)))
  cluster <- draw_labels(length(s), e$weight)
  stats::rpois(length(s), s * draw_rates(unname(e$mean)[cluster], unname(e$dispersion)[cluster]))
}

#' @export
result_columns.nbmix <- function(fit) {
  if (!holds_units(fit)) return(list())
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
  list(row = row)
}
