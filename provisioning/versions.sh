# shellcheck shell=bash
# Sourced: the variables of versions.env, exported. What the environment says already stays.
while IFS='=' read -r versions_name versions_value; do
  if [[ -z ${!versions_name:-} ]]; then export "$versions_name=$versions_value"; fi
done < <(grep '^[A-Z0-9_]*=' "$(dirname "${BASH_SOURCE[0]}")/versions.env")
unset versions_name versions_value
