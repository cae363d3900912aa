#include "storage/audit/audit_log.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"

#include <string.h>

#define HEAD_FORMAT     1u
#define HEAD_RECORD_MAX (1 + 4 + MERKLE_RANGE_SIZE + SHA256_SIZE + 4 + AUDIT_CHECKPOINT_MAX)
#define NODE_KEY_SIZE   9

static const char HEAD_KEY[] = "head";

static struct kv_bytes head_key(void)
{
    return kv_bytes_of(HEAD_KEY, sizeof HEAD_KEY - 1);
}

static struct kv_bytes node_key(uint8_t level, uint64_t index, uint8_t to[NODE_KEY_SIZE])
{
    to[0] = level;
    kv_key_u64(to + 1, index);
    return kv_bytes_of(to, NODE_KEY_SIZE);
}

/* ---------------------------------------------------------------- head */

static enum status head_decode(struct kv_bytes value, struct audit_head *h, struct fault *f)
{
    struct byte_reader r = byte_reader_make(value.data, value.size);
    size_t n_range = 0;
    size_t n_checkpoint = 0;
    const unsigned format = get_u8(&r);
    const uint8_t *range = get_blob(&r, &n_range);
    get_bytes(&r, h->root.b, SHA256_SIZE);
    const uint8_t *checkpoint = get_blob(&r, &n_checkpoint);
    if (!byte_reader_done(&r) || format != HEAD_FORMAT || n_checkpoint > sizeof h->checkpoint)
        FAIL(f, STATUS_DATA_LOSS, "log", "the record of the log's head is damaged");
    TRY(merkle_range_decode(range, n_range, &h->range, f));
    const struct sha256 root = merkle_root(&h->range);
    if (!sha256_equal(&root, &h->root))
        FAIL(f, STATUS_DATA_LOSS, "log", "the root of the log does not follow from its head");
    if (n_checkpoint > 0)
        memcpy(h->checkpoint, checkpoint, n_checkpoint);
    h->checkpoint_size = n_checkpoint;
    return STATUS_OK;
}

static enum status head_put(struct kv_txn *txn, const struct audit_head *h, struct fault *f)
{
    uint8_t range[MERKLE_RANGE_SIZE];
    uint8_t record[HEAD_RECORD_MAX];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    put_u8(&w, HEAD_FORMAT);
    put_blob(&w, range, merkle_range_encode(&h->range, range));
    put_bytes(&w, h->root.b, SHA256_SIZE);
    put_blob(&w, h->checkpoint, h->checkpoint_size);
    INVARIANT(!w.failed);
    return kv_put(txn, KV_LOG_HEAD, head_key(), kv_bytes_of(record, w.used), f);
}

enum status audit_head_get(struct kv_txn *txn, struct audit_head *ret_head, struct fault *f)
{
    struct kv_bytes value = {0};
    const enum status st = kv_get(txn, KV_LOG_HEAD, head_key(), &value, f);
    if (st == STATUS_NOT_FOUND) {
        merkle_range_init(&ret_head->range);
        ret_head->root = merkle_empty();
        ret_head->checkpoint_size = 0;
        return STATUS_OK;
    }
    TRY(st);
    return head_decode(value, ret_head, f);
}

enum status
audit_set_checkpoint(struct kv_txn *txn, const char *checkpoint, size_t size, struct fault *f)
{
    struct audit_head h;
    if (size == 0 || size > sizeof h.checkpoint)
        FAIL(f, STATUS_INVALID_ARGUMENT, "checkpoint", "%zu bytes, allowed 1 to %zu", size,
             sizeof h.checkpoint);
    TRY(audit_head_get(txn, &h, f));
    memcpy(h.checkpoint, checkpoint, size);
    h.checkpoint_size = size;
    return head_put(txn, &h, f);
}

/* ---------------------------------------------------------------- entries */

enum status audit_append(
    struct kv_txn *txn, const void *entry, size_t size, uint64_t *ret_index, struct fault *f)
{
    struct audit_head h;
    struct merkle_full full[MERKLE_DEPTH];
    uint8_t key[NODE_KEY_SIZE];
    if (size == 0 || size > AUDIT_ENTRY_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "entry", "%zu bytes, allowed 1 to %u", size,
             AUDIT_ENTRY_MAX);
    TRY(audit_head_get(txn, &h, f));
    const uint64_t index = h.range.size;
    const struct sha256 leaf = merkle_leaf(entry, size);
    const size_t n = merkle_append(&h.range, &leaf, full);
    h.root = merkle_root(&h.range);
    kv_key_u64(key, index);
    TRY(kv_put(txn, KV_LOG_ENTRIES, kv_bytes_of(key, 8), kv_bytes_of(entry, size), f));
    for (size_t i = 0; i < n; i++)
        TRY(kv_put(txn, KV_LOG_NODES, node_key(full[i].level, full[i].index, key),
                   kv_bytes_of(full[i].hash.b, SHA256_SIZE), f));
    TRY(head_put(txn, &h, f));
    *ret_index = index;
    return STATUS_OK;
}

enum status
audit_entry(struct kv_txn *txn, uint64_t index, struct kv_bytes *ret_entry, struct fault *f)
{
    uint8_t key[8];
    kv_key_u64(key, index);
    const enum status st = kv_get(txn, KV_LOG_ENTRIES, kv_bytes_of(key, sizeof key), ret_entry, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_NOT_FOUND, "index", "the log has no entry %llu", (unsigned long long)index);
    return st;
}

/* ---------------------------------------------------------------- proofs */

static enum status
stored_node(void *context, uint8_t level, uint64_t index, struct sha256 *ret_hash, struct fault *f)
{
    struct kv_bytes value = {0};
    uint8_t key[NODE_KEY_SIZE];
    const enum status st = kv_get(context, KV_LOG_NODES, node_key(level, index, key), &value, f);
    if (st == STATUS_NOT_FOUND || (st == STATUS_OK && value.size != SHA256_SIZE))
        FAIL(f, STATUS_DATA_LOSS, "log", "node %llu of level %u is missing or damaged",
             (unsigned long long)index, (unsigned)level);
    TRY(st);
    memcpy(ret_hash->b, value.data, SHA256_SIZE);
    return STATUS_OK;
}

/* A source over this transaction, if the log has that many entries. */
static enum status
source_of(struct kv_txn *txn, uint64_t size, struct merkle_source *ret_source, struct fault *f)
{
    struct audit_head h;
    TRY(audit_head_get(txn, &h, f));
    if (size > h.range.size)
        FAIL(f, STATUS_OUT_OF_RANGE, "size", "%llu, but the log has %llu entries",
             (unsigned long long)size, (unsigned long long)h.range.size);
    *ret_source = (struct merkle_source){.get = stored_node, .context = txn};
    return STATUS_OK;
}

enum status audit_prove_inclusion(struct kv_txn *txn,
                                  uint64_t index,
                                  uint64_t size,
                                  struct merkle_proof *ret_proof,
                                  struct fault *f)
{
    struct merkle_source source;
    TRY(source_of(txn, size, &source, f));
    return merkle_prove_inclusion(&source, index, size, ret_proof, f);
}

enum status audit_prove_consistency(struct kv_txn *txn,
                                    uint64_t old_size,
                                    uint64_t new_size,
                                    struct merkle_proof *ret_proof,
                                    struct fault *f)
{
    struct merkle_source source;
    TRY(source_of(txn, new_size, &source, f));
    return merkle_prove_consistency(&source, old_size, new_size, ret_proof, f);
}

enum status
audit_root_at(struct kv_txn *txn, uint64_t size, struct sha256 *ret_root, struct fault *f)
{
    struct merkle_source source;
    TRY(source_of(txn, size, &source, f));
    return merkle_root_at(&source, size, ret_root, f);
}

/* ---------------------------------------------------------------- check */

struct rebuild {
    struct kv_txn *txn;
    audit_finding_fn *fn;
    void *context;
    struct merkle_range range;
    uint64_t nodes;
};

static void report(struct rebuild *x, uint64_t index, const char *how)
{
    x->fn(index, how, x->context);
}

/* Compares the nodes that one entry completes with those on record. */
static enum status rebuild_nodes(struct rebuild *x, struct kv_bytes entry, struct fault *f)
{
    struct merkle_full full[MERKLE_DEPTH];
    uint8_t key[NODE_KEY_SIZE];
    const uint64_t index = x->range.size;
    const struct sha256 leaf = merkle_leaf(entry.data, entry.size);
    const size_t n = merkle_append(&x->range, &leaf, full);
    x->nodes += n;
    for (size_t i = 0; i < n; i++) {
        struct kv_bytes value = {0};
        const enum status st =
            kv_get(x->txn, KV_LOG_NODES, node_key(full[i].level, full[i].index, key), &value, f);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
        if (st == STATUS_NOT_FOUND)
            report(x, index, "a node of the tree is missing");
        else if (value.size != SHA256_SIZE || memcmp(value.data, full[i].hash.b, SHA256_SIZE) != 0)
            report(x, index, "a node of the tree does not follow from the entries");
    }
    return STATUS_OK;
}

static enum status
rebuild_entry(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct rebuild *x = context;
    if (key.size != 8 || kv_key_u64_read(key.data) != x->range.size)
        report(x, x->range.size, "the numbers of the entries have a hole");
    if (value.size == 0 || value.size > AUDIT_ENTRY_MAX)
        report(x, x->range.size, "an entry of an impossible size");
    return rebuild_nodes(x, value, f);
}

static enum status check_head(struct rebuild *x, struct fault *f)
{
    struct audit_head h;
    struct fault why = {0};
    uint64_t nodes = 0;
    TRY(kv_count(x->txn, KV_LOG_NODES, &nodes, f));
    if (nodes > x->nodes)
        report(x, x->range.size, "the tree has nodes that belong to no entry");
    const enum status st = audit_head_get(x->txn, &h, &why);
    if (st == STATUS_DATA_LOSS) {
        report(x, x->range.size, why.text);
        return STATUS_OK;
    }
    if (st != STATUS_OK) {
        if (f)
            *f = why;
        return st;
    }
    const struct sha256 root = merkle_root(&x->range);
    if (h.range.size != x->range.size)
        report(x, x->range.size, "the head has another number of entries");
    else if (!sha256_equal(&h.root, &root))
        report(x, x->range.size, "the root does not follow from the entries");
    return STATUS_OK;
}

enum status audit_check(
    struct kv_txn *txn, audit_finding_fn *fn, void *context, uint64_t *ret_entries, struct fault *f)
{
    struct rebuild x = {.txn = txn, .fn = fn, .context = context};
    merkle_range_init(&x.range);
    TRY(kv_scan(txn, KV_LOG_ENTRIES, kv_bytes_of(NULL, 0), rebuild_entry, &x, f));
    TRY(check_head(&x, f));
    *ret_entries = x.range.size;
    return STATUS_OK;
}
