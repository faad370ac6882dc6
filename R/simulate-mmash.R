#' Simulate effects of many variants on several conditions
#'
#' Draws genotypes (or any predictors), a sparse matrix of effects and responses in several
#' conditions, the setting of [mmash()]. The random numbers are R's own, so `set.seed()` makes the
#' draw repeatable.
#'
#' The causal variants are chosen at random and are the same for all conditions. Their effects
#' follow one of these patterns; every non-zero effect has variance `effect_variance`:
#' \describe{
#'   \item{`"shared"`}{normal, with correlation `effect_correlation` between any two conditions;}
#'   \item{`"equal"`}{one normal effect per variant, the same in every condition;}
#'   \item{`"independent"`}{normal, independent between conditions;}
#'   \item{`"singletons"`}{each causal variant acts in one condition, drawn at random;}
#'   \item{`"mostly_null"`}{the effects are in the first condition only;}
#'   \item{`"equal_null"`}{equal effects in the first `active` conditions, none in the others;}
#'   \item{`"subgroups"`}{equal effects within the first `active` conditions and within the others,
#'     independent between these two groups.}
#' }
#' The residual variance of a condition is set so that the variants explain the proportion `pve` of
#' its variance; a condition without effects gets the mean residual variance of the others.
#'
#' @param n Number of samples, a positive whole number of at least 2.
#' @param p Number of variants. Ignored when `x` is given.
#' @param conditions Number of conditions (columns of the response). Default 10.
#' @param causal Number of variants with an effect, from 0 to `p`. Default 50, or `p` if smaller.
#' @param pve Proportion of variance explained in each condition with effects, above 0 and below 1.
#'   Default 0.5.
#' @param x_correlation Correlation between variants, at least 0 and below 1. Default 0.
#' @param effects The pattern of the effects, see Details.
#' @param residual_correlation Correlation of the residuals between any two conditions, at least 0
#'   and below 1. Default 0.15.
#' @param effect_correlation Correlation of `"shared"` effects, from 0 to 1. Default 1.
#' @param effect_variance Variance of each non-zero effect. Default 0.8.
#' @param active Number of conditions in the first group of `"equal_null"` and `"subgroups"`.
#'   Default: three in ten.
#' @param genotypes Should the variants be allele counts 0, 1, 2 in place of normal variables?
#'   Allele frequencies are then uniform on (0.05, 0.5), and correlation falls off along the
#'   chromosome: `x_correlation` is that of the underlying normal variables of two neighbours.
#'   Default `FALSE`: normal variables of mean 0 and variance 1, every two equally correlated.
#' @param x Optional samples x variants matrix to use in place of simulated variants.
#' @param intercept Intercept of every condition, one number or one per condition. Default 0.
#' @param missing Proportion of response values replaced by `NA` at random, from 0 (default) to
#'   below 1.
#'
#' @return A list with
#' \describe{
#'   \item{`x`}{samples x variants matrix, columns named `variant1`, ...;}
#'   \item{`y`}{samples x conditions matrix, columns named `condition1`, ...;}
#'   \item{`truth`}{a list of `coefficients` (variants x conditions), `causal` (row numbers of the
#'     variants with effects, increasing), `residual_covariance` and `intercept`.}
#' }
#' An argument outside its range is an error that names it.
#'
#' @references Morgante, Carbonetto, Wang, Zou, Sarkar and Stephens (2023). A flexible empirical
#'   Bayes approach to multivariate multiple regression, and its improved accuracy in predicting
#'   multi-tissue gene expression from genotypes. *PLOS Genetics* 19, e1010539; the designs of its
#'   simulations.
#' @seealso [mmash()]
#' @examples
#' set.seed(1)
#' d <- simulate_mmash(n = 200, p = 50, conditions = 4, causal = 5, x_correlation = .5)
#' dim(d$y)
#' d$truth$causal
#'
#' # a cis window: allele counts, few causal variants, little variance explained
#' eqtl <- simulate_mmash(300, 40, causal = 2, pve = .2, x_correlation = .9,
#'                        effects = "equal_null", genotypes = TRUE)
#' round(eqtl$truth$coefficients[eqtl$truth$causal, ], 2)
#' @export
simulate_mmash <- function(n, p, conditions = 10, causal = min(50, p), pve = 0.5,
                           x_correlation = 0,
                           effects = c("shared", "independent", "equal", "singletons",
                                       "mostly_null", "equal_null", "subgroups"),
                           residual_correlation = 0.15, effect_correlation = 1,
                           effect_variance = 0.8, active = ceiling(0.3 * conditions),
                           genotypes = FALSE, x = NULL, intercept = 0, missing = 0) {
  fun <- "simulate_mmash"
  n <- check_count(n, fun, "n", 2)
  p <- if (is.null(x)) check_count(p, fun, "p") else ncol(check_variants(x, n, fun))
  conditions <- check_count(conditions, fun, "conditions")
  causal <- check_count(causal, fun, "causal", 0, p)
  pattern <- list(
    effects = check_choice(effects, eval(formals()$effects), fun, "effects"),
    correlation = check_number(effect_correlation, fun, "effect_correlation", 0, 1),
    variance = check_number(effect_variance, fun, "effect_variance", 0, open = TRUE),
    active = check_count(active, fun, "active", 1, conditions)
  )
  pve <- check_number(pve, fun, "pve", 0, 1, open = TRUE)
  residual_correlation <- check_correlation(residual_correlation, fun, "residual_correlation")
  x_correlation <- check_correlation(x_correlation, fun, "x_correlation")
  intercept <- check_intercept(intercept, conditions, fun)
  missing <- check_correlation(missing, fun, "missing")
  genotypes <- check_flag(genotypes, fun, "genotypes")
  if (is.null(x)) x <- draw_variants(n, p, x_correlation, genotypes)
  if (is.null(colnames(x))) colnames(x) <- sprintf("variant%d", seq_len(p))
  truth <- draw_effects(p, conditions, causal, pattern)
  dimnames(truth$coefficients) <- list(colnames(x), sprintf("condition%d", seq_len(conditions)))
  truth$residual_covariance <- residual_for_pve(x, truth$coefficients, pve, residual_correlation)
  truth$intercept <- intercept
  list(x = x, y = draw_conditions(x, truth, missing), truth = truth)
}

check_correlation <- function(x, fun, arg) {
  if (!is_number(x) || x < 0 || x >= 1) {
    abort_arg(fun, arg, "one number of at least 0 and below 1", describe_value(x))
  }
  as.double(x)
}

check_variants <- function(x, n, fun) {
  fits <- is.numeric(x) && is.matrix(x) && nrow(x) == n && ncol(x) > 0 && all(is.finite(x))
  if (!fits) {
    abort_arg(fun, "x", sprintf("a finite numeric matrix with %d rows", n), describe_value(x))
  }
  x
}

check_intercept <- function(intercept, conditions, fun) {
  fits <- is.numeric(intercept) && length(intercept) %in% c(1, conditions) &&
    all(is.finite(intercept))
  if (!fits) {
    must <- sprintf("one finite number or %d", conditions)
    abort_arg(fun, "intercept", must, describe_value(intercept))
  }
  rep_len(as.double(intercept), conditions)
}

draw_variants <- function(n, p, correlation, genotypes) {
  if (!genotypes) {
    return(sqrt(correlation) * stats::rnorm(n) +
             sqrt(1 - correlation) * matrix(stats::rnorm(n * p), n))
  }
  frequency <- stats::runif(p, 0.05, 0.5)
  draw_haplotypes(n, frequency, correlation) + draw_haplotypes(n, frequency, correlation)
}

# 0/1 alleles by thresholding a normal chain along the chromosome
draw_haplotypes <- function(n, frequency, correlation) {
  alleles <- matrix(0, n, length(frequency))
  latent <- stats::rnorm(n)
  for (j in seq_along(frequency)) {
    alleles[, j] <- latent < stats::qnorm(frequency[j])
    latent <- correlation * latent + sqrt(1 - correlation^2) * stats::rnorm(n)
  }
  alleles
}

draw_effects <- function(p, conditions, causal, pattern) {
  rows <- sort(sample.int(p, causal))
  coefficients <- matrix(0, p, conditions)
  if (causal > 0) {
    values <- switch(pattern$effects,
      singletons = draw_singletons(causal, conditions),
      draw_by_factor(causal, effect_factor(pattern, conditions))
    )
    coefficients[rows, ] <- sqrt(pattern$variance) * values
  }
  list(coefficients = coefficients, causal = rows)
}

draw_singletons <- function(causal, conditions) {
  values <- matrix(0, causal, conditions)
  values[cbind(seq_len(causal), sample.int(conditions, causal, TRUE))] <- stats::rnorm(causal)
  values
}

# Factor L of the effects' covariance L L', with unit variance where there is an effect; equal
# effects are then equal to the last bit and absent ones exactly zero.
effect_factor <- function(pattern, conditions) {
  first <- seq_len(conditions) <= pattern$active
  shared <- pattern$correlation
  switch(pattern$effects,
    shared = cbind(sqrt(shared), diag(sqrt(1 - shared), conditions)),
    equal = matrix(1, conditions, 1),
    independent = diag(conditions),
    mostly_null = matrix(c(1, numeric(conditions - 1))),
    equal_null = matrix(as.numeric(first)),
    subgroups = cbind(first, !first) * 1
  )
}

draw_by_factor <- function(n, factor) {
  matrix(stats::rnorm(n * ncol(factor)), n) %*% t(factor)
}

equicorrelated <- function(size, correlation) {
  diag(1 - correlation, size) + correlation
}

residual_for_pve <- function(x, coefficients, pve, correlation) {
  genetic <- apply(x %*% coefficients, 2, stats::var)
  variance <- genetic * (1 - pve) / pve
  silent <- variance == 0
  variance[silent] <- if (all(silent)) 1 else mean(variance[!silent])
  out <- equicorrelated(length(variance), correlation) * sqrt(outer(variance, variance))
  dimnames(out) <- list(colnames(coefficients), colnames(coefficients))
  out
}

draw_conditions <- function(x, truth, missing) {
  y <- sweep(x %*% truth$coefficients, 2, truth$intercept, `+`) +
    draw_normal(nrow(x), truth$residual_covariance)
  y[stats::runif(length(y)) < missing] <- NA
  dimnames(y) <- list(rownames(x), colnames(truth$coefficients))
  y
}
