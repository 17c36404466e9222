# Every target that needs something installs it first (bootstrap/install.sh; nothing to do takes
# no time). `make` alone explains.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

BIN := .venv/bin
AS_ROOT := bash bootstrap/as-root.sh
# -B, no cache: what root runs must not leave files of root's in a user's checkout.
PYTEST_AS_ROOT := $(AS_ROOT) $(BIN)/python -B -m pytest -p no:cacheprovider
ARGS ?=

define HELP
Failure injection for two-node DRBD/iSCSI clusters, on VMs.

Start here
  make failover   install what is missing, run the scenarios on real VMs, print the verdicts and
                  where the report lies
  make doctor     check this host and say what to do about what it lacks

Work on the harness
  make install    install what is missing: system packages, then .venv (changes no service)
  make test       lint, unit and vm, in this order
  make lint       ruff, mypy, import-linter
  make unit       the tests that need no VM
  make vm         the tests on real VMs, without the long ones
  make nightly    all scenarios, in as many parts as it takes, then the long tests on real VMs
  make bench      benchmarks against a baseline of the same run
  make clean      end what labs are left and heal what they broke, then remove build files
                  (.venv, the image cache and reports/ stay)

ARGS goes to the command behind the target:
  make failover ARGS="--help"
  make unit ARGS="-k fio -x"
  make nightly ARGS="--list"      the scenarios that are left, with expected minutes
  make nightly ARGS="--budget 90m"   or --theme links, or a name: that part of it, and no tests

What needs root goes through sudo. make turns every failure into its own exit code 2; for exact
codes (0 valid, 1 invalid, 10 inconclusive, 20 harness error, 21 missing environment) run
  sudo .venv/bin/harness run
endef
export HELP

.PHONY: help install doctor failover test lint unit vm nightly bench clean

help:
	@printf '%s\n' "$$HELP"

install:
	@bash bootstrap/install.sh

doctor: install
	@$(AS_ROOT) $(BIN)/harness doctor $(ARGS)

failover: install
	@$(AS_ROOT) $(BIN)/harness run $(ARGS)

test: lint unit vm

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each core begins with tests that follow each other, so that what the tests of one file share is
# made once; who is done first takes over some of the others'.
unit: install
	$(BIN)/python -m pytest tests -m "not vm" -n auto --dist worksteal $(ARGS)

vm: install
	$(PYTEST_AS_ROOT) tests/vm -m "vm and not nightly" $(ARGS)

# Can be run again after an interruption: it goes on where it was, at the same code. What comes of
# the scenarios keeps nobody from the tests; either makes it fail. ARGS chooses among the scenarios.
nightly: install
	@code=0; $(AS_ROOT) $(BIN)/harness nightly $(ARGS) || code=$$?; \
	$(if $(strip $(ARGS)),,$(PYTEST_AS_ROOT) tests/vm -m vm || code=$$?;) exit $$code

bench: install
	@$(AS_ROOT) $(BIN)/python -B bench/reset.py $(ARGS)

clean:
	@if [ -x $(BIN)/harness ]; then $(AS_ROOT) $(BIN)/harness gc; fi
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
