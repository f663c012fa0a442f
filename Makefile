# What a person runs. Each target says what it needs and brings it; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TOOLS := tests/tools
# Seconds for each fuzz target, and for the long measurements of `make bench`.
FUZZ_SECONDS ?= 600
LIPSYNC_SECONDS ?= 600

.PHONY: help
help: ## Show this list
	@echo "Mujian 幕间: live streaming that is kind to the interval."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: ## Install what is missing, build, and open the app (without a display: server and a test-card broadcast)
	@$(TOOLS)/run

.PHONY: test
test: ## Install what is missing and run every test (about half an hour on two cores)
	@$(TOOLS)/test

.PHONY: build
build: ## Build the interface and both programs in release: target/release/mujian, target/release/mujian-server
	@$(TOOLS)/setup build run
	@$(TOOLS)/ui build
	cargo build --release --locked -p mujian -p mujian-server

.PHONY: setup
setup: ## Install what building, running and testing need, and nothing else
	@$(TOOLS)/setup build run test

.PHONY: lint
lint: ## Formatting and lints, as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@$(TOOLS)/ui lint

.PHONY: fmt
fmt: ## Format the sources
	cargo fmt --all
	@$(TOOLS)/ui format

.PHONY: generate
generate: ## Write the interface's message types from the Rust ones
	@$(TOOLS)/generate

.PHONY: bench
bench: ## Measure the figures of the project and their references: a table, and target/bench.json
	@LIPSYNC_SECONDS=$(LIPSYNC_SECONDS) $(TOOLS)/bench

.PHONY: fuzz
fuzz: ## Fuzz each parser for FUZZ_SECONDS (600)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(TOOLS)/fuzz

.PHONY: soak
soak: ## What takes long: sequences, measurements, the package in a clean root (over an hour)
	@$(TOOLS)/soak

.PHONY: shots
shots: ## Pictures of every screen, both languages, themes and sizes: target/shots
	@$(TOOLS)/shots

.PHONY: package
package: ## Make a .deb of the app and the server: target/release/bundle/deb
	@$(TOOLS)/setup build run
	@$(TOOLS)/ui build
	@$(TOOLS)/package
