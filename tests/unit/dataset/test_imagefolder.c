/* Folders of pictures, and single pictures: order, names, sizes, errors that name the file. */
#include "tests/support/test.h"

#include "client/dataset/dataset.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char folder[256];

/* A PNG of one colour; `rgb` three channels, else one. */
static void write_png(const char *name, unsigned width, unsigned height, int rgb, uint8_t value)
{
    char path[400];
    uint8_t pixels[3 * 64 * 64];
    png_image image;
    memset(pixels, value, sizeof pixels);
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = rgb ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

static void make_class(const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sysio_write_file(path, text, strlen(text), NULL), STATUS_OK);
}

static void expect_error(const struct dataset_options *o, enum status st, const char *says)
{
    struct dataset *d = NULL;
    struct fault f = {0};
    assert_int_equal(dataset_open(folder, o, &d, &f), st);
    assert_null(d);
    if (!strstr(f.text, says))
        fail_msg("\"%s\" does not say \"%s\"", f.text, says);
}

void test_imagefolder_reads_classes_in_order(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    make_class("zebra");
    make_class("ant");
    make_class("Bee");
    make_class(".hidden");
    write_png("zebra/1.png", 5, 4, 0, 40);
    write_png("ant/b.PNG", 5, 4, 0, 20);
    write_png("ant/a.png", 5, 4, 0, 10);
    write_png("Bee/x.png", 5, 4, 0, 30);
    write_text("ant/notes.txt", "not a picture");
    write_text("top.txt", "nor this");
    struct dataset *d = NULL;
    assert_int_equal(dataset_open(folder, NULL, &d, NULL), STATUS_OK);
    const struct dataset_shape s = dataset_shape(d);
    assert_true(s.n == 4 && s.height == 4 && s.width == 5 && s.channels == 1);
    assert_int_equal(dataset_classes(d), 3);
    static const char *const names[] = {"Bee", "ant", "zebra"};
    static const int32_t labels[] = {0, 1, 1, 2};
    static const uint8_t values[] = {30, 10, 20, 40};
    assert_memory_equal(dataset_labels(d), labels, sizeof labels);
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(dataset_class_name(d, i), names[i]);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(dataset_image(d, i)[7], values[i]);
    dataset_free(d);
    test_support_rmdir(folder);
}

void test_imagefolder_brings_pictures_to_one_size(void **state)
{
    (void)state;
    const struct preparation p = {
        .size = 8, .channels = 3, .resize = 10, .keep_aspect = 1, .resample = RESAMPLE_BICUBIC};
    const struct dataset_options o = {.prepare = &p};
    test_support_mkdir(folder);
    make_class("a");
    make_class("b");
    write_png("a/grey.png", 20, 14, 0, 100);
    write_png("b/rgb.png", 9, 31, 1, 200);
    expect_error(NULL, STATUS_INVALID_ARGUMENT, "b/rgb.png");
    struct dataset *d = NULL;
    assert_int_equal(dataset_open(folder, &o, &d, NULL), STATUS_OK);
    const struct dataset_shape s = dataset_shape(d);
    assert_true(s.n == 2 && s.height == 8 && s.width == 8 && s.channels == 3);
    for (size_t i = 0; i < 8 * 8 * 3; i++) {
        assert_int_equal(dataset_image(d, 0)[i], 100);
        assert_int_equal(dataset_image(d, 1)[i], 200);
    }
    dataset_free(d);
    test_support_rmdir(folder);
}

/* One byte of the only image of a split. */
static int first_pixel(enum dataset_split split)
{
    const struct dataset_options o = {.split = split};
    struct dataset *d = NULL;
    assert_int_equal(dataset_open(folder, &o, &d, NULL), STATUS_OK);
    assert_int_equal(dataset_classes(d), 1);
    const int value = dataset_image(d, 0)[0];
    dataset_free(d);
    return value;
}

void test_imagefolder_train_and_test_are_splits_if_they_hold_folders(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    make_class("train");
    make_class("train/ant");
    write_png("train/ant/a.png", 4, 4, 0, 10);
    assert_false(dataset_has_test(folder)); /* train alone */
    make_class("test");
    make_class("test/ant");
    write_png("test/ant/a.png", 4, 4, 0, 20);
    assert_true(dataset_has_test(folder));
    assert_int_equal(first_pixel(DATASET_TRAIN), 10);
    assert_int_equal(first_pixel(DATASET_TEST), 20);
    write_png("train/1.png", 4, 4, 0, 30); /* now they are classes */
    write_png("test/1.png", 4, 4, 0, 40);
    assert_false(dataset_has_test(folder));
    struct dataset *d = NULL;
    assert_int_equal(dataset_open(folder, NULL, &d, NULL), STATUS_OK);
    assert_string_equal(dataset_class_name(d, 0), "test");
    dataset_free(d);
    test_support_rmdir(folder);
}

void test_imagefolder_errors_name_the_place(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    expect_error(NULL, STATUS_BAD_FORMAT, "no sub-folders");
    make_class("empty");
    expect_error(NULL, STATUS_INVALID_ARGUMENT, "empty");
    write_text("empty/broken.png", "\x89PNG\r\n\x1a\nrubbish");
    expect_error(NULL, STATUS_BAD_FORMAT, "broken.png");
    write_text("empty/broken.png", "GIF89a");
    expect_error(NULL, STATUS_BAD_FORMAT, "broken.png");
    const struct dataset_options small = {.max_bytes = 11};
    write_png("empty/broken.png", 4, 3, 0, 1);
    expect_error(&small, STATUS_RESOURCE_EXHAUSTED, "limit 11");
    test_support_rmdir(folder);
}

void test_single_picture_is_a_set_of_one(void **state)
{
    (void)state;
    char path[300];
    struct dataset *d = NULL;
    test_support_mkdir(folder);
    write_png("x.png", 6, 5, 1, 77);
    (void)snprintf(path, sizeof path, "%s/x.png", folder);
    assert_int_equal(dataset_open(path, NULL, &d, NULL), STATUS_OK);
    assert_true(dataset_shape(d).n == 1 && dataset_shape(d).channels == 3);
    assert_true(!dataset_labels(d) && dataset_classes(d) == 0);
    assert_int_equal(dataset_image(d, 0)[0], 77);
    dataset_free(d);
    (void)snprintf(path, sizeof path, "%s/none.png", folder);
    assert_int_not_equal(dataset_open(path, NULL, &d, NULL), STATUS_OK);
    test_support_rmdir(folder);
}

/* Every allocation of an open may fail: an error, nothing lost, nothing crashed. */
void test_imagefolder_survives_every_failed_allocation(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    make_class("a");
    write_png("a/1.png", 6, 5, 1, 77);
    const struct preparation p = {
        .size = 4, .channels = 1, .resize = 4, .resample = RESAMPLE_BILINEAR};
    const struct dataset_options o = {.prepare = &p};
    struct dataset *d = NULL;
    uint64_t n = 1;
    enum status st;
    do {
        sysio_fail_at(SYSIO_ALLOC, n++, 1, ENOMEM);
        st = dataset_open(folder, &o, &d, NULL);
        sysio_fail_at(SYSIO_ALLOC, 0, 0, 0);
        assert_true(st == STATUS_OK || st == STATUS_NO_MEMORY);
    } while (st != STATUS_OK && n < 1000);
    assert_int_equal(st, STATUS_OK);
    assert_true(n > 8);
    dataset_free(d);
    test_support_rmdir(folder);
}

/* ------------------------------------------------------------------ whose the pictures are */

void test_imagefolder_says_whose_pictures_are(void **state)
{
    (void)state;
    struct dataset *d = NULL;
    struct fault f = {0};
    test_support_mkdir(folder);
    make_class("a");
    make_class("b");
    write_png("a/anna_1.png", 2, 2, 0, 1);
    write_png("a/bob_2_x.png", 2, 2, 0, 2);
    write_png("b/anna_3.png", 2, 2, 0, 3);
    struct dataset_options o = {.subject_field = "1"};
    assert_int_equal(dataset_open(folder, &o, &d, &f), STATUS_OK);
    assert_string_equal(dataset_subject(d, 0), "anna");
    assert_string_equal(dataset_subject(d, 1), "bob");
    assert_string_equal(dataset_subject(d, 2), "anna");
    dataset_free(d);
    o.subject_field = "2";
    assert_int_equal(dataset_open(folder, &o, &d, &f), STATUS_OK);
    assert_string_equal(dataset_subject(d, 1), "2");
    assert_string_equal(dataset_subject(d, 2), "3");
    dataset_free(d);
    o.subject_field = "3";
    expect_error(&o, STATUS_INVALID_ARGUMENT, "anna_1.png has no part 3");
    o.subject_field = "0";
    expect_error(&o, STATUS_INVALID_ARGUMENT, "number of a part");
    o.subject_field = "name";
    expect_error(&o, STATUS_INVALID_ARGUMENT, "number of a part");
    test_support_rmdir(folder);
}

void test_imagefolder_takes_a_file_of_subjects(void **state)
{
    (void)state;
    char path[400];
    struct dataset *d = NULL;
    struct fault f = {0};
    test_support_mkdir(folder);
    make_class("a");
    make_class("b");
    write_png("a/1.png", 2, 2, 0, 1);
    write_png("a/2.png", 2, 2, 0, 2);
    write_png("b/3.png", 2, 2, 0, 3);
    (void)snprintf(path, sizeof path, "%s/people.txt", folder);
    struct dataset_options o = {.subjects_path = path};
    write_text("people.txt", "anna k\n\r\nbob");
    assert_int_equal(dataset_open(folder, &o, &d, &f), STATUS_OK);
    assert_string_equal(dataset_subject(d, 0), "anna k");
    assert_string_equal(dataset_subject(d, 1), "");
    assert_string_equal(dataset_subject(d, 2), "bob");
    dataset_free(d);
    write_text("people.txt", "anna\nbob\n");
    expect_error(&o, STATUS_INVALID_ARGUMENT, "2 subjects for 3 images");
    write_text("people.txt", "a\nb\nc\nd\n");
    expect_error(&o, STATUS_INVALID_ARGUMENT, "more subjects");
    o.subject_field = "1";
    expect_error(&o, STATUS_INVALID_ARGUMENT, "not both");
    test_support_rmdir(folder);
}
