# How often 95% intervals of nbmix cover the truth, by engine and kind of parameter.
#   Rscript inst/scripts/nbmix-coverage.R [simulations]        200 take a minute

suppressPackageStartupMessages(library(mixology))
wanted <- commandArgs(TRUE)
simulations <- if (length(wanted) > 0) as.integer(wanted[1]) else 200L

cases <- list(
  apart = list(weights = c(.7, .3), means = c(60, 5), dispersions = c(.1, .3)),
  overlapping = list(weights = c(.6, .4), means = c(15, 5), dispersions = c(.2, .2)))

covered <- function(case, method, seed) {
  truth <- cases[[case]]
  set.seed(seed)
  x <- simulate_nbmix(1000, truth$weights, truth$means, truth$dispersions)$x
  table <- tidy(nbmix(x, k = 2, method = method, seed = seed), conf.int = TRUE)
  order <- order(-with(table, estimate[term == "mean"]))
  value <- c(rbind(truth$weights, truth$means, truth$dispersions)[, match(1:2, order)])
  at <- paste(table$component, table$term)
  table <- table[match(paste(rep(1:2, each = 3), c("weight", "mean", "dispersion")), at), ]
  data.frame(case, method, term = table$term,
             covered = table$conf.low <= value & value <= table$conf.high)
}

runs <- expand.grid(seed = seq_len(simulations), method = c("em", "vb"), case = names(cases),
                    stringsAsFactors = FALSE)
all <- do.call(rbind, Map(covered, runs$case, runs$method, runs$seed))
print(aggregate(cbind(percent = 100 * covered) ~ case + method + term, all, mean), digits = 3)
print(aggregate(cbind(percent = 100 * covered) ~ case + method, all, mean), digits = 3)
