# What a fit of mmash() answers.

#' Effects of a fit of `mmash()`
#'
#' `lfsr()` is the local false sign rate, the probability that a statement on the sign of an effect
#' is wrong. `pip()` is the probability that a variant has any effect, one minus that of the null
#' component. `vcov()` with `variant` is the posterior covariance of its effects, which is made on
#' request and not kept.
#'
#' @param x,object A fit of [mmash()].
#' @param variant Name or number of a variant.
#' @param newx,newdata Genotypes in any form that [mmash()] takes, from one sample on. Columns are
#'   found by the names of the variants where the fit and they have names, else by their positions.
#'   The mean of the variant in the data of the fit takes the place of a missing genotype.
#' @param covariates Covariates of the new samples, when the fit had some, found by their names;
#'   factors have the levels of the fit.
#' @param missing_x As in [mmash()]. Default: as in the fit.
#' @param data The responses of the fit.
#' @param nsim,seed As for [stats::simulate()].
#' @param type `"response"`.
#' @param ... Further arguments for methods.
#' @return `lfsr()`: P x J. `pip()`: P numbers. `predict()`, `fitted()`: samples x conditions.
#' @section Calibration: among correlated variants `method = "vb"` is too sure of which of them has
#'   an effect, and where the effects are not of the kinds that the prior knows, its small lfsr are
#'   too small; the sampler's are not. In 12 simulated data sets each (300 samples, 200 variants,
#'   5 conditions, 15 causal variants with effects of two factors that no prior matrix describes)
#'   these shares of the effects called at lfsr below .05 had another sign or none: at correlation
#'   .5, 1.6% with `"vb"` (6 of 366) and .3% with `"gibbs"` (1 of 312); at .9, 7.7% (21 of 271) and
#'   .6% (1 of 170). Of the few between .01 and .05, 4 of 32 and 6 of 18 were wrong with `"vb"`,
#'   1 of 46 and 1 of 24 with `"gibbs"` (2 chains of 1000 sweeps), which took three times as long
#'   (`scripts/calibration/mmash.R` of the installed package).
#' @section Errors: `pip()` of a fit whose prior has no null component; new genotypes that lack
#'   variants of the fit; new covariates that lack columns or have levels that the fit did not see;
#'   responses that are not those of the fit.
#' @examples
#' set.seed(1)
#' X <- matrix(rbinom(2000, 2, .3), 100)
#' Y <- cbind(X[, 3], X[, 3] + X[, 15]) + matrix(rnorm(200), 100)
#' fit <- mmash(X, Y, seed = 1)
#' round(lfsr(fit)[1:5, ], 3)
#' round(pip(fit)[1:5], 3)
#' vcov(fit, variant = 3)
#' @export
lfsr <- function(x, ...) UseMethod("lfsr")

#' @export
lfsr.mmash <- function(x, ...) {
  no_more("lfsr", ...)
  pmin(x$posterior$positive, x$posterior$negative) + x$posterior$zero
}

#' @rdname lfsr
#' @export
pip <- function(x, ...) UseMethod("pip")

#' @export
pip.mmash <- function(x, ...) {
  no_more("pip", ...)
  if (!x$prior$null) abort("pip", "the prior has no null component; try lfsr(fit)")
  1 - x$posterior$null
}

#' @export
coef.mmash <- function(object, ...) {
  no_more("coef", ...)
  object$estimate$coefficients
}

#' @export
fitted.mmash <- function(object, ...) {
  no_more("fitted", ...)
  no_samples(object, "fitted")
  object$fitted
}

# What resume() takes from the fit and not from where its call finds it.
#' @export
kept_arguments.mmash <- function(fit) {
  settings <- intersect(names(fit$input),
                        c("standardize", "missing_x", "storage", "allele", "assay"))
  out <- c(fit$input[settings], list(prior = fit$prior, penalty = fit$penalty))
  if (fit$residual$kind == "fixed") out$residual <- fit$residual$matrix
  out
}

#' @rdname lfsr
#' @export
residuals.mmash <- function(object, data = NULL, ...) {
  no_more("residuals", ...)
  no_samples(object, "residuals")
  data <- data %||% tryCatch(eval(object$call$y, parent.frame()), error = function(e) NULL)
  if (is.null(data)) abort("residuals", "'data' must be given: the responses of the fit")
  fit_responses(object, data, "residuals") - fitted(object)
}

# The responses a fit was made from, recognised by their hash; conditions are put in its order.
fit_responses <- function(fit, data, fun) {
  no_samples(fit, fun)
  y <- mmash_response_matrix(data, fun, "data", fit$input$assay)
  conditions <- colnames(fit$fitted)
  if (setequal(colnames(y), conditions)) y <- y[, conditions, drop = FALSE]
  sized <- identical(dim(y), dim(fit$fitted))
  if (!sized || !identical(data_hash(unname(y)), fit$data_info$response)) {
    abort_arg(fun, "data", "the responses of the fit, which keeps no copy of them",
              if (sized) "other numbers" else describe_value(data),
              sprintf("%s(fit, data = y)", fun))
  }
  colnames(y) <- conditions
  y
}

no_samples <- function(fit, fun) {
  if (is.null(fit$fitted)) {
    abort(fun, "a fit to sufficient statistics has no samples", "; try predict(fit, newx)")
  }
}

#' @rdname lfsr
#' @export
predict.mmash <- function(object, newx = NULL, covariates = NULL, missing_x = NULL,
                          newdata = newx, type = "response", ...) {
  fun <- "predict"
  check_no_dots(list(...), fun, names(formals()))
  check_choice(type, "response", fun, "type")
  if (is.null(newdata)) abort_arg(fun, "newx", "given: a fit keeps no copy of its data", "NULL")
  settings <- c(object$input[c("missing_x", "allele")], arg = "newx", least = 1)
  if (!is.null(missing_x)) {
    settings$missing_x <- check_choice(missing_x, c("error", "mean"), fun, "missing_x")
  }
  source <- mmash_source(newdata, fun, settings)
  if (source$kind == "gram") abort_arg(fun, "newx", "genotypes", "sufficient statistics")
  at <- match_variants(object, source, fun)
  out <- source_product(source, object$posterior$mean, at, object$input$means)
  out <- sweep(out, 2, object$estimate$coefficients[1, ], "+") +
    covariate_part(object, covariates, source)
  dimnames(out) <- list(source$samples, colnames(object$posterior$mean))
  out
}

# Where each variant of the fit is: by name where both have names, else in their order.
match_variants <- function(fit, source, fun) {
  known <- fit$data_info$dimnames[[2]]
  new <- source$variants
  size <- nrow(fit$posterior$mean)
  if (is.null(new) || is.null(known) || identical(new, known) || source$cols < size) {
    if (source$cols == size) return(seq_len(size))
    abort_arg(fun, "newx", sprintf("of the %d variants of the fit", size),
              sprintf("%d", source$cols))
  }
  at <- match(known, new)
  other <- setdiff(new, known)
  twice <- anyDuplicated(new[new %in% known]) > 0
  if (anyNA(at) || twice) {
    got <- if (twice) "a name twice" else if (length(other) > 0) sprintf("\"%s\"", other[1]) else
      sprintf("no \"%s\"", known[is.na(at)][1])
    abort_arg(fun, "newx", "of the variants of the fit", got,
              "unname() if only their names differ")
  }
  at
}

covariate_part <- function(fit, covariates, source) {
  slopes <- fit$estimate$covariates
  if (is.null(slopes) && is.null(covariates)) return(0)
  design <- fit$input$covariates
  must <- sprintf("of the %d columns of the fit", NROW(slopes))
  if (is.null(slopes) || is.null(covariates)) {
    abort_arg("predict", "covariates", if (is.null(slopes)) "left out, as in the fit" else must,
              describe_value(covariates))
  }
  if (is.null(design$terms) && length(dim(covariates)) == 2 && !is.null(design$names) &&
        !is.null(colnames(covariates))) {
    lost <- setdiff(design$names, colnames(covariates))
    if (length(lost) > 0) abort_arg("predict", "covariates", must, sprintf("no '%s'", lost[1]))
    covariates <- covariates[, design$names, drop = FALSE]
  }
  given <- covariate_matrix(covariates, design, source, "predict")
  if (ncol(given) != nrow(slopes)) {
    abort_arg("predict", "covariates", must, sprintf("%d", ncol(given)))
  }
  given %*% slopes
}

# X %*% b, block by block where X is not in memory as doubles. at: the columns of X that go with
# the rows of b; means: what takes the place of their missing genotypes.
source_product <- function(source, b, at, means) {
  if (source$kind == "dense") {
    x <- if (identical(at, seq_len(source$cols))) source$x else source$x[, at, drop = FALSE]
    return(unname((if (source$missing > 0) fill_columns(x, means) else x) %*% b))
  }
  if (source$kind == "sparse" && source$missing == 0) {
    return(as.matrix(unname(source$x[, at, drop = FALSE] %*% b)))
  }
  input <- list(kind = source$kind, x = source$x, rows = source$rows, cols = source$cols,
                count_first = isTRUE(source$count_first))
  out <- matrix(0, source$rows, ncol(b))
  for (first in seq(1, nrow(b), by = 256)) {
    some <- first:min(first + 255, nrow(b))
    block <- mmash_read(input, at[some] - 1L)
    if (anyNA(block)) block <- fill_columns(block, means[some])
    out <- out + block %*% b[some, , drop = FALSE]
  }
  out
}

#' @rdname lfsr
#' @export
vcov.mmash <- function(object, variant = NULL, ...) {
  no_more("vcov", ...)
  labels <- dimnames(object$posterior$mean)
  if (!is.null(variant)) return(effect_posterior(object, find_variant(variant, labels[[1]]))$cov)
  size <- prod(dim(object$posterior$mean))
  if (size > 2000) {
    abort_arg("vcov", "variant", sprintf("given for a fit of %d effects", size), "NULL",
              "vcov(fit, variant = 1)")
  }
  out <- matrix(0, size, size)
  names <- as.vector(effect_names(labels[[1]], labels[[2]]))
  for (p in seq_along(labels[[1]])) {
    at <- p + (seq_along(labels[[2]]) - 1) * length(labels[[1]])
    out[at, at] <- effect_posterior(object, p)$cov
  }
  dimnames(out) <- list(names, names)
  out
}

# As parameter_names() has them, P x J.
effect_names <- function(variants, conditions) {
  outer(variants, conditions, function(v, j) sprintf("effect[%s,%s]", v, j))
}

find_variant <- function(variant, labels) {
  at <- if (is.character(variant)) which(labels %in% variant) else variant
  if (length(at) != 1 || !is_whole(at) || at < 1 || at > length(labels)) {
    abort_arg("vcov", "variant", sprintf("the name or number of one of %d variants",
                                         length(labels)), describe_value(variant))
  }
  as.integer(at)
}

# q of one variant's effects: alpha, mean, cov, on the input scale.
effect_posterior <- function(fit, p) {
  if (fit$method == "gibbs") return(gibbs_effect(fit, p))
  at <- match(p, fit$order)
  precision <- effect_precision(fit, p)
  weights <- unname(fit$estimate$weights)
  out <- mmash_effect(prior_core(fit$prior, fit$penalty), weights, precision,
                      fit$state$state$phi[, at])
  conditions <- colnames(fit$posterior$mean)
  scale <- fit$posterior$scale[p]
  list(alpha = stats::setNames(out$alpha, names(fit$estimate$weights)), mean = out$mean / scale,
       cov = `dimnames<-`(out$covariance / scale^2, list(conditions, conditions)))
}

# The precision L_p of what the data say of one variant's effects; with gaps in the responses the
# intercept and the covariates are profiled out of it (see src/models/mmash/missing.h).
effect_precision <- function(fit, p) {
  gaps <- fit$state$patterns
  sigma <- unname(fit$estimate$residual_covariance)
  if (is.null(gaps)) return(fit$posterior$square[p] * solve(sigma))
  at <- match(p, fit$order)
  parts <- lapply(gaps$seen, function(seen) {
    padded <- 0 * sigma
    padded[seen, seen] <- solve(sigma[seen, seen, drop = FALSE])
    padded
  })
  total <- function(blocks) Reduce(`+`, Map(kronecker, parts, blocks))
  g <- total(lapply(gaps$zx, function(zx) zx[, at, drop = FALSE]))
  total(lapply(gaps$square[, at], as.matrix)) - crossprod(g, solve(total(gaps$zz), g))
}

#' @rdname lfsr
#' @export
simulate.mmash <- function(object, nsim = 1, seed = NULL, ...) {
  no_more("simulate", ...)
  nsim <- check_count(nsim, "simulate", "nsim")
  no_samples(object, "simulate")
  draw <- function() {
    mean <- fitted(object)
    lapply(seq_len(nsim), function(i) {
      mean + draw_normal(nrow(mean), unname(object$estimate$residual_covariance))
    })
  }
  with_seed(seed, draw(), "simulate")
}

#' @export
augment.mmash <- function(x, data, ...) {
  no_more("augment", ...)
  if (missing(data)) abort("augment", "'data' must be given: the responses of the fit")
  y <- fit_responses(x, data, "augment")
  samples <- rownames(y) %||% seq_len(nrow(y))
  data.frame(sample = rep(samples, ncol(y)), condition = rep(colnames(y), each = nrow(y)),
             y = as.vector(y), .fitted = as.vector(fitted(x)),
             .resid = as.vector(y - fitted(x)))
}

#' @export
parameter_table.mmash <- function(fit, level = NULL) {
  post <- fit$posterior
  labels <- dimnames(post$mean)
  out <- data.frame(variant = rep(labels[[1]], length(labels[[2]])),
                    condition = rep(labels[[2]], each = length(labels[[1]])), term = "effect",
                    estimate = as.vector(post$mean), std.error = as.vector(post$sd),
                    prob_positive = as.vector(post$positive),
                    prob_negative = as.vector(post$negative), lfsr = as.vector(lfsr(fit)),
                    pip = if (fit$prior$null) rep(unname(1 - post$null), length(labels[[2]])) else
                      NA_real_)
  if (is.null(level)) out else cbind(out, effect_limits(fit, level))
}

# Equal-tailed limits of the effects: quantiles of the draws, or of q. NULL when the draws of
# single effects were not kept.
effect_limits <- function(fit, level) {
  tails <- c((1 - level) / 2, (1 + level) / 2)
  out <- array(0, c(dim(fit$posterior$mean), 2))
  if (fit$method == "gibbs") {
    if (!has_effect_draws(fit)) return(NULL)
    size <- length(fit$posterior$mean)
    limits <- draws_limits(fit$posterior$draws[, , seq_len(size), drop = FALSE], level)
    for (i in 1:2) out[fit$order, , i] <- t(matrix(limits[i, ], ncol(fit$posterior$mean)))
  } else {
    core <- prior_core(fit$prior, fit$penalty)
    away <- fit$posterior$positive > tails[1] | fit$posterior$negative > tails[1]
    for (p in which(apply(away, 1, any))) { # the limits of all others are 0
      out[p, , ] <- mmash_limits(core, unname(fit$estimate$weights), effect_precision(fit, p),
                                 fit$state$state$phi[, match(p, fit$order)], tails) /
        fit$posterior$scale[p]
    }
  }
  data.frame(conf.low = as.vector(out[, , 1]), conf.high = as.vector(out[, , 2]))
}

has_effect_draws <- function(fit) {
  isTRUE(startsWith(dimnames(fit$posterior$draws)[[3]][1], "effect["))
}

# Written into an experiment conditions x samples: what is found in a condition, and all effects.
#' @export
result_columns.mmash <- function(fit) {
  row <- data.frame(intercept = unname(fit$estimate$coefficients[1, ]),
                    residual_variance = unname(diag(fit$estimate$residual_covariance)),
                    effects = unname(colSums(lfsr(fit) < 0.05)))
  list(row = row, col = NULL, metadata = list(mmash_effects = tidy(fit)))
}

#' @export
describe_fit.mmash <- function(fit) {
  size <- dim(fit$posterior$mean)
  weights <- sort(fit$estimate$weights, decreasing = TRUE)
  top <- utils::head(weights[weights > 0.001], 4)
  kind <- switch(fit$residual$kind, fixed = "given", diagonal = "diagonal", full = "full",
                 low_rank = sprintf("low rank (%s)", fit$rank))
  if (fit$method == "em" && kind != "given") kind <- paste0("that of the responses, ", kind)
  c(sprintf("%s, %s, %s; residual covariance: %s", count_of(fit$nobs, "sample"),
            count_of(size[1], "variant"), count_of(size[2], "condition"), kind),
    sprintf("weights: %s", toString(sprintf("%s %.3g", names(top), top))),
    sprintf("%s with lfsr below 0.05, of %s", count_of(sum(lfsr(fit) < 0.05), "effect"),
            count_of(sum(rowSums(lfsr(fit) < 0.05) > 0), "variant")),
    describe_signals(fit),
    if (fit$method == "em") {
      c("each variant was taken alone, as in an association scan: correlated variants share an",
        "effect, and fitted values add all of them up; method = \"vb\" takes them together")
    })
}

describe_signals <- function(fit) {
  if (length(fit$signals) == 0) return(NULL)
  sets <- length(unique(credible_sets(fit)$set))
  sprintf("%s, %s of correlated variants; see credible_sets(fit)",
          count_of(length(fit$signals), "signal"), count_of(sets, "credible set"))
}

#' @export
posterior_sample.mmash <- function(fit, n) {
  mean <- fit$posterior$mean
  if (8 * n * length(mean) > getOption("mixology.max_memory", 4e9)) {
    abort_arg("as_draws", "draws", "fewer", sprintf("%d of %d effects", n, length(mean)))
  }
  out <- array(0, c(n, dim(mean)))
  for (p in seq_len(nrow(mean))) out[, p, ] <- sample_effect(fit, p, n)
  out <- matrix(out, n)
  colnames(out) <- as.vector(effect_names(rownames(mean), colnames(mean)))
  out
}

# n draws of one variant's effects: a component, then its normal.
sample_effect <- function(fit, p, n) {
  q <- effect_posterior(fit, p)
  out <- matrix(0, n, length(q$mean))
  precision <- effect_precision(fit, p)
  phi <- fit$state$state$phi[, match(p, fit$order)]
  parts <- component_covariances(fit$prior)
  which <- sample.int(length(q$alpha), n, replace = TRUE, prob = pmax(q$alpha, 0))
  for (t in unique(which)) {
    v <- parts[[t]]
    if (is.null(v)) next
    s <- v %*% solve(diag(nrow(v)) + precision %*% v)
    at <- which == t
    mean <- drop(s %*% phi)
    out[at, ] <- rep(mean, each = sum(at)) + draw_normal(sum(at), (s + t(s)) / 2)
  }
  out / fit$posterior$scale[p]
}

# V_t in the order of the weights; NULL for the null.
component_covariances <- function(prior) {
  parts <- unlist(lapply(prior$matrices, function(u) lapply(prior$grid, function(g) g^2 * u)),
                  recursive = FALSE)
  c(if (prior$null) list(NULL), unname(parts))
}

# Of individual samples the responses are hashed too; a file is hashed when it is read.
#' @export
hash_to_be.mmash <- function(fit, data, call, env) {
  if (is.null(fit$data_info$response)) return(NextMethod())
  y <- tryCatch(eval(call$y, env), error = function(e) NULL)
  if (is.null(y) || is.character(data)) return(NULL)
  data_hash(list(data, mmash_response_matrix(y, "resume", assay = fit$input$assay)))
}
