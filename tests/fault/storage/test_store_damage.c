/*
 * Damaged files: truncated, overwritten, emptied, removed, another process's, a newer format.  The
 * answer is an error with a clear text; never a crash, never a new empty store in their place.
 */
#include "tests/support/store_fixture.h"

#include "daemon/base/rng.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE   4096u
#define ROUNDS 400u

/* A store with some of everything, closed; its data file as bytes. */
static uint8_t *make(struct store_fixture *x, char path[400], size_t *ret_size)
{
    unsigned char *bytes = NULL;
    const struct request_id erasures[] = {fixture_id(1), fixture_id(2)};
    fixture_open(x);
    (void)fixture_version(x, NULL, 0);
    (void)fixture_version(x, erasures, 2);
    for (unsigned n = 1; n <= 30; n++)
        fixture_enqueue(x, n);
    store_close(x->store);
    x->store = NULL;
    (void)snprintf(path, 400, "%s/data.mdb", x->folder);
    assert_ok(sysio_read_file(path, 64 << 20, &bytes, ret_size, THE_FAULT));
    return bytes;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    struct stat info;
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    /* Only when needed: some file systems flush a truncated file, which makes these tests slow. */
    if ((size_t)info.st_size != n)
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

static enum status try_open(struct store_fixture *x)
{
    const struct kv_options o = {
        .folder = x->folder, .map_size = FIXTURE_MAP, .map_max = FIXTURE_MAP};
    memset(&the_fault, 0, sizeof the_fault);
    return store_open(&o, &x->store, THE_FAULT);
}

/* Opens a store with these bytes as its data file; it must be refused as damaged. */
static void expect_damage(struct store_fixture *x, const char *path, const void *bytes, size_t n)
{
    write_file(path, bytes, n);
    const enum status st = try_open(x);
    assert_string_equal(status_name(st), "DATA_LOSS");
    assert_true(the_fault.text[0] != '\0');
    assert_null(x->store);
}

void test_store_damage_truncated_anywhere(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    size_t n = 0;
    uint8_t *bytes = make(&x, path, &n);
    for (size_t cut = 0; cut < n; cut += cut < 3 * PAGE ? 499 : 3 * PAGE + 17)
        expect_damage(&x, path, bytes, cut);
    expect_damage(&x, path, bytes, n - 1);
    write_file(path, bytes, n);
    fixture_reopen(&x);
    assert_int_equal(fixture_check(&x).requests, 30);
    sysio_free(bytes);
    fixture_close(&x);
}

void test_store_damage_lost_data_file_is_no_new_store(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    size_t n = 0;
    sysio_free(make(&x, path, &n));
    assert_int_equal(unlink(path), 0);
    assert_string_equal(status_name(try_open(&x)), "DATA_LOSS");
    write_file(path, "", 0);
    assert_string_equal(status_name(try_open(&x)), "DATA_LOSS");
    fixture_close(&x);
}

/* Making the store was cut off before its first transaction: it is made again. */
void test_store_damage_unfinished_making(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    static const uint8_t ZEROS[4096];
    memset(&x, 0, sizeof x);
    test_support_mkdir(x.root);
    (void)snprintf(x.folder, sizeof x.folder, "%s/store", x.root);
    (void)snprintf(path, sizeof path, "%s/data.mdb", x.folder);
    assert_int_equal(mkdir(x.folder, 0700), 0);
    write_file(path, ZEROS, sizeof ZEROS);
    fixture_reopen(&x);
    fixture_enqueue(&x, 1);
    fixture_reopen(&x);
    assert_int_equal(fixture_check(&x).requests, 1);
    fixture_close(&x);
}

void test_store_damage_foreign_files(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    size_t n = 0;
    uint8_t *bytes = make(&x, path, &n);
    memset(bytes, 0, n);
    expect_damage(&x, path, bytes, n);
    memset(bytes, 0xff, n);
    expect_damage(&x, path, bytes, n);
    memcpy(bytes, "SQLite format 3", 16);
    expect_damage(&x, path, bytes, n);
    sysio_free(bytes);
    fixture_close(&x);
}

/* Both meta pages, each byte that LMDB reads: refused, or (free bytes) opened as before. */
void test_store_damage_meta_pages_byte_by_byte(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    size_t n = 0;
    size_t refused = 0;
    uint8_t *bytes = make(&x, path, &n);
    for (size_t page = 0; page < 2; page++) {
        for (size_t i = 8; i < 152; i++) {
            uint8_t *p = bytes + page * PAGE + i;
            const uint8_t before = *p;
            *p = (uint8_t)(before ^ 0xa5);
            write_file(path, bytes, n);
            const enum status st = try_open(&x);
            refused += st != STATUS_OK;
            store_close(x.store);
            x.store = NULL;
            *p = before;
        }
    }
    assert_true(refused > 60);
    sysio_free(bytes);
    fixture_close(&x);
}

/*
 * Pages overwritten at random, in whole or in single bytes.  Opening says DATA_LOSS, or the check
 * of the store ends with findings or without: whatever it is, the process lives.
 */
void test_store_damage_random_pages(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    size_t n = 0;
    size_t refused = 0;
    size_t found = 0;
    struct rng rng;
    const struct rng_root root = {.seed = 7};
    uint8_t *bytes = make(&x, path, &n);
    uint8_t *copy = sysio_alloc(n, 1);
    rng_init(&rng, &root, "damage", 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct fsck_counts counts = {0};
        /* Whole pages, runs of up to 200 bytes, single bytes. */
        const size_t length = round % 3 == 0 ? PAGE : round % 3 == 1 ? rng_below(&rng, 200) + 1 : 1;
        size_t at = 2 * PAGE + (size_t)rng_below(&rng, n - 3 * PAGE);
        if (length == PAGE)
            at -= at % PAGE;
        memcpy(copy, bytes, n);
        for (size_t i = 0; i < length; i++)
            copy[at + i] = (uint8_t)rng_u64(&rng);
        write_file(path, copy, n);
        if (try_open(&x) != STATUS_OK) {
            assert_true(the_fault.text[0] != '\0');
            refused++;
            continue;
        }
        const enum status st = fsck_run(x.store, NULL, NULL, &counts, THE_FAULT);
        found += st != STATUS_OK || counts.findings > 0;
        store_close(x.store);
        x.store = NULL;
    }
    print_message("%zu refused at opening, %zu found by the check, of %u\n", refused, found,
                  ROUNDS);
    assert_true(refused > ROUNDS / 10 && found > 0);
    sysio_free(copy);
    sysio_free(bytes);
    fixture_close(&x);
}

void test_store_damage_lock_file_does_not_matter(void **state)
{
    (void)state;
    struct store_fixture x;
    char path[400];
    char lock[400];
    size_t n = 0;
    sysio_free(make(&x, path, &n));
    (void)snprintf(lock, sizeof lock, "%s/lock.mdb", x.folder);
    write_file(lock, "garbage garbage garbage", 23);
    fixture_reopen(&x);
    store_close(x.store);
    x.store = NULL;
    assert_int_equal(unlink(lock), 0);
    fixture_reopen(&x);
    assert_int_equal(fixture_check(&x).requests, 30);
    fixture_close(&x);
}

void test_store_damage_record_of_a_request_is_an_error(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_fixture k;
    struct queue_record q;
    const struct request_id id = fixture_id(1);
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    store_close(x.store);
    x.store = NULL;
    const struct kv_options o = {.folder = x.folder, .map_size = FIXTURE_MAP};
    assert_ok(kv_open(&o, &k.kv, THE_FAULT));
    assert_ok(kv_begin(k.kv, KV_WRITE, &k.txn, THE_FAULT));
    kv_fixture_damage(&k, KV_REQUESTS, kv_bytes_of(id.b, sizeof id.b), 0);
    assert_ok(kv_commit(k.txn, THE_FAULT));
    kv_close(k.kv);
    fixture_reopen(&x);
    assert_fault(store_read_request(x.store, &id, &q, THE_FAULT), STATUS_DATA_LOSS, "requests");
    assert_fault(fixture_move(&x, 1, REQUEST_EVENT_START), STATUS_DATA_LOSS, "requests");
    fixture_close(&x);
}
