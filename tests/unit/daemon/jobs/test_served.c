/* Served versions: sharing, masking, folding, references, the cache. */
#include "tests/support/jobs_fixture.h"

#include <math.h>
#include <string.h>

#include "daemon/jobs/predict.h"
#include "daemon/jobs/served.h"

static struct jobs_fixture fixture;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    jobs_fixture_new(&fixture);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    jobs_fixture_free(&fixture);
    return 0;
}

static struct served *first_version(void)
{
    struct served *s = NULL;
    jobs_ok(recover_serving(fixture.store, fixture.base, &s, fx));
    return s;
}

/* The manifest of version 1 with `n` labels forgotten. */
static struct served *with_forgotten(uint32_t n)
{
    struct served *one = first_version();
    struct version v = *one->manifest;
    struct version_label labels[TINY_CLASSES];
    const struct request_id id = jobs_id(9);
    memcpy(labels, v.labels, sizeof labels);
    for (uint32_t k = 0; k < n; k++) {
        labels[k].status = VERSION_LABEL_FORGOTTEN;
        labels[k].forgotten_by = id;
    }
    v.labels = labels;
    v.erasures = &id;
    v.n_erasures = 1;
    v.number = 2;
    v.parent = one->digest;
    void *bytes;
    size_t size;
    struct version *copy;
    struct served *s;
    jobs_ok(version_encode(&v, &bytes, &size, fx));
    jobs_ok(version_decode(bytes, size, &copy, fx));
    const struct digest digest = seal_hash(bytes, size);
    sysio_free(bytes);
    jobs_ok(served_fold(fixture.base, &digest, copy, NULL, 0, &s, fx));
    served_release(one);
    return s;
}

void test_served_shares_the_base_without_erasures(void **state)
{
    (void)state;
    struct served *s = first_version();
    assert_ptr_equal(s->weights.blocks[0].fc1_w, fixture.base->weights.blocks[0].fc1_w);
    assert_int_equal(s->n_live, TINY_CLASSES);
    served_release(s);
}

void test_served_refuses_a_damaged_delta(void **state)
{
    (void)state;
    struct served *one = first_version(), *s = NULL;
    void *bytes;
    size_t size;
    struct version *copy;
    jobs_ok(version_encode(one->manifest, &bytes, &size, fx));
    jobs_ok(version_decode(bytes, size, &copy, fx));
    const struct served_delta delta = {"LDELTA1\nrubbish", 15};
    struct fault f = {0};
    assert_int_equal(served_fold(fixture.base, &one->digest, copy, &delta, 1, &s, &f),
                     STATUS_DATA_LOSS);
    assert_null(s);
    sysio_free(bytes);
    served_release(one);
}

void test_served_rank_masks_and_renormalises(void **state)
{
    (void)state;
    struct served *s = with_forgotten(2);
    const float logits[TINY_CLASSES] = {9.0f, 8.0f, 1.0f, 2.0f};
    struct predict_score scratch[TINY_CLASSES];
    struct wire_scored_label items[TINY_CLASSES];
    const uint32_t n = predict_rank(s, logits, 10, scratch, items);
    assert_int_equal(n, 2);
    assert_string_equal(items[0].label, "Stripe");
    assert_string_equal(items[1].label, "Cross");
    assert_near(items[0].p + items[1].p, 1.0, 1e-6);
    assert_near(items[0].p, 1.0 / (1.0 + exp(-1.0)), 1e-6);
    served_release(s);
}

void test_served_rank_breaks_ties_by_label_order(void **state)
{
    (void)state;
    struct served *s = first_version();
    const float logits[TINY_CLASSES] = {1.0f, 3.0f, 3.0f, 3.0f};
    struct predict_score scratch[TINY_CLASSES];
    struct wire_scored_label items[2];
    assert_int_equal(predict_rank(s, logits, 2, scratch, items), 2);
    assert_string_equal(items[0].label, "Square");
    assert_string_equal(items[1].label, "Cross");
    served_release(s);
}

void test_served_cache_keeps_and_swaps(void **state)
{
    (void)state;
    struct served_cache *cache;
    jobs_ok(served_cache_new(fixture.base, fixture.store, 2, &cache, fx));
    assert_null(served_take_serving(cache));
    served_cache_publish(cache, first_version());
    struct served *a = served_take_serving(cache), *b;
    jobs_ok(served_take(cache, &a->digest, &b, fx));
    assert_ptr_equal(a, b); /* the serving version is never built twice */
    served_cache_publish(cache, with_forgotten(1));
    struct served *now = served_take_serving(cache);
    assert_int_equal(now->n_live, TINY_CLASSES - 1);
    assert_int_equal(a->n_live, TINY_CLASSES); /* held references outlive the swap */
    served_release(b);
    jobs_ok(served_take(cache, &a->digest, &b, fx)); /* built again, by name */
    assert_true(digest_equal(&a->digest, &b->digest));
    const struct digest unknown = {{1, 2, 3}};
    struct fault f = {0};
    struct served *none;
    assert_int_equal(served_take(cache, &unknown, &none, &f), STATUS_NOT_FOUND);
    served_release(now);
    served_release(a);
    served_cache_free(cache);
    assert_int_equal(b->manifest->number, 1);
    served_release(b);
}
