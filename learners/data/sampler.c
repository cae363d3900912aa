#include "learners/data/sampler.h"

#include "daemon/base/invariant.h"

#include <string.h>

void sampler_epoch(const struct rng_root *root,
                   const char *name,
                   uint64_t epoch,
                   const uint32_t *items,
                   uint32_t n,
                   uint32_t *order)
{
    struct rng r;
    memcpy(order, items, n * sizeof *order);
    rng_init(&r, root, name, epoch);
    rng_shuffle(&r, order, n);
}

static uint32_t sampler_count(const int32_t *labels, uint32_t c, const uint32_t *items, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += labels[items[i]] == (int32_t)c;
    return count;
}

/* share[c] = images that class c gives; counts in share on entry. */
static void
sampler_shares(uint32_t *share, uint32_t *remainder, uint32_t classes, uint32_t n, uint32_t n_held)
{
    uint32_t given = 0;
    for (uint32_t c = 0; c < classes; c++) {
        const uint64_t exact = (uint64_t)share[c] * n_held;
        share[c] = (uint32_t)(exact / n);
        remainder[c] = (uint32_t)(exact % n);
        given += share[c];
    }
    for (; given < n_held; given++) {
        uint32_t best = 0;
        for (uint32_t c = 1; c < classes; c++)
            if (remainder[c] > remainder[best])
                best = c;
        INVARIANT(remainder[best] > 0);
        share[best]++;
        remainder[best] = 0;
    }
}

void sampler_split(const struct rng_root *root,
                   const char *name,
                   const int32_t *labels,
                   uint32_t classes,
                   const uint32_t *items,
                   uint32_t n,
                   uint32_t n_held,
                   uint32_t *held,
                   uint32_t *rest,
                   uint32_t *scratch)
{
    uint32_t *share = scratch, *remainder = scratch + classes, *own = scratch + 2 * (size_t)classes;
    INVARIANT(n_held <= n);
    for (uint32_t c = 0; c < classes; c++)
        share[c] = sampler_count(labels, c, items, n);
    if (n > 0)
        sampler_shares(share, remainder, classes, n, n_held);
    for (uint32_t c = 0; c < classes; c++) {
        struct rng r;
        uint32_t count = 0;
        for (uint32_t i = 0; i < n; i++)
            if (labels[items[i]] == (int32_t)c)
                own[count++] = items[i];
        rng_init(&r, root, name, c);
        rng_shuffle(&r, own, count);
        memcpy(held, own, share[c] * sizeof *held);
        memcpy(rest, own + share[c], (count - share[c]) * sizeof *rest);
        held += share[c];
        rest += count - share[c];
    }
}
