/* GS-LoRA++ options: defaults, parity values, text parser, limits, record. */
#include "tests/support/test.h"

#include "learners/methods/gslora/gslora_options.h"

#include <stdio.h>
#include <string.h>

void test_gslora_options_defaults_are_valid_and_as_documented(void **state)
{
    (void)state;
    struct gslora_options o;
    gslora_options_default(&o);
    struct fault f = {0};
    assert_int_equal(gslora_options_check(&o, &f), STATUS_OK);
    assert_int_equal(o.rank, 8);
    assert_int_equal(o.depth, GSLORA_DEPTH_MATCH);
    assert_int_equal(o.sparse, GSLORA_SPARSE_PROXIMAL);
    assert_int_equal(o.hinge, GSLORA_HINGE_SAMPLE);
    assert_near(o.weight_decay, 0, 0);
}

void test_gslora_options_parity_is_the_reference(void **state)
{
    (void)state;
    struct gslora_options o;
    gslora_options_parity(&o);
    struct fault f = {0};
    assert_int_equal(gslora_options_check(&o, &f), STATUS_OK);
    assert_int_equal(o.epochs, 100);
    assert_near(o.hinge_bound, 105, 0);
    assert_near(o.weight_decay, 0.05, 1e-8);
    assert_near(o.pull, 0, 0);
    assert_int_equal(o.depth, GSLORA_DEPTH_OFF);
    assert_int_equal(o.sparse, GSLORA_SPARSE_SUBGRADIENT);
    assert_int_equal(o.hinge, GSLORA_HINGE_BATCH);
    assert_int_equal(o.hinge_margin, 1);
    assert_int_equal(o.proto_source, GSLORA_PROTO_CURRENT);
}

void test_gslora_options_resolve_gives_the_stated_penalties(void **state)
{
    (void)state;
    struct gslora_options o;
    gslora_options_default(&o);
    assert_int_equal(gslora_options_set(&o, "eta", "0.3", NULL), STATUS_OK);
    struct gslora_options face = o, vit = o;
    gslora_options_resolve(
        &face, &(struct gslora_sizes){.classes = 100, .rank_inputs = 512 + 2048, .n_retain = 100});
    gslora_options_resolve(
        &vit, &(struct gslora_sizes){.classes = 100, .rank_inputs = 768 + 3072, .n_retain = 100});
    assert_near(face.alpha, 60.7, 0.05);
    assert_near(vit.alpha, 74.4, 0.05);
    assert_near(face.scale, 0.125, 0);
    assert_near(face.hinge_bound, 9.2103, 1e-3);
}

void test_gslora_options_set_reads_every_row(void **state)
{
    (void)state;
    struct gslora_options o;
    gslora_options_default(&o);
    size_t rows = 0;
    for (const struct gslora_option_row *row; (row = gslora_option_row(rows)); rows++) {
        char text[64];
        if (row->names)
            (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(row->names, "|"), row->names);
        else
            (void)snprintf(text, sizeof text, "%.9g", row->max);
        assert_int_equal(gslora_options_set(&o, row->name, text, NULL), STATUS_OK);
        assert_true(strlen(row->text) > 0);
    }
    assert_true(rows > 35);
    assert_int_equal(o.rank, 64);
    assert_int_equal(o.cache_mib, 1048576);
}

void test_gslora_options_set_refuses_by_name(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"rank", "0"},
                                         {"rank", "65"},
                                         {"rank", "1.5"},
                                         {"lr", "nan"},
                                         {"lr", "inf"},
                                         {"lr", "-1"},
                                         {"lr", ""},
                                         {"lr", "1e-2x"},
                                         {"depth", "mat"},
                                         {"depth", "2"},
                                         {"preset", "else"},
                                         {"beta", "1e7"},
                                         {"hinge", "per-sample|batch-mean"}};
    struct gslora_options o, before;
    memset(&o, 0, sizeof o);
    gslora_options_default(&o);
    memcpy(&before, &o, sizeof o);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fault f = {0};
        assert_int_equal(gslora_options_set(&o, bad[i][0], bad[i][1], &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, bad[i][0]);
    }
    struct fault f = {0};
    assert_int_equal(gslora_options_set(&o, "learning_rate", "1", &f), STATUS_NOT_FOUND);
    assert_memory_equal(&o, &before, sizeof o);
}

void test_gslora_options_are_checked_against_each_other(void **state)
{
    (void)state;
    struct gslora_options o;
    struct fault f = {0};
    gslora_options_default(&o);
    o.lr_min = 0.5f;
    assert_int_equal(gslora_options_check(&o, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "lr_min");
    gslora_options_default(&o);
    o.beta = 20;
    assert_int_equal(gslora_options_check(&o, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "beta");
}

void test_gslora_options_record_round_trip_and_truncation(void **state)
{
    (void)state;
    struct gslora_options o, back;
    memset(&o, 0, sizeof o);
    gslora_options_parity(&o);
    uint8_t bytes[512];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    gslora_options_put(&o, &w);
    assert_false(w.failed);
    for (size_t size = 0; size <= w.used; size++) {
        struct byte_reader r = byte_reader_make(bytes, size);
        memset(&back, 0, sizeof back);
        const enum status s = gslora_options_get(&r, &back, NULL);
        assert_int_equal(s, size == w.used ? STATUS_OK : STATUS_BAD_FORMAT);
    }
    assert_memory_equal(&o, &back, sizeof o);
    memset(bytes + 4, 0xff, 4); /* rank */
    struct byte_reader r = byte_reader_make(bytes, w.used);
    struct fault f = {0};
    assert_int_equal(gslora_options_get(&r, &back, &f), STATUS_BAD_FORMAT);
    assert_string_equal(f.field, "rank");
}
