# Cross-validation of mmash().

#' Cross-validation of `mmash()`
#'
#' @param x,y,assay As in [mmash()]; `x` may be a file, and no statistics.
#' @param folds Number of folds, or one label per sample. Default 5.
#' @param ... Arguments of [mmash()], such as `prior`, `residual`, `covariates`.
#' @param seed Fixes the folds and the fits. Default: drawn from R's generator.
#' @param BPPARAM A BiocParallel back end over the folds; `NULL` (default): one after the other.
#' @return An object of class `mmash_cv`: `predictions` (samples x conditions, each from the fit
#'   without that sample's fold), `scores` (data frame `fold, condition, n, r2, rmse`), `folds`,
#'   `converged`. `tidy()` gives the scores, `glance()` their means over conditions, those of each
#'   condition from its predictions in all folds. `r2` is the squared correlation of prediction and
#'   response, 0 where that is negative, `NA` for fewer than three of them.
#' @section Errors: fewer than two folds, more folds than samples, labels of another length, an
#'   interrupt before all folds were fitted.
#' @examples
#' set.seed(1)
#' d <- simulate_mmash(100, 20, conditions = 3, causal = 3)
#' mmash_cv(d$x, d$y, folds = 3, seed = 1)
#' @export
mmash_cv <- function(x, y = NULL, folds = 5, ..., assay = NULL, seed = NULL, BPPARAM = NULL) {
  fun <- "mmash_cv"
  if (inherits(x, "mixology_suff_stats")) { # x is evaluated: a worker does not know where it is
    abort_arg(fun, "x", "genotypes, whose samples can be left out", "sufficient statistics")
  }
  arguments <- list(...)
  seed <- resolve_seed(seed, fun)
  y <- mmash_response_matrix(y, fun, assay = assay)
  folds <- resolve_folds(folds, nrow(y), seed, fun)
  run <- function(fold) cv_fold(x, y, folds == fold, arguments, seed)
  parts <- map_items(sort(unique(folds)), run, resolve_bpparam(BPPARAM, fun))
  converged <- vapply(parts, `[[`, NA, "converged")
  if (!all(converged)) {
    warning(fun, ": ", count_of(sum(!converged), "fold"), " did not converge", call. = FALSE)
  }
  colnames(y) <- as.vector(condition_names(colnames(y), ncol(y)))
  predictions <- y * NA
  for (i in seq_along(parts)) predictions[parts[[i]]$at, ] <- parts[[i]]$prediction
  structure(list(predictions = predictions, folds = folds, y = y,
                 scores = do.call(rbind, Map(cv_scores, parts, sort(unique(folds)),
                                             MoreArgs = list(y = y))),
                 converged = converged, seed = seed),
            class = "mmash_cv")
}

# A fold is left out by taking its responses away: that works for any form of x.
cv_fold <- function(x, y, out, arguments, seed) {
  training <- y
  training[out, ] <- NA
  all <- c(list(x, training), arguments, list(seed = seed, verbose = FALSE))
  fit <- quietly(do.call(mmash, all, quote = TRUE))
  if (fit$convergence$status == "interrupted") {
    abort("mmash_cv", "interrupted before all folds were fitted")
  }
  predicted <- predict(fit, x, covariates = arguments$covariates)
  list(at = which(out), prediction = predicted[out, , drop = FALSE],
       converged = fit$convergence$converged)
}

cv_scores <- function(part, fold, y) {
  truth <- y[part$at, , drop = FALSE]
  one <- function(j) {
    seen <- !is.na(truth[, j])
    p <- part$prediction[seen, j]
    cbind(data.frame(fold = fold, condition = colnames(y)[j]), cv_score(p, truth[seen, j]))
  }
  do.call(rbind, lapply(seq_len(ncol(y)), one))
}

# Means of the other folds are low where a fold is high: predictions that run against the responses
# explain nothing.
cv_score <- function(p, truth) {
  few <- length(p) < 3
  flat <- few || stats::sd(p) == 0 || stats::sd(truth) == 0
  r2 <- if (few) NA_real_ else if (flat) 0 else max(stats::cor(p, truth), 0)^2
  data.frame(n = length(p), r2 = r2,
             rmse = if (length(p) > 0) sqrt(mean((p - truth)^2)) else NA_real_)
}

# One row per condition, over all folds.
cv_conditions <- function(x) {
  parts <- lapply(seq_len(ncol(x$y)), function(j) {
    seen <- !is.na(x$y[, j])
    cv_score(x$predictions[seen, j], x$y[seen, j])
  })
  cbind(data.frame(condition = colnames(x$y)), do.call(rbind, parts))
}

resolve_folds <- function(folds, n, seed, fun) {
  if (length(folds) == n && n > 1) {
    labels <- as.integer(factor(folds))
    if (anyNA(labels) || max(labels) < 2) {
      abort_arg(fun, "folds", "labels of at least two folds", "one label or NA")
    }
    return(labels)
  }
  folds <- check_count(folds, fun, "folds", 2, n)
  with_seed_of(seed, sample(rep_len(seq_len(folds), n)))
}

#' @export
glance.mmash_cv <- function(x, ...) {
  no_more("glance", ...)
  by <- cv_conditions(x)
  data.frame(model = "mmash", folds = max(x$folds), r2 = mean(by$r2, na.rm = TRUE),
             rmse = mean(by$rmse, na.rm = TRUE), converged = all(x$converged))
}

#' @export
tidy.mmash_cv <- function(x, ...) x$scores

#' @export
print.mmash_cv <- function(x, ...) {
  cat(sprintf("Cross-validation of mmash in %d folds\n", max(x$folds)))
  print(cv_conditions(x), digits = 3, row.names = FALSE)
  if (!all(x$converged)) cat(sprintf("%d fits did not converge\n", sum(!x$converged)))
  invisible(x)
}
