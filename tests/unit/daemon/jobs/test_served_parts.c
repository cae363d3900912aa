/*
 * Versions with lanes, experts and a router: labels matched with the manifest, records by digest,
 * answers by scope and decision, workspaces that follow the version in hand.
 */
#include "tests/support/fake_learner.h"
#include "tests/support/jobs_fixture.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "daemon/jobs/predict.h"
#include "daemon/jobs/served_internal.h"
#include "proto/seal/trunk_digest.h"

#define MAX 12

static struct jobs_fixture fixture;
static struct served *plain; /* the base alone */

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    jobs_fixture_new(&fixture);
    jobs_ok(recover_serving(fixture.store, fixture.base, &plain, fx));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    served_release(plain);
    jobs_fixture_free(&fixture);
    return 0;
}

/* A manifest in the making, with the records of its components. */
struct draft {
    struct version v;
    struct version_component components[MAX + 8];
    struct version_label labels[32];
    struct fake_record records[MAX];
    struct served_record list[MAX];
    size_t n;
    size_t lost; /* records that are not given */
    struct request_id erasure;
};

static void draft_begin(struct draft *d)
{
    memset(d, 0, sizeof *d);
    d->v = *plain->manifest;
    d->erasure = jobs_id(9);
    d->v.number = 2;
    d->v.parent = plain->digest;
    assert_true(d->v.n_components <= 8);
    memcpy(d->components, d->v.components, d->v.n_components * sizeof *d->components);
    memcpy(d->labels, d->v.labels, d->v.n_labels * sizeof *d->labels);
    d->v.components = d->components;
    d->v.labels = d->labels;
    d->v.erasures = &d->erasure;
    d->v.n_erasures = 1;
}

static void draft_label(struct draft *d, const char *owner, const char *name)
{
    d->labels[d->v.n_labels++] =
        (struct version_label){.name = name, .owner = owner, .status = VERSION_LABEL_ACTIVE};
}

static void draft_forget(struct draft *d, size_t row)
{
    d->labels[row].status = VERSION_LABEL_FORGOTTEN;
    d->labels[row].forgotten_by = d->erasure;
}

/* A component; the manifest's labels are draft_label's. */
static struct fake_record *
draft_add(struct draft *d, const char *kind, const char *name, float threshold, const char *labels)
{
    const size_t i = d->n++;
    d->records[i] = fake_record(i + 1, threshold, labels);
    d->components[d->v.n_components++] = (struct version_component){.kind = kind, .name = name};
    return &d->records[i];
}

static enum status draft_make(struct draft *d, struct served **ret_served, struct fault *f)
{
    const size_t first = d->v.n_components - d->n;
    for (size_t i = 0; i < d->n; i++) {
        /* in another order than the manifest's */
        struct served_record *r = &d->list[d->n - 1 - i];
        *r = (struct served_record){.bytes = &d->records[i], .size = sizeof d->records[i]};
        r->digest = seal_hash(r->bytes, r->size);
        d->components[first + i].blob = r->digest;
        d->components[first + i].bytes = r->size;
    }
    void *bytes;
    size_t size;
    struct version *copy;
    jobs_ok(version_encode(&d->v, &bytes, &size, fx));
    jobs_ok(version_decode(bytes, size, &copy, fx));
    const struct served_source x = {.base = fixture.base,
                                    .digest = seal_hash(bytes, size),
                                    .manifest = copy,
                                    .records = d->list,
                                    .n_records = d->n - d->lost,
                                    .lookup = fake_lookup_joining};
    sysio_free(bytes);
    *ret_served = NULL;
    return served_make(&x, ret_served, f);
}

/* Lanes digits {one, two} and scenes {sea, sky} (several labels), expert shop.1 {shoe}. */
static void draft_usual(struct draft *d)
{
    draft_begin(d);
    draft_add(d, "lane", "digits", -1.0f, "one,two");
    draft_add(d, "lane", "scenes", 0.3f, "sea,sky");
    draft_add(d, "expert", "shop.1", -1.0f, "shoe");
    draft_label(d, "lane:scenes", "sky"); /* not in the components' order */
    draft_label(d, "lane:digits", "one");
    draft_label(d, "lane:digits", "two");
    draft_label(d, "lane:scenes", "sea");
    draft_label(d, "expert:shop.1", "shoe");
}

static void draft_router(struct draft *d)
{
    draft_add(d, "router", "base", -1.0f,
              "base\x1f"
              "Circle,base\x1f"
              "Cross");
    draft_add(d, "router", "tasks", -1.0f,
              "lane:digits\x1fone,lane:digits\x1ftwo,lane:scenes\x1fsea,expert:shop.1\x1fshoe");
}

static void draft_refused(struct draft *d, const char *field)
{
    struct served *s;
    struct fault f = {0};
    assert_string_equal(status_name(draft_make(d, &s, &f)), status_name(STATUS_DATA_LOSS));
    assert_string_equal(f.field, field);
    assert_null(s);
}

/* ------------------------------------------------------------------ labels and records */

void test_served_parts_place_labels_in_the_manifest(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    draft_usual(&d);
    draft_forget(&d, 1);                 /* Square */
    draft_forget(&d, 6);                 /* two */
    draft_label(&d, "lane:gone", "old"); /* its component is destroyed */
    draft_forget(&d, 9);
    jobs_ok(draft_make(&d, &s, fx));
    static const uint32_t rows[] = {0, 1, 2, 3, 5, 6, 7, 4, 8};
    static const uint8_t live[] = {1, 0, 1, 1, 1, 0, 1, 1, 1};
    assert_int_equal(s->n_labels, 9);
    assert_int_equal(s->n_live, 7);
    assert_int_equal(s->n_classes, TINY_CLASSES);
    assert_memory_equal(s->rows, rows, sizeof rows);
    assert_memory_equal(s->live, live, sizeof live);
    const struct digest trunk = trunk_digest(&fixture.base->digest, NULL, 0);
    assert_true(digest_equal(&s->trunk, &trunk));
    served_release(s);
}

void test_served_parts_refuse_labels_that_do_not_match(void **state)
{
    (void)state;
    struct draft d;
    draft_usual(&d);
    draft_label(&d, "lane:digits", "three"); /* nobody answers with it */
    draft_refused(&d, "labels");
    draft_usual(&d);
    draft_label(&d, "lane:digits", "two"); /* twice */
    draft_refused(&d, "labels");
    draft_usual(&d);
    d.v.n_labels--; /* shoe is not listed */
    draft_refused(&d, "labels");
    draft_usual(&d);
    d.labels[5].owner = "lane:scenes"; /* of another owner */
    draft_refused(&d, "labels");
    draft_usual(&d);
    const struct version_label first = d.labels[0];
    d.labels[0] = d.labels[4]; /* the base's come first */
    d.labels[4] = first;
    draft_refused(&d, "labels");
}

void test_served_parts_refuse_missing_and_damaged_records(void **state)
{
    (void)state;
    struct draft d;
    draft_usual(&d);
    d.records[1].magic++;
    draft_refused(&d, "record");
    draft_usual(&d);
    d.lost = 1;
    draft_refused(&d, "components");
}

void test_served_parts_pass_over_other_kinds(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    draft_usual(&d);
    draft_add(&d, "tombstones", "digits", -1.0f, "a");
    jobs_ok(draft_make(&d, &s, fx));
    assert_int_equal(s->n_labels, 9);
    served_release(s);
}

/* ------------------------------------------------------------------ predictions */

#define N 11

struct pictures {
    uint8_t pixels[N][TINY_PIXELS];
    const uint8_t *at[N];
    size_t size[N];
    struct predict_frames frames;
    struct wire_predict m;
};

static struct pictures pictures;
static unsigned char call_memory[1 << 20];

static void pictures_draw(const char *scope, const char *decision, uint32_t top)
{
    struct pictures *x = &pictures;
    for (uint32_t i = 0; i < N; i++) {
        tiny_image(i % TINY_CLASSES, 31, i, x->pixels[i]);
        x->at[i] = x->pixels[i];
        x->size[i] = TINY_PIXELS;
    }
    x->frames = (struct predict_frames){N, x->at, x->size};
    x->m = (struct wire_predict){.images = N,
                                 .pixel = WIRE_PIXEL_U8,
                                 .height = TINY_SIZE,
                                 .width = TINY_SIZE,
                                 .channels = 1,
                                 .top = top,
                                 .logits = true,
                                 .scope = scope,
                                 .decision = decision};
}

/* Items live in call_memory until the next call. */
static uint32_t ask(struct predictor *p,
                    const struct served *s,
                    const char *scope,
                    const char *decision,
                    uint32_t top,
                    struct wire_prediction items[N])
{
    struct arena arena;
    struct predict_choice c;
    pictures_draw(scope, decision, top);
    arena_init(&arena, call_memory, sizeof call_memory);
    jobs_ok(predict_choose(s, &pictures.m, &arena, &c, fx));
    jobs_ok(predict_run(p, 0, s, &c, &pictures.m, &pictures.frames, &arena, items, fx));
    return c.n_columns;
}

/* Bits of the base's logits, whatever else the version has and whoever else is asked. */
void test_served_parts_predict_the_base_bit_for_bit(void **state)
{
    (void)state;
    static float logits[N][TINY_CLASSES];
    struct draft d;
    struct served *s;
    struct predictor *p;
    struct wire_prediction items[N];
    float best[N];
    draft_usual(&d);
    draft_router(&d);
    jobs_ok(draft_make(&d, &s, fx));
    jobs_ok(predictor_new(fixture.base, 1, 4, &p, fx));
    assert_int_equal(ask(p, plain, "", "", 0, items), TINY_CLASSES);
    for (uint32_t i = 0; i < N; i++) {
        memcpy(logits[i], items[i].logits, sizeof logits[i]);
        best[i] = items[i].labels[0].p;
    }
    assert_int_equal(ask(p, s, "base", "", 0, items), TINY_CLASSES);
    for (uint32_t i = 0; i < N; i++) {
        assert_memory_equal(items[i].logits, logits[i], sizeof logits[i]);
        assert_memory_equal(&items[i].labels[0].p, &best[i], sizeof best[i]);
        assert_string_equal(items[i].expert, "base");
    }
    assert_int_equal(ask(p, s, "", "", 0, items), 9);
    for (uint32_t i = 0; i < N; i++)
        assert_memory_equal(items[i].logits, logits[i], sizeof logits[i]);
    predictor_free(p);
    served_release(s);
}

void test_served_parts_predict_scopes_and_decisions(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    struct predictor *p;
    struct wire_prediction items[N];
    draft_usual(&d);
    draft_router(&d);
    draft_forget(&d, 5); /* one */
    jobs_ok(draft_make(&d, &s, fx));
    jobs_ok(predictor_new(fixture.base, 1, 8, &p, fx));
    assert_int_equal(ask(p, s, "stream:shop", "", 5, items), 1);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(items[i].n_labels, 1);
        assert_string_equal(items[i].labels[0].label, "shoe");
        assert_string_equal(items[i].expert, "expert:shop.1");
        assert_near(items[i].labels[0].p, 1.0, 1e-9);
    }
    for (int raw = 0; raw < 2; raw++) {
        assert_int_equal(ask(p, s, "all", raw ? "raw" : "routed", 32, items), 9);
        for (uint32_t i = 0; i < N; i++) {
            double single = 0.0;
            assert_int_equal(items[i].n_labels, 8); /* without the forgotten one */
            assert_int_equal(items[i].n_logits, 9); /* with it */
            assert_string_equal(items[i].expert, items[i].labels[0].owner);
            for (uint32_t k = 0; k < 8; k++) {
                const struct wire_scored_label *l = &items[i].labels[k];
                assert_string_not_equal(l->label, "one");
                assert_true(k == 0 || l->p <= items[i].labels[k - 1].p);
                if (strcmp(l->owner, "lane:scenes") != 0)
                    single += (double)l->p;
            }
            if (raw)
                assert_near(single, 1.0, 1e-5);
            else
                assert_true(single < 1.0);
        }
    }
    predictor_free(p);
    served_release(s);
}

/* Of a lane with several labels an image: those that are present, or the best one. */
void test_served_parts_predict_several_labels(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    struct predictor *p;
    struct wire_prediction items[N];
    uint32_t counts[3] = {0};
    draft_usual(&d);
    d.v.n_components -= 3;
    d.v.n_labels = TINY_CLASSES;
    d.n = 0;
    draft_add(&d, "lane", "scenes", 0.5f, "sea,sky")->seed = 77;
    draft_label(&d, "lane:scenes", "sea");
    draft_label(&d, "lane:scenes", "sky");
    jobs_ok(draft_make(&d, &s, fx));
    jobs_ok(predictor_new(fixture.base, 1, 8, &p, fx));
    assert_int_equal(ask(p, s, "lanes", "", 0, items), 2);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t present = 0;
        for (uint32_t k = 0; k < 2; k++)
            present += items[i].logits[k] > 0.0f; /* sigmoid above one half */
        counts[present]++;
        assert_int_equal(items[i].n_labels, present > 0 ? present : 1);
        const double z = (double)fmaxf(items[i].logits[0], items[i].logits[1]);
        assert_near(items[i].labels[0].p, 1.0 / (1.0 + exp(-z)), 1e-6);
    }
    assert_true((counts[0] > 0) + (counts[1] > 0) + (counts[2] > 0) >= 2);
    assert_int_equal(ask(p, s, "lanes", "raw", 1, items), 2);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(items[i].n_labels, 1);
    predictor_free(p);
    served_release(s);
}

void test_served_parts_predict_refuses_a_forgotten_scope(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    struct arena arena;
    struct predict_choice c;
    struct fault f = {0};
    draft_usual(&d);
    draft_forget(&d, 8); /* shoe */
    jobs_ok(draft_make(&d, &s, fx));
    pictures_draw("stream:shop", "", 1);
    arena_init(&arena, call_memory, sizeof call_memory);
    assert_int_equal(predict_choose(s, &pictures.m, &arena, &c, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "scope");
    arena_fini(&arena);
    served_release(s);
}

/* Larger and smaller versions in turn on one thread; freed ones leave nothing behind. */
void test_served_parts_predict_follows_the_version(void **state)
{
    (void)state;
    struct predictor *p;
    struct wire_prediction items[N];
    static float seen[N][9];
    jobs_ok(predictor_new(fixture.base, 1, 8, &p, fx));
    for (uint32_t round = 0; round < 6; round++) {
        struct draft d;
        struct served *s;
        draft_usual(&d);
        if (round % 3 == 1)
            draft_router(&d);
        jobs_ok(draft_make(&d, &s, fx));
        assert_int_equal(ask(p, s, "all", "raw", 1, items), 9);
        for (uint32_t i = 0; i < N; i++) {
            if (round > 0)
                assert_memory_equal(items[i].logits, seen[i], sizeof seen[i]);
            memcpy(seen[i], items[i].logits, sizeof seen[i]);
        }
        if (round % 2)
            assert_int_equal(ask(p, plain, "", "", 1, items), TINY_CLASSES);
        served_release(s);
    }
    /* the same version and scope again: no memory is taken */
    assert_int_equal(ask(p, plain, "", "", 1, items), TINY_CLASSES);
    const uint64_t taken = sysio_count(SYSIO_MMAP) + sysio_count(SYSIO_ALLOC);
    assert_int_equal(ask(p, plain, "", "", 1, items), TINY_CLASSES);
    assert_int_equal(sysio_count(SYSIO_MMAP) + sysio_count(SYSIO_ALLOC), taken);
    predictor_free(p);
}

void test_served_parts_predict_without_memory(void **state)
{
    (void)state;
    struct draft d;
    struct served *s;
    struct predictor *p;
    struct arena arena;
    struct predict_choice c;
    struct wire_prediction items[N];
    struct fault f = {0};
    draft_usual(&d);
    jobs_ok(draft_make(&d, &s, fx));
    jobs_ok(predictor_new(fixture.base, 1, 8, &p, fx));
    pictures_draw("all", "", 1);
    arena_init(&arena, call_memory, sizeof call_memory);
    jobs_ok(predict_choose(s, &pictures.m, &arena, &c, fx));
    sysio_fail_at(SYSIO_MMAP, 1, 1, ENOMEM);
    assert_int_equal(predict_run(p, 0, s, &c, &pictures.m, &pictures.frames, &arena, items, &f),
                     STATUS_NO_MEMORY);
    sysio_fail_at(SYSIO_MMAP, 0, 0, 0);
    jobs_ok(predict_run(p, 0, s, &c, &pictures.m, &pictures.frames, &arena, items, fx));
    assert_int_equal(predictor_count(p), N);
    arena_fini(&arena);
    predictor_free(p);
    served_release(s);
}
