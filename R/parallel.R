# Threads and progress.

# Threads of a fit: argument > environment > option > 2; one in a forked worker, two at most while
# R checks the package. Results never depend on it.
resolve_threads <- function(threads, fun) {
  threads <- threads %||% env_threads() %||% getOption("mixology.threads") %||% 2L
  threads <- check_count(threads, fun, "threads", upper = 4096)
  if (is_forked()) return(1L)
  if (nzchar(Sys.getenv("_R_CHECK_LIMIT_CORES_"))) threads <- min(threads, 2L)
  min(threads, RcppParallel::defaultNumThreads())
}

env_threads <- function() {
  value <- Sys.getenv("MIXOLOGY_NUM_THREADS")
  if (!nzchar(value)) return(NULL)
  threads <- suppressWarnings(as.numeric(value))
  if (!is_whole(threads) || threads < 1) {
    abort_arg("threads", "MIXOLOGY_NUM_THREADS", "a whole number of at least 1 in the environment",
              sprintf("\"%s\"", value))
  }
  threads
}

# TBB must not run in a process forked from one where it ran.
is_forked <- function() !identical(Sys.getpid(), package_state$pid)

package_state <- new.env(parent = emptyenv())

# What the C++ monitor needs: a progress closure (or NULL), the time limit, and when to pause for a
# checkpoint. Chains have a known `total` of sweeps; what ends when it has converged has none.
new_monitor <- function(label, control, verbose, total = NA) {
  endless <- is.null(control$iterations)
  list(
    progress = if (!is.null(control$stop_sign)) heeding(control$stop_sign) else
      if (verbose) if (endless) progress_spinner(label) else progress_bar(label, total),
    time_limit = control$time_limit,
    pause_after = if (isTRUE(control$pauses)) checkpoint_seconds() else Inf
  )
}

# A cli bar that appears once a fit has lasted a second, and goes when the function `frame` ends.
# Starts and extrapolations may take more steps than were foreseen: the bar waits just short of its
# end, for cli forgets a bar that has arrived. Nothing that happens to the bar may end a fit.
progress_bar <- function(label, total, frame = parent.frame(2)) {
  force(frame)
  id <- NULL
  harmless(function(done, all, objective) {
    size <- if (is.na(all)) total else all
    if (is.null(id)) id <<- cli::cli_progress_bar(label, total = size, .envir = frame)
    cli::cli_progress_update(set = min(done, size - 1, na.rm = TRUE), id = id, .envir = frame)
  })
}

# The same for what has no known end: the sweeps, the objective and the time so far. Work inside of
# a sweep, which knows its own size, and starts, whose objective is told as 0, only turn it.
progress_spinner <- function(label, frame = parent.frame(2)) {
  force(frame)
  id <- NULL
  words <- c("{cli::pb_spin} {cli::pb_name}{cli::pb_current} iterations{cli::pb_status}",
             "{cli::pb_elapsed}")
  sweeps <- 0
  status <- ""
  harmless(function(done, all, objective) {
    if (is.null(id)) {
      id <<- cli::cli_progress_bar(label, format = paste(words, collapse = " | "), .envir = frame)
    }
    if (is.na(all) && !objective %in% c(0, NA)) {
      sweeps <<- done
      status <<- sprintf(", objective %.6g", objective)
    }
    cli::cli_progress_update(set = sweeps, id = id, status = status, .envir = frame)
  })
}

harmless <- function(draw) {
  function(done, all, objective) {
    tryCatch(draw(done, all, objective), error = function(e) NULL)
    invisible()
  }
}

# A function that tells the seconds since it was made.
stopwatch <- function() {
  begin <- proc.time()[["elapsed"]]
  function() proc.time()[["elapsed"]] - begin
}

# The time that was spent before a fit stands before its own.
after_seconds <- function(fit, seconds) {
  fit$objective$seconds <- fit$objective$seconds + seconds
  fit
}

# The seconds of a trace that was made in the last part of `all` of them.
whole_seconds <- function(seconds, all) seconds + max(all - max(seconds, 0), 0)

# Many units in blocks: one bar, one clock and one stop for all of them.
block_run <- function(label, units, time_limit, verbose) {
  clock <- stopwatch()
  stopped <- FALSE
  bar <- if (verbose) progress_bar(label, units)
  left <- function() {
    if (stopped) 0 else max(time_limit - clock(), 0)
  }
  list(units = units, bar = bar, left = left, going = function() left() > 0,
       stop = function() stopped <<- TRUE)
}

# The monitor of the block of units first..last; the core counts tasks, some of several units.
block_monitor <- function(run, first, last, control) {
  control$time_limit <- run$left()
  control$pauses <- NULL
  out <- new_monitor("", control, FALSE)
  if (!is.null(run$bar)) {
    out$progress <- function(done, all, objective) {
      run$bar(first - 1 + floor(done / all * (last - first + 1)), run$units, NA)
    }
  }
  out
}

# A BiocParallel back end, checked; NULL is this process with its threads, as is SerialParam().
resolve_bpparam <- function(BPPARAM, fun) {
  if (is.null(BPPARAM)) return(NULL)
  check_installed("BiocParallel", fun, "'BPPARAM'")
  if (!methods::is(BPPARAM, "BiocParallelParam")) {
    abort_arg(fun, "BPPARAM", "NULL or a back end of BiocParallel", describe_value(BPPARAM),
              "BiocParallel::MulticoreParam(2)")
  }
  if (!methods::is(BPPARAM, "SerialParam")) BPPARAM
}

# Without what would be said of each of many fits.
quietly <- function(code) suppressMessages(suppressWarnings(code))

# fun() of each item, one after another or on the workers of BPPARAM. What fails in a worker is
# reported as if it had failed here. `fun` should live in the name space: what it carries along is
# sent to every worker.
map_items <- function(items, fun, BPPARAM = NULL, ...) {
  if (is.null(BPPARAM)) return(lapply(items, fun, ...))
  on_workers(BiocParallel::bplapply(items, fun, ..., BPPARAM = BPPARAM))
}

on_workers <- function(work) {
  tryCatch(with_library_paths(work), bplist_error = function(e) {
    failed <- Find(function(result) inherits(result, "error"), BiocParallel::bpresult(e))
    stop(conditionMessage(failed %||% e), call. = FALSE)
  })
}

# Starts the workers of a back end for all that a call has for them, unless they are up already.
# What it returns stops them again.
start_back_end <- function(BPPARAM) {
  ours <- methods::is(BPPARAM, "SnowParam") && !BiocParallel::bpisup(BPPARAM)
  if (ours) with_library_paths(BiocParallel::bpstart(BPPARAM))
  function() if (ours && BiocParallel::bpisup(BPPARAM)) BiocParallel::bpstop(BPPARAM)
}

# A function that gives make() of the first item, of the second, ..., and then NULL.
one_by_one <- function(items, make = identity) {
  sent <- 0L
  function() {
    if (sent == length(items)) return(NULL)
    sent <<- sent + 1L
    make(items[[sent]])
  }
}

# The items of `following()`, until it gives NULL, to the workers of BPPARAM as these ask for them:
# fun(item, common, stop_sign) there, and here collect(result) in the order of the items. After an
# interrupt what was collected is all there will be: the workers see it by a file, the stop sign,
# and the back end is stopped, for results that nobody waits for are on their way. It is started
# here, because a MulticoreParam() that starts itself would give them to whom uses it next.
stream_items <- function(following, fun, common, collect, BPPARAM) {
  if (!methods::is(BPPARAM, "SnowParam")) { # nor a MulticoreParam, which is one
    tryCatch(round_items(following, fun, common, collect, BPPARAM), interrupt = function(i) NULL)
    return(invisible())
  }
  stop_sign <- tempfile("stop_")
  reduce <- function(before, result) {
    collect(result)
    before
  }
  stop_back_end <- start_back_end(BPPARAM)
  on.exit(stop_back_end())
  stream <- function() {
    BiocParallel::bpiterate(following, fun, common = common, stop_sign = stop_sign, init = TRUE,
                            REDUCE = reduce, reduce.in.order = TRUE, BPPARAM = BPPARAM)
  }
  tryCatch(withCallingHandlers(on_workers(stream()),
                               interrupt = function(i) file.create(stop_sign)),
           interrupt = function(i) BiocParallel::bpstop(BPPARAM))
  invisible()
}

# The same for back ends that hand out jobs, such as those of a cluster, or cannot iterate: rounds
# of a few items for each worker.
round_items <- function(following, fun, common, collect, BPPARAM) {
  repeat {
    items <- list()
    while (length(items) < 4 * BiocParallel::bpnworkers(BPPARAM)) {
      item <- following()
      if (is.null(item)) break
      items <- c(items, list(item))
    }
    if (length(items) == 0) return(invisible())
    lapply(map_items(items, fun, BPPARAM, common = common), collect)
  }
}

# A progress function for a worker: once the stop sign is there, it is as if the worker itself were
# interrupted. Windows has no such signal; there, and on other machines, a block runs to its end.
heeding <- function(stop_sign) {
  if (.Platform$OS.type == "windows") return(NULL)
  function(done, all, objective) {
    if (file.exists(stop_sign)) suspendInterrupts(tools::pskill(Sys.getpid(), tools::SIGINT))
  }
}

# R processes that start meanwhile look for packages where this one does, .libPaths() included.
with_library_paths <- function(expression) {
  before <- Sys.getenv("R_LIBS", NA)
  on.exit(if (is.na(before)) Sys.unsetenv("R_LIBS") else Sys.setenv(R_LIBS = before))
  Sys.setenv(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep))
  expression
}
