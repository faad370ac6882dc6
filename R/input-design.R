# Formulas and data frames as model matrices, and the same columns again from new data.

# A design remembers how its columns were made: terms, factor levels and contrasts. `rows` are their
# names, which the matrix itself need not have.
new_design <- function(formula, data, fun, arg = "formula", na.action = stats::na.pass) {
  if (!inherits(formula, "formula")) {
    abort_arg(fun, arg, "a formula", describe_value(formula), "y ~ x1 + x2")
  }
  plain <- plain_design(formula, data)
  if (!is.null(plain)) return(plain)
  check_variables(formula, data, fun, environment(formula))
  frame <- stats::model.frame(formula, data, na.action = na.action, drop.unused.levels = TRUE)
  terms <- stats::terms(frame)
  matrix <- stats::model.matrix(stats::delete.response(terms), frame)
  list(formula = formula, terms = terms, matrix = matrix, frame = frame, rows = rownames(matrix),
       response = stats::model.response(frame), offset = stats::model.offset(frame),
       parameters = formula_parameters(formula, data, nrow(frame)),
       xlevels = stats::.getXlevels(terms, frame), contrasts = attr(matrix, "contrasts"))
}

# The same without a model frame, which takes longer than many a fit, where every variable is a
# numeric column of `data` and every term is one of them as it stands; NULL elsewhere. `quoted`: odd
# names in backquotes, as model.matrix() has them.
plain_design <- function(formula, data, quoted = TRUE) {
  if (!is.data.frame(data) || "." %in% all.vars(formula)) return(NULL)
  terms <- stats::terms(formula)
  variables <- as.list(attr(terms, "variables"))[-1]
  left <- attr(terms, "response")
  labels <- attr(terms, "term.labels")
  if (length(labels) != length(variables) - left || any(attr(terms, "order") != 1L) ||
        !all(vapply(variables, is.symbol, NA))) return(NULL)
  names <- vapply(variables, as.character, "")
  if (!all(names %in% names(data))) return(NULL)
  frame <- stats::setNames(lapply(names, function(name) .subset2(data, name)), names)
  if (!all(vapply(frame, is_plain_number, NA))) return(NULL)
  attr(terms, "predvars") <- attr(terms, "variables")
  attr(terms, "dataClasses") <- stats::setNames(rep("numeric", length(names)), names)
  columns <- if (left > 0) frame[-left] else frame
  if (quoted) names(columns) <- labels
  if (attr(terms, "intercept") > 0) columns <- c(list(`(Intercept)` = rep(1, nrow(data))), columns)
  matrix <- if (length(columns) > 0) do.call(cbind, columns) else matrix(0, nrow(data), 0)
  list(formula = formula, terms = terms, matrix = matrix, frame = frame, rows = row.names(data),
       response = if (left > 0) frame[[left]], parameters = character(), xlevels = NULL,
       contrasts = NULL)
}

is_plain_number <- function(v) is.numeric(v) && is.null(dim(v)) && !is.object(v)

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
