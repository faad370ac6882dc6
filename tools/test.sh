#!/bin/sh
# Runs the C++ unit tests and the R suite, prints one line per part and at the end
#   N passed, N failed, N skipped
# (tests of both languages added up); fails when a test failed or a part crashed.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Adds the counts of the last line 'N passed, N failed[, N skipped]' in a log; says no without one.
add_counts() {
  line=$(grep -E '^([A-Za-z+]+: )?[0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1)
  [ -n "$line" ] || return 1
  passed=$((passed + $(echo "$line" | sed -E 's/^[^0-9]*([0-9]+) passed.*/\1/')))
  failed=$((failed + $(echo "$line" | sed -E 's/.* ([0-9]+) failed.*/\1/')))
  case $line in
    *skipped*) skipped=$((skipped + $(echo "$line" | sed -E 's/.* ([0-9]+) skipped.*/\1/'))) ;;
  esac
}

run_part() { # name, command...
  name=$1; shift
  before=$failed
  "$@" >"$work/log" 2>&1 </dev/null
  code=$?
  cat "$work/log"
  if ! add_counts "$work/log"; then
    echo "$name: printed no counts, exit code $code"
    failed=$((failed + 1))
  elif [ $code != 0 ] && [ $failed = "$before" ]; then
    echo "$name: every test passed, but the exit code is $code"
    failed=$((failed + 1))
  fi
}

if [ -f tests/cpp/Makefile ]; then
  run_part "C++ tests" make -s -j2 -C tests/cpp test
fi
run_part "R tests" Rscript tools/test.R

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
