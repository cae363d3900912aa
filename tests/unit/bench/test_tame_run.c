/*
 * A whole run of the parity protocol in small: every stage, any number of threads, and going on
 * from a checkpoint.
 */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/tame/run.h"
#include "daemon/base/sysio.h"
#include "tests/unit/bench/mnist_fixture.h"

/* Copies the checkpoint when a line says `when`: what a process killed there would leave. */
struct listener {
    const char *checkpoint, *copy, *when;
    uint32_t copies;
};

static void listen(void *context, const char *text)
{
    struct listener *l = context;
    unsigned char *bytes;
    size_t size;
    struct fault f = {0};
    if (!l->when || !strstr(text, l->when))
        return;
    l->copies++;
    assert_int_equal(sysio_read_file(l->checkpoint, 1 << 28, &bytes, &size, &f), STATUS_OK);
    assert_int_equal(sysio_write_file(l->copy, bytes, size, &f), STATUS_OK);
    sysio_free(bytes);
}

static struct run_settings settings_in(const char *folder, uint32_t threads)
{
    for (size_t i = 0;; i++) {
        const struct tasks_stream *s = tasks_stream_at(i);
        assert_non_null(s);
        if (strcmp(s->name, "split-mnist") == 0)
            return (struct run_settings){.stream = s,
                                         .folder = folder,
                                         .seed = 3,
                                         .window = 10,
                                         .epochs = 6,
                                         .fit_epochs = 2,
                                         .threads = threads};
    }
}

static void prepare(char folder[256])
{
    test_support_mkdir(folder);
    mnist_fixture_write(folder, "train", 100, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 60, MNIST_FIXTURE_SIDE);
}

static void execute(const struct run_settings *s,
                    const char *checkpoint,
                    struct listener *l,
                    struct run_result *ret_result)
{
    struct fault f = {0};
    if (run_execute(s, checkpoint, listen, l, ret_result, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    memset(ret_result->seconds, 0, sizeof ret_result->seconds);
}

static struct run_result whole, again; /* large */

void test_tame_run_goes_on_from_any_stage(void **state)
{
    (void)state;
    static const char *const stages[] = {"selector trained,", "expert 1 of", "selector pruned"};
    char folder[256], checkpoint[300], copy[300];
    prepare(folder);
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/whole", folder);
    (void)snprintf(copy, sizeof copy, "%s/copy", folder);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        /* other threads, same bytes */
        const struct run_settings one = settings_in(folder, 1), two = settings_in(folder, 2);
        struct listener first = {checkpoint, copy, stages[i], 0};
        struct listener second = {copy, checkpoint, "goes on from its checkpoint", 0};
        (void)remove(checkpoint);
        execute(&one, checkpoint, &first, &whole);
        assert_int_equal(first.copies, 1);
        execute(&two, copy, &second, &again);
        assert_int_equal(second.copies, 1);
        assert_memory_equal(&whole, &again, sizeof whole);
    }
    test_support_rmdir(folder);
}

/* The counts hold together. */
void test_tame_run_figures(void **state)
{
    (void)state;
    char folder[256], checkpoint[300];
    struct listener none = {0};
    prepare(folder);
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
    const struct run_settings s = settings_in(folder, 1);
    execute(&s, checkpoint, &none, &whole);
    const struct run_detection *d = &whole.detection;
    assert_int_equal(d->batches, (100 * 6 + 127) / 128);
    assert_int_equal(d->changes.true_changes, 4);
    assert_true(d->experts >= 1);
    assert_true(d->changes.switches + 1 >= d->experts);
    assert_near(whole.published_weights, (0.02 * d->experts + 0.5) * 61706, 1e-6);
    /* 98 % of an expert's weights and half of the selector's are gone, the biases are there */
    const double left = (double)whole.nonzero_weights;
    assert_true(left < 1.1 * whole.published_weights && left > 0.9 * whole.published_weights);
    const struct figures_right *x = &whole.before.total;
    assert_int_equal(x->n, 60);
    assert_true(x->incremental <= x->within && x->incremental <= x->selector);
    test_support_rmdir(folder);
}

void test_tame_run_refuses_a_foreign_checkpoint(void **state)
{
    (void)state;
    char folder[256], checkpoint[300];
    struct fault f = {0};
    struct listener none = {0};
    prepare(folder);
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
    struct run_settings s = settings_in(folder, 1);
    s.epochs = 1;
    s.fit_epochs = 1;
    execute(&s, checkpoint, &none, &whole);
    s.seed = 4;
    assert_int_equal(run_execute(&s, checkpoint, listen, &none, &again, &f), STATUS_BAD_FORMAT);
    assert_non_null(strstr(f.text, "another run"));
    s.seed = 3;
    FILE *file = fopen(checkpoint, "ab");
    assert_non_null(file);
    (void)fputc(0, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(run_execute(&s, checkpoint, listen, &none, &again, &f), STATUS_BAD_FORMAT);
    assert_int_equal(truncate(checkpoint, 4000), 0);
    assert_int_equal(run_execute(&s, checkpoint, listen, &none, &again, &f), STATUS_BAD_FORMAT);
    test_support_rmdir(folder);
}
