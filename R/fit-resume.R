# Going on with a fit, and finding its data again.

#' Go on with a fit
#'
#' More sweeps of a fit that was stopped (iterations, time limit, interrupt) or is to be longer.
#' The result is bitwise the one of a fit that was never stopped.
#'
#' A fit of many genes keeps no states: its genes are fitted again, to the new number of sweeps,
#' which gives the same answer.
#'
#' A fit keeps no copy of its data: they are found again by evaluating the fit's call where
#' `resume()` is called, and are recognised by their hash. Give `data` if they have another name
#' by now.
#'
#' @param fit A fit.
#' @param iterations Sweeps to add, for each chain of a Gibbs fit.
#' @param data The data of the fit (its first data argument), if the call no longer finds them.
#' @param ... Further arguments of the fitting function to change, such as `verbose` or `threads`.
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
  if (is.null(fit$call)) {
    abort("resume", "the fit was called with its data written out; try naming them first")
  }
  call <- utils::modifyList(as.list(fit$call), list(...))
  at <- data_argument(fit)
  if (!is.null(data)) call[[at]] <- data
  found <- tryCatch({
    eval(call[[at]], parent.frame())
    TRUE
  }, error = function(e) FALSE)
  if (!found) {
    abort_arg("resume", "data", "the data of the fit, which keeps no copy of them",
              sprintf("no %s here", deparse1(call[[at]])), "resume(fit, iterations, data = )")
  }
  call$control <- resume_control(fit, iterations)
  call$seed <- fit$control$seed
  call$method <- fit$method
  if (!is.null(fit$k) && is.null(fit$gene)) call$k <- fit$k
  call[[1]] <- the_models[[fit$model]]$fit
  out <- eval(as.call(call), parent.frame())
  if (!identical(out$data_info$hash, fit$data_info$hash)) {
    abort("resume", "the data are not those of the fit; try resume(fit, iterations, data = )")
  }
  out$call <- fit$call
  out$candidates <- resumed_candidates(fit$candidates, out)
  same_units(out, fit)
}

# The table of the choice that the fit came out of, with what is known of it by now.
resumed_candidates <- function(candidates, fit) {
  at <- which(as.logical(candidates$selected))
  if (length(at) != 1) return(candidates)
  row <- glance_row(fit)
  shared <- intersect(names(row), names(candidates))
  candidates[at, shared] <- row[shared]
  candidates
}

# The settings of the fit, with the number of sweeps and the fit itself as where to start from.
resume_control <- function(fit, iterations) {
  control <- fit$control
  control$time_limit <- Inf
  control$resumed <- fit
  if (fit$method == "gibbs") {
    control$iterations <- fit$convergence$iterations + iterations
  } else {
    control$max_iterations <- iterations
  }
  control
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
  if (is.null(data) || !identical(data_hash(data), fit$data_info$hash)) {
    abort_arg(fun, "data", "the data of the fit, which keeps no copy of them",
              if (is.null(data)) "nothing" else "other data", sprintf("%s(fit, data = x)", fun))
  }
  data
}
