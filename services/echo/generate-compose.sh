#!/usr/bin/env bash
# Writes a compose file with an echo server and N clients, client1 to clientN:
#   services/echo/generate-compose.sh 5 > echo-5.yml
#   docker-compose -f echo-5.yml up -d
# For N = 1 it is what provisioning/compose/echo.yml is: image, settings and rights of both come from services.yml
# beside that, by its path on this machine. ECHO_NAMES goes before the containers' names, TESTING_NET is the network.
set -euo pipefail

# 172.25.125.0/24 has 254 addresses; the gateway has one of them, and the server.
most=252

if [[ $# != 1 || ! $1 =~ ^[1-9][0-9]{0,2}$ ]] || (($1 > most)); then
  echo "usage: ${0##*/} N > FILE, with a whole number N of clients from 1 to $most: that many addresses the network has" >&2
  exit 2
fi
clients=$1
services=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../provisioning/compose" && pwd)/services.yml

cat <<SERVER
# An echo server and $clients clients, by ${0##*/}.
services:
  server:
    extends: {file: "$services", service: echo-server}
    container_name: \${ECHO_NAMES:-}server
    networks: [testing_net]
SERVER

for ((id = 1; id <= clients; id++)); do
  cat <<CLIENT

  client$id:
    extends: {file: "$services", service: echo-client}
    container_name: \${ECHO_NAMES:-}client$id
    environment: {CLI_ID: "$id"}
    networks: [testing_net]
    depends_on:
      server: {condition: service_healthy}
CLIENT
done

cat <<'NETWORK'

networks:
  testing_net:
    ipam:
      driver: default
      config: [{subnet: "${TESTING_NET:-172.25.125.0/24}"}]
NETWORK
