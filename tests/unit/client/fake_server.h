/*
 * A daemon's socket without a daemon: a thread with a ROUTER and an XPUB socket in a temporary
 * folder, which decodes each message with proto/wire and lets the test's handler make the answer.
 * Included by the tests that need it; all functions are static.
 */
#ifndef LETHE_TESTS_FAKE_SERVER_H
#define LETHE_TESTS_FAKE_SERVER_H

#include "tests/support/test.h"

#include "client/lethe.h"
#include "proto/limits.h"
#include "proto/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define FAKE_ARENA_BYTES (64u << 20)
#define FAKE_RAW_MAX     (1 + LIMIT_FRAMES)

struct fake_call {
    int n; /* number of this message, from 1 */
    const struct wire_envelope *message;
    const struct wire_bytes *raw;
    size_t n_raw;
    struct arena *arena; /* for what the answer points at */
    /* The answer. */
    struct wire_reply reply; /* kind and request id are set beforehand */
    struct wire_bytes answer_raw;
    bool has_raw;
    bool lie_about_frames;
    const char *garbage; /* sent instead of the reply */
};

/*
 * Orders what the test and the server's thread do to shared data, in the eyes of the thread
 * sanitizer: libzmq, through which they really take turns, is not instrumented.
 */
static atomic_int the_fence;

static void fake_sync(void)
{
    (void)atomic_fetch_add(&the_fence, 1);
}

/* False: no answer. */
typedef bool fake_handler(void *context, struct fake_call *call);

struct fake_server {
    char folder[256];
    char endpoint[300];
    void *zmq;
    void *router, *publisher;
    pthread_t thread;
    fake_handler *handler;
    void *context;
    atomic_int calls;
    atomic_bool stop;
    /* Ids and payloads of the first messages. */
    struct request_id ids[64];
    uint32_t deadlines[64];
};

/* A call of the library and what it must return. */
#define assert_call(call, code)                                                                    \
    do {                                                                                           \
        fake_sync();                                                                               \
        const int got_ = (int)(call);                                                              \
        fake_sync();                                                                               \
        assert_int_equal(got_, code);                                                              \
    } while (0)

static bool fake_send(struct fake_server *s, const void *bytes, size_t size, bool more)
{
    return zmq_send(s->router, bytes, size, more ? ZMQ_SNDMORE : 0) >= 0;
}

static void fake_reply(struct fake_server *s, struct wire_bytes peer, struct fake_call *call)
{
    if (call->garbage) {
        fake_send(s, peer.at, peer.size, true);
        fake_send(s, call->garbage, strlen(call->garbage), false);
        return;
    }
    const uint64_t size = call->answer_raw.size + (call->lie_about_frames ? 1 : 0);
    call->reply.frame_bytes = &size;
    call->reply.n_frames = call->has_raw ? 1 : 0;
    const uint8_t *bytes;
    size_t n;
    struct fault f = {0};
    if (wire_reply_encode(&call->reply, call->arena, &bytes, &n, &f) != STATUS_OK) {
        (void)fprintf(stderr, "fake server: %s: %s\n", f.field, f.text);
        return;
    }
    fake_sync();
    fake_send(s, peer.at, peer.size, true);
    fake_send(s, bytes, n, call->has_raw);
    if (call->has_raw)
        fake_send(s, call->answer_raw.at, call->answer_raw.size, false);
}

static void fake_turn(struct fake_server *s, struct arena *a)
{
    struct wire_bytes part[2 + LIMIT_FRAMES];
    size_t n = 0;
    int more = 1;
    while (more) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        zmq_msg_recv(&m, s->router, 0);
        uint8_t *to = arena_alloc(a, zmq_msg_size(&m) + 1, 1);
        memcpy(to, zmq_msg_data(&m), zmq_msg_size(&m));
        part[n++] = (struct wire_bytes){to, zmq_msg_size(&m)};
        more = zmq_msg_more(&m);
        zmq_msg_close(&m);
    }
    struct fake_call call = {.raw = part + 2, .n_raw = n - 2, .arena = a};
    struct fault f = {0};
    if (wire_envelope_decode(part[1].at, part[1].size, a, &call.message, &f) != STATUS_OK) {
        (void)fprintf(stderr, "fake server: %s: %s\n", f.field, f.text);
        return;
    }
    const int i = atomic_load(&s->calls);
    if (i < 64) {
        s->ids[i] = call.message->request_id;
        s->deadlines[i] = call.message->deadline_ms;
    }
    call.n = i + 1;
    call.reply.kind = call.message->kind;
    call.reply.request_id = call.message->request_id;
    fake_sync();
    const bool answer = s->handler(s->context, &call);
    atomic_store(&s->calls, i + 1);
    fake_sync();
    if (answer)
        fake_reply(s, part[0], &call);
}

static void *fake_main(void *context)
{
    struct fake_server *s = context;
    void *memory = malloc(FAKE_ARENA_BYTES);
    while (memory && !atomic_load(&s->stop)) {
        zmq_pollitem_t item = {.socket = s->router, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 20) <= 0)
            continue;
        struct arena a;
        arena_init(&a, memory, FAKE_ARENA_BYTES);
        fake_turn(s, &a);
        arena_fini(&a);
    }
    free(memory);
    return NULL;
}

/* Publishes an event from the server's thread (call it in a handler). */
__attribute__((unused)) static void
fake_publish(struct fake_server *s, struct arena *a, const struct wire_event *event)
{
    char topic[WIRE_TOPIC_SIZE];
    const uint8_t *bytes;
    size_t n;
    if (wire_event_encode(event, a, &bytes, &n, NULL) != STATUS_OK)
        return;
    wire_topic_format(&event->request_id, topic);
    zmq_send(s->publisher, topic, strlen(topic), ZMQ_SNDMORE);
    zmq_send(s->publisher, bytes, n, 0);
}

/* `secret_key` (Z85, or NULL): the router asks for CURVE. */
static void
fake_start_curve(struct fake_server *s, fake_handler *handler, void *context, const char *secret)
{
    char events[320];
    memset(s, 0, sizeof *s);
    test_support_mkdir(s->folder);
    s->handler = handler;
    s->context = context;
    s->zmq = zmq_ctx_new();
    s->router = zmq_socket(s->zmq, ZMQ_ROUTER);
    s->publisher = zmq_socket(s->zmq, ZMQ_PUB);
    const int linger = 0, one = 1;
    zmq_setsockopt(s->router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s->publisher, ZMQ_LINGER, &linger, sizeof linger);
    if (secret) {
        zmq_setsockopt(s->router, ZMQ_CURVE_SERVER, &one, sizeof one);
        zmq_setsockopt(s->router, ZMQ_CURVE_SECRETKEY, secret, 41);
    }
    (void)snprintf(s->endpoint, sizeof s->endpoint, "ipc://%s/s", s->folder);
    (void)snprintf(events, sizeof events, "%s.events", s->endpoint);
    assert_int_equal(zmq_bind(s->router, s->endpoint), 0);
    assert_int_equal(zmq_bind(s->publisher, events), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, fake_main, s), 0);
}

static void fake_start(struct fake_server *s, fake_handler *handler, void *context)
{
    fake_start_curve(s, handler, context, NULL);
}

static void fake_stop(struct fake_server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    zmq_close(s->router);
    zmq_close(s->publisher);
    zmq_ctx_term(s->zmq);
    test_support_rmdir(s->folder);
}

/* A connection to it; `o` may be NULL. */
__attribute__((unused)) static struct lethe *open_client(const struct fake_server *s,
                                                         const struct lethe_options *o)
{
    struct lethe *l;
    struct lethe_error e;
    assert_call(lethe_open(s->endpoint, o, &l, &e), LETHE_OK);
    return l;
}

#endif
