/*
 * Time.  All code asks here, so that tests can set the clock.  Wall time is for records that people
 * read; monotonic time is for durations and time-outs.
 */
#ifndef LETHE_BASE_CLOCK_H
#define LETHE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock_source {
    int64_t (*wall_us)(void); /* microseconds since 1970-01-01T00:00:00Z */
    int64_t (*mono_us)(void); /* microseconds since an arbitrary start, never backwards */
};

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);
/* Replaces the source (NULL: the system's).  Process-wide, for tests. */
void clock_set_source(const struct clock_source *source);

#define CLOCK_TEXT_SIZE 32
/* RFC 3339 UTC with milliseconds, e.g. 2026-11-23T12:00:00.000Z, into `text`. */
void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE]);
/* Parses RFC 3339 (with or without fraction, offset Z or +hh:mm); 0 on success, -1 if malformed. */
int clock_parse(const char *text, int64_t *ret_wall_us);
/* One calendar month later, same day number or the month's last day (GDPR Art. 12(3)). */
int64_t clock_add_month(int64_t wall_us);

#endif
