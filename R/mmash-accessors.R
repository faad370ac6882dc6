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
#' @param newx,newdata Genotypes in any form that [mmash()] takes.
#' @param covariates Covariates of the new samples, when the fit had some.
#' @param data The responses of the fit.
#' @param nsim,seed As for [stats::simulate()].
#' @param type What to plot: `"trace"`, `"effects"` (probability that a variant has an effect, and
#'   its smallest lfsr), `"weights"`.
#' @param ... Further arguments for methods.
#' @return `lfsr()`: P x J. `pip()`: P numbers. `predict()`, `fitted()`: samples x conditions.
#' @section Errors: `pip()` of a fit whose prior has no null component; new genotypes with other
#'   variants.
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
  object$fitted %||% abort("fitted", "a fit to sufficient statistics has no samples",
                           "; try predict(fit, newx)")
}

# What resume() takes from the fit and not from where its call finds it.
#' @export
kept_arguments.mmash <- function(fit) {
  out <- c(fit$input, list(prior = fit$prior, penalty = fit$penalty))
  if (fit$residual$kind == "fixed") out$residual <- fit$residual$matrix
  out
}

#' @rdname lfsr
#' @export
residuals.mmash <- function(object, data = NULL, ...) {
  no_more("residuals", ...)
  data <- data %||% tryCatch(eval(object$call$y, parent.frame()), error = function(e) NULL)
  if (is.null(data)) abort("residuals", "'data' must be given: the responses of the fit")
  mmash_response_matrix(data, "residuals") - fitted(object)
}

#' @rdname lfsr
#' @export
predict.mmash <- function(object, newx = NULL, covariates = NULL, newdata = newx, ...) {
  no_more("predict", ...)
  fun <- "predict"
  if (is.null(newdata)) abort_arg(fun, "newx", "given: a fit keeps no copy of its data", "NULL")
  source <- mmash_source(newdata, fun, object$input)
  effects <- object$estimate$coefficients
  if (source$cols != nrow(effects) - 1) {
    abort_arg(fun, "newx", sprintf("of the %d variants of the fit", nrow(effects) - 1),
              sprintf("%d", source$cols))
  }
  known <- rownames(effects)[-1]
  if (!is.null(source$variants) && !is.null(object$data_info$dimnames) &&
        !identical(source$variants, known)) {
    abort_arg(fun, "newx", "of the variants of the fit, in their order", "other names")
  }
  out <- source_product(source, effects[-1, , drop = FALSE])
  out <- sweep(out, 2, effects[1, ], "+") + covariate_part(object, covariates, nrow(out))
  dimnames(out) <- list(source$samples, colnames(effects))
  out
}

covariate_part <- function(fit, covariates, rows) {
  slopes <- fit$estimate$covariates
  if (is.null(slopes)) return(0)
  given <- mmash_covariates(covariates, list(rows = rows), "predict")$matrix
  if (ncol(given) != nrow(slopes)) {
    abort_arg("predict", "covariates", sprintf("of the %d columns of the fit", nrow(slopes)),
              sprintf("%d", ncol(given)))
  }
  given %*% slopes
}

# X %*% b, block by block where X is not in memory as doubles.
source_product <- function(source, b) {
  if (source$kind == "dense") return(unname(source$x %*% b))
  if (source$kind == "sparse" && source$missing == 0) return(as.matrix(unname(source$x %*% b)))
  if (source$kind == "gram") abort_arg("predict", "newx", "genotypes", "sufficient statistics")
  input <- list(kind = source$kind, x = source$x, rows = source$rows, cols = source$cols,
                count_first = isTRUE(source$count_first))
  out <- matrix(0, source$rows, ncol(b))
  for (first in seq(1, source$cols, by = 256)) {
    at <- first:min(first + 255, source$cols)
    block <- mmash_read(input, at - 1L)
    if (anyNA(block)) block <- impute_column_means(block)
    out <- out + block %*% b[at, , drop = FALSE]
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
  names <- as.vector(outer(labels[[1]], labels[[2]], paste, sep = ","))
  for (p in seq_along(labels[[1]])) {
    at <- p + (seq_along(labels[[2]]) - 1) * length(labels[[1]])
    out[at, at] <- effect_posterior(object, p)$cov
  }
  dimnames(out) <- list(names, names)
  out
}

find_variant <- function(variant, labels) {
  at <- if (is.character(variant)) match(variant, labels) else variant
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
  y <- mmash_response_matrix(data, "augment")
  if (!identical(dim(y), dim(fitted(x)))) {
    abort_arg("augment", "data", "the responses of the fit", describe_value(y))
  }
  samples <- rownames(y) %||% seq_len(nrow(y))
  data.frame(sample = rep(samples, ncol(y)), condition = rep(colnames(y), each = nrow(y)),
             y = as.vector(y), .fitted = as.vector(fitted(x)),
             .resid = as.vector(y - fitted(x)))
}

#' @export
parameter_table.mmash <- function(fit, level = NULL) {
  post <- fit$posterior
  labels <- dimnames(post$mean)
  data.frame(variant = rep(labels[[1]], length(labels[[2]])),
             condition = rep(labels[[2]], each = length(labels[[1]])), term = "effect",
             estimate = as.vector(post$mean), std.error = as.vector(post$sd),
             prob_positive = as.vector(post$positive), prob_negative = as.vector(post$negative),
             lfsr = as.vector(lfsr(fit)),
             pip = rep(unname(1 - post$null), length(labels[[2]])))
}

#' @export
describe_fit.mmash <- function(fit) {
  size <- dim(fit$posterior$mean)
  weights <- sort(fit$estimate$weights, decreasing = TRUE)
  top <- utils::head(weights[weights > 0.001], 4)
  kind <- switch(fit$residual$kind, fixed = "given", diagonal = "diagonal", full = "full",
                 low_rank = sprintf("low rank (%s)", fit$rank))
  c(sprintf("%g samples, %d variants, %d conditions; residual covariance: %s", fit$nobs, size[1],
            size[2], kind),
    sprintf("weights: %s", toString(sprintf("%s %.3g", names(top), top))),
    sprintf("%d effects with lfsr below 0.05, of %d variants", sum(lfsr(fit) < 0.05),
            sum(rowSums(lfsr(fit) < 0.05) > 0)),
    if (length(fit$signals) > 0) sprintf("%d signals; see credible_sets(fit)",
                                         length(fit$signals)),
    if (fit$method == "em") "variants were taken one at a time: see ?mmash for what that means")
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
  colnames(out) <- as.vector(outer(rownames(mean), colnames(mean),
                                   function(v, j) sprintf("effect[%s,%s]", v, j)))
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

#' @rdname lfsr
#' @export
autoplot.mmash <- function(object, type = "trace", ...) {
  no_more("autoplot", ...)
  type <- check_choice(type, c("trace", "effects", "weights"), "autoplot", "type")
  switch(type, trace = autoplot.mixology_fit(object), effects = plot_effects(object),
         weights = plot_weights(object))
}

plot_effects <- function(fit) {
  score <- if (fit$prior$null) pip(fit) else 1 - apply(lfsr(fit), 1, min)
  shown <- data.frame(position = seq_along(score), score = score,
                      sign = apply(lfsr(fit), 1, min) < 0.05)
  ggplot2::ggplot(shown, ggplot2::aes(.data$position, .data$score, colour = .data$sign)) +
    ggplot2::geom_point() +
    ggplot2::scale_colour_manual(values = palette_of(2)) +
    ggplot2::labs(x = "variant", y = "probability of an effect",
                  colour = "lfsr < 0.05 somewhere") +
    theme_mixology()
}

plot_weights <- function(fit) {
  table <- weight_table(fit)
  ggplot2::ggplot(table, ggplot2::aes(.data$scale, .data$matrix, fill = .data$weight)) +
    ggplot2::geom_tile() +
    ggplot2::scale_fill_gradient(low = "white", high = palette_of(1)) +
    ggplot2::scale_x_discrete(guide = ggplot2::guide_axis(check.overlap = TRUE)) +
    ggplot2::labs(x = "prior standard deviation", y = NULL) +
    theme_mixology()
}

weight_table <- function(fit) {
  weights <- fit$estimate$weights
  if (fit$prior$null) weights <- weights[-1]
  scale <- format_scale(fit$prior$grid)
  data.frame(matrix = rep(names(fit$prior$matrices), each = length(scale)),
             scale = factor(rep(scale, length(fit$prior$matrices)), scale),
             weight = unname(weights))
}
