# SPDX-License-Identifier: MIT OR Apache-2.0
# 'make demo' shows what Sluice does, 'make test' proves it. Both install what they need.

CARGO ?= cargo
TARGET ?= $(CURDIR)/target
export CARGO_TARGET_DIR := $(TARGET)

# cargo-nextest where it is installed, cargo's own runner elsewhere. Both build the demo and the lab, which tests need.
run := $(if $(shell command -v cargo-nextest),nextest run,test) --locked

# The model checker: another cfg for every crate, so a target folder of its own.
loom = RUSTFLAGS='--cfg loom' CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$(TARGET)/loom \
    $(CARGO) test --locked --release

cargo-deny = 0.20.2
cargo-deb = 3.8.0

title = @printf '\n== %s\n' '$(1)'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps build demo lab lab-shell lab-appliance test fuzz fmt lint bench instructions deny install package words clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what the build needs (apt, as root), or say what is missing
	@.ci/deps

build: deps ## Build sluice, sluiced, sluice-agent, the demo and the lab in release mode
	$(call title,build)
	$(CARGO) build --release --locked -p forwarder --bin sluice --example demo --example lab
	@! ldd $(TARGET)/release/sluice | grep librte   # an operator's machine has no DPDK
	$(CARGO) build --release --locked -p agent
	@! ldd $(TARGET)/release/sluice-agent | grep librte   # nor has a server
	$(CARGO) build --release --locked -p forwarder --bin sluiced --features dpdk
	$(CARGO) build --release --locked -p lab

demo: build ## Forward real frames through DPDK, and swap the table meanwhile
	@$(TARGET)/release/examples/demo

lab: build ## Two data centres and an Internet in network namespaces, and a story that checks itself (as root)
	@.ci/deps lab
	@$(TARGET)/release/lab --picture $(TARGET)/lab.svg

lab-shell: build ## The same with a prompt in it instead of the story (as root)
	@.ci/deps lab
	@$(TARGET)/release/lab --shell

lab-appliance: build ## Show a whole appliance in network namespaces: BGP, a flood, a drain (as root)
	@.ci/deps test
	@$(TARGET)/release/examples/lab

test: START := $(shell date +%s)
test: lint ## Run every check and every test
	@.ci/deps test
	$(call title,tests without DPDK)
	$(CARGO) $(run)
	$(call title,documentation tests)
	$(CARGO) test --locked --doc
	$(call title,generation swap and counters under loom)
	$(loom) -p tables --test generation_loom
	$(loom) -p forwarder --lib seqlock
	$(call title,tests with DPDK)
	$(CARGO) $(run) -p dpdk-sys -p forwarder -p lab --features forwarder/dpdk,lab/dpdk
	$(call title,instructions a packet)
	$(CARGO) build --release --locked -p benches --bin pipeline
	@benches/instructions $(TARGET)/release/pipeline
	$(call title,fuzzing for 10 s each)
	@forwarder/fuzz/run 10
	$(call title,documentation)
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items --workspace \
	    --features forwarder/dpdk,benches/dpdk
	@printf '\nmake test: all passed in %s s\n' $$(( $$(date +%s) - $(START) ))

FUZZ_SECONDS ?= 600
fuzz: ## Fuzz every target, or FUZZ_TARGETS, for FUZZ_SECONDS
	@.ci/deps test
	@forwarder/fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

fmt: ## Format the code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path forwarder/fuzz/Cargo.toml

lint: deps ## Check the format, and run clippy with warnings as errors
	$(call title,format)
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path forwarder/fuzz/Cargo.toml --check
	@# A workspace of its own has a lock file of its own, which the first change of a dependency leaves behind.
	$(CARGO) metadata --locked --format-version 1 --manifest-path forwarder/fuzz/Cargo.toml >/dev/null
	$(call title,clippy without DPDK)
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(call title,clippy with DPDK)
	$(CARGO) clippy --locked --workspace --all-targets --features forwarder/dpdk,benches/dpdk,lab/dpdk -- -D warnings

bench: ## Measure everything beside its goals: some minutes on an idle machine (BENCH='--quick' for fewer)
	@.ci/deps bench
	$(CARGO) build --release --locked -p benches --bins --features benches/dpdk
	@benches/report/run.py $(BENCH)

instructions: ## Record how many instructions a packet costs
	@.ci/deps test
	$(CARGO) build --release --locked -p benches --bin pipeline
	@benches/instructions $(TARGET)/release/pipeline update

deny: ## Check licences, sources and, where the database can be had, advisories of the dependencies
	@PATH="$(TARGET)/tools/bin:$$PATH"; \
	command -v cargo-deny >/dev/null || $(CARGO) install --locked --root $(TARGET)/tools --version $(cargo-deny) cargo-deny || exit; \
	if cargo-deny fetch db >/dev/null 2>&1; then \
	    cargo-deny --locked check; \
	else \
	    echo 'make deny: the advisory database cannot be reached; advisories are NOT checked'; \
	    cargo-deny --locked check bans licenses sources; \
	fi

PREFIX ?= /usr/local
DESTDIR ?=
place = $(DESTDIR)$(PREFIX)
unit_folder ?= $(DESTDIR)/etc/systemd/system

# The built programs' manual pages and completions.
words:
	@for shell in bash zsh fish; do mkdir -p $(TARGET)/release/package/$$shell; done
	$(TARGET)/release/sluice man $(TARGET)/release/package/man
	$(TARGET)/release/sluice completions bash >$(TARGET)/release/package/bash/sluice
	$(TARGET)/release/sluice completions zsh >$(TARGET)/release/package/zsh/_sluice
	$(TARGET)/release/sluice completions fish >$(TARGET)/release/package/fish/sluice.fish
	@for shell in bash zsh fish; do mkdir -p $(TARGET)/release/package/agent/$$shell; done
	$(TARGET)/release/sluice-agent man $(TARGET)/release/package/agent/man
	$(TARGET)/release/sluice-agent completions bash >$(TARGET)/release/package/agent/bash/sluice-agent
	$(TARGET)/release/sluice-agent completions zsh >$(TARGET)/release/package/agent/zsh/_sluice-agent
	$(TARGET)/release/sluice-agent completions fish >$(TARGET)/release/package/agent/fish/sluice-agent.fish

install: words ## Install what 'make build' has built below PREFIX (/usr/local), and the units of systemd
	install -d $(place)/share/man/man1 $(place)/share/man/man8 $(unit_folder)
	install -D -m 755 -t $(place)/bin $(TARGET)/release/sluice $(TARGET)/release/sluiced $(TARGET)/release/sluice-agent
	install -D -m 755 packaging/upgrade $(place)/sbin/sluice-upgrade
	install -D -m 644 -t $(place)/share/doc/sluice/examples packaging/sluice.toml packaging/agent.toml
	install -m 644 -t $(place)/share/man/man1 $(TARGET)/release/package/man/man1/* $(TARGET)/release/package/agent/man/man1/*
	install -m 644 -t $(place)/share/man/man8 $(TARGET)/release/package/man/man8/*
	install -D -m 644 -t $(place)/share/bash-completion/completions $(TARGET)/release/package/bash/sluice $(TARGET)/release/package/agent/bash/sluice-agent
	install -D -m 644 -t $(place)/share/zsh/site-functions $(TARGET)/release/package/zsh/_sluice $(TARGET)/release/package/agent/zsh/_sluice-agent
	install -D -m 644 -t $(place)/share/fish/vendor_completions.d $(TARGET)/release/package/fish/sluice.fish $(TARGET)/release/package/agent/fish/sluice-agent.fish
	sed 's,/usr/bin/sluiced,$(PREFIX)/bin/sluiced,' packaging/systemd/sluiced.service >$(unit_folder)/sluiced.service
	sed 's,/usr/bin/sluice-agent,$(PREFIX)/bin/sluice-agent,' packaging/systemd/sluice-agent.service \
	    >$(unit_folder)/sluice-agent.service

package: build words ## Build the Debian packages
	@.ci/deps package
	@[ -x $(TARGET)/tools/bin/cargo-deb ] || $(CARGO) install --locked --root $(TARGET)/tools --version $(cargo-deb) \
	    --no-default-features cargo-deb
	$(TARGET)/tools/bin/cargo-deb --no-build --locked -p forwarder
	$(TARGET)/tools/bin/cargo-deb --no-build --locked -p agent
	@for name in sluice sluice-agent; do dpkg-deb --info $$(ls -t $(TARGET)/debian/$${name}_*.deb | head -1); done

clean: ## Remove everything that was built
	rm -rf $(TARGET)
