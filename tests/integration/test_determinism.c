/*
 * The same request (id, seed) on the same state gives the same bytes: the erasure's delta has the
 * same digest with one and two threads, and when worker or daemon died by kill -9 on the way.
 */
#include "tests/support/session.h"

#define REQUEST_ID "018bcfe5-687b-7f01-bf03-0405060708aa"

/* Base and data, made once; every run starts on a copy, so that its state is the same. */
static struct session origin;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&origin, "");
    session_import(&origin);
    test_daemon_stop(&origin.d);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&origin);
    return 0;
}

enum accident { NO_ACCIDENT, WORKER_DIES, DAEMON_DIES };

/* Kills while the request trains; the worker that a daemon leaves behind dies with it. */
static void have_accident(struct session *s, enum accident accident)
{
    if (accident == NO_ACCIDENT)
        return;
    session_until(s, REQUEST_ID, "running");
    session_sleep_ms(60);
    if (accident == WORKER_DIES) {
        const pid_t worker = test_daemon_worker(&s->d);
        assert_true(worker > 0);
        assert_int_equal(kill(worker, SIGKILL), 0);
        return;
    }
    test_daemon_kill(&s->d);
    test_daemon_start(&s->d);
    session_connect(s);
}

static void find_delta(struct session *s, const char *version, char digest[LETHE_DIGEST_TEXT])
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    int found = 0;
    session_ok(lethe_show(s->l, version, &v, &e), e);
    for (size_t i = 0; i < v->n_components; i++) {
        if (strcmp(v->components[i].kind, "erasure") != 0)
            continue;
        memcpy(digest, v->components[i].digest, LETHE_DIGEST_TEXT);
        assert_true(v->components[i].bytes > 0);
        found++;
    }
    assert_int_equal(found, 1);
    lethe_free(v);
}

/* Digest of the delta that the request makes. */
static void run(const char *threads, enum accident accident, char digest[LETHE_DIGEST_TEXT])
{
    struct session s;
    char more[600], id[LETHE_ID_TEXT];
    const struct lethe_forget_args args = {
        .request_id = REQUEST_ID, .classes = &tiny_labels[2], .n_classes = 1, .seed = 11};
    (void)snprintf(more, sizeof more, "%s%s", threads, SESSION_GATE SESSION_SLOW);
    session_copy(&s, &origin, more);
    session_forget(&s, &args, id);
    assert_string_equal(id, REQUEST_ID);
    have_accident(&s, accident);
    struct lethe_request *r = session_wait(&s, id, "committed");
    assert_int_equal(r->seed, 11);
    assert_int_equal(r->attempts, accident == NO_ACCIDENT ? 1 : 2);
    find_delta(&s, r->version_after, digest);
    lethe_free(r);
    session_sound(&s);
    session_free(&s);
}

static void assert_same_delta(const char *threads, enum accident accident)
{
    static char reference[LETHE_DIGEST_TEXT];
    char digest[LETHE_DIGEST_TEXT];
    if (reference[0] == '\0')
        run("threads = 1\n", NO_ACCIDENT, reference);
    run(threads, accident, digest);
    assert_string_equal(digest, reference);
}

void test_determinism_one_and_two_threads(void **state)
{
    (void)state;
    assert_same_delta("threads = 2\n", NO_ACCIDENT);
}

void test_determinism_worker_dies_on_the_way(void **state)
{
    (void)state;
    assert_same_delta("threads = 1\n", WORKER_DIES);
}

void test_determinism_daemon_dies_on_the_way(void **state)
{
    (void)state;
    assert_same_delta("threads = 2\n", DAEMON_DIES);
}

/* The comparison can fail: another seed gives other bytes. */
void test_determinism_another_seed_is_another_delta(void **state)
{
    (void)state;
    struct session s;
    char id[LETHE_ID_TEXT], digests[2][LETHE_DIGEST_TEXT];
    for (uint64_t i = 0; i < 2; i++) {
        const struct lethe_forget_args args = {
            .request_id = REQUEST_ID, .classes = &tiny_labels[2], .n_classes = 1, .seed = 11 + i};
        session_copy(&s, &origin, SESSION_GATE SESSION_FAST);
        session_forget(&s, &args, id);
        struct lethe_request *r = session_wait(&s, id, "committed");
        find_delta(&s, r->version_after, digests[i]);
        lethe_free(r);
        session_free(&s);
    }
    assert_string_not_equal(digests[0], digests[1]);
}
