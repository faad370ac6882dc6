library(testthat)
library(mixology)

# The variable narrows the suite to some files where it runs a second time elsewhere.
filter <- Sys.getenv("MIXOLOGY_TEST_FILTER")
test_check("mixology", filter = if (nzchar(filter)) filter)
