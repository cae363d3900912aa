/*
 * The job bundle between daemon and worker: round trips, one table over all sets, and a refusal for
 * every truncation and for every way in which a bundle can lie.
 */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/jobs/job_wire.h"

#define CLASSES 3
#define PIXELS  16 /* 4 x 4 x 1 */

static struct job_class the_classes[CLASSES] = {{.name = "a", .status = JOB_CLASS_LIVE},
                                                {.name = "b", .status = JOB_CLASS_FORGET_NOW},
                                                {.name = "c", .status = JOB_CLASS_ERASED}};
static struct job_owner the_owners[2] = {{"base", "base", 0}, {"lane", "digits", 1}};
static struct job_label the_more[2] = {{1, 2}, {3, 2}};
static struct job_task the_task = {.learner = "multilane", .name = "digits", .owner = 1};
static uint8_t the_pixels[3][4 * PIXELS];
static int32_t the_labels[3][4] = {{0, 1, 0, 1}, {2, 2, 2, 2}, {0, 1, 2, 5}};
static const uint8_t THE_DELTA[5] = {1, 2, 3, 4, 5};
static const struct job_part the_part = {
    .kind = "lane", .name = "digits", .size = 3, .bytes = THE_DELTA, .dropped = 1};
static float the_prototypes[CLASSES * 4];
static uint64_t the_counts[CLASSES] = {7, 8, 9};

static struct job_spec make_spec(const struct job_erasure *erasure)
{
    struct job_spec s = {.kind = JOB_FORGET, .seed = 42, .attempt = 2, .threads = 2};
    s.config = (struct vit_config){.image_size = 4,
                                   .channels = 1,
                                   .patch_size = 2,
                                   .width = 4,
                                   .depth = 1,
                                   .heads = 1,
                                   .hidden = 4,
                                   .classes = CLASSES,
                                   .ln_eps = 1e-6f,
                                   .attention_scale = 0.5f,
                                   .head_bias = 1,
                                   .class_position = 1};
    s.limits = gate_check_defaults();
    s.n_classes = CLASSES;
    s.classes = the_classes;
    s.n_owners = 2;
    s.owners = the_owners;
    s.n_parts = 1;
    s.parts = &the_part;
    s.n_tasks = 1;
    s.tasks = &the_task;
    s.n_erasures = 1;
    s.erasures = erasure;
    s.prototypes = the_prototypes;
    s.prototype_counts = the_counts;
    s.memory_max = 1u << 30;
    s.n_options = 1;
    strcpy(s.options[0].name, "depth");
    strcpy(s.options[0].value, "off");
    const enum job_set_role roles[3] = {JOB_SET_MEMORY_TRAIN, JOB_SET_TEST, JOB_SET_REFERENCE};
    for (int k = 0; k < 3; k++) {
        memset(the_pixels[k], 10 * (k + 1), sizeof the_pixels[k]);
        s.sets[roles[k]] =
            (struct job_set){.n = 4, .pixels = the_pixels[k], .labels = the_labels[k]};
    }
    s.sets[JOB_SET_MEMORY_TRAIN].n_more = 2;
    s.sets[JOB_SET_MEMORY_TRAIN].more = the_more;
    s.reference_taught = 6;
    return s;
}

static struct job_erasure make_erasure(void)
{
    return (struct job_erasure){.delta = THE_DELTA,
                                .delta_size = sizeof THE_DELTA,
                                .relapse_limit = 0.25,
                                .recheckable = 1};
}

struct bundle {
    void *bytes;
    size_t size;
    unsigned char lists[4096];
    struct arena arena;
};

static void bundle_make(struct bundle *b, const struct job_spec *s)
{
    b->size = job_spec_plan(s);
    b->bytes = aligned_alloc(64, (b->size + 63) / 64 * 64);
    assert_non_null(b->bytes);
    job_spec_encode(s, b->bytes, b->size);
    arena_init(&b->arena, b->lists, sizeof b->lists);
}

static void bundle_free(struct bundle *b)
{
    arena_fini(&b->arena);
    free(b->bytes);
}

void test_job_wire_spec_round_trip_gives_one_table(void **state)
{
    (void)state;
    const struct job_erasure erasure = make_erasure();
    const struct job_spec in = make_spec(&erasure);
    struct bundle b;
    struct job_spec out;
    struct fault f = {0};
    bundle_make(&b, &in);
    assert_int_equal(job_spec_decode(b.bytes, b.size, &b.arena, &out, &f), STATUS_OK);
    assert_int_equal(out.kind, JOB_FORGET);
    assert_int_equal(out.seed, 42);
    assert_string_equal(out.classes[2].name, "c");
    assert_string_equal(out.options[0].value, "off");
    assert_memory_equal(out.erasures[0].delta, THE_DELTA, sizeof THE_DELTA);
    assert_near(out.erasures[0].relapse_limit, 0.25, 0);
    assert_string_equal(out.owners[1].name, "digits");
    assert_string_equal(out.tasks[0].learner, "multilane");
    assert_memory_equal(out.parts[0].bytes, THE_DELTA, 3);
    assert_int_equal(out.parts[0].dropped, 1);
    assert_int_equal(out.prototype_counts[2], 9);
    assert_int_equal((uintptr_t)out.prototypes % 64, 0);
    /* train, test and reference rows behind each other */
    assert_ptr_equal(out.sets[JOB_SET_TEST].pixels, out.sets[0].pixels + 4 * PIXELS);
    assert_ptr_equal(out.sets[JOB_SET_REFERENCE].labels, out.sets[0].labels + 8);
    assert_int_equal(out.sets[JOB_SET_REFERENCE].labels[3], 5);
    assert_int_equal(out.sets[JOB_SET_TEST].pixels[0], 20);
    assert_int_equal(out.owners[1].several, 1);
    assert_int_equal(out.reference_taught, 6);
    bundle_free(&b);
}

/* A first label, further ones, and none that was not given. */
void test_job_wire_images_with_several_labels(void **state)
{
    (void)state;
    const struct job_erasure erasure = make_erasure();
    const struct job_spec in = make_spec(&erasure);
    struct bundle b;
    struct job_spec out;
    bundle_make(&b, &in);
    assert_int_equal(job_spec_decode(b.bytes, b.size, &b.arena, &out, NULL), STATUS_OK);
    const struct job_set *set = &out.sets[JOB_SET_MEMORY_TRAIN];
    static const uint8_t SHOWN[4][CLASSES] = {{1, 0, 0}, {0, 1, 1}, {1, 0, 0}, {0, 1, 1}};
    assert_int_equal(set->n_more, 2);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t c = 0; c < CLASSES; c++)
            assert_int_equal(job_set_has(set, i, c), SHOWN[i][c]);
    assert_int_equal(out.sets[JOB_SET_TEST].n_more, 0);
    assert_int_equal(job_set_has(&out.sets[JOB_SET_TEST], 0, 2), 1);
    assert_int_equal(job_set_has(&out.sets[JOB_SET_TEST], 0, 1), 0);
    bundle_free(&b);
}

void test_job_wire_every_truncated_spec_is_refused(void **state)
{
    (void)state;
    const struct job_erasure erasure = make_erasure();
    const struct job_spec in = make_spec(&erasure);
    struct bundle b;
    struct job_spec out;
    bundle_make(&b, &in);
    for (size_t size = 0; size < b.size; size++) {
        const struct arena_mark mark = arena_mark(&b.arena);
        assert_int_not_equal(job_spec_decode(b.bytes, size, &b.arena, &out, NULL), STATUS_OK);
        arena_rewind(&b.arena, mark);
    }
    bundle_free(&b);
}

static void refused(const struct job_spec *s, const char *field)
{
    struct bundle b;
    struct job_spec out;
    struct fault f = {0};
    bundle_make(&b, s);
    assert_int_not_equal(job_spec_decode(b.bytes, b.size, &b.arena, &out, &f), STATUS_OK);
    assert_string_equal(f.field, field);
    bundle_free(&b);
}

void test_job_wire_lies_are_refused(void **state)
{
    (void)state;
    const struct job_erasure erasure = make_erasure();
    struct job_spec s = make_spec(&erasure);
    s.threads = 0;
    refused(&s, "threads");
    s = make_spec(&erasure);
    s.kind = (enum job_kind)9;
    refused(&s, "kind");
    s = make_spec(&erasure);
    the_classes[2].erasure = 5;
    refused(&s, "classes");
    the_classes[2].erasure = 0;
    the_classes[1].owner = 1; /* a class of the base that a lane claims */
    refused(&s, "classes");
    the_classes[1].owner = 0;
    the_task.owner = 2;
    refused(&s, "tasks");
    the_task.owner = 1;
    the_owners[1].name[0] = '\0';
    refused(&s, "owners");
    strcpy(the_owners[1].name, "digits");
    the_labels[0][1] = CLASSES;
    refused(&s, "labels");
    the_labels[0][1] = 1;
    the_more[1] = (struct job_label){4, 2}; /* no such row */
    refused(&s, "labels");
    the_more[1] = (struct job_label){1, 2}; /* twice */
    refused(&s, "labels");
    the_more[1] = (struct job_label){3, CLASSES};
    refused(&s, "labels");
    the_more[1] = (struct job_label){3, 2};
    s.sets[JOB_SET_REFERENCE].n_more = 1;
    s.sets[JOB_SET_REFERENCE].more = the_more;
    refused(&s, "labels");
}

void test_job_wire_result_round_trip_and_truncation(void **state)
{
    (void)state;
    const struct vit_config config = {.classes = CLASSES, .width = 4};
    const uint8_t report[3] = {9, 8, 7};
    struct job_result in = {.status = STATUS_RESOURCE_EXHAUSTED,
                            .n_made = 1,
                            .made = {{.kind = "erasure",
                                      .name = "q",
                                      .bytes = THE_DELTA,
                                      .size = sizeof THE_DELTA,
                                      .groups_total = 6,
                                      .groups_zero = 4}},
                            .report = report,
                            .report_size = sizeof report,
                            .prototypes = the_prototypes,
                            .prototype_counts = the_counts,
                            .seconds = 1.5};
    strcpy(in.fault.text, "the limit is 7");
    const size_t size = job_result_plan(&in, &config);
    void *bytes = aligned_alloc(64, (size + 63) / 64 * 64);
    job_result_encode(&in, &config, bytes, size);
    struct job_result out;
    assert_int_equal(job_result_decode(bytes, size, &config, &out, NULL), STATUS_OK);
    assert_int_equal(out.status, STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(out.fault.text, "the limit is 7");
    assert_memory_equal(out.made[0].bytes, THE_DELTA, sizeof THE_DELTA);
    assert_memory_equal(out.report, report, sizeof report);
    assert_int_equal(out.made[0].groups_zero, 4);
    assert_int_equal(out.prototype_counts[1], 8);
    for (size_t n = 0; n < size; n++)
        assert_int_not_equal(job_result_decode(bytes, n, &config, &out, NULL), STATUS_OK);
    free(bytes);
}

/* What streams need: keys of their rows, what is erased, and on the way back what was decided. */
void test_job_wire_streams(void **state)
{
    (void)state;
    const struct vit_config config = {.classes = CLASSES, .width = 4};
    static const uint64_t keys[4] = {11, 0, 13, 14}, erased[2] = {7, 9};
    const struct job_erasure erasure = make_erasure();
    struct job_spec s = make_spec(&erasure);
    struct bundle b;
    struct job_spec out;
    s.sets[JOB_SET_TASK_TRAIN] =
        (struct job_set){.n = 4, .pixels = the_pixels[0], .labels = the_labels[0]};
    s.task_keys = keys;
    s.erased_keys = erased;
    s.n_erased_keys = 2;
    s.unmeasured = 1;
    strcpy(s.erased_expert, "cam.1");
    the_task.first = 1;
    the_task.n = 3;
    bundle_make(&b, &s);
    assert_int_equal(job_spec_decode(b.bytes, b.size, &b.arena, &out, NULL), STATUS_OK);
    assert_memory_equal(out.task_keys, keys, sizeof keys);
    assert_memory_equal(out.erased_keys, erased, sizeof erased);
    assert_string_equal(out.erased_expert, "cam.1");
    assert_int_equal(out.unmeasured, 1);
    assert_int_equal(out.tasks[0].n, 3);
    bundle_free(&b);
    the_task.n = 4; /* one row more than there is */
    refused(&s, "tasks");
    the_task.first = the_task.n = 0;
    struct learner_event events[2] = {{.batch = 3, .expert = "cam.0", .switched = 1}, {.batch = 4}};
    const struct job_result in = {.n_events = 2,
                                  .events = events,
                                  .n_made = 1,
                                  .made = {{.kind = "expert", .name = "cam.1"}}};
    const size_t size = job_result_plan(&in, &config);
    void *bytes = aligned_alloc(64, (size + 63) / 64 * 64);
    struct job_result back;
    job_result_encode(&in, &config, bytes, size);
    assert_int_equal(job_result_decode(bytes, size, &config, &back, NULL), STATUS_OK);
    assert_int_equal(back.made[0].size, 0);
    assert_int_equal(back.n_events, 2);
    assert_string_equal(back.events[0].expert, "cam.0");
    memset(events[1].from, 'x', sizeof events[1].from); /* a text without an end */
    job_result_encode(&in, &config, bytes, size);
    assert_int_equal(job_result_decode(bytes, size, &config, &back, NULL), STATUS_BAD_FORMAT);
    free(bytes);
}

void test_job_wire_progress_round_trip(void **state)
{
    (void)state;
    struct job_progress in = {.phase = "train", .epoch = 3, .n_groups = 2}, out;
    in.group_norms[1] = 2.5f;
    uint8_t bytes[JOB_MESSAGE_MAX];
    const size_t n = job_progress_encode(&in, bytes, sizeof bytes);
    assert_true(n > 0);
    assert_int_equal(job_progress_decode(bytes, n, &out), STATUS_OK);
    assert_string_equal(out.phase, "train");
    assert_near(out.group_norms[1], 2.5, 0);
    assert_int_equal(job_progress_decode(bytes, n - 1, &out), STATUS_BAD_FORMAT);
    assert_int_equal(job_progress_encode(&in, bytes, 10), 0);
}

void test_job_wire_memory_must_be_sealed(void **state)
{
    (void)state;
    int fd;
    void *map;
    const void *view;
    size_t size;
    assert_int_equal(job_memory_create("test", 100, &fd, &map, NULL), STATUS_OK);
    assert_int_equal(job_memory_map(fd, &view, &size, NULL), STATUS_BAD_FORMAT);
    memset(map, 7, 100);
    assert_int_equal(job_memory_seal(fd, map, 100, NULL), STATUS_OK);
    assert_int_equal(job_memory_map(fd, &view, &size, NULL), STATUS_OK);
    assert_int_equal(size, 100);
    assert_int_equal(((const uint8_t *)view)[99], 7);
    assert_int_equal(ftruncate(fd, 50), -1);
    (void)munmap((void *)(uintptr_t)view, size);
    (void)close(fd);
}

void test_job_wire_descriptors_travel(void **state)
{
    (void)state;
    int pair[2], fds[2], got[2];
    char text[8];
    size_t n, n_fds;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(job_receive(pair[1], text, sizeof text, &n, got, &n_fds),
                     STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(job_send(pair[0], "J", 1, fds, 2), STATUS_OK);
    assert_int_equal(job_receive(pair[1], text, sizeof text, &n, got, &n_fds), STATUS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(n_fds, 2);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(fds[0], text, 1), 1);
    (void)close(pair[0]);
    assert_int_equal(job_receive(pair[1], text, sizeof text, &n, got, &n_fds), STATUS_UNAVAILABLE);
    (void)close(pair[1]);
    for (int i = 0; i < 2; i++) {
        (void)close(fds[i]);
        (void)close(got[i]);
    }
}
