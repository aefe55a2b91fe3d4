#!/bin/sh
# Entry of the image influxdb that is made from Debian's package. Of the official one it takes INFLUXDB_DB; the other
# INFLUXDB_… variables the server reads itself, among them the image's own: without them it would keep its data under
# its user's home, which is no volume.
set -eu

case "${1:-}" in -*) set -- influxd "$@" ;; esac
if [ "${1:-}" = influxd ] && [ -n "${INFLUXDB_DB:-}" ] && [ ! -e "$INFLUXDB_META_DIR/meta.db" ]; then
  # The database is made while nobody can reach the server yet.
  INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8086 influxd >/dev/null 2>&1 &
  server=$!
  tries=0
  until influx -host 127.0.0.1 -execute "CREATE DATABASE \"$INFLUXDB_DB\"" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 300 ]; then
      echo "influxd does not come up to make the database $INFLUXDB_DB" >&2
      exit 1
    fi
    sleep 0.1
  done
  kill "$server"
  wait "$server" || true
fi
exec "$@"
