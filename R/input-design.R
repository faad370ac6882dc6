# Formulas and data frames as model matrices, and the same columns again from new data.

# A design remembers how its columns were made: terms, factor levels and contrasts.
new_design <- function(formula, data, fun, arg = "formula", na.action = stats::na.pass) {
  if (!inherits(formula, "formula")) {
    abort_arg(fun, arg, "a formula", describe_value(formula), "y ~ x1 + x2")
  }
  check_variables(formula, data, fun, environment(formula))
  frame <- stats::model.frame(formula, data, na.action = na.action, drop.unused.levels = TRUE)
  terms <- stats::terms(frame)
  matrix <- stats::model.matrix(stats::delete.response(terms), frame)
  list(formula = formula, terms = terms, matrix = matrix, frame = frame,
       parameters = formula_parameters(formula, data, nrow(frame)),
       xlevels = stats::.getXlevels(terms, frame), contrasts = attr(matrix, "contrasts"))
}

# Variables of a formula that are no data: numbers of knots, powers, found in its environment.
formula_parameters <- function(formula, data, n) {
  names <- setdiff(all.vars(formula), c(names(data), "."))
  Filter(function(name) {
    value <- get0(name, envir = environment(formula))
    !is.null(value) && NROW(value) != n
  }, names)
}

# What is kept of a design in a fit: no data, and of the frame that the formula was written in only
# what the formula needs of it.
slim_design <- function(design, data = NULL) {
  out <- design[c("formula", "terms", "xlevels", "contrasts", "parameters")]
  env <- environment(design$formula)
  elsewhere <- setdiff(all.vars(design$formula), c(names(data), design$parameters, "."))
  if (is.null(data) || is.null(env) || length(elsewhere) > 0 || is.null(out$terms)) return(out)
  env <- small_environment(env, c(design$parameters, setdiff(all.names(design$formula),
                                                             all.vars(design$formula))))
  environment(out$formula) <- env
  attr(out$terms, ".Environment") <- env
  out
}

# `names` of `env` and of the frames around it, down to the workspace or a package.
small_environment <- function(env, names) {
  top <- topenv(env)
  if (identical(env, top)) return(env)
  out <- new.env(parent = top)
  while (!identical(env, top) && !identical(env, emptyenv())) {
    for (name in setdiff(names, ls(out, all.names = TRUE))) {
      if (exists(name, envir = env, inherits = FALSE)) assign(name, get(name, envir = env), out)
    }
    env <- parent.env(env)
  }
  out
}

# The columns of a design for new data; extra columns are ignored.
design_matrix <- function(design, newdata, fun) {
  if (!is.data.frame(newdata)) {
    abort_arg(fun, "newdata", "a data frame with the covariates of the fit",
              describe_value(newdata))
  }
  terms <- stats::delete.response(design$terms)
  check_variables(terms, newdata, fun, environment(design$terms), "newdata", design$parameters)
  check_levels(design$xlevels, newdata, fun, environment(terms))
  frame <- stats::model.frame(terms, newdata, na.action = stats::na.pass,
                              xlev = design$xlevels)
  stats::model.matrix(terms, frame, contrasts.arg = design$contrasts)
}

# The name that a model frame gives a variable.
name_of <- function(v) if (is.symbol(v)) as.character(v) else deparse1(v)

check_variables <- function(formula, data, fun, env, arg = "data", parameters = NULL) {
  wanted <- setdiff(all.vars(formula), c(".", parameters))
  known <- vapply(wanted, function(name) {
    name %in% names(data) || (arg == "data" && exists(name, envir = env, inherits = TRUE) &&
                                !is.function(get(name, envir = env)))
  }, NA)
  if (all(known)) return(invisible())
  abort_arg(fun, arg, "a data frame with every variable of the formula",
            sprintf("no column '%s'", wanted[!known][1]),
            closest_name(wanted[!known][1], names(data)))
}

check_levels <- function(xlevels, newdata, fun, env) {
  for (name in names(xlevels)) {
    values <- newdata[[name]] %||%
      tryCatch(eval(str2lang(name), newdata, env), error = function(e) NULL)
    new <- setdiff(unique(as.character(values)), c(xlevels[[name]], NA))
    if (length(new) > 0) {
      abort_arg(fun, "newdata", sprintf("of known levels in '%s' (%s)", name,
                                        toString(xlevels[[name]])),
                sprintf("the new level \"%s\"", new[1]))
    }
  }
}
