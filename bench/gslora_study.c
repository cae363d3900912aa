/*
 * Study of GS-LoRA++ settings on a model folder and an image set: for every setting, the erasures
 * one after the other, each followed by accuracies over all outputs and by the representation
 * probes.  Prints one line a request, and with --json one object a line to a file.  The oracle
 * figures come from model folders that were trained without the classes: the first --oracle without
 * those of the first --erase, the second without those of the first two, and so on.
 *
 *   gslora_study --model DIR [--data PATH] [--oracle DIR]... [--erase 5,8] [--erase 0,9]
 *                [--held 5000] [--run name:option=value,option=value]...
 * Settings are chosen with --held: figures are then those of the images that the base's own
 * pre-training held out (lethe-pretrain --valid 5000 --seed 1).  Without it they are of the test
 * split, for the report.
 */
#include "client/dataset/dataset.h"
#include "daemon/base/arena.h"
#include "daemon/base/clock.h"
#include "daemon/config/model_folder.h"
#include "learners/data/replay.h"
#include "learners/data/sampler.h"
#include "learners/eval/representation.h"
#include "learners/eval/ridge_probe.h"
#include "learners/math/gemm.h"
#include "learners/methods/gslora/gslora.h"
#include "learners/methods/gslora/prototype_means.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUDY_MAX_RUNS   64
#define STUDY_MAX_ERASES 8
#define STUDY_CHUNK      64
#define STUDY_ARENA      ((size_t)3 << 30)

struct study_options {
    const char *model, *data, *json;
    const char *oracles[STUDY_MAX_ERASES];
    size_t n_oracles;
    const char *runs[STUDY_MAX_RUNS];
    size_t n_runs;
    const char *erases[STUDY_MAX_ERASES];
    size_t n_erases;
    uint32_t train, valid, test, threads;
    uint32_t held; /* 0: the test split is measured */
    uint64_t seed;
    int verbose, blocks;
};

/* One image set with its index lists. */
struct study_images {
    struct dataset *set;
    struct image_table table;
    uint32_t *list; /* test: all images used, in class order */
    uint32_t n;
};

struct study {
    struct study_options o;
    struct model *model;
    struct vit_weights folded;
    float *fold_memory;
    struct delta deltas[STUDY_MAX_ERASES];
    uint32_t n_deltas;
    uint8_t erased[VIT_MAX_CLASSES]; /* 0 live, 1 by this request, 2 earlier */
    struct study_images train, test;
    struct replay memory;
    float *prototypes;
    uint64_t *counts;
    void *arena_memory, *pool_memory;
    struct arena arena;
    struct pool *pool;
    /* answers on the test list */
    float *logits, *features, *taps;
    FILE *json;
};

static void die(enum status s, const struct fault *f)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "gslora_study: %s: %s: %s\n", status_name(s), f->field, f->text);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        fputs("gslora_study: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* ------------------------------------------------------------------ set-up */

static void open_images(struct study *s, enum dataset_split split, struct study_images *images)
{
    struct fault f = {0};
    const struct dataset_options options = {.split = split};
    die(dataset_open(s->o.data, &options, &images->set, &f), &f);
    const struct dataset_shape shape = dataset_shape(images->set);
    images->table = (struct image_table){.pixels = dataset_image(images->set, 0),
                                         .labels = dataset_labels(images->set),
                                         .n = shape.n,
                                         .size = shape.height,
                                         .channels = shape.channels};
    preprocessing_affine(&s->model->config.prep, images->table.scale, images->table.shift);
}

static uint32_t without(const uint8_t *taken, uint32_t *list, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!taken[list[i]])
            list[kept++] = list[i];
    return kept;
}

/* The images that the base's pre-training did not train on are measured and not in the memory. */
static void draw_held(struct study *s)
{
    const uint32_t classes = s->model->config.vit.classes, n = s->train.table.n;
    const struct rng_root root = {.seed = 1};
    const struct replay_size size = {s->o.test, 0};
    uint32_t *items = need(malloc((size_t)n * sizeof *items));
    uint32_t *rest = need(malloc((size_t)n * sizeof *rest));
    uint32_t *scratch = need(malloc(((size_t)n + 2 * (size_t)classes) * sizeof *scratch));
    uint32_t *counts = need(calloc(classes, sizeof *counts));
    uint8_t *taken = need(calloc(n, 1));
    for (uint32_t i = 0; i < n; i++)
        items[i] = i;
    s->test = s->train;
    s->test.list = need(malloc((size_t)s->o.held * sizeof *s->test.list));
    sampler_split(&root, "valid", s->train.table.labels, classes, items, n, s->o.held, s->test.list,
                  rest, scratch);
    for (uint32_t i = 0; i < s->o.held; i++)
        taken[s->test.list[i]] = 1;
    s->test.n = replay_cap(s->train.table.labels, s->test.list, s->o.held, classes,
                           size.train_per_class, counts, s->test.list);
    s->memory.n_train = without(taken, s->memory.train, s->memory.n_train);
    s->memory.n_valid = without(taken, s->memory.valid, s->memory.n_valid);
    free(items);
    free(rest);
    free(scratch);
    free(counts);
    free(taken);
}

/* The memory of training and validation images, and the test images in use. */
static void draw_lists(struct study *s)
{
    const uint32_t classes = s->model->config.vit.classes;
    const struct rng_root root = {.seed = s->o.seed};
    uint32_t *scratch = need(malloc((size_t)s->train.table.n * sizeof *scratch));
    s->memory.train = need(malloc((size_t)classes * s->o.train * sizeof(uint32_t)));
    s->memory.valid = need(malloc((size_t)classes * s->o.valid * sizeof(uint32_t)));
    const struct replay_size size = {s->o.train, s->o.valid};
    replay_draw(s->train.table.labels, s->train.table.n, classes, NULL, &size, &root, scratch,
                &s->memory);
    if (s->o.held) {
        free(scratch);
        draw_held(s);
        return;
    }
    const struct replay_size test_size = {s->o.test, 0};
    struct replay test = {.train = need(malloc((size_t)classes * s->o.test * sizeof(uint32_t)))};
    test.valid = test.train;
    replay_draw(s->test.table.labels, s->test.table.n, classes, NULL, &test_size, &root, scratch,
                &test);
    s->test.list = test.train;
    s->test.n = test.n_train;
    free(scratch);
}

static void compute_prototypes(struct study *s)
{
    struct fault f = {0};
    const struct vit_config *c = &s->model->config.vit;
    s->prototypes = need(malloc((size_t)c->classes * c->width * sizeof(float)));
    s->counts = need(malloc(c->classes * sizeof *s->counts));
    const struct prototype_means_job job = {.config = c,
                                            .weights = &s->model->w,
                                            .images = &s->train.table,
                                            .list = s->memory.train,
                                            .n = s->memory.n_train,
                                            .space = GSLORA_PROTO_EMBED};
    die(prototype_means_compute(&job, s->pool, &s->arena, s->prototypes, s->counts, &f), &f);
}

static void set_up(struct study *s)
{
    struct fault f = {0};
    die(model_load_folder(s->o.model, &s->model, &f), &f);
    die(gemm_setup(&f), &f);
    const struct vit_config *c = &s->model->config.vit;
    s->pool_memory = need(malloc(pool_plan(s->o.threads)));
    die(pool_init(s->pool_memory, s->o.threads, &s->pool), &f);
    s->arena_memory = need(malloc(STUDY_ARENA));
    arena_init(&s->arena, s->arena_memory, STUDY_ARENA);
    open_images(s, DATASET_TRAIN, &s->train);
    if (!s->o.held)
        open_images(s, DATASET_TEST, &s->test);
    draw_lists(s);
    compute_prototypes(s);
    s->fold_memory = need(malloc(delta_fold_floats(c) * sizeof(float)));
    delta_fold_map(c, &s->model->w, s->fold_memory, &s->folded);
    s->logits = need(malloc((size_t)s->test.n * c->classes * sizeof(float)));
    s->features = need(malloc((size_t)s->test.n * c->width * sizeof(float)));
    s->taps = need(malloc((size_t)s->test.n * c->depth * 2 * c->width * sizeof(float)));
}

/* ------------------------------------------------------------------ measuring */

static void forward_test(struct study *s, const struct model *m, const struct vit_weights *w)
{
    const struct vit_config *c = &m->config.vit;
    const struct arena_mark mark = arena_mark(&s->arena);
    const size_t pixels = images_floats(&s->test.table);
    struct vit_batch *batch;
    struct fault f = {0};
    die(vit_batch_new(c, VIT_INFER, STUDY_CHUNK, s->pool, &s->arena, &batch), &f);
    float *memory = need(arena_alloc(&s->arena, STUDY_CHUNK * pixels, sizeof(float)));
    const float *inputs[STUDY_CHUNK];
    for (uint32_t at = 0; at < s->test.n; at += STUDY_CHUNK) {
        const uint32_t n = s->test.n - at < STUDY_CHUNK ? s->test.n - at : STUDY_CHUNK;
        for (uint32_t i = 0; i < n; i++) {
            images_load(&s->test.table, s->test.list[at + i], memory + i * pixels);
            inputs[i] = memory + i * pixels;
        }
        const struct vit_input in = {.n = n, .images = inputs};
        struct vit_output out = {.embeddings = s->features + (size_t)at * c->width,
                                 .logits = s->logits + (size_t)at * c->classes};
        if (s->o.blocks)
            out.taps = s->taps + (size_t)at * c->depth * 2 * c->width;
        vit_forward(batch, w, &in, &out);
    }
    arena_rewind(&s->arena, mark);
}

/* Accuracy over all outputs on the classes with this mark; -1 if there is none. */
static double accuracy(const struct study *s, uint8_t mark)
{
    const uint32_t classes = s->model->config.vit.classes;
    uint32_t n = 0, right = 0;
    for (uint32_t i = 0; i < s->test.n; i++) {
        const uint32_t label = (uint32_t)s->test.table.labels[s->test.list[i]];
        if (s->erased[label] != mark)
            continue;
        const float *z = s->logits + (size_t)i * classes;
        uint32_t best = 0;
        for (uint32_t k = 1; k < classes; k++)
            best = z[k] > z[best] ? k : best;
        right += best == label;
        n++;
    }
    return n ? (double)right / n : -1;
}

/* Rows of the measured images whose class has this mark, `stride` floats apart, packed. */
static struct representation_rows
collect(const struct study *s, const float *x, size_t stride, size_t width, uint8_t mark)
{
    float *rows = need(malloc((size_t)s->test.n * width * sizeof(float)));
    uint32_t *labels = need(malloc((size_t)s->test.n * sizeof *labels));
    struct representation_rows r = {
        .x = rows, .labels = labels, .n_labels = s->model->config.vit.classes};
    for (uint32_t i = 0; i < s->test.n; i++) {
        const uint32_t label = (uint32_t)s->test.table.labels[s->test.list[i]];
        if (s->erased[label] != mark)
            continue;
        memcpy(rows + r.n * width, x + i * stride, width * sizeof *rows);
        labels[r.n++] = label;
    }
    return r;
}

struct probes {
    double ncm, ridge;
};

static struct probes probe(struct study *s, const float *x, size_t stride, size_t width)
{
    const struct arena_mark mark = arena_mark(&s->arena);
    const struct representation_rows live = collect(s, x, stride, width, 0);
    const struct representation_rows question = collect(s, x, stride, width, 1);
    const struct representation_options options = {.support = REPRESENTATION_SUPPORT,
                                                   .draws = REPRESENTATION_DRAWS,
                                                   .root = {.seed = s->o.seed}};
    struct representation *r;
    struct representation_ncm ncm;
    struct ridge_probe ridge;
    struct fault f = {0};
    die(representation_prepare(&live, (uint32_t)width, &s->arena, &r), &f);
    die(representation_ncm_run(r, &question, &options, &s->arena, &ncm), &f);
    die(ridge_probe_run(r, &question, &options, &s->arena, &ridge), &f);
    union {
        const void *in;
        void *out;
    } unconst[4] = {{live.x}, {live.labels}, {question.x}, {question.labels}};
    for (int i = 0; i < 4; i++)
        free(unconst[i].out);
    arena_rewind(&s->arena, mark);
    return (struct probes){ncm.accuracy.value, ridge.accuracy.value};
}

/* One line of figures; marks say which classes are erased. */
static void print_figures(struct study *s, const char *name, size_t request)
{
    const struct vit_config *c = &s->model->config.vit;
    const struct probes e = probe(s, s->features, c->width, c->width);
    const double old = accuracy(s, 2);
    if (s->json)
        fprintf(s->json,
                "{\"run\":\"%s\",\"erase\":\"%s\",\"images\":\"%s\",\"seed\":%llu,"
                "\"acc_forget\":%.4f,\"acc_retain\":%.4f,\"acc_old\":%.4f,\"ncm\":%.4f,"
                "\"ridge\":%.4f}\n",
                name, s->o.erases[request], s->o.held ? "held" : "test",
                (unsigned long long)s->o.seed, accuracy(s, 1), accuracy(s, 0), old, e.ncm, e.ridge);
    printf("  %-22s %s: f %.4f  r %.4f  old %s%.4f  ncm %.3f  ridge %.3f", name,
           s->o.held ? "held" : "test", accuracy(s, 1), accuracy(s, 0), old < 0 ? "-" : "",
           fabs(old), e.ncm, e.ridge);
    for (uint32_t l = 0; s->o.blocks && l < c->depth; l++) {
        const size_t stride = (size_t)c->depth * 2 * c->width;
        const struct probes p =
            probe(s, s->taps + (size_t)l * 2 * c->width, stride, (size_t)2 * c->width);
        printf("  b%u %.3f", l + 1, p.ridge);
    }
    putchar('\n');
    fflush(stdout);
}

/* ------------------------------------------------------------------ one erasure */

static void mark_classes(struct study *s, const char *list)
{
    for (uint32_t k = 0; k < VIT_MAX_CLASSES; k++)
        if (s->erased[k] == 1)
            s->erased[k] = 2;
    for (const char *at = list; *at;) {
        char *end;
        const unsigned long k = strtoul(at, &end, 10);
        if (end == at || k >= s->model->config.vit.classes) {
            fprintf(stderr, "gslora_study: '%s' is not a list of classes\n", list);
            exit(1);
        }
        s->erased[k] = 1;
        at = *end == ',' ? end + 1 : end;
    }
}

/* Images of the classes with this mark, in a new array. */
static uint32_t *
filter(const struct study *s, const uint32_t *list, uint32_t n, uint8_t mark, uint32_t *ret_n)
{
    uint32_t *out = need(malloc(((size_t)n + 1) * sizeof *out));
    *ret_n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (s->erased[s->train.table.labels[list[i]]] == mark)
            out[(*ret_n)++] = list[i];
    return out;
}

static void watch(void *context, const struct gslora_progress *p)
{
    const struct study *s = context;
    if (!s->o.verbose || (!p->validated && p->step % 10 != 0))
        return;
    fprintf(stderr, "%5u/%u lr %.4f loss %.3f r %.3f f %.3f d %.3f l0 %u |", p->step, p->steps,
            (double)p->lr, (double)p->loss, (double)p->loss_retain, (double)p->loss_forget,
            (double)p->loss_depth, p->first_awake);
    for (uint32_t l = 0; l < p->n_groups; l++)
        fprintf(stderr, " %.2f", (double)p->group_norms[l]);
    if (p->validated)
        fprintf(stderr, " | f %.4f r %.4f h %.4f sw %.4f", p->figures->acc_forget,
                p->figures->acc_retain, p->figures->h, p->figures->depth);
    fputc('\n', stderr);
}

static void set_options(const char *text, struct gslora_options *o)
{
    struct fault f = {0};
    gslora_options_default(o);
    const char *colon = strchr(text, ':');
    if (!colon)
        return;
    char *copy = need(strdup(colon + 1)), *rest = NULL;
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(item, '=');
        if (equals)
            *equals++ = '\0';
        die(gslora_options_set(o, item, equals ? equals : "", &f), &f);
    }
    free(copy);
}

static void erase(struct study *s, const struct gslora_options *o, const char *name, size_t request)
{
    struct gslora_problem p = {.config = s->model->config.vit,
                               .weights = &s->folded,
                               .prototypes = s->prototypes,
                               .prototype_counts = s->counts,
                               .images = s->train.table,
                               .origin = {.seed = s->o.seed}};
    p.origin.request.b[0] = (uint8_t)(request + 1);
    uint32_t *lists[4];
    lists[0] = filter(s, s->memory.train, s->memory.n_train, 1, &p.forget.n_train);
    lists[1] = filter(s, s->memory.valid, s->memory.n_valid, 1, &p.forget.n_valid);
    lists[2] = filter(s, s->memory.train, s->memory.n_train, 0, &p.retain.n_train);
    lists[3] = filter(s, s->memory.valid, s->memory.n_valid, 0, &p.retain.n_valid);
    p.forget.train = lists[0];
    p.forget.valid = lists[1];
    p.retain.train = lists[2];
    p.retain.valid = lists[3];
    const struct gslora_tools tools = {
        .pool = s->pool, .arena = &s->arena, .observer = watch, .observer_context = s};
    struct gslora_result r;
    struct fault f = {0};
    const int64_t start = clock_mono_us();
    die(gslora_run(&p, o, &tools, &r, &f), &f);
    const double seconds = (double)(clock_mono_us() - start) * 1e-6;
    s->deltas[s->n_deltas++] = r.delta;
    delta_fold(&p.config, &s->model->w, s->deltas, s->n_deltas, &s->folded);
    printf("%-18s erase %-5s %5.1f s  %4u steps (at %u)  zero %u/%u  %s; valid: f %.4f->%.4f r "
           "%.4f->%.4f sw %.3f->%.3f\n",
           name, s->o.erases[request], seconds, r.steps, r.snapshot_step, r.groups_zero,
           r.groups_total, gslora_outcome_text(r.outcome), r.before.acc_forget, r.after.acc_forget,
           r.before.acc_retain, r.after.acc_retain, r.before.depth, r.after.depth);
    for (int i = 0; i < 4; i++)
        free(lists[i]);
    forward_test(s, s->model, &s->folded);
    print_figures(s, name, request);
}

static void run_setting(struct study *s, const char *text)
{
    char name[64];
    struct gslora_options o;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    set_options(text, &o);
    const struct arena_mark mark = arena_mark(&s->arena);
    memset(s->erased, 0, sizeof s->erased);
    s->n_deltas = 0;
    delta_fold(&s->model->config.vit, &s->model->w, NULL, 0, &s->folded);
    for (size_t i = 0; i < s->o.n_erases; i++) {
        mark_classes(s, s->o.erases[i]);
        erase(s, &o, name, i);
    }
    arena_rewind(&s->arena, mark);
}

/* Figures of a model as it is, for the prefixes first..last of the list of erasures. */
static void
measure_model(struct study *s, const struct model *m, const char *name, size_t first, size_t last)
{
    memset(s->erased, 0, sizeof s->erased);
    forward_test(s, m, &m->w);
    for (size_t i = 0; i <= last; i++) {
        mark_classes(s, s->o.erases[i]);
        if (i >= first)
            print_figures(s, name, i);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct study_options *o = state->input;
    switch (key) {
    case 'm':
        o->model = arg;
        break;
    case 'o':
        if (o->n_oracles == STUDY_MAX_ERASES)
            argp_error(state, "too many --oracle");
        o->oracles[o->n_oracles++] = arg;
        break;
    case 'j':
        o->json = arg;
        break;
    case 'H':
        o->held = (uint32_t)strtoul(arg, NULL, 10);
        break;
    case 'd':
        o->data = arg;
        break;
    case 't':
        o->threads = (uint32_t)strtoul(arg, NULL, 10);
        break;
    case 'n':
        o->train = (uint32_t)strtoul(arg, NULL, 10);
        break;
    case 'V':
        o->valid = (uint32_t)strtoul(arg, NULL, 10);
        break;
    case 'T':
        o->test = (uint32_t)strtoul(arg, NULL, 10);
        break;
    case 's':
        o->seed = strtoull(arg, NULL, 10);
        break;
    case 'v':
        o->verbose = 1;
        break;
    case 'b':
        o->blocks = 1;
        break;
    case 'e':
        if (o->n_erases == STUDY_MAX_ERASES)
            argp_error(state, "too many --erase");
        o->erases[o->n_erases++] = arg;
        break;
    case 'r':
        if (o->n_runs == STUDY_MAX_RUNS)
            argp_error(state, "too many --run");
        o->runs[o->n_runs++] = arg;
        break;
    case ARGP_KEY_END:
        if (!o->model)
            argp_error(state, "--model DIR is missing");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option arguments[] = {
    {"model", 'm', "DIR", 0, "model folder", 0},
    {"oracle", 'o', "DIR", 0,
     "model folder trained without the classes of the first --erase; again: of the first two", 0},
    {"held", 'H', "N", 0, "measure the N images that pre-training held out, not the test split", 0},
    {"json", 'j', "FILE", 0, "append the figures, one object a line", 0},
    {"data", 'd', "PATH", 0, "images with a train and a test split (Fashion-MNIST)", 0},
    {"erase", 'e', "A,B", 0, "classes of one request; again for the next (5,8)", 0},
    {"run", 'r', "NAME:OPTION=VALUE,...", 0, "one setting; again for more (the defaults)", 0},
    {"train", 'n', "N", 0, "training images a class (600)", 0},
    {"valid", 'V', "N", 0, "validation images a class (150)", 0},
    {"test", 'T', "N", 0, "test images a class (1000)", 0},
    {"seed", 's', "N", 0, "root seed (1)", 0},
    {"threads", 't', "N", 0, "threads (2)", 0},
    {"blocks", 'b', NULL, 0, "ridge probe on class and mean token of every block input", 0},
    {"verbose", 'v', NULL, 0, "progress to standard error", 0},
    {0}};

int main(int argc, char **argv)
{
    static struct study s = {.o = {.data = "/usr/share/datasets/fashion-mnist",
                                   .train = 600,
                                   .valid = 150,
                                   .test = 1000,
                                   .threads = 2,
                                   .seed = 1}};
    const struct argp argp = {.options = arguments,
                              .parser = parse,
                              .doc = "Erases classes with GS-LoRA++ and measures what is left."};
    argp_parse(&argp, argc, argv, 0, NULL, &s.o);
    if (s.o.n_erases == 0)
        s.o.erases[s.o.n_erases++] = "5,8";
    if (s.o.n_runs == 0)
        s.o.runs[s.o.n_runs++] = "default";
    set_up(&s);
    if (s.o.json)
        s.json = need(fopen(s.o.json, "a"));
    measure_model(&s, s.model, "before", 0, s.o.n_erases - 1);
    for (size_t i = 0; i < s.o.n_oracles && i < s.o.n_erases; i++) {
        struct model *oracle;
        struct fault f = {0};
        die(model_load_folder(s.o.oracles[i], &oracle, &f), &f);
        measure_model(&s, oracle, "oracle", i, i);
        model_free(oracle);
    }
    for (size_t i = 0; i < s.o.n_runs; i++)
        run_setting(&s, s.o.runs[i]);
    return s.json && fclose(s.json) ? 1 : 0;
}
