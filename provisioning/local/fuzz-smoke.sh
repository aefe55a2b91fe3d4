#!/usr/bin/env bash
# Runs every fuzz target of the tree for a short while (FUZZ_SECONDS each, 20 by default; arguments name the crates
# to take, such as agent/procfs). Finds panics, crashes, hangs and leaks; a failing input is left in the artifacts
# folder of its fuzz crate, and its path printed. A target begins with what stands in seeds/TARGET of its fuzz crate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${FUZZ_SECONDS:-20}
if ! command -v cargo-fuzz >/dev/null; then
  echo "fuzz: installing cargo-fuzz"
  cargo install --locked --quiet cargo-fuzz
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
# The instrumentation is behind unstable compiler flags; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
# One folder for all: what the crates share is built once. Not the house's own folder, so that other builds need not wait.
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
export CARGO_TARGET_DIR

if (($#)); then
  crates=("$@")
else
  mapfile -t crates < <(git ls-files '*/fuzz/Cargo.toml' | xargs -n 1 dirname | xargs -n 1 dirname)
fi
failed=()
for crate in "${crates[@]}"; do
  # Fuzz crates are workspaces of their own, for their flags; their dependencies are to be those that are shipped.
  cp Cargo.lock "$crate/fuzz/Cargo.lock"
  printf '== %s: building\n' "$crate"
  if ! (cd "$crate" && cargo fuzz build); then
    failed+=("$crate")
    continue
  fi
  mapfile -t targets < <(cd "$crate" && cargo fuzz list)
  for target in "${targets[@]}"; do
    printf '== %s %s: %s s\n' "$crate" "$target" "$seconds"
    mkdir -p "$crate/fuzz/corpus/$target"
    inputs=("fuzz/corpus/$target")
    if [[ -d $crate/fuzz/seeds/$target ]]; then
      inputs+=("fuzz/seeds/$target")
    fi
    (cd "$crate" && cargo fuzz run "$target" "${inputs[@]}" -- \
      -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -verbosity=0 -print_funcs=0 -print_final_stats=1 </dev/null) ||
      failed+=("$crate $target")
  done
done
if ((${#failed[@]})); then
  printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
