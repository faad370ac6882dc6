# The class that every fit has, and what a model owes it.
#
# A fit is a list of class c("<model>_<method>", "<model>", "mixology_fit"). The shared methods in
# fit-*.R read the fields below; what only the model knows they ask through internal generics, of
# which these are every model's:
#   describe_fit(fit)             lines in plain words: the data, what was found
#   parameter_table(fit, level)   one row per parameter: index columns, term, estimate, std.error,
#                                 and either `scale` ("identity", "log", "logit") or the interval
#                                 itself in conf.low, conf.high
#   posterior_sample(fit, n)      draws x parameters from q of a VB fit
#   subset_units(fit, i)          the fit of some of many independent units (genes)

# Fields a fit must have; the others are NULL where they do not apply.
#   estimate         named list of point estimates
#   posterior        parameters of q, or list(draws = iterations x chains x variables)
#   clusters, responsibilities   labels (1 = of the largest weight) and the n x K matrix
#   log_lik, icl, bound          numbers, NA where they do not exist
#   objective        data frame iter, value, seconds
#   convergence      list: converged, status, reason, iterations
#   units            for many independent units: data frame of one glance() row per unit
#   candidates       for a choice among several fits: data frame of one glance() row per candidate
#   state            what resume() starts from
new_fit <- function(model, method, call, estimate, objective, convergence, control, data_info,
                    nobs, df, ...) {
  fit <- list(model = model, method = method, call = small_call(call, model), estimate = estimate,
              objective = objective, convergence = convergence, control = control,
              data_info = data_info, nobs = nobs, df = df, ...)
  fit$versions <- package_state$versions
  class(fit) <- c(paste0(model, "_", method), model, "mixology_fit")
  validate_fit(fit)
}

validate_fit <- function(fit) {
  ok <- is.data.frame(fit$objective) &&
    all(c("iter", "value", "seconds") %in% names(fit$objective)) &&
    all(c("converged", "status", "reason", "iterations") %in% names(fit$convergence)) &&
    !is.null(fit$control$seed) && is.list(fit$estimate)
  if (!ok) abort(fit$model, "the fit lacks fields that every fit has")
  if (!is.null(fit$responsibilities)) {
    total <- fit$responsibilities %*% rep(1, ncol(fit$responsibilities)) # faster than rowSums()
    if (max(abs(range(total) - 1)) > 1e-8) abort(fit$model, "responsibilities do not sum to one")
  }
  fit
}

# The call is kept for update() and resume(), but not when data were written into it. It is of the
# generic, which a method's match.call() does not name, and found also where the package is masked.
small_call <- function(call, model = NULL) {
  if (is.null(call) || utils::object.size(call) > 1e5) return(NULL)
  if (!is.null(model)) call[[1]] <- call("::", quote(mixology), as.name(model))
  call
}

# What is remembered of the training data: enough to recognise them, not the data.
describe_data <- function(x, dims = dim(x), names = dimnames(x), hash = data_hash(x)) {
  list(dims = dims %||% length(x), dimnames = names, class = class(x), hash = hash)
}

# Are these hashes of the same data? Of many units each has its own, NA where it was not read.
same_hash <- function(a, b) {
  length(a) > 0 && identical(names(a), names(b)) && isTRUE(all(a == b, na.rm = TRUE))
}

# The same for whole numbers stored as integers and as doubles.
data_hash <- function(x) {
  if (is.integer(x) && !is.object(x)) storage.mode(x) <- "double"
  rlang::hash(x)
}

objective_frame <- function(trace) {
  quick_frame(trace[c("iter", "value", "seconds")])
}

convergence_info <- function(trace) trace[c("converged", "status", "reason", "iterations")]

# A choice among candidates of which some were cut short has not converged: they might have won.
weigh_candidates <- function(fit) {
  table <- fit$candidates
  if (is.null(table) || holds_units(fit) || !isTRUE(fit$convergence$converged)) return(fit)
  cut <- which(!table$converged)
  if (length(cut) == 0) return(fit)
  size <- intersect(c("k", "rank"), names(table))[1]
  fit$convergence$converged <- FALSE
  fit$convergence$status <- table$status[cut[length(cut)]]
  fit$convergence$reason <- sprintf("not fitted to the end: %s = %s", size,
                                    toString(unique(table[[size]][cut])))
  fit
}

# A fit that did not converge says so when it is made, in the object and in print().
warn_unconverged <- function(fit) {
  fit <- weigh_candidates(fit)
  if (isTRUE(fit$convergence$converged)) return(fit)
  warning(fit$model, ": ", convergence_sentence(fit), call. = FALSE)
  fit
}

convergence_sentence <- function(fit) {
  info <- fit$convergence
  if (isTRUE(info$converged)) {
    return(sprintf("converged after %s (%s)", count_of(info$iterations, "iteration"), info$reason))
  }
  what <- if (info$status == "not_fitted") "nothing was fitted (" else
    sprintf("did not converge (%s: ", info$status)
  paste0(what, info$reason, "); ", convergence_advice(info$status))
}

# By an interrupt or the time limit.
is_stopped <- function(status) isTRUE(status %in% c("interrupted", "time_limit"))

convergence_advice <- function(status) {
  switch(status,
    max_iterations = "try resume(fit, 1000) or a larger 'max_iterations'",
    paused = "it is a checkpoint; give it as 'start' to the call that wrote it",
    interrupted = "the fit so far is kept; go on with resume(fit, iterations)",
    time_limit = "the fit so far is kept; go on with resume(fit, iterations)",
    objective_fell = "this is a numerical fault: do not use the fit; please report it",
    not_finite = "look for extreme values in the data, or try other starting values",
    units = , not_fitted = "see the column 'status' of glance(fit)",
    invalid = "correct the counts of that gene and fit it again",
    not_converged = "try resume(fit, 1000) or a larger 'max_iterations'",
    stopped = "go on with resume(fit, iterations)",
    mixing = "run longer chains: resume(fit, iterations)",
    "see the help page ?control")
}

describe_fit <- function(fit) UseMethod("describe_fit")
parameter_table <- function(fit, level = NULL) UseMethod("parameter_table")
posterior_sample <- function(fit, n) UseMethod("posterior_sample")
subset_units <- function(fit, i) UseMethod("subset_units")

# The objective of a fit of many units: where that of each ended.
final_objectives <- function(units) {
  data.frame(gene = units$gene, iter = units$iterations, value = units$objective,
             seconds = units$seconds)
}

holds_units <- function(fit) !is.null(fit$units)

need_one_unit <- function(fit, fun, instead) {
  if (!holds_units(fit)) return(invisible())
  abort(fun, "the fit holds ", count_of(nrow(fit$units), "unit"), ", each with its own; try ",
        instead)
}

engine_label <- function(method) {
  switch(method, em = "EM", vb = "variational Bayes", gibbs = "Gibbs sampling")
}
