/*
 * An expert travels as a file: from the stream that made it into a stream of another daemon on the
 * same base, where it answers with the same bits, is recognised when its task comes, and is
 * forgotten as a whole.  Parts run in the order of their names.
 */
#include "tests/support/stream_session.h"

#include "daemon/base/sysio.h"
#include "daemon/jobs/component_file.h"

static struct session from, to;

static const struct feed first = {"first", 10, {"ten", "eleven", "twelve"}, 3, 60, 5};
static const struct feed second = {"second", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 60, 5};
static const struct feed again = {"again", 20, {"twenty", "twenty-one", "twenty-two"}, 3, 60, 6};
static const struct feed own = {"own", 30, {"thirty", "thirty-one", "thirty-two"}, 3, 60, 5};

/* Both streams have room for two experts. */
static const struct lethe_option options[] = {{"batch", "12"}, {"window", "16"},
                                              {"lr", "0.03"},  {"probe", "on"},
                                              {"rank", "4"},   {"experts_max", "2"}};
#define OPTIONS (sizeof options / sizeof options[0])

struct file {
    unsigned char *bytes;
    size_t size, used;
};

static struct file first_file, second_file;

/* ------------------------------------------------------------------ files */

static bool keep_bytes(void *context, const void *bytes, size_t size)
{
    struct file *d = context;
    assert_true(size <= d->size - d->used);
    memcpy(d->bytes + d->used, bytes, size);
    d->used += size;
    return true;
}

static struct file export_expert(struct session *s, const char *component)
{
    struct lethe_error e = {0};
    struct lethe_export *x;
    session_ok(lethe_component_export(s->l, "serving", component, &x, &e), e);
    struct file d = {.bytes = malloc(x->files[0].bytes), .size = x->files[0].bytes};
    session_ok(lethe_blob(s->l, &x->files[0], keep_bytes, &d, &e), e);
    assert_int_equal(d.used, d.size);
    lethe_free(x);
    return d;
}

static enum lethe_code give(struct session *s,
                            const char *name,
                            const struct file *file,
                            struct lethe_request **ret,
                            struct lethe_error *e)
{
    const struct lethe_component_args args = {
        .name = name, .bytes = file->bytes, .size = file->size};
    *ret = NULL;
    return lethe_component_import(s->l, &args, ret, e);
}

static struct lethe_request *import(struct session *s, const char *name, const struct file *file)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(give(s, name, file, &r, &e), e);
    return stream_wait(s, r, "committed");
}

static void
refused(struct session *s, const char *name, const struct file *file, int code, const char *field)
{
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    struct lethe_error e;
    struct lethe_request *r;
    session_serving(s, before);
    session_refused(give(s, name, file, &r, &e), (enum lethe_code)code, field, e);
    lethe_free(r);
    session_serving(s, after);
    assert_string_equal(before, after);
}

static int has_lineage(struct session *s, const char *kind, const char *name, const char *text)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    int found = 0;
    session_ok(lethe_show(s->l, "serving", &v, &e), e);
    for (size_t i = 0; i < v->n_components; i++) {
        const struct lethe_component *c = &v->components[i];
        for (size_t k = 0;
             strcmp(c->kind, kind) == 0 && strcmp(c->name, name) == 0 && k < c->n_lineage; k++)
            found |= strncmp(c->lineage[k], text, strlen(text)) == 0;
    }
    lethe_free(v);
    return found;
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&from, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(&from);
    feed_import(&from, &first);
    feed_import(&from, &second);
    stream_open_with(&from, "cam", NULL, options, OPTIONS);
    lethe_free(stream_push(&from, "cam", &first, NULL));
    lethe_free(stream_push(&from, "cam", &second, NULL));
    stream_label_is(&from, "twenty", "expert:cam.1 active");
    first_file = export_expert(&from, "expert:cam.0");
    second_file = export_expert(&from, "expert:cam.1");
    session_new(&to, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(&to);
    feed_import(&to, &own);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    free(first_file.bytes);
    free(second_file.bytes);
    session_free(&from);
    session_free(&to);
    return 0;
}

/* ------------------------------------------------------------------ the story */

/* The file with something changed, its own digests right again. */
static struct file rewritten(void (*change)(struct component_file *c))
{
    struct component_file c;
    struct file file = {.bytes = NULL};
    struct fault f = {0};
    assert_int_equal(component_file_read(second_file.bytes, second_file.size, NULL, &c, &f), 0);
    change(&c);
    assert_int_equal(component_file_write(&c, &file.bytes, &file.size, &f), STATUS_OK);
    return file;
}

static void on_another_base(struct component_file *c)
{
    c->place.base.b[0] ^= 1;
}

static void without_terms(struct component_file *c)
{
    c->router = NULL;
}

static void cut_short(struct component_file *c)
{
    c->size -= 4;
}

void test_travel_1_it_needs_a_stream_with_its_settings(void **state)
{
    (void)state;
    static const struct lethe_option other[] = {{"batch", "12"}, {"window", "16"},
                                                {"lr", "0.02"},  {"probe", "on"},
                                                {"rank", "4"},   {"experts_max", "2"}};
    refused(&to, NULL, &second_file, LETHE_NOT_FOUND, "name");
    stream_open_with(&to, "other", NULL, other, OPTIONS);
    refused(&to, "other", &second_file, LETHE_FAILED_PRECONDITION, "options");
    stream_close(&to, "other");
    refused(&to, "other", &second_file, LETHE_FAILED_PRECONDITION, "name");
}

void test_travel_2_files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct component_file *c);
        int code;
        const char *field;
    } rows[] = {{on_another_base, LETHE_FAILED_PRECONDITION, "base"},
                {without_terms, LETHE_INVALID_ARGUMENT, "router"},
                {cut_short, LETHE_INVALID_ARGUMENT, "buffer"}};
    stream_open_with(&to, "cam", NULL, options, OPTIONS);
    lethe_free(stream_push(&to, "cam", &own, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct file file = rewritten(rows[i].change);
        refused(&to, NULL, &file, rows[i].code, rows[i].field);
        sysio_free(file.bytes);
    }
}

/* Same bits for its classes; the other expert keeps its bytes. */
void test_travel_3_it_answers_as_it_did(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT];
    stream_component(&to, "expert", "cam.0", before);
    struct lethe_request *r = import(&to, NULL, &second_file);
    assert_string_equal(r->kind, "import");
    assert_non_null(strstr(r->evaluation, "expert:cam.1"));
    lethe_free(r);
    stream_component(&to, "expert", "cam.0", after);
    assert_string_equal(before, after);
    stream_label_is(&to, "twenty", "expert:cam.1 active");
    stream_label_is(&to, "thirty", "expert:cam.0 active");
    assert_true(has_lineage(&to, "expert", "cam.1", "file:cam.1:"));
    assert_true(has_lineage(&to, "router", "expert:cam.1", "file:cam.1:"));
    assert_true(has_lineage(&to, "stream", "cam", "file:cam.1:"));
    assert_false(has_lineage(&to, "expert", "cam.1", "dataset:"));
    for (uint32_t i = 0; i < 6; i++) {
        struct lethe_predictions *p = stream_predict(&from, "stream:cam", "raw", 20 + i % 3, i);
        struct lethe_predictions *q = stream_predict(&to, "stream:cam", "raw", 20 + i % 3, i);
        assert_int_equal(p->items[0].n_logits, 6);
        assert_int_equal(q->items[0].n_logits, 6);
        assert_memory_equal(p->items[0].logits + 3, q->items[0].logits + 3, 3 * sizeof(float));
        lethe_free(p);
        lethe_free(q);
    }
    assert_true(stream_accuracy(&to, "all", "routed", &second) > 0.8);
    assert_true(stream_accuracy(&to, "all", "routed", &own) > 0.8);
    session_sound(&to);
}

void test_travel_4_what_is_there_is_refused(void **state)
{
    (void)state;
    refused(&to, NULL, &second_file, LETHE_ALREADY_EXISTS, "labels");
    refused(&to, NULL, &first_file, LETHE_RESOURCE_EXHAUSTED, "experts_max");
}

void test_travel_5_a_part_of_it_cannot_be_forgotten(void **state)
{
    (void)state;
    static const char *const label = "twenty";
    struct lethe_error e;
    struct lethe_request *r;
    const struct lethe_forget_args args = {.classes = &label, .n_classes = 1};
    session_refused(lethe_forget(to.l, &args, &r, &e), LETHE_FAILED_PRECONDITION, "classes", e);
}

/* Its task comes: it is recognised and goes on learning, and its router terms with it. */
void test_travel_6_it_goes_on_learning(void **state)
{
    (void)state;
    char terms[LETHE_DIGEST_TEXT], more[LETHE_DIGEST_TEXT];
    stream_component(&to, "router", "expert:cam.1", terms);
    feed_import(&to, &again);
    struct lethe_request *r = stream_push(&to, "cam", &again, NULL);
    json_t *stream = stream_report(r);
    assert_string_equal(stream_text(stream, "expert"), "cam.1");
    assert_int_equal(stream_count(stream, "experts"), 2);
    json_decref(stream);
    lethe_free(r);
    stream_component(&to, "router", "expert:cam.1", more);
    assert_string_not_equal(terms, more);
    assert_true(has_lineage(&to, "expert", "cam.1", "file:cam.1:"));
    assert_true(has_lineage(&to, "expert", "cam.1", "dataset:again:"));
    assert_true(stream_accuracy(&to, "all", "routed", &second) > 0.8);
    assert_true(stream_accuracy(&to, "all", "routed", &own) > 0.8);
    session_sound(&to);
}

/* The base forgets beneath it: it stays, with a new window, and its terms are carried over. */
void test_travel_7_the_base_forgets_beneath_it(void **state)
{
    (void)state;
    lethe_free(session_forget_class(&to, tiny_labels[2]));
    assert_true(has_lineage(&to, "router", "expert:cam.1", "trunk:carried-over:"));
    assert_true(has_lineage(&to, "expert", "cam.1", "file:cam.1:"));
    assert_true(stream_accuracy(&to, "stream:cam", "raw", &second) > 0.5);
    session_sound(&to);
    refused(&to, NULL, &first_file, LETHE_FAILED_PRECONDITION, "trunk");
}

void test_travel_8_it_is_forgotten_as_a_whole(void **state)
{
    (void)state;
    char before[LETHE_DIGEST_TEXT], after[LETHE_DIGEST_TEXT], id[LETHE_ID_TEXT];
    stream_component(&to, "expert", "cam.0", before);
    const struct lethe_forget_args forget = {.classes = second.labels, .n_classes = 3};
    session_forget(&to, &forget, id);
    lethe_free(session_wait(&to, id, "committed"));
    stream_component(&to, "expert", "cam.1", after);
    assert_string_equal(after, "");
    stream_component(&to, "router", "expert:cam.1", after);
    assert_string_equal(after, "");
    stream_component(&to, "expert", "cam.0", after);
    assert_string_equal(before, after);
    stream_label_is(&to, "twenty", "expert:cam.1 forgotten");
    test_daemon_stop(&to.d);
    test_daemon_start(&to.d);
    session_connect(&to);
    session_sound(&to);
}

/* Forgotten labels stay forgotten, and a stream without experts takes one as its first. */
void test_travel_9_in_a_stream_without_experts(void **state)
{
    (void)state;
    struct session empty;
    char id[LETHE_ID_TEXT];
    session_new(&empty, "eval_per_class = 20\n" SESSION_GATE SESSION_FAST);
    session_import(&empty);
    stream_open_with(&empty, "tv", NULL, options, OPTIONS);
    lethe_free(import(&empty, "tv", &second_file));
    stream_label_is(&empty, "twenty", "expert:tv.0 active");
    assert_true(stream_accuracy(&empty, "all", "routed", &second) > 0.8);
    const struct lethe_forget_args forget = {.task = "tv.0"};
    session_forget(&empty, &forget, id);
    lethe_free(session_wait(&empty, id, "committed"));
    refused(&empty, "tv", &second_file, LETHE_FAILED_PRECONDITION, "labels");
    lethe_free(import(&empty, "tv", &first_file));
    stream_label_is(&empty, "ten", "expert:tv.1 active");
    session_sound(&empty);
    session_free(&empty);
}
