#!/usr/bin/env bash
# Starts the local stack and waits until all eight recorded series have a point in their database.
set -euo pipefail
# shellcheck source=provisioning/local/processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

bin=${ATALAIA_BINARIES:-$root/target/static}
mkdir -p "$state/bin" "$state/log"

# claim NAME PORT…: true when the part must be started; ends the script when somebody else holds its port.
claim() {
  local name=$1 port
  shift
  if pid_of "$name" >/dev/null; then
    echo "$name runs already (pid $(pid_of "$name"))"
    return 1
  fi
  for port in "$@"; do
    if [[ -n $(ss -Hltn "sport = :$port") ]]; then
      echo "up: port $port, which $name needs, is taken by ${port_holder:-$(port_owner "$port")}; stop that first" >&2
      exit 1
    fi
  done
}

influxdb() {
  local name=$1 port=$2 dir=$state/data/$1
  if claim "$name" "$port"; then
    mkdir -p "$dir"
    sed -e "s|@DIR@|$dir|" -e "s|@ADDRESS@|127.0.0.1:$port|" "$root/provisioning/local/influxdb.conf.template" >"$dir/influxdb.conf"
    start "$name" influxd -config "$dir/influxdb.conf"
  fi
}

# A binary that was built anew replaces the running one.
refresh() {
  local name=$1
  if ! cmp -s "$bin/atalaia-$name" "$state/bin/atalaia-$name"; then
    stop "$name"
    cp "$bin/atalaia-$name" "$state/bin/atalaia-$name.new"
    mv "$state/bin/atalaia-$name.new" "$state/bin/atalaia-$name"
  fi
}

refresh agent
refresh collector
influxdb influxdb-vms 8086
influxdb influxdb-containers 8087

# Container series need containers: an engine, and one container of ours so that there is always one to see.
"$root/provisioning/local/docker-engine.sh" start
"$root/provisioning/local/demo-container.sh" start

if claim agent 9100 8080; then
  start agent "$state/bin/atalaia-agent" --web.listen-address=127.0.0.1:9100 --web.container-listen-address=127.0.0.1:8080
fi
for port in 8086 8087; do
  await 30 "InfluxDB on port $port (see .atalaia/log/)" curl -fsS -m 2 "http://127.0.0.1:$port/ping"
  curl -fsS -m 5 -X POST "http://127.0.0.1:$port/query" --data-urlencode "q=CREATE DATABASE prometheus" >/dev/null
done
await 15 "the agent (see .atalaia/log/agent.log)" curl -fsS -m 2 http://127.0.0.1:9100/healthz
if claim collector 9090; then
  start collector "$state/bin/atalaia-collector" --config.file="$root/provisioning/local/prometheus.yml" \
    --storage.tsdb.path="$state/data/collector" --web.listen-address=127.0.0.1:9090 --web.enable-lifecycle
fi
await 30 "the collector (see .atalaia/log/collector.log)" curl -fsS -m 2 http://127.0.0.1:9090/-/ready

# Points of an earlier run are in the databases too, and say nothing about this one.
since=$(date +%s)
has_new() {
  local point
  point=$(newest "$1" "$2") && ((${point% *} >= since))
}
all_arrived() {
  local series
  arrived=0
  for series in "${series_vms[@]}"; do has_new 8086 "$series" && arrived=$((arrived + 1)); done
  for series in "${series_containers[@]}"; do has_new 8087 "$series" && arrived=$((arrived + 1)); done
  ((arrived == 8))
}
deadline=$((SECONDS + 120))
began=$SECONDS
until all_arrived; do
  if ((SECONDS >= deadline)); then
    echo "up: after two minutes only $arrived of 8 series are in InfluxDB; http://127.0.0.1:9090/ shows where they are stuck" >&2
    exit 1
  fi
  if [[ -t 1 ]]; then printf '\rwaiting for the first points: %d of 8 series, %d s ' "$arrived" $((SECONDS - began)); fi
  sleep 1
done
if [[ -t 1 ]]; then printf '\r\033[K'; fi
echo "all eight series are in InfluxDB, $((SECONDS - began)) s after the collector was ready"
echo
exec "$root/provisioning/local/status.sh"
