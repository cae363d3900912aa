#include "daemon/metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/jobs/core.h"
#include "learners/math/gemm.h"

void metrics_look(const struct metrics_sources *sources, struct metrics_view *ret_view)
{
    core_stats(sources->core, &ret_view->core);
    server_stats(sources->server, &ret_view->server);
    ret_view->version = sources->version;
    ret_view->kernel = gemm_kernel_name();
    ret_view->ready = sources->ready(sources->context);
    ret_view->now_us = clock_wall_us();
    process_figures(&ret_view->process);
}

/* ---------------------------------------------------------------- samples */

/* Whole numbers as such: counters stay exact up to 2^53. */
static void write_value(FILE *out, double x)
{
    if (x == floor(x) && fabs(x) < 9e15)
        (void)fprintf(out, " %.0f\n", x);
    else
        (void)fprintf(out, " %.9g\n", x);
}

static void write_scalar(FILE *out, const char *name, double x)
{
    if (isnan(x))
        return;
    (void)fputs(name, out);
    write_value(out, x);
}

static double deadline_left(const struct metrics_view *v)
{
    return v->core.due_us > 0 ? (double)(v->core.due_us - v->now_us) / 1e6
                              : (double)NAN; /* no sample */
}

static void write_build(FILE *out, const char *name, const struct metrics_view *v)
{
    (void)fprintf(out, "%s{version=\"%s\",kernel=\"%s\"} 1\n", name, v->version, v->kernel);
}

static void write_requests(FILE *out, const char *name, const struct metrics_view *v)
{
    for (unsigned k = 0; k < CORE_STATS_KINDS; k++) {
        for (unsigned s = 0; s < REQUEST_STATES; s++) {
            const enum request_state state = (enum request_state)s;
            if (state != REQUEST_NONE && !request_state_is_final(state))
                continue;
            (void)fprintf(out, "%s{kind=\"%s\",outcome=\"%s\"}", name,
                          core_stats_kind_name((enum core_stats_kind)k),
                          state == REQUEST_NONE ? "refused" : request_state_name(state));
            write_value(out, (double)v->core.requests[k][s]);
        }
    }
}

static void write_open(FILE *out, const char *name, const struct metrics_view *v)
{
    for (unsigned s = 1; s < REQUEST_STATES; s++) {
        const enum request_state state = (enum request_state)s;
        if (request_state_is_final(state))
            continue;
        (void)fprintf(out, "%s{state=\"%s\"}", name, request_state_name(state));
        write_value(out, (double)v->core.open[s]);
    }
}

static void write_accuracy(FILE *out, const char *name, const struct metrics_view *v)
{
    for (unsigned i = 0; i < CORE_STATS_SETS; i++) {
        if (isnan(v->core.accuracy[i]))
            continue;
        (void)fprintf(out, "%s{set=\"%s\"}", name, core_stats_set_name((enum core_stats_set)i));
        write_value(out, v->core.accuracy[i]);
    }
}

static void write_gate(FILE *out, const char *name, const struct metrics_view *v)
{
    for (unsigned c = 0; c < GATE_CHECK_COUNT; c++) {
        for (unsigned i = 0; i < GATE_VERDICT_COUNT; i++) {
            (void)fprintf(out, "%s{check=\"%s\",verdict=\"%s\"}", name,
                          gate_check_name((enum gate_check_id)c),
                          gate_check_verdict_name((enum gate_verdict)i));
            write_value(out, (double)v->core.gate[c][i]);
        }
    }
}

static void write_predict(FILE *out, const char *name, const struct metrics_view *v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CORE_STATS_BUCKETS; i++) {
        const double end = core_stats_bucket(i);
        sum += v->core.predict_bucket[i];
        if (isinf(end))
            (void)fprintf(out, "%s_bucket{le=\"+Inf\"}", name);
        else
            (void)fprintf(out, "%s_bucket{le=\"%g\"}", name, end);
        write_value(out, (double)sum);
    }
    (void)fprintf(out, "%s_sum", name);
    write_value(out, v->core.predict_seconds);
    (void)fprintf(out, "%s_count", name);
    write_value(out, (double)sum);
}

static void write_arenas(FILE *out, const char *name, const struct metrics_view *v)
{
    (void)fprintf(out, "%s{pool=\"predict\"}", name);
    write_value(out, (double)v->core.predict_scratch_bytes);
}

static void write_denied(FILE *out, const char *name, const struct metrics_view *v)
{
    for (unsigned i = 0; i < AUTH_DENIALS; i++) {
        (void)fprintf(out, "%s{reason=\"%s\"}", name, auth_denial_name((enum auth_denial)i));
        write_value(out, (double)v->server.denied[i]);
    }
}

/* ---------------------------------------------------------------- all of them */

static void write_all(FILE *out, const struct metrics_view *v)
{
#define HEADER(name, type, help)                                                                   \
    (void)fputs("# HELP " #name " " help "\n# TYPE " #name " " #type "\n", out)
#define SCALAR(name, type, help, value)                                                            \
    HEADER(name, type, help);                                                                      \
    write_scalar(out, #name, (double)(value));
#define FAMILY(name, type, labels, help, write)                                                    \
    HEADER(name, type, help);                                                                      \
    write(out, #name, v);
#include "daemon/metrics/metrics.def"
#undef SCALAR
#undef FAMILY
#undef HEADER
}

enum status
metrics_text(const struct metrics_view *v, char **ret_text, size_t *ret_size, struct fault *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the figures");
    write_all(out, v);
    const int bad = ferror(out);
    if (fclose(out) != 0 || bad) {
        free(text);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the figures");
    }
    *ret_text = text;
    *ret_size = size;
    return STATUS_OK;
}
