/* The stream on the simulated experts: what moves, what does not, and what a record carries. */
#include "tests/property/learners/tame_snapshot.h"

void test_recurrence_makes_three_experts(void **state)
{
    (void)state;
    struct sim_stream x;
    const struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN * N_RUNS);
    const struct tame_detector *d = tame_stream_detector(x.s);
    assert_int_equal(d->n_experts, 3);
    assert_int_equal(d->experts[d->current].id, 1);
    const struct tame_totals *t = tame_stream_totals(x.s);
    assert_int_equal(t->offered, N_RUN * N_RUNS * SIM_BATCH);
    assert_int_equal(t->trained + t->reserved + t->quarantined, t->offered);
    assert_true(t->reserved > t->offered / 15 && t->reserved < t->offered / 7);
    uint32_t n;
    (void)tame_buffer_of(tame_stream_reserve(x.s), 0, &n);
    assert_int_equal(n, 40);
    assert_int_equal(tame_stream_buffer(x.s)->n, 60);
    sim_free(&x);
}

/* Snapshots at every batch around a change, held batches included, continue identically. */
void test_any_split_into_pushes_gives_the_same_bytes(void **state)
{
    (void)state;
    const struct tame_options o = kept_options();
    struct sim_stream whole;
    struct snapshot want;
    sim_open(&whole, &o, 3);
    feed(&whole, 0, 70);
    snapshot_take(whole.s, &want);
    int with_held = 0;
    for (uint64_t cut = 29; cut < 35; cut++) {
        struct sim_stream first, second;
        struct snapshot middle, got;
        sim_open(&first, &o, 3);
        feed(&first, 0, cut);
        with_held += tame_stream_detector(first.s)->n_held > 0;
        snapshot_take(first.s, &middle);
        sim_free(&first);
        snapshot_open(&middle, &second);
        feed(&second, cut, 70);
        snapshot_take(second.s, &got);
        assert_same(&want, &got);
        snapshot_free(&middle);
        snapshot_free(&got);
        sim_free(&second);
    }
    assert_true(with_held > 0);
    snapshot_free(&want);
    sim_free(&whole);
}

void test_inactive_experts_are_byte_identical_across_a_push(void **state)
{
    (void)state;
    struct sim_stream x;
    struct snapshot before, after;
    const struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 66); /* experts 0, 1 done, 2 active */
    snapshot_take(x.s, &before);
    feed(&x, 66, 88);
    snapshot_take(x.s, &after);
    assert_int_equal(before.n, 3);
    assert_int_equal(after.n, 3);
    for (uint32_t e = 0; e < 2; e++) {
        assert_int_equal(before.sizes[1 + e], after.sizes[1 + e]);
        assert_memory_equal(before.records[1 + e], after.records[1 + e], before.sizes[1 + e]);
    }
    assert_true(before.sizes[3] != after.sizes[3]);
    snapshot_free(&before);
    snapshot_free(&after);
    sim_free(&x);
}

/* With global labels the alarm hears of unknown classes; the detection is at once. */
void test_global_labels_and_fresh_loss(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    assert_non_null(b);
    o.outputs = 0;
    sim_open(&x, &o, 3);
    sim_task_draw(1000, 0, &task);
    sim_batch_draw(&task, 1000, 0, 1.0f, 0, 0, b);
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, NULL), STATUS_OK);
    assert_near(v.verdict.loss, log(SIM_CLASSES), 1e-6);
    assert_int_equal(tame_stream_weights(x.s, 0)->classes, SIM_CLASSES);
    feed(&x, 1, N_RUN + 1);
    assert_int_equal(tame_stream_detector(x.s)->n_held, 1);
    assert_int_equal(tame_stream_weights(x.s, 0)->classes, SIM_CLASSES); /* held trains nobody */
    feed(&x, N_RUN + 1, N_RUN + 3);
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 2);
    for (uint32_t i = 0; i < SIM_CLASSES; i++) {
        assert_int_equal(tame_stream_labels(x.s, 0)[i], i);
        assert_int_equal(tame_stream_labels(x.s, 1)[i], SIM_CLASSES + i);
    }
    free(b);
    sim_free(&x);
}

void test_new_classes_become_zero_rows(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    assert_non_null(b);
    o.outputs = 0;
    sim_open(&x, &o, 3);
    sim_task_draw(1000, 0, &task);
    for (uint64_t i = 0; i < 40; i++) {
        sim_batch_draw(&task, 1000, i, 1.0f, 0, 0, b);
        /* class 4 comes late, and rarely at first: too little for an alarm */
        for (uint32_t k = 0; k < SIM_BATCH; k++)
            if (b->labels[k] == 4 && (i < 20 || k > 3))
                b->labels[k] = 0;
        b->labels[0] = i == 20 ? 4 : b->labels[0];
        const uint32_t classes = i ? tame_stream_weights(x.s, 0)->classes : 0;
        assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, NULL), STATUS_OK);
        assert_int_equal(v.verdict.id, 0);
        if (i == 20)
            assert_int_equal(classes, 4);
    }
    assert_int_equal(tame_stream_weights(x.s, 0)->classes, 5);
    assert_int_equal(tame_stream_labels(x.s, 0)[4], 4);
    free(b);
    sim_free(&x);
}

void test_tombstones_stop_creation(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    struct fault f = {0};
    const uint32_t gone[] = {5, 6, 7, 8, 9};
    assert_non_null(b);
    o.outputs = 0;
    sim_memory(&x, &o, 3);
    x.setup.tombstones = (struct tame_cut){.classes = gone, .n_classes = 5};
    assert_int_equal(tame_stream_open(&x.setup, NULL, 0, &x.arena, &x.s, &f), STATUS_OK);
    feed(&x, 0, 2 * N_RUN); /* the second task is the forgotten one */
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 1);
    assert_int_equal(tame_stream_totals(x.s)->tombstoned, N_RUN * SIM_BATCH);
    sim_task_draw(1000, 1, &task);
    sim_batch_draw(&task, 1000, 61, 1.0f, 5, 0, b);
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_OK);
    assert_int_equal(v.verdict.outcome, TAME_NOTHING);
    assert_int_equal(v.tombstoned, SIM_BATCH);
    free(b);
    sim_free(&x);
}

void test_lazy_parity_decides_as_eager(void **state)
{
    (void)state;
    struct sim_stream eager, lazy;
    struct tame_options o = sim_options(TAME_PARITY);
    struct sim_batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    o.window = 15;
    o.experts_max = 12;
    o.lazy = 0;
    sim_open(&eager, &o, 3);
    o.lazy = 1;
    sim_open(&lazy, &o, 3);
    for (uint64_t i = 0; i < 200; i++) {
        struct sim_task task;
        struct tame_event v, w;
        sim_task_draw(1001, sim_recurring[i / 40], &task);
        sim_batch_draw(&task, 1001, i, 1.0f, 0, 0, b);
        assert_int_equal(tame_stream_observe(eager.s, &b->samples, &v, NULL), STATUS_OK);
        assert_int_equal(tame_stream_observe(lazy.s, &b->samples, &w, NULL), STATUS_OK);
        assert_int_equal(v.verdict.id, w.verdict.id);
        assert_int_equal(v.verdict.outcome, w.verdict.outcome);
        assert_near(v.verdict.threshold, w.verdict.threshold, 0);
    }
    assert_true(tame_stream_detector(eager.s)->n_experts > 2);
    assert_true(lazy.engine->forwards < eager.engine->forwards);
    struct snapshot middle; /* the ring belongs to the state */
    snapshot_take(lazy.s, &middle);
    struct sim_stream again;
    snapshot_open(&middle, &again);
    struct snapshot twice;
    snapshot_take(again.s, &twice);
    assert_same(&middle, &twice);
    snapshot_free(&middle);
    snapshot_free(&twice);
    sim_free(&again);
    free(b);
    sim_free(&eager);
    sim_free(&lazy);
}

void test_one_forward_serves_loss_and_step(void **state)
{
    (void)state;
    struct sim_stream x;
    const struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 20);
    assert_int_equal(x.engine->forwards, 20);
    assert_int_equal(x.engine->steps, 20);
    assert_int_equal(x.engine->loads, 20);
    sim_free(&x);
}

void test_bad_input_changes_nothing(void **state)
{
    (void)state;
    struct sim_stream x;
    const struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    struct fault f = {0};
    struct snapshot before, after;
    assert_non_null(b);
    sim_open(&x, &o, 3);
    feed(&x, 0, 31);
    snapshot_take(x.s, &before);
    sim_task_draw(1000, 1, &task);
    sim_batch_draw(&task, 1000, 31, 1.0f, 0, 0, b);
    b->samples.n = 0;
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_INVALID_ARGUMENT);
    b->samples.n = SIM_BATCH + 1;
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "samples");
    b->samples.n = SIM_BATCH;
    b->labels[3] = SIM_CLASSES; /* the experts have five outputs */
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "labels");
    snapshot_take(x.s, &after);
    assert_same(&before, &after);
    assert_int_equal(tame_stream_close(x.s, &v, &f), STATUS_OK);
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_FAILED_PRECONDITION);
    assert_int_equal(tame_stream_close(x.s, &v, &f), STATUS_FAILED_PRECONDITION);
    snapshot_free(&before);
    snapshot_free(&after);
    free(b);
    sim_free(&x);
}

void test_too_many_classes_fail_the_push(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_event v;
    struct fault f = {0};
    assert_non_null(b);
    o.outputs = 0;
    o.classes_max = 4;
    sim_open(&x, &o, 3);
    sim_task_draw(1000, 1, &task);
    sim_batch_draw(&task, 1000, 31, 1.0f, 0, 0, b);
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f.field, "classes_max");
    assert_int_equal(tame_stream_observe(x.s, &b->samples, &v, &f), STATUS_FAILED_PRECONDITION);
    free(b);
    sim_free(&x);
}

/* A stream of one-batch tasks is decided by probes, and settles what was held. */
void test_probe_on_short_pushes(void **state)
{
    (void)state;
    struct sim_stream x;
    const struct tame_options o = kept_options();
    struct sim_batch *b = calloc(TAME_PROBE_BATCHES, sizeof *b);
    assert_non_null(b);
    sim_open(&x, &o, 3);
    uint32_t chosen[8];
    for (uint32_t push = 0; push < 8; push++) {
        struct sim_task task;
        struct tame_samples samples[TAME_PROBE_BATCHES];
        struct tame_event v;
        struct fault f = {0};
        sim_task_draw(1000, push % 2, &task);
        for (uint32_t i = 0; i < 16; i++) {
            const uint32_t k = i < TAME_PROBE_BATCHES ? i : 0;
            sim_batch_draw(&task, 1000, push * 16 + i, 1.0f, 0, 0, &b[k]);
            samples[k] = b[k].samples;
            if (i + 1 == TAME_PROBE_BATCHES)
                assert_int_equal(tame_stream_probe(x.s, samples, TAME_PROBE_BATCHES, &v, &f),
                                 STATUS_OK);
            else if (i >= TAME_PROBE_BATCHES)
                assert_int_equal(tame_stream_observe(x.s, samples, &v, &f), STATUS_OK);
            if (i + 1 == TAME_PROBE_BATCHES)
                chosen[push] = v.verdict.id;
        }
    }
    assert_int_equal(tame_stream_detector(x.s)->n_experts, 2);
    for (uint32_t push = 0; push < 8; push++)
        assert_int_equal(chosen[push], push % 2);
    free(b);
    sim_free(&x);
}

/* ------------------------------------------------------------------ routing */

static void everything_to_one(void *context, uint32_t n, const uint8_t *const *inputs, uint32_t *to)
{
    (void)inputs;
    for (uint32_t i = 0; i < n; i++)
        to[i] = *(const uint32_t *)context;
}

void test_selector_and_outside_router(void **state)
{
    (void)state;
    struct sim_stream x;
    struct tame_options o = kept_options();
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    struct tame_answer answers[SIM_BATCH];
    struct fault f = {0};
    uint32_t right = 0, hits = 0;
    assert_non_null(b);
    o.buffer = 900;
    o.selector_epochs = 60;
    sim_open(&x, &o, 3);
    feed(&x, 0, N_RUN * N_RUNS);
    assert_int_equal(tame_stream_predict(x.s, NULL, NULL, 1, b->inputs, answers, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_int_equal(tame_stream_fit_selector(x.s, &f), STATUS_OK);
    for (uint32_t t = 0; t < 3; t++) {
        sim_task_draw(1000, t, &task);
        sim_batch_draw(&task, 77, t, 1.0f, 0, 0, b);
        assert_int_equal(tame_stream_predict(x.s, NULL, NULL, SIM_BATCH, b->inputs, answers, &f),
                         STATUS_OK);
        for (uint32_t i = 0; i < SIM_BATCH; i++) {
            right += answers[i].expert == t;
            hits += answers[i].expert == t && answers[i].label == b->labels[i];
            assert_true(answers[i].confidence > 0 && answers[i].confidence <= 1.0001f);
        }
    }
    assert_true(right > 3 * SIM_BATCH * 7 / 10);
    assert_true(hits > 3 * SIM_BATCH * 6 / 10);
    uint32_t one = 1;
    sim_task_draw(1000, 1, &task);
    sim_batch_draw(&task, 77, 1, 1.0f, 0, 0, b);
    assert_int_equal(
        tame_stream_predict(x.s, everything_to_one, &one, SIM_BATCH, b->inputs, answers, &f),
        STATUS_OK);
    float logits[SIM_BATCH * SIM_CLASSES];
    tame_stream_forward(x.s, 1, SIM_BATCH, b->inputs, logits);
    for (uint32_t i = 0; i < SIM_BATCH; i++) {
        uint32_t best = 0;
        for (uint32_t j = 1; j < SIM_CLASSES; j++)
            best = logits[i * SIM_CLASSES + j] > logits[i * SIM_CLASSES + best] ? j : best;
        assert_int_equal(answers[i].expert, 1);
        assert_int_equal(answers[i].label, best);
    }
    one = TAME_NONE;
    assert_int_equal(tame_stream_predict(x.s, everything_to_one, &one, 2, b->inputs, answers, &f),
                     STATUS_OK);
    assert_int_equal(answers[1].expert, TAME_NONE);
    free(b);
    sim_free(&x);
}

void test_selector_is_a_function_of_the_buffer(void **state)
{
    (void)state;
    struct sim_stream x, y;
    struct snapshot a, b;
    struct tame_options o = kept_options();
    sim_open(&x, &o, 3);
    feed(&x, 0, 70);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    snapshot_take(x.s, &a);
    snapshot_open(&a, &y);
    assert_true(tame_stream_has_selector(y.s));
    assert_int_equal(tame_stream_fit_selector(y.s, NULL), STATUS_OK);
    snapshot_take(y.s, &b);
    assert_same(&a, &b);
    snapshot_free(&a);
    snapshot_free(&b);
    sim_free(&y);
    sim_free(&x);
    o.selector = TAME_SELECTOR_NET; /* the kind's own network as selector */
    o.selector_epochs = 2;
    sim_open(&x, &o, 3);
    feed(&x, 0, 70);
    assert_int_equal(tame_stream_fit_selector(x.s, NULL), STATUS_OK);
    snapshot_take(x.s, &a);
    snapshot_open(&a, &y);
    snapshot_take(y.s, &b);
    assert_same(&a, &b);
    snapshot_free(&a);
    snapshot_free(&b);
    sim_free(&y);
    sim_free(&x);
}
