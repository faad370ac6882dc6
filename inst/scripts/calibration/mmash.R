# Where M&M ASH is and is not calibrated: the figures of ?lfsr and of 'Few samples' in ?mmash.
#   Rscript mmash.R [data sets, default 12]           some minutes

suppressPackageStartupMessages(library(mixology))
sets <- as.integer(c(commandArgs(TRUE), "12")[1])
quiet <- suppressWarnings
sampler <- gibbs_control(chains = 2, iterations = 1000)

# Effects of two factors that no prior matrix describes, sizes exponential times uniform, on
# variants of one common correlation; half of the variance of each response explained.
outside_the_prior <- function(seed, correlation, n = 300, p = 200, conditions = 5, causal = 15) {
  set.seed(seed)
  x <- scale(sqrt(1 - correlation) * matrix(rnorm(n * p), n) + sqrt(correlation) * rnorm(n))
  loadings <- matrix(rnorm(2 * conditions), conditions)
  scores <- matrix(runif(2 * causal, -1, 1), causal)
  b <- matrix(0, p, conditions)
  b[sample(p, causal), ] <- tcrossprod(scores, loadings) * rexp(causal)
  genetic <- x %*% b
  noise <- matrix(rnorm(n * conditions), n) %*% diag(apply(genetic, 2, sd))
  list(x = x, y = genetic + noise, b = b)
}

called <- function(seed, correlation, method) {
  d <- outside_the_prior(seed, correlation)
  control <- if (method == "gibbs") sampler
  seconds <- system.time(
    fit <- quiet(mmash(d$x, d$y, standardize = TRUE, method = method, seed = 1, threads = 1,
                       control = control, verbose = FALSE))
  )[["user.self"]]
  rate <- lfsr(fit)
  wrong <- sign(coef(fit)[-1, ]) != sign(d$b)
  data.frame(correlation, method, called = sum(rate < .05), wrong = sum(wrong[rate < .05]),
             expected = sum(rate[rate < .05]), called_above_.01 = sum(rate > .01 & rate < .05),
             wrong_above_.01 = sum(wrong[rate > .01 & rate < .05]), seconds)
}

cases <- expand.grid(seed = seq_len(sets), correlation = c(.5, .9), method = c("vb", "gibbs"),
                     stringsAsFactors = FALSE)
all <- do.call(rbind, Map(called, cases$seed, cases$correlation, cases$method))
cat("Effects called at lfsr < .05, and those of another sign or none;", sets, "data sets each\n")
print(stats::aggregate(. ~ correlation + method, all, sum), digits = 3, row.names = FALSE)

# No effect at all, few samples for the number of conditions.
noise <- function(seed, residual, method, penalty, n = 40, p = 100, conditions = 10) {
  set.seed(seed)
  x <- matrix(rnorm(n * p), n)
  y <- matrix(rnorm(n * conditions), n)
  residual <- switch(residual, known = diag(conditions), "low_rank(1)" = low_rank(1), residual)
  fit <- quiet(mmash(x, y, residual = residual, method = method, penalty = penalty, seed = 1,
                     verbose = FALSE, control = if (method == "gibbs") sampler))
  any(lfsr(fit) < .05)
}

ways <- data.frame(residual = c("full", "full", "low_rank(1)", "diagonal", "known", "full"),
                   method = c("vb", "vb", "vb", "vb", "vb", "gibbs"),
                   penalty = c(10, 1000, 10, 10, 10, 10))
ways$fits_with_a_call <- mapply(function(residual, method, penalty) {
  sum(vapply(seq_len(sets), noise, NA, residual = residual, method = method, penalty = penalty))
}, ways$residual, ways$method, ways$penalty)
cat("\nNoise alone, 40 samples, 10 conditions: fits of", sets, "that call an effect\n")
print(ways, row.names = FALSE)
