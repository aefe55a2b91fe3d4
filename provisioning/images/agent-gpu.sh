#!/usr/bin/env bash
# The image atalaia/agent-gpu: the dynamic agent, which can load NVIDIA's library, and the C library of this machine.
# NVIDIA's container toolkit puts its own library and devices into containers of it, as the two variables ask it to.
# The binary comes from target/dynamic (ATALAIA_BINARIES names another folder), where binaries.sh --dynamic leaves it.
# The image's tag is ATALAIA_TAG, `local` where it is not set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=provisioning/images/tree.sh
source provisioning/images/tree.sh

binary=${ATALAIA_BINARIES:-target/dynamic}/atalaia-agent
image=atalaia/agent-gpu:${ATALAIA_TAG:-local}
if [[ ! -x $binary ]]; then
  echo "images: $binary is missing; make agent-gpu builds it" >&2
  exit 1
fi
if ! ldd "$binary" >/dev/null 2>&1; then
  echo "images: $binary is static and cannot load NVIDIA's library; make agent-gpu builds one that can" >&2
  exit 1
fi

tree=$(mktemp -d)
chmod 755 "$tree"
mkdir -p "$tree/etc" "$tree/tmp"
# The agent's libraries, and those that NVIDIA's asks for by names from before they were all one.
while read -r library; do copy "$tree" "$library"; done \
  < <(ldd "$binary" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }')
folder=$(dirname "$(ldd "$binary" | awk '$1 == "libc.so.6" { print $3 }')")
copy "$tree" "$folder"/{libpthread.so.0,libdl.so.2,librt.so.1}
strip -s -o "$tree/atalaia-agent" "$binary"
import "$tree" "$image" 'USER 10001:10001' 'EXPOSE 9100' 'ENTRYPOINT ["/atalaia-agent"]' \
  'ENV NVIDIA_VISIBLE_DEVICES=all' 'ENV NVIDIA_DRIVER_CAPABILITIES=utility' \
  'HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 CMD ["/atalaia-agent", "health"]'
docker image inspect -f "images: $image, {{.Size}} bytes" "$image"
