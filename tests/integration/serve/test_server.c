/*
 * The server from a client's side: answers, raw frames, answers that come later and from other
 * threads, budgets of unanswered calls, and events.
 */
#include "tests/support/serve_fixture.h"

/* ------------------------------------------------------------ calls */

void test_server_answers_a_call(void **state)
{
    (void)state;
    struct fixture x;
    start(&x);
    open_server(&x);
    check_serving(&x);
    /* The answer may be here before it is counted. */
    struct server_stats stats;
    const int64_t until = clock_mono_us() + WAIT_MS * 1000;
    do
        server_stats(x.server, &stats);
    while (stats.answers == 0 && clock_mono_us() < until);
    assert_int_equal(stats.calls, 1);
    assert_int_equal(stats.answers, 1);
    assert_int_equal(stats.open_calls, 0);
    const uint64_t ticks = server_ticks(x.server);
    while (server_ticks(x.server) == ticks && clock_mono_us() < until)
        ;
    assert_true(server_ticks(x.server) > ticks);
    finish(&x);
}

void test_server_passes_raw_frames_both_ways(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    uint64_t sizes[LIMIT_FRAMES];
    for (size_t i = 0; i < LIMIT_FRAMES; i++)
        sizes[i] = i;
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 1);
    m.frame_bytes = sizes;
    m.n_frames = LIMIT_FRAMES;
    send_envelope(&c, &m, 1);
    for (size_t i = 0; i < LIMIT_FRAMES; i++)
        send_filler(&c, i, i + 1 < LIMIT_FRAMES);
    const struct wire_reply *reply = receive(&c);
    assert_null(reply->error);
    assert_int_equal(reply->body.predictions.number, LIMIT_FRAMES);
    assert_int_equal(c.n_raw, LIMIT_FRAMES);
    for (size_t i = 0; i < LIMIT_FRAMES; i++)
        assert_int_equal(c.raw_size[i], LIMIT_FRAMES - 1 - i);
    client_close(&c);
    finish(&x);
}

void test_server_error_answers_carry_code_text_and_field(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_SHOW, 9);
    send_envelope(&c, &m, 0);
    const struct wire_reply *reply = receive(&c);
    expect_error(reply, STATUS_NOT_FOUND, "version", 9);
    assert_string_equal(reply->error->text, "no version ? here");
    assert_int_equal(reply->kind, WIRE_KIND_SHOW);
    client_close(&c);
    finish(&x);
}

void test_server_answer_beyond_the_limits_becomes_an_error(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_MODEL, 2);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "model.labels", 2);
    finish_with_client(&x, &c);
}

/* ------------------------------------------------------------ late answers */

void test_server_calls_are_finished_later_by_another_thread(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    pthread_t thread;
    start_with_client(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_WAIT, 1);
    m.deadline_ms = 1234;
    send_envelope(&c, &m, 0);
    m.request_id.b[15] = 2;
    m.deadline_ms = 0;
    send_envelope(&c, &m, 0);
    wait_held(&x, 2);
    check_serving(&x);
    const int64_t first = call_deadline_us(x.core.held[0]);
    assert_true(call_expired(x.core.held[0], first));
    assert_false(call_expired(x.core.held[0], first - 1));
    assert_true(first - clock_mono_us() <= 1234000);
    assert_true(call_deadline_us(x.core.held[1]) - clock_mono_us() >
                (int64_t)(LIMIT_DEADLINE_DEFAULT_MS - 9000) * 1000);
    assert_string_equal(call_principal(x.core.held[0]), "local");
    assert_int_equal(call_roles(x.core.held[0]), ROLE_ANY);
    assert_int_equal(pthread_create(&thread, NULL, finish_held, &x.core), 0);
    assert_int_equal(receive(&c)->request_id.b[15], 2);
    assert_int_equal(receive(&c)->request_id.b[15], 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    client_close(&c);
    finish(&x);
}

void test_server_limits_unanswered_calls_of_one_client(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    for (size_t i = 0; i <= LIMIT_CALLS_PER_PEER; i++) {
        const struct wire_envelope m = envelope(WIRE_KIND_WAIT, (uint8_t)(1 + i));
        send_envelope(&c, &m, 0);
    }
    const struct wire_reply *reply = receive(&c);
    expect_error(reply, STATUS_RESOURCE_EXHAUSTED, "", LIMIT_CALLS_PER_PEER + 1);
    assert_true(reply->error->retry_after_s > 0);
    check_serving(&x);
    wait_held(&x, LIMIT_CALLS_PER_PEER);
    finish_held(&x.core);
    for (size_t i = 0; i < LIMIT_CALLS_PER_PEER; i++)
        assert_null(receive(&c)->error);
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 7);
    send_envelope(&c, &m, 0);
    assert_null(receive(&c)->error);
    client_close(&c);
    finish(&x);
}

void test_server_limits_bytes_of_unanswered_calls(void **state)
{
    (void)state;
    enum { FIT = 4 };
    struct fixture x;
    struct client c;
    start(&x);
    x.options.held_bytes_max = FIT * LIMIT_FRAME_BYTES;
    open_server(&x);
    client_open(&x, &c);
    const uint64_t sizes[] = {LIMIT_FRAME_BYTES};
    for (size_t i = 0; i <= FIT; i++) {
        struct wire_envelope m = envelope(WIRE_KIND_WAIT, (uint8_t)i);
        m.frame_bytes = sizes;
        m.n_frames = 1;
        send_envelope(&c, &m, 1);
        send_filler(&c, LIMIT_FRAME_BYTES, 0);
    }
    const struct wire_reply *reply = receive(&c);
    expect_error(reply, STATUS_RESOURCE_EXHAUSTED, "", FIT);
    assert_true(reply->error->retry_after_s > 0);
    struct server_stats stats;
    server_stats(x.server, &stats);
    assert_int_equal(stats.open_calls, FIT);
    assert_int_equal(stats.open_bytes, FIT * LIMIT_FRAME_BYTES);
    finish_held(&x.core);
    for (size_t i = 0; i < FIT; i++)
        assert_null(receive(&c)->error);
    server_stats(x.server, &stats);
    assert_int_equal(stats.open_bytes, 0);
    client_close(&c);
    finish(&x);
}

void test_server_drops_the_answer_of_a_client_that_left(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_WAIT, 1);
    send_envelope(&c, &m, 0);
    wait_held(&x, 1);
    client_close(&c);
    check_serving(&x);
    finish_held(&x.core);
    struct server_stats stats;
    const int64_t until = clock_mono_us() + WAIT_MS * 1000;
    do
        server_stats(x.server, &stats);
    while (stats.open_calls > 0 && clock_mono_us() < until);
    assert_int_equal(stats.open_calls, 0);
    check_serving(&x);
    finish(&x);
}

void test_server_calls_may_be_finished_after_it_is_closed(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_WAIT, 1);
    send_envelope(&c, &m, 0);
    send_envelope(&c, &m, 0);
    wait_held(&x, 2);
    server_stop(x.server);
    answer_status(&x.core, x.core.held[0]); /* finished, but the thread is gone */
    server_close(x.server);
    x.server = NULL;
    answer_status(&x.core, x.core.held[1]);
    client_close(&c);
    finish(&x);
}

void test_server_sends_what_was_finished_before_it_stops(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start_with_client(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_WAIT, 1);
    send_envelope(&c, &m, 0);
    wait_held(&x, 1);
    server_set_phase(x.server, PHASE_DRAINING);
    answer_status(&x.core, x.core.held[0]);
    server_close(x.server);
    x.server = NULL;
    assert_null(receive(&c)->error);
    client_close(&c);
    finish(&x);
}

/* Several threads finish calls of several clients while more arrive. */
struct finisher {
    struct core *core;
    size_t todo;
};

static void *finish_as_they_come(void *argument)
{
    struct finisher *w = argument;
    for (size_t i = 0; i < w->todo; i++) {
        (void)pthread_mutex_lock(&w->core->lock);
        while (w->core->n_held == 0)
            (void)pthread_cond_wait(&w->core->changed, &w->core->lock);
        struct call *c = w->core->held[--w->core->n_held];
        (void)pthread_mutex_unlock(&w->core->lock);
        answer_frames(w->core, c);
    }
    return NULL;
}

void test_server_many_clients_and_threads(void **state)
{
    (void)state;
    enum { CLIENTS = 8, ROUNDS = 40, THREADS = 4 };
    struct fixture x;
    struct client clients[CLIENTS];
    pthread_t threads[THREADS];
    start(&x);
    open_server(&x);
    struct finisher w = {&x.core, (size_t)CLIENTS * ROUNDS / THREADS};
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, finish_as_they_come, &w), 0);
    for (size_t k = 0; k < CLIENTS; k++)
        client_open(&x, &clients[k]);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t k = 0; k < CLIENTS; k++) {
            const uint64_t sizes[] = {round + k};
            struct wire_envelope m = envelope(WIRE_KIND_WAIT, (uint8_t)(round + 1));
            m.frame_bytes = sizes;
            m.n_frames = 1;
            send_envelope(&clients[k], &m, 1);
            send_filler(&clients[k], round + k, 0);
        }
    for (size_t k = 0; k < CLIENTS; k++) {
        unsigned seen[ROUNDS + 1] = {0};
        for (size_t round = 0; round < ROUNDS; round++) {
            const struct wire_reply *reply = receive(&clients[k]);
            assert_null(reply->error);
            const uint8_t id = reply->request_id.b[15];
            assert_true(id >= 1 && id <= ROUNDS && seen[id]++ == 0);
            assert_int_equal(reply->frame_bytes[0], id - 1u + k);
        }
        client_close(&clients[k]);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    finish(&x);
}

/* ------------------------------------------------------------ events */

void test_server_publishes_events_by_topic(void **state)
{
    (void)state;
    struct fixture x;
    start(&x);
    open_server(&x);
    struct wire_event mine = {.state = "running", .at = 17}, other = {.state = "queued"};
    mine.request_id.b[0] = 1;
    other.request_id.b[0] = 2;
    char topic[WIRE_TOPIC_SIZE];
    wire_topic_format(&mine.request_id, topic);
    void *sub = subscribe(&x, topic, 200);
    char text[100];
    int got = -1;
    /* The subscription needs a moment to arrive. */
    for (int i = 0; i < 50 && got < 0; i++) {
        server_publish(x.server, &other);
        server_publish(x.server, &mine);
        got = zmq_recv(sub, text, sizeof text, 0);
    }
    assert_int_equal(got, (int)strlen(topic));
    assert_memory_equal(text, topic, strlen(topic));
    uint8_t bytes[500];
    got = zmq_recv(sub, bytes, sizeof bytes, 0);
    assert_true(got > 0);
    static unsigned char memory[16384];
    struct arena arena;
    const struct wire_event *event;
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(wire_event_decode(bytes, (size_t)got, &arena, &event, NULL), STATUS_OK);
    assert_string_equal(event->state, "running");
    assert_int_equal(event->at, 17);
    arena_fini(&arena);
    (void)zmq_close(sub);
    check_serving(&x);
    finish(&x);
}
