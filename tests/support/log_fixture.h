/*
 * A log in memory, for tests of proofs: entries, every full node, a key, witnesses.  Keys come from
 * fixed seeds, so the same calls give the same bytes.  Any failure fails the test.  Everything
 * is inline, so that only tests that include it need the proto archive.
 */
#ifndef LETHE_TESTS_SUPPORT_LOG_FIXTURE_H
#define LETHE_TESTS_SUPPORT_LOG_FIXTURE_H

#include "tests/support/test.h"

#include "proto/seal/consistency.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/merkle.h"
#include "proto/seal/receipt.h"
#include "proto/seal/sign.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LOG_FIXTURE_ORIGIN  "example.org/lethe/7f3a9c01"
#define LOG_FIXTURE_WITNESS "witness.example"
#define LOG_FIXTURE_NOW     INT64_C(1772359200000000) /* 2026-03-01T10:00:00Z */
#define LOG_FIXTURE_SECONDS INT64_C(1772366400)       /* the witness signs two hours later */
#define LOG_FIXTURE_STEP    INT64_C(1000000)          /* between two entries */

struct log_fixture_entry {
    char *bytes;
    size_t size;
};

struct log_fixture_level {
    struct sha256 *nodes;
    size_t n;
    size_t room;
};

struct log_fixture {
    struct merkle_range range;
    struct log_fixture_level levels[MERKLE_DEPTH];
    struct log_fixture_entry *entries;
    size_t n_entries;
    struct sign_key *key;
    struct sign_key *witness;
};

static inline void log_fixture_must(enum status st, const struct fault *f)
{
    if (st != STATUS_OK)
        fail_msg("%s: %s", f->field, f->text);
}

static inline struct log_fixture *log_fixture_new(void)
{
    const uint8_t one[SIGN_SEED_SIZE] = {1}, two[SIGN_SEED_SIZE] = {2};
    struct fault f = {0};
    struct log_fixture *log = calloc(1, sizeof *log);
    assert_non_null(log);
    log_fixture_must(sign_key_from_seed(LOG_FIXTURE_ORIGIN, SIGN_LOG, one, &log->key, &f), &f);
    log_fixture_must(sign_key_from_seed(LOG_FIXTURE_WITNESS, SIGN_WITNESS, two, &log->witness, &f),
                     &f);
    merkle_range_init(&log->range);
    return log;
}

static inline void log_fixture_free(struct log_fixture *log)
{
    for (size_t i = 0; i < MERKLE_DEPTH; i++)
        free(log->levels[i].nodes);
    for (size_t i = 0; i < log->n_entries; i++)
        free(log->entries[i].bytes);
    free(log->entries);
    sign_key_free(log->key);
    sign_key_free(log->witness);
    free(log);
}

static inline const struct sign_vkey *log_fixture_key(const struct log_fixture *log)
{
    return sign_key_public(log->key);
}

static inline const struct sign_key *log_fixture_witness(const struct log_fixture *log)
{
    return log->witness;
}

static inline uint64_t log_fixture_size(const struct log_fixture *log)
{
    return log->range.size;
}

static inline void log_fixture_keep_node(struct log_fixture *log, const struct merkle_full *full)
{
    struct log_fixture_level *level = &log->levels[full->level];
    assert_true(full->index == level->n);
    if (level->n == level->room) {
        level->room = level->room ? 2 * level->room : 16;
        level->nodes = realloc(level->nodes, level->room * sizeof *level->nodes);
        assert_non_null(level->nodes);
    }
    level->nodes[level->n++] = full->hash;
}

static inline void log_fixture_append(struct log_fixture *log, const struct sha256 *leaf)
{
    struct merkle_full full[MERKLE_DEPTH];
    const size_t n = merkle_append(&log->range, leaf, full);
    for (size_t i = 0; i < n; i++)
        log_fixture_keep_node(log, &full[i]);
}

/* Appends; returns the entry's number.  Its time is LOG_FIXTURE_NOW + number * STEP. */
static inline uint64_t log_fixture_add(struct log_fixture *log,
                                       enum log_kind kind,
                                       const struct log_value *values,
                                       size_t n_values)
{
    char text[LOG_ENTRY_MAX];
    size_t n = 0;
    struct fault f = {0};
    const uint64_t index = log->range.size;
    assert_true(index == log->n_entries);
    const int64_t time_us = LOG_FIXTURE_NOW + (int64_t)index * LOG_FIXTURE_STEP;
    log_fixture_must(log_entry_write(kind, time_us, 0, values, n_values, text, &n, &f), &f);
    log->entries = realloc(log->entries, (log->n_entries + 1) * sizeof *log->entries);
    assert_non_null(log->entries);
    log->entries[log->n_entries] = (struct log_fixture_entry){malloc(n), n};
    assert_non_null(log->entries[log->n_entries].bytes);
    memcpy(log->entries[log->n_entries++].bytes, text, n);
    const struct sha256 leaf = merkle_leaf(text, n);
    log_fixture_append(log, &leaf);
    return index;
}

static inline struct digest log_fixture_version(uint64_t generation)
{
    struct digest d = {{0}};
    memset(d.b, (int)(generation & 0xff), sizeof d.b);
    return d;
}

/* n policy.changed entries of different digests. */
static inline void log_fixture_fill(struct log_fixture *log, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct digest d = log_fixture_version(1 + log->range.size % 250);
        const struct log_value value = log_value_digest("policy", &d);
        (void)log_fixture_add(log, LOG_KIND_POLICY_CHANGED, &value, 1);
    }
}

/* n leaves that are hashes of a counter and have no entries, quickly. */
static inline void log_fixture_fill_leaves(struct log_fixture *log, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct sha256 leaf = merkle_leaf(&log->range.size, sizeof log->range.size);
        log_fixture_append(log, &leaf);
    }
}

/* serving.moved of this generation, from version (generation - 1) to version (generation). */
static inline uint64_t log_fixture_move(struct log_fixture *log, uint64_t generation)
{
    const struct digest from = log_fixture_version(generation - 1);
    const struct digest to = log_fixture_version(generation);
    const struct log_value values[] = {log_value_number("generation", generation),
                                       log_value_digest("from", &from),
                                       log_value_digest("to", &to)};
    return log_fixture_add(log, LOG_KIND_SERVING_MOVED, values, 3);
}

static inline const void *
log_fixture_entry(const struct log_fixture *log, uint64_t index, size_t *ret_size)
{
    assert_true(index < log->n_entries);
    *ret_size = log->entries[index].size;
    return log->entries[index].bytes;
}

static inline enum status log_fixture_get_node(
    void *context, uint8_t level, uint64_t index, struct sha256 *ret_hash, struct fault *f)
{
    const struct log_fixture *log = context;
    if (level >= MERKLE_DEPTH || index >= log->levels[level].n)
        FAIL(f, STATUS_NOT_FOUND, NULL, "no such node");
    *ret_hash = log->levels[level].nodes[index];
    return STATUS_OK;
}

/* The source takes no const; it changes nothing. */
static inline struct merkle_source log_fixture_source_of(const struct log_fixture *log)
{
    union {
        const struct log_fixture *in;
        void *out;
    } same = {.in = log};
    return (struct merkle_source){log_fixture_get_node, same.out};
}

static inline void log_fixture_prove(const struct log_fixture *log,
                                     uint64_t index,
                                     uint64_t size,
                                     struct merkle_proof *ret_proof)
{
    struct fault f = {0};
    const struct merkle_source source = log_fixture_source_of(log);
    log_fixture_must(merkle_prove_inclusion(&source, index, size, ret_proof, &f), &f);
}

static inline void log_fixture_consistency(const struct log_fixture *log,
                                           uint64_t old_size,
                                           uint64_t new_size,
                                           struct consistency *ret)
{
    struct fault f = {0};
    const struct merkle_source source = log_fixture_source_of(log);
    *ret = (struct consistency){
        .origin = LOG_FIXTURE_ORIGIN, .old_size = old_size, .new_size = new_size};
    if (old_size)
        log_fixture_must(merkle_prove_consistency(&source, old_size, new_size, &ret->proof, &f),
                         &f);
}

static inline size_t log_fixture_checkpoint(const struct log_fixture *log,
                                            uint64_t size,
                                            int witnessed,
                                            char to[NOTE_MAX])
{
    struct fault f = {0};
    const struct merkle_source source = log_fixture_source_of(log);
    struct note_checkpoint c = {.origin = LOG_FIXTURE_ORIGIN, .size = size};
    log_fixture_must(merkle_root_at(&source, size, &c.root, &f), &f);
    struct byte_writer w = byte_writer_make(to, NOTE_MAX);
    note_write(&w, &c, log->key);
    if (witnessed) {
        struct note note;
        log_fixture_must(note_parse(to, w.used, &note, &f), &f);
        note_write_cosignature(&w, note.text, note.text_size, LOG_FIXTURE_SECONDS, log->witness);
    }
    assert_false(w.failed);
    return w.used;
}

/* A receipt of an entry against all of the log, in fresh memory (free). */
static inline char *log_fixture_receipt(const struct log_fixture *log,
                                        uint64_t index,
                                        const struct receipt_part *parts,
                                        size_t n_parts,
                                        int witnessed,
                                        size_t *ret_size)
{
    char checkpoint[NOTE_MAX];
    struct merkle_proof proof;
    struct fault f = {0};
    struct receipt_draft draft = {.parts = parts,
                                  .n_parts = n_parts,
                                  .index = index,
                                  .proof = &proof,
                                  .checkpoint = checkpoint};
    draft.entry = log_fixture_entry(log, index, &draft.entry_size);
    draft.checkpoint_size = log_fixture_checkpoint(log, log->range.size, witnessed, checkpoint);
    log_fixture_prove(log, index, log->range.size, &proof);
    struct byte_writer w = byte_writer_make(NULL, 0);
    log_fixture_must(receipt_write(&w, &draft, &f), &f);
    char *text = malloc(w.used);
    assert_non_null(text);
    const size_t counted = w.used;
    w = byte_writer_make(text, counted);
    log_fixture_must(receipt_write(&w, &draft, &f), &f);
    assert_int_equal(w.used, counted);
    *ret_size = counted;
    return text;
}

/* The log, and the witness if asked. */
static inline struct signers log_fixture_signers(const struct log_fixture *log, int witnessed)
{
    return (struct signers){.logs = log_fixture_key(log),
                            .n_logs = 1,
                            .witnesses = sign_key_public(log->witness),
                            .n_witnesses = witnessed ? 1 : 0,
                            .need = witnessed ? 1 : 0};
}

#endif
