# nbmix beside its peers, in one run: time, memory and log likelihood.
#   Rscript inst/scripts/bench/nbmix.R          from the top of the sources; peers are optional
# The whole of pbmc_facs (16,791 genes, 3,774 cells) needs install.packages("fastglmpca"), or a file
# pbmc_facs.RData named by MIXOLOGY_PBMC_FACS; without either the packaged 1,000 genes are used.

suppressPackageStartupMessages({
  library(Matrix)
  library(mixology)
})

source(system.file("scripts", "bench", "measure.R", package = "mixology", mustWork = TRUE))
report <- reporter("nbmix")

blood_cells <- function() {
  file <- Sys.getenv("MIXOLOGY_PBMC_FACS")
  place <- new.env()
  if (nzchar(file)) load(file, place)
  else if (has("fastglmpca")) utils::data("pbmc_facs", package = "fastglmpca", envir = place)
  if (is.null(place$pbmc_facs)) return(pbmc_cells$counts)
  place$pbmc_facs$counts
}

# ---- one gene -----------------------------------------------------------------------------------

# The notebook's algorithm with its mistakes mended: EM whose M step hands the weighted likelihood
# of each component to a general-purpose optimiser.
notebook_em <- function(x, k = 2, tolerance = 1e-10) {
  cut <- stats::quantile(x, (seq_len(k) - 0.5) / k, names = FALSE)
  theta <- rbind(log(pmax(cut, 0.1)), 0)
  weight <- rep(1 / k, k)
  density <- function(t) stats::dnbinom(x, size = exp(t[2]), mu = exp(t[1]), log = TRUE)
  old <- -Inf
  repeat {
    joint <- sweep(apply(theta, 2, density), 2, log(weight), `+`)
    top <- apply(joint, 1, max)
    total <- top + log(rowSums(exp(joint - top)))
    value <- sum(total)
    if (value - old < tolerance * (abs(value) + 1)) break
    old <- value
    z <- exp(joint - total)
    weight <- colMeans(z)
    for (j in seq_len(k)) {
      theta[, j] <- stats::optim(theta[, j], function(t) -sum(z[, j] * density(t)),
                                 method = "BFGS")$par
    }
  }
  value
}

# All five parameters at once, from as many starts as asked for; the best is kept.
direct_optim <- function(x, method, starts) {
  value <- function(p) {
    w <- stats::plogis(p[1])
    density <- log(w * stats::dnbinom(x, size = exp(-p[4]), mu = exp(p[2])) +
                     (1 - w) * stats::dnbinom(x, size = exp(-p[5]), mu = exp(p[3])))
    min(-sum(density), 1e10, na.rm = TRUE)
  }
  begin <- c(0, log(mean(x) * c(0.5, 1.5)), log(c(0.3, 0.3)))
  fits <- lapply(seq_len(starts), function(i) {
    stats::optim(begin + (i > 1) * stats::rnorm(5), value, method = method,
                 control = list(maxit = 10000, reltol = 1e-12))
  })
  max(-vapply(fits, `[[`, 0, "value"))
}

bench_one_gene <- function() {
  cat("\nOne gene, n = 1000\n")
  set.seed(1)
  x <- rnbinom(1000, 3, 1e-3)
  one <- measure(nbmix(x), 50)
  if (has("MASS")) {
    mass <- measure(suppressWarnings(MASS::fitdistr(x, "negative binomial")), 10)
    report("K = 1", one$cpu, "MASS::fitdistr", mass$cpu)
    cat(sprintf("  log likelihood: ours %.6f, MASS %.6f\n", logLik(one$value), logLik(mass$value)))
  }
  set.seed(5)
  bench_two_components("modes apart", simulate_nbmix(1000, c(.3, .7), c(5, 60), c(.3, .1))$x)
  set.seed(6)
  bench_two_components("modes overlap", simulate_nbmix(1000, c(.5, .5), c(5, 15), .2)$x)
  bench_two_components("one NB, mean 3000", x)
}

# The whole call of nbmix() with its ten starts, and the fit alone without the checks and the R
# object around it, beside the same likelihood by optim().
bench_two_components <- function(label, x) {
  whole <- measure(nbmix(x, k = 2, seed = 1), 50)
  data <- mixology:::matrix_rows(matrix(as.double(x), 1), 0L, 1L)
  settings <- list(k = 2L, zero_inflated = FALSE, cox_reid = FALSE, criterion = "BIC", seed = 1)
  monitor <- list(progress = NULL, time_limit = Inf, pause_after = Inf)
  core <- measure(mixology:::nbmix_em(data$p, data$i, data$x, rep(1, length(x)), settings,
                                      em_control(), list(), 1, monitor, 1L), 100)
  peers <- list(
    "EM by optim(), 1 start" = measure(notebook_em(x)),
    "optim(Nelder-Mead), 10 starts" = measure(direct_optim(x, "Nelder-Mead", 10)),
    "optim(BFGS), 10 starts" = measure(direct_optim(x, "BFGS", 10)),
    "optim(Nelder-Mead), 1 start" = measure(direct_optim(x, "Nelder-Mead", 1)),
    "optim(BFGS), 1 start" = measure(direct_optim(x, "BFGS", 1)))
  for (peer in names(peers)) {
    report(paste0("K = 2, ", label, ": whole call"), whole$cpu, peer, peers[[peer]]$cpu)
    report(paste0("K = 2, ", label, ": core"), core$cpu, peer, peers[[peer]]$cpu)
  }
  cat(sprintf("  log likelihood: ours %.6f, the peers %s\n", logLik(whole$value),
              toString(sprintf("%.6f", vapply(peers, `[[`, 0, "value")))))
}

# Poisson mixtures: flexmix has no negative binomial of its own.
bench_flexmix <- function() {
  if (!has("flexmix")) return(invisible())
  cat("\nPoisson mixture, K = 2, n = 1000\n")
  set.seed(7)
  x <- simulate_nbmix(1000, c(0.4, 0.6), c(5, 20))$x
  ours <- measure(nbmix(x, k = 2, seed = 1, threads = 1), 20)
  set.seed(1)
  theirs <- measure(flexmix::stepFlexmix(x ~ 1, k = 2, nrep = 10, verbose = FALSE,
                                         model = flexmix::FLXMRglm(family = "poisson")))
  report("Poisson mixture, 10 starts", ours$cpu, "flexmix, 10 starts", theirs$cpu)
  cat(sprintf("  log likelihood: ours %.4f (NB, dispersions %s), flexmix %.4f (Poisson)\n",
              logLik(ours$value), toString(signif(coef(ours$value)$dispersion, 2)),
              flexmix::logLik(theirs$value)))
}

# ---- a transcriptome ----------------------------------------------------------------------------

bench_genes <- function() {
  counts <- blood_cells()
  s <- colSums(counts)
  s <- s / mean(s)
  size <- as.numeric(object.size(counts)) / 1024^2
  cat(sprintf("\n%d genes, %d cells, %.1f%% non-zero, %.1f MB sparse\n", nrow(counts),
              ncol(counts), 100 * length(counts@x) / prod(dim(counts)), size))
  one <- measure(nbmix(counts, k = 1, size_factors = s, seed = 1))
  two <- measure(nbmix(counts, k = 1:2, size_factors = s, seed = 1, threads = 2))
  cat(sprintf("K = 1: %.2f s CPU, %.2f s elapsed, peak + %.0f MB (%.2f of the input)\n", one$cpu,
              one$elapsed, one$memory, one$memory / size))
  cat(sprintf("K = 1:2 by BIC, 2 threads: %.1f s CPU, %.1f s elapsed, peak + %.0f MB\n", two$cpu,
              two$elapsed, two$memory))
  print(two$value)
  bench_linear(counts, s)
  bench_glm_gam_poi(counts, s, one)
}

# Twice the non-zero counts, twice the time: the zeros are nearly free.
bench_linear <- function(counts, s) {
  per_gene <- diff(t(counts)@p)
  groups <- cut(rank(per_gene, ties.method = "first"), 4, labels = FALSE)
  rows <- lapply(1:4, function(g) {
    part <- counts[groups == g, ]
    run <- measure(nbmix(part, k = 1, size_factors = s, seed = 1, threads = 1))
    data.frame(genes = nrow(part), cells = ncol(part), nonzeros = length(part@x), cpu = run$cpu,
               ns_per_nonzero = 1e9 * run$cpu / length(part@x),
               ns_per_entry = 1e9 * run$cpu / prod(dim(part)))
  })
  cat("\nK = 1 by quarters of the genes, from the sparsest\n")
  print(do.call(rbind, rows), digits = 3, row.names = FALSE)
}

bench_glm_gam_poi <- function(counts, s, one) {
  if (!has("glmGamPoi")) return(invisible())
  dense <- as.matrix(counts)
  mean <- outer(rowSums(dense) / sum(s), s)
  theirs <- measure(glmGamPoi::overdispersion_mle(dense, mean = mean))
  report("K = 1, all genes", one$cpu, "glmGamPoi::overdispersion_mle", theirs$cpu)
  report("K = 1, all genes: peak memory", one$memory, "glmGamPoi::overdispersion_mle",
         theirs$memory, "MB")
  ours <- coef(one$value)
  theirs <- data.frame(gene = rownames(counts), phi = theirs$value$estimate)
  at <- match(ours$gene, theirs$gene)
  lik <- function(mean, phi) {
    rows <- seq_len(min(nrow(dense), 2000))
    sum(vapply(rows, function(g) {
      m <- s * mean[g]
      sum(if (phi[g] == 0) stats::dpois(dense[g, ], m, log = TRUE) else
        stats::dnbinom(dense[g, ], mu = m, size = 1 / phi[g], log = TRUE))
    }, 0))
  }
  cat(sprintf("  log likelihood of the first 2,000 genes: ours %.3f, glmGamPoi %.3f\n",
              lik(ours$mean, ours$dispersion), lik(rowSums(dense) / sum(s), theirs$phi)))
}

bench_one_gene()
bench_flexmix()
bench_genes()
