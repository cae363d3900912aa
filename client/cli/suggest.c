#include "client/cli/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 63

static char lower(char c)
{
    return (char)tolower((unsigned char)c);
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Restricted Damerau-Levenshtein distance (optimal string alignment), three rows of the usual
 * table: d[i][j] = edits from the first i letters of a to the first j of b.
 */
size_t suggest_distance(const char *a, const char *b)
{
    const size_t n = min2(strlen(a), WORD_MAX);
    const size_t m = min2(strlen(b), WORD_MAX);
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++) {
        before[j] = 0;
        last[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t cost = lower(a[i - 1]) != lower(b[j - 1]);
            now[j] = min2(min2(last[j], now[j - 1]) + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = min2(now[j], before[j - 2] + 1);
        }
        size_t *const spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

size_t suggest_nearest(const char *word, const char *const *names, size_t n)
{
    const size_t third = strlen(word) / 3;
    const size_t far = third > 2 ? third : 2;
    size_t best = n, best_distance = SUGGEST_FAR;
    size_t part = n, parts = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t d = suggest_distance(word, names[i]);
        if (d < best_distance) {
            best = i;
            best_distance = d;
        }
        if (word[0] != '\0' && strcasestr(names[i], word)) {
            part = i;
            parts++;
        }
    }
    if (parts == 1)
        return part;
    return best_distance <= far && best_distance < strlen(word) ? best : n;
}
