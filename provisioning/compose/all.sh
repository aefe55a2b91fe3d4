#!/usr/bin/env bash
# Everything in containers, as all.yml describes it: what `make docker-compose-up`, `-down` and `-logs` run.
#   all.sh up      starts what does not run, waits until all of it is well, says where it is
#   all.sh down    stops it within a second each and removes it; data stays in its volumes
#   all.sh logs    shows what it says, and goes on showing
#   all.sh …       any other command of compose, such as ps, or run --rm registry-client
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=provisioning/local/processes.sh
source ../local/processes.sh

project=${COMPOSE_PROJECT_NAME:-atalaia}
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose+=(-p "$project" -f all.yml)

ports=(
  "${VOTE_PORT:-5000}" "${RESULT_PORT:-5002}" "${FILES_PORT:-5001}" "${REGISTRY_PORT:-5004}" "${HITS_PORT:-5003}"
  "${ECHO_PORT:-12345}" "${AGENT_PORT:-9100}" "${COLLECTOR_PORT:-9090}" "${INFLUXDB_VMS_PORT:-8086}"
  "${INFLUXDB_CONTAINERS_PORT:-8087}"
)

running() {
  docker ps -q --filter "label=com.docker.compose.project=$project"
}

# Before anything is started: a port that somebody else has would leave half of it running.
claim() {
  local port owner
  for port in "${ports[@]}"; do
    if [[ -n $(ss -Hltn "sport = :$port") ]]; then
      owner=$(port_owner "$port")
      echo "compose: port $port is taken by ${owner:-another process}; stop that first (make down, if make up started it)" >&2
      exit 1
    fi
  done
}

# Containers of the project that are neither well nor have ended as they should, one a line.
unwell() {
  docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.Names}}: {{.Status}}' |
    grep -v -e '(healthy)' -e ': Exited (0)' -e "^${ECHO_CLIENT_NAME:-client1}: Up" || true
}

up() {
  local deadline=$((SECONDS + 180))
  if [[ -z $(running) ]]; then claim; fi
  "${compose[@]}" up -d --remove-orphans
  until [[ -z $(unwell) ]]; do
    if ((SECONDS >= deadline)); then
      echo "compose: not well after three minutes:" >&2
      unwell >&2
      exit 1
    fi
    sleep 0.5
  done
  cat <<WHERE

everything is well:
  vote             http://127.0.0.1:${ports[0]}/        the result  http://127.0.0.1:${ports[1]}/
  file transfer    curl -X POST -F 'file=@README.md' 127.0.0.1:${ports[2]}/upload
                   curl -X POST -F 'name=README.md' 127.0.0.1:${ports[2]}/download
  hits             curl http://127.0.0.1:${ports[4]}/
  registry         curl http://127.0.0.1:${ports[3]}/service
                   $0 run --rm registry-client
  echo             echo hello | nc 127.0.0.1 ${ports[5]}
  agent            http://127.0.0.1:${ports[6]}/metrics
  collector        http://127.0.0.1:${ports[7]}/
  InfluxDB         port ${ports[8]}: machines; port ${ports[9]}: containers; database prometheus
make docker-compose-logs shows what they say, make docker-compose-down ends it.
WHERE
}

case "${1:-}" in
  up) up ;;
  down)
    "${compose[@]}" stop -t 1
    "${compose[@]}" down --remove-orphans
    ;;
  logs) exec "${compose[@]}" logs -f ;;
  '') echo "usage: $0 up|down|logs|COMMAND…" >&2; exit 2 ;;
  *) exec "${compose[@]}" "$@" ;;
esac
