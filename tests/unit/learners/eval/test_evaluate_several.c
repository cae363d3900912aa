/*
 * Images with several labels: average precision beside accuracy, the learned task's mAP as the
 * gate's figure, both decisions, bad inputs.
 *
 * Two base classes (0, 1), two of "lane:pairs" (2, 3).  Six images of the lane, shown to the
 * evaluation once for each label that they have.
 */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/evaluate.h"

#define K      4u
#define PAIRS  6u
#define PLAIN  40u
#define LABELS 8u /* of the pairs, all together */

static const uint8_t HOT[PAIRS][2] = {{1, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 1}, {1, 1}};
/* Class 2 in rising order: images 3 4 0 5 2 1: both others are below.  Class 3: 0 3 1 2 5 4. */
static const float SERVED[PAIRS][2] = {{0.3f, 0.1f},  {0.9f, 0.25f}, {0.8f, 0.3f},
                                       {0.1f, 0.15f}, {0.2f, 0.9f},  {0.7f, 0.4f}};
/* Under raw class 2 is upside down. */
static const float RAW[PAIRS][2] = {{0.7f, 0.1f}, {0.1f, 0.25f}, {0.2f, 0.3f},
                                    {0.9f, 0.2f}, {0.8f, 0.9f},  {0.3f, 0.4f}};
/* Class 2: 3 answers, all right, of 4.  Class 3: 2 answers, 1 right, of 4. */
static const uint8_t ANSWERED[PAIRS][2] = {{1, 0}, {1, 1}, {1, 0}, {0, 1}, {0, 0}, {0, 0}};
static const uint32_t CLASSES_OF_LANE[2] = {2, 3};

static const struct eval_class CLASSES[K] = {{"a", "base", EVAL_CLASS_LIVE},
                                             {"b", "base", EVAL_CLASS_LIVE},
                                             {"cat", "lane:pairs", EVAL_CLASS_LIVE},
                                             {"dog", "lane:pairs", EVAL_CLASS_LIVE}};

static struct world {
    uint32_t labels[PLAIN];
    float logits[PLAIN * K];
    uint32_t pair_labels[LABELS];
    float pair_logits[LABELS * K];
    float pair_raw[LABELS * K];
    struct eval_several several;
    struct eval_inputs in;
} world;

static _Alignas(64) unsigned char memory[2][1 << 20];

/* An image's rows: for each label that it has, the scores of its other one gone. */
static void fill_pairs(const float (*scores)[2], float *logits)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        for (uint32_t c = 0; c < 2; c++) {
            if (!HOT[i][c])
                continue;
            float *to = logits + (size_t)row * K;
            to[0] = 0.35f;
            to[1] = -1.0f;
            for (uint32_t k = 0; k < 2; k++)
                to[2 + k] = k != c && HOT[i][k] ? -INFINITY : scores[i][k];
            world.pair_labels[row++] = 2 + c;
        }
    }
    assert_int_equal(row, LABELS);
}

static void world_make(enum eval_kind kind)
{
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    for (uint32_t i = 0; i < PLAIN; i++) {
        w->labels[i] = i % 2;
        w->logits[i * K + i % 2] = 1.0f;
    }
    fill_pairs(RAW, w->pair_raw);
    fill_pairs(SERVED, w->pair_logits);
    w->several = (struct eval_several){.owner = "lane:pairs",
                                       .n = PAIRS,
                                       .n_classes = 2,
                                       .classes = CLASSES_OF_LANE,
                                       .hot = HOT[0],
                                       .scores = SERVED[0],
                                       .scores_raw = RAW[0],
                                       .learned = kind == EVAL_KIND_LEARN};
    w->in = (struct eval_inputs){.kind = kind,
                                 .n_outputs = K,
                                 .classes = CLASSES,
                                 .retain = {.n = PLAIN, .labels = w->labels, .logits = w->logits},
                                 .learned = {.n = LABELS,
                                             .labels = w->pair_labels,
                                             .logits = w->pair_logits,
                                             .logits_raw = w->pair_raw},
                                 .bootstrap_draws = 50,
                                 .n_several = 1,
                                 .several = &w->several};
}

static enum status run(struct eval_report *r, struct fault *f)
{
    struct arena out, scratch;
    const size_t lists = evaluate_report_plan(&world.in), work = evaluate_plan(&world.in);
    assert_true(lists <= sizeof memory[0] && work <= sizeof memory[1]);
    arena_init(&out, memory[0], lists);
    arena_init(&scratch, memory[1], work);
    return evaluate_run(&world.in, &out, &scratch, r, f);
}

void test_evaluate_several_learned_task(void **state)
{
    (void)state;
    struct eval_report r;
    world_make(EVAL_KIND_LEARN);
    assert_int_equal(run(&r, NULL), STATUS_OK);
    /* class 2: all four on top.  class 3, going down: 4+ 5+ 2+ 1- 3+: 3/4 + 1/4 * 4/5 */
    assert_near(r.classes[2].ap, 1.0, 1e-12);
    assert_near(r.classes[3].ap, 0.95, 1e-12);
    assert_near(r.map.value, 0.975, 1e-12);
    assert_near(r.acc_new_task.value, r.map.value, 0.0);
    assert_int_equal(r.acc_new_task.n, PAIRS);
    assert_true(r.classes[2].several && r.classes[3].several && !r.classes[0].several);
    assert_true(isnan(r.classes[2].ap_before) && isnan(r.classes[0].ap));
    assert_int_equal(r.map_before.n, 0);
    assert_int_equal(r.n_several, 1);
    assert_string_equal(r.several[0].owner, "lane:pairs");
    assert_int_equal(r.several[0].n_classes, 2);
    /* raw, class 2 going down: 3- 4- 0+ 5+ 2+ 1+: (1/3 + 2/4 + 3/5 + 4/6) / 4; class 3 4+ 5+ 2+ 1-
     * 3+
     */
    assert_near(r.classes[2].ap_raw, (1.0 / 3 + 0.5 + 0.6 + 4.0 / 6) / 4, 1e-12);
    assert_near(r.map_raw.value, (r.classes[2].ap_raw + 0.95) / 2, 1e-12);
    assert_near(r.acc_new_task_raw.value, r.map_raw.value, 0.0);
    assert_int_equal(r.several[0].of1.n, 0);
    assert_int_equal(r.several[0].cf1_mean_f1.n, 0);
}

/* Precision 4/5 and recall 4/8 over all; 1 and 3/4, 1/2 and 1/4 of the classes. */
void test_evaluate_several_f1_of_the_served_labels(void **state)
{
    (void)state;
    struct eval_report r;
    world_make(EVAL_KIND_LEARN);
    world.several.answered = ANSWERED[0];
    assert_int_equal(run(&r, NULL), STATUS_OK);
    assert_near(r.several[0].of1.value, 8.0 / 13, 1e-12);
    assert_near(r.several[0].cf1_mean_f1.value, (6.0 / 7 + 1.0 / 3) / 2, 1e-12);
    assert_near(r.several[0].cf1_literature.value, 0.6, 1e-12);
    assert_int_equal(r.several[0].of1.n, PAIRS);
    /* decisions do not touch the ranking */
    assert_near(r.map.value, 0.975, 1e-12);
}

/* The floor of a learn request is one of mAP. */
void test_evaluate_several_gate_judges_map(void **state)
{
    (void)state;
    struct eval_report r;
    struct gate_limits limits = gate_check_defaults();
    static const double FLOORS[] = {0.9, 0.98};
    for (int i = 0; i < 2; i++) {
        world_make(EVAL_KIND_LEARN);
        limits.at[GATE_CHECK_NEW_TASK].limit = FLOORS[i];
        world.in.limits = &limits;
        assert_int_equal(run(&r, NULL), STATUS_OK);
        const struct gate_check *c = r.checks;
        while (c->id != GATE_CHECK_NEW_TASK)
            c++;
        assert_near(c->measured.value, 0.975, 1e-12);
        assert_int_equal(gate_check_met(c), i == 0);
    }
}

/* The class of a row is right where nothing that the image lacks ranks higher. */
void test_evaluate_several_accuracy_of_a_class(void **state)
{
    (void)state;
    struct eval_report r;
    world_make(EVAL_KIND_LEARN);
    assert_int_equal(run(&r, NULL), STATUS_OK);
    assert_int_equal(r.classes[2].n, 4);
    assert_near(r.classes[2].acc.value, 0.75, 1e-12); /* image 0: a base class is above it */
    assert_int_equal(r.classes[3].n, 4);
    assert_near(r.classes[3].acc.value, 0.5, 1e-12); /* images 4 and 5 */
    assert_near(r.classes[2].acc_raw.value, 0.25, 1e-12);
    assert_near(r.classes[0].acc_raw.value, 1.0, 1e-12); /* no other decision was given */
    assert_near(r.acc_retain_raw.value, 1.0, 1e-12);
}

void test_evaluate_several_before_and_now(void **state)
{
    (void)state;
    struct eval_report r;
    world_make(EVAL_KIND_RECHECK);
    world.in.learned.n = 0;
    world.several.scores_before = RAW[0];
    world.several.scores_raw = NULL;
    assert_int_equal(run(&r, NULL), STATUS_OK);
    assert_near(r.map.value, 0.975, 1e-12);
    assert_near(r.map_raw.value, 0.975, 1e-12);
    assert_near(r.classes[3].ap_before, 0.95, 1e-12);
    assert_true(r.map_before.value < r.map.value);
    assert_int_equal(r.acc_new_task.n, 0);
}

static void refused(const char *field)
{
    struct eval_report r;
    struct fault f = {0};
    assert_int_equal(run(&r, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, field);
}

void test_evaluate_several_refuses_bad_input(void **state)
{
    (void)state;
    float bad[PAIRS][2];
    world_make(EVAL_KIND_LEARN);
    memcpy(bad, SERVED, sizeof bad);
    bad[5][1] = NAN;
    world.several.scores = bad[0];
    refused("several");
    world_make(EVAL_KIND_LEARN);
    static const uint32_t beyond[2] = {2, K};
    world.several.classes = beyond;
    refused("several");
    world_make(EVAL_KIND_LEARN);
    world.several.hot = NULL;
    refused("several");
    world_make(EVAL_KIND_LEARN);
    struct eval_class dead[K];
    memcpy(dead, CLASSES, sizeof dead);
    dead[3].status = EVAL_CLASS_FORGOTTEN;
    world.in.classes = dead;
    refused("several");
    world_make(EVAL_KIND_LEARN);
    world.pair_raw[3] = NAN;
    refused("learned");
}
