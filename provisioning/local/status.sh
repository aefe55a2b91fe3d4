#!/usr/bin/env bash
# Shows what of the local stack runs where, the newest point of each recorded series, and a query to try.
set -euo pipefail
# shellcheck source=provisioning/local/processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

declare -A where=(
  [influxdb-vms]="http://127.0.0.1:8086   database prometheus: VM metrics"
  [influxdb-containers]="http://127.0.0.1:8087   database prometheus: container metrics"
  [agent]="http://127.0.0.1:9100/metrics and http://127.0.0.1:8080/metrics"
  [collector]="http://127.0.0.1:9090   page, API, rules, delivery"
)
down=0
printf '%-20s %-10s %s\n' PART STATE WHERE
for part in "${parts[@]}"; do
  if pid=$(pid_of "$part"); then
    printf '%-20s %-10s %s\n' "$part" "pid $pid" "${where[$part]}"
  else
    printf '%-20s %-10s %s\n' "$part" "stopped" "start it with make up"
    down=1
  fi
done
echo
((down == 0)) || exit 1

now=$(date +%s)
show() {
  local port=$1 series point
  shift
  for series in "$@"; do
    if point=$(newest "$port" "$series"); then
      printf '%-56s %14.6g   %3d s old, port %s\n' "$series" "${point#* }" $((now - ${point% *})) "$port"
    else
      printf '%-56s %14s\n' "$series" "no point yet"
    fi
  done
}
show 8086 "${series_vms[@]}"
show 8087 "${series_containers[@]}"
cat <<'TRY'

Try:
  influx -port 8086 -database prometheus -precision rfc3339 -execute 'SELECT * FROM "job_instance:cpu_usage_per_instance:avg_rate5m" ORDER BY time DESC LIMIT 5'
  curl -G http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=topk(5, job_container:memory_usage_per_container)'
  make down
TRY
