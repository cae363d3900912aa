/*
 * Study of pruning settings for TAME's `parity` experts on Permuted MNIST.  The last 10,000
 * training images of a task are held out: neither the dense expert (ten passes over the others, in
 * file order, as in the stream) nor the samples it is pruned with (6,000 of the others, drawn)
 * contain them, and the figures are of these.  The test split is not read.  One line a task and
 * setting.
 *
 *   prune_study [--mnist DIR] [--seed N] [--tasks 3,7,11] [SETTING]...
 * A setting is a list such as "rising=0.5,decay=1e-3"; without one, the published procedure and
 * lethe's are compared.  Keys, with the published values:
 *   share 0.98, epochs 200, lr 0.1, decay 1e-4, samples 6000,
 *   rising 0   share of the epochs during which the pruned share rises; 0: at one stroke
 */
#include "bench/tame/tasks.h"
#include "daemon/base/arena.h"
#include "daemon/base/rng.h"
#include "learners/data/sampler.h"
#include "learners/math/gemm.h"
#include "learners/methods/tame/tame_fit.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD     10000
#define CLASSES  10
#define BATCH    128
#define PASSES   10
#define SETTINGS 32
#define FLOATS   (TAME_CONV_NET_BODY + CLASSES * (TAME_CONV_NET_WIDTH + 1))

struct setting {
    double share, epochs, lr, decay, rising, samples;
};

static const struct setting published = {0.98, 200, 0.1, 1e-4, 0, 6000};

struct study {
    const char *folder, *tasks, *settings[SETTINGS];
    size_t n_settings;
    uint64_t seed;
    struct tasks *set;
    struct tame_conv_net *net;
    struct tame_shape shape;
    uint32_t n, n_fit; /* images of a task, those that are not held out */
    uint8_t *pixels;
    const uint8_t **pictures, **drawn; /* all in file order; those not held out as drawn */
    uint32_t *labels, *drawn_labels;
    float dense[FLOATS], w[FLOATS], m[FLOATS];
};

static void die(enum status s, const struct fault *f)
{
    if (s == STATUS_OK)
        return;
    (void)fprintf(stderr, "prune_study: %s: %s %s\n", status_name(s), f->field, f->text);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        (void)fputs("prune_study: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* ------------------------------------------------------------------ images and nets */

static const struct tasks_stream *permuted_stream(void)
{
    size_t i = 0;
    while (strcmp(tasks_stream_at(i)->name, "permuted-mnist") != 0)
        i++;
    return tasks_stream_at(i);
}

static void open_study(struct study *s)
{
    struct fault f = {0};
    struct pool *pool;
    struct arena *arena = need(malloc(sizeof *arena));
    struct tame_conv_net_config c = tame_conv_net_parity(CLASSES);
    die(gemm_setup(&f), &f);
    die(tasks_open(permuted_stream(), s->folder, s->seed, 0, &s->set, &f), &f);
    c.image_size = tasks_side(s->set);
    const size_t bytes = tame_conv_net_plan(&c) + ARENA_ALIGN;
    arena_init(arena, need(malloc(bytes)), bytes);
    die(pool_init(need(malloc(pool_plan(1))), 1, &pool), &f);
    die(tame_conv_net_new(&c, pool, arena, &s->net, &f), &f);
    tame_kind_conv.shape(s->net, &s->shape);
    s->n = tasks_size(s->set, DATASET_TRAIN, 0);
    if (s->n <= HELD) {
        (void)fprintf(stderr, "prune_study: %u images; %d are held out\n", s->n, HELD);
        exit(1);
    }
    s->n_fit = s->n - HELD;
    s->pixels = need(malloc((size_t)s->n * TASKS_PICTURE));
    s->pictures = need(calloc(s->n, sizeof *s->pictures));
    s->drawn = need(calloc(s->n_fit, sizeof *s->drawn));
    s->labels = need(calloc(s->n, sizeof *s->labels));
    s->drawn_labels = need(calloc(s->n_fit, sizeof *s->drawn_labels));
}

static void load_task(struct study *s, uint32_t task)
{
    const struct rng_root root = {.seed = s->seed};
    uint32_t *all = need(calloc(2 * (size_t)s->n_fit, sizeof *all)), *order = all + s->n_fit;
    for (uint32_t i = 0; i < s->n; i++) {
        const uint64_t number = tasks_number(s->set, DATASET_TRAIN, task, i);
        uint8_t *picture = s->pixels + (size_t)i * TASKS_PICTURE;
        tasks_picture(s->set, DATASET_TRAIN, number, picture);
        s->pictures[i] = picture;
        s->labels[i] = tasks_label_of(s->set, DATASET_TRAIN, number);
    }
    for (uint32_t i = 0; i < s->n_fit; i++)
        all[i] = i;
    sampler_epoch(&root, "prune-study", task, all, s->n_fit, order);
    for (uint32_t i = 0; i < s->n_fit; i++) {
        s->drawn[i] = s->pictures[order[i]];
        s->drawn_labels[i] = s->labels[order[i]];
    }
    free(all);
}

/* The dense expert, as the stream would have trained it. */
static void train_dense(struct study *s, uint32_t task)
{
    const struct sgd_options sgd = tame_conv_net_parity(CLASSES).sgd;
    float z[BATCH * CLASSES], dz[BATCH * CLASSES];
    tame_conv_net_start(s->net, s->seed * TASKS_MAX + task, CLASSES, s->dense);
    memset(s->m, 0, sizeof s->m);
    for (int pass = 0; pass < PASSES; pass++)
        for (uint32_t at = 0; at < s->n_fit; at += BATCH) {
            const uint32_t n = s->n_fit - at < BATCH ? s->n_fit - at : BATCH;
            tame_conv_net_load(s->net, n, s->pictures + at);
            tame_conv_net_forward(s->net, s->dense, CLASSES, z);
            tame_expert_gradient(&s->shape, n, CLASSES, z, s->labels + at, dz);
            tame_conv_net_step(s->net, &sgd, CLASSES, dz, NULL, s->dense, s->m);
        }
}

static uint32_t count_right(struct study *s,
                            const float *w,
                            const uint8_t *const *pictures,
                            const uint32_t *labels,
                            uint32_t n)
{
    float z[CLASSES];
    uint32_t right = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t best = 0;
        tame_conv_net_load(s->net, 1, pictures + i);
        tame_conv_net_forward(s->net, w, CLASSES, z);
        for (uint32_t c = 1; c < CLASSES; c++)
            best = z[c] > z[best] ? c : best;
        right += best == labels[i];
    }
    return right;
}

static double held_out(struct study *s, const float *w)
{
    const uint32_t right = count_right(s, w, s->pictures + s->n_fit, s->labels + s->n_fit, HELD);
    return 100.0 * right / HELD;
}

/* ------------------------------------------------------------------ settings */

/* Overwrites what the text names; 0 if a part of it is not understood. */
static int read_setting(const char *text, struct setting *x)
{
    char *copy = need(strdup(text)), *rest = copy, *part;
    int good = 1;
    while (good && (part = strsep(&rest, ",")) != NULL) {
        const struct {
            const char *name;
            double *value;
        } keys[] = {{"share", &x->share}, {"epochs", &x->epochs}, {"lr", &x->lr},
                    {"decay", &x->decay}, {"rising", &x->rising}, {"samples", &x->samples}};
        char *value = strchr(part, '='), *end = NULL;
        good = 0;
        if (!value)
            break;
        *value++ = 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (strcmp(keys[i].name, part) == 0) {
                *keys[i].value = strtod(value, &end);
                good = end != value && *end == 0;
            }
    }
    free(copy);
    return good && x->epochs >= 1 && x->epochs <= 10000 && x->samples >= 1 && x->samples <= 60000;
}

static void try_setting(struct study *s, uint32_t task, const char *name, const struct setting *x)
{
    struct fault f = {0};
    struct tame_fit_problem p = {.net = s->net,
                                 .pictures = s->drawn,
                                 .targets = s->drawn_labels,
                                 .n = x->samples < s->n_fit ? (uint32_t)x->samples : s->n_fit,
                                 .classes = CLASSES,
                                 .root = {.seed = s->seed},
                                 .weights = s->w,
                                 .momentum = s->m};
    struct arena arena;
    struct tame_fit *fit;
    tame_fit_pruned(&p, x->share, (float)x->lr);
    p.sgd.weight_decay = (float)x->decay;
    tame_fit_shorten(&p, (uint32_t)x->epochs);
    p.rising = (uint32_t)(x->rising * p.epochs);
    memcpy(s->w, s->dense, sizeof s->w);
    memset(s->m, 0, sizeof s->m);
    const size_t bytes = tame_fit_plan(&p) + ARENA_ALIGN;
    void *memory = need(malloc(bytes));
    arena_init(&arena, memory, bytes);
    die(tame_fit_new(&p, &arena, &fit, &f), &f);
    while (!tame_fit_done(fit))
        (void)tame_fit_step(fit);
    const uint32_t right = count_right(s, s->w, s->drawn, s->drawn_labels, p.n);
    (void)printf("task %2u  %-40s held out %.2f  own samples %.2f\n", task, name, held_out(s, s->w),
                 100.0 * right / p.n);
    (void)fflush(stdout);
    arena_fini(&arena);
    free(memory);
}

static void study_task(struct study *s, uint32_t task)
{
    load_task(s, task);
    train_dense(s, task);
    (void)printf("task %2u  %-40s held out %.2f\n", task, "dense", held_out(s, s->dense));
    for (size_t i = 0; i < s->n_settings; i++) {
        struct setting x = published;
        (void)read_setting(s->settings[i], &x);
        try_setting(s, task, s->settings[i], &x);
    }
}

/* ------------------------------------------------------------------ command line */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct study *s = state->input;
    struct setting x = published;
    switch (key) {
    case 'm':
        s->folder = arg;
        return 0;
    case 's':
        s->seed = strtoull(arg, NULL, 10);
        return 0;
    case 't':
        s->tasks = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (s->n_settings == SETTINGS || !read_setting(arg, &x))
            argp_error(state, "'%s' is not a setting", arg);
        s->settings[s->n_settings++] = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option arguments[] = {
    {"mnist", 'm', "DIR", 0, "IDX files of MNIST (build/data/mnist)", 0},
    {"seed", 's', "N", 0, "of permutations, start and samples (2)", 0},
    {"tasks", 't', "LIST", 0, "tasks, 0 to 19 (3,7,11)", 0},
    {0}};

int main(int argc, char **argv)
{
    static struct study s = {.folder = "build/data/mnist", .tasks = "3,7,11", .seed = 2};
    const struct argp argp = {.options = arguments,
                              .parser = parse,
                              .args_doc = "[SETTING]...",
                              .doc = "Pruning settings of TAME's experts on held-out images"};
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    if (s.n_settings == 0) {
        s.settings[s.n_settings++] = "rising=0";
        s.settings[s.n_settings++] = "rising=0.5,decay=1e-3";
    }
    open_study(&s);
    char *list = need(strdup(s.tasks)), *rest = list, *part;
    while ((part = strsep(&rest, ",")) != NULL) {
        char *end;
        const unsigned long task = strtoul(part, &end, 10);
        if (end == part || *end || task >= tasks_count(s.set)) {
            (void)fprintf(stderr, "prune_study: there is no task '%s'\n", part);
            return 2;
        }
        study_task(&s, (uint32_t)task);
    }
    free(list);
    tasks_free(s.set);
    return 0;
}
