/* The key-value store: folder, locks, transactions, cursors, growth and figures. */
#include "tests/support/store_fixture.h"

#include "storage/kv/kv.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char root[256];
    char folder[300];
};

static void place_make(struct place *p)
{
    test_support_mkdir(p->root);
    (void)snprintf(p->folder, sizeof p->folder, "%s/kv", p->root);
}

static struct kv *open_sized(const struct place *p, uint64_t size, uint64_t max)
{
    struct kv *kv = NULL;
    const struct kv_options o = {
        .folder = p->folder, .map_size = size, .map_max = max, .grow_wait_ms = 200};
    assert_ok(kv_open(&o, &kv, THE_FAULT));
    return kv;
}

static struct kv *open_plain(const struct place *p)
{
    return open_sized(p, 0, 0);
}

static void close_all(struct place *p, struct kv *kv)
{
    kv_close(kv);
    test_support_rmdir(p->root);
}

static struct kv_bytes text(const char *s)
{
    return kv_bytes_of(s, strlen(s));
}

static void put(struct kv *kv, const char *key, const char *value)
{
    struct kv_txn *txn;
    assert_ok(kv_begin(kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(kv_put(txn, KV_META, text(key), text(value), THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
}

static void expect(struct kv *kv, const char *key, const char *value)
{
    struct kv_txn *txn;
    struct kv_bytes v = {0};
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    const enum status st = kv_get(txn, KV_META, text(key), &v, THE_FAULT);
    if (value) {
        assert_int_equal(st, STATUS_OK);
        assert_int_equal(v.size, strlen(value));
        assert_memory_equal(v.data, value, v.size);
    } else {
        assert_int_equal(st, STATUS_NOT_FOUND);
    }
    kv_abort(txn);
}

void test_kv_keeps_what_was_committed(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    put(kv, "a", "1");
    put(kv, "a", "2");
    kv_close(kv);
    kv = open_plain(&p);
    expect(kv, "a", "2");
    expect(kv, "b", NULL);
    close_all(&p, kv);
}

void test_kv_abort_leaves_nothing(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *txn;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    assert_ok(kv_begin(kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(kv_put(txn, KV_META, text("a"), text("1"), THE_FAULT));
    kv_abort(txn);
    expect(kv, "a", NULL);
    close_all(&p, kv);
}

void test_kv_reader_sees_one_moment(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *reader;
    struct kv_bytes v = {0};
    place_make(&p);
    struct kv *kv = open_plain(&p);
    put(kv, "a", "old");
    assert_ok(kv_begin(kv, KV_READ, &reader, THE_FAULT));
    put(kv, "a", "new");
    assert_ok(kv_get(reader, KV_META, text("a"), &v, THE_FAULT));
    assert_memory_equal(v.data, "old", 3);
    kv_abort(reader);
    expect(kv, "a", "new");
    close_all(&p, kv);
}

void test_kv_delete_and_count(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *txn;
    uint64_t n = 99;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    assert_ok(kv_begin(kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(kv_count(txn, KV_PINS, &n, THE_FAULT));
    assert_int_equal(n, 0);
    assert_ok(kv_put(txn, KV_PINS, text("x"), text("1"), THE_FAULT));
    assert_ok(kv_put(txn, KV_PINS, text("y"), text(""), THE_FAULT));
    assert_ok(kv_del(txn, KV_PINS, text("x"), THE_FAULT));
    assert_int_equal(kv_del(txn, KV_PINS, text("x"), THE_FAULT), STATUS_NOT_FOUND);
    assert_ok(kv_count(txn, KV_PINS, &n, THE_FAULT));
    assert_int_equal(n, 1);
    assert_ok(kv_commit(txn, THE_FAULT));
    close_all(&p, kv);
}

void test_kv_files_are_private(void **state)
{
    (void)state;
    struct place p;
    struct stat info;
    char path[600];
    static const char *const FILES[] = {"data.mdb", "lock.mdb", "owner.lock"};
    place_make(&p);
    struct kv *kv = open_plain(&p);
    assert_int_equal(stat(p.folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", p.folder, FILES[i]);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
    close_all(&p, kv);
}

void test_kv_refuses_an_open_folder(void **state)
{
    (void)state;
    struct place p;
    struct kv *kv = NULL;
    place_make(&p);
    assert_int_equal(mkdir(p.folder, 0700), 0);
    assert_int_equal(chmod(p.folder, 0755), 0);
    const struct kv_options o = {.folder = p.folder};
    assert_fault(kv_open(&o, &kv, THE_FAULT), STATUS_FAILED_PRECONDITION, "store");
    assert_null(kv);
    test_support_rmdir(p.root);
}

void test_kv_refuses_a_file_as_folder_and_a_missing_parent(void **state)
{
    (void)state;
    struct place p;
    struct kv *kv = NULL;
    place_make(&p);
    const int fd = open(p.folder, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    struct kv_options o = {.folder = p.folder};
    assert_fault(kv_open(&o, &kv, THE_FAULT), STATUS_FAILED_PRECONDITION, "store");
    o.folder = "/nonexistent-folder-of-lethe/store";
    assert_fault(kv_open(&o, &kv, THE_FAULT), STATUS_NOT_FOUND, "store");
    test_support_rmdir(p.root);
}

void test_kv_refuses_a_second_opener(void **state)
{
    (void)state;
    struct place p;
    struct kv *second = NULL;
    char pid[16];
    place_make(&p);
    struct kv *kv = open_plain(&p);
    const struct kv_options o = {.folder = p.folder};
    assert_fault(kv_open(&o, &second, THE_FAULT), STATUS_STORE_LOCKED, "store");
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_non_null(strstr(the_fault.text, pid));
    put(kv, "still", "works");
    expect(kv, "still", "works");
    kv_close(kv);
    kv = open_plain(&p);
    expect(kv, "still", "works");
    close_all(&p, kv);
}

/* A started program must not inherit any file of the store. */
void test_kv_descriptors_are_close_on_exec(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    size_t seen = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char link[64];
        char target[600];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%.20s", e->d_name);
        const ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (!strstr(target, p.folder))
            continue;
        seen++;
        assert_true(fcntl(atoi(e->d_name), F_GETFD) & FD_CLOEXEC);
    }
    (void)closedir(d);
    assert_true(seen >= 3);
    close_all(&p, kv);
}

/* ---------------------------------------------------------------- cursors */

static void fill_keys(struct kv *kv)
{
    static const char *const KEYS[] = {"a", "ba", "bb", "bc", "b\xff", "b\xff\xff", "c"};
    struct kv_txn *txn;
    assert_ok(kv_begin(kv, KV_WRITE, &txn, THE_FAULT));
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        assert_ok(kv_put(txn, KV_PINS, text(KEYS[i]), text(KEYS[i]), THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
}

/* Joins the keys a cursor gives, in its order. */
static void walk(struct kv *kv, const char *prefix, const char *seek, int back, char to[128])
{
    struct kv_txn *txn;
    struct kv_cursor *c;
    struct kv_bytes k = {0};
    struct kv_bytes v = {0};
    size_t n = 0;
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    assert_ok(kv_cursor_open(txn, KV_PINS, text(prefix), &c, THE_FAULT));
    if (seek)
        kv_cursor_seek(c, text(seek));
    while ((back ? kv_cursor_prev(c, &k, &v, THE_FAULT) : kv_cursor_next(c, &k, &v, THE_FAULT)) ==
           STATUS_OK) {
        assert_memory_equal(k.data, v.data, k.size);
        memcpy(to + n, k.data, k.size);
        n += k.size;
        to[n++] = ' ';
    }
    to[n] = '\0';
    /* The end stays the end. */
    assert_int_equal(kv_cursor_next(c, &k, &v, THE_FAULT), STATUS_NOT_FOUND);
    assert_int_equal(kv_cursor_prev(c, &k, &v, THE_FAULT), STATUS_NOT_FOUND);
    kv_cursor_close(c);
    kv_abort(txn);
}

void test_kv_cursor_walks_a_prefix_both_ways(void **state)
{
    (void)state;
    struct place p;
    char got[128];
    place_make(&p);
    struct kv *kv = open_plain(&p);
    fill_keys(kv);
    walk(kv, "", NULL, 0, got);
    assert_string_equal(got, "a ba bb bc b\xff b\xff\xff c ");
    walk(kv, "", NULL, 1, got);
    assert_string_equal(got, "c b\xff\xff b\xff bc bb ba a ");
    walk(kv, "b", NULL, 0, got);
    assert_string_equal(got, "ba bb bc b\xff b\xff\xff ");
    walk(kv, "b", NULL, 1, got);
    assert_string_equal(got, "b\xff\xff b\xff bc bb ba ");
    walk(kv, "b\xff", NULL, 1, got);
    assert_string_equal(got, "b\xff\xff b\xff ");
    walk(kv, "d", NULL, 0, got);
    assert_string_equal(got, "");
    walk(kv, "\xff", NULL, 1, got);
    assert_string_equal(got, "");
    close_all(&p, kv);
}

void test_kv_cursor_seeks_inside_its_prefix(void **state)
{
    (void)state;
    struct place p;
    char got[128];
    place_make(&p);
    struct kv *kv = open_plain(&p);
    fill_keys(kv);
    walk(kv, "b", "bb", 0, got);
    assert_string_equal(got, "bb bc b\xff b\xff\xff ");
    walk(kv, "b", "bb", 1, got);
    assert_string_equal(got, "ba ");
    walk(kv, "b", "bbb", 0, got);
    assert_string_equal(got, "bc b\xff b\xff\xff ");
    walk(kv, "b", "ba", 1, got);
    assert_string_equal(got, "");
    walk(kv, "", "zz", 1, got);
    assert_string_equal(got, "c b\xff\xff b\xff bc bb ba a ");
    close_all(&p, kv);
}

static enum status
stop_at_bb(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    size_t *n = context;
    (void)value;
    (void)f;
    ++*n;
    return memcmp(key.data, "bb", 2) == 0 ? STATUS_NOT_FOUND : STATUS_OK;
}

void test_kv_scan_passes_on_what_the_callback_says(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *txn;
    size_t n = 0;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    fill_keys(kv);
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    assert_int_equal(kv_scan(txn, KV_PINS, text("b"), stop_at_bb, &n, THE_FAULT), STATUS_NOT_FOUND);
    assert_int_equal(n, 2);
    kv_abort(txn);
    close_all(&p, kv);
}

void test_kv_number_keys_keep_order(void **state)
{
    (void)state;
    static const uint64_t NUMBERS[] = {0, 1, 255, 256, 65535, 1ull << 40, UINT64_MAX};
    uint8_t a[8];
    uint8_t b[8];
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        kv_key_u64(a, NUMBERS[i]);
        assert_true(kv_key_u64_read(a) == NUMBERS[i]);
        if (i) {
            kv_key_u64(b, NUMBERS[i - 1]);
            assert_true(memcmp(b, a, 8) < 0);
        }
    }
}

/* ---------------------------------------------------------------- growth */

struct filling {
    size_t values;
    size_t size;
    int runs;
};

static enum status fill(struct kv_txn *txn, void *context, struct fault *f)
{
    struct filling *x = context;
    static uint8_t bytes[4096];
    x->runs++;
    for (size_t i = 0; i < x->values; i++) {
        uint8_t key[8];
        kv_key_u64(key, i);
        TRY(kv_put(txn, KV_CHUNKS, kv_bytes_of(key, 8), kv_bytes_of(bytes, x->size), f));
    }
    return STATUS_OK;
}

void test_kv_update_grows_the_map(void **state)
{
    (void)state;
    struct place p;
    struct kv_stats s;
    struct filling x = {.values = 500, .size = 4096};
    place_make(&p);
    struct kv *kv = open_sized(&p, KV_MAP_SIZE_MIN, 16 * KV_MAP_SIZE_MIN);
    put(kv, "before", "kept");
    assert_ok(kv_update(kv, fill, &x, THE_FAULT));
    assert_true(x.runs > 1);
    assert_ok(kv_stats(kv, &s, THE_FAULT));
    assert_true(s.map_size > 500 * 4096 && s.map_size <= 16 * KV_MAP_SIZE_MIN);
    expect(kv, "before", "kept");
    /* A store that has grown opens again with a small map. */
    kv_close(kv);
    kv = open_sized(&p, KV_MAP_SIZE_MIN, 16 * KV_MAP_SIZE_MIN);
    expect(kv, "before", "kept");
    close_all(&p, kv);
}

void test_kv_update_stops_at_the_greatest_map(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *txn;
    uint64_t n = 1;
    struct filling x = {.values = 500, .size = 4096};
    place_make(&p);
    struct kv *kv = open_sized(&p, KV_MAP_SIZE_MIN, 3 * KV_MAP_SIZE_MIN);
    assert_fault(kv_update(kv, fill, &x, THE_FAULT), STATUS_RESOURCE_EXHAUSTED, "map_max");
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    assert_ok(kv_count(txn, KV_CHUNKS, &n, THE_FAULT));
    assert_int_equal(n, 0);
    kv_abort(txn);
    put(kv, "small", "fits");
    expect(kv, "small", "fits");
    close_all(&p, kv);
}

void test_kv_growth_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct place p;
    struct kv_txn *reader;
    struct filling x = {.values = 500, .size = 4096};
    place_make(&p);
    struct kv *kv = open_sized(&p, KV_MAP_SIZE_MIN, 16 * KV_MAP_SIZE_MIN);
    assert_ok(kv_begin(kv, KV_READ, &reader, THE_FAULT));
    assert_fault(kv_update(kv, fill, &x, THE_FAULT), STATUS_UNAVAILABLE, "");
    kv_abort(reader);
    assert_ok(kv_update(kv, fill, &x, THE_FAULT));
    close_all(&p, kv);
}

static enum status refuse(struct kv_txn *txn, void *context, struct fault *f)
{
    (void)context;
    TRY(kv_put(txn, KV_META, text("half"), text("done"), f));
    FAIL(f, STATUS_ABORTED, "why", "on purpose");
}

void test_kv_update_undoes_a_failed_change(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    assert_fault(kv_update(kv, refuse, NULL, THE_FAULT), STATUS_ABORTED, "why");
    expect(kv, "half", NULL);
    close_all(&p, kv);
}

/* ---------------------------------------------------------------- threads */

struct crew {
    struct kv *kv;
    unsigned number;
    int stop;
};

static enum status count_up(struct kv_txn *txn, void *context, struct fault *f)
{
    struct crew *crew = context;
    uint8_t key[8];
    static const uint8_t PAGE[4000];
    struct kv_bytes before = {0};
    uint64_t n = 0;
    const enum status st = kv_get(txn, KV_META, text("n"), &before, f);
    if (st == STATUS_OK)
        n = kv_key_u64_read(before.data);
    kv_key_u64(key, n + 1);
    TRY(kv_put(txn, KV_META, text("n"), kv_bytes_of(key, 8), f));
    key[0] = (uint8_t)crew->number;
    return kv_put(txn, KV_CHUNKS, kv_bytes_of(key, 8), kv_bytes_of(PAGE, sizeof PAGE), f);
}

static void *write_many(void *context)
{
    struct crew *crew = context;
    for (size_t i = 0; i < 40; i++) {
        if (kv_update(crew->kv, count_up, crew, NULL) != STATUS_OK)
            return NULL;
    }
    return crew;
}

static void *read_many(void *context)
{
    struct crew *crew = context;
    uint64_t last = 0;
    while (!__atomic_load_n(&crew->stop, __ATOMIC_ACQUIRE)) {
        struct kv_txn *txn;
        struct kv_bytes v = {0};
        uint64_t chunks = 0;
        uint64_t n = 0;
        if (kv_begin(crew->kv, KV_READ, &txn, NULL) != STATUS_OK)
            return NULL;
        if (kv_get(txn, KV_META, text("n"), &v, NULL) == STATUS_OK)
            n = kv_key_u64_read(v.data);
        const int bad = kv_count(txn, KV_CHUNKS, &chunks, NULL) != STATUS_OK;
        kv_abort(txn);
        if (bad || chunks != n || n < last)
            return NULL;
        last = n;
    }
    return crew;
}

/* Two writers and a reader while the map grows several times: no change is lost or half seen. */
void test_kv_threads_while_growing(void **state)
{
    (void)state;
    struct place p;
    pthread_t threads[3];
    place_make(&p);
    struct kv *kv = open_sized(&p, KV_MAP_SIZE_MIN, 64 * KV_MAP_SIZE_MIN);
    struct crew crew[3] = {{kv, 0, 0}, {kv, 1, 0}, {kv, 2, 0}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 2 ? write_many : read_many, &crew[i]), 0);
    for (size_t i = 0; i < 3; i++) {
        void *result = NULL;
        if (i == 2)
            __atomic_store_n(&crew[2].stop, 1, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    struct kv_txn *txn;
    uint64_t n = 0;
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    assert_ok(kv_count(txn, KV_CHUNKS, &n, THE_FAULT));
    kv_abort(txn);
    assert_int_equal(n, 80);
    close_all(&p, kv);
}

/* ---------------------------------------------------------------- figures */

void test_kv_reserve_knows_the_map_and_the_disk(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct kv *kv = open_sized(&p, KV_MAP_SIZE_MIN, 64 * KV_MAP_SIZE_MIN);
    assert_ok(kv_reserve(kv, 1000, THE_FAULT));
    assert_fault(kv_reserve(kv, 64 * KV_MAP_SIZE_MIN, THE_FAULT), STATUS_RESOURCE_EXHAUSTED,
                 "store");
    assert_fault(kv_reserve(kv, UINT64_MAX, THE_FAULT), STATUS_RESOURCE_EXHAUSTED, "store");
    kv_close(kv);
    kv = open_sized(&p, KV_MAP_SIZE_MIN, (uint64_t)1 << 60);
    assert_fault(kv_reserve(kv, (uint64_t)1 << 59, THE_FAULT), STATUS_NO_SPACE, "store");
    close_all(&p, kv);
}

void test_kv_stats_count_readers_and_space(void **state)
{
    (void)state;
    struct place p;
    struct kv_stats s;
    struct kv_txn *reader;
    place_make(&p);
    struct kv *kv = open_plain(&p);
    assert_ok(kv_stats(kv, &s, THE_FAULT));
    assert_int_equal(s.readers, 0);
    assert_true(s.live > 0 && s.live <= s.file_used && s.file_used <= s.map_size);
    assert_true(s.map_size == KV_MAP_SIZE_DEFAULT && s.map_max == KV_MAP_MAX_DEFAULT);
    const uint64_t before = s.last_txn;
    assert_ok(kv_begin(kv, KV_READ, &reader, THE_FAULT));
    put(kv, "a", "1");
    put(kv, "a", "2");
    assert_ok(kv_stats(kv, &s, THE_FAULT));
    assert_int_equal(s.readers, 1);
    assert_int_equal(s.last_txn, before + 2);
    assert_int_equal(s.reader_lag, 2);
    kv_abort(reader);
    close_all(&p, kv);
}

void test_kv_refuses_a_tiny_map(void **state)
{
    (void)state;
    struct place p;
    struct kv *kv = NULL;
    place_make(&p);
    const struct kv_options o = {.folder = p.folder, .map_max = 4096};
    assert_fault(kv_open(&o, &kv, THE_FAULT), STATUS_INVALID_ARGUMENT, "map_max");
    test_support_rmdir(p.root);
}

void test_kv_refuses_too_many_readers(void **state)
{
    (void)state;
    struct place p;
    struct kv *kv = NULL;
    struct kv_txn *readers[4];
    struct kv_txn *more = NULL;
    place_make(&p);
    const struct kv_options o = {.folder = p.folder, .readers_max = 4};
    assert_ok(kv_open(&o, &kv, THE_FAULT));
    for (size_t i = 0; i < 4; i++)
        assert_ok(kv_begin(kv, KV_READ, &readers[i], THE_FAULT));
    assert_fault(kv_begin(kv, KV_READ, &more, THE_FAULT), STATUS_RESOURCE_EXHAUSTED, "");
    for (size_t i = 0; i < 4; i++)
        kv_abort(readers[i]);
    assert_ok(kv_begin(kv, KV_READ, &more, THE_FAULT));
    kv_abort(more);
    close_all(&p, kv);
}
