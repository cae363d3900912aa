#include "client/cli/format.h"

#include "daemon/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *nothing(char text[FORMAT_SIZE])
{
    return memcpy(text, "-", 2);
}

const char *format_time(int64_t us, char text[FORMAT_SIZE])
{
    if (us == 0)
        return nothing(text);
    char full[CLOCK_TEXT_SIZE];
    clock_format(us, full);
    (void)snprintf(text, FORMAT_SIZE, "%.10s %.8sZ", full, full + 11);
    return text;
}

const char *format_duration(double seconds, char text[FORMAT_SIZE])
{
    if (!(seconds >= 0) || !isfinite(seconds))
        return nothing(text);
    const uint64_t s = (uint64_t)(seconds < 1e12 ? seconds : 1e12);
    const unsigned long long m = s / 60, h = m / 60, d = h / 24;
    if (seconds < 1)
        (void)snprintf(text, FORMAT_SIZE, "%.0f ms", seconds * 1000);
    else if (s < 60)
        (void)snprintf(text, FORMAT_SIZE, "%.1f s", seconds);
    else if (m < 60)
        (void)snprintf(text, FORMAT_SIZE, "%llu min %02u s", m, (unsigned)(s % 60));
    else if (h < 48)
        (void)snprintf(text, FORMAT_SIZE, "%llu h %02u min", h, (unsigned)(m % 60));
    else
        (void)snprintf(text, FORMAT_SIZE, "%llu d %u h", d, (unsigned)(h % 24));
    return text;
}

const char *format_bytes(uint64_t bytes, char text[FORMAT_SIZE])
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(text, FORMAT_SIZE, "%u B", (unsigned)bytes);
        return text;
    }
    double x = (double)bytes / 1024;
    size_t unit = 0;
    /* 1023.96 would print as 1024.0 */
    while (x >= 1023.95 && unit + 1 < sizeof UNITS / sizeof UNITS[0]) {
        x /= 1024;
        unit++;
    }
    (void)snprintf(text, FORMAT_SIZE, "%.1f %s", x, UNITS[unit]);
    return text;
}

const char *format_percent(double share, char text[FORMAT_SIZE])
{
    if (!(share >= 0) || !isfinite(share))
        return nothing(text);
    (void)snprintf(text, FORMAT_SIZE, "%.1f %%", 100 * share);
    return text;
}

const char *format_short(const char *digest, char text[FORMAT_SIZE])
{
    if (digest[0] == '\0')
        return nothing(text);
    (void)snprintf(text, FORMAT_SIZE, "%.12s", digest);
    return text;
}

/* Largest of values that fall into bar i of n_bars. */
static float bar_value(const float *values, uint32_t n, uint32_t i, uint32_t n_bars)
{
    const uint32_t from = (uint32_t)((uint64_t)i * n / n_bars);
    const uint32_t to = (uint32_t)((uint64_t)(i + 1) * n / n_bars);
    float most = 0;
    for (uint32_t k = from; k < to; k++) {
        if (values[k] > most)
            most = values[k];
    }
    return most;
}

void format_bars(const float *values, uint32_t n, uint32_t width, int unicode, char *text)
{
    const uint32_t bars = n < width ? n : width;
    float most = 0;
    for (uint32_t i = 0; i < n; i++)
        most = values[i] > most && isfinite(values[i]) ? values[i] : most;
    char *at = text;
    for (uint32_t i = 0; i < bars; i++) {
        const float v = bar_value(values, n, i, bars);
        if (!(v > 0)) {
            *at++ = '.';
            continue;
        }
        const float share = most > 0 && v < most ? v / most : 1;
        const int eighth = (int)ceilf(8 * share);
        const int level = eighth < 1 ? 1 : eighth > 8 ? 8 : eighth;
        if (!unicode) {
            *at++ = (char)('0' + level);
            continue;
        }
        *at++ = '\xe2'; /* U+2581 .. U+2588 in UTF-8 */
        *at++ = '\x96';
        *at++ = (char)(0x80 + level);
    }
    *at = '\0';
}
