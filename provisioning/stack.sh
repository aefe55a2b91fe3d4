#!/usr/bin/env bash
# The whole on a Docker Swarm, on one of its managers:
#   stack.sh deploy [NAME]   deploys provisioning/stack.yml, or what has changed in it
#   stack.sh remove [NAME]   takes it away; volumes and the secret stay
# NAME is atalaia where it is not given. A swarm must be there (docker swarm init), and the images on every machine.
# What keeps data runs on the machine of the first deploy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export STACK=${2:-atalaia}
export DB_PASSWORD_SECRET=${DB_PASSWORD_SECRET:-${STACK}_db_password}

deploy() {
  if [[ $(docker info -f '{{.Swarm.ControlAvailable}}') != true ]]; then
    echo "stack: this engine manages no swarm; docker swarm init makes one" >&2
    exit 1
  fi
  if ! docker secret inspect "$DB_PASSWORD_SECRET" >/dev/null 2>&1; then
    head -c 24 /dev/urandom | base64 | docker secret create "$DB_PASSWORD_SECRET" - >/dev/null
    echo "stack: made the secret $DB_PASSWORD_SECRET"
  fi
  if [[ -z $(docker node ls -q --filter node.label=atalaia.volumes=true) ]]; then
    docker node update --label-add atalaia.volumes=true "$(docker info -f '{{.Swarm.NodeID}}')" >/dev/null
    echo "stack: what keeps data is placed on this machine, by the label atalaia.volumes"
  fi
  if [[ -z ${AGENTS:-} ]]; then
    AGENTS=$(docker node ls -q | xargs docker node inspect -f "{{.Status.Addr}}" | sed "s/.*/\"&:${AGENT_PORT:-9100}\"/" | paste -sd,)
  fi
  CONFIG_SUM=$(cat stack/prometheus.yml compose/echo/server.conf ../rules/*.rules.yml | sha256sum | cut -c 1-12)
  export AGENTS CONFIG_SUM
  docker stack deploy --resolve-image never --prune -c stack.yml "$STACK"
}

case "${1:-}" in
  deploy) deploy ;;
  remove) docker stack rm "$STACK" ;;
  *)
    echo "usage: $0 deploy|remove [NAME]" >&2
    exit 2
    ;;
esac
