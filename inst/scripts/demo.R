# Fits the models of the package on real data and writes a report with tables and figures.
#   make demo        or        Rscript inst/scripts/demo.R [section ...]
# The report is demo-report/index.html (another folder: MIXOLOGY_DEMO_REPORT), beside its figures.
#
# A section is a file demo/<model>.R next to this one that defines demo_<model>(report) and nothing
# that runs when it is sourced. Sections run in the order of 'section_order', others after them. The
# function calls these, each of which prints to the console as well:
#   report_text(report, ...)                     a paragraph; the pieces are pasted together
#   report_heading(report, title)                a heading inside the section
#   report_table(report, data, caption)          a data frame or matrix (already rounded or not)
#   report_output(report, object)                what print(object) shows, in typewriter
#   report_figure(report, plot, name, caption)   a ggplot as <name>.png (width, height in inches)
#   report_time(report, label, expression)       evaluates, notes the seconds, returns the value
# The first line of the function's first report_text() should say what question is asked of which
# data. A section that fails is reported, the others still run, and the exit status is 1.
# The whole demo is meant to take under three minutes on two cores: a section under 60 seconds.

suppressPackageStartupMessages({
  library(ggplot2)
  library(mixology)
})

section_order <- c("nbmix", "cwm", "mmash")

new_report <- function(folder) {
  dir.create(folder, showWarnings = FALSE, recursive = TRUE)
  report <- new.env(parent = emptyenv())
  report$folder <- folder
  report$html <- character()
  report$times <- data.frame(section = character(), step = character(), seconds = numeric())
  report$section <- "mixology"
  report
}

add_html <- function(report, ...) report$html <- c(report$html, paste0(...))

html_escape <- function(text) {
  text <- gsub("&", "&amp;", text, fixed = TRUE)
  text <- gsub("<", "&lt;", text, fixed = TRUE)
  gsub(">", "&gt;", text, fixed = TRUE)
}

report_text <- function(report, ...) {
  text <- paste0(...)
  cat(strwrap(text, width = 98), "", sep = "\n")
  add_html(report, "<p>", html_escape(text), "</p>")
}

report_heading <- function(report, title, level = 3) {
  rule <- strrep(if (level < 3) "=" else "-", min(nchar(title), 98))
  cat("\n", title, "\n", rule, "\n", sep = "")
  add_html(report, "<h", level, ">", html_escape(title), "</h", level, ">")
}

format_cells <- function(column) {
  if (is.numeric(column)) {
    rounded <- ifelse(abs(column) < 1000, signif(column, 4), round(column, 1))
    text <- vapply(rounded, format, "", digits = 15, big.mark = "")
  } else {
    text <- as.character(column)
  }
  ifelse(is.na(column), "", text)
}

as_text_table <- function(data) {
  if (length(dim(data)) == 2 && is.table(data)) data <- unclass(data)
  data <- as.data.frame(data, check.names = FALSE, stringsAsFactors = FALSE)
  if (is.character(attr(data, "row.names"))) data <- cbind(` ` = rownames(data), data)
  text <- data
  text[] <- lapply(data, format_cells)
  rownames(text) <- NULL
  text
}

html_row <- function(cells, numeric, tag = "td") {
  class <- ifelse(numeric, " class=\"number\"", "")
  paste0("<tr>", paste0("<", tag, class, ">", html_escape(cells), "</", tag, ">",
                        collapse = ""), "</tr>")
}

report_table <- function(report, data, caption = NULL) {
  text <- as_text_table(data)
  if (length(caption)) cat(strwrap(caption, width = 98), sep = "\n")
  previous <- options(width = 98)
  on.exit(options(previous))
  print(text, row.names = FALSE, right = TRUE)
  cat("\n")
  numeric <- vapply(text, function(x) all(grepl("^[-+0-9.eE]*$", x)), TRUE)
  rows <- vapply(seq_len(nrow(text)), function(i) html_row(unlist(text[i, ]), numeric), "")
  add_html(
    report, "<table>",
    if (length(caption)) paste0("<caption>", html_escape(caption), "</caption>"),
    html_row(names(text), numeric, "th"), paste(rows, collapse = "\n"), "</table>"
  )
}

report_output <- function(report, object) {
  lines <- utils::capture.output(print(object))
  cat(lines, "", sep = "\n")
  add_html(report, "<pre>", html_escape(paste(lines, collapse = "\n")), "</pre>")
}

report_figure <- function(report, plot, name, caption, width = 8, height = 4.5) {
  file <- paste0(name, ".png")
  suppressMessages(ggplot2::ggsave(
    file.path(report$folder, file), plot, width = width, height = height, dpi = 110, bg = "white"
  ))
  cat("figure: ", file.path(report$folder, file), "\n", sep = "")
  cat(strwrap(caption, width = 98, indent = 2, exdent = 2), "", sep = "\n")
  add_html(
    report, "<figure><img src=\"", file, "\" alt=\"", html_escape(caption), "\"><figcaption>",
    html_escape(caption), "</figcaption></figure>"
  )
}

report_time <- function(report, label, expression) {
  seconds <- system.time(value <- expression)[["elapsed"]]
  cat(sprintf("[%s: %.1f s]\n", label, seconds))
  report$times[nrow(report$times) + 1, ] <- list(report$section, label, seconds)
  invisible(value)
}

write_report <- function(report) {
  style <- paste(
    "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;line-height:1.45}",
    "table{border-collapse:collapse;margin:1em 0;font-size:.9em}",
    "caption{text-align:left;font-weight:bold;padding:.3em 0}",
    "td,th{padding:.15em .8em;border-bottom:1px solid #ddd;text-align:left}",
    ".number{text-align:right}img{max-width:100%}figure{margin:1em 0}",
    "figcaption{font-size:.9em;color:#444}pre{background:#f5f5f5;padding:.7em;overflow-x:auto}"
  )
  writeLines(enc2utf8(c(
    "<!DOCTYPE html>", "<html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<title>mixology on real data</title>", paste0("<style>", style, "</style></head><body>"),
    report$html, "</body></html>"
  )), file.path(report$folder, "index.html"), useBytes = TRUE)
}

find_sections <- function(folder, wanted) {
  files <- list.files(folder, "[.]R$", full.names = TRUE)
  names(files) <- sub("[.]R$", "", basename(files))
  files <- files[c(intersect(section_order, names(files)), setdiff(names(files), section_order))]
  unknown <- setdiff(wanted, names(files))
  if (length(unknown)) {
    stop("demo: no section '", unknown[1], "'; there are: ", toString(names(files)), call. = FALSE)
  }
  if (length(wanted)) files[wanted] else files
}

# TRUE when the section ran to its end.
run_section <- function(report, name, file) {
  report$section <- name
  report_heading(report, name, level = 2)
  tryCatch({
    scope <- new.env(parent = globalenv())
    sys.source(file, scope)
    set.seed(1)
    report_time(report, "the whole section", scope[[paste0("demo_", name)]](report))
    TRUE
  }, error = function(e) {
    report_text(report, "This section stopped: ", conditionMessage(e))
    FALSE
  })
}

script_folder <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  if (length(script)) dirname(script[1]) else system.file("scripts", package = "mixology")
}

run_demo <- function(wanted = commandArgs(trailingOnly = TRUE)) {
  started <- proc.time()[["elapsed"]]
  report <- new_report(Sys.getenv("MIXOLOGY_DEMO_REPORT", "demo-report"))
  report_heading(report, "mixology on real data", level = 1)
  report_text(
    report, "mixology ", format(utils::packageVersion("mixology")), ", ", R.version.string, ", ",
    R.version$platform, ". Everything below was computed by this run from data that ships with ",
    "the package or with another installed package."
  )
  sections <- find_sections(file.path(script_folder(), "demo"), wanted)
  done <- vapply(names(sections), function(name) run_section(report, name, sections[[name]]), TRUE)
  report_heading(report, "Time", level = 2)
  report_table(report, report$times, "Seconds (elapsed) per step")
  write_report(report)
  cat(sprintf(
    "\nreport: %s/index.html (%d of %d sections, %.1f s)\n", report$folder, sum(done),
    length(done), proc.time()[["elapsed"]] - started
  ))
  invisible(all(done))
}

if (sys.nframe() == 0) quit(status = if (run_demo()) 0 else 1)
