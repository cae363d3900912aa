/*
 * Deterministic mutations of valid inputs, for the fuzz tests of the ordinary build: every input
 * gets a few small changes (a bit, a byte, four bytes made extreme, a piece cut out or doubled, the
 * tail of another input) and is handed over in a block of exactly its size, so that a sanitizer
 * sees every byte too far.  The same plan gives the same inputs.
 */
#ifndef LETHE_TESTS_SUPPORT_MUTATE_H
#define LETHE_TESTS_SUPPORT_MUTATE_H

#include "daemon/base/rng.h"

#include <stddef.h>
#include <stdint.h>

#define MUTATE_CHANGES 5u /* at most, in one input */

struct mutate_input {
    uint8_t *bytes;
    size_t size;
};

struct mutate_plan {
    const char *stream; /* name and index of the random stream */
    uint64_t index;
    unsigned rounds;
    size_t room;       /* no input grows beyond this many bytes */
    size_t from;       /* bytes before this one stay */
    size_t head;       /* if not 0: only bytes before this one change, and nothing moves */
    const char *signs; /* two of three new bytes are among these; NULL: any */
    const struct mutate_input *others; /* whose tails may be brought over; NULL: none */
    size_t n_others;
};

typedef int mutate_target(const uint8_t *data, size_t size);

/* The input itself, then `rounds` mutations of it. */
void mutate_rounds(const uint8_t *seed,
                   size_t size,
                   const struct mutate_plan *p,
                   mutate_target *target);
/* One to MUTATE_CHANGES changes in place; m->bytes has p->room bytes. */
void mutate_some(struct rng *r, struct mutate_input *m, const struct mutate_plan *p);
/* One input in a block of its size. */
void mutate_run(const uint8_t *bytes, size_t size, mutate_target *target);

#endif
