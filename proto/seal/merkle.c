#include "proto/seal/merkle.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"

#include <string.h>

#define RANGE_FORMAT 1u

/* ---------------------------------------------------------------- hashes */

struct sha256 merkle_empty(void)
{
    return sha256_of(NULL, 0);
}

struct sha256 merkle_leaf(const void *entry, size_t n)
{
    const struct sha256_part parts[] = {{"\x00", 1}, {entry, n}};
    return sha256_parts(parts, 2);
}

struct sha256 merkle_node(const struct sha256 *left, const struct sha256 *right)
{
    const struct sha256_part parts[] = {
        {"\x01", 1}, {left->b, SHA256_SIZE}, {right->b, SHA256_SIZE}};
    return sha256_parts(parts, 3);
}

/* ---------------------------------------------------------------- compact range */

static size_t bits_set(uint64_t x)
{
    return (size_t)__builtin_popcountll(x);
}

void merkle_range_init(struct merkle_range *r)
{
    memset(r, 0, sizeof *r);
}

size_t merkle_append(struct merkle_range *r,
                     const struct sha256 *leaf,
                     struct merkle_full ret_full[MERKLE_DEPTH])
{
    size_t top = bits_set(r->size);
    size_t n = 1;
    INVARIANT(r->size < MERKLE_SIZE_MAX);
    ret_full[0] = (struct merkle_full){.level = 0, .index = r->size, .hash = *leaf};
    /* every trailing one of the old size is a subtree as large as what has grown so far */
    for (uint64_t left = r->size; left & 1; left >>= 1, n++)
        ret_full[n] =
            (struct merkle_full){.level = (uint8_t)n,
                                 .index = left >> 1,
                                 .hash = merkle_node(&r->stack[--top], &ret_full[n - 1].hash)};
    r->stack[top] = ret_full[n - 1].hash;
    r->size++;
    return n;
}

struct sha256 merkle_root(const struct merkle_range *r)
{
    size_t i = bits_set(r->size);
    if (i == 0)
        return merkle_empty();
    struct sha256 root = r->stack[--i];
    while (i > 0)
        root = merkle_node(&r->stack[--i], &root);
    return root;
}

size_t merkle_range_encode(const struct merkle_range *r, uint8_t to[MERKLE_RANGE_SIZE])
{
    struct byte_writer w = byte_writer_make(to, MERKLE_RANGE_SIZE);
    put_u8(&w, RANGE_FORMAT);
    put_u64(&w, r->size);
    put_bytes(&w, r->stack, bits_set(r->size) * SHA256_SIZE);
    INVARIANT(!w.failed);
    return w.used;
}

enum status
merkle_range_decode(const void *bytes, size_t n, struct merkle_range *ret_range, struct fault *f)
{
    struct byte_reader in = byte_reader_make(bytes, n);
    struct merkle_range r = {0};
    const uint8_t format = get_u8(&in);
    r.size = get_u64(&in);
    if (in.failed || format != RANGE_FORMAT || r.size > MERKLE_SIZE_MAX)
        FAIL(f, STATUS_DATA_LOSS, "compact range", "not a record of format %u", RANGE_FORMAT);
    get_bytes(&in, r.stack, bits_set(r.size) * SHA256_SIZE);
    if (!byte_reader_done(&in))
        FAIL(f, STATUS_DATA_LOSS, "compact range", "%zu bytes do not fit the number of leaves", n);
    *ret_range = r;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- building proofs */

static uint8_t highest_bit(uint64_t x)
{
    return (uint8_t)(63 - __builtin_clzll(x));
}

enum status merkle_range_at(const struct merkle_source *source,
                            uint64_t size,
                            struct merkle_range *ret_range,
                            struct fault *f)
{
    struct merkle_range r = {.size = size};
    uint64_t begin = 0;
    if (size > MERKLE_SIZE_MAX)
        FAIL(f, STATUS_OUT_OF_RANGE, "size", "no tree has that many leaves");
    for (size_t i = 0; begin < size; i++) {
        const uint8_t level = highest_bit(size - begin);
        TRY(source->get(source->context, level, begin >> level, &r.stack[i], f));
        begin += UINT64_C(1) << level;
    }
    *ret_range = r;
    return STATUS_OK;
}

enum status merkle_root_at(const struct merkle_source *source,
                           uint64_t size,
                           struct sha256 *ret_root,
                           struct fault *f)
{
    struct merkle_range r;
    TRY(merkle_range_at(source, size, &r, f));
    *ret_root = merkle_root(&r);
    return STATUS_OK;
}

/*
 * Root of the leaves [begin, end).  Every part that the recursive definition splits a tree into
 * begins at a multiple of the smallest power of two that holds it, so its largest full subtrees
 * have whole indices.
 */
static enum status part_root(const struct merkle_source *source,
                             uint64_t begin,
                             uint64_t end,
                             struct sha256 *ret_root,
                             struct fault *f)
{
    struct sha256 stack[MERKLE_DEPTH];
    size_t n = 0;
    while (begin < end) {
        const uint8_t level = highest_bit(end - begin);
        TRY(source->get(source->context, level, begin >> level, &stack[n++], f));
        begin += UINT64_C(1) << level;
    }
    INVARIANT(n > 0);
    struct sha256 root = stack[--n];
    while (n > 0)
        root = merkle_node(&stack[--n], &root);
    *ret_root = root;
    return STATUS_OK;
}

/* The path is found from the root down, but listed from the leaf up. */
static void reverse(struct merkle_proof *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        const struct sha256 other = p->path[i];
        p->path[i] = p->path[p->n - 1 - i];
        p->path[p->n - 1 - i] = other;
    }
}

/* Largest power of two below n > 1. */
static uint64_t split(uint64_t n)
{
    return UINT64_C(1) << highest_bit(n - 1);
}

enum status merkle_prove_inclusion(const struct merkle_source *source,
                                   uint64_t index,
                                   uint64_t size,
                                   struct merkle_proof *ret_proof,
                                   struct fault *f)
{
    struct merkle_proof p = {0};
    uint64_t begin = 0;
    uint64_t end = size;
    if (index >= size || size > MERKLE_SIZE_MAX)
        FAIL(f, STATUS_OUT_OF_RANGE, "index", "the tree has no such leaf");
    while (end - begin > 1) {
        const uint64_t middle = begin + split(end - begin);
        const int left = index < middle;
        TRY(part_root(source, left ? middle : begin, left ? end : middle, &p.path[p.n++], f));
        if (left)
            end = middle;
        else
            begin = middle;
    }
    reverse(&p);
    *ret_proof = p;
    return STATUS_OK;
}

/* RFC 9162, 2.1.4.1: SUBPROOF as a loop; `whole` is its flag b. */
enum status merkle_prove_consistency(const struct merkle_source *source,
                                     uint64_t old_size,
                                     uint64_t new_size,
                                     struct merkle_proof *ret_proof,
                                     struct fault *f)
{
    struct merkle_proof p = {0};
    uint64_t begin = 0;
    uint64_t end = new_size;
    int whole = 1;
    if (old_size == 0 || old_size > new_size || new_size > MERKLE_SIZE_MAX)
        FAIL(f, STATUS_OUT_OF_RANGE, "old size", "must be 1 to the new size");
    while (old_size != end) {
        const uint64_t middle = begin + split(end - begin);
        const int left = old_size <= middle;
        TRY(part_root(source, left ? middle : begin, left ? end : middle, &p.path[p.n++], f));
        if (left) {
            end = middle;
        } else {
            begin = middle;
            whole = 0;
        }
    }
    if (!whole)
        TRY(part_root(source, begin, end, &p.path[p.n++], f));
    reverse(&p);
    *ret_proof = p;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- verifying proofs */

/* Up to the next level at which the node is a right child; fn = sn there is the tree's edge. */
static void climb_edge(uint64_t *fn, uint64_t *sn)
{
    while (!(*fn & 1) && *fn != 0) {
        *fn >>= 1;
        *sn >>= 1;
    }
}

int merkle_verify_inclusion(const struct sha256 *leaf,
                            uint64_t index,
                            uint64_t size,
                            const struct merkle_proof *proof,
                            const struct sha256 *root)
{
    uint64_t fn = index;
    uint64_t sn = size - 1;
    struct sha256 r = *leaf;
    if (index >= size || proof->n > MERKLE_DEPTH)
        return 0;
    for (size_t i = 0; i < proof->n; i++) {
        const struct sha256 *p = &proof->path[i];
        if (sn == 0)
            return 0;
        if ((fn & 1) || fn == sn) {
            r = merkle_node(p, &r);
            climb_edge(&fn, &sn);
        } else {
            r = merkle_node(&r, p);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && sha256_equal(&r, root);
}

/* The path with, in front, what it leaves out: the old root itself where the old tree is full. */
static int fold_consistency(uint64_t fn,
                            uint64_t sn,
                            const struct sha256 *first,
                            const struct sha256 *path,
                            size_t n,
                            struct sha256 ret_roots[2])
{
    struct sha256 fr = *first;
    struct sha256 sr = *first;
    for (size_t i = 0; i < n; i++) {
        if (sn == 0)
            return 0;
        if ((fn & 1) || fn == sn) {
            fr = merkle_node(&path[i], &fr);
            sr = merkle_node(&path[i], &sr);
            climb_edge(&fn, &sn);
        } else {
            sr = merkle_node(&sr, &path[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    ret_roots[0] = fr;
    ret_roots[1] = sr;
    return sn == 0;
}

int merkle_verify_consistency(uint64_t old_size,
                              uint64_t new_size,
                              const struct sha256 *old_root,
                              const struct sha256 *new_root,
                              const struct merkle_proof *proof)
{
    struct sha256 roots[2];
    if (old_size == 0 || old_size > new_size || proof->n > MERKLE_DEPTH)
        return 0;
    if (old_size == new_size)
        return proof->n == 0 && sha256_equal(old_root, new_root);
    if (proof->n == 0)
        return 0;
    uint64_t fn = old_size - 1;
    uint64_t sn = new_size - 1;
    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    const int full = (old_size & (old_size - 1)) == 0;
    const struct sha256 *first = full ? old_root : &proof->path[0];
    const size_t skip = full ? 0 : 1;
    if (!fold_consistency(fn, sn, first, proof->path + skip, proof->n - skip, roots))
        return 0;
    return sha256_equal(&roots[0], old_root) && sha256_equal(&roots[1], new_root);
}
