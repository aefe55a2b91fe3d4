#!/usr/bin/env bash
# What both machines need before anything else: Docker, from the distribution's packages. Vagrant runs it as root. Run
# again, it changes only what is not as it should be.
set -euo pipefail

fail() {
  echo "$(hostname): $1" >&2
  exit 1
}

[[ $EUID -eq 0 ]] || fail "provision.sh needs root"
# Without the checkout there is nothing to source yet, and nothing to say it with.
[[ -e /vagrant/provisioning/stack.sh ]] ||
  fail "/vagrant is not the checkout; SYNC=TYPE names a type of synced folder that this provider and box know"

/vagrant/provisioning/local/setup.sh guest

systemctl enable --now --quiet docker || fail "the engine does not start: $(journalctl -qu docker -n 1 -o cat)"
for _ in $(seq 120); do
  if docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then break; fi
  sleep 1
done
engine=$(docker version --format '{{.Server.Version}}' 2>/dev/null) ||
  fail "no engine answers after two minutes: $(journalctl -qu docker -n 1 -o cat)"
# A full disk shows in a hundred ways later on; here it shows in one.
least=${LEAST_FREE_MB:-512}
free=$(df --output=avail -m /var/lib/docker | tail -n 1)
((free >= least)) ||
  fail "only $((free)) MB are free for the engine, and $least are needed; docker system df shows what it has, docker system prune frees some"

if id vagrant >/dev/null 2>&1; then usermod -aG docker vagrant; fi

echo "$(hostname): engine $engine, $((free)) MB free"
