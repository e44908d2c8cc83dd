# Everything a checkout needs. `make` alone lists the targets.
# Needs python3 (3.11 or newer) with venv, and make; nothing else, and no root.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Each stamp is older than what it was made from, or the step is done again.
MADE := $(VENV)/.made
RUNNABLE := $(VENV)/.runnable
COMPLETE := $(VENV)/.complete
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-agent setup-proxy run demo test test-all check format bench soak lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(COMPLETE) blockerd.toml  ## everything into .venv, and blockerd.toml from the example where missing

setup-agent: $(COMPLETE)  ## also what `blockerd agent` needs (libxcb1-dev and a C compiler)
	@$(PIP) install --require-hashes -r locks/agent.txt

setup-proxy: $(RUNNABLE)  ## also the HTTPS proxy's own environment, .venvs/proxy-<version of Python> (100 MB)
	@$(BIN)/blockerd proxy setup --into .venvs/proxy-$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

run: $(RUNNABLE) blockerd.toml  ## set up what is missing and start the daemon in the foreground (127.0.0.1:5335)
	@exec $(BIN)/blockerd run --config blockerd.toml

demo: $(RUNNABLE)  ## four synthetic weeks and the summary they give, in a temporary folder
	@exec $(BIN)/blockerd demo

test: $(COMPLETE)  ## the whole suite; PYTEST_ARGS="-k name" for a part
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all:  ## the suite on each Python from 3.11 to 3.14 found here
	@for python in $$(bash .ci/pythons); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "Python $$version: $$python"; \
	  $(MAKE) test PYTHON=$$python VENV=.venvs/$$version; \
	done

check: $(COMPLETE)  ## ruff, mypy strict and the house rules
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --diff --quiet; echo 'layout differs: run `make format`' >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest --quiet tests/house

format: $(COMPLETE)  ## lay out the sources, apply safe fixes
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format --quiet

bench: $(COMPLETE)  ## side by side with every other resolver found here; writes bench/RESULTS.md
	@$(BIN)/python -m bench

soak: $(COMPLETE)  ## the long run: memory, descriptors and losses over hours
	@$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)
	@$(BIN)/python -m bench.soak

lock: $(COMPLETE)  ## newest versions that pyproject.toml allows into locks/ (needs `uv` in .venv or on PATH)
	@command -v $(BIN)/uv uv >/dev/null || $(PIP) install uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash .ci/lock

clean:  ## remove environments, caches and what was built; keeps blockerd.toml and var/
	@rm -rf .venv .venvs build dist bench/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Only where missing: the file is the user's own from then on.
blockerd.toml:
	@cp config/blockerd.example.toml $@

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'make: $(PYTHON) is not Python 3.11 or newer: name one with `make PYTHON=python3.12 …`' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'make: $(PYTHON) has no venv module: install it first, `apt-get install python3-venv` on Debian and Ubuntu' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The package itself comes last, without its dependencies: those are what the lock says and nothing else.
$(RUNNABLE): $(MADE) pyproject.toml locks/run.txt
	@$(PIP) install --require-hashes -r locks/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(COMPLETE): $(RUNNABLE) locks/dev.txt
	@$(PIP) install --require-hashes -r locks/dev.txt
	@touch $@
