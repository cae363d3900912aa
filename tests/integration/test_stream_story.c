/*
 * Streams on a live daemon, on the tiny model: tasks come without a word, experts are found again,
 * predictions know them, what was learned is forgotten, and a stream that is closed takes nothing
 * more.  One daemon for the story, whose parts run in the order of their names.
 */
#include "tests/support/stream_session.h"

static struct session story;

static const struct feed first = {"monday", 10, {"ten", "eleven", "twelve"}, 3, 60, 5};
static const struct feed second = {"tuesday", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 60, 5};
static const struct feed again = {"wednesday", 10, {"ten", "eleven", "twelve"}, 3, 60, 6};

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    feed_import(&story, &first);
    feed_import(&story, &second);
    feed_import(&story, &again);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

static void counts_are(uint32_t experts, uint32_t streams)
{
    struct lethe_error e = {0};
    struct lethe_status *status;
    session_ok(lethe_status(story.l, &status, &e), e);
    assert_int_equal(status->experts, experts);
    assert_int_equal(status->streams, streams);
    lethe_free(status);
}

/* ------------------------------------------------------------------ the story */

void test_stream_1_a_stream_is_opened(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT];
    static const struct lethe_option options[] = {
        {"batch", "4"}, {"window", "16"}, {"lr", "0.02"}, {"probe", "off"}, {"rank", "4"}};
    stream_open_with(&story, "cam", NULL, options, 5);
    counts_are(0, 1);
    stream_component(&story, "stream", "cam", digest);
    assert_true(digest[0]);
    session_sound(&story);
}

void test_stream_2_a_push_makes_an_expert(void **state)
{
    (void)state;
    struct lethe_request *r = stream_push(&story, "cam", &first, NULL);
    json_t *stream = stream_report(r);
    assert_string_equal(r->kind, "stream");
    assert_string_equal(r->task, "cam");
    assert_non_null(strstr(r->evaluation, "expert:cam.0"));
    assert_string_equal(stream_text(stream, "expert"), "cam.0");
    assert_int_equal(stream_count(stream, "experts"), 1);
    assert_true(stream_count(stream, "trained") > 80);
    assert_true(json_is_number(json_object_get(stream, "loss")));
    assert_true(json_is_number(json_object_get(stream, "threshold")));
    json_decref(stream);
    lethe_free(r);
    counts_are(1, 1);
    stream_label_is(&story, "eleven", "expert:cam.0 active");
    assert_true(stream_accuracy(&story, "stream:cam", "routed", &first) > 0.8);
    session_sound(&story);
}

void test_stream_3_another_task_is_noticed(void **state)
{
    (void)state;
    struct lethe_predictions *before = stream_predict(&story, "stream:cam.0", "raw", 12, 1);
    struct lethe_request *r = stream_push(&story, "cam", &second, NULL);
    json_t *stream = stream_report(r);
    assert_string_equal(stream_text(stream, "expert"), "cam.1");
    assert_true(json_is_true(json_object_get(stream, "switched")));
    assert_int_equal(stream_count(stream, "switches"), 1);
    assert_int_equal(stream_count(stream, "experts"), 2);
    json_decref(stream);
    lethe_free(r);
    stream_same_logits(before, stream_predict(&story, "stream:cam.0", "raw", 12, 1));
    stream_label_is(&story, "twenty", "expert:cam.1 active");
    counts_are(2, 1);
}

void test_stream_4_an_old_task_is_known_again(void **state)
{
    (void)state;
    struct lethe_request *r = stream_push(&story, "cam", &again, NULL);
    json_t *stream = stream_report(r);
    assert_string_equal(stream_text(stream, "expert"), "cam.0");
    assert_int_equal(stream_count(stream, "experts"), 2);
    assert_true(json_is_true(json_object_get(stream, "switched")));
    json_decref(stream);
    lethe_free(r);
    counts_are(2, 1);
}

void test_stream_5_predictions_find_the_expert(void **state)
{
    (void)state;
    static const char *const scopes[] = {"all", "stream:cam"};
    for (size_t i = 0; i < 2; i++) {
        assert_true(stream_accuracy(&story, scopes[i], "routed", &first) > 0.8);
        assert_true(stream_accuracy(&story, scopes[i], "routed", &second) > 0.6);
        (void)stream_accuracy(&story, scopes[i], "raw", &second);
    }
    struct lethe_predictions *p = stream_predict(&story, "all", "routed", 20, 0);
    assert_string_equal(p->items[0].labels[0].owner, "expert:cam.1");
    assert_string_equal(p->items[0].expert, "expert:cam.1");
    lethe_free(p);
    struct lethe_error e = {0};
    struct lethe_model *model;
    session_ok(lethe_model(story.l, &model, &e), e);
    assert_int_equal(model->n_owners, 3);
    assert_string_equal(model->owners[2], "expert:cam.1");
    lethe_free(model);
}

void test_stream_6_a_restart_changes_nothing(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    struct lethe_predictions *p = stream_predict(&story, "all", NULL, 11, 0);
    session_serving(&story, before);
    test_daemon_stop(&story.d);
    test_daemon_start(&story.d);
    session_connect(&story);
    session_serving(&story, after);
    assert_string_equal(before, after);
    stream_same_logits(p, stream_predict(&story, "all", NULL, 11, 0));
    session_sound(&story);
}

void test_stream_7_a_closed_stream_takes_nothing(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_push_args push = {.name = "cam", .data = "monday"};
    stream_close(&story, "cam");
    counts_are(2, 0);
    session_refused(lethe_stream_push(story.l, &push, &r, &e), LETHE_FAILED_PRECONDITION, "name",
                    e);
    session_refused(lethe_stream_close(story.l, "cam", &r, &e), LETHE_FAILED_PRECONDITION, "name",
                    e);
    assert_true(stream_accuracy(&story, "stream:cam", NULL, &first) > 0.8);
    session_sound(&story);
}
