/* Start path: first version, later starts with and without the folder, another base, damage. */
#include "tests/support/jobs_fixture.h"

#include <string.h>
#include <unistd.h>

void test_recover_first_start_makes_version_one(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct served *s;
    jobs_fixture_new(&x);
    jobs_ok(recover_serving(x.store, x.base, &s, fx));
    assert_int_equal(s->manifest->number, 1);
    assert_int_equal(s->manifest->n_labels, TINY_CLASSES);
    assert_string_equal(s->manifest->labels[3].name, "Stripe");
    assert_string_equal(s->manifest->labels[3].owner, "base");
    const struct version_component *c = version_find_component(s->manifest, "base", NULL);
    assert_non_null(c);
    assert_string_equal(c->name, "model");
    assert_true(digest_equal(&c->blob, &x.base->part_digest[MODEL_FILE_WEIGHTS]));
    served_release(s);
    jobs_fixture_free(&x);
}

/* The store alone is enough to serve. */
void test_recover_without_the_folder(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct served *s;
    jobs_fixture_new(&x);
    const struct digest digest = x.base->digest;
    jobs_fixture_close(&x);
    test_support_rmdir(x.model);
    jobs_fixture_open(&x);
    assert_true(digest_equal(&digest, &x.base->digest));
    assert_string_equal(x.base->name, "model");
    jobs_ok(recover_serving(x.store, x.base, &s, fx));
    served_release(s);
    jobs_fixture_free(&x);
}

void test_recover_refuses_another_base(void **state)
{
    (void)state;
    struct jobs_fixture x;
    jobs_fixture_new(&x);
    base_model_free(x.base);
    const struct vit_config c = tiny_config();
    float *block = sysio_alloc(vit_weights_floats(&c), sizeof *block);
    assert_non_null(block);
    tiny_fill(&c, block);
    block[0] += 1.0f;
    const struct model_config m = tiny_model_config(&c);
    jobs_ok(model_write_folder(x.model, &m, block, 0, NULL, NULL, fx));
    sysio_free(block);
    struct base_model *base;
    struct fault f = {0};
    assert_int_equal(recover_base(x.store, x.model, &base, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "base");
    assert_non_null(strstr(f.text, "the folder holds"));
    jobs_ok(recover_base(x.store, "", &x.base, fx));
    jobs_fixture_free(&x);
}

void test_recover_new_store_needs_a_folder(void **state)
{
    (void)state;
    char folder[256], path[300];
    struct store *store;
    struct base_model *base;
    struct fault f = {0};
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/store", folder);
    const struct kv_options options = {.folder = path};
    jobs_ok(store_open(&options, &store, fx));
    assert_int_equal(recover_base(store, "", &base, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "base");
    assert_int_equal(recover_base(store, "/nonexistent/model", &base, &f), STATUS_NOT_FOUND);
    store_close(store);
    test_support_rmdir(folder);
}

void test_recover_requests_go_back_to_the_queue(void **state)
{
    (void)state;
    struct jobs_fixture x;
    static const char *const cross[] = {"Cross"};
    const struct wire_forget m = {.classes = cross, .n_classes = 1};
    jobs_fixture_new(&x);
    jobs_fixture_import_usual(&x);
    const struct queue_record queued = jobs_queue(&x, 1, &m);
    (void)jobs_move(&x, &queued.id, REQUEST_EVENT_START);
    jobs_ok(recover_requests(x.store, fx));
    struct queue_record record;
    jobs_ok(store_read_request(x.store, &queued.id, &record, fx));
    assert_int_equal(record.state, REQUEST_QUEUED);
    assert_int_equal(record.attempts, 1);
    assert_int_equal(record.seed, queued.seed);
    jobs_fixture_free(&x);
}
