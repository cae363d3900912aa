/*
 * What served when, against a simple model: a history of new versions, erasures, rollbacks and pins
 * under a clock that also jumps back, then 1,000 random times.  The model is a plain list of the
 * moves that were made.  The seed is printed; LETHE_TEST_SEED replays one.
 */
#include "tests/support/store_fixture.h"

#include "daemon/base/rng.h"

#include <stdlib.h>

#define MODEL_MOVES    120u
#define MODEL_VERSIONS 160u
#define MODEL_TIMES    1000u
#define SECOND_US      ((int64_t)1000000)

struct model_version {
    struct digest id;
    unsigned erasures; /* it honours the first so many */
};

struct model_move {
    int64_t since_us; /* as it must be on record */
    struct digest version;
    int held;
};

struct model {
    struct store_fixture x;
    struct rng rng;
    struct model_version versions[MODEL_VERSIONS];
    size_t n_versions;
    struct model_move moves[MODEL_MOVES + 1];
    size_t n_moves;
    unsigned erasures; /* that the serving version honours */
    unsigned rollbacks, refused, pins;
};

static uint64_t seed_of_the_day(void)
{
    const char *given = getenv("LETHE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 20260301;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* ---------------------------------------------------------------- the history */

/* The next time of the clock: mostly on, sometimes the same, sometimes back. */
static int64_t clock_next(struct model *m)
{
    const uint64_t kind = rng_below(&m->rng, 10);
    if (kind == 0)
        return m->x.now_us -= (int64_t)rng_below(&m->rng, 30) * SECOND_US;
    if (kind == 1)
        return m->x.now_us;
    return m->x.now_us += 1 + (int64_t)rng_below(&m->rng, 60 * (uint64_t)SECOND_US);
}

static void note_move(struct model *m, const struct digest *version, int64_t now_us)
{
    const struct model_move *last = m->n_moves ? &m->moves[m->n_moves - 1] : NULL;
    const int held = last && now_us < last->since_us;
    m->moves[m->n_moves++] = (struct model_move){
        .since_us = held ? last->since_us : now_us, .version = *version, .held = held};
}

/* A version that honours the serving one's erasures, and with `erase` one more. */
static void add_version(struct model *m, int erase)
{
    struct request_id ids[8];
    const unsigned n = m->erasures + (erase && m->erasures < 8 ? 1 : 0);
    for (unsigned i = 0; i < n; i++)
        ids[i] = fixture_id(100 + i);
    const int64_t before = m->x.now_us;
    const struct digest id = fixture_version(&m->x, ids, n);
    assert_true(m->x.now_us == before + 1); /* fixture_version's own step of the clock */
    m->versions[m->n_versions++] = (struct model_version){id, n};
    m->erasures = n;
    note_move(m, &id, m->x.now_us);
}

/* To any version made so far: refused if it honours fewer erasures than the serving one. */
static void move_pointer(struct model *m, int pin)
{
    struct serving now;
    assert_ok(store_read_serving(m->x.store, &now, THE_FAULT));
    const struct model_version *v = &m->versions[rng_below(&m->rng, m->n_versions)];
    const int64_t time = clock_next(m);
    const struct serving_move move = {
        .expected_generation = now.generation, .version = v->id, .now_us = time};
    const struct serving_pin record = {.version = v->id, .since_us = time, .who = "local"};
    const struct store_change change = {
        .now_us = time, .serve = &move, .pin = pin ? &record : NULL};
    if (v->erasures < m->erasures) {
        assert_fault(store_commit(m->x.store, &change, NULL, THE_FAULT), STATUS_FAILED_PRECONDITION,
                     "version");
        m->refused++;
        return;
    }
    assert_ok(store_commit(m->x.store, &change, NULL, THE_FAULT));
    m->erasures = v->erasures;
    m->pins += pin != 0;
    m->rollbacks += pin == 0;
    note_move(m, &v->id, time);
}

static void make_history(struct model *m)
{
    add_version(m, 0);
    while (m->n_moves < MODEL_MOVES) {
        const uint64_t what = rng_below(&m->rng, 20);
        (void)clock_next(m);
        if (what == 0)
            add_version(m, 1);
        else if (what < 7)
            add_version(m, 0);
        else
            move_pointer(m, what < 11);
    }
}

/* ---------------------------------------------------------------- the questions */

/* The last move that was made at that time or before; NULL: nothing served yet. */
static const struct model_move *model_at(const struct model *m, int64_t time)
{
    const struct model_move *found = NULL;
    for (size_t i = 0; i < m->n_moves; i++)
        if (m->moves[i].since_us <= time)
            found = &m->moves[i];
    return found;
}

/* A time inside the history or a little outside; now and then exactly that of a move. */
static int64_t random_time(struct model *m)
{
    const int64_t first = m->moves[0].since_us - 60 * SECOND_US;
    const int64_t last = m->moves[m->n_moves - 1].since_us + 60 * SECOND_US;
    if (rng_below(&m->rng, 4) == 0)
        return m->moves[rng_below(&m->rng, m->n_moves)].since_us - (int64_t)rng_below(&m->rng, 2);
    return first + (int64_t)rng_below(&m->rng, (uint64_t)(last - first));
}

static void ask(struct model *m, struct kv_txn *txn, int64_t time)
{
    struct serving s, next;
    const struct model_move *want = model_at(m, time);
    if (!want) {
        assert_fault(serving_at(txn, time, &s, THE_FAULT), STATUS_NOT_FOUND, "time");
        return;
    }
    assert_ok(serving_at(txn, time, &s, THE_FAULT));
    assert_int_equal(s.generation, (uint64_t)(want - m->moves) + 1);
    assert_true(digest_equal(&s.version, &want->version));
    assert_true(s.since_us == want->since_us && s.clock_held == want->held);
    const enum status st = serving_generation(txn, s.generation + 1, &next, THE_FAULT);
    if (want + 1 == m->moves + m->n_moves) {
        assert_int_equal(st, STATUS_NOT_FOUND);
        return;
    }
    assert_int_equal(st, STATUS_OK);
    assert_true(next.since_us == want[1].since_us && next.since_us > time);
}

static void ask_many(struct model *m, unsigned n)
{
    struct kv_txn *txn;
    assert_ok(store_read_begin(m->x.store, &txn, THE_FAULT));
    for (unsigned i = 0; i < n; i++)
        ask(m, txn, random_time(m));
    store_read_end(txn);
}

void test_served_at_model(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    fixture_open(&m.x);
    const struct rng_root root = {.seed = seed_of_the_day()};
    rng_init(&m.rng, &root, "served-at-model", 0);
    make_history(&m);
    print_message("%u rollbacks, %u pins, %u refused\n", m.rollbacks, m.pins, m.refused);
    assert_true(m.rollbacks >= 10 && m.pins >= 5 && m.refused >= 1);
    ask_many(&m, MODEL_TIMES / 2);
    fixture_reopen(&m.x);
    ask_many(&m, MODEL_TIMES / 2);
    assert_int_equal(fixture_check(&m.x).serving_moves, m.n_moves);
    fixture_close(&m.x);
}
