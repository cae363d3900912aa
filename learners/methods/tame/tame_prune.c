#include "learners/methods/tame/tame_prune.h"

#include "daemon/base/invariant.h"

#include <math.h>
#include <string.h>

/* The order of magnitudes is that of their bits. */
static uint32_t magnitude(float w)
{
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits & 0x7fffffffu;
}

static size_t
count_up_to(const float *w, const struct tame_prune_range *ranges, size_t n_ranges, uint32_t limit)
{
    size_t n = 0;
    for (size_t r = 0; r < n_ranges; r++)
        for (size_t i = 0; i < ranges[r].count; i++)
            n += magnitude(w[ranges[r].first + i]) <= limit;
    return n;
}

/* The k-th smallest magnitude, k >= 1: the least limit that k weights do not exceed. */
static uint32_t
find_limit(const float *w, const struct tame_prune_range *ranges, size_t n_ranges, size_t k)
{
    uint32_t low = 0, high = 0x7fffffffu;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (count_up_to(w, ranges, n_ranges, middle) >= k)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Prunes what is below the limit, and of what equals it the first, until k are gone. */
static void cut(const float *w,
                const struct tame_prune_range *range,
                uint32_t limit,
                size_t *ties,
                uint8_t *mask)
{
    for (size_t i = range->first; i < range->first + range->count; i++) {
        const uint32_t m = magnitude(w[i]);
        const int tie = m == limit && *ties > 0;
        *ties -= tie ? 1 : 0;
        if (m < limit || tie)
            mask[i] = 0;
    }
}

size_t tame_prune_mask(const float *w,
                       size_t floats,
                       const struct tame_prune_range *ranges,
                       size_t n_ranges,
                       double share,
                       uint8_t *mask)
{
    size_t total = 0;
    for (size_t r = 0; r < n_ranges; r++) {
        INVARIANT(ranges[r].first <= floats && ranges[r].count <= floats - ranges[r].first);
        total += ranges[r].count;
    }
    INVARIANT(share >= 0.0 && share <= 1.0);
    const size_t k = (size_t)llround(share * (double)total);
    memset(mask, 1, floats);
    if (k == 0)
        return 0;
    const uint32_t limit = find_limit(w, ranges, n_ranges, k);
    size_t ties = k - (limit ? count_up_to(w, ranges, n_ranges, limit - 1) : 0);
    for (size_t r = 0; r < n_ranges; r++)
        cut(w, &ranges[r], limit, &ties, mask);
    return k;
}

double tame_prune_rising(double share, uint32_t epoch, uint32_t until)
{
    if (epoch >= until)
        return share;
    const double left = 1.0 - (double)epoch / until;
    return share * (1.0 - left * left * left);
}

void tame_prune_apply(const uint8_t *mask, size_t floats, float *w, float *m)
{
    for (size_t i = 0; i < floats; i++)
        if (!mask[i])
            w[i] = m[i] = 0.0f;
}

size_t tame_prune_nonzero(const float *w, size_t floats)
{
    size_t n = 0;
    for (size_t i = 0; i < floats; i++)
        n += w[i] != 0.0f;
    return n;
}

double tame_prune_published(size_t floats, double share)
{
    return (1.0 - share) * (double)floats;
}
