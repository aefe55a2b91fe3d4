#!/usr/bin/env bash
# Stops what up.sh started. Data stays under .atalaia/data.
set -euo pipefail
# shellcheck source=provisioning/local/processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

for ((i = ${#parts[@]} - 1; i >= 0; i--)); do stop "${parts[i]}"; done
"$root/provisioning/local/demo-container.sh" stop
"$root/provisioning/local/docker-engine.sh" stop
echo "down: everything that make up started is stopped; data is kept in .atalaia/data"
