#!/usr/bin/env bash
# The whole on a Docker Swarm, on one of its managers:
#   stack.sh deploy [NAME]   deploys stack.yml and what was chosen of stack/, or what has changed in them
#   stack.sh wait [NAME]     waits until every service has its replicas, WAIT_SECONDS at most; says which has not, and why
#   stack.sh remove [NAME]   takes it away; volumes and secrets stay
#   stack.sh files [NAME]    prints the files that deploy puts together, after having made the one that is generated
#   stack.sh ports           fails when something else has a port that the stack publishes on every machine
# NAME is atalaia where it is not given. A swarm must be there (docker swarm init), and our images on every machine.
# What keeps data runs on the machine of the first deploy. Chosen by the environment:
#   INFLUXDB=2|1             which InfluxDB
#   GRAFANA=1|0              with Grafana or without
#   DISCOVERY=swarm|static   the collector asks the swarm for its targets, or has them from AGENTS ("HOST:PORT","HOST:PORT")
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=provisioning/versions.sh
source versions.sh
# shellcheck source=provisioning/local/processes.sh
source local/processes.sh

export STACK=${2:-atalaia}
export DB_PASSWORD_SECRET=${DB_PASSWORD_SECRET:-${STACK}_db_password}
export INFLUXDB_TOKEN_SECRET=${INFLUXDB_TOKEN_SECRET:-${STACK}_influxdb_token}
export GRAFANA_PASSWORD_SECRET=${GRAFANA_PASSWORD_SECRET:-${STACK}_grafana_password}
influxdb=${INFLUXDB:-2} grafana=${GRAFANA:-1} discovery=${DISCOVERY:-swarm}
agent_port=${AGENT_PORT:-9100}

fail() {
  echo "stack: $1" >&2
  exit 1
}

choices() {
  [[ $influxdb == [12] ]] || fail "INFLUXDB is '$influxdb'; it can be 1 or 2"
  [[ $grafana == [01] ]] || fail "GRAFANA is '$grafana'; it can be 0 or 1"
  [[ $discovery == swarm || $discovery == static ]] || fail "DISCOVERY is '$discovery'; it can be swarm or static"
}

manager() {
  [[ $(docker info -f '{{.Swarm.ControlAvailable}}' 2>/dev/null) == true ]] ||
    fail "this engine manages no swarm; docker swarm init makes one"
}

# The ports behind which services answer on every machine, and those of the machine that keeps the data.
ports_everywhere=(
  "${FILES_PORT:-5001}" "${REGISTRY_PORT:-5004}" "${ECHO_PORT:-12345}" "${VOTE_PORT:-5000}" "${RESULT_PORT:-5002}"
  "${HITS_PORT:-5003}" "$agent_port"
)
ports_of_data=("${INFLUXDB_VMS_PORT:-8086}" "${INFLUXDB_CONTAINERS_PORT:-8087}" "${COLLECTOR_PORT:-9090}")
if [[ $grafana == 1 ]]; then ports_of_data+=("${GRAFANA_PORT:-3000}"); fi

# The engine itself and the agent may be this stack's own; a container of somebody else's is the engine's too.
claim() {
  local port owner other
  for port in "$@"; do
    owner=$(port_owner "$port")
    case $owner in
      '' | '"dockerd"'* | '"atalaia-agent"'*) ;;
      '"docker-proxy"'*)
        other=$(docker ps --filter "publish=$port" --format '{{.Names}} {{.Label "com.docker.stack.namespace"}}' | grep -v " $STACK\$" || true)
        if [[ -n $other ]]; then fail "port $port is taken by the container ${other%% *}; stop that first"; fi
        ;;
      *) fail "port $port is taken on $(hostname) by $owner; stop that first, or choose another port (provisioning/README.md)" ;;
    esac
  done
}

# Ours are in no registry: a service whose image is not here would be tried for ever.
our_images() {
  local image
  while read -r image; do
    docker image inspect "$image" >/dev/null 2>&1 || fail "the image $image is not here; make docker-image makes it"
  done < <(sed -n "s/^ *image: \(atalaia\/[a-z-]*\):.*/\1:${ATALAIA_TAG:-local}/p" stack.yml)
}

# secret NAME VALUE: a secret that is there stays as it is.
secret() {
  if docker secret inspect "$1" >/dev/null 2>&1; then return 0; fi
  printf '%s' "$2" | docker secret create "$1" - >/dev/null
  echo "stack: made the secret $1"
}

random() {
  head -c 24 /dev/urandom | base64 | tr -d '\n'
}

secrets() {
  secret "$DB_PASSWORD_SECRET" "$(random)"
  if [[ $influxdb == 2 ]]; then secret "$INFLUXDB_TOKEN_SECRET" "${INFLUXDB_TOKEN:-$(random)}"; fi
  if [[ $grafana == 1 ]]; then secret "$GRAFANA_PASSWORD_SECRET" "${GRAFANA_PASSWORD:-$(random)}"; fi
}

place() {
  if [[ -z $(docker node ls -q --filter node.label=atalaia.volumes=true) ]]; then
    docker node update --label-add atalaia.volumes=true "$(docker info -f '{{.Swarm.NodeID}}')" >/dev/null
    echo "stack: what keeps data is placed on this machine, by the label atalaia.volumes"
  fi
}

agents() {
  if [[ -n ${AGENTS:-} ]]; then
    echo "$AGENTS"
  else
    docker node ls -q | xargs docker node inspect -f '{{.Status.Addr}}' | sed "s/.*/\"&:$agent_port\"/" | paste -sd,
  fi
}

# The files to deploy, in `files`, and the collector's configuration, which is put together from pieces.
prepare() {
  local generated=$root/.atalaia/stack/$STACK
  files=(stack.yml "stack/influxdb$influxdb.yml")
  if [[ $grafana == 1 ]]; then files+=(stack/grafana.yml); fi
  if [[ $grafana$influxdb == 12 ]]; then files+=(stack/grafana.influxdb2.yml); fi
  if [[ $discovery == swarm ]]; then
    files+=(stack/discovery.yml)
    DOCKER_GROUP=$(stat -c %g /var/run/docker.sock)
    export DOCKER_GROUP
  fi
  mkdir -p "$generated"
  export COLLECTOR_CONFIG=$generated/prometheus.yml
  cat stack/prometheus.yml "stack/targets.$discovery.yml" "stack/write.influxdb$influxdb.yml" |
    sed -e "s/@STACK@/$STACK/" -e "s/@AGENT_PORT@/$agent_port/" \
      -e "s/@AGENTS@/$(if [[ $discovery == static ]]; then agents; fi)/" >"$COLLECTOR_CONFIG"
  CONFIG_SUM=$(find stack ../dashboards ../rules compose/echo/server.conf "$COLLECTOR_CONFIG" -type f -print0 |
    sort -z | xargs -0 cat | sha256sum | cut -c 1-12)
  export CONFIG_SUM
}

deploy() {
  choices
  manager
  our_images
  claim "${ports_everywhere[@]}" "${ports_of_data[@]}"
  secrets
  place
  prepare
  docker stack deploy --resolve-image never --prune "${files[@]/#/--compose-file=}" "$STACK"
}

# Services that lack replicas, one a line: NAME HAVE/WANT. One on every machine that wants none is not scheduled yet.
short() {
  docker service ls --filter "label=com.docker.stack.namespace=$STACK" --format '{{.Name}} {{.Replicas}} {{.Mode}}' |
    awk '{ split($2, n, "/"); if (n[1] != n[2] || (n[2] == 0 && / global$/)) print $1, $2 }'
}

# Why a service has no task: what the newest of them that failed said, or what the newest does.
why() {
  local tasks
  tasks=$(docker service ps --no-trunc --format '{{.Error}}|{{.CurrentState}}' "$1")
  { grep -v '^|' <<<"$tasks" || echo "$tasks"; } | head -n 1 | sed 's/^|//; s/|/, /'
}

# An engine that does not answer has told nothing, least of all that nothing is missing: `missing` says so then.
is_whole() {
  missing=$(short 2>&1) && [[ -z $missing ]]
}

# What is missing, one a line: services with their reason, or what the engine said instead.
explain() {
  local name replicas
  while read -r name replicas; do
    if [[ $replicas =~ ^[0-9]+/[0-9]+$ ]]; then
      echo "  $name $replicas: $(why "$name")"
    else
      echo "  $name $replicas"
    fi
  done <<<"$missing"
}

wait_for_all() {
  local deadline=$((SECONDS + ${WAIT_SECONDS:-300})) missing='' count least=1000
  manager
  [[ -n $(docker service ls -q --filter "label=com.docker.stack.namespace=$STACK") ]] || fail "there is no stack $STACK"
  until is_whole; do
    if ((SECONDS >= deadline)); then
      { echo "stack: after ${WAIT_SECONDS:-300} s these lack replicas:" && explain; } >&2
      exit 1
    fi
    count=$(grep -cE ' [0-9]+/[0-9]+$' <<<"$missing" || true)
    if ((count > 0 && count < least)); then
      least=$count
      echo "stack: $count services are still to come"
    fi
    sleep 2
  done
  echo "stack: every service of $STACK has its replicas"
}

case "${1:-}" in
  deploy) deploy ;;
  wait) wait_for_all ;;
  remove) docker stack rm "$STACK" ;;
  files)
    choices
    prepare
    printf '%s\n' "${files[@]}"
    ;;
  ports) claim "${ports_everywhere[@]}" ;;
  *)
    echo "usage: $0 deploy|wait|remove|files [NAME] | ports" >&2
    exit 2
    ;;
esac
