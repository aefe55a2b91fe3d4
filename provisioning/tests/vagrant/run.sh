#!/usr/bin/env bash
# Brings both machines up as somebody does who types `vagrant up`, watches them work, hurts them, and takes them away.
#   run.sh          what `make test-vagrant` runs; some 20 minutes where the machines are emulated
#   run.sh up       up to where everything works, and leaves it so, to look around: `run.sh vagrant ssh master`
#   run.sh vagrant …    vagrant, on these machines
#   run.sh down     takes away what `run.sh up` left
# Everything is under .atalaia/vagrant-test: the box stays there for the next time, the rest goes. Without a registry
# there is no InfluxDB 2 and no Grafana: this is the stack with InfluxDB 1 and without Grafana.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
state=$root/.atalaia/vagrant-test
# shellcheck source=provisioning/tests/vagrant/checks.sh
source "$here/checks.sh"
# shellcheck source=provisioning/versions.sh
source "$root/provisioning/versions.sh"

export VAGRANT_CWD=$root/provisioning VAGRANT_HOME=$state/home VAGRANT_DOTFILE_PATH=$state/machines
export VAGRANT_DEFAULT_PROVIDER=libvirt VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_BOX_UPDATE_CHECK_DISABLE=1
# Set to anything, nothing included, it would start one machine after the other.
unset VAGRANT_NO_PARALLEL
export BOX=atalaia/test INFLUXDB=1 GRAFANA=0
export MASTER_MEMORY=${MASTER_MEMORY:-2560} SLAVE_MEMORY=${SLAVE_MEMORY:-1280}
export MASTER_CPUS=${MASTER_CPUS:-2} SLAVE_CPUS=${SLAVE_CPUS:-1}
# An emulated machine starts programs fifty times slower, and a health check is the start of a program.
export WAIT_SECONDS=${WAIT_SECONDS:-1200} JOIN_SECONDS=${JOIN_SECONDS:-1200} HEARTBEAT=${HEARTBEAT:-60s}
export HEALTH_INTERVAL=${HEALTH_INTERVAL:-120s} HEALTH_TIMEOUT=${HEALTH_TIMEOUT:-60s} HEALTH_START=${HEALTH_START:-600s}

step() {
  printf '== %s (%d s)\n' "$1" "$SECONDS"
}

images() {
  awk -v tag="${ATALAIA_TAG:-local}" '!/^#/ { print "atalaia/" $1 ":" tag }' "$root/provisioning/images/list"
  printf '%s\n' "$REDIS_IMAGE" "$POSTGRES_IMAGE" "$INFLUXDB_1_IMAGE"
}

# The lines of our own scripts among all that vagrant says.
shown='^ +(master|slave): (master:|slave:|images:|stack:|setup:|Creating|Updating|  )'

need_images() {
  local image
  for image in $(images); do
    docker image inspect "$image" >/dev/null 2>&1 || fail "the image $image is missing; make docker-image makes it"
  done
}

# quietly NAME COMMAND…: with what it says in a file, of which our scripts' own lines are shown.
quietly() {
  local log=$state/$1.log
  shift
  if ! "$@" 2>&1 </dev/null | stdbuf -oL tr '\r' '\n' | tee "$log" | { grep --line-buffered -aE "$shown" || true; }; then
    grep -av Progress "$log" | tail -n 30 >&2
    fail "$* did not work (all it said is in $log)"
  fi
}

prepare() {
  mkdir -p "$state"
  step "what this machine needs"
  "$root/provisioning/local/setup.sh" vm
  "$root/provisioning/local/docker-engine.sh" start
  need_images
  step "a box with Docker and the images"
  # shellcheck disable=SC2046
  "$here/box.sh" "$state/box" $(images)
  "$here/libvirt.sh" start "$state/libvirt"
  quietly box vagrant box add --force --name "$BOX" "$state/box/atalaia.box"
}

bring_up() {
  step "vagrant up: both machines at once"
  rm -rf "$root/.atalaia/vagrant"
  quietly up vagrant up
  vagrant ssh-config >"$state/ssh"
}

take_away() {
  step "vagrant destroy"
  quietly destroy vagrant destroy -f
  leave_nothing
}

# Also after a failure half-way, so nothing in it may stop it.
leave_nothing() {
  local domain
  for domain in $(virsh -c qemu:///system list --all --name 2>/dev/null | grep '^provisioning_'); do
    virsh -c qemu:///system destroy "$domain" >/dev/null 2>&1 || true
    virsh -c qemu:///system undefine "$domain" >/dev/null 2>&1 || true
  done
  "$here/libvirt.sh" stop "$state/libvirt" || true
  rm -rf "${state:?}"/{home,machines,libvirt,ssh} "$root"/.atalaia/{vagrant,stack/atalaia}
}

whole() {
  step "what vagrant up promises"
  check_nodes
  check_files
  check_replicas
  check_containers
  check_limits
  check_series
}

hurt() {
  step "vagrant reload slave"
  quietly reload vagrant reload slave
  check_slave_is_back
  step "a killed container on master"
  check_killed_container_heals
}

case "${1:-}" in
  '')
    trap leave_nothing EXIT
    prepare
    bring_up
    whole
    step "the packages, on slave"
    check_packages
    hurt
    take_away
    trap - EXIT
    echo "test-vagrant: all is well ($SECONDS s)"
    ;;
  up)
    prepare
    bring_up
    whole
    ;;
  vagrant) exec "$@" ;;
  down) leave_nothing ;;
  *) echo "usage: $0 [up|vagrant …|down]" >&2; exit 2 ;;
esac
