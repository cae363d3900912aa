/*
 * What lanes cost at prediction: one image (or a batch) through the frozen ViT alone, and with 1 to
 * 100 MULTI-LANE lanes watching, all in turn in every round, so that whatever else the machine does
 * meets them alike.  Prints one JSON object a line: the median of the rounds' ratios to the ViT
 * alone, with its quartiles, by the clock on the wall and by processor time (which a busy machine
 * disturbs less), and the ratio of the shortest processor times of all rounds. "lanes" asks for the
 * lanes' answers only, "all" for the base's logits and taps (the router's input) too.
 * beside=1 lets the lanes of a single image run on a second thread beside the stream
 * (vit_batch_watch): of use where a processor is idle.
 *
 * MODEL is a folder, or tiny28, face or vit-b16 for random weights of that size.
 *
 *     build/bench/lanes MODEL [THREADS] [BATCH] [ROUNDS] [beside=1] [OPTION=VALUE ...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/shapes/bench_shape.h"
#include "daemon/base/clock.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"
#include "learners/math/gemm.h"
#include "learners/methods/multilane/lane_server.h"

#define MAX_LANES  100
#define MAX_ROUNDS 2000
#define N_SERVED   7
#define CLASSES    10 /* of a lane */
#define WARM       3  /* rounds before the first that counts */

static const uint32_t served[N_SERVED] = {1, 2, 4, 8, 16, 32, 100};

/* What the rounds gave, sorted in the end: seconds or ratios. */
struct series {
    double wall[MAX_ROUNDS], cpu[MAX_ROUNDS];
};

struct seconds {
    double wall, cpu;
};

/* Everything; the process frees it by ending. */
struct bench {
    struct vit_weights weights; /* of a shape; those of a model folder are the model's */
    uint32_t threads, n, rounds;
    int beside;
    struct lane_options options;
    struct lane_trunk trunk;
    struct pool *pool;
    struct vit_batch *batch;
    struct lane_server *servers[N_SERVED];
    struct lane lanes[MAX_LANES];
    const struct lane_ready *ready[MAX_LANES];
    const float **images;
    float *logits, *taps;
    float *answers[MAX_LANES];
    struct series alone;
    struct series ratio[2][N_SERVED]; /* lanes, all */
    double best[2][N_SERVED];         /* shortest processor time */
};

static void *take(size_t count, size_t size)
{
    void *p = sysio_alloc(count ? count : 1, size);
    if (!p) {
        (void)fputs("lanes: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static void check(enum status s, const char *what, const struct fault *f)
{
    if (s == STATUS_OK)
        return;
    (void)fprintf(stderr, "lanes: %s: %s %s\n", what, status_name(s), f ? f->text : "");
    exit(1);
}

static struct arena *arena_of(size_t bytes)
{
    struct arena *a = take(1, sizeof *a);
    arena_init(a, take(bytes, 1), bytes);
    return a;
}

static void make_images(struct bench *b)
{
    const struct vit_config *c = b->trunk.config;
    const size_t image = (size_t)c->channels * c->image_size * c->image_size;
    float *pixels = take(b->n * image, sizeof *pixels);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 1}, "pixels", 0);
    for (size_t i = 0; i < b->n * image; i++)
        pixels[i] = rng_normal(&r);
    b->images = take(b->n, sizeof *b->images);
    for (uint32_t i = 0; i < b->n; i++)
        b->images[i] = pixels + i * image;
    b->logits = take((size_t)b->n * c->classes, sizeof(float));
    b->taps = take((size_t)b->n * c->depth * 2 * c->width, sizeof(float));
}

static void make_lanes(struct bench *b)
{
    const struct vit_config *c = b->trunk.config;
    const struct digest state = {{1}};
    for (uint32_t i = 0; i < MAX_LANES; i++) {
        struct lane *lane = &b->lanes[i];
        *lane = (struct lane){.options = b->options, .n_classes = CLASSES};
        lane->origin.seed = i;
        const struct rng_root root = lane_root(&lane->origin);
        lane->block = take(lane_floats(c, &b->options, CLASSES), sizeof(float));
        lane_init_parameters(c, &b->options, CLASSES, &root, NULL, lane->block);
        struct lane_ready *ready;
        struct arena *arena = arena_of(lane_ready_plan(c, &b->options));
        check(lane_ready_new(lane, &b->trunk, &state, arena, &ready), "lane", NULL);
        b->ready[i] = ready;
        b->answers[i] = take((size_t)b->n * CLASSES, sizeof(float));
    }
    for (size_t k = 0; k < N_SERVED; k++) {
        struct lane_server_sizes sizes = {0};
        struct fault f = {0};
        for (uint32_t i = 0; i < served[k]; i++)
            lane_server_count(&sizes, &b->ready[i]->view);
        struct arena *arena = arena_of(lane_server_plan(c, &sizes, b->n, b->threads));
        check(lane_server_new(&b->trunk, &state, b->ready, served[k], b->n, b->threads, arena,
                              &b->servers[k], &f),
              "server", &f);
    }
}

/* The network: a shape with random weights, or else a model folder. */
static void make_trunk(struct bench *b, const char *name)
{
    struct fault f = {0};
    const struct bench_shape *shape = bench_shape_get(name);
    if (shape) {
        float *weights = bench_shape_weights(shape);
        check(weights ? STATUS_OK : STATUS_NO_MEMORY, name, NULL);
        vit_weights_map(&shape->config, weights, &b->weights);
        b->trunk = (struct lane_trunk){&shape->config, &b->weights};
        return;
    }
    struct model *model;
    check(model_load_folder(name, &model, &f), name, &f);
    b->trunk = (struct lane_trunk){&model->config.vit, &model->w};
}

static void prepare(struct bench *b, const char *model)
{
    struct fault f = {0};
    make_trunk(b, model);
    check(lane_options_check(&b->options, b->trunk.config, &f), f.field, &f);
    check(pool_init(take(pool_plan(b->threads), 1), b->threads, &b->pool), "threads", NULL);
    struct arena *arena = arena_of(vit_batch_plan(b->trunk.config, VIT_INFER, b->n, b->threads));
    check(vit_batch_new(b->trunk.config, VIT_INFER, b->n, b->pool, arena, &b->batch), "batch",
          NULL);
    if (b->beside) {
        arena = arena_of(vit_batch_watch_plan(b->trunk.config, b->threads));
        check(vit_batch_watch(b->batch, arena), "batch", NULL);
    }
    make_images(b);
    make_lanes(b);
}

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* One pass; server NULL: the ViT alone. */
static struct seconds pass(struct bench *b, struct lane_server *server, int all)
{
    const struct vit_input in = {.n = b->n, .images = b->images};
    const struct vit_output out = {.logits = all || !server ? b->logits : NULL,
                                   .taps = all ? b->taps : NULL,
                                   .observer = server ? lane_server_observe : NULL,
                                   .observer_context = server};
    const int64_t start = clock_mono_us();
    const double cpu = cpu_seconds();
    vit_forward(b->batch, b->trunk.weights, &in, &out);
    if (server)
        lane_server_read(server, b->n, b->answers);
    return (struct seconds){(double)(clock_mono_us() - start) * 1e-6, cpu_seconds() - cpu};
}

static void round_of(struct bench *b, uint32_t round)
{
    const struct seconds alone = pass(b, NULL, 0);
    b->alone.wall[round] = alone.wall;
    b->alone.cpu[round] = alone.cpu;
    for (size_t k = 0; k < N_SERVED; k++)
        for (int all = 0; all < 2; all++) {
            const struct seconds t = pass(b, b->servers[k], all);
            b->ratio[all][k].wall[round] = t.wall / alone.wall;
            b->ratio[all][k].cpu[round] = t.cpu / alone.cpu;
            if (round == 0 || t.cpu < b->best[all][k])
                b->best[all][k] = t.cpu;
        }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(struct series *x, uint32_t n)
{
    qsort(x->wall, n, sizeof x->wall[0], by_value);
    qsort(x->cpu, n, sizeof x->cpu[0], by_value);
}

static void report_ratio(const struct bench *b, size_t k, int all)
{
    const struct series *r = &b->ratio[all][k];
    const uint32_t mid = b->rounds / 2, low = b->rounds / 4, high = b->rounds - 1 - low;
    (void)printf(
        "{\"work\": \"with lanes\", \"lanes\": %u, \"asked\": \"%s\", \"selectors\": %u, "
        "\"prompts\": %u, \"threads\": %u, \"batch\": %u, \"beside\": %d, \"ratio\": %.3f, "
        "\"quartiles\": [%.3f, %.3f], \"cpu_ratio\": %.3f, \"cpu_quartiles\": [%.3f, "
        "%.3f], \"best_cpu_ratio\": %.3f}\n",
        served[k], all ? "all" : "lanes", b->options.selectors, b->options.prompts, b->threads,
        b->n, b->beside, r->wall[mid], r->wall[low], r->wall[high], r->cpu[mid], r->cpu[low],
        r->cpu[high], b->best[all][k] / b->alone.cpu[0]);
}

static void measure(struct bench *b)
{
    for (uint32_t i = 0; i < WARM; i++)
        round_of(b, 0);
    for (uint32_t i = 0; i < b->rounds; i++)
        round_of(b, i);
    sort(&b->alone, b->rounds);
    (void)printf("{\"work\": \"vit alone\", \"threads\": %u, \"batch\": %u, \"rounds\": %u, "
                 "\"ms_median\": %.3f, \"ms_best\": %.3f, \"cpu_ms_median\": %.3f, \"kernel\": "
                 "\"%s\"}\n",
                 b->threads, b->n, b->rounds, b->alone.wall[b->rounds / 2] * 1e3,
                 b->alone.wall[0] * 1e3, b->alone.cpu[b->rounds / 2] * 1e3, gemm_kernel_name());
    for (size_t k = 0; k < N_SERVED; k++)
        for (int all = 0; all < 2; all++) {
            sort(&b->ratio[all][k], b->rounds);
            report_ratio(b, k, all);
        }
}

static int usage(void)
{
    (void)fputs("usage: lanes MODEL [THREADS] [BATCH] [ROUNDS] [beside=1] [OPTION=VALUE ...]\n",
                stderr);
    return 2;
}

/* A number from 1 to max, or 0. */
static uint32_t number(const char *text, uint32_t max)
{
    char *end;
    const unsigned long x = strtoul(text, &end, 10);
    return *end || x > max ? 0 : (uint32_t)x;
}

int main(int argc, char **argv)
{
    struct bench *b = take(1, sizeof *b);
    memset(b, 0, sizeof *b);
    uint32_t *const numbers[] = {&b->threads, &b->n, &b->rounds};
    const uint32_t limits[] = {POOL_MAX_THREADS, 1024, MAX_ROUNDS};
    b->threads = b->n = 1;
    b->rounds = 200;
    lane_options_default(&b->options);
    if (argc < 2)
        return usage();
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        struct fault f = {0};
        if (strcmp(argv[i], "beside=1") == 0) {
            b->beside = 1;
        } else if (equals) {
            *equals = '\0';
            check(lane_options_set(&b->options, argv[i], equals + 1, &f), argv[i], &f);
        } else if (i > 4 || (*numbers[i - 2] = number(argv[i], limits[i - 2])) == 0) {
            return usage();
        }
    }
    prepare(b, argv[1]);
    measure(b);
    pool_fini(b->pool);
    return 0;
}
