# cwm by variational Bayes and by Gibbs sampling: what comes back from the engines.

cwm_bayes_input <- function(input, spec, covariance) {
  core <- cwm_core_input(input, spec, covariance)
  p <- spec$prior
  core$core <- list(
    equal_noise = as.double(spec$noise == "equal"),
    stick_breaking = as.double(p$weights == "stick_breaking"), concentration = p$concentration,
    mean_precision = p$mean_precision, covariance_df = p$covariance_df, mean = as.double(p$mean),
    covariance_scale = p$covariance_scale, noise_df = p$noise_df, coefficients = p$coefficients,
    coefficient_precision = p$coefficient_precision, noise_scale = p$noise_scale)
  core
}

# ---- variational ------------------------------------------------------------

cwm_run_vb <- function(input, spec, k, covariance) {
  monitor <- new_monitor("cwm", spec$control, spec$verbose)
  raw <- cwm_fit_vb(cwm_bayes_input(input, spec, covariance), k, spec$control, spec$seed,
                    spec$threads, monitor)
  q <- cwm_split_posterior(raw$posterior, k)
  used <- cwm_used(raw$responsibility)
  raw$clusters <- cwm_sort_clusters(cwm_keep_columns(raw$responsibility, used), input$rows)
  raw$posterior <- c(list(weights = spec$prior$weights, a = raw$posterior$a, b = raw$posterior$b,
                          weight = raw$posterior$weight), list(parts = q, used = used))
  raw$estimate <- cwm_stack_estimates(lapply(q[used], cwm_posterior_mean, covariance),
                                      raw$posterior$weight[used])
  raw$df <- cwm_df(length(used), ncol(input$x), ncol(input$w), ncol(input$y), covariance,
                   spec$noise)
  order <- raw$clusters$order
  raw$mixture <- cwm_student_mixture(q[used][order], raw$posterior$weight[used][order], covariance)
  raw$posterior$order <- used[order]
  raw$bound <- utils::tail(raw$trace$value, 1)
  raw
}

# Components that hold at least one row in expectation.
cwm_used <- function(resp) {
  size <- colSums(resp)
  used <- which(size >= 1)
  if (length(used) == 0) which.max(size) else used
}

# Those of them that also have rows in most of the sweeps, not in a passing split of a few.
cwm_occupied <- function(resp, chains) {
  used <- cwm_used(resp)
  labels <- lapply(chains, `[[`, "labels")
  if (length(labels[[1]]) == 0) return(used)
  often <- vapply(used, function(j) {
    mean(unlist(lapply(labels, function(a) colSums(a == as.raw(j - 1)) > 0))) >= 0.5
  }, NA)
  if (any(often)) used[often] else used
}

cwm_keep_columns <- function(resp, used) {
  resp <- resp[, used, drop = FALSE]
  total <- rowSums(resp)
  resp[total == 0, ] <- rep(colSums(resp) / sum(resp), each = sum(total == 0))
  resp / ifelse(total == 0, 1, total)
}

cwm_split_posterior <- function(archive, k) {
  names <- c("counts", "mean", "scale", "coef", "precision", "residual")
  lapply(seq_len(k), function(j) stats::setNames(archive[paste0(names, j)], names))
}

# One variance at a time: a diagonal or spherical covariance.
cwm_is_diagonal <- function(covariance) !covariance %in% c("EEE", "VVV")
cwm_is_spherical <- function(covariance) covariance %in% c("EII", "VII")
cwm_is_shared <- function(covariance) startsWith(covariance, "E")

# E Sigma = S / (nu - D - 1); below that many degrees of freedom S / nu.
cwm_posterior_mean <- function(q, covariance) {
  d <- if (cwm_is_diagonal(covariance)) min(length(q$mean), 1) else length(q$mean)
  m <- ncol(q$coef)
  over <- function(df, p) if (df > p + 1.5) df - p - 1 else df
  list(mean = q$mean, covariance = q$scale / over(q$counts[2], d), coef = q$coef,
       noise = q$residual / over(q$counts[3], m))
}

cwm_stack_estimates <- function(parts, weight) {
  stack <- function(name) do.call(cbind, lapply(parts, `[[`, name))
  list(weight = weight / sum(weight), mean = stack("mean"), covariance = stack("covariance"),
       coef = stack("coef"), noise = stack("noise"))
}

# The predictive distribution under q: Student in x and in y given x (Bishop 10.81); for a diagonal
# covariance independent in the columns of x.
cwm_student_mixture <- function(q, weight, covariance) {
  d <- length(q[[1]]$mean)
  if (cwm_is_diagonal(covariance)) d <- min(d, 1)
  m <- ncol(q[[1]]$coef)
  stack <- function(f) do.call(cbind, lapply(q, f))
  counts <- vapply(q, function(one) one$counts, numeric(3))
  out <- list(
    weight = weight / sum(weight), cluster = seq_along(q), mean = stack(function(o) o$mean),
    covariance = stack(function(o) {
      o$scale * (o$counts[1] + 1) / (o$counts[1] * (o$counts[2] + 1 - d))
    }),
    covariance_df = counts[2, ] + 1 - d, coef = stack(function(o) o$coef),
    noise = stack(function(o) o$residual / (o$counts[3] + 1 - m)),
    noise_df = counts[3, ] + 1 - m)
  if (m > 0) out$leverage <- stack(function(o) cwm_inverse(o$precision))
  if (covariance %in% c("EEI", "VVI")) out$independent <- TRUE
  out
}

cwm_inverse <- function(a) if (nrow(a) == 0) a else chol2inv(chol(a))

posterior_sample.cwm <- function(fit, n) {
  q <- fit$posterior
  weights <- cwm_sample_weights(q, n)[, q$order, drop = FALSE]
  parts <- q$parts[q$order]
  spread <- cwm_sample_all(parts, cwm_is_shared(fit$covariance), function(part) {
    cwm_sample_spread(n, part, fit$covariance)
  })
  noise <- cwm_sample_all(parts, fit$noise == "equal", function(part) {
    cwm_inverse_wisharts(n, part$counts[3], part$residual)
  })
  draws <- lapply(seq_along(parts), function(j) {
    cbind(weights[, j], cwm_sample_component(parts[[j]], n, spread[[j]], noise[[j]]))
  })
  out <- do.call(cbind, draws)
  colnames(out) <- parameter_names(cwm_terms(fit$estimate))
  out
}

cwm_sample_weights <- function(q, n) {
  k <- length(q$a)
  if (q$weights == "dirichlet") {
    g <- matrix(stats::rgamma(n * k, rep(q$a, each = n)), n)
    return(g / rowSums(g))
  }
  v <- matrix(stats::rbeta(n * k, rep(q$a, each = n), rep(pmax(q$b, 1e-8), each = n)), n)
  v[, k] <- 1
  left <- t(apply(1 - v, 1, cumprod))
  if (k == 1) left <- matrix(left, n)
  v * cbind(1, left[, -k, drop = FALSE])
}

# Draws of each component, or of one for all of them.
cwm_sample_all <- function(parts, shared, sample) {
  if (shared) rep(list(sample(parts[[1]])), length(parts)) else lapply(parts, sample)
}

cwm_sample_spread <- function(n, q, covariance) {
  d <- length(q$mean)
  if (d == 0 || !cwm_is_diagonal(covariance)) return(cwm_inverse_wisharts(n, q$counts[2], q$scale))
  each <- if (cwm_is_spherical(covariance)) 1 else d
  chi <- matrix(stats::rchisq(n * each, q$counts[2]), n, d)
  out <- array(0, c(d, d, n))
  for (j in seq_len(d)) out[j, j, ] <- q$scale[j, j] / chi[, j]
  out
}

# Rows: mean, covariance (lower triangle), coefficients, noise of a component drawn from q, given
# draws of its two covariances.
cwm_sample_component <- function(q, n, spread, noise) {
  d <- length(q$mean)
  m <- ncol(q$coef)
  row_root <- if (length(q$coef) > 0) backsolve(chol(q$precision), diag(nrow(q$precision)))
  one <- function(i) {
    out <- numeric()
    if (d > 0) {
      s <- matrix(spread[, , i], d)
      out <- c(q$mean + drop(crossprod(chol(s), stats::rnorm(d))) / sqrt(q$counts[1]),
               s[lower.tri(s, TRUE)])
    }
    if (m == 0) return(out)
    p <- matrix(noise[, , i], m)
    z <- matrix(stats::rnorm(length(q$coef)), nrow(q$coef))
    c(out, if (length(z) > 0) q$coef + row_root %*% z %*% chol(p), p[lower.tri(p, TRUE)])
  }
  do.call(rbind, lapply(seq_len(n), one))
}

cwm_inverse_wisharts <- function(n, df, scale) {
  p <- nrow(scale)
  if (p == 0) return(array(0, c(0, 0, n)))
  w <- stats::rWishart(n, df, chol2inv(chol(scale)))
  array(apply(w, 3, function(a) chol2inv(chol(matrix(a, p)))), c(p, p, n))
}

# ---- Gibbs ------------------------------------------------------------------

cwm_run_gibbs <- function(input, spec, k, covariance) {
  core <- cwm_bayes_input(input, spec, covariance)
  resumed <- spec$control$resumed
  clock <- stopwatch()
  pivot <- if (is.null(resumed$state$pivot)) cwm_find_pivot(core, spec, k) else
    list(labels = resumed$state$pivot)
  cut_short <- is_stopped(pivot$status)
  control <- spec$control
  control$time_limit <- if (cut_short) 0 else max(control$time_limit - clock(), 0)
  monitor <- new_monitor("cwm", control, spec$verbose, control$iterations)
  core$pivot <- pivot$labels
  core["chains"] <- list(resumed$state$chains)
  n <- nrow(input$x)
  kept <- (spec$control$iterations - spec$control$warmup) / spec$control$thin
  raw <- cwm_fit_gibbs(core, k, spec$control, spec$seed, spec$threads,
                       n * kept * spec$control$chains <= 5e7, monitor)
  raw$chains <- cwm_join_chains(resumed$state$chains, raw$chains, spec$control)
  if (cut_short) raw$status <- pivot$status
  raw <- cwm_summarise_gibbs(raw, core, input, spec, k)
  if (cut_short) raw$gibbs_state <- list() # to go on is to begin again, with a whole pivot
  raw
}

# The labels given as a start, else those of a quick variational fit, which is never paused: the
# chains are the same wherever they are saved only if the pivot is.
cwm_find_pivot <- function(core, spec, k) {
  if (!is.null(core$labels)) return(list(labels = core$labels))
  if (k == 1) return(list(labels = rep(1L, nrow(core$x))))
  control <- spec$control
  control$pauses <- NULL
  cwm_pivot(core, k, spec$seed, spec$threads, new_monitor("cwm", control, FALSE))
}

# A chain that was stopped before its first draw left the state it stood at, which is no draw.
cwm_join_chains <- function(old, new, control) {
  if (is.null(old)) return(new)
  Map(function(before, after) {
    if (before$iteration - control$warmup < control$thin) return(after)
    after$draws <- if (nrow(after$draws) == 0) before$draws else rbind(before$draws, after$draws)
    after$labels <- cbind(before$labels, after$labels)
    after
  }, old, new)
}

cwm_summarise_gibbs <- function(raw, core, input, spec, k) {
  sizes <- c(ncol(input$x), ncol(input$w), ncol(input$y))
  width <- 1 + sizes[1] + sizes[1] * (sizes[1] + 1) / 2 + sizes[2] * sizes[3] +
    sizes[3] * (sizes[3] + 1) / 2
  chains <- lapply(raw$chains, `[[`, "draws")
  raw <- cwm_gibbs_trace(raw, chains, spec, k * width)
  flat <- do.call(rbind, chains)
  values <- cwm_values_of_draw(colMeans(flat), k, sizes)
  responsibility <- cwm_gibbs_responsibility(raw, core, values, k, spec)
  used <- cwm_occupied(responsibility, raw$chains)
  raw$clusters <- cwm_sort_clusters(cwm_keep_columns(responsibility, used), input$rows)
  raw$estimate <- cwm_values_of_draw(colMeans(flat), k, sizes, used)
  by_size <- used[raw$clusters$order]
  columns <- c(as.vector(outer(seq_len(width), width * (by_size - 1), `+`)),
               k * width + 1:2)
  raw$posterior <- list(chains = lapply(chains, function(a) a[, columns, drop = FALSE]))
  raw$mixture <- cwm_draws_mixture(flat, k, sizes, by_size)
  raw$similarity <- cwm_similarity(raw$chains)
  raw$df <- cwm_df(length(used), sizes[1], sizes[2], sizes[3], core$family, spec$noise)
  raw$memory <- list()
  raw$state <- list()
  raw$gibbs_state <- list(chains = raw$chains, pivot = core$pivot)
  raw
}

# The log likelihood of the kept sweeps, averaged over the chains, is the trace.
cwm_gibbs_trace <- function(raw, chains, spec, before) {
  kept <- min(vapply(chains, nrow, 0L))
  value <- vapply(chains, function(a) a[seq_len(kept), before + 1], numeric(kept))
  done <- raw$chains[[1]]$iteration
  sweep <- if (done <= spec$control$warmup) done else {
    spec$control$warmup + spec$control$thin * seq_len(kept)
  }
  rhat <- cwm_rhat(matrix(value, kept))
  status <- raw$status
  if (status == "converged" && rhat >= 1.05) status <- "mixing"
  reason <- if (raw$status != "converged") "stopped before the last sweep" else {
    sprintf("R-hat of the log likelihood %.3f", rhat)
  }
  raw$trace <- list(iter = sweep, value = rowMeans(matrix(value, kept)),
                    seconds = raw$seconds * sweep / max(sweep, 1), status = status, reason = reason,
                    converged = status == "converged", iterations = raw$chains[[1]]$iteration)
  raw
}

# Split R-hat (Gelman et al. 2013, section 11.4).
cwm_rhat <- function(a) {
  half <- nrow(a) %/% 2
  if (half < 2) return(Inf)
  a <- cbind(a[seq_len(half), , drop = FALSE], a[half + seq_len(half), , drop = FALSE])
  within <- mean(apply(a, 2, stats::var))
  between <- half * stats::var(colMeans(a))
  if (within <= 0) return(1)
  sqrt(((half - 1) / half * within + between / half) / within)
}

# One row of draws as the arrays of the engines, components `used`.
cwm_values_of_draw <- function(draw, k, sizes, used = seq_len(k)) {
  d <- sizes[1]
  r <- sizes[2]
  m <- sizes[3]
  ends <- cumsum(c(1, d, d * (d + 1) / 2, r * m, m * (m + 1) / 2))
  width <- ends[5]
  square <- function(v, p) {
    out <- matrix(0, p, p)
    out[lower.tri(out, TRUE)] <- v
    out + t(out) - diag(diag(out), p)
  }
  parts <- lapply(used, function(j) {
    v <- draw[width * (j - 1) + seq_len(width)]
    take <- function(i) v[seq_len(ends[i] - ends[i - 1]) + ends[i - 1]]
    list(mean = take(2), covariance = square(take(3), d), coef = matrix(take(4), r, m),
         noise = square(take(5), m))
  })
  cwm_stack_estimates(parts, draw[width * (used - 1) + 1])
}

cwm_gibbs_responsibility <- function(raw, core, values, k, spec) {
  if (length(raw$chains[[1]]$labels) == 0) {
    return(cwm_memberships(core, k, values, spec$threads))
  }
  labels <- do.call(cbind, lapply(raw$chains, `[[`, "labels"))
  storage <- vapply(seq_len(k), function(j) rowMeans(labels == as.raw(j - 1)),
                    numeric(nrow(labels)))
  matrix(storage, nrow(labels))
}

# At most 100 draws, evenly spaced, as one mixture.
cwm_draws_mixture <- function(flat, k, sizes, used) {
  rows <- unique(round(seq(1, nrow(flat), length.out = min(100, nrow(flat)))))
  parts <- lapply(rows, function(i) cwm_values_of_draw(flat[i, ], k, sizes, used))
  stack <- function(name) do.call(cbind, lapply(parts, `[[`, name))
  list(weight = unlist(lapply(parts, `[[`, "weight")) / length(rows),
       cluster = rep(seq_along(used), length(rows)), mean = stack("mean"),
       covariance = stack("covariance"), coef = stack("coef"), noise = stack("noise"))
}

# How often two rows share a label, over at most 500 rows and 500 sweeps.
cwm_similarity <- function(chains) {
  labels <- do.call(cbind, lapply(chains, `[[`, "labels"))
  if (length(labels) == 0) return(NULL)
  rows <- unique(round(seq(1, nrow(labels), length.out = min(500, nrow(labels)))))
  sweeps <- unique(round(seq(1, ncol(labels), length.out = min(500, ncol(labels)))))
  labels <- labels[rows, sweeps, drop = FALSE]
  total <- 0
  for (value in unique(as.vector(labels))) total <- total + tcrossprod(labels == as.raw(value))
  list(rows = rows, matrix = total / length(sweeps))
}

# Estimates, standard errors and intervals from draws (of the chains, or from q).
cwm_posterior_table <- function(fit, table, level) {
  draws <- if (fit$method == "gibbs") fit$posterior$draws else {
    with_seed(fit$control$seed, draws_of(fit, 2000))
  }
  draws <- draws[, , seq_len(nrow(table)), drop = FALSE]
  table$std.error <- draws_sd(draws)
  if (!is.null(level)) {
    limits <- draws_limits(draws, level)
    table$conf.low <- limits[1, ]
    table$conf.high <- limits[2, ]
  }
  table$scale <- NULL
  table
}
