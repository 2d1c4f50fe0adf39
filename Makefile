# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. matrix and test prepare the machine themselves: scripts/setup
# installs what is missing with apt-get and says so.

GO     ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
KERNEL ?=
SYSCALL ?=
DRIVER ?=
ARCH   ?=
ARGS   ?=
OUT    ?= out

export CGO_ENABLED = 0
export GOFLAGS += -trimpath

matrix_flags = $(if $(ARCH),--arch $(ARCH)) $(if $(KERNEL),--kernel $(KERNEL)) $(if $(SYSCALL),--syscall $(SYSCALL)) $(if $(DRIVER),--driver $(DRIVER)) $(ARGS)

# How long the tests of one package may take: it ends tests that hang, and is enough for a machine ten times slower than ours.
limit  = -timeout 3h
gotest = $(GO) run ./internal/cmd/gotest $(limit)

.PHONY: all build generate check quick format vet lint workflows schema fresh test unit race cross fuzz bench golden bpf kmod packages debian release matrix setup setup-c setup-test help clean

all: build

build: ## bin/scaplab and bin/scap
	$(GO) build -o bin/ ./cmd/...

generate: ## everything generated from tables/*.yaml
	$(GO) run ./internal/cmd/generate

format:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "not gofmt-ed: $$files"; exit 1; }

lint: ## staticcheck
	$(GO) run $(STATICCHECK) ./...

workflows: ## .github and deploy are what GitHub and Kubernetes read
	$(GO) run $(ACTIONLINT)
	cd deploy/check && $(GO) run . ../matrix.yaml

vet:
	$(GO) vet ./...

fresh: ## generated code is what the table says
	$(GO) run ./cmd/scaplab gen --check

schema: ## the tables are laid out as they should be, agree with tables/schema.lock, and that with the last release (tag v*)
	$(GO) run ./cmd/scaplab table fmt --check
	$(GO) run ./cmd/scaplab schema check

quick: format vet schema fresh ## the daily loop: no virtual machines, no module builds, no cross builds
	$(gotest) -short -vet=off ./...

check: format vet lint schema fresh unit ## what every commit must pass

unit:
	$(gotest) ./...

# By default a program under the race detector sleeps 1 s before it exits, and tests start many.
race: ## all tests under the race detector, which needs a C compiler; ARGS=-short: without virtual machines
	GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $(gotest) -race -vet=off $(ARGS) ./...

cross: ## build what needs no kernel for other systems
	$(GO) test $(limit) ./internal/testutil -run CompilesEverywhere -build

# The tests come last: they use the kernel that matrix fetches, and end with what was skipped and why.
test: setup setup-c setup-test format vet lint workflows schema fresh cross ## all tests, and the harness on one real kernel
	$(GO) run ./cmd/scaplab matrix --kernel $(or $(KERNEL),6.12) $(if $(SYSCALL),--syscall $(SYSCALL))
	$(gotest) ./...

matrix: setup build ## every syscall of the table on every kernel: make matrix KERNEL=6.1 SYSCALL=openat ARCH=arm64
	bin/scaplab matrix $(matrix_flags)

kmod: setup build ## kernel modules of all kernels that have headers, load-tested, in OUT/kmod: make kmod KERNEL=6.1
	bin/scaplab build kmod $(if $(KERNEL),--kernel $(KERNEL)) --out $(OUT)/kmod $(ARGS)

# Four kernels that the archive maintains, and one of the other architecture.
release_kernels = $(or $(KERNEL),5.10$(comma)6.1$(comma)6.12$(comma)newest$(comma)arm64:6.12)
comma = ,

release: setup-release build ## drivers for five kernels in OUT/release: built twice, loaded, signed, verified; keys in SIGN_KEY SIGN_CERT MINISIGN_KEY MINISIGN_PUB
	scripts/release $(OUT)/release '$(release_kernels)'

packages: ## .deb and .rpm of the tools, and the DKMS package of the module, in OUT/packages; GOARCH=arm64: for that machine
	scripts/packages $(OUT)/packages

debian: setup ## install the packages in a fresh Debian in a virtual machine, use and purge them; as root
	@scripts/setup debian
	SCAPLAB_DEBIAN=1 $(gotest) ./packaging -run FreshDebian -v

bpf: setup-c ## compile the eBPF objects
	$(GO) generate ./driver/bpf

fuzz: ## a short run of every fuzz target
	scripts/fuzz $(ARGS)

bench: ## benchmarks; the live ones need root and a kernel with BTF
	$(GO) test $(limit) -run '^$$' -bench . -benchmem ./...

golden: ## rewrite the golden files after a wanted change
	$(GO) test $(limit) ./... -run Golden -update

setup:
	@scripts/setup qemu $(if $(filter arm64,$(ARCH)),qemu-arm64)

setup-c:
	@scripts/setup clang

setup-release:
	@scripts/setup qemu qemu-arm64 clang signing

setup-test: # gpg signs the archive that a test attacks, chromium reads reports; openssl, modinfo and minisign read signatures, skopeo our image layout, rpm our package
	@scripts/setup gpg chromium signing oci rpm

clean:
	rm -rf bin out

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 14
