# Accessors that every fit shares.

#' What a fit holds
#'
#' Every fit of the package, whatever its model and engine, answers to these functions and to the
#' usual ones: `coef()`, `fitted()`, `residuals()`, `predict()`, `simulate()`, `logLik()`, `AIC()`,
#' `BIC()`, `nobs()`, `vcov()`, `confint()`, `formula()`, `update()`, `print()`, `summary()`,
#' `plot()`, [tidy()], [glance()] and [augment()].
#'
#' `update()` of some genes out of many, or of one, `update(fit[["gene"]])`, evaluates the call, and
#' so fits all genes, and gives back those that it was asked for. It is quicker to fit their rows.
#'
#' @param x A fit.
#' @param ... Further arguments for methods.
#' @return `objective()`: a data frame `iter, value, seconds`, the log likelihood or bound after
#'   each sweep (for a fit of many genes preceded by `gene`).
#'   `clusters()`: integer labels, 1 the largest cluster, named as the data.
#'   `responsibilities()`: the matrix of membership probabilities, items x clusters; rows sum to 1.
#' @examples
#' fit <- nbmix(c(0, 1, 2, 1, 0, 30, 28, 41, 35, 2), k = 2, seed = 1)
#' objective(fit)
#' clusters(fit)
#' round(responsibilities(fit), 3)
#' @name accessors
NULL

#' @rdname accessors
#' @export
objective <- function(x, ...) UseMethod("objective")

#' @export
objective.mixology_fit <- function(x, ...) {
  no_more("objective", ...)
  x$objective
}

#' @rdname accessors
#' @export
clusters <- function(x, ...) UseMethod("clusters")

# flexmix has a function of this name for its own S4 objects, which must go on working.
#' @export
clusters.default <- function(x, ...) {
  if (isS4(x) && isNamespaceLoaded("flexmix")) {
    return(getExportedValue("flexmix", "clusters")(x, ...))
  }
  abort_arg("clusters", "x", "a fit of this package", describe_value(x))
}

#' @export
clusters.mixology_fit <- function(x, ...) {
  no_more("clusters", ...)
  need_one_unit(x, "clusters", one_unit_call(x, "clusters", "cluster"))
  if (is.null(x$clusters)) abort("clusters", "this fit has no clusters of observations")
  x$clusters
}

# How to have them from a fit of many units: of one unit where the fit keeps them, or from the data.
one_unit_call <- function(fit, fun, type) {
  paste(c(if (!is.null(fit$kept)) sprintf("%s(fit[[\"%s\"]]) or", fun, fit$units[[1]][1]),
          sprintf("predict(fit, newdata = <the data>, type = \"%s\")", type)), collapse = " ")
}

#' @rdname accessors
#' @export
responsibilities <- function(x, ...) UseMethod("responsibilities")

#' @export
responsibilities.mixology_fit <- function(x, ...) {
  no_more("responsibilities", ...)
  need_one_unit(x, "responsibilities", one_unit_call(x, "responsibilities", "prob"))
  if (is.null(x$responsibilities)) {
    abort("responsibilities", "this fit has no clusters of observations")
  }
  x$responsibilities
}

#' @export
logLik.mixology_fit <- function(object, ...) {
  no_more("logLik", ...)
  if (is.null(object$log_lik) || all(is.na(object$log_lik))) {
    abort("logLik", sprintf("a %s fit by %s has no log likelihood", object$model,
                            engine_label(object$method)), "; try objective(fit)")
  }
  structure(sum(object$log_lik, na.rm = TRUE), df = sum(object$df, na.rm = TRUE),
            nobs = object$nobs, class = "logLik")
}

#' @export
nobs.mixology_fit <- function(object, ...) {
  no_more("nobs", ...)
  object$nobs
}

#' @export
coef.mixology_fit <- function(object, ...) {
  no_more("coef", ...)
  object$estimate
}

#' @export
formula.mixology_fit <- function(x, ...) {
  no_more("formula", ...)
  x$design$formula %||% abort("formula", "the fit was not made from a formula")
}

#' @export
confint.mixology_fit <- function(object, parm, level = 0.95, ...) {
  no_more("confint", ...)
  level <- check_number(level, "confint", "level", 0, 1, open = TRUE)
  table <- tidy(object, conf.int = TRUE, conf.level = level)
  out <- as.matrix(table[c("conf.low", "conf.high")])
  tail <- (1 - level) / 2
  dimnames(out) <- list(parameter_names(table), paste(format(100 * c(tail, 1 - tail)), "%"))
  if (missing(parm)) return(out)
  at <- if (is.character(parm)) match(parm, rownames(out)) else seq_len(nrow(out))[parm]
  if (anyNA(at) || length(at) == 0) {
    wrong <- if (is.character(parm)) parm[is.na(at)][1] else parm
    abort_arg("confint", "parm", "names or numbers of parameters of the fit",
              describe_value(wrong), closest_name(wrong, rownames(out)))
  }
  out[at, , drop = FALSE]
}

# One name per row of a parameter table, such as "mean[1]".
parameter_names <- function(table) {
  index <- setdiff(names(table)[seq_len(match("estimate", names(table)) - 1)], "term")
  base <- table$term
  if ("part" %in% index) { # such as "coefficient[1,y,x1]"
    base <- table$part
    index <- c(setdiff(index, "part"), "term")
    table$term[table$term == base] <- NA
  }
  if (length(index) == 0) return(base)
  index <- do.call(paste, c(lapply(table[index], function(i) ifelse(is.na(i), "", i)), sep = ","))
  index <- gsub(",+", ",", gsub("^,+|,+$", "", index))
  ifelse(index == "", base, paste0(base, "[", index, "]"))
}

#' @export
vcov.mixology_fit <- function(object, ...) {
  no_more("vcov", ...)
  need_one_unit(object, "vcov", "vcov(fit[[\"gene\"]])")
  if (!is.null(object$vcov)) return(object$vcov)
  if (is.null(object$posterior$draws)) abort("vcov", "this fit has no covariance of its estimates")
  stats::cov(flat_draws(object$posterior$draws))
}

#' @export
`[[.mixology_fit` <- function(x, i, ...) {
  fields <- names(unclass(x))
  if (is.character(i) && length(i) == 1 && !i %in% fields && holds_units(x)) return(x[i])
  unclass(x)[[i, exact = TRUE]]
}

# A field is had by its full name alone: a shortened one would find whatever begins like it.
#' @export
`$.mixology_fit` <- function(x, name) .subset2(x, name)

# A fit of some of the genes is refitted with all of them, as its call says, and cut down again.
#' @export
update.mixology_fit <- function(object, ..., evaluate = TRUE) {
  if (is.null(object$call)) {
    abort("update", "the fit was called with its data written out; try naming them first")
  }
  data <- as.list(object$call)[data_argument(object)]
  if (evaluate && length(data) > 0 && !names(data) %in% ...names()) {
    found_data(data[[1]], "update", sprintf("update(fit, %s = )", names(data)), parent.frame())
  }
  out <- NextMethod()
  if (evaluate && inherits(out, "mixology_fit")) same_units(out, object) else out
}

# The units of `fit` out of a new fit of all of them.
same_units <- function(new, fit) {
  wanted <- fit$gene %||% fit$units[[1]]
  if (!holds_units(new) || is.null(wanted) || !all(wanted %in% new$units[[1]])) return(new)
  if (holds_units(fit)) new[wanted] else new[[wanted]]
}

#' @export
`[.mixology_fit` <- function(x, i, ...) {
  if (!holds_units(x)) abort("[", "the fit holds one unit; there is nothing to choose from")
  labels <- x$units[[1]]
  at <- seq_along(labels)
  if (is.character(i)) at <- match(i, labels) else at <- at[i]
  if (anyDuplicated(at) > 0) {
    abort_arg("[", "i", "genes of the fit, each once", sprintf("\"%s\" twice",
                                                             labels[at[anyDuplicated(at)]]))
  }
  if (anyNA(at)) {
    got <- if (is.character(i)) i[is.na(at)][1] else "a position out of range"
    abort_arg("[", "i", "names or positions of genes of the fit", got,
              if (is.character(i)) closest_name(got, labels))
  }
  subset_units(x, at)
}
