#include "client/cli/follow.h"

#include "client/cli/bar.h"
#include "client/cli/format.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"

#include <stdarg.h>
#include <string.h>

#define CELLS 16
#define BARS  16

/* Adds to a text that has room for `size` bytes. */
static void add(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

/* How far the whole phase is, by steps if they are known. */
static double share_done(const struct lethe_progress *p)
{
    if (p->steps > 0)
        return (double)p->step / (double)p->steps;
    return p->epochs > 0 ? (double)p->epoch / (double)p->epochs : 0;
}

/* An erasure keeps some data and forgets other; learning has one loss. */
static void add_losses(const struct lethe_progress *p, char *text, size_t size)
{
    if (!(p->loss_retain > 0) && !(p->loss_forget > 0)) {
        add(text, size, "  loss %.3g", (double)p->loss);
        return;
    }
    add(text, size, "  loss %.3g (keep %.3g forget %.3g", (double)p->loss, (double)p->loss_retain,
        (double)p->loss_forget);
    if (p->loss_depth > 0)
        add(text, size, " depth %.3g", (double)p->loss_depth);
    add(text, size, ")");
}

void follow_line(const struct lethe_event *event, bool unicode, char *text, size_t size)
{
    const struct lethe_progress *p = event->progress;
    char cells[3 * CELLS + 3], bars[3 * BARS + 1], a[FORMAT_SIZE];
    (void)snprintf(text, size, "%s", event->state);
    if (!p)
        return;
    bar_cells(share_done(p), CELLS, unicode, cells);
    (void)snprintf(text, size, "%s %s", p->phase[0] != '\0' ? p->phase : event->state, cells);
    if (p->epochs > 0)
        add(text, size, " epoch %u/%u", p->epoch, p->epochs);
    if (p->seconds_left >= 0)
        add(text, size, "  %s left", format_duration((double)p->seconds_left, a));
    if (strcmp(p->phase, "train") == 0)
        add_losses(p, text, size);
    if (p->acc_forget >= 0)
        add(text, size, "  forget %s", format_percent((double)p->acc_forget, a));
    if (p->acc_retain >= 0)
        add(text, size, "  keep %s", format_percent((double)p->acc_retain, a));
    if (p->acc_valid > 0)
        add(text, size, "  learned %s", format_percent((double)p->acc_valid, a));
    if (p->n_group_norms > 0) {
        const uint32_t n = p->n_group_norms < UINT32_MAX ? (uint32_t)p->n_group_norms : UINT32_MAX;
        format_bars(p->group_norms, n, BARS, unicode, bars);
        add(text, size, "  groups %s", bars);
    }
}

static bool draw_event(void *context, const struct lethe_event *event)
{
    struct bar *b = context;
    char text[BAR_LINE_SIZE];
    follow_line(event, b->unicode, text, sizeof text);
    bar_draw(b, event->progress == NULL, text);
    return true;
}

enum cli_exit follow_request(struct cli *c, const char *id)
{
    struct bar b;
    struct lethe_error e;
    struct lethe_request *r;
    bar_init(&b, c->err, c->progress && !c->quiet, c->unicode);
    const int64_t timeout_ms = c->timeout_ms > 0 ? (int64_t)c->timeout_ms : -1;
    const enum lethe_code code =
        lethe_wait(c->lethe, id, timeout_ms, b.on ? draw_event : NULL, &b, &r, &e);
    bar_end(&b);
    if (code != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_request(c->out, r);
    else
        show_request(c->out, r);
    const enum cli_exit ended = cli_state_exit(r);
    lethe_free(r);
    const enum cli_exit printed = cli_printed(c, good);
    return printed == CLI_DONE ? ended : printed;
}
