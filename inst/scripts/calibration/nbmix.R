# How often 95% intervals of nbmix cover the truth, by engine and kind of parameter: the figures of
# ?nbmix_prior. A parameter without an interval (a dispersion at 0) is not counted.
#   Rscript nbmix.R [data sets, default 200]           two minutes, most of them Gibbs sampling

suppressPackageStartupMessages(library(mixology))
sets <- as.integer(c(commandArgs(TRUE), "200")[1])

cases <- list(
  apart = list(weights = c(.7, .3), means = c(60, 5), dispersions = c(.1, .3)),
  overlapping = list(weights = c(.6, .4), means = c(15, 5), dispersions = c(.2, .2)))

covered <- function(case, method, seed) {
  truth <- cases[[case]]
  set.seed(seed)
  x <- simulate_nbmix(1000, truth$weights, truth$means, truth$dispersions)$x
  fit <- suppressWarnings(nbmix(x, k = 2, method = method, seed = seed))
  table <- tidy(fit, conf.int = TRUE)
  order <- order(-with(table, estimate[term == "mean"]))
  value <- c(rbind(truth$weights, truth$means, truth$dispersions)[, match(1:2, order)])
  at <- paste(table$component, table$term)
  table <- table[match(paste(rep(1:2, each = 3), c("weight", "mean", "dispersion")), at), ]
  data.frame(case, method, term = table$term, converged = fit$convergence$converged,
             covered = table$conf.low <= value & value <= table$conf.high)
}

runs <- expand.grid(seed = seq_len(sets), method = c("em", "vb", "gibbs"), case = names(cases),
                    stringsAsFactors = FALSE)
all <- do.call(rbind, Map(covered, runs$case, runs$method, runs$seed))
percent <- function(by) {
  aggregate(by, transform(all, covered = 100 * covered, converged = 100 * converged), mean)
}
cat("Percent of", sets, "data sets\n")
print(percent(cbind(covered, converged) ~ method + case), digits = 3, row.names = FALSE)
print(percent(covered ~ method + case + term), digits = 3, row.names = FALSE)
