/* Hostile and foreign records of streams and experts; import. */
#include "tests/property/learners/tame_snapshot.h"

void test_cut_and_changed_records_are_refused_or_harmless(void **state)
{
    (void)state;
    struct sim_stream x;
    struct snapshot good;
    struct tame_options o = kept_options();
    struct rng r;
    uint32_t refused = 0;
    o.buffer = 6;
    o.reserve_max = 2;
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN);
    for (uint64_t i = N_RUN; tame_stream_detector(x.s)->n_held == 0; i++)
        feed(&x, i, i + 1); /* until one batch is held */
    snapshot_take(x.s, &good);
    sim_free(&x);
    rng_init(&r, &(struct rng_root){.seed = 1}, "hostile", 0);
    for (uint32_t trial = 0; trial < 400; trial++) {
        struct sim_stream y;
        struct fault f = {0};
        const uint32_t which = trial % 2;
        uint8_t *copy = malloc(good.sizes[which]);
        size_t size = good.sizes[which];
        assert_non_null(copy);
        memcpy(copy, good.records[which], size);
        const size_t head = size < 700 ? size : 700;
        if (trial % 4 < 2)
            size = (size_t)rng_below(&r, trial % 8 < 4 ? head : size);
        else
            copy[rng_below(&r, trial % 8 < 4 ? head : size)] ^= (uint8_t)(1u << rng_below(&r, 8));
        sim_memory(&y, &x.setup.options, 3);
        enum status status = tame_stream_open(&y.setup, which ? good.records[0] : copy,
                                              which ? good.sizes[0] : size, &y.arena, &y.s, &f);
        if (status == STATUS_OK)
            status = tame_stream_attach(y.s, which ? copy : good.records[1],
                                        which ? size : good.sizes[1], &f);
        if (trial % 4 < 2)
            assert_true(status != STATUS_OK);
        if (status != STATUS_OK) {
            refused++;
            assert_true(status == STATUS_BAD_FORMAT || status == STATUS_FAILED_PRECONDITION ||
                        status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_NO_MEMORY);
            assert_true(f.text[0] != '\0');
        }
        free(copy);
        sim_free(&y);
    }
    assert_true(refused >= 200);
    snapshot_free(&good);
}

void test_missing_foreign_and_double_experts_are_refused(void **state)
{
    (void)state;
    struct sim_stream x, y;
    struct snapshot good;
    struct fault f = {0};
    const struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 40);
    snapshot_take(x.s, &good);
    assert_int_equal(good.n, 2);
    sim_memory(&y, &x.setup.options, 0);
    assert_int_equal(tame_stream_open(&y.setup, good.records[0], good.sizes[0], &y.arena, &y.s, &f),
                     STATUS_OK);
    assert_int_equal(tame_stream_attach(y.s, good.records[1], good.sizes[1], &f), STATUS_OK);
    assert_int_equal(tame_stream_attach(y.s, good.records[1], good.sizes[1], &f),
                     STATUS_FAILED_PRECONDITION);
    assert_int_equal(tame_stream_seal(y.s, &f), STATUS_FAILED_PRECONDITION);
    sim_free(&y);
    sim_memory(&y, &x.setup.options, 0); /* another trunk */
    y.setup.trunk.b[0] = 1;
    assert_int_equal(tame_stream_open(&y.setup, good.records[0], good.sizes[0], &y.arena, &y.s, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "trunk");
    sim_free(&y);
    snapshot_free(&good);
    sim_free(&x);
}

/* An expert that leaves one stream for another brings its labels, ledger and samples. */
void test_import_into_another_stream(void **state)
{
    (void)state;
    struct sim_stream x, y;
    struct snapshot from;
    struct fault f = {0};
    uint32_t id, n;
    const struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 40);
    snapshot_take(x.s, &from);
    sim_open(&y, &o, 9);
    feed(&y, 0, N_RUN);
    struct snapshot before;
    snapshot_take(y.s, &before);
    from.records[2][9] ^= 1; /* version */
    assert_int_equal(tame_stream_import(y.s, from.records[2], from.sizes[2], &id, &f),
                     STATUS_BAD_FORMAT);
    from.records[2][9] ^= 1;
    assert_int_equal(tame_stream_import(y.s, from.records[2], from.sizes[2] - 1, &id, &f),
                     STATUS_BAD_FORMAT);
    struct snapshot after;
    snapshot_take(y.s, &after);
    assert_same(&before, &after);
    assert_int_equal(tame_stream_import(y.s, from.records[2], from.sizes[2], &id, &f), STATUS_OK);
    assert_int_equal(id, 1);
    assert_int_equal(tame_stream_detector(y.s)->n_experts, 2);
    assert_memory_equal(tame_stream_weights(y.s, 1)->v[0], tame_stream_weights(x.s, 1)->v[0],
                        SIM_BODY * sizeof(float));
    (void)tame_buffer_of(tame_stream_reserve(y.s), 1, &n);
    assert_true(n > 0);
    assert_true(tame_ledger_next(tame_stream_ledger(y.s), 1, 0) < tame_stream_ledger(y.s)->n_steps);
    feed(&y, N_RUN, N_RUN + 12); /* its task comes: it is re-used, not made again */
    const struct tame_detector *d = tame_stream_detector(y.s);
    assert_int_equal(d->n_experts, 2);
    assert_int_equal(d->experts[d->current].id, 1);
    snapshot_free(&from);
    snapshot_free(&before);
    snapshot_free(&after);
    sim_free(&x);
    sim_free(&y);
}
