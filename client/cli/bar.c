#include "client/cli/bar.h"

#include "client/cli/format.h"
#include "daemon/base/clock.h"

#include <string.h>
#include <sys/ioctl.h>

#define PERIOD_US   100000
#define MIN_COLUMNS 20
#define CELLS       24

static int terminal_columns(FILE *out)
{
    struct winsize size;
    const int fd = fileno(out);
    if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < MIN_COLUMNS)
        return 80;
    return size.ws_col;
}

void bar_init(struct bar *b, FILE *out, bool on, bool unicode)
{
    *b = (struct bar){.out = out, .on = on, .unicode = unicode, .start_us = clock_mono_us()};
    b->columns = on ? terminal_columns(out) : 80;
}

void bar_cut(char *text, int columns)
{
    int n = 0;
    for (char *at = text; *at != '\0'; at++) {
        if (((unsigned char)*at & 0xc0) == 0x80)
            continue;
        if (n == columns) {
            *at = '\0';
            return;
        }
        n++;
    }
}

void bar_draw(struct bar *b, bool always, const char *line)
{
    const int64_t now = clock_mono_us();
    if (!b->on || (!always && b->drawn && now - b->last_us < PERIOD_US))
        return;
    char text[BAR_LINE_SIZE];
    (void)snprintf(text, sizeof text, "%s", line);
    bar_cut(text, b->columns - 1);
    (void)fprintf(b->out, "\r%s\x1b[K", text);
    (void)fflush(b->out);
    b->drawn = true;
    b->last_us = now;
}

void bar_end(struct bar *b)
{
    if (!b->on || !b->drawn)
        return;
    (void)fputs("\r\x1b[K", b->out);
    (void)fflush(b->out);
    b->drawn = false;
}

void bar_cells(double share, uint32_t width, bool unicode, char *text)
{
    const double bounded = share > 0 ? (share < 1 ? share : 1) : 0;
    const uint32_t full = (uint32_t)(bounded * width + 0.5);
    *text = '\0';
    char *at = stpcpy(text, "[");
    for (uint32_t i = 0; i < width; i++)
        at = stpcpy(at, i < full ? (unicode ? "\xe2\x96\x88" : "#") : (unicode ? "\xc2\xb7" : "."));
    (void)stpcpy(at, "]");
}

void bar_transfer(struct bar *b, const char *label, uint64_t done, uint64_t total)
{
    char cells[3 * CELLS + 3], have[FORMAT_SIZE], all[FORMAT_SIZE], rate[FORMAT_SIZE];
    char left[FORMAT_SIZE], line[BAR_LINE_SIZE];
    const double share = total > 0 ? (double)done / (double)total : 1;
    const double seconds = (double)(clock_mono_us() - b->start_us) / 1e6;
    const double speed = seconds > 0 ? (double)done / seconds : 0;
    bar_cells(share, CELLS, b->unicode, cells);
    (void)snprintf(line, sizeof line, "%s %s %3.0f %%  %s of %s  %s/s  %s left", label, cells,
                   100 * share, format_bytes(done, have), format_bytes(total, all),
                   format_bytes((uint64_t)speed, rate),
                   format_duration(speed > 0 ? (double)(total - done) / speed : -1, left));
    bar_draw(b, done == total, line);
}
