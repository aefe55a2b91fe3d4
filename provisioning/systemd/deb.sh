#!/usr/bin/env bash
# Makes Debian packages of the agent and the collector, with their systemd units: target/debian/atalaia-*.deb.
# Their programs are the static ones of every other way to run them, so a package needs nothing of the machine.
#   deb.sh   installs cargo-deb if it is missing, builds what has changed, says where the packages are
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Of cargo-deb; another one is not asked for while one is there.
version=3.8.0
out=target/debian
host=$(rustc -vV | sed -n 's/^host: //p')

if ! cargo deb --version >/dev/null 2>&1; then
  echo "deb: installing cargo-deb $version"
  cargo install --quiet --locked --no-default-features --version "$version" cargo-deb
fi
provisioning/images/binaries.sh atalaia-agent atalaia-collector
mkdir -p "$out"
for package in atalaia-agent atalaia-collector; do
  deb=$(cargo deb --quiet --locked --no-build --target "$host" --package "$package" --output "$out/" 2>&1) ||
    { echo "deb: $package cannot be packed: $deb" >&2; exit 1; }
done
for deb in "$out"/*.deb; do
  echo "deb: $deb, $(stat -c %s "$deb") bytes"
done
