/*
 * Schema migrations: how a store that an older lethe wrote becomes one of this schema.  Runs inside
 * the write transaction that opens the store, so an upgrade happens completely or not at all.
 */
#ifndef LETHE_STORAGE_MIGRATE_H
#define LETHE_STORAGE_MIGRATE_H

#include "daemon/base/status.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

/* One step: changes the records of schema `from` into those of schema from + 1. */
struct migration {
    uint32_t from;
    enum status (*run)(struct kv_txn *txn, struct fault *f);
};

/*
 * Reads the schema record; writes the current one into a fresh store, runs the steps of an older
 * one.  STORE_NEWER or DATA_LOSS; then nothing was changed.
 */
enum status migrate_store(struct kv_txn *txn, struct fault *f) MUST_CHECK;

/*
 * The same with another table and another current version (for tests of the mechanism).  The table
 * is in rising order of `from` and has one row for each schema from the oldest supported on.
 */
enum status migrate_store_to(struct kv_txn *txn,
                             uint32_t current,
                             const struct migration *table,
                             size_t n,
                             struct fault *f) MUST_CHECK;

#endif
