/* Protocol 4's data: the parts are disjoint, bounded and drawn by the seed; tasks hide labels. */
#include "tests/support/test.h"

#include <string.h>

#include "bench/data/set_file.h"
#include "bench/multilane/protocol_set.h"
#include "tests/unit/bench/mnist_fixture.h"

#define PIXELS (MNIST_FIXTURE_SIDE * MNIST_FIXTURE_SIDE)

static const struct preparation preparation = {.size = MNIST_FIXTURE_SIDE,
                                               .channels = 1,
                                               .resize = MNIST_FIXTURE_SIDE,
                                               .resample = RESAMPLE_BILINEAR};

static const struct protocol *find(const char *name)
{
    for (size_t i = 0; protocol_at(i); i++)
        if (strcmp(protocol_at(i)->name, name) == 0)
            return protocol_at(i);
    fail_msg("no protocol %s", name);
    return NULL;
}

static struct protocol_set *
open_set(const char *protocol, const char *folder, uint64_t seed, struct protocol_sizes sizes)
{
    const struct protocol_source source = {folder, &preparation, seed, sizes};
    struct protocol_set *s = NULL;
    struct fault f = {0};
    if (protocol_set_open(find(protocol), &source, &s, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return s;
}

static const uint8_t *picture(const struct protocol_set *s, uint32_t row)
{
    return s->images.pixels + (size_t)row * PIXELS;
}

static int is_among(const struct protocol_set *s, uint32_t row, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (memcmp(picture(s, row), picture(s, i), PIXELS) == 0)
            return 1;
    return 0;
}

void test_protocol_set_tasks_cover_the_classes(void **state)
{
    (void)state;
    const struct protocol *p = find("scenes-b10-c2");
    assert_int_equal(protocol_first(p, 0), 0);
    assert_int_equal(protocol_first(p, 1), 10);
    assert_int_equal(protocol_first(p, p->n_tasks), 20);
    assert_int_equal(protocol_task_of(p, 9), 0);
    assert_int_equal(protocol_task_of(p, 10), 1);
    assert_int_equal(protocol_task_of(p, 19), 5);
    assert_int_equal(protocol_first(find("mnist"), 5), 10);
    assert_int_equal(protocol_first(find("scenes-b0-c4"), 5), 20);
}

void test_protocol_set_of_one_label(void **state)
{
    (void)state;
    char folder[256];
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", 100, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 60, MNIST_FIXTURE_SIDE);
    struct protocol_set *s =
        open_set("mnist", folder, 1, (struct protocol_sizes){.limit = 4, .valid = 3, .check = 2});
    struct protocol_set *other =
        open_set("mnist", folder, 2, (struct protocol_sizes){.limit = 4, .valid = 3, .check = 2});
    assert_int_equal(s->from[PROTOCOL_TRAIN], 0);
    assert_int_equal(s->from[PROTOCOL_VALID], 40);
    assert_int_equal(s->from[PROTOCOL_CHECK], 70);
    assert_int_equal(s->from[PROTOCOL_TEST], 90);
    assert_int_equal(s->from[PROTOCOL_TEST + 1], 150);
    assert_int_equal(s->images.n, 150);
    for (uint32_t i = 0; i < 90; i++) {
        const uint32_t end = i < 40 ? 40 : i < 70 ? 70 : 90;
        assert_int_equal(is_among(s, i, end, 150), 0);
        assert_int_equal(s->hot[i * 10 + (uint32_t)s->labels[i]], 1);
    }
    assert_int_equal(s->labels[4], 1); /* four of each class, class after class */
    assert_memory_not_equal(s->pixels, other->pixels, 40 * PIXELS);
    assert_memory_equal(picture(s, 90), picture(other, 90), 60 * PIXELS);
    protocol_set_free(s);
    protocol_set_free(other);
    test_support_rmdir(folder);
}

void test_protocol_set_task_is_its_classes_alone(void **state)
{
    (void)state;
    char folder[256];
    struct fault f = {0};
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", 100, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 20, MNIST_FIXTURE_SIDE);
    struct protocol_set *s =
        open_set("mnist", folder, 1, (struct protocol_sizes){.valid = 3, .check = 2});
    struct protocol_task task, again, joint;
    assert_int_equal(protocol_task_make(s, 4, 6, &task, &f), STATUS_OK);
    assert_int_equal(protocol_task_make(s, 4, 6, &again, &f), STATUS_OK);
    assert_int_equal(protocol_task_make(s, 0, 10, &joint, &f), STATUS_OK);
    assert_int_equal(task.n_train, 10);
    assert_int_equal(task.images.n, 16);
    assert_int_equal(joint.n_train, 50);
    assert_int_equal(joint.images.n, 80);
    assert_null(task.hot);
    for (uint32_t i = 0; i < task.images.n; i++) {
        assert_in_range(task.labels[i], 0, 1);
        assert_int_equal(task.rows[i], i);
    }
    assert_memory_equal(task.pixels, picture(s, 20), 10 * PIXELS);
    assert_true(task.sum == again.sum);
    assert_true(task.sum != joint.sum);
    protocol_task_free(&task);
    protocol_task_free(&again);
    protocol_task_free(&joint);
    protocol_set_free(s);
    test_support_rmdir(folder);
}

void test_protocol_set_refuses_what_does_not_fit(void **state)
{
    (void)state;
    char folder[256];
    struct protocol_set *s = NULL;
    struct fault f = {0};
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", 100, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 20, MNIST_FIXTURE_SIDE);
    struct protocol_source source = {folder, &preparation, 1, {.valid = 6, .check = 4}};
    assert_int_equal(protocol_set_open(find("mnist"), &source, &s, &f), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(f.text, "10 are held out"));
    assert_int_not_equal(protocol_set_open(find("scenes-b0-c4"), &source, &s, &f), STATUS_OK);
    test_support_rmdir(folder);
}

/* ------------------------------------------------------------------ several labels */

/* Scene i of a file shows classes i % 20 and (i + shift) % 20, its first pixel is its number. */
static void
write_scenes(const char *folder, const char *name, uint32_t n, uint32_t shift, uint8_t first)
{
    struct set_file s;
    assert_int_equal(set_file_init(&s, n, MNIST_FIXTURE_SIDE, 20, 1, NULL), STATUS_OK);
    for (uint32_t i = 0; i < n; i++) {
        s.images[i * PIXELS] = (uint8_t)(first + i);
        s.hot[i * 20 + i % 20] = 1;
        s.hot[i * 20 + (i + shift) % 20] = 1;
    }
    assert_int_equal(set_file_write(&s, folder, name, NULL), STATUS_OK);
    set_file_fini(&s);
}

void test_protocol_set_of_several_labels(void **state)
{
    (void)state;
    char folder[256];
    struct fault f = {0};
    struct protocol_task task;
    test_support_mkdir(folder);
    write_scenes(folder, "train", 40, 10, 0);
    write_scenes(folder, "validation", 20, 1, 100);
    write_scenes(folder, "test", 20, 1, 200);
    struct protocol_set *s =
        open_set("scenes-b0-c4", folder, 1, (struct protocol_sizes){.limit = 25, .check = 5});
    assert_int_equal(s->from[PROTOCOL_VALID], 25);
    assert_int_equal(s->from[PROTOCOL_CHECK], 45);
    assert_int_equal(s->from[PROTOCOL_TEST], 50);
    assert_int_equal(s->images.n, 70);
    assert_int_equal(*picture(s, 25), 100);
    assert_int_equal(*picture(s, 45), 35); /* the last training scenes are kept for comparing */
    assert_int_equal(*picture(s, 50), 200);
    assert_true(protocol_set_shows(s, 0, 8, 12));
    assert_false(protocol_set_shows(s, 0, 11, 20));

    assert_int_equal(protocol_task_make(s, 4, 8, &task, &f), STATUS_OK);
    assert_int_equal(task.n_train, 9);   /* 4..7, 14..17 and 24 */
    assert_int_equal(task.images.n, 14); /* and validation scenes 3..7 */
    for (uint32_t i = 0; i < task.images.n; i++) {
        uint32_t shown = 0;
        for (uint32_t c = 0; c < 4; c++)
            shown += task.hot[i * 4 + c];
        assert_int_equal(shown, i < 9 ? 1 : i == 9 || i == 13 ? 1 : 2);
    }
    protocol_task_free(&task);
    protocol_set_free(s);
    test_support_rmdir(folder);
}

void test_protocol_set_brings_pictures_to_the_models_size(void **state)
{
    (void)state;
    char folder[256];
    struct fault f = {0};
    struct protocol_set *s = NULL;
    const struct preparation half = {
        .size = 14, .channels = 1, .resize = 14, .resample = RESAMPLE_BOX};
    test_support_mkdir(folder);
    write_scenes(folder, "train", 20, 10, 100);
    write_scenes(folder, "validation", 1, 1, 0);
    write_scenes(folder, "test", 1, 1, 0);
    const struct protocol_source source = {folder, &half, 1, {0}};
    assert_int_equal(protocol_set_open(find("scenes-b0-c4"), &source, &s, &f), STATUS_OK);
    assert_int_equal(s->images.size, 14);
    assert_int_equal(s->pixels[0], 25); /* one pixel of four */
    assert_int_equal(s->pixels[4 * 14 * 14], 26);
    protocol_set_free(s);
    test_support_rmdir(folder);
}
