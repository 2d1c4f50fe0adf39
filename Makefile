# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. matrix and test prepare the machine themselves: scripts/setup
# installs what is missing with apt-get and says so.

GO     ?= go
KERNEL ?=
SYSCALL ?=
DRIVER ?=
ARCH   ?=
ARGS   ?=
OUT    ?= out

export CGO_ENABLED = 0
export GOFLAGS += -trimpath

matrix_flags = $(if $(ARCH),--arch $(ARCH)) $(if $(KERNEL),--kernel $(KERNEL)) $(if $(SYSCALL),--syscall $(SYSCALL)) $(if $(DRIVER),--driver $(DRIVER)) $(ARGS)

.PHONY: all build generate check format vet fresh test unit fuzz bench golden bpf kmod matrix setup setup-c setup-test help clean

all: build

build: ## bin/scaplab and bin/scap
	$(GO) build -o bin/ ./cmd/...

generate: ## everything generated from tables/*.yaml
	$(GO) run ./cmd/scaplab gen

format:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "not gofmt-ed: $$files"; exit 1; }

vet:
	$(GO) vet ./...

fresh: ## generated code is what the table says
	$(GO) run ./cmd/scaplab gen --check

check: format vet fresh unit ## what every commit must pass

unit:
	$(GO) test ./...

test: setup setup-c setup-test check ## all tests, and the harness on one real kernel
	$(GO) run ./cmd/scaplab matrix --kernel $(or $(KERNEL),6.12) $(if $(SYSCALL),--syscall $(SYSCALL))

matrix: setup build ## every syscall of the table on every kernel: make matrix KERNEL=6.1 SYSCALL=openat ARCH=arm64
	bin/scaplab matrix $(matrix_flags)

kmod: setup build ## kernel modules of all kernels that have headers, load-tested, in OUT/kmod: make kmod KERNEL=6.1
	bin/scaplab build kmod $(if $(KERNEL),--kernel $(KERNEL)) --out $(OUT)/kmod $(ARGS)

bpf: setup-c ## compile the eBPF objects and their Go bindings
	$(GO) generate ./driver/bpf

fuzz: ## a short run of every fuzz target
	scripts/fuzz $(ARGS)

bench: ## benchmarks; the live ones need root and a kernel with BTF
	$(GO) test -run '^$$' -bench . -benchmem ./...

golden: ## rewrite the golden files after a wanted change
	$(GO) test ./... -run Golden -update

setup:
	@scripts/setup qemu $(if $(filter arm64,$(ARCH)),qemu-arm64)

setup-c:
	@scripts/setup clang

setup-test: # gpg signs the archive that a test attacks
	@scripts/setup gpg

clean:
	rm -rf bin out

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 14
