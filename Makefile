# Strongroom. `make` prints what there is.
#
# Everything is plain Go but for the PKCS#11 binding, which is cgo: gcc has to be there. `make run` and `make test`
# install what they need of Debian's packages; Go itself is looked for and not installed.

SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED := 1

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -X main.version=$(VERSION)
TESTFLAGS ?=
BENCHFLAGS ?=
FUZZTIME  ?= 10s
SOAKTIME  ?= 10m
INTEROP   ?= 100000
RACK      ?= run
TOOL      := go tool -modfile=tests/tools/go.mod

.PHONY: help
help: ## Print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: install-run build ## Power up three virtual appliances in ./run and the demo's site; Ctrl-C takes them down
	@exec bin/firmware-sim up --rack $(RACK) --demo

.PHONY: build
build: go-version ## Build the programs into ./bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/strongroom ./firmware-sim/cmd/firmware-sim
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/strongroom-verify

# The nodes that the tests power up are built with the race detector too, once for all packages, and with the points at
# which a test can have a node killed. What takes longest begins first: it mostly waits, for elections and pages,
# so that a package more than there are cores runs beside it.
.PHONY: test
test: install-test go-version ## Run all tests under the race detector (TESTFLAGS='-v -run X' to choose)
	go build -race -tags failpoints -o bin/race/ ./cmd/strongroom
	STRONGROOM_BINARY=$(CURDIR)/bin/race/strongroom go test -race -p $$(($$(nproc) + 1)) -timeout 9m $(TESTFLAGS) ./tests/... ./...

.PHONY: lint
lint: go-version ## Check formatting (gofumpt), go vet, staticcheck; govulncheck where its database is reached
	@scripts/lint

.PHONY: fmt
fmt: go-version ## Format the code
	$(TOOL) gofumpt -w $$(git ls-files '*.go')

.PHONY: bench
bench: install-run build ## Measure verifications over mutual TLS against three nodes on this machine
	go run ./tests/bench $(BENCHFLAGS)

.PHONY: fuzz
fuzz: install-test go-version ## Fuzz every parser for FUZZTIME each (default 10s)
	@scripts/fuzz $(FUZZTIME)

.PHONY: soak
soak: install-run build ## Break nodes for SOAKTIME (default 10m) while codes are sent to all of them at once
	STRONGROOM_BINARY=$(CURDIR)/bin/strongroom STRONGROOM_SOAK=$(SOAKTIME) \
		go test -tags soak -count=1 -v -timeout 0 -run TestSoak ./firmware-sim

.PHONY: interop
interop: install-test build ## Have programs of others judge the log after INTEROP verifications (default 100000) and two lost leaders
	STRONGROOM_BINARY=$(CURDIR)/bin/strongroom STRONGROOM_INTEROP=$(INTEROP) \
		go test -count=1 -v -timeout 30m ./tests/interop

.PHONY: clean
clean: ## Remove what was built (./run stays: it has a cluster's state; remove it by hand)
	rm -rf bin

.PHONY: install-run install-test go-version
install-run:
	@scripts/install-debian run
install-test:
	@scripts/install-debian test
go-version:
	@scripts/go-version
