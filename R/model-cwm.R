# cwm: a Gaussian mixture with a regression inside each cluster.

# ---- the fitting function ---------------------------------------------------

#' Clusters with a regression inside each (cluster-weighted model)
#'
#' Fits \eqn{p(x, y) = \sum_k \pi_k\, N(x; \mu_k, \Sigma_k)\, N(y; \Theta_k' w, \Psi_k)}: covariates
#' `x` that form clusters, and one or more responses `y` whose regression on covariates `w` differs
#' between the clusters. The clusters and the regressions are learned together, so that clusters
#' may differ in where their covariates lie, in their slopes, or in both.
#'
#' @section The three engines:
#' `"em"`: maximum likelihood. `k` and `covariance` may be vectors; the pair with the smallest BIC
#' is kept and `glance(fit, all = TRUE)` lists them all. `"vb"`: variational Bayes under
#' [cwm_prior()]; components that the data do not need empty themselves and are dropped, so `k` is
#' an upper bound. Of several `k` and `covariance` the pair with the largest bound is kept, each
#' under the prior that its `k` (in `k_max` of `glance(fit, all = TRUE)`) implies. `"gibbs"`: Gibbs
#' sampling under the same prior, with a Dirichlet on `k` weights or a Dirichlet process truncated
#' at `k` sticks; draws are relabelled to agree with a reference partition. It takes one `k` and one
#' `covariance`. Where clusters overlap, variational intervals are too short: of nominal 90% ones
#' 79% covered (weights 63%) at clusters a standard deviation apart, against 90% by EM and 89% by
#' Gibbs sampling; see `calibration/cwm.R` among the package's scripts.
#'
#' @section What is assumed, and what is done where data fall short:
#' * Missing responses: the row still informs its cluster; observed responses of the same row are
#'   used. Missing covariates are an error that names the rows, unless `na_x = "marginalise"`: then
#'   a missing clustering covariate is integrated out, which needs it to enter the regression as it
#'   is (not inside a spline or an interaction) or not at all.
#' * Eigenvalues of every covariance are at least 1e-10 times the pooled variance (a standard
#'   deviation of 1e-5 of the pooled one). The likelihood stays bounded: a regression without noise
#'   fits and reports that floor. A solution in which a component has shrunk onto a point, a
#'   plane, or a few rows that lie on a line of its regression is degenerate: its likelihood says
#'   nothing. It is taken only when no start leads elsewhere, passed over in a choice of `k` and
#'   `covariance` (column `degenerate` of `glance(fit, all = TRUE)`), and named in a warning and by
#'   `print()`. A regression without noise is believed when it fits more than twice as many distinct
#'   rows as it has parameters and all but a tenth of the rows of the data are fitted so, or ten
#'   times as many, most of them different from each other.
#' * A coefficient that no row of a cluster determines (a factor level absent from it altogether)
#'   takes the value of the regression over all rows; its standard error is `NA`. A thousandth of a
#'   row determines it, badly: look at the standard error.
#' * A fifth of the rows or more being one and the same row gives a warning.
#' * Constant or linearly dependent columns, `k` above the number of distinct rows, and fewer than
#'   `k (D + 1)` rows are errors.
#'
#' Standard errors of an EM fit come from the observed information (Louis 1982), at the maximum and
#' for given `k`; for parameters at the floor they are `NA`. Rows that lack some of their values
#' enter it by the square of their score.
#'
#' @section Prediction:
#' `predict(fit, newdata, type)`: `"response"` the mean of `p(y | x)`, which mixes the
#' regressions by `p(k | x)`; `"interval"` its quantiles, found as roots of the mixture's
#' distribution function (a matrix `fit, lwr, upr` as from `predict.lm`; for several responses a
#' list of them), never a normal approximation; `"density"` `p(y | x)` at the response in `newdata`
#' (`p(x)` for a model without response; `log = TRUE` for logarithms); `"cluster"` and `"prob"`
#' given the covariates and whatever responses `newdata` has, each by itself; `"draws"` `draws`
#' values of `p(y | x)` per row. A variational fit predicts with Student components, a Gibbs fit
#' averages over its draws (at most 100 of them, evenly spaced). Rows of `newdata` with missing
#' covariates get `NA`.
#' `fitted()` is `type = "response"` on the training data. Of rows with missing covariates
#' (`na_x = "marginalise"`) an EM fit gives the mean given what is seen of them, the others `NA`.
#'
#' @section Plots:
#' `plot(fit, type)`: `"components"` (the default) coefficients or means with intervals;
#' `"clusters"` (needs `data`) rows, ellipses holding 95% of each cluster, and a panel per response
#' with its regression lines, drawn against `covariate`; `"bands"` (needs `data`) the predictive
#' mean and interval along one covariate; `"bic"` the candidates; `"similarity"` how often pairs of
#' rows share a cluster (Gibbs); `"trace"`.
#'
#' @param formula `y ~ w1 + w2`, `cbind(y1, y2) ~ w`, or `~ 1` for no response (a Gaussian mixture).
#'   Factors, interactions and splines work as in [lm()]. Or a numeric matrix of covariates (rows
#'   are observations), or a SummarizedExperiment.
#' @param data A data frame.
#' @param cluster One-sided formula of the clustering covariates, all numeric. Default: the numeric
#'   covariates of `formula`. `~ 0`: none, a mixture of regressions.
#' @param k Number of clusters, or several to choose from, by BIC (EM) or the bound (`"vb"`).
#'   Default `1:6`; for `"vb"` the largest number (default 10), for `"gibbs"` the number or the
#'   truncation (default 6).
#' @param covariance Covariance families of `x`, as mclust names them: `"EII"`, `"VII"` (spherical,
#'   equal or free), `"EEI"`, `"VVI"` (diagonal), `"EEE"`, `"VVV"` (full). Several: BIC or the bound
#'   chooses.
#' @param noise `"free"`: each cluster has its own residual covariance; `"equal"`: one for all.
#' @param method `"em"`, `"vb"` or `"gibbs"`.
#' @param prior A [cwm_prior()], for `"vb"` and `"gibbs"`.
#' @param na_x `"fail"` or `"marginalise"`; see below.
#' @param std_errors Compute standard errors (EM)? They cost about as much as ten sweeps or more
#'   where there are many parameters.
#' @param control [em_control()], where each of several restarts begins from four partitions when
#'   there are at most 2,000 rows (from fewer up to 8,000); [vb_control()] or [gibbs_control()].
#'   `start` takes cluster labels (one per row, 1 to `k`), an earlier fit, or (EM) a list `weights,
#'   means, covariances, coefficients, noise` as in `fit$estimate`.
#' @param seed Whole number; default drawn from R's generator, so that `set.seed()` governs.
#' @param threads Threads; results do not depend on them. Default 2; see `?control`.
#' @param verbose Show progress? Default in interactive use.
#' @param BPPARAM A BiocParallel parameter object: candidates of `k` and `covariance` in parallel.
#'   After an interrupt those that are back from the workers are kept.
#' @param y Responses, a vector or matrix (matrix interface). `NULL`: no response.
#' @param response For a SummarizedExperiment: names of columns of `colData` or of rows (genes) of
#'   the assay. `NULL`: no response.
#' @param covariates For a SummarizedExperiment: regression covariates, names as for `response`.
#'   Default: those of `dims`.
#' @param reduced,dims For a SingleCellExperiment: which reduced dimensions cluster the cells, and
#'   how many of them. Default the first in the object, 2.
#' @param assay For a SummarizedExperiment: which assay has the genes.
#' @param ... Further arguments: those of the formula method.
#' @return A fit of class `cwm`; see [accessors]. `coef()`: a list of (covariates x responses)
#'   matrices, one per cluster. `fit$estimate`: `weights`, `means` (clusters x covariates),
#'   `covariances` and `noise` (arrays, clusters last), `coefficients`. `tidy()`: `component, part,
#'   response, term, estimate, std.error`. `simulate()`: a list of data sets; responses for the
#'   covariates in `data`, by default the fit's own, where regression covariates do not cluster.
#' @references
#' Gershenfeld, Schoner and Metois (1999) Cluster-weighted modelling for time-series analysis.
#' Nature 397:329 (the model). Ingrassia, Minotti and Vittadini (2012) Local statistical modeling
#' via a cluster-weighted approach. Journal of Classification 29:363, equation 3. Bishop (2006)
#' Pattern Recognition and Machine Learning, sections 9.2 and 10.2. Louis (1982) Finding the
#' observed information matrix when using the EM algorithm. JRSS B 44:226.
#' @seealso [cwm_prior()], [simulate_cwm()]
#' @examples
#' # four clusters whose slopes disagree
#' set.seed(1)
#' d <- simulate_cwm_forum(400)
#' fit <- cwm(y ~ x1 + x2, d$data, k = 4, seed = 1)
#' fit
#' coef(fit)[[1]]
#' table(clusters(fit), d$cluster)
#' predict(fit, data.frame(x1 = 0, x2 = 0), type = "interval", level = .9)
#' plot(fit, type = "clusters", data = d$data)
#'
#' # crabs of both sexes: rear width grows faster with length in females
#' if (requireNamespace("MASS", quietly = TRUE)) {
#'   crabs <- MASS::crabs
#'   shell <- cwm(RW ~ CL, crabs, k = 1:3, covariance = c("EII", "VVV"), seed = 1)
#'   print(glance(shell, all = TRUE))
#'   print(table(cluster = clusters(shell), sex = crabs$sex))
#' }
#'
#' # no response: a Gaussian mixture
#' logLik(cwm(~ 1, faithful, cluster = ~ eruptions + waiting, k = 2, seed = 1))
#' @export
cwm <- function(formula, ...) UseMethod("cwm")

#' @export
cwm.default <- function(formula, ...) {
  abort_arg("cwm", "formula", "a formula, a numeric matrix or a SummarizedExperiment",
            describe_value(formula), "cwm(y ~ x, data, k = 2)")
}

#' @rdname cwm
#' @export
cwm.formula <- function(formula, data = NULL, cluster = NULL, k = 1:6, covariance = "VVV",
                        noise = c("free", "equal"), method = c("em", "vb", "gibbs"),
                        prior = NULL, na_x = c("fail", "marginalise"), std_errors = TRUE,
                        control = NULL, seed = NULL, threads = NULL, verbose = interactive(),
                        BPPARAM = NULL, ...) {
  if (...length() > 0) cwm_refuse(...names(), names(formals()))
  input <- cwm_formula_input(formula, data, cluster, na_x)
  input$info <- c(describe_data(data %||% input[c("x", "w", "y")],
                                c(nrow(input$x), ncol(input$x))), list(argument = "data"))
  if (missing(k)) k <- cwm_default_k(method, input)
  spec <- cwm_bridge(input, k, covariance, noise, method, prior, std_errors, control, seed,
                     threads, verbose, BPPARAM)
  cwm_fit(input, spec, match.call())
}

#' @rdname cwm
#' @export
cwm.matrix <- function(formula, y = NULL, cluster = NULL, k = 1:6, covariance = "VVV",
                       noise = c("free", "equal"), method = c("em", "vb", "gibbs"),
                       prior = NULL, na_x = c("fail", "marginalise"), std_errors = TRUE,
                       control = NULL, seed = NULL, threads = NULL, verbose = interactive(),
                       BPPARAM = NULL, ...) {
  if (...length() > 0) cwm_refuse(...names(), names(formals()))
  input <- cwm_matrix_input(formula, y, cluster, na_x)
  input$info <- c(describe_data(formula), list(argument = "formula"))
  if (missing(k)) k <- cwm_default_k(method, input)
  spec <- cwm_bridge(input, k, covariance, noise, method, prior, std_errors, control, seed,
                     threads, verbose, BPPARAM)
  cwm_fit(input, spec, match.call())
}

#' @rdname cwm
#' @export
cwm.SummarizedExperiment <- function(formula, response = NULL, covariates = NULL, reduced = NULL,
                                     dims = 2, assay = NULL, cluster = NULL, ...) {
  parts <- list(response = response, covariates = covariates, reduced = reduced, dims = dims,
                assay = assay)
  data <- do.call(cwm_se_frame, c(list(formula), parts))
  fit <- cwm(data$formula, data$frame, cluster = cluster %||% data$cluster, ...)
  fit$call <- small_call(match.call(), "cwm")
  fit$data_info <- c(describe_data(formula), list(argument = "formula"))
  fit$experiment <- parts
  fit
}

# What lm() and others take and cwm() does not, with what to do instead. Nothing is evaluated.
cwm_refuse <- function(names, known) {
  name <- names[1] %||% ""
  instead <- switch(name, subset = "data = data[rows, ]", weights = "repeating rows of 'data'",
                    offset = "subtracting it from the response",
                    na.action = "na_x, or dropping rows",
                    contrasts = "contrasts() of the factors in 'data'")
  if (!is.null(instead)) abort("cwm", "unknown argument '", name, "'; try ", instead)
  check_no_dots(stats::setNames(list(NULL), name), "cwm", known)
}

# ---- bridge: checked input to numbers to a fit ------------------------------

# Everything else that the fit needs, checked.
cwm_bridge <- function(input, k, covariance, noise, method, prior, std_errors, control, seed,
                       threads, verbose, BPPARAM) {
  method <- check_choice(method, c("em", "vb", "gibbs"), "cwm", "method")
  noise <- check_choice(noise, c("free", "equal"), "cwm", "noise")
  control <- resolve_control(control, method, "cwm")
  resumed <- control$resumed
  seed <- resolve_seed(seed %||% saved_seed(control), "cwm")
  spec <- list(method = method, noise = noise, seed = seed,
               threads = resolve_threads(threads, "cwm"), control = control,
               std_errors = check_flag(std_errors, "cwm", "std_errors"),
               verbose = check_flag(verbose, "cwm", "verbose"))
  spec["BPPARAM"] <- list(resolve_bpparam(BPPARAM, "cwm"))
  spec$k <- cwm_check_k(if (is.null(resumed)) k else resumed$candidates_k, method, input)
  spec$covariance <- cwm_check_covariance(if (is.null(resumed)) covariance else resumed$covariance,
                                          spec, input)
  spec["prior"] <- list(cwm_check_prior(prior, method))
  spec$start <- cwm_start(control, spec, input)
  spec
}

cwm_fit <- function(input, spec, call) {
  single <- length(spec$k) == 1 && length(spec$covariance) == 1
  fit <- with_checkpoints("cwm", spec$control, cwm_key(input, spec), function(control) {
    spec$control <- control
    cwm_choose(input, spec, call)
  }, pausable = single)
  cwm_warn_repeated(input)
  cwm_warn_degenerate(fit)
  warn_unconverged(fit)
}

# What the answer depends on beside the settings of the engine.
cwm_key <- function(input, spec) {
  c(list(data = input[c("x", "w", "y")]),
    spec[c("method", "noise", "seed", "k", "covariance", "prior")])
}

# Every pair of k and covariance, within one limit of time; the smallest BIC among the sound ones is
# kept, for variational fits the largest bound.
cwm_choose <- function(input, spec, call) {
  if (length(spec$k) == 1 && length(spec$covariance) == 1) {
    return(cwm_one(input, spec, call, spec$k, spec$covariance))
  }
  grid <- expand.grid(k = spec$k, covariance = spec$covariance, stringsAsFactors = FALSE)
  quick <- spec
  quick$std_errors <- FALSE
  quick$deadline <- as.numeric(Sys.time()) + spec$control$time_limit # the clock of all processes
  fits <- cwm_candidates(grid, input, quick, call)
  table <- cwm_candidate_table(fits, grid, spec$method)
  best <- order(table$degenerate, table$BIC %||% -table$objective)[1]
  table$selected <- seq_len(nrow(grid)) == best
  fit <- fits[[best]]
  if (spec$method == "em" && spec$std_errors) fit <- cwm_add_covariance(fit, input, spec)
  fit$candidates <- table
  fit$given_prior <- spec$prior
  fit
}

# One after another until one of them is stopped, or on the workers of BPPARAM.
cwm_candidates <- function(grid, input, spec, call) {
  all <- list(grid = grid, input = input, spec = spec, call = call)
  fits <- if (!is.null(spec$BPPARAM)) cwm_candidates_there(all, spec$BPPARAM)
  while (length(fits) < nrow(grid) && !cwm_any_stopped(fits)) {
    fits <- c(fits, list(cwm_candidate_of(length(fits) + 1, all)))
  }
  if (spec$method != "em" || cwm_any_stopped(fits)) return(fits)
  cwm_never_worse(fits, grid, input, spec, call)
}

# After an interrupt the candidates that are not back count as interrupted: the first of them is
# begun here, in no time, to say so.
cwm_candidates_there <- function(all, BPPARAM) {
  all$spec["BPPARAM"] <- list(NULL)
  fits <- list()
  collect <- function(fit) fits <<- c(fits, list(fit))
  stream_items(one_by_one(seq_len(nrow(all$grid))), cwm_candidate_of, all, collect, BPPARAM)
  if (length(fits) == nrow(all$grid)) return(fits)
  all$spec$deadline <- 0
  next_one <- cwm_candidate_of(length(fits) + 1, all)
  next_one$convergence$status <- "interrupted"
  c(fits, list(next_one))
}

# Candidate i, here or in a worker; common: the grid of all, input, spec, call.
cwm_candidate_of <- function(i, common, stop_sign = NULL) {
  common$spec$control$stop_sign <- stop_sign
  fit <- cwm_candidate(common$input, common$spec, common$call, common$grid$k[i],
                       common$grid$covariance[i])
  fit$control$stop_sign <- NULL
  fit
}

cwm_any_stopped <- function(fits) {
  any(vapply(fits, function(fit) is_stopped(fit$convergence$status), NA))
}

# A fit in what is left of the time for all of them.
cwm_candidate <- function(input, spec, call, k, covariance) {
  limit <- spec$control$time_limit
  spec$control$time_limit <- max(spec$deadline - as.numeric(Sys.time()), 0)
  fit <- cwm_one(input, spec, call, k, covariance)
  fit$control$time_limit <- limit
  fit
}

# One row per candidate; of those that did not begin nothing is known but why.
cwm_candidate_table <- function(fits, grid, method) {
  table <- do.call(rbind, lapply(fits, glance_row))
  table$degenerate <- vapply(fits, function(fit) isTRUE(fit$degenerate), NA)
  rest <- seq_len(nrow(grid))[-seq_along(fits)]
  unknown <- table[rep(NA_integer_, length(rest)), ]
  shared <- c("model", "method", "nobs", "converged", "status")
  unknown[shared] <- table[rep(nrow(table), length(rest)), shared]
  unknown$k <- grid$k[rest]
  table <- rbind(table, unknown)
  rownames(table) <- NULL
  table$covariance <- grid$covariance
  table$k_max <- if (method == "vb") grid$k
  table[c(setdiff(names(table), "degenerate"), "degenerate")]
}

# Another cluster cannot lower the maximum. Where it seems to, the starts missed it: those that
# split a cluster of the smaller fit do not.
cwm_never_worse <- function(fits, grid, input, spec, call) {
  key <- paste(grid$k, grid$covariance)
  for (i in order(grid$k)) {
    before <- match(paste(grid$k[i] - 1, grid$covariance[i]), key)
    smaller <- if (!is.na(before)) fits[[before]]
    if (is.null(smaller) || smaller$degenerate || fits[[i]]$log_lik >= smaller$log_lik) next
    for (labels in cwm_splits(smaller, input)) {
      spec$start <- list(labels = labels)
      trial <- cwm_candidate(input, spec, call, grid$k[i], grid$covariance[i])
      if (cwm_any_stopped(list(trial))) {
        ended <- c("converged", "status", "reason")
        fits[[i]]$convergence[ended] <- trial$convergence[ended]
        return(fits)
      }
      better <- trial$log_lik > fits[[i]]$log_lik || fits[[i]]$degenerate
      if (!trial$degenerate && better) fits[[i]] <- trial
    }
  }
  fits
}

# Each cluster cut in two where its rows spread most.
cwm_splits <- function(fit, input) {
  points <- scale(cbind(input$x, fit$residual_values))
  points[is.na(points)] <- 0
  lapply(which(tabulate(fit$clusters, fit$k) > 1), function(j) {
    rows <- which(fit$clusters == j)
    own <- scale(points[rows, , drop = FALSE], scale = FALSE)
    along <- own %*% svd(crossprod(own), nv = 1)$v
    labels <- unname(fit$clusters)
    labels[rows[along > stats::median(along)]] <- fit$k + 1L
    labels
  })
}

# One fit by any engine.
cwm_one <- function(input, spec, call, k, covariance) {
  spec$prior <- cwm_resolve_prior(spec$prior, spec$method, k, input)
  run <- switch(spec$method, em = cwm_run_em, vb = cwm_run_vb, gibbs = cwm_run_gibbs)
  raw <- run(input, spec, k, covariance)
  if (cwm_is_misled(raw, spec)) return(cwm_one(input, cwm_anew(spec), call, k, covariance))
  cwm_new(raw, input, spec, call, k, covariance)
}

# Has a fit that goes on become degenerate? Had it not been stopped, it would have turned to the
# other starts then.
cwm_is_misled <- function(raw, spec) {
  several <- length(spec$control$resumed$starts$objective) > 1
  several && any(raw$degenerate) && !is_stopped(raw$trace$status) && raw$trace$status != "paused"
}

# The same fit from its beginning, to the sweep where this one would have ended. It does not pause:
# from there it would be misled again.
cwm_anew <- function(spec) {
  control <- spec$control
  sweeps <- as.double(behind(control$resumed)) + control$max_iterations
  spec$control$max_iterations <- as.integer(min(sweeps, .Machine$integer.max))
  spec$control["resumed"] <- list(NULL)
  spec$control$pauses <- NULL
  spec
}

# What the starts were worth. A fit that fell back on another than the best of them, but has not
# converged, may with more sweeps keep to the best. A pause leaves the last sweep where it was.
cwm_starts <- function(raw, resumed) {
  starts <- raw$starts
  if (!is.null(resumed$starts)) return(replace(resumed$starts, "complete", starts["complete"]))
  fell_back <- length(starts$objective) > 1 && starts$chosen != which.max(starts$objective)
  if (fell_back && !raw$trace$status %in% c("converged", "paused")) starts$complete <- FALSE
  starts
}

cwm_core_input <- function(input, spec, covariance) {
  resumed <- spec$control$resumed
  list(x = input$x, w = input$w, y = input$y, link = input$link, rows = input$rows,
       family = covariance, labels = spec$start$labels, values = spec$start$values,
       state = resumed$state$state, memory = resumed$state$memory,
       iteration = resumed$state$iteration)
}

cwm_run_em <- function(input, spec, k, covariance) {
  monitor <- new_monitor("cwm", spec$control, spec$verbose)
  raw <- cwm_fit_em(cwm_core_input(input, spec, covariance), k, spec$noise == "equal",
                    spec$control, spec$seed, spec$threads, spec$std_errors, monitor)
  raw$df <- cwm_df(k, ncol(input$x), ncol(input$w), ncol(input$y), covariance, spec$noise)
  raw
}

# Standard errors of a candidate that was chosen.
cwm_add_covariance <- function(fit, input, spec) {
  core <- cwm_core_input(input, spec, fit$covariance)
  core$state <- fit$state$state
  raw <- cwm_covariance(core, fit$k, spec$noise == "equal", spec$threads)
  fit$vcov <- cwm_order_covariance(raw, fit$order)
  fit
}

# From the engine's order of components to the user's.
cwm_order_covariance <- function(a, order) {
  if (is.null(a)) return(NULL)
  size <- nrow(a) %/% length(order)
  at <- rep(size * (order - 1), each = size) + seq_len(size)
  a[at, at, drop = FALSE]
}

# Free parameters.
cwm_df <- function(k, d, r, m, covariance, noise) {
  spread <- switch(covariance, EII = 1, VII = k, EEI = d, VVI = k * d, EEE = d * (d + 1) / 2,
                   VVV = k * d * (d + 1) / 2)
  if (d == 0) spread <- 0
  k - 1 + k * d + spread + k * r * m + (if (noise == "equal") 1 else k) * m * (m + 1) / 2
}

# ---- the object -------------------------------------------------------------

# Clusters are numbered by decreasing size; `order` takes the engine's numbering to that.
cwm_new <- function(raw, input, spec, call, k, covariance) {
  order <- raw$clusters$order
  estimate <- cwm_estimate(raw$estimate, order, input)
  trace <- raw$trace
  fit <- new_fit(
    "cwm", spec$method, call, estimate,
    cwm_join_traces(spec, trace), convergence_info(trace),
    cwm_stored_control(spec), input$info, nrow(input$x), raw$df,
    k = length(order), covariance = covariance, noise = spec$noise, log_lik = raw$log_lik,
    clusters = raw$clusters$labels, responsibilities = raw$clusters$responsibilities,
    posterior = raw$posterior, prior = spec$prior,
    starts = cwm_starts(raw, spec$control$resumed), design = input$slim,
    degenerate = any(raw$degenerate), deficient = raw$deficient[order], order = order,
    floor = lapply(list(degenerate = raw$degenerate, noise = raw$at_floor),
                   function(flags) which(as.logical(flags[order]))),
    candidates_k = k, std_errors = spec$std_errors,
    state = raw$gibbs_state %||%
      list(state = raw$state, memory = raw$memory, iteration = trace$iterations))
  fit$vcov <- cwm_order_covariance(raw$covariance, order)
  fit$similarity <- raw$similarity
  if (spec$method == "gibbs") fit$posterior <- list(draws = cwm_bind_draws(raw, estimate))
  if (spec$method == "vb") fit$bound <- raw$bound
  fit$icl <- if (!is.null(fit$log_lik)) cwm_icl(fit, raw$clusters$entropy)
  fit$mixture <- raw$mixture
  cwm_add_fitted(fit, raw$fitted, input, spec)
}

cwm_join_traces <- function(spec, trace) {
  if (spec$method == "gibbs") return(objective_frame(trace)) # of all kept sweeps already
  join_traces(spec$control$resumed, objective_frame(trace))
}

cwm_bind_draws <- function(raw, estimate) {
  names <- c(parameter_names(cwm_terms(estimate)), "log_likelihood", "occupied")
  bind_chains(raw$posterior$chains, names)
}

cwm_stored_control <- function(spec) {
  control <- spec$control
  control$resumed <- NULL
  control$seed <- spec$seed
  control$threads <- spec$threads
  control
}

# Integrated classification likelihood, on BIC's scale (smaller is better).
cwm_icl <- function(fit, entropy) -2 * fit$log_lik + log(fit$nobs) * fit$df + 2 * entropy

cwm_estimate <- function(raw, order, input) {
  k <- length(order)
  label <- as.character(seq_len(k))
  x <- colnames(input$x)
  w <- colnames(input$w)
  y <- colnames(input$y)
  coefs <- cwm_unstack(raw$coef, order, w, y)
  one <- function(j) matrix(coefs[, , j], length(w), length(y), dimnames = list(w, y))
  list(weights = stats::setNames(raw$weight[order], label),
       means = matrix(t(raw$mean)[order, , drop = FALSE], k, length(x), dimnames = list(label, x)),
       covariances = cwm_unstack(raw$covariance, order, x, x),
       coefficients = stats::setNames(lapply(seq_len(k), one), label),
       noise = cwm_unstack(raw$noise, order, y, y))
}

# Matrices side by side as an array, components last and reordered.
cwm_unstack <- function(a, order, rows, columns) {
  size <- c(length(rows), length(columns))
  names <- list(rows, columns, as.character(seq_along(order)))
  if (prod(size) == 0) return(array(0, c(size, length(order)), names))
  out <- array(a, c(size, ncol(a) / size[2]))[, , order, drop = FALSE]
  dimnames(out) <- names
  out
}

# E(y | x) of the training rows: from the engine (EM, given what is seen of x), or the prediction,
# which does not exist where covariates are missing.
cwm_add_fitted <- function(fit, fitted, input, spec) {
  if (ncol(input$y) == 0) return(fit)
  if (is.null(fitted)) {
    fitted <- cwm_predict_core(fit, input$x, input$w, input$y, "response", threads = spec$threads)
    fitted[is.nan(fitted)] <- NA
    dimnames(fitted) <- list(input$rows, colnames(input$y))
  }
  fit$fitted_values <- fitted
  fit$residual_values <- input$y - fitted
  dimnames(fit$residual_values) <- dimnames(fitted)
  fit
}

cwm_warn_degenerate <- function(fit) {
  line <- cwm_floor_line(fit)[1]
  if (isTRUE(fit$degenerate)) {
    warning("cwm: ", line, "; try fewer clusters, noise = \"equal\", or covariance = \"EEE\" or ",
            "\"EII\"", call. = FALSE)
  }
  invisible(fit)
}

describe_fit.cwm <- function(fit) {
  m <- ncol(fit$fitted_values %||% matrix(0, 0, 0))
  d <- ncol(fit$estimate$means)
  lacking <- if (m > 0) sum(rowSums(is.na(fit$residual_values)) > 0) else 0
  data <- sprintf("%d rows%s; %s; %s", fit$nobs,
                  if (lacking > 0) sprintf(" (%d without all responses)", lacking) else "",
                  if (d > 0) sprintf("%d clustering covariate%s (%s)", d, plural(d),
                                     toString(colnames(fit$estimate$means))) else
                    "no clustering covariates (a mixture of regressions)",
                  if (m > 0) sprintf("response%s %s", plural(m),
                                     toString(colnames(fit$fitted_values))) else
                    "no response (a Gaussian mixture)")
  found <- sprintf("%d cluster%s of sizes %s; covariance %s, noise %s", fit$k, plural(fit$k),
                   toString(tabulate(fit$clusters, fit$k)), fit$covariance, fit$noise)
  c(data, found, cwm_choice_line(fit), cwm_floor_line(fit))
}

plural <- function(n) if (n == 1) "" else "s"

cwm_choice_line <- function(fit) {
  if (!is.null(fit$candidates)) {
    return(sprintf("chosen by %s among %d candidates; see glance(fit, all = TRUE)",
                   if (fit$method == "em") "BIC" else "the bound", nrow(fit$candidates)))
  }
  if (fit$method == "vb") {
    sprintf("%d of at most %d components are in use", fit$k, fit$candidates_k)
  }
}

# In words: components that a few rows have caught, and regressions without noise that are believed.
cwm_floor_line <- function(fit) {
  bad <- fit$floor$degenerate
  exact <- setdiff(fit$floor$noise, bad)
  named <- function(at) paste(if (length(at) == 1) "cluster" else "clusters", toString(at))
  c(if (length(bad) > 0) {
    paste(named(bad), "at the floor of the variances: identical rows, a plane, rows that happen to",
          "lie on a line, or too few rows; do not trust it")
  }, if (length(exact) > 0) {
    paste0("no noise is left in ", named(exact), ": the responses follow the regression exactly")
  })
}

# ---- registration -----------------------------------------------------------

register_model(
  "cwm", title = "Gaussian mixture with a regression inside each cluster",
  engines = c("em", "vb", "gibbs"), fit = cwm,
  example = function() {
    data <- with_seed(2, simulate_cwm_forum(120, noise_sd = 0.5))$data
    list(formula = y ~ x1, data = data, k = 4) # slow to converge, as resume() tests need
  },
  newdata = function(args) list(newdata = args$data)
)
