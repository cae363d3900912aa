/*
 * TAME in `parity` mode on its benchmark streams (tame.md, section 7), without task ids: Split
 * MNIST, Split Fashion-MNIST, Permuted MNIST, and streams whose tasks return.  Every combination of
 * stream, window and seed is one run; a finished run is one JSON line of the results file and is
 * not repeated, an unfinished one goes on behind its last finished stage, so the same command may
 * be started again at any time.  Progress goes to standard error, a table of means and deviations
 * over the seeds to standard output.
 *
 *     build/bench/tame [--stream NAME]... [--seed N]... [--window W]... [--epochs N] [--limit N]
 *                      [--fit-epochs N] [--one-stroke] [--baselines] [--threads N] [--mnist DIR]
 * [--fashion DIR]
 *                      [--out FILE]
 */
#include "bench/results/results_file.h"
#include "bench/tame/baseline.h"
#include "bench/tame/run.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "learners/math/gemm.h"

#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 16 /* seeds, streams or windows of a command */

struct options {
    const struct tasks_stream *streams[MOST];
    uint64_t seeds[MOST];
    uint32_t windows[MOST];
    size_t n_streams, n_seeds, n_windows;
    uint32_t epochs, limit, fit_epochs, threads;
    const char *mnist, *fashion, *out;
    int baselines, one_stroke;
};

struct bench {
    struct options o;
    struct results_file results;
    const char *run;
    int failures;
};

/* ------------------------------------------------------------------ JSON */

static json_t *percent(uint64_t right, uint64_t n)
{
    return n ? json_real(100.0 * (double)right / (double)n) : json_null();
}

static json_t *right_json(const struct figures_right *x)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "within", percent(x->within, x->n), "selector",
                     percent(x->selector, x->n), "expert", percent(x->expert, x->n), "incremental",
                     percent(x->incremental, x->n));
}

static json_t *figures_json(const struct figures *x, uint32_t n_tasks)
{
    json_t *all = right_json(&x->total), *tasks = json_array();
    for (uint32_t k = 0; k < n_tasks; k++)
        (void)json_array_append_new(tasks, right_json(&x->task[k]));
    (void)json_object_set_new(all, "tasks", tasks);
    return all;
}

static json_t *settings_json(const char *method, const char *name, const struct run_settings *s)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "run", name, "method", method,
                     "stream", s->stream->name, "window", (json_int_t)s->window, "seed",
                     (json_int_t)s->seed, "epochs", (json_int_t)s->epochs, "fit_epochs",
                     (json_int_t)s->fit_epochs, "limit", (json_int_t)s->limit, "kernel",
                     gemm_kernel_name());
}

static json_t *detection_json(const struct run_detection *d)
{
    const struct figures_changes *c = &d->changes;
    json_t *delay = isnan(c->delay) ? json_null() : json_real(c->delay);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "batches", (json_int_t)d->batches,
                     "experts", (json_int_t)d->experts, "true_changes", (json_int_t)c->true_changes,
                     "switches", (json_int_t)c->switches, "wrong", (json_int_t)c->wrong, "missed",
                     (json_int_t)c->missed, "delay_batches", delay, "misplaced_samples",
                     (json_int_t)d->misplaced);
}

static uint32_t tasks_in(const struct tasks_stream *s)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < s->n_runs; r++)
        n = s->runs[r] >= n ? s->runs[r] + 1u : n;
    return n;
}

static json_t *
result_json(const char *name, const struct run_settings *s, const struct run_result *r)
{
    const uint32_t n_tasks = tasks_in(s->stream);
    json_t *x = settings_json("tame-parity", name, s);
    (void)json_object_set_new(x, "pruning", json_string(run_pruning_name(s)));
    (void)json_object_set_new(x, "detection", detection_json(&r->detection));
    (void)json_object_set_new(x, "before", figures_json(&r->before, n_tasks));
    (void)json_object_set_new(x, "after", figures_json(&r->after, n_tasks));
    (void)json_object_set_new(x, "selector_draws", json_integer((json_int_t)r->selector_draws));
    (void)json_object_set_new(x, "weights_published", json_real(r->published_weights));
    (void)json_object_set_new(x, "weights_nonzero", json_integer((json_int_t)r->nonzero_weights));
    (void)json_object_set_new(x, "seconds",
                              json_pack("{s:f, s:f, s:f}", "stream", r->seconds[RUN_STREAM],
                                        "selector", r->seconds[RUN_SELECTOR], "pruning",
                                        r->seconds[RUN_PRUNING]));
    return x;
}

/* ------------------------------------------------------------------ runs */

/* The line is on the disk before the checkpoint goes. */
static void write_line(struct bench *b, json_t *x)
{
    if (results_file_add(&b->results, x) == 0)
        return;
    (void)fprintf(stderr, "tame: %s: %s\n", b->o.out, strerror(errno));
    exit(1);
}

static void tell(void *context, const char *text)
{
    const struct bench *b = context;
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), now);
    (void)fprintf(stderr, "%s %s: %s\n", now, b->run, text);
}

static void report(struct bench *b, const struct fault *f)
{
    (void)fprintf(stderr, "tame: %s: %s: %s %s\n", b->run, status_name(f->code), f->field, f->text);
    b->failures++;
}

static struct run_settings
settings_of(const struct options *o, const struct tasks_stream *s, uint32_t window, uint64_t seed)
{
    return (struct run_settings){.stream = s,
                                 .folder = s->fashion ? o->fashion : o->mnist,
                                 .seed = seed,
                                 .window = window,
                                 .epochs = o->epochs,
                                 .fit_epochs = o->fit_epochs,
                                 .limit = o->limit,
                                 .one_stroke = o->one_stroke,
                                 .threads = o->threads};
}

static void run_one(struct bench *b, const struct run_settings *s)
{
    char name[RUN_NAME_SIZE], checkpoint[4096];
    struct fault f = {0};
    run_name(s, name);
    if (results_file_has(&b->results, name))
        return;
    b->run = name;
    (void)snprintf(checkpoint, sizeof checkpoint, "%s.%s.checkpoint", b->o.out, name);
    struct run_result *r = sysio_alloc(1, sizeof *r);
    if (!r) {
        (void)fputs("tame: out of memory\n", stderr);
        exit(1);
    }
    if (run_execute(s, checkpoint, tell, b, r, &f) == STATUS_OK) {
        write_line(b, result_json(name, s, r));
        (void)unlink(checkpoint);
    } else {
        report(b, &f);
    }
    sysio_free(r);
}

static void run_baseline(struct bench *b, const struct run_settings *s, enum baseline_kind kind)
{
    char name[RUN_NAME_SIZE], stream[RUN_NAME_SIZE - 32];
    struct baseline_result r;
    struct fault f = {0};
    (void)snprintf(stream, sizeof stream, "%s", s->stream->name);
    (void)snprintf(name, sizeof name, "%s-%s-seed%llu-epochs%u-limit%u", stream,
                   baseline_name(kind), (unsigned long long)s->seed, s->epochs, s->limit);
    if (results_file_has(&b->results, name))
        return;
    b->run = name;
    if (baseline_execute(s, kind, tell, b, &r, &f) != STATUS_OK) {
        report(b, &f);
        return;
    }
    json_t *x = settings_json(baseline_name(kind), name, s), *tasks = json_array();
    (void)json_object_set_new(x, "accuracy", percent(r.right, r.n));
    for (uint32_t k = 0; k < r.n_tasks; k++)
        (void)json_array_append_new(tasks, percent(r.task_right[k], r.task_n[k]));
    (void)json_object_set_new(x, "tasks", tasks);
    (void)json_object_set_new(x, "seconds", json_real(r.seconds));
    write_line(b, x);
}

/* ------------------------------------------------------------------ table */

/* Mean and sample deviation of a figure over the lines of one stream, window and method. */
struct column {
    double sum, squares;
    uint32_t n;
};

static void column_add(struct column *c, const json_t *x)
{
    const double v = json_number_value(x);
    if (!json_is_number(x))
        return;
    c->sum += v;
    c->squares += v * v;
    c->n++;
}

static void column_print(const struct column *c)
{
    if (c->n == 0) {
        (void)printf("%16s", "-");
        return;
    }
    const double mean = c->sum / c->n;
    const double variance = c->n > 1 ? (c->squares - c->n * mean * mean) / (c->n - 1) : 0.0;
    (void)printf(" %8.2f +-%5.2f", mean, variance > 0.0 ? sqrt(variance) : 0.0);
}

static int line_is(const json_t *x, const char *stream, uint32_t window, const struct options *o)
{
    const char *name = json_string_value(json_object_get(x, "stream"));
    const char *method = json_string_value(json_object_get(x, "method"));
    const char *pruning = json_string_value(json_object_get(x, "pruning"));
    const struct run_settings wanted = {.one_stroke = o->one_stroke};
    return name && method && strcmp(name, stream) == 0 && strcmp(method, "tame-parity") == 0 &&
           pruning && strcmp(pruning, run_pruning_name(&wanted)) == 0 &&
           json_integer_value(json_object_get(x, "window")) == window &&
           json_integer_value(json_object_get(x, "epochs")) == o->epochs &&
           json_integer_value(json_object_get(x, "fit_epochs")) == o->fit_epochs &&
           json_integer_value(json_object_get(x, "limit")) == o->limit;
}

static void print_row(const struct bench *b, const struct tasks_stream *s, uint32_t window)
{
    static const char *const parts[] = {"within", "selector", "expert", "incremental"};
    struct column after[4] = {{0}}, before = {0}, experts = {0}, weights = {0};
    for (size_t i = 0; i < json_array_size(b->results.lines); i++) {
        const json_t *x = json_array_get(b->results.lines, i);
        if (!line_is(x, s->name, window, &b->o))
            continue;
        for (size_t k = 0; k < 4; k++)
            column_add(&after[k], json_object_get(json_object_get(x, "after"), parts[k]));
        column_add(&before, json_object_get(json_object_get(x, "before"), "within"));
        column_add(&experts, json_object_get(json_object_get(x, "detection"), "experts"));
        column_add(&weights, json_object_get(x, "weights_published"));
    }
    if (experts.n == 0)
        return;
    (void)printf("%-24s %4u %5u", s->name, window, experts.n);
    column_print(&before);
    for (size_t k = 0; k < 4; k++)
        column_print(&after[k]);
    column_print(&experts);
    (void)printf(" %9.0f\n", weights.sum / weights.n);
}

static void print_baselines(const struct bench *b)
{
    for (size_t i = 0; i < json_array_size(b->results.lines); i++) {
        const json_t *x = json_array_get(b->results.lines, i);
        const json_t *accuracy = json_object_get(x, "accuracy");
        if (json_is_number(accuracy))
            (void)printf("%-64s %8.2f\n", json_string_value(json_object_get(x, "run")),
                         json_number_value(accuracy));
    }
}

static void print_table(const struct bench *b)
{
    (void)printf("%-24s %4s %5s %16s %16s %16s %16s %16s %16s %9s\n", "stream", "W", "seeds",
                 "within, dense", "within", "selector", "expert", "incremental", "experts",
                 "weights");
    for (size_t i = 0; tasks_stream_at(i); i++)
        for (uint32_t w = 1; w <= TAME_WINDOW_MAX; w++)
            print_row(b, tasks_stream_at(i), w);
    print_baselines(b);
}

/* ------------------------------------------------------------------ command line */

enum key { KEY_FIT = 256, KEY_MNIST, KEY_FASHION, KEY_BASELINES, KEY_ONE_STROKE };

static unsigned long number_of(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    const unsigned long x = strtoul(text, &end, 10);
    if (errno || end == text || *end || x > UINT32_MAX)
        argp_error(state, "'%s' is not a number", text);
    return x;
}

static void add_stream(struct options *o, const char *name, struct argp_state *state)
{
    for (size_t i = 0; tasks_stream_at(i); i++)
        if (strcmp(tasks_stream_at(i)->name, name) == 0 && o->n_streams < MOST) {
            o->streams[o->n_streams++] = tasks_stream_at(i);
            return;
        }
    argp_error(state, "'%s' is no stream", name);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 's':
        add_stream(o, arg, state);
        return 0;
    case 'r':
        if (o->n_seeds == MOST)
            argp_error(state, "too many --seed");
        o->seeds[o->n_seeds++] = number_of(arg, state);
        return 0;
    case 'w':
        if (o->n_windows == MOST)
            argp_error(state, "too many --window");
        o->windows[o->n_windows++] = (uint32_t)number_of(arg, state);
        return 0;
    case 'e':
        o->epochs = (uint32_t)number_of(arg, state);
        return 0;
    case 'l':
        o->limit = (uint32_t)number_of(arg, state);
        return 0;
    case 't':
        o->threads = (uint32_t)number_of(arg, state);
        return 0;
    case 'o':
        o->out = arg;
        return 0;
    case KEY_FIT:
        o->fit_epochs = (uint32_t)number_of(arg, state);
        return 0;
    case KEY_MNIST:
        o->mnist = arg;
        return 0;
    case KEY_FASHION:
        o->fashion = arg;
        return 0;
    case KEY_ONE_STROKE:
        o->one_stroke = 1;
        return 0;
    case KEY_BASELINES:
        o->baselines = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option arguments[] = {
    {"stream", 's', "NAME", 0,
     "split-mnist, split-fashion, permuted-mnist (these three if none is named), recurring-mnist, "
     "recurring-mnist-twice, recurring-fashion, recurring-fashion-twice",
     0},
    {"seed", 'r', "N", 0, "seeds; 1, 2 and 3 if none is given", 0},
    {"window", 'w', "W", 0, "losses in the window; the published one and the other if not given",
     0},
    {"epochs", 'e', "N", 0, "passes over a task (10)", 0},
    {"limit", 'l', "N", 0, "pictures a task, for a short trial; 0: all", 0},
    {"fit-epochs", KEY_FIT, "N", 0, "passes after pruning, the selector's in proportion (200)", 0},
    {"one-stroke", KEY_ONE_STROKE, NULL, 0, "experts are pruned as published, not gradually", 0},
    {"threads", 't', "N", 0, "threads (all processors)", 0},
    {"mnist", KEY_MNIST, "DIR", 0, "IDX files of MNIST (build/data/mnist)", 0},
    {"fashion", KEY_FASHION, "DIR", 0, "IDX files of Fashion-MNIST", 0},
    {"baselines", KEY_BASELINES, NULL, 0,
     "one net instead of experts: in stream order, and jointly", 0},
    {"out", 'o', "FILE", 0, "results, one JSON object a line (build/bench/tame.jsonl)", 0},
    {0}};

static uint32_t processors(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > POOL_MAX_THREADS ? POOL_MAX_THREADS : (uint32_t)n;
}

static void set_defaults(struct options *o)
{
    for (size_t i = 0; o->n_streams == 0 && i < 3; i++)
        o->streams[i] = tasks_stream_at(i);
    o->n_streams = o->n_streams ? o->n_streams : 3;
    for (size_t i = 0; o->n_seeds == 0 && i < 3; i++)
        o->seeds[i] = i + 1;
    o->n_seeds = o->n_seeds ? o->n_seeds : 3;
}

static int check_options(const struct options *o)
{
    const char *bad = NULL;
    for (size_t i = 0; i < o->n_windows; i++)
        if (o->windows[i] < 1 || o->windows[i] > TAME_WINDOW_MAX)
            bad = "--window: 1 to 256 are possible";
    if (o->epochs < 1 || o->epochs > 1000 || o->fit_epochs < 1 || o->fit_epochs > 10000)
        bad = "--epochs: 1 to 1000, --fit-epochs: 1 to 10000 are possible";
    if (o->threads < 1 || o->threads > POOL_MAX_THREADS)
        bad = "--threads: 1 to 64 are possible";
    if (bad)
        (void)fprintf(stderr, "tame: %s\n", bad);
    return bad == NULL;
}

/* The published window of every stream and seed first, then the other one, then the baselines. */
static void run_everything(struct bench *b)
{
    const struct options *o = &b->o;
    const size_t n_windows = o->n_windows ? o->n_windows : 2;
    for (size_t w = 0; w < n_windows; w++)
        for (size_t s = 0; s < o->n_streams; s++)
            for (size_t i = 0; i < o->n_seeds; i++) {
                const uint32_t window = o->n_windows ? o->windows[w] : o->streams[s]->windows[w];
                const struct run_settings x = settings_of(o, o->streams[s], window, o->seeds[i]);
                run_one(b, &x);
            }
    for (size_t s = 0; o->baselines && s < o->n_streams; s++)
        for (size_t i = 0; i < o->n_seeds; i++)
            for (int kind = 0; kind < BASELINE_KINDS; kind++) {
                const struct run_settings x = settings_of(o, o->streams[s], 0, o->seeds[i]);
                run_baseline(b, &x, (enum baseline_kind)kind);
            }
}

int main(int argc, char **argv)
{
    static struct bench b;
    const struct argp argp = {.options = arguments,
                              .parser = parse,
                              .doc = "TAME, parity mode, on its benchmark streams"};
    struct fault f = {0};
    b.o = (struct options){.epochs = 10,
                           .fit_epochs = 200,
                           .threads = processors(),
                           .mnist = "build/data/mnist",
                           .fashion = "/usr/share/datasets/fashion-mnist",
                           .out = "build/bench/tame.jsonl"};
    (void)argp_parse(&argp, argc, argv, 0, NULL, &b.o);
    if (!check_options(&b.o))
        return 2;
    set_defaults(&b.o);
    if (gemm_setup(&f) != STATUS_OK) {
        (void)fprintf(stderr, "tame: %s\n", f.text);
        return 1;
    }
    results_file_init(&b.results, b.o.out);
    run_everything(&b);
    print_table(&b);
    results_file_fini(&b.results);
    return b.failures ? 1 : 0;
}
