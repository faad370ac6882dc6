# Runs inst/scripts/bench/*.R one after the other, each in an R process of its own.
#   Rscript tools/bench.R [name ...]          names without .R; all of them when none is given
# A benchmark prints its own tables, and data frames that it passes to
#   bench_result(model, what, ours, peer, theirs, unit)
# (lower is better; the peer's package name) come together in the table of ratios at the end.

folder <- file.path("inst", "scripts", "bench")
files <- list.files(folder, "[.]R$", full.names = TRUE)
files <- files[basename(files) != "measure.R"] # what they share
names(files) <- sub("[.]R$", "", basename(files))
wanted <- commandArgs(trailingOnly = TRUE)
if (length(wanted)) files <- files[wanted]
if (anyNA(files)) stop("bench: no such file in ", folder, call. = FALSE)

results <- tempfile("ratios", fileext = ".csv")
prelude <- tempfile("prelude", fileext = ".R")
writeLines(c(
  "bench_result <- function(model, what, ours, peer, theirs, unit = \"s\") {",
  "  row <- data.frame(model, what, unit, ours, peer, theirs, ratio = theirs / ours)",
  "  file <- Sys.getenv(\"MIXOLOGY_BENCH_RESULTS\")",
  "  new <- nzchar(file) && !file.exists(file)",
  "  if (nzchar(file)) utils::write.table(row, file, append = !new, col.names = new,",
  "    row.names = FALSE, sep = \",\")",
  "  invisible(row)",
  "}"
), prelude)
Sys.setenv(MIXOLOGY_BENCH_RESULTS = results, R_PROFILE_USER = prelude)

failed <- character()
for (name in names(files)) {
  cat("\n== ", name, " ==\n", sep = "")
  status <- system2(file.path(R.home("bin"), "Rscript"), shQuote(files[[name]]))
  if (status != 0) failed <- c(failed, name)
}

cat("\n== ratios: the peer's figure over ours, more than 1 is in our favour ==\n")
if (file.exists(results)) {
  ratios <- utils::read.csv(results)
  numbers <- vapply(ratios, is.numeric, TRUE)
  ratios[numbers] <- lapply(ratios[numbers], signif, 3)
  options(width = 120)
  print(ratios, row.names = FALSE)
} else {
  cat("none was recorded\n")
}
if (length(failed)) stop("bench: failed: ", toString(failed), call. = FALSE)
