#!/bin/sh
# Every folder with sources is named in the README's map, and the map names no folder that is gone.
set -eu
bad=0
for d in $(git ls-files '*.c' '*.h' '*.proto' ':!tests/*/*' | xargs -n1 dirname | sort -u); do
    grep -qF "\`$d/\`" README.md || { echo "README.md: the map lacks \`$d/\`"; bad=1; }
done
for d in $(sed -n 's/^| `\([a-z_/]*\)\/` |.*/\1/p' README.md); do
    [ -d "$d" ] || { echo "README.md: \`$d/\` is gone"; bad=1; }
done
[ $bad -eq 0 ] && echo "check-map: ok"
