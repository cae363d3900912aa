/*
 * Mode fast for what was learned: a class of a lane is suppressed by GS-LoRA++ in the lane, by the
 * real daemon.  The lane names the one before it, the certificate claims no more than that allows,
 * nothing brings the class back, and mode exact afterwards gives the lane that never saw it.
 */
#include "tests/support/people_story.h"

#include <jansson.h>

#define SETTING                                                                                    \
    "eval_per_class = 40\nmemory_fraction = 1.0\n"                                                 \
    "[gate]\nacc_forget = 0.05\nretain_loss_macro = 0.1\nretain_loss_worst = 1.0\n"                \
    "js_drift = 1.0\nmia_forget = 0.5\nmia_retain = 1.0\n" SESSION_FAST

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const struct task right = {"right", 20, {"twenty", "twenty-one", "twenty-two"}};
static const char left_id[] = "0199a5b0-0000-7000-8000-000000000061";
static const char right_id[] = "0199a5b0-0000-7000-8000-000000000062";
#define GONE 1u /* class of `right` */

static struct session story;
static char before[LETHE_DIGEST_TEXT]; /* version that still knew the class */
static char fast_id[LETHE_ID_TEXT], lane_before[LETHE_DIGEST_TEXT], lane_left[LETHE_DIGEST_TEXT];

static void learn_both(struct session *s, uint32_t skip)
{
    session_import(s);
    people_task(s, &left, "left-images", TASK_CLASSES, PEOPLE);
    lethe_free(learn(s, &left, "left-images", left_id));
    import_task(s, &right, "right-images", skip);
    lethe_free(learn(s, &right, "right-images", right_id));
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, SETTING);
    learn_both(&story, TASK_CLASSES);
    session_serving(&story, before);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

static struct lethe_version *serving(void)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_show(story.l, "serving", &v, &e), e);
    return v;
}

/* Rows of a lane's lineage that begin so. */
static uint32_t lineage_rows(const char *lane, const char *begin)
{
    struct lethe_version *v = serving();
    uint32_t n = 0;
    for (size_t i = 0; i < v->n_components; i++)
        for (size_t k = 0; k < v->components[i].n_lineage; k++)
            n += strcmp(v->components[i].kind, "lane") == 0 &&
                 strcmp(v->components[i].name, lane) == 0 &&
                 strncmp(v->components[i].lineage[k], begin, strlen(begin)) == 0;
    lethe_free(v);
    return n;
}

static void forget_fast(const struct lethe_forget_args *args, char id[LETHE_ID_TEXT])
{
    session_forget(&story, args, id);
    struct lethe_request *r = session_wait(&story, id, NULL);
    if (strcmp(r->state, "committed") != 0)
        fail_msg("%s: %s %s", r->state, r->error.text, r->evaluation);
    lethe_free(r);
}

static void not_answered(uint32_t pattern, const char *label)
{
    for (uint32_t i = 0; i < 10; i++) {
        struct lethe_predictions *p = predict(&story, "all", pattern, i);
        for (size_t k = 0; k < p->items[0].n_labels; k++)
            assert_string_not_equal(p->items[0].labels[k].label, label);
        lethe_free(p);
    }
}

void test_fast_1_is_refused_where_it_cannot_be(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_forget_args args = {.task = "right", .mode = LETHE_MODE_FAST};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "mode", e);
    const struct lethe_option bad = {"rank", "none"};
    args = (struct lethe_forget_args){.classes = &right.labels[GONE],
                                      .n_classes = 1,
                                      .mode = LETHE_MODE_FAST,
                                      .options = &bad,
                                      .n_options = 1};
    session_refused(lethe_forget(story.l, &args, &r, &e), LETHE_INVALID_ARGUMENT, "rank", e);
}

void test_fast_2_a_class_of_a_lane_is_suppressed(void **state)
{
    (void)state;
    char terms[LETHE_DIGEST_TEXT], now[LETHE_DIGEST_TEXT];
    component(&story, "lane", "right", lane_before);
    component(&story, "lane", "left", lane_left);
    component(&story, "router", "lane:right", terms);
    const double was = accuracy(&story, &left);
    const struct lethe_forget_args args = {
        .classes = &right.labels[GONE], .n_classes = 1, .mode = LETHE_MODE_FAST};
    forget_fast(&args, fast_id);
    component(&story, "lane", "right", now);
    assert_string_not_equal(now, lane_before);
    component(&story, "lane", "left", now);
    assert_string_equal(now, lane_left);
    component(&story, "router", "lane:right", now);
    assert_string_not_equal(now, terms);
    not_answered(right.first + GONE, right.labels[GONE]);
    assert_true(accuracy(&story, &left) >= was - 0.1);
    /* the report: measured with the row of the class still there, on images it was trained on */
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_request(story.l, fast_id, &r, &e), e);
    json_t *report = json_loadb(r->evaluation, r->evaluation_bytes, 0, NULL);
    assert_non_null(report);
    print_message("  forgotten %.3f, before %.3f, retained %.3f of %.3f\n",
                  json_number_value(json_object_get(report, "acc_forget")),
                  json_number_value(json_object_get(report, "acc_forget_before")),
                  json_number_value(json_object_get(report, "acc_retain")),
                  json_number_value(json_object_get(report, "acc_retain_before")));
    assert_true(json_number_value(json_object_get(report, "acc_forget_before")) > 0.5);
    assert_true(json_is_number(json_object_get(report, "acc_forget")));
    json_decref(report);
    lethe_free(r);
}

void test_fast_3_the_record_says_suppressed(void **state)
{
    (void)state;
    char row[128];
    struct lethe_error e = {0};
    struct lethe_certificate *c;
    (void)snprintf(row, sizeof row, "component:right:%.16s", lane_before);
    assert_int_equal(lineage_rows("right", row), 1);
    assert_int_equal(lineage_rows("left", "component:"), 0);
    session_ok(lethe_certificate(story.l, fast_id, false, &c, &e), e);
    json_t *doc = json_loadb(c->text, c->bytes, 0, NULL);
    assert_non_null(doc);
    json_t *level = json_object_get(doc, "level");
    assert_string_equal(json_string_value(json_object_get(level, "reached")), "L0");
    assert_string_equal(json_string_value(json_object_get(level, "reachable")), "L1");
    assert_non_null(strstr(c->text, "gslora"));
    json_decref(doc);
    lethe_free(c);
}

void test_fast_4_nothing_brings_it_back(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_export *x;
    struct lethe_version *v;
    struct lethe_request *r;
    session_refused(lethe_rollback(story.l, before, &v, &e), LETHE_FAILED_PRECONDITION, "version",
                    e);
    session_refused(lethe_component_export(story.l, "serving", "lane:right", &x, &e),
                    LETHE_FAILED_PRECONDITION, "component", e);
    const struct lethe_forget_args again = {.classes = &right.labels[GONE], .n_classes = 1};
    session_refused(lethe_forget(story.l, &again, &r, &e), LETHE_FAILED_PRECONDITION, "classes",
                    e);
    /* the next request looks at it again */
    const struct lethe_forget_args person = {.subject = people[0], .mode = LETHE_MODE_FAST};
    char id[LETHE_ID_TEXT];
    forget_fast(&person, id);
    session_ok(lethe_request(story.l, id, &r, &e), e);
    json_t *report = json_loadb(r->evaluation, r->evaluation_bytes, 0, NULL);
    json_t *relapse = json_object_get(report, "relapse");
    assert_int_equal(json_array_size(relapse), 1);
    json_t *first = json_array_get(relapse, 0);
    assert_string_equal(json_string_value(json_object_get(first, "request")), fast_id);
    assert_true(json_is_number(json_object_get(first, "acc")));
    json_decref(report);
    lethe_free(r);
    assert_int_equal(lineage_rows("left", "component:"), 1);
    session_sound(&story);
}

/* The lane that follows is the one that never saw the class, to the byte. */
void test_fast_5_exact_afterwards(void **state)
{
    (void)state;
    char lane[LETHE_DIGEST_TEXT], never[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    struct lethe_error e = {0};
    struct lethe_certificate *c;
    struct session other;
    const struct lethe_forget_args args = {
        .classes = &right.labels[GONE], .n_classes = 1, .mode = LETHE_MODE_EXACT};
    forget_fast(&args, id);
    component(&story, "lane", "right", lane);
    assert_int_equal(lineage_rows("right", "component:"), 0);
    session_new(&other, SETTING);
    learn_both(&other, GONE);
    component(&other, "lane", "right", never);
    assert_string_equal(lane, never);
    component(&story, "router", "lane:right", lane);
    component(&other, "router", "lane:right", never);
    assert_string_equal(lane, never);
    session_free(&other);
    not_answered(right.first + GONE, right.labels[GONE]);
    /* and now it can be had */
    struct lethe_export *x;
    session_ok(lethe_component_export(story.l, "serving", "lane:right", &x, &e), e);
    lethe_free(x);
    session_ok(lethe_certificate(story.l, id, false, &c, &e), e);
    assert_string_equal(c->level, "L0");
    assert_non_null(strstr(c->text, "\"L4\""));
    lethe_free(c);
    session_sound(&story);
}
