/* Kept samples: shares, bars, order of arrival, erasure, records. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/methods/tame/tame_buffer.h"

#include <stdlib.h>
#include <string.h>

struct box {
    struct tame_buffer b;
    struct arena arena;
    void *memory;
};

static void box_open(struct box *x, const struct tame_buffer_shape *shape)
{
    struct arena_plan plan = {0};
    tame_buffer_plan(shape, &plan);
    x->memory = malloc(arena_plan_bytes(&plan));
    assert_non_null(x->memory);
    arena_init(&x->arena, x->memory, arena_plan_bytes(&plan));
    assert_true(tame_buffer_new(shape, &x->arena, &x->b));
}

static void box_close(struct box *x)
{
    arena_fini(&x->arena);
    free(x->memory);
}

static struct tame_buffer_shape pairs(uint32_t capacity)
{
    return (struct tame_buffer_shape){
        .capacity = capacity, .groups_max = capacity, .payload_bytes = sizeof(uint64_t)};
}

/* Sample i: expert, class, key and payload follow from its number. */
static uint64_t key_of(uint64_t i)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 5}, "key", i);
    return rng_u64(&r);
}

static void offer(struct tame_buffer *b, uint64_t i)
{
    uint8_t *to = tame_buffer_offer(b, (uint32_t)(i % 3), (uint32_t)(i / 3 % 2), key_of(i), i);
    if (to)
        memcpy(to, &i, sizeof i);
}

static size_t record(const struct tame_buffer *b, uint8_t bytes[8192])
{
    struct byte_writer w = byte_writer_make(bytes, 8192);
    for (uint32_t e = 0; e < 3; e++)
        tame_buffer_put(b, e, &w);
    assert_false(w.failed);
    return w.used;
}

/* The entries of a pair are its q largest keys: recomputed by hand. */
static void check_top(const struct tame_buffer *b, uint32_t n_samples)
{
    const uint32_t quota = tame_buffer_quota(b);
    for (uint32_t i = 0; i < n_samples; i++) {
        uint32_t better = 0, kept = 0;
        for (uint32_t k = 0; k < n_samples; k++)
            better += k % 6 == i % 6 && key_of(k) > key_of(i);
        for (uint32_t k = 0; k < b->n; k++)
            kept += b->entries[k].id == i;
        assert_int_equal(kept, better < quota);
    }
}

void test_any_order_of_arrival_keeps_the_same_samples(void **state)
{
    (void)state;
    enum { N = 200 };
    static uint8_t first[8192], other[8192];
    size_t size = 0;
    for (uint64_t trial = 0; trial < 8; trial++) {
        struct box x;
        uint32_t order[N];
        struct rng r;
        const struct tame_buffer_shape shape = pairs(40);
        box_open(&x, &shape);
        for (uint32_t i = 0; i < N; i++)
            order[i] = i;
        rng_init(&r, &(struct rng_root){.seed = 9}, "order", trial);
        if (trial)
            rng_shuffle(&r, order, N);
        for (uint32_t i = 0; i < N; i++)
            offer(&x.b, order[i]);
        for (uint32_t i = 0; i < N; i += 7) /* seen again: nothing changes */
            offer(&x.b, order[i]);
        assert_int_equal(tame_buffer_quota(&x.b), 6); /* 40 places, 6 pairs */
        assert_int_equal(x.b.n, 36);
        check_top(&x.b, N);
        for (uint32_t i = 0; i < x.b.n; i++) {
            uint64_t payload;
            memcpy(&payload, tame_buffer_payload(&x.b, i), sizeof payload);
            assert_int_equal(payload, x.b.entries[i].id);
        }
        const size_t n = record(&x.b, trial ? other : first);
        if (trial) {
            assert_int_equal(n, size);
            assert_memory_equal(first, other, n);
        }
        size = n;
        box_close(&x);
    }
}

void test_shares_shrink_as_pairs_appear(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = pairs(12);
    box_open(&x, &shape);
    for (uint64_t i = 0; i < 12; i++)
        assert_non_null(tame_buffer_offer(&x.b, 0, 0, 100 + i, i));
    assert_int_equal(x.b.n, 12);
    assert_non_null(tame_buffer_offer(&x.b, 0, 1, 5, 50)); /* a second pair: 6 places each */
    assert_int_equal(x.b.n, 7);
    assert_int_equal(x.b.entries[0].key, 106);
    assert_null(tame_buffer_offer(&x.b, 0, 0, 105, 60)); /* below the bar */
    assert_non_null(tame_buffer_offer(&x.b, 1, 0, 5, 70));
    assert_int_equal(x.b.groups[0].n, 4);
    box_close(&x);
}

void test_equal_keys_are_told_apart_by_id(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = {
        .capacity = 2, .groups_max = 1, .per_expert = 2, .payload_bytes = 1};
    for (int turn = 0; turn < 2; turn++) {
        box_open(&x, &shape);
        for (uint64_t i = 0; i < 4; i++)
            (void)tame_buffer_offer(&x.b, 0, 0, 7, turn ? 3 - i : i);
        assert_int_equal(x.b.entries[0].id, 2);
        assert_int_equal(x.b.entries[1].id, 3);
        box_close(&x);
    }
}

void test_reserve_keeps_the_smallest(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = {
        .capacity = 6, .groups_max = 2, .per_expert = 3, .smallest = 1, .payload_bytes = 1};
    box_open(&x, &shape);
    for (uint64_t i = 0; i < 10; i++)
        (void)tame_buffer_offer(&x.b, 4, (uint32_t)i, 50 - i, i);
    uint32_t n;
    const uint32_t first = tame_buffer_of(&x.b, 4, &n);
    assert_int_equal(n, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(x.b.entries[first + i].key <= 43);
    assert_int_equal(tame_buffer_of(&x.b, 5, &n), 3);
    assert_int_equal(n, 0);
    box_close(&x);
}

void test_the_first_expert_keeps_a_sample(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = pairs(10);
    box_open(&x, &shape);
    assert_non_null(tame_buffer_offer(&x.b, 0, 0, 9, 1));
    assert_null(tame_buffer_offer(&x.b, 1, 0, 9, 1));
    assert_int_equal(x.b.n, 1);
    box_close(&x);
}

/* What was turned away before an erasure may not come in through the places that it made. */
void test_erased_places_stay_unbiased(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = pairs(4);
    box_open(&x, &shape);
    for (uint64_t i = 0; i < 10; i++)
        (void)tame_buffer_offer(&x.b, 0, 0, 100 + i, i);
    const uint64_t gone[] = {8, 9};
    const struct tame_cut cut = {.expert = UINT32_MAX, .ids = gone, .n_ids = 2};
    assert_int_equal(tame_buffer_count(&x.b, &cut), 2);
    assert_int_equal(tame_buffer_remove(&x.b, &cut), 2);
    assert_int_equal(x.b.n, 2);
    assert_null(tame_buffer_offer(&x.b, 0, 0, 105, 4));
    assert_non_null(tame_buffer_offer(&x.b, 0, 0, 106, 21)); /* above what was turned away */
    box_close(&x);
}

void test_removal_wipes_payloads(void **state)
{
    (void)state;
    struct box x;
    const struct tame_buffer_shape shape = pairs(40);
    box_open(&x, &shape);
    for (uint64_t i = 0; i < 200; i++)
        offer(&x.b, i + 1000000);
    const uint32_t classes[] = {1};
    const struct tame_cut cut = {.expert = UINT32_MAX, .classes = classes, .n_classes = 1};
    assert_int_equal(tame_buffer_remove(&x.b, &cut), 18);
    assert_int_equal(x.b.n_groups, 3);
    for (uint32_t p = 0; p < x.b.shape.capacity - x.b.n; p++) {
        const uint8_t *at = x.b.payload + x.b.free_places[p] * x.b.shape.payload_bytes;
        uint64_t payload;
        memcpy(&payload, at, sizeof payload);
        for (uint64_t i = 1; i < 200 && p >= 4; i++)
            assert_true(payload != i + 1000000);
    }
    const struct tame_cut expert = {.expert = 2};
    assert_int_equal(tame_buffer_remove(&x.b, &expert), 6);
    uint32_t n;
    (void)tame_buffer_of(&x.b, 2, &n);
    assert_int_equal(n, 0);
    assert_int_equal(x.b.n_groups, 2);
    box_close(&x);
}

static enum status read_all(struct tame_buffer *b, const uint8_t *bytes, size_t n, int commit)
{
    struct byte_reader r = byte_reader_make(bytes, n);
    for (uint32_t e = 0; e < 3; e++)
        TRY(tame_buffer_get(b, e, &r, commit, NULL));
    return byte_reader_done(&r) ? STATUS_OK : STATUS_BAD_FORMAT;
}

void test_records_round_trip_and_refuse_cuts(void **state)
{
    (void)state;
    struct box x, y;
    static uint8_t bytes[8192], again[8192];
    const struct tame_buffer_shape shape = pairs(40);
    box_open(&x, &shape);
    for (uint64_t i = 0; i < 150; i++)
        offer(&x.b, i);
    const uint64_t gone[] = {12, 18, 24};
    const struct tame_cut cut = {.expert = UINT32_MAX, .ids = gone, .n_ids = 3};
    (void)tame_buffer_remove(&x.b, &cut);
    const size_t n = record(&x.b, bytes);
    box_open(&y, &shape);
    assert_int_equal(read_all(&y.b, bytes, n, 0), STATUS_OK);
    assert_int_equal(y.b.n, 0); /* only checked */
    assert_int_equal(read_all(&y.b, bytes, n, 1), STATUS_OK);
    assert_int_equal(record(&y.b, again), n);
    assert_memory_equal(bytes, again, n);
    for (size_t cut_at = 0; cut_at < n; cut_at += 5)
        assert_int_equal(read_all(&y.b, bytes, cut_at, 0), STATUS_BAD_FORMAT);
    bytes[4 + 25] ^= 1; /* label of the first sample: not the group's */
    assert_int_equal(read_all(&y.b, bytes, n, 0), STATUS_BAD_FORMAT);
    box_close(&x);
    box_close(&y);
}
