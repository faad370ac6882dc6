#' Simulate data with a regression inside each cluster
#'
#' `simulate_cwm()` draws from the model that [cwm()] fits: a cluster for each row, its covariates
#' from the cluster's normal distribution, and one or more responses from the cluster's linear
#' regression. `simulate_cwm_forum()` is a ready-made case with four well-separated clusters whose
#' slopes disagree. The random numbers are R's own, so `set.seed()` makes the draw repeatable.
#'
#' @param n Number of rows, a positive whole number.
#' @param weights Relative cluster weights, non-negative; rescaled to sum to one.
#' @param means Cluster means of the covariates: a matrix with a row per cluster and a column per
#'   covariate. `NULL` when no covariate tells the clusters apart (then give `covariates`).
#' @param covariances Covariances of the covariates within clusters: one number (that multiple of
#'   the identity), one matrix for all clusters, or a list with one of either per cluster.
#' @param coefficients Regression coefficients: a list with one element per cluster, each a vector
#'   (one response) or a matrix with a column per response. With as many rows as there are
#'   regression covariates there is no intercept; with one more, the first row is the intercept.
#' @param noise Covariance of the responses around the regression, given like `covariances`. It is
#'   a variance, not a standard deviation; 0 puts every response exactly on its plane.
#' @param covariates Optional numeric matrix with `n` rows of covariates that enter the regression
#'   in place of those drawn from `means`.
#' @param missing Proportion of responses replaced by `NA` at random, from 0 (the default) to below
#'   1.
#'
#' @return A list with
#' \describe{
#'   \item{`data`}{a data frame of the covariates `x1, x2, ...` (those drawn), `w1, w2, ...` (those
#'     given) and the response `y`, or `y1, y2, ...` when there are several;}
#'   \item{`cluster`}{the cluster of each row, in the order of `weights`;}
#'   \item{`truth`}{a list of `weights`, `means`, `covariances`, `coefficients` (matrices with an
#'     intercept row) and `noise`, and `response`, the responses before any went missing.}
#' }
#' An argument outside its range is an error that names it.
#'
#' @references Ingrassia, Minotti and Vittadini (2012). Local statistical modeling via a
#'   cluster-weighted approach with elliptical distributions. *Journal of Classification* 29,
#'   363-401; equation 1.
#' @seealso [cwm()]
#' @examples
#' set.seed(1)
#' d <- simulate_cwm(300, weights = c(1, 2), means = rbind(c(-1, 0), c(1, 0)), covariances = .1,
#'                   coefficients = list(c(0, 2, 1), c(1, -2, 0)), noise = .04)
#' head(d$data)
#' table(d$cluster)
#'
#' plot(x2 ~ x1, simulate_cwm_forum(400)$data)
#' @export
simulate_cwm <- function(n, weights, means, covariances, coefficients, noise, covariates = NULL,
                         missing = 0) {
  fun <- "simulate_cwm"
  n <- check_count(n, fun, "n")
  missing <- check_number(missing, fun, "missing", 0, 1)
  if (missing == 1) abort_arg(fun, "missing", "below 1", "1")
  weights <- simulated_weights(weights, fun)
  means <- cluster_means(means, length(weights), fun)
  covariances <- per_cluster(covariances, length(weights), ncol(means), fun, "covariances")
  covariates <- given_covariates(covariates, n, ncol(means), fun)
  entering <- if (is.null(covariates)) ncol(means) else ncol(covariates)
  coefficients <- cluster_coefficients(coefficients, length(weights), entering, fun)
  noise <- per_cluster(noise, length(weights), ncol(coefficients[[1]]), fun, "noise")
  cluster <- draw_labels(n, weights)
  x <- draw_by_cluster(cluster, means, covariances)
  y <- draw_responses(cluster, if (is.null(covariates)) x else covariates, coefficients, noise)
  truth <- list(weights = weights, means = means, covariances = covariances,
                coefficients = coefficients, noise = noise, response = y)
  y[stats::runif(length(y)) < missing] <- NA
  list(data = named_columns(x, covariates, y), cluster = cluster, truth = truth)
}

#' @rdname simulate_cwm
#'
#' @param noise_sd Standard deviation of the response around its plane. Default 0.5; 0 is allowed.
#' @param repeated Make rows 100 to `n` identical, as a simulation does that runs out of random
#'   keys after a hundred rows? Default `FALSE`.
#'
#' @details The ready-made case has equal weights, means (-1, -1), (1, -1), (-1, 1), (1, 1),
#'   covariance 0.1 times the identity, and slopes (1, 4), (3, 2), (4, 1), (-3, -2) without
#'   intercept. A mixture of regressions that ignores where the covariates lie fails on it.
#' @export
simulate_cwm_forum <- function(n = 1000, noise_sd = 0.5, repeated = FALSE) {
  fun <- "simulate_cwm_forum"
  noise_sd <- check_number(noise_sd, fun, "noise_sd", 0)
  repeated <- check_flag(repeated, fun, "repeated")
  n <- check_count(n, fun, "n")
  out <- simulate_cwm(n, rep(1, 4), rbind(c(-1, -1), c(1, -1), c(-1, 1), c(1, 1)), 0.1,
                      list(c(1, 4), c(3, 2), c(4, 1), c(-3, -2)), noise_sd^2)
  if (!repeated) return(out)
  row <- pmin(seq_len(n), 100)
  out$data <- out$data[row, ]
  rownames(out$data) <- NULL
  out$cluster <- out$cluster[row]
  out$truth$response <- out$truth$response[row, , drop = FALSE]
  out
}

cluster_means <- function(means, k, fun) {
  if (is.null(means)) return(matrix(0, k, 0))
  must <- sprintf("a finite numeric matrix with %d rows, one per weight", k)
  fits <- is.numeric(means) && is.matrix(means) && nrow(means) == k && all(is.finite(means))
  if (!fits) abort_arg(fun, "means", must, describe_value(means))
  unname(means)
}

# A list of k covariance matrices, from a number, a matrix or a list of either
per_cluster <- function(x, k, size, fun, arg) {
  if (!is.list(x)) x <- rep(list(x), k)
  if (length(x) != k) abort_arg(fun, arg, sprintf("a list of %d", k), sprintf("%d", length(x)))
  lapply(x, check_covariance, size = size, fun = fun, arg = arg)
}

given_covariates <- function(w, n, drawn, fun) {
  if (is.null(w)) {
    if (drawn == 0) abort_arg(fun, "covariates", "given when 'means' is NULL", "NULL")
    return(NULL)
  }
  must <- sprintf("a finite numeric matrix with %d rows", n)
  fits <- is.numeric(w) && nrow(as.matrix(w)) == n && all(is.finite(w))
  if (!fits) abort_arg(fun, "covariates", must, describe_value(w))
  unname(as.matrix(w))
}

# A list of k matrices of size (1 + covariates) x responses, the intercept in the first row
cluster_coefficients <- function(b, k, covariates, fun) {
  must <- sprintf("a list of %d vectors or matrices with %d or %d rows", k, covariates,
                  covariates + 1)
  if (!is.list(b) || length(b) != k) abort_arg(fun, "coefficients", must, describe_value(b))
  b <- lapply(b, function(one) {
    one <- unname(as.matrix(one))
    if (!is.numeric(one) || !nrow(one) %in% (covariates + 0:1) || !all(is.finite(one))) {
      abort_arg(fun, "coefficients", must, describe_value(one))
    }
    if (nrow(one) == covariates) rbind(0, one) else one
  })
  if (length(unique(vapply(b, ncol, 1L))) > 1) {
    abort_arg(fun, "coefficients", must, "different numbers of responses")
  }
  b
}

draw_by_cluster <- function(cluster, means, covariances) {
  x <- matrix(0, length(cluster), ncol(means))
  if (ncol(means) == 0) return(x)
  for (k in seq_len(nrow(means))) {
    mine <- which(cluster == k)
    x[mine, ] <- sweep(draw_normal(length(mine), covariances[[k]]), 2, means[k, ], `+`)
  }
  x
}

draw_responses <- function(cluster, w, coefficients, noise) {
  y <- matrix(0, length(cluster), ncol(coefficients[[1]]))
  for (k in seq_along(coefficients)) {
    mine <- which(cluster == k)
    y[mine, ] <- cbind(1, w[mine, , drop = FALSE]) %*% coefficients[[k]] +
      draw_normal(length(mine), noise[[k]])
  }
  y
}

named_columns <- function(x, w, y) {
  colnames(x) <- sprintf("x%d", seq_len(ncol(x)))
  if (!is.null(w)) colnames(w) <- sprintf("w%d", seq_len(ncol(w)))
  colnames(y) <- if (ncol(y) == 1) "y" else sprintf("y%d", seq_len(ncol(y)))
  as.data.frame(cbind(x, w, y))
}
