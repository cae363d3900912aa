/*
 * Samples that a stream keeps: for the selector, as an expert's reserve, for pruning.  Of every
 * group it keeps those with the largest keys.  A key is a keyed hash of the sample's id, given by
 * the caller, so a group is a uniform sample of all that was offered, the same for any order of
 * arrival.  A group is an (expert, class) pair with an equal share of all places (the share shrinks
 * as pairs appear), or an expert with a fixed number of places.
 *
 * Once a sample was turned away, its key is the group's bar: after an erasure has made room,
 * nothing below the bar may enter, or the late would be over-represented.
 *
 * A sample is in at most one group: the first expert that trains on it keeps it.  All arrays come
 * from an arena; nothing grows.
 */
#ifndef LETHE_LEARNERS_TAME_BUFFER_H
#define LETHE_LEARNERS_TAME_BUFFER_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct tame_buffer_shape {
    uint32_t capacity;    /* samples of all groups together */
    uint32_t groups_max;  /* groups at once */
    uint32_t per_expert;  /* places of an expert's one group; 0: groups are (expert, class) pairs */
    int smallest;         /* 1: the smallest keys are kept instead */
    size_t payload_bytes; /* of a sample */
};

/* A kept sample; ordered by expert, class (pairs only), key, id. */
struct tame_entry {
    uint64_t key; /* as given */
    uint64_t id;
    uint32_t expert; /* id, not index */
    uint32_t label;
    uint32_t place; /* of its payload */
};

struct tame_group {
    uint32_t expert, label; /* label 0 where groups are experts */
    uint32_t n;
    int has_bar;
    uint64_t bar_key, bar_id; /* best sample that was ever turned away */
};

struct tame_buffer {
    struct tame_buffer_shape shape;
    struct tame_entry *entries; /* [capacity] */
    struct tame_group *groups;  /* [groups_max], ascending */
    uint32_t *free_places;      /* [capacity], the first capacity - n are free */
    uint8_t *payload;           /* [capacity, payload_bytes] */
    uint32_t n, n_groups;
};

void tame_buffer_plan(const struct tame_buffer_shape *s, struct arena_plan *p);
/* False if the arena is exhausted. */
int tame_buffer_new(const struct tame_buffer_shape *s,
                    struct arena *arena,
                    struct tame_buffer *ret_buffer);

/*
 * Offers a sample; returns where its payload goes, or NULL if it is not kept (too low a key, known
 * already, or no place for another group).
 */
uint8_t *tame_buffer_offer(
    struct tame_buffer *b, uint32_t expert, uint32_t label, uint64_t key, uint64_t id);
/* A group that is not there yet, without samples but perhaps with a bar. */
void tame_buffer_add_group(struct tame_buffer *b, const struct tame_group *g);
const uint8_t *tame_buffer_payload(const struct tame_buffer *b, uint32_t entry);
/* Entries of an expert are neighbours: the first of them, and their number. */
uint32_t tame_buffer_of(const struct tame_buffer *b, uint32_t expert, uint32_t *ret_n);
/* Places of a group now. */
uint32_t tame_buffer_quota(const struct tame_buffer *b);

/* What is to go; ids ascending.  expert UINT32_MAX: of any expert. */
struct tame_cut {
    uint32_t expert;
    const uint32_t *classes;
    uint32_t n_classes;
    const uint64_t *ids;
    uint32_t n_ids;
};
/* Whether a sample is meant (classes or ids; `expert` is not looked at). */
int tame_cut_hits(const struct tame_cut *cut, uint32_t label, uint64_t id);
/* Samples that tame_buffer_remove would remove. */
uint32_t tame_buffer_count(const struct tame_buffer *b, const struct tame_cut *cut);
/* Removes and wipes; an expert's cut without classes and ids means all it has. */
uint32_t tame_buffer_remove(struct tame_buffer *b, const struct tame_cut *cut);

/* One expert's samples as a record, and back into a buffer that has none of it.  `commit` 0: only
 * checks.  BAD_FORMAT; RESOURCE_EXHAUSTED where a buffer with fixed shares has no place. */
void tame_buffer_put(const struct tame_buffer *b, uint32_t expert, struct byte_writer *w);
enum status tame_buffer_get(struct tame_buffer *b,
                            uint32_t expert,
                            struct byte_reader *r,
                            int commit,
                            struct fault *f) MUST_CHECK;

#endif
