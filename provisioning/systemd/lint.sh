#!/usr/bin/env bash
# Whether systemd understands every line of the units, and how much a unit that was broken into could do: at most 3.0 of
# 10 on systemd's own scale for the agent, which has to see the machine, 1.5 for the collector, which has not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

declare -A most=([atalaia-agent]=30 [atalaia-collector]=15)
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT

bad=0
for unit in "${!most[@]}"; do
  # The program need not be installed for this.
  sed 's|=/usr/bin/atalaia-[a-z]*|=/bin/true|' "$unit.service" >"$units/$unit.service"
  complaints=$(systemd-analyze verify --man=no "$units/$unit.service" 2>&1) || true
  if [[ -n $complaints ]]; then
    echo "systemd: $unit.service: $complaints" >&2
    bad=1
  fi
  if ! told=$(systemd-analyze security --offline=yes --no-pager --threshold="${most[$unit]}" "$units/$unit.service" 2>&1); then
    echo "systemd: $unit.service may be exposed by ${most[$unit]%?}.${most[$unit]: -1} at most: $(grep -o 'Overall.*' <<<"$told")" >&2
    bad=1
  fi
done
exit $bad
