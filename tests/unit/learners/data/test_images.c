/* Image table: the affine map, channel order, and what is refused. */
#include "tests/support/test.h"

#include "learners/data/images.h"

static const uint8_t pixels[2 * 2 * 2 * 3] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                              20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static int32_t labels[2] = {0, 2};

static struct image_table make_table(void)
{
    return (struct image_table){.pixels = pixels,
                                .labels = labels,
                                .n = 2,
                                .size = 2,
                                .channels = 3,
                                .scale = {1, 2, 0.5f},
                                .shift = {0, 100, -1}};
}

void test_images_load_separates_channels(void **state)
{
    (void)state;
    const struct image_table t = make_table();
    float out[12];
    assert_int_equal(images_floats(&t), 12);
    images_load(&t, 1, out);
    for (int p = 0; p < 4; p++) {
        assert_near(out[p], 20 + 3 * p, 0);
        assert_near(out[4 + p], 100 + 2 * (21 + 3 * p), 0);
        assert_near(out[8 + p], 0.5 * (22 + 3 * p) - 1, 0);
    }
}

void test_images_check_names_what_does_not_fit(void **state)
{
    (void)state;
    struct image_table t = make_table();
    struct image_shape model = {2, 3, 3};
    struct fault f = {0};
    assert_int_equal(images_check(&t, &model, &f), STATUS_OK);
    model.classes = 2;
    assert_int_equal(images_check(&t, &model, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "labels");
    model.classes = 3;
    labels[0] = -1;
    assert_int_equal(images_check(&t, &model, &f), STATUS_INVALID_ARGUMENT);
    labels[0] = 0;
    model.channels = 1;
    assert_int_equal(images_check(&t, &model, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "images");
    model.channels = 3;
    t.pixels = NULL;
    assert_int_equal(images_check(&t, &model, &f), STATUS_INVALID_ARGUMENT);
}

void test_images_check_list_finds_a_bad_index(void **state)
{
    (void)state;
    const struct image_table t = make_table();
    const uint32_t good[2] = {1, 0}, bad[2] = {0, 2};
    struct fault f = {0};
    assert_int_equal(images_check_list(&t, good, 2, "forget", &f), STATUS_OK);
    assert_int_equal(images_check_list(&t, bad, 2, "forget", &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "forget");
    assert_int_equal(images_check_list(&t, NULL, 1, "forget", &f), STATUS_INVALID_ARGUMENT);
}
