#!/usr/bin/env bash
# Makes sure that the images of others, which provisioning/versions.env names, are there:
#   third-party.sh            those of the compose files and the tests
#   third-party.sh IMAGE…     these
# One that is there already is left alone; else it is pulled; else, where no registry answers soon, it is put
# together from Debian's packages under the same name, with an entry script that understands what our files ask of
# the official one. It says what it did, and the label org.atalaia.from of such an image says what it is made of.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=provisioning/images/tree.sh
source "$here/tree.sh"
# shellcheck source=provisioning/versions.sh
source "$here/../versions.sh"

images=("$REDIS_IMAGE" "$POSTGRES_IMAGE" "$INFLUXDB_1_IMAGE" "$BUSYBOX_IMAGE" "$CURL_IMAGE")
pull_seconds=${ATALAIA_PULL_SECONDS:-120}
label=org.atalaia.from

# need PROGRAM PACKAGE: where it is, or what to do.
need() {
  type -P "$1" || { echo "images: $1 is missing, and no registry answers; apt-get install $2 (make setup does)" >&2; return 1; }
}

versions() {
  dpkg-query -W -f '${Package} ${Version}, ' "$@" | sed 's/, $//'
}

# start NAME: a tree with a shell, small programs, users and the entry script of that name.
start() {
  local tree
  tree=$(mktemp -d)
  chmod 755 "$tree"
  busybox "$tree"
  printf '%s\n' root:x:0:0:root:/root:/bin/sh postgres:x:70:70::/var/lib/postgresql:/bin/sh redis:x:999:1000::/data:/bin/sh \
    >"$tree/etc/passwd"
  printf '%s\n' root:x:0: postgres:x:70: redis:x:1000: >"$tree/etc/group"
  # Not busybox's own shell: it prefers its own programs to those beside it.
  copy "$tree" "$(type -P setpriv)" "$(type -P dash)"
  ln -sf "$(type -P dash)" "$tree/bin/sh"
  mkdir -p "$tree/usr/local/bin"
  if [[ -e $here/third-party/$1.sh ]]; then
    install -m 755 "$here/third-party/$1.sh" "$tree/usr/local/bin/docker-entrypoint.sh"
  fi
  echo "$tree"
}

path='ENV PATH=/usr/local/bin:/usr/bin:/bin'
entry='ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]'

redis() {
  local tree server client
  server=$(need redis-server redis-server) client=$(need redis-cli redis-tools)
  tree=$(start redis)
  copy "$tree" "$server" "$client"
  mkdir "$tree/data"
  import "$tree" "$1" "$path" "$entry" 'CMD ["redis-server"]' 'WORKDIR /data' 'VOLUME /data' 'EXPOSE 6379' \
    "LABEL $label=\"$(versions redis-server)\""
}

postgres() {
  local tree version programs program libraries
  version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
  programs=/usr/lib/postgresql/$version/bin libraries=/usr/lib/postgresql/$version/lib
  PATH=$programs need postgres postgresql >/dev/null
  tree=$(start postgres)
  copy "$tree" "$programs"/{postgres,initdb,pg_ctl,pg_isready,psql,pg_dump}
  mkdir -p "$tree/usr/local/bin"
  for program in "$programs"/{postgres,initdb,pg_ctl,pg_isready,psql,pg_dump}; do
    ln -s "$program" "$tree/usr/local/bin/"
  done
  # Without the just-in-time compiler, whose library is larger than all the rest; the server does without.
  find "$libraries" -name '*.so' ! -name 'llvmjit.so' -print0 | while IFS= read -r -d '' file; do copy "$tree" "$file"; done
  mkdir -p "$tree/usr/share/postgresql" "$tree/usr/lib/locale" "$tree/var/run/postgresql" "$tree/var/lib/postgresql/data"
  cp -rL "/usr/share/postgresql/$version" "$tree/usr/share/postgresql/$version"
  cp -rL /usr/share/zoneinfo "$tree/usr/share/zoneinfo"
  cp -rL /usr/lib/locale/C.utf8 "$tree/usr/lib/locale/C.utf8"
  import "$tree" "$1" "$path" "$entry" 'CMD ["postgres"]' 'ENV PGDATA=/var/lib/postgresql/data' \
    'VOLUME /var/lib/postgresql/data' 'EXPOSE 5432' "LABEL $label=\"$(versions "postgresql-$version")\""
}

influxdb() {
  local tree server client data=/var/lib/influxdb
  server=$(need influxd influxdb) client=$(need influx influxdb-client)
  tree=$(start influxdb)
  copy "$tree" "$server" "$client"
  mkdir -p "$tree/var/lib/influxdb"
  import "$tree" "$1" "$path" "$entry" 'CMD ["influxd"]' 'VOLUME /var/lib/influxdb' 'EXPOSE 8086' \
    "ENV INFLUXDB_META_DIR=$data/meta INFLUXDB_DATA_DIR=$data/data INFLUXDB_DATA_WAL_DIR=$data/wal" \
    "LABEL $label=\"$(versions influxdb)\""
}

busybox_image() {
  local tree netcat
  netcat=$(need nc.openbsd netcat-openbsd)
  tree=$(start busybox)
  # The static one cannot be trusted to look up names.
  copy "$tree" "$netcat"
  ln -sf "$netcat" "$tree/bin/nc"
  import "$tree" "$1" "$path" 'CMD ["sh"]' "LABEL $label=\"$(versions busybox-static netcat-openbsd)\""
}

curl_image() {
  local tree program
  program=$(need curl curl)
  tree=$(start curl)
  copy "$tree" "$program"
  import "$tree" "$1" "$path" 'ENTRYPOINT ["curl"]' 'CMD ["--help"]' 'USER 100' "LABEL $label=\"$(versions curl)\""
}

for image in "${@:-${images[@]}}"; do
  if docker image inspect "$image" >/dev/null 2>&1; then
    echo "images: $image is there"
  elif reason=$(timeout "$pull_seconds" docker pull -q "$image" 2>&1 >/dev/null); then
    echo "images: $image was pulled"
  else
    case $image in
      redis:*) redis "$image" ;;
      postgres:*) postgres "$image" ;;
      influxdb:1*) influxdb "$image" ;;
      busybox:*) busybox_image "$image" ;;
      curlimages/curl:*) curl_image "$image" ;;
      *)
        echo "images: $image cannot be pulled (${reason##*: }), and Debian has no packages to make it of" >&2
        exit 1
        ;;
    esac
    echo "images: $image cannot be pulled (${reason##*: }): made from Debian's" \
      "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$image")"
  fi
done
