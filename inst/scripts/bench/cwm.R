# cwm beside its peers, in one run: log likelihood, adjusted Rand index, time and memory.
#   Rscript inst/scripts/bench/cwm.R [largest n, default 1e6]
# Peers are used where they are installed: mclust, flexmix, flexCWM (on CRAN). Each comparison uses
# the same data and the same start. Times are CPU seconds (user + system) unless said otherwise.

suppressPackageStartupMessages(library(mixology))

largest <- as.numeric(c(commandArgs(TRUE), "1e6")[1])

source(system.file("scripts", "bench", "measure.R", package = "mixology", mustWork = TRUE))
report <- reporter("cwm")

# k clusters in d dimensions with a response; starting labels with a fifth of them wrong.
make_data <- function(n, d, k, seed = 1) {
  set.seed(seed)
  means <- matrix(rnorm(k * d, sd = 3), k)
  out <- simulate_cwm(n, rep(1, k), means, 1, lapply(seq_len(k), function(j) rnorm(d + 1)), 0.25)
  start <- out$cluster
  wrong <- sample(n, n %/% 5)
  start[wrong] <- sample(k, length(wrong), TRUE)
  c(out, list(start = start))
}

formula_of <- function(d) reformulate(paste0("x", seq_len(d)), "y")

fit_ours <- function(made, d, k, sweeps, threads = 2) {
  suppressWarnings(cwm(
    formula_of(d), made$data, k = k, seed = 1, threads = threads, std_errors = FALSE,
    control = em_control(start = made$start, max_iterations = sweeps, accelerate = FALSE,
                         tolerance = 0, parameter_tolerance = 0)))
}

# ---- the engine alone, sweep by sweep, against mclust -------------------------------------------

against_mclust <- function(n, d = 5, k = 5, sweeps = 20) {
  made <- make_data(n, d, k)
  z <- diag(k)[made$start, ]
  all <- as.matrix(made$data)
  control <- mclust::emControl(tol = c(0, 0), itmax = c(sweeps, sweeps))
  peer <- measure(suppressWarnings(mclust::meVVV(all, z, control = control)))
  ours <- measure(fit_ours(made, d, k, sweeps, threads = 1))
  engine <- utils::tail(objective(ours$value)$seconds, 1)
  label <- sprintf("VVV, n = %g, %d x %d, per sweep", n, d, k)
  report(paste(label, "(engine)"), engine / sweeps, "mclust::meVVV", peer$cpu / sweeps)
  report(paste(label, "(whole call)"), ours$cpu / sweeps, "mclust::meVVV", peer$cpu / sweeps)
  report(sprintf("log likelihood after %d sweeps", sweeps), as.numeric(logLik(ours$value)),
         "mclust", peer$value$loglik, "nats")
}

# ---- the same model by other packages -----------------------------------------------------------

# Ours: without standard errors, which the peers do not make, or with them, as by default.
fit_as <- function(made, d, k, n, std_errors = FALSE, tolerance = NULL) {
  measure(cwm(formula_of(d), made$data, k = k, std_errors = std_errors,
              control = em_control(start = made$start, tolerance = tolerance)), times = repeats(n))
}

# Fits of few rows are over too soon to be timed once.
repeats <- function(n) max(1, 50000 %/% n)

against_flexmix <- function(n, d = 2, k = 3) {
  made <- make_data(n, d, k)
  peer <- measure(flexmix::flexmix(
    formula_of(d), data = made$data, k = k, cluster = made$start,
    model = list(flexmix::FLXMRglm(), flexmix::FLXMCmvnorm(cbind(x1, x2) ~ 1, diagonal = FALSE))),
    times = repeats(10 * n))
  ours <- fit_as(made, d, k, n)
  compare("flexmix", n, made, ours, peer, peer$value@logLik, flexmix::clusters(peer$value))
  report("  with standard errors", fit_as(made, d, k, n, std_errors = TRUE)$cpu, "flexmix",
         peer$cpu)
  report("  at the tolerance of flexmix, 1e-6", fit_as(made, d, k, n, tolerance = 1e-6)$cpu,
         "flexmix", peer$cpu)
}

against_flexcwm <- function(n, d = 2, k = 3) {
  made <- make_data(n, d, k)
  x <- as.matrix(made$data[paste0("x", seq_len(d))])
  z <- diag(k)[made$start, ]
  peer <- measure(utils::capture.output(fit <- flexCWM::cwm(
    formulaY = formula_of(d), data = made$data, Xnorm = x, k = k, modelXnorm = "VVV",
    initialization = "manual", start.z = z, iter.max = 200, seed = 1)), times = repeats(10 * n))
  ours <- fit_as(made, d, k, n)
  best <- fit$models[[1]]
  compare("flexCWM", n, made, ours, peer, best$logLik, flexCWM::getCluster(fit))
}

compare <- function(name, n, made, ours, peer, log_lik, labels) {
  what <- sprintf("n = %g to convergence", n)
  report(what, ours$cpu, name, peer$cpu)
  report("  log likelihood", as.numeric(logLik(ours$value)), name, as.numeric(log_lik), "nats")
  report("  memory", ours$memory, name, peer$memory, "MB")
  if (has("mclust")) {
    rand <- function(a) mclust::adjustedRandIndex(a, made$cluster)
    report("  adjusted Rand index", rand(clusters(ours$value)), name, rand(labels), "")
  }
}

# ---- growth, and the large case -----------------------------------------------------------------

growth <- function(sizes) {
  for (n in sizes) {
    made <- make_data(n, 5, 5)
    run <- measure(fit_ours(made, 5, 5, 50))
    seconds <- utils::tail(objective(run$value)$seconds, 1)
    cat(sprintf(paste("n = %-8g 5 covariates, 5 clusters, 50 sweeps, 2 threads: %7.3f s elapsed",
                      "(sweeps %.3f s, %.3g us per row and sweep), %.0f MB beyond the data\n"),
                n, run$elapsed, seconds, 1e6 * seconds / (50 * n), run$memory))
    rm(made, run)
  }
}

largest_fit <- 10^(3:6)
if (has("mclust")) for (n in c(1e3, 1e4, 1e5)) against_mclust(n)
peer_sizes <- c(1e3, 2e3, 2e4, 1e5)
if (has("flexmix")) for (n in peer_sizes) against_flexmix(n)
if (has("flexCWM")) {
  tried <- try(for (n in peer_sizes) against_flexcwm(n), silent = TRUE)
  if (inherits(tried, "try-error")) {
    cat("flexCWM failed:", conditionMessage(attr(tried, "condition")))
  }
}
growth(largest_fit[largest_fit <= largest])
