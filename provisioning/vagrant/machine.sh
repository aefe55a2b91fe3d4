# shellcheck shell=bash disable=SC2034
# Sourced by the scripts that run inside the machines: where things are, and how they speak.

root=/vagrant
# What master tells slave goes through this folder of the shared checkout: token (join token, certificate of the swarm)
# and images (see provisioning/images/archive.sh).
exchange=$root/.atalaia/vagrant
master=${MASTER_ADDRESS:-192.168.50.2}
slave=${SLAVE_ADDRESS:-192.168.50.3}
# Where the engine keeps who its swarm is.
authority=/var/lib/docker/swarm/certificates/swarm-root-ca.crt

say() {
  echo "$(hostname): $1"
}

fail() {
  echo "$(hostname): $1" >&2
  exit 1
}

# swarm FIELD: what the engine says of its part in a swarm.
swarm() {
  docker info -f "{{.Swarm.$1}}"
}

# Two different networks with two machines on each are one mistake that looks like many.
has_address() {
  [[ -n $(ip -o -4 addr show to "$1") ]] ||
    fail "this machine does not have the address $1; MASTER_ADDRESS and SLAVE_ADDRESS must be what it was made with (vagrant reload)"
}
