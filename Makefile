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
COSIGN_VERSION := $(shell awk '$$1 == "github.com/sigstore/cosign/v3" {print $$2}' tools/cosign/go.mod)
ENGINE := $(TOOLS)/pulumi-$(ENGINE_VERSION)/bin/pulumi
REGISTRY_PROGRAM := $(TOOLS)/registry-$(REGISTRY_VERSION)/registry
COSIGN := $(TOOLS)/cosign-$(COSIGN_VERSION)/cosign
K8S_VERSION := $(shell awk '$$1 == "k8s.io/kubernetes" {print $$2}' tools/kubernetes/k8s/go.mod)
K8S := $(TOOLS)/kubernetes-$(K8S_VERSION)
K8S_PROGRAMS := $(addprefix $(K8S)/,kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
ETCD := $(TOOLS)/etcd-$(shell awk '$$1 == "go.etcd.io/etcd/server/v3" {print $$2}' tools/kubernetes/etcd/go.mod)/etcd
COREDNS := $(TOOLS)/coredns-$(shell awk '$$1 == "github.com/coredns/coredns" {print $$2}' tools/kubernetes/coredns/go.mod)/coredns
LOCAL_PATH_VERSION := $(shell awk '$$1 == "github.com/rancher/local-path-provisioner" {print $$2}' tools/kubernetes/local-path/go.mod)
LOCAL_PATH := $(TOOLS)/local-path-$(LOCAL_PATH_VERSION)/local-path-provisioner
KUBE_ROUTER_VERSION := $(shell awk '$$1 == "github.com/cloudnativelabs/kube-router/v2" {print $$2}' tools/kubernetes/kube-router/go.mod)
KUBE_ROUTER := $(TOOLS)/kube-router-$(KUBE_ROUTER_VERSION)/kube-router
VENV := .venv/.up-to-date
UNIT := tests/unit
PYTEST := $(BIN)/python -m pytest
XDIST := -n $(or $(TEST_WORKERS),2) --dist worksteal
SLOWEST := --durations=40 --durations-min=5

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  %-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

$(REGISTRY_PROGRAM): tools/go.mod tools/go.sum
	@tools/build.sh "$@" github.com/distribution/distribution/v3/cmd/registry ""

.PHONY: registry
registry: $(REGISTRY_PROGRAM) ## Build the OCI registry that `registry: {class: distribution}` runs

# A module of its own, so that its 270 dependencies don't choose the versions of the other tools.
$(COSIGN): tools/cosign/go.mod tools/cosign/go.sum
	@tools/build.sh "$@" github.com/sigstore/cosign/v3/cmd/cosign "" cosign

.PHONY: cosign
cosign: $(COSIGN) ## Build cosign (minutes), against which `make test-cosign` tries signatures

# Modules of their own each, as the versions that one needs aren't the others'.
$(K8S_PROGRAMS): tools/kubernetes/k8s/go.mod tools/kubernetes/k8s/go.sum
	@tools/build.sh "$@" k8s.io/kubernetes/cmd/$(@F) "$(K8S_LDFLAGS)" kubernetes/k8s

K8S_LDFLAGS = -X k8s.io/component-base/version.gitVersion=$(K8S_VERSION) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(subst ., ,$(K8S_VERSION:v%=%))) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(K8S_VERSION:v%=%)))

$(ETCD): tools/kubernetes/etcd/go.mod tools/kubernetes/etcd/go.sum
	@tools/build.sh "$@" go.etcd.io/etcd/server/v3 "" kubernetes/etcd

$(COREDNS): tools/kubernetes/coredns/go.mod tools/kubernetes/coredns/go.sum
	@tools/build.sh "$@" github.com/coredns/coredns "" kubernetes/coredns

$(LOCAL_PATH): tools/kubernetes/local-path/go.mod tools/kubernetes/local-path/go.sum
	@tools/build.sh "$@" github.com/rancher/local-path-provisioner "-X main.VERSION=$(LOCAL_PATH_VERSION)" kubernetes/local-path

$(KUBE_ROUTER): tools/kubernetes/kube-router/go.mod tools/kubernetes/kube-router/go.sum
	@tools/build.sh "$@" github.com/cloudnativelabs/kube-router/v2/cmd/kube-router "" kubernetes/kube-router

.PHONY: k8s-tools
k8s-tools: $(K8S_PROGRAMS) $(ETCD) $(COREDNS) $(LOCAL_PATH) $(KUBE_ROUTER) $(REGISTRY_PROGRAM) ## Build what a Kubernetes on this machine needs (once, ten minutes)
# One heavy build at a time, also under `make -j`.
.NOTPARALLEL: k8s-tools

CLUSTER ?= modelops-dev
TESTCLUSTER := PYTHONPATH=tools/kubernetes $(BIN)/python -m testcluster

.PHONY: k8s-up
k8s-up: $(VENV) k8s-tools ## Start a Kubernetes here, and say how to use it (root; CLUSTER=name)
	@$(TESTCLUSTER) up $(CLUSTER)

.PHONY: k8s-down
k8s-down: $(VENV) ## Remove what k8s-up started
	@$(TESTCLUSTER) down $(CLUSTER)

.PHONY: test-tools
test-tools: $(VENV) $(ENGINE) $(REGISTRY_PROGRAM)

.PHONY: demo
demo: setup ## Calibrate a stochastic SIR model to real data, end to end on this machine
	@examples/sir/demo.sh

.PHONY: test
test: test-tools ## Pass the unit and integration tests
	$(PYTEST) $(XDIST) $(SLOWEST) --cov --cov-report=term:skip-covered -m "not chaos and not k8s" tests

.PHONY: test-unit
test-unit: $(VENV) ## Pass the unit tests (under 20 s)
	$(PYTEST) $(XDIST) -m "not integration" $(UNIT)

.PHONY: test-integration
test-integration: test-tools ## Pass the tests on the real engine, registry and Dask
	$(PYTEST) $(XDIST) -m "integration and not chaos and not k8s" tests

.PHONY: test-images
test-images: test-tools ## Build the images and pass their tests (root, on a Debian)
	$(PYTEST) tests/e2e/test_images.py

# A cluster each has whoever runs tests; they share one that is named, of which some drain the node.
K8S_TESTS := tests/e2e

.PHONY: test-k8s
test-k8s: test-tools k8s-tools ## Pass the tests on the real Kubernetes that they start (root)
	$(PYTEST) -n $(or $(TEST_CLUSTERS),$(if $(MODELOPS_TEST_KUBECONFIG),0,2)) --dist loadfile $(SLOWEST) -m k8s $(K8S_TESTS)

.PHONY: chaos
chaos: test-tools ## Kill and interrupt engine and workers at many more moments than `make test` does
	$(PYTEST) $(XDIST) -m chaos tests

.PHONY: test-cosign
test-cosign: test-tools $(COSIGN) ## Check that cosign takes our signatures, and we take its
	COSIGN=$(COSIGN) $(PYTEST) tests/integration/test_cosign.py

.PHONY: fuzz
fuzz: $(VENV) ## Try ten thousand mutations of each kind on what reads bundles
	$(PYTEST) $(XDIST) --hypothesis-profile=fuzz tests/fuzz

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
bench-kubernetes: test-tools k8s-tools
bench-kubernetes: export PYTHONPATH = tests:tests/e2e:tools/kubernetes

.PHONY: lock
lock: $(VENV) ## Choose the dependencies' versions anew, with their hashes
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" requirements/setup.in --output-file requirements/setup.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --extra dev pyproject.toml --constraints requirements/setup.txt --output-file requirements/dev.txt
	@# From dev.txt's versions on, so that images run what was tested, except where an extra forbids it.
	cp requirements/dev.txt requirements/image.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --extra images pyproject.toml --output-file requirements/image.txt

.PHONY: build-wheel
build-wheel: $(VENV) ## Build the wheel
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python

# Of the images: BASE=debian or another base, PROFILE of modelops-images.yaml, TOOL=buildah or docker;
# REGISTRY, ORG and TAG go before the profile's.
IMAGES := $(BIN)/python tools/images/build.py
IMAGE_OPTIONS := $(if $(TOOL),--tool $(TOOL)) $(if $(PROFILE),--profile $(PROFILE))
DEPLOY := $(BIN)/python tools/images/deploy.py
DEPLOY_OPTIONS := --env $(or $(ENV),dev) --config $(or $(CONFIG),runtime.yaml) $(if $(PROFILE),--profile $(PROFILE))
push pull-latest deploy verify-deploy: export MODELOPS_IMAGES_REGISTRY := $(or $(REGISTRY),$(MODELOPS_IMAGES_REGISTRY))
push pull-latest deploy verify-deploy: export MODELOPS_IMAGES_ORG := $(or $(ORG),$(MODELOPS_IMAGES_ORG))
push pull-latest deploy verify-deploy: export MODELOPS_IMAGES_TAG := $(or $(TAG),$(MODELOPS_IMAGES_TAG))

.PHONY: build
build: $(VENV) ## Build the images; build-scheduler, build-worker, build-runner, build-test one
	@$(IMAGES) build $(IMAGE_OPTIONS) $(if $(BASE),--base $(BASE))

.PHONY: build-scheduler build-worker build-runner build-test
build-scheduler build-worker build-runner build-test: build-%: $(VENV)
	@$(IMAGES) build $* $(IMAGE_OPTIONS) $(if $(BASE),--base $(BASE))

.PHONY: push
push: $(VENV) ## Push the images that were built: PROFILE=dev, or REGISTRY=host ORG=… TAG=…
	@$(IMAGES) push $(IMAGE_OPTIONS)

.PHONY: pull-latest
pull-latest: $(VENV) ## Fetch the images that the registry has
	@$(IMAGES) pull $(IMAGE_OPTIONS)

.PHONY: deploy
deploy: $(VENV) ## Have `mops workspace up` use the images pushed or pulled last: ENV=dev CONFIG=runtime.yaml
	@$(DEPLOY) deploy $(DEPLOY_OPTIONS)

.PHONY: verify-deploy
verify-deploy: $(VENV) ## Check that the cluster's pods run those images (by kubectl)
	@$(DEPLOY) verify $(DEPLOY_OPTIONS)

.PHONY: clean
clean: ## Remove what was built here (the tool cache stays)
	rm -rf .venv .build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
