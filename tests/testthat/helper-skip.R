# Tests that take minutes: run by 'make extended'.
skip_unless_extended <- function() {
  extended <- identical(Sys.getenv("MIXOLOGY_EXTENDED_TESTS"), "true")
  testthat::skip_if_not(extended, "MIXOLOGY_EXTENDED_TESTS is not true")
}

# Tests that measure time or memory: meaningless under a sanitizer.
skip_under_sanitizer <- function() {
  testthat::skip_if(nzchar(Sys.getenv("MIXOLOGY_SANITIZER")), "time under a sanitizer says nothing")
}
