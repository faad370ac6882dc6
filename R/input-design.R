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
       xlevels = stats::.getXlevels(terms, frame), contrasts = attr(matrix, "contrasts"))
}

# What is kept of a design in a fit: no data.
slim_design <- function(design) design[c("formula", "terms", "xlevels", "contrasts")]

# The columns of a design for new data; extra columns are ignored.
design_matrix <- function(design, newdata, fun) {
  if (!is.data.frame(newdata)) {
    abort_arg(fun, "newdata", "a data frame with the covariates of the fit",
              describe_value(newdata))
  }
  terms <- stats::delete.response(design$terms)
  check_variables(terms, newdata, fun, environment(design$terms), "newdata")
  check_levels(design$xlevels, newdata, fun)
  frame <- stats::model.frame(terms, newdata, na.action = stats::na.pass,
                              xlev = design$xlevels)
  stats::model.matrix(terms, frame, contrasts.arg = design$contrasts)
}

check_variables <- function(formula, data, fun, env, arg = "data") {
  wanted <- setdiff(all.vars(formula), ".")
  known <- vapply(wanted, function(name) {
    name %in% names(data) || (arg == "data" && exists(name, envir = env, inherits = TRUE) &&
                                !is.function(get(name, envir = env)))
  }, NA)
  if (all(known)) return(invisible())
  abort_arg(fun, arg, "a data frame with every variable of the formula",
            sprintf("no column '%s'", wanted[!known][1]),
            closest_name(wanted[!known][1], names(data)))
}

check_levels <- function(xlevels, newdata, fun) {
  for (name in intersect(names(xlevels), names(newdata))) {
    new <- setdiff(unique(as.character(newdata[[name]])), c(xlevels[[name]], NA))
    if (length(new) > 0) {
      abort_arg(fun, "newdata", sprintf("of known levels in '%s' (%s)", name,
                                        toString(xlevels[[name]])),
                sprintf("the new level \"%s\"", new[1]))
    }
  }
}
