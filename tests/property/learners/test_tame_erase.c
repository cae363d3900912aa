/* Forgetting in a stream: who is named, what stays to the byte, what a retrained expert is. */
#include "tests/property/learners/tame_sim.h"

#define N_RUN 30u

static struct tame_options erase_options(void)
{
    struct tame_options o = sim_options(TAME_HARDENED);
    o.n_run = N_RUN;
    o.outputs = 0;
    o.buffer = 90;
    o.reserve = 0.1f;
    o.reserve_max = 60;
    o.selector = TAME_SELECTOR_LINEAR;
    o.selector_epochs = 10;
    o.experts_max = 6;
    return o;
}

/* Batch i of the stream t1 t2 t3 t2, global labels; the same whenever it is asked for. */
static void batch_of(uint64_t i, struct sim_batch *b)
{
    struct sim_task task;
    const uint32_t which = sim_recurring[i / N_RUN];
    sim_task_draw(1000, which, &task);
    sim_batch_draw(&task, 1000, i, 1.0f, which * SIM_CLASSES, 0, b);
}

static void feed(struct sim_stream *x, uint64_t from, uint64_t until)
{
    struct sim_batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (uint64_t i = from; i < until; i++) {
        struct tame_event v;
        struct fault f = {0};
        batch_of(i, b);
        if (tame_stream_observe(x->s, &b->samples, &v, &f) != STATUS_OK)
            fail_msg("%s: %s", f.field, f.text);
    }
    free(b);
}

static uint8_t *expert_record(const struct tame_stream *s, uint32_t e, size_t *ret_size)
{
    *ret_size = tame_stream_encode_expert(s, e, NULL, 0);
    uint8_t *bytes = malloc(*ret_size);
    assert_non_null(bytes);
    (void)tame_stream_encode_expert(s, e, bytes, *ret_size);
    return bytes;
}

static void assert_expert_is(const struct tame_stream *s, uint32_t e, const uint8_t *want, size_t n)
{
    size_t size;
    uint8_t *got = expert_record(s, e, &size);
    assert_int_equal(size, n);
    assert_memory_equal(got, want, n);
    free(got);
}

/* Retrains expert `id`; its data come from the batches that the ids name. */
static void refit(struct tame_stream *s, uint32_t id)
{
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_want want;
    struct fault f = {0};
    uint64_t steps = 0;
    assert_non_null(b);
    assert_int_equal(tame_stream_refit_begin(s, id, &f), STATUS_OK);
    while (tame_stream_refit_next(s, &want)) {
        const uint8_t *inputs[SIM_BATCH];
        double loss;
        batch_of(want.ids[0] / SIM_BATCH, b);
        for (uint32_t i = 0; i < want.n; i++) {
            assert_int_equal(want.ids[i] / SIM_BATCH, want.ids[0] / SIM_BATCH);
            inputs[i] = b->inputs[want.ids[i] % SIM_BATCH];
        }
        assert_int_equal(want.step, steps);
        if (tame_stream_refit_step(s, inputs, &loss, &f) != STATUS_OK)
            fail_msg("%s: %s", f.field, f.text);
        if (steps == 0) /* a fresh expert again */
            assert_near(loss,
                        log(tame_stream_weights(s, tame_detector_find(tame_stream_detector(s), id))
                                ->classes),
                        1e-6);
        steps++;
    }
    free(b);
}

void test_a_refit_without_erasure_gives_the_same_numbers(void **state)
{
    (void)state;
    struct sim_stream x;
    const struct tame_options o = erase_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 4 * N_RUN);
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 3);
    for (uint32_t e = 0; e < 3; e++) {
        const struct tame_weights *w = tame_stream_weights(x.s, e);
        const size_t n = SIM_BODY + (size_t)w->classes * (SIM_DIM + 1);
        float *before = malloc(2 * n * sizeof *before);
        assert_non_null(before);
        memcpy(before, w->v[0], n * sizeof *before);
        memcpy(before + n, w->v[1], n * sizeof *before);
        const uint64_t steps = w->steps;
        refit(x.s, e);
        assert_int_equal(w->steps, steps);
        assert_memory_equal(w->v[0], before, n * sizeof *before);
        assert_memory_equal(w->v[1], before + n, n * sizeof *before);
        free(before);
    }
    sim_free(&x);
}

void test_an_expert_is_destroyed_and_the_others_do_not_move(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    struct fault f = {0};
    const struct tame_options o = erase_options();
    const struct tame_cut cut = {.expert = 1};
    uint32_t n, held;
    sim_open(&x, &o, 3);
    feed(&x, 0, 4 * N_RUN);
    assert_int_equal(tame_stream_fit_selector(x.s, &f), STATUS_OK);
    size_t n0, n2;
    uint8_t *r0 = expert_record(x.s, 0, &n0), *r2 = expert_record(x.s, 2, &n2);
    assert_int_equal(tame_stream_lineage(x.s, &cut, rows, &held), 3);
    assert_int_equal(rows[0].fate, TAME_UNTOUCHED);
    assert_int_equal(rows[1].fate, TAME_DESTROYED);
    assert_int_equal(rows[2].fate, TAME_UNTOUCHED);
    assert_int_equal(tame_stream_erase(x.s, &cut, &f), STATUS_OK);
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 2);
    assert_expert_is(x.s, 0, r0, n0);
    assert_expert_is(x.s, 1, r2, n2);
    assert_false(tame_stream_has_selector(x.s));
    (void)tame_buffer_of(tame_stream_buffer(x.s), 1, &n);
    assert_int_equal(n, 0);
    assert_int_equal(tame_ledger_next(tame_stream_ledger(x.s), 1, 0),
                     tame_stream_ledger(x.s)->n_steps);
    assert_int_equal(tame_stream_erase(x.s, &cut, &f), STATUS_NOT_FOUND);
    feed(&x, N_RUN, N_RUN + 12); /* its task comes back: a new expert, a new number */
    const struct tame_detector *d = tame_stream_detector(x.s);
    assert_int_equal(d->n_experts, 3);
    assert_int_equal(d->experts[d->current].id, 3);
    free(r0);
    free(r2);
    sim_free(&x);
}

/* What an expert would be that was given the same batches without the erased samples. */
static void assert_never_saw(struct sim_stream *x, uint32_t id, const struct tame_cut *cut)
{
    const struct tame_ledger *l = tame_stream_ledger(x->s);
    const uint32_t e = tame_detector_find(tame_stream_detector(x->s), id);
    const struct tame_weights *w = tame_stream_weights(x->s, e);
    struct tame_shape shape;
    sim_kind.shape(x->engine, &shape);
    const size_t floats = tame_expert_memory(&shape, w->classes_max);
    float *memory = calloc(floats, sizeof *memory);
    assert_non_null(memory);
    struct tame_weights own;
    tame_expert_map(&shape, w->classes_max, memory, &own);
    tame_expert_start(&sim_kind, x->engine, &shape, w->seed, w->classes, &own);
    struct sim_batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    float z[SIM_BATCH * 16], dz[SIM_BATCH * 16];
    for (uint64_t i = tame_ledger_next(l, id, 0); i < l->n_steps;
         i = tame_ledger_next(l, id, i + 1)) {
        const uint8_t *inputs[SIM_BATCH];
        uint32_t targets[SIM_BATCH], n = 0;
        batch_of(l->steps[i].batch, b);
        for (uint32_t k = 0; k < SIM_BATCH; k++) { /* from the batch, not from the ledger */
            if (tame_cut_hits(cut, b->labels[k], b->ids[k]) ||
                (double)b->keys[k] < (double)0.1f * 18446744073709551616.0)
                continue;
            inputs[n] = b->inputs[k];
            targets[n] = TAME_UNKNOWN;
            for (uint32_t c = 0; c < w->classes; c++)
                if (tame_stream_labels(x->s, e)[c] == b->labels[k])
                    targets[n] = c;
            assert_int_not_equal(targets[n], TAME_UNKNOWN);
            n++;
        }
        assert_int_equal(n, l->steps[i].n);
        sim_load(x->engine, n, inputs);
        sim_forward(x->engine, &own, 1, z);
        tame_expert_gradient(&shape, n, own.classes, z, targets, dz);
        own.steps++;
        sim_step(x->engine, &own, dz);
    }
    assert_int_equal(own.steps, w->steps);
    assert_memory_equal(own.v[0], w->v[0], (SIM_BODY + w->classes * (SIM_DIM + 1)) * sizeof(float));
    free(memory);
    free(b);
}

void test_a_class_goes_and_its_expert_never_saw_it(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    struct fault f = {0};
    const struct tame_options o = erase_options();
    const uint32_t gone[] = {SIM_CLASSES + 2};
    const struct tame_cut cut = {.expert = UINT32_MAX, .classes = gone, .n_classes = 1};
    sim_open(&x, &o, 3);
    feed(&x, 0, 4 * N_RUN);
    size_t n0, n2;
    uint8_t *r0 = expert_record(x.s, 0, &n0), *r2 = expert_record(x.s, 2, &n2);
    assert_int_equal(tame_stream_lineage(x.s, &cut, rows, NULL), 3);
    assert_int_equal(rows[0].fate, TAME_UNTOUCHED);
    assert_int_equal(rows[1].fate, TAME_RETRAIN);
    assert_true(rows[1].hit > rows[1].steps_samples / 10);
    assert_int_equal(tame_stream_erase(x.s, &cut, &f), STATUS_OK);
    assert_true(tame_stream_stale(x.s, 1));
    for (size_t i = 0; i < SIM_BODY; i++) /* wiped until it is trained again */
        assert_near(tame_stream_weights(x.s, 1)->v[0][i], 0, 0);
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    assert_non_null(b);
    batch_of(0, b);
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_FAILED_PRECONDITION);
    free(b);
    refit(x.s, 1);
    assert_false(tame_stream_stale(x.s, 1));
    assert_int_equal(tame_stream_weights(x.s, 1)->classes, SIM_CLASSES - 1);
    assert_never_saw(&x, 1, &cut);
    tame_stream_rebaseline(x.s, 1, SIM_BATCH);
    assert_true(tame_stream_detector(x.s)->experts[1].n ==
                tame_stream_detector(x.s)->options.window);
    assert_expert_is(x.s, 0, r0, n0);
    assert_expert_is(x.s, 2, r2, n2);
    assert_int_equal(tame_stream_lineage(x.s, &cut, rows, NULL), 3);
    for (uint32_t e = 0; e < 3; e++)
        assert_int_equal(rows[e].fate, TAME_UNTOUCHED);
    feed(&x, 2 * N_RUN, 2 * N_RUN + 4); /* the stream goes on */
    free(r0);
    free(r2);
    sim_free(&x);
}

void test_single_samples_go(void **state)
{
    (void)state;
    struct sim_stream x;
    struct fault f = {0};
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    const struct tame_options o = erase_options();
    /* a subject with samples in two experts */
    const uint64_t ids[] = {3, 70, 71, 64 * 40, 64 * 40 + 1, 64 * 41 + 9};
    const struct tame_cut cut = {.expert = UINT32_MAX, .ids = ids, .n_ids = 6};
    sim_open(&x, &o, 3);
    feed(&x, 0, 3 * N_RUN);
    assert_int_equal(tame_stream_lineage(x.s, &cut, rows, NULL), 3);
    assert_int_equal(rows[0].fate, TAME_RETRAIN);
    assert_int_equal(rows[1].fate, TAME_RETRAIN);
    assert_int_equal(rows[2].fate, TAME_UNTOUCHED);
    assert_int_equal(tame_stream_erase(x.s, &cut, &f), STATUS_OK);
    refit(x.s, 0);
    refit(x.s, 1);
    assert_never_saw(&x, 0, &cut);
    assert_never_saw(&x, 1, &cut);
    const uint64_t never[] = {999999};
    assert_int_equal(
        tame_stream_erase(x.s, &(struct tame_cut){.expert = UINT32_MAX, .ids = never, .n_ids = 1},
                          &f),
        STATUS_NOT_FOUND);
    assert_int_equal(tame_stream_erase(x.s, &(struct tame_cut){.expert = UINT32_MAX}, &f),
                     STATUS_INVALID_ARGUMENT);
    sim_free(&x);
}

/* All of an expert's classes: nothing is left to retrain. */
void test_an_expert_without_data_is_destroyed(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    const struct tame_options o = erase_options();
    uint32_t gone[SIM_CLASSES];
    for (uint32_t c = 0; c < SIM_CLASSES; c++)
        gone[c] = c;
    const struct tame_cut cut = {.expert = UINT32_MAX, .classes = gone, .n_classes = SIM_CLASSES};
    sim_open(&x, &o, 3);
    feed(&x, 0, 2 * N_RUN);
    assert_int_equal(tame_stream_lineage(x.s, &cut, rows, NULL), 2);
    assert_int_equal(rows[0].fate, TAME_DESTROYED);
    assert_int_equal(tame_stream_erase(x.s, &cut, NULL), STATUS_OK);
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 1);
    assert_int_equal(tame_stream_detector(x.s)->experts[0].id, 1);
    sim_free(&x);
}

void test_a_reserve_sample_costs_a_window_and_no_retraining(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    const struct tame_options o = erase_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN);
    uint32_t n;
    const uint32_t first = tame_buffer_of(tame_stream_reserve(x.s), 0, &n);
    const uint64_t id = tame_stream_reserve(x.s)->entries[first].id;
    const struct tame_cut cut = {.expert = UINT32_MAX, .ids = &id, .n_ids = 1};
    (void)tame_stream_lineage(x.s, &cut, rows, NULL);
    assert_int_equal(rows[0].fate, TAME_REDUCED);
    assert_int_equal(rows[0].kept, 1);
    assert_int_equal(tame_stream_erase(x.s, &cut, NULL), STATUS_OK);
    assert_false(tame_stream_stale(x.s, 0));
    assert_int_equal(tame_stream_detector(x.s)->experts[0].n, 1);
    assert_false(tame_stream_detector(x.s)->experts[0].has_sact);
    sim_free(&x);
}

void test_held_batches_are_searched_too(void **state)
{
    (void)state;
    struct sim_stream x, y;
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    const struct tame_options o = erase_options();
    uint32_t held;
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN + 1);
    assert_int_equal(tame_stream_detector(x.s)->n_held, 1);
    const uint64_t ids[] = {N_RUN * SIM_BATCH + 1, N_RUN * SIM_BATCH + 2};
    struct tame_cut cut = {.expert = UINT32_MAX, .ids = ids, .n_ids = 2};
    (void)tame_stream_lineage(x.s, &cut, rows, &held);
    assert_int_equal(held, 2);
    assert_int_equal(rows[0].fate, TAME_UNTOUCHED);
    assert_int_equal(tame_stream_erase(x.s, &cut, NULL), STATUS_OK);
    assert_int_equal(tame_stream_detector(x.s)->n_held, 1);
    assert_false(tame_stream_detector(x.s)->experts[0].has_sact); /* it had heard of them */
    (void)tame_stream_lineage(x.s, &cut, rows, &held);
    assert_int_equal(held, 0);
    const uint32_t gone[] = {5, 6, 7, 8, 9}; /* the rest of the batch */
    cut = (struct tame_cut){.expert = UINT32_MAX, .classes = gone, .n_classes = 5};
    assert_int_equal(tame_stream_erase(x.s, &cut, NULL), STATUS_OK);
    assert_int_equal(tame_stream_detector(x.s)->n_held, 0);
    const size_t size = tame_stream_encode(x.s, NULL, 0); /* and no byte of it is in the record */
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    (void)tame_stream_encode(x.s, bytes, size);
    struct sim_batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    batch_of(N_RUN, b);
    for (uint32_t i = 0; i < SIM_BATCH; i++)
        assert_null(memmem(bytes, size, b->x[i], 4 * sizeof(float)));
    free(b);
    free(bytes);
    sim_free(&x);
    sim_open(&y, &o, 3); /* the active expert is erased: the next batches choose another */
    feed(&y, 0, N_RUN + 4);
    assert_int_equal(tame_stream_erase(y.s, &(struct tame_cut){.expert = 1}, NULL), STATUS_OK);
    assert_int_equal(tame_stream_detector(y.s)->current, TAME_NONE);
    feed(&y, 5, 8);
    assert_int_equal(tame_stream_detector(y.s)->current, 0);
    sim_free(&y);
}

/* Selector after an erasure = selector of the remaining buffer, bit for bit; no feature stays. */
void test_selector_after_an_erasure(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = erase_options();
    o.store = TAME_STORE_FEATURE;
    const uint32_t gone[] = {1};
    const struct tame_cut cut = {.expert = UINT32_MAX, .classes = gone, .n_classes = 1};
    sim_open(&x, &o, 3);
    feed(&x, 0, 3 * N_RUN);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    float features[16][SIM_DIM];
    uint32_t n = 0;
    const struct tame_buffer *b = tame_stream_buffer(x.s);
    for (uint32_t i = 0; i < b->n && n < 16; i++)
        if (b->entries[i].label == 1)
            memcpy(features[n++], tame_buffer_payload(b, i), sizeof features[0]);
    assert_true(n > 0);
    assert_int_equal(tame_stream_erase(x.s, &cut, NULL), STATUS_OK);
    refit(x.s, 0);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    const size_t size = tame_stream_encode(x.s, NULL, 0);
    uint8_t *one = malloc(size), *two = malloc(size);
    assert_true(one && two);
    (void)tame_stream_encode(x.s, one, size);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    assert_int_equal(tame_stream_encode(x.s, NULL, 0), size);
    (void)tame_stream_encode(x.s, two, size);
    assert_memory_equal(one, two, size);
    size_t n0;
    uint8_t *record = expert_record(x.s, 0, &n0);
    for (uint32_t i = 0; i < n; i++) {
        assert_null(memmem(record, n0, features[i], 4 * sizeof(float)));
        assert_null(memmem(one, size, features[i], 4 * sizeof(float)));
    }
    free(record);
    free(one);
    free(two);
    sim_free(&x);
}

void test_a_moved_trunk_drops_kept_features(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = erase_options();
    const struct digest moved = {{1, 2, 3}};
    o.store = TAME_STORE_FEATURE;
    sim_open(&x, &o, 3);
    feed(&x, 0, 40);
    assert_true(tame_stream_buffer(x.s)->n > 0);
    tame_stream_move_trunk(x.s, &moved, NULL, NULL);
    assert_int_equal(tame_stream_buffer(x.s)->n, 0);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_FAILED_PRECONDITION);
    sim_free(&x);
    o.store = TAME_STORE_IMAGE;
    sim_open(&x, &o, 3);
    feed(&x, 0, 40);
    tame_stream_move_trunk(x.s, &moved, NULL, NULL);
    assert_true(tame_stream_buffer(x.s)->n > 0);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    sim_free(&x);
}

void test_reserve_accuracy_and_rebaseline(void **state)
{
    (void)state;
    struct sim_stream x;
    int worse;
    const struct tame_options o = erase_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN);
    const double accuracy = tame_stream_check_reserve(x.s, 0, &worse);
    assert_true(accuracy > 0.6);
    assert_false(worse);
    const struct tame_watch before = tame_stream_detector(x.s)->experts[0];
    tame_stream_rebaseline(x.s, 0, 16);
    const struct tame_watch *w = &tame_stream_detector(x.s)->experts[0];
    assert_int_equal(w->n, tame_stream_detector(x.s)->options.window);
    assert_false(w->has_sact);
    assert_true(w->tau > 0 && w->tau < 4 * before.tau + 1);
    const struct tame_watch once = *w;
    tame_stream_rebaseline(x.s, 0, 16); /* seeded: the same again */
    assert_memory_equal(once.q, w->q, sizeof once.q);
    float *head = tame_stream_weights(x.s, 0)->v[0] + SIM_BODY; /* somebody breaks it */
    for (size_t i = 0; i < 2 * SIM_DIM; i++)
        head[i] = -head[i];
    tame_stream_weights(x.s, 0)->revision++;
    assert_true(tame_stream_check_reserve(x.s, 0, &worse) < accuracy - 0.05);
    assert_true(worse);
    sim_free(&x);
}

void test_parity_streams_forget_nothing(void **state)
{
    (void)state;
    struct sim_stream x;
    struct fault f = {0};
    struct tame_options o = sim_options(TAME_PARITY);
    sim_open(&x, &o, 3);
    assert_int_equal(tame_stream_erase(x.s, &(struct tame_cut){.expert = 0}, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "mode");
    sim_free(&x);
}
