/*
 * What gave each expert a gradient: one entry a training step, in the order of the steps, with the
 * request, the stream's batch number and the samples.  An erasure resolves to experts through it,
 * and an expert is trained again from it with the same batch boundaries.  Arrays from an arena.
 */
#ifndef LETHE_LEARNERS_TAME_LEDGER_H
#define LETHE_LEARNERS_TAME_LEDGER_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/tame/tame_buffer.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Batches that were held together bring their classes together: those of entries FIRST, REST ...
 * are added to the label table in ascending order before the first of them is trained.
 */
enum tame_step_group { TAME_STEP_SINGLE, TAME_STEP_FIRST, TAME_STEP_REST };

struct tame_step {
    uint32_t expert; /* id */
    uint32_t n;      /* samples */
    uint64_t at;     /* of the first sample in the lists */
    uint64_t batch;  /* of the stream, from 0 */
    struct request_id request;
    uint8_t group; /* enum tame_step_group */
};

struct tame_ledger {
    struct tame_step *steps; /* [steps_max], oldest first */
    uint64_t *ids;           /* [samples_max] */
    uint32_t *labels;        /* [samples_max] */
    uint64_t n_steps, n_samples;
    uint64_t steps_max, samples_max;
};

void tame_ledger_plan(uint64_t steps_max, uint64_t samples_max, struct arena_plan *p);
/* False if the arena is exhausted. */
int tame_ledger_new(uint64_t steps_max,
                    uint64_t samples_max,
                    struct arena *arena,
                    struct tame_ledger *ret_ledger);
/* Whether so much more fits. */
int tame_ledger_room(const struct tame_ledger *l, uint64_t steps, uint64_t samples);
/* Appends a step; the lists are copied.  Room is the caller's duty. */
void tame_ledger_append(struct tame_ledger *l,
                        const struct tame_step *step,
                        const uint64_t *ids,
                        const uint32_t *labels);
/* The next step of an expert from entry `from` on; n_steps: there is none. */
uint64_t tame_ledger_next(const struct tame_ledger *l, uint32_t expert, uint64_t from);

/* Samples of an expert (with repetitions), and how many of them a cut hits. */
void tame_ledger_count(const struct tame_ledger *l,
                       uint32_t expert,
                       const struct tame_cut *cut,
                       uint64_t *ret_all,
                       uint64_t *ret_hit);
/* Takes the samples of cut->expert out that the cut hits (all, if it names none); steps without
 * samples disappear. */
void tame_ledger_remove(struct tame_ledger *l, const struct tame_cut *cut);

/* One expert's entries as a record.  `commit` 0: only checks. */
void tame_ledger_put(const struct tame_ledger *l, uint32_t expert, struct byte_writer *w);
enum status tame_ledger_get(struct tame_ledger *l,
                            uint32_t expert,
                            struct byte_reader *r,
                            int commit,
                            struct fault *f) MUST_CHECK;
/* Room that a record of this size can need: for plans. */
void tame_ledger_bound(size_t record_bytes, uint64_t *ret_steps, uint64_t *ret_samples);

#endif
