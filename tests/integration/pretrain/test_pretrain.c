/*
 * lethe-pretrain as a program, on a small data set made here: it learns, its result does not depend
 * on threads or on being killed and resumed, and what it is asked wrongly it refuses by name.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIDE = 8, CLASSES = 3, N_TRAIN = 240, N_TEST = 60, MAX_ARGS = 40 };

static char folder[256];

int group_setup(void **state);
int group_teardown(void **state);

static void put_u32_big(uint8_t *to, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* A bright quarter, its place is the class; noise everywhere. */
static void draw_image(struct rng *r, uint32_t label, uint8_t *out)
{
    for (uint32_t y = 0; y < SIDE; y++)
        for (uint32_t x = 0; x < SIDE; x++) {
            const int in = y / 4 == label / 2 && x / 4 == label % 2;
            out[y * SIDE + x] = (uint8_t)((in ? 120 : 0) + rng_below(r, 100));
        }
}

static void write_part(const char *name, uint32_t n)
{
    static uint8_t images[16 + N_TRAIN * SIDE * SIDE], labels[8 + N_TRAIN];
    const struct rng_root root = {.seed = n};
    struct rng r;
    char path[400];
    rng_init(&r, &root, name, 0);
    put_u32_big(images, 0x803);
    put_u32_big(images + 4, n);
    put_u32_big(images + 8, SIDE);
    put_u32_big(images + 12, SIDE);
    put_u32_big(labels, 0x801);
    put_u32_big(labels + 4, n);
    for (uint32_t i = 0; i < n; i++) {
        labels[8 + i] = (uint8_t)(i % CLASSES);
        draw_image(&r, i % CLASSES, images + 16 + (size_t)i * SIDE * SIDE);
    }
    (void)snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, name);
    assert_int_equal(sysio_write_file(path, images, 16 + (size_t)n * SIDE * SIDE, NULL), STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, name);
    assert_int_equal(sysio_write_file(path, labels, 8 + (size_t)n, NULL), STATUS_OK);
}

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    write_part("train", N_TRAIN);
    write_part("t10k", N_TEST);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(folder);
    return 0;
}

static const char *program(void)
{
    static char path[512];
    const char *build = getenv("BUILD");
    (void)snprintf(path, sizeof path, "%s/bin/lethe-pretrain", build ? build : "build");
    return path;
}

/* Starts the program on the data set with output folder `out` and more options; errors to a file.
 */
static pid_t start(const char *out, const char *const *more)
{
    static char data[300], out_path[400], errors[300];
    (void)snprintf(data, sizeof data, "--data=%s", folder);
    (void)snprintf(out_path, sizeof out_path, "--out=%s/%s", folder, out);
    (void)snprintf(errors, sizeof errors, "%s/errors.txt", folder);
    const char *args[MAX_ARGS] = {program(),    data,         out_path,    "--patch=4",
                                  "--width=8",  "--depth=2",  "--heads=2", "--hidden=16",
                                  "--valid=30", "--batch=32", "--shift=0", "--flip=0",
                                  "--warmup=1"};
    size_t n = 13;
    for (; *more; more++)
        args[n++] = *more;
    char *argv[MAX_ARGS];
    memcpy(argv, args, sizeof argv);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors,
                                                      O_WRONLY | O_CREAT | O_TRUNC, 0600),
                     0);
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static int finish(pid_t pid)
{
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
}

static void expect_errors_say(const char *text)
{
    char path[300];
    unsigned char *said = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/errors.txt", folder);
    assert_int_equal(sysio_read_file(path, 1 << 20, &said, &n, NULL), STATUS_OK);
    if (!strstr((const char *)said, text))
        fail_msg("\"%s\" does not say \"%s\"", (const char *)said, text);
    sysio_free(said);
}

#define RUN(out, ...)        finish(start(out, (const char *const[]){__VA_ARGS__, NULL}))
#define EXPECT_RUN(out, ...) assert_int_equal(RUN(out, __VA_ARGS__), 0)

static unsigned char *read_out(const char *out, const char *name, size_t *ret_size)
{
    char path[500];
    unsigned char *bytes = NULL;
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, out, name);
    if (sysio_read_file(path, 1 << 24, &bytes, ret_size, NULL) != STATUS_OK)
        return NULL;
    return bytes;
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    size_t n_a = 0, n_b = 0;
    unsigned char *x = read_out(a, name, &n_a), *y = read_out(b, name, &n_b);
    assert_true(x && y && n_a == n_b && n_a > 0);
    assert_memory_equal(x, y, n_a);
    sysio_free(x);
    sysio_free(y);
}

static void expect_same_model(const char *a, const char *b)
{
    expect_same_file(a, b, "model.safetensors");
    expect_same_file(a, b, "prototypes.safetensors");
    expect_same_file(a, b, "config.json");
    expect_same_file(a, b, "checkpoint.safetensors");
}

static double logged(const char *out, const char *key)
{
    size_t n = 0;
    unsigned char *text = read_out(out, "training.log", &n);
    assert_non_null(text);
    const char *at = strstr((const char *)text, key);
    assert_non_null(at);
    const double x = strtod(at + strlen(key), NULL);
    sysio_free(text);
    return x;
}

void test_pretrain_learns_and_writes_a_model_folder(void **state)
{
    (void)state;
    char path[400];
    struct model *m = NULL;
    struct fault f = {0};
    EXPECT_RUN("learn", "--epochs=30", "--lr=1e-2", "--labels=ul,ur,ll", "--ema=0.9");
    const double accuracy = logged("learn", "\"test_acc\":");
    if (accuracy < 0.9)
        fail_msg("test accuracy %g", accuracy);
    assert_near(logged("learn", "\"n_test\":"), N_TEST, 0);
    (void)snprintf(path, sizeof path, "%s/learn", folder);
    if (model_load_folder(path, &m, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_string_equal(m->scheme, "hf");
    assert_string_equal(m->config.labels[2], "ll");
    assert_true(m->config.vit.classes == CLASSES && m->config.vit.image_size == SIDE);
    assert_non_null(m->prototypes);
    for (int i = 0; i < CLASSES; i++)
        assert_int_equal(m->prototype_counts[i], (N_TRAIN - 30) / CLASSES);
    model_free(m);
    size_t n = 0;
    unsigned char *readme = read_out("learn", "README.md", &n);
    assert_true(readme && strstr((const char *)readme, "'--epochs=30'"));
    sysio_free(readme);
}

void test_pretrain_does_not_depend_on_threads(void **state)
{
    (void)state;
    EXPECT_RUN("one", "--epochs=3", "--threads=1", "--mixup=0.4", "--cutout=3", "--flip=0.5",
               "--shift=1");
    EXPECT_RUN("two", "--epochs=3", "--threads=2", "--mixup=0.4", "--cutout=3", "--flip=0.5",
               "--shift=1");
    EXPECT_RUN("seed", "--epochs=3", "--threads=2", "--mixup=0.4", "--cutout=3", "--flip=0.5",
               "--shift=1", "--seed=2");
    expect_same_model("one", "two");
    size_t n = 0, m = 0;
    unsigned char *a = read_out("one", "model.safetensors", &n);
    unsigned char *b = read_out("seed", "model.safetensors", &m);
    assert_true(a && b && n == m && memcmp(a, b, n) != 0);
    sysio_free(a);
    sysio_free(b);
}

static size_t log_lines(const char *out)
{
    size_t n = 0, lines = 0;
    unsigned char *text = read_out(out, "training.log", &n);
    for (size_t i = 0; text && i < n; i++)
        lines += text[i] == '\n';
    sysio_free(text);
    return lines;
}

void test_pretrain_killed_and_resumed_gives_the_same_bytes(void **state)
{
    (void)state;
    const struct timespec pause = {.tv_nsec = 2000000};
    EXPECT_RUN("whole", "--epochs=60", "--threads=1");
    const pid_t pid = start("cut", (const char *const[]){"--epochs=60", "--threads=1", NULL});
    for (int i = 0; i < 10000 && log_lines("cut") < 4; i++)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(finish(pid), 128 + SIGKILL);
    assert_true(log_lines("cut") < 60); /* it was cut, not done */
    EXPECT_RUN("cut", "--epochs=60", "--threads=2", "--resume");
    expect_same_model("whole", "cut");
    assert_int_equal(log_lines("whole"), log_lines("cut"));
    assert_near(logged("whole", "\"test_acc\":"), logged("cut", "\"test_acc\":"), 0);
}

void test_pretrain_excludes_classes(void **state)
{
    (void)state;
    char path[400];
    struct model *m = NULL;
    EXPECT_RUN("without", "--epochs=8", "--lr=1e-2", "--exclude-classes=1", "--ema=0.9");
    assert_near(logged("without", "\"n_test\":"), N_TEST - N_TEST / CLASSES, 0);
    (void)snprintf(path, sizeof path, "%s/without", folder);
    assert_int_equal(model_load_folder(path, &m, NULL), STATUS_OK);
    assert_int_equal(m->config.vit.classes, CLASSES);
    assert_int_equal(m->prototype_counts[1], 0);
    assert_true(m->prototype_counts[0] + m->prototype_counts[2] ==
                N_TRAIN - N_TRAIN / CLASSES - 30);
    for (uint32_t i = 0; i < m->config.vit.width; i++)
        assert_true(m->prototypes[m->config.vit.width + i] == 0);
    model_free(m);
}

void test_pretrain_refuses_by_name(void **state)
{
    (void)state;
    assert_int_equal(RUN("x", "--data=/nonexistent", "--epochs=1"), 1);
    expect_errors_say("/nonexistent");
    assert_int_equal(RUN("x", "--resume", "--epochs=1"), 1);
    expect_errors_say("no checkpoint");
    EXPECT_RUN("done", "--epochs=1");
    assert_int_equal(RUN("done", "--epochs=1", "--resume", "--lr=0.5"), 1);
    expect_errors_say("lr=");
    assert_int_equal(RUN("x", "--labels=a,b", "--epochs=1"), 1);
    expect_errors_say("2 names for 3 classes");
    assert_int_equal(RUN("x", "--valid=240", "--epochs=1"), 1);
    expect_errors_say("valid");
    assert_int_equal(RUN("x", "--patch=5", "--epochs=1"), 1);
    expect_errors_say("patch");
    assert_int_equal(RUN("x", "--epochs=0"), 2);
    assert_int_equal(RUN("x", "--lr=nan"), 2);
    assert_int_equal(RUN("x", "--seed=-1"), 2);
    assert_int_equal(RUN("x", "--heads=3"), 2);
    assert_int_equal(RUN("x", "--exclude-classes=1,,2"), 2);
    assert_int_equal(RUN("x", "--unknown"), 2);
    assert_int_equal(RUN("x", "more"), 2);
    expect_errors_say("more");
}

void test_pretrain_refuses_a_damaged_checkpoint(void **state)
{
    (void)state;
    char path[500];
    size_t n = 0;
    EXPECT_RUN("damage", "--epochs=1");
    unsigned char *bytes = read_out("damage", "checkpoint.safetensors", &n);
    assert_non_null(bytes);
    (void)snprintf(path, sizeof path, "%s/damage/checkpoint.safetensors", folder);
    assert_int_equal(sysio_write_file(path, bytes, n / 2, NULL), STATUS_OK);
    assert_int_equal(RUN("damage", "--epochs=1", "--resume"), 1);
    sysio_free(bytes);
}
