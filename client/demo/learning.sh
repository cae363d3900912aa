# The second half of the demo, read by demo.sh: ten digits learned in five tasks, a stream whose
# tasks change without notice, one digit forgotten exactly.  Leaves $out/learning.json, and
# learning=false with the reason in $no_learning if there are no digits to be had.

digits=$build/data/mnist
negatives=$work/negatives
seconds_since() { echo $(($(date +%s) - $1)); }

get_digits() {
    if BUILD=$build sh tests/support/fetch_mnist.sh 2>"$work/fetch.log"; then
        learning=true
        return
    fi
    learning=false
    no_learning=$(tail -n 3 "$work/fetch.log" | tr -s ' \n' ' ')
    cat "$work/fetch.log" >&2
    echo "MNIST is not to be had here, so the demo ends with the forget story."
}

# last KIND FILE: the newest request of a kind, with its report
last() {
    id=$(lethe --json requests | jq -r --arg kind "$1" 'select(.kind == $kind) | .id' | head -n 1)
    lethe --json request "$id" >"$2"
}

# refused KIND TEXT: says why a request did not become a version, and ends the demo
refused() {
    last "$1" "$out/refused.json" && jq -r '"  \(.state): \(.reason // .error // "")"' "$out/refused.json"
    die "$2"
}

# ---------------------------------------------------------------- lanes

# Five epochs on some 500 images a task are enough to see it work, and no more.
learn() { # NAME CLASS CLASS
    lethe --quiet learn --task "$1" --data "$digits" --only "$2" "$3" --range 0:2500 \
        --set epochs=5 --wait >"$work/learn.log" || { cat "$work/learn.log"; refused learn "task $1 was not learned"; }
    last learn "$out/learn-$1.json"
    jq -r --arg name "$1" '.evaluation as $e | "  \($name)  " + ([$e.per_class[] |
        select(.owner == "lane:" + $name) | "\(.label): \(.acc)"] | join(", ")) +
        "; all earlier classes: \($e.acc_retain_before) -> \($e.acc_retain)   (\($e.seconds | round) s)"' "$out/learn-$1.json"
}

lanes() {
    say "9. Learn ten digits in five tasks, a lane each"
    learn mnist01 0 1
    learn mnist23 2 3
    learn mnist45 4 5
    learn mnist67 6 7
    learn mnist89 8 9
}

# ---------------------------------------------------------------- a stream

# Thirty batches of 32 train; a fifth of the images, chosen by their content, tests.
push() { # NUMBER TASK CLASS CLASS FROM:TO
    lethe --quiet stream push ink --data "$negatives" --only "$3" "$4" --range "$5" --batch 32 \
        >"$work/push.log" || { cat "$work/push.log"; refused stream "push $1 was not accepted"; }
    last stream "$work/push.json"
    jq --arg task "$2" '.task = $task' "$work/push.json" >"$out/push-$1.json"
    jq -r --arg n "$1" '"  push \($n) (in truth \(.task)):", (.evaluation.stream.events[] |
        "    batch \(.batch): \(.expert // "held"), loss \(.loss), threshold \(.threshold)" +
        (if .created then ", a new expert" elif .switched then ", back to an old one" else "" end))' "$out/push-$1.json"
}

# The same pictures under two owners would be one concept learned twice: the stream sees the digits
# as another scanner shows them, dark on white.
stream() {
    say "10. A stream of digits in dark ink on white paper: t1 t2 t3 t2 t4, and nobody says so"
    mkdir "$negatives"
    "$build/tools/negatives" "$digits" "$negatives" || die "the negatives were not made"
    lethe --quiet stream open ink --run 30 --wait >"$work/open.log" || refused stream "the stream was not opened"
    push 1 t1 0 1 10000:15700
    push 2 t2 2 3 10000:16000
    push 3 t3 4 5 10000:16300
    push 4 t2 2 3 20000:26000
    push 5 t4 6 7 10000:16000
    lethe --quiet stream close ink --wait >"$work/close.log" || refused stream "the stream was not closed"
    lethe status
}

# ---------------------------------------------------------------- exact forgetting

# What the serving version says of 300 test images each of clothes, digits and ink, to the bit.
answers() { # FILE
    for images in "$data/t10k-images-idx3-ubyte.gz" "$digits/t10k-images-idx3-ubyte" \
        "$negatives/t10k-images-idx3-ubyte"; do
        lethe --json predict --scope all --logits --range 0:300 "$images" || die "no predictions"
    done >"$1"
}

# Logits are written with nine digits, which bring every float32 back exactly.
compare_answers() {
    jq -n --slurpfile before "$work/answers-before.json" --slurpfile after "$work/answers-after.json" '
        def row: [.logit_labels, .logits] | transpose | map({key: .[0], value: .[1]}) | from_entries;
        def own: startswith("mnist45 ");
        [range($before | length) | . as $i | ($before[$i] | row) as $x | ($after[$i] | row) as $y |
            {classes: [$x | keys[] | select(own | not)], x: $x, y: $y,
             said: $before[$i].labels[0].label, says: $after[$i].labels[0].label}] |
        {images: length, classes: (.[0].classes | length),
         logits: (map(.classes | length) | add),
         logits_changed: (map(. as $r | [.classes[] as $k | select($r.x[$k] != $r.y[$k] or ($r.y | has($k) | not))] | length) | add),
         answers: (map(select(.said | own | not)) | length),
         answers_changed: (map(select((.said | own | not) and .said != .says)) | length)}' >"$out/answers.json"
}

# Components whose bytes stayed, went or came.
compare_components() {
    jq -n --slurpfile before "$work/before.json" --slurpfile after "$work/after.json" '
        def ids: [.components[] | {kind, name, digest}];
        def names: map("\(.kind) \(.name)");
        ($before[0] | ids) as $x | ($after[0] | ids) as $y |
        {unchanged: ($x - ($x - $y) | length), gone_or_changed: (($x - $y) | names),
         new_or_changed: (($y - $x) | names)}' >"$out/components.json"
}

forget_digit() {
    say "11. Forget the digit 4 exactly: its lane is trained again without it"
    lethe --json show serving >"$work/before.json"
    answers "$work/answers-before.json"
    lethe --quiet forget --class "mnist45 4" --ticket demo-digit --wait >"$work/digit.log" ||
        { cat "$work/digit.log"; refused forget "the digit was not forgotten"; }
    last forget "$out/forget-digit.json"
    answers "$work/answers-after.json"
    lethe --json show serving >"$work/after.json"
    compare_answers
    compare_components
    jq -r '.evaluation.per_class[] | "  \(.label) (\(.owner)): \(.acc_before) -> \(.acc)"' "$out/forget-digit.json"
    jq -r '"  logits of the \(.classes) classes outside its lane, \(.images) images: \(.logits_changed) of \(.logits) changed",
        "  answers that were not digits 4 and 5: \(.answers_changed) of \(.answers) changed"' "$out/answers.json"
    jq -r '"  components: \(.unchanged) unchanged; changed: \(.new_or_changed | join(", "))"' "$out/components.json"
    lethe fsck
}

# ---------------------------------------------------------------- all of it

learning_summary() {
    jq -n --slurpfile answers "$out/answers.json" --slurpfile components "$out/components.json" \
        --slurpfile digit "$out/forget-digit.json" \
        --slurpfile lanes "$work/lanes.json" --slurpfile pushes "$work/pushes.json" \
        --argjson seconds "{\"lanes\": $lanes_s, \"stream\": $stream_s, \"forget_digit\": $digit_s}" '
        def shown: {label: .label, owner, n, before: .acc_before, after: .acc};
        ($digit[0].evaluation) as $e | ([$e.per_class[] | select(.status == "live")]) as $live |
        {lanes: [$lanes[] | (.task) as $task | {task: $task, acc_new_task: .evaluation.acc_new_task,
            retain_before: .evaluation.acc_retain_before, retain: .evaluation.acc_retain,
            classes: [.evaluation.per_class[] | select(.owner == "lane:" + $task) | {label: .label, acc, n}],
            seconds: .evaluation.seconds}],
         stream: {pushes: [$pushes[] | .evaluation.stream as $s | {task, expert: $s.expert, loss: $s.loss, threshold: $s.threshold,
            switches: $s.switches, experts: $s.experts, acc_new_task: .evaluation.acc_new_task,
            decisions: $s.events, seconds: .evaluation.seconds}]},
         forget_digit: {label: "mnist45 4",
            accuracy: [$e.per_class[] | select(.label == "mnist45 4") | shown][0],
            same_lane: [$e.per_class[] | select(.label == "mnist45 5") | shown][0],
            other_classes: [$live[] | select(.owner != "lane:mnist45") | shown],
            answers: $answers[0], components: $components[0],
            holds: ($answers[0].logits_changed == 0), seconds: $e.seconds},
         seconds: $seconds} |
        .stream.experts = .stream.pushes[-1].experts |
        .stream.switches = ([.stream.pushes[].switches] | add) |
        .stream.expected = {experts: 4, switches: 4} |
        .stream.holds = (.stream.experts == 4 and .stream.switches == 4 and
            .stream.pushes[1].expert == .stream.pushes[3].expert)' >"$out/learning.json"
}

# Every request from here on measures up to 28 classes under ten owners, each with the images of all:
# with 200 images a class that alone takes minutes, so the daemon goes on with 80.
measure_less() {
    kill "$daemon" && wait "$daemon" || true
    echo "eval_per_class = 80" >"$work/learning.conf"
    serve --config "$work/learning.conf"
}

learning_story() {
    measure_less
    from=$(date +%s)
    lanes
    lanes_s=$(seconds_since "$from") from=$(date +%s)
    stream
    stream_s=$(seconds_since "$from") from=$(date +%s)
    forget_digit
    digit_s=$(seconds_since "$from")
    for task in mnist01 mnist23 mnist45 mnist67 mnist89; do cat "$out/learn-$task.json"; done >"$work/lanes.json"
    for n in 1 2 3 4 5; do cat "$out/push-$n.json"; done >"$work/pushes.json"
    learning_summary
    jq -r '.stream | "  stream: \(.experts) experts (4 tasks), \(.switches) switches (4)" +
        (if .holds then "" else ": not what it should be" end)' "$out/learning.json"
}
