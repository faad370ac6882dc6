# Checkpoints: a running fit on disk, from which another process goes on exactly.
#
# A fit pauses where resume() could go on from it, is written as it stands, and is resumed. So what
# resume() promises holds for a checkpoint, and every model and engine that can be resumed has them.
# A fit of many units writes the blocks that are done instead. Both files hold `key`, hashes of the
# data and of the settings that the answer depends on, by name.

checkpoint_seconds <- function() getOption("mixology.checkpoint_seconds", 60)

# Runs `run(control)`, which gives a fit, from one checkpoint to the next. A fit that cannot be
# resumed from everywhere is not `pausable`: it is written when it ends.
with_checkpoints <- function(model, control, key, run, pausable = TRUE) {
  if (is.null(control$checkpoint) && is.null(control$key)) return(run(control))
  key <- checkpoint_key(control, key)
  clock <- stopwatch()
  now <- check_checkpoint_key(model, control, key)
  if (is_complete(now)) return(now$resumed)
  if (pausable && !is.null(control$checkpoint)) now$pauses <- TRUE
  last <- behind(now$resumed) + (now$max_iterations %||% 0L)
  repeat {
    fit <- run(now)
    fit$control[c("pauses", "resumed", "key", "target", "saved_seed")] <- NULL
    fit$control$max_iterations <- control$target %||% control$max_iterations
    if ("starts" %in% names(now$resumed)) fit["starts"] <- list(now$resumed$starts)
    if (is.null(control$checkpoint)) return(fit)
    write_checkpoint(control$checkpoint, list(model = model, fit = fit, key = key))
    if (!identical(fit$convergence$status, "paused")) return(fit)
    now <- go_on_with(now, fit, last)
    now$time_limit <- max(control$time_limit - clock(), 0)
  }
}

behind <- function(fit) fit$convergence$iterations %||% 0L

# The control that takes `fit` to its last iteration.
go_on_with <- function(control, fit, last) {
  control$saved_seed <- fit$control$seed
  if (begins_again(fit)) { # its answer depends on what it had not tried yet
    control["resumed"] <- list(NULL)
    return(control)
  }
  control$resumed <- fit
  if (!is.null(control$max_iterations)) control$max_iterations <- max(last - behind(fit), 1L)
  control
}

# A control whose start is a checkpoint, as one that goes on with what it holds.
open_checkpoint <- function(control, method, fun) {
  start <- control$start
  if (!inherits(start, "mixology_checkpoint")) return(control)
  if (start$model != fun || (start$fit %||% start$pieces)$method != method) {
    abort_arg(fun, "start", sprintf("a checkpoint of %s() by method = \"%s\"", fun, method),
              sprintf("one of %s() by \"%s\"", start$model, (start$fit %||% start$pieces)$method))
  }
  control["start"] <- list(NULL)
  control$key <- start$key
  control$pieces <- start$pieces
  if (is.null(start$fit)) return(control)
  control$target <- control$max_iterations
  go_on_with(control, start$fit, control$target)
}

# The seed of the fit that the control goes on with.
saved_seed <- function(control) {
  control$resumed$control$seed %||% control$saved_seed %||% control$pieces$seed
}

# Hashes by name. Settings that change how long a fit takes and not where it goes are left out.
checkpoint_key <- function(control, key) {
  free <- c("start", "time_limit", "checkpoint", "max_iterations", "iterations", "resumed", "key",
            "pieces", "target", "pauses", "saved_seed")
  key <- c(key, unclass(control)[setdiff(names(control), free)])
  vapply(key[!vapply(key, is.null, NA)], rlang::hash, "")
}

# The checkpoint must be of the same data and settings.
check_checkpoint_key <- function(fun, control, key) {
  if (is.null(control$key)) return(control)
  other <- union(names(key), names(control$key))
  other <- other[!mapply(identical, unname(key[other]), unname(control$key[other]))]
  if (length(other) > 0) {
    abort_arg(fun, "start", "a checkpoint of this fit",
              paste("one with other", toString(paste0("'", other, "'"))),
              "the call that wrote it")
  }
  control$key <- NULL
  control
}

# Does a checkpoint already hold what was asked for?
is_complete <- function(control) {
  if (is.null(control$resumed)) return(FALSE)
  fit <- weigh_candidates(control$resumed)
  if (fit$convergence$status %in% c("paused", "interrupted", "time_limit")) return(FALSE)
  last <- control$iterations %||% control$target
  isTRUE(behind(fit) >= last) || (is.null(control$iterations) && isTRUE(fit$convergence$converged))
}

# Of a fit of many units: writes the blocks that are done, when it is time or all are.
block_saver <- function(model, control, blocks, key, about) {
  if (is.null(control$checkpoint)) return(function(done) invisible())
  saved <- proc.time()[["elapsed"]]
  function(done) {
    now <- proc.time()[["elapsed"]]
    if (now - saved < checkpoint_seconds() && length(done) < nrow(blocks)) return(invisible())
    saved <<- now
    pieces <- c(list(blocks = blocks, done = done), about)
    write_checkpoint(control$checkpoint, list(model = model, pieces = pieces, key = key))
  }
}

# First beside the file, then renamed, so that a reader or a crash never meets half a file.
write_checkpoint <- function(file, content) {
  beside <- paste0(file, ".part")
  written <- tryCatch({
    saveRDS(structure(content, class = "mixology_checkpoint"), beside)
    file.rename(beside, file)
  }, error = function(e) FALSE, warning = function(w) FALSE)
  if (!written) warning("the checkpoint '", file, "' could not be written", call. = FALSE)
  invisible()
}

#' @export
print.mixology_checkpoint <- function(x, ...) {
  if (is.null(x$fit)) {
    cat("Checkpoint of a fit of many units:", length(x$pieces$done), "of", nrow(x$pieces$blocks),
        "blocks are done\n")
  } else {
    cat("Checkpoint after", count_of(x$fit$convergence$iterations, "iteration"), "of\n")
    print(x$fit)
  }
  invisible(x)
}
