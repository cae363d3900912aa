/*
 * How long a client waits until a submission is acknowledged, that is durable, while a training
 * runs.  Starts one erasure of CLASS, then submits the same erasure again and again under new ids:
 * each is recorded and acknowledged as a duplicate and trains nothing.  Ends when the first one is
 * final or the seconds are over, cancels it if it still runs, and prints one JSON object:
 * {"n", "p50_ms", "p99_ms", "max_ms", "beside": how many of them saw the training running}.
 *
 *     build/bench/ack_latency ENDPOINT CLASS SECONDS
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lethe.h"
#include "daemon/base/clock.h"

#define MAX_SAMPLES 100000
#define LOOK_EVERY  20 /* submissions between two looks at the first request */

struct samples {
    double *ms;
    size_t n;
    size_t beside;
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fail(const char *what, const struct lethe_error *e)
{
    (void)fprintf(stderr, "ack_latency: %s: %s\n", what, e->text);
    return 1;
}

/* 0, or 1 after saying why.  *ret_running: it trains or is measured now; *ret_final: it has ended.
 */
static int look(struct lethe *l, const char *id, bool *ret_running, bool *ret_final)
{
    struct lethe_request *r;
    struct lethe_error e;
    if (lethe_request(l, id, &r, &e) != LETHE_OK)
        return fail("request", &e);
    *ret_running = strcmp(r->state, "running") == 0 || strcmp(r->state, "evaluating") == 0;
    *ret_final = lethe_state_is_final(r->state);
    lethe_free(r);
    return 0;
}

static int submit(struct lethe *l, const char *class, char id[LETHE_ID_TEXT], double *ret_ms)
{
    struct lethe_request *r;
    struct lethe_error e;
    const struct lethe_forget_args args = {.classes = &class, .n_classes = 1};
    const int64_t start = clock_mono_us();
    if (lethe_forget(l, &args, &r, &e) != LETHE_OK)
        return fail("forget", &e);
    *ret_ms = (double)(clock_mono_us() - start) * 1e-3;
    (void)snprintf(id, LETHE_ID_TEXT, "%s", r->id);
    lethe_free(r);
    return 0;
}

static int run(struct lethe *l, const char *class, double seconds, struct samples *s)
{
    char first[LETHE_ID_TEXT], other[LETHE_ID_TEXT];
    double ignored;
    bool running = false, final = false;
    const int64_t end = clock_mono_us() + (int64_t)(seconds * 1e6);
    if (submit(l, class, first, &ignored) != 0)
        return 1;
    while (!running && !final && clock_mono_us() < end)
        if (look(l, first, &running, &final) != 0)
            return 1;
    while (!final && s->n < MAX_SAMPLES && clock_mono_us() < end) {
        if (submit(l, class, other, &s->ms[s->n]) != 0)
            return 1;
        s->n++;
        s->beside += running;
        if (s->n % LOOK_EVERY == 0 && look(l, first, &running, &final) != 0)
            return 1;
    }
    struct lethe_error e;
    struct lethe_request *r = NULL;
    if (!final && lethe_cancel(l, first, "measured", &r, &e) != LETHE_OK)
        return fail("cancel", &e);
    lethe_free(r);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: ack_latency ENDPOINT CLASS SECONDS\n");
        return 2;
    }
    struct lethe *l;
    struct lethe_error e;
    if (lethe_open(argv[1], NULL, &l, &e) != LETHE_OK)
        return fail("open", &e);
    struct samples s = {.ms = malloc(MAX_SAMPLES * sizeof *s.ms)};
    const int bad = !s.ms || run(l, argv[2], atof(argv[3]), &s) || s.n == 0;
    if (!bad) {
        qsort(s.ms, s.n, sizeof *s.ms, by_value);
        (void)printf("{\"n\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
                     "\"beside\": %zu}\n",
                     s.n, s.ms[s.n / 2], s.ms[(size_t)((double)(s.n - 1) * 0.99)], s.ms[s.n - 1],
                     s.beside);
    }
    free(s.ms);
    lethe_close(l);
    return bad;
}
