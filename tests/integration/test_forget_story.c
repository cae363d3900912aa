/*
 * The whole path on a tiny model: data in, classes out, and what an auditor sees afterwards.  One
 * daemon for the story, whose parts run in the order of their names.
 */
#include "tests/support/session.h"

#include <jansson.h>

#include "daemon/base/clock.h"
#include "learners/vit/safetensors.h"

static struct session story;
static char base[LETHE_DIGEST_TEXT];
static char first_request[LETHE_ID_TEXT];
static char first[LETHE_DIGEST_TEXT];
static char second[LETHE_DIGEST_TEXT];
static int64_t before_first_us, after_first_us;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, SESSION_GATE SESSION_FAST);
    session_import(&story);
    session_serving(&story, base);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

/* ------------------------------------------------------------------ helpers */

static json_t *report_of(const char *text, size_t size)
{
    json_error_t e;
    json_t *report = json_loadb(text, size, 0, &e);
    if (!json_is_object(report))
        fail_msg("report: %s", e.text);
    return report;
}

static double number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v))
        fail_msg("%s is no number", key);
    return json_number_value(v);
}

/* Status of a label in a version: active or forgotten, and by whom. */
static const struct lethe_label *label_of(const struct lethe_version *v, const char *name)
{
    for (size_t i = 0; i < v->n_labels; i++)
        if (strcmp(v->labels[i].name, name) == 0)
            return &v->labels[i];
    fail_msg("no label %s", name);
    return NULL;
}

static void assert_never_answers(const char *version, const char *const *forgotten, size_t n)
{
    for (uint32_t label = 0; label < TINY_CLASSES; label++) {
        for (uint32_t i = 0; i < 8; i++) {
            struct lethe_predictions *p = session_predict(&story, NULL, label, i);
            assert_string_equal(p->version, version);
            assert_int_equal(p->n, 1);
            assert_true(p->items[0].n_labels >= 1);
            for (size_t k = 0; k < p->items[0].n_labels; k++)
                for (size_t j = 0; j < n; j++)
                    assert_string_not_equal(p->items[0].labels[k].label, forgotten[j]);
            lethe_free(p);
        }
    }
}

/* ------------------------------------------------------------------ before */

void test_story_1_the_base_serves_and_can_be_measured(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_report *r;
    struct lethe_status *status;
    session_ok(lethe_status(story.l, &status, &e), e);
    assert_true(status->data_ready);
    assert_int_equal(status->classes_active, TINY_CLASSES);
    assert_int_equal(status->serving_number, 1);
    lethe_free(status);
    session_ok(lethe_evaluate(story.l, NULL, false, &r, &e), e);
    assert_string_equal(r->version, base);
    json_t *report = report_of(r->evaluation, r->evaluation_bytes);
    assert_true(number_of(report, "acc_retain") > 0.8);
    assert_int_equal(json_array_size(json_object_get(report, "per_class")), TINY_CLASSES);
    json_decref(report);
    lethe_free(r);
    session_ok(lethe_status(story.l, &status, &e), e);
    assert_string_equal(status->serving, base);
    lethe_free(status);
}

void test_story_2_a_dry_run_leaves_no_version(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_versions *v;
    char id[LETHE_ID_TEXT], serving[LETHE_DIGEST_TEXT];
    const struct lethe_forget_args args = {
        .classes = &tiny_labels[1], .n_classes = 1, .dry_run = true};
    session_forget(&story, &args, id);
    struct lethe_request *r = session_wait(&story, id, "cancelled");
    assert_true(r->dry_run);
    assert_string_equal(r->version_after, "");
    json_t *report = report_of(r->evaluation, r->evaluation_bytes);
    assert_true(number_of(report, "acc_forget_before") > 0.8);
    json_decref(report);
    lethe_free(r);
    session_ok(lethe_history(story.l, 0, 0, &v, &e), e);
    assert_int_equal(v->n, 1);
    lethe_free(v);
    session_serving(&story, serving);
    assert_string_equal(serving, base);
}

/* ------------------------------------------------------------------ first request */

void test_story_3_a_class_is_forgotten(void **state)
{
    (void)state;
    char serving[LETHE_DIGEST_TEXT];
    const struct lethe_forget_args args = {
        .classes = &tiny_labels[1], .n_classes = 1, .ticket = "DSR-17", .seed = 5};
    before_first_us = clock_wall_us();
    session_forget(&story, &args, first_request);
    struct lethe_request *r = session_wait(&story, first_request, "committed");
    after_first_us = clock_wall_us();
    assert_string_equal(r->kind, "forget");
    assert_string_equal(r->version_before, base);
    assert_string_equal(r->ticket, "DSR-17");
    assert_int_equal(r->seed, 5);
    assert_int_equal(r->error.code, LETHE_OK);
    assert_true(r->due_at > r->submitted_at && r->finished_at >= r->started_at);
    memcpy(first, r->version_after, sizeof first);
    json_t *report = report_of(r->evaluation, r->evaluation_bytes);
    assert_true(number_of(report, "acc_forget_before") > 0.8);
    assert_true(number_of(report, "acc_forget") < number_of(report, "acc_forget_before"));
    assert_true(json_is_true(json_object_get(json_object_get(report, "gate"), "passed")));
    json_decref(report);
    lethe_free(r);
    session_serving(&story, serving);
    assert_string_equal(serving, first);
    assert_never_answers(first, &tiny_labels[1], 1);
}

/* The erasure is named by its request, with a norm for every group and the zero ones counted. */
static void assert_erasure_is_described(const struct lethe_diff *d)
{
    size_t found = 0;
    for (size_t i = 0; i < d->n_added; i++) {
        const struct lethe_component *c = &d->added[i];
        size_t zero = 0;
        if (strcmp(c->kind, "erasure") != 0) {
            assert_int_equal(c->n_group_norms, 0);
            continue;
        }
        found++;
        assert_string_equal(c->name, first_request);
        assert_int_equal(c->n_group_norms, c->groups_total);
        for (size_t g = 0; g < c->n_group_norms; g++) {
            assert_true(c->group_norms[g] >= 0);
            zero += c->group_norms[g] == 0;
        }
        assert_int_equal(zero, c->groups_zero);
        assert_true(zero < c->groups_total);
    }
    assert_int_equal(found, 1);
}

void test_story_4_history_show_diff_served_at(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_versions *history;
    struct lethe_version *v;
    struct lethe_diff *d;
    session_ok(lethe_history(story.l, 0, 0, &history, &e), e);
    assert_int_equal(history->n, 2);
    assert_string_equal(history->items[0].id, first);
    assert_string_equal(history->items[0].parent, base);
    assert_string_equal(history->items[0].request, first_request);
    assert_true(history->items[0].serving && !history->items[1].serving);
    lethe_free(history);
    session_ok(lethe_show(story.l, "2", &v, &e), e);
    assert_string_equal(v->id, first);
    assert_string_equal(label_of(v, "Square")->status, "forgotten");
    assert_string_equal(label_of(v, "Square")->forgotten_by, first_request);
    assert_string_equal(label_of(v, "Circle")->status, "active");
    assert_true(v->evaluation_bytes > 0);
    lethe_free(v);
    session_ok(lethe_diff(story.l, base, first, &d, &e), e);
    assert_int_equal(d->n_removed, 0);
    assert_true(d->n_added >= 1);
    assert_erasure_is_described(d);
    assert_int_equal(d->n_labels_b, 1);
    assert_string_equal(d->labels_a[0].status, "active");
    assert_string_equal(d->labels_b[0].name, "Square");
    lethe_free(d);
    session_ok(lethe_served_at(story.l, before_first_us, &v, &e), e);
    assert_string_equal(v->id, base);
    assert_true(v->served_until > before_first_us && v->served_until <= after_first_us);
    lethe_free(v);
    session_ok(lethe_served_at(story.l, 0, &v, &e), e);
    assert_string_equal(v->id, first);
    assert_int_equal(v->served_until, 0);
    lethe_free(v);
}

void test_story_5_rollback_is_refused_and_names_the_class(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_version *v;
    char serving[LETHE_DIGEST_TEXT];
    session_refused(lethe_rollback(story.l, "1", &v, &e), LETHE_FAILED_PRECONDITION, "version", e);
    assert_non_null(strstr(e.text, "Square"));
    session_refused(lethe_pin(story.l, base, &v, &e), LETHE_FAILED_PRECONDITION, "version", e);
    session_serving(&story, serving);
    assert_string_equal(serving, first);
}

/* ------------------------------------------------------------------ second request */

void test_story_6_a_second_request_watches_the_first(void **state)
{
    (void)state;
    static const char *const gone[] = {"Square", "Stripe"};
    struct lethe_request *r = session_forget_class(&story, "Stripe");
    memcpy(second, r->version_after, sizeof second);
    assert_string_equal(r->version_before, first);
    json_t *report = report_of(r->evaluation, r->evaluation_bytes);
    const json_t *relapse = json_object_get(report, "relapse");
    assert_int_equal(json_array_size(relapse), 1);
    const json_t *row = json_array_get(relapse, 0);
    assert_string_equal(json_string_value(json_object_get(row, "request")), first_request);
    assert_true(number_of(row, "acc") >= 0.0 && number_of(row, "limit") > 0.0);
    /* how well the features told it when it committed, beside how well they do now */
    assert_true(number_of(row, "ncm_then") >= 0.0 && number_of(row, "ncm_then") <= 1.0);
    json_decref(report);
    lethe_free(r);
    assert_never_answers(second, gone, 2);
}

/* An older version still answers by name; the answer says which. */
void test_story_7_versions_stay_readable(void **state)
{
    (void)state;
    struct lethe_predictions *p = session_predict(&story, first, 0, 1);
    assert_string_equal(p->version, first);
    assert_int_equal(p->number, 2);
    lethe_free(p);
    session_sound(&story);
}

/* ------------------------------------------------------------------ export */

struct sink {
    uint8_t *bytes;
    size_t size;
};

static bool sink_add(void *context, const void *bytes, size_t size)
{
    struct sink *sink = context;
    uint8_t *grown = realloc(sink->bytes, sink->size + size);
    assert_non_null(grown);
    memcpy(grown + sink->size, bytes, size);
    sink->bytes = grown;
    sink->size += size;
    return true;
}

static void check_safetensors(const struct sink *sink)
{
    struct fault f = {0};
    struct arena arena;
    struct safetensors *tensors;
    const size_t plan = safetensors_plan(sink->bytes, sink->size) + 64;
    void *memory = malloc(plan);
    assert_non_null(memory);
    arena_init(&arena, memory, plan);
    if (safetensors_open(sink->bytes, sink->size, &arena, &tensors, &f) != STATUS_OK)
        fail_msg("safetensors: %s", f.text);
    assert_true(safetensors_count(tensors) > 0);
    arena_fini(&arena);
    free(memory);
}

static void check_export(const char *format, const char *weights)
{
    struct lethe_error e = {0};
    struct lethe_export *x;
    int seen = 0;
    session_ok(lethe_export(story.l, "serving", format, &x, &e), e);
    assert_string_equal(x->version, second);
    for (size_t i = 0; i < x->n_files; i++) {
        struct sink sink = {0};
        session_ok(lethe_blob(story.l, &x->files[i], sink_add, &sink, &e), e);
        assert_int_equal(sink.size, x->files[i].bytes);
        const char *end = strrchr(x->files[i].path, '.');
        if (end && strcmp(end, ".safetensors") == 0)
            check_safetensors(&sink);
        else if (end && strcmp(end, ".json") == 0)
            json_decref(report_of((const char *)sink.bytes, sink.size));
        seen += strstr(x->files[i].path, weights) != NULL;
        free(sink.bytes);
    }
    assert_true(seen >= 1);
    lethe_free(x);
}

void test_story_8_exports_are_files_that_other_tools_read(void **state)
{
    (void)state;
    check_export("peft", "adapter_model.safetensors");
    check_export("peft", "adapter_config.json");
    check_export("merged", "model.safetensors");
    check_export("merged", "config.json");
}

/* ------------------------------------------------------------------ data */

void test_story_9_data_can_be_removed(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    struct lethe_datasets *d;
    session_import_as(&story, "spare", "probe", 9);
    session_ok(lethe_data_remove(story.l, "spare", &e), e);
    session_ok(lethe_data_list(story.l, &d, &e), e);
    assert_int_equal(d->n, 2);
    lethe_free(d);
    session_refused(lethe_data_remove(story.l, "spare", &e), LETHE_NOT_FOUND, "name", e);
    session_sound(&story);
}

/* ------------------------------------------------------------------ a strict gate */

void test_strict_gate_rejects_and_leaves_the_serving_version(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_versions *history;
    char id[LETHE_ID_TEXT], was[LETHE_DIGEST_TEXT], is[LETHE_DIGEST_TEXT];
    session_new(&s, "memory_fraction = 1.0\nmax_attempts = 1\n[gate]\njs_drift = 0.000001 pass\n"
                    "[gslora]\nepochs = 1\n");
    session_import(&s);
    session_serving(&s, was);
    const struct lethe_forget_args args = {.classes = &tiny_labels[0], .n_classes = 1};
    session_forget(&s, &args, id);
    struct lethe_request *r = session_wait(&s, id, "rejected");
    assert_int_equal(r->error.code, LETHE_FAILED_PRECONDITION);
    assert_string_equal(r->error.field, "gate");
    assert_string_equal(r->version_after, "");
    json_t *report = report_of(r->evaluation, r->evaluation_bytes);
    const json_t *gate = json_object_get(report, "gate");
    assert_true(json_is_false(json_object_get(gate, "passed")));
    assert_true(json_array_size(json_object_get(gate, "reasons")) >= 1);
    json_decref(report);
    lethe_free(r);
    session_serving(&s, is);
    assert_string_equal(is, was);
    session_ok(lethe_history(s.l, 0, 0, &history, &e), e);
    assert_int_equal(history->n, 1);
    lethe_free(history);
    session_sound(&s);
    session_free(&s);
}
