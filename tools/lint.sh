#!/bin/sh
# lintr on the R code and clang-format on the C++ code; fails when either has something to say.
set -u
cd "$(dirname "$0")/.." || exit 1
code=0
Rscript --vanilla -e 'lints <- do.call(c, lapply(c("R", "tests", "data-raw", "inst/scripts", "tools"),
    function(folder) lintr::lint_dir(folder, pattern = "[.]R$", exclusions = list(
      "R/RcppExports.R"))))
  if (length(lints)) { for (lint in lints) cat(sprintf("%s:%d:%d: %s\n", lint$filename,
    lint$line_number, lint$column_number, lint$message)); quit(status = 1) }
  cat("lintr: nothing to say\n")' || code=1
if command -v clang-format >/dev/null 2>&1; then
  find src tests/cpp \( -name '*.h' -o -name '*.cpp' \) ! -name RcppExports.cpp 2>/dev/null |
    xargs clang-format --dry-run --Werror >/dev/null 2>.clang-format.log &&
    echo "clang-format: nothing to say" ||
    { grep -c 'error: code should be clang-formatted' .clang-format.log |
      sed 's/$/ places are not as clang-format has them:/'
      grep -o '^[^:]*' .clang-format.log | sort | uniq -c | sort -rn | grep -E 'src|tests'; code=1; }
  rm -f .clang-format.log
fi
exit $code
