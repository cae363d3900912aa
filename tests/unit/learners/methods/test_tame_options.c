/* Settings of a stream: limits, automatic values, text, record. */
#include "tests/support/test.h"

#include "learners/methods/tame/tame_options.h"

#include <stdio.h>
#include <string.h>

static struct tame_options resolved(uint32_t n_run)
{
    struct tame_options o;
    tame_options_default(&o);
    o.n_run = n_run;
    tame_options_resolve(&o);
    return o;
}

void test_window_follows_the_declared_run(void **state)
{
    (void)state;
    static const uint32_t rows[][3] = {{0, 50, 10}, {20, 8, 2},    {30, 8, 2},    {60, 15, 3},
                                       {94, 24, 5}, {200, 50, 10}, {940, 100, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct tame_options o = resolved(rows[i][0]);
        assert_int_equal(o.window, rows[i][1]);
        assert_near(o.guard, rows[i][2], 0);
        assert_near(o.floor, o.window <= 16 ? 0.02f : 0.005f, 0);
    }
}

void test_probe_where_runs_are_short(void **state)
{
    (void)state;
    struct tame_options o = resolved(0);
    assert_false(tame_options_probes(&o));
    o = resolved(23);
    assert_true(tame_options_probes(&o));
    o = resolved(24);
    assert_false(tame_options_probes(&o));
    assert_int_equal(tame_options_set(&o, "probe", "on", NULL), STATUS_OK);
    assert_true(tame_options_probes(&o));
}

void test_presets_are_the_tables_columns(void **state)
{
    (void)state;
    struct tame_options o;
    tame_options_parity(&o);
    assert_int_equal(o.mode, TAME_PARITY);
    assert_int_equal(o.window, 35);
    assert_near(o.floor, 0.005f, 0);
    assert_near(o.guard, 0, 0);
    assert_int_equal(o.patience, 1);
    assert_int_equal(o.prune_buffer, 6000);
    assert_near(o.lr, 0.1f, 0);
    assert_int_equal(tame_options_set(&o, "preset", "default", NULL), STATUS_OK);
    assert_int_equal(o.mode, TAME_HARDENED);
    assert_int_equal(o.patience, 3);
    assert_int_equal(o.maturity, 4);
    assert_int_equal(o.reserve_max, 512);
    assert_int_equal(tame_options_set(&o, "preset", "best", NULL), STATUS_INVALID_ARGUMENT);
}

void test_bad_values_name_the_field_and_change_nothing(void **state)
{
    (void)state;
    static const char *bad[][2] = {{"patience", "0"},     {"patience", "17"}, {"patience", "2.5"},
                                   {"ewma", "0"},         {"ewma", "1.01"},   {"ewma", "nan"},
                                   {"window", "257"},     {"mode", "soft"},   {"lr", ""},
                                   {"experts_max", "257"}};
    struct tame_options o, before;
    tame_options_default(&o);
    before = o;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fault f = {0};
        assert_int_equal(tame_options_set(&o, bad[i][0], bad[i][1], &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, bad[i][0]);
        assert_memory_equal(&o, &before, sizeof o);
    }
    assert_int_equal(tame_options_set(&o, "colour", "red", NULL), STATUS_NOT_FOUND);
    tame_options_parity(&o);
    assert_int_equal(tame_options_check(&o, NULL), STATUS_INVALID_ARGUMENT); /* no outputs */
}

void test_every_row_takes_its_own_values(void **state)
{
    (void)state;
    struct tame_options o;
    tame_options_default(&o);
    size_t n = 0;
    for (const struct tame_option_row *row; (row = tame_option_row(n)); n++) {
        char text[64];
        if (row->names)
            continue;
        (void)snprintf(text, sizeof text, "%g", row->min);
        assert_int_equal(tame_options_set(&o, row->name, text, NULL), STATUS_OK);
        (void)snprintf(text, sizeof text, "%g", row->max);
        assert_int_equal(tame_options_set(&o, row->name, text, NULL), STATUS_OK);
    }
    assert_true(n > 30);
}

void test_record_is_strict(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct tame_options o = resolved(120), x;
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    tame_options_put(&o, &w);
    for (size_t n = 0; n < w.used; n++) {
        struct byte_reader r = byte_reader_make(bytes, n);
        assert_int_equal(tame_options_get(&r, &x, NULL), STATUS_BAD_FORMAT);
    }
    struct byte_reader r = byte_reader_make(bytes, w.used);
    assert_int_equal(tame_options_get(&r, &x, NULL), STATUS_OK);
    assert_memory_equal(&x, &o, sizeof o);
    bytes[4] = 2; /* mode: neither hardened nor parity */
    r = byte_reader_make(bytes, w.used);
    assert_int_equal(tame_options_get(&r, &x, NULL), STATUS_BAD_FORMAT);
}
