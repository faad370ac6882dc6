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
  if (nzchar(value)) suppressWarnings(as.numeric(value))
}

# TBB must not run in a process forked from one where it ran.
is_forked <- function() !identical(Sys.getpid(), package_state$pid)

package_state <- new.env(parent = emptyenv())

# What the C++ monitor needs: a progress closure (or NULL), the time limit, the checkpoint writer.
new_monitor <- function(label, control, verbose, total = NA, info = list()) {
  list(
    progress = if (verbose) progress_bar(label, total),
    time_limit = control$time_limit,
    checkpoint = if (!is.null(control$checkpoint)) checkpoint_writer(control$checkpoint, info),
    checkpoint_every = getOption("mixology.checkpoint_seconds", 60)
  )
}

# A cli bar that appears once a fit has lasted a second.
progress_bar <- function(label, total) {
  frame <- parent.frame(2)
  id <- NULL
  function(done, all, objective) {
    if (is.null(id)) {
      size <- if (is.na(all)) total else all
      id <<- cli::cli_progress_bar(label, total = size, .envir = frame, .auto_close = FALSE)
    }
    if (!is.na(all) && done >= all) return(cli::cli_progress_done(id, .envir = frame))
    status <- if (is.na(objective)) "" else sprintf("objective %.6g", objective)
    cli::cli_progress_update(set = done, id = id, status = status, .envir = frame)
  }
}

# Writes the running state to a file: first beside it, then renamed, so that a reader or a crash
# never meets half a file.
checkpoint_writer <- function(file, info) {
  function(iteration, state) {
    snapshot <- structure(c(list(iteration = iteration, state = state), info),
                          class = "mixology_checkpoint")
    beside <- paste0(file, ".part")
    saveRDS(snapshot, beside)
    file.rename(beside, file)
    invisible()
  }
}
