#!/usr/bin/env bash
# Puts already built static binaries into images. Needs no image registry and no builder but Docker's oldest.
#   build.sh             every image of provisioning/images/list
#   build.sh NAME…       these
# The binaries come from target/static (ATALAIA_BINARIES names another folder), where binaries.sh leaves them. The
# images are atalaia/NAME with the tag ATALAIA_TAG, `local` where it is not set. One whose label org.atalaia.sum says
# that it was made of the same files is left as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

binaries=${ATALAIA_BINARIES:-target/static}
tag=${ATALAIA_TAG:-local}
staging=${ATALAIA_STAGING:-.atalaia/images}
authorities=/etc/ssl/certs/ca-certificates.crt
label=org.atalaia.sum
declare -A staged sums

# binaries_of DOCKERFILE: the names of all binaries that it puts into images.
binaries_of() {
  awk -v file="$1" '$4 == file { print $2 }' provisioning/images/list
}

# sum DOCKERFILE: of all that an image by it is made of.
sum() {
  local dockerfile=$1 binary files=()
  while read -r binary; do
    if [[ ! -x $binaries/$binary ]]; then
      echo "images: $binaries/$binary is missing; make build builds it" >&2
      exit 1
    fi
    files+=("$binaries/$binary")
  done < <(binaries_of "$dockerfile")
  if [[ -e $authorities ]] && grep -q '^COPY ca-certificates' "$dockerfile"; then files+=("$authorities"); fi
  cat "$dockerfile" "${files[@]}" | sha256sum | cut -d ' ' -f 1
}

# is_made IMAGE SUM: whether the image is there, and of these files.
is_made() {
  [[ $(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) == "$2" ]]
}

# The folder that is sent to the engine for a Dockerfile: its binaries, an empty folder that volumes are mounted over
# and take their owner from, and the certificate authorities that this machine trusts. All binaries of the file, since
# the oldest builder goes through the stages of the others before the one that it is asked for.
stage() {
  local dockerfile=$1 folder=$2 binary
  rm -rf "$folder"
  mkdir -p "$folder/data"
  while read -r binary; do
    strip -s -o "$folder/$binary" "$binaries/$binary"
  done < <(binaries_of "$dockerfile")
  # For the collector, which alone meets TLS peers. A machine that trusts nobody makes one that trusts nobody.
  cat "$authorities" >"$folder/ca-certificates.crt" 2>/dev/null || true
}

build() {
  local name=$1 dockerfile=$2 sum=$3 context=$staging/${2%/*} image=atalaia/$1:$tag before after
  if is_made "$image" "$sum"; then return 0; fi
  if [[ -z ${staged[$dockerfile]:-} ]]; then stage "$dockerfile" "$context"; fi
  staged[$dockerfile]=1
  before=$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null || true)
  # The builder that every engine has, on every client: nothing is pulled before the stage that is asked for.
  if ! DOCKER_BUILDKIT=0 docker build -q --target "$name-prebuilt" --label "$label=$sum" -t "$image" -f "$dockerfile" \
    "$context" >"$staging/$name.log" 2>&1; then
    echo "images: $image cannot be built:" >&2
    grep -v -i -e deprecated -e buildkit -e 'environment-variable' "$staging/$name.log" >&2
    exit 1
  fi
  after=$(docker image inspect -f '{{.Id}}' "$image")
  if [[ $before == "$after" ]]; then return 0; fi
  # Fails, as it should, where a container still runs it.
  if [[ -n $before ]]; then docker rmi "$before" >/dev/null 2>&1 || true; fi
  docker image inspect -f "images: $image, {{.Size}} bytes" "$image"
}

found=0
while read -r name _ _ dockerfile; do
  if (($#)) && [[ " $* " != *" $name "* ]]; then continue; fi
  found=$((found + 1))
  if [[ -z ${sums[$dockerfile]:-} ]]; then sums[$dockerfile]=$(sum "$dockerfile"); fi
  build "$name" "$dockerfile" "${sums[$dockerfile]}"
done < <(grep -v '^#' provisioning/images/list)
if (($# && found != $#)); then
  echo "images: provisioning/images/list does not name all of: $*" >&2
  exit 1
fi
echo "images: $found of ours are there, tag $tag"
