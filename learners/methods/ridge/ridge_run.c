#include "learners/methods/ridge/ridge_run.h"

#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/methods/ridge/ridge_map.h"

#define RUN_MAGIC     0x5252554eu
#define RECORD_HEADER 1024 /* more than a record has before its terms */
#define PARTS         2    /* fitted, held out */

/* Images of one term and part, a stretch of run->rows. */
struct stretch {
    uint32_t at, n;
};

struct ridge_run {
    uint32_t magic;
    struct ridge_problem p;
    struct ridge_options options;
    struct ridge_run_tools tools;
    uint32_t n_terms;
    uint32_t *by_name;         /* [n_classes] class numbers in the order of their names */
    const char **names;        /* [n_classes] in that order */
    uint32_t *rows;            /* [n_train + n_valid] term by term, fitted before held out */
    struct stretch *stretches; /* [n_terms, PARTS] */
    struct ridge_term *terms;  /* [n_terms] */
    uint64_t *positives;       /* [PARTS, n_classes] */
    struct byte_writer packed; /* all packed sums, one after the other */
    struct ridge_map *map;
    struct ridge_sum sum;
    struct vit_batch *batch;
    float *pixels;     /* [RIDGE_RUN_BATCH, image] */
    float *embeddings; /* [RIDGE_RUN_BATCH, C] */
    float *features;   /* [RIDGE_RUN_BATCH, P] */
    uint8_t *hot;      /* [RIDGE_RUN_BATCH, n_classes] by name */
    uint32_t stretch;  /* that the next step takes from */
    uint32_t taken;    /* of it */
    uint32_t step, steps, images;
};

/* ------------------------------------------------------------------ checks */

static enum status check_name(const char *field, const char *name, size_t size, struct fault *f)
{
    const size_t length = name ? strlen(name) : 0;
    if (length == 0 || length >= size)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "a name needs 1..%zu bytes", size - 1);
    return STATUS_OK;
}

static enum status check_images(const struct ridge_problem *p, struct fault *f)
{
    const struct image_table *t = &p->images;
    struct image_table unlabelled = *t;
    const int32_t none = 0;
    const struct image_shape shape = {p->config.image_size, p->config.channels, p->n_classes};
    if (!p->hot) {
        TRY(images_check(t, &shape, f));
    } else {
        /* targets stand in for labels: the pixels are checked without them */
        unlabelled.labels = &none;
        unlabelled.n = t->n ? 1 : 0;
        TRY(images_check(&unlabelled, &shape, f));
    }
    TRY(images_check_list(t, p->train, p->n_train, "train", f));
    return images_check_list(t, p->valid, p->n_valid, "valid", f);
}

static enum status
check_targets(const struct ridge_problem *p, const uint32_t *rows, uint32_t n, struct fault *f)
{
    for (uint32_t i = 0; p->hot && i < n; i++)
        for (uint32_t c = 0; c < p->n_classes; c++)
            if (p->hot[(size_t)rows[i] * p->n_classes + c] > 1)
                FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
                     "image %u has a target that is not 0 or 1", rows[i]);
    return STATUS_OK;
}

static int has_class(const struct ridge_problem *p, uint32_t row, uint32_t c)
{
    return p->hot ? p->hot[(size_t)row * p->n_classes + c] != 0
                  : (uint32_t)p->images.labels[row] == c;
}

static enum status check_problem(const struct ridge_problem *p, struct fault *f)
{
    TRY(vit_config_check(&p->config, f));
    TRY(check_name("owner", p->owner, RIDGE_TERMS_OWNER_SIZE, f));
    if (p->n_classes < 1 || p->n_classes > RIDGE_TERMS_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "%u classes are not in 1..%u", p->n_classes,
             RIDGE_TERMS_MAX_CLASSES);
    for (uint32_t c = 0; c < p->n_classes; c++)
        TRY(check_name("classes", p->classes[c], RIDGE_TERMS_NAME_SIZE, f));
    TRY(check_images(p, f));
    if (p->n_train > RIDGE_SUM_MAX_IMAGES || p->n_valid > RIDGE_SUM_MAX_IMAGES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "train", "more than %u images", RIDGE_SUM_MAX_IMAGES);
    TRY(check_targets(p, p->train, p->n_train, f));
    TRY(check_targets(p, p->valid, p->n_valid, f));
    for (uint32_t c = 0; c < p->n_classes; c++) {
        uint32_t i = 0;
        while (i < p->n_train && !has_class(p, p->train[i], c))
            i++;
        if (i == p->n_train)
            FAIL(f, STATUS_FAILED_PRECONDITION, "classes", "'%s' has no training images",
                 p->classes[c]);
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ memory */

static size_t packed_bound(const struct ridge_problem *p, size_t width)
{
    if (p->hot)
        return ridge_sum_packed_bound(width, p->n_classes, p->n_train) +
               ridge_sum_packed_bound(width, p->n_classes, p->n_valid);
    size_t bytes;
    const size_t one =
        ridge_sum_packed_bound(width, 1, p->n_train) + ridge_sum_packed_bound(width, 1, p->n_valid);
    return size_mul(one, p->n_classes, &bytes) ? bytes : SIZE_MAX;
}

size_t
ridge_run_plan(const struct ridge_problem *p, const struct ridge_options *o, uint32_t threads)
{
    const struct vit_config *c = &p->config;
    const size_t width = ridge_map_width_of(c, o);
    const uint32_t n_terms = p->hot ? 1 : p->n_classes;
    struct arena_plan plan = {0};
    if (width == 0)
        return SIZE_MAX;
    arena_plan_add(&plan, 1, sizeof(struct ridge_run));
    arena_plan_add(&plan, p->n_classes, sizeof(uint32_t));
    arena_plan_add(&plan, p->n_classes, sizeof(char *));
    arena_plan_add(&plan, (size_t)p->n_train + p->n_valid, sizeof(uint32_t));
    arena_plan_add(&plan, n_terms, PARTS * sizeof(struct stretch));
    arena_plan_add(&plan, n_terms, sizeof(struct ridge_term));
    arena_plan_add(&plan, p->n_classes, PARTS * sizeof(uint64_t));
    arena_plan_add(&plan, packed_bound(p, width), 1);
    arena_plan_add(&plan, ridge_map_plan(c, o, RIDGE_RUN_BATCH, threads), 1);
    arena_plan_add(&plan, ridge_sum_plan(width, p->hot ? p->n_classes : 1, threads), 1);
    arena_plan_add(&plan, vit_batch_plan(c, VIT_INFER, RIDGE_RUN_BATCH, threads), 1);
    arena_plan_add(&plan, RIDGE_RUN_BATCH * images_floats(&p->images), sizeof(float));
    arena_plan_add(&plan, (size_t)RIDGE_RUN_BATCH * c->width, sizeof(float));
    arena_plan_add(&plan, RIDGE_RUN_BATCH, width * sizeof(float));
    arena_plan_add(&plan, RIDGE_RUN_BATCH, p->n_classes);
    return arena_plan_bytes(&plan);
}

size_t ridge_run_record_bound(const struct ridge_problem *p, const struct ridge_options *o)
{
    const size_t width = ridge_map_width_of(&p->config, o);
    struct arena_plan plan = {0};
    if (width == 0)
        return SIZE_MAX;
    /* header and options, a name with its length, counts of images and classes, the sums */
    arena_plan_add(&plan, RECORD_HEADER, 1);
    arena_plan_add(&plan, p->n_classes, RIDGE_TERMS_NAME_SIZE + 4);
    arena_plan_add(&plan, p->n_classes, 4 + 2 * PARTS * sizeof(uint64_t));
    arena_plan_add(&plan, packed_bound(p, width), 1);
    return arena_plan_bytes(&plan);
}

static enum status allocate(struct ridge_run *run, struct arena *arena, struct fault *f)
{
    const struct ridge_problem *p = &run->p;
    const struct vit_config *c = &p->config;
    TRY(ridge_map_new(c, &run->options, &p->origin.base, RIDGE_RUN_BATCH, run->tools.pool, arena,
                      &run->map, f));
    const size_t width = ridge_map_width(run->map), bound = packed_bound(p, width);
    run->by_name = arena_alloc(arena, p->n_classes, sizeof *run->by_name);
    run->names = arena_alloc(arena, p->n_classes, sizeof *run->names);
    run->rows = arena_alloc(arena, (size_t)p->n_train + p->n_valid, sizeof *run->rows);
    run->stretches = arena_alloc_zero(arena, run->n_terms, PARTS * sizeof *run->stretches);
    run->terms = arena_alloc_zero(arena, run->n_terms, sizeof *run->terms);
    run->positives = arena_alloc_zero(arena, p->n_classes, PARTS * sizeof *run->positives);
    run->packed = byte_writer_make(arena_alloc(arena, bound, 1), bound);
    run->pixels =
        arena_alloc(arena, RIDGE_RUN_BATCH * images_floats(&p->images), sizeof *run->pixels);
    run->embeddings =
        arena_alloc(arena, (size_t)RIDGE_RUN_BATCH * c->width, sizeof *run->embeddings);
    run->features = arena_alloc(arena, RIDGE_RUN_BATCH, width * sizeof *run->features);
    run->hot = arena_alloc(arena, RIDGE_RUN_BATCH, p->n_classes);
    if (!run->by_name || !run->names || !run->rows || !run->stretches || !run->terms ||
        !run->positives || !run->packed.at || !run->pixels || !run->embeddings || !run->features ||
        !run->hot ||
        ridge_sum_init(&run->sum, width, p->hot ? p->n_classes : 1, run->tools.pool, arena) !=
            STATUS_OK ||
        vit_batch_new(c, VIT_INFER, RIDGE_RUN_BATCH, run->tools.pool, arena, &run->batch) !=
            STATUS_OK)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    return STATUS_OK;
}

/* ------------------------------------------------------------------ order of the images */

static enum status sort_classes(struct ridge_run *run, struct fault *f)
{
    const struct ridge_problem *p = &run->p;
    for (uint32_t i = 0; i < p->n_classes; i++) {
        uint32_t at = i;
        for (; at > 0; at--) {
            const int order = strcmp(run->names[at - 1], p->classes[i]);
            if (order == 0)
                FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "'%s' is named twice", p->classes[i]);
            if (order < 0)
                break;
            run->names[at] = run->names[at - 1];
            run->by_name[at] = run->by_name[at - 1];
        }
        run->names[at] = p->classes[i];
        run->by_name[at] = i;
    }
    return STATUS_OK;
}

/* Rows of a list that belong to term t, appended to run->rows. */
static void take_rows(
    struct ridge_run *run, uint32_t t, const uint32_t *list, uint32_t n, struct stretch *stretch)
{
    const struct ridge_problem *p = &run->p;
    for (uint32_t i = 0; i < n; i++)
        if (p->hot || (uint32_t)p->images.labels[list[i]] == run->by_name[t])
            run->rows[stretch->at + stretch->n++] = list[i];
    run->steps += (stretch->n + RIDGE_RUN_BATCH - 1) / RIDGE_RUN_BATCH;
}

static void sort_rows(struct ridge_run *run)
{
    const struct ridge_problem *p = &run->p;
    uint32_t at = 0;
    for (uint32_t t = 0; t < run->n_terms; t++) {
        struct stretch *s = run->stretches + (size_t)t * PARTS;
        s[0].at = at;
        take_rows(run, t, p->train, p->n_train, &s[0]);
        s[1].at = at + s[0].n;
        take_rows(run, t, p->valid, p->n_valid, &s[1]);
        at = s[1].at + s[1].n;
    }
}

enum status ridge_run_new(const struct ridge_problem *p,
                          const struct ridge_options *o,
                          const struct ridge_run_tools *tools,
                          struct ridge_run **ret_run,
                          struct fault *f)
{
    TRY(ridge_options_check(o, f));
    TRY(check_problem(p, f));
    const struct arena_mark start = arena_mark(tools->arena);
    struct ridge_run *run = arena_alloc(tools->arena, 1, sizeof *run);
    if (!run)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    *run = (struct ridge_run){.magic = RUN_MAGIC,
                              .p = *p,
                              .options = *o,
                              .tools = *tools,
                              .n_terms = p->hot ? 1 : p->n_classes};
    enum status s = allocate(run, tools->arena, f);
    if (s == STATUS_OK)
        s = sort_classes(run, f);
    if (s != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return s;
    }
    sort_rows(run);
    *ret_run = run;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ steps */

/* Packs the sum of a stretch that is complete into its term. */
static void close_stretch(struct ridge_run *run)
{
    const uint32_t t = run->stretch / PARTS, part = run->stretch % PARTS;
    struct ridge_term *term = &run->terms[t];
    uint64_t *positives = run->positives + (size_t)part * run->p.n_classes + t;
    const size_t start = run->packed.used;
    memcpy(positives, run->sum.positives, run->sum.columns * sizeof *positives);
    ridge_sum_pack(&run->sum, &run->packed);
    INVARIANT(!run->packed.failed);
    term->n_classes = run->sum.columns;
    term->classes = run->names + t;
    *(part ? &term->held : &term->fit) = (struct ridge_packed){.width = run->sum.width,
                                                               .columns = run->sum.columns,
                                                               .n = run->sum.n,
                                                               .positives = positives,
                                                               .bytes = run->packed.at + start,
                                                               .size = run->packed.used - start};
    ridge_sum_clear(&run->sum);
    run->stretch++;
    run->taken = 0;
}

static void close_complete(struct ridge_run *run)
{
    while (run->stretch < run->n_terms * PARTS && run->taken == run->stretches[run->stretch].n)
        close_stretch(run);
}

/* Targets of a row in the order of the class names. */
static void load_targets(const struct ridge_run *run, uint32_t row, uint8_t *out)
{
    const uint32_t n = run->p.n_classes;
    for (uint32_t c = 0; c < n; c++)
        out[c] = run->p.hot[(size_t)row * n + run->by_name[c]];
}

static void add_batch(struct ridge_run *run, const uint32_t *rows, uint32_t n)
{
    const struct ridge_problem *p = &run->p;
    const size_t floats = images_floats(&p->images);
    const float *inputs[RIDGE_RUN_BATCH];
    for (uint32_t i = 0; i < n; i++) {
        images_load(&p->images, rows[i], run->pixels + i * floats);
        inputs[i] = run->pixels + i * floats;
        if (p->hot)
            load_targets(run, rows[i], run->hot + (size_t)i * p->n_classes);
    }
    const struct vit_input in = {.n = n, .images = inputs};
    const int embeds = ridge_map_reads_embedding(run->map);
    const struct vit_output out = {.embeddings = embeds ? run->embeddings : NULL,
                                   .observer = ridge_map_observe,
                                   .observer_context = run->map};
    vit_forward(run->batch, p->weights, &in, &out);
    ridge_map_rows(run->map, n, embeds ? run->embeddings : NULL, run->features);
    ridge_sum_add(&run->sum, run->features, n, p->hot ? run->hot : NULL);
}

enum status
ridge_run_step(struct ridge_run *run, struct ridge_run_progress *ret_progress, struct fault *f)
{
    INVARIANT(run->magic == RUN_MAGIC && run->step < run->steps);
    if (run->tools.cancel && atomic_load(run->tools.cancel))
        FAIL(f, STATUS_CANCELLED, NULL, "cancelled at step %u of %u", run->step, run->steps);
    close_complete(run);
    const struct stretch *s = &run->stretches[run->stretch];
    const uint32_t left = s->n - run->taken, n = left < RIDGE_RUN_BATCH ? left : RIDGE_RUN_BATCH;
    add_batch(run, run->rows + s->at + run->taken, n);
    run->taken += n;
    run->images += n;
    run->step++;
    close_complete(run);
    *ret_progress = (struct ridge_run_progress){.step = run->step,
                                                .steps = run->steps,
                                                .images = run->images,
                                                .term = run->stretch / PARTS,
                                                .done = run->step == run->steps};
    return STATUS_OK;
}

void ridge_run_terms(const struct ridge_run *run, struct ridge_terms *ret_terms)
{
    INVARIANT(run->magic == RUN_MAGIC && run->step == run->steps);
    *ret_terms = (struct ridge_terms){.origin = run->p.origin,
                                      .options = run->options,
                                      .width = run->sum.width,
                                      .multi = run->p.hot != NULL,
                                      .n = run->n_terms,
                                      .terms = run->terms};
    memcpy(ret_terms->owner, run->p.owner, strlen(run->p.owner) + 1);
}
