#include "storage/store/log_batch.h"

#include "daemon/base/invariant.h"
#include "proto/seal/note.h"
#include "storage/audit/audit_log.h"

#include <string.h>

const char *log_actor_of(const char *text)
{
    if (!text)
        return LOG_ACTOR_DAEMON;
    return log_text_is(LOG_TYPE_ACTOR, text, strlen(text)) ? text : LOG_ACTOR_LOCAL;
}

struct log_batch
log_batch_make(struct kv_txn *txn, const struct sign_key *key, const char *actor, int64_t now_us)
{
    return (struct log_batch){
        .txn = txn, .key = key, .actor = log_actor_of(actor), .now_us = now_us};
}

/* ---------------------------------------------------------------- entries */

/* How long the log is, and the time of its newest entry. */
static enum status look(struct log_batch *b, struct fault *f)
{
    struct audit_head head;
    struct kv_bytes bytes = {0};
    struct log_entry newest;
    TRY(audit_head_get(b->txn, &head, f));
    b->size = head.range.size;
    b->last_us = 1; /* a time of 0 is no time */
    if (b->size == 0)
        return STATUS_OK;
    TRY(audit_entry(b->txn, b->size - 1, &bytes, f));
    if (log_entry_parse(bytes.data, bytes.size, &newest, f) != STATUS_OK)
        FAIL(f, STATUS_DATA_LOSS, "log", "the newest entry of the log is damaged");
    b->last_us = newest.time_us;
    return STATUS_OK;
}

enum status log_batch_add(struct log_batch *b,
                          enum log_kind kind,
                          const struct log_value *values,
                          size_t n_values,
                          uint64_t *ret_index,
                          struct fault *f)
{
    char bytes[LOG_ENTRY_MAX];
    size_t size = 0;
    uint64_t index = 0;
    if (!b->key)
        FAIL(f, STATUS_FAILED_PRECONDITION, "log", "the log was not begun: it has no key");
    if (b->n == 0)
        TRY(look(b, f));
    const int held = b->now_us < b->last_us;
    const int64_t time = held ? b->last_us : b->now_us;
    TRY(log_entry_write(kind, time, held, values, n_values, bytes, &size, f));
    TRY(audit_append(b->txn, bytes, size, &index, f));
    INVARIANT(index == b->size);
    b->last_us = time;
    b->size++;
    b->n++;
    if (ret_index)
        *ret_index = index;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the head */

/* What was signed last must be the beginning of what is signed now. */
static enum status check_continues(struct kv_txn *txn, const struct audit_head *h, struct fault *f)
{
    struct note last;
    struct sha256 root;
    if (h->checkpoint_size == 0)
        return STATUS_OK;
    if (note_parse(h->checkpoint, h->checkpoint_size, &last, f) != STATUS_OK ||
        last.checkpoint.size > h->range.size)
        FAIL(f, STATUS_DATA_LOSS, "log", "the checkpoint that was signed last is damaged");
    TRY(audit_root_at(txn, last.checkpoint.size, &root, f));
    if (!sha256_equal(&root, &last.checkpoint.root))
        FAIL(f, STATUS_DATA_LOSS, "log",
             "the log does not continue the head of %llu entries that was signed last",
             (unsigned long long)last.checkpoint.size);
    return STATUS_OK;
}

enum status log_batch_sign(struct log_batch *b, struct fault *f)
{
    char note[2 * NOTE_SIGNED_SIZE];
    struct audit_head head;
    struct note_checkpoint checkpoint = {{0}, 0, {{0}}};
    if (b->n == 0)
        return STATUS_OK;
    TRY(audit_head_get(b->txn, &head, f));
    TRY(check_continues(b->txn, &head, f));
    memcpy(checkpoint.origin, sign_key_public(b->key)->name, sizeof checkpoint.origin);
    checkpoint.size = head.range.size;
    checkpoint.root = head.root;
    struct byte_writer w = byte_writer_make(note, sizeof note);
    note_write_text(&w, &checkpoint);
    const size_t text = w.used;
    put_u8(&w, '\n');
    note_write_signature(&w, note, text, b->key);
    if (b->old_key)
        note_write_signature(&w, note, text, b->old_key);
    INVARIANT(!w.failed);
    return audit_set_checkpoint(b->txn, note, w.used, f);
}
