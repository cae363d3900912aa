#include "client/cli/when.h"

#include "daemon/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)
#define MAX_S    INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return INT64_C(7) * 86400;
    default:
        return 0;
    }
}

/* "+30d" and the like. */
static bool parse_relative(const char *text, int64_t now_us, int64_t *ret_us)
{
    if ((text[0] != '+' && text[0] != '-') || text[1] < '0' || text[1] > '9')
        return false;
    char *end;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    const int64_t unit = unit_seconds(*end);
    if (errno != 0 || unit == 0 || end[1] != '\0' || n > MAX_S / unit || n < -MAX_S / unit)
        return false;
    *ret_us = now_us + n * unit * US_PER_S;
    return true;
}

static bool parse_epoch(const char *text, int64_t *ret_us)
{
    if (text[0] != '@' || text[1] < '0' || text[1] > '9')
        return false;
    char *end;
    errno = 0;
    const long long s = strtoll(text + 1, &end, 10);
    if (errno != 0 || *end != '\0' || s > MAX_S)
        return false;
    *ret_us = s * US_PER_S;
    return true;
}

/* A date with or without hours; the day must exist (timegm would carry 31 June into July). */
static bool parse_date(const char *text, bool end_of_day, int64_t *ret_us)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    if (!rest)
        return false;
    const struct tm day = tm;
    if (*rest == '\0' && end_of_day) {
        tm.tm_hour = 23;
        tm.tm_min = 59;
        tm.tm_sec = 59;
    } else if (*rest != '\0') {
        rest = strptime(rest, " %H:%M", &tm);
        if (rest && *rest == ':')
            rest = strptime(rest, ":%S", &tm);
        if (!rest || *rest != '\0')
            return false;
    }
    const time_t t = timegm(&tm);
    struct tm check;
    if (!gmtime_r(&t, &check) || check.tm_mday != day.tm_mday || check.tm_mon != day.tm_mon)
        return false;
    *ret_us = (int64_t)t * US_PER_S;
    return true;
}

bool when_parse(const char *text, int64_t now_us, bool end_of_day, int64_t *ret_us)
{
    if (strcmp(text, "now") == 0) {
        *ret_us = now_us;
        return true;
    }
    return parse_relative(text, now_us, ret_us) || parse_epoch(text, ret_us) ||
           clock_parse(text, ret_us) == 0 || parse_date(text, end_of_day, ret_us);
}
