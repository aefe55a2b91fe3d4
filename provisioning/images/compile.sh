#!/usr/bin/env bash
# Makes our images from source, by the Dockerfiles, for a machine without Rust: the compiler comes in an image of its
# own. Needs a registry, BuildKit, some 6 GB of disk and ten minutes; it compiles once for all images.
#   compile.sh           every image of provisioning/images/list
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=provisioning/versions.sh
source provisioning/versions.sh

tag=${ATALAIA_TAG:-local}

# The Dockerfiles name the compiler's image by its major version; here it is the pinned one that has this name.
if ! docker image inspect "$RUST_IMAGE" >/dev/null 2>&1; then
  echo "images: pulling $RUST_IMAGE, to compile our programs"
  if ! reason=$(timeout "${ATALAIA_PULL_SECONDS:-600}" docker pull -q "$RUST_IMAGE" 2>&1 >/dev/null); then
    echo "images: $RUST_IMAGE cannot be pulled (${reason##*: }); on a machine with Rust, make build makes the binaries" \
      "that images/build.sh needs instead" >&2
    exit 1
  fi
fi
docker tag "$RUST_IMAGE" rust:1-bookworm

while read -r name _ _ dockerfile; do
  echo "images: building atalaia/$name:$tag by $dockerfile"
  if ! said=$(DOCKER_BUILDKIT=1 docker build -q --target "$name" -t "atalaia/$name:$tag" -f "$dockerfile" . 2>&1); then
    echo "images: atalaia/$name:$tag cannot be built:" >&2
    tail -n 20 <<<"$said" >&2
    exit 1
  fi
done < <(grep -v '^#' provisioning/images/list)
