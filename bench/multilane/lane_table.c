#include "bench/multilane/lane_table.h"

#include <math.h>
#include <string.h>

#include "learners/math/gemm.h"

#define TABLE_RUNS 64 /* most lines of one row */

/* ------------------------------------------------------------------ a line */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *numbers(const double *x, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++)
        (void)json_array_append_new(list, number(x[i]));
    return list;
}

static json_t *f1_json(const struct score_f1 *x)
{
    return json_pack("{s:o, s:o, s:o}", "OF1", number(x->of1), "CF1_meanF1", number(x->cf1_mean_f1),
                     "CF1_literature", number(x->cf1_literature));
}

static json_t *decision_json(const struct lane_trial_line *x, const struct protocol *p)
{
    json_t *line =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "decision", x->decision, "sessions",
                  numbers(x->sessions, x->n_sessions), "tasks", numbers(x->tasks, p->n_tasks),
                  "last", number(x->summary.last), "average", number(x->summary.average),
                  "forgetting", number(x->summary.forgetting));
    if (p->several) {
        (void)json_object_set_new(line, "f1", f1_json(&x->f1));
        (void)json_object_set_new(line, "threshold", number(x->threshold));
        (void)json_object_set_new(line, "f1_at_threshold", f1_json(&x->f1_at_threshold));
    } else {
        (void)json_object_set_new(line, "owner", number(x->owner));
        (void)json_object_set_new(line, "within", number(x->within));
    }
    return line;
}

static json_t *options_json(const struct lane_trial_options *o)
{
    json_t *x = json_object();
    for (uint32_t i = 0; i < o->n; i++)
        (void)json_object_set_new(x, o->list[i].name, json_string(o->list[i].value));
    return x;
}

json_t *lane_table_line(const char *name,
                        const struct lane_trial_settings *s,
                        const struct lane_trial_result *r)
{
    json_t *decisions = json_array();
    for (uint32_t i = 0; i < r->n_lines; i++)
        (void)json_array_append_new(decisions, decision_json(&r->lines[i], s->protocol));
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o, s:I, s:I, s:s, s:o, s:f, s:f, s:f}",
                     "run", name, "protocol", s->protocol->name, "part",
                     lane_trial_part_name(s->part), "seed", (json_int_t)s->seed, "measured",
                     s->measured == PROTOCOL_TEST ? "test" : "check", "lane",
                     options_json(&s->lane), "router", options_json(&s->router), "n_train",
                     (json_int_t)r->n_train, "n_measured", (json_int_t)r->n_measured, "kernel",
                     gemm_kernel_name(), "decisions", decisions, "lane_seconds", r->lane_seconds,
                     "router_seconds", r->router_seconds, "answer_seconds", r->answer_seconds);
}

/* ------------------------------------------------------------------ tables */

static const char *text_of(const json_t *x, const char *key)
{
    const char *text = json_string_value(json_object_get(x, key));
    return text ? text : "";
}

static int is_listed(const json_t *runs, const char *name)
{
    for (size_t i = 0; i < json_array_size(runs); i++)
        if (strcmp(json_string_value(json_array_get(runs, i)), name) == 0)
            return 1;
    return 0;
}

/* The entries of one protocol and decision: one a run. */
static uint32_t collect(const json_t *lines,
                        const json_t *runs,
                        const struct protocol *p,
                        const char *decision,
                        const json_t **ret_list)
{
    uint32_t n = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *x = json_array_get(lines, i), *list = json_object_get(x, "decisions");
        if (strcmp(text_of(x, "protocol"), p->name) != 0 || !is_listed(runs, text_of(x, "run")))
            continue;
        for (size_t k = 0; k < json_array_size(list) && n < TABLE_RUNS; k++)
            if (strcmp(text_of(json_array_get(list, k), "decision"), decision) == 0)
                ret_list[n++] = json_array_get(list, k);
    }
    return n;
}

/* A figure of every entry, by its path of one or two keys. */
static void
print_cell(FILE *to, const json_t *const *list, uint32_t n, const char *key, const char *inner)
{
    double values[TABLE_RUNS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const json_t *x = json_object_get(list[i], key);
        x = inner ? json_object_get(x, inner) : x;
        if (json_is_number(x))
            values[count++] = json_number_value(x);
    }
    const struct score_spread s = score_spread_of(values, count);
    if (s.n == 0)
        (void)fprintf(to, " %14s", "-");
    else
        (void)fprintf(to, " %6.2f +- %4.2f", s.mean, s.deviation);
}

static void print_sessions(FILE *to, const json_t *const *list, uint32_t n)
{
    const size_t sessions = json_array_size(json_object_get(list[0], "sessions"));
    for (size_t t = 0; t + 1 < sessions; t++) {
        double values[TABLE_RUNS];
        uint32_t count = 0;
        for (uint32_t i = 0; i < n; i++)
            values[count++] =
                json_number_value(json_array_get(json_object_get(list[i], "sessions"), t));
        (void)fprintf(to, " %6.2f", score_spread_of(values, count).mean);
    }
}

static void print_head(FILE *to, const struct protocol *p)
{
    const char *figure = p->several ? "mAP" : "accuracy";
    (void)fprintf(to, "\n%s, %s\n%-10s %5s %14s %14s %14s", p->name, figure, "decision", "seeds",
                  "last", "average", "forgetting");
    if (p->several)
        (void)fprintf(to, " %14s %14s %14s %14s %14s", "OF1 at 0.8", "CF1_meanF1", "CF1_lit",
                      "threshold", "OF1 there");
    else
        (void)fprintf(to, " %14s %14s", "right lane", "within lane");
    (void)fprintf(to, " earlier sessions\n");
}

static void print_row(FILE *to, const struct protocol *p, const json_t *const *list, uint32_t n)
{
    (void)fprintf(to, "%-10s %5u", text_of(list[0], "decision"), n);
    print_cell(to, list, n, "last", NULL);
    print_cell(to, list, n, "average", NULL);
    print_cell(to, list, n, "forgetting", NULL);
    if (p->several) {
        print_cell(to, list, n, "f1", "OF1");
        print_cell(to, list, n, "f1", "CF1_meanF1");
        print_cell(to, list, n, "f1", "CF1_literature");
        print_cell(to, list, n, "threshold", NULL);
        print_cell(to, list, n, "f1_at_threshold", "OF1");
    } else {
        print_cell(to, list, n, "owner", NULL);
        print_cell(to, list, n, "within", NULL);
    }
    print_sessions(to, list, n);
    (void)fprintf(to, "\n");
}

void lane_table_print(const json_t *lines,
                      const json_t *runs,
                      const struct protocol *const *protocols,
                      size_t n,
                      FILE *to)
{
    static const char *const decisions[] = {"joint", "routed", "router", "raw", "finetune"};
    for (size_t i = 0; i < n; i++) {
        const json_t *list[TABLE_RUNS];
        int begun = 0;
        for (size_t d = 0; d < sizeof decisions / sizeof *decisions; d++) {
            const uint32_t count = collect(lines, runs, protocols[i], decisions[d], list);
            if (count == 0)
                continue;
            if (!begun)
                print_head(to, protocols[i]);
            begun = 1;
            print_row(to, protocols[i], list, count);
        }
    }
}
