/*
 * One run of the `parity` protocol: the stream, the selector, pruning and training again of every
 * expert and of the selector, the figures before and after pruning.  After each of these stages the
 * state is written to a checkpoint (the whole file anew), so a run that was killed goes on behind
 * the last stage that was finished, with the same results.
 *
 * Checkpoint, little-endian (daemon/base/bytes.h): "LETAME1\n", name of the run, stages done, what
 * the stream left (experts, who took what, changes seen, numbers of the kept samples, seconds),
 * then the weights that exist so far.
 */
#ifndef LETHE_BENCH_RUN_H
#define LETHE_BENCH_RUN_H

#include "bench/tame/figures.h"
#include "bench/tame/tasks.h"
#include "bench/tame/trial.h"

#include <stddef.h>
#include <stdint.h>

#define RUN_NAME_SIZE 128
#define RUN_CHANGES   4096 /* most changes of expert that a run may see */

struct run_settings {
    const struct tasks_stream *stream;
    const char *folder; /* of the IDX files */
    uint64_t seed;
    uint32_t window;
    uint32_t epochs;     /* of a stretch of one task */
    uint32_t fit_epochs; /* after pruning; the selector's own are in proportion, published: 200 */
    uint32_t limit;      /* pictures a task, 0: all */
    int one_stroke;      /* experts are pruned as published, not gradually */
    uint32_t threads;
};

/* "gradual" or "one-stroke". */
const char *run_pruning_name(const struct run_settings *s);
/* Everything that decides about the result, as text. */
void run_name(const struct run_settings *s, char name[RUN_NAME_SIZE]);

enum run_part { RUN_STREAM, RUN_SELECTOR, RUN_PRUNING, RUN_PARTS };

/* What the detector did, against the stream's true changes. */
struct run_detection {
    uint64_t batches;
    uint32_t experts;
    struct figures_changes changes;
    uint64_t misplaced; /* samples that trained another than their task's expert */
};

struct run_result {
    struct run_detection detection;
    struct figures before, after; /* pruning */
    uint32_t selector_draws;      /* starts that the selector took; published: 1 */
    double published_weights;     /* the paper's count */
    uint64_t nonzero_weights;     /* weights and biases that are not 0 */
    double seconds[RUN_PARTS];
};

/* Tells people how far a run is. */
typedef void run_tell(void *context, const char *text);

/* Runs, or goes on from `checkpoint`, which stays behind for the caller to remove. */
enum status run_execute(const struct run_settings *s,
                        const char *checkpoint,
                        run_tell *tell,
                        void *context,
                        struct run_result *ret_result,
                        struct fault *f) MUST_CHECK;

#endif
