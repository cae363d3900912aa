/* The decision rules on scripted losses, without a network. */
#include "tests/support/test.h"

#include "learners/methods/tame/tame_detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8
#define LOG  256

/* Loss of expert number `id` on batch `b` is loss[id][b]; training is only noted down. */
struct script {
    struct tame_detector d;
    struct arena arena;
    void *memory;
    double (*loss)(uint32_t id, uint64_t batch);
    uint64_t slot_batch[TAME_SLOTS_MAX];
    uint64_t now;
    uint32_t classes;
    struct {
        uint32_t id;
        uint64_t batch;
    } trained[LOG];
    uint32_t n_trained;
    uint64_t given_up[LOG];
    uint32_t n_given_up;
    uint32_t calls;
    int new_classes;
    uint32_t extended;
};

static double script_loss(void *context, uint32_t e, uint32_t slot)
{
    struct script *s = context;
    s->calls++;
    return s->loss(s->d.experts[e].id, s->slot_batch[slot]);
}

static void script_train(void *context, uint32_t e, uint32_t slot)
{
    struct script *s = context;
    assert_true(s->n_trained < LOG);
    s->trained[s->n_trained].id = s->d.experts[e].id;
    s->trained[s->n_trained++].batch = s->slot_batch[slot];
}

static enum status script_create(void *context,
                                 uint32_t e,
                                 uint32_t id,
                                 uint32_t slot,
                                 uint32_t n,
                                 uint32_t *ret_classes,
                                 struct fault *f)
{
    struct script *s = context;
    (void)slot;
    (void)n;
    (void)f;
    assert_int_equal(e, s->d.n_experts);
    assert_int_equal(id, s->d.next_id);
    s->d.experts[e].id = id; /* so that a loss asked for at birth has a name */
    *ret_classes = s->classes;
    return STATUS_OK;
}

static void script_give_up(void *context, uint32_t slot)
{
    struct script *s = context;
    s->given_up[s->n_given_up++] = s->slot_batch[slot];
}

static int script_mostly_new(void *context, uint32_t e, uint32_t n)
{
    (void)e;
    (void)n;
    return ((struct script *)context)->new_classes;
}

static uint32_t script_extend(void *context, uint32_t e, uint32_t n)
{
    struct script *s = context;
    (void)e;
    s->extended += n;
    return s->classes + 2;
}

static struct tame_ops ops_of(struct script *s)
{
    return (struct tame_ops){.context = s,
                             .loss = script_loss,
                             .train = script_train,
                             .create = script_create,
                             .give_up = script_give_up,
                             .mostly_new = script_mostly_new,
                             .extend = script_extend};
}

static void
script_open(struct script *s, const struct tame_options *o, double (*loss)(uint32_t, uint64_t))
{
    struct tame_options resolved = *o;
    struct arena_plan plan = {0};
    *s = (struct script){.loss = loss, .classes = 2};
    tame_options_resolve(&resolved);
    assert_int_equal(tame_options_check(&resolved, NULL), STATUS_OK);
    tame_detector_plan(&resolved, &plan);
    s->memory = malloc(arena_plan_bytes(&plan));
    assert_non_null(s->memory);
    arena_init(&s->arena, s->memory, arena_plan_bytes(&plan));
    assert_true(tame_detector_new(&resolved, &s->arena, &s->d));
}

static void script_close(struct script *s)
{
    arena_fini(&s->arena);
    free(s->memory);
}

static struct tame_verdict script_next(struct script *s)
{
    const struct tame_ops ops = ops_of(s);
    struct tame_verdict v;
    s->slot_batch[tame_detector_slot(&s->d)] = s->now;
    assert_int_equal(tame_detector_observe(&s->d, &ops, &v, NULL), STATUS_OK);
    s->now++;
    return v;
}

static struct tame_verdict script_run(struct script *s, uint64_t until)
{
    struct tame_verdict v = {0};
    while (s->now < until)
        v = script_next(s);
    return v;
}

static struct tame_options hardened(void)
{
    struct tame_options o;
    tame_options_default(&o);
    o.window = 50;
    o.experts_max = MOST;
    return o;
}

static struct tame_options parity(uint32_t window)
{
    struct tame_options o;
    tame_options_parity(&o);
    o.window = window;
    o.experts_max = MOST;
    o.outputs = 2;
    return o;
}

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

/* Task of a batch: 0, 1, 2, 1 for 60 batches each; an expert knows the task it was born in. */
static double task_loss(uint32_t id, uint64_t batch)
{
    static const uint32_t order[] = {0, 1, 2, 1};
    const uint32_t task = order[batch / 60 < 4 ? batch / 60 : 3];
    const double noise = 0.01 * (double)((batch * 2654435761u >> 7) % 100) / 100.0;
    if (id == task)
        return batch % 60 < 5 && batch / 60 < 3 ? 0.69 - 0.1 * (double)(batch % 60) : 0.1 + noise;
    return 3.0 + noise;
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

/* ------------------------------------------------------------------ hardened */

void test_hardened_recurrence_reuses_expert_2(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, task_loss);
    script_run(&s, 240);
    assert_int_equal(s.d.n_experts, 3);
    assert_int_equal(s.d.switches, 3);
    assert_int_equal(s.d.experts[s.d.current].id, 1);
    for (uint32_t i = 0; i < s.n_trained; i++) { /* nothing trained the wrong expert */
        static const uint32_t order[] = {0, 1, 2, 1};
        assert_int_equal(s.trained[i].id, order[s.trained[i].batch / 60]);
    }
    assert_int_equal(s.n_trained, 240);
    script_close(&s);
}

void test_hold_queue_and_release_order(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    o.patience = 3;
    script_open(&s, &o, task_loss);
    script_run(&s, 60);
    assert_int_equal(script_next(&s).outcome, TAME_HELD);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_HELD);
    assert_int_equal(v.held, 2);
    assert_int_equal(v.trained, 0);
    assert_int_equal(s.n_trained, 60);
    v = script_next(&s);
    assert_int_equal(v.outcome, TAME_CREATED);
    assert_int_equal(v.trained, 3);
    assert_int_equal(v.held, 0);
    for (uint32_t i = 0; i < 3; i++) { /* oldest first */
        assert_int_equal(s.trained[60 + i].id, 1);
        assert_int_equal(s.trained[60 + i].batch, 60 + i);
    }
    assert_int_equal(s.d.experts[1].n, 4); /* seed and three */
    script_close(&s);
}

/* One bad batch at 70; with `again` the same loss stays when it is looked at once more. */
static double outlier(uint32_t id, uint64_t batch)
{
    (void)id;
    const double noise = 0.01 * (double)((batch * 2654435761u >> 7) % 100) / 100.0;
    return batch == 70 ? 6.0 : 0.1 + noise;
}

void test_outlier_is_quarantined_and_does_not_echo(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    script_open(&s, &o, outlier);
    script_run(&s, 70);
    assert_int_equal(script_next(&s).outcome, TAME_HELD);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_TRAINED);
    assert_int_equal(v.quarantined, 1);
    assert_int_equal(v.trained, 1);
    assert_int_equal(s.n_given_up, 1);
    assert_int_equal(s.given_up[0], 70);
    assert_near(s.d.experts[0].sact, v.loss, 0);
    script_run(&s, 100);
    assert_int_equal(s.d.n_experts, 1);
    assert_int_equal(s.d.quarantined, 1);
    script_close(&s);
    o.outlier_guard = 0; /* then it is trained after all */
    script_open(&s, &o, outlier);
    script_run(&s, 72);
    assert_int_equal(s.n_given_up, 0);
    assert_int_equal(s.n_trained, 72);
    assert_true(s.d.experts[0].sact > s.d.experts[0].tau);
    script_close(&s);
}

/* A step of 14 of the old window's deviations: slow to be seen by the average. */
static double slow_step(uint32_t id, uint64_t batch)
{
    const double noise = batch % 2 ? 0.01 : -0.01;
    if (batch < 60)
        return 0.3 + noise;
    return id == 0 ? 0.3 + 0.13 + noise : 0.3 + noise;
}

void test_losses_above_the_threshold_do_not_lift_it(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    script_open(&s, &o, slow_step);
    script_run(&s, 60);
    const double tau = s.d.experts[0].tau;
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_TRAINED); /* the average is still below */
    assert_true(v.loss > v.threshold);
    const struct tame_watch *x = &s.d.experts[0];
    assert_near(x->q[x->n - 1], v.threshold, 0); /* clipped */
    while (s.d.n_experts == 1 && s.now < 80)
        (void)script_next(&s);
    assert_int_equal(s.d.n_experts, 2); /* the band still fires, a few batches late */
    assert_true(s.now < 70);
    assert_near(s.d.experts[0].tau, tau, 0.01);
    script_close(&s);
}

static double wild(uint32_t id, uint64_t batch)
{
    (void)id;
    return batch < 1 ? 0.1 : 5.0;
}

void test_immature_experts_raise_no_alarm_and_are_no_candidates(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    script_open(&s, &o, wild);
    for (int i = 0; i < 3; i++)
        assert_int_equal(script_next(&s).outcome, i ? TAME_TRAINED : TAME_CREATED);
    assert_int_equal(s.d.experts[0].n, 4);
    script_close(&s);
    /* expert 1 has seed + 2 when its task ends again: it cannot be chosen */
    script_open(&s, &o, task_loss);
    script_run(&s, 62);
    assert_int_equal(s.d.n_experts, 2);
    assert_int_equal(s.d.experts[1].n, 3);
    const struct tame_ops ops = ops_of(&s);
    struct tame_verdict v;
    s.slot_batch[0] = 65; /* task 1, loss of expert 1 about 0.1 */
    assert_int_equal(tame_detector_probe(&s.d, &ops, 1, &v, NULL), STATUS_OK);
    assert_int_equal(v.outcome, TAME_CREATED);
    script_close(&s);
}

void test_extend_keeps_the_expert(void **state)
{
    (void)state;
    struct script s;
    struct tame_options o = hardened();
    o.growth = TAME_GROWTH_EXTEND;
    script_open(&s, &o, task_loss);
    s.new_classes = 1;
    script_run(&s, 61);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_EXTENDED);
    assert_int_equal(s.extended, 2);
    assert_int_equal(s.d.n_experts, 1);
    assert_int_equal(v.trained, 2);
    assert_near(s.d.experts[0].q[0], log(4), 1e-15); /* the window begins again, with 4 classes */
    assert_true(s.d.experts[0].has_sact);
    s.new_classes = 0; /* known classes: an ordinary alarm */
    script_close(&s);
    script_open(&s, &o, task_loss);
    script_run(&s, 62);
    assert_int_equal(s.d.n_experts, 2);
    script_close(&s);
}

void test_probe_reuses_or_creates_at_once(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, task_loss);
    script_run(&s, 170);
    const struct tame_ops ops = ops_of(&s);
    struct tame_verdict v;
    for (uint32_t i = 0; i < 3; i++)
        s.slot_batch[i] = 200 + i; /* task 1 */
    assert_int_equal(tame_detector_probe(&s.d, &ops, 3, &v, NULL), STATUS_OK);
    assert_int_equal(v.outcome, TAME_SWITCHED);
    assert_int_equal(v.id, 1);
    assert_int_equal(v.trained, 3);
    const uint64_t switches = s.d.switches;
    assert_int_equal(tame_detector_probe(&s.d, &ops, 3, &v, NULL), STATUS_OK); /* again: it stays */
    assert_int_equal(v.outcome, TAME_TRAINED);
    assert_int_equal(v.id, 1);
    assert_int_equal(s.d.switches, switches);
    s.loss = wild; /* 5.0 for everybody: a new task */
    assert_int_equal(tame_detector_probe(&s.d, &ops, 3, &v, NULL), STATUS_OK);
    assert_int_equal(v.outcome, TAME_CREATED);
    assert_int_equal(v.id, 3);
    script_close(&s);
}

void test_close_settles_what_is_held(void **state)
{
    (void)state;
    struct script s;
    struct tame_verdict v;
    const struct tame_options o = hardened();
    script_open(&s, &o, task_loss);
    script_run(&s, 61); /* one batch of task 1 held, nobody knows task 1 */
    struct tame_ops ops = ops_of(&s);
    tame_detector_close(&s.d, &ops, &v);
    assert_int_equal(v.outcome, TAME_DROPPED);
    assert_int_equal(s.d.dropped, 1);
    assert_int_equal(s.n_given_up, 1);
    assert_int_equal(s.d.n_held, 0);
    script_close(&s);
    script_open(&s, &o, task_loss);
    script_run(&s, 181); /* task 1 again: expert 1 is there */
    ops = ops_of(&s);
    assert_int_equal(s.d.n_held, 1);
    tame_detector_close(&s.d, &ops, &v);
    assert_int_equal(v.outcome, TAME_SWITCHED);
    assert_int_equal(v.id, 1);
    assert_int_equal(s.trained[s.n_trained - 1].batch, 180);
    tame_detector_close(&s.d, &ops, &v);
    assert_int_equal(v.outcome, TAME_NOTHING);
    script_close(&s);
}

/* Every batch is worse than the last one: a stream that fits nobody. */
static double hopeless(uint32_t id, uint64_t batch)
{
    return 0.1 + 3.0 * (double)(batch / 20 > id ? batch / 20 - id : 0);
}

void test_cap_is_an_error(void **state)
{
    (void)state;
    struct script s;
    struct fault f = {0};
    struct tame_options o = hardened();
    o.experts_max = 3;
    script_open(&s, &o, hopeless);
    script_run(&s, 61);
    assert_int_equal(s.d.n_experts, 3);
    assert_int_equal(s.d.n_held, 1);
    const struct tame_ops ops = ops_of(&s);
    struct tame_verdict v;
    s.slot_batch[1] = 61;
    assert_int_equal(tame_detector_observe(&s.d, &ops, &v, &f), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f.field, "experts_max");
    script_close(&s);
}

/* Experts 0 and 1 are the same to the last bit. */
static double twins(uint32_t id, uint64_t batch)
{
    const uint64_t run = batch / 60;
    if (run < 2)
        return id == run ? 0.2 : 3.0;
    return id == 2 && run == 2 ? 0.2 : run == 3 && id < 2 ? 0.2 : 3.0;
}

void test_ties_go_to_the_lower_id(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, twins);
    script_run(&s, 181);
    assert_near(s.d.experts[0].tau, s.d.experts[1].tau, 0);
    assert_int_equal(script_next(&s).id, 0);
    script_close(&s);
}

static double drifting(uint32_t id, uint64_t batch)
{
    (void)id;
    const double noise = batch % 2 ? 0.05 : -0.05;
    return 0.5 + noise + 0.002 * (double)(batch > 60 ? batch - 60 : 0);
}

void test_drift_is_reported_once(void **state)
{
    (void)state;
    struct script s;
    uint32_t warnings = 0;
    struct tame_options o = hardened();
    script_open(&s, &o, drifting);
    for (int i = 0; i < 250; i++)
        warnings += script_next(&s).drift != 0;
    assert_int_equal(s.d.n_experts, 1); /* too slow for an alarm */
    assert_int_equal(warnings, 1);
    script_close(&s);
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
    } bad[] = {{&x.q[1], NAN}, {&x.tau, INFINITY}, {&x.sact, -INFINITY}, {&x.first_std, NAN}};
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
