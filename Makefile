# The commands people use; each does its own set-up. `make help` lists them.
SHELL := /bin/bash
JOBS ?= 2
RELEASE := build/release
# See cmake/ybis.cmake: what ccache goes by for the precompiled header.
export CCACHE_PCH_EXTSUM := 1

.PHONY: help
help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
demo: build ## Bring up a real Kubernetes, install YBIS, run three tasks and show the patches
	@hack/demo/demo

.PHONY: demo-local
demo-local: build ## Run the same three tasks on this machine alone, without a cluster
	@hack/demo/local

.PHONY: run-worker
run-worker: build ## Start a local worker that takes up queued tasks
	@$(RELEASE)/bin/ybis worker start

.PHONY: demo-down
demo-down: ## Take the demo's cluster down
	@hack/cluster/cluster down

.PHONY: lint
lint: ## Check format, layers, copies, chart and (slow) clang-tidy
	@hack/setup build lint
	@hack/verify --tidy

.PHONY: fmt
fmt: ## Format the sources
	@hack/setup lint
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

.PHONY: bench
bench: build ## Print the figures: build, start, size, latency (the cluster of `make demo` must be up)
	@hack/bench/bench

.PHONY: asan tsan
asan tsan: ## Build with sanitizers and run the unit tests
	@hack/setup build test
	@cmake --preset $@ >/dev/null
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --preset $@ -L unit

.PHONY: clean
clean: ## Remove the build folders (the caches stay)
	@rm -rf build
