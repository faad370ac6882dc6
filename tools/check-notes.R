# Reads the log of R CMD check; fails on errors, warnings and notes that no pattern explains.
arguments <- commandArgs(trailingOnly = TRUE)
lines <- readLines(arguments[1], warn = FALSE)
starts <- grep("^\\* ", lines)
entry <- function(i) {
  last <- c(starts, length(lines) + 1)
  paste(lines[starts[i]:(last[i + 1] - 1)], collapse = "\n")
}
entries <- vapply(seq_along(starts), entry, "")
status <- function(word) entries[grepl(paste0("\\.\\.\\. (\\[.*\\] )?", word, "(\n|$)"), entries)]
notes <- status("NOTE")
unexplained <- notes[!grepl(arguments[2], notes)]
found <- c(status("ERROR"), status("WARNING"), unexplained)
cat(sprintf(
  "check: %d errors, %d warnings, %d notes (%d explained)\n", length(status("ERROR")),
  length(status("WARNING")), length(notes), length(notes) - length(unexplained)
))
finished <- any(grepl("^(Status|\\* DONE)", lines))
if (!finished) found <- c(found, "R CMD check did not reach its end")
if (length(found)) {
  cat("to mend:", found, sep = "\n")
  quit(status = 1)
}
