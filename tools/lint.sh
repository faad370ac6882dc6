#!/bin/sh
# lintr on the R code and clang-format on the C++ code; fails when either has something to say.
set -u
cd "$(dirname "$0")/.." || exit 1
code=0
Rscript --vanilla tools/lint.R || code=1
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
