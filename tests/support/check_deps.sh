#!/bin/sh
# Checks the dependency direction of CONTRIBUTING.md from the #include lines.
# A rule is: files under FOLDER may include only from the listed prefixes (besides their own).
set -eu
bad=0
rule() {
    folder=$1
    shift
    for f in $(git ls-files "$folder/*.c" "$folder/*.h"); do
        sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" | while read -r inc; do
            ok=no
            case $inc in lethe.pb-c.h) [ "$f" = proto/wire.c ] || case $f in proto/wire_*) ;; *) false ;; esac && ok=yes ;; esac
            for p in "$folder" "$@"; do
                case $inc in "$p"/* | "$p".h) ok=yes ;; esac
            done
            [ $ok = yes ] || echo "$f includes $inc"
        done
    done
}
third_party() { # HEADER FILE...: only these files may include <HEADER>
    header=$1
    shift
    git grep -l "#include <$header>" -- '*.c' '*.h' ':!tests' ':!bench' | while read -r f; do
        ok=no
        for a in "$@"; do [ "$f" = "$a" ] && ok=yes; done
        [ $ok = yes ] || echo "$f includes <$header>, only $* may"
    done
}
base=daemon/base
out=$(
    rule daemon/base
    rule proto $base
    rule learners/math $base
    rule learners/nn $base learners/math
    rule learners/optim $base learners/math
    rule learners/data $base learners/math
    rule learners/vit $base learners/math learners/nn
    rule learners/methods $base learners
    rule learners/answer $base learners
    rule learners/eval $base learners/math
    rule storage $base proto/seal
    rule daemon/config $base learners proto
    rule daemon/serve $base proto daemon/config daemon/jobs/handlers
    rule daemon/metrics $base learners daemon/config daemon/serve daemon/jobs/core daemon/jobs/core_stats storage proto
    rule daemon/service $base proto/limits
    rule daemon/worker $base learners proto/seal daemon/jobs/job_wire
    rule daemon/pretrain $base learners proto/seal daemon/config/model_folder client/dataset
    rule daemon/keygen $base proto/seal
    rule daemon/restore $base storage
    rule client/dataset $base
    rule client/cli $base proto client
    third_party cblas.h learners/math/gemm.c
    third_party lmdb.h storage/kv/kv_internal.h
    third_party zmq.h daemon/serve/server.c daemon/serve/sockets.c daemon/serve/zap.c daemon/serve/zap_check.c client/client.c
    third_party sodium.h proto/seal/hash.c proto/seal/sha256.c proto/seal/base64.c proto/seal/curve_key.c proto/seal/aead.c proto/seal/sign.c
    third_party ini.h daemon/config/config.c
    third_party microhttpd.h daemon/metrics/exporter.c
    third_party systemd/sd-daemon.h daemon/service/notify.c
)
if [ -n "$out" ]; then
    echo "$out"
    echo "check-deps: the dependency direction is broken" >&2
    exit 1
fi
echo "check-deps: ok"
