#!/bin/sh
# sh run-fuzz.sh PROGRAM...: runs every fuzz target for FUZZ_SECONDS; keeps the corpus and any
# crashing input under build/fuzz.
passed=0 failed=0
for name in "$@"; do
  program=build/fuzz/$name
  if [ ! -x "$program" ]; then
    echo "$name: was not built"
    failed=$((failed + 1))
    continue
  fi
  mkdir -p "build/fuzz/corpus-$name"
  if "$program" -max_total_time="${FUZZ_SECONDS:-20}" -rss_limit_mb=2048 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" "build/fuzz/corpus-$name" \
    >"build/fuzz/$name.log" 2>&1 </dev/null; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")
    printf '%-32s %s inputs\n' "$name" "$runs"
    passed=$((passed + 1))
  else
    tail -n 40 "build/fuzz/$name.log"
    echo "$name: failed; the input is build/fuzz/$name-*"
    failed=$((failed + 1))
  fi
done
echo "fuzz: $passed passed, $failed failed"
[ $failed = 0 ]
