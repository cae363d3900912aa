/* Served versions: sharing, masking, folding, references, the cache. */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/served.h"
#include "proto/seal/trunk_digest.h"

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

/* A version with one erasure component that holds these bytes. */
static enum status fold_bytes(const char *bytes,
                              size_t size,
                              const struct served_delta *records,
                              size_t n_records,
                              struct served **ret_served,
                              struct fault *f)
{
    struct served *one = first_version();
    struct version v = *one->manifest;
    struct version_component components[16];
    const struct request_id id = jobs_id(9);
    assert_true(v.n_components < 16);
    memcpy(components, v.components, v.n_components * sizeof *components);
    components[v.n_components++] = (struct version_component){.kind = VERSION_KIND_ERASURE,
                                                              .name = "first",
                                                              .blob = seal_hash(bytes, size),
                                                              .bytes = size,
                                                              .request = id};
    v.components = components;
    v.erasures = &id;
    v.n_erasures = 1;
    void *encoded;
    size_t encoded_size;
    struct version *copy;
    jobs_ok(version_encode(&v, &encoded, &encoded_size, fx));
    jobs_ok(version_decode(encoded, encoded_size, &copy, fx));
    const struct digest digest = seal_hash(encoded, encoded_size);
    sysio_free(encoded);
    served_release(one);
    return served_fold(fixture.base, &digest, copy, records, n_records, ret_served, f);
}

void test_served_refuses_a_damaged_or_missing_delta(void **state)
{
    (void)state;
    static const char text[] = "LDELTA1\nrubbish";
    struct served *s = NULL;
    struct fault f = {0};
    const struct served_delta rubbish = {text, 15}, other = {text, 14};
    assert_int_equal(fold_bytes(text, 15, &rubbish, 1, &s, &f), STATUS_DATA_LOSS);
    assert_non_null(strstr(f.text, "delta 0"));
    assert_int_equal(fold_bytes(text, 15, &other, 1, &s, &f), STATUS_DATA_LOSS);
    assert_string_equal(f.field, "components");
    assert_int_equal(fold_bytes(text, 15, NULL, 0, &s, &f), STATUS_DATA_LOSS);
    assert_null(s);
}

void test_served_masks_what_is_forgotten(void **state)
{
    (void)state;
    struct served *s = with_forgotten(2);
    assert_int_equal(s->n_labels, TINY_CLASSES);
    assert_int_equal(s->n_live, TINY_CLASSES - 2);
    for (uint32_t k = 0; k < TINY_CLASSES; k++) {
        assert_int_equal(s->live[k], k >= 2);
        assert_int_equal(s->rows[k], k);
    }
    served_release(s);
}

/* Versions with the same erasures have the same trunk, whatever else they hold. */
void test_served_names_its_trunk(void **state)
{
    (void)state;
    struct served *one = first_version(), *two = with_forgotten(1);
    const struct digest base = trunk_digest(&fixture.base->digest, NULL, 0);
    assert_true(digest_equal(&one->trunk, &base));
    assert_true(digest_equal(&two->trunk, &base));
    assert_true(one->tag != two->tag);
    served_release(one);
    served_release(two);
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
