/*
 * "Did you mean": the known name nearest to a word, by edit distance (insert, delete, replace, swap
 * of neighbours), letters compared without case.
 */
#ifndef LETHE_CLI_SUGGEST_H
#define LETHE_CLI_SUGGEST_H

#include <stddef.h>

/* Edits between two texts, at most SUGGEST_FAR; texts over 63 bytes are compared by their start. */
#define SUGGEST_FAR 64
size_t suggest_distance(const char *a, const char *b);

/* Index of the nearest of n names, or n if none is near: a third of the word's length and at least
 * two edits, or the word is part of exactly one name. */
size_t suggest_nearest(const char *word, const char *const *names, size_t n);

#endif
