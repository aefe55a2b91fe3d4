#!/usr/bin/env bash
# Installs the Debian packages that Atalaia's targets need, where they are missing.
#   setup.sh up          what `make up` needs
#   setup.sh compose     what the docker- targets need: the programs in the images of others are taken from these
#                        packages where no registry answers
#   setup.sh test        what `make test` and `make bench` need besides
#   setup.sh vm          what `make test-vagrant` needs besides: virtual machines
#   setup.sh guest       what a virtual machine of provisioning/Vagrantfile needs inside
set -euo pipefail

packages_up=(influxdb influxdb-client curl jq docker.io apparmor iptables iproute2 busybox-static)
packages_compose=(
  docker.io docker-compose apparmor iptables iproute2 busybox-static curl binutils redis-server redis-tools postgresql
  influxdb influxdb-client netcat-openbsd
)
packages_test=(
  prometheus prometheus-node-exporter victoria-metrics openssl zstd shellcheck jq python3 chromium chromium-driver
  nginx-light podman socat vagrant systemd curl
)
packages_vm=(
  vagrant vagrant-libvirt libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils
  dnsmasq-base iptables iproute2 dmidecode openssh-client curl jq debootstrap rsync extlinux fdisk e2fsprogs docker.io
)
packages_guest=(docker.io apparmor iptables iproute2 ca-certificates curl binutils)

wanted=()
for part in "$@"; do
  case "$part" in
    up) wanted+=("${packages_up[@]}") ;;
    compose) wanted+=("${packages_compose[@]}") ;;
    test) wanted+=("${packages_test[@]}") ;;
    vm) wanted+=("${packages_vm[@]}") ;;
    guest) wanted+=("${packages_guest[@]}") ;;
    *) echo "setup: unknown part '$part'; the parts are: up compose test vm guest" >&2; exit 2 ;;
  esac
done

# What does a package's work already is as good as the package.
unneeded=()
if docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then unneeded+=(docker.io apparmor); fi
if docker compose version >/dev/null 2>&1; then unneeded+=(docker-compose); fi

missing=()
for package in $(printf '%s\n' "${wanted[@]}" | sort -u); do
  [[ " ${unneeded[*]} " != *" $package "* ]] || continue
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "setup: everything is here"
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "setup: this machine has no apt-get; install by hand what is missing: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null || { echo "setup: needs root to install ${missing[*]}, and there is no sudo" >&2; exit 1; }
  as_root=(sudo)
fi

# Debian starts a service as it is installed; ours run by hand, on ports of our choice, so keep those quiet.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod +x "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

# QEMU's tools must be of the emulator's version, and a machine may have newer ones than its sources have emulators.
together() {
  local version
  if [[ " ${missing[*]} " == *" qemu-system-x86 "* ]]; then
    version=$(apt-cache policy qemu-system-x86 | awk '$1 == "Candidate:" { print $2 }')
    echo "qemu-utils=$version --allow-downgrades"
  fi
}

echo "setup: installing ${missing[*]}"
log=$(mktemp)
install() {
  # shellcheck disable=SC2046
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" $(together)
}
if ! install >"$log" 2>&1; then
  # The package lists of a fresh machine are empty or old: fetch them and try again.
  if ! { "${as_root[@]}" apt-get update -qq && install; } >"$log" 2>&1; then
    echo "setup: apt-get could not install ${missing[*]}; its last words:" >&2
    tail -n 5 "$log" >&2
    exit 1
  fi
fi
rm -f "$log"
echo "setup: done"
