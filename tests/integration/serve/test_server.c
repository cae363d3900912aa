/*
 * The server with a table of its own and raw sockets on the other side: what is malformed, too
 * large, not allowed or untimely gets its own answer, and the next call is served as if nothing had
 * happened.
 */
#include "tests/support/test.h"

#include "daemon/base/clock.h"
#include "daemon/serve/server.h"
#include "proto/limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <zmq.h>

#define WAIT_MS 10000

/* ------------------------------------------------------------ a daemon with simple handlers */

struct core {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct call *held[LIMIT_CALLS];
    size_t n_held;
};

static void answer_status(struct core *core, struct call *call)
{
    (void)core;
    const struct wire_reply reply = {.answer = WIRE_ANSWER_STATUS,
                                     .body.status = {.state = "serving", .model = "fake"}};
    call_finish(call, &reply, NULL);
}

static void answer_frames(struct core *core, struct call *call)
{
    (void)core;
    struct wire_bytes frames[LIMIT_FRAMES];
    const size_t n = call_frames_count(call);
    for (size_t i = 0; i < n; i++)
        frames[n - 1 - i].at = call_frame(call, i, &frames[n - 1 - i].size);
    const struct call_frames raw = {n, frames};
    const struct wire_reply reply = {.answer = WIRE_ANSWER_PREDICTIONS,
                                     .body.predictions = {.number = n}};
    call_finish(call, &reply, &raw);
}

static void answer_too_much(struct core *core, struct call *call)
{
    (void)core;
    struct wire_label_info *labels =
        arena_alloc_zero(call_arena(call), LIMIT_LABELS + 1, sizeof *labels);
    const struct wire_reply reply = {
        .answer = WIRE_ANSWER_MODEL,
        .body.model = {.labels = labels, .n_labels = LIMIT_LABELS + 1}};
    call_finish(call, &reply, NULL);
}

static void answer_error(struct core *core, struct call *call)
{
    (void)core;
    struct fault f = {0};
    (void)fault_set(&f, STATUS_NOT_FOUND, "x.c", 1, "version", "no version \xff here");
    call_fail(call, STATUS_NOT_FOUND, &f);
}

static void hold(struct core *core, struct call *call)
{
    (void)pthread_mutex_lock(&core->lock);
    core->held[core->n_held++] = call;
    (void)pthread_cond_signal(&core->changed);
    (void)pthread_mutex_unlock(&core->lock);
}

#define ALL_PHASES (PHASE_STARTING | PHASE_SERVING | PHASE_DRAINING)

static const struct dispatch_row rows[] = {
    {WIRE_KIND_STATUS, answer_status, ROLE_ANY, ALL_PHASES, 0, 0, false},
    {WIRE_KIND_FORGET, answer_status, ROLE_PRIVACY, PHASE_SERVING, 0, 0, true},
    {WIRE_KIND_MODEL, answer_too_much, ROLE_ANY, PHASE_SERVING, 0, 0, false},
    {WIRE_KIND_SHOW, answer_error, ROLE_ANY, PHASE_SERVING, 0, 0, false},
    {WIRE_KIND_PREDICT, answer_frames, ROLE_ANY, PHASE_SERVING, LIMIT_FRAMES, LIMIT_MESSAGE_BYTES,
     false},
    {WIRE_KIND_DATA_CHUNK, answer_frames, ROLE_ANY, PHASE_SERVING, 1, 1000, false},
    {WIRE_KIND_WAIT, hold, ROLE_ANY, PHASE_SERVING, 1, LIMIT_FRAME_BYTES, false},
};

struct fixture {
    char folder[256];
    char endpoint[300];
    char events[320];
    struct server_options options;
    struct server *server;
    struct core core;
    void *context;
};

static void start(struct fixture *x)
{
    memset(x, 0, sizeof *x);
    test_support_mkdir(x->folder);
    (void)snprintf(x->endpoint, sizeof x->endpoint, "ipc://%s/s", x->folder);
    (void)snprintf(x->events, sizeof x->events, "%s.events", x->endpoint);
    x->options = (struct server_options){.endpoint = x->endpoint,
                                         .events_endpoint = x->events,
                                         .table = {rows, sizeof rows / sizeof rows[0]},
                                         .drain_ms = 1000};
    (void)pthread_mutex_init(&x->core.lock, NULL);
    (void)pthread_cond_init(&x->core.changed, NULL);
    x->context = zmq_ctx_new();
    assert_non_null(x->context);
}

static void open_server(struct fixture *x)
{
    struct fault f = {0};
    if (server_open(&x->options, &x->server, &f) != STATUS_OK ||
        server_start(x->server, &x->core, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    server_set_phase(x->server, PHASE_SERVING);
}

static void finish(struct fixture *x)
{
    server_close(x->server);
    assert_int_equal(zmq_ctx_term(x->context), 0);
    (void)pthread_cond_destroy(&x->core.changed);
    (void)pthread_mutex_destroy(&x->core.lock);
    test_support_rmdir(x->folder);
}

/* Waits until n calls are held. */
static void wait_held(struct fixture *x, size_t n)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    (void)pthread_mutex_lock(&x->core.lock);
    while (x->core.n_held < n)
        assert_int_equal(pthread_cond_timedwait(&x->core.changed, &x->core.lock, &until), 0);
    (void)pthread_mutex_unlock(&x->core.lock);
}

/* ------------------------------------------------------------ a client of raw frames */

struct client {
    void *socket;
    void *memory;
    struct arena arena;
    unsigned char raw[LIMIT_FRAMES][32]; /* start of each raw frame of the last reply */
    size_t raw_size[LIMIT_FRAMES];
    size_t n_raw;
};

#define CLIENT_ARENA (40u << 20)

static void client_open(struct fixture *x, struct client *c)
{
    memset(c, 0, sizeof *c);
    c->socket = zmq_socket(x->context, ZMQ_DEALER);
    assert_non_null(c->socket);
    const int linger = 0, wait = WAIT_MS, unlimited = 0;
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited), 0);
    assert_int_equal(zmq_connect(c->socket, x->endpoint), 0);
    c->memory = malloc(CLIENT_ARENA);
    assert_non_null(c->memory);
    arena_init(&c->arena, c->memory, CLIENT_ARENA);
}

static void client_close(struct client *c)
{
    (void)zmq_close(c->socket);
    arena_fini(&c->arena);
    free(c->memory);
}

static void send_bytes(struct client *c, const void *bytes, size_t n, int more)
{
    assert_int_equal(zmq_send(c->socket, bytes, n, more ? ZMQ_SNDMORE : 0), (int)n);
}

static void send_filler(struct client *c, size_t n, int more)
{
    char *bytes = calloc(1, n + 1);
    assert_non_null(bytes);
    send_bytes(c, bytes, n, more);
    free(bytes);
}

/* Sends the envelope alone; raw frames follow if `more`. */
static void send_envelope(struct client *c, const struct wire_envelope *m, int more)
{
    const struct arena_mark mark = arena_mark(&c->arena);
    struct fault f = {0};
    const uint8_t *bytes;
    size_t size;
    if (wire_envelope_encode(m, &c->arena, &bytes, &size, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    send_bytes(c, bytes, size, more);
    arena_rewind(&c->arena, mark);
}

static struct wire_envelope envelope(enum wire_kind kind, uint8_t id)
{
    struct wire_envelope m = {.kind = kind, .deadline_ms = 60000};
    m.request_id.b[15] = id;
    return m;
}

static size_t receive_raw(struct client *c)
{
    size_t n = 0;
    int more = 1;
    size_t more_size = sizeof more;
    while (zmq_getsockopt(c->socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more) {
        assert_true(n < LIMIT_FRAMES);
        const int got = zmq_recv(c->socket, c->raw[n], sizeof c->raw[n], 0);
        assert_true(got >= 0);
        c->raw_size[n++] = (size_t)got;
    }
    return n;
}

/* The next reply, decoded; valid until the client is closed. */
static const struct wire_reply *receive(struct client *c)
{
    zmq_msg_t frame;
    struct fault f = {0};
    const struct wire_reply *reply;
    (void)zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, c->socket, 0) < 0)
        fail_msg("no answer: %s", zmq_strerror(zmq_errno()));
    if (wire_reply_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &c->arena, &reply, &f) !=
        STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    (void)zmq_msg_close(&frame);
    c->n_raw = receive_raw(c);
    assert_int_equal(c->n_raw, reply->n_frames);
    return reply;
}

static void
expect_error(const struct wire_reply *reply, enum status code, const char *field, uint8_t id)
{
    assert_non_null(reply->error);
    if (reply->error->status != (int)code)
        fail_msg("%s (%s) instead of %s", reply->error->code, reply->error->text,
                 status_name(code));
    assert_string_equal(reply->error->code, status_wire_name(code));
    assert_string_equal(reply->error->field, field);
    assert_true(reply->error->text[0] != '\0');
    assert_int_equal(reply->request_id.b[15], id);
}

/* The daemon answers somebody else as always. */
static void check_serving(struct fixture *x)
{
    struct client c;
    client_open(x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 200);
    send_envelope(&c, &m, 0);
    const struct wire_reply *reply = receive(&c);
    assert_null(reply->error);
    assert_int_equal(reply->answer, WIRE_ANSWER_STATUS);
    assert_int_equal(reply->kind, WIRE_KIND_STATUS);
    assert_int_equal(reply->request_id.b[15], 200);
    assert_string_equal(reply->body.status.model, "fake");
    client_close(&c);
}

/* ------------------------------------------------------------ calls */

void test_server_answers_a_call(void **state)
{
    (void)state;
    struct fixture x;
    start(&x);
    open_server(&x);
    check_serving(&x);
    struct server_stats stats;
    server_stats(x.server, &stats);
    assert_int_equal(stats.calls, 1);
    assert_int_equal(stats.answers, 1);
    assert_int_equal(stats.open_calls, 0);
    const uint64_t ticks = server_ticks(x.server);
    assert_true(ticks > 0);
    finish(&x);
}

void test_server_passes_raw_frames_both_ways(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_MODEL, 2);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "model.labels", 2);
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

/* ------------------------------------------------------------ malformed */

void test_server_refuses_empty_and_garbage(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    send_bytes(&c, "", 0, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "kind", 0);
    send_bytes(&c, "GET / HTTP/1.1\r\n\r\n", 18, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "", 0);
    send_bytes(&c, "", 0, 1); /* as a REQ socket would: an empty frame first */
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 3);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "kind", 0);
    unsigned char noise[400];
    unsigned seed = 7;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525u + 1013904223u;
            noise[i] = (unsigned char)(seed >> 24);
        }
        send_bytes(&c, noise, (size_t)(round * 2), 0);
        assert_non_null(receive(&c)->error);
    }
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_refuses_65_frames(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 4);
    for (size_t n = LIMIT_FRAMES + 1; n <= 5000; n += 4935) {
        send_envelope(&c, &m, 1);
        for (size_t i = 0; i < n; i++)
            send_bytes(&c, "x", 1, i + 1 < n);
        expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frames", 4);
    }
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_refuses_frames_and_messages_that_are_too_large(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 5);
    send_envelope(&c, &m, 1);
    send_filler(&c, LIMIT_FRAME_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 5);

    m = envelope(WIRE_KIND_PREDICT, 6);
    send_envelope(&c, &m, 1);
    for (size_t i = 0; i < 17; i++)
        send_filler(&c, LIMIT_FRAME_BYTES, i < 16);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 6);

    send_filler(&c, LIMIT_ENVELOPE_BYTES + 1, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "envelope", 0);
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_survives_a_frame_beyond_the_transport_limit(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    const int wait = 300;
    assert_int_equal(zmq_setsockopt(c.socket, ZMQ_RCVTIMEO, &wait, sizeof wait), 0);
    send_filler(&c, LIMIT_TRANSPORT_BYTES + 1, 0);
    char byte;
    assert_int_equal(zmq_recv(c.socket, &byte, 1, 0), -1);
    check_serving(&x);
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_refuses_counts_that_lie(void **state)
{
    (void)state;
    static const struct {
        size_t stated;
        size_t sent;
        uint64_t stated_size;
        const char *field;
    } cases[] = {{2, 1, 3, "frames"}, {1, 2, 3, "frames"},      {0, 1, 3, "frames"},
                 {1, 0, 3, "frames"}, {1, 1, 4, "frame_bytes"}, {1, 1, 0, "frame_bytes"}};
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t sizes[2] = {cases[i].stated_size, cases[i].stated_size};
        struct wire_envelope m = envelope(WIRE_KIND_PREDICT, (uint8_t)(10 + i));
        m.frame_bytes = sizes;
        m.n_frames = cases[i].stated;
        send_envelope(&c, &m, cases[i].sent > 0);
        for (size_t k = 0; k < cases[i].sent; k++)
            send_bytes(&c, "abc", 3, k + 1 < cases[i].sent);
        expect_error(receive(&c), STATUS_INVALID_ARGUMENT, cases[i].field, (uint8_t)(10 + i));
    }
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_refuses_unknown_kinds(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    send_bytes(&c, "\x08\x01\x10\x63", 4, 0); /* kind 99 */
    expect_error(receive(&c), STATUS_UNIMPLEMENTED, "kind", 0);
    const struct wire_envelope m = envelope(WIRE_KIND_FSCK, 3); /* known, but not in this table */
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_UNIMPLEMENTED, "kind", 3);
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

/* ------------------------------------------------------------ the columns of the table */

void test_server_checks_roles_ids_and_sizes(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    struct wire_envelope m = envelope(WIRE_KIND_FORGET, 0);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "request_id", 0);
    m.request_id.b[15] = 1;
    send_envelope(&c, &m, 0);
    assert_null(receive(&c)->error);

    const uint64_t sizes[] = {600, 600};
    m = envelope(WIRE_KIND_DATA_CHUNK, 2);
    m.frame_bytes = sizes;
    m.n_frames = 2;
    send_envelope(&c, &m, 1);
    send_filler(&c, 600, 1);
    send_filler(&c, 600, 0);
    expect_error(receive(&c), STATUS_INVALID_ARGUMENT, "frames", 2);
    const uint64_t large[] = {1001};
    m.frame_bytes = large;
    m.n_frames = 1;
    send_envelope(&c, &m, 1);
    send_filler(&c, 1001, 0);
    expect_error(receive(&c), STATUS_RESOURCE_EXHAUSTED, "frame_bytes", 2);
    client_close(&c);
    finish(&x);
}

void test_server_refuses_what_the_role_may_not(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    x.options.roles = ROLE_PREDICT;
    open_server(&x);
    client_open(&x, &c);
    const struct wire_envelope m = envelope(WIRE_KIND_FORGET, 1);
    send_envelope(&c, &m, 0);
    expect_error(receive(&c), STATUS_PERMISSION_DENIED, "kind", 1);
    client_close(&c);
    check_serving(&x);
    finish(&x);
}

void test_server_says_starting_and_draining(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
    const enum server_phase phases[] = {PHASE_STARTING, PHASE_DRAINING};
    for (size_t i = 0; i < 2; i++) {
        server_set_phase(x.server, phases[i]);
        const struct wire_envelope m = envelope(WIRE_KIND_SHOW, 1);
        send_envelope(&c, &m, 0);
        const struct wire_reply *reply = receive(&c);
        expect_error(reply, STATUS_UNAVAILABLE, "", 1);
        assert_string_equal(reply->error->text, server_phase_name(phases[i]));
        assert_true(reply->error->retry_after_s > 0);
        check_serving(&x); /* status is answered in every phase */
    }
    client_close(&c);
    finish(&x);
}

/* ------------------------------------------------------------ late answers */

static void *finish_held(void *argument)
{
    struct core *core = argument;
    for (size_t i = core->n_held; i > 0; i--)
        answer_status(core, core->held[i - 1]);
    core->n_held = 0;
    return NULL;
}

void test_server_calls_are_finished_later_by_another_thread(void **state)
{
    (void)state;
    struct fixture x;
    struct client c;
    pthread_t thread;
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    start(&x);
    open_server(&x);
    client_open(&x, &c);
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
    void *sub = zmq_socket(x.context, ZMQ_SUB);
    const int linger = 0, wait = 200;
    (void)zmq_setsockopt(sub, ZMQ_LINGER, &linger, sizeof linger);
    (void)zmq_setsockopt(sub, ZMQ_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(zmq_connect(sub, x.events), 0);
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

/* ------------------------------------------------------------ endpoints */

static void expect_open(struct fixture *x, enum status code, const char *field)
{
    struct fault f = {0};
    struct server *second = NULL;
    const enum status got = server_open(&x->options, &second, &f);
    if (got != code)
        fail_msg("%s: %s: %s", status_name(got), f.field, f.text);
    assert_null(second);
    assert_string_equal(f.field, field);
}

void test_server_second_daemon_on_the_socket_is_refused(void **state)
{
    (void)state;
    struct fixture x;
    start(&x);
    open_server(&x);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint");
    char elsewhere[320];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s2", x.endpoint);
    x.options.endpoint = elsewhere;
    expect_open(&x, STATUS_ALREADY_EXISTS, "events_endpoint");
    check_serving(&x);
    finish(&x);
}

static void leave_socket(const char *path, int listening, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    *ret_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(*ret_fd >= 0);
    assert_int_equal(bind(*ret_fd, (const struct sockaddr *)&address, sizeof address), 0);
    if (listening)
        assert_int_equal(listen(*ret_fd, 1), 0);
}

void test_server_replaces_the_socket_of_a_dead_daemon_only(void **state)
{
    (void)state;
    struct fixture x;
    int fd;
    start(&x);
    const char *path = x.endpoint + strlen("ipc://");
    leave_socket(path, 1, &fd);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint"); /* another program listens */
    assert_int_equal(access(path, F_OK), 0);
    (void)close(fd);
    open_server(&x); /* nobody does any more */
    check_serving(&x);
    server_close(x.server);
    x.server = NULL;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint"); /* not a socket */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    open_server(&x);
    check_serving(&x);
    finish(&x);
}

void test_server_socket_files_are_for_owner_and_group(void **state)
{
    (void)state;
    struct fixture x;
    struct stat info;
    start(&x);
    open_server(&x);
    const char *paths[] = {x.endpoint + 6, x.events + 6};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(paths[i], &info), 0);
        assert_int_equal(info.st_mode & 07777, 0660);
    }
    server_close(x.server);
    x.server = NULL;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(access(paths[i], F_OK), -1);
    finish(&x);
}

void test_server_refuses_endpoints_it_cannot_use(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        enum status code;
    } cases[] = {{"tcp://127.0.0.1:5555", STATUS_UNIMPLEMENTED},
                 {"inproc://x", STATUS_INVALID_ARGUMENT},
                 {"", STATUS_INVALID_ARGUMENT},
                 {"ipc://", STATUS_INVALID_ARGUMENT},
                 {"ipc://@abstract", STATUS_INVALID_ARGUMENT},
                 {"ipc://relative/path", STATUS_INVALID_ARGUMENT},
                 {"ipc://*", STATUS_INVALID_ARGUMENT},
                 {"ipc:///no/such/folder/anywhere/s", STATUS_NOT_FOUND}};
    struct fixture x;
    start(&x);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        x.options.endpoint = cases[i].endpoint;
        expect_open(&x, cases[i].code, "endpoint");
    }
    char longest[300];
    (void)snprintf(longest, sizeof longest, "ipc:///%0200d", 0);
    x.options.endpoint = longest;
    expect_open(&x, STATUS_INVALID_ARGUMENT, "endpoint");
    x.options.endpoint = x.events;
    expect_open(&x, STATUS_INVALID_ARGUMENT, "events_endpoint");
    finish(&x);
}
