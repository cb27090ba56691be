# lsmlab. A bare `make` lists the targets. Everything lives in .venv and build/; nothing else on the machine is touched.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
JOBS   ?= $(shell n=$$(nproc); [ $$n -gt 4 ] && n=4; echo $$n)
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS)
TREES  := lsm indexes eviction recovery experiments tests
CSRC   := $(wildcard */csrc/*.c */csrc/*.h experiments/*.c experiments/torture/fuzz/*.c experiments/torture/fuzz/*.h)
PKGS   := recovery eviction indexes lsm

.DEFAULT_GOAL := help
.PHONY: help setup build demo test explore check lint types layers c-style c-warnings peers bench bench-compare sanitize tsan torture coverage mutants clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml setup.py constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "need $(PYTHON) (3.11 or newer)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "need Python 3.11 or newer, this is " + sys.version.split()[0])'
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt 'setuptools>=80' wheel cffi
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[arrow,plot,peers,test,check]'
	@touch $@

setup: $(READY) ## make the virtual environment in .venv with everything in it

build: setup ## compile the C extensions that are out of date
	@$(BIN)/python native_build.py --stale

demo: build ## run the first experiment (a minute or two) and print the path of its report
	$(BIN)/lsmlab demo

test: build ## run all tests
	$(PYTEST) tests

explore: build ## the random tests with other examples each time, fifty times as many (ONLY=path::test for one)
	LSMLAB_HYPOTHESIS=explore $(PYTEST) -o timeout=0 $(or $(ONLY),tests/model tests/equivalence)

check: lint types layers c-style c-warnings ## ruff, mypy --strict, import-linter, clang-format, C warnings

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: build
	$(BIN)/mypy -p lsm -p indexes -p eviction -p recovery -p experiments

layers: build
	$(BIN)/lint-imports

c-style: setup
	$(BIN)/clang-format --dry-run --Werror $(CSRC)

c-warnings: setup
	@python_h=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); for f in $(filter %.c,$(CSRC)); do \
	  $(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -UNDEBUG -pthread -I. -isystem $$python_h -c $$f -o /dev/null || exit 1; done; echo "C: no warnings"

peers: setup ## the stores to compare with whose modules cannot stand beside this package, in build/peers
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target build/peers lsm-db==0.7.3 speedict==0.3.12

bench: build ## this engine beside RocksDB, LevelDB and LMDB, its cache policies beside libCacheSim
	$(BIN)/lsmlab bench kv
	$(BIN)/lsmlab bench cache

bench-compare: build ## the kernels against a stored baseline, as ratios to a reference loop; over 20 % slower fails (UPDATE=1 stores)
	$(BIN)/python benchmarks/compare.py $(if $(UPDATE),--update)

# Instrumented builds live in a copy of the tree, so that they never mix with the optimised one.
define instrumented
	@rm -rf build/$(1) && mkdir -p build/$(1)
	@git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t build/$(1)
	cd build/$(1) && LSMLAB_CHECK=1 LSMLAB_CFLAGS="-g -fno-omit-frame-pointer $(2)" ../../$(BIN)/python native_build.py
endef

sanitize: setup ## run the tests on a build with the address and undefined-behaviour sanitizers
	$(call instrumented,asan,-fsanitize=address$(comma)undefined -fno-sanitize-recover=all)
	cd build/asan && PYTHONPATH=. PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 \
	  LSMLAB_INSTRUMENTED=asan LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	  ../../$(BIN)/python -m pytest -q -n $(JOBS) -p no:cacheprovider tests

tsan: setup ## run the tests that use threads on a build with the thread sanitizer
	$(call instrumented,tsan,-fsanitize=thread)
	cd build/tsan && PYTHONPATH=. TSAN_OPTIONS=halt_on_error=1:exitcode=66 LSMLAB_INSTRUMENTED=tsan \
	  LD_PRELOAD="$$($(CC) -print-file-name=libtsan.so)" ../../$(BIN)/python -m pytest -q -s -p no:cacheprovider -m threads tests

torture: build ## what every change must survive: faults, power loss, kills, flipped bits, random operations (some minutes)
	$(BIN)/lsmlab torture --quick -j $(JOBS) --out build/torture

COUNTING := --coverage -O0 -fprofile-update=atomic -DNDEBUG

coverage: setup ## line and branch coverage of the C sources by the tests and the rows that break things; build/coverage/coverage.txt has it
	$(call instrumented,coverage,$(COUNTING))
	cd build/coverage && export PYTHONPATH=. && failed=0; \
	  ../../$(BIN)/python -m pytest -q -n $(JOBS) -p no:cacheprovider -o timeout=1500 $(or $(ONLY),tests) || failed=1; \
	  LSMLAB_CFLAGS="$(COUNTING)" ../../$(BIN)/python -m experiments.cli torture --quick --only A,B,C,F,I,K -j $(JOBS) --out torture || failed=1; \
	  ../../$(BIN)/python -m experiments.torture.coverage . && exit $$failed

mutants: build ## plant defects in copies of the tree: each must be caught by the test it names (ONLY=name for one)
	$(BIN)/python tests/mutants/run.py -j $(JOBS) $(ONLY)

clean: ## remove what was built (not .venv, not results)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f $(addsuffix /_native.abi3.so,$(PKGS)) $(addsuffix /_native.c,$(PKGS))

comma := ,
