# mmash: multivariate multiple regression with a mixture-of-normals prior on the effects (M&M ASH).

# ---- 1. the call --------------------------------------------------------------------------------

#' Multivariate multiple regression with an adaptive-shrinkage prior (M&M ASH)
#'
#' Estimates the effects of all variants on all conditions together, sharing information across
#' conditions by a mixture of multivariate normals whose weights are learned.
#'
#' \deqn{Y = X B + E, \quad rows of E \sim N(0, \Sigma), \quad
#' row \beta_p of B \sim \sum_t \pi_t N(0, V_t)}
#' with `V_t` the matrices of the prior times its squared scales, and an exact zero. An intercept
#' is always there. `"vb"` maximises the lower bound over
#' \eqn{q(B) = \prod_p \sum_t \alpha_{pt} N(\mu_{pt}, S_{pt})}, variant after variant; weights and
#' residual covariance are updated after each sweep, the latter from the expected residual
#' cross-product \eqn{[R'R + \sum_p d_p Cov(\beta_p)] / N}. `"gibbs"` samples component and effect
#' of each variant, the weights and the residual covariance (see the section on its priors). `"em"`
#' looks at one variant at a time, as mash does on the estimates of an association scan: it is
#' empirical Bayes on the exact likelihood of each estimate, equal to the others when the variants
#' are uncorrelated. It learns the weights alone and takes the covariance of the responses for that
#' of the residuals; correlated variants each show the effect that they share, and `fitted()` and
#' `predict()` add all of them up. Its objective is the sum of the log likelihoods of the variants,
#' each alone: no likelihood of the data, and so without `logLik()`, AIC and BIC.
#'
#' **Missing responses** (`NA` in `y`) are integrated out exactly, pattern by pattern of the
#' conditions observed; as each variant then has a precision of its own, a fit takes about ten
#' times as long as one without gaps. Samples without any response are left out. **A variant that
#' does not vary** stays in the result with effect 0 and the prior as its posterior. **The null
#' penalty** is the Dirichlet parameter of the weight of the exact zero, as in mash: without it (1)
#' the weight is not identified against the smallest scales, and `1 - weight` and `pip()` are no
#' inclusion probabilities. `objective()` includes its log density, `(penalty - 1) log(weight)`,
#' where the weights are learned; with `update = "none"` or `"residual"` the penalty changes
#' nothing.
#'
#' **Credible sets** are found with the fit: for each signal the posterior of its single causal
#' variant, given all other signals.
#'
#' **Names**: a variant without a name, or with an empty one, is `variant<column>`, a condition
#' `condition<column>`; of variants that share a name the second `"rs1"` is `"rs1.1"`, and a message
#' says so. Conditions are found by their names wherever both sides have names.
#'
#' **A fit has converged** when a sweep gains less than `tolerance` per number observed and moves no
#' effect by more than 1000 `parameter_tolerance` standard errors, nor a weight by more than that:
#' the units of the responses do not matter. Of the sweeps' slow part, the weights, many steps of EM
#' are taken at once on the Bayes factors of the last sweep, and kept if the next sweep finds the
#' bound higher. These steps, and extrapolations that are kept short, do not amplify rounding:
#' individual data, their sufficient statistics and permuted samples give the same answer. A fit
#' that was stopped reports the weights and the residual covariance that its last sweep used.
#'
#' **A residual variance** is at least 1e-8 of the variance of the responses, in every
#' direction: responses without noise, and conditions that are nearly combinations of others, would
#' else let the likelihood grow without bound.
#'
#' @param x Genotypes: a matrix or data frame samples x variants; a sparse Matrix or a DelayedMatrix
#'   (whole numbers are kept in one byte, or where they are not 0); a SnpMatrix; the path of a PLINK
#'   `.bed` file with its `.bim` and `.fam`, read through a memory map, two bits a genotype;
#'   the path of a `.vcf` file (plain or compressed by bgzip) or a VCF object of VariantAnnotation,
#'   of which dosages (`DS`) or else calls (`GT`) of alleles other than the reference are counted;
#'   or [suff_stats()] / [summary_stats()]. For BGEN and other formats the error names the command
#'   that makes a `.bed` file of them.
#' @param y Responses: a matrix samples x conditions, a vector, or a SummarizedExperiment
#'   (conditions x samples). `NA` allowed.
#' @param prior From [mash_prior()]. Default `mash_prior(y, X = x)`.
#' @param residual The residual covariance: a J x J matrix, which is kept; or `"full"` (default),
#'   `"diagonal"`, or [low_rank()], which are learned. `low_rank("auto")` is chosen by variational
#'   fits also for `"gibbs"`.
#' @param method `"vb"` (default), `"em"` or `"gibbs"`.
#' @param covariates Matrix or data frame that is regressed out of both `x` and `y`.
#' @param standardize Scale the variants to standard deviation 1, so that the prior is one of
#'   effects per standard deviation? Default `FALSE`. `coef()` is on the input scale always.
#' @param penalty Dirichlet parameter of the null weight, at least 1 (no penalty). Default 10.
#' @param update What is learned, any of `"weights"`, `"residual"`; `"none"`. Default both, but a
#'   residual given as a matrix is kept unless named here.
#' @param order Order of the variants in a sweep: `"columns"` (default), `"random"` (drawn once,
#'   from the seed), or a permutation.
#' @param missing_x Missing genotypes: `"error"` (default), or `"mean"` to put the mean of the
#'   variant in their place.
#' @param storage `"double"` or `"int8"` (whole numbers, one byte each). Default: as they come.
#' @param allele Allele counted in a `.bed` file: the `"second"` of the `.bim` file (default, as
#'   snpStats reads them) or the `"first"` (as PLINK's additive coding).
#' @param assay Name of the assay of an experiment. Default `"counts"`, with a message where there
#'   are others, else the only one.
#' @param control Settings from [vb_control()], [em_control()] or [gibbs_control()]. `start` may be
#'   an earlier fit or `list(coef = P x J, weights =, residual =)`, each element optional. Without
#'   a start, effects start at 0 and weights are those of the prior or all equal. With
#'   `accelerate = TRUE` and weights not given, the solutions of a group lasso for `restarts - 1`
#'   penalties are tried too, each with the weights and the residual covariance that belong to it:
#'   with correlated variants the bound has many local maxima. See the section on starts.
#' @param seed,threads,verbose As everywhere: see [nbmix()].
#' @param ... Nothing: an unknown name is an error.
#' @return A fit: see [accessors], [tidiers] and [lfsr()]. `coef()` is (P + 1) x J with the
#'   intercept first. `fit$estimate` has `weights` (named by matrix and scale),
#'   `residual_covariance`, `coefficients` and, with covariates, their `covariates` x J
#'   coefficients; `tidy()` has the columns `variant, condition, term, estimate, std.error,
#'   prob_positive, prob_negative, lfsr, pip`.
#' @section Priors of the sampler: With `v` the diagonal of the residual covariance where the chains
#'   start (that of the responses, unless `start` says otherwise), each prior mean of a residual
#'   variance is `v`: `"full"` is inverse Wishart with J + 2 degrees of freedom and scale `diag(v)`,
#'   `"diagonal"` inverse gamma(3/2, v/2). For `low_rank(q)` it is the mean of `v`: half of it from
#'   sigma2 ~ inverse gamma(3/2, mean(v)/4), half from elements of `W` ~ N(0, mean(v)/(2q)). The
#'   weights are Dirichlet: `penalty` for the null, 1/(number of others) for each of the others.
#'   Intercept and coefficients of the covariates have flat priors and are integrated out; missing
#'   responses are integrated out of the draws of effects and drawn for that of the residual.
#' @section Few samples: a `"full"` residual covariance that is learned from few samples for its
#'   number of conditions leaves room for effects that are noise. In 12 data sets of 40 samples, 100
#'   variants and 10 conditions without any effect, 11 fits called some at `lfsr < .05`, and 10 by
#'   the Gibbs sampler; with `"diagonal"` 3, with `low_rank(1)` 1, with the known covariance none,
#'   and with `"full"` and `penalty = 1000` 2 (`scripts/calibration/mmash.R` of the installed
#'   package). Below 10 samples per condition `mmash()` warns.
#' @section Starts: the bound takes correlated effects as independent given the data, and so falls
#'   short of the log evidence by the more the more of them it holds: among its local maxima the
#'   highest is one that leaves effects out. Starts are compared, in rounds of short runs, by the
#'   bound plus this gap, which is a log determinant where the posterior is close to normal
#'   (`fit$starts$objective`). The climb from the best of them maximises the bound alone;
#'   `objective()`, the number of iterations and `max_iterations` are those of this last climb;
#'   `time_limit` and interrupts hold for the starts too (`fit$starts$complete` is then `FALSE`, and
#'   [resume()] compares the starts again).
#' @section Errors: a condition without data or, unless `residual` is a matrix, without variation;
#'   conditions that depend on one another linearly or have the same name; a residual covariance or
#'   a prior for other conditions (where names are given, their order does not matter); sample names
#'   that differ; missing or infinite genotypes; a prior of another size; a residual covariance that
#'   is not positive definite; a `.bed` file that is cut short or none.
#' @references Morgante, Carbonetto, Wang, Zou, Sarkar and Stephens (2023) A flexible empirical
#'   Bayes approach to multivariate multiple regression, and its improved accuracy in predicting
#'   multi-tissue gene expression from genotypes. PLoS Genetics 19:e1010539.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(4000, 2, .3), 100)
#' Y <- cbind(a = X[, 3], b = X[, 3] + X[, 20]) + matrix(rnorm(200), 100)
#' fit <- mmash(X, Y, seed = 1)
#' fit
#' credible_sets(fit)
#' @export
mmash <- function(x, y = NULL, prior = NULL, residual = "full", method = c("vb", "em", "gibbs"),
                  covariates = NULL, standardize = FALSE, penalty = 10, update = NULL,
                  order = "columns", missing_x = c("error", "mean"), storage = NULL,
                  allele = c("second", "first"), assay = NULL, control = NULL, seed = NULL,
                  threads = NULL, verbose = interactive(), ...) {
  check_no_dots(list(...), "mmash", names(formals()))
  settings <- mmash_settings(method, standardize, penalty, order, missing_x, storage, allele, assay,
                             control, seed, threads, verbose)
  data <- mmash_data(x, y, covariates, settings)
  inputs <- mmash_bridge(data, prior, residual, update, settings)
  fit <- with_checkpoints("mmash", inputs$control, mmash_key(inputs), function(control) {
    inputs$control <- control
    mmash_run(inputs)
  }, pausable = !identical(inputs$residual$rank, "auto"))
  call <- match.call(expand.dots = FALSE)
  call[[1]] <- as.name("mmash")
  fit$call <- small_call(call)
  warn_few_samples(fit)
  warn_unconverged(fit)
}

# ---- 2. bridge ----------------------------------------------------------------------------------

# What the answer depends on beside the settings of the engine.
mmash_key <- function(inputs) {
  list(data = inputs$data$info$hash, prior = inputs$prior, residual = inputs$residual,
       update = inputs$learned, covariates = inputs$data$covariates,
       settings = inputs[c("method", "standardize", "penalty", "order", "missing_x")])
}

mmash_settings <- function(method, standardize, penalty, order, missing_x, storage, allele, assay,
                           control, seed, threads, verbose) {
  fun <- "mmash"
  method <- check_choice(method, c("vb", "em", "gibbs"), fun, "method")
  control <- resolve_control(control, method, fun)
  control$seed <- resolve_seed(seed %||% saved_seed(control), fun)
  list(method = method, standardize = check_flag(standardize, fun, "standardize"),
       penalty = check_penalty(penalty, fun), order = order,
       missing_x = check_choice(missing_x, c("error", "mean"), fun, "missing_x"),
       storage = if (!is.null(storage)) check_choice(storage, c("double", "int8"), fun, "storage"),
       allele = check_choice(allele, c("second", "first"), fun, "allele"), assay = assay,
       control = control, threads = resolve_threads(threads, fun),
       verbose = check_flag(verbose, fun, "verbose"))
}

check_penalty <- function(penalty, fun) {
  penalty <- check_number(penalty, fun, "penalty", 1)
  if (is.infinite(penalty)) abort_arg(fun, "penalty", "finite", "Inf", "update = \"none\"")
  penalty
}

# Everything about the data: `input` is what the core reads.
mmash_data <- function(x, y, covariates, settings) {
  source <- mmash_source(x, "mmash", settings)
  order <- mmash_order(settings$order, source$cols, settings$control)
  tell_shared_names(source$variants, "mmash")
  if (source$kind == "gram") {
    if (!is.null(y) || !is.null(covariates)) {
      arg <- if (is.null(y)) "covariates" else "y"
      abort_arg("mmash", arg, "left out beside sufficient statistics",
                describe_value(y %||% covariates))
    }
    return(list(input = mmash_gram(source, settings$standardize, order), source = source,
                order = order, conditions = source$stats$conditions,
                info = describe_data(x, c(source$rows, source$cols),
                                     list(NULL, source$variants))))
  }
  if (is.null(y)) abort_arg("mmash", "y", "a numeric matrix samples x conditions", "NULL")
  y <- mmash_response(y, source, "mmash", settings$assay)
  covariates <- mmash_covariates(covariates, source, "mmash")
  input <- mmash_individual(source, y, covariates, settings$standardize, order)
  info <- describe_data(list(hashed_file(x, source), y), c(source$rows, source$cols),
                        list(source$samples, source$variants))
  info$response <- data_hash(unname(y))
  conditions <- condition_names(colnames(y), ncol(y))
  colnames(y) <- as.vector(conditions)
  list(input = input, source = source, order = order, conditions = conditions, y = y,
       covariates = covariates, info = info)
}

# What stands for the genotypes in the hash of the data: a path says nothing of what is in the file.
hashed_file <- function(x, source) {
  file <- if (source$kind == "bed") source$x else if (is.character(x)) x
  if (is.null(file)) x else rlang::hash_file(file)
}

mmash_order <- function(order, size, control) {
  if (!is.null(control$resumed)) return(control$resumed$order)
  if (identical(order, "columns")) return(seq_len(size))
  if (identical(order, "random")) return(with_seed_of(control$seed, sample.int(size)))
  if (!is.numeric(order) || length(order) != size || !setequal(order, seq_len(size))) {
    abort_arg("mmash", "order", sprintf("\"columns\", \"random\" or a permutation of 1:%d", size),
              describe_value(order))
  }
  as.integer(order)
}

# Runs code under a seed and puts R's generator back as it was.
with_seed_of <- function(seed, code) {
  old <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit(if (is.null(old)) rm(".Random.seed", envir = globalenv()) else
    assign(".Random.seed", old, globalenv()))
  set.seed(seed)
  code
}

mmash_bridge <- function(data, prior, residual, update, settings) {
  residual <- resolve_residual(residual, data$conditions, "mmash")
  check_varying(data$input, residual, data$conditions, "mmash")
  prior <- prior %||% default_prior(data)
  if (!inherits(prior, "mash_prior")) {
    abort_arg("mmash", "prior", "made by mash_prior()", describe_value(prior))
  }
  prior <- fitting_prior(prior, data, settings$standardize)
  learned <- mmash_update(update, residual, settings$method)
  penalty <- if (prior$null) settings$penalty else 1
  inputs <- c(settings, list(data = data, input = data$input, prior = prior, residual = residual,
                             learned = learned, core = prior_core(prior, penalty)))
  inputs$penalty <- penalty
  inputs
}

# The prior with its matrices in the order of the conditions of the data.
fitting_prior <- function(prior, data, standardize) {
  size <- length(data$conditions)
  if (nrow(prior$matrices[[1]]) != size) {
    abort_arg("mmash", "prior", sprintf("one for %d conditions", size),
              sprintf("one for %d", nrow(prior$matrices[[1]])))
  }
  either_way <- isTRUE(data$source$stats$standardized) # by z scores
  if (isTRUE(prior$from_data) && prior$standardize != standardize && !either_way) {
    warning(sprintf("mmash: the prior was made with standardize = %s, the fit has %s",
                    prior$standardize, standardize), ": its scales are those of other effects",
            call. = FALSE)
  }
  at <- match_conditions(prior$conditions, data$conditions, "mmash", "prior")
  if (!is.null(at)) prior$matrices <- lapply(prior$matrices, function(u) u[at, at, drop = FALSE])
  if (!is.null(at)) prior$conditions <- stated_names(data$conditions)
  prior
}

# Where in `given` the conditions of the data are; NULL: as they are (no names, the same, or others
# than those that were made up).
match_conditions <- function(given, conditions, fun, arg) {
  if (is.null(given) || is.null(conditions) || identical(given, as.vector(conditions))) return(NULL)
  if (is.null(stated_names(conditions)) && !setequal(given, conditions)) return(NULL)
  at <- match(conditions, given)
  if (anyNA(at) || anyDuplicated(given)) {
    abort_arg(fun, arg, sprintf("one for the conditions %s", toString(conditions, width = 60)),
              sprintf("one for %s", toString(given, width = 60)),
              if (length(given) == length(conditions)) "unname() if only the names differ")
  }
  at
}

# The names of `size` conditions, which remember whether somebody gave them.
condition_names <- function(names, size) {
  structure(filled_names(names, "condition", size), given = !is.null(names))
}

stated_names <- function(conditions) {
  if (!isFALSE(attr(conditions, "given"))) as.vector(conditions)
}

# A prior from the data that are at hand already.
default_prior <- function(data) {
  effects <- marginal_effects(data$input)
  if (nrow(effects$bhat) == 0) {
    if (any(colSums(!is.na(data$y)) < 3)) {
      abort_arg("mmash", "y", "observed three times in every condition for a default prior",
                "fewer values", "prior = mash_prior(matrices = , grid = )")
    }
    abort_arg("mmash", "x", "with variants that vary", "none")
  }
  new_mash_prior(canonical_matrices(data$conditions), data_grid(effects), TRUE, NULL,
                 data$input$standardize, stated_names(data$conditions), TRUE)
}

mmash_update <- function(update, residual, method) {
  known <- c("weights", "residual")
  if (is.null(update)) {
    update <- if (residual$kind == "fixed" || method == "em") "weights" else known
  }
  if (identical(update, "none")) update <- character()
  if (!is.character(update) || !all(update %in% known)) {
    abort_arg("mmash", "update", "any of \"weights\", \"residual\", or \"none\"",
              if (is.character(update)) toString(dQuote(update, FALSE)) else describe_value(update))
  }
  if (method == "em" && "residual" %in% update) {
    abort_arg("mmash", "update", "without \"residual\" for method = \"em\"", "\"residual\"",
              "method = \"vb\"")
  }
  list(weights = "weights" %in% update, residual = "residual" %in% update)
}

# Where the fit starts: a state to go on from, or effects (order of the sweep), weights, residual.
mmash_start <- function(inputs, residual = inputs$residual) {
  resumed <- inputs$control$resumed
  if (!is.null(resumed)) return(resumed$state)
  start <- mmash_start_values(inputs$control$start)
  size <- c(inputs$input$cols, length(inputs$data$conditions))
  mean <- if (is.null(start$coef)) array(0, size) else start_effects(start$coef, size, inputs$data)
  sigma <- if (is.null(start$residual)) {
    residual_part(check_start_residual(start_residual(residual, inputs$input), inputs$method,
                                       "mmash"), residual)
  } else {
    of_family(check_residual(start$residual, inputs$data$conditions, "mmash", "start$residual"),
              residual, inputs)
  }
  weights <- check_prior_weights(start$weights, inputs$prior, "mmash", "start$weights",
                                 "list(coef = coef(fit)[-1, ]) where the prior is another") %||%
    inputs$prior$weights
  path <- if (is.null(start$coef) && is.null(weights)) path_length(inputs) else 0L
  parts <- length(prior_components(inputs$prior))
  list(mean = unname(mean), weights = unname(weights %||% rep(1 / parts, parts)), sigma = sigma,
       path = path)
}

# In the order of the sweep and of the conditions.
start_effects <- function(coef, size, data) {
  coef <- check_block(coef, size[1], size[2], "mmash", "start$coef")
  at <- match_conditions(colnames(coef), data$conditions, "mmash", "start$coef")
  coef[data$order, at %||% seq_len(size[2]), drop = FALSE]
}

# Starts along the penalised path: `restarts` less the one at zero. None for plain coordinate
# ascent, and none where a sweep over so many genotypes would take minutes.
path_length <- function(inputs, limit = 2e8) {
  control <- inputs$control
  plain <- inputs$method != "vb" || !isTRUE(control$accelerate)
  if (plain || inputs$input$n * inputs$input$cols > limit) 0L else control$restarts - 1L
}

mmash_start_values <- function(start) {
  if (is.null(start)) return(list())
  if (inherits(start, "mmash")) {
    named <- !is.null(stated_names(start$input$conditions))
    as_named <- if (named) identity else unname
    return(list(coef = as_named(start$estimate$coefficients[-1, , drop = FALSE]),
                weights = start$estimate$weights,
                residual = as_named(start$estimate$residual_covariance)))
  }
  if (is.matrix(start)) start <- list(coef = start)
  known <- c("coef", "weights", "residual")
  if (!is.list(start) || length(start) == 0 || !all(names(start) %in% known)) {
    abort_arg("mmash", "start", "an earlier fit of mmash() or list(coef =, weights =, residual =)",
              describe_value(start))
  }
  start
}

mmash_core_settings <- function(inputs, rank = inputs$residual$rank) {
  list(learn_weights = inputs$learned$weights, learn_residual = inputs$learned$residual,
       marginal = inputs$method == "em", signals = inputs$method != "em", rank = as.integer(rank),
       residual = if (inputs$residual$kind == "fixed") "full" else inputs$residual$kind)
}

# ---- 3. fit and constructor ---------------------------------------------------------------------

mmash_run <- function(inputs) {
  if (identical(inputs$residual$rank, "auto")) return(mmash_auto_rank(inputs))
  if (inputs$method == "gibbs") return(mmash_gibbs_run(inputs))
  mmash_ascent(inputs, mmash_start(inputs))
}

mmash_ascent <- function(inputs, start) {
  monitor <- new_monitor("mmash", inputs$control, inputs$verbose)
  clock <- stopwatch()
  out <- mmash_fit(inputs$input, inputs$core, start, mmash_core_settings(inputs), inputs$control,
                   monitor, inputs$threads)
  out$trace$seconds <- whole_seconds(out$trace$seconds, clock()) # the starts were before the trace
  new_mmash(out, inputs)
}

# The rank of least BIC.
mmash_auto_rank <- function(inputs) {
  resumed <- inputs$control$resumed
  if (!is.null(resumed)) {
    inputs$residual$rank <- resumed$rank
    out <- mmash_run(inputs)
    out$candidates <- resumed$candidates
    out$bic <- mmash_candidate(out, out$rank)$BIC
    return(out)
  }
  if (inputs$method == "gibbs") return(gibbs_auto_rank(inputs))
  clock <- stopwatch()
  tried <- try_ranks(inputs, clock)
  best <- tried$best
  best$control$time_limit <- inputs$control$time_limit
  best$candidates <- tried$rows
  best$bic <- min(tried$rows$BIC)
  best$objective$seconds <- whole_seconds(best$objective$seconds, clock()) # the other ranks'
  best
}

# Ranks 0, 1, ... while BIC falls, within one time limit. A fit that ran out of sweeps could still
# be better than the last: it does not end the search (and the choice counts as not converged).
try_ranks <- function(inputs, clock) {
  limit <- inputs$control$time_limit
  best <- rows <- NULL
  for (rank in seq_along(inputs$data$conditions) - 1L) {
    inputs$residual$rank <- rank
    inputs$control$time_limit <- max(limit - clock(), 0)
    fit <- mmash_run(inputs)
    rows <- rbind(rows, mmash_candidate(fit, rank))
    better <- rows$BIC[nrow(rows)] <= min(rows$BIC)
    if (better) best <- fit
    if (is_stopped(fit$convergence$status) || (!better && fit$convergence$converged)) break
  }
  list(best = best, rows = rows)
}

mmash_candidate <- function(fit, rank) {
  bound <- utils::tail(fit$objective$value, 1)
  data.frame(model = "mmash", method = fit$method, rank = rank, df = fit$df, nobs = fit$nobs,
             objective = bound, BIC = -2 * bound + log(fit$nobs) * fit$df,
             converged = fit$convergence$converged, status = fit$convergence$status,
             iterations = fit$convergence$iterations)
}

# Results come in the order of the sweep and leave in that of the input.
new_mmash <- function(out, inputs) {
  labels <- mmash_labels(inputs$data)
  back <- order(inputs$data$order)
  named <- function(m) `dimnames<-`(m[back, , drop = FALSE], labels)
  effects <- named(out$mean)
  fixed <- mmash_fixed(out, inputs$data)
  estimate <- list(
    weights = stats::setNames(out$weights, prior_components(inputs$prior)),
    residual_covariance = `dimnames<-`(out$sigma, labels[c(2, 2)]),
    coefficients = rbind("(Intercept)" = fixed$intercept, effects))
  estimate$covariates <- fixed$covariates
  posterior <- list(mean = effects, sd = named(out$sd), positive = named(out$positive),
                    negative = named(out$negative), zero = named(out$zero),
                    null = stats::setNames(out$null[back], labels[[1]]),
                    square = out$square[back], scale = out$scale[back])
  posterior$draws <- out$draws
  resumed <- inputs$control$resumed
  control <- inputs$control[setdiff(names(inputs$control), "resumed")]
  fit <- new_fit("mmash", inputs$method, NULL, estimate,
                 out$objective %||%
                   join_traces(resumed, objective_frame(out$trace)),
                 convergence_info(out$trace),
                 structure(control, class = class(inputs$control)), inputs$data$info,
                 inputs$input$n, mmash_df(inputs),
                 posterior = posterior, prior = inputs$prior, penalty = inputs$penalty,
                 residual = inputs$residual, order = inputs$data$order,
                 input = mmash_remembered(out, inputs, back),
                 starts = out$starts,
                 state = out[intersect(names(out), c("state", "progress", "patterns"))])
  if (inputs$residual$kind == "low_rank") fit$rank <- inputs$residual$rank
  fit$fitted <- mmash_fitted(out, inputs$data)
  fit$signals <- mmash_signals(out$signals, inputs$data$order)
  fit
}

# What predict() reads new data by.
mmash_remembered <- function(out, inputs, back) {
  means <- if (inputs$input$kind == "gram") inputs$data$source$stats$x_means else out$center[back]
  c(inputs[c("standardize", "missing_x", "allele", "assay")],
    list(means = means, covariates = inputs$data$covariates$design,
         conditions = inputs$data$conditions))
}

mmash_labels <- function(data) {
  list(variant_labels(data$source$variants, data$source$cols), as.vector(data$conditions))
}

mmash_df <- function(inputs) {
  size <- length(inputs$data$conditions)
  weights <- if (inputs$learned$weights) length(prior_components(inputs$prior)) - 1 else 0
  residual <- if (inputs$learned$residual) residual_df(inputs$residual, size) else 0
  if (inputs$learned$residual && inputs$residual$kind == "fixed") residual <- size * (size + 1) / 2
  weights + residual + size * (1 + ncol(inputs$input$basis %||% matrix(0, 0, 0)))
}

# Intercept and coefficients of the covariates on the scale of the input, from those on the
# orthonormal basis of the fit.
mmash_fixed <- function(out, data) {
  input <- data$input
  on_basis <- input$explained
  constant <- input$center
  if (length(input$patterns) > 0) {
    constant <- constant + out$fixed[1, ]
    on_basis <- out$fixed[-1, , drop = FALSE]
  }
  means <- if (input$kind == "gram") data$source$stats$x_means[data$order] else
    out$center
  constant <- constant - drop(crossprod(out$mean, means))
  if (is.null(data$covariates) || ncol(data$covariates$matrix) == 0) {
    return(list(intercept = constant))
  }
  used <- if (length(input$samples) > 0) input$samples + 1 else seq_len(input$rows)
  covariates <- data$covariates$matrix[used, , drop = FALSE]
  part <- input$basis %*% (on_basis - out$covariates)
  coefficients <- qr.coef(qr(scale(covariates, scale = FALSE)), part)
  coefficients[is.na(coefficients)] <- 0
  dimnames(coefficients) <- list(colnames(covariates), as.vector(data$conditions))
  list(intercept = constant - drop(colMeans(covariates) %*% coefficients),
       covariates = coefficients)
}

# N x J; NULL for sufficient statistics, NA for samples without any response.
mmash_fitted <- function(out, data) {
  input <- data$input
  if (input$kind == "gram") return(NULL)
  values <- sweep(input$y + input$basis %*% input$explained - out$residual, 2, input$center, "+")
  fitted <- array(NA_real_, dim(data$y), dimnames(data$y))
  used <- if (length(input$samples) > 0) input$samples + 1 else seq_len(nrow(data$y))
  fitted[used, ] <- values
  fitted
}

# ---- 4. register --------------------------------------------------------------------------------

mmash_example <- function() {
  d <- with_seed_of(7, simulate_mmash(60, 12, conditions = 3, causal = 2))
  prior <- mash_prior(matrices = list(same = matrix(1, 3, 3), any = diag(3)), grid = c(.2, 1))
  list(x = d$x, y = d$y, prior = prior)
}

register_model("mmash", "Multivariate regression with a mixture prior", c("em", "vb", "gibbs"),
               mmash, mmash_example, function(args) list(newx = args$x))
