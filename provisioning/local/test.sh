#!/usr/bin/env bash
# Everything that must hold before a change lands. Run it as `make test`, which installs what it needs first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

# What runs out of room on the way says so in a hundred ways, none of them plain.
needed=5
free=$(df --output=avail -B 1G . | tail -n 1 | tr -d ' ')
if [[ ! -d target/debug ]] && ((free < needed)); then
  echo "test: building all needs $needed GB, and on the disk of $PWD are $free GB free" >&2
  exit 1
fi

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
second=
finish() {
  # What was interrupted leaves nothing that runs.
  if [[ -n $second ]]; then kill "$second" 2>/dev/null || true; fi
  provisioning/local/docker-engine.sh stop
}
trap finish EXIT

step "images"
provisioning/images/third-party.sh
provisioning/images/build.sh

step "tests"
# Tests wait more than they compute, so two halves of them run side by side: those whose files' names begin with a to h,
# and the rest. All failures of a run are worth more than the first one.
tests() { cargo test --workspace --locked --no-fail-fast "$@"; }
log=target/second-half-of-tests.log
tests --test '[i-z]*' >"$log" 2>&1 &
second=$!
failed=0
tests --lib --bins --test '[a-h]*' || failed=1
wait "$second" || failed=1
second=
cat "$log"
tests --doc || failed=1
if ((failed)); then
  echo "test: there are failures above: look for FAILED" >&2
  exit 1
fi

step "done"
