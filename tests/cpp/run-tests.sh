#!/bin/sh
# sh run-tests.sh VARIANT PROGRAM...: runs the built programs one after the other and adds up
# their test cases; a program that is missing or crashes is one failure.
variant=$1
shift
passed=0 failed=0
export MALLOC_PERTURB_=165 UBSAN_OPTIONS=print_stacktrace=1
log=build/$variant/last.log
for name in "$@"; do
  program=build/$variant/$name
  if [ ! -x "$program" ]; then
    echo "$name: was not built"
    failed=$((failed + 1))
    continue
  fi
  "$program" >"$log" 2>&1 </dev/null
  code=$?
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  if [ -z "$line" ] || { [ $code != 0 ] && [ "${line##*, }" = "0 failed" ]; }; then
    cat "$log"
    echo "$name: crashed, exit code $code"
    failed=$((failed + 1))
    continue
  fi
  here=${line##*, }
  [ "$here" = "0 failed" ] || cat "$log"
  printf '%-32s %s\n' "$name" "$line"
  passed=$((passed + ${line%% *}))
  failed=$((failed + ${here%% *}))
done
echo "C++: $passed passed, $failed failed"
[ $failed = 0 ]
