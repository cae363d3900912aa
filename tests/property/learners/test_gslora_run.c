/*
 * A whole GS-LoRA++ request on a tiny model: it erases, keeps the rest and the frozen weights, and
 * gives the same bytes with and without the prefix cache, for any number of threads, and whatever
 * is measured on the way.
 */
#include "tests/support/test.h"

#include "learners/methods/gslora/gslora_internal.h"
#include "tests/property/learners/gslora_fixture.h"

static struct gslora_options short_options(void)
{
    struct gslora_options o;
    gslora_options_default(&o);
    o.rank = 2;
    o.epochs = 3;
    o.batch_retain = o.batch_forget = 12;
    o.validate_steps = 8;
    o.wake_images = 24;
    o.depth_directions = 8;
    o.pull = 0.01f;
    o.start_blocks = 0;
    o.wake_epochs = 2;
    o.eta = 0.3f;
    o.depth_weight = 0.3f;
    o.beta = 0.2f;
    o.warm_epochs = 0;
    o.settle_epochs = 1;
    return o;
}

/* The delta's record; the options in its header are made equal first. */
static uint8_t *record_of(struct gslora_result *r, size_t *ret_size)
{
    gslora_options_default(&r->delta.options);
    *ret_size = delta_encoded_size(&r->delta);
    uint8_t *bytes = vit_fixture_alloc(*ret_size, 1);
    delta_encode(&r->delta, bytes, *ret_size);
    return bytes;
}

struct recorded {
    uint8_t *bytes;
    size_t size;
    uint32_t zero, steps, sleeps;
};

static struct recorded
run_and_record(const struct vit_config *c, const struct gslora_options *o, uint32_t threads)
{
    struct gslora_fixture x;
    struct gslora_result r;
    struct fault f = {0};
    gslora_fixture_init(&x, c, threads);
    gslora_fixture_prototypes(&x);
    if (gslora_run(&x.problem, o, &x.tools, &r, &f) != STATUS_OK)
        print_error("%s: %s\n", f.field, f.text);
    struct recorded k = {.zero = r.groups_zero, .steps = r.steps, .sleeps = r.sleeps};
    k.bytes = record_of(&r, &k.size);
    gslora_fixture_fini(&x);
    return k;
}

static void assert_same_delta(const struct vit_config *c,
                              const struct gslora_options *a,
                              const struct gslora_options *b,
                              uint32_t threads_a,
                              uint32_t threads_b)
{
    const struct recorded x = run_and_record(c, a, threads_a);
    const struct recorded y = run_and_record(c, b, threads_b);
    assert_int_equal(x.steps, y.steps);
    assert_int_equal(x.zero, y.zero);
    assert_int_equal(x.sleeps, y.sleeps);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.bytes, y.bytes, x.size);
    free(x.bytes);
    free(y.bytes);
}

void test_gslora_run_erases_and_keeps_the_rest(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_train(&x, 150);
    gslora_fixture_prototypes(&x);
    struct gslora_options o = short_options();
    o.epochs = 25;
    o.beta = 1;
    o.eta = 0.1f;
    struct gslora_result r;
    struct fault f = {0};
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, &f), STATUS_OK);
    assert_true(r.before.acc_forget > 0.8 && r.before.acc_retain > 0.8);
    assert_true(r.after.acc_forget <= 0.1);
    assert_true(r.after.acc_retain >= r.before.acc_retain - 0.1);
    assert_true(r.after.depth < r.before.depth);
    assert_true(r.after.h > 0.7);
    assert_true(r.outcome == GSLORA_TARGET_MET || r.outcome == GSLORA_BEST_H);
    assert_int_equal(r.delta.n_erased, 1);
    assert_int_equal(r.delta.erased[0], 1);
    assert_int_equal(r.delta.n_trained_with, 4);
    assert_true(r.n_history > 0 && r.history[r.n_history - 1].n_forget == 12);
    gslora_fixture_fini(&x);
}

void test_gslora_run_leaves_every_frozen_tensor(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 2);
    gslora_fixture_prototypes(&x);
    const size_t bytes = vit_weights_floats(&c) * sizeof(float);
    float *copy = vit_fixture_alloc(bytes, 1);
    memcpy(copy, x.weight_block, bytes);
    const struct gslora_options o = short_options();
    struct gslora_result r;
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_OK);
    assert_memory_equal(copy, x.weight_block, bytes);
    free(copy);
    gslora_fixture_fini(&x);
}

void test_gslora_run_has_one_group_a_block(void **state)
{
    (void)state;
    const uint32_t depths[3] = {2, 6, 12};
    for (int i = 0; i < 3; i++) {
        const struct vit_config c = gslora_fixture_config(depths[i]);
        struct gslora_fixture x;
        gslora_fixture_init(&x, &c, 1);
        gslora_fixture_prototypes(&x);
        struct gslora_options o = short_options();
        o.epochs = 1;
        struct gslora_result r;
        assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_OK);
        assert_int_equal(r.groups_total, depths[i]);
        assert_int_equal(r.groups_zero + delta_blocks(&r.delta), depths[i]);
        gslora_fixture_fini(&x);
    }
}

/* eta is chosen so that blocks fall asleep on the way (asserted), and l0 moves. */
void test_gslora_run_cache_does_not_change_a_bit(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(3);
    struct gslora_options o = short_options(), without;
    const float etas[7] = {0.02f, 0.3f, 0.5f, 0.7f, 0.9f, 1.1f, 1.3f};
    uint32_t moved = 0;
    for (int i = 0; i < 7; i++) {
        o.eta = etas[i];
        without = o;
        without.cache = 0;
        assert_same_delta(&c, &o, &without, 1, 1);
        const struct recorded k = run_and_record(&c, &o, 1);
        moved += k.sleeps > 0;
        free(k.bytes);
    }
    assert_true(moved > 0);
    o.start_blocks = without.start_blocks = 1;
    assert_same_delta(&c, &o, &without, 1, 1);
}

void test_gslora_run_cache_limit_does_not_change_a_bit(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(3);
    struct gslora_options o = short_options(), none;
    o.eta = 0.25f;
    none = o;
    none.cache_mib = 0;
    assert_same_delta(&c, &o, &none, 1, 2);
    o.depth = GSLORA_DEPTH_LAYERS;
    none = o;
    none.cache = 0;
    assert_same_delta(&c, &o, &none, 1, 1);
}

void test_gslora_run_threads_do_not_change_a_bit(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    assert_same_delta(&c, &o, &o, 1, 2);
    assert_same_delta(&c, &o, &o, 2, 3);
}

void test_gslora_run_parity_and_logit_prototypes_work(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_options o;
    gslora_options_parity(&o);
    o.epochs = 2;
    o.batch_retain = o.batch_forget = 12;
    o.proto_space = GSLORA_PROTO_LOGITS;
    const struct recorded k = run_and_record(&c, &o, 1);
    assert_int_equal(k.zero, 0);
    assert_int_equal(k.steps, 16);
    free(k.bytes);
}

/* ------------------------------------------------------------------ inside a run */

struct inside {
    struct gslora_fixture x;
    struct gslora_run run;
};

static struct inside *new_inside(const struct vit_config *c, const struct gslora_options *o)
{
    struct inside *k = vit_fixture_alloc(1, sizeof *k);
    gslora_fixture_init(&k->x, c, 1);
    gslora_fixture_prototypes(&k->x);
    k->run = (struct gslora_run){
        .problem = &k->x.problem, .tools = &k->x.tools, .options = *o, .root = {.seed = 5}};
    k->run.validation.history = arena_alloc(&k->x.arena, 256, sizeof(struct gslora_figures));
    const size_t used = k->x.arena.used;
    assert_int_equal(gslora_run_new(&k->run, &k->x.arena, NULL), STATUS_OK);
    struct arena_plan plan = {0};
    gslora_run_plan(&k->x.problem, o, 1, &plan);
    assert_true(k->x.arena.used - used <= arena_plan_bytes(&plan));
    k->run.beta = 0.5;
    return k;
}

static void free_inside(struct inside *k)
{
    gslora_fixture_fini(&k->x);
    free(k);
}

static void steps(struct gslora_run *run, int n, float lr)
{
    struct loss_values v;
    for (int i = 0; i < n; i++) {
        struct gslora_batch *b = &run->batch;
        b->n_retain = 12;
        b->n_forget = 12;
        gslora_cycle_take(&run->retain, &run->root, 12, b->list);
        gslora_cycle_take(&run->forget, &run->root, 12, b->list + 12);
        gslora_step(run, lr, 0, &v);
        run->step++;
    }
}

static void sleep_but(struct gslora_run *run, uint32_t awake)
{
    uint8_t flags[VIT_MAX_DEPTH] = {0};
    flags[awake] = 1;
    float *theta = vit_fixture_alloc(run->set.depth * run->set.group, sizeof(float));
    memcpy(theta, run->set.theta, run->set.depth * run->set.group * sizeof(float));
    active_set_restore(&run->set, theta, flags);
    free(theta);
}

/* Awake 1..3, then only 3, then 2 wakes, then only 2: the cache is carried on and dropped. */
static struct inside *forced_wake(uint32_t cache)
{
    const struct vit_config c = gslora_fixture_config(3);
    struct gslora_options o = short_options();
    o.cache = cache;
    struct inside *k = new_inside(&c, &o);
    steps(&k->run, 4, 1e-2f);
    sleep_but(&k->run, 2);
    steps(&k->run, 12, 1e-2f);
    active_set_wake(&k->run.set, 1);
    prefix_cache_drop_after(&k->run.cache, active_set_first(&k->run.set));
    assert_int_equal(active_set_first(&k->run.set), 2);
    steps(&k->run, 12, 1e-2f);
    gslora_validate(&k->run);
    sleep_but(&k->run, 2);
    steps(&k->run, 4, 1e-2f);
    return k;
}

void test_gslora_run_forced_wake_rebuilds_the_cache(void **state)
{
    (void)state;
    struct inside *with = forced_wake(1), *without = forced_wake(0);
    assert_memory_equal(with->run.set.theta, without->run.set.theta,
                        3 * with->run.set.group * sizeof(float));
    assert_near(with->run.last.acc_retain, without->run.last.acc_retain, 0);
    assert_near(with->run.last.depth, without->run.last.depth, 0);
    assert_int_equal(without->run.cache.n_computed, 0);
    assert_true(with->run.cache.n_computed > 0);
    free_inside(with);
    free_inside(without);
}

void test_gslora_run_visits_fill_the_cache_once(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    struct inside *k = new_inside(&c, &o);
    sleep_but(&k->run, 1);
    steps(&k->run, 8, 1e-3f); /* one pass over the 96 retained images, four over the forget ones */
    assert_int_equal(k->run.cache.n_computed, 96 + 24);
    steps(&k->run, 16, 1e-3f);
    assert_int_equal(k->run.cache.n_computed, 96 + 24);
    gslora_validate(&k->run);
    assert_int_equal(k->run.cache.n_computed, GSLORA_FIXTURE_IMAGES);
    free_inside(k);
}

void test_gslora_run_measuring_does_not_move_the_training(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    struct inside *a = new_inside(&c, &o), *b = new_inside(&c, &o);
    for (int i = 0; i < 5; i++) {
        steps(&a->run, 2, 1e-2f);
        steps(&b->run, 2, 1e-2f);
        gslora_validate(&b->run);
    }
    assert_memory_equal(a->run.set.theta, b->run.set.theta, 2 * a->run.set.group * sizeof(float));
    free_inside(a);
    free_inside(b);
}

void test_gslora_run_starts_as_the_frozen_model(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    struct inside *k = new_inside(&c, &o);
    struct gslora_run *run = &k->run;
    active_set_fold(&run->set, &k->x.w, run->fold_memory, &run->folded);
    for (uint32_t l = 0; l < 2; l++) {
        assert_ptr_not_equal(run->folded.blocks[l].fc1_w, k->x.w.blocks[l].fc1_w);
        assert_memory_equal(run->folded.blocks[l].fc1_w, k->x.w.blocks[l].fc1_w,
                            16 * 24 * sizeof(float));
        assert_memory_equal(run->folded.blocks[l].fc2_w, k->x.w.blocks[l].fc2_w,
                            16 * 24 * sizeof(float));
    }
    gslora_validate(run);
    assert_near(run->last.acc_retain, run->before.acc_retain, 0);
    assert_near(run->last.depth, run->before.depth, 0);
    free_inside(k);
}

/* At (A0, B = 0) only B has a gradient; at A = B = 0 nothing has: zero could never be left. */
void test_gslora_run_gradient_at_the_dormant_point(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    struct inside *k = new_inside(&c, &o);
    struct active_set *s = &k->run.set;
    steps(&k->run, 1, 0.0f);
    for (uint32_t l = 0; l < 2; l++) {
        const struct vit_lora_block *g = &s->grad.blocks[l];
        assert_near(vit_fixture_dot(g->a1, g->a1, 2 * 16), 0, 0);
        assert_near(vit_fixture_dot(g->a2, g->a2, 2 * 24), 0, 0);
        assert_true(vit_fixture_dot(g->b1, g->b1, 24 * 2) > 0);
        assert_true(vit_fixture_dot(g->b2, g->b2, 16 * 2) > 0);
    }
    memset(s->theta, 0, 2 * s->group * sizeof(float));
    steps(&k->run, 1, 0.0f);
    assert_near(vit_fixture_dot(s->gradient, s->gradient, 2 * s->group), 0, 0);
    free_inside(k);
}

void test_gslora_run_wake_check_wakes_under_pressure_only(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(3);
    const struct gslora_options o = short_options();
    struct inside *k = new_inside(&c, &o);
    sleep_but(&k->run, 2);
    k->run.options.alpha = 1e6f;
    assert_int_equal(gslora_wake_check(&k->run), 0);
    assert_int_equal(active_set_first(&k->run.set), 3);
    k->run.options.alpha = 1e-12f;
    assert_int_equal(gslora_wake_check(&k->run), 2);
    assert_int_equal(active_set_first(&k->run.set), 1);
    assert_int_equal(k->run.set.wakes, 2);
    free_inside(k);
}

/* ------------------------------------------------------------------ sets of images */

void test_gslora_run_never_reads_a_missing_class(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    const struct gslora_options o = short_options();
    uint8_t *bytes[2];
    size_t size[2];
    for (int poison = 0; poison < 2; poison++) {
        struct gslora_fixture x;
        gslora_fixture_init(&x, &c, 1);
        gslora_fixture_prototypes(&x);
        /* class 3 has images nowhere and no prototype */
        struct gslora_lists *lists = &x.problem.retain;
        uint32_t n = 0, m = 0;
        for (uint32_t i = 0; i < lists->n_train; i++)
            if (x.labels[x.lists[2][i]] != 3)
                x.lists[2][n++] = x.lists[2][i];
        for (uint32_t i = 0; i < lists->n_valid; i++)
            if (x.labels[x.lists[3][i]] != 3)
                x.lists[3][m++] = x.lists[3][i];
        lists->n_train = n;
        lists->n_valid = m;
        x.counts[3] = 0;
        for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++)
            if (poison && x.labels[i] == 3)
                memset(x.pixels + i * 64, 255, 64);
        for (uint32_t j = 0; j < c.width; j++)
            x.prototypes[3 * c.width + j] = poison ? 1e30f : 0.0f;
        struct gslora_result r;
        assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_OK);
        assert_int_equal(r.delta.n_trained_with, 3);
        bytes[poison] = record_of(&r, &size[poison]);
        gslora_fixture_fini(&x);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    free(bytes[0]);
    free(bytes[1]);
}

void test_gslora_run_few_shot_uses_k_images_and_no_validation(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_prototypes(&x);
    struct gslora_options o = short_options();
    o.few_shot = 2;
    o.batch_retain = o.batch_forget = 3;
    struct gslora_result r;
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_OK);
    assert_int_equal(r.outcome, GSLORA_NOT_VALIDATED);
    assert_int_equal(r.n_history, 0);
    assert_int_equal(r.steps, 3 * 3); /* 8 retained images, 3 a step */
    o.few_shot = 100;
    struct fault f = {0};
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "few_shot");
    gslora_fixture_fini(&x);
}

/* ------------------------------------------------------------------ refusals */

static void assert_refused(struct gslora_fixture *x, enum status expected, const char *field)
{
    const struct gslora_options o = short_options();
    struct gslora_result r;
    struct fault f = {0};
    const size_t used = x->arena.used;
    assert_int_equal(gslora_run(&x->problem, &o, &x->tools, &r, &f), expected);
    assert_string_equal(f.field, field);
    assert_true(strlen(f.text) > 0);
    assert_int_equal(x->arena.used, used);
}

void test_gslora_run_refuses_impossible_problems_by_name(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 1);
    assert_refused(&x, STATUS_FAILED_PRECONDITION, "prototypes");
    gslora_fixture_prototypes(&x);
    const struct gslora_problem good = x.problem;
    x.problem.forget.n_train = 0;
    assert_refused(&x, STATUS_FAILED_PRECONDITION, "forget");
    x.problem = good;
    x.problem.retain.n_train = 0;
    assert_refused(&x, STATUS_FAILED_PRECONDITION, "retain");
    x.problem = good;
    x.problem.retain.train = x.lists[0];
    x.problem.retain.n_train = 2;
    assert_refused(&x, STATUS_INVALID_ARGUMENT, "retain");
    x.problem = good;
    x.problem.forget.n_valid = 0;
    assert_refused(&x, STATUS_FAILED_PRECONDITION, "validation");
    x.problem = good;
    x.problem.retain.valid = x.lists[2];
    assert_refused(&x, STATUS_INVALID_ARGUMENT, "validation");
    x.problem = good;
    x.problem.images.size = 16;
    assert_refused(&x, STATUS_INVALID_ARGUMENT, "images");
    x.problem = good;
    x.lists[0][0] = GSLORA_FIXTURE_IMAGES;
    assert_refused(&x, STATUS_INVALID_ARGUMENT, "forget.train");
    gslora_fixture_lists(&x, 1);
    x.labels[4] = 99;
    assert_refused(&x, STATUS_INVALID_ARGUMENT, "labels");
    gslora_fixture_fini(&x);
}

void test_gslora_run_every_arena_below_the_plan_fails_cleanly(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_prototypes(&x);
    struct gslora_options o = short_options();
    o.epochs = 1;
    o.cache_mib = 1;
    const size_t plan = gslora_plan(&x.problem, &o, 1);
    assert_true(plan != SIZE_MAX);
    uint8_t *memory = vit_fixture_alloc(plan, 1);
    struct arena arena;
    x.tools.arena = &arena;
    struct gslora_result r;
    for (size_t size = 0; size < plan - 65536; size += plan / 23) {
        arena_init(&arena, memory, size);
        assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_NO_MEMORY);
        assert_int_equal(arena.used, 0);
        arena_fini(&arena);
    }
    arena_init(&arena, memory, plan);
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, NULL), STATUS_OK);
    arena_fini(&arena);
    free(memory);
    x.tools.arena = &x.arena;
    x.problem.config.width = 15;
    assert_true(gslora_plan(&x.problem, &o, 1) == SIZE_MAX);
    gslora_fixture_fini(&x);
}

struct watcher {
    uint32_t calls, validated;
    atomic_int cancel;
};

static void watch(void *context, const struct gslora_progress *p)
{
    struct watcher *w = context;
    w->calls++;
    w->validated += p->validated != 0;
    assert_int_equal(p->step, w->calls);
    assert_int_equal(p->n_groups, 2);
    assert_true(isfinite(p->loss));
    if (w->calls == 5)
        atomic_store(&w->cancel, 1);
}

void test_gslora_run_reports_every_step_and_stops_when_cancelled(void **state)
{
    (void)state;
    const struct vit_config c = gslora_fixture_config(2);
    struct gslora_fixture x;
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_prototypes(&x);
    struct gslora_options o = short_options();
    o.validate_steps = 2;
    struct watcher w = {0};
    x.tools.observer = watch;
    x.tools.observer_context = &w;
    x.tools.cancel = &w.cancel;
    struct gslora_result r;
    struct fault f = {0};
    const size_t used = x.arena.used;
    assert_int_equal(gslora_run(&x.problem, &o, &x.tools, &r, &f), STATUS_CANCELLED);
    assert_int_equal(w.calls, 5);
    assert_int_equal(w.validated, 2);
    assert_int_equal(x.arena.used, used);
    gslora_fixture_fini(&x);
}

void test_gslora_run_h_mean_of_the_published_table(void **state)
{
    (void)state;
    /* Table 3, GS-LoRA, 60-20: Acc_r 74.88, Acc_f before 73.91, after 0.06 */
    assert_near(100 * gslora_h_mean(0.7488, 0.7391 - 0.0006), 74.36, 0.005);
    assert_near(gslora_h_mean(0.5, -0.1), 0, 0);
    assert_near(gslora_h_mean(0, 0), 0, 0);
}
