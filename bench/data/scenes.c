/*
 * Makes the multi-label scenes: MNIST digits and Fashion-MNIST items on one canvas, 20 classes,
 * written as OUT/train.npz, OUT/validation.npz, OUT/test.npz and OUT/classes.txt.  Test scenes are
 * made of the sources' test images; the sources' training images are divided by the seed between
 * training and validation scenes, so that no source image serves two splits.  A scene depends on
 * the seed, its split and its number only: a longer set begins with the shorter one.
 *
 *   scenes [--digits DIR] [--garments DIR] [--out DIR] [--size 56|28] [--seed N]
 *          [--train N] [--validation N] [--test N]
 */
#include "bench/data/scene.h"
#include "bench/data/set_file.h"
#include "client/dataset/dataset.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES     2u
#define PER_SOURCE  10u
#define CLASSES     20u /* of both sources */
#define MAX_SCENES  1000000u
#define SOURCE_SIDE 28u

static const char *const split_names[SCENE_SPLITS] = {"train", "validation", "test"};

/* "scene": the same things alone may be classes of the model already. */
static const char *const class_names[CLASSES] = {
    "scene digit 0", "scene digit 1", "scene digit 2",  "scene digit 3", "scene digit 4",
    "scene digit 5", "scene digit 6", "scene digit 7",  "scene digit 8", "scene digit 9",
    "scene T-shirt", "scene Trouser", "scene Pullover", "scene Dress",   "scene Coat",
    "scene Sandal",  "scene Shirt",   "scene Sneaker",  "scene Bag",     "scene Ankle boot"};

struct options {
    const char *sources[SOURCES];
    const char *out;
    uint32_t n[SCENE_SPLITS];
    uint32_t size;
    uint64_t seed;
};

/* The source images of one split. */
struct pools {
    struct scene_pool of[CLASSES];
    const uint8_t **images;
};

static error_t parse_count(const char *text,
                           uint32_t most,
                           const char *what,
                           uint32_t *ret_count,
                           struct argp_state *state)
{
    char *end;
    const unsigned long long x = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || x > most)
        argp_error(state, "%s must be a number from 0 to %u, not %s", what, most, text);
    *ret_count = (uint32_t)x;
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    uint32_t seed = 0;
    switch (key) {
    case 'd':
        o->sources[0] = arg;
        return 0;
    case 'g':
        o->sources[1] = arg;
        return 0;
    case 'o':
        o->out = arg;
        return 0;
    case 's':
        (void)parse_count(arg, UINT32_MAX, "the seed", &seed, state);
        o->seed = seed;
        return 0;
    case 'z':
        if (strcmp(arg, "56") != 0 && strcmp(arg, "28") != 0)
            argp_error(state, "the size is 56 or 28, not %s", arg);
        o->size = arg[0] == '5' ? SCENE_SIDE : SCENE_SIDE / 2;
        return 0;
    case 't':
        return parse_count(arg, MAX_SCENES, "train", &o->n[SCENE_TRAIN], state);
    case 'v':
        return parse_count(arg, MAX_SCENES, "validation", &o->n[SCENE_VALIDATION], state);
    case 'e':
        return parse_count(arg, MAX_SCENES, "test", &o->n[SCENE_TEST], state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argp_options[] = {
    {"digits", 'd', "DIR", 0, "folder with MNIST's IDX files (build/data/mnist)", 0},
    {"garments", 'g', "DIR", 0, "folder with Fashion-MNIST's IDX files", 0},
    {"out", 'o', "DIR", 0, "where to write (build/data/scenes)", 0},
    {"size", 'z', "56|28", 0, "side of the images; 28 averages 2x2 pixels (56)", 0},
    {"seed", 's', "N", 0, "1", 0},
    {"train", 't', "N", 0, "training scenes (12000)", 0},
    {"validation", 'v', "N", 0, "validation scenes (2000)", 0},
    {"test", 'e', "N", 0, "test scenes (4000)", 0},
    {0}};

/* ---------------------------------------------------------------- sources */

static enum status
open_source(const char *path, enum scene_split split, struct dataset **ret_set, struct fault *f)
{
    const struct dataset_options o = {.split = split == SCENE_TEST ? DATASET_TEST : DATASET_TRAIN};
    struct dataset *d = NULL;
    TRY(dataset_open(path, &o, &d, f));
    const struct dataset_shape s = dataset_shape(d);
    if (s.height == SOURCE_SIDE && s.width == SOURCE_SIDE && s.channels == 1 && dataset_labels(d) &&
        dataset_classes(d) <= PER_SOURCE) {
        *ret_set = d;
        return STATUS_OK;
    }
    dataset_free(d);
    FAIL(f, STATUS_INVALID_ARGUMENT, "source", "%.80s is not grey %ux%u with %u classes", path,
         SOURCE_SIDE, SOURCE_SIDE, PER_SOURCE);
}

/* Appends the split's images of one source to the pools; *used counts pointers taken so far. */
static enum status fill_pools(const struct dataset *d,
                              enum scene_split split,
                              const struct rng_root *root,
                              uint32_t source,
                              struct pools *p,
                              uint32_t *used,
                              struct fault *f)
{
    const uint32_t n = dataset_shape(d).n;
    uint32_t from, to;
    uint32_t *order = sysio_alloc(n, sizeof *order);
    if (!order)
        FAIL(f, STATUS_NO_MEMORY, "source", "no memory for %u indices", n);
    scene_divide(n, split, root, source, order, &from, &to);
    for (uint32_t c = 0; c < PER_SOURCE; c++) {
        struct scene_pool *pool = &p->of[source * PER_SOURCE + c];
        pool->images = p->images + *used;
        for (uint32_t i = from; i < to; i++)
            if (dataset_labels(d)[order[i]] == (int32_t)c)
                pool->images[pool->n++] = dataset_image(d, order[i]);
        *used += pool->n;
    }
    sysio_free(order);
    return STATUS_OK;
}

static enum status pools_check(const struct pools *p, enum scene_split split, struct fault *f)
{
    for (uint32_t c = 0; c < CLASSES; c++)
        if (p->of[c].n == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "source", "no image of %s for %s", class_names[c],
                 split_names[split]);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- scenes */

static enum status draw_scenes(const struct options *o,
                               const struct pools *p,
                               enum scene_split split,
                               struct set_file *s,
                               struct fault *f)
{
    const struct scene_sources sources = {p->of, CLASSES, SOURCE_SIDE};
    const struct rng_root root = {.seed = o->seed};
    uint8_t canvas[SCENE_SIDE * SCENE_SIDE];
    char stream[32];
    (void)snprintf(stream, sizeof stream, "scenes/%s", split_names[split]);
    for (uint32_t i = 0; i < s->n; i++) {
        struct scene_item items[SCENE_MAX_ITEMS];
        uint32_t n_items;
        struct rng rng;
        rng_init(&rng, &root, stream, i);
        TRY(scene_draw(&sources, &rng, canvas, s->hot + (size_t)i * CLASSES, items, &n_items, f));
        uint8_t *to = s->images + (size_t)i * s->side * s->side;
        if (s->side == SCENE_SIDE)
            memcpy(to, canvas, sizeof canvas);
        else
            scene_halve(canvas, SCENE_SIDE, to);
    }
    return STATUS_OK;
}

static void report(const struct set_file *s, const char *name)
{
    size_t labels = 0;
    for (size_t i = 0; i < (size_t)s->n * CLASSES; i++)
        labels += s->hot[i];
    printf("%-10s %6u scenes %ux%u, %.3f classes each, sum %08x\n", name, s->n, s->side, s->side,
           s->n ? (double)labels / s->n : 0.0, set_file_sum(s));
}

static enum status
write_split(const struct options *o, const struct pools *p, enum scene_split split, struct fault *f)
{
    struct set_file s;
    TRY(set_file_init(&s, o->n[split], o->size, CLASSES, 1, f));
    enum status st = draw_scenes(o, p, split, &s, f);
    if (st == STATUS_OK)
        st = set_file_write(&s, o->out, split_names[split], f);
    if (st == STATUS_OK)
        report(&s, split_names[split]);
    set_file_fini(&s);
    return st;
}

static enum status make_split(const struct options *o, enum scene_split split, struct fault *f)
{
    const struct rng_root root = {.seed = o->seed};
    struct dataset *sets[SOURCES] = {NULL};
    struct pools p = {0};
    uint32_t used = 0, total = 0;
    enum status st = STATUS_OK;
    for (uint32_t i = 0; i < SOURCES && st == STATUS_OK; i++) {
        st = open_source(o->sources[i], split, &sets[i], f);
        total += st == STATUS_OK ? dataset_shape(sets[i]).n : 0;
    }
    p.images = st == STATUS_OK ? sysio_alloc(total, sizeof *p.images) : NULL;
    if (st == STATUS_OK && !p.images)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "source",
                       "no memory for %u pointers", total);
    for (uint32_t i = 0; i < SOURCES && st == STATUS_OK; i++)
        st = fill_pools(sets[i], split, &root, i, &p, &used, f);
    if (st == STATUS_OK)
        st = pools_check(&p, split, f);
    if (st == STATUS_OK)
        st = write_split(o, &p, split, f);
    sysio_free((void *)p.images);
    for (uint32_t i = 0; i < SOURCES; i++)
        dataset_free(sets[i]);
    return st;
}

static enum status make_all(const struct options *o, struct fault *f)
{
    TRY(set_file_folder(o->out, f));
    TRY(set_file_write_names(o->out, class_names, CLASSES, f));
    for (uint32_t i = 0; i < SCENE_SPLITS; i++)
        if (o->n[i] > 0)
            TRY(make_split(o, (enum scene_split)i, f));
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct options o = {.sources = {"build/data/mnist", "/usr/share/datasets/fashion-mnist"},
                        .out = "build/data/scenes",
                        .n = {12000, 2000, 4000},
                        .size = SCENE_SIDE,
                        .seed = 1};
    const struct argp a = {argp_options, parse, NULL, "Makes the multi-label scenes.", 0, 0, 0};
    struct fault f = {0};
    if (argp_parse(&a, argc, argv, 0, NULL, &o) != 0)
        return 2;
    if (make_all(&o, &f) == STATUS_OK)
        return 0;
    (void)fprintf(stderr, "scenes: %s: %s\n", f.field, f.text);
    return 1;
}
