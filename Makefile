# What a person or a script runs; `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready
LOCK := --generate-hashes --no-header --python-version 3.11 --universal --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup up test check chaos bench lint types imports lock

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(READY) ## Build .venv from the lock, with the package in it

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Building $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

up: setup ## Run the whole system here, with a sample batch; Ctrl-C stops it
	@$(BIN)/carecase up --demo

test: setup ## Every test, on real services
	$(BIN)/pytest

check: setup lint types imports test ## What CI runs

SECONDS ?= 60
SEEDS ?= 1

chaos: setup ## The fault harness; SECONDS=600 SEEDS="1 2 3" for a long run
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) --seed $(SEEDS)

BENCH_OPTIONS ?=

bench: $(BENCH_READY) ## This system, its peers and the bare limit in one run; BENCH_OPTIONS="--rounds 5 --full"
	@$(BENCH)/bin/python -m bench $(BENCH_OPTIONS)

# the peers' packages stay out of .venv
$(BENCH_READY): requirements-bench.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Building $(BENCH) …"
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.lock
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(BENCH_READY)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports --no-logo

lock: ## Choose new versions of all dependencies (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev $(LOCK) -o requirements.lock
	uv pip compile pyproject.toml $(LOCK) -o requirements-image.lock
	uv pip compile pyproject.toml --extra embedded --group bench $(LOCK) -c requirements.lock -o requirements-bench.lock
