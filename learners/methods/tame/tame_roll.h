/*
 * What a stream's records say around tame_stream's own: which class has which number, which pushes
 * brought data, on which model it all stands.  Classes get their numbers by first appearance in the
 * stream, and a number is never given again: that of a forgotten class keeps its place without a
 * name.
 *
 * Stream: "LTAMELS1", u32 version, string name, origin, u32 batch, u8 closed, u64 batches, u64
 *   offered, u32 held batches, u32 active id, u32 n and n ids of experts, u32 n and n classes
 *   (string name, u32 id of the owner), u32 n and n pushes, then tame_stream_encode.
 * Expert: "LTAMELX1", u32 version, string name of the stream, u32 id, origin, settings, u32 n and n
 *   classes that it has samples of (u32 number, string name), ascending, u32 n and n pushes that
 *   trained it, then tame_stream_encode_expert.
 * Origin: base, trunk state, preprocessing (32 bytes each).  Push: request (16), memory (32).
 * TAME_NONE where there is no id.
 */
#ifndef LETHE_LEARNERS_TAME_ROLL_H
#define LETHE_LEARNERS_TAME_ROLL_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/learner.h"
#include "learners/methods/tame/tame_learner.h"
#include "learners/methods/tame/tame_options.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_ROLL_MAX 65536 /* classes that a stream ever sees */

struct tame_origin {
    struct digest base, state, preprocessing;
};

struct tame_roll_row {
    uint32_t owner;                  /* id, TAME_NONE */
    char name[TAME_CLASS_NAME_SIZE]; /* empty: forgotten */
};

struct tame_push_row {
    struct request_id request;
    struct digest memory;
};

/* Both tables of a stream; arrays from an arena. */
struct tame_roll {
    struct tame_roll_row *rows; /* [max], the class's number is its place */
    struct tame_push_row *pushes;
    uint32_t n, max;
    uint32_t n_pushes, pushes_max;
};

/* Head of a stream's record.  The counts of rows were checked; offsets point into the record. */
struct tame_head {
    char name[LEARNER_NAME_SIZE];
    struct tame_origin origin;
    uint32_t batch;
    int closed;
    uint64_t batches, offered;
    uint32_t held;
    uint32_t active;
    uint32_t n_experts;
    uint32_t experts[TAME_LEARNER_EXPERTS]; /* ascending */
    uint32_t n_rows, n_named, n_pushes;
    size_t rows, pushes, inner; /* offsets; `inner` to the end is the stream */
};

/* Head of an expert's record. */
struct tame_expert_head {
    char stream[LEARNER_NAME_SIZE];
    uint32_t id;
    struct tame_origin origin;
    struct tame_options options;
    uint32_t n_names, n_pushes;
    size_t state_at;           /* offset of origin.state */
    size_t names, names_bytes; /* bytes of all names, their NULs included */
    size_t pushes, inner;
};

/* "NAME.K"; empty for TAME_NONE. */
void tame_expert_name(const char *stream, uint32_t id, char ret_name[LEARNER_NAME_SIZE]);

/* BAD_FORMAT. */
enum status tame_head_read(const void *record,
                           size_t size,
                           struct tame_head *ret_head,
                           struct fault *f) MUST_CHECK;
enum status tame_expert_head_read(const void *record,
                                  size_t size,
                                  struct tame_expert_head *ret_head,
                                  struct fault *f) MUST_CHECK;
/* FAILED_PRECONDITION: made for another base, other pictures or (state) another trunk. */
enum status tame_origin_check(const struct tame_origin *o,
                              const struct learner_trunk *t,
                              int state,
                              struct fault *f) MUST_CHECK;

void tame_roll_plan(uint32_t rows_max, uint32_t pushes_max, struct arena_plan *p);
/* False if the arena is exhausted. */
int tame_roll_new(uint32_t rows_max,
                  uint32_t pushes_max,
                  struct arena *arena,
                  struct tame_roll *ret_roll);
/* Fills an empty roll with room for the head's counts. */
void tame_roll_read(const void *record,
                    size_t size,
                    const struct tame_head *h,
                    struct tame_roll *r);
/* Number of the class, TAME_NONE. */
uint32_t tame_roll_find(const struct tame_roll *r, const char *name);
/* The same, in the next number if it is new; TAME_NONE: no room. */
uint32_t tame_roll_add(struct tame_roll *r, const char *name);
/* Notes a push unless it is there; room is the caller's duty. */
void tame_roll_push(struct tame_roll *r, const struct tame_push_row *push);

/* What is before `inner`; n_experts, rows and the others from the roll and *h. */
void tame_head_write(const struct tame_head *h, const struct tame_roll *r, struct byte_writer *w);
/*
 * The same of an expert.  used [r->n]: classes that it has samples of; requests that trained it
 * are marked in pushed [r->n_pushes].
 */
void tame_expert_head_write(const struct tame_expert_head *h,
                            const struct tame_roll *r,
                            const uint8_t *used,
                            const uint8_t *pushed,
                            struct byte_writer *w);

/* Row i < n_names of an expert's classes, from the reader at `names` on; name may be NULL. */
uint32_t tame_expert_head_name(struct byte_reader *at, char name[TAME_CLASS_NAME_SIZE]);
struct tame_push_row tame_push_get(struct byte_reader *at);

#endif
