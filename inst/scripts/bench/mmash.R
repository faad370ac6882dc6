# M&M ASH: cost of a sweep beside the floating-point operations that it cannot avoid, whole fits,
# memory for a .bed file, and mr.mashr in the same run where it is installed.
#   Rscript mmash.R            MIXOLOGY_BENCH_LARGE=true adds the .bed file of 100,000 samples

suppressPackageStartupMessages(library(mixology))
source(system.file("scripts", "bench", "measure.R", package = "mixology", mustWork = TRUE))
report <- reporter("mmash")
peer <- has("mr.mashr")

quiet <- suppressWarnings
plain <- function(sweeps) {
  vb_control(tolerance = 0, max_iterations = sweeps, accelerate = FALSE)
}

# Canonical matrices are 15 for 10 conditions and 54 for 49; 14 scales and the null make 211 and
# 757 components.
case <- function(n, p, j) {
  set.seed(1)
  d <- simulate_mmash(n, p, conditions = j, causal = 20, pve = .2)
  grid <- .02 * sqrt(2)^(0:13)
  list(x = d$x, y = d$y, n = n, p = p, j = j,
       prior = mash_prior(matrices = mixology:::canonical_matrices(colnames(d$y)), grid = grid,
                          weights = rep(1, 1 + 14 * (j + 5))))
}

# Seconds of user time of one sweep: the difference between a longer and a shorter fit.
sweep_seconds <- function(fit, few, many) {
  time <- function(sweeps) system.time(fit(sweeps))[["user.self"]]
  time(few)
  (time(many) - time(few)) / (many - few)
}

ours <- function(case, residual) {
  sigma <- stats::cov(case$y)
  function(sweeps) {
    quiet(mmash(case$x, case$y, case$prior, residual = sigma, standardize = TRUE, penalty = 1,
                update = c("weights", if (residual) "residual"), control = plain(sweeps),
                threads = 1, verbose = FALSE))
  }
}

theirs <- function(case, residual) {
  parts <- mixology:::component_covariances(case$prior)
  zero <- matrix(0, case$j, case$j)
  u <- lapply(parts, function(v) if (is.null(v)) zero else v)
  sigma <- stats::cov(case$y)
  function(sweeps) {
    quiet(mr.mashr::mr.mash(case$x, case$y, u, w0 = unname(case$prior$weights), V = sigma,
                            standardize = TRUE, e = 0, update_V = residual, tol = 0,
                            max_iter = sweeps, verbose = FALSE, nthreads = 1))
  }
}

compare <- function(case, residual, many, peer_sweeps) {
  seconds <- sweep_seconds(ours(case, residual), 5, many)
  flops <- 4 * case$n * case$j * case$p
  row <- data.frame(N = case$n, P = case$p, J = case$j,
                    components = length(case$prior$weights),
                    update = if (residual) "weights, residual" else "weights",
                    ms_per_sweep = 1e3 * seconds, us_per_variant = 1e6 * seconds / case$p,
                    floor_Mflop = flops / 1e6, floor_Gflop_per_s = flops / seconds / 1e9)
  if (!peer || peer_sweeps == 0) return(row)
  other <- theirs(case, residual)
  result <- NULL
  peer_seconds <- system.time(result <- other(peer_sweeps))[["user.self"]] / peer_sweeps
  same <- ours(case, residual)(peer_sweeps)
  row$peer_ms_per_sweep <- 1e3 * peer_seconds
  row$ratio <- peer_seconds / seconds
  row$largest_difference <- max(abs(coef(same)[-1, ] - result$mu1))
  report(sprintf("one sweep, P %d, J %d, %s", case$p, case$j, row$update), seconds, "mr.mashr",
         peer_seconds)
  row
}

show <- function(title, data) {
  cat("\n", title, "\n", sep = "")
  numbers <- vapply(data, is.numeric, NA)
  data[numbers] <- lapply(data[numbers], signif, 4)
  print(data, row.names = FALSE)
}

options(width = 160)
cat("Sweeps at one thread, user time. The floor is the residual update, 4 N J per variant.\n")
small <- case(670, 500, 10)
large <- case(670, 5000, 49)
show("N 670, P 500, J 10", rbind(compare(small, FALSE, 205, 2), compare(small, TRUE, 205, 2)))
# mr.mashr needs minutes for one sweep of the large case: a tenth of its variants is timed
part <- case(670, 500, 49)
show("N 670, P 500, J 49", compare(part, FALSE, 55, 1))
show("N 670, P 5000, J 49", rbind(compare(large, FALSE, 65, 0), compare(large, TRUE, 65, 0)))

# Samples without some conditions: each variant then has a precision of its own, and those prior
# matrices that can matter to it are decomposed anew in every sweep. At the prior's first weights
# all of them matter; in a whole fit few do.
gaps <- function(share) {
  d <- case(600, 500, 10)
  sigma <- stats::cov(d$y)
  set.seed(4)
  d$y[sample(length(d$y), share * length(d$y))] <- NA
  fit <- function(sweeps) {
    quiet(mmash(d$x, d$y, d$prior, residual = sigma, update = c("weights", "residual"),
                control = plain(sweeps), threads = 1, verbose = FALSE))
  }
  whole <- system.time(at_end <- quiet(mmash(d$x, d$y, seed = 1, verbose = FALSE)))
  data.frame(missing = share, patterns = nrow(unique(is.na(d$y))),
             ms_per_sweep = 1e3 * sweep_seconds(fit, 5, if (share > 0) 35 else 205),
             whole_fit_s = whole[["elapsed"]], converged = at_end$convergence$converged)
}
show("A share of the responses missing, N 600, P 500, J 10, weights and residual updated",
     do.call(rbind, lapply(c(0, .1, .3), gaps)))

cat("\nWhole fits, N 600, P 1000, J 10, default settings, standardised variants\n")
whole <- do.call(rbind, lapply(c(0, .8), function(correlation) {
  set.seed(2)
  d <- simulate_mmash(600, 1000, x_correlation = correlation)
  seconds <- system.time(fit <- quiet(mmash(d$x, d$y, standardize = TRUE, seed = 1)))[["elapsed"]]
  data.frame(correlation, seconds, sweeps = fit$convergence$iterations,
             converged = fit$convergence$converged, bound = utils::tail(objective(fit)$value, 1))
}))
show("", whole)

# Genes in windows of 200 variants, two of them causal in every other gene; weights learned on 50.
many_genes <- function(genes, n = 670, window = 200) {
  set.seed(5)
  parts <- lapply(seq_len(genes), function(g) {
    simulate_mmash(n, window, causal = if (g %% 2) 2 else 0, pve = .1, x_correlation = .9,
                   genotypes = TRUE)
  })
  list(y = lapply(parts, `[[`, "y"), x = do.call(cbind, lapply(parts, `[[`, "x")),
       windows = data.frame(gene = sprintf("gene%d", seq_len(genes)),
                            first = (seq_len(genes) - 1) * window + 1,
                            last = seq_len(genes) * window))
}
genes <- as.integer(Sys.getenv("MIXOLOGY_BENCH_GENES", "20"))
d <- many_genes(genes)
names(d$y) <- d$windows$gene
colnames(d$x) <- NULL
cost <- measure(found <- quiet(mmash_genes(d$y, d$x, d$windows, seed = 1)))
show("Genes in cis windows, N 670, J 10 (MIXOLOGY_BENCH_GENES)",
     data.frame(genes, cpu_s = cost$cpu, elapsed_s = cost$elapsed, MB = cost$memory,
                ok = sum(glance(found)$status == "ok"),
                with_effect = length(unique(tidy(found)$gene[tidy(found)$lfsr < .05]))))

# ---- accuracy ----------------------------------------------------------------------------------

# The published simulation: 480 training and 120 test samples, 1000 normal variables, 50 causal, 10
# conditions, PVE .5. Medians of the squared correlation over replicates and conditions. Published:
# mr.mash from a group-lasso start. mr.mashr itself needs minutes for one of these fits and is asked
# in the first MIXOLOGY_BENCH_PEER_FITS replicates only (none); in all of them its climb from that
# start is repeated by the same iterates (see the largest difference above).
group_lasso <- function(x, y, prior) {
  cv <- glmnet::cv.glmnet(x, y, family = "mgaussian", nfolds = 5, nlambda = 50)
  b <- vapply(stats::coef(cv, s = "lambda.min"), function(z) as.numeric(z)[-1], numeric(ncol(x)))
  nonzero <- mean(rowSums(abs(b)) > 0)
  parts <- length(mixology:::prior_components(prior)) - 1
  list(coef = b, weights = c(1 - nonzero, rep(nonzero / parts, parts)),
       residual = stats::cov(y - x %*% b))
}

same_iterates <- function(x, y, prior, start) {
  fit <- quiet(mmash(x, y, prior, standardize = TRUE, penalty = 1, verbose = FALSE,
                     control = vb_control(accelerate = FALSE, start = start, tolerance = 1e-7)))
  function(x) predict(fit, x)
}

mr_mash <- function(x, y, prior, start) {
  covariances <- lapply(mixology:::component_covariances(prior), function(v) {
    if (is.null(v)) matrix(0, ncol(y), ncol(y)) else v
  })
  fit <- quiet(mr.mashr::mr.mash(x, y, covariances, w0 = start$weights, V = start$residual,
                                 mu1_init = start$coef, standardize = TRUE, verbose = FALSE,
                                 nthreads = 1))
  function(x) stats::predict(fit, x)
}

# A constant prediction explains nothing.
test_r2 <- function(predicted, y) {
  vapply(seq_len(ncol(y)), function(j) {
    if (stats::sd(predicted[, j]) > 0) stats::cor(predicted[, j], y[, j])^2 else 0
  }, 0)
}

# Replicates of one design (arguments of simulate_mmash()), a fifth of the samples held out, in the
# conditions that have effects. 'ahead': on the same data, replicate by replicate, the mean over
# conditions of ours less that of the group-lasso start; ahead_mr.mash: less that of mr.mashr.
accuracy <- function(design, replicates, published = NA, ...) {
  one <- function(seed) {
    set.seed(seed)
    d <- do.call(simulate_mmash, design)
    train <- seq_len(round(.8 * design$n))
    x <- d$x[train, ]
    y <- d$y[train, ]
    prior <- mash_prior(y, X = x, standardize = TRUE)
    seconds <- system.time(fit <- quiet(mmash(x, y, prior, standardize = TRUE, seed = 1,
                                              verbose = FALSE)))[["elapsed"]]
    active <- colSums(d$truth$coefficients != 0) > 0
    r2 <- function(predictor) test_r2(predictor(d$x[-train, ]), d$y[-train, ])[active]
    out <- list(ours = r2(function(x) predict(fit, x)), seconds = seconds,
                converged = fit$convergence$converged, lasso = NA, mr_mash = NA, mr_seconds = NA)
    if (!lasso) return(out)
    start <- group_lasso(x, y, prior)
    out$lasso <- r2(same_iterates(x, y, prior, start))
    if (seed <= peer_fits) {
      out$mr_seconds <- system.time(there <- mr_mash(x, y, prior, start))[["elapsed"]]
      out$mr_mash <- r2(there)
    }
    out
  }
  runs <- lapply(seq_len(replicates), one)
  middle <- function(part) stats::median(unlist(lapply(runs, `[[`, part)), na.rm = TRUE)
  ahead <- function(part) vapply(runs, function(run) mean(run$ours) - mean(run[[part]]), 0)
  out <- data.frame(..., mmash = middle("ours"), from_group_lasso = middle("lasso"), published,
                    ahead = mean(ahead("lasso")),
                    standard_error = stats::sd(ahead("lasso")) / sqrt(replicates),
                    seconds = middle("seconds"),
                    converged = mean(vapply(runs, `[[`, NA, "converged")))
  if (lasso && peer_fits > 0) {
    out$ahead_mr.mash <- mean(ahead("mr_mash"), na.rm = TRUE)
    out$seconds_mr.mash <- middle("mr_seconds")
  }
  out
}

replicates <- as.integer(Sys.getenv("MIXOLOGY_BENCH_REPLICATES", "2"))
peer_fits <- if (peer) as.integer(Sys.getenv("MIXOLOGY_BENCH_PEER_FITS", "0")) else 0L
lasso <- has("glmnet")
in_words <- sprintf("medians of %d replicates x conditions (MIXOLOGY_BENCH_REPLICATES)", replicates)

published <- data.frame(correlation = rep(c(0, .5, .8), 2),
                        effects = rep(c("shared", "independent"), each = 3),
                        published = c(.462, .457, .456, .441, .425, .406))
show(paste("Test r2,", in_words), do.call(rbind, lapply(seq_len(6), function(i) {
  case <- published[i, ]
  design <- list(n = 600, p = 1000, x_correlation = case$correlation, effects = case$effects)
  accuracy(design, replicates, case$published, correlation = case$correlation,
           effects = case$effects)
})))

# A cis window as in GTEx: allele counts, few causal variants, a fifth of the variance explained.
patterns <- c("equal", "independent", "mostly_null", "equal_null", "subgroups")
windows <- expand.grid(n = c(670, 168), effects = patterns, stringsAsFactors = FALSE)
show(paste("Test r2 in a cis window,", in_words), do.call(rbind, Map(function(n, effects) {
  design <- list(n = n, p = 500, causal = 3, pve = .2, x_correlation = .9, effects = effects,
                 genotypes = TRUE)
  accuracy(design, replicates, N = n, effects = effects)
}, windows$n, windows$effects)))

# ---- a large .bed file --------------------------------------------------------------------------

write_large_bed <- function(stem, n, p) {
  file <- file(paste0(stem, ".bed"), "wb")
  on.exit(close(file))
  writeBin(as.raw(c(0x6c, 0x1b, 0x01)), file)
  codes <- as.matrix(expand.grid(rep(list(c(0, 2, 3)), 4)))
  bytes <- as.raw(codes %*% c(1, 4, 16, 64))
  for (i in seq_len(p)) writeBin(sample(bytes, n / 4, replace = TRUE), file)
  writeLines(sprintf("1 v%d 0 %d A B", seq_len(p), seq_len(p)), paste0(stem, ".bim"))
  writeLines(sprintf("s%d s%d 0 0 0 0", seq_len(n), seq_len(n)), paste0(stem, ".fam"))
}

if (identical(Sys.getenv("MIXOLOGY_BENCH_LARGE"), "true") && file.exists("/proc/self/status")) {
  n <- 100000
  p <- 5000
  stem <- tempfile()
  set.seed(3)
  write_large_bed(stem, n, p)
  y <- matrix(stats::rnorm(10 * n), n)
  prior <- mash_prior(matrices = mixology:::canonical_matrices(10), grid = .01 * sqrt(2)^(0:13))
  cost <- measure(quiet(mmash(paste0(stem, ".bed"), y, prior, control = plain(5))))
  unlink(paste0(stem, c(".bed", ".bim", ".fam")))
  show("N 100,000, P 5,000, J 10 from a .bed file, 5 sweeps",
       data.frame(file_MB = (n / 4 * p) / 2^20, seconds = cost$elapsed,
                  MB_beyond_the_responses = cost$memory))
}
