#include "daemon/metrics/exporter.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include "daemon/base/sysio.h"
#include "daemon/serve/endpoint.h"

#define MEMORY_BYTES 8192 /* of one connection: a request line and headers */
#define BACKLOG      16

struct exporter {
    struct metrics_sources sources;
    struct endpoint file; /* of a UNIX socket; lock_fd -1: none */
    struct MHD_Daemon *http;
};

/* ---------------------------------------------------------------- answers */

/* Takes over `text` if it is to be freed. */
static enum MHD_Result answer(struct MHD_Connection *c,
                              unsigned code,
                              const char *type,
                              char *text,
                              enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, mode);
    if (!r) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
    const enum MHD_Result result = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer_plain(struct MHD_Connection *c, unsigned code, char *text)
{
    return answer(c, code, "text/plain", text, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer_metrics(struct exporter *e, struct MHD_Connection *c)
{
    static char sorry[] = "no memory\n";
    struct metrics_view view;
    char *text;
    size_t size;
    metrics_look(&e->sources, &view);
    if (metrics_text(&view, &text, &size, NULL) != STATUS_OK)
        return answer_plain(c, MHD_HTTP_INTERNAL_SERVER_ERROR, sorry);
    return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text,
                  MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result on_request(void *context,
                                  struct MHD_Connection *c,
                                  const char *path,
                                  const char *method,
                                  const char *version,
                                  const char *upload,
                                  size_t *upload_size,
                                  void **request)
{
    static char only_get[] = "GET only\n";
    static char unknown[] = "there are /metrics and /health\n";
    static char ok[] = "ok\n";
    static char not_ok[] = "not ready\n";
    struct exporter *e = context;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    /* Answered at the headers: a body is never waited for. */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return answer_plain(c, MHD_HTTP_METHOD_NOT_ALLOWED, only_get);
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(e, c);
    if (strcmp(path, "/health") != 0)
        return answer_plain(c, MHD_HTTP_NOT_FOUND, unknown);
    const bool ready = e->sources.ready(e->sources.context);
    return answer_plain(c, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, ready ? ok : not_ok);
}

/* ---------------------------------------------------------------- listening */

static enum status bind_file(struct exporter *e, const struct listen *at, int fd, struct fault *f)
{
    char address[sizeof "ipc://" + LISTEN_PATH_SIZE];
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(address, sizeof address, "ipc://%s", at->path);
    TRY(endpoint_claim(address, "metrics", &e->file, f));
    memcpy(name.sun_path, at->path, strlen(at->path) + 1);
    if (bind(fd, (const struct sockaddr *)&name, sizeof name) != 0)
        FAIL(f, status_from_errno(errno), "metrics", "%s: %s", at->path, strerror(errno));
    return endpoint_open_to_group(&e->file, f);
}

static enum status bind_loopback(const struct listen *at, int fd, struct fault *f)
{
    const int on = 1;
    const socklen_t size = at->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&at->address, size) == 0)
        return STATUS_OK;
    if (errno == EADDRINUSE)
        FAIL(f, STATUS_ALREADY_EXISTS, "metrics", "the port is taken");
    FAIL(f, status_from_errno(errno), "metrics", "bind: %s", strerror(errno));
}

static enum status
bind_socket(struct exporter *e, const struct listen *at, int *ret_fd, struct fault *f)
{
    const int family = at->kind == LISTEN_UNIX ? AF_UNIX : at->address.ss_family;
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), "metrics", "socket: %s", strerror(errno));
    enum status st = at->kind == LISTEN_UNIX ? bind_file(e, at, fd, f) : bind_loopback(at, fd, f);
    if (st == STATUS_OK && listen(fd, BACKLOG) != 0)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, "metrics", "listen: %s",
                       strerror(errno));
    if (st == STATUS_OK)
        *ret_fd = fd;
    else
        (void)close(fd);
    return st;
}

/* The library's thread must not be the one that a signal meets. */
static struct MHD_Daemon *start_http(struct exporter *e, int fd)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *http = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, e, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)EXPORTER_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)EXPORTER_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
        MHD_OPTION_END);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return http;
}

enum status exporter_open(const struct listen *at,
                          const struct metrics_sources *sources,
                          struct exporter **ret_exporter,
                          struct fault *f)
{
    *ret_exporter = NULL;
    if (at->kind == LISTEN_OFF)
        return STATUS_OK;
    int fd = -1;
    struct exporter *e = sysio_alloc(1, sizeof *e);
    if (!e)
        FAIL(f, STATUS_NO_MEMORY, "metrics", "no memory for the listener");
    e->sources = *sources;
    e->file.lock_fd = -1;
    enum status st = bind_socket(e, at, &fd, f);
    if (st == STATUS_OK) {
        e->http = start_http(e, fd);
        if (!e->http) {
            (void)close(fd);
            st = fault_set(f, STATUS_UNAVAILABLE, __FILE__, __LINE__, "metrics",
                           "the HTTP listener does not start");
        }
    }
    if (st == STATUS_OK)
        *ret_exporter = e;
    else
        exporter_close(e);
    return st;
}

void exporter_close(struct exporter *e)
{
    if (!e)
        return;
    if (e->http)
        MHD_stop_daemon(e->http); /* closes the socket */
    endpoint_release(&e->file);
    sysio_free(e);
}
