# Atalaia. `make` alone lists the targets; CI calls `make test` and nothing else.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
LOCAL := provisioning/local
IMAGES := provisioning/images
COMPOSE := provisioning/compose

.PHONY: help setup setup-compose setup-test build agent-gpu agent-gpu-image up down status docker-image \
	docker-compose-up docker-compose-down docker-compose-logs deb test test-vagrant compat churn check golden bench \
	fuzz-smoke fmt

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  \033[1m%-20s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST) \
		| { if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

setup: ## Install what `make up` needs (Debian packages), if it is missing
	@$(LOCAL)/setup.sh up

setup-compose: ## Install what the docker- targets need, if it is missing
	@$(LOCAL)/setup.sh compose

setup-test: ## Install what `make test` and `make bench` need besides, if it is missing
	@$(LOCAL)/setup.sh up compose test

# One kind of release build for all: static binaries, which run on the machine and in an empty image alike.
build: ## Build every program (release, static: target/static)
	@$(IMAGES)/binaries.sh

agent-gpu: ## Build the agent for machines with NVIDIA's GPUs (release, dynamic: target/dynamic)
	@$(IMAGES)/binaries.sh --dynamic atalaia-agent

agent-gpu-image: setup-compose agent-gpu ## Build the image of that agent, for NVIDIA's container toolkit
	@$(LOCAL)/docker-engine.sh start
	@$(IMAGES)/agent-gpu.sh

up: setup ## Run the main job: two InfluxDB, agent and collector; waits for the first points
	@$(IMAGES)/binaries.sh atalaia-agent atalaia-collector
	@$(LOCAL)/up.sh

down: ## Stop everything that `make up` started (data stays under .atalaia/)
	@$(LOCAL)/down.sh

status: ## Show what runs where, and the newest point of each recorded series
	@$(LOCAL)/status.sh

docker-image: setup-compose build ## Build the images of all programs; pull or make those of others
	@$(LOCAL)/docker-engine.sh start
	@$(IMAGES)/third-party.sh
	@$(IMAGES)/build.sh

docker-compose-up: docker-image ## Start everything in containers and wait until it is well
	@$(COMPOSE)/all.sh up

docker-compose-down: ## Stop and remove what docker-compose-up started (data stays in its volumes)
	@$(COMPOSE)/all.sh down

docker-compose-logs: ## Show what the containers say, and go on showing
	@$(COMPOSE)/all.sh logs

deb: ## Make Debian packages of agent and collector, with systemd units (target/debian; installs cargo-deb)
	@provisioning/systemd/deb.sh

test: setup-test ## Install what the tests need and run everything that CI runs
	@$(LOCAL)/test.sh

test-vagrant: docker-image deb ## Bring up both virtual machines, watch them work, hurt them, take them away (long)
	@provisioning/tests/vagrant/run.sh

compat: setup-test ## Compare the agent's page with node_exporter's, family by family: what differs, and why
	@$(CARGO) test --locked --quiet -p atalaia-agent --test compat

churn: setup-test ## Let 300 containers come and go under the agent's eyes: what it holds, and what it misses (minutes)
	@$(LOCAL)/docker-engine.sh start
	@$(CARGO) test --locked --quiet -p atalaia-agent --test churn -- --ignored --nocapture

check: ## Format, clippy, fuzz targets, docs, scripts, licences and advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@set -e; for crate in $$(git ls-files '*/fuzz/Cargo.toml' | xargs -n 1 dirname); do \
		echo "cargo check: $$crate"; cp Cargo.lock $$crate/Cargo.lock; \
		$(CARGO) check --quiet --manifest-path $$crate/Cargo.toml --target-dir target; done
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	shellcheck -x $$(git ls-files '*.sh' .ci/run)
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --all-features check licenses bans sources; \
		else $(LOCAL)/licences.sh; fi

golden: ## Refresh the golden pages after a wanted change (read the diff)
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p agent-exposition -p agent-node -p agent-container
	git diff --stat -- '*/golden/*'

bench: setup-test ## Measure each program beside its peers, in one run, as ratios
	$(CARGO) bench --locked -p atalaia-agent --bench peers
	$(CARGO) bench --locked -p atalaia-collector --bench peers
	$(CARGO) bench --locked --profile service -p services-file-transfer --bench peers
	$(CARGO) bench --locked --profile service -p services-voting --bench peers
	$(CARGO) bench --locked --profile service -p services-echo --bench peers

fuzz-smoke: ## Run every fuzz target for a short while (installs cargo-fuzz if it is missing)
	@$(LOCAL)/fuzz-smoke.sh

fmt: ## Format the code
	$(CARGO) fmt --all
