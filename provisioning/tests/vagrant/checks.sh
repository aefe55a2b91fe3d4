# shellcheck shell=bash
# Sourced by run.sh: what must hold of the two machines, seen from the host. Each check tries until it holds or its time
# is over, and ends the run with one line when it does not.

master=${MASTER_ADDRESS:-192.168.50.2} slave=${SLAVE_ADDRESS:-192.168.50.3}

fail() {
  echo "test-vagrant: $1" >&2
  exit 1
}

# holds SECONDS WHAT COMMAND…: what the command said last is shown when it never succeeds.
holds() {
  local deadline=$((SECONDS + $1)) what=$2 began=$SECONDS said
  shift 2
  until said=$("$@" 2>&1); do
    ((SECONDS < deadline)) || fail "$what: not within $((SECONDS - began)) s: ${said:-$* says nothing}"
    sleep 2
  done
  printf '   ok: %s (%d s)\n' "$what" $((SECONDS - began))
}

# inside MACHINE COMMAND: by the shell of user vagrant there.
inside() {
  # shellcheck disable=SC2029
  ssh -F "${state:?}/ssh" -o LogLevel=ERROR -o ConnectTimeout=20 "$1" "$2" </dev/null
}

fetch() {
  curl -sS --fail-with-body -m 20 "$@"
}

nodes_are_ready() {
  local nodes
  nodes=$(inside master "docker node ls --format '{{.Hostname}} {{.Status}}'")
  [[ $(sort <<<"$nodes") == $'master Ready\nslave Ready' ]] || { echo "$nodes"; return 1; }
}

check_nodes() {
  holds 120 "master and slave are the swarm's nodes, and ready" nodes_are_ready
}

# goes_round UP DOWN: a file that is sent to one machine comes back from the other as it was.
goes_round() {
  local folder status=0
  folder=$(mktemp -d)
  head -c 1000003 /dev/urandom >"$folder/photo-$1.jpg"
  {
    fetch -X POST -F "file=@$folder/photo-$1.jpg" "$1:5001/upload" &&
      fetch -X POST -F "name=photo-$1.jpg" -o "$folder/copy" "$2:5001/download" &&
      cmp "$folder/photo-$1.jpg" "$folder/copy"
  } || status=1
  rm -rf "$folder"
  return $status
}

check_files() {
  holds 120 "a file sent to $master comes back from $slave" goes_round "$master" "$slave"
  holds 120 "a file sent to $slave comes back from $master" goes_round "$slave" "$master"
}

replicas_are() {
  local replicas wanted
  replicas=$(inside master "docker service ls --format '{{.Name}} {{.Replicas}}'")
  for wanted in "atalaia_file_transfer_service 3/3" "atalaia_agent 2/2"; do
    grep -qx "$wanted" <<<"$replicas" || { echo "$replicas"; return 1; }
  done
}

check_replicas() {
  holds 120 "three replicas of the file transfer, an agent on each machine" replicas_are
}

# A stack that was deployed before slave was there has nothing on it but the agent, and that is in the machine's network.
spread() {
  if [[ -z $(inside slave "docker ps -q --filter name=atalaia_ | tail -n +2") ]]; then
    inside master "docker service update --detach --force atalaia_hits" >/dev/null
  fi
}

# names MACHINE-ADDRESS: of the containers that its agent sees, as Docker calls them.
sees_containers() {
  local page wanted
  page=$(fetch "http://$1:9100/metrics")
  for wanted in "${@:2}"; do
    grep -qE "^container_memory_usage_bytes\{.*name=\"$wanted" <<<"$page" ||
      { echo "no $wanted among: $(grep -oE '^container_memory_usage_bytes\{.*name="[^"]+' <<<"$page" | sed 's/.*name="//' | paste -sd' ')"; return 1; }
  done
}

has_cgroup2() {
  [[ $(inside "$1" "stat -fc %T /sys/fs/cgroup") == cgroup2fs ]]
}

check_containers() {
  holds 60 "master has pure cgroup v2" has_cgroup2 master
  holds 60 "slave has pure cgroup v2" has_cgroup2 slave
  spread
  holds 180 "master's agent names its containers" sees_containers "$master" atalaia_agent atalaia_file_transfer_service.3 atalaia_db
  holds 180 "slave's agent names its containers" sees_containers "$slave" atalaia_agent
}

# has_limit MACHINE-ADDRESS NAME BYTES
has_limit() {
  local told
  told=$(fetch "http://$1:9100/metrics" | grep -E "^container_spec_memory_limit_bytes\{.*name=\"$2")
  [[ $(printf %.0f "${told##* }") == "$3" ]] || { echo "${told:-no limit of $2}"; return 1; }
}

# Everything is read anew once a minute; that a changed limit is seen at once, three times, is the kernel's telling.
check_limits() {
  local megabytes
  for megabytes in 211 222 233; do
    inside slave "docker update --memory ${megabytes}m --memory-swap -1 \$(docker ps -q --filter name=atalaia_agent)" >/dev/null
    holds 15 "slave's agent knows the new limit of a container, $megabytes MiB" \
      has_limit "$slave" atalaia_agent $((megabytes << 20))
  done
}

# has_points PORT SERIES SINCE ADDRESS…: points newer than that of each of these machines.
has_points() {
  local port=$1 series=$2 since=$3 found address
  found=$(fetch -G "http://$master:$port/query" --data-urlencode db=prometheus \
    --data-urlencode "q=SELECT last(value) FROM \"$series\" WHERE time > ${since}s GROUP BY \"instance\"" |
    jq -r '.results[0].series[]?.tags.instance')
  for address in "${@:4}"; do
    grep -qx "$address:9100" <<<"$found" || { echo "points of: ${found:-nobody}"; return 1; }
  done
}

series_vms=(
  job_instance:cpu_usage_per_instance:avg_rate5m job_instance:memory_usage_per_instance
  job_instance:network_rx_per_instance:avg_rate5m job_instance:network_tx_per_instance:avg_rate5m
)
series_containers=(
  job_container:cpu_usage_per_container:avg_rate5m job_container:memory_usage_per_container
  job_container:network_rx_per_container:sum_rate5m job_container:network_tx_per_container:sum_rate5m
)

check_series() {
  local series
  for series in "${series_vms[@]}"; do
    holds 240 "$series of both machines is on 8086" has_points 8086 "$series" 0 "$master" "$slave"
  done
  for series in "${series_containers[@]}"; do
    holds 240 "$series of both machines is on 8087" has_points 8087 "$series" 0 "$master" "$slave"
  done
}

check_slave_is_back() {
  local since
  since=$(inside slave "date +%s")
  check_nodes
  holds 240 "a file sent to $slave comes back from $master" goes_round "$slave" "$master"
  holds 240 "slave's agent is back" sees_containers "$slave" atalaia_agent
  holds 240 "new points of slave are on 8086" has_points 8086 "${series_vms[0]}" "$since" "$slave"
}

is_another() {
  local now
  now=$(inside master "docker ps -q --filter name=atalaia_collector --filter health=healthy")
  [[ -n $now && $now != "$1" ]] || { echo "the collector's container is '$now'"; return 1; }
}

check_killed_container_heals() {
  local old since
  old=$(inside master "docker ps -q --filter name=atalaia_collector")
  since=$(inside master "date +%s")
  inside master "docker kill $old" >/dev/null
  # Healthy is known at the first health check, whose interval is minutes where machines are emulated.
  holds 600 "the swarm has started the collector anew" is_another "$old"
  holds 240 "it goes on writing" has_points 8086 "${series_vms[1]}" "$since" "$master" "$slave"
}

# Beside the stack, which has the usual ports: settings that are there before the packages are stay.
install_packages() {
  inside slave "sudo sh -ec '
    mkdir -p /etc/default /etc/atalaia
    echo ARGS=--web.listen-address=127.0.0.1:19100 >/etc/default/atalaia-agent
    echo ARGS=--web.listen-address=127.0.0.1:19090 >/etc/default/atalaia-collector
    sed s/localhost:9100/localhost:19100/ /vagrant/provisioning/systemd/prometheus.yml >/etc/atalaia/prometheus.yml
    dpkg --force-confold --install /vagrant/target/debian/atalaia-*.deb
  '" >"$state/packages.log" 2>&1 || fail "the packages cannot be installed: $(tail -n 1 "$state/packages.log")"
}

units_work() {
  local page up
  inside slave "systemctl is-active atalaia-agent atalaia-collector" >/dev/null || { echo "a unit is not active"; return 1; }
  page=$(inside slave "curl -sS --fail-with-body -m 20 127.0.0.1:19100/metrics")
  grep -q '^node_cpu_seconds_total' <<<"$page" || { echo "no node families"; return 1; }
  grep -q '^node_timex_' <<<"$page" || { echo "nothing of the clock, which the unit must let it ask"; return 1; }
  grep -qE '^container_memory_usage_bytes\{.*name="atalaia_agent' <<<"$page" || { echo "no container has a name"; return 1; }
  up=$(inside slave "curl -sS -m 20 127.0.0.1:19090/api/v1/query --data-urlencode 'query=up{job=\"agent\"} == 1'")
  [[ $(jq '.data.result | length' <<<"$up") == 1 ]] || { echo "$up"; return 1; }
}

# The collector's user is its own and may write to its folder alone; the agent's has one right of root's.
units_are_closed() {
  inside slave "set -e
    test \$(ps -o user= -C atalaia-collector) != root
    grep -q '^CapEff:.0*\$' /proc/\$(pgrep -x -f '/usr/bin/atalaia-collector.*')/status
    grep -q '^CapEff:.0*4\$' /proc/\$(pgrep -x -f '/usr/bin/atalaia-agent.*')/status
    sudo systemctl reload atalaia-collector
    systemctl is-active -q atalaia-collector"
}

check_packages() {
  install_packages
  holds 180 "agent and collector run under systemd, and see the machine and its containers" units_work
  holds 60 "they have the rights that they are given, and no other" units_are_closed
  inside slave "sudo dpkg --purge atalaia-agent atalaia-collector" >>"$state/packages.log" 2>&1 ||
    fail "the packages cannot be removed: $(tail -n 1 "$state/packages.log")"
}
