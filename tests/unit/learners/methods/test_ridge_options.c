/* Options of the router: defaults, text, limits, record. */
#include "tests/support/test.h"

#include "learners/methods/ridge/ridge_options.h"

#include <stdlib.h>
#include <string.h>

void test_ridge_options_defaults_pass_their_own_check(void **state)
{
    (void)state;
    struct ridge_options o;
    ridge_options_default(&o);
    assert_int_equal(ridge_options_check(&o, NULL), STATUS_OK);
    for (size_t i = 0; ridge_option_row(i); i++)
        assert_true(strlen(ridge_option_row(i)->text) > 0);
}

void test_ridge_options_set_from_text(void **state)
{
    (void)state;
    struct ridge_options o;
    struct fault f = {0};
    ridge_options_default(&o);
    assert_int_equal(ridge_options_set(&o, "features", "2000", &f), STATUS_OK);
    assert_int_equal(o.features, 2000);
    assert_int_equal(ridge_options_set(&o, "weighting", "plain", &f), STATUS_OK);
    assert_int_equal(o.weighting, RIDGE_WEIGHTING_PLAIN);
    assert_int_equal(ridge_options_set(&o, "rule", "soft", &f), STATUS_OK);
    assert_int_equal(o.rule, RIDGE_RULE_SOFT);
    assert_int_equal(ridge_options_set(&o, "lambda", "0.25", &f), STATUS_OK);
    assert_true(o.lambda == 0.25f);
    static const char *const bad[6][2] = {{"features", "9000"}, {"features", "2.5"},
                                          {"features", "many"}, {"rule", "best"},
                                          {"lambda", "-1"},     {"temperature", "0"}};
    const struct ridge_options before = o;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(ridge_options_set(&o, bad[i][0], bad[i][1], &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, bad[i][0]);
    }
    assert_int_equal(ridge_options_set(&o, "depth", "1", &f), STATUS_NOT_FOUND);
    assert_true(ridge_options_same(&o, &before));
}

void test_ridge_options_are_checked_against_each_other(void **state)
{
    (void)state;
    struct ridge_options o;
    struct fault f = {0};
    ridge_options_default(&o);
    o.features = 0;
    assert_int_equal(ridge_options_check(&o, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "features");
    o.raw = 1;
    assert_int_equal(ridge_options_check(&o, &f), STATUS_OK);
    o.regions = 0;
    o.tokens = 0;
    assert_int_equal(ridge_options_check(&o, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "regions");
    o.tokens = 1;
    o.first_block = 3;
    o.last_block = 2;
    assert_int_equal(ridge_options_check(&o, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "last_block");
}

void test_ridge_options_record(void **state)
{
    (void)state;
    struct ridge_options o, back;
    uint8_t bytes[256];
    ridge_options_default(&o);
    o.features = 77;
    o.lambda = 0.5f;
    o.contrast = RIDGE_CONTRAST_OWNER;
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    ridge_options_put(&o, &w);
    assert_false(w.failed);
    struct byte_reader r = byte_reader_make(bytes, w.used);
    assert_int_equal(ridge_options_get(&r, &back, NULL), STATUS_OK);
    assert_true(byte_reader_done(&r) && ridge_options_same(&o, &back));
    for (size_t cut = 0; cut < w.used; cut++) {
        r = byte_reader_make(bytes, cut);
        assert_int_equal(ridge_options_get(&r, &back, NULL), STATUS_BAD_FORMAT);
    }
    bytes[4] = 0xff; /* features beyond the limit */
    bytes[5] = 0xff;
    r = byte_reader_make(bytes, w.used);
    assert_int_equal(ridge_options_get(&r, &back, NULL), STATUS_BAD_FORMAT);
    bytes[0] = 9; /* version */
    r = byte_reader_make(bytes, w.used);
    assert_int_equal(ridge_options_get(&r, &back, NULL), STATUS_BAD_FORMAT);
}

void test_ridge_options_tell_features_from_the_rest(void **state)
{
    (void)state;
    struct ridge_options a, b;
    ridge_options_default(&a);
    b = a;
    b.weighting = RIDGE_WEIGHTING_PLAIN;
    b.lambda = 1;
    assert_true(ridge_options_same_features(&a, &b));
    assert_false(ridge_options_same(&a, &b));
    b.regions = 1;
    assert_false(ridge_options_same_features(&a, &b));
}
