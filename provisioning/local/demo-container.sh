#!/usr/bin/env bash
# One small container to watch: it works a little, writes a little and talks to itself over its bridge network,
# so that every container panel has something to show. Its image is built here, from Debian's static busybox.
set -euo pipefail

name=atalaia-demo
image=atalaia/demo:local

# shellcheck source=provisioning/images/tree.sh
source "$(dirname "${BASH_SOURCE[0]}")/../images/tree.sh"

build() {
  local tree
  tree=$(mktemp -d)
  chmod 755 "$tree"
  busybox "$tree"
  import "$tree" "$image" 'ENTRYPOINT ["/bin/busybox", "sh", "-c"]'
}

case "${1:-}" in
  image)
    docker image inspect "$image" >/dev/null 2>&1 || build
    ;;
  start)
    docker image inspect "$image" >/dev/null 2>&1 || build
    if [[ $(docker inspect -f '{{.State.Running}}' "$name" 2>/dev/null) == true ]]; then
      echo "demo container runs already ($name)"
      exit 0
    fi
    docker rm -f "$name" >/dev/null 2>&1 || true
    # shellcheck disable=SC2016
    docker run -d --name "$name" --memory 64m --label org.opencontainers.image.title=demo "$image" '
      b=/bin/busybox
      gateway=$($b ip route | $b awk "/default/ {print \$3}")
      while :; do
        i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
        $b dd if=/dev/zero of=/tmp/file bs=64k count=16 2>/dev/null
        $b ping -c 2 -W 1 "$gateway" >/dev/null 2>&1
        $b sleep 1
      done' >/dev/null
    echo "started demo container ($name)"
    ;;
  stop)
    if docker inspect "$name" >/dev/null 2>&1; then
      docker rm -f "$name" >/dev/null
      echo "stopped demo container ($name)"
    fi
    ;;
  *)
    echo "usage: $0 start|stop|image" >&2
    exit 2
    ;;
esac
