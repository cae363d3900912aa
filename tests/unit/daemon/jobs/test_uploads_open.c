/* Descriptions of uploads: checks of every field, identity, room, expiry. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/uploads_open.h"
#include "proto/limits.h"

static const char *const classes[] = {"a", "b"};

static struct wire_data_open good(void)
{
    return (struct wire_data_open){.name = "set-1",
                                   .role = "train",
                                   .images = 3,
                                   .height = 4,
                                   .width = 5,
                                   .channels = 3,
                                   .classes = classes,
                                   .n_classes = 2,
                                   .digest = {{7}}};
}

static void refused(const struct wire_data_open *m, enum status code, const char *field)
{
    struct uploads_open *u;
    struct upload_spec *spec;
    struct fault f = {0};
    assert_int_equal(uploads_open_new(&u, NULL), STATUS_OK);
    assert_string_equal(status_name(uploads_open_add(u, "local", m, 1, &spec, &f)),
                        status_name(code));
    assert_string_equal(f.field, field);
    uploads_open_free(u);
}

void test_uploads_open_checks_every_field(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".hidden", "-x", "a/b", "with space"};
    struct wire_data_open m;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        m = good();
        m.name = names[i];
        refused(&m, STATUS_INVALID_ARGUMENT, "name");
    }
    m = good();
    m.role = "training";
    refused(&m, STATUS_INVALID_ARGUMENT, "role");
    m = good();
    m.images = 0;
    refused(&m, STATUS_INVALID_ARGUMENT, "images");
    m = good();
    m.height = 0;
    refused(&m, STATUS_INVALID_ARGUMENT, "height");
    m = good();
    m.width = DATASET_SIDE_MAX + 1;
    refused(&m, STATUS_INVALID_ARGUMENT, "width");
    m = good();
    m.channels = 2;
    refused(&m, STATUS_INVALID_ARGUMENT, "channels");
    m = good();
    m.n_classes = 0;
    refused(&m, STATUS_INVALID_ARGUMENT, "classes");
    static const char *const twice[] = {"a", "a"};
    m = good();
    m.classes = twice;
    refused(&m, STATUS_INVALID_ARGUMENT, "classes");
    m = good();
    m.digest = (struct digest){{0}};
    refused(&m, STATUS_INVALID_ARGUMENT, "digest");
    m = good();
    m.images = DATASET_ROWS_MAX;
    m.height = m.width = DATASET_SIDE_MAX;
    refused(&m, STATUS_RESOURCE_EXHAUSTED, "images");
}

void test_uploads_open_finds_the_same_upload_again(void **state)
{
    (void)state;
    struct uploads_open *u;
    struct upload_spec *first, *again, *other;
    assert_int_equal(uploads_open_new(&u, NULL), STATUS_OK);
    struct wire_data_open m = good();
    assert_int_equal(uploads_open_add(u, "local", &m, 1, &first, NULL), STATUS_OK);
    assert_int_equal(first->pixel_bytes, 3 * 4 * 5 * 3);
    assert_int_equal(first->label_bytes, 3 * 4);
    assert_string_equal(first->set.class_names[1], "b");
    assert_int_equal(uploads_open_add(u, "local", &m, 9, &again, NULL), STATUS_OK);
    assert_ptr_equal(first, again);
    assert_int_equal(first->expires_us, 9);
    m.role = "test";
    assert_int_equal(uploads_open_add(u, "local", &m, 5, &other, NULL), STATUS_OK);
    assert_false(request_id_equal(&first->id, &other->id));
    const struct request_id id = first->id, other_id = other->id;
    uploads_open_expire(u, 5);
    assert_non_null(uploads_open_find(u, &id));
    assert_null(uploads_open_find(u, &other_id));
    uploads_open_remove(u, &id);
    assert_null(uploads_open_find(u, &id));
    uploads_open_free(u);
}

void test_uploads_open_has_a_limit(void **state)
{
    (void)state;
    struct uploads_open *u;
    struct upload_spec *spec;
    struct fault f = {0};
    assert_int_equal(uploads_open_new(&u, NULL), STATUS_OK);
    struct wire_data_open m = good();
    char name[32];
    m.name = name;
    for (int i = 0; i < UPLOADS_OPEN_MAX; i++) {
        (void)snprintf(name, sizeof name, "set-%d", i);
        assert_int_equal(uploads_open_add(u, "local", &m, 1, &spec, NULL), STATUS_OK);
    }
    (void)snprintf(name, sizeof name, "one-more");
    assert_int_equal(uploads_open_add(u, "local", &m, 1, &spec, &f), STATUS_RESOURCE_EXHAUSTED);
    uploads_open_free(u);
}
