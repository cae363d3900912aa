/*
 * What streams refuse: each time a clear error that names field and limit, and nothing half
 * applied.  The last parts are about pushes that leave no version: dry runs, probes, a gate that
 * does not open, too many experts.
 */
#include "tests/support/stream_session.h"

static struct session world;

static const struct feed good = {"good", 10, {"ten", "eleven", "twelve"}, 3, 16, 5};
static const struct feed other = {"other", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 16, 5};
static const struct feed taken = {"taken", 30, {"thirty", "Circle", "thirty-two"}, 3, 12, 5};
static const struct feed lane = {"lane", 40, {"forty", "forty-one", "forty-two"}, 3, 20, 5};

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&world, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(&world);
    feed_import(&world, &good);
    feed_import(&world, &other);
    feed_import(&world, &taken);
    feed_import(&world, &lane);
    stream_open(&world, "cam", NULL);
    lethe_free(stream_push(&world, "cam", &good, NULL));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&world);
    return 0;
}

static void open_refused(const struct lethe_stream_args *args, enum lethe_code code, const char *at)
{
    struct lethe_error e;
    struct lethe_request *r;
    session_refused(lethe_stream_open(world.l, args, &r, &e), code, at, e);
}

static void push_refused(const struct lethe_push_args *args, enum lethe_code code, const char *at)
{
    struct lethe_error e;
    struct lethe_request *r;
    session_refused(lethe_stream_push(world.l, args, &r, &e), code, at, e);
}

void test_refuse_names(void **state)
{
    (void)state;
    open_refused(&(struct lethe_stream_args){.name = ""}, LETHE_INVALID_ARGUMENT, "name");
    open_refused(&(struct lethe_stream_args){.name = "../x"}, LETHE_INVALID_ARGUMENT, "name");
    open_refused(&(struct lethe_stream_args){.name = "cam.7"}, LETHE_INVALID_ARGUMENT, "name");
    open_refused(&(struct lethe_stream_args){.name = "cam"}, LETHE_ALREADY_EXISTS, "name");
    const struct lethe_learn_args learn = {.task = "cam", .data = "lane"};
    struct lethe_error e;
    struct lethe_request *r;
    session_refused(lethe_learn(world.l, &learn, &r, &e), LETHE_ALREADY_EXISTS, "task", e);
    const struct lethe_learn_args expert = {.task = "cam.9", .data = "lane"};
    session_refused(lethe_learn(world.l, &expert, &r, &e), LETHE_ALREADY_EXISTS, "task", e);
}

void test_refuse_settings(void **state)
{
    (void)state;
    static const struct {
        struct lethe_option option;
        enum lethe_code code;
    } rows[] = {{{"nothing", "1"}, LETHE_NOT_FOUND},
                {{"mode", "parity"}, LETHE_INVALID_ARGUMENT},
                {{"kind", "conv"}, LETHE_INVALID_ARGUMENT},
                {{"batch", "0"}, LETHE_INVALID_ARGUMENT},
                {{"experts_max", "200"}, LETHE_INVALID_ARGUMENT},
                {{"patience", "two"}, LETHE_INVALID_ARGUMENT}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        open_refused(
            &(struct lethe_stream_args){.name = "x", .options = &rows[i].option, .n_options = 1},
            rows[i].code, rows[i].option.name);
    open_refused(&(struct lethe_stream_args){.name = "x", .expert = "conv"}, LETHE_INVALID_ARGUMENT,
                 "expert");
}

void test_refuse_pushes(void **state)
{
    (void)state;
    static const struct lethe_option lr = {"lr", "0.1"}, probe = {"probe", "perhaps"};
    push_refused(&(struct lethe_push_args){.name = "tv", .data = "good"}, LETHE_NOT_FOUND, "name");
    push_refused(&(struct lethe_push_args){.name = "cam", .data = "nowhere"}, LETHE_NOT_FOUND,
                 "data");
    push_refused(&(struct lethe_push_args){.name = "cam", .data = "taken"}, LETHE_ALREADY_EXISTS,
                 "data");
    push_refused(
        &(struct lethe_push_args){.name = "cam", .data = "good", .options = &lr, .n_options = 1},
        LETHE_INVALID_ARGUMENT, "options");
    push_refused(
        &(struct lethe_push_args){.name = "cam", .data = "good", .options = &probe, .n_options = 1},
        LETHE_INVALID_ARGUMENT, "probe");
    push_refused(&(struct lethe_push_args){.name = "cam", .data = "good", .batch = 70000},
                 LETHE_INVALID_ARGUMENT, "batch");
    struct lethe_error e;
    struct lethe_request *r;
    session_refused(lethe_stream_close(world.l, "tv", &r, &e), LETHE_NOT_FOUND, "name", e);
}

/* A label of another stream is as good as taken. */
void test_refuse_a_label_of_another_stream(void **state)
{
    (void)state;
    stream_open(&world, "radio", NULL);
    push_refused(&(struct lethe_push_args){.name = "radio", .data = "good"}, LETHE_ALREADY_EXISTS,
                 "data");
}

/* Images of 4x4 where the model, and so the stream, has 8x8. */
static bool zeros(void *context, uint64_t offset, void *to, size_t size)
{
    (void)context;
    (void)offset;
    memset(to, 0, size);
    return true;
}

void test_refuse_images_of_another_size(void **state)
{
    (void)state;
    static const char *const names[] = {"ten"};
    struct lethe_error e = {0};
    struct lethe_dataset *d;
    const struct lethe_import_args args = {.spec = {.name = "small",
                                                    .role = "train",
                                                    .images = 4,
                                                    .height = 4,
                                                    .width = 4,
                                                    .channels = 1,
                                                    .classes = names,
                                                    .n_classes = 1},
                                           .source = zeros};
    session_ok(lethe_data_import(world.l, &args, &d, &e), e);
    lethe_free(d);
    push_refused(&(struct lethe_push_args){.name = "cam", .data = "small"}, LETHE_INVALID_ARGUMENT,
                 "data");
}

/* Another batch than the stream has room for, the limit told; the largest is none too many. */
void test_refuse_a_batch_that_is_too_large(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_push_args push = {.name = "cam", .data = "other", .batch = 13, .dry_run = true};
    session_refused(lethe_stream_push(world.l, &push, &r, &e), LETHE_INVALID_ARGUMENT, "batch", e);
    assert_non_null(strstr(e.text, "at most 12"));
    push.batch = 12;
    session_ok(lethe_stream_push(world.l, &push, &r, &e), e);
    lethe_free(stream_wait(&world, r, "cancelled"));
}

/* ------------------------------------------------------------------ pushes without a version */

void test_without_version_a_dry_run(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_push_args push = {.name = "cam", .data = "other", .dry_run = true};
    session_serving(&world, before);
    session_ok(lethe_stream_push(world.l, &push, &r, &e), e);
    r = stream_wait(&world, r, "cancelled");
    json_t *stream = stream_report(r);
    assert_string_equal(r->reason, "DRY_RUN");
    assert_string_equal(stream_text(stream, "expert"), "cam.1");
    assert_non_null(strstr(r->evaluation, "expert:cam.1"));
    json_decref(stream);
    lethe_free(r);
    session_serving(&world, after);
    assert_string_equal(before, after);
}

void test_without_version_a_probe(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_push_args push = {.name = "cam", .data = "other", .probe = true};
    session_serving(&world, before);
    session_ok(lethe_stream_push(world.l, &push, &r, &e), e);
    r = stream_wait(&world, r, "committed");
    json_t *stream = stream_report(r);
    assert_true(json_is_true(json_object_get(stream, "switched")));
    assert_string_equal(r->version_before, r->version_after);
    json_decref(stream);
    lethe_free(r);
    session_serving(&world, after);
    assert_string_equal(before, after);
}

/* As many experts as it may have: rejected, with the reason, and the stream is as it was. */
void test_without_version_too_many_experts(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    static const struct feed sole = {"sole", 50, {"fifty", "fifty-one", "fifty-two"}, 3, 20, 5};
    static const struct feed next = {"next", 60, {"sixty", "sixty-one", "sixty-two"}, 3, 12, 5};
    static const struct lethe_option options[] = {
        {"batch", "12"}, {"window", "16"}, {"lr", "0.03"}, {"probe", "on"}, {"experts_max", "1"}};
    const struct lethe_stream_args args = {.name = "one", .options = options, .n_options = 5};
    const struct lethe_push_args push = {.name = "one", .data = "next"};
    struct lethe_error e = {0};
    struct lethe_request *r;
    feed_import(&world, &sole);
    feed_import(&world, &next);
    session_ok(lethe_stream_open(world.l, &args, &r, &e), e);
    lethe_free(r); /* its turn comes before the push's */
    lethe_free(stream_push(&world, "one", &sole, NULL));
    session_serving(&world, before);
    session_ok(lethe_stream_push(world.l, &push, &r, &e), e);
    r = stream_wait(&world, r, "rejected");
    assert_int_equal(r->error.code, LETHE_RESOURCE_EXHAUSTED);
    assert_string_equal(r->error.field, "experts_max");
    lethe_free(r);
    session_serving(&world, after);
    assert_string_equal(before, after);
    session_sound(&world);
}
