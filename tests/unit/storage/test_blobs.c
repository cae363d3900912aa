/* Chunks, extents and blobs: round trips at the boundaries, damage found, same bytes stored once.
 */
#include "tests/support/store_fixture.h"

#include "storage/blobs/blobs.h"
#include "storage/vault/data_keys.h"

static uint8_t *pattern(size_t n, unsigned seed)
{
    uint8_t *p = sysio_alloc(n, 1);
    assert_non_null(p);
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
    return p;
}

void test_blobs_round_trip_at_chunk_boundaries(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0,
                                   1,
                                   CHUNK_CONTENT_MAX - 1,
                                   CHUNK_CONTENT_MAX,
                                   CHUNK_CONTENT_MAX + 1,
                                   3 * CHUNK_CONTENT_MAX,
                                   3 * CHUNK_CONTENT_MAX + 77};
    struct kv_fixture x;
    kv_fixture_open(&x);
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        const size_t n = SIZES[i];
        uint8_t *bytes = pattern(n, (unsigned)i);
        struct digest d = {0};
        struct blob_info info = {0};
        void *back = NULL;
        size_t size = 0;
        assert_ok(blob_put(x.txn, BLOB_COMPONENT, bytes, n, &d, THE_FAULT));
        const struct digest expected = seal_hash(bytes, n);
        assert_true(digest_equal(&d, &expected));
        assert_ok(blob_stat(x.txn, &d, &info, THE_FAULT));
        assert_int_equal(info.size, n);
        assert_int_equal(info.chunks, (n + CHUNK_CONTENT_MAX - 1) / CHUNK_CONTENT_MAX);
        assert_int_equal(info.kind, BLOB_COMPONENT);
        assert_ok(blob_load(x.txn, &d, n, &back, &size, THE_FAULT));
        assert_int_equal(size, n);
        assert_true(n == 0 || memcmp(back, bytes, n) == 0);
        assert_ok(blob_verify(x.txn, &d, THE_FAULT));
        sysio_free(back);
        sysio_free(bytes);
    }
    kv_fixture_close(&x);
}

void test_blobs_same_bytes_are_stored_once(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest a;
    struct digest b;
    uint64_t chunks = 0;
    struct blob_info info;
    kv_fixture_open(&x);
    assert_ok(blob_put(x.txn, BLOB_PIXELS, "same", 4, &a, THE_FAULT));
    assert_ok(blob_put(x.txn, BLOB_REPORT, "same", 4, &b, THE_FAULT));
    assert_true(digest_equal(&a, &b));
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 1);
    assert_ok(blob_stat(x.txn, &a, &info, THE_FAULT));
    assert_int_equal(info.kind, BLOB_PIXELS);
    kv_fixture_close(&x);
}

void test_blobs_delete_takes_all_chunks(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    uint64_t chunks = 1;
    int there = 1;
    kv_fixture_open(&x);
    uint8_t *bytes = pattern(3 * CHUNK_CONTENT_MAX, 4);
    assert_ok(blob_put(x.txn, BLOB_OTHER, bytes, 3 * CHUNK_CONTENT_MAX, &d, THE_FAULT));
    assert_ok(blob_delete(x.txn, &d, THE_FAULT));
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 0);
    assert_ok(blob_exists(x.txn, &d, &there, THE_FAULT));
    assert_false(there);
    assert_fault(blob_delete(x.txn, &d, THE_FAULT), STATUS_NOT_FOUND, "blob");
    sysio_free(bytes);
    kv_fixture_close(&x);
}

/* Any byte of any stored chunk turned over is found, wherever it is. */
void test_blobs_find_every_kind_of_damage(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    const size_t n = CHUNK_CONTENT_MAX + 500;
    uint8_t key[KV_KEY_MAX];
    uint8_t *back = sysio_alloc(n, 1);
    kv_fixture_open(&x);
    uint8_t *bytes = pattern(n, 9);
    assert_ok(blob_put(x.txn, BLOB_OTHER, bytes, n, &d, THE_FAULT));
    static const size_t PLACES[] = {0, 1, 16, 17, 100, 516};
    for (size_t chunk = 0; chunk < 2; chunk++) {
        const struct kv_bytes k = kv_bytes_of(key, kv_fixture_key(&x, KV_CHUNKS, chunk, key));
        for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
            kv_fixture_damage(&x, KV_CHUNKS, k, PLACES[i]);
            assert_fault(blob_read(x.txn, &d, back, n, THE_FAULT), STATUS_DATA_LOSS, "chunk");
            assert_fault(blob_verify(x.txn, &d, THE_FAULT), STATUS_DATA_LOSS, "chunk");
            kv_fixture_damage(&x, KV_CHUNKS, k, PLACES[i]);
            assert_ok(blob_read(x.txn, &d, back, n, THE_FAULT));
        }
    }
    const struct kv_bytes last = kv_bytes_of(key, kv_fixture_key(&x, KV_CHUNKS, 1, key));
    assert_ok(kv_del(x.txn, KV_CHUNKS, last, THE_FAULT));
    assert_fault(blob_read(x.txn, &d, back, n, THE_FAULT), STATUS_DATA_LOSS, "chunk");
    sysio_free(back);
    sysio_free(bytes);
    kv_fixture_close(&x);
}

/* A chunk that is sound but in the wrong place does not open: swap two, and two blobs' extents. */
void test_blobs_swapped_chunks_do_not_open(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    uint8_t keys[2][KV_KEY_MAX];
    uint8_t values[2][CHUNK_STORED_MAX];
    struct kv_bytes v = {0};
    const size_t n = 2 * CHUNK_CONTENT_MAX;
    size_t key_size = 0;
    kv_fixture_open(&x);
    uint8_t *bytes = pattern(n, 5);
    assert_ok(blob_put(x.txn, BLOB_OTHER, bytes, n, &d, THE_FAULT));
    for (size_t i = 0; i < 2; i++) {
        key_size = kv_fixture_key(&x, KV_CHUNKS, i, keys[i]);
        assert_ok(kv_get(x.txn, KV_CHUNKS, kv_bytes_of(keys[i], key_size), &v, THE_FAULT));
        memcpy(values[i], v.data, v.size);
    }
    for (size_t i = 0; i < 2; i++)
        assert_ok(kv_put(x.txn, KV_CHUNKS, kv_bytes_of(keys[i], key_size),
                         kv_bytes_of(values[1 - i], v.size), THE_FAULT));
    assert_fault(blob_verify(x.txn, &d, THE_FAULT), STATUS_DATA_LOSS, "chunk");
    sysio_free(bytes);
    kv_fixture_close(&x);
}

/* Record and chunks sound, but the content is another blob's: only the digest can tell. */
void test_blobs_wrong_content_under_a_name(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest a;
    struct digest b;
    struct kv_bytes record = {0};
    uint8_t copy[64];
    char back[4];
    kv_fixture_open(&x);
    assert_ok(blob_put(x.txn, BLOB_OTHER, "aaaa", 4, &a, THE_FAULT));
    assert_ok(blob_put(x.txn, BLOB_OTHER, "bbbb", 4, &b, THE_FAULT));
    assert_ok(kv_get(x.txn, KV_BLOBS, kv_bytes_of(b.b, DIGEST_SIZE), &record, THE_FAULT));
    memcpy(copy, record.data, record.size);
    assert_ok(kv_put(x.txn, KV_BLOBS, kv_bytes_of(a.b, DIGEST_SIZE), kv_bytes_of(copy, record.size),
                     THE_FAULT));
    assert_fault(blob_read(x.txn, &a, back, 4, THE_FAULT), STATUS_DATA_LOSS, "blob");
    assert_fault(blob_verify(x.txn, &a, THE_FAULT), STATUS_DATA_LOSS, "blob");
    assert_ok(blob_verify(x.txn, &b, THE_FAULT));
    kv_fixture_close(&x);
}

void test_blobs_damaged_records_are_refused(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    struct blob_info info;
    kv_fixture_open(&x);
    assert_ok(blob_put(x.txn, BLOB_OTHER, "aaaa", 4, &d, THE_FAULT));
    const struct kv_bytes key = kv_bytes_of(d.b, DIGEST_SIZE);
    kv_fixture_falsify(&x, KV_BLOBS, key, 0);
    assert_fault(blob_stat(x.txn, &d, &info, THE_FAULT), STATUS_DATA_LOSS, "blob");
    kv_fixture_falsify(&x, KV_BLOBS, key, 0);
    kv_fixture_falsify(&x, KV_BLOBS, key, 9); /* highest byte of the size */
    assert_fault(blob_stat(x.txn, &d, &info, THE_FAULT), STATUS_DATA_LOSS, "blob");
    assert_ok(kv_put(x.txn, KV_BLOBS, key, kv_bytes_of("x", 1), THE_FAULT));
    assert_fault(blob_stat(x.txn, &d, &info, THE_FAULT), STATUS_DATA_LOSS, "blob");
    kv_fixture_close(&x);
}

void test_blobs_limits_and_absence(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    struct blob_info info;
    void *bytes = NULL;
    size_t n = 0;
    char four[4];
    const struct digest absent = seal_hash("absent", 6);
    kv_fixture_open(&x);
    assert_fault(blob_stat(x.txn, &absent, &info, THE_FAULT), STATUS_NOT_FOUND, "blob");
    assert_ok(blob_put(x.txn, BLOB_OTHER, "12345", 5, &d, THE_FAULT));
    assert_fault(blob_load(x.txn, &d, 4, &bytes, &n, THE_FAULT), STATUS_RESOURCE_EXHAUSTED, "blob");
    assert_null(bytes);
    assert_fault(blob_read(x.txn, &d, four, 4, THE_FAULT), STATUS_BAD_FORMAT, "blob");
    kv_fixture_close(&x);
}

void test_blobs_ranges_equal_the_whole(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    struct extent_reader r;
    const size_t n = 2 * CHUNK_CONTENT_MAX + 1000;
    uint8_t part[3000];
    kv_fixture_open(&x);
    uint8_t *bytes = pattern(n, 6);
    assert_ok(blob_put(x.txn, BLOB_PIXELS, bytes, n, &d, THE_FAULT));
    assert_ok(blob_reader_init(&r, x.txn, &d, THE_FAULT));
    for (size_t at = 0; at + sizeof part <= n; at += 1777) {
        assert_ok(extent_read(&r, at, part, sizeof part, THE_FAULT));
        assert_memory_equal(part, bytes + at, sizeof part);
    }
    assert_ok(extent_read(&r, n, part, 0, THE_FAULT));
    assert_fault(extent_read(&r, n - 10, part, 11, THE_FAULT), STATUS_OUT_OF_RANGE, "offset");
    assert_fault(extent_read(&r, UINT64_MAX, part, 2, THE_FAULT), STATUS_OUT_OF_RANGE, "offset");
    extent_reader_fini(&r);
    sysio_free(bytes);
    kv_fixture_close(&x);
}

/* However the pieces are cut, the stored chunks and the content are the same. */
void test_extents_append_in_any_pieces(void **state)
{
    (void)state;
    static const size_t CUTS[] = {1000, CHUNK_CONTENT_MAX, CHUNK_CONTENT_MAX + 1, 100000};
    struct kv_fixture x;
    const size_t n = 3 * CHUNK_CONTENT_MAX + 123;
    uint8_t *bytes = pattern(n, 7);
    const struct digest expected = seal_hash(bytes, n);
    kv_fixture_open(&x);
    for (size_t i = 0; i < sizeof CUTS / sizeof *CUTS; i++) {
        struct extent e = extent_make();
        struct digest d = {0};
        uint64_t chunks = 0;
        for (size_t at = 0; at < n; at += CUTS[i])
            assert_ok(extent_append(x.txn, &e, bytes + at, n - at < CUTS[i] ? n - at : CUTS[i],
                                    THE_FAULT));
        assert_int_equal(e.size, n);
        assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
        assert_int_equal(chunks, 4);
        assert_ok(extent_digest(x.txn, &e, &d, THE_FAULT));
        assert_true(digest_equal(&d, &expected));
        assert_ok(extent_delete(x.txn, &e, THE_FAULT));
        assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
        assert_int_equal(chunks, 0);
    }
    sysio_free(bytes);
    kv_fixture_close(&x);
}

void test_blobs_adopt_checks_the_declared_digest(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct extent e = extent_make();
    const struct digest right = seal_hash("content", 7);
    const struct digest wrong = seal_hash("something else", 14);
    struct blob_info info;
    uint64_t chunks = 0;
    kv_fixture_open(&x);
    assert_ok(extent_append(x.txn, &e, "content", 7, THE_FAULT));
    assert_fault(blob_adopt(x.txn, BLOB_PIXELS, &e, &wrong, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "digest");
    assert_ok(blob_adopt(x.txn, BLOB_PIXELS, &e, &right, THE_FAULT));
    assert_ok(blob_stat(x.txn, &right, &info, THE_FAULT));
    assert_int_equal(info.size, 7);
    /* A second upload of the same content leaves no second copy. */
    struct extent again = extent_make();
    assert_ok(extent_append(x.txn, &again, "content", 7, THE_FAULT));
    assert_ok(blob_adopt(x.txn, BLOB_PIXELS, &again, &right, THE_FAULT));
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 1);
    kv_fixture_close(&x);
}

static enum status sum_sizes(const struct blob_info *info, void *context, struct fault *f)
{
    uint64_t *sum = context;
    (void)f;
    *sum += info->size;
    return STATUS_OK;
}

void test_blobs_list_names_all(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    uint64_t sum = 0;
    kv_fixture_open(&x);
    assert_ok(blob_put(x.txn, BLOB_OTHER, "1", 1, &d, THE_FAULT));
    assert_ok(blob_put(x.txn, BLOB_OTHER, "22", 2, &d, THE_FAULT));
    assert_ok(blob_put(x.txn, BLOB_OTHER, "4444", 4, &d, THE_FAULT));
    assert_ok(blob_list(x.txn, sum_sizes, &sum, THE_FAULT));
    assert_int_equal(sum, 7);
    kv_fixture_close(&x);
}

/* What was given up keeps its name and size, has no content and no key, and can come again. */
void test_blobs_destroyed(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    struct digest again;
    struct blob_info info;
    struct extent_reader r;
    struct seal_key key;
    char back[5];
    int there = 1;
    uint64_t n = 1;
    kv_fixture_open(&x);
    assert_ok(blob_put(x.txn, BLOB_COMPONENT, "aaaa", 5, &d, THE_FAULT));
    assert_ok(blob_stat(x.txn, &d, &info, THE_FAULT));
    const struct extent e = info.extent;
    assert_ok(blob_destroy(x.txn, &d, THE_FAULT));
    assert_ok(blob_destroy(x.txn, &d, THE_FAULT));
    assert_ok(blob_stat(x.txn, &d, &info, THE_FAULT));
    assert_true(info.destroyed && info.size == 5 && info.kind == BLOB_COMPONENT);
    assert_ok(blob_exists(x.txn, &d, &there, THE_FAULT));
    assert_false(there);
    assert_fault(blob_read(x.txn, &d, back, 5, THE_FAULT), STATUS_FAILED_PRECONDITION, "blob");
    assert_fault(blob_verify(x.txn, &d, THE_FAULT), STATUS_FAILED_PRECONDITION, "blob");
    assert_fault(blob_reader_init(&r, x.txn, &d, THE_FAULT), STATUS_FAILED_PRECONDITION, "blob");
    assert_ok(kv_count(x.txn, KV_CHUNKS, &n, THE_FAULT));
    assert_int_equal(n, 0);
    assert_int_equal(data_key_get(x.txn, e.name, &key, THE_FAULT), STATUS_NOT_FOUND);
    assert_ok(blob_put(x.txn, BLOB_COMPONENT, "aaaa", 5, &again, THE_FAULT));
    assert_ok(blob_read(x.txn, &d, back, 5, THE_FAULT));
    assert_string_equal(back, "aaaa");
    kv_fixture_close(&x);
}
