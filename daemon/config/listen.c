#include "daemon/config/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_SIZE 64

/* HOST:PORT or [HOST]:PORT; the port is 1 to 65535. */
static enum status split(
    const char *text, const char *field, char host[HOST_SIZE], uint16_t *ret_port, struct fault *f)
{
    const char *colon = strrchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= HOST_SIZE || colon[1] < '0' || colon[1] > '9')
        FAIL(f, STATUS_INVALID_ARGUMENT, field,
             "\"%.64s\" is neither off, 127.0.0.1:PORT, [::1]:PORT nor a path", text);
    char *end;
    const unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "port \"%.16s\", must be 1 to 65535", colon + 1);
    const int bracketed = text[0] == '[' && text[n - 1] == ']';
    (void)snprintf(host, HOST_SIZE, "%.*s", (int)n - 2 * bracketed, text + bracketed);
    *ret_port = (uint16_t)port;
    return STATUS_OK;
}

static enum status
parse_address(const char *text, const char *field, struct listen *ret_listen, struct fault *f)
{
    char host[HOST_SIZE];
    uint16_t port;
    TRY(split(text, field, host, &port, f));
    struct listen l = {.kind = LISTEN_LOOPBACK};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int local = 0;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        local = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        memcpy(&l.address, &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        local = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        memcpy(&l.address, &v6, sizeof v6);
    } else {
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.64s\" is no address; write 127.0.0.1 or [::1]",
             host);
    }
    if (!local)
        FAIL(f, STATUS_PERMISSION_DENIED, field,
             "%.64s can be reached from outside; only 127.0.0.1, [::1] or a path are allowed",
             host);
    *ret_listen = l;
    return STATUS_OK;
}

enum status
listen_parse(const char *text, const char *field, struct listen *ret_listen, struct fault *f)
{
    struct listen l = {.kind = LISTEN_OFF};
    if (text[0] != '/' && strcmp(text, "off") != 0)
        return parse_address(text, field, ret_listen, f);
    if (text[0] == '/') {
        if (strlen(text) >= sizeof l.path)
            FAIL(f, STATUS_INVALID_ARGUMENT, field, "a path of %zu bytes, at most %zu for a socket",
                 strlen(text), sizeof l.path - 1);
        l.kind = LISTEN_UNIX;
        memcpy(l.path, text, strlen(text) + 1);
    }
    *ret_listen = l;
    return STATUS_OK;
}
