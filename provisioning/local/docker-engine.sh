#!/usr/bin/env bash
# One Docker engine for `make up`, the tests and the bench, on machines without an init that would run it.
#   docker-engine.sh start    uses the engine that answers on the default socket, or starts one by hand there;
#                             safe to call twice, and by several at once
#   docker-engine.sh stop     stops the engine if this script started it; leaves any other alone
#   docker-engine.sh restart  stops and starts the engine that this script started; refuses for any other
#   docker-engine.sh status   one line; exit status 0 when an engine answers, 3 when none does
# Needs root to start an engine, and Debian's docker.io (`make setup` installs it). Its pid, log and data are kept
# under .atalaia/docker (ATALAIA_DOCKER_DIR names another folder), never in /var/lib/docker: the user's own
# containers must not wake up with it. Its sockets are in /run, since a socket's path may have 107 bytes only.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=${ATALAIA_DOCKER_DIR:-$root/.atalaia/docker}
socket=/var/run/docker.sock
pidfile=$state/dockerd.pid
log=$state/dockerd.log

fail() {
  echo "docker-engine: $1" >&2
  exit 1
}

# Asks the default socket itself: a DOCKER_HOST or a context of the user's must not answer for it.
answers() {
  [[ -S $socket ]] && timeout 10 docker --host "unix://$socket" version --format '{{.Server.Version}}' 2>/dev/null
}

# The pid of the engine that this script started, if it still runs. A pid that another program got meanwhile
# does not count.
our_pid() {
  local pid
  pid=$(cat "$pidfile" 2>/dev/null) || return 1
  [[ -n $pid && -r /proc/$pid/cmdline ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "--pidfile $pidfile" || return 1
  echo "$pid"
}

# Mounts the cgroup hierarchies if nothing did: version 2 where the kernel has its controllers free, otherwise
# every version 1 controller on a folder of its own.
mount_cgroups() {
  local base=/sys/fs/cgroup name
  if [[ -e $base/cgroup.controllers ]] || grep -q ' - cgroup ' /proc/self/mountinfo; then return 0; fi
  if ! awk '!/^#/ && $2 != 0 { used = 1 } END { exit !used }' /proc/cgroups && mount -t cgroup2 cgroup2 "$base" 2>/dev/null; then
    if grep -qw memory "$base/cgroup.controllers"; then return 0; fi
    umount "$base"
  fi
  mount -t tmpfs -o mode=755 cgroup_root "$base" || fail "cannot mount a tmpfs on $base; is this root?"
  while read -r name; do
    mkdir -p "$base/$name"
    mount -t cgroup -o "$name" cgroup "$base/$name" 2>/dev/null || rmdir "$base/$name"
  done < <(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups)
  mkdir -p "$base/systemd"
  mount -t cgroup -o none,name=systemd cgroup "$base/systemd" 2>/dev/null || rmdir "$base/systemd"
  [[ -d $base/memory && -d $base/cpu ]] || fail "the kernel mounts neither cgroup v2 nor the v1 controllers"
}

# What systemd does at boot: mounts of this machine are seen in containers that ask for it (the agent's does).
share_mounts() {
  if [[ $(findmnt -no PROPAGATION /) == private ]]; then
    mount --make-rshared / || fail "cannot make the mounts of this machine shared; is this root?"
  fi
}

start() {
  local version pid
  command -v docker >/dev/null || fail "the docker command is missing; make setup installs docker.io"
  if version=$(answers); then
    echo "docker-engine: engine $version answers on $socket"
    return 0
  fi
  command -v dockerd >/dev/null || fail "no engine answers on $socket and dockerd is missing; make setup installs docker.io"
  [[ $EUID -eq 0 ]] || fail "no engine answers on $socket and starting one needs root"
  mkdir -p "$state" "$(dirname "$socket")"
  # Two at once: the second waits for the first and then finds its engine.
  exec 9>"$state/lock"
  flock -w 120 9 || fail "another start has held $state/lock for two minutes"
  if version=$(answers); then
    echo "docker-engine: engine $version answers on $socket"
    return 0
  fi
  mount_cgroups
  share_mounts
  # The file of an engine that was killed would stop the new one.
  if ! our_pid >/dev/null; then rm -f "$pidfile"; fi
  setsid dockerd --host "unix://$socket" --data-root "$state/data" --exec-root /run/atalaia-docker --pidfile "$pidfile" \
    --group root >>"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  for _ in $(seq 240); do
    if version=$(answers); then
      echo "docker-engine: started engine $version (pid $pid, log in $log)"
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.25
  done
  fail "dockerd did not come up: $(grep -v level=info "$log" | tail -n 1 | cut -c 1-400) (log in $log)"
}

stop() {
  local pid
  pid=$(our_pid) || { rm -f "$pidfile"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  # It gives its containers ten seconds each, all at once, before it kills them.
  for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -0 "$pid" 2>/dev/null && fail "the engine (pid $pid) does not stop (log in $log)"
  rm -f "$pidfile"
  echo "docker-engine: stopped the engine (pid $pid)"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  restart)
    our_pid >/dev/null || fail "the engine on $socket was not started by this script"
    stop
    start
    ;;
  status)
    if version=$(answers); then
      echo "docker-engine: engine $version answers on $socket$(our_pid >/dev/null && echo ', started by this script')"
    else
      echo "docker-engine: no engine answers on $socket"
      exit 3
    fi
    ;;
  *)
    echo "usage: $0 start|stop|restart|status" >&2
    exit 2
    ;;
esac
