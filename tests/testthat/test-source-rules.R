# Rules that a compiler does not enforce, checked on the sources: what would make results depend
# on the platform or crash in a worker thread. Skipped only when the package's sources are not
# there, as in the tests of an installed package.

source_root <- function() {
  candidates <- c(
    Sys.getenv("MIXOLOGY_SOURCES"),
    test_path("..", ".."), test_path("..", "..", "00_pkg_src", "mixology"),
    test_path("..", "..", "..", "00_pkg_src", "mixology")
  )
  found <- Filter(function(p) nzchar(p) && file.exists(file.path(p, "src", "simd.cpp")), candidates)
  if (!length(found)) skip("the package's sources are not beside the tests")
  found[[1]]
}

# Lines of the files that match, as 'file:line: text'; comments do not count.
lines_with <- function(files, pattern) {
  hits <- lapply(files, function(file) {
    lines <- readLines(file, warn = FALSE)
    at <- grep(pattern, sub("//.*$", "", lines), perl = TRUE)
    if (length(at)) sprintf("%s:%d: %s", basename(file), at, trimws(lines[at]))
  })
  as.character(unlist(hits))
}

cpp_files <- function(...) {
  folder <- file.path(source_root(), "src", ...)
  list.files(folder, "[.](h|hpp|cpp|cc|c)$", recursive = TRUE, full.names = TRUE)
}

test_that("nothing calls a log-gamma function that writes a global", {
  forbidden <- "std::[lt]gamma|(?<![\\w.:])lgamma[fl]?\\s*\\(|R::(l?gammafn|lbeta|lchoose)"
  expect_identical(lines_with(cpp_files(), forbidden), character())
})

test_that("no distribution, engine or shuffle of the standard library is used", {
  forbidden <- paste0(
    "std::\\w+_distribution|std::(mt19937|minstd_rand|ranlux|default_random_engine)|",
    "std::(random_)?shuffle|std::random_device|\\brand\\s*\\(\\)"
  )
  expect_identical(lines_with(cpp_files(), forbidden), character())
})

test_that("core, engines and models know nothing of R", {
  forbidden <- "#\\s*include\\s*[<\"](Rcpp|R[.]h|Rmath|Rinternals|Rversion|R_ext|rglue)"
  expect_gt(length(cpp_files("core")), 5)
  for (part in c("core", "engine", "models")) {
    expect_identical(lines_with(cpp_files(part), forbidden), character())
  }
  simd <- file.path(source_root(), "src", "simd.cpp")
  expect_identical(lines_with(simd, forbidden), character())
})

test_that("raw interrupts and R errors, which skip destructors, are not used", {
  forbidden <- "\\b(R_CheckUserInterrupt|Rf_error|Rf_warning)\\s*\\("
  expect_identical(lines_with(cpp_files(), forbidden), character())
})

test_that("the build passes no flag that is not portable or changes the arithmetic", {
  files <- list.files(file.path(source_root(), "src"), "^Makevars", full.names = TRUE)
  expect_gt(length(files), 0)
  forbidden <- "-march|-mtune|-mavx|-mfma|-ffast-math|-Ofast|-O3|-funsafe|-W[a-z]"
  code <- unlist(lapply(files, function(file) sub("#.*$", "", readLines(file, warn = FALSE))))
  expect_identical(grep(forbidden, code, value = TRUE), character())
  pragmas <- "pragma\\s+(GCC|clang)\\s+(diagnostic\\s+ignored|optimize)|fast-math"
  expect_identical(lines_with(cpp_files(), pragmas), character())
})
