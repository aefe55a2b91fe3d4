#!/usr/bin/env bash
# A worker of master's swarm, with our images. Vagrant runs it as root after provision.sh. Run again, it changes only
# what is not as it should be. May start before master is there: it waits for it.
set -euo pipefail
# shellcheck source=provisioning/vagrant/machine.sh
source /vagrant/provisioning/vagrant/machine.sh

patience=${JOIN_SECONDS:-1200}
deadline=$((SECONDS + patience))
told=''

# waits WHAT: tells once for what, pauses, and gives up after the deadline.
waits() {
  if [[ $told != "$1" ]]; then
    told=$1
    say "waits for $1 (up to $patience s)"
  fi
  ((SECONDS < deadline)) || fail "after $patience s still no $1; vagrant up master brings it, then vagrant provision slave"
  sleep 3
}

token() {
  head -n 1 "$exchange/token" 2>/dev/null
}

# Member of the swarm that master's certificate is of, and not of one that is gone.
belongs() {
  [[ $(swarm LocalNodeState) == active && $(swarm NodeAddr) == "$slave" && -z $(swarm Error) ]] &&
    tail -n +2 "$exchange/token" 2>/dev/null | cmp -s - "$authority"
}

# A join that has succeeded takes a moment to show, and so does a swarm when the engine has just started.
settles() {
  for _ in $(seq 60); do
    if belongs; then return 0; fi
    sleep 1
  done
  return 1
}

# Prints what went wrong in words for waits.
join() {
  local said
  if [[ $(swarm LocalNodeState) != inactive ]]; then docker swarm leave --force >/dev/null 2>&1 || true; fi
  if said=$(timeout 120 docker swarm join --advertise-addr "$slave" --token "$(token)" "$master:2377" 2>&1); then return 0; fi
  case $said in
    # The engine goes on by itself when its client has given up; to leave now would throw that away.
    *'continue in the background'*) return 0 ;;
    *fingerprint* | *'invalid join token'* | *'valid join token'*) echo "a new token: the one in $exchange is of another swarm, and master" ;;
    *refused* | *'no route'* | *unreachable* | *imeout* | '' | *deadline*) echo "answer of master at $master:2377" ;;
    *) echo "way into the swarm ($(head -n 1 <<<"$said"))" ;;
  esac
  return 1
}

has_address "$slave"
until [[ -e $exchange/token ]]; do waits "join token from master in $exchange"; done
"$root/provisioning/images/archive.sh" wait "$exchange" $((deadline - SECONDS))
"$root/provisioning/images/archive.sh" load "$exchange"

if [[ $(swarm LocalNodeState) != inactive ]] && settles; then
  say "is in master's swarm already"
else
  "$root/provisioning/stack.sh" ports
  until why=$(join) && settles; do waits "${why:-membership in the swarm}"; done
  say "joined master's swarm"
fi
