#include "storage/kv/migrate.h"

#include "daemon/base/bytes.h"
#include "proto/seal/hash.h"

#include <string.h>

static const char SCHEMA_KEY[] = "schema";
static const char STORE_KEY[] = "store";

static enum status put_schema(struct kv_txn *txn, uint32_t version, struct fault *f)
{
    uint8_t value[4];
    struct byte_writer w = byte_writer_make(value, sizeof value);
    put_u32(&w, version);
    return kv_put(txn, KV_META, kv_bytes_of(SCHEMA_KEY, sizeof SCHEMA_KEY - 1),
                  kv_bytes_of(value, w.used), f);
}

static enum status make_fresh(struct kv_txn *txn, uint32_t current, struct fault *f)
{
    struct request_id identity;
    seal_random(identity.b, sizeof identity.b);
    TRY(kv_put(txn, KV_META, kv_bytes_of(STORE_KEY, sizeof STORE_KEY - 1),
               kv_bytes_of(identity.b, sizeof identity.b), f));
    return put_schema(txn, current, f);
}

static enum status run_steps(struct kv_txn *txn,
                             uint32_t found,
                             uint32_t current,
                             const struct migration *table,
                             size_t n,
                             struct fault *f)
{
    for (size_t i = 0; i < n && found < current; i++) {
        if (table[i].from != found)
            continue;
        const enum status st = table[i].run(txn, f);
        if (st != STATUS_OK) {
            fault_prefix(f, "upgrade from schema %u", (unsigned)found);
            return st;
        }
        found++;
    }
    if (found != current)
        FAIL(f, STATUS_FAILED_PRECONDITION, "schema",
             "the store has schema %u, too old to be upgraded to %u by this lethe", (unsigned)found,
             (unsigned)current);
    return put_schema(txn, current, f);
}

enum status migrate_store_to(
    struct kv_txn *txn, uint32_t current, const struct migration *table, size_t n, struct fault *f)
{
    struct kv_bytes value;
    const enum status st =
        kv_get(txn, KV_META, kv_bytes_of(SCHEMA_KEY, sizeof SCHEMA_KEY - 1), &value, f);
    if (st == STATUS_NOT_FOUND)
        return make_fresh(txn, current, f);
    TRY(st);
    struct byte_reader r = byte_reader_make(value.data, value.size);
    const uint32_t found = get_u32(&r);
    if (!byte_reader_done(&r) || found == 0)
        FAIL(f, STATUS_DATA_LOSS, "schema", "the schema record is damaged");
    if (found > current)
        FAIL(f, STATUS_STORE_NEWER, "schema",
             "the store has schema %u; this lethe knows schemas up to %u: use a newer lethe",
             (unsigned)found, (unsigned)current);
    if (found == current)
        return STATUS_OK;
    return run_steps(txn, found, current, table, n, f);
}

/* The schema number alone keeps older programs out. */
static enum status nothing_to_change(struct kv_txn *txn, struct fault *f)
{
    (void)txn;
    (void)f;
    return STATUS_OK;
}

enum status migrate_store(struct kv_txn *txn, struct fault *f)
{
    static const struct migration TABLE[] = {
        {1, nothing_to_change}, /* the log begins with store_log_begin, which has its key */
        {2, nothing_to_change}, /* sealing: done by vault_open, which has the keys */
        {3, nothing_to_change}, /* counts of requests and marks of held blobs come with use */
        {4, nothing_to_change}, /* certificates: a database that is empty at first */
    };
    return migrate_store_to(txn, SCHEMA_VERSION, TABLE, sizeof TABLE / sizeof *TABLE, f);
}
