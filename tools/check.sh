#!/bin/sh
# R CMD build and R CMD check. Fails on an error, a warning, or a note that is not explained below.
#   sh tools/check.sh [arguments of R CMD check]
set -u
cd "$(dirname "$0")/.." || exit 1

# mashr and a few others of Suggests are not in Debian: what uses them is skipped.
export _R_CHECK_FORCE_SUGGESTS_=false
# Nothing of the check needs the network.
export _R_CHECK_CRAN_INCOMING_=false _R_CHECK_CRAN_INCOMING_REMOTE_=false
export _R_CHECK_URLS_PARALLEL_=false NOT_CRAN=false

# --as-cran asks CRAN's web pages which packages are orphaned when an installed one names no
# maintainer, as Debian's Bioconductor packages do: it gets an empty answer, from a file.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/web/packages"
Rscript --vanilla -e 'saveRDS(data.frame(Package = "", Maintainer = ""), commandArgs(TRUE))' \
  "$work/web/packages/packages.rds"
export R_CRAN_WEB="file://$work"

# The notes that may stand, and why:
#   installed size             compiled templates and the packaged cells
#   suggested but not available flexCWM, mashr, varbvs are not in Debian
#   LinkingTo for BH          Debian keeps Boost's headers in the system's folder, not in BH's
#   future file timestamps     asks a server on the network for the time
explained="installed package size|Package suggested but not available|Packages? (suggested|which this enhances) but not available|future file timestamps|.LinkingTo. for .BH. is unused"

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
