# nbmix by variational Bayes and by Gibbs sampling.

#' Priors of nbmix
#'
#' The weights have a Dirichlet prior with `concentration / C` for each of the `C` components, so
#' that components that are not needed empty by themselves. The bound has several maxima, though,
#' and the one that is found from the best start may now and then keep a component that EM and BIC
#' would not; where the number matters, choose it by `k = 1:3`, which compares the evidence. The
#' dispersions have log-normal priors.
#' The means have a log-normal prior under variational Bayes and an inverse gamma prior, conjugate
#' given the cells' rates, under Gibbs sampling; both are wide by default and centred by the gene.
#'
#' Under variational Bayes `objective()` is the lower bound with \eqn{q(z)} categorical,
#' \eqn{q(\pi)} Dirichlet, and the log means and log dispersions at the points that maximise it.
#' Their standard deviations, and the draws of [as_draws()], come from the curvature of the bound
#' there. As \eqn{q(z)} is fixed in it, intervals are too narrow where components overlap. In 200
#' simulations of two components (`scripts/calibration/nbmix.R` of the installed package) 95%
#' intervals held the truth in these percentages of all cases:
#'
#' | components | variational Bayes | EM | Gibbs sampling |
#' |:---|---:|---:|---:|
#' | apart | 94 | 95 | 96 |
#' | overlapping | 28 | 86 | 95 |
#'
#' Take the intervals of Gibbs sampling where components overlap. There 94% of its fits warned that
#' chains of the default length had not mixed; [resume()] makes them longer.
#'
#' `k` is chosen by the column `evidence` of `glance(fit, all = TRUE)`: the bound with these
#' points turned into normals, \eqn{+ \frac12 \log\det(2 \pi V_k)} for each component, which an
#' empty component leaves as it is.
#'
#' Neither engine gives the Poisson limit any mass: where EM reports a dispersion of exactly 0, they
#' report one as small as the data say, with an interval that runs towards 0. Draws of a Gibbs fit
#' are numbered one by one, by the means of the components (the point mass last), and then all
#' together by decreasing posterior mean weight.
#'
#' @param concentration Total concentration of the Dirichlet prior. Default 1.
#' @param log_mean Mean and standard deviation of the log mean (variational Bayes). Default: the
#'   log of the gene's mean (total count over total size factor), and 3: a factor of 20 either way.
#' @param log_dispersion Mean and standard deviation of the log dispersion. Default -2 and 2:
#'   half of the mass between .035 and .52.
#' @param mean Shape and rate of the inverse gamma prior of a mean (Gibbs sampling). Default .5 and
#'   a twentieth of the gene's mean: nearly flat on the log scale.
#' @return An object of class `nbmix_prior`.
#' @examples
#' x <- c(0, 3, 1, 0, 2, 1, 31, 44, 38, 52, 29, 40)
#' nbmix(x, k = 4, method = "vb", prior = nbmix_prior(concentration = .1), seed = 1)
#' @export
nbmix_prior <- function(concentration = 1, log_mean = NULL, log_dispersion = c(-2, 2),
                        mean = NULL) {
  fun <- "nbmix_prior"
  out <- list(concentration = check_number(concentration, fun, "concentration", 0, open = TRUE))
  if (!is.finite(out$concentration)) abort_arg(fun, "concentration", "finite", "Inf")
  out$log_mean <- nbmix_location_scale(log_mean %||% c(NaN, 3), fun, "log_mean",
                                       is.null(log_mean))
  out$log_dispersion <- nbmix_location_scale(log_dispersion, fun, "log_dispersion")
  out$mean <- if (is.null(mean)) c(0.5, NaN) else check_positive(mean, fun, "mean", length = 2)
  structure(out, class = "nbmix_prior")
}

nbmix_location_scale <- function(x, fun, arg, open = FALSE) {
  fine <- is.numeric(x) && length(x) == 2 && (open || is.finite(x[1])) && is.finite(x[2]) &&
    x[2] > 0
  if (!fine) abort_arg(fun, arg, "a mean and a positive standard deviation", describe_value(x))
  as.double(x)
}

#' @export
print.nbmix_prior <- function(x, ...) {
  known <- function(v, what) ifelse(is.nan(v), what, format(v, digits = 4))
  cat("Priors of nbmix\n")
  cat(sprintf("  weights          Dirichlet, total concentration %s\n", format(x$concentration)))
  cat(sprintf("  log mean         normal, mean %s, sd %s (variational Bayes)\n",
              known(x$log_mean[1], "by the gene"), format(x$log_mean[2])))
  cat(sprintf("  mean             inverse gamma, shape %s, rate %s (Gibbs)\n",
              format(x$mean[1]), known(x$mean[2], "by the gene")))
  cat(sprintf("  log dispersion   normal, mean %s, sd %s\n", format(x$log_dispersion[1]),
              format(x$log_dispersion[2])))
  invisible(x)
}

nbmix_check_prior <- function(prior, method) {
  if (method == "em") {
    if (is.null(prior)) return(NULL)
    abort_arg("nbmix", "prior", "NULL for method = \"em\"", describe_value(prior),
              "method = \"vb\" or \"gibbs\"")
  }
  prior <- prior %||% nbmix_prior()
  if (!inherits(prior, "nbmix_prior")) {
    abort_arg("nbmix", "prior", "made by nbmix_prior()", describe_value(prior))
  }
  prior
}

# ---- variational Bayes --------------------------------------------------------------------------

nbmix_vb_block <- function(inputs, rows, first, monitor, threads) {
  nbmix_vb(rows$p, rows$i, rows$x, inputs$size_factors, nbmix_settings(inputs), inputs$control,
           inputs$prior, nbmix_block_starts(inputs, rows, first), first, monitor, threads)
}

# Draws from q: the Dirichlet, and normals on the log scale for means and dispersions.
#' @export
posterior_sample.nbmix <- function(fit, n) {
  e <- fit$estimate
  parts <- length(e$weight)
  total <- e$weight[1] * (1 - e$weight[1]) / fit$vcov[1, 1] - 1
  if (parts == 1) total <- 1
  weight <- vapply(e$weight, function(w) stats::rgamma(n, w * total), numeric(n))
  weight <- matrix(weight, n)
  points <- lapply(seq_len(parts), function(j) nbmix_point_sample(fit, j, n))
  mean <- vapply(points, function(p) p[, 1], numeric(n))
  dispersion <- vapply(points, function(p) p[, 2], numeric(n))
  out <- cbind(weight / rowSums(weight), matrix(mean, n), matrix(dispersion, n))
  colnames(out) <- nbmix_variables(parts)
  out
}

nbmix_point_sample <- function(fit, j, n) {
  parts <- length(fit$estimate$weight)
  value <- c(fit$estimate$mean[j], fit$estimate$dispersion[j])
  if (value[1] == 0) return(matrix(0, n, 2))
  at <- c(parts + j, 2 * parts + j)
  log_covariance <- fit$vcov[at, at] / tcrossprod(value)
  exp(sweep(draw_normal(n, log_covariance), 2, log(value), `+`))
}

# ---- Gibbs --------------------------------------------------------------------------------------

nbmix_bayes_one <- function(inputs, data, call) {
  rows <- inputs$source$read(1L, 1L)
  x <- nbmix_row_counts(rows, 1, inputs$source$cells)
  control <- inputs$control
  monitor <- new_monitor("nbmix, Gibbs", control, inputs$verbose, control$iterations)
  run <- nbmix_run_gibbs(inputs, rows, 1, monitor, inputs$threads)[[1]]
  post <- nbmix_gibbs_posterior(run, inputs, x)
  names <- inputs$source$cell_names
  control$resumed <- NULL
  new_nbmix("gibbs", call, post$estimate, post$objective, post$convergence, control,
            nbmix_describe_gene(data, inputs$source, rows), inputs, nobs = length(x),
            df = post$df, k = inputs$k, log_lik = NA_real_, vcov = post$vcov,
            posterior = post[c("draws", "order", "provisional")],
            responsibilities = nbmix_prob_matrix(post$prob, names),
            clusters = nbmix_labels(post$prob, names), outcome = post$outcome,
            histogram = nbmix_histogram(x), state = post$state)
}

# The chains of each gene; NULL for a gene that was not reached or cannot be fitted.
nbmix_run_gibbs <- function(inputs, rows, first, monitor, threads) {
  control <- inputs$control
  before <- control$resumed$state %||% list()
  start <- if (length(before) == 0) nbmix_block_starts(inputs, rows, first) else list()
  settings <- unclass(control)[c("chains", "iterations", "warmup", "thin")]
  nbmix_gibbs(rows$p, rows$i, rows$x, inputs$size_factors, nbmix_settings(inputs), settings,
              inputs$prior, start, before, first, monitor, threads)
}

nbmix_check_gibbs <- function(inputs) {
  if (length(inputs$k) > 1) {
    abort_arg("nbmix", "k", "one number for method = \"gibbs\"", describe_value(inputs$k),
              "choosing k by method = \"em\" or \"vb\"")
  }
  control <- inputs$control
  kept <- (control$iterations - control$warmup) %/% control$thin
  size <- 8 * as.double(inputs$source$genes) * control$chains * kept *
    3 * (inputs$k + inputs$zero_inflated)
  if (size > 4e8) {
    abort("nbmix", sprintf("the draws of %d genes would take %.1f GB", inputs$source$genes,
                           size / 1e9),
          "; try gibbs_control(thin =) so that fewer draws are kept, fewer chains or iterations, ",
          "or fewer genes at a time")
  }
}

# Estimates and draws of one gene. The components of a draw come in the order of their means, those
# without cells last; all draws together are then numbered by decreasing posterior mean weight.
nbmix_gibbs_posterior <- function(run, inputs, x) {
  parts <- inputs$k + inputs$zero_inflated
  resumed <- inputs$control$resumed
  raw <- lapply(run$chains, function(chain) matrix(chain$draws, ncol = 3 * parts + 1))
  if (!is.null(resumed)) raw <- nbmix_append_draws(resumed, raw, parts)
  kept <- bind_chains(raw, c(nbmix_variables(parts), "log_lik"))
  provisional <- dim(kept)[1] == 0
  if (provisional) kept <- nbmix_last_states(run, parts)
  order <- order(-apply(kept[, , seq_len(parts), drop = FALSE], 3, mean))
  draws <- kept[, , nbmix_triple(order), drop = FALSE]
  dimnames(draws)[[3]] <- nbmix_variables(parts)
  flat <- flat_draws(draws)
  weights <- nbmix_draws_weights(flat, parts, length(x))
  estimate <- lapply(nbmix_estimate_parts(nbmix_draws_means(flat, weights), parts), stats::setNames,
                     seq_len(parts))
  iterations <- min(vapply(run$chains, `[[`, 0, "iteration"))
  convergence <- draws_convergence(draws, run$status, as.integer(iterations))
  list(estimate = estimate, draws = draws, order = order, provisional = provisional,
       convergence = convergence,
       prob = nbmix_gibbs_prob(run, inputs, x, estimate, order),
       vcov = nbmix_draws_covariance(draws, weights, estimate),
       df = 2L * inputs$k + parts - 1L, state = lapply(run$chains, nbmix_chain_state),
       objective = nbmix_gibbs_objective(kept[, , 3 * parts + 1, drop = FALSE], inputs, run,
                                         iterations, provisional),
       outcome = nbmix_gibbs_outcome(x, convergence))
}

# What each value of each draw counts: that of a component's mean and dispersion by the component's
# weight, and nothing where it holds less than the share of a cell. There they are draws from the
# prior, which says nothing of the data and may have no mean. So the mean of the mixture is kept.
# `NA` for a component that never holds a cell.
nbmix_draws_weights <- function(flat, parts, cells) {
  out <- array(1, dim(flat), dimnames(flat))
  for (j in seq_len(parts)) {
    weight <- flat[, j] * (flat[, j] * cells >= 1)
    out[, c(parts + j, 2 * parts + j)] <- if (any(weight > 0)) weight / mean(weight) else NA
  }
  out
}

# Posterior means; the median of the prior's draws for a component that never holds a cell.
nbmix_draws_means <- function(flat, weights) {
  out <- colMeans(weights * flat)
  empty <- is.na(out)
  out[empty] <- apply(flat[, empty, drop = FALSE], 2, stats::median)
  out
}

# Covariances of draws with these weights; the point mass at zero has a weight and nothing else.
nbmix_draws_covariance <- function(draws, weights, estimate) {
  flat <- flat_draws(draws)
  apart <- sweep(flat, 2, colMeans(weights * flat)) * sqrt(weights)
  out <- crossprod(apart) / (nrow(flat) - 1)
  if (kept_none(draws)) out[] <- NA_real_
  dimnames(out) <- rep(list(colnames(flat)), 2)
  fixed <- rep(c(FALSE, TRUE, TRUE), each = length(estimate$mean)) & rep(estimate$mean == 0, 3)
  out[fixed, ] <- out[, fixed] <- NA_real_
  out
}

nbmix_gibbs_outcome <- function(x, convergence) {
  if (is_stopped(convergence$status)) return("stopped")
  if (all(x == 0)) "all_zero" else if (convergence$converged) "ok" else "not_converged"
}

# Columns of weights, means and dispersions for components in this order.
nbmix_triple <- function(order) c(order, length(order) + order, 2 * length(order) + order)

nbmix_estimate_parts <- function(values, parts) {
  split(unname(values), factor(rep(c("weight", "mean", "dispersion"), each = parts),
                               c("weight", "mean", "dispersion")))
}

# Allocation probabilities: averages over the sweeps after warm-up; before there is one, those of
# the estimate.
nbmix_gibbs_prob <- function(run, inputs, x, estimate, order) {
  prob <- run$prob
  if (!is.null(prob) && !anyNA(prob)) return(prob[, order, drop = FALSE])
  nbmix_posterior(x, inputs$size_factors, estimate$weight, estimate$mean, estimate$dispersion)$prob
}

nbmix_chain_state <- function(chain) c(chain$state, list(iteration = chain$iteration))

# The new draws under the old ones, in the order in which the chains report them.
nbmix_append_draws <- function(resumed, raw, parts) {
  post <- resumed$posterior
  if (post$provisional) return(raw)
  back <- nbmix_triple(order(post$order))
  lapply(seq_along(raw), function(chain) {
    old <- matrix(post$draws[, chain, back], ncol = 3 * parts)
    rbind(cbind(old, resumed$objective[[paste0("chain_", chain)]]), raw[[chain]])
  })
}

# Chains that were stopped before they kept anything: where they stand.
nbmix_last_states <- function(run, parts) {
  rows <- lapply(run$chains, function(chain) {
    s <- chain$state
    point <- rep(0, parts - length(s$log_mean))
    matrix(c(s$weight, exp(s$log_mean), point, s$dispersion, point, NA), 1)
  })
  bind_chains(rows, c(nbmix_variables(parts), "log_lik"))
}

nbmix_gibbs_objective <- function(log_lik, inputs, run, iterations, provisional) {
  values <- matrix(log_lik, dim(log_lik)[1])
  kept <- nrow(values)
  control <- inputs$control
  iter <- if (provisional) iterations else control$warmup + seq_len(kept) * control$thin
  out <- data.frame(iter = iter, value = rowMeans(values),
                    seconds = run$seconds * seq_len(kept) / kept)
  out[paste0("chain_", seq_len(ncol(values)))] <- as.data.frame(values)
  out
}

# ---- many genes ---------------------------------------------------------------------------------

nbmix_bayes_block <- function(inputs, rows, first, monitor, threads) {
  if (inputs$method == "vb") return(nbmix_vb_block(inputs, rows, first, monitor, threads))
  runs <- nbmix_run_gibbs(inputs, rows, first, monitor, threads)
  nbmix_gibbs_tables(lapply(seq_along(runs), function(g) {
    nbmix_gibbs_gene(inputs, nbmix_row_counts(rows, g, inputs$source$cells), runs[[g]])
  }))
}

nbmix_row_counts <- function(rows, g, cells) {
  at <- seq.int(rows$p[g] + 1, length.out = rows$p[g + 1] - rows$p[g])
  replace(numeric(cells), rows$i[at] + 1, rows$x[at])
}

nbmix_gibbs_gene <- function(inputs, x, run) {
  fault <- count_fault(x)
  if (!is.null(fault)) return(list(outcome = "invalid", message = fault))
  if (is.null(run)) return(list(outcome = "stopped", message = ""))
  c(nbmix_gibbs_posterior(run, inputs, x), list(message = "", k = inputs$k))
}

# The tables that the EM and VB glue returns, from a list of genes.
nbmix_gibbs_tables <- function(genes) {
  fitted <- which(vapply(genes, function(g) !is.null(g$estimate), NA))
  each <- function(f) unlist(lapply(genes[fitted], f), use.names = FALSE)
  parts <- vapply(genes[fitted], function(g) length(g$estimate$weight), 0L)
  none <- rep(NA_real_, length(fitted))
  list(
    status = vapply(genes, `[[`, "", "outcome"), message = vapply(genes, `[[`, "", "message"),
    chosen = ifelse(seq_along(genes) %in% fitted, 1L, NA_integer_),
    candidates = list(gene = fitted, k = each(function(g) g$k), df = each(function(g) g$df),
                      logLik = none, entropy = none,
                      objective = each(function(g) utils::tail(g$objective$value, 1)),
                      converged = each(function(g) g$convergence$converged),
                      status = each(function(g) g$convergence$status),
                      iterations = each(function(g) g$convergence$iterations),
                      seconds = each(function(g) utils::tail(g$objective$seconds, 1))),
    estimates = list(gene = rep(fitted, parts), weight = each(function(g) g$estimate$weight),
                     mean = each(function(g) g$estimate$mean),
                     dispersion = each(function(g) g$estimate$dispersion),
                     covariance = each(function(g) g$vcov[lower.tri(g$vcov, diag = TRUE)])),
    draws = lapply(genes, `[[`, "draws"))
}
