/*
 * Socket files: who may use them, a second daemon on the same path, what a dead daemon left, and
 * addresses that cannot be served.
 */
#include "tests/support/serve_fixture.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ------------------------------------------------------------ endpoints */

static void expect_open(struct fixture *x, enum status code, const char *field)
{
    struct fault f = {0};
    struct server *second = NULL;
    const enum status got = server_open(&x->options, &second, &f);
    if (got != code)
        fail_msg("%s: %s: %s", status_name(got), f.field, f.text);
    assert_null(second);
    assert_string_equal(f.field, field);
}

void test_server_second_daemon_on_the_socket_is_refused(void **state)
{
    (void)state;
    struct fixture x;
    start(&x);
    open_server(&x);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint");
    char elsewhere[320];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s2", x.endpoint);
    x.options.endpoint = elsewhere;
    expect_open(&x, STATUS_ALREADY_EXISTS, "events_endpoint");
    check_serving(&x);
    finish(&x);
}

static void leave_socket(const char *path, int listening, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    *ret_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(*ret_fd >= 0);
    assert_int_equal(bind(*ret_fd, (const struct sockaddr *)&address, sizeof address), 0);
    if (listening)
        assert_int_equal(listen(*ret_fd, 1), 0);
}

void test_server_replaces_the_socket_of_a_dead_daemon_only(void **state)
{
    (void)state;
    struct fixture x;
    int fd;
    start(&x);
    const char *path = x.endpoint + strlen("ipc://");
    leave_socket(path, 1, &fd);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint"); /* another program listens */
    assert_int_equal(access(path, F_OK), 0);
    (void)close(fd);
    open_server(&x); /* nobody does any more */
    check_serving(&x);
    server_close(x.server);
    x.server = NULL;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    expect_open(&x, STATUS_ALREADY_EXISTS, "endpoint"); /* not a socket */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    open_server(&x);
    check_serving(&x);
    finish(&x);
}

void test_server_socket_files_are_for_owner_and_group(void **state)
{
    (void)state;
    struct fixture x;
    struct stat info;
    start(&x);
    open_server(&x);
    const char *paths[] = {x.endpoint + 6, x.events + 6};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(paths[i], &info), 0);
        assert_int_equal(info.st_mode & 07777, 0660);
    }
    server_close(x.server);
    x.server = NULL;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(access(paths[i], F_OK), -1);
    finish(&x);
}

void test_server_refuses_endpoints_it_cannot_use(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        enum status code;
    } cases[] = {{"tcp://127.0.0.1:5555", STATUS_INVALID_ARGUMENT},
                 {"inproc://x", STATUS_INVALID_ARGUMENT},
                 {"", STATUS_INVALID_ARGUMENT},
                 {"ipc://", STATUS_INVALID_ARGUMENT},
                 {"ipc://@abstract", STATUS_INVALID_ARGUMENT},
                 {"ipc://relative/path", STATUS_INVALID_ARGUMENT},
                 {"ipc://*", STATUS_INVALID_ARGUMENT},
                 {"ipc:///no/such/folder/anywhere/s", STATUS_NOT_FOUND}};
    struct fixture x;
    start(&x);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        x.options.endpoint = cases[i].endpoint;
        expect_open(&x, cases[i].code, "endpoint");
    }
    char longest[300];
    (void)snprintf(longest, sizeof longest, "ipc:///%0200d", 0);
    x.options.endpoint = longest;
    expect_open(&x, STATUS_INVALID_ARGUMENT, "endpoint");
    x.options.endpoint = x.events;
    expect_open(&x, STATUS_INVALID_ARGUMENT, "events_endpoint");
    finish(&x);
}
