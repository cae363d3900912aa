/*
 * Extents: runs of sealed chunks under one random name, written front to back.  The layer below
 * blobs: an upload grows an extent chunk by chunk before its digest is known, and a request record
 * keeps its payload and answer in extents of its own.  Content is cut every CHUNK_CONTENT_MAX
 * bytes; only the last chunk may be shorter.  An extent has no record of its own: whoever owns it
 * stores `struct extent` (20 or more bytes of its record) and deletes it.  Its data key is made
 * with its first chunk and deleted with the extent: from then on nothing opens what its chunks
 * held.
 */
#ifndef LETHE_STORAGE_EXTENTS_H
#define LETHE_STORAGE_EXTENTS_H

#include "daemon/base/status.h"
#include "proto/seal/aead.h"
#include "proto/seal/hash.h"
#include "storage/blobs/chunk.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define EXTENT_SIZE_MAX ((uint64_t)1 << 40)

struct extent {
    uint8_t name[CHUNK_EXTENT_SIZE]; /* all zero: no extent */
    uint64_t size;                   /* bytes of content */
};

/* A fresh, empty extent with a random name.  Nothing is written yet. */
struct extent extent_make(void);
int extent_is_none(const struct extent *e);

/* Appends n bytes and raises e->size.  On failure *e is unchanged and the caller aborts. */
enum status extent_append(
    struct kv_txn *txn, struct extent *e, const void *bytes, size_t n, struct fault *f) MUST_CHECK;
/* Removes the data key and every chunk.  An extent without chunks is no error. */
enum status extent_delete(struct kv_txn *txn, const struct extent *e, struct fault *f) MUST_CHECK;

/*
 * Reader of byte ranges.  Each chunk that is touched is verified; the last one stays open, so
 * ranges in rising order open each chunk once.  Caller's storage; use it before its txn ends, and
 * end it with extent_reader_fini, which wipes what it had open and the key.
 */
struct extent_reader {
    struct kv_txn *txn;
    struct extent extent;
    struct seal_key key;
    int has_key;
    uint32_t open_index; /* UINT32_MAX: none */
    size_t open_size;
    uint8_t *open; /* [CHUNK_CONTENT_MAX] once one was opened for a part of it */
};

void extent_reader_init(struct extent_reader *r, struct kv_txn *txn, const struct extent *e);
/* Any number of times. */
void extent_reader_fini(struct extent_reader *r);
/* Copies [offset, offset + n); OUT_OF_RANGE beyond the end, DATA_LOSS if chunks are damaged. */
enum status extent_read(
    struct extent_reader *r, uint64_t offset, void *to, size_t n, struct fault *f) MUST_CHECK;
/* BLAKE2b-256 of the whole content. */
enum status extent_digest(struct kv_txn *txn,
                          const struct extent *e,
                          struct digest *ret_digest,
                          struct fault *f) MUST_CHECK;
/* Whole content into fresh memory (sysio_free); RESOURCE_EXHAUSTED if longer than max. */
enum status extent_load(struct kv_txn *txn,
                        const struct extent *e,
                        size_t max,
                        void **ret_bytes,
                        size_t *ret_size,
                        struct fault *f) MUST_CHECK;

#endif
