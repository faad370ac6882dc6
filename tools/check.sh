#!/bin/sh
# R CMD build and R CMD check. Fails on an error, a warning, or a note that is not explained below.
#   sh tools/check.sh [arguments of R CMD check]
set -u
cd "$(dirname "$0")/.." || exit 1

# mashr and a few others of Suggests are not in Debian: what uses them is skipped.
export _R_CHECK_FORCE_SUGGESTS_=false
# Compiler flags of our own tools/Makevars, and those Debian's R is built with.
export _R_CHECK_COMPILATION_FLAGS_KNOWN_="-g0 -Wno-ignored-attributes"
# Nothing of the check needs the network.
export _R_CHECK_CRAN_INCOMING_=false _R_CHECK_CRAN_INCOMING_REMOTE_=false
export _R_CHECK_URLS_PARALLEL_=false NOT_CRAN=false

# The notes that may stand, and why:
#   installed size             compiled templates and the packaged cells
#   suggested but not available mashr is not in Debian
#   future file timestamps     asks a server on the network for the time
explained='installed package size|Package suggested but not available|Packages? (suggested|which this enhances) but not available|future file timestamps'

build_args=
command -v pandoc >/dev/null 2>&1 || build_args=--no-build-vignettes
rm -rf mixology.Rcheck mixology_*.tar.gz
MAKEFLAGS=-j2 R CMD build $build_args . </dev/null || exit 1
tarball=$(ls -t mixology_*.tar.gz | head -n 1)
[ -z "$build_args" ] || set -- "$@" --ignore-vignettes
MAKEFLAGS=-j2 R CMD check "$@" "$tarball" </dev/null
code=$?
Rscript --vanilla tools/check-notes.R mixology.Rcheck/00check.log "$explained" || code=1
exit $code
