# shellcheck shell=bash disable=SC2034
# Sourced by up.sh, down.sh and status.sh: the processes of the local stack, each known by a pid file.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=$root/.atalaia
# In the order they are started; stopped the other way round. `demo` is the container to watch, see up.sh.
parts=(influxdb-vms influxdb-containers agent collector)

# The pid of a part, if it runs. A pid that another program got meanwhile does not count.
pid_of() {
  local pid
  pid=$(cat "$state/run/$1.pid" 2>/dev/null) || return 1
  [[ -n $pid && -r /proc/$pid/cmdline ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$state" || return 1
  echo "$pid"
}

# start NAME COMMAND…: runs it in the background, its output in .atalaia/log/NAME.log.
start() {
  local name=$1
  shift
  mkdir -p "$state/run" "$state/log"
  setsid "$@" >>"$state/log/$name.log" 2>&1 </dev/null &
  echo $! >"$state/run/$name.pid"
}

# stop NAME: asks it to stop, waits up to 15 s, then insists.
stop() {
  local name=$1 pid
  pid=$(pid_of "$name") || { rm -f "$state/run/$name.pid"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  for _ in $(seq 150); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$state/run/$name.pid"
  echo "stopped $name (pid $pid)"
}

# port_owner PORT: who listens there, or nothing.
port_owner() {
  ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:((\("[^"]*",pid=[0-9]*\).*/\1/p' | head -n 1
}

# await SECONDS WHAT COMMAND…: tries the command until it succeeds.
await() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "gave up waiting for $what" >&2
      return 1
    fi
    sleep 0.25
  done
}

# The eight recorded series, by the database they belong to.
series_vms=(
  job_instance:cpu_usage_per_instance:avg_rate5m job_instance:memory_usage_per_instance
  job_instance:network_rx_per_instance:avg_rate5m job_instance:network_tx_per_instance:avg_rate5m
)
series_containers=(
  job_container:cpu_usage_per_container:avg_rate5m job_container:memory_usage_per_container
  job_container:network_rx_per_container:sum_rate5m job_container:network_tx_per_container:sum_rate5m
)

# newest PORT SERIES: the newest point of a recorded series as "time value", or nothing.
newest() {
  curl -fsS -m 5 -G "http://127.0.0.1:$1/query" --data-urlencode db=prometheus --data-urlencode epoch=s \
    --data-urlencode "q=SELECT last(value) FROM \"$2\"" 2>/dev/null |
    jq -er '.results[0].series[0].values[0] | select(. != null) | "\(.[0]) \(.[1])"' 2>/dev/null
}
