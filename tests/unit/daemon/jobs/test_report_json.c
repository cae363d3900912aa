/* The `evaluation` object: the keys that programs rely on, nulls, reasons, odd labels. */
#include "tests/support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/report_json.h"

static _Alignas(64) unsigned char memory[1 << 16];

static struct eval_value value(double v)
{
    return (struct eval_value){v, v - 0.05, v + 0.05, 100};
}

/* A rejected erasure of one class of three. */
static void sample(struct eval_report *r, struct eval_class_row classes[3])
{
    static struct eval_relapse_row relapse[2];
    static struct eval_block_row block;
    eval_report_init(r);
    memset(classes, 0, 3 * sizeof *classes);
    strcpy(classes[0].label, "Sandal");
    strcpy(classes[0].owner, "base");
    classes[0].acc = value(0.9);
    classes[0].n = 100;
    strcpy(classes[1].label, "Bag \xff");
    classes[1].status = EVAL_CLASS_FORGETTING;
    classes[1].acc = classes[1].acc_before = eval_report_absent();
    strcpy(classes[2].label, "Kn\xc3\xb6pfe");
    relapse[0] = (struct eval_relapse_row){.request = {{1}},
                                           .recheckable = 1,
                                           .acc = value(0.05),
                                           .limit = 0.1,
                                           .ncm = value(0.2),
                                           .ncm_then = 0.25};
    relapse[1] = (struct eval_relapse_row){.request = {{2}},
                                           .acc = eval_report_absent(),
                                           .limit = 0.1,
                                           .ncm = eval_report_absent(),
                                           .ncm_then = (double)NAN};
    block = (struct eval_block_row){.name = "block1.mean",
                                    .ncm = value(0.3),
                                    .ridge = value(0.4),
                                    .reference_ncm = eval_report_absent(),
                                    .reference_ridge = value(0.5)};
    r->kind = EVAL_KIND_FORGET_CLASSES;
    r->seed = UINT64_MAX;
    r->n_live = 2;
    r->n_outputs = 3;
    r->n_eval = 321;
    r->seconds = 1.25;
    r->acc_forget = value(0.7);
    r->acc_forget_before = value(0.9);
    r->acc_retain = value(0.875);
    r->retain_loss_macro = value(0.0);
    r->mia_auc = value(0.45);
    r->mia_matched = 1;
    r->worst_class = 0;
    r->worst_loss_class = 3;
    r->neighbour[0] = 2;
    r->neighbour[1] = r->neighbour[2] = 3;
    r->n_sets = 1;
    strcpy(r->sets[0].name, "forget");
    r->sets[0].n = 40;
    r->n_classes = 3;
    r->classes = classes;
    r->n_relapse = 2;
    r->relapse = relapse;
    r->n_blocks = 1;
    r->blocks = &block;
}

static json_t *json_of(struct eval_report *r)
{
    struct arena a;
    char *text;
    size_t size;
    const struct gate_limits limits = gate_check_defaults();
    arena_init(&a, memory, sizeof memory);
    assert_int_equal(gate_check_apply(r, &limits, &a, NULL), STATUS_OK);
    assert_int_equal(report_json_text(r, &text, &size, NULL), STATUS_OK);
    assert_int_equal(strlen(text), size);
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s in %s", error.text, text);
    free(text);
    return json;
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    assert_true(json_is_real(v));
    return json_real_value(v);
}

static const char *string_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    assert_true(json_is_string(v));
    return json_string_value(v);
}

void test_report_json_has_the_keys_of_the_interface(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"acc_forget",
                                       "acc_forget_before",
                                       "acc_retain",
                                       "acc_retain_before",
                                       "acc_old_forgotten",
                                       "h_mean",
                                       "per_class",
                                       "mia",
                                       "probe",
                                       "relapse",
                                       "gate",
                                       "n_eval",
                                       "seconds",
                                       "intervals",
                                       "ece",
                                       "js_drift",
                                       "ks",
                                       "exposed_decile",
                                       "pile_up",
                                       "near_neighbour",
                                       "ablation",
                                       "streisand",
                                       "checks",
                                       "zero_group_ratio",
                                       "outcome"};
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    json_t *json = json_of(&r);
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        if (!json_object_get(json, KEYS[i]))
            fail_msg("no key %s", KEYS[i]);
    }
    assert_near(real_of(json, "acc_forget"), 0.7, 1e-9);
    assert_near(real_of(json, "acc_retain"), 0.875, 1e-9);
    assert_true(json_is_null(json_object_get(json, "h_mean")));
    assert_int_equal(json_integer_value(json_object_get(json, "n_eval")), 321);
    assert_string_equal(string_of(json, "seed"), "18446744073709551615");
    json_decref(json);
}

void test_report_json_classes(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    json_t *json = json_of(&r);
    const json_t *list = json_object_get(json, "per_class");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(string_of(json_array_get(list, 0), "owner"), "base");
    assert_string_equal(string_of(json_array_get(list, 1), "label"), "Bag ?");
    assert_string_equal(string_of(json_array_get(list, 1), "status"), "forgetting");
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "acc")));
    assert_string_equal(string_of(json_array_get(list, 2), "label"), "Kn\xc3\xb6pfe");
    const json_t *worst = json_object_get(json, "worst");
    assert_string_equal(string_of(worst, "label"), "Sandal");
    assert_true(json_is_null(json_object_get(worst, "loss_label")));
    const json_t *near = json_object_get(json_object_get(json, "near_neighbour"), "labels");
    assert_int_equal(json_array_size(near), 1);
    json_decref(json);
}

/* Both decisions side by side; average precisions only where images have several labels. */
void test_report_json_raw_and_several(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    struct eval_several_row several = {.owner = "lane:scenes",
                                       .n = 70,
                                       .n_classes = 1,
                                       .map = value(0.8),
                                       .map_before = eval_report_absent(),
                                       .map_raw = value(0.6),
                                       .of1 = value(0.7),
                                       .cf1_mean_f1 = value(0.65),
                                       .cf1_literature = eval_report_absent()};
    sample(&r, classes);
    r.acc_retain_raw = value(0.5);
    r.map = several.map;
    r.n_several = 1;
    r.several = &several;
    r.n_reference_taught = 2;
    classes[0].acc_raw = value(0.4);
    classes[2].several = 1;
    classes[2].ap = 0.75;
    classes[2].ap_before = (double)NAN;
    classes[2].ap_raw = 0.25;
    json_t *json = json_of(&r);
    const json_t *list = json_object_get(json, "per_class");
    assert_near(real_of(json_array_get(list, 0), "acc_raw"), 0.4, 1e-9);
    assert_null(json_object_get(json_array_get(list, 0), "ap"));
    assert_near(real_of(json_array_get(list, 2), "ap"), 0.75, 1e-9);
    assert_near(real_of(json_array_get(list, 2), "ap_raw"), 0.25, 1e-9);
    assert_true(json_is_null(json_object_get(json_array_get(list, 2), "ap_before")));
    assert_near(real_of(json, "acc_retain_raw"), 0.5, 1e-9);
    assert_near(real_of(json, "map"), 0.8, 1e-9);
    assert_true(json_is_null(json_object_get(json, "map_before")));
    const json_t *owner = json_array_get(json_object_get(json, "several"), 0);
    assert_string_equal(string_of(owner, "owner"), "lane:scenes");
    assert_near(real_of(owner, "map_raw"), 0.6, 1e-9);
    assert_near(real_of(owner, "of1"), 0.7, 1e-9);
    assert_near(real_of(owner, "cf1_mean_f1"), 0.65, 1e-9);
    assert_true(json_is_null(json_object_get(owner, "cf1_literature")));
    assert_true(json_is_null(json_object_get(owner, "map_before")));
    const json_t *reference = json_object_get(json_object_get(json, "probe"), "reference");
    assert_int_equal(json_integer_value(json_object_get(reference, "taught")), 2);
    json_decref(json);
}

void test_report_json_membership_and_probes(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    json_t *json = json_of(&r);
    const json_t *mia = json_object_get(json, "mia");
    assert_near(real_of(mia, "auc"), 0.45, 1e-9);
    assert_int_equal(json_integer_value(json_object_get(mia, "n_forget")), 40);
    assert_int_equal(json_integer_value(json_object_get(mia, "n_unseen")), 0);
    assert_near(json_real_value(json_array_get(json_object_get(mia, "ci"), 1)), 0.5, 1e-9);
    assert_true(json_is_true(json_object_get(mia, "matched")));
    const json_t *probe = json_object_get(json, "probe");
    assert_true(json_is_null(json_object_get(probe, "ncm")));
    assert_string_equal(string_of(json_object_get(probe, "reference"), "kind"), "unknown");
    const json_t *block = json_array_get(json_object_get(probe, "per_block"), 0);
    assert_near(real_of(block, "ridge"), 0.4, 1e-9);
    assert_true(json_is_null(json_object_get(block, "reference_ncm")));
    assert_true(json_is_false(json_object_get(json_object_get(json, "streisand"), "flagged")));
    json_decref(json);
    r.mean_true_rank = value(2.9);
    json = json_of(&r);
    assert_true(json_is_true(json_object_get(json_object_get(json, "streisand"), "flagged")));
    json_decref(json);
}

void test_report_json_relapse_and_checks(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    r.acc_forget = value(0.2);
    json_t *json = json_of(&r);
    const json_t *list = json_object_get(json, "relapse");
    assert_string_equal(string_of(json_array_get(list, 0), "request"),
                        "01000000-0000-0000-0000-000000000000");
    assert_near(real_of(json_array_get(list, 0), "limit"), 0.1, 1e-9);
    assert_string_equal(string_of(json_array_get(list, 1), "status"), "not_recheckable");
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "acc")));
    const json_t *checks = json_object_get(json, "checks");
    assert_int_equal(json_array_size(checks), r.n_checks);
    const json_t *first = json_array_get(checks, 0);
    assert_string_equal(string_of(first, "name"), "acc_forget");
    assert_string_equal(string_of(first, "verdict"), "PASS");
    assert_string_equal(string_of(first, "rule"), "point");
    assert_near(real_of(first, "limit"), 0.55, 1e-9);
    json_decref(json);
}

void test_report_json_gate_gives_its_reasons(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    json_t *json = json_of(&r);
    const json_t *gate = json_object_get(json, "gate");
    assert_true(json_is_false(json_object_get(gate, "passed")));
    assert_string_equal(string_of(gate, "outcome"), "rejected");
    const json_t *reasons = json_object_get(gate, "reasons");
    assert_int_equal(json_array_size(reasons), 1);
    assert_non_null(strstr(json_string_value(json_array_get(reasons, 0)), "acc_forget FAIL"));
    json_decref(json);
    r.acc_forget = value(0.2);
    r.retain_loss_macro = value(-0.1);
    json = json_of(&r);
    gate = json_object_get(json, "gate");
    assert_true(json_is_true(json_object_get(gate, "passed")));
    assert_int_equal(json_array_size(json_object_get(gate, "reasons")), 0);
    json_decref(json);
}

void test_report_json_intervals_hold_what_was_measured(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    sample(&r, classes);
    r.js_drift = (struct eval_value){0.25, -HUGE_VAL, HUGE_VAL, 12};
    json_t *json = json_of(&r);
    const json_t *intervals = json_object_get(json, "intervals");
    assert_near(real_of(json_object_get(intervals, "acc_forget"), "lo"), 0.65, 1e-9);
    assert_true(json_is_null(json_object_get(json_object_get(intervals, "js_drift"), "hi")));
    assert_null(json_object_get(intervals, "h_mean"));
    json_decref(json);
}

void test_report_json_is_the_same_text_every_time(void **state)
{
    (void)state;
    struct eval_report r;
    struct eval_class_row classes[3];
    char *a, *b;
    size_t n_a, n_b;
    sample(&r, classes);
    assert_int_equal(report_json_text(&r, &a, &n_a, NULL), STATUS_OK);
    assert_int_equal(report_json_text(&r, &b, &n_b, NULL), STATUS_OK);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    free(a);
    free(b);
}

void test_report_json_of_a_stream(void **state)
{
    (void)state;
    struct eval_report r;
    struct arena a;
    char *text;
    size_t size;
    const struct gate_limits limits = gate_check_defaults();
    const struct learner_event events[] = {
        {.batch = 7, .expert = "cam.1", .from = "cam.0", .loss = 2.5, .switched = 1, .created = 1},
        {.batch = 9,
         .expert = "cam.1",
         .loss = 0.25,
         .smoothed = (double)NAN,
         .threshold = 0.5,
         .offered = 100,
         .trained = 90,
         .tombstoned = 4,
         .held = 6}};
    const struct tame_learner_info after = {.n_experts = 2, .batches = 10, .held = 1};
    const struct report_stream stream = {events, 2, &after};
    eval_report_init(&r);
    r.kind = EVAL_KIND_RECHECK;
    arena_init(&a, memory, sizeof memory);
    assert_int_equal(gate_check_apply(&r, &limits, &a, NULL), STATUS_OK);
    assert_int_equal(r.gate.outcome, GATE_OUTCOME_PASSED); /* nothing measured, nothing changed */
    assert_int_equal(report_json_with(&r, &stream, &text, &size, NULL), STATUS_OK);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(json);
    const json_t *s = json_object_get(json, "stream");
    const json_t *list = json_object_get(s, "events");
    assert_string_equal(string_of(s, "expert"), "cam.1");
    assert_near(real_of(s, "loss"), 0.25, 0);
    assert_near(real_of(s, "threshold"), 0.5, 0);
    assert_true(json_is_true(json_object_get(s, "switched")));
    assert_int_equal(json_integer_value(json_object_get(s, "switches")), 1);
    assert_int_equal(json_integer_value(json_object_get(s, "experts")), 2);
    assert_int_equal(json_integer_value(json_object_get(s, "tombstoned")), 4);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(string_of(json_array_get(list, 0), "from"), "cam.0");
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "created")));
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "smoothed")));
    json_decref(json);
}
