/*
 * A recurring stream of digit tasks without task ids (tame.md 7): t1 t2 t3 t2 t4 of pairs of
 * classes, learned by adapter experts on a frozen base model.  For every seed and run length one
 * stream; printed are the experts found, false and missed switches, delays and the four accuracies
 * of tame.md 2 on the test images, and one JSON line a stream goes to the results file.
 *
 *     build/bench/stream --model models/vit-fashion --data ~/.cache/lethe/mnist --seeds 10
 *         --runs 100,60,30 [--set NAME=VALUE]... [--global] [--label-noise P] [--bad-batch N]
 *         [--imbalance R] [--batch N] [--order 0,1,2,1,3] [--test N] [--held N] [--threads N]
 *         [--out FILE]
 *
 * --held N takes the last N training images of every class out of the stream and measures on them
 * instead of the test split: for choosing settings.
 */
#include "client/dataset/dataset.h"
#include "daemon/base/clock.h"
#include "daemon/base/rng.h"
#include "daemon/config/model_folder.h"
#include "learners/math/gemm.h"
#include "learners/methods/tame/tame_adapter.h"
#include "learners/methods/tame/tame_stream.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST       32
#define TASKS      5
#define TASK_WIDTH 2 /* classes of a task */
#define CLASSES    (TASKS * TASK_WIDTH)
#define CHUNK      256

struct settings {
    const char *model, *data, *out;
    const char *sets[MOST];
    uint32_t n_sets;
    uint32_t runs[MOST], n_runs;
    uint32_t order[MOST], n_order;
    uint32_t seeds, first_seed, batch, test, held, threads, bad_batch;
    double label_noise, imbalance;
    int global;
};

/* Images of one split, listed by class. */
struct split {
    struct dataset *set;
    uint32_t *of[CLASSES];
    uint32_t n[CLASSES];
};

struct bench {
    struct settings o;
    struct model *model;
    struct split train, test;
    struct pool *pool;
    void *pool_memory;
    FILE *out;
};

static void die(enum status status, const struct fault *f)
{
    if (status == STATUS_OK)
        return;
    (void)fprintf(stderr, "stream: %s: %s: %s\n", status_name(status), f->field, f->text);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        (void)fprintf(stderr, "stream: out of memory\n");
        exit(1);
    }
    return p;
}

/* ------------------------------------------------------------------ data */

static void list_classes(struct split *s)
{
    const struct dataset_shape shape = dataset_shape(s->set);
    const int32_t *labels = dataset_labels(s->set);
    for (uint32_t c = 0; c < CLASSES; c++) {
        s->of[c] = need(malloc(shape.n * sizeof(uint32_t)));
        s->n[c] = 0;
    }
    for (uint32_t i = 0; i < shape.n; i++)
        if (labels[i] < CLASSES) {
            const uint32_t c = (uint32_t)labels[i];
            s->of[c][s->n[c]++] = i;
        }
}

static void open_split(const struct bench *b, enum dataset_split which, struct split *s)
{
    struct fault f = {0};
    const struct vit_config *c = &b->model->config.vit;
    const struct dataset_options options = {.split = which};
    die(dataset_open(b->o.data, &options, &s->set, &f), &f);
    const struct dataset_shape shape = dataset_shape(s->set);
    if (shape.height != c->image_size || shape.width != c->image_size ||
        shape.channels != c->channels || !dataset_labels(s->set)) {
        (void)fprintf(stderr, "stream: pictures of %ux%u do not fit the model's %u\n", shape.width,
                      shape.height, c->image_size);
        exit(1);
    }
    list_classes(s);
}

static void open_data(struct bench *b)
{
    open_split(b, DATASET_TRAIN, &b->train);
    if (b->o.held == 0) {
        open_split(b, DATASET_TEST, &b->test);
        return;
    }
    b->test.set = b->train.set;
    for (uint32_t c = 0; c < CLASSES; c++) {
        const uint32_t n = b->o.held < b->train.n[c] ? b->o.held : b->train.n[c] / 2;
        b->train.n[c] -= n;
        b->test.of[c] = b->train.of[c] + b->train.n[c];
        b->test.n[c] = n;
    }
}

/* ------------------------------------------------------------------ one stream */

/* Where each class stands in its shuffled list: images come in order, epoch after epoch. */
struct feeder {
    uint32_t *order[CLASSES];
    uint32_t at[CLASSES];
    struct rng r;
};

struct trial {
    struct bench *b;
    uint64_t seed;
    uint32_t n_run;
    struct tame_options options;
    struct tame_adapter *engine;
    struct tame_stream *s;
    void *memory[2];
    struct feeder feed;
    uint32_t switches, spurious, missed, detected, delay;
    uint64_t wrong; /* samples that trained another expert than their task's */
    double seconds;
    double within, selector, expert, incremental;
};

static void feeder_open(const struct bench *b, uint64_t seed, struct feeder *x)
{
    rng_init(&x->r, &(struct rng_root){.seed = seed}, "bench/stream", 0);
    for (uint32_t c = 0; c < CLASSES; c++) {
        x->order[c] = need(malloc(b->train.n[c] * sizeof(uint32_t)));
        memcpy(x->order[c], b->train.of[c], b->train.n[c] * sizeof(uint32_t));
        rng_shuffle(&x->r, x->order[c], b->train.n[c]);
        x->at[c] = 0;
    }
}

/* The later classes of a task are `imbalance` times rarer than its first. */
static uint32_t draw_class(const struct bench *b, struct feeder *x)
{
    const float rare = (float)(1.0 / (1.0 + b->o.imbalance));
    if (b->o.imbalance > 1.0)
        return rng_uniform(&x->r) < rare ? 1 : 0;
    return (uint32_t)rng_below(&x->r, TASK_WIDTH);
}

static uint64_t key_of(uint64_t seed, uint64_t id)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "bench/key", id);
    return rng_u64(&r);
}

struct batch {
    const uint8_t *inputs[TAME_MAX_BATCH];
    uint32_t labels[TAME_MAX_BATCH];
    uint64_t ids[TAME_MAX_BATCH], keys[TAME_MAX_BATCH];
};

/* One batch in so many, at random places, has random labels. */
static int is_bad(const struct trial *t, uint64_t number)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = t->seed}, "bench/bad", number);
    return t->b->o.bad_batch && rng_below(&r, t->b->o.bad_batch) == 0;
}

static void draw_batch(
    const struct trial *t, struct feeder *x, uint32_t task, uint64_t number, struct batch *to)
{
    const struct bench *b = t->b;
    const int bad = is_bad(t, number);
    for (uint32_t i = 0; i < b->o.batch; i++) {
        const uint32_t k = draw_class(b, x), c = task * TASK_WIDTH + k;
        const uint32_t image = x->order[c][x->at[c]++ % b->train.n[c]];
        uint32_t label = k;
        if (bad || rng_uniform(&x->r) < (float)b->o.label_noise)
            label = (uint32_t)rng_below(&x->r, TASK_WIDTH);
        to->inputs[i] = dataset_image(b->train.set, image);
        to->labels[i] = b->o.global ? task * TASK_WIDTH + label : label;
        to->ids[i] = image;
        to->keys[i] = key_of(t->seed, image);
    }
}

static void set_options(const struct trial *t, struct tame_options *o)
{
    struct fault f = {0};
    const struct settings *s = &t->b->o;
    tame_options_default(o);
    o->n_run = t->n_run;
    o->batch_max = s->batch > CHUNK ? s->batch : CHUNK;
    o->experts_max = 32;
    o->classes_max = CLASSES;
    o->outputs = s->global ? 0 : TASK_WIDTH;
    o->selector = TAME_SELECTOR_LINEAR;
    o->store = TAME_STORE_FEATURE;
    for (uint32_t i = 0; i < s->n_sets; i++) {
        char name[64], *value;
        (void)snprintf(name, sizeof name, "%s", s->sets[i]);
        value = strchr(name, '=');
        if (!value) {
            (void)fprintf(stderr, "stream: --set wants NAME=VALUE\n");
            exit(1);
        }
        *value++ = '\0';
        die(tame_options_set(o, name, value, &f), &f);
    }
    tame_options_resolve(o);
}

static void trial_open(struct trial *t)
{
    struct fault f = {0};
    struct arena arena;
    const struct bench *b = t->b;
    const uint64_t batches = (uint64_t)t->n_run * b->o.n_order;
    struct tame_adapter_setup a = {.config = b->model->config.vit,
                                   .trunk = &b->model->w,
                                   .options = t->options,
                                   .pool = b->pool};
    preprocessing_affine(&b->model->config.prep, a.scale, a.shift);
    size_t bytes = tame_adapter_plan(&a.config, &t->options, b->o.threads);
    t->memory[0] = need(malloc(bytes));
    arena_init(&arena, t->memory[0], bytes);
    die(tame_adapter_new(&a, &arena, &t->engine, &f), &f);
    const struct tame_setup setup = {.kind = &tame_adapter_kind,
                                     .engine = t->engine,
                                     .options = t->options,
                                     .seed = t->seed,
                                     .trunk = b->model->digest,
                                     .ledger_steps = batches,
                                     .ledger_samples = batches * b->o.batch};
    bytes = tame_stream_plan(&setup);
    t->memory[1] = need(malloc(bytes));
    arena_init(&arena, t->memory[1], bytes);
    die(tame_stream_open(&setup, NULL, 0, &arena, &t->s, &f), &f);
}

static void feed_stream(struct trial *t)
{
    struct batch *x = need(malloc(sizeof *x));
    const struct settings *o = &t->b->o;
    for (uint32_t run = 0; run < o->n_order; run++) {
        int found = run == 0;
        for (uint32_t i = 0; i < t->n_run; i++) {
            struct tame_event v;
            struct fault f = {0};
            const uint64_t number = (uint64_t)run * t->n_run + i;
            draw_batch(t, &t->feed, o->order[run], number, x);
            const struct tame_samples samples = {.n = o->batch,
                                                 .inputs = x->inputs,
                                                 .labels = x->labels,
                                                 .ids = x->ids,
                                                 .keys = x->keys};
            die(tame_stream_observe(t->s, &samples, &v, &f), &f);
            if (number == 0 || v.verdict.old_id == v.verdict.id)
                continue;
            t->switches++;
            t->spurious += found != 0;
            t->delay += found ? 0 : i;
            t->detected += !found;
            found = 1;
        }
        t->missed += !found;
    }
    free(x);
}

/* ------------------------------------------------------------------ figures */

/* Samples of each task that every expert trained on; a sample's task is its image's. */
static void count_tasks(const struct trial *t, uint64_t counts[TAME_EXPERTS_MAX][TASKS])
{
    const struct tame_ledger *l = tame_stream_ledger(t->s);
    const int32_t *labels = dataset_labels(t->b->train.set);
    memset(counts, 0, TAME_EXPERTS_MAX * sizeof counts[0]);
    for (uint64_t i = 0; i < l->n_steps; i++) {
        const uint32_t e = tame_detector_find(tame_stream_detector(t->s), l->steps[i].expert);
        for (uint64_t k = l->steps[i].at; k < l->steps[i].at + l->steps[i].n; k++)
            counts[e][(uint32_t)labels[l->ids[k]] / TASK_WIDTH]++;
    }
}

/* e*(t): the expert that got most of the task; ties: lower. */
static void best_experts(struct trial *t, uint32_t best[TASKS])
{
    static uint64_t counts[TAME_EXPERTS_MAX][TASKS];
    count_tasks(t, counts);
    for (uint32_t k = 0; k < TASKS; k++) {
        uint64_t all = 0;
        best[k] = 0;
        for (uint32_t e = 0; e < tame_stream_detector(t->s)->n_experts; e++) {
            all += counts[e][k];
            best[k] = counts[e][k] > counts[best[k]][k] ? e : best[k];
        }
        t->wrong += all - counts[best[k]][k];
    }
}

/* The index inside its task that a label stands for. */
static uint32_t index_of(const struct trial *t, uint32_t label)
{
    return t->b->o.global ? label % TASK_WIDTH : label;
}

static uint32_t answer_of(const struct trial *t, uint32_t e, const float *z)
{
    const uint32_t n = tame_stream_weights(t->s, e)->classes;
    uint32_t best = 0;
    for (uint32_t j = 1; j < n; j++)
        best = z[j] > z[best] ? j : best;
    return tame_stream_labels(t->s, e)[best];
}

/* Right answers of a chunk of test images of class c; e_star is its task's expert. */
static void
measure_chunk(struct trial *t, uint32_t c, const uint32_t *rows, uint32_t n, uint32_t e_star)
{
    static float z[CHUNK * CLASSES];
    const uint8_t *inputs[CHUNK];
    struct tame_answer answers[CHUNK];
    struct fault f = {0};
    const uint32_t index = c % TASK_WIDTH;
    for (uint32_t i = 0; i < n; i++)
        inputs[i] = dataset_image(t->b->test.set, rows[i]);
    die(tame_stream_predict(t->s, NULL, NULL, n, inputs, answers, &f), &f);
    tame_stream_forward(t->s, e_star, n, inputs, z);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t own =
            answer_of(t, e_star, z + (size_t)i * tame_stream_weights(t->s, e_star)->classes);
        const int routed = answers[i].expert == e_star;
        const int right = answers[i].expert != TAME_NONE && index_of(t, answers[i].label) == index;
        t->within += right;
        t->selector += routed;
        t->expert += index_of(t, own) == index;
        t->incremental += t->b->o.global ? answers[i].label == c : routed && right;
    }
}

static void measure(struct trial *t)
{
    uint32_t best[TASKS], all = 0;
    uint8_t seen[TASKS] = {0};
    struct fault f = {0};
    die(tame_stream_fit_selector(t->s, &f), &f);
    best_experts(t, best);
    for (uint32_t i = 0; i < t->b->o.n_order; i++)
        seen[t->b->o.order[i]] = 1;
    for (uint32_t c = 0; c < CLASSES; c++) {
        const struct split *s = &t->b->test;
        const uint32_t limit = t->b->o.test && t->b->o.test < s->n[c] ? t->b->o.test : s->n[c];
        for (uint32_t at = 0; at < limit && seen[c / TASK_WIDTH]; at += CHUNK) {
            const uint32_t n = limit - at < CHUNK ? limit - at : CHUNK;
            measure_chunk(t, c, s->of[c] + at, n, best[c / TASK_WIDTH]);
            all += n;
        }
    }
    t->within /= all;
    t->selector /= all;
    t->expert /= all;
    t->incremental /= all;
}

/* ------------------------------------------------------------------ report */

static size_t version_bytes(const struct trial *t)
{
    size_t n = tame_stream_encode(t->s, NULL, 0);
    for (uint32_t e = 0; e < tame_stream_detector(t->s)->n_experts; e++)
        n += tame_stream_encode_expert(t->s, e, NULL, 0);
    return n;
}

/* Experts that the stream should have. */
static uint32_t right_experts(const struct settings *o)
{
    uint8_t seen[TASKS] = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_order; i++) {
        n += !seen[o->order[i]];
        seen[o->order[i]] = 1;
    }
    return n;
}

static void report(const struct trial *t)
{
    const struct settings *o = &t->b->o;
    const struct tame_detector *d = tame_stream_detector(t->s);
    const struct tame_totals *n = tame_stream_totals(t->s);
    const double delay = t->detected ? (double)t->delay / t->detected : 0.0;
    const int exact = d->n_experts == right_experts(o) && !t->spurious && !t->missed;
    (void)printf("run %4u seed %3llu  experts %2u  switches %2u  false %u  missed %u  delay %4.1f  "
                 "within %.4f  selector %.4f  expert %.4f  incremental %.4f  %.1f s%s\n",
                 t->n_run, (unsigned long long)t->seed, d->n_experts, t->switches, t->spurious,
                 t->missed, delay, t->within, t->selector, t->expert, t->incremental, t->seconds,
                 exact ? "" : "  *");
    (void)fflush(stdout);
    if (!t->b->out)
        return;
    (void)fprintf(
        t->b->out,
        "{\"bench\":\"stream\",\"mode\":\"%s\",\"labels\":\"%s\",\"n_run\":%u,\"batch\":%u,"
        "\"seed\":%llu,\"runs\":%u,\"window\":%u,\"patience\":%u,\"lr\":%g,\"rank\":%u,"
        "\"label_noise\":%g,\"bad_batch\":%u,\"imbalance\":%g,\"held\":%u,"
        "\"experts\":%u,\"right_experts\":%u,\"exact\":%s,\"switches\":%u,\"false\":%u,"
        "\"missed\":%u,\"delay\":%.2f,\"wrong_expert_samples\":%llu,\"quarantined_samples\":%llu,"
        "\"dropped_batches\":%llu,\"within\":%.6f,\"selector\":%.6f,\"expert\":%.6f,"
        "\"incremental\":%.6f,\"version_bytes\":%zu,\"seconds\":%.2f}\n",
        d->options.mode == TAME_PARITY ? "parity" : "hardened", o->global ? "global" : "local",
        t->n_run, o->batch, (unsigned long long)t->seed, o->n_order, d->options.window,
        d->options.patience, (double)d->options.lr, d->options.rank, o->label_noise, o->bad_batch,
        o->imbalance, o->held, d->n_experts, right_experts(o), exact ? "true" : "false",
        t->switches, t->spurious, t->missed, delay, (unsigned long long)t->wrong,
        (unsigned long long)n->quarantined, (unsigned long long)d->dropped, t->within, t->selector,
        t->expert, t->incremental, version_bytes(t), t->seconds);
    (void)fflush(t->b->out);
}

static void run_trial(struct bench *b, uint32_t n_run, uint64_t seed)
{
    struct tame_event v;
    struct fault f = {0};
    struct trial t = {.b = b, .seed = seed, .n_run = n_run};
    const int64_t start = clock_mono_us();
    set_options(&t, &t.options);
    trial_open(&t);
    feeder_open(b, seed, &t.feed);
    feed_stream(&t);
    die(tame_stream_close(t.s, &v, &f), &f);
    t.seconds = (double)(clock_mono_us() - start) / 1e6;
    measure(&t);
    report(&t);
    for (uint32_t c = 0; c < CLASSES; c++)
        free(t.feed.order[c]);
    free(t.memory[0]);
    free(t.memory[1]);
}

/* ------------------------------------------------------------------ command line */

static uint32_t parse_list(const char *text, uint32_t list[MOST])
{
    uint32_t n = 0;
    for (const char *at = text; *at && n < MOST;) {
        char *end;
        list[n++] = (uint32_t)strtoul(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
        if (at == end && *end) {
            (void)fprintf(stderr, "stream: '%s' is not a list of numbers\n", text);
            exit(2);
        }
    }
    return n;
}

static uint32_t parse_count(const char *text)
{
    char *end;
    const unsigned long x = strtoul(text, &end, 10);
    if (end == text || *end || x > 1000000) {
        (void)fprintf(stderr, "stream: '%s' is not a count\n", text);
        exit(2);
    }
    return (uint32_t)x;
}

static void check_settings(const struct settings *o)
{
    int bad = !o->model || !o->data || o->n_runs == 0 || o->n_order == 0;
    bad |= o->batch == 0 || o->batch > TAME_MAX_BATCH || o->threads == 0;
    for (uint32_t i = 0; i < o->n_order; i++)
        bad |= o->order[i] >= TASKS;
    for (uint32_t i = 0; i < o->n_runs; i++)
        bad |= o->runs[i] == 0;
    if (!bad)
        return;
    (void)fprintf(stderr,
                  "usage: stream --model FOLDER --data FOLDER [--seeds N] [--first-seed N]\n"
                  "    [--runs 100,60,30] [--order 0,1,2,1,3] [--batch N] [--global]\n"
                  "    [--label-noise P] [--bad-batch N] [--imbalance R] [--set NAME=VALUE]\n"
                  "    [--held N] [--test N] [--threads N] [--out FILE]\n");
    exit(2);
}

/* An option's number says what it is: below 10 a count, below 20 a real, below 30 a text. */
static const struct option options[] = {{"seeds", required_argument, NULL, 0},
                                        {"first-seed", required_argument, NULL, 1},
                                        {"batch", required_argument, NULL, 2},
                                        {"bad-batch", required_argument, NULL, 3},
                                        {"held", required_argument, NULL, 4},
                                        {"test", required_argument, NULL, 5},
                                        {"threads", required_argument, NULL, 6},
                                        {"label-noise", required_argument, NULL, 10},
                                        {"imbalance", required_argument, NULL, 11},
                                        {"model", required_argument, NULL, 20},
                                        {"data", required_argument, NULL, 21},
                                        {"out", required_argument, NULL, 22},
                                        {"runs", required_argument, NULL, 30},
                                        {"order", required_argument, NULL, 31},
                                        {"set", required_argument, NULL, 32},
                                        {"global", no_argument, NULL, 33},
                                        {NULL, 0, NULL, 0}};

static void parse(int argc, char **argv, struct settings *o)
{
    uint32_t *const counts[] = {&o->seeds, &o->first_seed, &o->batch,  &o->bad_batch,
                                &o->held,  &o->test,       &o->threads};
    double *const reals[] = {&o->label_noise, &o->imbalance};
    const char **const texts[] = {&o->model, &o->data, &o->out};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c < 10)
            *counts[c] = parse_count(optarg);
        else if (c < 20)
            *reals[c - 10] = strtod(optarg, NULL);
        else if (c < 30)
            *texts[c - 20] = optarg;
        else if (c == 30)
            o->n_runs = parse_list(optarg, o->runs);
        else if (c == 31)
            o->n_order = parse_list(optarg, o->order);
        else if (c == 32 && o->n_sets < MOST)
            o->sets[o->n_sets++] = optarg;
        else if (c == 33)
            o->global = 1;
        else
            o->model = NULL; /* unknown: the usage text */
    }
    check_settings(o);
}

int main(int argc, char **argv)
{
    struct fault f = {0};
    struct bench b = {.o = {.seeds = 1, .first_seed = 1, .batch = 128, .threads = 1}};
    b.o.n_runs = parse_list("100", b.o.runs);
    b.o.n_order = parse_list("0,1,2,1,3", b.o.order);
    parse(argc, argv, &b.o);
    die(gemm_setup(&f), &f);
    die(model_load_folder(b.o.model, &b.model, &f), &f);
    b.pool_memory = need(malloc(pool_plan(b.o.threads)));
    die(pool_init(b.pool_memory, b.o.threads, &b.pool), &f);
    open_data(&b);
    b.out = b.o.out ? need(fopen(b.o.out, "a")) : NULL;
    for (uint32_t r = 0; r < b.o.n_runs; r++)
        for (uint32_t s = 0; s < b.o.seeds; s++)
            run_trial(&b, b.o.runs[r], b.o.first_seed + s);
    pool_fini(b.pool);
    free(b.pool_memory);
    model_free(b.model);
    dataset_free(b.train.set);
    if (b.test.set != b.train.set)
        dataset_free(b.test.set);
    return b.out && fclose(b.out) ? 1 : 0;
}
