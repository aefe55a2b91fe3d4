#!/usr/bin/env bash
# Every dependency must have a licence that goes with Apache-2.0. cargo-deny does this and advisories too, where it
# is installed; this is what works on a machine without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

allowed='^(Apache-2.0|MIT|BSD-2-Clause|BSD-3-Clause|ISC|Zlib|Unicode-3.0|Unicode-DFS-2016|CC0-1.0|0BSD|BSL-1.0|MPL-2.0|CDLA-Permissive-2.0|Unlicense|MIT-0|Apache-2.0 WITH LLVM-exception)$'
bad=0
while IFS=$'\t' read -r package licence; do
  ok=0
  # An expression is fine when one of its alternatives is; "A AND B" needs both.
  while IFS= read -r alternative; do
    all=1
    while IFS= read -r one; do
      one=$(sed -E 's/^[( ]+|[) ]+$//g' <<<"$one")
      grep -Eq "$allowed" <<<"$one" || all=0
    done < <(printf '%s\n' "${alternative// AND /$'\n'}")
    ((all == 0)) || ok=1
  done < <(sed -E 's@ OR |/@\n@g' <<<"$licence")
  if ((ok == 0)); then
    echo "licences: $package has '$licence', which is not on the list in $0" >&2
    bad=1
  fi
done < <(cargo metadata --locked --format-version 1 | jq -r '.packages[] | select(.source != null) | [.name + " " + .version, .license // "none"] | @tsv')
((bad == 0)) && echo "licences: all fine"
exit $bad
