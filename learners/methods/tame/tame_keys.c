#include "learners/methods/tame/tame_keys.h"

#include <stddef.h>

static int after(const uint64_t *keys, uint32_t a, uint32_t b)
{
    return keys[a] == keys[b] ? a > b : keys[a] > keys[b];
}

/* Lets the row at `at` sink in a heap of n whose largest is on top. */
static void sink(const uint64_t *keys, uint32_t *rows, uint32_t n, uint32_t at)
{
    const uint32_t row = rows[at];
    for (size_t child = 2 * (size_t)at + 1; child < n; child = 2 * (size_t)at + 1) {
        if (child + 1 < n && after(keys, rows[child + 1], rows[child]))
            child++;
        if (!after(keys, rows[child], row))
            break;
        rows[at] = rows[child];
        at = (uint32_t)child;
    }
    rows[at] = row;
}

/* Heap sort: no memory, no recursion, no bad case. */
void tame_keys_sort(const uint64_t *keys, uint32_t n, uint32_t *rows)
{
    for (uint32_t i = 0; i < n; i++)
        rows[i] = i;
    for (uint32_t i = n / 2; i-- > 0;)
        sink(keys, rows, n, i);
    for (uint32_t end = n; end-- > 1;) {
        const uint32_t top = rows[0];
        rows[0] = rows[end];
        rows[end] = top;
        sink(keys, rows, end, 0);
    }
}

uint32_t tame_keys_find(const uint64_t *keys, const uint32_t *rows, uint32_t n, uint64_t key)
{
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (keys[rows[mid]] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && keys[rows[lo]] == key ? rows[lo] : UINT32_MAX;
}
