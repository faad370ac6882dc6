# make demo    fits every model on real data, writes demo-report/index.html
# make test    C++ unit tests and the R suite; ends with 'N passed, N failed, N skipped'
# make check   R CMD build and R CMD check --as-cran
# make extended, asan, fuzz, bench, lint, document, clean: see below
#
# Each target first installs what it needs (tools/setup.sh). The package itself goes into the
# private library ./.Rlib, so nothing of the user's own R library is touched.

SHELL = /bin/sh
library = $(CURDIR)/.Rlib
with_library = R_LIBS="$(library)$${R_LIBS:+:$$R_LIBS}"
with_flags = R_MAKEVARS_USER="$(CURDIR)/tools/Makevars"
installed = .Rlib/mixology/DESCRIPTION
sources = DESCRIPTION NAMESPACE $(shell find R src data inst -type f \
  ! -name '*.o' ! -name '*.so' 2>/dev/null)
CHECK_ARGS = --as-cran --no-manual

.PHONY: all demo install test extended check asan fuzz slurm bench lint document clean \
  setup-run setup-test setup-check setup-bench setup-lint setup-fuzz setup-document

all: install

setup-run setup-test setup-check setup-bench setup-lint setup-fuzz setup-document:
	@sh tools/setup.sh $(patsubst setup-%,%,$@)

install: setup-run
	@$(MAKE) -s --no-print-directory $(installed)

$(installed): $(sources)
	@mkdir -p $(library)
	@echo "installing the package into .Rlib"
	@$(with_library) $(with_flags) MAKEFLAGS=-j2 \
	  R CMD INSTALL --preclean --no-docs --no-test-load --library=$(library) . >.Rlib/install.log 2>&1 || \
	  { tail -n 40 .Rlib/install.log; exit 1; }
	@touch $@

demo: install
	@$(with_library) Rscript inst/scripts/demo.R

test: setup-test install
	@$(with_library) $(with_flags) sh tools/test.sh

# The slow tests too: calibration, parameter recovery over many seeds, comparisons with peers.
extended: setup-test install
	@MIXOLOGY_EXTENDED_TESTS=true $(with_library) $(with_flags) sh tools/test.sh

check: setup-check
	@$(with_library) $(with_flags) sh tools/check.sh $(CHECK_ARGS)

# Address and undefined-behaviour sanitizers: the C++ unit tests, then the R suite on a build of
# its own in .Rlib/asan.
asan: setup-test
	$(MAKE) -C tests/cpp asan
	@$(with_library) sh tools/asan.sh

fuzz: setup-fuzz
	$(MAKE) -C tests/cpp fuzz

# A real SLURM on this machine (needs root), to try the template and BiocParallel on.
slurm: setup-test install
	@$(with_library) sh tools/slurm.sh

bench: setup-bench install
	@$(with_library) Rscript tools/bench.R $(BENCH)

lint: setup-lint
	@$(with_library) sh tools/lint.sh

# Regenerates src/RcppExports.cpp, R/RcppExports.R, NAMESPACE and man/.
document: setup-document install
	@$(with_library) $(with_flags) Rscript -e 'Rcpp::compileAttributes(".")' \
	  -e 'roxygen2::roxygenise(".", load_code = roxygen2::load_installed)'

clean:
	rm -rf .Rlib/mixology .Rlib/asan .Rlib/*.log demo-report *.Rcheck mixology_*.tar.gz
	rm -f src/*.o src/*.so
	@if [ -f tests/cpp/Makefile ]; then $(MAKE) -C tests/cpp clean; fi
