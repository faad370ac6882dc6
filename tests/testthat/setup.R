# Partial matching of names hides misspelt ones; two threads at most, as on CRAN's machines. The
# process ends with the suite, so nothing is put back.
options(
  warnPartialMatchArgs = TRUE, warnPartialMatchAttr = TRUE, warnPartialMatchDollar = TRUE,
  mixology.threads = 2L
)
