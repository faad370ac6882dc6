# Sufficient and summary statistics in the place of individual data.

#' Sufficient or summary statistics as the data of `mmash()`
#'
#' `mmash()` gives the same answer from individual data, from their cross-products
#' (`suff_stats()`), and from effect estimates of one variant at a time with their correlations
#' (`summary_stats()`).
#'
#' @param XtX,XtY,YtY Cross-products `crossprod(X)` (P x P), `crossprod(X, Y)` (P x J) and
#'   `crossprod(Y)` (J x J). They may be of centred data or not.
#' @param n Number of samples.
#' @param x_means,y_means Column means of `X` and `Y`, both or none. Without them the data are taken
#'   as centred, and the intercept is 0.
#' @param centered Are the cross-products those of centred data, and the means there for the
#'   intercept only? Default: found out, and a message says how they are read. They are taken as
#'   centred when taking the means off would leave something that is no matrix of cross-products
#'   (not positive semi-definite): but so it would for an `n` that is too large, and only
#'   `centered = FALSE` makes an error of that. Where both are possible they are taken as not
#'   centred. Whole numbers in all of `XtX`, as of allele counts, are those of data that were not
#'   centred: an `n` that does not make whole sums of the means is then an error.
#' @param bhat,shat Effects of one variant at a time (with an intercept) and their standard
#'   errors, P x J.
#' @param z Their ratio, when `bhat` and `shat` are not at hand: the answer is then on the scale of
#'   standardised variants.
#' @param ld Correlations of the variants, P x P, in the sample of the estimates and not in a
#'   reference panel: see the section on them. A matrix, a data frame or a sparse Matrix, as the
#'   others may be.
#' @param cov_y Covariance of the responses, J x J.
#' @return An object of class `mixology_suff_stats`, the first argument of [mmash()].
#' @section Correlations of another sample: estimates that correlations contradict (the effects of
#'   all variants together would explain more variance than there is) are refused. Shrinking the
#'   correlations towards the identity, `(1 - s) * ld + s * diag(nrow(ld))`, may make the error go
#'   away without making the correlations right: variants in high correlation then keep effects of
#'   their own that cancel one another, and are reported with small lfsr though there is nothing.
#'   Contradictions that are too small to be noticed do the same to a lesser degree, and so does the
#'   small ridge that makes rounded correlations positive semi-definite. Take the correlations of
#'   the samples that the estimates come from, with all their digits.
#' @section Errors: cross-products that do not fit one another, a matrix of correlations that is
#'   not symmetric, has no unit diagonal or cannot belong to the `z` (a negative residual
#'   variance), means of the variants without those of the responses, `n` below 3 (4 for summary
#'   statistics), or too small or too large for the cross-products: centred data of `n` samples have
#'   at most rank `n - 1`, and what means with `centered = FALSE` leave is positive semi-definite.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(400, 2, .3), 100)
#' Y <- X %*% matrix(c(1, 0, 0, 0, 1, 0, 0, 0), 4) + matrix(rnorm(200), 100)
#' stats <- suff_stats(crossprod(X), crossprod(X, Y), crossprod(Y), 100, colMeans(X), colMeans(Y),
#'                     centered = FALSE)
#' prior <- mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.5, 1))
#' coef(mmash(stats, prior = prior))
#' @export
suff_stats <- function(XtX, XtY, YtY, n, x_means = NULL, y_means = NULL,
                       centered = NULL) {
  fun <- "suff_stats"
  n <- check_samples(n, 3, fun)
  if (!is.null(centered)) check_flag(centered, fun, "centered")
  if (isFALSE(centered) && is.null(x_means)) {
    abort_arg(fun, "x_means", "given for cross-products that are not centred", "NULL")
  }
  XtX <- check_symmetric(XtX, NULL, fun, "XtX")
  p <- nrow(XtX)
  check_same_names(XtY, XtX, fun, "XtX")
  XtY <- check_block(XtY, p, NULL, fun, "XtY")
  YtY <- check_symmetric(YtY, ncol(XtY), fun, "YtY")
  YtY <- in_order(YtY, colnames(XtY), fun, "YtY")
  means <- check_means(x_means, y_means, dim(XtY),
                       list(rownames(XtY) %||% rownames(XtX), colnames(XtY)), fun)
  x_means <- means$x
  y_means <- means$y
  raw <- may_be_raw(XtX, XtY, YtY, n, x_means, y_means)
  centered <- centered %||% reads_as_centered(raw, XtX, n, x_means, y_means, fun)
  if (!centered) {
    if (!raw) abort_samples(n, "leaves a negative variance", fun)
    check_whole_sums(XtX, n, x_means, fun)
    flat <- diag(XtX) - n * x_means^2 <= 1e-12 * diag(XtX) # what is left is rounding
    XtX <- XtX - n * tcrossprod(x_means)
    XtX[flat, ] <- XtX[, flat] <- 0
    XtY <- XtY - n * tcrossprod(x_means, y_means)
    XtY[flat, ] <- 0
    YtY <- YtY - n * tcrossprod(y_means)
  }
  check_products(XtX, XtY, YtY, fun)
  check_rank(XtX, XtY, YtY, n, fun)
  new_suff_stats(XtX, XtY, YtY, n, x_means, y_means)
}

# No product of two columns is larger than their lengths allow.
check_products <- function(XtX, XtY, YtY, fun, slack = 1.001) {
  x <- diag(XtX)
  y <- diag(YtY)
  if (any(x < 0)) abort_arg(fun, "XtX", "of a diagonal of at least 0", format(min(x)))
  check_semidefinite(YtY, fun, "YtY")
  if (any(XtX^2 > slack * tcrossprod(x) + 1e-300)) {
    abort_arg(fun, "XtX", "a matrix of cross-products", "a correlation above 1")
  }
  if (any(XtY^2 > slack * tcrossprod(x, y) + 1e-300)) {
    abort_arg(fun, "XtY", "of the data of 'XtX' and 'YtY'", "a correlation above 1")
  }
}

# Sums of squares of data that were not centred are at least n times the square of the mean.
negative_variance <- function(squares, means, n) any(squares - n * means^2 < -1e-8 * squares)

abort_samples <- function(n, fault, fun) {
  abort_arg(fun, "n", "the number of samples of the cross-products and the means",
            sprintf("%g, which %s", n, fault),
            "centered = TRUE if the cross-products are those of centred data")
}

# Allele counts have whole cross-products, and whole sums.
check_whole_sums <- function(XtX, n, x_means, fun) {
  sums <- n * x_means
  if (any(XtX != round(XtX)) || all(abs(sums - round(sums)) < 1e-6 * pmax(1, abs(sums)))) return()
  abort_samples(n, "does not make whole sums of the means, as those of whole numbers are", fun)
}

# The guess where nobody says and it makes a difference. raw: may they be of data not centred?
reads_as_centered <- function(raw, XtX, n, x_means, y_means, fun) {
  if (all(c(x_means, y_means) == 0)) return(TRUE)
  if (any(x_means != 0) && all(XtX == round(XtX))) return(FALSE)
  message(fun, ": the cross-products are taken as those of ", if (raw) {
    "data that were not centred; if they were, say centered = TRUE"
  } else {
    sprintf(paste("centred data, as %g samples would otherwise leave a negative variance; if they",
                  "are not, 'n' is too large, and centered = FALSE makes that an error"), n)
  })
  !raw
}

# Centred columns of n samples have at most rank n - 1. More samples than n would show among any 2 n
# of the columns.
check_rank <- function(XtX, XtY, YtY, n, fun) {
  at <- utils::head(order(-diag(XtX)), 2 * n)
  joint <- rbind(cbind(XtX[at, at, drop = FALSE], XtY[at, , drop = FALSE]),
                 cbind(t(XtY[at, , drop = FALSE]), YtY))
  varying <- diag(joint) > 0
  if (sum(varying) < n) return(invisible())
  correlation <- stats::cov2cor(joint[varying, varying])
  rank <- attr(suppressWarnings(chol(correlation, pivot = TRUE, tol = 1e-5)), "rank")
  if (rank >= n) {
    abort_arg(fun, "n", "larger than the rank of the cross-products, the number of their samples",
              sprintf("%g, for a rank of at least %d", n, rank))
  }
}

check_semidefinite <- function(x, fun, arg) {
  low <- min(eigen(x, symmetric = TRUE, only.values = TRUE)$values)
  if (low < -1e-8 * max(abs(x))) abort_semidefinite(fun, arg, low)
}

abort_semidefinite <- function(fun, arg, low, try = NULL) {
  abort_arg(fun, arg, "positive semi-definite", sprintf("an eigenvalue of %.3g", low), try)
}

# A matrix conditions x conditions in the order of the estimates, where both have names.
in_order <- function(x, conditions, fun, arg) {
  at <- match_conditions(colnames(x) %||% rownames(x), conditions, fun, arg)
  if (is.null(at)) x else x[at, at, drop = FALSE]
}

check_same_dimnames <- function(x, y, fun, arg) {
  for (i in 1:2) {
    names <- list(dimnames(x)[[i]], dimnames(y)[[i]])
    if (any(lengths(names) == 0) || identical(names[[1]], names[[2]])) next
    abort_arg(fun, arg, "of the variants and conditions of 'bhat', in their order", "other names")
  }
}

# Variants in the same order, where both have names.
check_same_names <- function(estimates, square, fun, arg) {
  known <- rownames(estimates)
  names <- colnames(square)
  if (is.null(known) || is.null(names) || length(known) != length(names)) return(invisible())
  if (!identical(known, names)) {
    at <- which(known != names)[1]
    abort_arg(fun, arg, "of the variants of the estimates, in their order",
              sprintf("\"%s\" beside \"%s\"", names[at], known[at]))
  }
}

# Could these be cross-products of data that were not centred? The joint matrix without the means
# must then be positive semi-definite; of many variants the 500 of largest mean are looked at.
may_be_raw <- function(XtX, XtY, YtY, n, x_means, y_means) {
  if (negative_variance(c(diag(XtX), diag(YtY)), c(x_means, y_means), n)) return(FALSE)
  at <- utils::head(order(-abs(x_means)), 500)
  joint <- rbind(cbind(XtX[at, at, drop = FALSE], XtY[at, , drop = FALSE]),
                 cbind(t(XtY[at, , drop = FALSE]), YtY)) - n * tcrossprod(c(x_means[at], y_means))
  values <- eigen(joint, symmetric = TRUE, only.values = TRUE)$values
  min(values) > -1e-8 * max(abs(diag(joint)), n * c(x_means, y_means)^2)
}

# standardized: are the variants on the scale of standard deviation 1 already?
new_suff_stats <- function(XtX, XtY, YtY, n, x_means, y_means, standardized = FALSE) {
  variants <- rownames(XtY) %||% colnames(XtX)
  conditions <- condition_names(colnames(XtY) %||% colnames(YtY), ncol(XtY))
  dimnames(XtY) <- list(variants, as.vector(conditions))
  structure(list(XtX = unname(XtX), XtY = XtY, YtY = unname(YtY), n = n, x_means = x_means,
                 y_means = y_means, conditions = conditions, standardized = standardized),
            class = "mixology_suff_stats")
}

#' @rdname suff_stats
#' @export
summary_stats <- function(bhat = NULL, shat = NULL, z = NULL, ld, n, cov_y, x_means = NULL,
                          y_means = NULL) {
  fun <- "summary_stats"
  if (missing(ld)) abort_arg(fun, "ld", "the P x P matrix of correlations", "nothing")
  if (missing(cov_y)) abort_arg(fun, "cov_y", "the J x J covariance of the responses", "nothing")
  n <- if (missing(n)) abort_arg(fun, "n", "the number of samples", "nothing") else
    check_samples(n, 4, fun)
  if (is.null(z) == is.null(bhat) || is.null(bhat) != is.null(shat)) {
    abort_arg(fun, "z", "given, or 'bhat' together with 'shat'", "another combination")
  }
  constant <- "leaving out variants that do not vary"
  estimates <- check_block(z %||% bhat, NULL, NULL, fun, if (is.null(z)) "bhat" else "z",
                           try = constant)
  p <- nrow(estimates)
  check_same_names(estimates, ld, fun, "ld")
  if (is.null(z)) check_same_dimnames(bhat, shat, fun, "shat")
  ld <- check_ld(ld, p, fun)
  cov_y <- check_symmetric(cov_y, ncol(estimates), fun, "cov_y")
  cov_y <- in_order(cov_y, colnames(estimates), fun, "cov_y")
  if (any(diag(cov_y) <= 0)) abort_arg(fun, "cov_y", "of positive diagonal", "a value of 0 or less")
  check_semidefinite(cov_y, fun, "cov_y")
  yy <- rep((n - 1) * diag(cov_y), each = p)
  if (is.null(z)) {
    shat <- check_block(shat, p, ncol(estimates), fun, "shat", try = constant)
    check_positive(shat, fun, "shat")
    squares <- yy / ((n - 2) * shat^2 + estimates^2) # x'x by each condition
  } else {
    squares <- array(n - 1, dim(estimates))
    estimates <- estimates * sqrt(yy / ((n - 1) * (n - 2 + estimates^2)))
  }
  d <- rowMeans(matrix(squares, p))
  XtX <- ld * tcrossprod(sqrt(d))
  check_ld_fits(ld, estimates, d, cov_y, n, fun)
  means <- check_means(x_means, y_means, dim(estimates), dimnames(estimates), fun)
  new_suff_stats(XtX, d * estimates, (n - 1) * cov_y, n, means$x, means$y, !is.null(z))
}

check_samples <- function(n, least, fun) {
  n <- check_number(n, fun, "n", least)
  if (is.infinite(n)) abort_arg(fun, "n", "finite", "Inf")
  n
}

# Of the variants and of the conditions: both or none, which is 0. Where both sides have names these
# say which is which.
check_means <- function(x_means, y_means, sizes, labels, fun) {
  if (is.null(x_means) != is.null(y_means)) {
    abort_arg(fun, if (is.null(x_means)) "x_means" else "y_means",
              "given where the other means are", "NULL")
  }
  numbers <- function(x, i, arg) {
    size <- sizes[i]
    if (is.null(x)) return(numeric(size))
    if (!is.numeric(x) || length(x) != size || !all(is.finite(x))) {
      abort_arg(fun, arg, sprintf("%d finite numbers", size), not_finite(x) %||% describe_value(x))
    }
    as.double(means_in_order(x, labels[[i]], fun, arg))
  }
  list(x = numbers(x_means, 1, "x_means"), y = numbers(y_means, 2, "y_means"))
}

means_in_order <- function(x, labels, fun, arg) {
  if (is.null(names(x)) || is.null(labels) || identical(names(x), labels)) return(x)
  at <- match(labels, names(x))
  if (anyNA(at) || anyDuplicated(names(x))) {
    abort_arg(fun, arg, paste("named as", toString(labels, width = 60)),
              toString(names(x), width = 60), "unname(), if their order is that one")
  }
  x[at]
}

# A matrix of numbers, whatever the form; rows and columns that are not known yet are NULL.
check_block <- function(x, rows, cols, fun, arg, sizes = c("P", "J"), try = NULL) {
  if (is.data.frame(x)) x <- numeric_columns(x, fun, arg)
  if (methods::is(x, "Matrix")) x <- as.matrix(x)
  if (is.numeric(x) && is.null(dim(x))) x <- matrix(x, dimnames = list(names(x), NULL))
  must <- sprintf("a finite numeric %s x %s matrix", rows %||% sizes[1], cols %||% sizes[2])
  sized <- is.numeric(x) && length(dim(x)) == 2 && (is.null(rows) || nrow(x) == rows) &&
    (is.null(cols) || ncol(x) == cols) && nrow(x) > 0 && ncol(x) > 0
  bad <- not_finite(x)
  if (!is.null(bad)) abort_arg(fun, arg, must, bad, if (sized) try)
  if (!sized) abort_arg(fun, arg, must, describe_value(x))
  storage.mode(x) <- "double"
  x
}

check_symmetric <- function(x, size, fun, arg) {
  x <- check_block(x, size, size, fun, arg, c("P", "P"))
  square <- nrow(x) == ncol(x)
  if (!square || max(abs(x - t(x))) > 1e-8 * max(abs(x), 1e-300)) {
    abort_arg(fun, arg, "a symmetric matrix", if (square) "an asymmetric one" else
      describe_value(x))
  }
  (x + t(x)) / 2
}

check_ld <- function(ld, p, fun) {
  ld <- check_symmetric(ld, p, fun, "ld")
  if (max(abs(diag(ld) - 1)) > 1e-6 || max(abs(ld)) > 1 + 1e-6) {
    abort_arg(fun, "ld", "a matrix of correlations (diagonal 1)",
              sprintf("values up to %.4g and a diagonal from %.4g", max(abs(ld)), min(diag(ld))))
  }
  ld
}

# The best fit of all variants together must leave a residual variance in every condition.
check_ld_fits <- function(ld, estimates, d, cov_y, n, fun) {
  e <- eigen(ld, symmetric = TRUE)
  low <- min(e$values)
  if (low < -1e-6 * max(e$values)) {
    abort_semidefinite(fun, "ld", low,
                       sprintf(paste("more digits of it, or at worst (ld + s * diag(%d)) / (1 + s)",
                                     "with s = %.1g: see ?summary_stats"), nrow(ld), -2 * low))
  }
  keep <- e$values > 1e-8 * max(e$values)
  u <- crossprod(e$vectors[, !keep, drop = FALSE], sqrt(d) * estimates)
  explained <- crossprod(e$vectors[, keep, drop = FALSE], sqrt(d) * estimates)
  explained <- colSums(explained^2 / e$values[keep])
  outside <- colSums(u^2)
  limit <- (n - 1) * diag(cov_y)
  bad <- which(explained > 1.0001 * limit | outside > 1e-4 * limit)
  if (length(bad) > 0) {
    abort_arg(fun, "ld", "from the sample of the estimates",
              sprintf("correlations that contradict them in condition %d", bad[1]),
              "those of the very samples that gave the estimates; see ?summary_stats")
  }
}

mmash_source.mixology_suff_stats <- function(x, fun, settings = list()) {
  mmash_new_source("gram", x$XtX, c(x$n, ncol(x$XtX)), list(NULL, rownames(x$XtY)), stats = x)
}

mmash_gram <- function(source, standardize, order = seq_len(source$cols)) {
  stats <- source$stats
  as_is <- identical(order, seq_len(source$cols))
  list(kind = "gram", x = if (as_is) stats$XtX else stats$XtX[order, order, drop = FALSE],
       n = stats$n, standardize = standardize, y = unname(stats$XtY[order, , drop = FALSE]),
       cross = stats$YtY, center = stats$y_means, explained = matrix(0, 0, ncol(stats$XtY)),
       cols = source$cols, order = order - 1L)
}

#' @export
print.mixology_suff_stats <- function(x, ...) {
  cat(sprintf("Sufficient statistics of %g samples, %d variants, %d conditions\n", x$n,
              nrow(x$XtY), ncol(x$XtY)))
  invisible(x)
}
