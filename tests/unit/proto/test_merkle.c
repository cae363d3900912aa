/*
 * The tree against published vectors and against the recursive definition of RFC 9162: every root,
 * inclusion proof and consistency proof of the sizes 0 to 300.
 */
#include "proto/seal/merkle.h"

#include "proto/seal/base64.h"
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES  300u
#define VECTORS 184u

static struct sha256 leaves[LEAVES];
static struct sha256 full[10][LEAVES]; /* by level and index, as appending told */
static struct sha256 roots[LEAVES + 1];

static struct sha256 naive(size_t begin, size_t n)
{
    size_t k = 1;
    if (n == 0)
        return merkle_empty();
    if (n == 1)
        return leaves[begin];
    while (2 * k < n)
        k *= 2;
    const struct sha256 left = naive(begin, k);
    const struct sha256 right = naive(begin + k, n - k);
    return merkle_node(&left, &right);
}

static enum status
get_full(void *context, uint8_t level, uint64_t index, struct sha256 *ret_hash, struct fault *f)
{
    const uint64_t size = *(const uint64_t *)context;
    (void)f;
    assert_true(((index + 1) << level) <= size); /* never a node outside the tree asked about */
    *ret_hash = full[level][index];
    return STATUS_OK;
}

int group_setup(void **state);
int group_setup(void **state)
{
    struct merkle_range r;
    struct merkle_full done[MERKLE_DEPTH];
    (void)state;
    merkle_range_init(&r);
    roots[0] = merkle_root(&r);
    for (uint32_t i = 0; i < LEAVES; i++) {
        leaves[i] = merkle_leaf(&i, i % 5);
        const size_t n = merkle_append(&r, &leaves[i], done);
        for (size_t k = 0; k < n; k++)
            full[done[k].level][done[k].index] = done[k].hash;
        roots[i + 1] = merkle_root(&r);
    }
    return 0;
}

void test_roots_are_those_of_the_recursive_definition(void **state)
{
    (void)state;
    for (uint64_t n = 0; n <= LEAVES; n++) {
        const struct merkle_source source = {get_full, &n};
        const struct sha256 want = naive(0, (size_t)n);
        struct sha256 got;
        assert_memory_equal(&roots[n], &want, SHA256_SIZE);
        assert_int_equal(merkle_root_at(&source, n, &got, NULL), STATUS_OK);
        assert_memory_equal(&got, &want, SHA256_SIZE);
    }
}

static void check_inclusion(uint64_t index, uint64_t n)
{
    const struct merkle_source source = {get_full, &n};
    struct merkle_proof p;
    assert_int_equal(merkle_prove_inclusion(&source, index, n, &p, NULL), STATUS_OK);
    assert_true(p.n <= 9);
    assert_true(merkle_verify_inclusion(&leaves[index], index, n, &p, &roots[n]));
    assert_false(merkle_verify_inclusion(&leaves[index], index, n, &p, &roots[n - 1]));
    assert_false(merkle_verify_inclusion(&roots[0], index, n, &p, &roots[n]));
    assert_false(merkle_verify_inclusion(&leaves[index], n, n, &p, &roots[n]));
    if (p.n == 0)
        return;
    p.path[p.n - 1].b[index % SHA256_SIZE] ^= 1;
    assert_false(merkle_verify_inclusion(&leaves[index], index, n, &p, &roots[n]));
    p.path[p.n - 1].b[index % SHA256_SIZE] ^= 1;
    p.n--;
    assert_false(merkle_verify_inclusion(&leaves[index], index, n, &p, &roots[n]));
}

void test_every_leaf_of_every_size_is_proved(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= LEAVES; n++) {
        for (uint64_t i = 0; i < n; i++)
            check_inclusion(i, n);
    }
}

static void check_consistency(uint64_t m, uint64_t n)
{
    const struct merkle_source source = {get_full, &n};
    struct merkle_proof p;
    assert_int_equal(merkle_prove_consistency(&source, m, n, &p, NULL), STATUS_OK);
    assert_true(p.n <= 10);
    assert_true(merkle_verify_consistency(m, n, &roots[m], &roots[n], &p));
    assert_false(merkle_verify_consistency(m, n, &roots[m - 1], &roots[n], &p));
    assert_false(merkle_verify_consistency(m, n, &roots[m], &roots[n - 1], &p));
    if (p.n == 0)
        return;
    p.path[0].b[m % SHA256_SIZE] ^= 0x80;
    assert_false(merkle_verify_consistency(m, n, &roots[m], &roots[n], &p));
}

void test_every_pair_of_sizes_is_consistent(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= LEAVES; n++) {
        for (uint64_t m = 1; m <= n; m++)
            check_consistency(m, n);
    }
}

void test_proofs_of_what_is_not_there_are_refused(void **state)
{
    uint64_t n = 7;
    const struct merkle_source source = {get_full, &n};
    struct merkle_proof p = {0};
    (void)state;
    assert_int_equal(merkle_prove_inclusion(&source, 7, 7, &p, NULL), STATUS_OUT_OF_RANGE);
    assert_int_equal(merkle_prove_inclusion(&source, 0, 0, &p, NULL), STATUS_OUT_OF_RANGE);
    assert_int_equal(merkle_prove_consistency(&source, 0, 7, &p, NULL), STATUS_OUT_OF_RANGE);
    assert_int_equal(merkle_prove_consistency(&source, 8, 7, &p, NULL), STATUS_OUT_OF_RANGE);
    assert_false(merkle_verify_consistency(0, 7, &roots[0], &roots[7], &p));
}

void test_a_range_comes_back_and_goes_on(void **state)
{
    uint8_t bytes[MERKLE_RANGE_SIZE + 1] = {0};
    (void)state;
    for (uint64_t n = 0; n < LEAVES; n++) {
        const struct merkle_source source = {get_full, &n};
        struct merkle_full done[MERKLE_DEPTH];
        struct merkle_range r;
        struct merkle_range again;
        assert_int_equal(merkle_range_at(&source, n, &r, NULL), STATUS_OK);
        const size_t size = merkle_range_encode(&r, bytes);
        assert_int_equal(merkle_range_decode(bytes, size, &again, NULL), STATUS_OK);
        assert_memory_equal(&r, &again, sizeof r);
        assert_int_equal(merkle_range_decode(bytes, size - 1, &again, NULL), STATUS_DATA_LOSS);
        assert_int_equal(merkle_range_decode(bytes, size + 1, &again, NULL), STATUS_DATA_LOSS);
        (void)merkle_append(&r, &leaves[n], done);
        const struct sha256 root = merkle_root(&r);
        assert_memory_equal(&root, &roots[n + 1], SHA256_SIZE);
    }
    bytes[0] = 2;
    struct merkle_range r;
    assert_int_equal(merkle_range_decode(bytes, 9, &r, NULL), STATUS_DATA_LOSS);
}

/* 0, or -1 if the text is no hash. */
static int vector_hash(const json_t *text, struct sha256 *ret_hash)
{
    const char *s = json_string_value(text);
    return s ? base64_parse_exact(s, strlen(s), ret_hash->b, SHA256_SIZE) : -1;
}

/*
 * A root; some vectors, about sizes alone, put a shorter text in its place, but
 * an empty one is a root that is missing.
 */
static int vector_root(const json_t *text, struct sha256 *ret_hash)
{
    const char *s = json_string_value(text);
    size_t size = 0;
    memset(ret_hash, 0, sizeof *ret_hash);
    if (!s || base64_parse(s, strlen(s), ret_hash->b, SHA256_SIZE, &size) != 0)
        return -1;
    return size > 0 ? 0 : -1;
}

/* From the text: jansson's integers end at 2^63 - 1, and one vector's index is 2^64 - 1. */
static uint64_t vector_number(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

static int vector_holds(const json_t *v, const char *line)
{
    const char *kind = json_string_value(json_object_get(v, "kind"));
    const json_t *path = json_object_get(v, "proof");
    struct merkle_proof p = {.n = json_array_size(path)};
    struct sha256 a;
    struct sha256 b;
    const int inclusion = strcmp(kind, "inclusion") == 0;
    if (p.n > MERKLE_DEPTH ||
        vector_root(json_object_get(v, inclusion ? "leafHash" : "root1"), &a) != 0 ||
        vector_root(json_object_get(v, inclusion ? "root" : "root2"), &b) != 0)
        return 0;
    for (size_t i = 0; i < p.n; i++) {
        if (vector_hash(json_array_get(path, i), &p.path[i]) != 0)
            return 0;
    }
    const uint64_t small = vector_number(line, inclusion ? "\"leafIdx\":" : "\"size1\":");
    const uint64_t large = vector_number(line, inclusion ? "\"treeSize\":" : "\"size2\":");
    return inclusion ? merkle_verify_inclusion(&a, small, large, &p, &b)
                     : merkle_verify_consistency(small, large, &a, &b, &p);
}

void test_published_vectors(void **state)
{
    char line[16384];
    size_t n = 0;
    FILE *in = fopen("tests/data/merkle-vectors.jsonl", "r");
    (void)state;
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        json_t *v = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL);
        assert_non_null(v);
        if (vector_holds(v, line) == json_is_true(json_object_get(v, "wantErr")))
            fail_msg("%s", json_string_value(json_object_get(v, "case")));
        json_decref(v);
        n++;
    }
    (void)fclose(in);
    assert_int_equal(n, VECTORS);
}
