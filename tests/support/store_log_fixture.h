/* The key that signs the logs of test stores: always the same. */
#ifndef LETHE_TESTS_SUPPORT_STORE_LOG_FIXTURE_H
#define LETHE_TESTS_SUPPORT_STORE_LOG_FIXTURE_H

#include "tests/support/test.h"

#include "storage/audit/audit_log.h"
#include "storage/store/store_log.h"

#include <string.h>

#define LOGGED_ORIGIN "lethe.test/log"

/* Key number n under the origin of test logs. */
static inline struct sign_key *logged_key(uint8_t n)
{
    uint8_t seed[SIGN_SEED_SIZE];
    struct sign_key *key = NULL;
    memset(seed, n, sizeof seed);
    assert_int_equal(sign_key_from_seed(LOGGED_ORIGIN, SIGN_LOG, seed, &key, NULL), STATUS_OK);
    return key;
}

/* Begins the log of a store, or goes on with it. */
static inline enum status logged_begin(struct store *s, int64_t now_us, struct fault *f)
{
    struct store_log_begun begun;
    return store_log_begin(s, logged_key(1), NULL, now_us, &begun, f);
}

/* Entries of the log. */
static inline uint64_t logged_size(struct store *s)
{
    struct kv_txn *txn;
    struct audit_head head;
    assert_int_equal(store_read_begin(s, &txn, NULL), STATUS_OK);
    assert_int_equal(audit_head_get(txn, &head, NULL), STATUS_OK);
    store_read_end(txn);
    return head.range.size;
}

/* One entry, with the bytes that it borrows from. */
struct logged_entry {
    char bytes[LOG_ENTRY_MAX];
    size_t size;
    struct log_entry e;
    char word[LOG_WORD_SIZE]; /* of logged_word */
};

static inline void logged_entry(struct store *s, uint64_t index, struct logged_entry *x)
{
    struct kv_txn *txn;
    struct kv_bytes bytes = {0};
    assert_int_equal(store_read_begin(s, &txn, NULL), STATUS_OK);
    assert_int_equal(audit_entry(txn, index, &bytes, NULL), STATUS_OK);
    assert_true(bytes.size <= sizeof x->bytes);
    memcpy(x->bytes, bytes.data, bytes.size);
    x->size = bytes.size;
    store_read_end(txn);
    assert_int_equal(log_entry_parse(x->bytes, x->size, &x->e, NULL), STATUS_OK);
}

/* Value of a word or an actor; "-" if it is absent. */
static inline const char *logged_word(struct logged_entry *x, const char *name)
{
    memcpy(x->word, "-", 2);
    (void)log_entry_word(&x->e, name, x->word);
    return x->word;
}

/* The newest entry is of this kind. */
static inline void logged_newest(struct store *s, enum log_kind kind)
{
    struct logged_entry x;
    logged_entry(s, logged_size(s) - 1, &x);
    assert_string_equal(log_kind_name(x.e.kind), log_kind_name(kind));
}

#endif
