# lintr with .lintr, and two rules of our own on R/: names are snake_case (a method is
# <generic>.<class>, whatever the class), and no function is longer than 50 lines.

folders <- c("R", "tests", "data-raw", "inst/scripts", "tools")

show_lints <- function(folder) {
  lints <- lintr::lint_dir(folder, pattern = "[.]R$", relative_path = FALSE)
  lints <- Filter(function(lint) basename(lint$filename) != "RcppExports.R", lints)
  vapply(lints, function(lint) {
    file <- file.path(folder, sub(paste0("^.*/", folder, "/"), "", lint$filename))
    sprintf("%s:%d: %s", file, lint$line_number, lint$message)
  }, "")
}

# The top-level assignments of a file: name, first line, lines.
assignments <- function(file) {
  parsed <- parse(file, keep.source = TRUE)
  spans <- utils::getSrcref(parsed)
  is_assignment <- vapply(parsed, function(e) {
    is.call(e) && identical(e[[1]], as.name("<-")) && (is.name(e[[2]]) || is.character(e[[2]]))
  }, TRUE)
  keep <- which(is_assignment)
  data.frame(
    file = rep(file, length(keep)),
    name = vapply(parsed[keep], function(e) as.character(e[[2]]), ""),
    line = vapply(spans[keep], function(s) s[1], 1L),
    lines = vapply(spans[keep], function(s) s[3] - s[1] + 1L, 1L),
    is_function = vapply(parsed[keep], function(e) {
      is.call(e[[3]]) && identical(e[[3]][[1]], as.name("function"))
    }, TRUE)
  )
}

own_rules <- function() {
  files <- setdiff(list.files("R", "[.]R$", full.names = TRUE), "R/RcppExports.R")
  found <- do.call(rbind, lapply(files, assignments))
  snake <- "^[.]?[a-z][a-z0-9]*(_[a-z0-9]+)*([.][A-Za-z0-9_.]+)?$"
  # operators, replacement functions and methods of generics named elsewhere are as they must be
  foreign <- grepl("^[[$%]|<-|^[.]on[A-Z]|^(AIC|BIC|logLik)[.]", found$name)
  unruly <- found[!grepl(snake, found$name) & !foreign, ]
  long <- found[found$is_function & found$lines > 50, ]
  c(
    sprintf("%s:%d: the name %s is not snake_case", unruly$file, unruly$line, unruly$name),
    sprintf("%s:%d: %s has %d lines, 50 are allowed", long$file, long$line, long$name, long$lines)
  )
}

# Every help page has its place on the site, and every name there is a help page.
site_index <- function() {
  listed <- sub("^ +- ", "", grep("^ +- [a-z]", readLines("_pkgdown.yml"), value = TRUE))
  topics <- sub("[.]Rd$", "", list.files("man", "[.]Rd$"))
  simulated <- grep("^simulate_", topics, value = TRUE)
  listed <- c(setdiff(listed, "starts_with(\"simulate_\")"), simulated)
  c(
    sprintf("_pkgdown.yml: lacks %s", setdiff(topics, listed)),
    sprintf("_pkgdown.yml: %s is no help page", setdiff(listed, topics))
  )
}

problems <- c(unlist(lapply(folders, show_lints)), own_rules(), site_index())
if (length(problems)) {
  cat(problems, sep = "\n")
  quit(status = 1)
}
cat("lintr: nothing to say\n")
