# What a person or a script runs; `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready
DOCS := .venv-docs
DOCS_READY := $(DOCS)/.ready
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --universal

.DEFAULT_GOAL := help
.PHONY: help setup up test coverage check chaos hostile mutants bench docs pictures lint types imports dependencies advisories sbom lock

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(READY) ## Build .venv from the lock, with the package in it

# an environment in directory 1, of the lock 2, with the package in it
define BUILD
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Building $(1) …"
	@$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(2)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(1)/.ready
endef

$(READY): requirements.lock pyproject.toml
	$(call BUILD,$(VENV),requirements.lock)

UP_OPTIONS ?=

up: setup ## Run the whole system here, with a sample batch the first time; Ctrl-C stops it
	@$(BIN)/carecase up --demo $(UP_OPTIONS)

# files side by side, each process with servers and systems of its own: much of the suite waits
WORKERS ?= 4

# left to make check: what is built of the code, the tools, and the short run of make hostile, the longest file of all
APART := tests/containers tests/packaging tests/mutants tests/acceptance/test_bench.py tests/hostile

TESTS ?=

# what is compiled is kept, whatever the environment says of that: the suite starts hundreds of programs
test: setup ## Every test of the service, on real services; TESTS=tests/unit for some
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(APART:%=--ignore %) $(TESTS)

COVERAGE_OPTIONS ?=

coverage: setup ## Every test but those of containers, packages and the mutation tool; ends with what none of them reaches
	$(BIN)/python -m tests.line_coverage --options="--numprocesses $(WORKERS) --dist loadfile" $(COVERAGE_OPTIONS)

# here every test is run: those of the image, the compose file, the packages and the tools, and the hostile requests
check: APART :=
check: setup lint types imports dependencies advisories docs test ## What CI runs, with every test there is

SECONDS ?= 60
SEEDS ?= 1

chaos: setup ## The fault harness; SECONDS=600 SEEDS="1 2 3" for a long run
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) --seed $(SEEDS) $(if $(ONLY),--only $(ONLY))

HOSTILE_OPTIONS ?=

hostile: setup ## Hostile requests: what each costs, and what another client sees of all together; HOSTILE_OPTIONS="--only 'deep nests'"
	$(BIN)/python -m tests.hostile --seconds $(SECONDS) $(HOSTILE_OPTIONS)

JOBS ?= 2
LEAST ?= 90
BUDGET ?= 60

mutants: setup ## Mistakes put into the code that no test notices; MODULES="store", SINCE=main, SAMPLE=100 SEED=1
	$(BIN)/python -m tests.mutants --jobs $(JOBS) --least $(LEAST) --budget $(BUDGET) $(if $(MODULES),--modules $(MODULES)) $(if $(SINCE),--since $(SINCE)) \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again) $(if $(LIST),--list)

BENCH_OPTIONS ?=

bench: $(BENCH_READY) ## This system, its peers and the bare limit in one run; BENCH_OPTIONS="--rounds 5 --full"
	@$(BENCH)/bin/python -m bench $(BENCH_OPTIONS)

# the peers' packages stay out of .venv
$(BENCH_READY): requirements-bench.lock pyproject.toml
	$(call BUILD,$(BENCH),requirements-bench.lock)

docs: $(DOCS_READY) ## The documentation site, to site/; nothing of it needs a network when it is read
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --clean

pictures: $(DOCS_READY) ## Draw docs/pictures anew, of docs_site/pictures.py
	@$(DOCS)/bin/python -m docs_site.pictures

# what builds the site stays out of .venv, and the package is in it for its docstrings, settings and commands
$(DOCS_READY): requirements-docs.lock pyproject.toml
	$(call BUILD,$(DOCS),requirements-docs.lock)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

PYTHONS := 3.11 3.12 3.13 3.14

types: setup
	@for version in $(PYTHONS); do echo "mypy for Python $$version"; $(BIN)/mypy --python-version $$version || exit 1; done

imports: setup
	$(BIN)/lint-imports --no-logo

# what is imported is declared, what is declared is used, all of it goes together, and every wheel of the lock is there
# for each Python
dependencies: setup
	$(BIN)/deptry src
	$(BIN)/deptry tests bench --non-dev-dependency-groups dev,bench --ignore DEP002
	$(BIN)/python -m pip check
	@for version in $(PYTHONS); do $(BIN)/uv pip install --quiet --dry-run --no-deps --only-binary :all: --python-version $$version \
		--target $(VENV)/for-$$version -r requirements.lock || { echo "The lock has no wheel for Python $$version"; exit 1; }; done

advisories: setup ## Known vulnerabilities of what is locked, by a file; FROM=CHECKOUT refreshes it (advisories/README.md)
	$(BIN)/python -m tests.advisories $(if $(FROM),--refresh $(FROM))

SBOM ?= dist/sbom.cdx.json

sbom: setup ## The bill of materials of the image's Python packages (CycloneDX), to SBOM=dist/sbom.cdx.json
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py requirements requirements-image.lock --pyproject pyproject.toml --output-reproducible --output-file $(SBOM)

lock: setup ## Bring the locks in step with pyproject.toml; UPGRADE=--upgrade chooses new versions of everything
	$(COMPILE) $(UPGRADE) pyproject.toml --all-extras --group dev -o requirements.lock
	$(COMPILE) $(UPGRADE) pyproject.toml --extra otel -c requirements.lock -o requirements-image.lock
	$(COMPILE) $(UPGRADE) --group build -c requirements.lock -o requirements-build.lock
	$(COMPILE) $(UPGRADE) pyproject.toml --extra embedded --extra otel --group bench -c requirements.lock -o requirements-bench.lock
	$(COMPILE) $(UPGRADE) pyproject.toml --group docs -c requirements.lock -o requirements-docs.lock
	$(COMPILE) $(UPGRADE) --group generator -o requirements-generator.lock
	$(COMPILE) --upgrade pyproject.toml --all-extras --resolution lowest-direct -o requirements-lowest.lock
