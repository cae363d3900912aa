/*
 * The Merkle tree of the log (RFC 9162, section 2.1) over SHA-256.
 *
 *   empty tree SHA-256("")   leaf SHA-256(0x00 || entry)   node SHA-256(0x01 || left || right)
 *
 * A tree of n > 1 leaves splits at the largest power of two below n.  A *full node* (level, index)
 * is the root of the 2^level leaves from index * 2^level on; level 0 is a leaf.  Full nodes never
 * change once their last leaf is there, so a store keeps each of them under its level and index and
 * proofs are built without hashing the log again.
 *
 * Compact range: the right edge of a tree as the roots of its largest full subtrees, left to right,
 * one for each bit set in the number of leaves.  Appending and taking the root need nothing else.
 * Stored form (merkle_range_encode): u8 format = 1 | u64 little-endian leaves | 32 bytes for each
 * bit set, largest subtree first.  A record of any other length is damaged.
 *
 * Nothing here allocates or keeps state.  Sizes are below 2^63.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_MERKLE_H
#define LETHE_PROTO_SEAL_MERKLE_H

#include "daemon/base/status.h"
#include "proto/seal/sha256.h"

#include <stddef.h>
#include <stdint.h>

#define MERKLE_DEPTH      64 /* levels of full nodes, hashes of a compact range, hashes of a proof */
#define MERKLE_SIZE_MAX   (UINT64_C(1) << 62)
#define MERKLE_RANGE_SIZE (1 + 8 + MERKLE_DEPTH * SHA256_SIZE) /* bytes of the longest record */

/* ---------------------------------------------------------------- hashes */

struct sha256 merkle_empty(void);
struct sha256 merkle_leaf(const void *entry, size_t n);
struct sha256 merkle_node(const struct sha256 *left, const struct sha256 *right);

/* ---------------------------------------------------------------- compact range */

struct merkle_range {
    uint64_t size; /* leaves */
    struct sha256 stack[MERKLE_DEPTH];
};

/* A full node that an append completed. */
struct merkle_full {
    uint8_t level;
    uint64_t index;
    struct sha256 hash;
};

void merkle_range_init(struct merkle_range *r);
/*
 * Adds one leaf and tells which full nodes it completes: the leaf itself first (level 0, index the
 * leaf's), then its ancestors.  Returns their number, 1 to MERKLE_DEPTH.  INVARIANT: r->size is
 * below MERKLE_SIZE_MAX.
 */
size_t merkle_append(struct merkle_range *r,
                     const struct sha256 *leaf,
                     struct merkle_full ret_full[MERKLE_DEPTH]);
struct sha256 merkle_root(const struct merkle_range *r);

/* Bytes written, at most MERKLE_RANGE_SIZE. */
size_t merkle_range_encode(const struct merkle_range *r, uint8_t to[MERKLE_RANGE_SIZE]);
/* DATA_LOSS unless the bytes are exactly one record. */
enum status merkle_range_decode(const void *bytes,
                                size_t n,
                                struct merkle_range *ret_range,
                                struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- proofs: building */

struct merkle_proof {
    size_t n;
    struct sha256 path[MERKLE_DEPTH]; /* inclusion: the leaf's sibling first */
};

/* Gives full nodes; only such that lie inside the tree asked about.  NOT_FOUND and the like end the
 * building. */
struct merkle_source {
    enum status (*get)(
        void *context, uint8_t level, uint64_t index, struct sha256 *ret_hash, struct fault *f);
    void *context;
};

/* Root of the first `size` leaves (any earlier tree of the same log).  size 0: merkle_empty. */
enum status merkle_root_at(const struct merkle_source *source,
                           uint64_t size,
                           struct sha256 *ret_root,
                           struct fault *f) MUST_CHECK;
/* The compact range of the first `size` leaves, to append from there. */
enum status merkle_range_at(const struct merkle_source *source,
                            uint64_t size,
                            struct merkle_range *ret_range,
                            struct fault *f) MUST_CHECK;
/* That leaf `index` is in the tree of `size` leaves.  OUT_OF_RANGE unless index < size. */
enum status merkle_prove_inclusion(const struct merkle_source *source,
                                   uint64_t index,
                                   uint64_t size,
                                   struct merkle_proof *ret_proof,
                                   struct fault *f) MUST_CHECK;
/*
 * That the tree of new_size leaves begins with the tree of old_size.  OUT_OF_RANGE unless
 * 0 < old_size <= new_size; equal sizes give the empty proof.
 */
enum status merkle_prove_consistency(const struct merkle_source *source,
                                     uint64_t old_size,
                                     uint64_t new_size,
                                     struct merkle_proof *ret_proof,
                                     struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- proofs: verification */

/* RFC 9162, 2.1.3.2.  1: the leaf is in the tree of this root; 0: not shown. */
int merkle_verify_inclusion(const struct sha256 *leaf,
                            uint64_t index,
                            uint64_t size,
                            const struct merkle_proof *proof,
                            const struct sha256 *root);
/* RFC 9162, 2.1.4.2.  0 as well where old_size is 0: nothing can be shown about an empty log. */
int merkle_verify_consistency(uint64_t old_size,
                              uint64_t new_size,
                              const struct sha256 *old_root,
                              const struct sha256 *new_root,
                              const struct merkle_proof *proof);

#endif
