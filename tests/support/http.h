/*
 * The least of HTTP that tests of the exporter need: bytes out, the whole answer in.  Header only.
 */
#ifndef LETHE_TESTS_SUPPORT_HTTP_H
#define LETHE_TESTS_SUPPORT_HTTP_H

#include "tests/support/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HTTP_ANSWER 65536

struct http_answer {
    int code; /* 0: the connection ended without an answer */
    char text[HTTP_ANSWER];
    const char *body;
};

/* A port of 127.0.0.1 that nobody has; it could be taken before it is used, but who would. */
__attribute__((unused)) static int http_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

__attribute__((unused)) static int http_dial(int port)
{
    const struct sockaddr_in a = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

__attribute__((unused)) static int http_dial_file(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%.100s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* What comes until the other side closes, or says nothing for limit_ms; closes. */
__attribute__((unused)) static void http_hear(int fd, int limit_ms, struct http_answer *a)
{
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (n + 1 < sizeof a->text && poll(&p, 1, limit_ms) > 0) {
        const ssize_t got = recv(fd, a->text + n, sizeof a->text - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)close(fd);
    a->text[n] = '\0';
    if (sscanf(a->text, "HTTP/1.%*d %d", &a->code) != 1)
        a->code = 0;
    const char *end = strstr(a->text, "\r\n\r\n");
    a->body = end ? end + 4 : "";
}

/* Sends bytes; the other side may have closed already. */
__attribute__((unused)) static void http_say(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        size -= (size_t)n;
    }
}

/* One request, its connection closed after the answer. */
__attribute__((unused)) static void
http_ask(int fd, const char *method, const char *path, struct http_answer *a)
{
    char request[512];
    (void)snprintf(request, sizeof request,
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path);
    http_say(fd, request, strlen(request));
    http_hear(fd, 10000, a);
}

#endif
