#include "daemon/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S 1000000

static int64_t clock_read(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0)
        return 0;
    return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static int64_t system_wall_us(void)
{
    return clock_read(CLOCK_REALTIME);
}

static int64_t system_mono_us(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static const struct clock_source SYSTEM_CLOCK = {system_wall_us, system_mono_us};
static const struct clock_source *the_source = &SYSTEM_CLOCK;

int64_t clock_wall_us(void)
{
    return the_source->wall_us();
}

int64_t clock_mono_us(void)
{
    return the_source->mono_us();
}

void clock_set_source(const struct clock_source *source)
{
    the_source = source ? source : &SYSTEM_CLOCK;
}

/* Split into broken-down UTC and microseconds, also before 1970. */
static void clock_split(int64_t wall_us, struct tm *ret_tm, int64_t *ret_us)
{
    int64_t s = wall_us / US_PER_S;
    int64_t us = wall_us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        s--;
    }
    const time_t t = (time_t)s;
    (void)gmtime_r(&t, ret_tm);
    *ret_us = us;
}

void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    int64_t us;
    clock_split(wall_us, &tm, &us);
    char day[24];
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text, CLOCK_TEXT_SIZE, "%s.%03dZ", day, (int)(us / 1000));
}

int clock_parse(const char *text, int64_t *ret_wall_us)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!p)
        return -1;
    int64_t us = 0;
    if (*p == '.') {
        int64_t unit = US_PER_S / 10;
        const char *first = ++p;
        for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
            us += (*p - '0') * unit;
        if (p == first)
            return -1;
    }
    int64_t offset_s = 0;
    if (*p == 'Z' || *p == 'z') {
        p++;
    } else {
        int hours = 0, minutes = 0, used = 0;
        const int sign = *p == '-' ? -1 : 1;
        if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 ||
            used != 5 || hours > 23 || minutes > 59)
            return -1;
        offset_s = sign * (hours * 3600 + minutes * 60);
        p += 6;
    }
    if (*p != '\0')
        return -1;
    *ret_wall_us = ((int64_t)timegm(&tm) - offset_s) * US_PER_S + us;
    return 0;
}

int64_t clock_add_month(int64_t wall_us)
{
    static const int DAYS[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct tm tm;
    int64_t us;
    clock_split(wall_us, &tm, &us);
    tm.tm_mon++;
    if (tm.tm_mon == 12) {
        tm.tm_mon = 0;
        tm.tm_year++;
    }
    const int year = tm.tm_year + 1900;
    const int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const int last = DAYS[tm.tm_mon] + (tm.tm_mon == 1 && leap ? 1 : 0);
    if (tm.tm_mday > last)
        tm.tm_mday = last;
    return (int64_t)timegm(&tm) * US_PER_S + us;
}
