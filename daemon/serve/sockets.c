#include "daemon/serve/sockets.h"

#include "daemon/base/sysio.h"
#include "daemon/serve/zap_check.h"
#include "proto/limits.h"
#include "proto/seal/aead.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#define HANDSHAKE_MS     5000
#define HEARTBEAT_MS     10000
#define HEARTBEAT_DEAD   30000 /* silence after which a peer is given up */
#define CONNECTION_QUEUE 1024
#define HANDSHAKE_BYTES                                                                            \
    1024                      /* MAXMSGSIZE holds for CURVE's commands too: up to 257 and metadata \
                               */
#define RENEW_STEP_NS 5000000 /* a closed socket gives its place back a little later */
#define RENEW_STEPS   400

/* ------------------------------------------------------------ options */

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
static enum status set_common(struct sockets *s, void *socket, int64_t max_bytes, struct fault *f)
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
        {ZMQ_TCP_KEEPALIVE, 1, false},
    };
    return set_options(socket, options, sizeof options / sizeof options[0], f);
}

static enum status open_router(struct sockets *s, struct fault *f)
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

static enum status open_publisher(struct sockets *s, struct fault *f)
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
    TRY(set_common(s, s->publisher, LIMIT_TOPIC_BYTES + HANDSHAKE_BYTES, f));
    return set_options(s->publisher, options, sizeof options / sizeof options[0], f);
}

/* ------------------------------------------------------------ binding */

/* What is bound from now on asks for keys, or for nothing but a place on this machine. */
static enum status set_door(struct sockets *s, void *socket, bool keys, struct fault *f)
{
    const char *domain = keys ? ZAP_DOMAIN_KEYS : ZAP_DOMAIN_LOCAL;
    const struct socket_option server = {ZMQ_CURVE_SERVER, keys, false};
    TRY(set_options(socket, &server, 1, f));
    if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0 ||
        (keys && zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, s->secret->b, CURVE_KEY_SIZE) != 0))
        FAIL(f, STATUS_INTERNAL, "curve_key", "this libzmq cannot encrypt: %s",
             zmq_strerror(zmq_errno()));
    return STATUS_OK;
}

static bool is_tcp(const char *address)
{
    return strncmp(address, "tcp://", 6) == 0;
}

static enum status bind_tcp(void *socket, const char *address, const char *field, struct fault *f)
{
    const struct socket_option v6 = {ZMQ_IPV6, strchr(address, '[') != NULL, false};
    TRY(set_options(socket, &v6, 1, f));
    if (zmq_bind(socket, address) == 0)
        return STATUS_OK;
    const int errnum = zmq_errno();
    const enum status st = errnum == EADDRINUSE ? STATUS_ALREADY_EXISTS
                           : errnum == EACCES   ? STATUS_PERMISSION_DENIED
                                                : STATUS_INVALID_ARGUMENT;
    FAIL(f, st, field, "%.100s: %s", address, zmq_strerror(errnum));
}

/* The file is made for its owner alone and opened to the group when it is complete. */
static enum status bind_file(
    void *socket, const char *address, const char *field, struct endpoint *file, struct fault *f)
{
    if (file->lock_fd < 0)
        TRY(endpoint_claim(address, field, file, f));
    const mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
    const int result = zmq_bind(socket, address);
    const int errnum = zmq_errno();
    (void)umask(before);
    if (result != 0)
        FAIL(f, status_from_errno(errnum), field, "%s: %s", file->path, zmq_strerror(errnum));
    return endpoint_open_to_group(file, f);
}

/* One place of one socket. */
struct place {
    void *socket;
    const char *address;
    const char *field; /* its name in the configuration */
    bool keys;
    struct endpoint *file;
    char *bound; /* [ADDRESS_SIZE] */
};

static enum status bind_place(struct sockets *s, const struct place *p, struct fault *f)
{
    size_t size = ADDRESS_SIZE;
    if (is_tcp(p->address) && !p->keys)
        FAIL(f, STATUS_INVALID_ARGUMENT, p->field,
             "tcp:// is served to clients with keys only: set curve_key, or use ipc:///path");
    TRY(set_door(s, p->socket, p->keys, f));
    TRY(is_tcp(p->address) ? bind_tcp(p->socket, p->address, p->field, f)
                           : bind_file(p->socket, p->address, p->field, p->file, f));
    if (zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, p->bound, &size) != 0)
        FAIL(f, STATUS_INTERNAL, p->field, "%s", zmq_strerror(zmq_errno()));
    return STATUS_OK;
}

/* Encrypted if there is a key. */
static enum status bind_first(struct sockets *s, bool events, struct fault *f)
{
    const struct sockets_options *o = &s->options;
    const struct place p = {.socket = events ? s->publisher : s->router,
                            .address = events ? o->events_endpoint : o->endpoint,
                            .field = events ? "events_endpoint" : "endpoint",
                            .keys = s->secret != NULL,
                            .file = events ? &s->event_files[0] : &s->request_files[0],
                            .bound = s->addresses[events][0]};
    return bind_place(s, &p, f);
}

static enum status bind_local(struct sockets *s, bool events, struct fault *f)
{
    const struct sockets_options *o = &s->options;
    const struct place p = {.socket = events ? s->publisher : s->router,
                            .address = events ? o->local_events_endpoint : o->local_endpoint,
                            .field = "local_endpoint",
                            .keys = false,
                            .file = events ? &s->event_files[1] : &s->request_files[1],
                            .bound = s->addresses[events][1]};
    return o->local_endpoint ? bind_place(s, &p, f) : STATUS_OK;
}

/* ------------------------------------------------------------ the self-test */

static enum status check_place(struct sockets *s, bool events, size_t i, struct fault *f)
{
    struct curve_key public;
    const bool keys = i == 0 && s->secret;
    const struct zap_door door = {
        .address = s->addresses[events][i], .events = events, .server = keys ? &public : NULL};
    if (door.address[0] == '\0')
        return STATUS_OK;
    if (keys)
    public = curve_key_public(s->secret);
    return zap_check(&door, s->options.auth, f);
}

static enum status check_places(struct sockets *s, struct fault *f)
{
    for (size_t i = 0; i < SOCKETS_PLACES; i++) {
        TRY(check_place(s, false, i, f));
        TRY(check_place(s, true, i, f));
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------ life */

static enum status take_secret(struct sockets *s, struct fault *f)
{
    if (!s->options.secret)
        return STATUS_OK;
    s->secret = seal_secret_alloc(sizeof *s->secret);
    if (!s->secret)
        FAIL(f, STATUS_NO_MEMORY, "curve_key", "no memory for the key");
    *s->secret = *s->options.secret;
    s->options.secret = NULL;
    return STATUS_OK;
}

static enum status open_context(struct sockets *s, struct fault *f)
{
    s->context = zmq_ctx_new();
    if (!s->context)
        FAIL(f, STATUS_NO_MEMORY, NULL, "zmq_ctx_new: %s", zmq_strerror(zmq_errno()));
    (void)zmq_ctx_set(s->context, ZMQ_IO_THREADS, 1);
    (void)zmq_ctx_set(s->context, ZMQ_MAX_SOCKETS, LIMIT_SOCKETS);
    return STATUS_OK;
}

enum status sockets_open(struct sockets *s, const struct sockets_options *options, struct fault *f)
{
    *s = (struct sockets){.options = *options};
    for (size_t i = 0; i < SOCKETS_PLACES; i++)
        s->request_files[i].lock_fd = s->event_files[i].lock_fd = -1;
    TRY(take_secret(s, f));
    TRY(open_context(s, f));
    TRY(zap_open(s->context, s->options.auth, &s->zap, f));
    TRY(open_router(s, f));
    TRY(open_publisher(s, f));
    TRY(bind_first(s, false, f));
    TRY(bind_first(s, true, f));
    TRY(bind_local(s, false, f));
    TRY(bind_local(s, true, f));
    return check_places(s, f);
}

/* libzmq gives a place back in its own time: it removes its file, or its port is busy until then.
 */
static enum status bind_again(struct sockets *s,
                              enum status bind(struct sockets *, bool, struct fault *),
                              const struct endpoint *file,
                              struct fault *f)
{
    const struct timespec step = {.tv_nsec = RENEW_STEP_NS};
    for (int i = 0; i < RENEW_STEPS && file->lock_fd >= 0 && access(file->path, F_OK) == 0; i++)
        (void)nanosleep(&step, NULL);
    enum status st = bind(s, true, f);
    for (int i = 0; i < RENEW_STEPS && st == STATUS_ALREADY_EXISTS; i++) {
        (void)nanosleep(&step, NULL);
        st = bind(s, true, f);
    }
    return st;
}

enum status sockets_renew_publisher(struct sockets *s, struct fault *f)
{
    const int none = 0;
    if (s->publisher) {
        (void)zmq_setsockopt(s->publisher, ZMQ_LINGER, &none, sizeof none);
        (void)zmq_close(s->publisher);
        s->publisher = NULL;
    }
    enum status st = open_publisher(s, f);
    if (st == STATUS_OK)
        st = bind_again(s, bind_first, &s->event_files[0], f);
    if (st == STATUS_OK)
        st = bind_again(s, bind_local, &s->event_files[1], f);
    if (st != STATUS_OK && s->publisher) {
        (void)zmq_close(s->publisher);
        s->publisher = NULL;
    }
    return st;
}

void sockets_forget(struct sockets *s)
{
    const int none = 0;
    (void)zmq_setsockopt(s->router, ZMQ_LINGER, &none, sizeof none);
    if (s->publisher)
        (void)zmq_setsockopt(s->publisher, ZMQ_LINGER, &none, sizeof none);
}

void sockets_close(struct sockets *s)
{
    if (s->router)
        (void)zmq_close(s->router);
    if (s->publisher)
        (void)zmq_close(s->publisher);
    while (s->context && zmq_ctx_term(s->context) != 0 && zmq_errno() == EINTR)
        ;
    zap_join(s->zap);
    for (size_t i = 0; i < SOCKETS_PLACES; i++) {
        endpoint_release(&s->request_files[i]);
        endpoint_release(&s->event_files[i]);
    }
    seal_secret_free(s->secret);
}
