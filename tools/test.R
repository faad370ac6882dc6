# Runs every file of tests/testthat in an R process of its own (a crash of one is a failure of that
# file and of nothing else), two at a time, against the installed package.
#   Rscript tools/test.R [filter]         one line per file, failures in full, then the counts
# With '--file <test file> <result>' it is such a process.

arguments <- commandArgs(trailingOnly = TRUE)
folder <- file.path("tests", "testthat")
seconds_per_file <- if (identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")) 7200 else 600

run_file <- function(file, result) {
  library(testthat)
  library(mixology)
  started <- proc.time()[["elapsed"]]
  outcome <- as.data.frame(test_file(
    file, package = "mixology", load_package = "installed", reporter = "check",
    stop_on_failure = FALSE
  ))
  broken <- outcome$failed > 0 | outcome$error
  skipped <- outcome$skipped & !broken
  saveRDS(list(
    passed = sum(!broken & !skipped), failed = sum(broken), skipped = sum(skipped),
    seconds = proc.time()[["elapsed"]] - started
  ), result)
}

# A shell line for xargs: the log and the exit code stand beside the result.
command_line <- function(file, result) {
  run <- paste(
    "timeout", seconds_per_file, shQuote(file.path(R.home("bin"), "Rscript")),
    "tools/test.R --file", shQuote(file), shQuote(result)
  )
  paste0(run, " >", shQuote(paste0(result, ".log")), " 2>&1 </dev/null")
}

# The C++ object of a test that is skipped or passes says nothing; what failed is shown.
report_file <- function(file, result) {
  log <- if (file.exists(paste0(result, ".log"))) readLines(paste0(result, ".log"), warn = FALSE)
  if (!file.exists(result)) {
    cat(sprintf("%-40s crashed or ran out of time (%d s)\n", basename(file), seconds_per_file))
    cat(utils::tail(log, 30), sep = "\n")
    return(list(passed = 0, failed = 1, skipped = 0, seconds = NA))
  }
  counts <- readRDS(result)
  cat(sprintf(
    "%-40s %4d passed %3d failed %3d skipped %7.1f s\n", basename(file), counts$passed,
    counts$failed, counts$skipped, counts$seconds
  ))
  if (counts$failed > 0) cat(log, sep = "\n")
  counts
}

run_all <- function(filter) {
  files <- list.files(folder, "^test.*\\.[rR]$", full.names = TRUE)
  if (length(filter)) files <- files[grepl(filter[1], basename(files))]
  # largest first, so that the two processes end at about the same time
  files <- files[order(-file.size(files))]
  results <- file.path(tempfile("tests"), paste0(basename(files), ".rds"))
  if (length(files)) {
    dir.create(dirname(results[1]))
    lines <- unlist(Map(command_line, files, results))
    script <- file.path(dirname(results[1]), "lines")
    # every line is one argument of 'sh -c': xargs splits at the zero bytes that tr puts there
    writeLines(lines, script)
    system(paste("tr '\\n' '\\0' <", shQuote(script), "| xargs -0 -n 1 -P 2 sh -c"))
  }
  counts <- Map(report_file, files[order(files)], results[order(files)])
  total <- function(what) as.integer(sum(vapply(counts, function(x) as.numeric(x[[what]]), 0)))
  cat(sprintf(
    "R: %d passed, %d failed, %d skipped\n", total("passed"), total("failed"), total("skipped")
  ))
  total("failed") == 0
}

if (length(arguments) == 3 && arguments[1] == "--file") {
  run_file(arguments[2], arguments[3])
} else {
  # what CRAN's machines skip (tests that take seconds) runs here
  Sys.setenv(NOT_CRAN = "true")
  quit(status = if (run_all(arguments)) 0 else 1)
}
