#!/usr/bin/env bash
# Takes images from one machine to another by a folder that both see, each image once:
#   archive.sh save FOLDER IMAGE…   writes FOLDER/images, the ids, and then the archive that it names, if it is not there
#   archive.sh load FOLDER          loads that archive, unless all of the images are here already
#   archive.sh wait FOLDER SECONDS  waits for the two files, if they are needed here
# An archive is called by what is in it: an old one is never taken for a new one.
set -euo pipefail

fail() {
  echo "images: $1" >&2
  exit 1
}

archive_of() {
  echo "$1/images-$(sha256sum <"$1/images" | cut -c 1-12).tar"
}

save() {
  local folder=$1 image archive
  shift
  mkdir -p "$folder"
  for image in "$@"; do
    echo "$image $(docker image inspect -f '{{.Id}}' "$image")"
  done | sort >"$folder/images.new"
  mv "$folder/images.new" "$folder/images"
  archive=$(archive_of "$folder")
  if [[ ! -e $archive ]]; then
    find "$folder" -maxdepth 1 -name 'images-*.tar*' -delete
    # docker save makes a file that nobody else may read; over the shared folder, somebody else it is.
    docker save "$@" | cat >"$archive.new" || fail "the images cannot be written to $folder: $(df -h --output=avail "$folder" | tail -n 1) are free"
    mv "$archive.new" "$archive"
  fi
  echo "images: $# of them are in $folder for other machines"
}

# Whether every image is here under its name. An image of that name with another id is an old one.
is_here() {
  local image id
  [[ -e $1/images ]] || return 1
  while read -r image id; do
    [[ $(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null) == "$id" ]] || return 1
  done <"$1/images"
}

is_there() {
  is_here "$1" || { [[ -e $1/images ]] && [[ -e $(archive_of "$1") ]]; }
}

await() {
  local folder=$1 deadline=$((SECONDS + $2))
  until is_there "$folder"; do
    ((SECONDS < deadline)) || fail "after $2 s master has put no images into $folder; vagrant provision master says why"
    sleep 2
  done
}

load() {
  if is_here "$1"; then
    echo "images: all $(wc -l <"$1/images") of them are here already"
    return 0
  fi
  docker load -q -i "$(archive_of "$1")" >/dev/null || fail "the archive of images in $1 cannot be loaded"
  echo "images: loaded $(wc -l <"$1/images") of them from $1"
}

case "${1:-}" in
  save) shift && save "$@" ;;
  load) load "$2" ;;
  wait) await "$2" "$3" ;;
  *) echo "usage: $0 save FOLDER IMAGE… | load FOLDER | wait FOLDER SECONDS" >&2; exit 2 ;;
esac
