#include "daemon/serve/zap_check.h"

#include "daemon/base/clock.h"

#include <string.h>

#include <zmq.h>

#define MONITOR  "inproc://monitor"
#define LIMIT_US ((int64_t)2000000)
#define EVENTS                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                        \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

enum outcome { OUTCOME_NONE, OUTCOME_LET_IN, OUTCOME_REFUSED };

struct visitor {
    void *context;
    void *socket;
    void *monitor;
};

static bool set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* A pair of keys of our own and the one that we expect of the server; NULL: come without. */
static bool set_keys(void *socket, const struct curve_key *server, const struct curve_key *secret)
{
    if (!secret)
        return true;
    const struct curve_key public = curve_key_public(secret);
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server->b, sizeof server->b) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public.b, sizeof public.b) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret->b, sizeof secret->b) == 0;
}

static bool come(struct visitor *v, const struct zap_door *door, const struct curve_key *secret)
{
    v->context = zmq_ctx_new();
    v->socket = v->context ? zmq_socket(v->context, door->events ? ZMQ_SUB : ZMQ_DEALER) : NULL;
    v->monitor = v->context ? zmq_socket(v->context, ZMQ_PAIR) : NULL;
    return v->socket && v->monitor && set_number(v->socket, ZMQ_LINGER, 0) &&
           set_number(v->socket, ZMQ_IPV6, strchr(door->address, '[') != NULL) &&
           set_number(v->monitor, ZMQ_LINGER, 0) && set_keys(v->socket, door->server, secret) &&
           zmq_socket_monitor(v->socket, MONITOR, EVENTS) == 0 &&
           zmq_connect(v->monitor, MONITOR) == 0 && zmq_connect(v->socket, door->address) == 0;
}

static void leave(struct visitor *v)
{
    if (v->socket) {
        (void)zmq_socket_monitor(v->socket, NULL, 0);
        (void)zmq_close(v->socket);
    }
    if (v->monitor)
        (void)zmq_close(v->monitor);
    while (v->context && zmq_ctx_term(v->context) != 0 && zmq_errno() == EINTR)
        ;
}

/* The first word about the handshake: u16 event, u32 value; the address follows in a frame. */
static enum outcome listen_for(const struct visitor *v)
{
    const int64_t until = clock_mono_us() + LIMIT_US;
    uint8_t frame[8];
    zmq_pollitem_t item = {.socket = v->monitor, .events = ZMQ_POLLIN};
    for (int64_t now; (now = clock_mono_us()) < until;) {
        if (zmq_poll(&item, 1, (long)((until - now) / 1000) + 1) <= 0 ||
            zmq_recv(v->monitor, frame, sizeof frame, ZMQ_DONTWAIT) != 6)
            continue;
        uint16_t event;
        memcpy(&event, frame, sizeof event);
        return event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? OUTCOME_LET_IN : OUTCOME_REFUSED;
    }
    return OUTCOME_NONE;
}

static enum outcome visit(const struct zap_door *door, const struct curve_key *secret)
{
    struct visitor v = {0};
    const enum outcome result = come(&v, door, secret) ? listen_for(&v) : OUTCOME_NONE;
    leave(&v);
    return result;
}

static enum status expect(const struct zap_door *door,
                          const struct curve_key *secret,
                          enum outcome expected,
                          const char *who,
                          struct fault *f)
{
    static const char *const words[] = {"got no answer", "was let in", "was refused"};
    const enum outcome got = visit(door, secret);
    if (got != expected)
        FAIL(f, STATUS_INTERNAL, door->events ? "events_endpoint" : "endpoint",
             "self-test of authentication at %.60s: %s %s", door->address, who, words[got]);
    return STATUS_OK;
}

static enum status check_keys(const struct zap_door *door, struct auth *auth, struct fault *f)
{
    struct curve_key secret, public, stranger, unused;
    curve_key_make(&secret, &public);
    curve_key_make(&stranger, &unused);
    auth_set_trial(auth, AUTH_TRIAL_ACCEPT, &public);
    enum status st = expect(door, &stranger, OUTCOME_REFUSED, "an unknown key", f);
    if (st == STATUS_OK)
        st = expect(door, NULL, OUTCOME_REFUSED, "a peer without a key", f);
    if (st == STATUS_OK)
        st = expect(door, &secret, OUTCOME_LET_IN, "a known key", f);
    curve_key_wipe(&secret);
    curve_key_wipe(&stranger);
    return st;
}

static enum status check_local(const struct zap_door *door, struct auth *auth, struct fault *f)
{
    auth_set_trial(auth, AUTH_TRIAL_REFUSE, NULL);
    TRY(expect(door, NULL, OUTCOME_REFUSED, "a local user without a role", f));
    auth_set_trial(auth, AUTH_TRIAL_ACCEPT, NULL);
    return expect(door, NULL, OUTCOME_LET_IN, "a local user with a role", f);
}

enum status zap_check(const struct zap_door *door, struct auth *auth, struct fault *f)
{
    const enum status st = door->server ? check_keys(door, auth, f) : check_local(door, auth, f);
    auth_set_trial(auth, AUTH_TRIAL_NONE, NULL);
    return st;
}
