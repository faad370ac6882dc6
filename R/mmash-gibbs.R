# mmash() by Gibbs sampling: chains, their draws, what a fit keeps of them.

mmash_gibbs_run <- function(inputs) {
  control <- inputs$control
  saved <- control$resumed$state$state
  start <- if (is.null(saved)) mmash_start(inputs) else saved["chains"]
  variance <- saved$prior_variance %||% diag(start$sigma)
  keep <- saved$keep_effects %||% keeps_effects(inputs)
  monitor <- new_monitor("mmash", control, inputs$verbose, control$iterations)
  clock <- stopwatch()
  out <- mmash_gibbs(inputs$input, inputs$core, start, mmash_core_settings(inputs), variance, keep,
                     control, control$seed, monitor, inputs$threads)
  new_mmash(gibbs_output(out, inputs, keep, variance, clock()), inputs)
}

# The rank that a variational fit prefers, and chains that keep to it.
gibbs_auto_rank <- function(inputs) {
  limit <- inputs$control$time_limit
  clock <- stopwatch()
  control <- vb_control(start = inputs$control$start, time_limit = limit)
  control$seed <- inputs$control$seed
  chosen <- mmash_auto_rank(utils::modifyList(inputs, list(method = "vb", control = control)))
  inputs$residual$rank <- chosen$rank
  search <- clock()
  ended <- chosen$convergence[c("status", "reason")]
  interrupted <- ended$status == "interrupted"
  inputs$control$time_limit <- if (interrupted) 0 else max(limit - search, 0)
  out <- mmash_gibbs_run(inputs)
  if (interrupted) out$convergence[names(ended)] <- ended
  out$control$time_limit <- limit
  out$candidates <- chosen$candidates
  after_seconds(out, search)
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
  draws <- bind_chains(lapply(out$chains, `[[`, "draws"), c(names, "log_lik"))
  iterations <- max(vapply(out$chains, `[[`, 0L, "iteration"))
  out$objective <- gibbs_objective(draws[, , "log_lik"], inputs, seconds, iterations)
  draws <- draws[, , -dim(draws)[3], drop = FALSE]
  old <- inputs$control$resumed$posterior$draws
  if (!is.null(old)) draws <- abind_iterations(old, draws)
  out$trace <- draws_convergence(gibbs_scalars(draws, inputs), out$status, iterations)
  out$draws <- draws
  out$state <- list(chains = lapply(out$chains, `[`, c("iteration", "state")),
                    prior_variance = variance, keep_effects = keep)
  out
}

gibbs_variables <- function(inputs, keep) {
  labels <- mmash_labels(inputs$data)
  size <- length(labels[[2]])
  pairs <- which(lower.tri(diag(size), diag = TRUE), arr.ind = TRUE)
  effects <- as.vector(t(effect_names(labels[[1]][inputs$data$order], labels[[2]])))
  c(if (keep) effects, sprintf("weight[%s]", prior_components(inputs$prior)),
    sprintf("residual[%s,%s]", labels[[2]][pairs[, 1]], labels[[2]][pairs[, 2]]))
}

# One row per sweep kept: the log likelihood of its draws in each chain, and their mean.
gibbs_objective <- function(values, inputs, seconds, iterations) {
  control <- inputs$control
  values <- matrix(values, ncol = control$chains)
  kept <- nrow(values)
  old <- control$resumed$objective
  old <- if (!is.null(old) && !anyNA(old$value)) old
  before <- NROW(old)
  spent <- max(0, old$seconds)
  if (kept + before == 0) {
    return(data.frame(iter = iterations, value = NA_real_, seconds = seconds))
  }
  out <- data.frame(iter = control$warmup + (before + seq_len(kept)) * control$thin,
                    value = rowMeans(values), seconds = spent + seconds * seq_len(kept) / kept)
  out[paste0("chain_", seq_len(ncol(values)))] <- as.data.frame(values)
  rbind(old, out)
}

# What the chains have to agree on. Weights of neighbouring scales are not among it: data do not
# tell them apart, so they mix slowly and say nothing; their sums per matrix do.
gibbs_scalars <- function(draws, inputs) {
  prior <- inputs$prior
  parts <- length(prior_components(prior))
  size <- length(inputs$data$conditions)
  count <- size * (size + 1) / 2
  residual <- tail_variables(draws, count)
  weights <- tail_variables(draws, count + parts)[, , seq_len(parts), drop = FALSE]
  group <- c(if (prior$null) 0, rep(seq_along(prior$matrices), each = length(prior$grid)))
  sums <- lapply(split(seq_len(parts), group), function(at) {
    rowSums(weights[, , at, drop = FALSE], dims = 2)
  })
  array(c(unlist(sums), residual), c(dim(draws)[1:2], length(sums) + count))
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
  wanted <- as.vector(effect_names(labels[[1]][p], labels[[2]]))
  draws <- fit$posterior$draws
  if (!all(wanted %in% dimnames(draws)[[3]])) {
    abort("vcov", "the draws of single effects were not kept",
          "; try options(mixology.max_draws = ) with fewer sweeps or more thinning")
  }
  flat <- flat_draws(draws[, , wanted, drop = FALSE])
  list(mean = colMeans(flat), cov = `dimnames<-`(stats::cov(flat), labels[c(2, 2)]))
}
