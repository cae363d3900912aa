/*
 * What is in a store: the databases, their keys and the record formats, and the schema version.
 *
 * Keys are byte strings; numbers in keys are big-endian (byte order = number order).  Values are
 * little-endian records whose first byte is their format number; a reader refuses a format that it
 * does not know and bytes left over (DATA_LOSS).
 *
 * | database       | key                    | value                                 |
 * | -------------- | ---------------------- | ------------------------------------- |
 * | meta           | name                   | see below                             |
 * | events         | sequence u64           | schema 1 only (store/old_events.h)    |
 * | blobs          | digest 32              | kind, size, extent (blobs/blobs.h)    |
 * | chunks         | extent 16, index u32   | sealed chunk (blobs/chunk.h)          |
 * | keys           | extent 16              | wrapped data key (vault/data_keys.h)  |
 * | requests       | request id 16          | request record (queue/queue_record.h) |
 * | request_order  | sequence u64           | request id 16                         |
 * | request_state  | state u8, sequence u64 | request id 16                         |
 * | versions       | number u64             | manifest digest 32 (bytes: a blob)    |
 * | version_digest | manifest digest 32     | number u64                            |
 * | serving        | generation u64         | serving record (versions/serving.h)   |
 * | pins           | manifest digest 32     | pin record (versions/serving.h)       |
 * | datasets       | name, 0, role u8       | data set record (datasets/datasets.h) |
 * | uploads        | upload id 16           | upload record (datasets/uploads.h)    |
 * | memories       | name                   | blob digest 32 of the memory          |
 * | log_entries    | index u64              | exact entry (audit/audit_log.h)       |
 * | log_nodes      | level u8, index u64    | SHA-256 of a full node of the tree    |
 * | log_head       | "head"                 | head record (audit/audit_log.h)       |
 * | log_requests   | request id 16          | its entries (store/log_requests.h)    |
 * | salts          | request id 16          | its salts (store/salts.h)             |
 * | certificates   | request id 16          | the newest (store/certificates.h)     |
 *
 * Sealed (values under the record key of the epoch): requests, uploads, pins,
 * salts, certificates.  Veiled (the key in the file is a keyed hash as well, the name stands in the
 * sealed value): blobs, datasets, memories. All are sealed anew at each epoch (vault/rotation.h).
 * sealed value: nonce 24 | ciphertext of the value | tag 16;        place: database name, 0, key
 * veiled key:   BLAKE2b-256 under the index key of: database name, 0, key veiled value: nonce 24 |
 * ciphertext of: u16 n, key n, value | tag 16;  place: name, 0, veiled key
 *
 * meta: "schema" u32 schema version; "store" 16 random bytes, the identity of this store;
 * "log-origin" the name of the log; "request-counts" how
 * many requests are in each state (queue/request_counts.h); what vault/vault.h keeps: "epoch",
 * "kek-check", "secret-*", "dead-keys", "shredding", "shredding-keys", "unsealed".  The serving
 * version is the record of the highest generation, so there is no second pointer that could
 * disagree with the history.
 *
 * Rule for changes: a new database or a new record format that old code would misread raises
 * SCHEMA_VERSION and adds a row to the table in migrate.c; stores are migrated forward when they
 * are opened, in one transaction, and never backward.
 */
#ifndef LETHE_STORAGE_SCHEMA_H
#define LETHE_STORAGE_SCHEMA_H

#define SCHEMA_VERSION 5

/* X(enumerator, name in the file) */
#define SCHEMA_DATABASES(X)                                                                        \
    X(META, "meta")                                                                                \
    X(EVENTS, "events")                                                                            \
    X(BLOBS, "blobs")                                                                              \
    X(CHUNKS, "chunks")                                                                            \
    X(REQUESTS, "requests")                                                                        \
    X(REQUEST_ORDER, "request_order")                                                              \
    X(REQUEST_STATE, "request_state")                                                              \
    X(VERSIONS, "versions")                                                                        \
    X(VERSION_DIGEST, "version_digest")                                                            \
    X(SERVING, "serving")                                                                          \
    X(PINS, "pins")                                                                                \
    X(DATASETS, "datasets")                                                                        \
    X(UPLOADS, "uploads")                                                                          \
    X(MEMORIES, "memories")                                                                        \
    X(LOG_ENTRIES, "log_entries")                                                                  \
    X(LOG_NODES, "log_nodes")                                                                      \
    X(LOG_HEAD, "log_head")                                                                        \
    X(LOG_REQUESTS, "log_requests")                                                                \
    X(SALTS, "salts")                                                                              \
    X(KEYS, "keys")                                                                                \
    X(CERTIFICATES, "certificates")

enum kv_db {
#define X(name, text) KV_##name,
    SCHEMA_DATABASES(X)
#undef X
        KV_DBS
};

#endif
