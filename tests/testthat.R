library(testthat)
library(mixology)

test_check("mixology")
