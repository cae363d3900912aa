/* Rows of a table by their 64-bit keys: for finding the images that a ledger names. */
#ifndef LETHE_LEARNERS_TAME_KEYS_H
#define LETHE_LEARNERS_TAME_KEYS_H

#include <stdint.h>

/* Fills rows [n] with 0 .. n-1 in ascending order of keys[row]; of equal keys the lower row first.
 */
void tame_keys_sort(const uint64_t *keys, uint32_t n, uint32_t *rows);
/* First row with this key, UINT32_MAX if there is none. */
uint32_t tame_keys_find(const uint64_t *keys, const uint32_t *rows, uint32_t n, uint64_t key);

#endif
