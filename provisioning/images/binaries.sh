#!/usr/bin/env bash
# Builds release binaries that need nothing of the machine that they run on: no C library, no loader.
#   binaries.sh                 all that provisioning/images/list names
#   binaries.sh PACKAGE…        those of these packages
#   binaries.sh --dynamic PACKAGE…
#                               with the C library of the machine that they run on, for what a static program cannot
#                               do: load a library, such as that of a GPU
# They are left in target/static, dynamic ones in target/dynamic (ATALAIA_BINARIES names another folder), with their
# symbols: who makes an image of one strips it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kind=static
if [[ ${1:-} == --dynamic ]]; then kind=dynamic && shift; fi
out=${ATALAIA_BINARIES:-target/$kind}
list=provisioning/images/list
host=$(rustc -vV | sed -n 's/^host: //p')

# Named outright, because it must not reach build scripts and macros, which run on this machine: hence --target.
flags=""
if [[ $kind == static ]]; then flags="-C target-feature=+crt-static"; fi
if [[ $host == x86_64-unknown-linux-gnu ]]; then
  # What the linker of this target (lld) can pack: relocations in bits, and functions that came out alike only once.
  # A tenth of each binary.
  flags+=" -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all"
fi

# What the agent says it was built from: the commit that changed it last, so that no other one builds it anew.
if revision=${ATALAIA_REVISION:-$(git log -1 --format=%H -- agent Cargo.lock 2>/dev/null)} && [[ -n $revision ]]; then
  export ATALAIA_REVISION=$revision
fi

if (($#)); then packages=("$@"); else mapfile -t packages < <(awk '!/^#/ { print $3 }' "$list" | sort -u); fi

# build PROFILE PACKAGE…: with what Cargo.toml says of that profile.
build() {
  local profile=$1
  shift
  if (($#)); then
    RUSTFLAGS="$flags" "${CARGO:-cargo}" build --profile "$profile" --locked --target "$host" --bins "${@/#/--package=}"
  fi
}

profile_of() {
  case $1 in services-*) echo service ;; *) echo release ;; esac
}

services=() others=()
for package in "${packages[@]}"; do
  if [[ $(profile_of "$package") == service ]]; then services+=("$package"); else others+=("$package"); fi
done
build release "${others[@]}"
build service "${services[@]}"

mkdir -p "$out"
while read -r binary package; do
  [[ " ${packages[*]} " == *" $package "* ]] || continue
  built=${CARGO_TARGET_DIR:-target}/$host/$(profile_of "$package")/$binary
  # A link where it can be one; the old file goes first, since it may be running.
  rm -f "$out/$binary"
  ln "$built" "$out/$binary" 2>/dev/null || cp "$built" "$out/$binary"
done < <(awk '!/^#/ { print $2, $3 }' "$list")
