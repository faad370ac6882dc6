# mmash() by Gibbs sampling: chains, their draws, what a fit keeps of them.

mmash_gibbs_run <- function(inputs) {
  control <- inputs$control
  saved <- control$resumed$state$state
  start <- if (is.null(saved)) mmash_start(inputs) else saved["chains"]
  variance <- saved$prior_variance %||% diag(start$sigma)
  keep <- saved$keep_effects %||% keeps_effects(inputs)
  monitor <- new_monitor("mmash", control, inputs$verbose, control$iterations)
  began <- proc.time()[["elapsed"]]
  out <- mmash_gibbs(inputs$input, inputs$core, start, mmash_core_settings(inputs), variance, keep,
                     control, control$seed, monitor, inputs$threads)
  seconds <- proc.time()[["elapsed"]] - began
  new_mmash(gibbs_output(out, inputs, keep, variance, seconds), inputs)
}

# The rank that a variational fit prefers, and chains that keep to it.
gibbs_auto_rank <- function(inputs) {
  control <- vb_control(start = inputs$control$start)
  control$seed <- inputs$control$seed
  chosen <- mmash_auto_rank(utils::modifyList(inputs, list(method = "vb", control = control)))
  inputs$residual$rank <- chosen$rank
  out <- mmash_gibbs_run(inputs)
  out$candidates <- chosen$candidates
  out
}

# Draws of single effects are kept while they stay below max_draws numbers in all.
keeps_effects <- function(inputs) {
  control <- inputs$control
  draws <- control$chains * (control$iterations - control$warmup) / control$thin
  size <- inputs$input$cols * length(inputs$data$conditions)
  draws * size <= getOption("mixology.max_draws", 2e7)
}

# The output of the sampler in the form of that of the ascent.
gibbs_output <- function(out, inputs, keep, variance, seconds) {
  names <- gibbs_variables(inputs, keep)
  draws <- bind_chains(lapply(out$chains, `[[`, "draws"), names)
  old <- inputs$control$resumed$posterior$draws
  if (!is.null(old)) draws <- abind_iterations(old, draws)
  parts <- length(prior_components(inputs$prior))
  size <- length(inputs$data$conditions)
  scalars <- tail_variables(draws, parts + size * (size + 1) / 2)
  iterations <- max(vapply(out$chains, `[[`, 0L, "iteration"))
  info <- draws_convergence(scalars, out$status, iterations)
  out$trace <- c(list(iter = iterations, value = NA_real_, seconds = seconds), info)
  out$draws <- draws
  out$state <- list(chains = lapply(out$chains, `[`, c("iteration", "state")),
                    prior_variance = variance, keep_effects = keep)
  out
}

gibbs_variables <- function(inputs, keep) {
  labels <- mmash_labels(inputs$data)
  size <- length(labels[[2]])
  pairs <- which(lower.tri(diag(size), diag = TRUE), arr.ind = TRUE)
  variants <- labels[[1]][inputs$data$order]
  effects <- as.vector(outer(labels[[2]], variants, function(j, v) sprintf("effect[%s,%s]", v, j)))
  c(if (keep) effects, sprintf("weight[%s]", prior_components(inputs$prior)),
    sprintf("residual[%s,%s]", labels[[2]][pairs[, 1]], labels[[2]][pairs[, 2]]))
}

tail_variables <- function(draws, count) {
  draws[, , dim(draws)[3] - count + seq_len(count), drop = FALSE]
}

# Draws of later sweeps below those of earlier ones.
abind_iterations <- function(first, second) {
  out <- array(0, c(dim(first)[1] + dim(second)[1], dim(first)[2:3]),
               list(NULL, NULL, dimnames(first)[[3]]))
  out[seq_len(dim(first)[1]), , ] <- first
  out[dim(first)[1] + seq_len(dim(second)[1]), , ] <- second
  out
}

# Mean and covariance of one variant's effects from the draws.
gibbs_effect <- function(fit, p) {
  labels <- dimnames(fit$posterior$mean)
  wanted <- sprintf("effect[%s,%s]", labels[[1]][p], labels[[2]])
  draws <- fit$posterior$draws
  if (!all(wanted %in% dimnames(draws)[[3]])) {
    abort("vcov", "the draws of single effects were not kept",
          "; try options(mixology.max_draws = ) with fewer sweeps or more thinning")
  }
  flat <- flat_draws(draws[, , wanted, drop = FALSE])
  list(mean = colMeans(flat), cov = `dimnames<-`(stats::cov(flat), labels[c(2, 2)]))
}
