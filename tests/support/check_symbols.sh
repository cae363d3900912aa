#!/bin/sh
# The learners are pure computation: their archive calls no allocator, file, clock or libc random.
# jansson works on memory that its own caller owns, and is the only library besides BLAS and pthread.
set -eu
[ -s "$1" ] || { echo "check-symbols: $1 is missing" >&2; exit 1; }
bad=$(nm -u "$1" | awk '$1 == "U" { print $2 }' | sed 's/@.*//' | sort -u |
    grep -xE '(m|c|re)alloc|free|aligned_alloc|posix_memalign|f?open(at|64)?|fread|fwrite|read|write|printf|fprintf|puts|time|clock_gettime|gettimeofday|s?rand(om)?|getenv|exit|system' || true)
if [ -n "$bad" ]; then
    echo "check-symbols: $1 uses:" $bad >&2
    exit 1
fi
echo "check-symbols: ok"
