# Draws of a posterior in the format of the posterior package.

#' Posterior draws
#'
#' The draws of a Gibbs fit (all chains), or independent draws from q of a variational fit, in the
#' formats of the posterior package, with names such as `mean[1]`.
#'
#' `as_draws()` and `as_draws_df()` hand over to the functions of the same names in posterior, so
#' that either package may be attached first.
#'
#' @param x A fit, or anything that posterior knows.
#' @param draws Draws from q for a variational fit. Default 1000.
#' @param ... Further arguments for methods.
#' @return A `draws_array` or `draws_df`.
#' @examplesIf requireNamespace("posterior", quietly = TRUE)
#' control <- gibbs_control(chains = 2, iterations = 200)
#' fit <- nbmix(c(0, 1, 2, 1, 0, 3, 2, 4), k = 1, method = "gibbs", control = control, seed = 1)
#' posterior::summarise_draws(as_draws(fit))
#' @export
as_draws <- function(x, ...) {
  check_installed("posterior", "as_draws", "to work with draws one")
  posterior::as_draws(x, ...)
}

#' @rdname as_draws
#' @export
as_draws_df <- function(x, ...) {
  check_installed("posterior", "as_draws_df", "to work with draws one")
  posterior::as_draws_df(x, ...)
}

#' @rdname as_draws
#' @exportS3Method posterior::as_draws
as_draws.mixology_fit <- function(x, draws = 1000, ...) posterior::as_draws_array(x, draws, ...)

#' @exportS3Method posterior::as_draws_array
as_draws_array.mixology_fit <- function(x, draws = 1000, ...) {
  no_more("as_draws_array", ...)
  posterior::as_draws_array(draws_of(x, draws))
}

#' @exportS3Method posterior::as_draws_df
as_draws_df.mixology_fit <- function(x, draws = 1000, ...) {
  no_more("as_draws_df", ...)
  posterior::as_draws_df(posterior::as_draws_array(x, draws))
}

#' @exportS3Method posterior::as_draws_matrix
as_draws_matrix.mixology_fit <- function(x, draws = 1000, ...) {
  no_more("as_draws_matrix", ...)
  posterior::as_draws_matrix(posterior::as_draws_array(x, draws))
}

#' Leave-one-out cross-validation of a Gibbs fit
#'
#' Hands the log density of each observation under each draw to the loo package: Pareto smoothed
#' importance sampling, or the widely applicable information criterion.
#'
#' @param x A fit by Gibbs sampling of a model with independent observations.
#' @param data The data of the fit, if its call no longer finds them.
#' @param ... Further arguments of `loo::loo()`, such as `cores`.
#' @return What `loo::loo()` and `loo::waic()` return.
#' @references Vehtari, Gelman and Gabry (2017) Practical Bayesian model evaluation using
#'   leave-one-out cross-validation and WAIC. Statistics and Computing 27:1413.
#' @examplesIf requireNamespace("loo", quietly = TRUE)
#' x <- c(0, 1, 2, 1, 0, 3, 2, 4)
#' control <- gibbs_control(chains = 2, iterations = 400)
#' loo::loo(nbmix(x, method = "gibbs", control = control, seed = 1))
#' @name loo
#' @exportS3Method loo::loo
loo.mixology_fit <- function(x, data = NULL, ...) {
  log_lik <- pointwise_array(x, data, "loo", parent.frame())
  loo::loo(log_lik, r_eff = loo::relative_eff(exp(log_lik), cores = 1), ...)
}

#' @rdname loo
#' @exportS3Method loo::waic
waic.mixology_fit <- function(x, data = NULL, ...) {
  loo::waic(pointwise_array(x, data, "waic", parent.frame()), ...)
}

# iterations x chains x observations
pointwise_array <- function(fit, data, fun, env) {
  need_one_unit(fit, fun, sprintf("%s(fit[[\"gene\"]], data = <its counts>)", fun))
  draws <- fit$posterior$draws
  if (is.null(draws)) abort(fun, "draws are needed; try method = \"gibbs\"")
  if (prod(dim(draws)[1:2]) * fit$nobs > 2e8) {
    abort(fun, "draws x observations is too large to hold; try gibbs_control(thin =)")
  }
  values <- pointwise_log_lik(fit, flat_draws(draws), data, env)
  array(values, c(dim(draws)[1:2], ncol(values)))
}

# draws x observations
pointwise_log_lik <- function(fit, draws, data, env) UseMethod("pointwise_log_lik")

#' @export
pointwise_log_lik.default <- function(fit, draws, data, env) {
  abort("loo", "not for a fit of ", fit$model)
}

# iterations x chains x variables
draws_of <- function(fit, n) {
  need_one_unit(fit, "as_draws", "as_draws(fit[[\"gene\"]])")
  if (!is.null(fit$posterior$draws)) return(fit$posterior$draws)
  if (fit$method != "vb") {
    abort("as_draws", "a fit by EM is a point; try method = \"vb\" or method = \"gibbs\"")
  }
  n <- check_count(n, "as_draws", "draws")
  sample <- posterior_sample(fit, n)
  array(sample, c(nrow(sample), 1, ncol(sample)), list(NULL, NULL, colnames(sample)))
}

# All chains one under the other.
flat_draws <- function(draws) {
  matrix(draws, ncol = dim(draws)[3], dimnames = list(NULL, dimnames(draws)[[3]]))
}

# One array from the kept sweeps of each chain; chains cut short are cut to the shortest.
bind_chains <- function(chains, variables) {
  kept <- min(vapply(chains, nrow, 0L))
  out <- array(NA_real_, c(kept, length(chains), length(variables)),
               list(NULL, NULL, variables))
  for (i in seq_along(chains)) out[, i, ] <- chains[[i]][seq_len(kept), , drop = FALSE]
  out
}

# Posterior means, standard deviations and quantiles, one row per variable.
draws_table <- function(draws, level = 0.95) {
  flat <- flat_draws(draws)
  limits <- draws_limits(draws, level)
  data.frame(variable = colnames(flat), estimate = colMeans(flat), std.error = draws_sd(draws),
             conf.low = limits[1, ], conf.high = limits[2, ], row.names = NULL)
}

draws_sd <- function(draws) {
  flat <- flat_draws(draws)
  if (kept_none(draws)) rep(NA_real_, ncol(flat)) else apply(flat, 2, stats::sd)
}

# 2 x variables
draws_limits <- function(draws, level) {
  flat <- flat_draws(draws)
  if (kept_none(draws)) return(matrix(NA_real_, 2, ncol(flat)))
  apply(flat, 2, stats::quantile, c((1 - level) / 2, (1 + level) / 2), names = FALSE)
}

draws_covariance <- function(draws) {
  flat <- flat_draws(draws)
  out <- stats::cov(flat)
  if (kept_none(draws)) out[] <- NA_real_
  out
}

# posterior warns where it caps the effective sample size of few or antithetic draws: it is a bound.
draws_diagnostics <- function(fit) {
  if (!requireNamespace("posterior", quietly = TRUE)) return(NULL)
  withCallingHandlers(
    as.data.frame(posterior::summarise_draws(posterior::as_draws_array(fit), "rhat", "ess_bulk",
                                             "ess_tail")),
    warning = function(w) if (grepl("ESS has been capped", conditionMessage(w))) {
      invokeRestart("muffleWarning")
    })
}

# Chains that were stopped before they kept anything stand somewhere; that has no spread.
kept_none <- function(draws) dim(draws)[1] < 2

# A Gibbs fit has converged when its chains agree: split R-hat below 1.05 for every variable.
draws_convergence <- function(draws, status, iterations, limit = 1.05) {
  if (status != "converged") {
    reason <- if (kept_none(draws)) "stopped in warm-up, the estimates are where its chains stood"
    else "stopped before the last sweep"
    return(list(converged = FALSE, status = status, iterations = iterations, reason = reason))
  }
  worst <- max(apply(draws, 3, split_rhat))
  list(converged = worst < limit, status = if (worst < limit) "converged" else "mixing",
       reason = sprintf("largest split R-hat %.3f", worst), iterations = iterations)
}

# Split R-hat of one variable (Gelman et al. 2013, Bayesian Data Analysis, eq. 11.4), by hand
# because posterior need not be installed; a variable that never moves counts as mixed.
split_rhat <- function(x) {
  half <- nrow(x) %/% 2
  if (half < 2) return(Inf)
  halves <- cbind(x[seq_len(half), ], x[nrow(x) - half + seq_len(half), ])
  within <- mean(apply(halves, 2, stats::var))
  between <- stats::var(colMeans(halves))
  if (within == 0) return(if (between == 0) 1 else Inf)
  sqrt((half - 1) / half + between / within)
}
