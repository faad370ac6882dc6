# The prior of mmash(): matrices x a grid of scales, kept as factors.

#' The mixture-of-normals prior of `mmash()`
#'
#' A row of effects has the prior \eqn{\sum_t \pi_t N(0, V_t)}, where `V_t` runs over
#' `grid[l]^2 * U_k` for every matrix `U_k` and every scale, plus an exact zero.
#'
#' From data, `mash_prior(Y, X = X)` takes the canonical matrices (identity; one per condition;
#' equal effects; correlated effects with .25, .5, .75), scaled to a largest diagonal of 1, and a
#' grid of standard deviations by the rule of mash: from a tenth of the smallest standard error of
#' the effects of one variant at a time to twice the root of the largest excess of a squared effect
#' over its squared standard error, by factors of the root of 2.
#'
#' @param Y Responses, samples x conditions; or what [suff_stats()] or [summary_stats()] gave.
#' @param X Genotypes, in any form that [mmash()] takes.
#' @param matrices Named list of J x J covariance matrices (such as those of mashr or udr; arrays
#'   and lists with element `U` or `mat` are understood), in the place of the canonical ones.
#'   Together with `grid` they are used as they are; with a grid from data they are scaled to a
#'   largest diagonal of 1.
#' @param grid Standard deviations, positive. Default: from the data.
#' @param null Is there a component that is exactly zero? Default `TRUE`.
#' @param weights Weights of the components where the fit starts: null first, then scale after scale
#'   within matrix after matrix; or named as `names(weights)` of a fit. Default: learned from a
#'   start of equal weights.
#' @param canonical Use the canonical matrices? Default `TRUE` unless `matrices` are given.
#' @param pca Number of principal components of the strong effects that make one matrix each, and
#'   together one more. Default 0.
#' @param add Named list of matrices to add.
#' @param refine Refine the data-driven matrices (`pca` and `add`) by an extreme-deconvolution EM on
#'   the strong effects? Default `FALSE`.
#' @param standardize Is the prior one of effects per standard deviation of the variant? Must agree
#'   with the fit's, which warns of a grid made from data otherwise. Default `FALSE`.
#' @param covariates,missing_x,allele,assay As in [mmash()].
#' @return An object of class `mash_prior`: list of `matrices`, `grid`, `null`, `weights`, and the
#'   names of the `conditions` where somebody gave any: [mmash()] puts the matrices in their order.
#' @section Errors: matrices that are not symmetric positive semi-definite or do not agree in size,
#'   names that are missing or occur twice, a grid that is not positive, weights that do not fit.
#' @references Urbut, Wang, Carbonetto and Stephens (2019) Flexible statistical methods for
#'   estimating and testing effects in genomic studies with multiple conditions. Nature Genetics
#'   51:187.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(2000, 2, .3), 100)
#' Y <- matrix(rnorm(300), 100) + X[, 3]
#' mash_prior(Y, X = X)
#' mash_prior(matrices = list(same = matrix(1, 2, 2), any = diag(2)), grid = c(.1, .5, 1))
#' @export
mash_prior <- function(Y = NULL, X = NULL, matrices = NULL, grid = NULL, null = TRUE,
                       weights = NULL, canonical = is.null(matrices), pca = 0, add = NULL,
                       refine = FALSE, standardize = FALSE, covariates = NULL,
                       missing_x = c("error", "mean"), allele = c("second", "first"),
                       assay = NULL) {
  fun <- "mash_prior"
  null <- check_flag(null, fun, "null")
  canonical <- check_flag(canonical, fun, "canonical")
  refine <- check_flag(refine, fun, "refine")
  standardize <- check_flag(standardize, fun, "standardize")
  missing_x <- check_choice(missing_x, c("error", "mean"), fun, "missing_x")
  allele <- check_choice(allele, c("second", "first"), fun, "allele")
  pca <- check_count(pca, fun, "pca", 0)
  if (refine && pca == 0 && is.null(add)) {
    abort_arg(fun, "refine", "FALSE without 'pca' or 'add': there is nothing to refine", "TRUE",
              "pca = 3")
  }
  effects <- NULL
  if (is.null(grid) || pca > 0 || refine) {
    effects <- prior_effects(Y, X, standardize, covariates, missing_x, allele, fun, assay)
  }
  as_given <- !is.null(grid)
  given <- list(matrices = matrix_list(matrices, fun), add = matrix_list(add, fun, "add"))
  size <- prior_size(c(given$matrices, given$add), effects, Y, fun, assay)
  conditions <- (if (is.character(size)) stated_names(size)) %||%
    matrix_names(c(given$matrices, given$add))
  given <- Map(prior_matrices, given, names(given),
               MoreArgs = list(size = length_of(size), conditions = conditions, fun = fun))
  fixed <- c(if (canonical) canonical_matrices(size), given$matrices)
  driven <- c(if (pca > 0) pca_matrices(effects, pca, fun), given$add)
  if (refine) driven <- refine_matrices(driven, effects)
  all <- check_prior_names(c(fixed, driven), fun)
  if (!as_given) all <- lapply(all, unit_diagonal)
  grid <- if (as_given) check_grid(grid, fun) else data_grid(effects)
  new_mash_prior(all, grid, null, weights, standardize, conditions, !is.null(effects))
}

# Names of the conditions that the first matrix with names has.
matrix_names <- function(matrices) {
  named <- Filter(function(u) is.matrix(u) && !is.null(colnames(u)), matrices)
  if (length(named) > 0) colnames(named[[1]])
}

# conditions: names of the rows and columns of the matrices, NULL if nobody gave any. from_data: is
# the grid one of effects as the data have them?
new_mash_prior <- function(matrices, grid, null, weights, standardize = FALSE, conditions = NULL,
                           from_data = FALSE) {
  prior <- structure(list(matrices = matrices, grid = grid, null = null, weights = NULL,
                          standardize = standardize, from_data = from_data), class = "mash_prior")
  prior$conditions <- conditions
  prior["weights"] <- list(check_prior_weights(weights, prior, "mash_prior"))
  prior
}

# Names of the components, in their order.
prior_components <- function(prior) {
  labels <- outer(distinct_labels(prior$grid), names(prior$matrices),
                  function(scale, matrix) paste0(matrix, "_", scale))
  c(if (prior$null) "null", as.vector(labels))
}

check_prior_weights <- function(weights, prior, fun, arg = "weights", try = NULL) {
  if (is.null(weights)) return(NULL)
  labels <- prior_components(prior)
  must <- sprintf("%d numbers of at least 0 with a positive sum", length(labels))
  valid <- is.numeric(weights) && length(weights) == length(labels) && all(is.finite(weights)) &&
    all(weights >= 0) && sum(weights) > 0
  if (!valid) abort_arg(fun, arg, must, describe_value(weights), try)
  if (!is.null(names(weights))) {
    lost <- setdiff(names(weights), labels)
    if (length(lost) > 0) {
      abort_arg(fun, arg, "named as the components of the prior, or without names",
                sprintf("\"%s\"", lost[1]), try %||% closest_name(lost[1], labels))
    }
    weights <- weights[labels]
  }
  stats::setNames(as.double(weights) / sum(weights), labels)
}

check_grid <- function(grid, fun) {
  grid <- check_positive(grid, fun, "grid", try = "standard deviations, such as c(.1, .5, 1)")
  if (length(grid) == 0 || anyDuplicated(grid)) {
    abort_arg(fun, "grid", "standard deviations, none twice", describe_value(grid))
  }
  check_squares(grid, fun, "grid")
  grid
}

# ---- matrices -----------------------------------------------------------------------------------

canonical_matrices <- function(names_or_size) {
  labels <- if (is.character(names_or_size)) names_or_size
  size <- if (is.null(labels)) names_or_size else length(labels)
  if (is.null(labels)) labels <- paste0("condition", seq_len(size))
  if (size == 1) return(list(identity = matrix(1)))
  single <- lapply(seq_len(size), function(j) diag(as.numeric(seq_len(size) == j), size))
  names(single) <- paste0("only_", labels)
  shared <- lapply(c(.25, .5, .75), function(r) matrix(r, size, size) + diag(1 - r, size))
  names(shared) <- paste0("shared_", c(.25, .5, .75))
  c(list(identity = diag(size)), single, list(equal = matrix(1, size, size)), shared)
}

# A list of matrices out of what users have: matrices, arrays J x J x K, mashr's and udr's objects.
matrix_list <- function(x, fun, arg = "matrices") {
  if (is.null(x)) return(NULL)
  if (inherits(x, "mash") || is.list(x) && !is.null(x$fitted_g)) x <- x$fitted_g$Ulist
  if (is.list(x) && !is.data.frame(x) && is.list(x$U) && !is.matrix(x$U)) x <- x$U
  if (is.numeric(x) && length(dim(x)) == 3) {
    x <- stats::setNames(lapply(seq_len(dim(x)[3]), function(k) x[, , k]), dimnames(x)[[3]])
  }
  if (!is.list(x) || length(x) == 0) {
    abort_arg(fun, arg, "a named list of covariance matrices", describe_value(x))
  }
  if (is.null(names(x))) names(x) <- paste0("matrix", seq_along(x))
  lapply(x, function(u) if (is.list(u) && !is.null(u$mat)) u$mat else u)
}

# Checked, and in the order of the conditions.
prior_matrices <- function(x, arg, size, conditions, fun) {
  Map(function(u, name) {
    label <- sprintf("%s$%s", arg, name)
    checked <- check_prior_matrix(u, size, label, fun)
    at <- if (is.matrix(u)) match_conditions(colnames(u), conditions, fun, label)
    if (is.null(at)) checked else checked[at, at, drop = FALSE]
  }, x, names(x))
}

length_of <- function(size) if (is.character(size)) length(size) else size

check_prior_matrix <- function(u, size, arg, fun) {
  if (is.numeric(u) && length(u) == 1) u <- matrix(as.double(u))
  u <- check_covariance(u, size, fun, arg, or_number = FALSE)
  if (max(diag(u)) <= 0) abort_arg(fun, arg, "not all zero", "zeros", "null = TRUE")
  u
}

check_prior_names <- function(matrices, fun) {
  bad <- which(duplicated(names(matrices)) | names(matrices) %in% c("", "null"))
  if (length(bad) > 0) {
    abort_arg(fun, "matrices", "a list whose names are all different and not \"null\"",
              sprintf("\"%s\"", names(matrices)[bad[1]]))
  }
  if (length(matrices) == 0) {
    abort_arg(fun, "matrices", "given, or canonical = TRUE", "no matrix at all")
  }
  matrices
}

unit_diagonal <- function(u) u / max(diag(u))

# Number of conditions, or their names where there are data.
prior_size <- function(matrices, effects, Y, fun, assay) {
  if (!is.null(effects)) return(effects$conditions)
  if (inherits(Y, "mixology_suff_stats")) return(Y$conditions)
  if (!is.null(Y)) {
    Y <- mmash_response_matrix(Y, fun, "Y", assay)
    return(condition_names(colnames(Y), ncol(Y)))
  }
  if (length(matrices) == 0) abort_arg(fun, "Y", "given, or 'matrices' and 'grid'", "NULL")
  one <- matrices[[1]]
  if (is.numeric(one) && length(one) == 1) return(1)
  nrow(one) %||% abort_arg(fun, "matrices", "a named list of square matrices", describe_value(one))
}

# A_k with U_k = A_k A_k'; directions without variance are left out.
prior_factors <- function(prior) {
  lapply(prior$matrices, function(u) {
    e <- eigen(u, symmetric = TRUE)
    keep <- e$values > 1e-12 * max(e$values)
    e$vectors[, keep, drop = FALSE] %*% diag(sqrt(e$values[keep]), sum(keep))
  })
}

prior_core <- function(prior, penalty = 1) {
  list(factors = unname(prior_factors(prior)), grid = prior$grid, null = prior$null,
       penalty = as.double(penalty))
}

# ---- what the data say --------------------------------------------------------------------------

# Effects of one variant at a time and their standard errors, both P x J; names of the conditions.
prior_effects <- function(Y, X, standardize, covariates, missing_x, allele, fun, assay = NULL) {
  data <- if (inherits(Y, "mixology_suff_stats")) Y else X
  if (is.null(data)) {
    abort_arg(fun, "X", "given together with 'Y' for a grid or matrices from data",
              "NULL", "matrices = and grid =")
  }
  source <- mmash_source(data, fun, list(missing_x = missing_x, allele = allele))
  input <- if (source$kind == "gram") mmash_gram(source, standardize) else {
    y <- mmash_response(Y, source, fun, assay)
    mmash_individual(source, y, mmash_covariates(covariates, source, fun), standardize,
                     seq_len(source$cols))
  }
  out <- marginal_effects(input)
  out$conditions <- if (source$kind == "gram") source$stats$conditions else
    condition_names(colnames(y), ncol(y))
  if (nrow(out$bhat) == 0) abort_arg(fun, "X", "with variants that vary", "constant columns only")
  if (all(out$shat <= 0)) abort_arg(fun, "Y", "varying", "constant responses only")
  out
}

# Those of the variants that vary.
marginal_effects <- function(input) {
  lapply(mmash_marginal(input), function(m) m[apply(is.finite(m), 1, all), , drop = FALSE])
}

# Standard deviations from min(s) / 10 to 2 sqrt(max(b^2 - s^2)) by factors of sqrt(2).
data_grid <- function(effects, factor = sqrt(2)) {
  s <- effects$shat[effects$shat > 0]
  low <- min(s) / 10
  excess <- max(effects$bhat^2 - effects$shat^2)
  high <- if (excess > 0) 2 * sqrt(excess) else 8 * low
  steps <- ceiling(log(high / low, factor))
  high * factor^(-steps:0)
}

# Effects that stand out: the strongest |b / s| of a variant above 4, or the top twentieth.
strong_effects <- function(effects) {
  z <- apply(abs(effects$bhat / effects$shat), 1, max)
  strong <- z > 4
  if (sum(strong) < 2 * ncol(effects$bhat)) {
    strong <- rank(-z) <= max(2 * ncol(effects$bhat), length(z) / 20)
  }
  lapply(effects[c("bhat", "shat")], function(m) m[strong, , drop = FALSE])
}

pca_matrices <- function(effects, count, fun) {
  strong <- strong_effects(effects)$bhat
  if (count > min(dim(strong))) {
    abort_arg(fun, "pca", sprintf("at most %d", min(dim(strong))), format(count))
  }
  s <- svd(strong, nu = 0, nv = count)
  one <- lapply(seq_len(count), function(k) tcrossprod(s$v[, k]))
  together <- s$v %*% (s$d[seq_len(count)]^2 * t(s$v)) / nrow(strong)
  stats::setNames(lapply(c(one, list(together)), unit_diagonal),
                  c(paste0("pca_", seq_len(count)), "pca_all"))
}

#' @export
print.mash_prior <- function(x, ...) {
  cat(sprintf("Prior of %d normal components%s: %d matrices x %d scales, %d conditions\n",
              length(x$matrices) * length(x$grid), if (x$null) " and a point mass at 0" else "",
              length(x$matrices), length(x$grid), nrow(x$matrices[[1]])))
  cat("  matrices:", toString(names(x$matrices), width = 80), "\n")
  cat(sprintf("  standard deviations from %.3g to %.3g\n", min(x$grid), max(x$grid)))
  invisible(x)
}

# Data-driven matrices after an extreme-deconvolution EM on the strong effects. They start with a
# little of the identity, because the EM never leaves the space that a singular matrix spans.
refine_matrices <- function(matrices, effects, iterations = 200) {
  if (length(matrices) == 0) return(matrices)
  strong <- strong_effects(effects)
  size <- max(strong$bhat^2)
  start <- lapply(matrices, function(u) {
    size * (unit_diagonal(u) + diag(0.01, nrow(u)))
  })
  out <- mmash_refine(strong$bhat, strong$shat, unname(start), iterations, 1e-6,
                      resolve_threads(NULL, "mash_prior"))
  kept <- out$weights > 1e-6 & vapply(out$matrices, function(u) max(diag(u)) > 0, NA)
  stats::setNames(lapply(out$matrices[kept], unit_diagonal), names(matrices)[kept])
}
