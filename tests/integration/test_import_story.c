/*
 * A lane travels as a file: from the daemon that learned it into others on the same base, with the
 * same bytes and the same answers; files that do not fit are refused and change nothing.  Parts run
 * in the order of their names.
 */
#include "tests/support/lane_story.h"

#include <jansson.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/component_file.h"

static struct session from, to;

static const struct task left = {"left", 10, {"ten", "eleven", "twelve"}};
static const char left_id[] = "0199a5b0-0000-7000-8000-000000000001";

/* The file of lane:left. */
static unsigned char *file;
static size_t file_size;

/* ------------------------------------------------------------------ files */

struct download {
    unsigned char *bytes;
    size_t used, size;
};

static bool keep_bytes(void *context, const void *bytes, size_t size)
{
    struct download *d = context;
    assert_true(size <= d->size - d->used);
    memcpy(d->bytes + d->used, bytes, size);
    d->used += size;
    return true;
}

static unsigned char *export_lane(struct session *s, const char *component_name, size_t *ret_size)
{
    struct lethe_error e = {0};
    struct lethe_export *x;
    session_ok(lethe_component_export(s->l, "serving", component_name, &x, &e), e);
    assert_int_equal(x->n_files, 1);
    struct download d = {.bytes = malloc(x->files[0].bytes), .size = x->files[0].bytes};
    session_ok(lethe_blob(s->l, &x->files[0], keep_bytes, &d, &e), e);
    assert_int_equal(d.used, d.size);
    *ret_size = d.size;
    lethe_free(x);
    return d.bytes;
}

static enum lethe_code give(struct session *s,
                            const struct lethe_component_args *more,
                            const unsigned char *bytes,
                            size_t size,
                            struct lethe_error *e)
{
    struct lethe_request *r;
    struct lethe_component_args args = *more;
    args.bytes = bytes;
    args.size = size;
    const enum lethe_code code = lethe_component_import(s->l, &args, &r, e);
    lethe_free(r);
    return code;
}

/* Imports the file and waits for the end. */
static struct lethe_request *
import(struct session *s, const struct lethe_component_args *more, const char *state)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    struct lethe_component_args args = *more;
    char id[LETHE_ID_TEXT];
    args.bytes = file;
    args.size = file_size;
    session_ok(lethe_component_import(s->l, &args, &r, &e), e);
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    return session_wait(s, id, state);
}

/* The file with something changed, its own digests right again. */
static unsigned char *rewritten(void (*change)(struct component_file *c, unsigned char *record),
                                size_t *ret_size)
{
    struct component_file c;
    uint8_t *bytes;
    struct fault f = {0};
    if (component_file_read(file, file_size, NULL, &c, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    unsigned char *record = malloc(c.size);
    memcpy(record, c.bytes, c.size);
    c.bytes = record;
    change(&c, record);
    assert_int_equal(component_file_write(&c, &bytes, ret_size, NULL), STATUS_OK);
    free(record);
    return bytes;
}

static void refused_file(void (*change)(struct component_file *c, unsigned char *record),
                         enum lethe_code code,
                         const char *field)
{
    struct lethe_error e;
    size_t size;
    unsigned char *bytes = rewritten(change, &size);
    const struct lethe_component_args args = {.name = "fresh"};
    session_refused(give(&to, &args, bytes, size, &e), code, field, e);
    sysio_free(bytes);
}

/* ------------------------------------------------------------------ answers */

/* Both daemons answer with the same bits; labels of one lane lie in the same order. */
static void same_answers(struct session *a, struct session *b, const char *scope)
{
    for (uint32_t i = 0; i < 6; i++) {
        struct lethe_predictions *p = predict(a, scope, 10 + i % 3, i);
        struct lethe_predictions *q = predict(b, scope, 10 + i % 3, i);
        assert_int_equal(p->items[0].n_logits, q->items[0].n_logits);
        assert_true(p->items[0].n_logits > 0);
        assert_memory_equal(p->items[0].logits, q->items[0].logits,
                            p->items[0].n_logits * sizeof(float));
        assert_string_equal(p->items[0].labels[0].label, q->items[0].labels[0].label);
        assert_memory_equal(&p->items[0].labels[0].p, &q->items[0].labels[0].p, sizeof(float));
        lethe_free(p);
        lethe_free(q);
    }
}

/* Lineage of a component, all of it, one behind the other. */
static void lineage(struct session *s, const char *kind, const char *name, char *text, size_t size)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    size_t used = 0;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    text[0] = '\0';
    for (size_t i = 0; i < v->n_components; i++) {
        const struct lethe_component *c = &v->components[i];
        for (size_t k = 0;
             strcmp(c->kind, kind) == 0 && strcmp(c->name, name) == 0 && k < c->n_lineage; k++)
            used += (size_t)snprintf(text + used, size - used, "%s ", c->lineage[k]);
    }
    lethe_free(v);
}

/* Its classes were measured on n images each; without any, nothing is said about them. */
static void expect_verdicts(const struct lethe_request *r, json_int_t n)
{
    size_t i;
    json_t *report = json_loads(r->evaluation, 0, NULL), *row;
    json_t *checks = json_object_get(report, "checks"),
           *list = json_object_get(report, "per_class");
    size_t checked = 0, classes = 0;
    json_array_foreach(checks, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), "new_task") != 0)
            continue;
        checked++;
        assert_string_equal(json_string_value(json_object_get(row, "verdict")),
                            n > 0 ? "PASS" : "NOT_RESOLVABLE");
    }
    json_array_foreach(list, i, row)
    {
        if (strncmp(json_string_value(json_object_get(row, "owner")), "lane:", 5) != 0)
            continue;
        classes++;
        assert_int_equal(json_integer_value(json_object_get(row, "n")), n);
        assert_int_equal(json_object_get(row, "verdict") != NULL, n == 0);
        assert_int_equal(json_is_null(json_object_get(row, "acc")), n == 0);
    }
    assert_int_equal(checked, 1);
    assert_int_equal(classes, TASK_CLASSES);
    json_decref(report);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&from, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&from);
    import_task(&from, &left, "left-images", TASK_CLASSES);
    lethe_free(learn(&from, &left, "left-images", left_id));
    file = export_lane(&from, "lane:left", &file_size);
    session_new(&to, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    free(file);
    session_free(&from);
    session_free(&to);
    return 0;
}

/* ------------------------------------------------------------------ the story */

void test_import_1_needs_the_data_of_the_base(void **state)
{
    (void)state;
    struct lethe_error e;
    const struct lethe_component_args args = {0};
    session_refused(give(&to, &args, file, file_size, &e), LETHE_FAILED_PRECONDITION, "data", e);
    session_import(&to);
}

void test_import_2_a_dry_run_changes_nothing(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    session_serving(&to, before);
    const struct lethe_component_args args = {.dry_run = true};
    struct lethe_request *r = import(&to, &args, "cancelled");
    assert_string_equal(r->reason, "DRY_RUN");
    assert_true(r->dry_run);
    assert_non_null(strstr(r->evaluation, "lane:left"));
    lethe_free(r);
    session_serving(&to, after);
    assert_string_equal(before, after);
    session_sound(&to);
}

static void base_of_another(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->place.base.b[0] ^= 1;
}

static void other_trunk(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->place.trunk.b[0] ^= 1;
}

static void other_pictures(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->place.preprocessing.b[0] ^= 1;
}

/* The record says so although the file does not: magic 8, version 4, id 16, then the base. */
static void record_of_another_base(struct component_file *c, unsigned char *record)
{
    (void)c;
    record[8 + 4 + 16] ^= 1;
}

static void record_for_other_pictures(struct component_file *c, unsigned char *record)
{
    (void)c;
    record[8 + 4 + 16 + 2 * DIGEST_SIZE] ^= 1;
}

static void record_cut_short(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->size -= 4;
}

static void record_not_finite(struct component_file *c, unsigned char *record)
{
    memset(record + c->size - 4, 0xff, 4);
}

static void record_empty(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->size = 0;
}

/* A label with a byte that is no text: "ten" stands in the record as a counted string. */
static void label_no_text(struct component_file *c, unsigned char *record)
{
    unsigned char *at = memmem(record, c->size, "\3\0\0\0ten", 7);
    assert_non_null(at);
    at[5] = 0xfe;
    c->router = NULL;
}

static void terms_of_another(struct component_file *c, unsigned char *record)
{
    (void)record;
    (void)snprintf(c->name, sizeof c->name, "someone");
}

static unsigned char terms[16 << 20];

static void terms_cut_short(struct component_file *c, unsigned char *record)
{
    (void)record;
    c->router_size -= 1;
}

/* Behind magic 8, version 4 and the base comes the state of the trunk. */
static void terms_of_another_trunk(struct component_file *c, unsigned char *record)
{
    (void)record;
    assert_true(c->router_size <= sizeof terms);
    memcpy(terms, c->router, c->router_size);
    terms[8 + 4 + DIGEST_SIZE] ^= 1;
    c->router = terms;
}

static void an_expert(struct component_file *c, unsigned char *record)
{
    (void)record;
    (void)snprintf(c->kind, sizeof c->kind, "expert");
}

void test_import_3_files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    session_serving(&to, before);
    refused_file(base_of_another, LETHE_FAILED_PRECONDITION, "base");
    refused_file(other_trunk, LETHE_FAILED_PRECONDITION, "trunk");
    refused_file(other_pictures, LETHE_FAILED_PRECONDITION, "preprocessing");
    refused_file(record_of_another_base, LETHE_FAILED_PRECONDITION, "base");
    refused_file(record_for_other_pictures, LETHE_FAILED_PRECONDITION, "preprocessing");
    refused_file(record_cut_short, LETHE_INVALID_ARGUMENT, "lane");
    refused_file(record_not_finite, LETHE_INVALID_ARGUMENT, "lane");
    refused_file(record_empty, LETHE_INVALID_ARGUMENT, "lane");
    refused_file(label_no_text, LETHE_INVALID_ARGUMENT, "labels");
    refused_file(terms_of_another, LETHE_INVALID_ARGUMENT, "router");
    refused_file(terms_cut_short, LETHE_INVALID_ARGUMENT, "term");
    refused_file(terms_of_another_trunk, LETHE_FAILED_PRECONDITION, "trunk");
    refused_file(an_expert, LETHE_INVALID_ARGUMENT, "component");
    session_serving(&to, after);
    assert_string_equal(before, after);
    session_sound(&to);
}

/* Cut anywhere, or one bit wrong anywhere that matters. */
void test_import_3_damaged_files_are_refused(void **state)
{
    (void)state;
    struct lethe_error e = {0};
    const struct lethe_component_args args = {.name = "fresh"};
    for (size_t n = 1; n < file_size; n += file_size / 9) {
        const enum lethe_code code = give(&to, &args, file, n, &e);
        assert_int_equal(code, LETHE_INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < file_size; i += file_size / 7) {
        file[i] ^= 0x40;
        const enum lethe_code code = give(&to, &args, file, file_size, &e);
        file[i] ^= 0x40;
        assert_int_equal(code, LETHE_INVALID_ARGUMENT);
    }
    session_sound(&to);
}

void test_import_3_bad_arguments_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_component_args args = {.kind = "expert", .name = "fresh"};
    session_refused(give(&to, &args, file, file_size, &e), LETHE_INVALID_ARGUMENT, "kind", e);
    args.kind = "pathway";
    session_refused(give(&to, &args, file, file_size, &e), LETHE_INVALID_ARGUMENT, "kind", e);
    args.kind = "lane";
    args.name = "../left";
    session_refused(give(&to, &args, file, file_size, &e), LETHE_INVALID_ARGUMENT, "name", e);
    args.name = "left";
    session_refused(give(&to, &args, file, LETHE_COMPONENT_MAX + 1, &e), LETHE_RESOURCE_EXHAUSTED,
                    "bytes", e);
}

/* Same base, no test images of its classes: the lane, its terms and its answers are the same. */
void test_import_4_a_lane_arrives_as_it_left(void **state)
{
    (void)state;
    static const char id[] = "0199a5b0-0000-7000-8000-000000000007";
    char here[LETHE_DIGEST_TEXT], there[LETHE_DIGEST_TEXT], text[1000], cited[40];
    const struct lethe_component_args args = {.request_id = id};
    struct lethe_request *r = import(&to, &args, "committed"), *again;
    assert_string_equal(r->kind, "import");
    assert_string_equal(r->task, "left");
    expect_verdicts(r, 0);
    component(&from, "lane", "left", there);
    component(&to, "lane", "left", here);
    assert_string_equal(here, there);
    component(&from, "router", "lane:left", there);
    component(&to, "router", "lane:left", here);
    assert_string_equal(here, there);
    same_answers(&from, &to, "all");
    same_answers(&from, &to, "lanes");
    assert_true(accuracy(&to, &left) > 0.8);
    const struct digest d = seal_hash(file, file_size);
    char digest[DIGEST_TEXT_SIZE];
    digest_format(&d, digest);
    (void)snprintf(cited, sizeof cited, "file:left:%.16s", digest);
    lineage(&to, "lane", "left", text, sizeof text);
    if (!strstr(text, cited))
        fail_msg("%s does not name %s", text, cited);
    /* asked again, it is the same request */
    again = import(&to, &args, "committed");
    assert_string_equal(again->version_after, r->version_after);
    lethe_free(again);
    lethe_free(r);
    session_sound(&to);
}

void test_import_5_names_and_labels_in_use_are_refused(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_component_args args = {0};
    session_refused(give(&to, &args, file, file_size, &e), LETHE_ALREADY_EXISTS, "name", e);
    args.name = "left-again";
    session_refused(give(&to, &args, file, file_size, &e), LETHE_ALREADY_EXISTS, "labels", e);
    args.request_id = "0199a5b0-0000-7000-8000-000000000007";
    session_refused(give(&to, &args, file, file_size, &e), LETHE_ALREADY_EXISTS, "request_id", e);
}

void test_import_6_part_of_it_cannot_be_forgotten(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_request *r;
    struct lethe_forget_args args = {.classes = left.labels, .n_classes = 1};
    session_refused(lethe_forget(to.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "classes", e);
    task_import_as(&to, &left, "someone", "probe", TASK_CLASSES);
    args = (struct lethe_forget_args){.samples = "someone"};
    session_refused(lethe_forget(to.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "samples", e);
}

/* A later version is measured with test images that came in the meantime. */
void test_import_7_the_base_forgets_beneath_it(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT], text[1000];
    task_import_as(&to, &left, "left-check", "test", TASK_CLASSES);
    component(&to, "lane", "left", before);
    struct lethe_request *r = session_forget_class(&to, tiny_labels[2]);
    assert_non_null(strstr(r->evaluation, "lane:left"));
    lethe_free(r);
    component(&to, "lane", "left", after);
    assert_string_equal(before, after);
    lineage(&to, "router", "lane:left", text, sizeof text);
    assert_non_null(strstr(text, "file:left:"));
    assert_non_null(strstr(text, "trunk:carried-over:"));
    assert_true(accuracy(&to, &left) > 0.5);
    session_sound(&to);
    /* what leaves now is for this trunk only */
    struct lethe_error e;
    const struct lethe_component_args args = {.name = "fresh"};
    size_t size;
    unsigned char *bytes = export_lane(&to, "lane:left", &size);
    session_refused(give(&from, &args, bytes, size, &e), LETHE_FAILED_PRECONDITION, "trunk", e);
    free(bytes);
}

void test_import_8_it_is_forgotten_as_a_whole(void **state)
{
    (void)state;
    char digest[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    const struct lethe_forget_args forget = {.task = "left", .mode = LETHE_MODE_EXACT};
    session_forget(&to, &forget, id);
    lethe_free(session_wait(&to, id, "committed"));
    component(&to, "lane", "left", digest);
    assert_string_equal(digest, "");
    component(&to, "router", "lane:left", digest);
    assert_string_equal(digest, "");
    session_sound(&to);
    test_daemon_stop(&to.d);
    test_daemon_start(&to.d);
    session_connect(&to);
    session_sound(&to);
}

/* Another daemon: another name, and test images of its classes to measure it with. */
void test_import_9_under_another_name(void **state)
{
    (void)state;
    struct session other;
    struct lethe_error e;
    char here[LETHE_DIGEST_TEXT], there[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    session_new(&other, "eval_per_class = 40\n" SESSION_GATE SESSION_FAST);
    session_import(&other);
    task_import_as(&other, &left, "left-check", "test", TASK_CLASSES);
    const struct lethe_component_args args = {.kind = "lane", .name = "renamed"};
    struct lethe_request *r = import(&other, &args, "committed");
    assert_string_equal(r->task, "renamed");
    expect_verdicts(r, TASK_PER_CLASS);
    assert_non_null(strstr(r->evaluation, "lane:renamed"));
    lethe_free(r);
    component(&from, "lane", "left", there);
    component(&other, "lane", "renamed", here);
    assert_string_equal(here, there);
    same_answers(&from, &other, "all");
    /* destroyed without any test image of it, its labels stay forgotten */
    session_ok(lethe_data_remove(other.l, "left-check", &e), e);
    const struct lethe_forget_args forget = {.classes = left.labels, .n_classes = TASK_CLASSES};
    session_forget(&other, &forget, id);
    lethe_free(session_wait(&other, id, "committed"));
    const struct lethe_component_args again = {.name = "once-more"};
    session_refused(give(&other, &again, file, file_size, &e), LETHE_FAILED_PRECONDITION, "labels",
                    e);
    session_refused(give(&other, &args, file, file_size, &e), LETHE_ALREADY_EXISTS, "name", e);
    session_sound(&other);
    session_free(&other);
}
