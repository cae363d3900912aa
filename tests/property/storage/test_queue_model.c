/*
 * The queue against a simple model: random submissions, repeats, moves, cancellations, recoveries
 * and reopenings, after each of which both must agree on every request, every order and every
 * count.  The seed is printed; LETHE_TEST_SEED replays one.
 */
#include "tests/support/store_fixture.h"

#include "daemon/base/rng.h"

#include <stdlib.h>

#define MODEL_MAX   40u
#define MODEL_STEPS 350u

struct model_request {
    unsigned n; /* id */
    unsigned payload;
    unsigned principal;
    enum request_state state;
    uint32_t attempts;
    uint32_t step;
    uint64_t seed;
    int64_t finished_us;
    int cancel;
    unsigned answer; /* 0: none */
};

struct model {
    struct store_fixture x;
    struct rng rng;
    struct model_request items[MODEL_MAX]; /* in order of acceptance */
    size_t n;
};

static const char *const PRINCIPALS[] = {"privacy:alice", "privacy:bob"};

static struct model_request *pick(struct model *m)
{
    return m->n ? &m->items[rng_below(&m->rng, m->n)] : NULL;
}

/* ---------------------------------------------------------------- operations */

static enum status
submit(struct model *m, unsigned n, unsigned payload, unsigned principal, uint64_t seed, int *known)
{
    char text[64];
    struct store_result r;
    (void)snprintf(text, sizeof text, "payload %u", payload);
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = PRINCIPALS[principal],
                                       .kind = "forget",
                                       .payload = text,
                                       .payload_size = strlen(text),
                                       .seed = seed,
                                       .submitted_us = ++m->x.now_us};
    const struct store_change c = {.now_us = m->x.now_us, .accept = &s};
    const enum status st = store_commit(m->x.store, &c, &r, THE_FAULT);
    *known = st == STATUS_OK && r.known;
    return st;
}

static void submit_new(struct model *m)
{
    int known = 1;
    unsigned n = 0;
    if (m->n == MODEL_MAX)
        return;
    do {
        n = 1 + (unsigned)rng_below(&m->rng, 60000);
        for (size_t i = 0; i < m->n; i++)
            n = m->items[i].n == n ? 0 : n;
    } while (n == 0);
    struct model_request q = {.n = n,
                              .payload = (unsigned)rng_below(&m->rng, 5),
                              .principal = (unsigned)rng_below(&m->rng, 2),
                              .state = REQUEST_RECEIVED,
                              .seed = rng_u64(&m->rng)};
    assert_ok(submit(m, n, q.payload, q.principal, q.seed, &known));
    assert_false(known);
    m->items[m->n++] = q;
}

static void submit_again(struct model *m)
{
    int known = 0;
    const struct model_request *q = pick(m);
    if (!q)
        return;
    const unsigned payload = (unsigned)rng_below(&m->rng, 5);
    const unsigned principal = (unsigned)rng_below(&m->rng, 2);
    const enum status st = submit(m, q->n, payload, principal, 0, &known);
    if (payload == q->payload && principal == q->principal) {
        assert_int_equal(st, STATUS_OK);
        assert_true(known);
    } else {
        assert_int_equal(st, STATUS_ALREADY_EXISTS);
    }
}

static void model_move(struct model_request *q, enum request_event event, int64_t now_us)
{
    q->state = request_state_after(q->state, event);
    q->attempts += event == REQUEST_EVENT_START;
    if (event == REQUEST_EVENT_NEXT_STEP)
        q->step++;
    if (event == REQUEST_EVENT_OVERTAKEN)
        q->step = 0;
    if (request_state_is_final(q->state)) {
        q->finished_us = now_us;
        q->cancel = 0;
    }
}

static void move_any(struct model *m)
{
    struct model_request *q = pick(m);
    if (!q)
        return;
    const enum request_event event = (enum request_event)rng_below(&m->rng, REQUEST_EVENTS);
    const enum status st = fixture_move(&m->x, q->n, event);
    if (request_state_after(q->state, event) == REQUEST_NONE)
        assert_int_equal(st, STATUS_FAILED_PRECONDITION);
    else
        assert_int_equal(st, STATUS_OK);
    if (st == STATUS_OK)
        model_move(q, event, m->x.now_us);
}

/* Like move_any, but only events that lead somewhere, so that requests get far. */
static void move_on(struct model *m)
{
    struct model_request *q = pick(m);
    if (!q || request_state_is_final(q->state))
        return;
    enum request_event event;
    do {
        event = (enum request_event)rng_below(&m->rng, REQUEST_EVENTS);
    } while (request_state_after(q->state, event) == REQUEST_NONE);
    assert_ok(fixture_move(&m->x, q->n, event));
    model_move(q, event, m->x.now_us);
}

static void ask_cancel(struct model *m)
{
    struct model_request *q = pick(m);
    if (!q)
        return;
    const struct request_id id = fixture_id(q->n);
    const struct store_change c = {.now_us = ++m->x.now_us, .cancel = &id};
    const enum status st = store_commit(m->x.store, &c, NULL, THE_FAULT);
    const int may = q->state == REQUEST_RUNNING || q->state == REQUEST_EVALUATING;
    assert_int_equal(st, may ? STATUS_OK : STATUS_FAILED_PRECONDITION);
    q->cancel = q->cancel || may;
}

static void set_answer(struct model *m)
{
    struct model_request *q = pick(m);
    if (!q)
        return;
    q->answer = 1 + (unsigned)rng_below(&m->rng, 1000);
    const struct store_answer a = {fixture_id(q->n), &q->answer, sizeof q->answer};
    const struct store_change c = {.now_us = ++m->x.now_us, .answer = &a};
    assert_ok(store_commit(m->x.store, &c, NULL, THE_FAULT));
}

static void recover(struct model *m)
{
    size_t moved = 0;
    size_t expected = 0;
    fixture_reopen(&m->x);
    assert_ok(store_recover(m->x.store, ++m->x.now_us, &moved, THE_FAULT));
    for (size_t i = 0; i < m->n; i++) {
        struct model_request *q = &m->items[i];
        if (q->state != REQUEST_RUNNING && q->state != REQUEST_EVALUATING)
            continue;
        model_move(q, REQUEST_EVENT_RESTART, m->x.now_us);
        expected++;
    }
    assert_int_equal(moved, expected);
}

/* ---------------------------------------------------------------- comparison */

static void compare_answer(struct kv_txn *txn, const struct queue_record *q, unsigned answer)
{
    void *bytes = NULL;
    size_t n = 0;
    const enum status st = queue_answer(txn, q, &bytes, &n, THE_FAULT);
    assert_int_equal(st, answer ? STATUS_OK : STATUS_NOT_FOUND);
    if (answer) {
        assert_int_equal(n, sizeof answer);
        assert_memory_equal(bytes, &answer, sizeof answer);
        sysio_free(bytes);
    }
}

static void compare_request(struct model *m, struct kv_txn *txn, size_t i)
{
    const struct model_request *expected = &m->items[i];
    const struct request_id id = fixture_id(expected->n);
    struct queue_record q;
    assert_ok(queue_get(txn, &id, &q, THE_FAULT));
    assert_int_equal(q.sequence, i + 1);
    assert_int_equal(q.state, expected->state);
    assert_int_equal(q.attempts, expected->attempts);
    assert_int_equal(q.step, expected->step);
    assert_true(q.seed == expected->seed);
    assert_true(q.finished_us == expected->finished_us);
    assert_int_equal(q.cancel_requested, expected->cancel);
    assert_string_equal(q.principal, PRINCIPALS[expected->principal]);
    compare_answer(txn, &q, expected->answer);
}

struct cursor {
    const struct model *m;
    enum request_state state; /* REQUEST_NONE: all */
    size_t next;
    int back;
};

/* The model's next request of that state, in the list's direction; m->n if none is left. */
static size_t model_next(struct cursor *c)
{
    while (c->next < c->m->n) {
        const size_t i = c->back ? c->m->n - 1 - c->next : c->next;
        c->next++;
        if (c->state == REQUEST_NONE || c->m->items[i].state == c->state)
            return i;
    }
    return c->m->n;
}

static enum status compare_listed(const struct queue_record *q, void *context, struct fault *f)
{
    struct cursor *c = context;
    (void)f;
    assert_int_equal(q->sequence, model_next(c) + 1);
    return STATUS_OK;
}

static void compare_lists(struct model *m, struct kv_txn *txn)
{
    for (unsigned s = REQUEST_NONE; s < REQUEST_STATES; s++) {
        for (int back = 0; back < 2; back++) {
            struct cursor c = {.m = m, .state = (enum request_state)s, .back = back};
            const struct queue_filter filter = {.state = (enum request_state)s,
                                                .newest_first = back};
            assert_ok(queue_list(txn, &filter, compare_listed, &c, THE_FAULT));
            assert_int_equal(model_next(&c), m->n);
        }
    }
}

static void compare_heads(struct model *m, struct kv_txn *txn)
{
    uint64_t counts[REQUEST_STATES];
    assert_ok(queue_counts(txn, counts, THE_FAULT));
    for (unsigned s = REQUEST_RECEIVED; s < REQUEST_STATES; s++) {
        struct queue_record q;
        uint64_t expected = 0;
        struct cursor c = {.m = m, .state = (enum request_state)s};
        const size_t first = model_next(&c);
        for (size_t i = 0; i < m->n; i++)
            expected += m->items[i].state == (enum request_state)s;
        assert_int_equal(counts[s], expected);
        const enum status st = queue_oldest(txn, (enum request_state)s, &q, THE_FAULT);
        assert_int_equal(st, expected ? STATUS_OK : STATUS_NOT_FOUND);
        if (expected)
            assert_int_equal(q.sequence, first + 1);
    }
}

static void compare(struct model *m)
{
    struct kv_txn *txn;
    assert_ok(store_read_begin(m->x.store, &txn, THE_FAULT));
    for (size_t i = 0; i < m->n; i++)
        compare_request(m, txn, i);
    compare_lists(m, txn);
    compare_heads(m, txn);
    store_read_end(txn);
}

/* ---------------------------------------------------------------- the walk */

static void run_model(uint64_t seed)
{
    static void (*const OPERATIONS[])(struct model *) = {
        submit_new, submit_again, move_on, move_on, move_on, move_any, ask_cancel, set_answer};
    struct model m;
    const struct rng_root root = {.seed = seed};
    print_message("seed %llu\n", (unsigned long long)seed);
    memset(&m, 0, sizeof m);
    rng_init(&m.rng, &root, "queue-model", 0);
    fixture_open(&m.x);
    for (unsigned i = 0; i < MODEL_STEPS; i++) {
        OPERATIONS[rng_below(&m.rng, sizeof OPERATIONS / sizeof *OPERATIONS)](&m);
        if (rng_below(&m.rng, 40) == 0)
            recover(&m);
        compare(&m);
    }
    const struct fsck_counts counts = fixture_check(&m.x);
    assert_int_equal(counts.requests, m.n);
    assert_int_equal(counts.orphan_chunks, 0);
    fixture_close(&m.x);
}

void test_queue_model_agrees(void **state)
{
    (void)state;
    const char *seed = getenv("LETHE_TEST_SEED");
    if (seed) {
        run_model(strtoull(seed, NULL, 10));
        return;
    }
    run_model(1);
    run_model(2);
}
