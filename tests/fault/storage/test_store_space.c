/*
 * A full disk: a limit on the size of files stands in for it everywhere, and a small file system of
 * its own where the test may mount one.  A change that does not fit is refused whole; when there is
 * room again, the store goes on.
 */
#include "tests/support/store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status store_blob(struct store_fixture *x, unsigned n, size_t size)
{
    uint8_t *bytes = sysio_alloc(size, 1);
    assert_non_null(bytes);
    memset(bytes, (int)n, size);
    memcpy(bytes, &n, sizeof n);
    const struct store_blob blob = {BLOB_OTHER, bytes, size};
    const struct store_change c = {.now_us = ++x->now_us, .blobs = &blob, .n_blobs = 1};
    memset(&the_fault, 0, sizeof the_fault);
    const enum status st = store_commit(x->store, &c, NULL, THE_FAULT);
    sysio_free(bytes);
    return st;
}

/* Fills until refused; the number of blobs that fitted. */
static unsigned fill(struct store_fixture *x, size_t size)
{
    for (unsigned n = 1; n < 200; n++) {
        const enum status st = store_blob(x, n, size);
        if (st == STATUS_OK)
            continue;
        assert_string_equal(status_name(st), "NO_SPACE");
        assert_true(the_fault.text[0] != '\0');
        return n - 1;
    }
    fail_msg("the disk never became full");
    return 0;
}

void test_store_space_file_size_limit(void **state)
{
    (void)state;
    struct store_fixture x;
    struct rlimit before;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = before;
    small.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const unsigned fitted = fill(&x, 100000);
    assert_true(fitted > 2);
    assert_int_equal(fixture_check(&x).blobs, fitted);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_ok(store_blob(&x, 500, 100000));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    fixture_reopen(&x);
    const struct fsck_counts counts = fixture_check(&x);
    assert_int_equal(counts.blobs, fitted + 1);
    assert_int_equal(counts.requests, 1);
    fixture_close(&x);
}

void test_store_space_full_file_system(void **state)
{
    (void)state;
    struct store_fixture x;
    char disk[300];
    memset(&x, 0, sizeof x);
    test_support_mkdir(x.root);
    (void)snprintf(disk, sizeof disk, "%s/disk", x.root);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (geteuid() != 0 || mount("tmpfs", disk, "tmpfs", 0, "size=2m,mode=0700") != 0) {
        print_message("no right to mount a file system: skipped\n");
        test_support_rmdir(x.root);
        skip();
    }
    (void)snprintf(x.folder, sizeof x.folder, "%.250s/store", disk);
    x.now_us = 1;
    fixture_reopen(&x);
    fixture_enqueue(&x, 1);
    const unsigned fitted = fill(&x, 100000);
    assert_true(fitted > 5);
    assert_fault(store_reserve(x.store, 200000, THE_FAULT), STATUS_NO_SPACE, "store");
    assert_int_equal(fixture_check(&x).blobs, fitted);
    /* Reading goes on, and so does a restart on the full disk. */
    fixture_reopen(&x);
    assert_int_equal(fixture_check(&x).requests, 1);
    assert_int_equal(mount("tmpfs", disk, "tmpfs", MS_REMOUNT, "size=8m"), 0);
    assert_ok(store_blob(&x, 500, 100000));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    assert_int_equal(fixture_check(&x).blobs, fitted + 1);
    store_close(x.store);
    assert_int_equal(umount2(disk, MNT_DETACH), 0);
    test_support_rmdir(x.root);
}
