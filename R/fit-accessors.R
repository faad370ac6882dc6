# Accessors that every fit shares.

#' What a fit holds
#'
#' Every fit of the package, whatever its model and engine, answers to these functions and to the
#' usual ones: `coef()`, `fitted()`, `residuals()`, `predict()`, `simulate()`, `logLik()`, `AIC()`,
#' `BIC()`, `nobs()`, `vcov()`, `confint()`, `formula()`, `update()`, `print()`, `summary()`,
#' `plot()`, [tidy()], [glance()] and [augment()].
#'
#' Of a fit of many genes, `fit[genes]` is the fit of some of them, by name or position, and
#' `fit[["gene"]]` or `fit[[2]]` that of one as a fit of its own (of [mmash_genes()], the tables
#' that it keeps of that gene); `update()` of either fits these genes again and no others. A gene
#' that has the name of a field of the fit, such as `"call"`, comes first there: fields are had by
#' `$`, and it is these that `length()` and `lapply()` of the fit itself go over; over the genes go
#' `lapply(glance(fit)$gene, function(g) fit[[g]])`.
#'
#' @param x A fit.
#' @param ... Further arguments for methods.
#' @return `objective()`: a data frame `iter, value, seconds`, the log likelihood or bound after
#'   each sweep (for a fit of many genes preceded by `gene`).
#'   `clusters()`: integer labels, 1 the cluster of largest weight, named as the data.
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
  if (is.null(x$clusters)) abort_no_clusters(x, "clusters", "cluster")
  x$clusters
}

# One unit of many is without them where they would have taken too much room.
abort_no_clusters <- function(fit, fun, type) {
  if (is.null(fit$gene)) abort(fun, "this fit has no clusters of observations")
  abort(fun, "of so many genes and cells they are not kept",
        sprintf("; try predict(fit, type = \"%s\")", type))
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
  if (is.null(x$responsibilities)) abort_no_clusters(x, "responsibilities", "prob")
  x$responsibilities
}

#' @export
logLik.mixology_fit <- function(object, ...) {
  no_more("logLik", ...)
  if (is.null(object$log_lik) || all(is.na(object$log_lik))) {
    if (holds_units(object) && object$method == "em") {
      abort("logLik", "no gene of the fit was fitted; see glance(fit)")
    }
    abort("logLik", sprintf("a fit of %s() by %s has no log likelihood", object$model,
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
  shared <- rownames(object$vcov)
  if (setequal(shared, rownames(out))) out <- out[shared, , drop = FALSE]
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

# The name or number of a gene is the gene, also where a field of the fit has that name: fields are
# had by $, and by getElement(), which asks for `exact` names and which getCall() relies on.
#' @export
`[[.mixology_fit` <- function(x, i, exact = NULL, ...) {
  if (is.null(exact) && length(i) == 1 && holds_units(x)) {
    field <- is.character(i) && !i %in% x$units[[1]] && i %in% names(unclass(x))
    if (!field) return(x[check_one_unit(i)])
  }
  unclass(x)[[i, exact = TRUE]]
}

check_one_unit <- function(i) {
  if (is.character(i) || (is_whole(i) && i >= 1)) return(i)
  abort_arg("[[", "i", "the name or the position of one gene", describe_value(i))
}

# lapply() and the like go over the fields, as length() and names() do.
#' @export
as.list.mixology_fit <- function(x, ...) unclass(x)

# A field is had by its full name alone: a shortened one would find whatever begins like it.
#' @export
`$.mixology_fit` <- function(x, name) .subset2(x, name)

# A fit of some of the genes is a refit of these genes, though its call is that of all.
#' @export
update.mixology_fit <- function(object, ..., evaluate = TRUE) {
  if (is.null(object$call)) {
    abort("update", "the fit was called with its data written out; try naming them first")
  }
  data <- as.list(object$call)[data_argument(object)]
  if (evaluate && length(data) > 0 && !names(data) %in% ...names()) {
    found_data(data[[1]], "update", sprintf("update(fit, %s = )", names(data)), parent.frame())
  }
  call <- NextMethod(evaluate = FALSE)
  if (!evaluate) return(call)
  check_names_found(call[setdiff(names(call), c("", ...names()))], "update", parent.frame(),
                    "update(fit, %s = )")
  out <- eval(narrowed_call(call, object, parent.frame()), parent.frame())
  if (!inherits(out, "mixology_fit")) return(out)
  if (!is.null(out$call)) out$call$control <- call$control
  same_units(out, object)
}

# The names in a call may have been those of a function that has returned. try: %s is the argument.
check_names_found <- function(call, fun, env, try) {
  roots <- lapply(as.list(call), root_name)
  lost <- Filter(function(name) !is.null(name) && !exists(name, env), roots)
  if (length(lost) == 0) return(invisible())
  arg <- names(lost)[1]
  abort_arg(fun, arg, "given: the call of the fit does not find its value any more",
            sprintf("the name '%s'", lost[[1]]), sprintf(try, arg))
}

# "d" of d, d$y and d[["y"]]; NULL of any other expression.
root_name <- function(a) {
  while (is.call(a) && as.character(a[[1]])[1] %in% c("$", "[[", "[", "@")) a <- a[[2]]
  if (is.symbol(a) && nzchar(as.character(a))) as.character(a)
}

# The call with the names of the fit's genes in its settings, where these are not all.
narrowed_call <- function(call, fit, env) {
  units <- some_units(fit)
  if (is.null(units)) return(call)
  method <- eval(call$method, env) %||% fit$method
  call$control <- given_control(eval(call$control, env), method, fit$model)
  call$control$only <- units
  call
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
