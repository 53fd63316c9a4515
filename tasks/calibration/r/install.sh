#!/usr/bin/env bash
# Install the R package of this folder into the R library LIBRARY, unless what lies there came from these sources.
#   tasks/calibration/r/install.sh LIBRARY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library=${1:?name the library folder}
mkdir -p "$library"
library=$(cd "$library" && pwd)
stamp="$library/.switchyardcalib"
# R compiles against itself, so another R means another build.
sources=$( (Rscript --version; command -v cc; cd "$here" && cat DESCRIPTION NAMESPACE R/* src/*) 2>&1 | sha256sum)
exec 9>"$library/.lock"
flock 9
[ -d "$library/switchyardcalib" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ] && exit 0
# R leaves what it compiles beside the sources, so it gets a copy.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$here/DESCRIPTION" "$here/NAMESPACE" "$here/R" "$here/src" "$copy/"
if ! command -v cc >/dev/null || ! command -v make >/dev/null; then
  echo "No C compiler: the sampler runs in plain R, which is far slower." >&2
  rm -r "$copy/src"
  sed -i '/useDynLib/d' "$copy/NAMESPACE"
  sed -i '/NeedsCompilation/d' "$copy/DESCRIPTION"
fi
if ! log=$(R CMD INSTALL --no-docs --no-multiarch --no-test-load --library="$library" "$copy" 2>&1); then
  echo "$log" >&2
  exit 1
fi
echo "$sources" >"$stamp"
