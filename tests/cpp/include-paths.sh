#!/bin/sh
# Prints -isystem flags for the headers the tests need: from R's installed packages when R is
# there, else from the usual places of the system.
if command -v Rscript >/dev/null 2>&1; then
  Rscript --vanilla -e 'for (p in c("RcppEigen", "BH", "sitmo")) {
    d <- system.file("include", package = p); if (nzchar(d)) cat(" -isystem", d) }
    d <- system.file("include", "testthat", "vendor", package = "testthat")
    if (nzchar(d)) cat(" -isystem", d)' 2>/dev/null
fi
for folder in /usr/include/eigen3 /usr/local/include/eigen3 /opt/homebrew/include/eigen3 \
  /opt/homebrew/include /usr/include/catch; do
  [ ! -d "$folder" ] || printf ' -isystem %s' "$folder"
done
