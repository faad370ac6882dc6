# nbmix: mixtures of negative binomials for counts with size factors.

# ---- 1. generic and methods ---------------------------------------------------------------------

#' Mixtures of negative binomials for counts with size factors
#'
#' Fits, to the counts of one gene or of each gene on its own, a mixture of `k` negative binomials
#' by EM, variational Bayes or Gibbs sampling.
#'
#' For cell `i` with size factor `s_i`,
#' \deqn{z_i \sim Categorical(\pi), \quad \lambda_i | z_i = k \sim Gamma(1/\phi_k, rate =
#' 1/(\phi_k \mu_k)), \quad x_i | \lambda_i \sim Poisson(s_i \lambda_i),}
#' so that a count in component `k` has mean \eqn{s_i \mu_k} and variance
#' \eqn{s_i \mu_k + \phi_k s_i^2 \mu_k^2}. A dispersion \eqn{\phi_k} of 0 is the Poisson limit: it
#' is reported as exactly 0, without a standard error, when the score in \eqn{\phi} at 0 is not
#' positive. It still counts as a parameter: `df` is `3 k - 1`, plus 1 with `zero_inflated`.
#' Standard errors are `NA` too where the data do not determine a parameter: for components that
#' coincide, and for one whose counts are all zero, the mean of which runs to 0 and the dispersion
#' to the largest value that is fitted.
#'
#' Components are numbered by decreasing weight. The point mass of `zero_inflated = TRUE` is one
#' more component, with mean and dispersion 0, numbered among the others.
#'
#' **Many genes.** Each row of a matrix is fitted on its own, in parallel and in blocks; no more
#' than a block is ever made dense. A gene that cannot be fitted keeps its row in `glance()` with a
#' `status`: `all_zero`, `one_value` (all counts equal, and all size factors), `invalid` (a count
#' that is negative, fractional, missing or beyond 2^31), `not_converged`, `stopped` (interrupt or
#' time limit), `not_read` (its file went away during the fit). Genes are known by their names: the
#' second and third of the name `"A"` are called `"A.1"` and `"A.2"`, one without a name `"gene"`.
#' Responsibilities of many genes are kept only while genes x cells x components stays below half a
#' million; otherwise use `predict(fit, newdata = counts, type = "prob")`.
#'
#' **Stopped fits.** A fit that met its time limit or an interrupt is returned as it stands. Above
#' 50,000 cells it has no standard errors, entropy or ICL, for which all cells would have to be
#' gone through once more: `resume()` it to the end.
#'
#' **Starts** of `"em"` with one size factor and many distinct large counts make their
#' `short_iterations` on counts put together with their neighbours, and two fifths as many on all of
#' them, before the best goes on.
#'
#' **Priors** of `"vb"` and `"gibbs"` are described in [nbmix_prior()], which also says when the
#' intervals of `"vb"` are too narrow.
#'
#' @param x Counts: a vector (one gene), or genes x cells as a matrix, data frame, `dgCMatrix`,
#'   `DelayedMatrix`, `SummarizedExperiment` or `SingleCellExperiment`. 64-bit integers need the
#'   package bit64.
#' @param k Numbers of components to try, such as `2` or `1:3`; the best by `criterion` is kept,
#'   gene by gene. Default 1.
#' @param size_factors Positive numbers, one per cell; `"total"` for column sums over their mean
#'   (where one of them is missing or infinite, all are of the genes without status `invalid`); or
#'   the name of a column of `colData`. Default: `sizeFactors()` of a SingleCellExperiment that has
#'   them, else 1.
#' @param method `"em"` (maximum likelihood), `"vb"` or `"gibbs"`.
#' @param zero_inflated Add a point mass at zero? Default `FALSE`.
#' @param cox_reid Adjust the dispersion of a single component for the estimation of its mean
#'   (Cox and Reid 1987)? The adjustment is damped by .99 as in glmGamPoi. For `k = 1` and
#'   `method = "em"` only. Default `FALSE`.
#' @param criterion How `k` is chosen: `"BIC"` (default), `"ICL"`, `"AIC"`; for `"vb"` the
#'   evidence is used whatever is said here, see [nbmix_prior()].
#' @param prior See [nbmix_prior()].
#' @param control Settings from [em_control()], [vb_control()] or [gibbs_control()]. Its `start` may
#'   be an earlier fit (of many genes: matched by their names, a gene without a namesake of `k`
#'   components starts as if there were none), labels of the cells (numbers, names or a factor, the
#'   same for all genes), or `list(weight =, mean =, dispersion =)`. `k`, if it is left out, is
#'   that of the start.
#' @param seed Whole number that fixes every random choice. Default: drawn from R's generator.
#' @param threads Threads; results do not depend on it. Default 2.
#' @param verbose Show progress of long fits? Default in interactive use.
#' @param BPPARAM A BiocParallel back end over blocks of genes; `NULL` (default) or
#'   `SerialParam()` for threads alone. After an interrupt the blocks that are back
#'   from the workers are kept; the genes of the others, those being fitted included, are `stopped`.
#'   Workers on this machine then end within a second, others when their block is done.
#' @param assay Name of the assay of an experiment. Default `"counts"`, else the only one.
#' @param ... Nothing: an unknown name is an error.
#' @return A fit: see [accessors] and [tidiers]. `tidy()` has the columns `gene, component, term`
#'   (`"weight"`, `"mean"`, `"dispersion"`), `estimate, std.error`.
#' @section Errors: Counts of a vector that are negative, fractional, missing or infinite, size
#'   factors that are not positive, and a `k` above the number of cells are errors.
#' @references Sarkar and Stephens (2021) Separating measurement and expression models clarifies
#'   confusion in single-cell RNA sequencing analysis. Nature Genetics 53:770.
#'
#'   Louis (1982) Finding the observed information matrix when using the EM algorithm. Journal of
#'   the Royal Statistical Society B 44:226 (equation 3.2).
#'
#'   Cox and Reid (1987) Parameter orthogonality and approximate conditional inference. Journal of
#'   the Royal Statistical Society B 49:1.
#' @examples
#' set.seed(1)
#' cells <- simulate_nbmix(500, weights = c(.3, .7), means = c(5, 60), dispersions = c(.3, .1))
#' fit <- nbmix(cells$x, k = 1:3, seed = 1)
#' fit
#' tidy(fit, conf.int = TRUE)
#'
#' genes <- nbmix(pbmc_cells$counts[1:20, ], k = 1:2, seed = 1,
#'                size_factors = pbmc_cells$cells$size_factor)
#' head(glance(genes))
#' @export
nbmix <- function(x, ...) UseMethod("nbmix")

#' @rdname nbmix
#' @export
nbmix.default <- function(x, k = 1, size_factors = NULL, method = c("em", "vb", "gibbs"),
                          zero_inflated = FALSE, cox_reid = FALSE,
                          criterion = c("BIC", "ICL", "AIC"), prior = NULL, control = NULL,
                          seed = NULL, threads = NULL, verbose = interactive(), BPPARAM = NULL,
                          ...) {
  check_no_dots(list(...), "nbmix", names(formals()))
  source <- count_source(x, "nbmix")
  if (source$vector) check_counts(x, "nbmix")
  if (missing(k)) k <- NULL else nbmix_check_whole(k)
  inputs <- nbmix_bridge(source, size_factors, k, method, zero_inflated, cox_reid, criterion,
                         prior, control, seed, threads, verbose, BPPARAM)
  nbmix_fit(inputs, x, match.call(expand.dots = FALSE))
}

#' @rdname nbmix
#' @export
nbmix.SummarizedExperiment <- function(x, k = 1, size_factors = NULL,
                                       method = c("em", "vb", "gibbs"), zero_inflated = FALSE,
                                       cox_reid = FALSE, criterion = c("BIC", "ICL", "AIC"),
                                       prior = NULL, control = NULL, seed = NULL, threads = NULL,
                                       verbose = interactive(), BPPARAM = NULL, assay = NULL,
                                       ...) {
  check_no_dots(list(...), "nbmix", names(formals()))
  if (missing(k)) k <- NULL else nbmix_check_whole(k)
  counts <- se_assay(x, assay, "nbmix")
  source <- count_source(counts, "nbmix")
  size_factors <- resolve_size_factors(size_factors, source, "nbmix", se_size_factors(x),
                                       se_cells(x))
  inputs <- nbmix_bridge(source, size_factors, k, method, zero_inflated, cox_reid, criterion,
                         prior, control, seed, threads, verbose, BPPARAM)
  inputs["assay"] <- list(assay)
  nbmix_fit(inputs, x, match.call(expand.dots = FALSE))
}

# ---- 2. bridge ----------------------------------------------------------------------------------

# Everything that the fit needs, checked.
nbmix_bridge <- function(source, size_factors, k, method, zero_inflated, cox_reid, criterion,
                         prior, control, seed, threads, verbose, BPPARAM) {
  fun <- "nbmix"
  method <- check_choice(method, c("em", "vb", "gibbs"), fun, "method")
  out <- list(source = source, method = method, control = resolve_control(control, method, fun))
  out$zero_inflated <- check_flag(zero_inflated, fun, "zero_inflated")
  out$k <- nbmix_check_k(k %||% nbmix_start_size(out$control, out$zero_inflated), source$cells)
  out$cox_reid <- nbmix_check_cox_reid(cox_reid, out)
  out$criterion <- check_choice(criterion, c("BIC", "ICL", "AIC"), fun, "criterion")
  out$size_factors <- resolve_size_factors(size_factors, source, fun)
  out$prior <- nbmix_check_prior(prior, method)
  out$control$seed <- resolve_seed(seed %||% saved_seed(out$control), fun)
  out$threads <- resolve_threads(threads, fun)
  out$verbose <- check_flag(verbose, fun, "verbose")
  out$BPPARAM <- resolve_bpparam(BPPARAM, fun)
  out$start <- nbmix_start(out$control, out)
  if (out$method == "gibbs") nbmix_check_gibbs(out)
  out
}

nbmix_check_whole <- function(k) {
  must <- "whole numbers of at least 1, none twice"
  whole <- is.numeric(k) && length(k) > 0 && all(is.finite(k)) && all(k == round(k)) && all(k >= 1)
  if (!whole || anyDuplicated(k) > 0) abort_arg("nbmix", "k", must, list_values(k), "k = 1:3")
}

nbmix_check_k <- function(k, cells) {
  nbmix_check_whole(k)
  if (max(k) > cells) {
    abort_arg("nbmix", "k", sprintf("at most the number of cells (%d)", cells), format(max(k)))
  }
  sort(as.integer(k))
}

nbmix_check_cox_reid <- function(cox_reid, inputs) {
  cox_reid <- check_flag(cox_reid, "nbmix", "cox_reid")
  alone <- identical(inputs$k, 1L) && !inputs$zero_inflated && inputs$method == "em"
  if (cox_reid && !alone) {
    abort_arg("nbmix", "cox_reid", "FALSE unless k = 1, method = \"em\" and no zero inflation",
              "TRUE")
  }
  cox_reid
}

# Components of the start, for a call that does not say k.
nbmix_start_size <- function(control, zero_inflated) {
  start <- control$start
  if (!is.null(control$resumed)) return(control$resumed$k)
  if (inherits(start, "nbmix")) return(max(start$k, start$units$k, na.rm = TRUE))
  if (is.list(start)) return(max(length(start$weight) - zero_inflated, 1))
  if (is.null(start)) 1L else max(length(unique(start)), 1L)
}

# Where the genes start: nothing, one state for all as the core knows it (weights, log means,
# dispersions), list(genes = states by name), or list(labels = factor).
nbmix_start <- function(control, inputs) {
  if (!is.null(control$resumed)) return(control$resumed$state %||% list())
  start <- control$start
  if (is.null(start)) return(list())
  if (length(inputs$k) > 1) {
    abort_arg("nbmix", "k", "one number when a start is given", describe_value(inputs$k))
  }
  if (is.atomic(start)) return(list(labels = nbmix_check_labels(start, inputs)))
  if (inherits(start, "nbmix") && holds_units(start)) return(nbmix_genes_start(start, inputs))
  if (inherits(start, "nbmix")) {
    if (start$zero_inflated != inputs$zero_inflated) {
      abort_arg("nbmix", "start", sprintf("a fit %s a point mass at zero, as this one",
                                          if (inputs$zero_inflated) "with" else "without"),
                "another")
    }
    start <- start$estimate
  }
  size <- inputs$k + inputs$zero_inflated
  valid <- is.list(start) && all(c("weight", "mean", "dispersion") %in% names(start)) &&
    all(lengths(start[c("weight", "mean", "dispersion")]) == size)
  if (!valid) {
    abort_arg("nbmix", "start", sprintf(paste("an earlier fit, labels of the cells, or list(weight",
              "=, mean =, dispersion =) of %d values each"), size), describe_value(start))
  }
  if (!inherits(control$start, "nbmix")) nbmix_check_values(start, inputs)
  nbmix_pack_start(start)
}

# Values that the engines could not leave again, or that are another model.
nbmix_check_values <- function(start, inputs) {
  value <- function(name) {
    check_positive(start[[name]], "nbmix", paste0("start$", name), zero = TRUE)
  }
  weight <- check_positive(start$weight, "nbmix", "start$weight")
  mean <- value("mean")
  dispersion <- value("dispersion")
  points <- sum(mean == 0)
  if (points != inputs$zero_inflated) {
    must <- if (inputs$zero_inflated) "positive but for one 0, the point mass" else
      "positive unless zero_inflated = TRUE"
    abort_arg("nbmix", "start$mean", must, sprintf("%s equal to 0", count_of(points, "value")))
  }
  if (max(dispersion) > 1e6) {
    abort_arg("nbmix", "start$dispersion", "of at most 1e6", format(max(dispersion)))
  }
  parts <- data.frame(mean, dispersion)
  if (anyDuplicated(parts) > 0) {
    abort_arg("nbmix", "start", "of components that differ: from equal ones no sweep leads away",
              sprintf("component %d twice", anyDuplicated(parts)))
  }
}

nbmix_check_labels <- function(labels, inputs) {
  if (length(labels) != inputs$source$cells || anyNA(labels)) {
    abort_arg("nbmix", "start", "one label per cell, none missing",
              sprintf("%d labels", length(labels)))
  }
  labels <- factor(labels)
  if (nlevels(labels) != inputs$k) {
    abort_arg("nbmix", "start", sprintf("labels of k = %d components", inputs$k),
              sprintf("%d different labels", nlevels(labels)), "leaving 'k' out")
  }
  labels
}

# The states of the genes of an earlier fit that have as many parts as are wanted.
nbmix_genes_start <- function(fit, inputs) {
  e <- fit$estimate
  rows <- split(seq_len(nrow(e)), factor(e$gene, unique(e$gene)))
  rows <- rows[lengths(rows) == inputs$k + inputs$zero_inflated]
  list(genes = lapply(rows, function(at) {
    other <- sum(e$mean[at] == 0) != inputs$zero_inflated # another model, or a gene of zeros
    if (other) list() else nbmix_pack_start(e[at, ])
  }))
}

# The states of the genes of one block.
nbmix_block_starts <- function(inputs, rows, first) {
  start <- inputs$start
  if (length(start) == 0) return(list())
  genes <- length(rows$p) - 1
  if (!is.null(start$labels)) return(nbmix_label_starts(start$labels, rows, inputs))
  if (is.null(start$genes)) return(list(start))
  names <- source_gene_names(inputs$source)[first - 1 + seq_len(genes)]
  unname(lapply(names, function(name) start$genes[[name]] %||% list()))
}

nbmix_pack_start <- function(start) {
  weight <- check_positive(start$weight, "nbmix", "start$weight", zero = TRUE)
  mean <- check_positive(start$mean, "nbmix", "start$mean", zero = TRUE)
  dispersion <- check_positive(start$dispersion, "nbmix", "start$dispersion", zero = TRUE)
  point <- mean == 0
  list(weight = c(weight[!point], weight[point]) / sum(weight), log_mean = log(mean[!point]),
       dispersion = dispersion[!point])
}

# Moments of the cells of each label, gene by gene: with m = s mean, the dispersion is
# sum((x - m)^2 - x) / sum(m^2), of which the zeros need the sums of s and s^2 alone.
nbmix_label_starts <- function(labels, rows, inputs) {
  s <- inputs$size_factors
  genes <- length(rows$p) - 1
  gene <- factor(rep(seq_len(genes), diff(rows$p)), seq_len(genes))
  cell <- rows$i + 1
  sums <- function(v) unclass(tapply(v, list(gene, labels[cell]), sum, default = 0))
  total <- function(v) rep(as.vector(tapply(v, labels, sum)), each = genes)
  x <- replace(rows$x, !is.finite(rows$x), 0)
  mean <- pmax(sums(x), 0.5) / total(s)
  excess <- sums(x^2) - 2 * mean * sums(x * s[cell]) + mean^2 * total(s^2) - sums(x)
  dispersion <- pmin(pmax(excess / (mean^2 * total(s^2)), 0.01), 20)
  weight <- as.vector(table(labels)) / length(labels)
  if (inputs$zero_inflated) weight <- c(0.9 * weight, 0.1)
  lapply(seq_len(genes), function(g) {
    list(weight = weight, log_mean = log(unname(mean[g, ])), dispersion = unname(dispersion[g, ]))
  })
}

# ---- 3. fit and constructor ---------------------------------------------------------------------

nbmix_fit <- function(inputs, data, call) {
  call$... <- NULL
  call[[1]] <- as.name("nbmix")
  fit <- if (inputs$source$genes == 1 && inputs$source$vector) {
    with_checkpoints("nbmix", inputs$control, nbmix_key(inputs), function(control) {
      inputs$control <- control
      inputs$start <- nbmix_start(control, inputs)
      nbmix_one(inputs, data, call)
    }, pausable = length(inputs$k) == 1)
  } else {
    nbmix_many(inputs, data, call)
  }
  warn_unconverged(fit)
}

# What the answer depends on beside the settings of the engine.
nbmix_key <- function(inputs) {
  c(list(data = source_key(inputs$source)),
    inputs[c("method", "k", "zero_inflated", "cox_reid", "criterion", "size_factors", "prior")])
}

nbmix_settings <- function(inputs) {
  c(inputs[c("k", "zero_inflated", "cox_reid", "criterion")], seed = inputs$control$seed)
}

nbmix_engine_block <- function(inputs, rows, first, monitor, threads) {
  nbmix_em(rows$p, rows$i, rows$x, inputs$size_factors, nbmix_settings(inputs), inputs$control,
           nbmix_block_starts(inputs, rows, first), first, monitor, threads)
}

nbmix_one <- function(inputs, data, call) {
  source <- inputs$source
  if (inputs$method == "gibbs") return(nbmix_bayes_one(inputs, data, call))
  rows <- source$read(1L, 1L)
  monitor <- new_monitor("nbmix", inputs$control, inputs$verbose)
  engine <- if (inputs$method == "em") nbmix_engine_block else nbmix_vb_block
  out <- engine(inputs, rows, 1, monitor, inputs$threads)
  nbmix_one_fit(out, inputs, nbmix_describe_gene(data, source, rows), call,
                nbmix_row_counts(rows, 1, source$cells))
}

# Counts are known again by their hash, whatever object they come in.
nbmix_describe_gene <- function(data, source, rows) {
  hash <- gene_hashes(rows, source$cells)
  describe_data(data, hash = stats::setNames(hash, source_gene_names(source)))
}

# A fit of one gene from what the core gave back.
nbmix_one_fit <- function(out, inputs, data_info, call, x) {
  trace <- out$details$trace
  resumed <- inputs$control$resumed
  estimate <- nbmix_estimate(out$estimates)
  posterior <- nbmix_posterior(x, inputs$size_factors, estimate$weight, estimate$mean,
                               estimate$dispersion)
  candidates <- nbmix_candidates(out$candidates, inputs, inputs$method)
  chosen <- lapply(candidates, `[`, out$chosen)
  names <- inputs$source$cell_names
  control <- inputs$control
  control$resumed <- NULL
  new_nbmix(inputs$method, call, estimate, join_traces(resumed, objective_frame(trace)),
            convergence_info(trace), control, data_info, inputs,
            nobs = length(x), df = chosen$df, k = chosen$k, log_lik = chosen$logLik,
            icl = chosen$ICL, vcov = nbmix_covariance(out$estimates$covariance, estimate),
            responsibilities = nbmix_prob_matrix(posterior$prob, names),
            clusters = nbmix_labels(posterior$prob, names), candidates = candidates,
            outcome = out$status, histogram = nbmix_histogram(x), state = out$details$state,
            starts = out$details$starts)
}

new_nbmix <- function(method, call, estimate, objective, convergence, control, data_info, inputs,
                      nobs, df, ...) {
  s <- inputs$size_factors
  new_fit("nbmix", method, call, estimate, objective, convergence, control, data_info, nobs, df,
          zero_inflated = inputs$zero_inflated, cox_reid = inputs$cox_reid,
          criterion = inputs$criterion, prior = inputs$prior, tried = inputs$k,
          assay = inputs$assay,
          size_factors = if (all(s == s[1])) s[1] else s, cells = inputs$source$cells,
          cell_names = inputs$source$cell_names, ...)
}

# What resume() takes from the fit and not from where its call finds it.
#' @export
kept_arguments.nbmix <- function(fit) {
  fit <- unclass(fit)
  out <- c(fit[c("zero_inflated", "cox_reid", "criterion")],
           list(k = fit$tried, size_factors = rep_len(fit$size_factors, fit$cells)))
  if (!is.null(fit$prior)) out$prior <- fit$prior
  if (!is.null(fit$assay)) out$assay <- fit$assay
  out
}

nbmix_estimate <- function(estimates) {
  lapply(estimates[c("weight", "mean", "dispersion")],
         function(v) stats::setNames(v, seq_along(v)))
}

# The packed lower triangle as a matrix named like the draws.
nbmix_covariance <- function(packed, estimate) {
  parts <- length(estimate$weight)
  out <- matrix(0, 3 * parts, 3 * parts)
  out[lower.tri(out, diag = TRUE)] <- packed
  out[upper.tri(out)] <- t(out)[upper.tri(out)]
  dimnames(out) <- rep(list(nbmix_variables(parts)), 2)
  out
}

nbmix_variables <- function(parts) {
  paste0(rep(c("weight", "mean", "dispersion"), each = parts), "[", seq_len(parts), "]")
}

nbmix_prob_matrix <- function(prob, cells) {
  dimnames(prob) <- list(cells, as.character(seq_len(ncol(prob))))
  prob
}

nbmix_labels <- function(prob, cells) {
  stats::setNames(max.col(prob, ties.method = "first"), cells)
}

# How often each count occurs: enough for a histogram; nothing says which cell had which.
nbmix_histogram <- function(x) quick_frame(table_of_counts(x))

# One glance() row per K tried (and gene).
nbmix_candidates <- function(table, inputs, method) {
  n <- inputs$source$cells
  rows <- length(table$k)
  out <- c(list(model = rep("nbmix", rows), method = rep(method, rows)),
           table[c("k", "logLik", "df")])
  out$nobs <- rep(n, rows)
  out$AIC <- -2 * out$logLik + 2 * out$df
  out$BIC <- -2 * out$logLik + log(n) * out$df
  out$ICL <- out$BIC + 2 * table$entropy
  if (method != "em") out[c("logLik", "AIC", "BIC", "ICL")] <- list(rep(NA_real_, rows))
  out[c("objective", "converged", "status", "iterations", "seconds")] <-
    table[c("objective", "converged", "status", "iterations", "seconds")]
  if (method == "vb") out$evidence <- table$evidence
  quick_frame(out)
}

register_model(
  "nbmix", title = "Mixture of negative binomials", engines = c("em", "vb", "gibbs"),
  fit = function(...) nbmix(...),
  example = function() {
    list(x = c(0, 3, 1, 0, 2, 1, 4, 0, 2, 1, 0, 2, 31, 44, 38, 52, 29, 40, 35, 60, 47, 33, 0, 1),
         k = 2)
  },
  newdata = function(arguments) list(newdata = arguments$x)
)
