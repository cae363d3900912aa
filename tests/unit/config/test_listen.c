/* Where the metrics may listen: this machine and nowhere else. */
#include "tests/support/test.h"

#include "daemon/config/listen.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct listen expect(const char *text, enum listen_kind kind)
{
    struct listen l;
    struct fault f = {0};
    if (listen_parse(text, "metrics", &l, &f) != STATUS_OK)
        fail_msg("%s: %s", text, f.text);
    assert_int_equal(l.kind, kind);
    return l;
}

static void expect_refused(const char *text, enum status code)
{
    struct listen l = {.kind = LISTEN_UNIX};
    struct fault f = {0};
    const enum status got = listen_parse(text, "metrics", &l, &f);
    if (got != code)
        fail_msg("\"%s\": %s", text, status_name(got));
    assert_string_equal(f.field, "metrics");
    assert_int_equal(l.kind, LISTEN_UNIX);
}

void test_listen_off_and_paths(void **state)
{
    (void)state;
    char path[LISTEN_PATH_SIZE + 1];
    (void)expect("off", LISTEN_OFF);
    assert_string_equal(expect("/run/lethe/metrics", LISTEN_UNIX).path, "/run/lethe/metrics");
    memset(path, 'p', sizeof path);
    path[0] = '/';
    path[LISTEN_PATH_SIZE - 1] = '\0';
    assert_string_equal(expect(path, LISTEN_UNIX).path, path);
    path[LISTEN_PATH_SIZE - 1] = 'p';
    path[LISTEN_PATH_SIZE] = '\0';
    expect_refused(path, STATUS_INVALID_ARGUMENT);
}

void test_listen_loopback(void **state)
{
    (void)state;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const struct listen a = expect("127.0.0.1:9470", LISTEN_LOOPBACK);
    memcpy(&v4, &a.address, sizeof v4);
    assert_int_equal(v4.sin_family, AF_INET);
    assert_int_equal(ntohs(v4.sin_port), 9470);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), INADDR_LOOPBACK);
    const struct listen b = expect("[::1]:65535", LISTEN_LOOPBACK);
    memcpy(&v6, &b.address, sizeof v6);
    assert_int_equal(v6.sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6.sin6_port), 65535);
    assert_true(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
    (void)expect("127.1.2.3:1", LISTEN_LOOPBACK);
}

void test_listen_nowhere_else(void **state)
{
    (void)state;
    expect_refused("0.0.0.0:9470", STATUS_PERMISSION_DENIED);
    expect_refused("192.168.1.2:9470", STATUS_PERMISSION_DENIED);
    expect_refused("[::]:9470", STATUS_PERMISSION_DENIED);
    expect_refused("[2001:db8::1]:9470", STATUS_PERMISSION_DENIED);
    expect_refused("[::ffff:10.0.0.1]:9470", STATUS_PERMISSION_DENIED);
}

void test_listen_nonsense(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "on",
                                        "9470",
                                        ":9470",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:0",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:94x",
                                        "127.0.0.1:+94",
                                        "127.0.0.1: 94",
                                        "localhost:9470",
                                        "[127.0.0.1:9470",
                                        "tcp://127.0.0.1:9470",
                                        "relative/path"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_refused(texts[i], STATUS_INVALID_ARGUMENT);
}

void test_listen_host_of_any_length(void **state)
{
    (void)state;
    char text[300];
    for (int n = 1; n < 280; n++) {
        (void)snprintf(text, sizeof text, "%0*d:80", n, 1);
        expect_refused(text, STATUS_INVALID_ARGUMENT);
    }
}
