#include "daemon/jobs/open_requests.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit.h"
#include "daemon/jobs/owner.h"
#include "proto/limits.h"

/* Looks at one open request; true ends the search. */
typedef int
open_test(const struct queue_record *record, const struct wire_envelope *m, void *context);

struct search {
    struct kv_txn *txn;
    struct arena *arena;
    open_test *test;
    void *context;
};

static enum status test_record(const struct queue_record *record, void *context, struct fault *f)
{
    struct search *s = context;
    void *bytes;
    size_t size;
    const struct wire_envelope *m;
    TRY(queue_payload(s->txn, record, &bytes, &size, f));
    const struct arena_mark mark = arena_mark(s->arena);
    const enum status st = wire_envelope_decode(bytes, size, s->arena, &m, f);
    sysio_free(bytes);
    TRY(st);
    const int found = s->test(record, m, s->context);
    arena_rewind(s->arena, mark);
    /* CANCELLED ends the listing early; search_states takes it for what it is. */
    return found ? STATUS_CANCELLED : STATUS_OK;
}

static const enum request_state open_states[] = {REQUEST_RECEIVED, REQUEST_AWAITING_APPROVAL,
                                                 REQUEST_QUEUED, REQUEST_RUNNING,
                                                 REQUEST_EVALUATING};
#define OPEN_STATES (sizeof open_states / sizeof open_states[0])

static enum status search_states(struct search *s, struct fault *f)
{
    for (size_t i = 0; i < OPEN_STATES; i++) {
        const struct queue_filter filter = {.state = open_states[i]};
        const enum status st = queue_list(s->txn, &filter, test_record, s, f);
        if (st != STATUS_OK)
            return st == STATUS_CANCELLED ? STATUS_OK : st;
    }
    return STATUS_OK;
}

static enum status search(struct store *store, open_test *test, void *context, struct fault *f)
{
    const size_t room = 2 * LIMIT_DECODE_BYTES;
    void *memory = sysio_alloc(room, 1);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to look through the queue");
    struct arena arena;
    arena_init(&arena, memory, room);
    struct search s = {.arena = &arena, .test = test, .context = context};
    enum status st = store_read_begin(store, &s.txn, f);
    if (st == STATUS_OK) {
        st = search_states(&s, f);
        store_read_end(s.txn);
    }
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

struct same_context {
    const struct wire_forget *m;
    struct request_id id;
};

static int is_same(const struct queue_record *record, const struct wire_envelope *m, void *context)
{
    struct same_context *x = context;
    if (m->kind != WIRE_KIND_FORGET || !admit_same_scope(&m->body.forget, x->m))
        return 0;
    x->id = record->id;
    return 1;
}

enum status open_requests_same(struct store *store,
                               const struct wire_forget *m,
                               struct request_id *ret_id,
                               struct fault *f)
{
    struct same_context x = {.m = m};
    TRY(search(store, is_same, &x, f));
    *ret_id = x.id;
    return STATUS_OK;
}

struct need_context {
    const char *dataset;
    int needed;
};

/* The data set that a request works on, or "". */
static const char *dataset_of(const struct wire_envelope *m)
{
    return m->kind == WIRE_KIND_FORGET        ? m->body.forget.samples
           : m->kind == WIRE_KIND_LEARN       ? m->body.learn.data
           : m->kind == WIRE_KIND_STREAM_PUSH ? m->body.stream_push.data
                                              : "";
}

static int
is_needed(const struct queue_record *record, const struct wire_envelope *m, void *context)
{
    (void)record;
    struct need_context *x = context;
    x->needed = strcmp(dataset_of(m), x->dataset) == 0;
    return x->needed;
}

enum status
open_requests_need(struct store *store, const char *dataset, int *ret_needed, struct fault *f)
{
    struct need_context x = {.dataset = dataset};
    TRY(search(store, is_needed, &x, f));
    *ret_needed = x.needed;
    return STATUS_OK;
}

struct opens_context {
    const char *stream;
    int opens;
};

static int opens(const struct queue_record *record, const struct wire_envelope *m, void *context)
{
    (void)record;
    struct opens_context *x = context;
    x->opens = m->kind == WIRE_KIND_STREAM_OPEN && strcmp(m->body.stream_open.name, x->stream) == 0;
    return x->opens;
}

enum status
open_requests_opens(struct store *store, const char *stream, int *ret_opens, struct fault *f)
{
    struct opens_context x = {.stream = stream};
    TRY(search(store, opens, &x, f));
    *ret_opens = x.opens;
    return STATUS_OK;
}

struct of_context {
    const char *principal;
    uint64_t n;
};

static enum status count_own(const struct queue_record *record, void *context, struct fault *f)
{
    (void)f;
    struct of_context *x = context;
    x->n += strcmp(owner_of(record), x->principal) == 0;
    return STATUS_OK;
}

enum status
open_requests_of(struct store *store, const char *principal, uint64_t *ret_count, struct fault *f)
{
    struct of_context x = {.principal = principal};
    struct kv_txn *txn;
    enum status st = STATUS_OK;
    TRY(store_read_begin(store, &txn, f));
    for (size_t i = 0; st == STATUS_OK && i < OPEN_STATES; i++) {
        const struct queue_filter filter = {.state = open_states[i]};
        st = queue_list(txn, &filter, count_own, &x, f);
    }
    store_read_end(txn);
    *ret_count = x.n;
    return st;
}

enum status open_requests_count(struct store *store, uint64_t *ret_count, struct fault *f)
{
    uint64_t counts[REQUEST_STATES];
    TRY(store_read_counts(store, counts, f));
    uint64_t open = 0;
    for (unsigned i = REQUEST_RECEIVED; i < REQUEST_STATES; i++)
        if (!request_state_is_final((enum request_state)i))
            open += counts[i];
    *ret_count = open;
    return STATUS_OK;
}
