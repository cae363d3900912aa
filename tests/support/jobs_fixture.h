/*
 * A store with the tiny model as its base and, if wanted, the tiny data sets; requests and worker
 * results made by hand.  For tests of daemon/jobs without processes.  Header only.
 */
#ifndef LETHE_TESTS_SUPPORT_JOBS_FIXTURE_H
#define LETHE_TESTS_SUPPORT_JOBS_FIXTURE_H

#include "tests/support/store_log_fixture.h"
#include "tests/support/tiny_model.h"

#include <stdio.h>
#include <string.h>

#include "daemon/config/config.h"
#include "daemon/jobs/forget_job.h"
#include "daemon/jobs/recover.h"
#include "learners/eval/eval_report.h"
#include "learners/methods/gslora/delta.h"
#include "proto/seal/hash.h"
#include "storage/store/store.h"

#define JOBS_NOW 1700000000000000

struct jobs_fixture {
    char folder[256];
    char model[300];
    char path[300];
    struct config config;
    struct store *store;
    struct base_model *base;
    struct job_context context;
};

#define jobs_ok(expression)                                                                        \
    do {                                                                                           \
        struct fault fault_ = {0};                                                                 \
        struct fault *fx = &fault_;                                                                \
        const enum status st_ = (expression);                                                      \
        if (st_ != STATUS_OK)                                                                      \
            fail_msg("%s: %s (%s)", status_name(st_), fault_.text, fault_.field);                  \
    } while (0)

/* A model folder that all tests of one program share. */
__attribute__((unused)) static void jobs_fixture_open(struct jobs_fixture *x)
{
    const struct kv_options options = {.folder = x->path};
    jobs_ok(store_open(&options, &x->store, fx));
    jobs_ok(logged_begin(x->store, JOBS_NOW, fx));
    jobs_ok(recover_base(x->store, x->model, &x->base, fx));
    x->context = (struct job_context){
        .config = &x->config, .store = x->store, .base = x->base, .threads = 1};
}

__attribute__((unused)) static void jobs_fixture_close(struct jobs_fixture *x)
{
    base_model_free(x->base);
    store_close(x->store);
}

__attribute__((unused)) static void jobs_fixture_new(struct jobs_fixture *x)
{
    memset(x, 0, sizeof *x);
    test_support_mkdir(x->folder);
    (void)snprintf(x->model, sizeof x->model, "%.250s/model", x->folder);
    (void)snprintf(x->path, sizeof x->path, "%.250s/store", x->folder);
    tiny_model_write(x->model);
    config_default(&x->config);
    jobs_fixture_open(x);
}

__attribute__((unused)) static void jobs_fixture_free(struct jobs_fixture *x)
{
    jobs_fixture_close(x);
    test_support_rmdir(x->folder);
}

/* Imports per_class tiny images of each class; `names` has TINY_CLASSES entries. */
__attribute__((unused)) static void jobs_fixture_import(struct jobs_fixture *x,
                                                        const char *name,
                                                        enum dataset_role role,
                                                        uint32_t per_class,
                                                        const char *const *names)
{
    const size_t n = (size_t)per_class * TINY_CLASSES;
    uint8_t *pixels = sysio_alloc(n, TINY_PIXELS);
    int32_t *labels = sysio_alloc(n, sizeof *labels);
    assert_true(pixels && labels);
    tiny_images(per_class, role, pixels, labels);
    const struct store_blob blobs[] = {{BLOB_PIXELS, pixels, n * TINY_PIXELS},
                                       {BLOB_LABELS, labels, n * sizeof *labels}};
    struct dataset d = {.role = role,
                        .n = n,
                        .height = TINY_SIZE,
                        .width = TINY_SIZE,
                        .channels = 1,
                        .label_kind = DATASET_LABELS_CLASS,
                        .class_names = names,
                        .n_classes = TINY_CLASSES,
                        .pixels = seal_hash(blobs[0].bytes, blobs[0].size),
                        .labels = seal_hash(blobs[1].bytes, blobs[1].size),
                        .created_us = JOBS_NOW};
    (void)snprintf(d.name, sizeof d.name, "%s", name);
    const struct store_change change = {
        .now_us = JOBS_NOW, .blobs = blobs, .n_blobs = 2, .datasets = &d, .n_datasets = 1};
    jobs_ok(store_commit(x->store, &change, NULL, fx));
    sysio_free(pixels);
    sysio_free(labels);
}

__attribute__((unused)) static void jobs_fixture_import_usual(struct jobs_fixture *x)
{
    jobs_fixture_import(x, "tiny", DATASET_TRAIN, 40, tiny_labels);
    jobs_fixture_import(x, "tiny", DATASET_TEST, 30, tiny_labels);
}

__attribute__((unused)) static struct request_id jobs_id(uint8_t number)
{
    const uint8_t random[10] = {number};
    return request_id_make(JOBS_NOW, random);
}

/* Records a forget request as queued; returns its record. */
__attribute__((unused)) static struct queue_record
jobs_queue(struct jobs_fixture *x, uint8_t number, const struct wire_forget *forget)
{
    static unsigned char memory[1 << 18];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    const struct wire_envelope m = {
        .kind = WIRE_KIND_FORGET, .request_id = jobs_id(number), .body.forget = *forget};
    const uint8_t *bytes = NULL;
    size_t size = 0;
    jobs_ok(wire_envelope_encode(&m, &arena, &bytes, &size, fx));
    const struct queue_submission s = {.id = m.request_id,
                                       .principal = "local/local",
                                       .kind = JOB_TEXT_KIND_FORGET,
                                       .payload = bytes,
                                       .payload_size = size,
                                       .seed = number,
                                       .submitted_us = JOBS_NOW};
    const struct queue_move move = {
        .id = m.request_id, .event = REQUEST_EVENT_ENQUEUE, .now_us = JOBS_NOW};
    const struct store_change change = {
        .now_us = JOBS_NOW, .accept = &s, .moves = &move, .n_moves = 1};
    struct store_result result;
    jobs_ok(store_commit(x->store, &change, &result, fx));
    arena_fini(&arena);
    return result.moved;
}

__attribute__((unused)) static struct queue_record
jobs_move(struct jobs_fixture *x, const struct request_id *id, enum request_event event)
{
    const struct queue_move move = {.id = *id, .event = event, .now_us = JOBS_NOW};
    const struct store_change change = {.now_us = JOBS_NOW, .moves = &move, .n_moves = 1};
    struct store_result result;
    jobs_ok(store_commit(x->store, &change, &result, fx));
    return result.moved;
}

/* Delta of one awake block with small random matrices, encoded into *ret_bytes (sysio_free). */
__attribute__((unused)) static size_t
jobs_delta(const struct job *job, uint64_t seed, uint8_t **ret_bytes)
{
    enum { RANK = 2 };
    const struct vit_config *c = &job->spec.config;
    const size_t floats = delta_group_floats(c->width, c->hidden, RANK);
    float *theta = sysio_alloc(floats, sizeof *theta);
    assert_non_null(theta);
    struct rng r;
    const struct rng_root root = {.seed = seed};
    rng_init(&r, &root, "delta", 0);
    for (size_t i = 0; i < floats; i++)
        theta[i] = 0.2f * rng_normal(&r);
    struct delta d = {.origin = {.base = job->spec.base,
                                 .parent = job->spec.trunk,
                                 .request = job->record.id,
                                 .seed = job->record.seed},
                      .depth = c->depth,
                      .width = c->width,
                      .hidden = c->hidden,
                      .classes = c->classes,
                      .lora = {.rank = RANK, .scale = 0.5f}};
    gslora_options_default(&d.options);
    d.options.rank = RANK;
    d.options.scale = 0.5f;
    d.options.epochs = 1;
    d.lora.blocks[c->depth - 1] =
        (struct vit_lora_block){.a1 = theta,
                                .b1 = theta + (size_t)RANK * c->width,
                                .a2 = theta + (size_t)RANK * (c->width + c->hidden),
                                .b2 = theta + (size_t)RANK * (c->width + 2 * (size_t)c->hidden),
                                .awake = 1};
    const size_t size = delta_encoded_size(&d);
    *ret_bytes = sysio_alloc(size, 1);
    assert_non_null(*ret_bytes);
    delta_encode(&d, *ret_bytes, size);
    sysio_free(theta);
    return size;
}

/* A report whose erased classes are answered with accuracy `acc_forget`, judged and encoded. */
__attribute__((unused)) static size_t
jobs_report(double acc_forget, const struct gate_limits *limits, uint8_t **ret_bytes)
{
    static unsigned char memory[1 << 16];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    struct eval_report r;
    eval_report_init(&r);
    r.kind = EVAL_KIND_FORGET_CLASSES;
    r.n_outputs = TINY_CLASSES;
    r.n_live = TINY_CLASSES - 1;
    r.acc_forget = (struct eval_value){acc_forget, acc_forget, acc_forget + 0.05, 100};
    r.retain_loss_macro = (struct eval_value){0.0, -0.01, 0.01, 100};
    jobs_ok(gate_check_apply(&r, limits, &arena, fx));
    const size_t size = eval_report_encoded_size(&r);
    *ret_bytes = sysio_alloc(size, 1);
    assert_non_null(*ret_bytes);
    jobs_ok(eval_report_encode(&r, *ret_bytes, size, fx));
    arena_fini(&arena);
    return size;
}

#endif
