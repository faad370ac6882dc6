# Two checks that a sampler draws from the posterior it claims: simulation-based calibration
# (Talts et al. 2018) and the joint distribution test (Geweke 2004).
#
# Parameters are any R object; `quantities` is a named list of functions(parameters, data) that
# return one number, applied in the same way to the true parameters and to every draw. For mixtures
# take functions that do not depend on the numbering of the components (the log likelihood, the
# largest mean, whether two given cells share a component).

# Fits per check: few in the quick suite, enough for small errors in the extended one.
sbc_runs <- function() {
  if (identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")) 200 else 20
}

# Rank of the truth among the draws, one row per run and one column per quantity.
#   generate(): list(parameters, data), drawn from the prior and the model
#   draws(data): list of parameter draws from the posterior, already thinned to be nearly
#     independent; `size` of them are used, spread evenly
sbc_ranks <- function(generate, draws, quantities, runs = sbc_runs(), size = 99) {
  ranks <- t(vapply(seq_len(runs), function(i) {
    truth <- generate()
    posterior <- draws(truth$data)
    stopifnot(length(posterior) >= size)
    posterior <- posterior[round(seq(1, length(posterior), length.out = size))]
    vapply(quantities, sbc_rank, 0, truth = truth, posterior = posterior)
  }, numeric(length(quantities))))
  ranks <- matrix(ranks, runs, length(quantities), dimnames = list(NULL, names(quantities)))
  attr(ranks, "size") <- size
  ranks
}

# Ties (discrete quantities) are broken at random, which keeps the ranks uniform.
sbc_rank <- function(quantity, truth, posterior) {
  value <- quantity(truth$parameters, truth$data)
  drawn <- vapply(posterior, quantity, 0, truth$data)
  stopifnot(!anyNA(drawn), !is.na(value))
  ties <- sum(drawn == value)
  sum(drawn < value) + sample.int(ties + 1, 1) - 1
}

# p values of uniformity on 0..size, a row per quantity: chi-square over equal bins, and the largest
# distance between the empirical and the uniform distribution function. Both are referred to
# simulated uniform ranks, hence right for any number of runs.
sbc_p_values <- function(ranks, size = attr(ranks, "size"), simulations = 4000) {
  runs <- nrow(ranks)
  bins <- max(2, min(10, runs %/% 5))
  statistics <- function(r) {
    count <- tabulate((r * bins) %/% (size + 1) + 1, bins)
    at <- cumsum(tabulate(r + 1, size + 1)) / runs
    c(chi_square = sum((count - runs / bins)^2) * bins / runs,
      ecdf = max(abs(at - seq_len(size + 1) / (size + 1))))
  }
  reference <- replicate(simulations, statistics(sample.int(size + 1, runs, TRUE) - 1))
  t(apply(ranks, 2, function(r) {
    (1 + rowSums(reference >= statistics(r) - 1e-12)) / (1 + simulations)
  }))
}

# Fails when any quantity's ranks are further from uniform than chance allows: `level` is the
# chance that a correct sampler fails the whole check.
expect_calibrated <- function(ranks, level = 0.002) {
  p <- sbc_p_values(ranks)
  worst <- which(p == min(p), arr.ind = TRUE)[1, ]
  testthat::expect(
    min(p) > level / length(p),
    sprintf("ranks of '%s' are not uniform: %s p = %.2g over %d runs", rownames(p)[worst[1]],
            colnames(p)[worst[2]], min(p), nrow(ranks))
  )
  invisible(p)
}

# Effective number of independent draws in a chain: Geyer's (1992) initial positive sequence.
chain_ess <- function(x) {
  n <- length(x)
  if (stats::var(x) == 0) return(n)
  rho <- stats::acf(x, lag.max = min(n - 1, 2000), plot = FALSE)$acf[, 1, 1]
  pairs <- rho[seq(1, length(rho) - 1, 2)] + rho[seq(2, length(rho), 2)]
  last <- match(TRUE, pairs <= 0, nomatch = length(pairs) + 1) - 1
  n / max(2 * sum(pairs[seq_len(last)]) - 1, 1 / n)
}

# Geweke's joint test. Independent draws of (parameters, data) against a chain that alternates
# `sweep` (one transition that leaves the posterior alone) with fresh data: every moment must agree.
#   prior(): parameters;  model(parameters): data;  sweep(parameters, data): parameters
# Returns z scores of the mean and of the mean square, a row per quantity.
geweke_joint_test <- function(prior, model, sweep, quantities, iterations = 2000) {
  evaluate <- function(parameters, data) {
    vapply(quantities, function(f) f(parameters, data), 0)
  }
  independent <- replicate(iterations, {
    parameters <- prior()
    evaluate(parameters, model(parameters))
  }, simplify = FALSE)
  parameters <- prior()
  data <- model(parameters)
  chain <- vector("list", iterations)
  for (i in seq_len(iterations)) {
    parameters <- sweep(parameters, data)
    data <- model(parameters)
    chain[[i]] <- evaluate(parameters, data)
  }
  geweke_scores(do.call(rbind, independent), do.call(rbind, chain))
}

geweke_scores <- function(independent, chain) {
  score <- function(a, b) {
    if (stats::var(a) == 0 && stats::var(b) == 0) return(0)
    (mean(a) - mean(b)) / sqrt(stats::var(a) / length(a) + stats::var(b) / chain_ess(b))
  }
  z <- vapply(seq_len(ncol(chain)), function(j) {
    a <- independent[, j]
    b <- chain[, j]
    c(mean = score(a, b), square = score(a^2, b^2))
  }, numeric(2))
  colnames(z) <- colnames(chain)
  t(z)
}

# `level` is the chance that a correct sampler fails the whole check.
expect_geweke <- function(z, level = 0.002) {
  limit <- stats::qnorm(1 - level / (2 * length(z)))
  worst <- which(abs(z) == max(abs(z)), arr.ind = TRUE)[1, ]
  testthat::expect(
    max(abs(z)) < limit,
    sprintf("the %s of '%s' differs between prior and chain: z = %.2f, limit %.2f",
            colnames(z)[worst[2]], rownames(z)[worst[1]], z[worst[1], worst[2]], limit)
  )
  invisible(z)
}
