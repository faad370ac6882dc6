# Going on with a fit, and finding its data again.

#' Go on with a fit
#'
#' More sweeps of a fit that was stopped (iterations, time limit, interrupt) or is to be longer.
#' The result is bitwise the one of a fit that was never stopped.
#'
#' A fit that was stopped while its starts were still compared, or that chose among candidates of
#' which some were cut short, begins again with the new number of sweeps: its answer may depend on
#' what was not tried yet. So do fits of many genes, which keep no states, and a gene of them. All
#' other fits go on from where they stopped. What survives the end of the process is a
#' `checkpoint`, see [em_control()].
#'
#' A fit keeps no copy of its data: they are found again by evaluating the fit's call where
#' `resume()` is called, and are recognised by their hash: of genes x cells by that of each gene's
#' name and counts, so that they may also have come into another storage or an experiment with more
#' results. Give `data` if they have another name by now. Whatever else the answer depends on, such
#' as size factors and priors, is the fit's own, whatever its name stands for by now, and cannot be
#' changed.
#'
#' @param fit A fit.
#' @param iterations Sweeps to add, for each chain of a Gibbs fit.
#' @param data The data of the fit (its first data argument), if the call no longer finds them.
#' @param ... `threads`, `verbose` and `BPPARAM` of the fitting function.
#' @return A fit with the longer trace or the longer chains.
#' @examples
#' x <- c(0, 1, 2, 1, 0, 3, 2, 4)
#' control <- gibbs_control(chains = 2, iterations = 100, warmup = 50)
#' fit <- nbmix(x, k = 1, method = "gibbs", control = control, seed = 1)
#' longer <- resume(fit, 100)
#' dim(longer$posterior$draws)
#' @export
resume <- function(fit, iterations, data = NULL, ...) UseMethod("resume")

#' @export
resume.mixology_fit <- function(fit, iterations, data = NULL, ...) {
  if (missing(iterations)) abort("resume", "'iterations' must be given; try resume(fit, 100)")
  iterations <- check_count(iterations, "resume", "iterations")
  call <- resume_call(fit, iterations, data, list(...), parent.frame())
  out <- eval(call, parent.frame())
  check_same_data(out$data_info$hash, fit)
  out$call <- fit$call
  if (fit$method != "gibbs") out$control$max_iterations <- sweeps_in_all(fit, iterations)
  if (NROW(fit$candidates) > NROW(out$candidates)) {
    out$candidates <- resumed_candidates(fit$candidates, out)
  }
  same_units(out, fit)
}

check_same_data <- function(hash, fit) {
  if (is.null(hash) || same_hash(hash, fit$data_info$hash)) return(invisible())
  abort("resume", "the data are not those of the fit; try resume(fit, iterations, data = )")
}

# The hash that a fit of these data will have: other data are refused before anything runs. NULL
# where it shows in the new fit alone. `data` is the first data argument, the others are in `call`.
hash_to_be <- function(fit, data, call, env) UseMethod("hash_to_be")

#' @export
hash_to_be.default <- function(fit, data, call, env) if (!is.null(data)) data_hash(data)

# The table of the choice that the fit came out of, with what is known of it by now.
resumed_candidates <- function(candidates, fit) {
  at <- which(as.logical(candidates$selected))
  if (length(at) != 1) return(candidates)
  row <- glance_row(fit)
  shared <- intersect(names(row), names(candidates))
  candidates[at, shared] <- row[shared]
  candidates
}

# The fit's call with what the fit holds itself in the place of what the user's names stand for now.
resume_call <- function(fit, iterations, data, dots, env) {
  runtime <- c("threads", "verbose", "BPPARAM")
  check_no_dots(dots[!names(dots) %in% runtime], "resume", runtime)
  if (is.null(fit$call)) {
    abort("resume", "the fit was called with its data written out; try naming them first")
  }
  call <- as.list(fit$call)
  for (name in intersect(runtime, names(call))) { # may be gone, and does not matter
    call[[name]] <- tryCatch(eval(call[[name]], env), error = function(e) NULL)
  }
  anew <- begins_again(fit)
  for (name in names(dots)) call[[name]] <- dots[[name]]
  kept <- kept_arguments(fit)
  call[names(kept)] <- kept
  if (!anew && !is.null(fit$k) && is.null(fit$gene)) call$k <- fit$k
  call$control <- resume_control(fit, iterations, anew)
  call$seed <- fit$control$seed
  call$method <- fit$method
  at <- data_argument(fit)
  data <- data %||% found_data(call[[at]], "resume", "resume(fit, iterations, data = x)", env)
  check_same_data(hash_to_be(fit, data, call, env), fit)
  call[[at]] <- data
  check_names_found(call[-1], "resume", env, "putting the %s of the fit there again")
  call[[1]] <- the_models[[fit$model]]$fit
  as.call(call)
}

# Arguments of the fitting function that the fit holds and that its answer depends on.
kept_arguments <- function(fit) UseMethod("kept_arguments")

#' @export
kept_arguments.default <- function(fit) list()

# Does the answer depend on more than the state that the fit holds?
begins_again <- function(fit) {
  if (fit$method == "gibbs") return(FALSE)
  cut_short <- !is.null(fit$candidates) && !all(fit$candidates$converged)
  holds_units(fit) || !is.null(fit$gene) || cut_short || isFALSE(fit$starts$complete)
}

# The settings of the fit, with the number of sweeps and the fit itself as where to start from.
resume_control <- function(fit, iterations, anew = FALSE) {
  control <- fit$control
  control$time_limit <- Inf
  control$resumed <- fit
  if (fit$method == "gibbs") {
    control$iterations <- fit$convergence$iterations + iterations
  } else {
    control$max_iterations <- if (anew) sweeps_in_all(fit, iterations) else iterations
  }
  if (anew) control$resumed <- NULL
  control$only <- some_units(fit)
  control
}

# The names of the units of a fit that holds some or one of those of its data; else NULL.
some_units <- function(fit) {
  if (!is.null(fit$gene)) return(fit$gene)
  if (holds_units(fit) && nrow(fit$units) < fit$data_info$dims[1]) fit$units[[1]]
}

sweeps_in_all <- function(fit, iterations) {
  as.integer(min(as.double(fit$control$max_iterations) + iterations, .Machine$integer.max))
}

# The value of the call's data argument where it is asked for.
found_data <- function(expression, fun, try, env) {
  lost <- function(why) {
    abort_arg(fun, "data", "given: the call of the fit finds no data any more", why, try)
  }
  out <- tryCatch(eval(expression, env),
                  error = function(e) lost(dQuote(conditionMessage(e), FALSE)))
  if (is.function(out)) lost("a function")
  out
}

# The trace of a resumed fit: what was behind it, then what is new. The point where the new trace
# starts is the one where the old trace ended.
join_traces <- function(resumed, objective) {
  if (is.null(resumed)) return(objective)
  old <- resumed$objective
  objective$seconds <- objective$seconds + max(old$seconds, 0)
  out <- rbind(old, objective[-1, ])
  rownames(out) <- NULL
  out
}

# Where the data are in the fit's call: named by the model, else the first argument.
data_argument <- function(fit) fit$data_info$argument %||% 2

# The training data of a fit, for methods that need them: given, or found through the call.
training_data <- function(fit, data, fun, env) {
  if (is.null(data)) {
    data <- tryCatch(eval(fit$call[[data_argument(fit)]], env), error = function(e) NULL)
  }
  if (is.null(data) || !same_hash(hash_to_be(fit, data, fit$call, env), fit$data_info$hash)) {
    abort_arg(fun, "data", "the data of the fit, which keeps no copy of them",
              if (is.null(data)) "nothing" else "other data", sprintf("%s(fit, data = x)", fun))
  }
  data
}
