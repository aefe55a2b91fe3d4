#!/usr/bin/env bash
# The manager of the swarm, with what keeps data, and the whole stack: what `vagrant up` ends in. Vagrant runs it as
# root after provision.sh. Run again, it changes only what is not as it should be.
set -euo pipefail
# shellcheck source=provisioning/vagrant/machine.sh
source /vagrant/provisioning/vagrant/machine.sh
# shellcheck source=provisioning/versions.sh
source "$root/provisioning/versions.sh"

# Not the default 10.0.0.0/8: a network of the swarm must not meet the 10.0.2.0/24 that VirtualBox gives a machine.
make_swarm() {
  local said
  rm -f "$exchange/token"
  said=$(docker swarm init --advertise-addr "$master" --default-addr-pool 10.20.0.0/16 2>&1) ||
    fail "no swarm can be made: $(head -n 1 <<<"$said")"
  say "made a swarm, with $master as its manager"
}

# A machine that is slow to answer would be taken for one that is gone, and all that runs there started elsewhere.
set_patience() {
  docker swarm update --dispatcher-heartbeat "${HEARTBEAT:-5s}" >/dev/null
}

# What the engine is in a swarm, in one answer, so that all of it belongs together: STATE MANAGER ADDRESS, and what is
# wrong. One that was interrupted while it left says "active", and no more.
part_in_swarm() {
  docker info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.NodeAddr}}{{with .Swarm.Error}} {{.}}{{end}}'
}

# To leave is to lose secrets and services: only after the engine has said for a minute that this is no swarm to keep.
# One that has just started, or is busy, finds its way back in that time.
manage_swarm() {
  local part=''
  for _ in $(seq 30); do
    part=$(part_in_swarm) || fail "the engine does not say whether it is in a swarm"
    case $part in
      "active true $master")
        say "manages the swarm already"
        return 0
        ;;
      inactive*)
        make_swarm
        return 0
        ;;
    esac
    sleep 2
  done
  say "leaves a swarm that is not whole: state, manager and address are '$part'"
  docker swarm leave --force >/dev/null 2>&1 || true
  make_swarm
}

# The certificate is how slave tells this swarm from an earlier one of the same address.
tell_slave() {
  mkdir -p "$exchange"
  { docker swarm join-token -q worker && cat "$authority"; } >"$exchange/token.new"
  if ! cmp -s "$exchange/token.new" "$exchange/token"; then mv "$exchange/token.new" "$exchange/token"; fi
  rm -f "$exchange/token.new"
}

# A slave that was destroyed and made again is a new node; the old one of its name would stay in the list, down.
watch_nodes() {
  install -m 755 "$root/provisioning/vagrant/forget-nodes.sh" /usr/local/sbin/atalaia-forget-nodes
  install -m 644 "$root"/provisioning/vagrant/atalaia-forget-nodes.{service,timer} /etc/systemd/system/
  systemctl daemon-reload
  systemctl enable --now --quiet atalaia-forget-nodes.timer
}

have_binaries() {
  local binary
  while read -r binary; do
    [[ -x $root/target/static/$binary ]] || return 1
  done < <(awk '!/^#/ { print $2 }' "$root/provisioning/images/list")
}

have_images() {
  local image
  for image in "${ours[@]}"; do
    docker image inspect "$image" >/dev/null 2>&1 || return 1
  done
}

# From the binaries of the host, where somebody has built them; else as they are here; else compiled here, once.
make_images() {
  if have_binaries; then
    ATALAIA_STAGING=/var/tmp/atalaia-images "$root/provisioning/images/build.sh"
  elif have_images; then
    echo "images: ours are here, and no binaries in target/static to make others of"
  else
    "$root/provisioning/images/compile.sh"
  fi
}

images_of_others() {
  local images=("$REDIS_IMAGE" "$POSTGRES_IMAGE")
  if [[ ${INFLUXDB:-2} == 1 ]]; then images+=("$INFLUXDB_1_IMAGE"); else images+=("$INFLUXDB_2_IMAGE"); fi
  if [[ ${GRAFANA:-1} == 1 ]]; then images+=("$GRAFANA_IMAGE"); fi
  "$root/provisioning/images/third-party.sh" "${images[@]}"
}

mapfile -t ours < <(awk -v tag="${ATALAIA_TAG:-local}" '!/^#/ { print "atalaia/" $1 ":" tag }' "$root/provisioning/images/list")

has_address "$master"
manage_swarm
set_patience
tell_slave
watch_nodes
make_images
"$root/provisioning/images/archive.sh" save "$exchange" "${ours[@]}"
images_of_others

# Both of them, also before slave is there: with DISCOVERY=static the collector learns them here and nowhere else.
export AGENTS=${AGENTS:-"\"$master:${AGENT_PORT:-9100}\",\"$slave:${AGENT_PORT:-9100}\""}
"$root/provisioning/stack.sh" deploy
"$root/provisioning/stack.sh" wait

cat <<WHERE
master: everything runs
  files        curl -X POST -F 'file=@NAME' $master:${FILES_PORT:-5001}/upload
               curl -X POST -F 'name=NAME' $master:${FILES_PORT:-5001}/download > NAME
  collector    http://$master:${COLLECTOR_PORT:-9090}/
  InfluxDB     $master:${INFLUXDB_VMS_PORT:-8086} machines, $master:${INFLUXDB_CONTAINERS_PORT:-8087} containers; database prometheus
  voting       http://$master:${VOTE_PORT:-5000}/ and its result http://$master:${RESULT_PORT:-5002}/
WHERE
if [[ ${GRAFANA:-1} == 1 ]]; then echo "  Grafana      http://$master:${GRAFANA_PORT:-3000}/"; fi
