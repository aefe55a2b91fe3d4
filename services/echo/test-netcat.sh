#!/usr/bin/env bash
# Tests the echo server by netcat: sends a message and expects it back. Netcat runs in a container of its own inside
# the server's network, so that none is installed here and no port is published.
#   services/echo/test-netcat.sh                              the server in the container `server`, in its network
#   services/echo/test-netcat.sh NETWORK [SERVER [PORT]]      the one of this name and port, in this network
# Prints what it found. Exit code 0: the answer is right; 1: it is not, or there is none.
set -euo pipefail
server=${2:-server} port=${3:-12345}
image=busybox:1

fail() {
  echo "echo test: fail: $*"
  exit 1
}

network=${1:-}
if [[ -z $network ]]; then
  network=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$server" \
    2>/dev/null | head -n 1) || fail "no container is called $server; name the network: ${0##*/} NETWORK"
fi
if ! docker image inspect "$image" >/dev/null 2>&1; then
  "$(dirname "${BASH_SOURCE[0]}")/../../provisioning/images/third-party.sh" "$image" >&2 || fail "there is no $image"
fi

# A message that no other run has sent, with both kinds of quotes.
message="it's \"$RANDOM$RANDOM\""
wanted="Your Message has been received: b'it\\'s ${message#* }'"
got=$(docker run --rm -i --network "$network" "$image" nc -w 5 "$server" "$port" <<<"$message" 2>&1) ||
  fail "$server:$port in $network: ${got:-no answer}"
if [[ $got != "$wanted" ]]; then fail "sent $message, wanted $wanted, got ${got:-nothing}"; fi
echo "echo test: success: sent $message, got $got"
