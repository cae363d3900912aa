/*
 * The server when memory or files fail: opening it reports the failure and leaves nothing behind;
 * once it serves, a call that meets a failure is answered with an error or lost, and the next one
 * is served.
 */
#include "tests/support/serve_fixture.h"

#include "daemon/base/sysio.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

/* Files in the fixture's folder that are not lock files. */
static size_t count_files(const struct fixture *x)
{
    size_t n = 0;
    DIR *folder = opendir(x->folder);
    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder));)
        n += e->d_name[0] != '.' && !strstr(e->d_name, ".lock");
    (void)closedir(folder);
    return n;
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    (void)closedir(folder);
    return n;
}

/* The 1st, 2nd, ... call of a kind fails until opening succeeds; at least `least` of them count. */
static void check_open(enum sysio_call kind, int errnum, enum status code, size_t least)
{
    struct fixture x;
    start(&x);
    const size_t descriptors = count_descriptors();
    for (uint64_t n = 1;; n++) {
        struct fault f = {0};
        sysio_fail_at(kind, n, 1, errnum);
        const enum status got = server_open(&x.options, &x.server, &f);
        sysio_fail_at(kind, 0, 0, 0);
        if (got == STATUS_OK) {
            assert_true(n > least);
            break;
        }
        assert_int_equal(got, code);
        assert_true(f.text[0] != '\0');
        assert_null(x.server);
        assert_int_equal(count_files(&x), 0);
        assert_int_equal(count_descriptors(), descriptors);
    }
    assert_int_equal(server_start(x.server, &x.core, NULL), STATUS_OK);
    check_serving(&x);
    finish(&x);
}

void test_server_faults_opening_without_memory(void **state)
{
    (void)state;
    check_open(SYSIO_ALLOC, ENOMEM, STATUS_NO_MEMORY, 3);
}

void test_server_faults_opening_without_files(void **state)
{
    (void)state;
    check_open(SYSIO_OPEN, EACCES, STATUS_PERMISSION_DENIED, 2);
    check_open(SYSIO_OPEN, EMFILE, STATUS_IO_ERROR, 2);
    check_open(SYSIO_OPEN, ENOSPC, STATUS_NO_SPACE, 2);
}

/* One call during which the n-th call of a kind fails; false: nothing failed any more. */
static bool check_call(struct fixture *x, enum sysio_call kind, uint64_t n)
{
    struct client c;
    const uint64_t sizes[] = {3};
    struct wire_envelope m = envelope(WIRE_KIND_PREDICT, 1);
    m.frame_bytes = sizes;
    m.n_frames = 1;
    client_open(x, &c);
    check_serving(x);
    const uint64_t before = sysio_count(kind);
    sysio_fail_at(kind, n, 1, ENOMEM);
    client_wait(&c, 200);
    send_envelope(&c, &m, 1);
    send_bytes(&c, "abc", 3, 0);
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, c.socket, 0) >= 0) {
        const struct wire_reply *reply;
        assert_int_equal(
            wire_reply_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &c.arena, &reply, NULL),
            STATUS_OK);
        if (reply->error)
            assert_string_equal(reply->error->code, "RESOURCE_EXHAUSTED");
    }
    (void)zmq_msg_close(&frame);
    const bool failed = sysio_count(kind) - before >= n;
    sysio_fail_at(kind, 0, 0, 0);
    client_close(&c);
    check_serving(x);
    return failed;
}

void test_server_faults_serving_without_memory(void **state)
{
    (void)state;
    static const enum sysio_call kinds[] = {SYSIO_ALLOC, SYSIO_MMAP};
    struct fixture x;
    start(&x);
    open_server(&x);
    for (size_t i = 0; i < 2; i++) {
        uint64_t n = 1;
        while (check_call(&x, kinds[i], n))
            n++;
        assert_true(n > 1);
    }
    struct server_stats stats;
    server_stats(x.server, &stats);
    assert_true(stats.dropped > 0);
    assert_int_equal(stats.open_calls, 0);
    assert_int_equal(stats.open_bytes, 0);
    finish(&x);
}
