#!/bin/sh
# The story of lethe on real data, told through the command line that everybody uses: a private
# daemon on the shipped model, four classes erased in two requests, and what the history says; then
# digits learned in lanes and by a stream, and one of them forgotten exactly (learning.sh).
# Prints tables for people and writes build/demo/summary.json for machines.
set -eu

build=${BUILD:-build}
bin=$build/bin
out=$build/demo
data=/usr/share/datasets/fashion-mnist
model=${LETHE_DEMO_MODEL:-models/vit-fashion}
budget=${LETHE_DEMO_SECONDS:-300}
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d "${TMPDIR:-/tmp}/lethe-demo-XXXXXX")
endpoint=ipc://$work/lethe.sock
started=$(date +%s)
daemon=

finish() {
    code=$?
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$work"
    exit $code
}
trap finish EXIT INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# A busy machine may take longer than the usual 30 s to answer.
lethe() { "$bin/lethe" --endpoint "$endpoint" --timeout 600 "$@"; }
die() {
    echo "demo: $*" >&2
    tail -n 20 "$work/lethed.log" >&2
    exit 1
}
# number CONDITION-EXPRESSION: compares with awk, since shell has no fractions
holds() { awk "BEGIN { exit !($1) }"; }

# serve [OPTION...]: starts the daemon on the demo's store and waits until it answers
serve() {
    "$bin/lethed" --base "$model" --store "$work/store" --endpoint "$endpoint" "$@" 2>>"$work/lethed.log" &
    daemon=$!
    for _ in $(seq 100); do
        lethe status >/dev/null 2>&1 && break
        kill -0 "$daemon" 2>/dev/null || die "lethed did not start"
        sleep 0.1
    done
}

say "1. A daemon on the shipped Vision Transformer"
serve
lethe status

say "2. Its data: the training images it may replay, and the test images that judge it"
lethe data import fashion-train "$data" --role train
lethe data import fashion-test "$data/t10k-images-idx3-ubyte.gz" --role test
lethe data list

say "3. How good is it before anything happens?"
lethe --json evaluate >"$out/base.json"
base_acc=$(jq '.evaluation.acc_retain // .acc_retain' "$out/base.json")
echo "test accuracy $base_acc on $(jq '.evaluation.n_eval // .n_eval' "$out/base.json") images"

say "Predictions, with nothing else going on"
"$build/bench/latency" "$endpoint" 3 | tee "$out/latency-idle.json"

forget() { # NUMBER CLASS CLASS
    say "$1. Erase $2 and $3"
    "$build/bench/latency" "$endpoint" 5 >"$out/latency-busy-$1.json" &
    meter=$!
    lethe forget --class "$2" --class "$3" --ticket "demo-$1" --wait || die "request $1 was not committed"
    wait $meter
    id=$(lethe --json requests | jq -r 'select(.kind == "forget") | .id' | head -n 1)
    lethe --json request "$id" >"$out/forget-$1.json"
    echo "predictions meanwhile: $(cat "$out/latency-busy-$1.json")"
    jq -r '.evaluation as $e | [
      "  accuracy on the erased classes   \($e.acc_forget_before) -> \($e.acc_forget)",
      "  accuracy on the kept classes     \($e.acc_retain_before) -> \($e.acc_retain)",
      "  earlier erased classes now       \($e.acc_old_forgotten)",
      "  feature probes (NCM k=5, ridge)  \($e.probe.ncm), \($e.probe.ridge)",
      "  blocks left untouched            \($e.zero_group_ratio)",
      "  seconds                          \($e.seconds)"] | .[]' "$out/forget-$1.json"
    jq -r --arg key "$2 + $3" '.forget[$key] // empty |
      (.oracle // empty | "  never saw them (oracle):         NCM \(.ncm), ridge \(.ridge)"),
      (.depth_off // empty | "  published method (depth=off):    NCM \(.ncm), ridge \(.ridge)")' \
        docs/benchmarks.json
}
forget 4 Sandal Bag
forget 5 "T-shirt/top" "Ankle boot"

say "6. What does it answer now?"
lethe predict --top 3 --range 0:8 "$data/t10k-images-idx3-ubyte.gz"

say "7. The history"
lethe history
lethe show serving
lethe diff 1 serving

say "8. Rolling back would bring erased classes back"
refused=false
if lethe rollback 1; then
    die "the rollback was not refused"
else
    [ $? -eq 3 ] || die "the rollback failed for another reason"
    refused=true
fi
lethe fsck
forget_s=$(($(date +%s) - started))

. client/demo/learning.sh
get_digits
echo "{}" >"$out/learning.json"
if $learning; then learning_story; fi

seconds=$(($(date +%s) - started))
jq -n --argjson base "$base_acc" --argjson refused $refused --argjson seconds $seconds \
    --slurpfile one "$out/forget-4.json" --slurpfile two "$out/forget-5.json" \
    --slurpfile idle "$out/latency-idle.json" --slurpfile busy "$out/latency-busy-4.json" \
    --slurpfile learning "$out/learning.json" --argjson learned $learning --arg why "${no_learning:-}" \
    --argjson forget_s $forget_s \
    '{base: {test_acc: $base}, forget: [$one[0], $two[0]], rollback_refused: $refused,
      latency: {idle: $idle[0], while_forgetting: $busy[0]},
      learning: (if $learned then $learning[0] else {skipped: $why} end),
      forget_story_seconds: $forget_s, seconds: $seconds}' >"$out/summary.json"

say "12. The promises of this demo, checked"
failed=0
check() { # TEXT CONDITION
    if holds "$2"; then verdict=ok; else verdict=MISSED; failed=1; fi
    printf '  %-62s %s\n' "$1" "$verdict"
}
value() { jq -r "$1" "$out/summary.json"; }
check "base test accuracy $base_acc >= 0.91" "$base_acc >= 0.91"
for i in 0 1; do
    e=".forget[$i].evaluation"
    f=$(value "$e.acc_forget") u=$(value "$e.intervals.acc_unseen.value") r=$(value "$e.acc_retain") b=$(value "$e.acc_retain_before")
    check "request $((i + 1)): erased classes $f (used images), $u (test) <= 0.01" "$f <= 0.01 && $u <= 0.01"
    check "request $((i + 1)): kept classes $b -> $r, at most 0.010 lost" "$r >= $b - 0.0100001"
    check "request $((i + 1)): $(value "$e.seconds") s < 20 s" "$(value "$e.seconds") < 20"
done
# beside the oracle, where one was trained: NUMBER KEY
features() {
    oracle=$(jq -c --arg key "$2" '.forget[$key].oracle // empty' docs/benchmarks.json)
    [ -n "$oracle" ] || { echo "  request $1: no oracle was trained for $2"; return; }
    for probe in ncm ridge; do
        own=$(value ".forget[$(($1 - 1))].evaluation.probe.$probe") limit=$(echo "$oracle" | jq -r ".$probe")
        check "request $1: $probe of the erased classes $own, oracle $limit + 0.05" "$own <= $limit + 0.05"
    done
}
features 1 "Sandal + Bag"
features 2 "T-shirt/top + Ankle boot"
check "first two classes after the second request $(value '.forget[1].evaluation.acc_old_forgotten') <= 0.02" \
    "$(value '.forget[1].evaluation.acc_old_forgotten') <= 0.02"
check "rollback refused" "1"
if $learning; then
    l=.learning.forget_digit
    check "forgotten digit now $(value "$l.accuracy.after // 1") <= 0.02" "$(value "$l.accuracy.after // 1") <= 0.02"
    check "$(value "$l.answers.logits_changed") of $(value "$l.answers.logits") logits of other lanes, experts, base changed" \
        "$(value "$l.answers.logits_changed") == 0"
    e=$(value .learning.stream.experts) s=$(value .learning.stream.switches)
    if $(value .learning.stream.holds); then verdict=ok; else verdict="not what it should be"; fi
    printf '  %-62s %s\n' "stream t1 t2 t3 t2 t4: $e of 4 experts, $s of 4 switches" "$verdict"
fi
check "$seconds s < $budget s" "$seconds < $budget"
echo
echo "summary: $out/summary.json"
[ $failed -eq 0 ] || die "a promise was missed"
