/*
 * The whole evaluation on synthetic models: one that only hides its head, one pushed far below
 * chance, one that truly never knew, one in which an old erasure came back; and bad inputs.
 *
 * The synthetic world: 6 live classes, one class being erased (6), one erased earlier (7).  A
 * feature is its class' corner plus noise; an honest model's logits are the feature's closeness to
 * each corner.
 */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learners/eval/evaluate.h"

#define K          8u
#define C          16u
#define LIVE       6u
#define ERASED     6u
#define OLD        7u
#define PER_CLASS  60u
#define REFERENCES 3u
#define N_LIVE     (LIVE * PER_CLASS)
#define N_REF      (REFERENCES * PER_CLASS)

static const struct eval_class CLASSES[K] = {
    {"a", "base", EVAL_CLASS_LIVE},          {"b", "base", EVAL_CLASS_LIVE},
    {"c", "base", EVAL_CLASS_LIVE},          {"d", "base", EVAL_CLASS_LIVE},
    {"e", "base", EVAL_CLASS_LIVE},          {"f", "base", EVAL_CLASS_LIVE},
    {"gone", "base", EVAL_CLASS_FORGETTING}, {"old", "base", EVAL_CLASS_FORGOTTEN},
};

/* Rows of one set under the parent (before) and the candidate. */
struct rows {
    uint32_t n;
    uint32_t labels[N_LIVE];
    float features[N_LIVE * C];
    float logits[N_LIVE * K];
    float before[N_LIVE * K];
};

static struct world {
    struct rows retain, test, forget, unseen, old, reference;
    struct eval_erasure erasure;
    struct eval_inputs in;
} world;

static unsigned char *memory;
static struct arena out, scratch;
#define ARENA_BYTES ((size_t)16 << 20)

int group_setup(void **state)
{
    (void)state;
    memory = malloc(2 * ARENA_BYTES);
    return memory ? 0 : -1;
}

int group_teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* Rows of classes first .. first + classes - 1 whose corners start at axis `axis`. */
static void
rows_make(struct rows *r, uint32_t first, uint32_t classes, uint32_t axis, uint64_t seed)
{
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "world", 0);
    r->n = classes * PER_CLASS;
    for (uint32_t i = 0; i < r->n; i++) {
        r->labels[i] = first + i % classes;
        for (uint32_t j = 0; j < C; j++)
            r->features[i * C + j] =
                0.35f * rng_normal(&rng) + (j == axis + i % classes ? 2.0f : 0.0f);
        for (uint32_t j = 0; j < K; j++)
            r->logits[i * K + j] = r->before[i * K + j] = 3.0f * r->features[i * C + j];
    }
}

static struct eval_set set_of(const struct rows *r)
{
    return (struct eval_set){.n = r->n,
                             .labels = r->labels,
                             .logits = r->logits,
                             .logits_before = r->before,
                             .features = r->features};
}

/* What every honest forgetting does to the answers: the label is never given, at chance level. */
static void hide_label(struct rows *r, uint32_t label, float logit)
{
    for (uint32_t i = 0; i < r->n; i++)
        r->logits[i * K + label] = logit;
}

/* The candidate's features of a class become those of live classes, in turn. */
static void dissolve(struct rows *r, uint32_t axis)
{
    for (uint32_t i = 0; i < r->n; i++) {
        r->features[i * C + axis] -= 2.0f;
        r->features[i * C + i % LIVE] += 2.0f;
        for (uint32_t j = 0; j < LIVE; j++)
            r->logits[i * K + j] = 3.0f * r->features[i * C + j];
    }
}

/* A perfect forgetting: label 6 hidden, its features dissolved. */
static void world_make(void)
{
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    rows_make(&w->retain, 0, LIVE, 0, 1);
    rows_make(&w->test, 0, LIVE, 0, 2);
    rows_make(&w->forget, ERASED, 1, ERASED, 3);
    rows_make(&w->unseen, ERASED, 1, ERASED, 4);
    rows_make(&w->old, OLD, 1, OLD, 5);
    rows_make(&w->reference, 0, REFERENCES, 10, 6);
    struct rows *all[] = {&w->retain, &w->test, &w->forget, &w->unseen, &w->old, &w->reference};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        hide_label(all[i], ERASED, -2.0f);
        hide_label(all[i], OLD, -2.0f);
        for (uint32_t r = 0; r < all[i]->n; r++)
            all[i]->before[r * K + OLD] = -2.0f;
    }
    dissolve(&w->forget, ERASED);
    dissolve(&w->unseen, ERASED);
    dissolve(&w->old, OLD);
}

static void inputs_make(void)
{
    struct world *w = &world;
    struct eval_inputs *in = &w->in;
    w->erasure = (struct eval_erasure){.request = {{1}},
                                       .n = w->old.n,
                                       .labels = w->old.labels,
                                       .logits = w->old.logits,
                                       .features = w->old.features,
                                       .limit = 0.1,
                                       .ncm_then = 0.1};
    *in = (struct eval_inputs){.kind = EVAL_KIND_FORGET_CLASSES,
                               .n_outputs = K,
                               .width = C,
                               .classes = CLASSES,
                               .forget = set_of(&w->forget),
                               .retain = set_of(&w->retain),
                               .test = set_of(&w->test),
                               .unseen = set_of(&w->unseen),
                               .probe = set_of(&w->unseen),
                               .reference = set_of(&w->reference),
                               .n_reference_classes = REFERENCES,
                               .unseen_matched = 1,
                               .reference_unseen = 1,
                               .forget_ablated = w->forget.before,
                               .n_erasures = 1,
                               .erasures = &w->erasure,
                               .root = {.seed = 11},
                               .zero_group_ratio = 0.5,
                               .outcome = EVAL_OUTCOME_TARGET_MET};
}

static enum status run(struct eval_report *r, struct fault *f)
{
    arena_init(&out, memory, ARENA_BYTES);
    arena_init(&scratch, memory + ARENA_BYTES, ARENA_BYTES);
    return evaluate_run(&world.in, &out, &scratch, r, f);
}

static void run_ok(struct eval_report *r)
{
    struct fault f = {0};
    if (run(r, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_int_equal(scratch.used, 0);
}

static enum gate_verdict verdict_of(const struct eval_report *r, enum gate_check_id id)
{
    for (uint32_t i = 0; i < r->n_checks; i++) {
        if (r->checks[i].id == id)
            return r->checks[i].verdict;
    }
    fail_msg("check %s is not listed", gate_check_name(id));
    return GATE_ERROR;
}

/* ------------------------------------------------------------------ models */

void test_evaluate_a_true_forgetting_is_committed(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    inputs_make();
    run_ok(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
    assert_near(r.acc_forget.value, 0.0, 0.0);
    assert_true(r.acc_forget_before.value > 0.95);
    assert_true(r.ablation.value > 0.95);
    assert_near(r.retain_loss.value, 0.0, 0.02);
    assert_true(r.h_mean.value > 0.9);
    assert_int_equal(verdict_of(&r, GATE_CHECK_ACC_FORGET), GATE_PASS);
    assert_int_equal(verdict_of(&r, GATE_CHECK_PROTOTYPE), GATE_PASS);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RIDGE), GATE_PASS);
    assert_true(r.probe_ncm.value < 0.2);
    assert_true(r.reference_ncm.value > 0.9);
    assert_near(r.zero_group_ratio, 0.5, 0.0);
    assert_int_equal(r.outcome, EVAL_OUTCOME_TARGET_MET);
}

/* The answers are right, the features still know: head masking must not look like forgetting. */
void test_evaluate_a_hidden_head_fails_both_probes(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    rows_make(&world.unseen, ERASED, 1, ERASED, 4);
    hide_label(&world.unseen, ERASED, -2.0f);
    /* A never-seen class sits inside the live ones here, as for a model without spare features. */
    for (uint32_t i = 0; i < world.reference.n; i++) {
        world.reference.features[i * C + 10 + i % REFERENCES] -= 2.0f;
        world.reference.features[i * C + i % LIVE] += 2.0f;
    }
    inputs_make();
    world.in.forget = set_of(&world.unseen); /* the same pictures, for an even MIA */
    world.in.unseen_matched = 0;
    run_ok(&r);
    assert_near(r.acc_forget.value, 0.0, 0.0);
    assert_int_equal(verdict_of(&r, GATE_CHECK_ACC_FORGET), GATE_PASS);
    assert_true(r.probe_ncm.value > 0.9);
    assert_true(r.probe_ridge.value > 0.9);
    assert_int_equal(verdict_of(&r, GATE_CHECK_PROTOTYPE), GATE_FAIL);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RIDGE), GATE_FAIL);
    assert_false(r.gate.all_pass); /* report-only, but level L3 is out of reach */
    /* Policy may make the probe a requirement. */
    struct gate_limits limits = gate_check_defaults();
    limits.at[GATE_CHECK_PROTOTYPE].rule = GATE_RULE_NO_FAIL;
    world.in.limits = &limits;
    run_ok(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
}

/* Items that were used lie far below chance, unseen ones of the class at chance: AUC near 0. */
void test_evaluate_a_push_far_below_chance_fails_the_mia_check(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    hide_label(&world.forget, ERASED, -40.0f);
    inputs_make();
    world.in.hinge_bound = 45.0;
    run_ok(&r);
    assert_near(r.acc_forget.value, 0.0, 0.0);
    assert_true(r.mia_auc.value < 0.05);
    assert_int_equal(verdict_of(&r, GATE_CHECK_MIA_FORGET), GATE_FAIL);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
    assert_true(r.mean_true_rank.value > 0.75 * K);
    assert_true(r.pile_up.value > 0.5);
    assert_true(r.streisand_unseen_auc.value > 0.95);
}

void test_evaluate_remembered_members_fail_the_same_check(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    for (uint32_t i = 0; i < world.forget.n; i++)
        world.forget.logits[i * K + ERASED] =
            1.5f; /* better known than the unseen, yet not named */
    inputs_make();
    run_ok(&r);
    assert_true(r.mia_auc.value > 0.9);
    assert_int_equal(verdict_of(&r, GATE_CHECK_MIA_FORGET), GATE_FAIL);
}

void test_evaluate_a_relapse_planted_by_learning_rejects_it(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    rows_make(&world.old, OLD, 1, OLD, 5); /* the old class is answered again */
    inputs_make();
    world.in.kind = EVAL_KIND_LEARN;
    world.in.learned = set_of(&world.test);
    world.in.forget.n = world.in.unseen.n = world.in.probe.n = 0;
    run_ok(&r);
    assert_true(r.acc_old_forgotten.value > 0.9);
    assert_int_equal(verdict_of(&r, GATE_CHECK_NEW_TASK), GATE_PASS);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RELAPSE), GATE_FAIL);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED);
    assert_int_equal(r.acc_forget.n, 0);
    assert_int_equal(r.n_path, 0);
}

void test_evaluate_a_second_path_that_knows_counts(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    inputs_make();
    const struct eval_path path = {"lane 3", world.forget.before};
    world.in.n_paths = 1;
    world.in.paths = &path;
    run_ok(&r);
    assert_true(r.acc_forget.value > 0.95);
    assert_int_equal(verdict_of(&r, GATE_CHECK_ACC_FORGET), GATE_FAIL);
    assert_int_equal(r.n_path, 2);
}

/* ------------------------------------------------------------------ order and determinism */

void test_evaluate_dear_probes_wait_for_the_cheap_checks(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    memcpy(world.forget.logits, world.forget.before, sizeof world.forget.logits);
    inputs_make();
    run_ok(&r);
    assert_int_equal(verdict_of(&r, GATE_CHECK_ACC_FORGET), GATE_FAIL);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RIDGE), GATE_NOT_RUN);
    assert_int_equal(r.probe_ridge.n, 0);
    assert_int_equal(r.ncm_draws, 0);
    assert_true(r.mia_auc.n > 0); /* cheap ones are reported all the same */
    world.in.run_all = 1;
    run_ok(&r);
    assert_true(r.probe_ridge.n > 0);
    assert_int_equal(r.ncm_draws, 20);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RIDGE), GATE_NOT_RUN);
}

void test_evaluate_same_inputs_same_bytes(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    inputs_make();
    run_ok(&r);
    const size_t n = eval_report_encoded_size(&r);
    uint8_t *first = malloc(n), *second = malloc(n);
    assert_int_equal(eval_report_encode(&r, first, n, NULL), STATUS_OK);
    run_ok(&r);
    assert_int_equal(eval_report_encoded_size(&r), n);
    assert_int_equal(eval_report_encode(&r, second, n, NULL), STATUS_OK);
    assert_memory_equal(first, second, n);
    world.in.root.seed++;
    run_ok(&r);
    assert_int_equal(eval_report_encode(&r, second, n, NULL), STATUS_OK);
    assert_true(memcmp(first, second, n) != 0);
    free(first);
    free(second);
}

void test_evaluate_lists_classes_with_their_own_probes(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    inputs_make();
    run_ok(&r);
    assert_int_equal(r.n_classes, K);
    assert_string_equal(r.classes[ERASED].label, "gone");
    assert_int_equal(r.classes[ERASED].status, EVAL_CLASS_FORGETTING);
    assert_near(r.classes[ERASED].acc.value, r.acc_forget.value, 0.0);
    assert_near(r.classes[OLD].acc.value, r.acc_old_forgotten.value, 0.0);
    assert_int_equal(r.classes[OLD].n, PER_CLASS);
    assert_int_equal(r.classes[OLD].n_before, 0);
    assert_int_equal(r.classes[0].n, PER_CLASS);
    assert_int_equal(r.classes[0].loss.n, PER_CLASS);
    assert_int_equal(r.n_eval, 2 * N_LIVE + 3 * PER_CLASS + N_REF);
    assert_int_equal(r.worst_class < LIVE, 1);
}

void test_evaluate_long_labels_are_cut_between_characters(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class classes[K];
    char label[EVAL_LABEL_SIZE + 8];
    world_make();
    inputs_make();
    memcpy(classes, CLASSES, sizeof classes);
    memset(label, 'x', sizeof label);
    memcpy(label + EVAL_LABEL_SIZE - 2, "\xc3\xa9", 2); /* straddles the end */
    label[sizeof label - 1] = '\0';
    classes[0].label = label;
    classes[1].label = NULL;
    world.in.classes = classes;
    run_ok(&r);
    assert_int_equal(strlen(r.classes[0].label), EVAL_LABEL_SIZE - 2);
    assert_string_equal(r.classes[1].label, "");
}

void test_evaluate_only_what_is_given_is_measured(void **state)
{
    (void)state;
    struct eval_report r;
    world_make();
    inputs_make();
    world.in.kind = EVAL_KIND_RECHECK;
    const struct eval_set retain = world.in.retain;
    world.in.forget = world.in.unseen = world.in.test = world.in.probe = world.in.reference =
        (struct eval_set){0};
    world.in.retain.logits_before = NULL;
    world.in.retain.features = NULL;
    world.in.n_erasures = 0;
    world.in.forget_ablated = NULL;
    run_ok(&r);
    assert_true(r.acc_retain.value > 0.95);
    for (uint32_t i = 0; i < eval_report_metric_count(); i++) {
        const char *name = eval_report_metric_name(i);
        const int about_retain = strncmp(name, "acc_retain", 10) == 0 || strcmp(name, "ece") == 0;
        const int before = strstr(name, "before") != NULL;
        assert_int_equal(eval_report_metric(&r, i)->n > 0, about_retain && !before);
    }
    assert_int_equal(r.n_checks, 0); /* a re-check without a parent has nothing to judge */
    world.in.kind = EVAL_KIND_FORGET_CLASSES;
    run_ok(&r);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_REJECTED); /* point: nothing was measured */
    world.in.kind = EVAL_KIND_RECHECK;
    world.in.retain = retain;
    run_ok(&r);
    assert_int_equal(verdict_of(&r, GATE_CHECK_RETAIN_MACRO), GATE_PASS);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED);
}

/* ------------------------------------------------------------------ bad inputs */

static void refused(const char *field)
{
    struct eval_report r;
    struct fault f = {0};
    assert_int_equal(run(&r, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, field);
    assert_true(strlen(f.text) > 0);
    assert_int_equal(out.used, 0);
    assert_int_equal(scratch.used, 0);
}

void test_evaluate_refuses_bad_logits_and_features(void **state)
{
    (void)state;
    world_make();
    inputs_make();
    world.retain.logits[5] = NAN;
    refused("retain");
    world.retain.logits[5] = INFINITY;
    refused("retain");
    world.retain.logits[5] = 0;
    world.unseen.features[3] = -INFINITY;
    refused("unseen");
    world_make();
    inputs_make();
    for (uint32_t j = 0; j < K; j++)
        world.test.before[j] = -INFINITY;
    refused("test");
    world_make();
    inputs_make();
    for (uint32_t j = 0; j < LIVE; j++)
        world.retain.logits[j] = -INFINITY; /* only erased labels are left to answer */
    refused("retain");
    world_make();
    inputs_make();
    world.old.logits[0] = NAN;
    refused("erasures");
}

void test_evaluate_refuses_bad_labels(void **state)
{
    (void)state;
    world_make();
    inputs_make();
    world.forget.labels[1] = K;
    refused("forget");
    world_make();
    inputs_make();
    world.retain.labels[0] = ERASED; /* not a live class */
    refused("retain");
    world_make();
    inputs_make();
    world.reference.labels[0] = REFERENCES;
    refused("reference");
    world_make();
    inputs_make();
    world.in.test.labels = NULL;
    refused("test");
}

void test_evaluate_refuses_missing_arrays_and_classes(void **state)
{
    (void)state;
    world_make();
    inputs_make();
    world.in.unseen.logits = NULL;
    refused("unseen");
    inputs_make();
    const struct eval_path path = {"lane", NULL};
    world.in.n_paths = 1;
    world.in.paths = &path;
    refused("paths");
    inputs_make();
    world.in.hinge_bound = (double)NAN;
    refused("hinge_bound");
    inputs_make();
    world.in.width = 0;
    refused("forget");
    inputs_make();
    world.in.n_outputs = 1;
    refused("n_outputs");
    inputs_make();
    struct eval_class dead[K];
    memcpy(dead, CLASSES, sizeof dead);
    for (uint32_t c = 0; c < K; c++)
        dead[c].status = EVAL_CLASS_FORGOTTEN;
    world.in.classes = dead;
    refused("classes");
}

void test_evaluate_plans_suffice_and_less_is_refused(void **state)
{
    (void)state;
    struct eval_report r;
    struct fault f = {0};
    world_make();
    inputs_make();
    world.in.prototypes = NULL;
    const size_t lists = evaluate_report_plan(&world.in), work = evaluate_plan(&world.in);
    assert_true(lists < ARENA_BYTES && work < ARENA_BYTES);
    arena_init(&out, memory, lists);
    arena_init(&scratch, memory + ARENA_BYTES, work);
    assert_int_equal(evaluate_run(&world.in, &out, &scratch, &r, &f), STATUS_OK);
    memset(&r, 0x5a, sizeof r);
    static unsigned char untouched[sizeof r];
    memcpy(untouched, &r, sizeof r);
    for (size_t part = 0; part < 16; part++) {
        arena_init(&out, memory, lists);
        arena_init(&scratch, memory + ARENA_BYTES, work * part / 64);
        assert_int_equal(evaluate_run(&world.in, &out, &scratch, &r, &f), STATUS_NO_MEMORY);
        assert_int_equal(out.used + scratch.used, 0);
    }
    arena_init(&out, memory, lists / 2);
    arena_init(&scratch, memory + ARENA_BYTES, work);
    assert_int_equal(evaluate_run(&world.in, &out, &scratch, &r, &f), STATUS_NO_MEMORY);
    assert_memory_equal(&r, untouched, sizeof r);
}
