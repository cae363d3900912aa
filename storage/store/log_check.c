#include "storage/store/log_check.h"

#include "daemon/base/sysio.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/note.h"
#include "storage/audit/audit_log.h"
#include "storage/queue/queue.h"
#include "storage/store/log_requests.h"
#include "storage/store/old_events.h"
#include "storage/store/salts.h"
#include "storage/versions/serving.h"
#include "storage/versions/versions.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE 64

struct log_check {
    struct kv_txn *txn;
    log_finding_fn *fn;
    void *context;
    uint64_t index; /* of the entry under the eyes */
    int64_t last_us;
    struct sign_vkey vkey; /* that signs from here on */
    int has_vkey;
    int adopted;       /* the store is older than the log: not all has an entry */
    uint64_t versions; /* entries version.committed */
};

static void report(struct log_check *k, const char *how)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "#%llu", (unsigned long long)k->index);
    k->fn(name, how, k->context);
}

/* Lets through what is no fault of the store; everything else is a finding. */
static enum status judge(struct log_check *k, enum status st, const char *how, struct fault *f)
{
    if (st == STATUS_NO_MEMORY || st == STATUS_IO_ERROR)
        return st;
    if (st != STATUS_OK)
        report(k, how);
    (void)f;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- what entries tell of */

static enum status check_started(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    (void)f;
    if (k->index != 0)
        report(k, "the log begins a second time");
    k->has_vkey = log_entry_vkey(e, "key", &k->vkey);
    return STATUS_OK;
}

static enum status check_rolled(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct sign_vkey old;
    (void)f;
    if (!k->has_vkey || !log_entry_vkey(e, "old", &old) ||
        memcmp(old.public, k->vkey.public, sizeof old.public) != 0)
        report(k, "another key was rolled than the one in use");
    k->has_vkey = log_entry_vkey(e, "new", &k->vkey);
    return STATUS_OK;
}

static enum status check_adopted(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct sha256 root, told;
    uint64_t count = 0, said = 0;
    k->adopted = 1;
    const enum status st = old_events_root(k->txn, &count, &root, f);
    TRY(judge(k, st, "the events of the older store are damaged", f));
    if (st == STATUS_OK && (!log_entry_number(e, "count", &said) || said != count ||
                            !log_entry_hash(e, "events", &told) || !sha256_equal(&told, &root)))
        report(k, "the events of the older store are not those that were found");
    return STATUS_OK;
}

/* The payload on record opens the commitment, as long as there is a salt. */
static enum status check_payload(struct log_check *k,
                                 const struct queue_record *q,
                                 const struct log_entry *e,
                                 struct fault *f)
{
    struct salts salts;
    struct sha256 payload;
    void *bytes = NULL;
    size_t size = 0;
    enum status st = salts_get(k->txn, &q->id, &salts, f);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st == STATUS_OK)
        st = queue_payload(k->txn, q, &bytes, &size, f);
    TRY(judge(k, st, "salts or payload of the request are damaged", f));
    if (st != STATUS_OK)
        return STATUS_OK;
    if (!log_entry_hash(e, "payload", &payload) ||
        !commitment_opens(&payload, &salts.payload, "payload", bytes, size))
        report(k, "the payload is not what the log commits to");
    sysio_free(bytes);
    return STATUS_OK;
}

/* The request that an entry names, and its record among the log's requests. */
static enum status find_request(struct log_check *k,
                                const struct log_entry *e,
                                struct queue_record *ret_request,
                                struct log_request *ret_known,
                                int *ret_found,
                                struct fault *f)
{
    struct request_id id = {{0}};
    (void)log_entry_request(e, "request", &id);
    enum status st = queue_get(k->txn, &id, ret_request, f);
    if (st == STATUS_OK)
        st = log_request_get(k->txn, &id, ret_known, f);
    *ret_found = st == STATUS_OK;
    return judge(k, st, "the request is not on record", f);
}

static enum status check_accepted(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct queue_record q;
    struct log_request known;
    int found = 0;
    TRY(find_request(k, e, &q, &known, &found, f));
    if (!found)
        return STATUS_OK;
    if (known.accepted != k->index + 1)
        report(k, "the request does not name this entry as its first");
    return check_payload(k, &q, e, f);
}

static enum status check_done(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct queue_record q;
    struct log_request known;
    char outcome[LOG_WORD_SIZE] = "";
    int found = 0;
    TRY(find_request(k, e, &q, &known, &found, f));
    if (!found)
        return STATUS_OK;
    if (known.done != k->index + 1)
        report(k, "the request does not name this entry as its last");
    if (!log_entry_word(e, "outcome", outcome) || strcmp(outcome, request_state_name(q.state)) != 0)
        report(k, "the request ended otherwise");
    return STATUS_OK;
}

static enum status check_moved(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct serving s;
    struct digest to;
    uint64_t generation = 0;
    (void)log_entry_number(e, "generation", &generation);
    const enum status st = serving_generation(k->txn, generation, &s, f);
    TRY(judge(k, st, "the serving history has no such generation", f));
    if (st == STATUS_OK && (s.entry != k->index + 1 || !log_entry_digest(e, "to", &to) ||
                            !digest_equal(&to, &s.version)))
        report(k, "the serving history tells of another move");
    return STATUS_OK;
}

static enum status check_version(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    struct digest version = {{0}};
    uint64_t number = 0, said = 0;
    k->versions++;
    (void)log_entry_digest(e, "version", &version);
    const enum status st = version_number(k->txn, &version, &number, f);
    TRY(judge(k, st, "the version is not on record", f));
    if (st == STATUS_OK && (!log_entry_number(e, "number", &said) || said != number))
        report(k, "the version has another number");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- entries */

static enum status check_kind(struct log_check *k, const struct log_entry *e, struct fault *f)
{
    static const struct {
        enum log_kind kind;
        enum status (*check)(struct log_check *, const struct log_entry *, struct fault *);
    } CHECKS[] = {
        {LOG_KIND_STARTED, check_started},           {LOG_KIND_KEY_ROLLED, check_rolled},
        {LOG_KIND_ADOPTED, check_adopted},           {LOG_KIND_REQUEST_ACCEPTED, check_accepted},
        {LOG_KIND_REQUEST_DONE, check_done},         {LOG_KIND_SERVING_MOVED, check_moved},
        {LOG_KIND_VERSION_COMMITTED, check_version},
    };
    for (size_t i = 0; i < sizeof CHECKS / sizeof *CHECKS; i++)
        if (CHECKS[i].kind == e->kind)
            return CHECKS[i].check(k, e, f);
    return STATUS_OK;
}

static enum status
check_entry(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f)
{
    struct log_check *k = context;
    struct log_entry e;
    struct fault why = {0};
    if (key.size != 8)
        return STATUS_OK; /* audit_check has said so */
    k->index = kv_key_u64_read(key.data);
    if (log_entry_parse(value.data, value.size, &e, &why) != STATUS_OK) {
        report(k, "the entry is damaged");
        return STATUS_OK;
    }
    if (e.time_us < k->last_us)
        report(k, "the time runs backwards");
    k->last_us = e.time_us;
    if (k->index == 0 && e.kind != LOG_KIND_STARTED)
        report(k, "the first entry does not begin the log");
    return check_kind(k, &e, f);
}

/* ---------------------------------------------------------------- the other way */

static enum status check_request(const struct queue_record *q, void *context, struct fault *f)
{
    struct log_check *k = context;
    struct log_request known;
    struct fault why = {0};
    char name[NAME_SIZE];
    (void)f;
    request_id_format(&q->id, name);
    const enum status st = log_request_get(k->txn, &q->id, &known, &why);
    if (st == STATUS_NO_MEMORY || st == STATUS_IO_ERROR)
        return st;
    if (st != STATUS_OK)
        k->fn(name, why.text, k->context);
    else if (known.accepted == 0 && !k->adopted)
        k->fn(name, "the log does not tell of the request", k->context);
    else if (known.accepted > 0 && request_state_is_final(q->state) && known.done == 0)
        k->fn(name, "the log does not tell of the request's end", k->context);
    return STATUS_OK;
}

static enum status check_serving(const struct serving *s, void *context, struct fault *f)
{
    struct log_check *k = context;
    char name[NAME_SIZE];
    (void)f;
    (void)snprintf(name, sizeof name, "generation %llu", (unsigned long long)s->generation);
    if (s->entry == 0 && !k->adopted)
        k->fn(name, "the log does not tell of the move", k->context);
    return STATUS_OK;
}

/* A list that cannot be read is found by the check of what it lists (fsck.c). */
static enum status unless_damaged(enum status st)
{
    return st == STATUS_NO_MEMORY || st == STATUS_IO_ERROR ? st : STATUS_OK;
}

static enum status check_store(struct log_check *k, struct fault *f)
{
    uint64_t versions = 0;
    const struct queue_filter all = {0};
    struct fault why = {0};
    TRY(unless_damaged(queue_list(k->txn, &all, check_request, k, &why)));
    TRY(unless_damaged(serving_history(k->txn, 0, check_serving, k, &why)));
    TRY(kv_count(k->txn, KV_VERSIONS, &versions, f));
    if (versions != k->versions && !k->adopted)
        k->fn("versions", "the log tells of another number of versions", k->context);
    return STATUS_OK;
}

static enum status check_checkpoint(struct log_check *k, uint64_t entries, struct fault *f)
{
    struct audit_head h;
    struct note last;
    struct fault why = {0};
    const enum status st = audit_head_get(k->txn, &h, &why);
    (void)f;
    if (st == STATUS_DATA_LOSS || entries == 0)
        return STATUS_OK; /* audit_check has said so; or nothing was signed yet */
    TRY(st);
    k->index = entries;
    if (h.checkpoint_size == 0 ||
        note_parse(h.checkpoint, h.checkpoint_size, &last, &why) != STATUS_OK)
        report(k, "the newest checkpoint is missing or damaged");
    else if (last.checkpoint.size != entries || !sha256_equal(&last.checkpoint.root, &h.root))
        report(k, "the newest checkpoint is not that of the head");
    else if (!k->has_vkey || note_verify(&last, &k->vkey, NULL) != NOTE_GOOD)
        report(k, "the newest checkpoint is not signed by the log's key");
    return STATUS_OK;
}

static void audit_finding(uint64_t index, const char *how, void *context)
{
    struct log_check *k = context;
    k->index = index;
    report(k, how);
}

enum status log_check(
    struct kv_txn *txn, log_finding_fn *fn, void *context, uint64_t *ret_entries, struct fault *f)
{
    struct log_check k = {.txn = txn, .fn = fn, .context = context};
    uint64_t entries = 0;
    TRY(audit_check(txn, audit_finding, &k, &entries, f));
    TRY(kv_scan(txn, KV_LOG_ENTRIES, kv_bytes_of(NULL, 0), check_entry, &k, f));
    TRY(check_checkpoint(&k, entries, f));
    TRY(check_store(&k, f));
    *ret_entries = entries;
    return STATUS_OK;
}
