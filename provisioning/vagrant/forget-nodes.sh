#!/usr/bin/env bash
# Takes nodes off the swarm's list that are down while another of the same name is ready: a machine that was destroyed
# and made again joins as a new node. One that is down and has no successor stays, so that it is seen to be missing.
# A node without a name after ten minutes began to join and did not: it goes too.
set -euo pipefail

forget() {
  docker node rm --force "$1" >/dev/null && echo "forgot the node $1: $2"
}

nodes=$(docker node ls --format '{{.ID}}|{{.Hostname}}|{{.Status}}')
while IFS='|' read -r id name status; do
  if [[ -z $name ]]; then
    created=$(date -d "$(docker node inspect -f '{{.CreatedAt.Format "2006-01-02T15:04:05Z07:00"}}' "$id")" +%s)
    if (($(date +%s) - created > 600)); then forget "$id" "it never finished joining"; fi
  elif [[ $status == Down && $'\n'$nodes$'\n' == *"|$name|Ready"$'\n'* ]]; then
    forget "$id" "$name is there under another id"
  fi
done <<<"$nodes"
