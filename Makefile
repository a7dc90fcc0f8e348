# Every target that needs the environment depends on it, and costs nothing when it is up to date.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Without bytecode every process that starts compiles its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
TOOLS := $(abspath $(or $(MODELOPS_TOOLS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelops/tools))
ENGINE_VERSION := $(shell awk '$$1 == "github.com/pulumi/pulumi/pkg/v3" {print $$2}' tools/go.mod)
REGISTRY_VERSION := $(shell awk '$$1 == "github.com/distribution/distribution/v3" {print $$2}' tools/go.mod)
ENGINE := $(TOOLS)/pulumi-$(ENGINE_VERSION)/bin/pulumi
REGISTRY := $(TOOLS)/registry-$(REGISTRY_VERSION)/registry
VENV := .venv/.up-to-date
UNIT := tests/unit
PYTEST := $(BIN)/python -m pytest
XDIST := -n $(or $(TEST_WORKERS),2) --dist worksteal

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV) $(ENGINE) ## Make .venv with everything in it, and build the Pulumi engine once

$(VENV): pyproject.toml requirements/setup.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ModelOps needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/setup.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt requirements/setup.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --no-build-isolation --editable .
	@touch $@

$(ENGINE): tools/go.mod tools/go.sum
	@tools/build.sh "$@" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$(ENGINE_VERSION)"

$(REGISTRY): tools/go.mod tools/go.sum
	@tools/build.sh "$@" github.com/distribution/distribution/v3/cmd/registry ""

.PHONY: test-tools
test-tools: $(VENV) $(ENGINE) $(REGISTRY)

.PHONY: demo
demo: setup ## Calibrate a stochastic SIR model to real data, end to end on this machine
	@examples/sir/demo.sh

.PHONY: test
test: test-tools ## Pass the unit and integration tests
	$(PYTEST) $(XDIST) --cov --cov-report=term:skip-covered tests

.PHONY: test-unit
test-unit: $(VENV) ## Pass the unit tests (under 20 s)
	$(PYTEST) $(XDIST) $(UNIT)

.PHONY: test-integration
test-integration: test-tools ## Pass the tests on the real engine, registry and Dask
	$(PYTEST) $(XDIST) -m integration tests/integration

.PHONY: test-integration-external
test-integration-external: $(VENV) ## The tests on a Dask that runs already: DASK_ADDRESS=tcp://host:port
	@test -n "$${DASK_ADDRESS:-}" || { echo "Name the scheduler: make $@ DASK_ADDRESS=tcp://127.0.0.1:8786 (make dask-local starts one)" >&2; exit 2; }
	$(PYTEST) -m external --dask-address "$$DASK_ADDRESS" tests/integration

.PHONY: dask-local
dask-local: $(VENV) ## Start a scheduler and workers on this machine, for tests
	@$(BIN)/python tools/dask_local.py start

.PHONY: dask-stop
dask-stop: $(VENV) ## Stop what dask-local started
	@$(BIN)/python tools/dask_local.py stop

.PHONY: lint
lint: $(VENV) ## Check style and the directions of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

.PHONY: typecheck
typecheck: $(VENV) ## Check types
	$(BIN)/mypy

.PHONY: format
format: $(VENV) ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

BENCHES := $(patsubst bench/%.py,bench-%,$(wildcard bench/[a-z]*.py))
.PHONY: bench $(BENCHES)
bench: $(BENCHES) ## Run every benchmark; bench-NAME runs one
$(BENCHES): bench-%: setup
	@$(BIN)/python bench/$*.py

.PHONY: lock
lock: $(VENV) ## Choose the dependencies' versions anew, with their hashes
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" requirements/setup.in --output-file requirements/setup.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --extra dev pyproject.toml --output-file requirements/dev.txt

.PHONY: build
build: $(VENV) ## Build the wheel
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python

.PHONY: clean
clean: ## Remove what was built here (the tool cache stays)
	rm -rf .venv .build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
