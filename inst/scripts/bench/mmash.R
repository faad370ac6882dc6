# M&M ASH: cost of a sweep beside the floating-point operations that it cannot avoid, whole fits,
# memory for a .bed file, and mr.mashr in the same run where it is installed.
#   Rscript mmash.R            MIXOLOGY_BENCH_LARGE=true adds the .bed file of 100,000 samples

suppressPackageStartupMessages(library(mixology))
if (!exists("bench_result")) bench_result <- function(...) invisible()
peer <- requireNamespace("mr.mashr", quietly = TRUE)

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
  bench_result("mmash", sprintf("one sweep, P %d, J %d, %s", case$p, case$j, row$update), seconds,
               "mr.mashr", peer_seconds)
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

cat("\nWhole fits, N 600, P 1000, J 10, default settings, standardised variants\n")
whole <- do.call(rbind, lapply(c(0, .8), function(correlation) {
  set.seed(2)
  d <- simulate_mmash(600, 1000, x_correlation = correlation)
  seconds <- system.time(fit <- quiet(mmash(d$x, d$y, standardize = TRUE, seed = 1)))[["elapsed"]]
  data.frame(correlation, seconds, sweeps = fit$convergence$iterations,
             converged = fit$convergence$converged, bound = utils::tail(objective(fit)$value, 1))
}))
show("", whole)

# ---- accuracy ----------------------------------------------------------------------------------

# The published simulation: 480 training and 120 test samples, 1000 normal variables, 50 causal, 10
# conditions, PVE .5. Medians of the squared correlation over replicates and conditions. Published:
# mr.mash from a group-lasso start. mr.mashr itself needs minutes for one of these fits; its climb
# from that start is repeated here by the same iterates (see the largest difference above).
from_group_lasso <- function(x, y, prior) {
  cv <- glmnet::cv.glmnet(x, y, family = "mgaussian", nfolds = 5, nlambda = 50)
  b <- vapply(stats::coef(cv, s = "lambda.min"), function(z) as.numeric(z)[-1], numeric(ncol(x)))
  nonzero <- mean(rowSums(abs(b)) > 0)
  parts <- length(mixology:::prior_components(prior)) - 1
  start <- list(coef = b, weights = c(1 - nonzero, rep(nonzero / parts, parts)),
                residual = stats::cov(y - x %*% b))
  quiet(mmash(x, y, prior, standardize = TRUE, penalty = 1, verbose = FALSE,
              control = vb_control(accelerate = FALSE, start = start, tolerance = 1e-7)))
}

test_r2 <- function(fit, x, y) diag(stats::cor(predict(fit, x), y)^2)

accuracy <- function(correlation, effects, published, replicates) {
  one <- function(seed) {
    set.seed(seed)
    d <- simulate_mmash(600, 1000, x_correlation = correlation, effects = effects)
    at <- seq_len(480)
    x <- d$x[at, ]
    y <- d$y[at, ]
    prior <- mash_prior(y, X = x, standardize = TRUE)
    seconds <- system.time(fit <- quiet(mmash(x, y, prior, standardize = TRUE, seed = 1,
                                              verbose = FALSE)))[["elapsed"]]
    peer <- if (requireNamespace("glmnet", quietly = TRUE)) from_group_lasso(x, y, prior)
    list(ours = test_r2(fit, d$x[-at, ], d$y[-at, ]), seconds = seconds,
         peer = if (!is.null(peer)) test_r2(peer, d$x[-at, ], d$y[-at, ]) else NA)
  }
  runs <- lapply(seq_len(replicates), one)
  middle <- function(part) stats::median(unlist(lapply(runs, `[[`, part)))
  data.frame(correlation, effects, mmash = middle("ours"), from_group_lasso = middle("peer"),
             published, seconds = middle("seconds"))
}

replicates <- as.integer(Sys.getenv("MIXOLOGY_BENCH_REPLICATES", "2"))
show(sprintf("Test r2, medians of %d replicates x 10 conditions (MIXOLOGY_BENCH_REPLICATES)",
             replicates),
     do.call(rbind, Map(accuracy, c(0, .5, .8, 0, .5, .8),
                        rep(c("shared", "independent"), each = 3),
                        c(.462, .457, .456, .441, .425, .406), replicates)))

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

peak_memory <- function() {
  status <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", grep("^VmHWM", status, value = TRUE))) / 1024
}

if (identical(Sys.getenv("MIXOLOGY_BENCH_LARGE"), "true") && file.exists("/proc/self/status")) {
  n <- 100000
  p <- 5000
  stem <- tempfile()
  set.seed(3)
  write_large_bed(stem, n, p)
  y <- matrix(stats::rnorm(10 * n), n)
  prior <- mash_prior(matrices = mixology:::canonical_matrices(10), grid = .01 * sqrt(2)^(0:13))
  before <- peak_memory()
  time <- system.time(quiet(mmash(paste0(stem, ".bed"), y, prior, control = plain(5))))
  unlink(paste0(stem, c(".bed", ".bim", ".fam")))
  show("N 100,000, P 5,000, J 10 from a .bed file, 5 sweeps",
       data.frame(file_MB = (n / 4 * p) / 2^20, seconds = time[["elapsed"]],
                  peak_MB_before = before, peak_MB = peak_memory()))
}
