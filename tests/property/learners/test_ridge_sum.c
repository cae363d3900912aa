/* Sums of the router: exact whatever the order, and their packed form. */
#include "tests/support/test.h"

#include "tests/property/learners/ridge_fixture.h"

#define WIDTH 150 /* two tiles, the second not full */
#define N     300 /* two chunks */

static void add_rows(struct ridge_sum *s, const float *rows, const uint32_t *order, uint32_t batch)
{
    float *some = malloc(sizeof *some * WIDTH * batch);
    assert_non_null(some);
    for (uint32_t at = 0; at < N; at += batch) {
        const uint32_t n = N - at < batch ? N - at : batch;
        for (uint32_t i = 0; i < n; i++)
            memcpy(some + i * WIDTH, rows + order[at + i] * WIDTH, sizeof *some * WIDTH);
        ridge_sum_add(s, some, n, NULL);
    }
    free(some);
}

/* Rows with negative numbers, as raw features have. */
static float *signed_rows(struct ridge_fixture *x)
{
    float *rows = ridge_fixture_rows(x, 1, 0, N, WIDTH);
    for (size_t i = 0; i < (size_t)N * WIDTH; i++)
        if (i % WIDTH % 3 == 1)
            rows[i] -= 120.0f;
    return rows;
}

void test_ridge_sum_is_the_same_for_any_order_batch_and_thread_count(void **state)
{
    (void)state;
    static const uint32_t batches[3] = {1, 77, 300};
    uint8_t *first = NULL;
    size_t size = 0;
    for (uint32_t run = 0; run < 3; run++) {
        struct ridge_fixture x;
        ridge_fixture_open(&x, run + 1);
        const float *rows = signed_rows(&x);
        uint32_t order[N];
        struct rng r;
        rng_init(&r, &(struct rng_root){.seed = run}, "order", 0);
        for (uint32_t i = 0; i < N; i++)
            order[i] = i;
        rng_shuffle(&r, order, N);
        struct ridge_sum s;
        assert_int_equal(ridge_sum_init(&s, WIDTH, 1, x.pool, &x.arena), STATUS_OK);
        add_rows(&s, rows, order, batches[run]);
        const size_t bound = ridge_sum_packed_bound(WIDTH, 1, N);
        uint8_t *bytes = malloc(bound);
        struct byte_writer w = byte_writer_make(bytes, bound);
        ridge_sum_pack(&s, &w);
        assert_false(w.failed);
        if (run == 0) {
            first = bytes;
            size = w.used;
        } else {
            assert_int_equal(w.used, size);
            assert_memory_equal(bytes, first, size);
            free(bytes);
        }
        ridge_fixture_close(&x);
    }
    free(first);
}

void test_ridge_sum_equals_sums_in_whole_numbers(void **state)
{
    (void)state;
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    const float *rows = signed_rows(&x);
    const struct ridge_packed p = ridge_fixture_pack(&x, rows, N, WIDTH, NULL, 1);
    double *gram = arena_alloc_zero(&x.arena, WIDTH, WIDTH * sizeof *gram);
    double *products = arena_alloc_zero(&x.arena, WIDTH, sizeof *products);
    ridge_packed_add_gram(&p, 2.0, gram);
    ridge_packed_add_products(&p, 3.0, products);
    for (size_t a = 0; a < WIDTH; a++) {
        int64_t column = 0;
        for (size_t i = 0; i < N; i++)
            column += (int64_t)rows[i * WIDTH + a];
        assert_true(products[a] == 3.0 * (double)column);
        for (size_t b = a; b < WIDTH; b++) {
            int64_t sum = 0;
            for (size_t i = 0; i < N; i++)
                sum += (int64_t)rows[i * WIDTH + a] * (int64_t)rows[i * WIDTH + b];
            assert_true(gram[a * WIDTH + b] == 2.0 * (double)sum);
        }
    }
    assert_true(gram[WIDTH * (WIDTH - 1)] == 0.0); /* below the diagonal: untouched */
    ridge_fixture_close(&x);
}

void test_ridge_sum_keeps_products_of_several_classes(void **state)
{
    (void)state;
    enum { width = 9, n = 40, classes = 3 };
    struct ridge_fixture x;
    ridge_fixture_open(&x, 2);
    const float *rows = ridge_fixture_rows(&x, 2, 0, n, width);
    uint8_t hot[n * classes];
    double want[classes * width] = {0};
    for (uint32_t i = 0; i < n * classes; i++)
        hot[i] = i % 5 < 2;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t c = 0; c < classes; c++)
            for (uint32_t j = 0; j < width && hot[i * classes + c]; j++)
                want[c * width + j] += (double)rows[i * width + j];
    const struct ridge_packed p = ridge_fixture_pack(&x, rows, n, width, hot, classes);
    double got[classes * width] = {0};
    ridge_packed_add_products(&p, 1.0, got);
    assert_memory_equal(got, want, sizeof want);
    for (uint32_t c = 0; c < classes; c++)
        assert_true((double)p.positives[c] == want[c * width + width - 1]);
    ridge_fixture_close(&x);
}

/* Reads a packed sum with its numbers of images; the status of the read. */
static enum status read_packed(struct ridge_packed p, const uint8_t *bytes, size_t size)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    const enum status s = ridge_packed_read(&r, &p, NULL);
    return s == STATUS_OK && !byte_reader_done(&r) ? STATUS_BAD_FORMAT : s;
}

void test_ridge_packed_form_is_strict(void **state)
{
    (void)state;
    enum { width = 12, n = 30 };
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    const float *rows = ridge_fixture_rows(&x, 3, 0, n, width);
    struct ridge_packed p = ridge_fixture_pack(&x, rows, n, width, NULL, 1);
    uint8_t *bytes = arena_alloc(&x.arena, p.size + 1, 1);
    memcpy(bytes, p.bytes, p.size);
    bytes[p.size] = 0;
    assert_int_equal(read_packed(p, bytes, p.size), STATUS_OK);
    assert_int_equal(read_packed(p, bytes, p.size + 1), STATUS_BAD_FORMAT);
    for (size_t cut = 0; cut < p.size; cut++)
        assert_int_equal(read_packed(p, bytes, cut), STATUS_BAD_FORMAT);
    struct ridge_packed other = p;
    other.n = n - 1; /* the last diagonal element says n */
    assert_int_equal(read_packed(other, bytes, p.size), STATUS_BAD_FORMAT);
    uint64_t positives = n - 1;
    other = p;
    other.positives = &positives;
    assert_int_equal(read_packed(other, bytes, p.size), STATUS_BAD_FORMAT);
    other = p;
    other.n = RIDGE_SUM_MAX_IMAGES + 1ull;
    assert_int_equal(read_packed(other, bytes, p.size), STATUS_BAD_FORMAT);
    static const uint8_t forms[5] = {0, 1, 8, 0x83, 0xff};
    for (size_t i = 0; i < sizeof forms; i++) {
        bytes[0] = forms[i];
        assert_int_equal(read_packed(p, bytes, p.size), STATUS_BAD_FORMAT);
    }
    ridge_fixture_close(&x);
}

void test_ridge_packed_rows_need_their_shortest_form_and_possible_numbers(void **state)
{
    (void)state;
    /* width 1: one diagonal element, one product; n images give n in both */
    const uint64_t n = 3;
    const struct ridge_packed p = {.width = 1, .columns = 1, .n = n, .positives = &n};
    const uint8_t good[4] = {1, 3, 1, 3}, wide[5] = {2, 3, 0, 1, 3},
                  negative[4] = {0x81, 0xfd, 1, 3};
    const uint8_t unneeded_sign[4] = {0x81, 3, 1, 3};
    assert_int_equal(read_packed(p, good, sizeof good), STATUS_OK);
    assert_int_equal(read_packed(p, wide, sizeof wide), STATUS_BAD_FORMAT);
    assert_int_equal(read_packed(p, negative, sizeof negative), STATUS_BAD_FORMAT);
    assert_int_equal(read_packed(p, unneeded_sign, sizeof unneeded_sign), STATUS_BAD_FORMAT);
    /* more than 3 * 255 * 255 */
    const struct ridge_packed two = {.width = 2, .columns = 1, .n = n, .positives = &n};
    const uint8_t large[12] = {3, 0, 0, 0x10, 0, 0, 0, 1, 3, 1, 3, 3};
    assert_int_equal(read_packed(two, large, sizeof large), STATUS_BAD_FORMAT);
    /* no images: no bytes */
    const uint64_t none = 0;
    const struct ridge_packed empty = {.width = 2, .columns = 1, .n = 0, .positives = &none};
    assert_int_equal(read_packed(empty, good, 0), STATUS_OK);
}

void test_ridge_packed_bound_holds_for_the_largest_rows(void **state)
{
    (void)state;
    enum { width = 5, n = 700 };
    struct ridge_fixture x;
    ridge_fixture_open(&x, 1);
    float *rows = arena_alloc(&x.arena, n, width * sizeof *rows);
    for (size_t i = 0; i < n * width; i++)
        rows[i] = i % 2 ? 255.0f : -255.0f;
    for (size_t i = 0; i < n; i++)
        rows[i * width + width - 1] = 1.0f;
    const struct ridge_packed p = ridge_fixture_pack(&x, rows, n, width, NULL, 1);
    assert_true(p.size <= ridge_sum_packed_bound(width, 1, n));
    assert_int_equal(read_packed(p, p.bytes, p.size), STATUS_OK);
    ridge_fixture_close(&x);
}
