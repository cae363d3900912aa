/*
 * Study of the closed-form router alone on a model folder and a single-label image set: the classes
 * come as tasks of `--per-task` classes, one after the other, without task identity at the end.
 * Prints, for every number of random features and after every task: accuracy over all classes so
 * far, choice of the owner by each rule, the penalty that was voted, seconds and bytes a term.
 *
 *   router --model DIR [--data PATH] [--features 0,500,1000] [--train N] [--held N] [--check N]
 *          [--test N] [--option name=value]... [--last] [--threads N] [--seed N]
 *
 * Three disjoint sets are drawn a class from the training split: fitted, held out to choose the
 * penalty, and `check`, on which settings are compared.  --test N reads the test split instead of
 * `check`, for the report.  Fashion-MNIST figures on a base that was pre-trained on it flatter.
 */
#include "client/dataset/dataset.h"
#include "daemon/base/arena.h"
#include "daemon/base/clock.h"
#include "daemon/base/rng.h"
#include "daemon/config/model_folder.h"
#include "learners/math/gemm.h"
#include "learners/methods/ridge/ridge_map.h"
#include "learners/methods/ridge/ridge_router.h"
#include "learners/methods/ridge/ridge_run.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_MAX_SWEEP 16
#define BENCH_MAX_TASKS 64
#define BENCH_CHUNK     64

struct bench_options {
    const char *model, *data;
    uint32_t features[BENCH_MAX_SWEEP];
    uint32_t n_sweep;
    uint32_t per_task, train, held, check, test, threads;
    uint64_t seed;
    int last; /* figures after the last task only */
    struct ridge_options ridge;
};

struct bench_images {
    struct dataset *set;
    struct image_table table;
};

struct bench {
    struct bench_options o;
    struct model *model;
    struct bench_images train, test;
    uint32_t n_classes, n_tasks;
    uint32_t *rows;  /* [n_classes, train + held + check] of the training split */
    uint32_t *tests; /* [n_classes, test] of the test split */
    struct pool *pool;
    void *memory;
    struct arena arena;
};

static void die(enum status s, const struct fault *f)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "router: %s: %s: %s\n", status_name(s), f->field, f->text);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        fputs("router: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static double seconds(void)
{
    return (double)clock_mono_us() * 1e-6;
}

/* ------------------------------------------------------------------ set-up */

static void open_images(struct bench *b, enum dataset_split split, struct bench_images *images)
{
    struct fault f = {0};
    const struct dataset_options options = {.split = split};
    die(dataset_open(b->o.data, &options, &images->set, &f), &f);
    const struct dataset_shape shape = dataset_shape(images->set);
    images->table = (struct image_table){.pixels = dataset_image(images->set, 0),
                                         .labels = dataset_labels(images->set),
                                         .n = shape.n,
                                         .size = shape.height,
                                         .channels = shape.channels};
    preprocessing_affine(&b->model->config.prep, images->table.scale, images->table.shift);
}

/* `per` rows of every class, drawn without replacement: [n_classes, per]. */
static uint32_t *draw(const struct bench *b, const struct bench_images *images, uint32_t per)
{
    const struct image_table *t = &images->table;
    uint32_t *order = need(malloc((size_t)t->n * sizeof *order));
    uint32_t *out = need(malloc(((size_t)b->n_classes * per + 1) * sizeof *out));
    uint32_t *count = need(calloc(b->n_classes, sizeof *count));
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = b->o.seed}, "bench.rows", t->n);
    for (uint32_t i = 0; i < t->n; i++)
        order[i] = i;
    rng_shuffle(&r, order, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        const uint32_t c = (uint32_t)t->labels[order[i]];
        if (count[c] < per)
            out[c * per + count[c]++] = order[i];
    }
    for (uint32_t c = 0; c < b->n_classes; c++)
        if (count[c] < per) {
            fprintf(stderr, "router: class %u has %u of the %u images\n", c, count[c], per);
            exit(1);
        }
    free(order);
    free(count);
    return out;
}

static void set_up(struct bench *b)
{
    struct fault f = {0};
    die(model_load_folder(b->o.model, &b->model, &f), &f);
    die(gemm_setup(&f), &f);
    die(pool_init(need(malloc(pool_plan(b->o.threads))), b->o.threads, &b->pool), &f);
    open_images(b, DATASET_TRAIN, &b->train);
    b->n_classes = dataset_classes(b->train.set);
    b->n_tasks = (b->n_classes + b->o.per_task - 1) / b->o.per_task;
    if (b->n_tasks > BENCH_MAX_TASKS) {
        fprintf(stderr, "router: more than %d tasks\n", BENCH_MAX_TASKS);
        exit(1);
    }
    b->rows = draw(b, &b->train, b->o.train + b->o.held + b->o.check);
    if (b->o.test) {
        open_images(b, DATASET_TEST, &b->test);
        b->tests = draw(b, &b->test, b->o.test);
    }
}

/* ------------------------------------------------------------------ learning */

/* The rows of a task's classes, columns from .. from + n of each class' draw. */
static uint32_t
task_rows(const struct bench *b, uint32_t task, uint32_t from, uint32_t n, uint32_t *out)
{
    const uint32_t per = b->o.train + b->o.held + b->o.check;
    uint32_t at = 0;
    for (uint32_t c = task * b->o.per_task; c < (task + 1) * b->o.per_task && c < b->n_classes; c++)
        for (uint32_t i = 0; i < n; i++)
            out[at++] = b->rows[c * per + from + i];
    return at;
}

/* Learns one task; its terms stay in the arena. */
static void learn_task(struct bench *b,
                       const struct ridge_options *o,
                       uint32_t task,
                       const char *const *names,
                       struct ridge_terms *ret_terms)
{
    struct fault f = {0};
    const uint32_t first = task * b->o.per_task, left = b->n_classes - first;
    const uint32_t k = left < b->o.per_task ? left : b->o.per_task;
    uint32_t *train = need(malloc((size_t)k * b->o.train * sizeof *train));
    uint32_t *held = need(malloc(((size_t)k * b->o.held + 1) * sizeof *held));
    char owner[16];
    struct ridge_problem p = {.config = b->model->config.vit,
                              .weights = &b->model->w,
                              .origin = {.base = b->model->digest, .state = b->model->digest},
                              .owner = owner,
                              .images = b->train.table,
                              .n_classes = k,
                              .classes = names + first,
                              .train = train,
                              .valid = held,
                              .n_train = task_rows(b, task, 0, b->o.train, train),
                              .n_valid = task_rows(b, task, b->o.train, b->o.held, held)};
    /* labels count from the task's first class: a table of the task's images alone */
    const size_t bytes = (size_t)p.images.size * p.images.size * p.images.channels;
    const uint32_t n = p.n_train + p.n_valid;
    uint8_t *pixels = need(malloc(n * bytes));
    int32_t *labels = need(malloc(n * sizeof *labels));
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = i < p.n_train ? train[i] : held[i - p.n_train];
        memcpy(pixels + i * bytes, b->train.table.pixels + row * bytes, bytes);
        labels[i] = b->train.table.labels[row] - (int32_t)first;
    }
    for (uint32_t i = 0; i < n; i++)
        *(i < p.n_train ? &train[i] : &held[i - p.n_train]) = i;
    p.images.pixels = pixels;
    p.images.labels = labels;
    p.images.n = n;
    (void)snprintf(owner, sizeof owner, "task%02u", task);
    const struct ridge_run_tools tools = {.pool = b->pool, .arena = &b->arena};
    struct ridge_run *run;
    struct ridge_run_progress progress = {0};
    die(ridge_run_new(&p, o, &tools, &run, &f), &f);
    while (!progress.done)
        die(ridge_run_step(run, &progress, &f), &f);
    ridge_run_terms(run, ret_terms);
    free(train);
    free(held);
    free(pixels);
    free(labels);
}

/* ------------------------------------------------------------------ measuring */

/* Images on which figures are taken, with their feature rows. */
struct checked {
    uint32_t n;
    uint32_t *classes; /* [n] */
    float *rows;       /* [n, P] */
};

static struct checked make_checked(struct bench *b, const struct ridge_options *o)
{
    struct fault f = {0};
    const struct vit_config *c = &b->model->config.vit;
    const struct bench_images *images = b->o.test ? &b->test : &b->train;
    const uint32_t each = b->o.test ? b->o.test : b->o.check;
    const uint32_t per = b->o.test ? each : b->o.train + b->o.held + b->o.check;
    const uint32_t *rows = b->o.test ? b->tests : b->rows + b->o.train + b->o.held;
    struct checked s = {.n = b->n_classes * each};
    const size_t width = ridge_map_width_of(c, o), floats = images_floats(&images->table);
    s.classes = need(malloc(s.n * sizeof *s.classes));
    s.rows = need(malloc(s.n * width * sizeof *s.rows));
    const struct arena_mark mark = arena_mark(&b->arena);
    struct ridge_map *map;
    struct vit_batch *batch;
    die(ridge_map_new(c, o, &b->model->digest, BENCH_CHUNK, b->pool, &b->arena, &map, &f), &f);
    die(vit_batch_new(c, VIT_INFER, BENCH_CHUNK, b->pool, &b->arena, &batch), &f);
    float *pixels = need(arena_alloc(&b->arena, BENCH_CHUNK * floats, sizeof *pixels));
    float *embeddings = need(arena_alloc(&b->arena, BENCH_CHUNK, c->width * sizeof *embeddings));
    const float *inputs[BENCH_CHUNK];
    for (uint32_t at = 0; at < s.n; at += BENCH_CHUNK) {
        const uint32_t n = s.n - at < BENCH_CHUNK ? s.n - at : BENCH_CHUNK;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t k = (at + i) / each;
            s.classes[at + i] = k;
            images_load(&images->table, rows[k * per + (at + i) % each], pixels + i * floats);
            inputs[i] = pixels + i * floats;
        }
        const struct vit_input in = {.n = n, .images = inputs};
        const struct vit_output out = {
            .embeddings = embeddings, .observer = ridge_map_observe, .observer_context = map};
        vit_forward(batch, &b->model->w, &in, &out);
        ridge_map_rows(map, n, embeddings, s.rows + at * width);
    }
    arena_rewind(&b->arena, mark);
    return s;
}

struct figures {
    double accuracy;
    double owner[3]; /* by each rule */
};

static struct figures measure(struct bench *b, struct ridge_router *r, const struct checked *s)
{
    float *scores = need(malloc((size_t)s->n * r->n_classes * sizeof *scores));
    float *owners = need(malloc((size_t)s->n * r->n_owners * sizeof *owners));
    uint32_t *chosen = need(malloc(s->n * sizeof *chosen));
    struct figures figures = {0};
    uint32_t n = 0, right = 0;
    ridge_router_scores(r, s->rows, s->n, b->pool, scores);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->classes[i] >= r->n_classes)
            continue;
        uint32_t best = 0;
        const float *z = scores + (size_t)i * r->n_classes;
        for (uint32_t k = 1; k < r->n_classes; k++)
            best = z[k] > z[best] ? k : best;
        right += best == s->classes[i];
        n++;
    }
    figures.accuracy = 100.0 * right / n;
    for (uint32_t rule = 0; rule < 3; rule++) {
        uint32_t hits = 0;
        r->options.rule = rule;
        ridge_router_owner_scores(r, scores, s->n, owners);
        ridge_router_choose(r, owners, s->n, chosen);
        for (uint32_t i = 0; i < s->n; i++)
            hits += s->classes[i] < r->n_classes && chosen[i] == s->classes[i] / b->o.per_task;
        figures.owner[rule] = 100.0 * hits / n;
    }
    free(scores);
    free(owners);
    free(chosen);
    return figures;
}

/* One setting: all tasks in order, figures after each. */
static void sweep(struct bench *b, const struct ridge_options *o, const char *const *names)
{
    struct ridge_terms terms[BENCH_MAX_TASKS];
    struct ridge_source sources[BENCH_MAX_TASKS] = {0};
    const struct arena_mark mark = arena_mark(&b->arena);
    double learnt = seconds();
    const struct checked s = make_checked(b, o);
    for (uint32_t t = 0; t < b->n_tasks; t++) {
        struct fault f = {0};
        learnt = seconds();
        learn_task(b, o, t, names, &terms[t]);
        learnt = seconds() - learnt;
        sources[t].terms = &terms[t];
        if (b->o.last && t + 1 < b->n_tasks)
            continue;
        const struct arena_mark solved = arena_mark(&b->arena);
        const struct ridge_memory memory = {b->pool, &b->arena, &b->arena};
        struct ridge_router r;
        double solving = seconds();
        die(ridge_router_solve(sources, t + 1, o, &memory, &r, &f), &f);
        solving = seconds() - solving;
        const struct figures figures = measure(b, &r, &s);
        printf("%8u %4u %6.2f  %6.2f %6.2f %6.2f  %-7g %9.0f %6.2f %6.2f\n", o->features, t + 1,
               figures.accuracy, figures.owner[0], figures.owner[1], figures.owner[2],
               r.choices[0].lambda,
               (double)ridge_terms_encoded_size(&terms[t]) / ridge_terms_classes(&terms[t]), learnt,
               solving);
        fflush(stdout);
        arena_rewind(&b->arena, solved);
    }
    arena_rewind(&b->arena, mark);
    free(s.classes);
    free(s.rows);
}

/* ------------------------------------------------------------------ command line */

static void read_features(struct bench_options *o, char *text, struct argp_state *state)
{
    char *rest = NULL;
    o->n_sweep = 0;
    for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (o->n_sweep == BENCH_MAX_SWEEP)
            argp_error(state, "more than %d values", BENCH_MAX_SWEEP);
        o->features[o->n_sweep++] = (uint32_t)strtoul(item, NULL, 10);
    }
}

static void read_option(struct bench_options *o, char *text, struct argp_state *state)
{
    struct fault f = {0};
    char *equals = strchr(text, '=');
    if (!equals)
        argp_error(state, "'%s' is not name=value", text);
    *equals = '\0';
    if (ridge_options_set(&o->ridge, text, equals + 1, &f) != STATUS_OK)
        argp_error(state, "%s: %s", f.field, f.text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct bench_options *o = state->input;
    uint32_t *counts[] = {['n'] = &o->train, ['h'] = &o->held,     ['c'] = &o->check,
                          ['t'] = &o->test,  ['p'] = &o->per_task, ['T'] = &o->threads};
    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case 'd':
        o->data = arg;
        return 0;
    case 'f':
        read_features(o, arg, state);
        return 0;
    case 'o':
        read_option(o, arg, state);
        return 0;
    case 's':
        o->seed = strtoull(arg, NULL, 10);
        return 0;
    case 'l':
        o->last = 1;
        return 0;
    case 'n':
    case 'h':
    case 'c':
    case 't':
    case 'p':
    case 'T':
        *counts[key] = (uint32_t)strtoul(arg, NULL, 10);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option rows[] = {
        {"model", 'm', "DIR", 0, "model folder", 0},
        {"data", 'd', "PATH", 0, "image set (IDX, npz, folder)", 0},
        {"features", 'f', "LIST", 0, "numbers of random features; 0: the inputs themselves", 0},
        {"train", 'n', "N", 0, "fitted images a class", 0},
        {"held", 'h', "N", 0, "images a class that choose the penalty", 0},
        {"check", 'c', "N", 0, "images a class for the figures", 0},
        {"test", 't', "N", 0, "images a class of the test split instead", 0},
        {"per-task", 'p', "N", 0, "classes a task", 0},
        {"option", 'o', "NAME=VALUE", 0, "an option of the router", 0},
        {"last", 'l', NULL, 0, "figures after the last task only", 0},
        {"threads", 'T', "N", 0, "threads", 0},
        {"seed", 's', "N", 0, "seed of the draws", 0},
        {0}};
    static const struct argp argp = {rows, parse, NULL, "Study of the closed-form router.",
                                     NULL, NULL,  NULL};
    struct bench b = {.o = {.model = "models/vit-fashion",
                            .data = "build/data/mnist",
                            .features = {0, 500, 1000, 2000, 4000},
                            .n_sweep = 5,
                            .per_task = 2,
                            .train = 200,
                            .held = 40,
                            .check = 60,
                            .threads = 1,
                            .seed = 1}};
    ridge_options_default(&b.o.ridge);
    argp_parse(&argp, argc, argv, 0, NULL, &b.o);
    if (b.o.per_task < 1 || b.o.train < 1 || (b.o.check < 1 && b.o.test < 1)) {
        fputs("router: --per-task, --train and --check or --test need at least 1\n", stderr);
        return 2;
    }
    set_up(&b);
    const size_t bytes = (size_t)4 << 30;
    b.memory = need(malloc(bytes));
    arena_init(&b.arena, b.memory, bytes);
    const char **names = need(malloc(b.n_classes * sizeof *names));
    for (uint32_t c = 0; c < b.n_classes; c++)
        names[c] = dataset_class_name(b.train.set, c);
    printf("# %s, %s: %u fitted, %u held out, %u %s images a class, %u thread(s), %s\n", b.o.model,
           b.o.data, b.o.train, b.o.held, b.o.test ? b.o.test : b.o.check,
           b.o.test ? "test" : "check", b.o.threads, gemm_kernel_name());
    printf("# features task class%%  owner%% (max sum soft)      lambda  bytes/term learn_s "
           "solve_s\n");
    for (uint32_t i = 0; i < b.o.n_sweep; i++) {
        struct ridge_options o = b.o.ridge;
        o.features = b.o.features[i];
        if (o.features == 0)
            o.raw = 1;
        sweep(&b, &o, names);
    }
    dataset_free(b.train.set);
    dataset_free(b.test.set);
    model_free(b.model);
    return 0;
}
