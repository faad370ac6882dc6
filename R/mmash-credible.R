# Credible sets: for each signal the posterior of its single causal variant.

#' Credible sets of the signals of a fit of `mmash()`
#'
#' A signal is a group of correlated variants whose probabilities of an effect add up to at least a
#' half and not to more than about one: variants that are correlated and both have an effect of
#' their own are two signals. Its effects are put back into the residual of the fit; every variant
#' is then asked how well it explains that signal alone, under the learned weights and residual
#' covariance, all other signals being accounted for. The set is the smallest one that holds the
#' causal variant with the probability asked for. Variational fits tend to put a signal on one of
#' several correlated variants; the sets do not, because all variants are compared afresh.
#'
#' @param x A fit of [mmash()] by `"vb"` or `"gibbs"` whose prior has a null component.
#' @param coverage Probability that a set holds its causal variant, between 0 and 1. Default 0.95.
#' @param min_correlation Sets with two variants less correlated than this are left out. Default
#'   0.5.
#' @param ... Nothing.
#' @return A data frame, one row per variant of a set: `set` (1 the signal of the largest
#'   probability), `variant`, `position` (its column), `probability` (that it is the causal one),
#'   `size`, `coverage` (reached), `purity` (smallest absolute correlation within the set).
#' @references Wang, Sarkar, Carbonetto and Stephens (2020) A simple new approach to variable
#'   selection in regression, with application to genetic fine mapping. Journal of the Royal
#'   Statistical Society B 82:1273 (credible sets and their purity).
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(4000, 2, .3), 100)
#' X[, 4] <- X[, 3] # two variants that cannot be told apart
#' Y <- cbind(X[, 3], X[, 3] + X[, 20]) + matrix(rnorm(200), 100)
#' credible_sets(mmash(X, Y, seed = 1))
#' @export
credible_sets <- function(x, coverage = 0.95, min_correlation = 0.5, ...) {
  UseMethod("credible_sets")
}

#' @export
credible_sets.mmash <- function(x, coverage = 0.95, min_correlation = 0.5, ...) {
  fun <- "credible_sets"
  check_no_dots(list(...), fun, c("coverage", "min_correlation"))
  coverage <- check_number(coverage, fun, "coverage", 0, 1, open = TRUE)
  min_correlation <- check_number(min_correlation, fun, "min_correlation", 0, 1)
  if (!x$prior$null) abort(fun, "the prior has no null component, so there are no signals")
  if (x$method == "em") {
    abort(fun, "method = \"em\" takes variants one at a time", "; try method = \"vb\"")
  }
  if (is.null(x$signals)) {
    abort(fun, "the fit was stopped before its signals were looked for",
          "; try going on with resume(fit, iterations)")
  }
  labels <- rownames(x$posterior$mean)
  sets <- lapply(x$signals, credible_set, coverage = coverage, labels = labels)
  sets <- Filter(function(set) set$purity[1] >= min_correlation, sets)
  empty <- credible_set(list(variants = integer(), probability = numeric(),
                             correlation = matrix(0, 0, 0)), coverage, labels)
  out <- do.call(rbind, c(list(empty), sets))
  cbind(set = rep(seq_along(sets), vapply(sets, nrow, 0L)), out)
}

credible_set <- function(signal, coverage, labels) {
  reached <- cumsum(signal$probability)
  size <- min(sum(reached < coverage) + 1, length(reached))
  at <- seq_len(size)
  r <- signal$correlation[at, at, drop = FALSE]
  data.frame(variant = labels[signal$variants[at]], position = signal$variants[at],
             probability = signal$probability[at], size = rep(size, size),
             coverage = rep(reached[size], size), purity = rep(min(abs(r), 1), size))
}

# Signals come in the order of the sweep and by decreasing probability of their lead.
mmash_signals <- function(signals, order) {
  if (is.null(signals)) return(NULL)
  lapply(signals, function(signal) {
    for (field in c("lead", "members", "variants")) signal[[field]] <- order[signal[[field]]]
    signal
  })
}
