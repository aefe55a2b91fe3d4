# Atalaia. `make` alone lists the targets; CI calls `make test` and nothing else.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
LOCAL := provisioning/local

.PHONY: help setup setup-test build up down status run test check golden bench fuzz-smoke smoke fmt

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST) \
		| { if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

setup: ## Install what `make up` needs (Debian packages), if it is missing
	@$(LOCAL)/setup.sh up

setup-test: ## Install what `make test` and `make bench` need besides, if it is missing
	@$(LOCAL)/setup.sh up test

build: ## Build agent and collector (release)
	$(CARGO) build --release --locked -p atalaia-agent -p atalaia-collector

up: setup build ## Run the main job: two InfluxDB, agent and collector; waits for the first points
	@$(LOCAL)/up.sh

down: ## Stop everything that `make up` started (data stays under .atalaia/)
	@$(LOCAL)/down.sh

status: ## Show what runs where, and the newest point of each recorded series
	@$(LOCAL)/status.sh

test: setup-test ## Install what the tests need and run everything that CI runs
	@$(LOCAL)/test.sh

check: ## Format, clippy, docs, scripts, licences and advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	shellcheck -x $$(git ls-files '*.sh' .ci/run)
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --all-features check licenses bans sources; \
		else $(LOCAL)/licences.sh; fi

golden: ## Refresh the golden pages after a wanted change (read the diff)
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p agent-exposition -p agent-node -p agent-container
	git diff --stat -- '*/golden/*'

bench: setup-test build ## Measure agent and collector beside their peers, in one run, as ratios
	$(CARGO) bench --locked -p atalaia-agent --bench peers
	$(CARGO) bench --locked -p atalaia-collector --bench peers

fuzz-smoke: ## Run every fuzz target for a short while (installs cargo-fuzz if it is missing)
	@$(LOCAL)/fuzz-smoke.sh

fmt: ## Format the code
	$(CARGO) fmt --all
