/*
 * lethe-worker through its real control socket: a forget job from bundle to report, the same bytes
 * with one and two threads, death in the middle, refusals of jobs that do not fit.
 */
#include "tests/support/test.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/rng.h"
#include "daemon/jobs/spawn.h"
#include "learners/eval/eval_report.h"

#define K         4
#define SIDE      8
#define PIXELS    (SIDE * SIDE)
#define PER_CLASS 40

static const struct job_owner base_owner = {.kind = "base", .name = "base"};

static const char *worker_path(void)
{
    const char *path = getenv("LETHE_WORKER");
    return path ? path : LETHE_BUILD "/bin/lethe-worker";
}

struct fixture {
    struct vit_config config;
    struct job_class classes[K];
    uint8_t pixels[3][K * PER_CLASS * PIXELS];
    int32_t labels[3][K * PER_CLASS];
    int base_fd;
};

static struct vit_config tiny_config(void)
{
    return (struct vit_config){.image_size = SIDE,
                               .channels = 1,
                               .patch_size = 4,
                               .width = 16,
                               .depth = 2,
                               .heads = 2,
                               .hidden = 32,
                               .classes = K,
                               .ln_eps = 1e-6f,
                               .attention_scale = 0.35355339f,
                               .qkv_bias = 1,
                               .head_bias = 1,
                               .class_position = 1};
}

/* Class c is a bright quadrant in noise. */
static void paint(struct rng *r, int32_t c, uint8_t *image)
{
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            const int inside = (y >= SIDE / 2) * 2 + (x >= SIDE / 2) == c;
            image[y * SIDE + x] = (uint8_t)((inside ? 180 : 20) + (int)rng_below(r, 40));
        }
    }
}

static void fixture_make(struct fixture *x)
{
    const struct rng_root root = {.seed = 5};
    struct rng r;
    rng_init(&r, &root, "fixture", 0);
    x->config = tiny_config();
    for (int c = 0; c < K; c++) {
        (void)snprintf(x->classes[c].name, JOB_NAME_SIZE, "class %d", c);
        x->classes[c].status = c == 1 ? JOB_CLASS_FORGET_NOW : JOB_CLASS_LIVE;
        x->classes[c].erasure = 0;
    }
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < K * PER_CLASS; i++) {
            x->labels[s][i] = i % K;
            paint(&r, i % K, x->pixels[s] + i * PIXELS);
        }
    }
    void *map;
    const size_t size = vit_weights_floats(&x->config) * sizeof(float);
    assert_int_equal(job_memory_create("base", size, &x->base_fd, &map, NULL), STATUS_OK);
    for (size_t i = 0; i < size / sizeof(float); i++)
        ((float *)map)[i] = 0.2f * rng_normal(&r);
    assert_int_equal(job_memory_seal(x->base_fd, map, size, NULL), STATUS_OK);
}

static struct job_spec spec_make(struct fixture *x, enum job_kind kind, uint32_t threads)
{
    struct job_spec s = {.kind = kind,
                         .seed = 7,
                         .threads = threads,
                         .memory_max = 1u << 30,
                         .config = x->config,
                         .mean = {0.5f, 0.5f, 0.5f},
                         .std = {0.5f, 0.5f, 0.5f},
                         .n_classes = K,
                         .classes = x->classes,
                         .n_owners = 1,
                         .owners = &base_owner,
                         .limits = gate_check_defaults()};
    s.request.b[0] = 9;
    const enum job_set_role roles[3] = {JOB_SET_MEMORY_TRAIN, JOB_SET_MEMORY_VALIDATION,
                                        JOB_SET_TEST};
    for (int i = 0; i < 3; i++)
        s.sets[roles[i]] =
            (struct job_set){.n = K * PER_CLASS, .pixels = x->pixels[i], .labels = x->labels[i]};
    s.n_options = 1;
    strcpy(s.options[0].name, "epochs");
    strcpy(s.options[0].value, "3");
    return s;
}

static enum worker_event wait_for_end(struct worker *w, uint32_t *progress)
{
    for (int i = 0; i < 2400; i++) {
        struct job_progress p;
        const enum worker_event e = worker_next(w, &p);
        if (e == WORKER_DONE || e == WORKER_DIED)
            return e;
        if (e == WORKER_PROGRESS)
            (*progress)++;
        if (e != WORKER_NOTHING)
            continue;
        struct pollfd fd = {.fd = worker_poll_fd(w), .events = POLLIN};
        (void)poll(&fd, 1, 50);
    }
    return WORKER_NOTHING;
}

static void run(struct fixture *x, const struct job_spec *s, struct worker *w, struct job_result *r)
{
    struct fault f = {0};
    uint32_t progress = 0;
    if (worker_start(w, &f) != STATUS_OK || worker_give(w, x->base_fd, s, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    assert_int_equal(wait_for_end(w, &progress), WORKER_DONE);
    if (worker_take_result(w, &x->config, r, &f) != STATUS_OK)
        fail_msg("%s", f.text);
}

static struct worker *worker_make(uint32_t threads)
{
    struct worker *w;
    struct fault f = {0};
    if (worker_new(worker_path(), threads, 20000, &w, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    return w;
}

void test_worker_forget_gives_the_same_delta_with_one_and_two_threads(void **state)
{
    (void)state;
    static struct fixture x;
    fixture_make(&x);
    uint8_t *first = NULL;
    size_t first_size = 0;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct worker *w = worker_make(threads);
        const struct job_spec s = spec_make(&x, JOB_FORGET, threads);
        struct job_result r;
        run(&x, &s, w, &r);
        if (r.status != STATUS_OK)
            fail_msg("%s: %s", r.fault.field, r.fault.text);
        assert_true(r.made[0].size > 0 && r.report_size > 0);
        assert_non_null(r.prototypes);
        assert_int_equal(r.prototype_counts[2], PER_CLASS);
        if (threads == 1) {
            first_size = r.made[0].size;
            first = malloc(first_size);
            assert_non_null(first);
            memcpy(first, r.made[0].bytes, first_size);
        } else {
            assert_int_equal(r.made[0].size, first_size);
            assert_memory_equal(r.made[0].bytes, first, first_size);
        }
        worker_free(w);
    }
    free(first);
    (void)close(x.base_fd);
}

void test_worker_report_covers_every_class(void **state)
{
    (void)state;
    static struct fixture x;
    static unsigned char memory[1 << 18];
    fixture_make(&x);
    struct worker *w = worker_make(1);
    const struct job_spec s = spec_make(&x, JOB_EVALUATE, 1);
    struct job_result r;
    struct arena arena;
    struct eval_report report;
    run(&x, &s, w, &r);
    if (r.status != STATUS_OK)
        fail_msg("%s: %s", r.fault.field, r.fault.text);
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(eval_report_decode(r.report, r.report_size, &arena, &report, NULL), STATUS_OK);
    assert_int_equal(report.kind, EVAL_KIND_RECHECK);
    assert_int_equal(report.n_classes, K);
    assert_true(report.acc_retain.n > 0 && report.acc_retain.value >= 0);
    arena_fini(&arena);
    worker_free(w);
    (void)close(x.base_fd);
}

void test_worker_that_is_killed_is_noticed_and_started_again(void **state)
{
    (void)state;
    static struct fixture x;
    fixture_make(&x);
    struct worker *w = worker_make(1);
    struct job_spec s = spec_make(&x, JOB_FORGET, 1);
    strcpy(s.options[0].value, "100000");
    struct fault f = {0};
    uint32_t progress = 0;
    assert_int_equal(worker_start(w, &f), STATUS_OK);
    assert_int_equal(worker_give(w, x.base_fd, &s, &f), STATUS_OK);
    assert_int_equal(kill(worker_pid(w), SIGKILL), 0);
    assert_int_equal(wait_for_end(w, &progress), WORKER_DIED);
    assert_false(worker_running(w));
    strcpy(s.options[0].value, "1");
    struct job_result r;
    run(&x, &s, w, &r);
    assert_int_equal(r.status, STATUS_OK);
    assert_int_equal(worker_restarts(w), 1);
    worker_free(w);
    (void)close(x.base_fd);
}

void test_worker_refuses_a_job_over_its_memory_limit(void **state)
{
    (void)state;
    static struct fixture x;
    fixture_make(&x);
    struct worker *w = worker_make(1);
    struct job_spec s = spec_make(&x, JOB_FORGET, 1);
    s.memory_max = 1000;
    struct job_result r;
    run(&x, &s, w, &r);
    assert_int_equal(r.status, STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(r.fault.field, "worker_memory_max");
    /* and the same process takes the next job */
    s.memory_max = 1u << 30;
    run(&x, &s, w, &r);
    assert_int_equal(r.status, STATUS_OK);
    assert_int_equal(worker_restarts(w), 0);
    worker_free(w);
    (void)close(x.base_fd);
}

void test_worker_names_a_bad_option(void **state)
{
    (void)state;
    static struct fixture x;
    fixture_make(&x);
    struct worker *w = worker_make(1);
    struct job_spec s = spec_make(&x, JOB_FORGET, 1);
    strcpy(s.options[0].name, "epoch");
    struct job_result r;
    run(&x, &s, w, &r);
    assert_int_equal(r.status, STATUS_NOT_FOUND);
    worker_free(w);
    (void)close(x.base_fd);
}

void test_worker_program_that_is_missing_is_an_error(void **state)
{
    (void)state;
    struct worker *w;
    struct fault f = {0};
    assert_int_equal(worker_new("/nonexistent/lethe-worker", 1, 1000, &w, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "worker");
}
