#include "daemon/serve/server.h"

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/serve/accept_guard.h"
#include "daemon/serve/call_internal.h"
#include "daemon/serve/endpoint.h"
#include "daemon/serve/events.h"
#include "daemon/serve/slots.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include <zmq.h>

#define TURN_MESSAGES    64   /* received before finished answers get their turn */
#define TURN_MS          1000 /* the loop turns at least this often */
#define SUBSCRIPTIONS    256  /* read in one turn */
#define HANDSHAKE_MS     5000
#define HEARTBEAT_MS     10000
#define HEARTBEAT_DEAD   30000 /* silence after which a peer is given up */
#define CONNECTION_QUEUE 128
#define RETRY_STARTING_S 2u
#define RETRY_DRAINING_S 10u
#define RETRY_BUSY_S     1u

struct server {
    struct server_options options;
    struct core *core;

    struct endpoint request_file;
    struct endpoint event_file;
    void *context;
    void *router;
    void *publisher;

    struct outbox *outbox;
    struct events *events;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_uint phase;

    struct slots slots; /* serve thread only, like the sockets from server_start on */

    /* Written by the serve thread (events_dropped by any), read by any. */
    atomic_uint_fast64_t ticks;
    atomic_uint_fast64_t calls;
    atomic_uint_fast64_t answers;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t dropped;
    atomic_uint_fast64_t sent_events;
    atomic_uint_fast64_t events_dropped;
    atomic_uint_fast64_t open_calls;
    atomic_uint_fast64_t open_bytes;
};

/* ------------------------------------------------------------ receiving */

/* One message as it came: routing id, then at most 1 + LIMIT_FRAMES frames are kept. */
struct inbound {
    zmq_msg_t frames[1 + LIMIT_FRAMES];
    struct wire_bytes view[1 + LIMIT_FRAMES];
    size_t n_kept;
    size_t n_came;
    size_t bytes_came;
};

static void inbound_free(void *owner)
{
    struct inbound *in = owner;
    for (size_t i = 0; i < in->n_kept; i++)
        (void)zmq_msg_close(&in->frames[i]);
    sysio_free(in);
}

static int has_more(void *socket)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

/* Reads and forgets what is left of the current message. */
static void skip_rest(void *socket)
{
    while (has_more(socket)) {
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        const int got = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT);
        (void)zmq_msg_close(&frame);
        if (got < 0)
            return;
    }
}

/* Keeps a frame, or only counts it: nothing beyond the budgets is held. */
static void inbound_take(struct inbound *in, zmq_msg_t *frame)
{
    const size_t size = zmq_msg_size(frame);
    in->n_came++;
    in->bytes_came += size;
    if (in->n_came > 1 + LIMIT_FRAMES || in->bytes_came > LIMIT_REQUEST_BYTES) {
        (void)zmq_msg_close(frame);
        return;
    }
    const size_t i = in->n_kept++;
    (void)zmq_msg_init(&in->frames[i]);
    (void)zmq_msg_move(&in->frames[i], frame);
    (void)zmq_msg_close(frame);
    in->view[i] = (struct wire_bytes){zmq_msg_data(&in->frames[i]), size};
}

static void receive_frames(void *socket, struct inbound *in)
{
    while (has_more(socket)) {
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&frame);
            return;
        }
        inbound_take(in, &frame);
    }
}

/* False: nothing to receive. */
static bool receive_route(void *socket, struct route *route)
{
    const int got = zmq_recv(socket, route->bytes, sizeof route->bytes, ZMQ_DONTWAIT);
    if (got < 0)
        return false;
    route->size = (size_t)got < sizeof route->bytes ? (size_t)got : sizeof route->bytes;
    return true;
}

/* ------------------------------------------------------------ admission */

static enum status check_budgets(const struct inbound *in, struct fault *f)
{
    if (in->n_came == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "envelope", "an empty message");
    if (in->n_came > 1 + LIMIT_FRAMES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "frames", "%zu raw frames, at most %u", in->n_came - 1,
             LIMIT_FRAMES);
    if (in->bytes_came > LIMIT_REQUEST_BYTES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "frame_bytes", "a message of %zu bytes, at most %u",
             in->bytes_came, LIMIT_REQUEST_BYTES);
    for (size_t i = 1; i < in->n_kept; i++)
        if (in->view[i].size > LIMIT_FRAME_BYTES)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "frame_bytes",
                 "raw frame %zu has %zu bytes, at most %u", i - 1, in->view[i].size,
                 LIMIT_FRAME_BYTES);
    return STATUS_OK;
}

static size_t raw_bytes(const struct call *c)
{
    size_t n = 0;
    for (size_t i = 1; i < c->raw.n_frames; i++)
        n += c->raw.frames[i].size;
    return n;
}

static void publish_slots(struct server *s)
{
    atomic_store(&s->open_calls, s->slots.n);
    atomic_store(&s->open_bytes, s->slots.bytes);
}

/* Everything between arrival and handler, in the order of proto/limits.h. */
static enum status admit(struct server *s,
                         struct call *c,
                         const struct inbound *in,
                         const struct dispatch_row **ret_row,
                         struct fault *f)
{
    TRY(check_budgets(in, f));
    TRY(call_decode(c, clock_mono_us(), f));
    const size_t bytes = raw_bytes(c);
    const struct dispatch_request request = {
        .message = c->message,
        .roles = c->roles,
        .phase = server_get_phase(s),
        .raw_frames = c->raw.n_frames - 1,
        .raw_bytes = bytes,
    };
    const struct dispatch_row *row = dispatch_find(s->options.table, c->kind);
    TRY(dispatch_admit(row, &request, f));
    TRY(slots_take(&s->slots, &c->route, bytes, &c->slot, f));
    publish_slots(s);
    *ret_row = row;
    return STATUS_OK;
}

static uint32_t retry_after(const struct server *s, enum status code)
{
    if (code == STATUS_UNAVAILABLE)
        return server_get_phase(s) == PHASE_DRAINING ? RETRY_DRAINING_S : RETRY_STARTING_S;
    return 0;
}

static void handle_message(struct server *s, const struct route *route, struct inbound *in)
{
    const struct call_raw raw = {in->view, in->n_kept, in, inbound_free};
    struct call *c;
    struct fault f = {0};
    if (call_new(s->outbox, route, s->options.roles, &raw, &c, &f) != STATUS_OK) {
        inbound_free(in);
        atomic_fetch_add(&s->dropped, 1);
        return;
    }
    const struct dispatch_row *row = NULL;
    const enum status code = admit(s, c, in, &row, &f);
    if (code != STATUS_OK) {
        atomic_fetch_add(&s->refused, 1);
        const bool busy = code == STATUS_RESOURCE_EXHAUSTED && f.field[0] == '\0';
        call_fail_retry(c, code, &f, busy ? RETRY_BUSY_S : retry_after(s, code));
        return;
    }
    atomic_fetch_add(&s->calls, 1);
    row->handler(s->core, c);
}

/* False: no message was waiting. */
static bool receive_one(struct server *s)
{
    struct route route;
    if (!receive_route(s->router, &route))
        return false;
    struct inbound *in = sysio_alloc(1, sizeof *in);
    if (!in) {
        skip_rest(s->router);
        atomic_fetch_add(&s->dropped, 1);
        return true;
    }
    receive_frames(s->router, in);
    handle_message(s, &route, in);
    return true;
}

/* ------------------------------------------------------------ sending */

static void free_part(void *bytes, void *hint)
{
    (void)hint;
    sysio_free(bytes);
}

/* Gives part i to the transport, which frees it even if sending fails. */
static bool send_part(struct server *s, struct call *c, size_t i)
{
    const int flags = ZMQ_DONTWAIT | (i + 1 < c->n_parts ? ZMQ_SNDMORE : 0);
    zmq_msg_t frame;
    if (zmq_msg_init_data(&frame, c->part[i], c->part_size[i], free_part, NULL) != 0)
        return false;
    c->part[i] = NULL;
    if (zmq_msg_send(&frame, s->router, flags) >= 0)
        return true;
    (void)zmq_msg_close(&frame);
    return false;
}

static bool send_parts(struct server *s, struct call *c)
{
    for (size_t i = 0; i < c->n_parts; i++) {
        if (send_part(s, c, i))
            continue;
        /* The message has begun and must end, or the next answer would become part of it. */
        (void)zmq_send(s->router, "", 0, ZMQ_DONTWAIT);
        return false;
    }
    return true;
}

/* A peer that is gone, or does not read its answers, loses this one. */
static void send_answer(struct server *s, struct call *c)
{
    const int flags = ZMQ_DONTWAIT | ZMQ_SNDMORE;
    const bool sent = c->n_parts > 0 &&
                      zmq_send(s->router, c->route.bytes, c->route.size, flags) >= 0 &&
                      send_parts(s, c);
    atomic_fetch_add(sent ? &s->answers : &s->dropped, 1);
}

static void send_answers(struct server *s)
{
    for (struct call *c = outbox_take(s->outbox), *next; c; c = next) {
        next = c->next;
        slots_give(&s->slots, c->slot);
        c->slot = NO_SLOT;
        publish_slots(s);
        send_answer(s, c);
        call_free(c);
    }
}

static void send_events(struct server *s)
{
    for (size_t i = 0; i < LIMIT_EVENT_QUEUE; i++) {
        struct event *e = events_take(s->events);
        if (!e)
            return;
        if (zmq_send(s->publisher, e->topic, strlen(e->topic), ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
            zmq_send(s->publisher, e->bytes, e->size, ZMQ_DONTWAIT) >= 0)
            atomic_fetch_add(&s->sent_events, 1);
        else
            atomic_fetch_add(&s->events_dropped, 1);
        event_free(e);
    }
}

/* Subscriptions arrive as messages; the socket has taken note of them, we only clear them away. */
static void drain_subscriptions(struct server *s)
{
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        const int got = zmq_msg_recv(&frame, s->publisher, ZMQ_DONTWAIT);
        (void)zmq_msg_close(&frame);
        if (got < 0)
            return;
    }
}

/* ------------------------------------------------------------ the loop */

static void wait_for_work(struct server *s)
{
    zmq_pollitem_t items[] = {
        {.socket = s->router, .events = ZMQ_POLLIN},
        {.socket = s->publisher, .events = ZMQ_POLLIN},
        {.fd = outbox_fd(s->outbox), .events = ZMQ_POLLIN},
    };
    (void)zmq_poll(items, sizeof items / sizeof items[0], TURN_MS);
}

static void *serve(void *argument)
{
    struct server *s = argument;
    while (!atomic_load(&s->stopping)) {
        wait_for_work(s);
        for (int i = 0; i < TURN_MESSAGES && receive_one(s); i++)
            ;
        send_answers(s);
        send_events(s);
        drain_subscriptions(s);
        atomic_fetch_add(&s->ticks, 1);
    }
    send_answers(s);
    send_events(s);
    return NULL;
}

/* ------------------------------------------------------------ sockets */

struct socket_option {
    int name;
    int64_t value;
    bool wide; /* int64_t instead of int */
};

static enum status
set_options(void *socket, const struct socket_option *options, size_t n, struct fault *f)
{
    for (size_t i = 0; i < n; i++) {
        const int narrow = (int)options[i].value;
        const int result =
            options[i].wide
                ? zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(int64_t))
                : zmq_setsockopt(socket, options[i].name, &narrow, sizeof narrow);
        if (result != 0)
            FAIL(f, STATUS_INTERNAL, NULL, "socket option %d: %s", options[i].name,
                 zmq_strerror(zmq_errno()));
    }
    return STATUS_OK;
}

/* What both sockets have in common; nothing is left at the library's defaults. */
static enum status set_common(struct server *s, void *socket, int64_t max_bytes, struct fault *f)
{
    const struct socket_option options[] = {
        {ZMQ_LINGER, s->options.drain_ms, false},
        {ZMQ_MAXMSGSIZE, max_bytes, true},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS, false},
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS, false},
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_DEAD, false},
        {ZMQ_HEARTBEAT_TTL, HEARTBEAT_DEAD, false},
        {ZMQ_BACKLOG, CONNECTION_QUEUE, false},
        {ZMQ_SNDTIMEO, 0, false},
        {ZMQ_RCVTIMEO, 0, false},
    };
    return set_options(socket, options, sizeof options / sizeof options[0], f);
}

static enum status open_router(struct server *s, struct fault *f)
{
    s->router = zmq_socket(s->context, ZMQ_ROUTER);
    if (!s->router)
        FAIL(f, STATUS_INTERNAL, NULL, "zmq_socket: %s", zmq_strerror(zmq_errno()));
    const struct socket_option options[] = {
        {ZMQ_ROUTER_MANDATORY, 1, false},
        {ZMQ_ROUTER_HANDOVER, 0, false},
        {ZMQ_SNDHWM, LIMIT_PEER_QUEUE, false},
        {ZMQ_RCVHWM, LIMIT_PEER_QUEUE, false},
    };
    TRY(set_common(s, s->router, LIMIT_TRANSPORT_BYTES, f));
    return set_options(s->router, options, sizeof options / sizeof options[0], f);
}

static enum status open_publisher(struct server *s, struct fault *f)
{
    s->publisher = zmq_socket(s->context, ZMQ_XPUB);
    if (!s->publisher)
        FAIL(f, STATUS_INTERNAL, NULL, "zmq_socket: %s", zmq_strerror(zmq_errno()));
    const struct socket_option options[] = {
        {ZMQ_XPUB_VERBOSE, 0, false},
        {ZMQ_XPUB_NODROP, 0, false},
        {ZMQ_SNDHWM, LIMIT_SUBSCRIBER_QUEUE, false},
        {ZMQ_RCVHWM, LIMIT_SUBSCRIBER_QUEUE, false},
    };
    TRY(set_common(s, s->publisher, LIMIT_TOPIC_BYTES, f));
    return set_options(s->publisher, options, sizeof options / sizeof options[0], f);
}

/* The file is made for its owner alone and opened to the group when it is complete. */
static enum status bind_file(
    void *socket, const char *address, const char *field, struct endpoint *file, struct fault *f)
{
    TRY(endpoint_claim(address, field, file, f));
    const mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
    const int result = zmq_bind(socket, address);
    const int errnum = zmq_errno();
    (void)umask(before);
    if (result != 0)
        FAIL(f, status_from_errno(errnum), field, "%s: %s", file->path, zmq_strerror(errnum));
    return endpoint_open_to_group(file, f);
}

static enum status open_sockets(struct server *s, struct fault *f)
{
    s->context = zmq_ctx_new();
    if (!s->context)
        FAIL(f, STATUS_NO_MEMORY, NULL, "zmq_ctx_new: %s", zmq_strerror(zmq_errno()));
    (void)zmq_ctx_set(s->context, ZMQ_IO_THREADS, 1);
    (void)zmq_ctx_set(s->context, ZMQ_MAX_SOCKETS, LIMIT_SOCKETS);
    TRY(open_router(s, f));
    TRY(open_publisher(s, f));
    TRY(bind_file(s->router, s->options.endpoint, "endpoint", &s->request_file, f));
    return bind_file(s->publisher, s->options.events_endpoint, "events_endpoint", &s->event_file,
                     f);
}

static enum status build(struct server *s, struct fault *f)
{
    if (strcmp(s->options.endpoint, s->options.events_endpoint) == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "events_endpoint", "the same as endpoint");
    TRY(accept_guard_check(f));
    TRY(outbox_new(&s->outbox, f));
    TRY(events_new(LIMIT_EVENT_QUEUE, &s->events, f));
    return open_sockets(s, f);
}

/* ------------------------------------------------------------ public */

enum status
server_open(const struct server_options *options, struct server **ret_server, struct fault *f)
{
    struct server *s = sysio_alloc(1, sizeof *s);
    if (!s)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the server");
    s->options = *options;
    if (s->options.roles == 0)
        s->options.roles = ROLE_ANY;
    s->slots.bytes_max = options->held_bytes_max ? options->held_bytes_max : LIMIT_CALLS_BYTES;
    s->request_file.lock_fd = -1;
    s->event_file.lock_fd = -1;
    atomic_store(&s->phase, (unsigned)PHASE_STARTING);
    const enum status code = build(s, f);
    if (code == STATUS_OK)
        *ret_server = s;
    else
        server_close(s);
    return code;
}

enum status server_start(struct server *s, struct core *core, struct fault *f)
{
    INVARIANT(!s->started);
    s->core = core;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int errnum = pthread_create(&s->thread, NULL, serve, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0)
        FAIL(f, status_from_errno(errnum), NULL, "serve thread: %s", strerror(errnum));
    s->started = true;
    return STATUS_OK;
}

void server_stop(struct server *s)
{
    if (!s->started)
        return;
    atomic_store(&s->stopping, true);
    outbox_ring(s->outbox);
    INVARIANT(pthread_join(s->thread, NULL) == 0);
    s->started = false;
}

void server_forget_answers(struct server *s)
{
    const int none = 0;
    if (!s)
        return;
    INVARIANT(!s->started);
    (void)zmq_setsockopt(s->router, ZMQ_LINGER, &none, sizeof none);
    (void)zmq_setsockopt(s->publisher, ZMQ_LINGER, &none, sizeof none);
}

void server_close(struct server *s)
{
    if (!s)
        return;
    server_stop(s);
    if (s->router)
        (void)zmq_close(s->router);
    if (s->publisher)
        (void)zmq_close(s->publisher);
    while (s->context && zmq_ctx_term(s->context) != 0 && zmq_errno() == EINTR)
        ;
    endpoint_release(&s->request_file);
    endpoint_release(&s->event_file);
    if (s->outbox)
        outbox_close(s->outbox);
    outbox_unref(s->outbox);
    events_free(s->events);
    sysio_free(s);
}

void server_set_phase(struct server *s, enum server_phase phase)
{
    atomic_store(&s->phase, (unsigned)phase);
}

enum server_phase server_get_phase(const struct server *s)
{
    return (enum server_phase)atomic_load(&s->phase);
}

void server_publish(struct server *s, const struct wire_event *event)
{
    size_t lost;
    events_push(s->events, event, &lost);
    atomic_fetch_add(&s->events_dropped, lost);
    outbox_ring(s->outbox);
}

uint64_t server_ticks(const struct server *s)
{
    return atomic_load(&s->ticks);
}

void server_stats(const struct server *s, struct server_stats *ret_stats)
{
    *ret_stats = (struct server_stats){
        .calls = atomic_load(&s->calls),
        .answers = atomic_load(&s->answers),
        .refused = atomic_load(&s->refused),
        .dropped = atomic_load(&s->dropped),
        .events = atomic_load(&s->sent_events),
        .events_dropped = atomic_load(&s->events_dropped),
        .open_calls = atomic_load(&s->open_calls),
        .open_bytes = atomic_load(&s->open_bytes),
    };
}
