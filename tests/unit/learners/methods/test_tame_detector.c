/* Arithmetic, state and records of the detector, and the published rule, on scripted losses. */
#include "tests/unit/learners/methods/tame_script.h"

/* ------------------------------------------------------------------ arithmetic */

void test_population_deviation_in_two_passes(void **state)
{
    (void)state;
    const double q[] = {1e8 + 1, 1e8 + 2, 1e8 + 3, 1e8 + 4};
    double mean, deviation;
    tame_detector_stats(q, 4, &mean, &deviation);
    assert_near(mean, 1e8 + 2.5, 0);
    assert_near(deviation, sqrt(1.25), 1e-9);
    tame_detector_stats(q, 1, &mean, &deviation);
    assert_near(deviation, 0, 0);
}

void test_guard_band_keeps_the_two_oldest(void **state)
{
    (void)state;
    assert_int_equal(tame_detector_guarded(50, 10), 40);
    assert_int_equal(tame_detector_guarded(4, 10), 2);
    assert_int_equal(tame_detector_guarded(12, 10), 2);
    assert_int_equal(tame_detector_guarded(13, 10), 3);
    assert_int_equal(tame_detector_guarded(1, 10), 1);
    assert_int_equal(tame_detector_guarded(5, 0), 5);
}

static double flat(uint32_t id, uint64_t batch)
{
    (void)id;
    return batch % 2 ? 0.4 : 0.6;
}

void test_seed_average_and_threshold(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, flat);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_CREATED);
    assert_int_equal(v.old_id, TAME_NONE);
    assert_int_equal(v.id, 0);
    assert_near(v.mean, log(2), 0);
    assert_near(v.deviation, 0, 0);
    assert_near(v.threshold, log(2) + 3 * (double)0.005f, 1e-12);
    assert_near(v.average, 0.6, 0); /* undefined before: the first loss itself */
    assert_int_equal(s.d.experts[0].n, 2);
    v = script_next(&s);
    const double a = (double)0.2f;
    assert_near(v.average, a * 0.4 + (1 - a) * 0.6, 1e-15);
    /* the window is ln 2, 0.6: both the oldest, so both count */
    assert_near(v.mean, (log(2) + 0.6) / 2, 1e-15);
    script_close(&s);
}

void test_window_wraps(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = parity(8);
    script_open(&s, &o, flat);
    script_run(&s, 20);
    assert_int_equal(s.d.experts[0].n, 8);
    assert_near(s.d.experts[0].q[0], 0.6, 0); /* batches 12 .. 19 */
    assert_near(s.d.experts[0].q[7], 0.4, 0);
    assert_int_equal(s.d.experts[0].pushed, 20);
    script_close(&s);
}

/* ------------------------------------------------------------------ parity */

/*
 * Losses 0 but for the seed: with a full window of zeros the threshold is 3 floor.  A jump of D
 * gives an average of a D, so the alarm at the first batch needs a D > 3 floor: D above 15 floor.
 */
static double jump_size;
static double quiet_then_jump(uint32_t id, uint64_t batch)
{
    if (batch < 100 || id > 0)
        return 0.0;
    return jump_size;
}

static struct tame_verdict parity_jump(double deviations)
{
    struct script s;
    struct tame_options o = parity(35);
    jump_size = deviations * (double)o.floor;
    script_open(&s, &o, quiet_then_jump);
    script_run(&s, 100);
    const struct tame_verdict v = script_next(&s);
    script_close(&s);
    return v;
}

void test_parity_fires_on_sixteen_deviations_not_on_fourteen(void **state)
{
    (void)state;
    assert_int_equal(parity_jump(16).outcome, TAME_CREATED);
    assert_int_equal(parity_jump(14).outcome, TAME_TRAINED);
}

static double always_ln2(uint32_t id, uint64_t batch)
{
    (void)id;
    (void)batch;
    return log(2);
}

void test_parity_alarm_is_strict(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = parity(35);
    o.floor = 0;
    script_open(&s, &o, always_ln2);
    script_run(&s, 50); /* average equals threshold throughout */
    assert_int_equal(s.d.n_experts, 1);
    script_close(&s);
}

/* Frozen: what an expert had when it was last active. */
void test_parity_recurrence_and_frozen_threshold(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = parity(50);
    script_open(&s, &o, task_loss);
    script_run(&s, 60);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_CREATED);
    assert_int_equal(s.trained[s.n_trained - 1].id,
                     1); /* the alarming batch trains the chosen one */
    script_run(&s, 180);
    assert_int_equal(s.d.n_experts, 3);
    const double frozen = s.d.experts[0].tau;
    v = script_next(&s);
    assert_int_equal(v.outcome, TAME_SWITCHED);
    assert_int_equal(v.id, 1);
    script_run(&s, 240);
    assert_int_equal(s.d.n_experts, 3);
    assert_near(s.d.experts[0].tau, frozen, 0);
    script_close(&s);
}

/* Experts 0 and 1 both fit the last run; 0 has the smaller margin. */
static double two_fit(uint32_t id, uint64_t batch)
{
    const uint64_t run = batch / 60;
    const double noise = 0.001 * (double)((batch * 40503u >> 4) % 10);
    if (run == 0)
        return id == 0 ? 0.5 + 20 * noise : 3.0;
    if (run == 1)
        return id == 1 ? 0.5 + 20 * noise : 3.0;
    if (run == 2)
        return id == 2 ? 0.2 + noise : 3.0;
    return id == 0 ? 0.45 : id == 1 ? 0.05 : 3.0;
}

void test_first_match_against_largest_margin(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = parity(50);
    script_open(&s, &o, two_fit);
    script_run(&s, 180);
    assert_int_equal(s.d.n_experts, 3);
    assert_int_equal(script_next(&s).id, 0);
    script_close(&s);
    o = hardened();
    script_open(&s, &o, two_fit);
    script_run(&s, 180);
    assert_int_equal(s.d.n_experts, 3);
    script_next(&s);
    assert_int_equal(script_next(&s).id, 1);
    script_close(&s);
}

void test_parity_lazy_equals_eager(void **state)
{
    (void)state;
    struct script eager, lazy;
    struct tame_options o = parity(50);
    o.lazy = 0;
    script_open(&eager, &o, task_loss);
    o.lazy = 1;
    script_open(&lazy, &o, task_loss);
    for (int i = 0; i < 240; i++) {
        const struct tame_verdict a = script_next(&eager), b = script_next(&lazy);
        assert_int_equal(a.outcome, b.outcome);
        assert_int_equal(a.id, b.id);
        assert_near(a.threshold, b.threshold, 0);
        assert_near(a.average, b.average, 1e-6);
    }
    assert_int_equal(eager.d.n_experts, 3);
    assert_true(lazy.calls < eager.calls);
    script_close(&eager);
    script_close(&lazy);
}

/* ------------------------------------------------------------------ state */

void test_removal_keeps_ids_and_order(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, task_loss);
    script_run(&s, 200);
    const struct tame_watch one = s.d.experts[1];
    assert_int_equal(s.d.current, 1);
    tame_detector_remove(&s.d, 0);
    assert_int_equal(s.d.current, 0);
    assert_int_equal(s.d.experts[0].id, 1);
    tame_detector_remove(&s.d, 0); /* the active one */
    assert_int_equal(s.d.current, TAME_NONE);
    assert_int_equal(tame_detector_add(&s.d, &one), 0);
    assert_int_equal(s.d.experts[1].id, 2);
    /* without an active expert the next batches choose one, after the usual patience */
    assert_int_equal(script_next(&s).outcome, TAME_HELD);
    const struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_SWITCHED);
    assert_int_equal(v.id, 1);
    assert_int_equal(s.d.next_id, 3);
    script_close(&s);
}

void test_rebaseline(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, task_loss);
    script_run(&s, 50);
    double losses[60];
    for (int i = 0; i < 60; i++)
        losses[i] = 0.2 + 0.001 * i;
    tame_detector_rebaseline(&s.d, 0, losses, 60, 2);
    assert_int_equal(s.d.experts[0].n, 50);
    assert_false(s.d.experts[0].has_sact);
    double mean, deviation;
    tame_detector_stats(losses, 40, &mean, &deviation);
    assert_near(s.d.experts[0].tau, mean + 3 * deviation, 1e-12);
    tame_detector_rebaseline(&s.d, 0, NULL, 0, 5);
    assert_int_equal(s.d.experts[0].n, 1);
    assert_near(s.d.experts[0].q[0], log(5), 0);
    script_close(&s);
}

static struct tame_detector decoded(const void *record,
                                    size_t size,
                                    const struct tame_options *o,
                                    struct arena *arena,
                                    struct tame_roster *ret_roster,
                                    enum status *ret_status)
{
    struct tame_detector d;
    struct tame_options resolved = *o;
    tame_options_resolve(&resolved);
    assert_true(tame_detector_new(&resolved, arena, &d));
    struct byte_reader r = byte_reader_make(record, size);
    *ret_status = tame_detector_get(&d, &r, ret_roster, NULL);
    if (*ret_status == STATUS_OK && !byte_reader_done(&r))
        *ret_status = STATUS_BAD_FORMAT;
    return d;
}

void test_record_round_trip_and_cuts(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    o.patience = 3;
    script_open(&s, &o, task_loss);
    script_run(&s, 122);
    uint8_t bytes[512], watch[4096];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    tame_detector_put(&s.d, &w);
    assert_false(w.failed);
    struct arena_plan plan = {0};
    struct tame_options resolved = o;
    tame_options_resolve(&resolved);
    tame_detector_plan(&resolved, &plan);
    void *memory = malloc(arena_plan_bytes(&plan));
    struct arena arena;
    arena_init(&arena, memory, arena_plan_bytes(&plan));
    const struct arena_mark mark = arena_mark(&arena);
    struct tame_roster roster;
    enum status status;
    for (size_t n = 0; n < w.used; n++) { /* every cut is refused */
        (void)decoded(bytes, n, &o, &arena, &roster, &status);
        assert_int_equal(status, STATUS_BAD_FORMAT);
        arena_rewind(&arena, mark);
    }
    struct tame_detector d = decoded(bytes, w.used, &o, &arena, &roster, &status);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(roster.n, 2);
    assert_int_equal(tame_detector_seal(&d, &roster, NULL), STATUS_FAILED_PRECONDITION);
    for (uint32_t e = 0; e < s.d.n_experts; e++) {
        struct tame_watch x;
        struct byte_writer ww = byte_writer_make(watch, sizeof watch);
        tame_detector_put_watch(&s.d.experts[e], &ww);
        struct byte_reader r = byte_reader_make(watch, ww.used);
        assert_int_equal(tame_detector_get_watch(&r, resolved.window, &x, NULL), STATUS_OK);
        assert_true(byte_reader_done(&r));
        for (size_t n = 0; n < ww.used; n++) {
            r = byte_reader_make(watch, n);
            struct tame_watch y;
            assert_int_equal(tame_detector_get_watch(&r, resolved.window, &y, NULL),
                             STATUS_BAD_FORMAT);
        }
        assert_memory_equal(&x, &s.d.experts[e], sizeof x);
        (void)tame_detector_add(&d, &x);
    }
    assert_int_equal(tame_detector_seal(&d, &roster, NULL), STATUS_OK);
    assert_int_equal(d.current, s.d.current);
    assert_int_equal(d.n_held, s.d.n_held);
    assert_int_equal(d.batches, 122);
    arena_fini(&arena);
    free(memory);
    script_close(&s);
}

/* The record's numbers are hostile one by one. */
void test_watch_refuses_impossible_numbers(void **state)
{
    (void)state;
    struct tame_watch x = {.id = 3, .n = 2, .q = {0.5, 0.6}, .has_sact = 1, .tau = 0.7}, y;
    uint8_t bytes[256];
    const struct {
        double *at;
        double value;
    } bad[] = {{&x.q[1], (double)NAN},
               {&x.tau, (double)INFINITY},
               {&x.sact, -(double)INFINITY},
               {&x.first_std, (double)NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const double was = *bad[i].at;
        *bad[i].at = bad[i].value;
        struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
        tame_detector_put_watch(&x, &w);
        struct byte_reader r = byte_reader_make(bytes, w.used);
        assert_int_equal(tame_detector_get_watch(&r, 50, &y, NULL), STATUS_BAD_FORMAT);
        *bad[i].at = was;
    }
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    tame_detector_put_watch(&x, &w);
    struct byte_reader r = byte_reader_make(bytes, w.used);
    assert_int_equal(tame_detector_get_watch(&r, 1, &y, NULL), STATUS_BAD_FORMAT);
    r = byte_reader_make(bytes, w.used);
    assert_int_equal(tame_detector_get_watch(&r, 2, &y, NULL), STATUS_OK);
}
