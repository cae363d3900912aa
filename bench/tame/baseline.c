#include "bench/tame/baseline.h"

#include "daemon/base/clock.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "learners/methods/tame/tame_conv_net.h"

#include <stdio.h>
#include <string.h>

#define REPORT_EVERY 2000 /* batches */

struct baseline {
    const struct run_settings *settings;
    struct tasks *tasks;
    uint32_t classes; /* outputs of the net */
    int joint, incremental;
    void *pool_memory, *memory;
    struct pool *pool;
    struct arena arena;
    struct tame_conv_net *net;
    struct tame_conv_net_config config;
    struct tame_shape shape;
    float *w, *m, *logits, *dlogits, *losses;
    uint32_t *order; /* joint: positions of an epoch, shuffled */
    uint32_t n_epoch;
    /* a batch */
    uint8_t pixels[TRIAL_BATCH][TASKS_PICTURE];
    const uint8_t *pictures[TRIAL_BATCH];
    uint32_t targets[TRIAL_BATCH], n;
};

const char *baseline_name(enum baseline_kind kind)
{
    static const char *const names[BASELINE_KINDS] = {"fine-tune-within", "fine-tune-incremental",
                                                      "joint-within", "joint-incremental"};
    return names[kind];
}

/* ------------------------------------------------------------------ life */

static enum status open_baseline(struct baseline *b, struct fault *f)
{
    const struct run_settings *s = b->settings;
    TRY(tasks_open(s->stream, s->folder, s->seed, s->limit, &b->tasks, f));
    b->classes = tasks_classes(b->tasks) * (b->incremental ? tasks_count(b->tasks) : 1);
    b->config = tame_conv_net_parity(b->classes);
    b->config.image_size = tasks_side(b->tasks);
    b->config.batch_max = TRIAL_BATCH;
    b->n_epoch = (uint32_t)tasks_length(b->tasks, 1);
    const size_t bytes = tame_conv_net_plan(&b->config) + ARENA_ALIGN;
    const size_t floats = tame_conv_net_floats(b->classes);
    const size_t numbers = (size_t)TRIAL_BATCH * b->classes;
    b->pool_memory = sysio_alloc(pool_plan(s->threads), 1);
    b->memory = sysio_alloc(bytes, 1);
    b->w = sysio_alloc(floats, sizeof(float));
    b->m = sysio_alloc(floats, sizeof(float));
    b->logits = sysio_alloc(numbers, sizeof(float));
    b->dlogits = sysio_alloc(numbers, sizeof(float));
    b->losses = sysio_alloc(TRIAL_BATCH, sizeof(float));
    b->order = sysio_alloc(b->n_epoch, sizeof(uint32_t));
    if (!b->pool_memory || !b->memory || !b->w || !b->m || !b->logits || !b->dlogits ||
        !b->losses || !b->order)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a baseline");
    arena_init(&b->arena, b->memory, bytes);
    TRY(pool_init(b->pool_memory, s->threads, &b->pool));
    TRY(tame_conv_net_new(&b->config, b->pool, &b->arena, &b->net, f));
    tame_kind_conv.shape(b->net, &b->shape);
    tame_conv_net_start(b->net, s->seed, b->classes, b->w);
    return STATUS_OK;
}

static void free_baseline(struct baseline *b)
{
    pool_fini(b->pool);
    tasks_free(b->tasks);
    void *all[] = {b->pool_memory, b->memory, b->w,     b->m, b->logits,
                   b->dlogits,     b->losses, b->order, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sysio_free(all[i]);
}

/* ------------------------------------------------------------------ training and test */

static void put_sample(struct baseline *b, enum dataset_split split, uint64_t number)
{
    const uint32_t task = tasks_task_of(b->tasks, split, number);
    const uint32_t label = tasks_label_of(b->tasks, split, number);
    tasks_picture(b->tasks, split, number, b->pixels[b->n]);
    b->pictures[b->n] = b->pixels[b->n];
    b->targets[b->n] = b->incremental ? task * tasks_classes(b->tasks) + label : label;
    b->n++;
}

static void forward(struct baseline *b)
{
    tame_conv_net_load(b->net, b->n, b->pictures);
    tame_conv_net_forward(b->net, b->w, b->classes, b->logits);
}

static double step(struct baseline *b)
{
    forward(b);
    const double loss =
        tame_expert_loss(&b->shape, b->n, b->classes, b->logits, b->targets, b->losses);
    tame_expert_gradient(&b->shape, b->n, b->classes, b->logits, b->targets, b->dlogits);
    tame_conv_net_step(b->net, &b->config.sgd, b->classes, b->dlogits, NULL, b->w, b->m);
    b->n = 0;
    return loss;
}

static void shuffle_epoch(struct baseline *b, uint64_t epoch)
{
    const struct rng_root root = {.seed = b->settings->seed};
    struct rng r;
    rng_init(&r, &root, "joint", epoch);
    for (uint32_t i = 0; i < b->n_epoch; i++)
        b->order[i] = i;
    rng_shuffle(&r, b->order, b->n_epoch);
}

/* Position `at` of the training: the stream's, or that of a shuffle of one pass over all tasks. */
static uint64_t number_at(struct baseline *b, uint64_t at)
{
    if (!b->joint)
        return tasks_at(b->tasks, b->settings->epochs, at);
    if (at % b->n_epoch == 0)
        shuffle_epoch(b, at / b->n_epoch);
    return tasks_at(b->tasks, 1, b->order[at % b->n_epoch]);
}

static void train(struct baseline *b, run_tell *tell, void *context)
{
    const uint64_t length = tasks_length(b->tasks, b->settings->epochs);
    uint64_t batches = 0;
    for (uint64_t at = 0; at < length; at++) {
        put_sample(b, DATASET_TRAIN, number_at(b, at));
        if (b->n < TRIAL_BATCH && at + 1 < length)
            continue;
        const double loss = step(b);
        if (++batches % REPORT_EVERY == 0) {
            char text[128];
            (void)snprintf(text, sizeof text, "%llu of %llu pictures, loss %.4f",
                           (unsigned long long)(at + 1), (unsigned long long)length, loss);
            tell(context, text);
        }
    }
}

static uint64_t count_right(struct baseline *b)
{
    uint64_t right = 0;
    forward(b);
    for (uint32_t i = 0; i < b->n; i++) {
        const float *z = b->logits + (size_t)i * b->classes;
        uint32_t best = 0;
        for (uint32_t c = 1; c < b->classes; c++)
            if (z[c] > z[best])
                best = c;
        right += best == b->targets[i];
    }
    b->n = 0;
    return right;
}

static void test(struct baseline *b, struct baseline_result *r)
{
    r->n_tasks = tasks_count(b->tasks);
    for (uint32_t k = 0; k < r->n_tasks; k++) {
        const uint32_t n = tasks_size(b->tasks, DATASET_TEST, k);
        for (uint32_t i = 0; i < n; i++) {
            put_sample(b, DATASET_TEST, tasks_number(b->tasks, DATASET_TEST, k, i));
            if (b->n == TRIAL_BATCH || i + 1 == n)
                r->task_right[k] += count_right(b);
        }
        r->task_n[k] = n;
        r->n += n;
        r->right += r->task_right[k];
    }
}

enum status baseline_execute(const struct run_settings *s,
                             enum baseline_kind kind,
                             run_tell *tell,
                             void *context,
                             struct baseline_result *ret_result,
                             struct fault *f)
{
    const int64_t start = clock_mono_us();
    struct baseline *b = sysio_alloc(1, sizeof *b);
    if (!b)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a baseline");
    b->settings = s;
    b->joint = kind == BASELINE_JOINT_WITHIN || kind == BASELINE_JOINT_INCREMENTAL;
    b->incremental = kind == BASELINE_TUNE_INCREMENTAL || kind == BASELINE_JOINT_INCREMENTAL;
    const enum status st = open_baseline(b, f);
    if (st == STATUS_OK) {
        memset(ret_result, 0, sizeof *ret_result);
        train(b, tell, context);
        test(b, ret_result);
        ret_result->seconds = (double)(clock_mono_us() - start) * 1e-6;
    }
    free_baseline(b);
    return st;
}
