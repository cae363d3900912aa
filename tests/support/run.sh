#!/bin/sh
# Runs test programs one after the other, each with a time limit, and counts what cmocka says.
# A program that crashes or times out counts its missing tests as one failure.
# Last line: "N passed, N failed, N skipped".
set -u
limit=${LETHE_TEST_TIMEOUT:-300}
logs=${BUILD:-build}/test-logs
mkdir -p "$logs"
# Only builds with ThreadSanitizer read this.
TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/support/tsan.supp}
export TSAN_OPTIONS
passed=0 failed=0 skipped=0
for program in "$@"; do
    name=$(printf '%s' "$program" | sed "s|^${BUILD:-build}/tests/||; s|/|.|g")
    log=$logs/$name.log
    start=$(date +%s)
    timeout -k 10 "$limit" "$program" >"$log" 2>&1
    code=$?
    p=$(grep -c '^\[       OK \]' "$log")
    f=$(grep -c '^\[  FAILED  \] [^0-9]' "$log")
    s=$(grep -c '^\[  SKIPPED \] [^0-9]' "$log")
    f=$((f / 2)) s=$((s / 2))
    if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$code" -eq 0 ] && [ $((p + s)) -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    verdict=ok
    [ "$f" -eq 0 ] || verdict="FAILED (exit $code)"
    printf '%-58s %3d passed %3d failed %3d skipped %4ds  %s\n' \
        "$name" "$p" "$f" "$s" $(($(date +%s) - start)) "$verdict"
    if [ "$f" -ne 0 ]; then sed 's/^/    /' "$log" | tail -n 40; fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
