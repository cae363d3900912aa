/* Files of made data sets: read back, folders created, sums. */
#include "tests/support/test.h"

#include "bench/data/set_file.h"
#include "client/dataset/dataset.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>

static struct dataset *read_back(const char *folder, const char *name)
{
    char path[400];
    struct dataset *d = NULL;
    struct fault f = {0};
    (void)snprintf(path, sizeof path, "%s/%s.npz", folder, name);
    if (dataset_open(path, NULL, &d, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return d;
}

void test_set_file_with_single_and_with_many_labels(void **state)
{
    (void)state;
    char folder[256], deep[300];
    test_support_mkdir(folder);
    (void)snprintf(deep, sizeof deep, "%s/a/b//c", folder);
    assert_int_equal(set_file_folder(deep, NULL), STATUS_OK);
    assert_int_equal(set_file_folder(deep, NULL), STATUS_OK);
    for (int hot = 0; hot <= 1; hot++) {
        struct set_file s;
        assert_int_equal(set_file_init(&s, 3, 4, 5, hot, NULL), STATUS_OK);
        for (uint8_t i = 0; i < 48; i++)
            s.images[i] = i;
        const uint32_t before = set_file_sum(&s);
        if (hot)
            s.hot[2 * 5 + 4] = 1;
        else
            s.labels[1] = 4;
        assert_int_not_equal(set_file_sum(&s), before);
        assert_int_equal(set_file_write(&s, deep, "train", NULL), STATUS_OK);
        struct dataset *d = read_back(deep, "train");
        assert_int_equal(dataset_shape(d).n, 3);
        assert_int_equal(dataset_classes(d), 5);
        assert_memory_equal(dataset_image(d, 2), s.images + 32, 16);
        if (hot)
            assert_memory_equal(dataset_multi_hot(d), s.hot, 15);
        else
            assert_memory_equal(dataset_labels(d), s.labels, 12);
        dataset_free(d);
        set_file_fini(&s);
    }
    test_support_rmdir(folder);
}

void test_set_file_names_one_a_line(void **state)
{
    (void)state;
    char folder[256], path[300];
    unsigned char *text = NULL;
    size_t n = 0;
    const char *const names[] = {"digit 0", "Ankle boot"};
    test_support_mkdir(folder);
    assert_int_equal(set_file_write_names(folder, names, 2, NULL), STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/classes.txt", folder);
    assert_int_equal(sysio_read_file(path, 100, &text, &n, NULL), STATUS_OK);
    assert_string_equal((char *)text, "digit 0\nAnkle boot\n");
    sysio_free(text);
    test_support_rmdir(folder);
}

void test_set_file_refuses_a_bad_folder(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(set_file_folder("", &f), STATUS_INVALID_ARGUMENT);
    assert_int_not_equal(set_file_folder("/proc/none/x", &f), STATUS_OK);
    assert_non_null(strstr(f.text, "/proc/none"));
}
