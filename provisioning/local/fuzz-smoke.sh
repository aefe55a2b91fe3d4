#!/usr/bin/env bash
# Runs every fuzz target of the tree for a short while (FUZZ_SECONDS, 20 by default). Finds crashes, hangs and leaks;
# a failing input is left in the target's artifacts folder, and its path printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${FUZZ_SECONDS:-20}
command -v cargo-fuzz >/dev/null || { echo "fuzz: installing cargo-fuzz"; cargo install --locked --quiet cargo-fuzz; }
# libFuzzer's instrumentation is behind unstable compiler flags; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
failed=0
while IFS= read -r manifest; do
  crate=$(dirname "$(dirname "$manifest")")
  mapfile -t targets < <(cd "$crate" && cargo fuzz list)
  for target in "${targets[@]}"; do
    printf '== %s %s\n' "$crate" "$target"
    (cd "$crate" && cargo fuzz run "$target" -- -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -verbosity=0) || failed=1
  done
done < <(git ls-files '*/fuzz/Cargo.toml')
exit $failed
