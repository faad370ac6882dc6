# Fits as data frames: tidy(), glance(), augment(), and the printed summary.

#' @importFrom generics tidy
#' @export
generics::tidy

#' @importFrom generics glance
#' @export
generics::glance

#' @importFrom generics augment
#' @export
generics::augment

#' @importFrom ggplot2 autoplot
#' @export
ggplot2::autoplot

#' Fits as data frames
#'
#' `tidy()` has one row per parameter, `glance()` one row per fit (per gene where a fit holds many),
#' `augment()` the data with what the fit says of each observation.
#'
#' Intervals: for EM from the standard errors, on the log scale for positive parameters and on the
#' logit scale for probabilities, so that they stay in range; for Gibbs sampling the equal-tailed
#' quantiles of the draws; for variational Bayes from q.
#'
#' @param x A fit.
#' @param conf.int Add the columns `conf.low` and `conf.high`?
#' @param conf.level Coverage of the interval, between 0 and 1. Default 0.95.
#' @param all For a choice among several numbers of components: one row per candidate?
#' @param data The data of the fit.
#' @param ... Further arguments for methods.
#' @return A data frame.
#' @examples
#' fit <- nbmix(c(0, 1, 2, 1, 0, 30, 28, 41, 35, 2), k = 1:2, seed = 1)
#' tidy(fit, conf.int = TRUE)
#' glance(fit, all = TRUE)
#' @name tidiers
NULL

#' @rdname tidiers
#' @export
tidy.mixology_fit <- function(x, conf.int = FALSE, conf.level = 0.95, ...) {
  no_more("tidy", ...)
  conf.int <- check_flag(conf.int, "tidy", "conf.int")
  level <- check_number(conf.level, "tidy", "conf.level", 0, 1, open = TRUE)
  table <- parameter_table(x, level = if (conf.int) level)
  if (conf.int && is.null(table$conf.low)) table <- cbind(table, normal_interval(table, level))
  if (!conf.int) table$conf.low <- table$conf.high <- NULL
  table$scale <- NULL
  rownames(table) <- NULL
  table
}

# Normal intervals on the scale where the estimate is nearest to normal (delta method).
normal_interval <- function(table, level) {
  z <- stats::qnorm((1 + level) / 2)
  est <- table$estimate
  se <- table$std.error
  scale <- table$scale %||% rep("identity", nrow(table))
  half <- z * se / switch_scale(scale, 1, est, est * (1 - est))
  on_log <- ifelse(scale == "log", est, 1)
  on_logit <- ifelse(scale == "logit", est, 0.5)
  ends <- function(sign) {
    switch_scale(scale, est + sign * half, exp(log(on_log) + sign * half),
                 stats::plogis(stats::qlogis(on_logit) + sign * half))
  }
  data.frame(conf.low = ends(-1), conf.high = ends(1))
}

switch_scale <- function(scale, identity, log, logit) {
  ifelse(scale == "identity", identity, ifelse(scale == "log", log, logit))
}

#' @rdname tidiers
#' @export
glance.mixology_fit <- function(x, all = FALSE, ...) {
  no_more("glance", ...)
  if (check_flag(all, "glance", "all") && !is.null(x$candidates)) return(x$candidates)
  if (holds_units(x)) x$units else glance_row(x)
}

# The one row of a single fit. Columns that do not exist for a model or engine are left out.
glance_row <- function(fit) {
  n <- fit$nobs
  row <- list(model = fit$model, method = fit$method, k = fit$k, rank = fit$rank)
  if (!is.null(fit$log_lik) && !is.na(fit$log_lik)) {
    row <- c(row, list(logLik = fit$log_lik, df = fit$df, nobs = n,
                       AIC = -2 * fit$log_lik + 2 * fit$df,
                       BIC = -2 * fit$log_lik + log(n) * fit$df, ICL = fit$icl))
  } else {
    row <- c(row, list(df = fit$df, nobs = n, BIC = fit$bic)) # of the bound, if it chose by it
  }
  info <- fit$convergence
  row <- c(row, list(objective = utils::tail(fit$objective$value, 1), converged = info$converged,
                     status = info$status, iterations = info$iterations,
                     seconds = utils::tail(fit$objective$seconds, 1)))
  as.data.frame(row[lengths(row) > 0])
}

#' @rdname tidiers
#' @export
augment.mixology_fit <- function(x, data, ...) {
  no_more("augment", ...)
  if (missing(data)) abort("augment", "'data' must be given: a fit keeps no copy of its data")
  need_one_unit(x, "augment", "augment(fit[[\"gene\"]], <counts of that gene>)")
  out <- observations(x, data, parent.frame())
  if (nrow(out) != nrow(x$responsibilities %||% out)) {
    abort_arg("augment", "data", sprintf("the %d observations of the fit", x$nobs),
              sprintf("%d", nrow(out)))
  }
  out$.fitted <- fitted(x)
  out$.resid <- residuals(x, data = data)
  if (!is.null(x$clusters)) {
    prob <- as.data.frame(unname(x$responsibilities))
    names(prob) <- paste0(".prob_", seq_along(prob))
    out <- cbind(out, .cluster = unname(x$clusters), prob)
  }
  out
}

# The data as a data frame with one row for each observation.
observations <- function(fit, data, env) UseMethod("observations")

#' @export
observations.default <- function(fit, data, env) {
  if (is.data.frame(data)) data else data.frame(x = as.vector(data))
}

#' @export
print.mixology_fit <- function(x, ...) {
  cat(sprintf("%s (%s), fitted by %s\n", model_title(x$model), x$model, engine_label(x$method)))
  cat(describe_fit(x), sep = "\n")
  cat(convergence_sentence(x), "\n", sep = "")
  invisible(x)
}

#' @export
summary.mixology_fit <- function(object, ...) {
  no_more("summary", ...)
  out <- list(fit = list(model = object$model, method = object$method),
              lines = describe_fit(object), convergence = convergence_sentence(object),
              glance = glance(object), parameters = tidy(object))
  if (!is.null(object$posterior$draws)) out$mixing <- draws_diagnostics(object)
  structure(out, class = "mixology_summary")
}

#' @export
print.mixology_summary <- function(x, digits = 4, rows = 20, ...) {
  digits <- check_count(digits, "print", "digits", upper = 22)
  rows <- check_count(rows, "print", "rows")
  cat(sprintf("%s (%s), fitted by %s\n", model_title(x$fit$model), x$fit$model,
              engine_label(x$fit$method)))
  cat(x$lines, sep = "\n")
  cat(x$convergence, "\n\n", sep = "")
  print(utils::head(x$glance, rows), digits = digits, row.names = FALSE)
  cat("\n")
  print(utils::head(x$parameters, rows), digits = digits, row.names = FALSE)
  hidden <- nrow(x$parameters) - rows
  if (hidden > 0) cat(sprintf("... and %d more rows; see tidy(fit)\n", hidden))
  if (!is.null(x$mixing)) {
    cat("\nMixing of the chains\n")
    print(utils::head(x$mixing, rows), digits = digits, row.names = FALSE)
  }
  invisible(x)
}
