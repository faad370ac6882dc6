#!/bin/sh
# Installs what a make target needs, and nothing that is there already:
#   sh tools/setup.sh GROUP...      GROUP: run, test, check, bench, lint, fuzz, document
# As root (or with sudo that asks no password, or that can ask) Debian's packages are used; else,
# and for what Debian lacks, CRAN's sources go into the private library ./.Rlib. A second call
# finds everything in place, says nothing and takes a fraction of a second.
set -u
cd "$(dirname "$0")/.." || exit 1
library=$PWD/.Rlib
export R_LIBS="$library${R_LIBS:+:$R_LIBS}"
export DEBIAN_FRONTEND=noninteractive

# R packages by their R names. 'needed' must be there; 'wanted' are used when they are.
run_needed="Rcpp RcppEigen RcppParallel Matrix BH sitmo generics cli rlang ggplot2"
run_wanted="susieR MASS mixtools"
test_needed="testthat"
test_wanted="numDeriv posterior loo mclust flexmix MASS vdiffr mixsqp mixtools susieR batchtools
  bit64 S4Vectors SummarizedExperiment SingleCellExperiment DelayedArray HDF5Array BiocParallel
  glmGamPoi snpStats VariantAnnotation GenomicRanges Rsamtools"
check_needed="knitr rmarkdown"
check_wanted="BiocStyle"
bench_wanted="fastglmpca flexCWM"
lint_needed="lintr"
document_needed="roxygen2 knitr rmarkdown"
bioconductor="S4Vectors SummarizedExperiment SingleCellExperiment DelayedArray HDF5Array BiocParallel
  glmGamPoi snpStats BiocStyle VariantAnnotation GenomicRanges IRanges Rsamtools"
not_in_debian="fastglmpca flexCWM"

say() { echo "setup: $*" >&2; }
has_command() { command -v "$1" >/dev/null 2>&1; }
contains() { case " $(echo $1) " in *" $2 "*) return 0 ;; *) return 1 ;; esac; }

as_root=none
if has_command apt-get; then
  if [ "$(id -u)" = 0 ]; then as_root=""
  elif [ "${MIXOLOGY_NO_SUDO:-}" != 1 ] && has_command sudo; then
    if sudo -n true 2>/dev/null; then as_root="sudo -n"; elif [ -t 0 ]; then as_root=sudo; fi
  fi
fi

updated=no
apt_install() { # Debian names; first all at once, then one by one so that one gap loses one
  [ "$as_root" = none ] && return 1
  if [ $updated = no ]; then
    $as_root apt-get update -qq >/dev/null 2>&1 || say "apt-get update failed; going on"
    updated=yes
  fi
  say "installing from Debian: $*"
  # sudo drops the environment, so the answer to debconf's questions goes on the command line
  install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
    --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Lock::Timeout=300"
  $install "$@" >/dev/null 2>&1 </dev/null && return 0
  for name in "$@"; do
    $install "$name" >/dev/null 2>&1 </dev/null || say "Debian could not install $name"
  done
}

need_command() { # command, Debian packages that bring it
  has_command "$1" && return 0
  tool=$1; shift
  apt_install "$@"
  has_command "$tool" && return 0
  return 1
}

missing_r() { # prints those of the given R packages that R does not find
  [ $# -gt 0 ] || return 0
  Rscript --vanilla -e 'a <- commandArgs(TRUE)
    cat(a[!nzchar(vapply(a, function(p) system.file(package = p), ""))])' "$@"
}

debian_name() {
  lower=$(echo "$1" | tr '[:upper:]' '[:lower:]')
  if contains "$bioconductor" "$1"; then echo "r-bioc-$lower"; else echo "r-cran-$lower"; fi
}

# An R expression that names a CRAN mirror where the user's settings name none
cran_mirror='if (identical(getOption("repos")[["CRAN"]], "@CRAN@"))
  options(repos = c(CRAN = "https://cloud.r-project.org"))'

underlying() { # what the given packages of CRAN stand on and R does not find, in Debian's names
  Rscript --vanilla -e "$cran_mirror" -e 'a <- commandArgs(TRUE)
    below <- unlist(tools::package_dependencies(a, utils::available.packages(), recursive = TRUE))
    below <- unique(below[!nzchar(vapply(below, function(p) system.file(package = p), ""))])
    cat(if (length(below)) paste0("r-cran-", tolower(below)))' "$@" 2>/dev/null
}

cran_install() {
  mkdir -p "$library"
  if [ "$as_root" != none ]; then
    from_debian=$(apt-cache pkgnames r-cran- | sort)
    names=""
    for name in $(underlying "$@"); do
      ! contains "$from_debian" "$name" || names="$names $name"
    done
    # shellcheck disable=SC2086
    [ -z "$names" ] || apt_install $names
  fi
  say "installing from CRAN's sources into .Rlib (this can take minutes): $*"
  log=$library/setup.log
  # Debian's RcppParallel names no library to link with, and fastglmpca needs TBB's allocator
  makevars=$library/setup.Makevars
  : >"$makevars"
  if [ "$as_root" != none ] && contains "$*" fastglmpca; then
    echo 'LDFLAGS += -Wl,--no-as-needed -ltbb -ltbbmalloc' >"$makevars"
  fi
  # fs, which testthat needs, is asked to build without a system library
  USE_BUNDLED_LIBUV=1 R_MAKEVARS_USER=$makevars MAKEFLAGS=-j2 Rscript --vanilla \
    -e "$cran_mirror" -e 'a <- commandArgs(TRUE)
    options(timeout = 600)
    install.packages(a[-1], lib = a[1], Ncpus = 2, quiet = TRUE)' \
    "$library" "$@" >"$log" 2>&1 </dev/null || say "see $log"
}

r_packages() { # needed|wanted, R packages
  kind=$1; shift
  absent=$(missing_r "$@")
  [ -n "$absent" ] || return 0
  if [ "$as_root" != none ]; then
    names=""
    for package in $absent; do
      contains "$not_in_debian" "$package" || names="$names $(debian_name "$package")"
    done
    # shellcheck disable=SC2086
    [ -z "$names" ] || apt_install $names
    absent=$(missing_r $absent)
  fi
  from_cran=""
  for package in $absent; do
    contains "$bioconductor" "$package" && continue
    # without Debian's binaries only the few packages that a target cannot do without are built
    if [ "$kind" = needed ] || [ "$as_root" != none ]; then from_cran="$from_cran $package"; fi
  done
  # shellcheck disable=SC2086
  [ -z "$from_cran" ] || cran_install $from_cran
  absent=$(missing_r $absent)
  [ -n "$absent" ] || return 0
  if [ "$kind" = needed ]; then
    say "could not install: $absent"
    exit 1
  fi
  if [ ! -f "$library/.told-$(echo $absent | cksum | cut -d' ' -f1)" ]; then
    mkdir -p "$library"
    touch "$library/.told-$(echo $absent | cksum | cut -d' ' -f1)"
    say "going on without: $absent (what uses them is skipped)"
  fi
}

toolchain() {
  if ! has_command Rscript || ! has_command g++ || ! has_command make ||
    [ ! -e "$(R RHOME 2>/dev/null)/etc/Makeconf" ]; then
    apt_install r-base-dev r-recommended
  fi
  for tool in Rscript g++ make; do
    has_command $tool || { say "needs $tool, and may not install it here: ask for r-base-dev"; exit 1; }
  done
  # optional: the package is compiled several times by 'make check' and 'make test'
  [ "$as_root" = none ] || has_command ccache || apt_install ccache
}

group() {
  case $1 in
    run) r_packages needed $run_needed; r_packages wanted $run_wanted ;;
    test) group run; r_packages needed $test_needed; r_packages wanted $test_wanted ;;
    check)
      group test
      need_command pandoc pandoc || say "without pandoc the vignettes are not built"
      need_command qpdf qpdf || :
      need_command tidy tidy || :
      r_packages needed $check_needed; r_packages wanted $check_wanted ;;
    bench) group test; r_packages wanted $bench_wanted ;;
    lint)
      group run; r_packages needed $lint_needed
      need_command clang-format clang-format || say "without clang-format C++ is not looked at" ;;
    fuzz)
      group run
      need_command clang++ clang libclang-rt-14-dev || { say "make fuzz needs clang++"; exit 1; } ;;
    document) group run; r_packages needed $document_needed ;;
    *) say "no such group: $1"; exit 2 ;;
  esac
}

toolchain
for wanted_group in "${@:-run}"; do group "$wanted_group"; done
exit 0
