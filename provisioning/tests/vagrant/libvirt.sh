#!/usr/bin/env bash
# One libvirt for the test, where no service manager runs one:
#   libvirt.sh start FOLDER    uses the one that answers, or starts one that keeps all it has in FOLDER
#   libvirt.sh stop FOLDER     stops the one that this script started, with its networks; leaves any other alone
# The one that it starts has a view of its own on the files of this machine: FOLDER in place of libvirt's folders. So
# neither its settings (no users, no cgroups, no security labels: there is no init to ask for them) nor what it makes
# are the machine's. Its socket and networks are.
set -euo pipefail

folder=$2
pidfile=$folder/libvirtd.pid
system=(etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt)

fail() {
  echo "libvirt: $1" >&2
  exit 1
}

answers() {
  timeout 10 virsh -c qemu:///system version >/dev/null 2>&1
}

# A pid that another program got meanwhile does not count.
our_pid() {
  local pid
  pid=$(cat "$pidfile" 2>/dev/null) || return 1
  [[ -n $pid && -r /proc/$pid/cmdline ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "--pid-file $pidfile" || return 1
  echo "$pid"
}

start() {
  local name pid
  if answers; then
    echo "libvirt: one answers"
    return 0
  fi
  [[ $EUID -eq 0 ]] || fail "none answers, and starting one needs root"
  command -v libvirtd >/dev/null || fail "libvirtd is missing; provisioning/local/setup.sh vm installs it"
  for name in "${system[@]}"; do
    mkdir -p "$folder/$name" "/$name"
    cp -an "/$name/." "$folder/$name/"
  done
  cat >"$folder/etc/libvirt/qemu.conf" <<'CONF'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
CONF
  export folder pidfile
  # shellcheck disable=SC2016
  setsid unshare -m --propagation private bash -c '
    for name in "$@"; do mount --bind "$folder/$name" "/$name" || exit 1; done
    exec libvirtd --pid-file "$pidfile"' bash "${system[@]}" >"$folder/libvirtd.log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 60); do
    if answers; then
      echo "libvirt: started libvirtd (pid $pid, log in $folder/libvirtd.log)"
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  fail "libvirtd does not come up: $(tail -n 1 "$folder/libvirtd.log")"
}

# The machines are gone by now; networks and their dnsmasq would outlive the daemon.
stop() {
  local pid network
  pid=$(our_pid) || return 0
  for network in $(virsh -c qemu:///system net-list --name); do
    virsh -c qemu:///system net-destroy "$network" >/dev/null || true
  done
  kill -TERM "$pid"
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$pidfile"
  echo "libvirt: stopped libvirtd (pid $pid)"
}

case "$1" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
