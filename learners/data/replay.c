#include "learners/data/replay.h"

#include <stddef.h>

uint32_t replay_valid_share(uint32_t train_per_class)
{
    return train_per_class / 4 + (train_per_class % 4 != 0);
}

/* Indices of class c in ascending order into out; list NULL means 0..n-1. */
static uint32_t
replay_collect(const int32_t *labels, const uint32_t *list, uint32_t n, uint32_t c, uint32_t *out)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = list ? list[i] : i;
        if (labels[at] == (int32_t)c)
            out[found++] = at;
    }
    return found;
}

static uint32_t replay_copy(const uint32_t *from, uint32_t n, uint32_t *to, uint32_t at)
{
    for (uint32_t i = 0; i < n; i++)
        to[at + i] = from[i];
    return at + n;
}

void replay_draw(const int32_t *labels,
                 uint32_t n,
                 uint32_t classes,
                 const uint8_t *keep,
                 const struct replay_size *size,
                 const struct rng_root *root,
                 uint32_t *scratch,
                 struct replay *m)
{
    m->n_train = m->n_valid = 0;
    for (uint32_t c = 0; c < classes; c++) {
        if (keep && !keep[c])
            continue;
        const uint32_t found = replay_collect(labels, NULL, n, c, scratch);
        struct rng r;
        rng_init(&r, root, "memory", c);
        rng_shuffle(&r, scratch, found);
        uint32_t valid = size->valid_per_class;
        if (found < (uint64_t)size->train_per_class + valid && valid > found / 5)
            valid = found / 5;
        uint32_t train = found - valid;
        if (train > size->train_per_class)
            train = size->train_per_class;
        m->n_train = replay_copy(scratch, train, m->train, m->n_train);
        m->n_valid = replay_copy(scratch + train, valid, m->valid, m->n_valid);
    }
}

static uint32_t
replay_drop(uint32_t *list, uint32_t n, const int32_t *labels, const uint8_t *erased)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!erased[labels[list[i]]])
            list[kept++] = list[i];
    return kept;
}

void replay_remove_classes(struct replay *m, const int32_t *labels, const uint8_t *erased)
{
    m->n_train = replay_drop(m->train, m->n_train, labels, erased);
    m->n_valid = replay_drop(m->valid, m->n_valid, labels, erased);
}

enum status replay_few_shot(const int32_t *labels,
                            const uint32_t *list,
                            uint32_t n,
                            uint32_t classes,
                            uint32_t k,
                            const struct rng_root *root,
                            uint32_t *scratch,
                            uint32_t *out,
                            uint32_t *ret_n,
                            struct fault *f)
{
    uint32_t drawn = 0;
    for (uint32_t c = 0; c < classes; c++) {
        const uint32_t found = replay_collect(labels, list, n, c, scratch);
        if (found == 0)
            continue;
        if (found < k)
            FAIL(f, STATUS_FAILED_PRECONDITION, "few_shot",
                 "class %u has %u images; %u are asked for", c, found, k);
        struct rng r;
        rng_init(&r, root, "fewshot", c);
        rng_shuffle(&r, scratch, found);
        drawn = replay_copy(scratch, k, out, drawn);
    }
    *ret_n = drawn;
    return STATUS_OK;
}

uint32_t replay_cap(const int32_t *labels,
                    const uint32_t *list,
                    uint32_t n,
                    uint32_t classes,
                    uint32_t per_class,
                    uint32_t *counts,
                    uint32_t *out)
{
    uint32_t kept = 0;
    for (uint32_t c = 0; c < classes; c++)
        counts[c] = 0;
    for (uint32_t i = 0; i < n; i++)
        if (counts[labels[list[i]]]++ < per_class)
            out[kept++] = list[i];
    return kept;
}
