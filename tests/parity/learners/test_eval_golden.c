/*
 * Parity of the whole retention evaluation with make_eval_golden.py: one call of evaluate_run on
 * inputs that both sides make from the same integer recipe, every metric compared.  The script uses
 * numpy and brute force; only the seeded streams are followed step by step.
 */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learners/eval/evaluate.h"
#include "tests/parity/learners/eval_golden.h"

#define K         7u
#define C         5u
#define WIDE      64u
#define SEED      20240607u
#define MAX_ROWS  128u
#define TOLERANCE 1e-8 /* the t quantile is a series, see stats.h */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float unit(uint64_t seed, uint64_t i)
{
    const uint64_t h = mix(((seed << 32) + i) * 0x9e3779b97f4a7c15u + 1);
    return (float)((double)(h >> 52) / 1024.0 - 2.0);
}

/* Classes in turn until each has its count. */
static uint32_t make_labels(const uint32_t counts[K], uint32_t *labels)
{
    uint32_t left[K], n = 0, before;
    memcpy(left, counts, sizeof left);
    do {
        before = n;
        for (uint32_t c = 0; c < K; c++) {
            if (left[c] > 0) {
                left[c]--;
                labels[n++] = c;
            }
        }
    } while (n > before);
    return n;
}

static void
make_logits(uint64_t seed, const uint32_t *labels, uint32_t n, float bonus, float *logits)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < K; j++)
            logits[i * K + j] = unit(seed, i * K + j) + (j == labels[i] ? bonus : 0.0f);
    }
}

struct recipe {
    uint64_t seed;
    uint64_t centres;
    uint32_t width;
    float scale;
};

static void make_features(const struct recipe *r, const uint32_t *labels, uint32_t n, float *x)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < r->width; j++)
            x[i * r->width + j] = unit(r->seed, i * r->width + j) +
                                  r->scale * unit(r->centres, labels[i] * r->width + j);
    }
}

struct sample {
    uint32_t labels[MAX_ROWS];
    float logits[MAX_ROWS * K];
    float before[MAX_ROWS * K];
    float features[MAX_ROWS * C];
    float wide[MAX_ROWS * WIDE];
};

static struct {
    struct sample retain, test, members, forget, unseen, erasure, probe, reference;
    float path[MAX_ROWS * K], base[MAX_ROWS * K], prototypes[K * C];
} data;

static struct eval_set
make_set(struct sample *s, const uint32_t counts[K], uint64_t seed, float bonus, float bonus_before)
{
    const uint32_t n = make_labels(counts, s->labels);
    make_logits(seed, s->labels, n, bonus, s->logits);
    make_logits(seed + 1, s->labels, n, bonus_before, s->before);
    return (struct eval_set){
        .n = n, .labels = s->labels, .logits = s->logits, .logits_before = s->before};
}

static void add_features(struct eval_set *set, struct sample *s, uint64_t seed, uint64_t centres)
{
    const struct recipe narrow = {seed, centres, C, 1.0f};
    const struct recipe wide = {seed + 1, centres + 2, WIDE, 0.25f};
    make_features(&narrow, set->labels, set->n, s->features);
    make_features(&wide, set->labels, set->n, s->wide);
    set->features = s->features;
}

static const struct eval_class CLASSES[K] = {
    {"zero", "base", EVAL_CLASS_LIVE},       {"one", "base", EVAL_CLASS_LIVE},
    {"two", "base", EVAL_CLASS_LIVE},        {"three", "base", EVAL_CLASS_LIVE},
    {"four", "base", EVAL_CLASS_FORGETTING}, {"five", "base", EVAL_CLASS_FORGETTING},
    {"six", "base", EVAL_CLASS_FORGOTTEN},
};

static void make_sets(struct eval_inputs *in)
{
    const uint32_t retain[K] = {32, 32, 32, 12}, test[K] = {10, 10, 10, 10};
    const uint32_t members[K] = {14, 14, 14, 14}, forget[K] = {0, 0, 0, 0, 24, 16};
    const uint32_t unseen[K] = {0, 0, 0, 0, 14, 16}, probe[K] = {0, 0, 0, 0, 20, 14};
    const uint32_t reference[K] = {14, 15, 16};
    in->retain = make_set(&data.retain, retain, 10, 2.0f, 2.25f);
    in->test = make_set(&data.test, test, 20, 1.75f, 2.0f);
    in->members = make_set(&data.members, members, 30, 2.25f, 2.0f);
    in->forget = make_set(&data.forget, forget, 40, -1.0f, 2.5f);
    in->unseen = make_set(&data.unseen, unseen, 50, -0.5f, 2.0f);
    in->probe = make_set(&data.probe, probe, 0, 0.0f, 0.0f);
    in->probe.logits = in->probe.logits_before = NULL;
    in->reference = make_set(&data.reference, reference, 80, 0.0f, 0.0f);
    in->reference.logits_before = NULL;
    in->n_reference_classes = 3;
    add_features(&in->retain, &data.retain, 90, 100);
    add_features(&in->probe, &data.probe, 92, 100);
    add_features(&in->reference, &data.reference, 94, 101);
}

static void make_inputs(struct eval_inputs *in)
{
    static struct eval_erasure erasures[2];
    static struct eval_path path;
    static struct eval_block block;
    memset(in, 0, sizeof *in);
    make_sets(in);
    make_logits(70, in->forget.labels, in->forget.n, 0.25f, data.path);
    make_logits(72, in->forget.labels, in->forget.n, 3.0f, data.base);
    for (uint32_t i = 0; i < K * C; i++)
        data.prototypes[i] = unit(100, i);
    const uint32_t counts[K] = {0, 0, 0, 0, 0, 0, 18};
    struct eval_set erased = make_set(&data.erasure, counts, 60, -1.0f, -1.0f);
    add_features(&erased, &data.erasure, 96, 100);
    erasures[0] = (struct eval_erasure){.request = {{7}},
                                        .n = erased.n,
                                        .labels = erased.labels,
                                        .logits = erased.logits,
                                        .features = erased.features,
                                        .limit = 0.25,
                                        .ncm_then = 0.5};
    erasures[1] = (struct eval_erasure){.request = {{8}}, .limit = 0.25, .ncm_then = (double)NAN};
    path = (struct eval_path){"lane", data.path};
    block = (struct eval_block){"block0.class", WIDE, data.retain.wide, data.probe.wide,
                                data.reference.wide};
    in->kind = EVAL_KIND_FORGET_CLASSES;
    in->n_outputs = K;
    in->width = C;
    in->classes = CLASSES;
    in->n_paths = 1;
    in->paths = &path;
    in->forget_ablated = in->forget.logits_before;
    in->forget_base = data.base;
    in->hinge_bound = 3.0;
    in->prototypes = data.prototypes;
    in->n_erasures = 2;
    in->erasures = erasures;
    in->n_blocks = 1;
    in->blocks = &block;
    in->root.seed = SEED;
    in->run_all = 1;
}

static struct eval_report report;
static void *memory[2];

int group_setup(void **state)
{
    (void)state;
    struct eval_inputs in;
    struct arena out, scratch;
    struct fault fault = {0};
    make_inputs(&in);
    const size_t sizes[2] = {evaluate_report_plan(&in) + ARENA_ALIGN,
                             evaluate_plan(&in) + ARENA_ALIGN};
    for (int i = 0; i < 2; i++)
        memory[i] = malloc(sizes[i]);
    arena_init(&out, memory[0], sizes[0]);
    arena_init(&scratch, memory[1], sizes[1]);
    if (evaluate_run(&in, &out, &scratch, &report, &fault) != STATUS_OK) {
        print_error("%s: %s\n", fault.field, fault.text);
        return -1;
    }
    arena_fini(&out);
    arena_fini(&scratch);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    free(memory[0]);
    free(memory[1]);
    return 0;
}

static void near_or_equal(const char *name, double value, double expected)
{
    if (value == expected) /* both ends of an unknown interval */
        return;
    if (!(fabs(value - expected) <= TOLERANCE))
        fail_msg("%s: %.12g, the reference has %.12g", name, value, expected);
}

static void
same_value(const char *name, const struct eval_value *v, const struct eval_value *expected)
{
    near_or_equal(name, v->value, expected->value);
    near_or_equal(name, v->lo, expected->lo);
    near_or_equal(name, v->hi, expected->hi);
    if (v->n != expected->n)
        fail_msg("%s: n %u, the reference has %u", name, v->n, expected->n);
}

static const struct golden *golden_find(const char *name)
{
    for (size_t i = 0; i < sizeof GOLDEN / sizeof *GOLDEN; i++) {
        if (strcmp(GOLDEN[i].name, name) == 0)
            return &GOLDEN[i];
    }
    return NULL;
}

/*
 * These need 1000 unseen images, a learn request, or images with several labels; the reference
 * leaves them out.
 */
static int left_out(const char *name)
{
    return strcmp(name, "tpr_at_fpr_01") == 0 || strcmp(name, "tpr_at_fpr_001") == 0 ||
           strncmp(name, "acc_new_task", strlen("acc_new_task")) == 0 ||
           strncmp(name, "map", strlen("map")) == 0;
}

/* Where only one decision was given, the other one is the same. */
static const char *reference_of(const char *name)
{
    return strcmp(name, "acc_retain_raw") == 0 ? "acc_retain" : name;
}

void test_eval_golden_every_metric_agrees(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < eval_report_metric_count(); i++) {
        const char *name = eval_report_metric_name(i);
        const struct golden *g = golden_find(reference_of(name));
        const struct eval_value *v = eval_report_metric(&report, i);
        if (left_out(name)) {
            assert_null(g);
            assert_int_equal(v->n, 0);
            continue;
        }
        if (!g)
            fail_msg("no reference value for %s", name);
        else
            same_value(name, v, &g->v);
    }
}

void test_eval_golden_block_probes_agree_in_the_dual_form(void **state)
{
    (void)state;
    assert_int_equal(report.n_blocks, 1);
    const struct eval_block_row *b = &report.blocks[0];
    same_value("ncm", &b->ncm, &GOLDEN_BLOCK[0].v);
    same_value("ridge", &b->ridge, &GOLDEN_BLOCK[1].v);
    same_value("reference_ncm", &b->reference_ncm, &GOLDEN_BLOCK[2].v);
    same_value("reference_ridge", &b->reference_ridge, &GOLDEN_BLOCK[3].v);
    assert_string_equal(b->name, "block0.class");
}

void test_eval_golden_scalars_and_lists_agree(void **state)
{
    (void)state;
    near_or_equal("ks_p", report.ks_p, GOLDEN_KS_P);
    near_or_equal("ncm_min", report.ncm_min, GOLDEN_NCM_MIN);
    near_or_equal("ncm_max", report.ncm_max, GOLDEN_NCM_MAX);
    near_or_equal("lambda", report.ridge_lambda, GOLDEN_LAMBDA);
    assert_int_equal(report.worst_class, GOLDEN_WORST_CLASS);
    assert_int_equal(report.worst_loss_class, GOLDEN_WORST_LOSS_CLASS);
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++)
        assert_int_equal(report.neighbour[i], GOLDEN_NEIGHBOUR[i]);
    assert_int_equal(report.n_class_too_small, 1);
    assert_int_equal(report.n_live, 4);
    assert_int_equal(report.n_path, 2);
    assert_int_equal(report.n_reference, 3);
    assert_int_equal(report.n_eval, 108 + 40 + 56 + 40 + 30 + 45 + 18);
    assert_int_equal(report.n_sets, 7);
}

void test_eval_golden_relapse_agrees(void **state)
{
    (void)state;
    assert_int_equal(report.n_relapse, 2);
    same_value("relapse ncm", &report.relapse[0].ncm, &GOLDEN_RELAPSE_NCM.v);
    same_value("relapse acc", &report.relapse[0].acc, &report.acc_old_forgotten);
    assert_true(report.relapse[0].recheckable);
    assert_false(report.relapse[1].recheckable);
    assert_int_equal(report.relapse[1].acc.n, 0);
}
