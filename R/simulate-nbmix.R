#' Simulate counts from a mixture of negative binomials
#'
#' Draws the counts of one gene in `n` cells from the model that [nbmix()] fits: a component for
#' each cell, a gamma rate given the component, and a Poisson count given the rate and the cell's
#' size factor. The random numbers are R's own, so `set.seed()` makes the draw repeatable.
#'
#' Within component `k` a count has mean `s * means[k]` and variance
#' `s * means[k] + dispersions[k] * (s * means[k])^2`, where `s` is the cell's size factor. A
#' dispersion of 0 gives Poisson counts.
#'
#' @param n Number of cells, a positive whole number.
#' @param weights Relative weights of the components: non-negative numbers, rescaled to sum to
#'   `1 - zero_weight`.
#' @param means Mean of each component at a size factor of 1, in counts. Not negative; as many as
#'   there are weights, or one for all.
#' @param dispersions Dispersion of each component (the squared coefficient of variation of the
#'   rate). Not negative; as many as there are weights, or one for all. Default 0: Poisson.
#' @param size_factors Positive size factors, `n` of them or one for all cells. The default `NULL`
#'   means 1 for every cell.
#' @param zero_weight Probability of a further component that is always zero, from 0 (none, the
#'   default) to below 1.
#'
#' @return A list with
#' \describe{
#'   \item{`x`}{the counts, length `n`;}
#'   \item{`size_factors`}{the size factors used, length `n`;}
#'   \item{`cluster`}{the component of each cell, in the order of `weights`; always-zero cells carry
#'     the number of components plus 1;}
#'   \item{`rate`}{the cell's own rate, so that `x` is Poisson with mean `size_factors * rate`;}
#'   \item{`truth`}{a list of `weights` (after rescaling), `means`, `dispersions`, `zero_weight`.}
#' }
#' An argument outside its range is an error that names it.
#'
#' @references Sarkar and Stephens (2021). Separating measurement and expression models clarifies
#'   confusion in single-cell RNA sequencing analysis. *Nature Genetics* 53, 770-777; the
#'   measurement and expression models of its first section.
#' @seealso [nbmix()]
#' @examples
#' set.seed(1)
#' cells <- simulate_nbmix(500, weights = c(.3, .7), means = c(5, 60), dispersions = c(.3, .1))
#' tapply(cells$x, cells$cluster, mean)
#'
#' # counts that look bimodal only because the size factors are
#' spike <- simulate_nbmix(500, 1, means = 20, size_factors = rep(c(.5, 2), each = 250))
#' hist(spike$x, breaks = 40)
#' @export
simulate_nbmix <- function(n, weights, means, dispersions = 0, size_factors = NULL,
                           zero_weight = 0) {
  fun <- "simulate_nbmix"
  n <- check_count(n, fun, "n")
  zero_weight <- check_number(zero_weight, fun, "zero_weight", 0, 1)
  if (zero_weight == 1) abort_arg(fun, "zero_weight", "below 1", "1")
  weights <- simulated_weights(weights, fun) * (1 - zero_weight)
  means <- per_component(means, length(weights), fun, "means", zero = TRUE)
  dispersions <- per_component(dispersions, length(weights), fun, "dispersions", zero = TRUE)
  s <- per_component(if (is.null(size_factors)) 1 else size_factors, n, fun, "size_factors")
  cluster <- draw_labels(n, c(weights, zero_weight))
  rate <- draw_rates(c(means, 0)[cluster], c(dispersions, 0)[cluster])
  list(x = stats::rpois(n, s * rate), size_factors = s, cluster = cluster, rate = rate,
       truth = list(weights = weights, means = means, dispersions = dispersions,
                    zero_weight = zero_weight))
}

# Gamma rates of the given mean and squared coefficient of variation; exactly the mean where the
# dispersion is 0.
draw_rates <- function(mean, dispersion) {
  rate <- mean
  random <- dispersion > 0 & mean > 0
  shape <- 1 / dispersion[random]
  rate[random] <- stats::rgamma(sum(random), shape, shape / mean[random])
  rate
}
