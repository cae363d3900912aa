#include "daemon/serve/server.h"

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/serve/accept_guard.h"
#include "daemon/serve/call_internal.h"
#include "daemon/serve/events.h"
#include "daemon/serve/slots.h"
#include "daemon/serve/sockets.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include <zmq.h>

#define TURN_MESSAGES    64   /* received before finished answers get their turn */
#define TURN_MS          1000 /* the loop turns at least this often */
#define SUBSCRIPTIONS    256  /* read in one turn */
#define RETRY_STARTING_S 2u
#define RETRY_DRAINING_S 10u
#define RETRY_BUSY_S     1u

struct server {
    struct server_options options;
    struct core *core;

    struct sockets sockets;
    bool opened; /* sockets_open was called */
    struct auth *auth;

    struct outbox *outbox;
    struct events *events;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_uint phase;
    atomic_bool renew_events;

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
    bool named;
    char user[AUTH_USER_SIZE]; /* who sent it, if the connection was authenticated */
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

/* libzmq hands the handler's word out with every frame of the connection. */
static void note_user(struct inbound *in, zmq_msg_t *frame)
{
    const char *user = zmq_msg_gets(frame, "User-Id");
    if (!user || strlen(user) >= sizeof in->user)
        return;
    memcpy(in->user, user, strlen(user) + 1);
    in->named = true;
}

/* Keeps a frame, or only counts it: nothing beyond the budgets is held. */
static void inbound_take(struct inbound *in, zmq_msg_t *frame)
{
    const size_t size = zmq_msg_size(frame);
    if (in->n_came == 0)
        note_user(in, frame);
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

/* Whether what failed is the peer's doing; a kind that we do not know may be of a newer client. */
static bool is_malformed(enum status code)
{
    return code == STATUS_INVALID_ARGUMENT || code == STATUS_RESOURCE_EXHAUSTED;
}

static enum status
decode(struct server *s, struct call *c, const struct inbound *in, int64_t now_us, struct fault *f)
{
    enum status code = check_budgets(in, f);
    if (code == STATUS_OK)
        code = call_decode(c, now_us, f);
    if (is_malformed(code))
        auth_malformed(s->auth, &c->peer, now_us);
    return code;
}

static enum status
check_row(struct server *s, struct call *c, const struct dispatch_row *row, struct fault *f)
{
    const struct dispatch_request request = {
        .message = c->message,
        .roles = c->peer.roles,
        .phase = server_get_phase(s),
        .raw_frames = c->raw.n_frames - 1,
        .raw_bytes = raw_bytes(c),
    };
    const enum status code = dispatch_admit(row, &request, f);
    if (code == STATUS_PERMISSION_DENIED)
        auth_denied(s->auth, AUTH_DENIED_ROLE, c->peer.principal);
    TRY(code);
    c->acting = c->peer.roles & row->roles;
    return STATUS_OK;
}

/* Everything between arrival and handler, in the order of proto/limits.h. */
static enum status admit(struct server *s,
                         struct call *c,
                         const struct inbound *in,
                         const struct dispatch_row **ret_row,
                         uint32_t *ret_retry_s,
                         struct fault *f)
{
    const int64_t now = clock_mono_us();
    const char *user = in->named ? in->user : NULL;
    TRY(auth_identify(s->auth, user, now, &c->peer, ret_retry_s, f));
    TRY(decode(s, c, in, now, f));
    const struct dispatch_row *row = dispatch_find(s->options.table, c->kind);
    TRY(check_row(s, c, row, f));
    TRY(slots_take(&s->slots, &c->route, raw_bytes(c), &c->slot, f));
    publish_slots(s);
    *ret_row = row;
    return STATUS_OK;
}

static uint32_t retry_after(const struct server *s, enum status code, const struct fault *f)
{
    if (code == STATUS_UNAVAILABLE)
        return server_get_phase(s) == PHASE_DRAINING ? RETRY_DRAINING_S : RETRY_STARTING_S;
    return code == STATUS_RESOURCE_EXHAUSTED && f->field[0] == '\0' ? RETRY_BUSY_S : 0;
}

static void handle_message(struct server *s, const struct route *route, struct inbound *in)
{
    const struct call_raw raw = {in->view, in->n_kept, in, inbound_free};
    struct call *c;
    struct fault f = {0};
    if (call_new(s->outbox, route, &raw, &c, &f) != STATUS_OK) {
        inbound_free(in);
        atomic_fetch_add(&s->dropped, 1);
        return;
    }
    const struct dispatch_row *row = NULL;
    uint32_t retry_s = 0;
    const enum status code = admit(s, c, in, &row, &retry_s, &f);
    if (code != STATUS_OK) {
        atomic_fetch_add(&s->refused, 1);
        call_fail_retry(c, code, &f, retry_s ? retry_s : retry_after(s, code, &f));
        return;
    }
    atomic_fetch_add(&s->calls, 1);
    c->admitted = true;
    row->handler(s->core, c);
}

/* False: no message was waiting. */
static bool receive_one(struct server *s)
{
    struct route route;
    if (!receive_route(s->sockets.router, &route))
        return false;
    struct inbound *in = sysio_alloc(1, sizeof *in);
    if (!in) {
        skip_rest(s->sockets.router);
        atomic_fetch_add(&s->dropped, 1);
        return true;
    }
    receive_frames(s->sockets.router, in);
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
    if (zmq_msg_send(&frame, s->sockets.router, flags) >= 0)
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
        (void)zmq_send(s->sockets.router, "", 0, ZMQ_DONTWAIT);
        return false;
    }
    return true;
}

/* A peer that is gone, or does not read its answers, loses this one. */
static void send_answer(struct server *s, struct call *c)
{
    const int flags = ZMQ_DONTWAIT | ZMQ_SNDMORE;
    const bool sent = c->n_parts > 0 &&
                      zmq_send(s->sockets.router, c->route.bytes, c->route.size, flags) >= 0 &&
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
        if (c->admitted && c->code == STATUS_PERMISSION_DENIED)
            auth_denied(s->auth, AUTH_DENIED_OWNER, c->peer.principal);
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
        if (s->sockets.publisher &&
            zmq_send(s->sockets.publisher, e->topic, strlen(e->topic),
                     ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
            zmq_send(s->sockets.publisher, e->bytes, e->size, ZMQ_DONTWAIT) >= 0)
            atomic_fetch_add(&s->sent_events, 1);
        else
            atomic_fetch_add(&s->events_dropped, 1);
        event_free(e);
    }
}

/* Subscriptions arrive as messages; the socket has taken note of them, we only clear them away. */
static void drain_subscriptions(struct server *s)
{
    for (int i = 0; i < SUBSCRIPTIONS && s->sockets.publisher; i++) {
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        const int got = zmq_msg_recv(&frame, s->sockets.publisher, ZMQ_DONTWAIT);
        (void)zmq_msg_close(&frame);
        if (got < 0)
            return;
    }
}

/* ------------------------------------------------------------ the loop */

static void wait_for_work(struct server *s)
{
    zmq_pollitem_t items[] = {
        {.socket = s->sockets.router, .events = ZMQ_POLLIN},
        {.fd = outbox_fd(s->outbox), .events = ZMQ_POLLIN},
        {.socket = s->sockets.publisher, .events = ZMQ_POLLIN},
    };
    const int n = s->sockets.publisher ? 3 : 2;
    (void)zmq_poll(items, n, TURN_MS);
}

/* Tried again every turn until it works: without, there would be no events any more. */
static void renew_events(struct server *s)
{
    struct fault f = {0};
    if (!atomic_exchange(&s->renew_events, false))
        return;
    if (sockets_renew_publisher(&s->sockets, &f) == STATUS_OK)
        return;
    atomic_store(&s->renew_events, true);
    log_event(LOG_LEVEL_ERROR, "events.closed", f.text, "field", f.field, NULL);
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
        renew_events(s);
        atomic_fetch_add(&s->ticks, 1);
    }
    send_answers(s);
    send_events(s);
    return NULL;
}

/* ------------------------------------------------------------ public */

static enum status take_auth(struct server *s, struct fault *f)
{
    static const struct auth_options owner_only;
    if (s->options.auth) {
        s->auth = s->options.auth;
        return STATUS_OK;
    }
    return auth_new(&owner_only, &s->auth, f);
}

static enum status build(struct server *s, struct fault *f)
{
    const struct server_options *o = &s->options;
    TRY(take_auth(s, f));
    if (strcmp(o->endpoint, o->events_endpoint) == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "events_endpoint", "the same as endpoint");
    TRY(accept_guard_check(f));
    TRY(outbox_new(&s->outbox, f));
    TRY(events_new(LIMIT_EVENT_QUEUE, &s->events, f));
    const struct sockets_options sockets = {.endpoint = o->endpoint,
                                            .events_endpoint = o->events_endpoint,
                                            .local_endpoint = o->local_endpoint,
                                            .local_events_endpoint = o->local_events_endpoint,
                                            .secret = o->secret,
                                            .auth = s->auth,
                                            .drain_ms = o->drain_ms};
    s->opened = true;
    return sockets_open(&s->sockets, &sockets, f);
}

enum status
server_open(const struct server_options *options, struct server **ret_server, struct fault *f)
{
    struct server *s = sysio_alloc(1, sizeof *s);
    if (!s) {
        auth_free(options->auth);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the server");
    }
    s->options = *options;
    s->slots.bytes_max = options->held_bytes_max ? options->held_bytes_max : LIMIT_CALLS_BYTES;
    atomic_store(&s->phase, (unsigned)PHASE_STARTING);
    const enum status code = build(s, f);
    s->options.secret = NULL; /* the caller's, who wipes it */
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
    if (!s)
        return;
    INVARIANT(!s->started);
    sockets_forget(&s->sockets);
}

void server_close(struct server *s)
{
    if (!s)
        return;
    server_stop(s);
    if (s->opened)
        sockets_close(&s->sockets);
    if (s->outbox)
        outbox_close(s->outbox);
    outbox_unref(s->outbox);
    events_free(s->events);
    auth_free(s->auth);
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

struct auth *server_auth(struct server *s)
{
    return s->auth;
}

void server_renew_events(struct server *s)
{
    atomic_store(&s->renew_events, true);
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
    for (unsigned i = 0; i < AUTH_DENIALS; i++)
        ret_stats->denied[i] = auth_denials(s->auth, (enum auth_denial)i);
}
