#!/bin/sh
# Entry of the image redis that is made from Debian's package: takes what the official one takes.
set -eu

case "${1:-}" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "${1:-}" = redis-server ]; then
  if [ "$(id -u)" = 0 ]; then
    chown -R 999:1000 .
    exec /usr/bin/setpriv --reuid=999 --regid=1000 --clear-groups "$0" "$@"
  fi
  # As in the official image: who can reach it is the network's business.
  set -- "$@" --protected-mode no
fi
exec "$@"
