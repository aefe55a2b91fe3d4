# shellcheck shell=bash
# Sourced: images from files of this machine, for engines that reach no registry.

# copy TREE FILE…: the files at their own paths, links followed, with the libraries that programs among them need.
copy() {
  local tree=$1 file library
  shift
  for file in "$@"; do
    mkdir -p "$tree$(dirname "$file")"
    cp -L "$file" "$tree$file"
    while read -r library; do
      [[ -e $tree$library ]] && continue
      mkdir -p "$tree$(dirname "$library")"
      cp -L "$library" "$tree$library"
    done < <(ldd "$file" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }')
  done
}

# busybox TREE: the small programs, from Debian's static busybox.
busybox() {
  local tree=$1 static applet
  static=$(type -P busybox) || { echo "images: busybox is missing; make setup installs busybox-static" >&2; return 1; }
  mkdir -p "$tree/bin" "$tree/tmp" "$tree/etc"
  chmod 1777 "$tree/tmp"
  cp "$static" "$tree/bin/busybox"
  for applet in $("$static" --list); do [[ -e $tree/bin/$applet ]] || ln -s busybox "$tree/bin/$applet"; done
}

# import TREE IMAGE CHANGE…: makes the image and takes the tree away.
import() {
  local tree=$1 image=$2 change changes=()
  shift 2
  for change in "$@"; do changes+=(--change "$change"); done
  tar -C "$tree" --owner=0 --group=0 --numeric-owner -c . | docker import "${changes[@]}" - "$image" >/dev/null
  rm -rf "$tree"
}
