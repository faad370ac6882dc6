# The prior of cwm's variational and Gibbs fits.

#' Prior of a cwm fit
#'
#' Everything is conjugate: weights \eqn{\pi \sim} Dirichlet or a (truncated) stick-breaking
#' process; \eqn{\Sigma_k \sim IW(\nu_0, S_0)}, \eqn{\mu_k \sim N(m_0, \Sigma_k / \beta_0)};
#' \eqn{\Psi_k \sim IW(\eta_0, G_0)}, \eqn{\Theta_k \sim MN(B_0, A_0^{-1}, \Psi_k)}. What is left
#' `NULL` is taken from the data, weakly: it says in what units they were measured.
#'
#' Families of covariance take their prior from the same numbers. A diagonal \eqn{\Sigma_k} has
#' independent variances with the prior that they have on the diagonal of a full matrix,
#' \eqn{IW(\nu_0 - D + 1, S_{0,jj})}; a spherical one has a single variance with
#' \eqn{IW(\nu_0 - D + 1, tr(S_0) / D)}; a covariance or noise that clusters share is drawn once.
#'
#' @param weights `"dirichlet"` or `"stick_breaking"` (a Dirichlet process cut off after `k`
#'   sticks).
#' @param concentration Positive number. Dirichlet: the parameter of each weight, default `1 / k`,
#'   under which components that the data do not need empty. Stick-breaking: that of the process,
#'   default 1.
#' @param mean \eqn{m_0}: a vector over the clustering covariates. Default the pooled mean.
#' @param mean_precision \eqn{\beta_0}: how many rows the prior mean is worth. Default 0.01.
#' @param covariance_df \eqn{\nu_0}, above D - 1. Default D + 2.
#' @param covariance_scale \eqn{S_0}: D x D. Default the pooled covariance over `k^(2 / D)`.
#' @param coefficients \eqn{B_0}: regression covariates x responses. Default zero slopes and the
#'   pooled mean response.
#' @param coefficient_precision \eqn{A_0}: R x R, relative to the noise precision. Default 1e-6
#'   times the mean cross-product of the regression covariates: one millionth of a row.
#' @param noise_df \eqn{\eta_0}, above M - 1. Default M + 1.
#' @param noise_scale \eqn{G_0}: M x M. Default 1e-6 times the pooled variances of the responses, so
#'   small that a regression without noise is recovered to about four digits.
#' @return An object of class `cwm_prior`, a list.
#' @references Bishop (2006) Pattern Recognition and Machine Learning, equations 10.39-10.40; Blei
#'   and Jordan (2006) Variational inference for Dirichlet process mixtures, Bayesian Analysis
#'   1:121; Fraley and Raftery (2007) Bayesian regularization for normal mixture estimation,
#'   J. Classification 24:155 (the default scale of the covariance).
#' @examples
#' cwm_prior(weights = "stick_breaking", concentration = 2)
#' @export
cwm_prior <- function(weights = c("dirichlet", "stick_breaking"), concentration = NULL,
                      mean = NULL, mean_precision = 0.01, covariance_df = NULL,
                      covariance_scale = NULL, coefficients = NULL,
                      coefficient_precision = NULL, noise_df = NULL, noise_scale = NULL) {
  fun <- "cwm_prior"
  positive <- function(x, arg) {
    if (!is.null(x)) check_number(x, fun, arg, 0, .Machine$double.xmax, open = TRUE)
  }
  out <- list(
    weights = check_choice(weights, c("dirichlet", "stick_breaking"), fun, "weights"),
    concentration = positive(concentration, "concentration"), mean = mean,
    mean_precision = positive(mean_precision, "mean_precision"),
    covariance_df = positive(covariance_df, "covariance_df"),
    covariance_scale = covariance_scale, coefficients = coefficients,
    coefficient_precision = coefficient_precision, noise_df = positive(noise_df, "noise_df"),
    noise_scale = noise_scale)
  structure(out, class = "cwm_prior")
}

#' @export
print.cwm_prior <- function(x, ...) {
  given <- x[!vapply(x, is.null, NA)]
  values <- vapply(given, function(value) toString(format(value)), "")
  cat("Prior of a cwm fit; what is not listed is taken from the data\n")
  cat(paste0("  ", format(names(values)), "  ", values, "\n"), sep = "")
  invisible(x)
}

# NULL for EM.
cwm_check_prior <- function(prior, method) {
  if (method == "em") {
    if (!is.null(prior)) abort_arg("cwm", "prior", "NULL for method = \"em\"", "a prior")
    return(NULL)
  }
  prior <- prior %||% cwm_prior()
  if (inherits(prior, "cwm_prior")) return(prior)
  abort_arg("cwm", "prior", "made by cwm_prior()", describe_value(prior))
}

# The prior with every number in place.
cwm_resolve_prior <- function(prior, method, k, input) {
  if (method == "em") return(NULL)
  d <- ncol(input$x)
  m <- ncol(input$y)
  fill <- cwm_prior_defaults(k, input, prior$weights)
  for (name in names(fill)) if (is.null(prior[[name]])) prior[[name]] <- fill[[name]]
  prior$mean <- cwm_prior_array(prior$mean, d, 1, "mean")
  prior$covariance_scale <- cwm_prior_square(prior$covariance_scale, d, "covariance_scale")
  prior$coefficients <- cwm_prior_array(prior$coefficients, ncol(input$w), m, "coefficients")
  prior$coefficient_precision <- cwm_prior_square(prior$coefficient_precision, ncol(input$w),
                                                  "coefficient_precision")
  prior$noise_scale <- cwm_prior_square(prior$noise_scale, m, "noise_scale")
  cwm_prior_df(prior$covariance_df, d, "covariance_df")
  cwm_prior_df(prior$noise_df, m, "noise_df")
  prior
}

cwm_prior_defaults <- function(k, input, weights) {
  d <- ncol(input$x)
  m <- ncol(input$y)
  x <- input$x[rowSums(is.na(input$x)) == 0, , drop = FALSE]
  w <- input$w[rowSums(is.na(input$w)) == 0, , drop = FALSE]
  pooled <- if (d > 0) stats::cov(x) / k^(2 / d) else matrix(0, 0, 0)
  flat <- colMeans(input$y, na.rm = TRUE)
  intercept <- if (ncol(w) > 0) stats::lm.fit(w, rep(1, nrow(w)))$coefficients else numeric()
  list(concentration = if (weights == "dirichlet") 1 / k else 1, mean = colMeans(x),
       covariance_df = d + 2, covariance_scale = pooled,
       coefficients = outer(intercept, flat), coefficient_precision = 1e-6 * crossprod(w) / nrow(w),
       noise_df = m + 1,
       noise_scale = diag(1e-6 * apply(input$y, 2, stats::var, na.rm = TRUE), m))
}

cwm_prior_array <- function(a, rows, columns, arg) {
  if (!is.numeric(a) || length(a) != rows * columns || !all(is.finite(a))) {
    abort_arg("cwm_prior", arg, sprintf("%d x %d finite numbers", rows, columns),
              describe_value(a))
  }
  matrix(as.double(a), rows, columns)
}

cwm_prior_square <- function(a, size, arg) {
  if (size == 0) return(matrix(0, 0, 0))
  if (is.numeric(a) && length(a) == 1) a <- diag(as.double(a), size)
  if (!is.numeric(a) || !is.matrix(a) || any(dim(a) != size) || !all(is.finite(a)) ||
        !isSymmetric(unname(a), tol = 1e-8) ||
        min(eigen(a, symmetric = TRUE, only.values = TRUE)$values) <= 0) {
    abort_arg("cwm_prior", arg, sprintf("a symmetric positive definite %d x %d matrix", size, size),
              describe_value(a))
  }
  unname(a)
}

cwm_prior_df <- function(df, size, arg) {
  if (size > 0 && df <= size - 1) {
    abort_arg("cwm_prior", arg, sprintf("above %d", size - 1), format(df))
  }
}
