/*
 * Classes that only wait in the held batches of a stream: no expert has learned them, and they can
 * be forgotten all the same.  Nothing of them stays in the version, and they do not come back.
 */
#include "tests/support/stream_session.h"

static struct session story;

static const struct feed first = {"first", 10, {"ten", "eleven", "twelve"}, 3, 60, 5};
/* One batch of another task: the detector waits for a second one. */
static const struct feed glimpse = {"glimpse", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 4, 5};
static const struct feed second = {"second", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 20, 6};
static const struct feed rest = {"rest", 21, {"twenty-one", "twenty-two"}, 2, 40, 6};

static const struct lethe_option options[] = {
    {"batch", "12"}, {"window", "8"}, {"lr", "0.03"}, {"probe", "off"}, {"rank", "4"}};

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    feed_import(&story, &first);
    feed_import(&story, &glimpse);
    feed_import(&story, &second);
    feed_import(&story, &rest);
    stream_open_with(&story, "cam", NULL, options, sizeof options / sizeof options[0]);
    lethe_free(stream_push(&story, "cam", &first, NULL));
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

void test_held_1_a_glimpse_of_another_task_waits(void **state)
{
    (void)state;
    struct lethe_request *r = stream_push(&story, "cam", &glimpse, NULL);
    json_t *stream = stream_report(r);
    assert_int_equal(stream_count(stream, "held"), 1);
    assert_int_equal(stream_count(stream, "experts"), 1);
    json_decref(stream);
    lethe_free(r);
    stream_label_is(&story, "twenty", "");
}

void test_held_2_one_class_of_it_is_forgotten(void **state)
{
    (void)state;
    static const char *const label = "twenty";
    char stream[LETHE_DIGEST_TEXT], before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    char id[LETHE_ID_TEXT];
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_predictions *p = stream_predict(&story, "stream:cam.0", "raw", 10, 0);
    stream_component(&story, "router", "expert:cam.0", before);
    stream_component(&story, "stream", "cam", stream);
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_forget(&story, &args, id);
    lethe_free(session_wait(&story, id, "committed"));
    stream_label_is(&story, "twenty", "stream:cam forgotten");
    /* the expert's running average had heard of the batch; what it answers had not */
    stream_same_logits(p, stream_predict(&story, "stream:cam.0", "raw", 10, 0));
    stream_component(&story, "router", "expert:cam.0", after);
    assert_string_equal(before, after);
    stream_component(&story, "stream", "cam", after);
    assert_string_not_equal(stream, after);
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "classes", e);
    const struct lethe_push_args push = {.name = "cam", .data = "second"};
    session_refused(lethe_stream_push(story.l, &push, &r, &e), LETHE_FAILED_PRECONDITION, "data",
                    e);
    session_sound(&story);
}

/* The others still wait, and become an expert when more of them come. */
void test_held_3_the_others_go_on(void **state)
{
    (void)state;
    lethe_free(stream_push(&story, "cam", &rest, NULL));
    stream_label_is(&story, "twenty-one", "expert:cam.1 active");
    stream_label_is(&story, "twenty-two", "expert:cam.1 active");
    stream_label_is(&story, "twenty", "stream:cam forgotten");
    assert_true(stream_accuracy(&story, "all", "routed", &first) > 0.8);
    session_sound(&story);
}

/* A later erasure, and a restart, find the version as it should be. */
void test_held_4_the_version_is_sound(void **state)
{
    (void)state;
    static const char *const nobody = "fifty";
    char id[LETHE_ID_TEXT];
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_forget_args none = {.classes = &nobody, .n_classes = 1};
    session_refused(lethe_forget(story.l, &none, &r, &e), LETHE_NOT_FOUND, "classes", e);
    const struct lethe_forget_args args = {.task = "cam.1"};
    session_forget(&story, &args, id);
    lethe_free(session_wait(&story, id, "committed"));
    stream_label_is(&story, "twenty", "stream:cam forgotten");
    stream_label_is(&story, "twenty-one", "expert:cam.1 forgotten");
    stream_label_is(&story, "ten", "expert:cam.0 active");
    test_daemon_stop(&story.d);
    test_daemon_start(&story.d);
    session_connect(&story);
    session_sound(&story);
}
