/*
 * Forgetting what streams taught, on the tiny model: one expert, a class and samples of one, the
 * whole stream; exactly, as daemons show that never saw the data.  Tombstones keep it away.  Parts
 * run in the order of their names, on one daemon.
 */
#include "tests/support/stream_session.h"

static struct session story;

static const struct feed first = {"monday", 10, {"ten", "eleven", "twelve"}, 3, 48, 5};
static const struct feed more = {"later", 10, {"ten", "eleven", "twelve"}, 3, 16, 7};
static const struct feed second = {"tuesday", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 48, 5};

/* The same seeds and ids on every daemon, so that the same data give the same bytes. */
static const char *const ids[] = {
    "0199a5b0-0000-7000-8000-000000000011", "0199a5b0-0000-7000-8000-000000000012",
    "0199a5b0-0000-7000-8000-000000000013", "0199a5b0-0000-7000-8000-000000000014"};

/* A test set beside a feed: then every image of the feed is learned, in whole batches. */
static void import_both(struct session *s, const struct feed *x)
{
    struct lethe_error e = {0};
    struct feed test = *x;
    test.seed += 100;
    test.per_class = 10;
    feed_import(s, x);
    session_ok(feed_try_import(s, &test, "test", &e), e);
}

static void begin(struct session *s)
{
    session_new(s, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(s);
    stream_open(s, "cam", ids[0]);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    begin(&story);
    import_both(&story, &first);
    import_both(&story, &more);
    import_both(&story, &second);
    lethe_free(stream_push(&story, "cam", &first, ids[1]));
    lethe_free(stream_push(&story, "cam", &second, ids[2]));
    lethe_free(stream_push(&story, "cam", &more, ids[3]));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

static struct lethe_request *forget(const struct lethe_forget_args *args)
{
    char id[LETHE_ID_TEXT];
    session_forget(&story, args, id);
    return session_wait(&story, id, "committed");
}

/* ------------------------------------------------------------------ the story */

void test_forget_1_the_stage_is_set(void **state)
{
    (void)state;
    stream_label_is(&story, "ten", "expert:cam.0 active");
    stream_label_is(&story, "twenty-two", "expert:cam.1 active");
    assert_true(stream_accuracy(&story, "stream:cam", NULL, &first) > 0.8);
}

/* Samples of one push: the expert is what it was before that push, the other one is untouched. */
void test_forget_2_samples_exactly(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], other[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT];
    struct session never;
    struct lethe_error e = {0};
    stream_component(&story, "expert", "cam.1", other);
    session_ok(feed_try_import(&story, &more, "probe", &e), e);
    const struct lethe_forget_args args = {.samples = "later"};
    struct lethe_request *r = forget(&args);
    assert_non_null(strstr(r->evaluation, "forget_samples"));
    lethe_free(r);
    stream_component(&story, "expert", "cam.1", digest);
    assert_string_equal(digest, other);
    begin(&never);
    import_both(&never, &first);
    lethe_free(stream_push(&never, "cam", &first, ids[1]));
    for (uint32_t i = 0; i < 3; i++)
        stream_same_logits(stream_predict(&story, "stream:cam.0", "raw", 10 + i, 0),
                           stream_predict(&never, "stream:cam.0", "raw", 10 + i, 0));
    stream_component(&story, "router", "expert:cam.0", terms);
    stream_component(&never, "router", "expert:cam.0", digest);
    assert_string_equal(terms, digest);
    session_free(&never);
    session_sound(&story);
}

/* They do not come back: a push of them is dropped and counted. */
void test_forget_3_samples_stay_away(void **state)
{
    (void)state;
    struct lethe_request *r = stream_push(&story, "cam", &more, NULL);
    json_t *stream = stream_report(r);
    assert_int_equal(stream_count(stream, "offered"), 48);
    assert_int_equal(stream_count(stream, "tombstoned"), 48);
    assert_int_equal(stream_count(stream, "trained"), 0);
    json_decref(stream);
    lethe_free(r);
    struct lethe_error e = {0};
    struct feed strange = {"strange", 10, {"ten", "eleven", "twelve"}, 3, 4, 77};
    session_ok(feed_try_import(&story, &strange, "probe", &e), e);
    const struct lethe_forget_args args = {.samples = "strange"};
    char id[LETHE_ID_TEXT];
    session_forget(&story, &args, id);
    r = session_wait(&story, id, "denied");
    assert_non_null(strstr(r->reason, "none of these samples"));
    lethe_free(r);
}

/* A class: the expert is one that never saw it, over batches of the same images otherwise. */
void test_forget_4_a_class_exactly(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], terms[LETHE_DIGEST_TEXT], other[LETHE_DIGEST_TEXT];
    struct session never;
    struct feed without = second;
    stream_component(&story, "expert", "cam.0", other);
    lethe_free(session_forget_class(&story, "twenty-two"));
    stream_component(&story, "expert", "cam.0", digest);
    assert_string_equal(digest, other);
    stream_label_is(&story, "twenty-two", "expert:cam.1 forgotten");
    stream_label_is(&story, "twenty", "expert:cam.1 active");
    for (uint32_t i = 0; i < 5; i++) {
        struct lethe_predictions *p = stream_predict(&story, "all", NULL, 22, i);
        for (size_t k = 0; k < p->items[0].n_labels; k++)
            assert_string_not_equal(p->items[0].labels[k].label, "twenty-two");
        lethe_free(p);
    }
    begin(&never);
    without.n_classes = 2;
    import_both(&never, &first);
    import_both(&never, &without);
    lethe_free(stream_push(&never, "cam", &first, ids[1]));
    const struct lethe_push_args push = {
        .request_id = ids[2], .name = "cam", .data = "tuesday", .batch = 8};
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_stream_push(never.l, &push, &r, &e), e);
    lethe_free(stream_wait(&never, r, "committed"));
    for (uint32_t i = 0; i < 2; i++)
        stream_same_logits(stream_predict(&story, "stream:cam.1", "raw", 20 + i, 0),
                           stream_predict(&never, "stream:cam.1", "raw", 20 + i, 0));
    stream_component(&story, "router", "expert:cam.1", terms);
    stream_component(&never, "router", "expert:cam.1", digest);
    assert_string_equal(terms, digest);
    session_free(&never);
    session_sound(&story);
}

void test_forget_5_a_forgotten_class_is_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_push_args push = {.name = "cam", .data = "tuesday"};
    session_refused(lethe_stream_push(story.l, &push, &r, &e), LETHE_FAILED_PRECONDITION, "data",
                    e);
    assert_non_null(strstr(e.text, "twenty-two"));
}

void test_forget_6_one_expert(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], other[LETHE_DIGEST_TEXT];
    stream_component(&story, "expert", "cam.0", other);
    const struct lethe_forget_args args = {.task = "cam.1"};
    lethe_free(forget(&args));
    stream_component(&story, "expert", "cam.1", digest);
    assert_string_equal(digest, "");
    stream_component(&story, "router", "expert:cam.1", digest);
    assert_string_equal(digest, "");
    stream_component(&story, "expert", "cam.0", digest);
    assert_string_equal(digest, other);
    stream_label_is(&story, "twenty", "expert:cam.1 forgotten");
    session_sound(&story);
}

/* The base forgets: the trunk moves beneath the experts, they are measured, fitted and answer. */
void test_forget_7_the_base_beneath(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    stream_component(&story, "expert", "cam.0", before);
    lethe_free(session_forget_class(&story, tiny_labels[2]));
    stream_component(&story, "expert", "cam.0", after);
    assert_string_not_equal(before, after);
    assert_true(stream_accuracy(&story, "stream:cam", NULL, &first) > 0.6);
    session_sound(&story);
    /* and the stream goes on */
    struct feed next = {"friday", 10, {"ten", "eleven", "twelve"}, 3, 8, 9};
    feed_import(&story, &next);
    lethe_free(stream_push(&story, "cam", &next, NULL));
}

void test_forget_8_the_whole_stream(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT];
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_forget_args args = {.task = "cam"};
    lethe_free(forget(&args));
    stream_component(&story, "stream", "cam", digest);
    assert_string_equal(digest, "");
    stream_component(&story, "expert", "cam.0", digest);
    assert_string_equal(digest, "");
    stream_label_is(&story, "ten", "expert:cam.0 forgotten");
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "task", e);
    const struct lethe_stream_args open = {.name = "cam"};
    session_refused(lethe_stream_open(story.l, &open, &r, &e), LETHE_ALREADY_EXISTS, "name", e);
    session_sound(&story);
}
