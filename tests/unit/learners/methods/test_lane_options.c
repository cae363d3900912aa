/* Options of a lane: defaults, text, limits, record. */
#include "tests/support/test.h"

#include "learners/methods/multilane/lane_options.h"

#include <string.h>

static const struct vit_config config = {.depth = 6, .width = 128};

void test_lane_options_presets_pass_their_own_limits(void **state)
{
    (void)state;
    struct lane_options o;
    lane_options_default(&o);
    assert_int_equal(lane_options_check(&o, &config, NULL), STATUS_OK);
    assert_int_equal(o.selectors, 8);
    assert_int_equal(o.init, LANE_INIT_FIXED);
    assert_false(lane_options_augment(&o));
    lane_options_parity(&o);
    assert_int_equal(lane_options_check(&o, &config, NULL), STATUS_OK);
    assert_int_equal(o.selectors, 20);
    assert_int_equal(o.init, LANE_INIT_PREVIOUS);
    assert_true(lane_options_augment(&o));
}

void test_lane_options_text(void **state)
{
    (void)state;
    struct lane_options o;
    struct fault f;
    lane_options_default(&o);
    assert_int_equal(lane_options_set(&o, "init", "anchor", &f), STATUS_OK);
    assert_int_equal(o.init, LANE_INIT_ANCHOR);
    assert_int_equal(lane_options_set(&o, "replace_mode", "pure", &f), STATUS_OK);
    assert_int_equal(o.replace_mode, LANE_REPLACE_PURE);
    assert_int_equal(lane_options_set(&o, "lr", "0.25", &f), STATUS_OK);
    assert_near(o.lr, 0.25, 0);
    assert_int_equal(lane_options_set(&o, "selectors", "0", &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "selectors");
    assert_int_equal(lane_options_set(&o, "selectors", "2.5", &f), STATUS_INVALID_ARGUMENT);
    assert_int_equal(lane_options_set(&o, "init", "random", &f), STATUS_INVALID_ARGUMENT);
    assert_int_equal(lane_options_set(&o, "selector", "2", &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "selector");
    assert_int_equal(o.selectors, 8);
    assert_int_equal(lane_options_set(&o, "preset", "parity", &f), STATUS_OK);
    assert_int_equal(o.selectors, 20);
}

void test_lane_options_checks_across_fields(void **state)
{
    (void)state;
    struct lane_options o;
    struct fault f;
    lane_options_default(&o);
    o.prompt_blocks = 7;
    assert_int_equal(lane_options_check(&o, &config, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "prompt_blocks");
    o.prompt_blocks = 6;
    o.lr_min = 1;
    assert_int_equal(lane_options_check(&o, &config, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "lr_min");
}

void test_lane_options_record(void **state)
{
    (void)state;
    struct lane_options o, back;
    uint8_t bytes[512];
    struct fault f;
    lane_options_parity(&o);
    o.threshold = 0.25f;
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    lane_options_put(&o, &w);
    struct byte_reader r = byte_reader_make(bytes, w.used);
    assert_int_equal(lane_options_get(&r, &back, &f), STATUS_OK);
    assert_true(byte_reader_done(&r));
    assert_memory_equal(&o, &back, sizeof o);
    for (size_t n = 0; n < w.used; n++) {
        r = byte_reader_make(bytes, n);
        assert_int_equal(lane_options_get(&r, &back, &f), STATUS_BAD_FORMAT);
    }
    memset(bytes + 4, 0, 4); /* selectors 0 */
    r = byte_reader_make(bytes, w.used);
    assert_int_equal(lane_options_get(&r, &back, &f), STATUS_BAD_FORMAT);
}
