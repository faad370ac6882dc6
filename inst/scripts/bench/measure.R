# What the benchmarks share: time, memory, and the line that compares two figures. The others read
# that of the installed package; it measures nothing.

# User plus system CPU seconds, elapsed seconds, and the growth of the process's peak memory:
# averages over `times` evaluations, after one that is not counted where there are several.
measure <- function(expression, times = 1) {
  code <- substitute(expression)
  frame <- parent.frame()
  if (times > 1) eval(code, frame)
  gc()
  before <- peak_megabytes(reset = TRUE)
  clock <- system.time(for (i in seq_len(times)) value <- eval(code, frame))
  list(value = value, cpu = sum(clock[c("user.self", "sys.self")]) / times,
       elapsed = clock[["elapsed"]] / times, memory = peak_megabytes() - before)
}

# Linux only: the high-water mark of resident memory, which can be set back.
peak_megabytes <- function(reset = FALSE) {
  if (!file.exists("/proc/self/status")) return(NA_real_)
  if (reset) try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE)
  line <- grep(if (reset) "^VmRSS" else "^VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

# report(what, ours, peer, theirs) of one model; `make bench` collects the lines in one table.
reporter <- function(model) {
  function(what, ours, peer, theirs, unit = "s CPU") {
    cat(sprintf("%-52s ours %10.4g %-6s %-28s %10.4g   ratio %.3g\n", what, ours, unit, peer,
                theirs, theirs / ours))
    if (exists("bench_result")) bench_result(model, what, ours, peer, theirs, unit)
  }
}

has <- function(package) requireNamespace(package, quietly = TRUE)
