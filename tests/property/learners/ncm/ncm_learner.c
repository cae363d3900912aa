/*
 * A complete learner, as small as one can be: nearest class mean.  docs/learners.md explains it
 * part by part, and tests/property/learners/test_ncm_learner.c puts it through the contract of
 * every learner, so the page and the interface cannot drift apart.  In a tree of its own it would
 * be learners/methods/ncm/ncm_learner.c with the line LEARNER(ncm) in learners/learners.def.
 *
 * It remembers the mean embedding m_k of each class on the frozen network and answers with the
 * logits -scale |e - m_k|^2 (the classifier of iCaRL, Rebuffi et al. 2017, arXiv 1611.07725, eq. 2,
 * without its exemplars).  A mean is a sum over images, so leaving images out and computing it
 * again gives the bytes of a component that never saw them: erasure is exact.
 *
 * Record, little-endian: magic u32 | format u32 | base, preprocessing, memory digests | width u32 |
 * scale f32 | classes u32, each: name (u32 length, bytes), images u64, mean f32 [C] | keys u32,
 * each u64.
 */
#include "learners/learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NCM_MAGIC  0x314d434eu /* "NCM1" */
#define NCM_FORMAT 1u
#define NCM_CHUNK  32u   /* images of one step */
#define NCM_NAME   4096u /* longest class name */

extern const struct learner learner_ncm;

/* ------------------------------------------------------------------ what is learned */

struct ncm_class {
    const char *name;
    uint64_t count;
    const float *mean; /* [C] */
};

struct ncm {
    struct digest base, preprocessing, memory;
    uint32_t width;
    float scale;
    uint32_t n_classes;
    struct ncm_class *classes;
    uint32_t n_keys;
    uint64_t *keys; /* of the images it was computed from */
};

struct learner_run {
    const struct learner *learner;
    struct learner_problem problem;
    float scale;
    struct learner_tools tools;
    struct vit_batch *batch;
    float *pixels;             /* [NCM_CHUNK, channels, S, S] */
    float *embeddings;         /* [NCM_CHUNK, C] */
    double *sums;              /* [K, C] */
    uint64_t *counts;          /* [K] */
    float *means;              /* [K, C], once the training list is through */
    struct ncm_class *classes; /* [K], for the record */
    uint32_t at;               /* images done of both lists */
    uint32_t right;            /* of those validated */
};

struct learner_model {
    const struct learner *learner;
    char name[LEARNER_NAME_SIZE];
    struct ncm ncm;
    const char **labels;
};

struct learner_forward {
    uint32_t n_models;
    const struct learner_model **models;
};

/* ------------------------------------------------------------------ the problem */

/* Options: scale, above 0. */
static enum status read_options(const struct learner_problem *p, float *ret_scale, struct fault *f)
{
    *ret_scale = 1.0f;
    for (uint32_t i = 0; i < p->n_options; i++) {
        char *end;
        if (strcmp(p->options[i].name, "scale") != 0)
            FAIL(f, STATUS_NOT_FOUND, p->options[i].name, "no such option; there is: scale");
        *ret_scale = strtof(p->options[i].value, &end);
        if (end == p->options[i].value || *end != '\0' || !(*ret_scale > 0) ||
            !isfinite(*ret_scale))
            FAIL(f, STATUS_INVALID_ARGUMENT, "scale", "a number above 0, not \"%.40s\"",
                 p->options[i].value);
    }
    return STATUS_OK;
}

static enum status check_problem(const struct learner_problem *p, struct fault *f)
{
    const struct vit_config *c = &p->trunk.config;
    const struct image_shape shape = {c->image_size, c->channels, p->n_classes};
    const struct learner_rows *train = &p->lists[LEARNER_TRAIN], *valid = &p->lists[LEARNER_VALID];
    if (p->hot)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "a class mean takes one label an image");
    if (train->n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "train", "there are no images to learn from");
    TRY(images_check(&p->images, &shape, f));
    TRY(images_check_list(&p->images, train->rows, train->n, "train", f));
    return images_check_list(&p->images, valid->rows, valid->n, "valid", f);
}

/* Bytes of the record for all classes of the problem; the real one may have fewer. */
static size_t record_bound(const struct learner_problem *p)
{
    size_t bytes = 4 * sizeof(uint32_t) + 3 * DIGEST_SIZE + sizeof(float) + sizeof(uint32_t);
    for (uint32_t k = 0; k < p->n_classes; k++)
        bytes += strlen(p->classes[k]) + sizeof(uint32_t) + sizeof(uint64_t) +
                 (size_t)p->trunk.config.width * sizeof(float);
    return bytes + (p->keys ? (size_t)p->lists[LEARNER_TRAIN].n * sizeof(uint64_t) : 0);
}

/* ------------------------------------------------------------------ plan and init */

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    const struct vit_config *c = &p->trunk.config;
    struct arena_plan a = {0};
    float scale;
    if (read_options(p, &scale, NULL) != STATUS_OK || p->n_classes > VIT_MAX_CLASSES)
        return SIZE_MAX;
    arena_plan_add(&a, 1, sizeof(struct learner_run));
    arena_plan_add(&a, NCM_CHUNK * images_floats(&p->images), sizeof(float));
    arena_plan_add(&a, (size_t)NCM_CHUNK * c->width, sizeof(float));
    arena_plan_add(&a, (size_t)p->n_classes * c->width, sizeof(double));
    arena_plan_add(&a, p->n_classes, sizeof(uint64_t));
    arena_plan_add(&a, (size_t)p->n_classes * c->width, sizeof(float));
    arena_plan_add(&a, p->n_classes, sizeof(struct ncm_class));
    arena_plan_add(&a, vit_batch_plan(c, VIT_INFER, NCM_CHUNK, threads), 1);
    arena_plan_add(&a, record_bound(p), 1); /* made by export */
    arena_plan_add(&a, p->keys ? p->lists[LEARNER_TRAIN].n : 0, sizeof(uint64_t));
    return arena_plan_bytes(&a);
}

/* The same allocations in the same order; 0 when one of them fails. */
static int take_memory(struct learner_run *run)
{
    const struct learner_problem *p = &run->problem;
    const struct vit_config *c = &p->trunk.config;
    struct arena *a = run->tools.arena;
    run->pixels = arena_alloc(a, NCM_CHUNK * images_floats(&p->images), sizeof(float));
    run->embeddings = arena_alloc(a, (size_t)NCM_CHUNK * c->width, sizeof(float));
    run->sums = arena_alloc_zero(a, (size_t)p->n_classes * c->width, sizeof(double));
    run->counts = arena_alloc_zero(a, p->n_classes, sizeof(uint64_t));
    run->means = arena_alloc_zero(a, (size_t)p->n_classes * c->width, sizeof(float));
    run->classes = arena_alloc(a, p->n_classes, sizeof *run->classes);
    return run->pixels && run->embeddings && run->sums && run->counts && run->means &&
           run->classes &&
           vit_batch_new(c, VIT_INFER, NCM_CHUNK, run->tools.pool, a, &run->batch) == STATUS_OK;
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    float scale;
    TRY(read_options(p, &scale, f));
    TRY(check_problem(p, f));
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_run *run = arena_alloc_zero(tools->arena, 1, sizeof *run);
    if (run) {
        run->learner = &learner_ncm;
        run->problem = *p;
        run->tools = *tools;
        run->scale = scale;
    }
    if (!run || !take_memory(run)) {
        arena_rewind(tools->arena, start);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    *ret_run = run;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ step */

static double distance(const float *a, const float *b, uint32_t width)
{
    double sum = 0;
    for (uint32_t j = 0; j < width; j++) {
        const double d = (double)a[j] - (double)b[j];
        sum += d * d;
    }
    return sum;
}

/* Embeddings of n images of a list into run->embeddings. */
static void embed(struct learner_run *run, const uint32_t *rows, uint32_t n)
{
    const struct image_table *t = &run->problem.images;
    const size_t floats = images_floats(t);
    const float *inputs[NCM_CHUNK];
    for (uint32_t i = 0; i < n; i++) {
        images_load(t, rows[i], run->pixels + i * floats);
        inputs[i] = run->pixels + i * floats;
    }
    const struct vit_input in = {.n = n, .images = inputs};
    const struct vit_output out = {.embeddings = run->embeddings};
    vit_forward(run->batch, run->problem.trunk.weights, &in, &out);
}

/* Sums in double and in the order of the list: the same bytes for any number of threads. */
static void add_batch(struct learner_run *run, const uint32_t *rows, uint32_t n)
{
    const uint32_t width = run->problem.trunk.config.width;
    embed(run, rows, n);
    for (uint32_t i = 0; i < n; i++) {
        const size_t k = (size_t)run->problem.images.labels[rows[i]];
        run->counts[k]++;
        for (uint32_t j = 0; j < width; j++)
            run->sums[k * width + j] += (double)run->embeddings[(size_t)i * width + j];
    }
}

static void finish_means(struct learner_run *run)
{
    const uint32_t width = run->problem.trunk.config.width;
    for (uint32_t k = 0; k < run->problem.n_classes; k++)
        for (uint32_t j = 0; j < width && run->counts[k] > 0; j++)
            run->means[(size_t)k * width + j] =
                (float)(run->sums[(size_t)k * width + j] / (double)run->counts[k]);
}

static void check_batch(struct learner_run *run, const uint32_t *rows, uint32_t n)
{
    const uint32_t width = run->problem.trunk.config.width;
    embed(run, rows, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t best = 0;
        double least = (double)INFINITY;
        for (uint32_t k = 0; k < run->problem.n_classes; k++) {
            const double d = distance(run->embeddings + (size_t)i * width,
                                      run->means + (size_t)k * width, width);
            if (run->counts[k] > 0 && d < least) {
                least = d;
                best = k;
            }
        }
        run->right += best == (uint32_t)run->problem.images.labels[rows[i]];
    }
}

static struct learner_progress progress_of(const struct learner_run *run)
{
    const uint32_t train = run->problem.lists[LEARNER_TRAIN].n;
    const uint32_t valid = run->problem.lists[LEARNER_VALID].n;
    const uint32_t steps =
        (train + NCM_CHUNK - 1) / NCM_CHUNK + (valid + NCM_CHUNK - 1) / NCM_CHUNK;
    const int done = run->at == train + valid;
    struct learner_progress p =
        learner_progress_at(1, 1, done ? steps : run->at / NCM_CHUNK, steps);
    p.acc_valid = done && valid > 0 ? (float)run->right / (float)valid : NAN;
    p.done = done;
    return p;
}

static enum status
step(struct learner_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    const struct learner_rows *train = &run->problem.lists[LEARNER_TRAIN];
    const struct learner_rows *valid = &run->problem.lists[LEARNER_VALID];
    if (run->tools.cancel && atomic_load(run->tools.cancel))
        FAIL(f, STATUS_CANCELLED, NULL, "the run was cancelled");
    const int training = run->at < train->n;
    const struct learner_rows *list = training ? train : valid;
    const uint32_t from = training ? run->at : run->at - train->n;
    const uint32_t n = list->n - from < NCM_CHUNK ? list->n - from : NCM_CHUNK;
    if (training)
        add_batch(run, list->rows + from, n);
    else
        check_batch(run, list->rows + from, n);
    run->at += n;
    if (training && run->at == train->n)
        finish_means(run);
    *ret_progress = progress_of(run);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ the record */

static void encode(const struct ncm *x, struct byte_writer *w)
{
    put_u32(w, NCM_MAGIC);
    put_u32(w, NCM_FORMAT);
    put_bytes(w, x->base.b, DIGEST_SIZE);
    put_bytes(w, x->preprocessing.b, DIGEST_SIZE);
    put_bytes(w, x->memory.b, DIGEST_SIZE);
    put_u32(w, x->width);
    put_f32(w, x->scale);
    put_u32(w, x->n_classes);
    for (uint32_t k = 0; k < x->n_classes; k++) {
        put_string(w, x->classes[k].name);
        put_u64(w, x->classes[k].count);
        for (uint32_t j = 0; j < x->width; j++)
            put_f32(w, x->classes[k].mean[j]);
    }
    put_u32(w, x->n_keys);
    for (uint32_t i = 0; i < x->n_keys; i++)
        put_u64(w, x->keys[i]);
}

/* Classes of the problem that had images: the others stay unknown. */
static uint32_t known_classes(struct learner_run *run)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < run->problem.n_classes; k++)
        if (run->counts[k] > 0)
            run->classes[n++] =
                (struct ncm_class){run->problem.classes[k], run->counts[k],
                                   run->means + (size_t)k * run->problem.trunk.config.width};
    return n;
}

static uint64_t *known_keys(const struct learner_run *run)
{
    const struct learner_rows *train = &run->problem.lists[LEARNER_TRAIN];
    uint64_t *keys = arena_alloc(run->tools.arena, train->n, sizeof *keys);
    for (uint32_t i = 0; keys && i < train->n; i++)
        keys[i] = run->problem.keys[train->rows[i]];
    return keys;
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    struct ncm x = {.base = p->trunk.base,
                    .preprocessing = p->trunk.preprocessing,
                    .memory = p->memory,
                    .width = p->trunk.config.width,
                    .scale = run->scale,
                    .classes = run->classes,
                    .n_classes = known_classes(run)};
    const size_t bound = record_bound(p);
    void *bytes = arena_alloc(run->tools.arena, bound, 1);
    x.keys = p->keys ? known_keys(run) : NULL;
    x.n_keys = x.keys ? p->lists[LEARNER_TRAIN].n : 0;
    if (!bytes || (p->keys && !x.keys))
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    struct byte_writer w = byte_writer_make(bytes, bound);
    encode(&x, &w);
    ret_parts[0] = (struct learner_part){
        .kind = learner_ncm.kind, .name = p->name, .bytes = bytes, .size = w.used};
    *ret_n = 1;
    *ret_outcome = (struct learner_outcome){.text = "means computed", .target_met = -1};
    return STATUS_OK;
}

/* ------------------------------------------------------------------ import */

static size_t import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    /* The record bounds what is in it: a class takes its mean, a key eight bytes. */
    const size_t classes = part->size / ((size_t)trunk->config.width * sizeof(float) + 1) + 1;
    struct arena_plan a = {0};
    arena_plan_add(&a, 1, sizeof(struct learner_model));
    arena_plan_add(&a, classes, sizeof(struct ncm_class));
    arena_plan_add(&a, classes, sizeof(char *));
    arena_plan_add(&a, classes * (size_t)trunk->config.width, sizeof(float));
    arena_plan_add(&a, part->size + classes, 1); /* names */
    arena_plan_add(&a, part->size / sizeof(uint64_t) + 1, sizeof(uint64_t));
    return arena_plan_bytes(&a);
}

static enum status
read_header(struct byte_reader *r, const struct learner_trunk *t, struct ncm *x, struct fault *f)
{
    const uint32_t magic = get_u32(r), format = get_u32(r);
    if (r->failed || magic != NCM_MAGIC || format != NCM_FORMAT)
        FAIL(f, STATUS_BAD_FORMAT, "component", "not a record of class means");
    get_bytes(r, x->base.b, DIGEST_SIZE);
    get_bytes(r, x->preprocessing.b, DIGEST_SIZE);
    get_bytes(r, x->memory.b, DIGEST_SIZE);
    x->width = get_u32(r);
    x->scale = get_f32(r);
    x->n_classes = get_u32(r);
    if (r->failed || !(x->scale > 0) || x->n_classes == 0)
        FAIL(f, STATUS_BAD_FORMAT, "component", "its header is damaged");
    if (!digest_equal(&x->base, &t->base))
        FAIL(f, STATUS_FAILED_PRECONDITION, "base", "the means were made for another base model");
    if (!digest_equal(&x->preprocessing, &t->preprocessing) || x->width != t->config.width)
        FAIL(f, STATUS_FAILED_PRECONDITION, "preprocessing",
             "the means were made for other pictures or another width");
    /* A count is a promise: refuse it before memory is taken for it. */
    if (x->n_classes > (r->size - r->used) / ((size_t)x->width * sizeof(float) + 1))
        FAIL(f, STATUS_BAD_FORMAT, "component", "the record is too short for %u classes",
             x->n_classes);
    return STATUS_OK;
}

static enum status read_class(
    struct byte_reader *r, uint32_t width, struct arena *a, struct ncm_class *to, struct fault *f)
{
    size_t n;
    const uint8_t *name = get_blob(r, &n);
    if (!name || n == 0 || n > NCM_NAME || memchr(name, 0, n))
        FAIL(f, STATUS_BAD_FORMAT, "component", "the name of a class is damaged");
    char *copy = arena_alloc(a, n + 1, 1);
    float *mean = arena_alloc(a, width, sizeof *mean);
    if (!copy || !mean)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for class means");
    memcpy(copy, name, n);
    copy[n] = '\0';
    to->name = copy;
    to->count = get_u64(r);
    to->mean = mean;
    for (uint32_t j = 0; j < width; j++) {
        mean[j] = get_f32(r);
        if (!isfinite(mean[j]))
            FAIL(f, STATUS_BAD_FORMAT, "component", "the mean of a class is not finite");
    }
    return STATUS_OK;
}

static enum status read_keys(struct byte_reader *r, struct arena *a, struct ncm *x, struct fault *f)
{
    x->n_keys = get_u32(r);
    if (r->failed || x->n_keys > (r->size - r->used) / sizeof(uint64_t))
        FAIL(f, STATUS_BAD_FORMAT, "component", "the list of samples is damaged");
    x->keys = arena_alloc(a, x->n_keys, sizeof *x->keys);
    if (!x->keys)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for class means");
    for (uint32_t i = 0; i < x->n_keys; i++)
        x->keys[i] = get_u64(r);
    return STATUS_OK;
}

static enum status decode(const struct learner_part *part,
                          const struct learner_trunk *trunk,
                          struct arena *a,
                          struct learner_model *m,
                          struct fault *f)
{
    struct ncm *x = &m->ncm;
    struct byte_reader r = byte_reader_make(part->bytes, part->size);
    TRY(read_header(&r, trunk, x, f));
    x->classes = arena_alloc_zero(a, x->n_classes, sizeof *x->classes);
    m->labels = arena_alloc_zero(a, x->n_classes, sizeof *m->labels);
    if (!x->classes || !m->labels)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for class means");
    for (uint32_t k = 0; k < x->n_classes; k++) {
        TRY(read_class(&r, x->width, a, &x->classes[k], f));
        m->labels[k] = x->classes[k].name;
    }
    TRY(read_keys(&r, a, x, f));
    if (!byte_reader_done(&r))
        FAIL(f, STATUS_BAD_FORMAT, "component",
             "the record is longer or shorter than its contents");
    return STATUS_OK;
}

static enum status import_part(const struct learner_part *part,
                               const struct learner_trunk *trunk,
                               struct arena *arena,
                               struct learner_model **ret_model,
                               struct fault *f)
{
    const struct arena_mark start = arena_mark(arena);
    struct learner_model *m = arena_alloc_zero(arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for class means");
    m->learner = &learner_ncm;
    strncpy(m->name, part->name, sizeof m->name - 1); /* the rest is zero */
    const enum status st = decode(part, trunk, arena, m, f);
    if (st != STATUS_OK) {
        arena_rewind(arena, start);
        return st;
    }
    *ret_model = m;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ answers */

static size_t forward_plan(struct learner_model *const *models,
                           uint32_t n_models,
                           const struct learner_trunk *trunk,
                           uint32_t n_max,
                           uint32_t threads)
{
    (void)models, (void)trunk, (void)n_max, (void)threads;
    struct arena_plan a = {0};
    arena_plan_add(&a, 1, sizeof(struct learner_forward));
    arena_plan_add(&a, n_models, sizeof(struct learner_model *));
    return arena_plan_bytes(&a);
}

static enum status forward_new(struct learner_model *const *models,
                               uint32_t n_models,
                               const struct learner_trunk *trunk,
                               uint32_t n_max,
                               const struct learner_tools *tools,
                               struct learner_forward **ret_forward,
                               struct fault *f)
{
    (void)trunk, (void)n_max;
    const struct arena_mark start = arena_mark(tools->arena);
    struct learner_forward *w = arena_alloc(tools->arena, 1, sizeof *w);
    const struct learner_model **list = arena_alloc(tools->arena, n_models, sizeof *list);
    if (!w || !list) {
        arena_rewind(tools->arena, start);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    for (uint32_t m = 0; m < n_models; m++)
        list[m] = models[m];
    *w = (struct learner_forward){n_models, list};
    *ret_forward = w;
    return STATUS_OK;
}

static struct learner_watch watch(struct learner_forward *forward)
{
    (void)forward; /* the embeddings at the end of the stream are enough */
    return (struct learner_watch){NULL, NULL};
}

static void
forward(struct learner_forward *forward, const struct learner_stream *stream, float *const *logits)
{
    for (uint32_t m = 0; m < forward->n_models; m++) {
        const struct ncm *x = &forward->models[m]->ncm;
        for (uint32_t i = 0; i < stream->n; i++)
            for (uint32_t k = 0; k < x->n_classes; k++)
                logits[m][(size_t)i * x->n_classes + k] =
                    -x->scale * (float)distance(stream->embeddings + (size_t)i * x->width,
                                                x->classes[k].mean, x->width);
    }
}

static uint32_t labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->labels;
    return model->ncm.n_classes;
}

/* ------------------------------------------------------------------ lineage and erasure */

static uint32_t
lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    const struct learner_source rows[] = {
        {.kind = "component", .name = "base", .digest = model->ncm.base},
        {.kind = "memory", .name = "train", .digest = model->ncm.memory},
    };
    const uint32_t n = sizeof rows / sizeof *rows;
    for (uint32_t i = 0; i < n && i < max; i++)
        ret_list[i] = rows[i];
    return n;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int has_key(const struct ncm *x, const struct learner_erasure *e)
{
    for (uint32_t i = 0; i < x->n_keys && e->n_keys > 0; i++)
        if (bsearch(&x->keys[i], e->keys, e->n_keys, sizeof *e->keys, compare_keys))
            return 1;
    return 0;
}

static uint32_t erased_classes(const struct ncm *x, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < x->n_classes; k++) {
        uint32_t i = 0;
        while (i < e->n_classes && strcmp(e->classes[i], x->classes[k].name) != 0)
            i++;
        n += i < e->n_classes;
    }
    return n;
}

static enum learner_fate erase(const struct learner_model *model,
                               const struct learner_erasure *erasure)
{
    const struct ncm *x = &model->ncm;
    if (erasure->component && strcmp(erasure->component, model->name) == 0)
        return LEARNER_DESTROY;
    for (uint32_t i = 0; i < erasure->n_sources; i++)
        if (digest_equal(&erasure->sources[i], &x->memory))
            return LEARNER_DESTROY;
    const uint32_t classes = erased_classes(x, erasure);
    if (classes == x->n_classes)
        return LEARNER_DESTROY;
    return classes > 0 || has_key(x, erasure) ? LEARNER_RETRAIN : LEARNER_UNAFFECTED;
}

/* ------------------------------------------------------------------ the table */

const struct learner learner_ncm = {
    .name = "ncm",
    .kind = "means",
    .text = "nearest class mean on the frozen embedding",
    .plan = plan,
    .init = init,
    .step = step,
    .export = export_parts,
    .import_plan = import_plan,
    .import = import_part,
    .forward_plan = forward_plan,
    .forward_new = forward_new,
    .watch = watch,
    .forward = forward,
    .labels = labels,
    .lineage = lineage,
    .erase = erase,
};
