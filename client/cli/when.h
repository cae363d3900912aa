/*
 * Times as people write them on a command line, in UTC.
 *   2026-11-23T12:00:00Z, with fraction or offset     RFC 3339
 *   2026-11-23 12:00 or 2026-11-23 12:00:30
 *   2026-11-23                                        start or end of that day
 *   now, +30d, -2h (m minutes, h, d, w)               from now
 *   @1790000000                                       seconds since 1970
 */
#ifndef LETHE_CLI_WHEN_H
#define LETHE_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since 1970.  `end_of_day` says what a bare date means: its last second, else its
 * first.  False if `text` is none of the forms, or a date that does not exist. */
bool when_parse(const char *text, int64_t now_us, bool end_of_day, int64_t *ret_us);

#endif
