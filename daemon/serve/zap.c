#include "daemon/serve/zap.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#define HANDLER    "inproc://zeromq.zap.01"
#define FRAMES_MAX 7
#define FRAME_SIZE 256

struct zap {
    void *socket;
    struct auth *auth;
    pthread_t thread;
};

/* ------------------------------------------------------------ requests */

struct request {
    size_t n;                /* frames that came, those beyond FRAMES_MAX too */
    size_t size[FRAMES_MAX]; /* as they came; more than FRAME_SIZE - 1 was cut */
    char frame[FRAMES_MAX][FRAME_SIZE];
};

enum {
    REQUEST_VERSION,
    REQUEST_ID,
    REQUEST_DOMAIN,
    REQUEST_ADDRESS,
    REQUEST_ROUTE,
    REQUEST_MECHANISM,
    REQUEST_KEY
};

/* False: the context ends. */
static bool receive(void *socket, struct request *r)
{
    int more = 1;
    size_t size = sizeof more;
    memset(r, 0, sizeof *r);
    while (more) {
        char scrap[FRAME_SIZE];
        char *to = r->n < FRAMES_MAX ? r->frame[r->n] : scrap;
        const int got = zmq_recv(socket, to, FRAME_SIZE - 1, 0);
        if (got < 0 && zmq_errno() == EINTR)
            continue;
        if (got < 0)
            return false;
        if (r->n < FRAMES_MAX)
            r->size[r->n] = (size_t)got;
        r->n++;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0)
            return false;
    }
    return true;
}

static bool is(const struct request *r, size_t i, const char *text)
{
    return i < r->n && r->size[i] == strlen(text) && memcmp(r->frame[i], text, r->size[i]) == 0;
}

static bool judge_key(struct auth *a, const struct request *r, char user[AUTH_USER_SIZE])
{
    struct curve_key key;
    if (r->n != REQUEST_KEY + 1 || r->size[REQUEST_KEY] != sizeof key.b)
        return false;
    memcpy(key.b, r->frame[REQUEST_KEY], sizeof key.b);
    return auth_accept_key(a, &key, user);
}

/* libzmq puts the peer's credentials behind the name of an ipc:// peer. */
static bool judge_local(struct auth *a, const struct request *r, char user[AUTH_USER_SIZE])
{
    unsigned uid, gid;
    int pid;
    char rest;
    if (r->n != REQUEST_KEY ||
        sscanf(r->frame[REQUEST_ADDRESS], "localhost:%u:%u:%d%c", &uid, &gid, &pid, &rest) != 3) {
        auth_denied(a, AUTH_DENIED_HANDSHAKE, "nobody");
        return false;
    }
    return auth_accept_local(a, uid, gid, pid, user);
}

static bool judge(struct auth *a, const struct request *r, char user[AUTH_USER_SIZE])
{
    if (is(r, REQUEST_VERSION, "1.0") && is(r, REQUEST_DOMAIN, ZAP_DOMAIN_KEYS) &&
        is(r, REQUEST_MECHANISM, "CURVE"))
        return judge_key(a, r, user);
    if (is(r, REQUEST_VERSION, "1.0") && is(r, REQUEST_DOMAIN, ZAP_DOMAIN_LOCAL) &&
        is(r, REQUEST_MECHANISM, "NULL"))
        return judge_local(a, r, user);
    auth_denied(a, AUTH_DENIED_HANDSHAKE, "nobody");
    return false;
}

/* ------------------------------------------------------------ answers */

static bool send_text(void *socket, const char *text, size_t n, bool more)
{
    int sent;
    do
        sent = zmq_send(socket, text, n, more ? ZMQ_SNDMORE : 0);
    while (sent < 0 && zmq_errno() == EINTR);
    return sent >= 0;
}

static bool answer(void *socket, const struct request *r, bool good, const char *user)
{
    const char *code = good ? "200" : "400";
    const char *text = good ? "welcome" : "refused";
    user = good ? user : "";
    return send_text(socket, "1.0", 3, true) &&
           send_text(socket, r->frame[REQUEST_ID], r->size[REQUEST_ID], true) &&
           send_text(socket, code, strlen(code), true) &&
           send_text(socket, text, strlen(text), true) &&
           send_text(socket, user, strlen(user), true) && send_text(socket, "", 0, false);
}

static void *handle(void *argument)
{
    struct zap *z = argument;
    struct request r;
    while (receive(z->socket, &r)) {
        char user[AUTH_USER_SIZE] = "";
        const bool good = judge(z->auth, &r, user);
        if (!answer(z->socket, &r, good, user))
            break;
    }
    (void)zmq_close(z->socket);
    return NULL;
}

/* ------------------------------------------------------------ life */

static enum status bind_handler(void *context, struct zap *z, struct fault *f)
{
    const int none = 0;
    z->socket = zmq_socket(context, ZMQ_REP);
    if (!z->socket || zmq_setsockopt(z->socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(z->socket, HANDLER) != 0)
        FAIL(f, STATUS_INTERNAL, NULL, "the handler of authentication: %s",
             zmq_strerror(zmq_errno()));
    return STATUS_OK;
}

static enum status start(struct zap *z, struct fault *f)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int errnum = pthread_create(&z->thread, NULL, handle, z);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0)
        FAIL(f, status_from_errno(errnum), NULL, "thread of authentication: %s", strerror(errnum));
    return STATUS_OK;
}

enum status zap_open(void *context, struct auth *auth, struct zap **ret_zap, struct fault *f)
{
    struct zap *z = sysio_alloc(1, sizeof *z);
    if (!z)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the handler of authentication");
    z->auth = auth;
    enum status st = bind_handler(context, z, f);
    if (st == STATUS_OK)
        st = start(z, f);
    if (st == STATUS_OK) {
        *ret_zap = z;
        return STATUS_OK;
    }
    if (z->socket)
        (void)zmq_close(z->socket);
    sysio_free(z);
    return st;
}

void zap_join(struct zap *z)
{
    if (!z)
        return;
    INVARIANT(pthread_join(z->thread, NULL) == 0);
    sysio_free(z);
}
