#!/bin/sh
# Every header compiles alone, under the compiler in use.
set -eu
build=${BUILD:-build}
n=0
stamps=$build/headers/$(basename "${CC:-gcc}")
mkdir -p "$stamps"
for h in $(git ls-files '*.h' ':!tests'); do
    stamp=$stamps/$(printf '%s' "$h" | tr / _).ok
    if [ -e "$stamp" ] && [ "$stamp" -nt "$h" ]; then continue; fi
    ${CC:-gcc} -I. -I"$build/gen" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -x c "$h" -Wno-pragma-once-outside-header
    touch "$stamp"
    n=$((n + 1))
done
echo "check-headers: ok ($n checked)"
