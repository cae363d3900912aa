/*
 * Learning with the router on a tiny network: terms that do not depend on order, batches, threads
 * or numbering; exact forgetting of a class and of a sample; several labels an image; bad input.
 */
#include "tests/support/test.h"

#include "tests/property/learners/ridge_fixture.h"
#include "tests/property/learners/vit_fixture.h"

#include "learners/methods/ridge/ridge_run.h"

#define CLASSES 3
#define EACH    80 /* images a class: more than one batch of fitted ones */
#define IMAGES  (CLASSES * EACH)
#define HELD    10 /* of each */

struct world {
    struct ridge_fixture x;
    struct vit_config c;
    float *weight_block;
    struct vit_weights w;
    uint8_t pixels[IMAGES * 64];
    int32_t labels[IMAGES];
    uint8_t hot[IMAGES * CLASSES];
    uint32_t train[IMAGES], valid[IMAGES];
    struct ridge_options o;
    struct ridge_problem p;
};

static const char *const names[CLASSES] = {"cross", "arrow", "bar"};

static void draw_images(struct world *w)
{
    static const uint32_t masks[CLASSES] = {0x000f, 0x8888, 0x0660};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 3}, "pictures", 0);
    for (uint32_t i = 0; i < IMAGES; i++) {
        const uint32_t k = i % CLASSES;
        w->labels[i] = (int32_t)k;
        for (uint32_t c = 0; c < CLASSES; c++)
            w->hot[i * CLASSES + c] = c == k || (i + c) % 4 == 0;
        for (uint32_t q = 0; q < 64; q++)
            w->pixels[i * 64 + q] = (uint8_t)(rng_below(&r, 100) +
                                              (masks[k] >> (q / 16 * 4 + q % 8 / 2) & 1 ? 110 : 0));
    }
}

static void draw_weights(struct world *w)
{
    struct vit_fixture v = {.c = w->c};
    v.floats = vit_weights_floats(&w->c);
    v.weight_block = vit_fixture_alloc(v.floats, sizeof(float));
    vit_weights_map(&w->c, v.weight_block, &v.w);
    vit_fixture_weights(&v, 4, 0.25f);
    w->weight_block = v.weight_block;
    w->w = v.w;
}

static void open_world(struct world *w, uint32_t threads)
{
    memset(w, 0, sizeof *w);
    ridge_fixture_open(&w->x, threads);
    w->c = vit_fixture_tiny();
    draw_weights(w);
    draw_images(w);
    ridge_options_default(&w->o);
    w->o.features = 20;
    w->p = (struct ridge_problem){
        .config = w->c,
        .weights = &w->w,
        .owner = "shapes",
        .images = {w->pixels, w->labels, IMAGES, 8, 1, {1.0f / 128}, {-1.0f}},
        .n_classes = CLASSES,
        .classes = names,
        .train = w->train,
        .valid = w->valid,
    };
    memset(w->p.origin.base.b, 1, DIGEST_SIZE);
    for (uint32_t i = 0; i < IMAGES; i++)
        if (i / CLASSES < HELD)
            w->valid[w->p.n_valid++] = i;
        else
            w->train[w->p.n_train++] = i;
}

static void close_world(struct world *w)
{
    free(w->weight_block);
    ridge_fixture_close(&w->x);
}

static struct ridge_terms learn(struct world *w)
{
    struct ridge_run *run;
    struct ridge_run_progress progress = {0};
    struct ridge_terms t;
    const struct ridge_run_tools tools = {.pool = w->x.pool, .arena = &w->x.arena};
    assert_int_equal(ridge_run_new(&w->p, &w->o, &tools, &run, NULL), STATUS_OK);
    for (uint32_t step = 1; !progress.done; step++) {
        assert_int_equal(ridge_run_step(run, &progress, NULL), STATUS_OK);
        assert_int_equal(progress.step, step);
    }
    assert_int_equal(progress.step, progress.steps);
    assert_int_equal(progress.images, w->p.n_train + w->p.n_valid);
    ridge_run_terms(run, &t);
    return t;
}

struct bytes {
    uint8_t *at;
    size_t size;
};

static struct bytes encode(struct world *w, const struct ridge_terms *t)
{
    struct bytes b = {.size = ridge_terms_encoded_size(t)};
    b.at = arena_alloc(&w->x.arena, b.size, 1);
    assert_non_null(b.at);
    ridge_terms_encode(t, b.at, b.size);
    return b;
}

static void assert_same(struct bytes a, struct bytes b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.at, b.at, a.size);
}

static struct bytes learn_bytes(struct world *w)
{
    const struct ridge_terms t = learn(w);
    return encode(w, &t);
}

/* ------------------------------------------------------------------ features */

/* Rows of images 0 .. n - 1, `batch` at a time. */
static void make_rows(struct world *w, uint32_t n, uint32_t batch, float *rows)
{
    struct ridge_map *map;
    struct vit_batch *forward;
    const struct arena_mark mark = arena_mark(&w->x.arena);
    assert_int_equal(
        ridge_map_new(&w->c, &w->o, &w->p.origin.base, batch, w->x.pool, &w->x.arena, &map, NULL),
        STATUS_OK);
    assert_int_equal(vit_batch_new(&w->c, VIT_INFER, batch, w->x.pool, &w->x.arena, &forward),
                     STATUS_OK);
    float *pixels = arena_alloc(&w->x.arena, batch, 64 * sizeof *pixels);
    float *embeddings = arena_alloc(&w->x.arena, batch, w->c.width * sizeof *embeddings);
    const float *inputs[64];
    for (uint32_t at = 0; at < n; at += batch) {
        const uint32_t m = n - at < batch ? n - at : batch;
        for (uint32_t i = 0; i < m; i++) {
            images_load(&w->p.images, at + i, pixels + i * 64);
            inputs[i] = pixels + i * 64;
        }
        const struct vit_input in = {.n = m, .images = inputs};
        const struct vit_output out = {
            .embeddings = embeddings, .observer = ridge_map_observe, .observer_context = map};
        vit_forward(forward, &w->w, &in, &out);
        ridge_map_rows(map, m, embeddings, rows + at * ridge_map_width(map));
    }
    arena_rewind(&w->x.arena, mark);
}

void test_ridge_rows_are_whole_numbers_that_do_not_depend_on_batch_or_threads(void **state)
{
    (void)state;
    static const struct {
        uint32_t features, raw, regions, tokens, last_block;
    } cases[4] = {{20, 0, 2, 0, 2}, {600, 1, 1, 1, 0}, {0, 1, 0, 1, 0}, {33, 0, 64, 1, 9}};
    for (uint32_t k = 0; k < 4; k++) {
        struct world one, more;
        open_world(&one, 1);
        open_world(&more, 3);
        one.o.features = cases[k].features;
        one.o.raw = cases[k].raw;
        one.o.regions = cases[k].regions;
        one.o.tokens = cases[k].tokens;
        one.o.last_block = cases[k].last_block;
        more.o = one.o;
        const size_t width = ridge_map_width_of(&one.c, &one.o);
        float *a = malloc(30 * width * sizeof *a), *b = malloc(30 * width * sizeof *b);
        make_rows(&one, 30, 7, a);
        make_rows(&more, 30, 30, b);
        assert_memory_equal(a, b, 30 * width * sizeof *a);
        uint32_t other = 0;
        for (size_t i = 0; i < 30 * width; i++) {
            assert_true(a[i] == (float)(int)a[i] && a[i] >= -RIDGE_MAP_LEVELS &&
                        a[i] <= RIDGE_MAP_LEVELS);
            if (i % width < one.o.features)
                assert_true(a[i] >= 0);
            if (i % width == width - 1)
                assert_true(a[i] == 1.0f);
            other += a[i] != a[i % width];
        }
        assert_true(other > 0); /* images differ */
        free(a);
        free(b);
        close_world(&one);
        close_world(&more);
    }
}

void test_ridge_map_follows_from_the_base_alone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const size_t width = ridge_map_width_of(&w.c, &w.o), n = 5 * width;
    float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
    make_rows(&w, 5, 5, a);
    memset(w.p.origin.state.b, 9, DIGEST_SIZE);
    make_rows(&w, 5, 5, b);
    assert_memory_equal(a, b, n * sizeof *a);
    w.p.origin.base.b[3] ^= 1;
    make_rows(&w, 5, 5, b);
    assert_memory_not_equal(a, b, n * sizeof *a);
    free(a);
    free(b);
    close_world(&w);
}

/* sources of a 2 x 2 patch model with one region: the mean of four patches, normalised */
void test_ridge_raw_features_are_the_normalised_means_of_the_patches(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    w.o.features = 0;
    w.o.raw = 1;
    w.o.regions = 1;
    w.o.first_block = w.o.last_block = 2;
    const size_t c = w.c.width;
    float rows[3 * 9], taps[3 * 3 * 2 * 8];
    assert_int_equal(ridge_map_width_of(&w.c, &w.o), c + 1);
    make_rows(&w, 3, 3, rows);
    struct vit_batch *forward;
    assert_int_equal(vit_batch_new(&w.c, VIT_INFER, 3, w.x.pool, &w.x.arena, &forward), STATUS_OK);
    float pixels[3 * 64];
    const float *inputs[3] = {pixels, pixels + 64, pixels + 128};
    for (uint32_t i = 0; i < 3; i++)
        images_load(&w.p.images, i, pixels + i * 64);
    const struct vit_input in = {.n = 3, .images = inputs};
    const struct vit_output out = {.taps = taps};
    vit_forward(forward, &w.w, &in, &out);
    for (uint32_t i = 0; i < 3; i++) {
        const float *mean_token = taps + ((i * 3 + 1) * 2 + 1) * c;
        double mean = 0, variance = 0;
        for (size_t j = 0; j < c; j++)
            mean += (double)mean_token[j] / (double)c;
        for (size_t j = 0; j < c; j++)
            variance += pow((double)mean_token[j] - mean, 2) / (double)c;
        for (size_t j = 0; j < c; j++) {
            const double v = ((double)mean_token[j] - mean) / sqrt(variance + (double)w.c.ln_eps);
            assert_near(rows[i * (c + 1) + j], RIDGE_MAP_UNIT * v, 0.51);
        }
    }
    close_world(&w);
}

/* ------------------------------------------------------------------ exactness */

void test_ridge_run_leaves_no_trace_of_order_threads_or_numbering(void **state)
{
    (void)state;
    struct world w, other;
    open_world(&w, 1);
    const struct bytes first = learn_bytes(&w);
    open_world(&other, 3);
    /* the lists backwards, the classes numbered otherwise */
    static const char *const renamed[CLASSES] = {"bar", "cross", "arrow"};
    other.p.classes = renamed;
    for (uint32_t i = 0; i < IMAGES; i++)
        other.labels[i] = (other.labels[i] + 1) % CLASSES;
    for (uint32_t i = 0; i < w.p.n_train; i++)
        other.train[i] = w.train[w.p.n_train - 1 - i];
    for (uint32_t i = 0; i < w.p.n_valid; i++)
        other.valid[i] = w.valid[w.p.n_valid - 1 - i];
    assert_same(learn_bytes(&other), first);
    close_world(&w);
    close_world(&other);
}

/* Takes the images for which keep() is 0 off both lists. */
static void keep_only(struct world *w, int (*keep)(const struct world *w, uint32_t row))
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->p.n_train; i++)
        if (keep(w, w->train[i]))
            w->train[n++] = w->train[i];
    w->p.n_train = n;
    n = 0;
    for (uint32_t i = 0; i < w->p.n_valid; i++)
        if (keep(w, w->valid[i]))
            w->valid[n++] = w->valid[i];
    w->p.n_valid = n;
}

static int not_arrow(const struct world *w, uint32_t row)
{
    return w->labels[row] != 1;
}

void test_ridge_run_without_a_class_equals_dropping_it(void **state)
{
    (void)state;
    struct world w, never;
    open_world(&w, 1);
    struct ridge_terms t = learn(&w);
    const struct digest left = {{0x77}};
    assert_int_equal(ridge_terms_drop(&t, "arrow", &left, NULL), STATUS_OK);
    open_world(&never, 1);
    static const char *const two[2] = {"cross", "bar"};
    keep_only(&never, not_arrow);
    for (uint32_t i = 0; i < IMAGES; i++)
        never.labels[i] = never.labels[i] == 2;
    never.p.classes = two;
    never.p.n_classes = 2;
    never.p.origin.data = left;
    assert_same(encode(&w, &t), learn_bytes(&never));
    close_world(&w);
    close_world(&never);
}

static int not_a_subject(const struct world *w, uint32_t row)
{
    (void)w;
    return row % 17 != 5;
}

void test_ridge_run_without_a_subject_changes_no_other_class(void **state)
{
    (void)state;
    struct world w, without;
    open_world(&w, 1);
    open_world(&without, 1);
    keep_only(&without, not_a_subject);
    for (uint32_t i = 0; i < w.p.n_train; i++) /* the subject's images are bars only */
        w.labels[w.train[i]] = w.train[i] % 17 == 5 ? 2 : w.labels[w.train[i]];
    for (uint32_t i = 0; i < w.p.n_valid; i++)
        w.labels[w.valid[i]] = w.valid[i] % 17 == 5 ? 2 : w.labels[w.valid[i]];
    const struct ridge_terms before = learn(&w), after = learn(&without);
    for (uint32_t t = 0; t < CLASSES; t++) {
        const struct ridge_packed *a = &before.terms[t].fit, *b = &after.terms[t].fit;
        if (strcmp(before.terms[t].classes[0], "bar") == 0) {
            assert_true(a->n > b->n);
            continue;
        }
        assert_int_equal(a->n, b->n);
        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->bytes, b->bytes, a->size);
    }
    close_world(&w);
    close_world(&without);
}

/* ------------------------------------------------------------------ several labels */

void test_ridge_run_multi_label_has_one_term_of_all_images(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 2);
    w.p.hot = w.hot;
    w.p.images.labels = NULL;
    const struct ridge_terms t = learn(&w);
    const size_t p = t.width;
    assert_true(t.multi);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.terms[0].n_classes, CLASSES);
    assert_string_equal(t.terms[0].classes[0], "arrow");
    assert_int_equal(t.terms[0].fit.n, w.p.n_train);
    float *rows = malloc(IMAGES * p * sizeof *rows);
    double *want = calloc(CLASSES * p, sizeof *want), *got = calloc(CLASSES * p, sizeof *got);
    make_rows(&w, IMAGES, 64, rows);
    static const uint32_t by_name[CLASSES] = {1, 2, 0}; /* arrow, bar, cross */
    for (uint32_t i = 0; i < w.p.n_train; i++)
        for (uint32_t c = 0; c < CLASSES; c++)
            for (uint32_t j = 0; j < p && w.hot[w.train[i] * CLASSES + by_name[c]]; j++)
                want[c * p + j] += (double)rows[w.train[i] * p + j];
    ridge_packed_add_products(&t.terms[0].fit, 1.0, got);
    assert_memory_equal(got, want, CLASSES * p * sizeof *want);
    struct ridge_terms drop = t;
    const struct digest none = {{0}};
    assert_int_equal(ridge_terms_drop(&drop, "bar", &none, NULL), STATUS_FAILED_PRECONDITION);
    /* and it is solved beside a single-label owner */
    w.p.hot = NULL;
    w.p.images.labels = w.labels;
    w.p.owner = "others";
    const struct ridge_terms single = learn(&w);
    const struct ridge_source sources[2] = {{.terms = &t}, {.terms = &single}};
    struct ridge_router r;
    assert_int_equal(ridge_router_solve(sources, 2, &w.o,
                                        &(struct ridge_memory){w.x.pool, &w.x.arena, &w.x.arena},
                                        &r, NULL),
                     STATUS_OK);
    assert_int_equal(r.n_classes, 2 * CLASSES);
    free(rows);
    free(want);
    free(got);
    close_world(&w);
}

void test_ridge_router_learns_the_pictures(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    w.o.features = 60;
    const struct ridge_terms t = learn(&w);
    const struct ridge_source source = {.terms = &t};
    struct ridge_router r;
    assert_int_equal(ridge_router_solve(&source, 1, &w.o,
                                        &(struct ridge_memory){w.x.pool, &w.x.arena, &w.x.arena},
                                        &r, NULL),
                     STATUS_OK);
    const size_t p = t.width;
    float *rows = malloc(IMAGES * p * sizeof *rows), *scores = malloc(IMAGES * CLASSES * 4);
    make_rows(&w, IMAGES, 64, rows);
    ridge_router_scores(&r, rows, IMAGES, w.x.pool, scores);
    uint32_t right = 0;
    for (uint32_t i = 0; i < IMAGES; i++) {
        uint32_t best = 0;
        for (uint32_t k = 1; k < CLASSES; k++)
            best = scores[i * CLASSES + k] > scores[i * CLASSES + best] ? k : best;
        right += strcmp(r.classes[best], names[w.labels[i]]) == 0;
    }
    assert_true(right > IMAGES * 9 / 10);
    free(rows);
    free(scores);
    close_world(&w);
}

/* ------------------------------------------------------------------ errors and sizes */

static enum status try_new(struct world *w, struct fault *f)
{
    struct ridge_run *run;
    const struct ridge_run_tools tools = {.pool = w->x.pool, .arena = &w->x.arena};
    const size_t used = w->x.arena.used;
    const enum status s = ridge_run_new(&w->p, &w->o, &tools, &run, f);
    if (s != STATUS_OK)
        assert_int_equal(w->x.arena.used, used);
    return s;
}

void test_ridge_run_refuses_bad_input_by_name(void **state)
{
    (void)state;
    struct world w;
    struct fault f = {0};
    open_world(&w, 1);
    const struct world good = w;
    w.p.owner = "";
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "owner");
    w.p = good.p;
    static const char *const twice[CLASSES] = {"a", "b", "a"};
    w.p.classes = twice;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "classes");
    w.p = good.p;
    keep_only(&w, not_arrow);
    assert_int_equal(try_new(&w, &f), STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(f.text, "arrow"));
    w = good;
    w.train[3] = IMAGES;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "train");
    w = good;
    w.labels[3] = CLASSES;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "labels");
    w = good;
    w.p.hot = w.hot;
    w.hot[w.valid[2] * CLASSES] = 2;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "labels");
    w = good;
    w.o.first_block = 9;
    w.o.last_block = 0;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "first_block");
    w = good;
    w.p.images.size = 7;
    assert_int_equal(try_new(&w, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "images");
    w = good;
    assert_int_equal(try_new(&w, &f), STATUS_OK);
    close_world(&w);
}

void test_ridge_run_can_be_cancelled_and_keeps_to_its_plan(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 2);
    const size_t bytes = ridge_run_plan(&w.p, &w.o, 2);
    void *memory = malloc(bytes);
    struct arena arena;
    atomic_int cancel = 0;
    struct ridge_run *run;
    struct ridge_run_progress progress = {0};
    const struct ridge_run_tools tools = {w.x.pool, &arena, &cancel};
    arena_init(&arena, memory, bytes);
    assert_int_equal(ridge_run_new(&w.p, &w.o, &tools, &run, NULL), STATUS_OK);
    assert_int_equal(ridge_run_step(run, &progress, NULL), STATUS_OK);
    atomic_store(&cancel, 1);
    assert_int_equal(ridge_run_step(run, &progress, NULL), STATUS_CANCELLED);
    atomic_store(&cancel, 0);
    while (!progress.done)
        assert_int_equal(ridge_run_step(run, &progress, NULL), STATUS_OK);
    assert_true(arena_high_water(&arena) <= bytes);
    arena_init(&arena, memory, bytes / 2);
    assert_int_equal(ridge_run_new(&w.p, &w.o, &tools, &run, NULL), STATUS_NO_MEMORY);
    free(memory);
    close_world(&w);
}
