/*
 * kill -9 in the middle of a push: it runs again with the same seed and leaves the same bytes as on
 * a daemon where nothing happened.
 */
#include "tests/support/stream_session.h"

static const struct feed first = {"monday", 10, {"ten", "eleven", "twelve"}, 3, 30, 5};
static const struct feed second = {"tuesday", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 30, 5};
static const char *const ids[] = {"0199a5b0-0000-7000-8000-000000000021",
                                  "0199a5b0-0000-7000-8000-000000000022",
                                  "0199a5b0-0000-7000-8000-000000000023"};

static void begin(struct session *s)
{
    session_new(s, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(s);
    feed_import(s, &first);
    feed_import(s, &second);
    stream_open(s, "cam", ids[0]);
    lethe_free(stream_push(s, "cam", &first, ids[1]));
}

/* Submits the second push and waits until it runs. */
static void submit(struct session *s)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_push_args args = {
        .request_id = ids[2], .name = "cam", .data = second.name, .batch = 2};
    session_ok(lethe_stream_push(s->l, &args, &r, &e), e);
    lethe_free(r);
}

static const struct {
    const char *kind, *name;
} parts[] = {{"stream", "cam"},          {"expert", "cam.0"},        {"expert", "cam.1"},
             {"router", "expert:cam.0"}, {"router", "expert:cam.1"}, {"router", "base"}};
#define PARTS (sizeof parts / sizeof parts[0])

static void digests(struct session *s, char to[PARTS][LETHE_DIGEST_TEXT])
{
    for (size_t i = 0; i < PARTS; i++) {
        stream_component(s, parts[i].kind, parts[i].name, to[i]);
        if (to[i][0] == '\0')
            fail_msg("there is no %s %s", parts[i].kind, parts[i].name);
    }
}

void test_stream_crash_leaves_the_same_bytes(void **state)
{
    (void)state;
    struct session quiet, shot;
    char expected[PARTS][LETHE_DIGEST_TEXT], found[PARTS][LETHE_DIGEST_TEXT];
    begin(&quiet);
    submit(&quiet);
    lethe_free(session_wait(&quiet, ids[2], "committed"));
    digests(&quiet, expected);
    session_free(&quiet);
    begin(&shot);
    submit(&shot);
    session_until(&shot, ids[2], "running");
    const pid_t worker = test_daemon_worker(&shot.d);
    assert_true(worker > 0);
    assert_int_equal(kill(worker, SIGKILL), 0);
    session_sleep_ms(20);
    session_until(&shot, ids[2], "running");
    test_daemon_kill(&shot.d);
    test_daemon_start(&shot.d);
    session_connect(&shot);
    struct lethe_request *r = session_wait(&shot, ids[2], "committed");
    assert_true(r->attempts >= 2);
    lethe_free(r);
    digests(&shot, found);
    for (size_t i = 0; i < PARTS; i++)
        assert_string_equal(found[i], expected[i]);
    session_sound(&shot);
    session_free(&shot);
}
