/* The rules of tame.md 3.3 on scripted losses, without a network. */
#include "tests/unit/learners/methods/tame_script.h"

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
    s.new_from = 60;
    script_run(&s, 61);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_EXTENDED);
    assert_int_equal(s.extended, 2);
    assert_int_equal(s.d.n_experts, 1);
    assert_int_equal(v.trained, 2);
    assert_near(s.d.experts[0].q[0], log(4), 1e-15); /* the window begins again, with 4 classes */
    assert_true(s.d.experts[0].has_sact);
    script_close(&s);
    script_open(&s, &o, task_loss); /* known classes: an ordinary alarm */
    script_run(&s, 62);
    assert_int_equal(s.d.n_experts, 2);
    script_close(&s);
}

/* Losses that never leave the window: only the labels tell. */
static double calm(uint32_t id, uint64_t batch)
{
    (void)id;
    return batch % 2 ? 0.31 : 0.29;
}

void test_unknown_classes_raise_the_alarm_without_the_loss(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, calm);
    s.new_from = 60;
    script_run(&s, 60);
    struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_HELD);
    assert_true(v.loss < v.threshold);
    v = script_next(&s);
    assert_int_equal(v.outcome, TAME_CREATED);
    assert_int_equal(v.trained, 2);
    assert_int_equal(s.n_trained, 62);
    assert_int_equal(s.trained[59].id, 0); /* none of the new batches trained the old expert */
    assert_int_equal(s.trained[60].id, 1);
    /* expert 0 has the lower loss threshold's margin, yet does not know the classes */
    struct tame_ops ops = ops_of(&s);
    s.slot_batch[0] = 62;
    assert_int_equal(tame_detector_probe(&s.d, &ops, 1, &v, NULL), STATUS_OK);
    assert_int_not_equal(v.id, 0);
    script_close(&s);
}

void test_one_batch_of_unknown_classes_is_quarantined(void **state)
{
    (void)state;
    struct script s;
    const struct tame_options o = hardened();
    script_open(&s, &o, calm);
    s.new_from = 60;
    script_run(&s, 60);
    assert_int_equal(script_next(&s).outcome, TAME_HELD);
    s.new_from = 0; /* the next batch is an ordinary one, and the held one is strange by itself */
    s.odd = 60;
    const struct tame_verdict v = script_next(&s);
    assert_int_equal(v.outcome, TAME_TRAINED);
    assert_int_equal(v.quarantined, 1);
    assert_int_equal(s.given_up[0], 60);
    assert_int_equal(s.d.n_experts, 1);
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
