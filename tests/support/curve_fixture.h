/*
 * The serve fixture with a key: a server that clients reach with CURVE over tcp://127.0.0.1 or
 * ipc://, a folder of clients, clients with any key or none, and a wire tap.  Header only.
 */
#ifndef LETHE_TESTS_SUPPORT_CURVE_FIXTURE_H
#define LETHE_TESTS_SUPPORT_CURVE_FIXTURE_H

#include "tests/support/serve_fixture.h"

#include "proto/seal/curve_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SILENCE_MS 400

struct curve_fixture {
    struct fixture f;
    char clients[300];
    char local[300];
    char local_events[320];
    struct curve_key secret, public; /* of the server */
    const char *local_roles;
    uint32_t calls_s;
    int client_hwm; /* answers that a client takes before it reads them; 0: no limit */
};

/* A port that nobody listens on, and the next one too. */
__attribute__((unused)) static uint16_t curve_free_port(void)
{
    for (;;) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        const int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(a >= 0 && b >= 0);
        assert_int_equal(bind(a, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(a, (struct sockaddr *)&at, &size), 0);
        const uint16_t port = ntohs(at.sin_port);
        at.sin_port = htons((uint16_t)(port + 1));
        const int good = port < 65534 && bind(b, (struct sockaddr *)&at, sizeof at) == 0;
        (void)close(a);
        (void)close(b);
        if (good)
            return port;
    }
}

__attribute__((unused)) static void curve_start(struct curve_fixture *x, int tcp)
{
    memset(x, 0, sizeof *x);
    start(&x->f);
    if (tcp) {
        const unsigned port = curve_free_port();
        (void)snprintf(x->f.endpoint, sizeof x->f.endpoint, "tcp://127.0.0.1:%u", port);
        (void)snprintf(x->f.events, sizeof x->f.events, "tcp://127.0.0.1:%u", port + 1);
    }
    (void)snprintf(x->clients, sizeof x->clients, "%s/clients.d", x->f.folder);
    assert_int_equal(mkdir(x->clients, 0700), 0);
    curve_key_make(&x->secret, &x->public);
}

/* Writes the entry of a client and gives its secret key. */
__attribute__((unused)) static void curve_add_client(struct curve_fixture *x,
                                                     const char *name,
                                                     const char *role,
                                                     struct curve_key *ret_secret)
{
    struct curve_entry e = {0};
    char path[400];
    (void)snprintf(e.name, sizeof e.name, "%s", name);
    (void)snprintf(e.role, sizeof e.role, "%s", role);
    curve_key_make(ret_secret, &e.key);
    (void)snprintf(path, sizeof path, "%s/%s.pub", x->clients, name);
    assert_int_equal(curve_file_write_entry(path, &e, NULL), STATUS_OK);
}

__attribute__((unused)) static void curve_open(struct curve_fixture *x)
{
    struct fault f = {0};
    const struct auth_options auth = {
        .clients = x->clients, .local_roles = x->local_roles, .calls_s = x->calls_s};
    if (auth_new(&auth, &x->f.options.auth, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    x->f.options.secret = &x->secret;
    open_server(&x->f);
}

__attribute__((unused)) static void curve_open_with_local(struct curve_fixture *x)
{
    (void)snprintf(x->local, sizeof x->local, "ipc://%s/local", x->f.folder);
    (void)snprintf(x->local_events, sizeof x->local_events, "%s.events", x->local);
    x->f.options.local_endpoint = x->local;
    x->f.options.local_events_endpoint = x->local_events;
    curve_open(x);
}

__attribute__((unused)) static void curve_finish(struct curve_fixture *x)
{
    finish(&x->f);
}

/* ------------------------------------------------------------ clients */

__attribute__((unused)) static void
curve_set_keys(void *socket, const struct curve_key *secret, const struct curve_key *server)
{
    const struct curve_key public = curve_key_public(secret);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server->b, 32), 0);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public.b, 32), 0);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret->b, 32), 0);
}

/* secret NULL: comes without a key; server NULL: the right one. */
__attribute__((unused)) static void curve_client_at(struct curve_fixture *x,
                                                    struct client *c,
                                                    const char *address,
                                                    const struct curve_key *secret,
                                                    const struct curve_key *server)
{
    const int linger = 0, unlimited = 0;
    memset(c, 0, sizeof *c);
    c->socket = zmq_socket(x->f.context, ZMQ_DEALER);
    assert_non_null(c->socket);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited), 0);
    assert_int_equal(zmq_setsockopt(c->socket, ZMQ_RCVHWM, &x->client_hwm, sizeof x->client_hwm),
                     0);
    client_wait(c, WAIT_MS);
    if (secret)
        curve_set_keys(c->socket, secret, server ? server : &x->public);
    assert_int_equal(zmq_connect(c->socket, address), 0);
    c->memory = malloc(CLIENT_ARENA);
    assert_non_null(c->memory);
    arena_init(&c->arena, c->memory, CLIENT_ARENA);
}

__attribute__((unused)) static void curve_client(struct curve_fixture *x,
                                                 struct client *c,
                                                 const struct curve_key *secret,
                                                 const struct curve_key *server)
{
    curve_client_at(x, c, x->f.endpoint, secret, server);
}

__attribute__((unused)) static void curve_local_client(struct curve_fixture *x, struct client *c)
{
    curve_client_at(x, c, x->local, NULL, NULL);
}

__attribute__((unused)) static void
curve_expect_kind(struct client *c, enum wire_kind kind, enum status code)
{
    const struct wire_envelope m = envelope(kind, 77);
    send_envelope(c, &m, 0);
    const struct wire_reply *reply = receive(c);
    assert_int_equal(reply->request_id.b[15], 77);
    const int got = reply->error ? reply->error->status : STATUS_OK;
    if (got != (int)code)
        fail_msg("%s instead of %s", status_name((enum status)got), status_name(code));
    /* Who is refused learns nothing else. */
    if (code != STATUS_OK)
        assert_int_equal(reply->answer, WIRE_ANSWER_NONE);
}

__attribute__((unused)) static void curve_expect_status(struct client *c, enum status code)
{
    curve_expect_kind(c, WIRE_KIND_STATUS, code);
}

/* Asks if it still can: libzmq gives a connection up that was refused, and then takes no message.
 */
static inline void curve_try_send(struct client *c, const struct wire_envelope *m)
{
    const struct arena_mark mark = arena_mark(&c->arena);
    const uint8_t *bytes;
    size_t size;
    assert_int_equal(wire_envelope_encode(m, &c->arena, &bytes, &size, NULL), STATUS_OK);
    if (zmq_send(c->socket, bytes, size, ZMQ_DONTWAIT) < 0)
        assert_int_equal(zmq_errno(), EAGAIN);
    arena_rewind(&c->arena, mark);
}

/* Asks, and nothing at all comes back. */
__attribute__((unused)) static void curve_expect_silence(struct client *c)
{
    char byte;
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 1);
    client_wait(c, SILENCE_MS);
    curve_try_send(c, &m);
    assert_int_equal(zmq_recv(c->socket, &byte, 1, 0), -1);
    assert_int_equal(zmq_errno(), EAGAIN);
    client_wait(c, WAIT_MS);
}

__attribute__((unused)) static void *curve_subscribe(struct curve_fixture *x,
                                                     const struct curve_key *secret)
{
    const int linger = 0, wait_ms = 20;
    void *sub = zmq_socket(x->f.context, ZMQ_SUB);
    assert_non_null(sub);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms), 0);
    assert_int_equal(zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "", 0), 0);
    curve_set_keys(sub, secret, &x->public);
    assert_int_equal(zmq_connect(sub, x->f.events), 0);
    return sub;
}

static inline void curve_drain(void *sub)
{
    char bytes[512];
    while (zmq_recv(sub, bytes, sizeof bytes, 0) >= 0)
        ;
}

/* Publishes until one arrives (or for a second, expecting that none does). */
__attribute__((unused)) static void
curve_expect_event(struct curve_fixture *x, void *sub, int expected)
{
    static uint8_t number;
    char bytes[512];
    const int64_t until = clock_mono_us() + (expected ? WAIT_MS * 1000 : 1000000);
    int got = 0;
    curve_drain(sub);
    while (!got && clock_mono_us() < until) {
        const struct wire_event e = {.request_id.b = {[15] = ++number}, .state = "queued"};
        server_publish(x->f.server, &e);
        got = zmq_recv(sub, bytes, sizeof bytes, 0) >= 0;
    }
    assert_int_equal(got, expected);
}

/* ------------------------------------------------------------ a tap in the wire */

/* What a client sent in one session, in the pieces in which it came. */
struct tape {
    uint8_t bytes[65536];
    size_t n;
    size_t ends[64]; /* of the pieces */
    size_t n_pieces;
};

static inline int tape_connect(const struct curve_fixture *x)
{
    unsigned port;
    assert_int_equal(sscanf(x->f.endpoint, "tcp://127.0.0.1:%u", &port), 1);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)port)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* Passes bytes on between both sides until the client has its answer. */
static inline void tape_relay(int client, int server, struct client *c, struct tape *tape)
{
    uint8_t bytes[16384];
    char byte;
    for (int64_t until = clock_mono_us() + WAIT_MS * 1000; clock_mono_us() < until;) {
        struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        if (poll(fds, 2, 10) > 0 && (fds[0].revents & POLLIN)) {
            const ssize_t n = read(client, bytes, sizeof bytes);
            assert_true(n > 0 && tape->n + (size_t)n < sizeof tape->bytes && tape->n_pieces < 64);
            memcpy(tape->bytes + tape->n, bytes, (size_t)n);
            tape->n += (size_t)n;
            tape->ends[tape->n_pieces++] = tape->n;
            assert_int_equal(write(server, bytes, (size_t)n), n);
        }
        if (fds[1].revents & POLLIN) {
            const ssize_t n = read(server, bytes, sizeof bytes);
            assert_true(n > 0);
            assert_int_equal(write(client, bytes, (size_t)n), n);
        }
        if (zmq_recv(c->socket, &byte, 1, ZMQ_DONTWAIT) >= 0)
            return;
    }
    fail_msg("no answer through the tap");
}

/* One whole session of a client with this key: greeting, handshake, one call and its answer. */
__attribute__((unused)) static void
tape_record(struct curve_fixture *x, const struct curve_key *secret, struct tape *tape)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char address[64];
    struct client c;
    const int tap = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(tap, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(tap, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(listen(tap, 1), 0);
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
    curve_client_at(x, &c, address, secret, NULL);
    const struct wire_envelope m = envelope(WIRE_KIND_STATUS, 1);
    send_envelope(&c, &m, 0);
    const int client = accept(tap, NULL, NULL), server = tape_connect(x);
    assert_true(client >= 0);
    tape_relay(client, server, &c, tape);
    (void)close(client);
    (void)close(server);
    (void)close(tap);
    client_close(&c);
}

/* Sends the pieces again, waiting for what the server says in between; order 1: last two swapped.
 */
__attribute__((unused)) static void
tape_play(const struct curve_fixture *x, const struct tape *tape, int order)
{
    uint8_t bytes[16384];
    const int fd = tape_connect(x);
    for (size_t k = 0; k < tape->n_pieces; k++) {
        size_t i = k;
        if (order == 1 && k + 2 >= tape->n_pieces)
            i = k + 2 == tape->n_pieces ? k + 1 : k - 1;
        const size_t from = i ? tape->ends[i - 1] : 0;
        if (send(fd, tape->bytes + from, tape->ends[i] - from, MSG_NOSIGNAL) < 0)
            break;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) > 0 && read(fd, bytes, sizeof bytes) <= 0)
            break; /* the server has had enough */
    }
    (void)close(fd);
}

#endif
