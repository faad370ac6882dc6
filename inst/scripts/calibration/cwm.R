# How often 90% intervals of cwm cover the truth, by engine and overlap: what ?cwm says of them.
#   Rscript cwm.R [data sets, default 60]           some minutes

suppressPackageStartupMessages(library(mixology))
sets <- as.integer(c(commandArgs(TRUE), "60")[1])
sampler <- gibbs_control(chains = 2, iterations = 600)

# Two clusters of unit variance, `distance` apart, whose slopes differ. Weight, mean, coefficients:
slopes <- list(c(0, 1), c(1, -1))
truth <- function(distance) c(.6, 0, slopes[[1]], .4, distance, slopes[[2]])

covered <- function(seed, distance, method) {
  set.seed(seed)
  d <- simulate_cwm(300, c(.6, .4), rbind(0, distance), 1, slopes, .5)$data
  names(d)[1] <- "x1"
  fit <- suppressWarnings(cwm(y ~ x1, d, k = 2, method = method, seed = 1, threads = 1,
                              control = if (method == "gibbs") sampler, verbose = FALSE))
  if (fit$k < 2) return(NULL)
  table <- tidy(fit, conf.int = TRUE, conf.level = .9)
  table <- table[table$part %in% c("weight", "mean", "coefficient"), ]
  slope <- vapply(coef(fit), function(b) b[2], 0)
  table <- table[order(match(table$component, order(-slope))), ] # the first rises, the second falls
  want <- truth(distance)
  data.frame(distance, method, part = table$part,
             covered = table$conf.low <= want & want <= table$conf.high)
}

cases <- expand.grid(seed = seq_len(sets), distance = c(1, 3), method = c("em", "vb", "gibbs"),
                     stringsAsFactors = FALSE)
results <- parallel::mcmapply(covered, cases$seed, cases$distance, cases$method, SIMPLIFY = FALSE,
                              mc.cores = parallel::detectCores())
all <- do.call(rbind, results)
cat("Share of nominal 90% intervals that cover,", sets, "data sets each\n")
print(stats::xtabs(covered ~ distance + method + part,
                   aggregate(covered ~ distance + method + part, all, mean)), digits = 2)
cat("all of them\n")
print(aggregate(covered ~ method + distance, all, mean), digits = 2)
