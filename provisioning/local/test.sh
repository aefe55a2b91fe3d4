#!/usr/bin/env bash
# Everything that must hold before a change lands. Run it as `make test`, which installs what it needs first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

step "format"
cargo fmt --all --check

step "scripts"
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck -x "${scripts[@]}"

step "systemd units"
provisioning/systemd/lint.sh

step "virtual machines: the Vagrantfile"
VAGRANT_CWD=provisioning VAGRANT_HOME=$PWD/.atalaia/vagrant-home VAGRANT_DOTFILE_PATH=$PWD/.atalaia/vagrant-machines \
  VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate --ignore-provider

step "clippy"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "licences"
provisioning/local/licences.sh

step "build"
cargo test --workspace --locked --quiet --no-run

step "release build"
provisioning/images/binaries.sh

step "a Docker engine for the tests that need one"
provisioning/local/docker-engine.sh start
trap 'provisioning/local/docker-engine.sh stop' EXIT

step "images"
provisioning/images/third-party.sh
provisioning/images/build.sh

step "tests"
# All failures of a run are worth more than the first one.
cargo test --workspace --locked --no-fail-fast

step "done"
