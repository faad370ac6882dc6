#!/bin/sh
# The R suite on a build with the address and undefined-behaviour sanitizers (g++), in .Rlib/asan.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
cat >"$work/Makevars" <<EOF
CXX17FLAGS = $flags -UNDEBUG -Wno-ignored-attributes
LDFLAGS += -fsanitize=address,undefined
EOF
mkdir -p .Rlib/asan
# built from a tarball: the object files in src/ stay those of the ordinary build
R CMD build --no-build-vignettes . >"$work/log" 2>&1 </dev/null || { cat "$work/log"; exit 1; }
tarball=$(ls -t mixology_*.tar.gz | head -n 1)
mv "$tarball" "$work/" || exit 1
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0 UBSAN_OPTIONS=print_stacktrace=1
export R_LIBS="$PWD/.Rlib/asan${R_LIBS:+:$R_LIBS}"
preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
R_MAKEVARS_USER=$work/Makevars MAKEFLAGS=-j2 R CMD INSTALL --no-docs --no-test-load \
  --library=.Rlib/asan "$work/$tarball" >"$work/log" 2>&1 </dev/null || { tail -40 "$work/log"; exit 1; }
export MIXOLOGY_SANITIZER=address
LD_PRELOAD=$preload Rscript tools/test.R "$@"
