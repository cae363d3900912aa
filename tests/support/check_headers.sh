#!/bin/sh
# Every header compiles alone, under the compiler in use.
set -eu
build=${BUILD:-build}
mkdir -p "$build"
n=0
for h in $(git ls-files '*.h' ':!tests'); do
    stamp=$build/headers/$(printf '%s' "$h" | tr / _).ok
    if [ -e "$stamp" ] && [ "$stamp" -nt "$h" ]; then continue; fi
    mkdir -p "$build/headers"
    ${CC:-gcc} -I. -I"$build/gen" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -x c "$h" -Wno-pragma-once-outside-header
    touch "$stamp"
    n=$((n + 1))
done
echo "check-headers: ok ($n checked)"
