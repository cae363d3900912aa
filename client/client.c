#include "client/client.h"

#include "client/client_error.h"
#include "client/client_key.h"
#include "client/convert.h"
#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define LETHE_MAGIC             0x4c657468u
#define ENDPOINT_SIZE           512
#define DEFAULT_TIMEOUT_MS      15000
#define DEFAULT_ATTEMPTS        3
#define DEFAULT_CONNECT_MS      3000
#define DEFAULT_SLOW_TIMEOUT_MS 600000
#define LINGER_MS               200
#define LOOK_MS                 50 /* a daemon that restarts is away longer than that */
#define EVENT_ARENA_BYTES       (LIMIT_DECODE_BYTES + (64u << 10))

struct lethe {
    uint32_t magic;
    void *context;
    void *dealer;
    void *events; /* NULL until the first subscription */
    struct client_watch *watch;
    uint32_t timeout_ms;
    uint32_t attempts;
    uint32_t connect_timeout_ms;
    uint32_t slow_timeout_ms;
    bool has_server_key;
    bool answered;
    char endpoint[ENDPOINT_SIZE];
    char events_endpoint[ENDPOINT_SIZE];
    char server_key[CLIENT_KEY_TEXT];
    char secret_key[CLIENT_KEY_TEXT];
    char public_key[CLIENT_KEY_TEXT];
};

static int64_t now_ms(void)
{
    return clock_mono_us() / 1000;
}

/* ------------------------------------------------------------------ opening */

struct socket_option {
    int name;
    int value;
};

/* Every default of ZeroMQ that could bite is replaced; see operations.md, section 2. */
static const struct socket_option SOCKET_OPTIONS[] = {
    {ZMQ_LINGER, LINGER_MS},        {ZMQ_IMMEDIATE, 1},
    {ZMQ_SNDHWM, LIMIT_PEER_QUEUE}, {ZMQ_RCVHWM, LIMIT_SUBSCRIBER_QUEUE},
    {ZMQ_RECONNECT_IVL, 100},       {ZMQ_RECONNECT_IVL_MAX, 32000},
    {ZMQ_HANDSHAKE_IVL, 5000},      {ZMQ_CONNECT_TIMEOUT, 5000},
    {ZMQ_HEARTBEAT_IVL, 5000},      {ZMQ_HEARTBEAT_TIMEOUT, 20000},
    {ZMQ_HEARTBEAT_TTL, 20000},     {ZMQ_TCP_KEEPALIVE, 1},
};

static bool socket_set_curve(void *socket, const struct lethe *l)
{
    if (!l->has_server_key)
        return true;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, l->server_key, CLIENT_KEY_TEXT) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, l->public_key, CLIENT_KEY_TEXT) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, l->secret_key, CLIENT_KEY_TEXT) == 0;
}

/* A socket with every option set, connected; NULL with errno. */
static void *socket_open(const struct lethe *l, int type, const char *endpoint)
{
    void *s = zmq_socket(l->context, type);
    if (!s)
        return NULL;
    const int64_t largest =
        LIMIT_REPLY_BYTES > LIMIT_FRAME_BYTES ? LIMIT_REPLY_BYTES : LIMIT_FRAME_BYTES;
    bool good = zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0;
    for (size_t i = 0; i < sizeof SOCKET_OPTIONS / sizeof SOCKET_OPTIONS[0]; i++) {
        const struct socket_option *o = &SOCKET_OPTIONS[i];
        good = good && zmq_setsockopt(s, o->name, &o->value, sizeof o->value) == 0;
    }
    if (good && socket_set_curve(s, l) && zmq_connect(s, endpoint) == 0)
        return s;
    const int saved = errno;
    (void)zmq_close(s);
    errno = saved;
    return NULL;
}

static enum lethe_code
read_keys(struct lethe *l, const struct lethe_options *o, struct lethe_error *e)
{
    const bool tcp = strncmp(l->endpoint, "tcp://", 6) == 0;
    if (!o->key_file != !o->server_key_file || (tcp && !o->key_file))
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER,
                                o->key_file ? "server_key" : "key",
                                "%s needs both this client's key and the daemon's public key",
                                tcp ? "a tcp:// endpoint" : "an encrypted connection");
    if (!o->key_file)
        return LETHE_OK;
    enum lethe_code code = client_key_read(o->key_file, true, "key", l->secret_key, e);
    if (code == LETHE_OK)
        code = client_key_read(o->server_key_file, false, "server_key", l->server_key, e);
    if (code != LETHE_OK)
        return code;
    if (zmq_curve_public(l->public_key, l->secret_key) != 0)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "key",
                                "%s does not hold a CURVE secret key", o->key_file);
    l->has_server_key = true;
    return LETHE_OK;
}

static enum lethe_code
read_endpoint(struct lethe *l, const char *endpoint, const char *events, struct lethe_error *e)
{
    if (strncmp(endpoint, "ipc://", 6) != 0 && strncmp(endpoint, "tcp://", 6) != 0)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "endpoint",
                                "\"%.100s\" is no endpoint; it begins with ipc:// or tcp://",
                                endpoint);
    const int n = snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint);
    int n_events = 0;
    if (events)
        n_events = snprintf(l->events_endpoint, sizeof l->events_endpoint, "%s", events);
    else if (!lethe_events_endpoint(endpoint, l->events_endpoint, sizeof l->events_endpoint))
        l->events_endpoint[0] = '\0';
    if (n >= (int)sizeof l->endpoint || n_events >= (int)sizeof l->events_endpoint)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "endpoint",
                                "the endpoint is longer than %d bytes", ENDPOINT_SIZE - 1);
    return LETHE_OK;
}

static uint32_t or_default(uint32_t given, uint32_t standard)
{
    return given > 0 ? given : standard;
}

static enum lethe_code open_sockets(struct lethe *l, struct lethe_error *e)
{
    l->context = zmq_ctx_new();
    if (!l->context || zmq_ctx_set(l->context, ZMQ_IO_THREADS, 1) != 0 ||
        zmq_ctx_set(l->context, ZMQ_MAX_SOCKETS, 4) != 0)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL,
                                "cannot start the transport: %s", zmq_strerror(errno));
    l->dealer = socket_open(l, ZMQ_DEALER, l->endpoint);
    if (!l->dealer)
        return client_error_set(e,
                                errno == EMFILE ? LETHE_RESOURCE_EXHAUSTED : LETHE_INVALID_ARGUMENT,
                                LETHE_FROM_CALLER, "endpoint", "cannot connect to %s: %s",
                                l->endpoint, zmq_strerror(errno));
    return LETHE_OK;
}

enum lethe_code lethe_open(const char *endpoint,
                           const struct lethe_options *options,
                           struct lethe **ret_lethe,
                           struct lethe_error *e)
{
    static const struct lethe_options NONE;
    const struct lethe_options *o = options ? options : &NONE;
    *ret_lethe = NULL;
    client_error_clear(e);
    struct lethe *l = calloc(1, sizeof *l);
    if (!l)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL,
                                "out of memory");
    l->magic = LETHE_MAGIC;
    l->timeout_ms = or_default(o->timeout_ms, DEFAULT_TIMEOUT_MS);
    l->attempts = or_default(o->attempts, DEFAULT_ATTEMPTS);
    l->connect_timeout_ms = or_default(o->connect_timeout_ms, DEFAULT_CONNECT_MS);
    l->slow_timeout_ms = or_default(o->slow_timeout_ms, DEFAULT_SLOW_TIMEOUT_MS);
    enum lethe_code code =
        read_endpoint(l, endpoint ? endpoint : LETHE_DEFAULT_ENDPOINT, o->events_endpoint, e);
    if (code == LETHE_OK)
        code = read_keys(l, o, e);
    if (code == LETHE_OK)
        code = open_sockets(l, e);
    if (code != LETHE_OK) {
        lethe_close(l);
        return code;
    }
    *ret_lethe = l;
    return LETHE_OK;
}

void lethe_close(struct lethe *l)
{
    if (!l)
        return;
    INVARIANT(l->magic == LETHE_MAGIC);
    if (l->events)
        (void)zmq_close(l->events);
    if (l->dealer)
        (void)zmq_close(l->dealer);
    while (l->context && zmq_ctx_term(l->context) != 0 && errno == EINTR)
        continue;
    explicit_bzero(l, sizeof *l);
    free(l);
}

bool lethe_events_endpoint(const char *endpoint, char *ret_text, size_t size)
{
    if (strncmp(endpoint, "ipc://", 6) == 0) {
        const int n = snprintf(ret_text, size, "%s.events", endpoint);
        return n > 0 && (size_t)n < size;
    }
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) != 0 || !colon || colon < endpoint + 6)
        return false;
    char *end;
    const long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port < 1 || port > 65534)
        return false;
    const int n = snprintf(ret_text, size, "%.*s:%ld", (int)(colon - endpoint), endpoint, port + 1);
    return n > 0 && (size_t)n < size;
}

void client_set_watch(struct lethe *l, struct client_watch *watch)
{
    l->watch = watch;
}

uint32_t client_slow_timeout_ms(const struct lethe *l)
{
    return l->slow_timeout_ms;
}

bool client_was_answered(const struct lethe *l)
{
    return l->answered;
}

/* ------------------------------------------------------------------ sending */

static enum lethe_code unreachable(const struct lethe *l, struct lethe_error *e)
{
    return client_error_set(e, LETHE_DEADLINE_EXCEEDED, LETHE_FROM_TRANSPORT, "endpoint",
                            "no daemon can be reached at %s", l->endpoint);
}

/* One part; false if the connection went away. */
static bool send_part(const struct lethe *l, const void *bytes, size_t size, bool more)
{
    int rc;
    do {
        rc = zmq_send(l->dealer, bytes, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    } while (rc < 0 && errno == EINTR);
    return rc >= 0;
}

/* Waits for a connection until `until`, then sends all parts. */
static bool send_message(const struct lethe *l,
                         const struct client_call *c,
                         struct wire_bytes envelope,
                         int64_t until)
{
    for (;;) {
        zmq_pollitem_t item = {.socket = l->dealer, .events = ZMQ_POLLOUT};
        const int64_t left = until - now_ms();
        if (left < 0)
            return false;
        if (zmq_poll(&item, 1, (long)left) <= 0 ||
            !send_part(l, envelope.at, envelope.size, c->n_raw > 0))
            continue;
        bool good = true;
        for (size_t i = 0; i < c->n_raw && good; i++)
            good = send_part(l, c->raw[i].at, c->raw[i].size, i + 1 < c->n_raw);
        if (good)
            return true;
    }
}

/* ------------------------------------------------------------------ receiving */

/* The parts of one message, in an arena.  n = 0: none was there, or it broke a limit. */
struct parts {
    struct wire_bytes at[1 + LIMIT_FRAMES];
    size_t n;
};

/* Reads the rest of a message that will not be used. */
static void drop_rest(void *socket)
{
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_msg_t m;
        (void)zmq_msg_init(&m);
        const int rc = zmq_msg_recv(&m, socket, ZMQ_DONTWAIT);
        (void)zmq_msg_close(&m);
        if (rc < 0)
            return;
    }
}

/* Copies one part into the arena; false at the end, when nothing is there, or without memory. */
static bool receive_part(void *socket, struct arena *a, struct wire_bytes *ret_part)
{
    zmq_msg_t m;
    (void)zmq_msg_init(&m);
    int rc;
    do {
        rc = zmq_msg_recv(&m, socket, ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    bool good = rc >= 0;
    if (good) {
        const size_t size = zmq_msg_size(&m);
        uint8_t *to = arena_alloc(a, size > 0 ? size : 1, 1);
        good = to != NULL;
        if (good) {
            memcpy(to, zmq_msg_data(&m), size);
            *ret_part = (struct wire_bytes){to, size};
        }
    }
    (void)zmq_msg_close(&m);
    return good;
}

static bool has_more(void *socket)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0;
}

/* True if a whole message within the limits was taken. */
static bool receive_parts(void *socket, struct arena *a, struct parts *ret_parts)
{
    size_t total = 0;
    ret_parts->n = 0;
    do {
        struct wire_bytes part;
        if (ret_parts->n == sizeof ret_parts->at / sizeof ret_parts->at[0] ||
            !receive_part(socket, a, &part)) {
            drop_rest(socket);
            return false;
        }
        total += part.size;
        ret_parts->at[ret_parts->n++] = part;
        if (total > (size_t)LIMIT_MESSAGE_BYTES + LIMIT_REPLY_BYTES) {
            drop_rest(socket);
            return false;
        }
    } while (has_more(socket));
    return true;
}

static bool frames_match(const struct wire_reply *reply, const struct parts *p)
{
    bool good = reply->n_frames == p->n - 1;
    for (size_t i = 0; good && i < reply->n_frames; i++)
        good = reply->frame_bytes[i] == p->at[i + 1].size;
    return good;
}

/*
 * Takes one message if it is there.  1: it answers the call; 0: nothing, or another call's answer;
 * -1: damaged (explained in f).
 */
static int receive_answer(struct lethe *l, struct client_call *c, struct arena *a, struct fault *f)
{
    const struct arena_mark mark = arena_mark(a);
    struct parts p;
    if (!receive_parts(l->dealer, a, &p)) {
        arena_rewind(a, mark);
        return 0;
    }
    const struct wire_reply *reply;
    if (wire_reply_decode(p.at[0].at, p.at[0].size, a, &reply, f) != STATUS_OK)
        return -1;
    if (!request_id_equal(&reply->request_id, &c->envelope.request_id)) {
        arena_rewind(a, mark);
        return 0;
    }
    struct wire_bytes *raw = arena_alloc(a, p.n, sizeof *raw);
    if (!frames_match(reply, &p) || !raw) {
        (void)fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "frames",
                        "the answer's frames are not those that it announces");
        return -1;
    }
    memcpy(raw, p.at + 1, (p.n - 1) * sizeof *raw);
    c->reply = reply;
    c->answer_raw = raw;
    c->n_answer_raw = p.n - 1;
    return 1;
}

/* Takes one event if it is there and hands it over.  False if the function wants no more. */
static bool receive_event(struct lethe *l, lethe_event_fn *function, void *context, uint64_t *seen)
{
    void *memory = malloc(EVENT_ARENA_BYTES);
    if (!memory)
        return true;
    struct arena a;
    arena_init(&a, memory, EVENT_ARENA_BYTES);
    struct parts p;
    const struct wire_event *event;
    bool go_on = true;
    if (receive_parts(l->events, &a, &p) && p.n == 2 &&
        wire_event_decode(p.at[1].at, p.at[1].size, &a, &event, NULL) == STATUS_OK) {
        struct lethe_progress progress;
        struct lethe_event out;
        convert_event(event, &progress, &out);
        if (seen)
            ++*seen;
        go_on = function(context, &out);
    }
    arena_fini(&a);
    free(memory);
    return go_on;
}

/* ------------------------------------------------------------------ calls */

enum wait_result { WAIT_ANSWERED, WAIT_OVER, WAIT_LOST, WAIT_DAMAGED, WAIT_STOPPED };

/* The socket is writable exactly while it has a connection (ZMQ_IMMEDIATE, one call at a time). */
static bool is_connected(const struct lethe *l)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(l->dealer, ZMQ_EVENTS, &events, &size) != 0 || (events & ZMQ_POLLOUT);
}

/* How long to sleep at most: a lost connection shows only when one looks. */
static long look_ms(int64_t left)
{
    return left < LOOK_MS ? (long)left : LOOK_MS;
}

static enum wait_result
wait_answer(struct lethe *l, struct client_call *c, struct arena *a, int64_t until, struct fault *f)
{
    for (;;) {
        const int64_t left = until - now_ms();
        if (left < 0)
            return WAIT_OVER;
        zmq_pollitem_t items[2] = {{.socket = l->dealer, .events = ZMQ_POLLIN},
                                   {.socket = l->events, .events = ZMQ_POLLIN}};
        const int n = l->watch && l->events ? 2 : 1;
        if (zmq_poll(items, n, look_ms(left)) <= 0) {
            if (!is_connected(l))
                return WAIT_LOST;
            continue;
        }
        struct client_watch *w = l->watch;
        if (n == 2 && items[1].revents && !receive_event(l, w->function, w->context, &w->seen)) {
            w->stopped = true;
            return WAIT_STOPPED;
        }
        const int got = items[0].revents ? receive_answer(l, c, a, f) : 0;
        if (got != 0)
            return got > 0 ? WAIT_ANSWERED : WAIT_DAMAGED;
    }
}

/* Request id, frame sizes and deadline, then the bytes. */
static enum lethe_code encode(struct client_call *c,
                              uint32_t timeout_ms,
                              struct arena *a,
                              struct wire_bytes *ret_bytes,
                              struct lethe_error *e)
{
    struct fault f = {0};
    if (request_id_is_zero(&c->envelope.request_id)) {
        uint8_t random[10];
        seal_random(random, sizeof random);
        c->envelope.request_id = request_id_make(clock_wall_us(), random);
    }
    if (c->envelope.deadline_ms == 0)
        c->envelope.deadline_ms = timeout_ms < LIMIT_DEADLINE_MS ? timeout_ms : LIMIT_DEADLINE_MS;
    uint64_t *sizes = arena_alloc(a, c->n_raw + 1, sizeof *sizes);
    if (!sizes)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL,
                                "out of memory");
    for (size_t i = 0; i < c->n_raw; i++)
        sizes[i] = c->raw[i].size;
    c->envelope.frame_bytes = sizes;
    c->envelope.n_frames = c->n_raw;
    if (wire_envelope_encode(&c->envelope, a, &ret_bytes->at, &ret_bytes->size, &f) != STATUS_OK)
        return client_error_fault(e, LETHE_FROM_CALLER, &f);
    return LETHE_OK;
}

/* What the daemon answered, once it is known to be an answer to this call. */
static enum lethe_code check_answer(const struct client_call *c, struct lethe_error *e)
{
    if (c->reply->error)
        return client_error_wire(e, c->reply->error);
    if (c->expects != WIRE_ANSWER_NONE && c->reply->answer != c->expects)
        return client_error_set(e, LETHE_INTERNAL, LETHE_FROM_TRANSPORT, NULL,
                                "the daemon sent an answer of another form to %s",
                                wire_kind_name(c->envelope.kind));
    return LETHE_OK;
}

enum lethe_code
client_call(struct lethe *l, struct client_call *c, struct result *r, struct lethe_error *e)
{
    INVARIANT(l->magic == LETHE_MAGIC);
    const uint32_t timeout_ms = or_default(c->timeout_ms, l->timeout_ms);
    const uint32_t attempts = or_default(c->attempts, l->attempts);
    struct arena *a = result_arena(r);
    struct wire_bytes envelope;
    const enum lethe_code code = encode(c, timeout_ms, a, &envelope, e);
    if (code != LETHE_OK)
        return code;
    const int64_t end = now_ms() + timeout_ms;
    for (uint32_t i = 0; i < attempts; i++) {
        const int64_t start = now_ms();
        const int64_t connect_end = start + l->connect_timeout_ms;
        if (!send_message(l, c, envelope, connect_end < end ? connect_end : end))
            return unreachable(l, e);
        struct fault f = {0};
        const int64_t until = now_ms() + (end - start) / (int64_t)(attempts - i);
        switch (wait_answer(l, c, a, until < end ? until : end, &f)) {
        case WAIT_ANSWERED:
            l->answered = true;
            return check_answer(c, e);
        case WAIT_DAMAGED:
            fault_prefix(&f, "the answer cannot be read");
            return client_error_fault(e, LETHE_FROM_TRANSPORT, &f);
        case WAIT_STOPPED:
            return client_error_set(e, LETHE_CANCELLED, LETHE_FROM_CALLER, NULL,
                                    "the caller ended the waiting");
        case WAIT_LOST: /* with it went the answer: the next attempt asks again */
            if (i + 1 == attempts)
                return client_error_set(e, LETHE_DEADLINE_EXCEEDED, LETHE_FROM_TRANSPORT, NULL,
                                        "the connection to %s was lost before the answer came",
                                        l->endpoint);
            break;
        case WAIT_OVER:
            break;
        }
    }
    return client_error_set(e, LETHE_DEADLINE_EXCEEDED, LETHE_FROM_TRANSPORT, NULL,
                            "the daemon at %s did not answer within %.3g s", l->endpoint,
                            timeout_ms / 1000.0);
}

/* ------------------------------------------------------------------ events */

static bool subscription_topic(const char *id, char topic[WIRE_TOPIC_SIZE])
{
    struct request_id parsed;
    if (!id) {
        (void)snprintf(topic, WIRE_TOPIC_SIZE, "request.");
        return true;
    }
    if (request_id_parse(id, &parsed) != 0)
        return false;
    wire_topic_format(&parsed, topic);
    return true;
}

enum lethe_code lethe_subscribe(struct lethe *l, const char *id, struct lethe_error *e)
{
    client_error_clear(e);
    char topic[WIRE_TOPIC_SIZE];
    if (!subscription_topic(id, topic))
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "id",
                                "\"%.50s\" is no request id", id);
    if (l->events_endpoint[0] == '\0')
        return client_error_set(e, LETHE_FAILED_PRECONDITION, LETHE_FROM_CALLER, "events_endpoint",
                                "no events endpoint follows from %s; give one", l->endpoint);
    if (!l->events)
        l->events = socket_open(l, ZMQ_SUB, l->events_endpoint);
    if (!l->events || zmq_setsockopt(l->events, ZMQ_SUBSCRIBE, topic, strlen(topic)) != 0)
        return client_error_set(e, LETHE_UNAVAILABLE, LETHE_FROM_TRANSPORT, "events_endpoint",
                                "cannot subscribe at %s: %s", l->events_endpoint,
                                zmq_strerror(errno));
    return LETHE_OK;
}

enum lethe_code lethe_events(struct lethe *l,
                             int64_t timeout_ms,
                             lethe_event_fn *function,
                             void *context,
                             struct lethe_error *e)
{
    client_error_clear(e);
    if (!l->events)
        return client_error_set(e, LETHE_FAILED_PRECONDITION, LETHE_FROM_CALLER, NULL,
                                "nothing is subscribed");
    const int64_t end = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
    for (;;) {
        const int64_t left = end - now_ms();
        zmq_pollitem_t item = {.socket = l->events, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1,
                     left < 0       ? 0
                     : left > 60000 ? 60000
                                    : (long)left) > 0 &&
            !receive_event(l, function, context, NULL))
            return client_error_set(e, LETHE_CANCELLED, LETHE_FROM_CALLER, NULL,
                                    "the caller ended the waiting");
        if (left <= 0)
            return LETHE_OK;
    }
}
