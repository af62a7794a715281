.DEFAULT_GOAL := help

# How often the tests run, and the benchmarks; faults in a run of the models; which
# benchmarks; flags of the demo and of the comparison.
COUNT      ?= 1
FAULTS     ?= 1
BENCHCOUNT ?= 10
BENCH      ?= .
ARGS       ?=

# The version of the linter is pinned in a module of its own, out of the way of users.
LINT    := go tool -modfile=$(CURDIR)/internal/tools/go.mod golangci-lint
INTEROP := go test -tags interop -count=1 -parallel=8 -timeout=10m ./interop/
# It measures, which the race detector would spoil.
MIXTURE := TestMixtureIsFairAndFast
MODULES := find . -name go.mod -not -path '*/node_modules/*' -exec dirname {} \;

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: fmt
fmt: ## Format all Go files
	$(LINT) fmt

.PHONY: lint
lint: ## Run the linters on every module; the first time it compiles them, which takes a few minutes
	@set -e; for dir in $$($(MODULES)); do \
		echo "$$dir"; \
		(cd "$$dir"; pkgs=$$(go list ./...); if [ -n "$$pkgs" ]; then $(LINT) run ./...; fi); \
	done

.PHONY: test
test: ## Run all tests with the race detector, COUNT=1 times; install a Redis server if there is none
	@.ci/server
	go test -race -count=$(COUNT) -timeout=60m ./...

.PHONY: e2e
e2e: ## Run only the end-to-end tests: several processes on a real server
	@.ci/server
	go test -race -count=$(COUNT) -timeout=60m -v .

.PHONY: test-interop
test-interop: ## Run the tests against the real Redisson, on Redis and on Valkey; needs a JDK and Maven
	@.ci/server
	$(INTEROP) -race -skip $(MIXTURE)
	$(INTEROP) -run $(MIXTURE)
	RLOCK_TEST_SERVER="$$(.ci/valkey)" $(INTEROP) -race -skip $(MIXTURE)
	RLOCK_TEST_SERVER="$$(.ci/valkey)" $(INTEROP) -run $(MIXTURE)
	RLOCK_REDISSON=3.27.2 $(INTEROP) -race -skip $(MIXTURE)

.PHONY: test-examples
test-examples: ## Run the tests of the examples that are modules of their own
	@.ci/server
	@set -e; for mod in examples/*/go.mod; do \
		echo "$$(dirname "$$mod")"; \
		(cd "$$(dirname "$$mod")" && go test -race -timeout=10m ./...); \
	done

.PHONY: model
model: ## Search the models of the protocol to the end, with FAULTS=1 in a run or 2; installs spin if it may
	@.ci/spin
	docs/model/check --faults $(FAULTS)

.PHONY: bench
bench: ## Compare the lock with its peers and write bench/results; takes minutes, ARGS="-rounds 5 -window 3s" longer
	@.ci/server
	cd bench/peers && go run ./compare -out ../results $(ARGS)

.PHONY: bench-go
bench-go: ## Run the Go benchmarks, BENCH=. BENCHCOUNT=10, for benchstat
	@.ci/server
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(BENCHCOUNT) -timeout=0 ./bench/...

.PHONY: bench-smoke
bench-smoke: ## Run each Go benchmark once, and a little of the comparison, to see that it works
	@.ci/server
	go test -run '^$$' -bench . -benchtime 1x ./bench/...
	cd bench/peers && go test -race -timeout=10m ./... && \
		go run ./compare -rounds 1 -window 50ms -only '^(serial, cancel|8 clients × 8, hold)'

.PHONY: demo
demo: ## Run the demonstration, ARGS="--processes 3"
	go run ./cmd/rlock demo $(ARGS)

.PHONY: build
build: ## Build and vet every module of the repository
	@set -e; for dir in $$($(MODULES)); do \
		echo "$$dir"; \
		(cd "$$dir"; pkgs=$$(go list ./...); if [ -n "$$pkgs" ]; then go build -buildvcs=false ./...; go vet ./...; fi); \
	done

.PHONY: tidy-check
tidy-check: ## Check that every go.mod and go.sum is tidy
	@set -e; for dir in $$($(MODULES)); do \
		echo "$$dir"; \
		(cd "$$dir" && go mod tidy -diff); \
	done
