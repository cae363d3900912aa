/*
 * What a running daemon promises its callers: predictions while a request trains, cancelling,
 * answers to those who wait, one effect for one id, and an orderly or a forced end.
 */
#include "tests/support/serve_fixture.h"
#include "tests/support/session.h"

#include <sys/wait.h>

/* A request that trains until it is stopped. */
static const struct lethe_option endless[] = {
    {"epochs", "100000"}, {"settle_epochs", "100000"}, {"target_forget", "0"}};
#define N_ENDLESS (sizeof endless / sizeof endless[0])

static void submit_endless(struct session *s, const char *label, char id[LETHE_ID_TEXT])
{
    const struct lethe_forget_args args = {
        .classes = &label, .n_classes = 1, .options = endless, .n_options = N_ENDLESS};
    session_forget(s, &args, id);
}

static void assert_state(struct session *s, const char *id, const char *state)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_request(s->l, id, &r, &e), e);
    assert_string_equal(r->state, state);
    lethe_free(r);
}

static void cancel(struct session *s, const char *id)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_cancel(s->l, id, "enough", &r, &e), e);
    assert_string_equal(r->state, "cancelled");
    assert_string_equal(r->reason, "enough");
    lethe_free(r);
}

/* ------------------------------------------------------------------ predictions */

#define ASKED 100

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Asks and waits, one prediction after the other; sorted latencies in microseconds. */
static void ask(struct session *s, int64_t latency_us[ASKED])
{
    for (uint32_t i = 0; i < ASKED; i++) {
        const int64_t start = clock_mono_us();
        struct lethe_predictions *p = session_predict(s, NULL, i % TINY_CLASSES, i);
        latency_us[i] = clock_mono_us() - start;
        lethe_free(p);
    }
    qsort(latency_us, ASKED, sizeof *latency_us, by_size);
}

void test_serving_predictions_while_a_request_trains(void **state)
{
    (void)state;
    struct session s;
    char id[LETHE_ID_TEXT];
    int64_t idle_us[ASKED], busy_us[ASKED];
    session_new(&s, SESSION_GATE);
    session_import(&s);
    ask(&s, idle_us);
    submit_endless(&s, "Cross", id);
    session_until(&s, id, "running");
    ask(&s, busy_us);
    assert_state(&s, id, "running");
    cancel(&s, id);
    print_message("  p50 and p99 in us: idle %lld %lld, training %lld %lld\n",
                  (long long)idle_us[ASKED / 2], (long long)idle_us[ASKED - 2],
                  (long long)busy_us[ASKED / 2], (long long)busy_us[ASKED - 2]);
    /* wide bounds: the machine may be busy, but nobody waits for the training to end */
    assert_true(busy_us[ASKED / 2] < 250000);
    assert_true(busy_us[ASKED - 1] < 3000000);
    session_sound(&s);
    session_free(&s);
}

/* ------------------------------------------------------------------ cancelling */

void test_serving_cancel_of_queued_and_running_requests(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_versions *history;
    char running[LETHE_ID_TEXT], queued[LETHE_ID_TEXT];
    session_new(&s, SESSION_GATE SESSION_FAST);
    session_import(&s);
    submit_endless(&s, "Circle", running);
    submit_endless(&s, "Square", queued);
    session_until(&s, running, "running");
    assert_state(&s, queued, "queued");
    cancel(&s, queued);
    assert_state(&s, running, "running");
    cancel(&s, running);
    assert_state(&s, running, "cancelled");
    cancel(&s, running); /* a repeat */
    /* the next request finds a worker, and what is done cannot be cancelled */
    r = session_forget_class(&s, "Circle");
    struct lethe_request *refused;
    session_refused(lethe_cancel(s.l, r->id, NULL, &refused, &e), LETHE_FAILED_PRECONDITION, "id",
                    e);
    lethe_free(r);
    session_refused(lethe_cancel(s.l, "018bcfe5-687b-7f01-bf03-040506070809", NULL, &refused, &e),
                    LETHE_NOT_FOUND, "id", e);
    session_ok(lethe_history(s.l, 0, 0, &history, &e), e);
    assert_int_equal(history->n, 2);
    lethe_free(history);
    session_sound(&s);
    session_free(&s);
}

/* ------------------------------------------------------------------ waiting */

struct waiter {
    struct session s;
    const char *id;
    char state[32];
    int64_t answered_ms;
    enum lethe_code code;
    unsigned events;
};

static bool count_event(void *context, const struct lethe_event *event)
{
    struct waiter *w = context;
    w->events += event->state[0] != '\0';
    return true;
}

static void *wait_in_thread(void *argument)
{
    struct waiter *w = argument;
    struct lethe_request *r;
    w->code = lethe_wait(w->s.l, w->id, SESSION_WAIT_MS, count_event, w, &r, NULL);
    w->answered_ms = session_now_ms();
    if (w->code == LETHE_OK)
        (void)snprintf(w->state, sizeof w->state, "%.30s", r->state);
    lethe_free(r);
    return NULL;
}

void test_serving_a_waiting_client_is_answered(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_request *r;
    char id[LETHE_ID_TEXT];
    pthread_t thread;
    session_new(&s, SESSION_GATE);
    session_import(&s);
    submit_endless(&s, "Stripe", id);
    struct waiter w = {.s = {.d = s.d}, .id = id};
    session_connect(&w.s);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
    session_until(&s, id, "running");
    session_sleep_ms(300);
    const int64_t cancelled_ms = session_now_ms();
    cancel(&s, id);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.code, LETHE_OK);
    assert_string_equal(w.state, "cancelled");
    assert_true(w.answered_ms - cancelled_ms < 2000);
    assert_true(w.events >= 1);
    /* one that is final already is answered at once, one that is not in its time */
    session_ok(lethe_wait(s.l, id, 5000, NULL, NULL, &r, &e), e);
    lethe_free(r);
    submit_endless(&s, "Cross", id);
    const int64_t start_ms = session_now_ms();
    assert_int_equal(lethe_wait(s.l, id, 300, NULL, NULL, &r, &e), LETHE_DEADLINE_EXCEEDED);
    assert_true(session_now_ms() - start_ms < 5000);
    lethe_close(w.s.l);
    session_free(&s);
}

/* Its answer died with the daemon; the library notices and asks the next one. */
void test_serving_a_waiting_client_survives_a_restart(void **state)
{
    (void)state;
    struct session s;
    char id[LETHE_ID_TEXT];
    pthread_t thread;
    session_new(&s, SESSION_GATE);
    session_import(&s);
    submit_endless(&s, "Stripe", id);
    struct waiter w = {.s = {.d = s.d}, .id = id};
    session_connect(&w.s);
    session_until(&s, id, "running");
    lethe_free(session_predict(&w.s, NULL, 0, 0)); /* it has been answered once */
    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
    session_sleep_ms(200);
    test_daemon_kill(&s.d);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_until(&s, id, "running");
    const int64_t cancelled_ms = session_now_ms();
    cancel(&s, id);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.code, LETHE_OK);
    assert_string_equal(w.state, "cancelled");
    assert_true(w.answered_ms - cancelled_ms < 5000);
    lethe_close(w.s.l);
    session_free(&s);
}

/* ------------------------------------------------------------------ repeating */

/* The first frame of the answer, in memory that the caller frees. */
static size_t answer_bytes(struct client *c, uint8_t **ret_bytes)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, c->socket, 0) < 0)
        fail_msg("no answer: %s", zmq_strerror(zmq_errno()));
    const size_t size = zmq_msg_size(&frame);
    *ret_bytes = malloc(size + 1);
    assert_non_null(*ret_bytes);
    memcpy(*ret_bytes, zmq_msg_data(&frame), size);
    (void)zmq_msg_close(&frame);
    return size;
}

static size_t repeat(const struct session *s, const struct wire_envelope *m, uint8_t **ret_bytes)
{
    struct fixture x = {0};
    struct client c;
    (void)snprintf(x.endpoint, sizeof x.endpoint, "%.290s", s->d.endpoint);
    x.context = zmq_ctx_new();
    assert_non_null(x.context);
    client_open(&x, &c);
    send_envelope(&c, m, 0);
    const size_t size = answer_bytes(&c, ret_bytes);
    client_close(&c);
    assert_int_equal(zmq_ctx_term(x.context), 0);
    return size;
}

void test_serving_a_repeat_gets_the_stored_answer(void **state)
{
    (void)state;
    static const char *const classes[] = {"Circle"};
    struct session s;
    struct lethe_error e = {0};
    struct lethe_requests *requests;
    uint8_t *first, *second, *third;
    char id[LETHE_ID_TEXT];
    struct wire_envelope m = envelope(WIRE_KIND_FORGET, 41);
    m.body.forget = (struct wire_forget){.classes = classes, .n_classes = 1, .ticket = "T-41"};
    session_new(&s, SESSION_GATE SESSION_FAST);
    session_import(&s);
    (void)repeat(&s, &m, &first);
    free(first);
    request_id_format(&m.request_id, id);
    lethe_free(session_wait(&s, id, "committed"));
    const size_t n_first = repeat(&s, &m, &first);
    const size_t n_second = repeat(&s, &m, &second);
    test_daemon_stop(&s.d);
    test_daemon_start(&s.d);
    session_connect(&s);
    const size_t n_third = repeat(&s, &m, &third);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    assert_int_equal(n_first, n_third);
    assert_memory_equal(first, third, n_first);
    free(first);
    free(second);
    free(third);
    session_ok(lethe_requests(s.l, NULL, 0, 0, &requests, &e), e);
    assert_int_equal(requests->n, 1);
    lethe_free(requests);
    session_sound(&s);
    session_free(&s);
}

/* ------------------------------------------------------------------ ending */

/* Exit status of a daemon that was told to end, or -1 after limit_ms. */
static int exit_within(struct session *s, int64_t limit_ms)
{
    const int64_t end = session_now_ms() + limit_ms;
    int status;
    while (session_now_ms() < end) {
        if (waitpid(s->d.pid, &status, WNOHANG) == s->d.pid) {
            s->d.pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        session_sleep_ms(5);
    }
    return -1;
}

static void assert_draining(struct session *s)
{
    const int64_t end = session_now_ms() + 5000;
    int draining = 0;
    while (!draining && session_now_ms() < end) {
        struct lethe_error e = {0};
        struct lethe_status *status;
        session_ok(lethe_status(s->l, &status, &e), e);
        draining = strcmp(status->state, "draining") == 0;
        lethe_free(status);
    }
    assert_true(draining);
}

/* A daemon with a long drain, one request under way and one waiting. */
static void start_busy(struct session *s, char running[LETHE_ID_TEXT], char queued[LETHE_ID_TEXT])
{
    const struct lethe_forget_args args = {.classes = &tiny_labels[2], .n_classes = 1};
    session_new(s, "drain_s = 300\n" SESSION_GATE SESSION_FAST);
    session_import(s);
    submit_endless(s, "Circle", running);
    session_forget(s, &args, queued);
    session_until(s, running, "running");
}

void test_serving_a_second_term_forces_the_end_and_the_queue_goes_on(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_request *r;
    char running[LETHE_ID_TEXT], queued[LETHE_ID_TEXT];
    start_busy(&s, running, queued);
    assert_int_equal(kill(s.d.pid, SIGTERM), 0);
    assert_draining(&s);
    const struct lethe_forget_args late = {.classes = &tiny_labels[3], .n_classes = 1};
    session_refused(lethe_forget(s.l, &late, &r, &e), LETHE_UNAVAILABLE, "", e);
    assert_true(e.retry_after_s > 0);
    assert_int_equal(kill(s.d.pid, SIGTERM), 0);
    assert_int_equal(exit_within(&s, 10000), 0);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_until(&s, running, "running");
    cancel(&s, running);
    lethe_free(session_wait(&s, queued, "committed"));
    session_sound(&s);
    session_free(&s);
}

void test_serving_term_lets_the_running_request_finish(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_request *r;
    char running[LETHE_ID_TEXT], queued[LETHE_ID_TEXT];
    const struct lethe_forget_args args = {.classes = tiny_labels, .n_classes = 1};
    const struct lethe_forget_args other = {.classes = &tiny_labels[2], .n_classes = 1};
    session_new(&s, "drain_s = 300\n" SESSION_GATE SESSION_SLOW);
    session_import(&s);
    session_forget(&s, &args, running);
    session_forget(&s, &other, queued);
    session_until(&s, running, "running");
    assert_int_equal(kill(s.d.pid, SIGTERM), 0);
    assert_int_equal(exit_within(&s, 60000), 0);
    test_daemon_start(&s.d);
    session_connect(&s);
    session_ok(lethe_request(s.l, running, &r, &e), e);
    assert_string_equal(r->state, "committed");
    assert_int_equal(r->attempts, 1);
    lethe_free(r);
    lethe_free(session_wait(&s, queued, "committed"));
    session_sound(&s);
    session_free(&s);
}
