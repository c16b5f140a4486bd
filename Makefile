# The commands people use; each does its own set-up. `make help` lists them.
SHELL := /bin/bash
JOBS ?= 2
RELEASE := build/release
# See cmake/ybis.cmake: what ccache goes by for the precompiled header.
export CCACHE_PCH_EXTSUM := 1

.PHONY: help
help: ## List the commands
	@awk -F':.*## ' '/^[a-z -]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the Debian packages that build and test need
	@hack/setup build test

$(RELEASE)/build.ninja: CMakePresets.json
	@hack/setup build
	@cmake --preset release >/dev/null

.PHONY: build
build: $(RELEASE)/build.ninja ## Build ybis-operator, ybis-runner and ybis into build/release/bin
	@cmake --build --preset release -j $(JOBS) --target ybis-operator ybis-runner ybis

.PHONY: test
test: ## Run all tests: unit, integration (Postgres, git, Kubernetes) and end to end
	@hack/test/all

.PHONY: unit
unit: $(RELEASE)/build.ninja ## Run the unit tests alone (no services needed)
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -L unit -j $(JOBS)

.PHONY: demo
demo: build ## Bring up a real Kubernetes, install YBIS, run five tasks and show the patches
	@hack/demo/demo

.PHONY: demo-local
demo-local: build ## Run the same five tasks on this machine alone, without a cluster
	@hack/demo/local

.PHONY: run-worker
run-worker: build ## Start a local worker that takes up queued tasks
	@$(RELEASE)/bin/ybis worker start

.PHONY: demo-down
demo-down: ## Take the demo's cluster down
	@hack/cluster/cluster down

.PHONY: lint
lint: ## Check format, layers, copies, .env.example and (slow) clang-tidy
	@hack/setup build lint
	@hack/verify --tidy

.PHONY: fmt
fmt: ## Format the sources, and renew the chart's copies
	@hack/setup lint
	@hack/verify --write

.PHONY: bench
bench: build ## Print the figures beside what is wanted; those of the cluster when that of `make demo` is up
	@hack/bench/bench $(BENCH)

TASKS ?= 2000
.PHONY: chaos
chaos: build ## Work off TASKS=2000 tasks while workers, runners and the database are killed at random
	@hack/setup build test
	@cmake --build --preset release -j $(JOBS) --target ybis_local_integration_test
	@YBIS_CHAOS_TASKS=$(TASKS) $(RELEASE)/bin/ybis_local_integration_test --gtest_filter='LocalChaos.*'

.PHONY: asan tsan
asan tsan: ## Build with sanitizers; run the unit tests and the integration tests that need no cluster
	@hack/setup build test
	@cmake --preset $@ >/dev/null
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --preset $@ -E 'kube_integration|operator_integration'

SECONDS_EACH ?= 60
.PHONY: fuzz
fuzz: ## Run every fuzz target for SECONDS_EACH=60 with libFuzzer and the sanitizers
	@hack/setup build fuzz
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz -j $(JOBS) --target ybis_fuzzers
	@hack/test/fuzz $(SECONDS_EACH)

.PHONY: clean
clean: ## Remove the build folders (the caches stay)
	@rm -rf build
