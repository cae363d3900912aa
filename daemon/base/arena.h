/*
 * Arena: one block of memory handed out front to back, rewound as a stack, never freed singly.
 * The arena borrows the block; the caller owns it.  Every pointer is 64-byte aligned.  A mark taken
 * before allocations and passed to arena_rewind gives them all back.  The high-water mark survives
 * rewinds, so that the plan can be compared with what was used.  Under ASan, memory that is not
 * handed out is poisoned, with a red zone after each allocation.  One arena belongs to one thread.
 */
#ifndef LETHE_BASE_ARENA_H
#define LETHE_BASE_ARENA_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN 64

struct arena {
    uint32_t magic;
    unsigned char *base;
    size_t size;
    size_t used;
    size_t high_water;
};

struct arena_mark {
    size_t used;
};

/* Takes over `size` bytes at `memory` (borrowed, any alignment). */
void arena_init(struct arena *a, void *memory, size_t size);
/* Forgets the block; pointers handed out must no longer be used. */
void arena_fini(struct arena *a);

/* Not cleared.  NULL if the arena is exhausted or the product overflows. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
/* The same, cleared to zero. */
void *arena_alloc_zero(struct arena *a, size_t count, size_t size);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
size_t arena_high_water(const struct arena *a);

/*
 * Size plans.  A plan adds up what a later sequence of arena_alloc calls will take, with the same
 * alignment and red zones; an overflow sticks and makes plan_bytes return SIZE_MAX.
 */
struct arena_plan {
    size_t bytes;
};

void arena_plan_add(struct arena_plan *p, size_t count, size_t size);
size_t arena_plan_bytes(const struct arena_plan *p);

/* a * b in *ret_product; false if it overflows. */
int size_mul(size_t a, size_t b, size_t *ret_product);

#endif
