/*
 * Random changes of a store, some of which fail, some at the n-th database call: after each, state
 * and log agree (fsck), the log has grown by exactly what the change has to tell, no entry was ever
 * altered, the newest checkpoint is that of the head, and every receipt that was handed out before
 * is given again byte for byte and verifies.
 */
#include "tests/support/evidence_check.h"
#include "tests/support/store_fixture.h"

#include "daemon/base/rng.h"
#include "storage/store/evidence.h"

#include <errno.h>

#define ROUNDS       800u
#define REQUESTS_MAX 200u
#define ENTRIES_MAX  4000u

struct kept_receipt {
    char *text;
    size_t size;
};

struct model {
    struct store_fixture x;
    struct rng rng;
    unsigned n_requests;
    enum request_state states[REQUESTS_MAX + 1];
    struct kept_receipt receipts[REQUESTS_MAX + 1];
    struct sha256 leaves[ENTRIES_MAX];
    uint64_t size;
    unsigned failed, injected;
};

/* ---------------------------------------------------------------- changes */

static unsigned below(struct model *m, unsigned n)
{
    return (unsigned)rng_below(&m->rng, n);
}

/* Entries that a move into a state writes: itself, and the end. */
static uint64_t entries_of(enum request_state to)
{
    return request_state_is_final(to) ? 2 : 1;
}

static enum status submit(struct model *m, uint64_t *ret_entries, struct fault *f)
{
    char payload[40];
    const unsigned n = m->n_requests + 1;
    (void)snprintf(payload, sizeof payload, "payload %u", n);
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = "privacy/local",
                                       .kind = "forget",
                                       .payload = payload,
                                       .payload_size = strlen(payload),
                                       .submitted_us = m->x.now_us};
    const struct queue_move move = {
        .id = s.id, .event = REQUEST_EVENT_ENQUEUE, .now_us = m->x.now_us};
    const struct store_change c = {
        .now_us = m->x.now_us, .accept = &s, .moves = &move, .n_moves = 1};
    *ret_entries = 2;
    TRY(store_commit(m->x.store, &c, NULL, f));
    m->states[++m->n_requests] = REQUEST_QUEUED;
    return STATUS_OK;
}

/* Mostly one that the table allows in this state, if there is any. */
static enum request_event draw_event(struct model *m, enum request_state state)
{
    enum request_event event = (enum request_event)below(m, REQUEST_EVENTS);
    for (unsigned i = 0; i < 60 && below(m, 20); i++) {
        if (request_state_after(state, event) != REQUEST_NONE)
            break;
        event = (enum request_event)below(m, REQUEST_EVENTS);
    }
    return event;
}

/* Any event on any request; what the table does not allow must be refused. */
static enum status move_one(struct model *m, uint64_t *ret_entries, struct fault *f)
{
    const unsigned n = 1 + below(m, m->n_requests);
    const enum request_event event = draw_event(m, m->states[n]);
    const enum request_state to = request_state_after(m->states[n], event);
    const struct queue_move move = {.id = fixture_id(n), .event = event, .now_us = m->x.now_us};
    const int person = event == REQUEST_EVENT_CANCEL && below(m, 2);
    const struct store_change c = {
        .now_us = m->x.now_us, .actor = person ? "local" : NULL, .moves = &move, .n_moves = 1};
    *ret_entries = to == REQUEST_NONE ? 0 : entries_of(to) + (uint64_t)(person != 0);
    TRY(store_commit(m->x.store, &c, NULL, f));
    assert_int_not_equal(to, REQUEST_NONE);
    m->states[n] = to;
    return STATUS_OK;
}

static enum status repeat(struct model *m, uint64_t *ret_entries, struct fault *f)
{
    char payload[40];
    const unsigned n = 1 + below(m, m->n_requests);
    (void)snprintf(payload, sizeof payload, "payload %u", n);
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = "privacy/local",
                                       .kind = "forget",
                                       .payload = payload,
                                       .payload_size = strlen(payload)};
    const struct store_change c = {.now_us = m->x.now_us, .accept = &s};
    *ret_entries = 0;
    return store_commit(m->x.store, &c, NULL, f);
}

static enum status note(struct model *m, uint64_t *ret_entries, struct fault *f)
{
    const struct log_value values[] = {log_value_word("reason", "unknown_key"),
                                       log_value_number("count", below(m, 9))};
    const struct store_entry entry = {LOG_KIND_DENIAL, values, 2};
    const struct store_change c = {.now_us = m->x.now_us, .entries = &entry, .n_entries = 1};
    *ret_entries = 1;
    return store_commit(m->x.store, &c, NULL, f);
}

static enum status restart(struct model *m, uint64_t *ret_entries, struct fault *f)
{
    size_t moved = 0;
    *ret_entries = 0;
    for (unsigned n = 1; n <= m->n_requests; n++)
        *ret_entries += m->states[n] == REQUEST_RUNNING || m->states[n] == REQUEST_EVALUATING;
    TRY(store_recover(m->x.store, m->x.now_us, &moved, f));
    for (unsigned n = 1; n <= m->n_requests; n++)
        if (m->states[n] == REQUEST_RUNNING || m->states[n] == REQUEST_EVALUATING)
            m->states[n] = REQUEST_QUEUED;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- checks */

/* Entries that were there are as they were; new ones are remembered. */
static void check_entries(struct model *m, struct kv_txn *txn, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        struct kv_bytes entry = {0};
        assert_ok(audit_entry(txn, i, &entry, THE_FAULT));
        const struct sha256 leaf = merkle_leaf(entry.data, entry.size);
        if (i >= m->size)
            m->leaves[i] = leaf;
        assert_true(sha256_equal(&leaf, &m->leaves[i]));
    }
}

static void check_receipt(struct model *m, struct kv_txn *txn, unsigned n)
{
    struct evidence e = {0};
    struct kept_receipt *kept = &m->receipts[n];
    const struct request_id id = fixture_id(n);
    assert_ok(evidence_accepted(txn, &id, EVIDENCE_OPEN, &e, THE_FAULT));
    if (!kept->text) {
        evidence_receipt(store_log_vkey(m->x.store), e.text, e.size, NULL, 0,
                         LOG_KIND_REQUEST_ACCEPTED, &id);
        *kept = (struct kept_receipt){e.text, e.size};
        return;
    }
    assert_int_equal(e.size, kept->size);
    assert_memory_equal(e.text, kept->text, e.size);
    evidence_fini(&e);
}

static void check(struct model *m, uint64_t grown)
{
    struct kv_txn *txn;
    struct audit_head head;
    assert_ok(store_read_begin(m->x.store, &txn, THE_FAULT));
    assert_ok(audit_head_get(txn, &head, THE_FAULT));
    assert_int_equal(head.range.size, m->size + grown);
    assert_true(head.range.size < ENTRIES_MAX);
    check_entries(m, txn, head.range.size);
    for (unsigned n = 1; n <= m->n_requests; n++)
        check_receipt(m, txn, n);
    store_read_end(txn);
    const struct note_checkpoint signed_head =
        evidence_checkpoint(store_log_vkey(m->x.store), head.checkpoint, head.checkpoint_size);
    assert_int_equal(signed_head.size, head.range.size);
    m->size = head.range.size;
}

/* ---------------------------------------------------------------- the whole */

static void one_round(struct model *m)
{
    static enum status (*const CHANGES[])(struct model *, uint64_t *, struct fault *) = {
        submit, move_one, move_one, move_one, move_one, repeat, note, restart};
    uint64_t entries = 0;
    struct fault f = {0};
    const unsigned which = m->n_requests == 0 ? 0 : below(m, 8);
    if (which == 0 && m->n_requests == REQUESTS_MAX)
        return;
    m->x.now_us += below(m, 10) == 0 ? -500 : 1 + (int64_t)below(m, 1000);
    const int inject = below(m, 3) == 0;
    if (inject)
        sysio_fail_at(SYSIO_KV, 1 + below(m, 40), 1, below(m, 2) ? EIO : ENOSPC);
    const enum status st = CHANGES[which](m, &entries, &f);
    sysio_fail_at(SYSIO_KV, 0, 0, 0);
    m->failed += st != STATUS_OK;
    m->injected += inject && st != STATUS_OK && st != STATUS_FAILED_PRECONDITION;
    check(m, st == STATUS_OK ? entries : 0);
}

void test_log_model_random_changes(void **state)
{
    (void)state;
    static struct model m;
    const struct rng_root root = {.seed = 11};
    memset(&m, 0, sizeof m);
    rng_init(&m.rng, &root, "log", 0);
    fixture_open(&m.x);
    m.size = 0;
    check(&m, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        one_round(&m);
        if (round % 50 == 49) {
            fixture_reopen(&m.x);
            (void)fixture_check(&m.x);
        }
    }
    print_message("%llu entries, %u requests, %u changes refused or failed, %u by injection\n",
                  (unsigned long long)m.size, m.n_requests, m.failed, m.injected);
    assert_true(m.n_requests > 20 && m.failed > 50 && m.injected > 20);
    for (unsigned n = 1; n <= m.n_requests; n++)
        sysio_free(m.receipts[n].text);
    fixture_close(&m.x);
}
