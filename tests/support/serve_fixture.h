/*
 * A server with a table of simple handlers, and clients that speak raw frames, for the tests of
 * tests/integration/serve.
 */
#ifndef LETHE_TESTS_SUPPORT_SERVE_FIXTURE_H
#define LETHE_TESTS_SUPPORT_SERVE_FIXTURE_H

#include "tests/support/test.h"

#include "daemon/base/clock.h"
#include "daemon/serve/server.h"
#include "proto/limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zmq.h>

#define WAIT_MS 10000

/* ------------------------------------------------------------ a daemon with simple handlers */

struct core {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct call *held[LIMIT_CALLS];
    size_t n_held;
};

static inline void answer_status(struct core *core, struct call *call)
{
    (void)core;
    const struct wire_reply reply = {.answer = WIRE_ANSWER_STATUS,
                                     .body.status = {.state = "serving", .model = "fake"}};
    call_finish(call, &reply, NULL);
}

static inline void answer_frames(struct core *core, struct call *call)
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

static inline void answer_too_much(struct core *core, struct call *call)
{
    (void)core;
    struct wire_label_info *labels =
        arena_alloc_zero(call_arena(call), LIMIT_LABELS + 1, sizeof *labels);
    const struct wire_reply reply = {
        .answer = WIRE_ANSWER_MODEL,
        .body.model = {.labels = labels, .n_labels = LIMIT_LABELS + 1}};
    call_finish(call, &reply, NULL);
}

static inline void answer_error(struct core *core, struct call *call)
{
    (void)core;
    struct fault f = {0};
    (void)fault_set(&f, STATUS_NOT_FOUND, "x.c", 1, "version", "no version \xff here");
    call_fail(call, STATUS_NOT_FOUND, &f);
}

static inline void hold(struct core *core, struct call *call)
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

static inline void start(struct fixture *x)
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

static inline void open_server(struct fixture *x)
{
    struct fault f = {0};
    if (server_open(&x->options, &x->server, &f) != STATUS_OK ||
        server_start(x->server, &x->core, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    server_set_phase(x->server, PHASE_SERVING);
}

static inline void finish(struct fixture *x)
{
    server_close(x->server);
    assert_int_equal(zmq_ctx_term(x->context), 0);
    (void)pthread_cond_destroy(&x->core.changed);
    (void)pthread_mutex_destroy(&x->core.lock);
    test_support_rmdir(x->folder);
}

/* Waits until n calls are held. */
static inline void wait_held(struct fixture *x, size_t n)
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

/* How long receive waits, for an answer that may not come. */
static inline void client_wait(struct client *c, int wait_ms)
{
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms), 0);
}

static inline void client_open(struct fixture *x, struct client *c)
{
    memset(c, 0, sizeof *c);
    c->socket = zmq_socket(x->context, ZMQ_DEALER);
    assert_non_null(c->socket);
    const int linger = 0, unlimited = 0;
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    client_wait(c, WAIT_MS);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited), 0);
    assert_int_equal(zmq_connect(c->socket, x->endpoint), 0);
    c->memory = malloc(CLIENT_ARENA);
    assert_non_null(c->memory);
    arena_init(&c->arena, c->memory, CLIENT_ARENA);
}

static inline void client_close(struct client *c)
{
    (void)zmq_close(c->socket);
    arena_fini(&c->arena);
    free(c->memory);
}

static inline void send_bytes(struct client *c, const void *bytes, size_t n, int more)
{
    assert_int_equal(zmq_send(c->socket, bytes, n, more ? ZMQ_SNDMORE : 0), (int)n);
}

static inline void send_filler(struct client *c, size_t n, int more)
{
    char *bytes = calloc(1, n + 1);
    assert_non_null(bytes);
    send_bytes(c, bytes, n, more);
    free(bytes);
}

/* Sends the envelope alone; raw frames follow if `more`. */
static inline void send_envelope(struct client *c, const struct wire_envelope *m, int more)
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

static inline struct wire_envelope envelope(enum wire_kind kind, uint8_t id)
{
    struct wire_envelope m = {.kind = kind, .deadline_ms = 60000};
    m.request_id.b[15] = id;
    return m;
}

static inline size_t receive_raw(struct client *c)
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
static inline const struct wire_reply *receive(struct client *c)
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

static inline void
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
static inline void check_serving(struct fixture *x)
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

/* Nothing but a daemon and one client of it. */
static inline void start_with_client(struct fixture *x, struct client *c)
{
    start(x);
    open_server(x);
    client_open(x, c);
}

/* The client leaves; others must not notice. */
static inline void finish_with_client(struct fixture *x, struct client *c)
{
    client_close(c);
    check_serving(x);
    finish(x);
}

/* A socket that receives the events of one topic; zmq_close. */
static inline void *subscribe(struct fixture *x, const char *topic, int wait_ms)
{
    const int linger = 0;
    void *sub = zmq_socket(x->context, ZMQ_SUB);
    assert_non_null(sub);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms), 0);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(zmq_connect(sub, x->events), 0);
    return sub;
}

/* Answers every held call, the newest first; a thread's function. */
static inline void *finish_held(void *argument)
{
    struct core *core = argument;
    for (size_t i = core->n_held; i > 0; i--)
        answer_status(core, core->held[i - 1]);
    core->n_held = 0;
    return NULL;
}

#endif
