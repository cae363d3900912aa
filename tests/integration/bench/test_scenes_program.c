/* The scenes program on small IDX sources: files, determinism, prefixes, bad input. */
#include "tests/support/test.h"

#include "client/dataset/dataset.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PROGRAM LETHE_BUILD "/bench/data/scenes"
#define IMAGES  600u
#define SIDE    28u

static char folder[256];

static void put32(uint8_t *to, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* Images of ten classes with a bright block each; `classes` of them are used. */
static void write_idx(const char *source, const char *prefix, uint32_t classes)
{
    static uint8_t images[16 + IMAGES * SIDE * SIDE], labels[8 + IMAGES];
    char path[400];
    memset(images, 0, sizeof images);
    put32(images, 0x803);
    put32(images + 4, IMAGES);
    put32(images + 8, SIDE);
    put32(images + 12, SIDE);
    put32(labels, 0x801);
    put32(labels + 4, IMAGES);
    for (uint32_t i = 0; i < IMAGES; i++) {
        labels[8 + i] = (uint8_t)(i % classes);
        for (uint32_t p = 0; p < 12 * 12; p++)
            images[16 + i * SIDE * SIDE + (p / 12 + 4) * SIDE + p % 12 + 4] =
                (uint8_t)(100 + i % 100);
    }
    (void)snprintf(path, sizeof path, "%s/%s/%s-images-idx3-ubyte", folder, source, prefix);
    assert_int_equal(sysio_write_file(path, images, sizeof images, NULL), STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/%s/%s-labels-idx1-ubyte", folder, source, prefix);
    assert_int_equal(sysio_write_file(path, labels, sizeof labels, NULL), STATUS_OK);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    char command[900];
    test_support_mkdir(folder);
    (void)snprintf(command, sizeof command, "mkdir -p '%s/a' '%s/b' '%s/few'", folder, folder,
                   folder);
    if (system(command) != 0)
        return -1;
    write_idx("a", "train", 10);
    write_idx("a", "t10k", 10);
    write_idx("b", "train", 10);
    write_idx("b", "t10k", 10);
    write_idx("few", "train", 9);
    write_idx("few", "t10k", 9);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(folder);
    return 0;
}

/* Exit code; what was said is in FOLDER/said. */
static int run(const char *sources, const char *out, const char *options)
{
    char command[2000], second[300];
    (void)snprintf(second, sizeof second, "%s/b", folder);
    (void)snprintf(command, sizeof command,
                   "timeout 60 '%s' --digits '%s/%s' --garments '%s' --out '%s/%s' %s"
                   " >'%s/said' 2>&1",
                   PROGRAM, folder, sources, second, folder, out, options, folder);
    const int code = system(command);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static int said(const char *word)
{
    char path[300];
    unsigned char *text = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/said", folder);
    assert_int_equal(sysio_read_file(path, 1 << 16, &text, &n, NULL), STATUS_OK);
    const int found = strstr((char *)text, word) != NULL;
    sysio_free(text);
    return found;
}

static struct dataset *read_back(const char *out, const char *split)
{
    char path[400];
    struct dataset *d = NULL;
    struct fault f = {0};
    (void)snprintf(path, sizeof path, "%s/%s/%s.npz", folder, out, split);
    if (dataset_open(path, NULL, &d, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    return d;
}

void test_scenes_program_writes_three_splits(void **state)
{
    (void)state;
    static const char *const splits[] = {"train", "validation", "test"};
    static const uint32_t n[] = {30, 10, 20};
    assert_int_equal(run("a", "x/y", "--train 30 --validation 10 --test 20"), 0);
    for (size_t i = 0; i < 3; i++) {
        struct dataset *d = read_back("x/y", splits[i]);
        const struct dataset_shape s = dataset_shape(d);
        assert_true(s.n == n[i] && s.height == 56 && s.width == 56 && s.channels == 1);
        assert_int_equal(dataset_classes(d), 20);
        for (uint32_t k = 0; k < s.n; k++) {
            uint32_t labels = 0, ink = 0;
            for (uint32_t c = 0; c < 20; c++)
                labels += dataset_multi_hot(d)[k * 20 + c];
            for (uint32_t p = 0; p < 56 * 56; p++)
                ink += dataset_image(d, k)[p] > 0;
            assert_in_range(labels, 1, 4);
            assert_true(ink >= 18 * 18);
        }
        dataset_free(d);
    }
    char path[300];
    unsigned char *text = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "%s/x/y/classes.txt", folder);
    assert_int_equal(sysio_read_file(path, 4096, &text, &size, NULL), STATUS_OK);
    assert_int_equal(strncmp((char *)text, "scene digit 0\n", 14), 0);
    sysio_free(text);
}

/* The same seed gives the same; a longer set begins with the shorter; size 28 is the average. */
void test_scenes_program_is_deterministic(void **state)
{
    (void)state;
    assert_int_equal(run("a", "p", "--seed 7 --train 12 --validation 0 --test 0"), 0);
    assert_int_equal(run("a", "q", "--seed 7 --train 20 --validation 0 --test 0"), 0);
    assert_int_equal(run("a", "r", "--seed 8 --train 12 --validation 0 --test 0"), 0);
    assert_int_equal(run("a", "s", "--seed 7 --train 12 --size 28 --validation 0 --test 0"), 0);
    struct dataset *p = read_back("p", "train"), *q = read_back("q", "train");
    struct dataset *r = read_back("r", "train"), *s = read_back("s", "train");
    assert_memory_equal(dataset_image(p, 0), dataset_image(q, 0), 12 * 56 * 56);
    assert_memory_equal(dataset_multi_hot(p), dataset_multi_hot(q), 12 * 20);
    assert_memory_not_equal(dataset_image(p, 0), dataset_image(r, 0), 12 * 56 * 56);
    assert_memory_equal(dataset_multi_hot(p), dataset_multi_hot(s), 12 * 20);
    assert_int_equal(dataset_shape(s).height, 28);
    for (uint32_t i = 0; i < 28 * 28; i++) {
        const uint8_t *at = dataset_image(p, 5) + i / 28 * 2 * 56 + i % 28 * 2;
        assert_int_equal(dataset_image(s, 5)[i], (at[0] + at[1] + at[56] + at[57] + 2) / 4);
    }
    dataset_free(p);
    dataset_free(q);
    dataset_free(r);
    dataset_free(s);
}

void test_scenes_program_refuses_bad_input(void **state)
{
    (void)state;
    assert_int_equal(run("none", "z", ""), 1);
    assert_true(said("scenes: "));
    assert_int_equal(run("few", "z", "--train 1"), 1);
    assert_true(said("no image of scene digit 9 for train"));
    assert_int_not_equal(run("a", "z", "--size 32"), 0);
    assert_true(said("56 or 28"));
    assert_int_not_equal(run("a", "z", "--train -1"), 0);
    assert_true(said("from 0 to"));
    assert_int_not_equal(run("a", "z", "--train 1000001"), 0);
    assert_int_not_equal(run("a", "z", "--seed x"), 0);
    assert_int_equal(run("a", "said/z", "--train 1"), 1); /* a file stands where a folder should */
    assert_true(said("cannot create"));
}
