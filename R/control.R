# Settings of the engines. The defaults live in C++ (src/core/options.h) and are read back here.

#' Settings of the three engines
#'
#' `em_control()`, `vb_control()` and `gibbs_control()` make the `control` argument of every fitting
#' function. A setting left at `NULL` keeps the engine's default.
#'
#' @param tolerance A fit has converged when a sweep changes the objective (log likelihood or
#'   lower bound) by less than this, relative to its size plus one. Default 1e-10 for EM, whose
#'   last steps are slow, 1e-8 for variational Bayes.
#' @param parameter_tolerance ... or when no parameter moves by more than this, relative to its
#'   size plus one. Default 1e-8.
#' @param max_iterations Sweeps at most; extrapolations count. Default 5000: most fits need some
#'   dozens, but [mmash()] with strongly correlated variants can take thousands. A fit that runs out
#'   of them is returned with `converged = FALSE` and a warning.
#' @param restarts Starting points tried; the best after `short_iterations` sweeps goes on.
#'   Default 10.
#' @param short_iterations Sweeps given to each starting point. Default 10. Of twenty starting
#'   points or more the best fifth gets three times as many before one is chosen.
#' @param accelerate Extrapolate along the path of the sweeps (SQUAREM), or take the longer steps
#'   that the model knows, falling back to the plain sweep where that would lower the objective.
#'   Default `TRUE`.
#' @param start Where to start: an earlier fit of the same model, a vector of cluster labels, or a
#'   list of starting values as the model's help page says; or `readRDS()` of a `checkpoint`.
#'   `NULL`: the model's own starts.
#' @param time_limit Seconds after which the fit so far is returned with `converged = FALSE`; the
#'   starting points count, also where they do not count as sweeps (see [mmash()]).
#'   Default no limit.
#' @param checkpoint A file (`.rds` is added if missing) to which the fit is written as it stands
#'   once a minute, or every `options(mixology.checkpoint_seconds =)`, and when it ends. The same
#'   call with `start = readRDS(file)` goes on from there, in another process if need be, and gives
#'   bitwise the answer of a fit that was never stopped; other data or settings are refused. A fit
#'   of many genes writes the genes that are done. Written at the end alone while several `k` are
#'   compared on one data set.
#' @param chains Independent chains. Default 4.
#' @param iterations Sweeps of each chain, warm-up included. Default 2000.
#' @param warmup Sweeps at the head of each chain that are thrown away. Default half of
#'   `iterations`.
#' @param thin Keep one sweep in `thin`. Default 1.
#' @param ... Nothing: an unknown name is an error.
#' @return An object of class `<engine>_control`, a list of the settings.
#' @references Varadhan and Roland (2008) Simple and globally convergent methods for accelerating
#'   the convergence of any EM algorithm. Scandinavian Journal of Statistics 35:335.
#' @examples
#' em_control(tolerance = 1e-6, restarts = 3)
#' gibbs_control(chains = 2, iterations = 500)
#' @name control
NULL

#' @rdname control
#' @export
em_control <- function(tolerance = NULL, max_iterations = NULL, restarts = NULL,
                       accelerate = NULL, start = NULL, parameter_tolerance = NULL,
                       short_iterations = NULL, time_limit = Inf, checkpoint = NULL, ...) {
  check_exact_names(sys.call(), list(...), "em_control", names(formals()))
  ascent_control("em", "em_control", environment())
}

#' @rdname control
#' @export
vb_control <- function(tolerance = NULL, max_iterations = NULL, restarts = NULL,
                       accelerate = NULL, start = NULL, parameter_tolerance = NULL,
                       short_iterations = NULL, time_limit = Inf, checkpoint = NULL, ...) {
  check_exact_names(sys.call(), list(...), "vb_control", names(formals()))
  ascent_control("vb", "vb_control", environment())
}

#' @rdname control
#' @export
gibbs_control <- function(chains = NULL, iterations = NULL, warmup = NULL, thin = NULL,
                          start = NULL, time_limit = Inf, checkpoint = NULL, ...) {
  fun <- "gibbs_control"
  check_exact_names(sys.call(), list(...), fun, names(formals()))
  out <- engine_defaults("gibbs")
  out$chains <- check_count(chains %||% out$chains, fun, "chains", upper = 1000)
  out$iterations <- check_count(iterations %||% out$iterations, fun, "iterations")
  warmup <- warmup %||% (out$iterations %/% 2L)
  out$warmup <- check_count(warmup, fun, "warmup", 0, out$iterations - 1,
                            try = "fewer than 'iterations'")
  out$thin <- check_count(thin %||% out$thin, fun, "thin", upper = out$iterations - out$warmup)
  new_control("gibbs", fun, out, start, time_limit, checkpoint)
}

# R completes a shortened argument name; a control takes full names only, so that a slip is seen.
check_exact_names <- function(call, dots, fun, known) {
  typed <- setdiff(names(call), c("", known))
  if (length(typed) > 0) check_no_dots(stats::setNames(list(NULL), typed[1]), fun, known)
  check_no_dots(dots, fun, known)
}

ascent_control <- function(engine, fun, args) {
  out <- engine_defaults(engine)
  given <- function(name) args[[name]] %||% out[[name]]
  out$tolerance <- check_number(given("tolerance"), fun, "tolerance", 0, 1)
  out$parameter_tolerance <- check_number(given("parameter_tolerance"), fun,
                                          "parameter_tolerance", 0, 1)
  out$max_iterations <- check_count(given("max_iterations"), fun, "max_iterations")
  out$restarts <- check_count(given("restarts"), fun, "restarts", upper = 10000)
  out$short_iterations <- check_count(given("short_iterations"), fun, "short_iterations")
  out$accelerate <- check_flag(given("accelerate"), fun, "accelerate")
  new_control(engine, fun, out, args$start, args$time_limit, args$checkpoint)
}

new_control <- function(engine, fun, settings, start, time_limit, checkpoint) {
  settings["start"] <- list(start)
  settings$time_limit <- check_number(time_limit, fun, "time_limit", 0, open = TRUE)
  settings["checkpoint"] <- list(check_checkpoint(checkpoint, fun))
  structure(settings, class = c(paste0(engine, "_control"), "mixology_control"))
}

check_checkpoint <- function(checkpoint, fun) {
  if (is.null(checkpoint)) return(NULL)
  if (!is.character(checkpoint) || !is_scalar(checkpoint) || !dir.exists(dirname(checkpoint))) {
    abort_arg(fun, "checkpoint", "a file name in a folder that exists",
              describe_value(checkpoint))
  }
  if (grepl("\\.rds$", checkpoint)) checkpoint else paste0(checkpoint, ".rds")
}

# The control of a fit: the engine's defaults, the user's object, or a plain list of settings.
resolve_control <- function(control, method, fun) {
  open_checkpoint(given_control(control, method, fun), method, fun)
}

given_control <- function(control, method, fun) {
  maker <- switch(method, em = em_control, vb = vb_control, gibbs = gibbs_control)
  wanted <- paste0(method, "_control")
  if (is.null(control)) return(default_control(method, maker))
  if (inherits(control, wanted)) return(control)
  named <- length(control) == 0 || (!is.null(names(control)) && all(nzchar(names(control))))
  if (inherits(control, "mixology_control") || !is.list(control) || !named) {
    abort_arg(fun, "control", sprintf("made by %s() for method = \"%s\"", wanted, method),
              describe_value(control))
  }
  known <- names(formals(maker)) # R itself would take the beginning of a name for the name
  check_no_dots(control[!names(control) %in% known], paste0(method, "_control"), known)
  do.call(maker, control)
}

# Made once: its checks would take longer than those of all other arguments together.
default_control <- function(method, maker) {
  if (is.null(package_state$controls[[method]])) package_state$controls[[method]] <- maker()
  package_state$controls[[method]]
}

#' @export
print.mixology_control <- function(x, ...) {
  shown <- x[!vapply(x, is.null, NA)]
  shown$start <- if (!is.null(x$start)) paste("an object of class", class(x$start)[1])
  values <- vapply(shown, function(value) toString(format(value)), "")
  cat(sub("_.*", "", class(x)[1]), "settings\n")
  cat(paste0("  ", format(names(values)), "  ", values, "\n"), sep = "")
  invisible(x)
}

# The seed of a fit: the user's, or one drawn from R's generator so that set.seed() governs.
resolve_seed <- function(seed, fun) {
  if (is.null(seed)) return(sample.int(.Machine$integer.max, 1L))
  check_count(seed, fun, "seed", lower = 0)
}
