/*
 * Certificates from a running daemon: an erasure gets one as JSON and as a page, lethe-verify
 * checks both with nothing else, the level rises when the old base is gone, and what is no erasure
 * that has ended gets none.
 */
#include "tests/support/session.h"
#include "tests/support/verify_call.h"

#include "daemon/base/sysio.h"

#include <jansson.h>

static struct session story;
static char erased[LETHE_ID_TEXT];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&story, "eval_per_class = 40\nshred_window_s = 3600\n" SESSION_GATE SESSION_FAST);
    session_import(&story);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&story);
    return 0;
}

static struct lethe_certificate *certificate(const char *id, bool html)
{
    struct lethe_error e;
    struct lethe_certificate *c;
    session_ok(lethe_certificate(story.l, id, html, &c, &e), e);
    return c;
}

/* What lethe-verify says of these bytes. */
static int verdict(const char *bytes, size_t n)
{
    static struct verify_call call;
    struct fault f = {0};
    struct lethe_error e;
    struct lethe_checkpoint *p;
    char path[600], key[600], command[1300];
    (void)snprintf(path, sizeof path, "%s/certificate", story.d.folder);
    (void)snprintf(key, sizeof key, "%s/log.vkey", story.d.folder);
    session_ok(lethe_checkpoint(story.l, &p, &e), e);
    assert_int_equal(sysio_write_file(key, p->key, strlen(p->key), &f), STATUS_OK);
    lethe_free(p);
    assert_int_equal(sysio_write_file(path, bytes, n, &f), STATUS_OK);
    (void)snprintf(command, sizeof command, "certificate %s --key %s", path, key);
    verify_call_set(&call, command);
    return verify_call_inside(&call);
}

static void assert_text(const json_t *doc, const char *part, const char *key, const char *is)
{
    const char *text = json_string_value(json_object_get(json_object_get(doc, part), key));
    assert_non_null(text);
    assert_string_equal(text, is);
}

/* Any changed byte, in the text, the marks or the proof, is noticed. */
static void assert_flips_noticed(const struct lethe_certificate *c)
{
    char *copy = malloc(c->bytes);
    assert_non_null(copy);
    memcpy(copy, c->text, c->bytes);
    for (size_t i = 0; i < 60; i++) {
        const size_t at = i * (c->bytes - 1) / 59;
        const char was = copy[at];
        copy[at] = (char)(was ^ 1 << i % 8);
        assert_int_not_equal(verdict(copy, c->bytes), 0);
        copy[at] = was;
    }
    char *word = memmem(copy, c->bytes, "committed", 9);
    assert_non_null(word);
    word[0] = 'k';
    assert_int_equal(verdict(copy, c->bytes), 1);
    free(copy);
}

void test_certificate_1_of_a_served_erasure(void **state)
{
    (void)state;
    struct lethe_request *r = session_forget_class(&story, tiny_labels[1]);
    (void)snprintf(erased, sizeof erased, "%s", r->id);
    lethe_free(r);
    struct lethe_certificate *c = certificate(erased, false);
    struct lethe_certificate *page = certificate(erased, true);
    struct lethe_certificate *again = certificate(erased, false);
    assert_string_equal(c->level, "L0");
    assert_int_equal(c->index, page->index);
    assert_int_equal(c->bytes, again->bytes);
    assert_memory_equal(c->text, again->text, c->bytes);
    assert_int_equal(verdict(c->text, c->bytes), 0);
    assert_int_equal(verdict(page->text, page->bytes), 0);
    assert_flips_noticed(c);
    assert_flips_noticed(page);
    json_t *doc = json_loadb(c->text, c->bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(doc);
    assert_text(doc, "request", "id", erased);
    assert_text(doc, "request", "outcome", "committed");
    assert_text(doc, "level", "reached", "L0");
    assert_text(doc, "keys", "shredding", "not begun");
    assert_text(doc, "copies", "declared_by_operator", "none declared");
    assert_text(doc, "copies", "known_base_folder", story.model);
    assert_true(json_array_size(json_object_get(doc, "tests")) > 3);
    json_decref(doc);
    assert_non_null(strstr(page->text, "NOT_RUN"));
    assert_null(strstr(page->text, "<script"));
    assert_null(strstr(page->text, "src="));
    assert_null(strstr(page->text, "http"));
    lethe_free(again);
    lethe_free(page);
    lethe_free(c);
    session_sound(&story);
}

void test_certificate_2_rises_with_a_sealing(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_vault *v;
    char moved[600];
    struct lethe_certificate *before = certificate(erased, false);
    session_ok(lethe_seal(story.l, &v, &e), e);
    lethe_free(v);
    /* the base folder is a copy of the old base: no more than L1 as long as it is there */
    struct lethe_certificate *c = certificate(erased, false);
    assert_string_equal(c->level, "L1");
    assert_true(c->index > before->index);
    lethe_free(c);
    (void)snprintf(moved, sizeof moved, "%s.moved", story.model);
    assert_int_equal(rename(story.model, moved), 0);
    c = certificate(erased, false);
    assert_int_equal(rename(moved, story.model), 0);
    assert_string_equal(c->level, "L2");
    assert_int_equal(verdict(c->text, c->bytes), 0);
    assert_int_equal(verdict(before->text, before->bytes), 0);
    json_t *doc = json_loadb(c->text, c->bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_text(doc, "keys", "shredding", "done");
    assert_true(json_is_integer(
        json_object_get(json_object_get(doc, "log"), "replaces_certificate_of_entry")));
    json_decref(doc);
    lethe_free(c);
    lethe_free(before);
    session_sound(&story);
}

void test_certificate_3_refusals(void **state)
{
    (void)state;
    struct lethe_error e;
    struct lethe_certificate *c;
    static const char UNKNOWN[] = "0199a5b0-0000-7000-8000-00000000abcd";
    session_refused(lethe_certificate(story.l, UNKNOWN, false, &c, &e), LETHE_NOT_FOUND, "id", e);
    session_refused(lethe_certificate(story.l, "no id", false, &c, &e), LETHE_INVALID_ARGUMENT,
                    "id", e);
    /* a measurement is no erasure */
    struct lethe_report *report;
    struct lethe_requests *list;
    session_ok(lethe_evaluate(story.l, "serving", false, &report, &e), e);
    lethe_free(report);
    session_ok(lethe_requests(story.l, NULL, 1, 0, &list, &e), e);
    assert_string_equal(list->items[0].kind, "evaluate");
    session_refused(lethe_certificate(story.l, list->items[0].id, false, &c, &e),
                    LETHE_FAILED_PRECONDITION, "id", e);
    lethe_free(list);
}

void test_certificate_4_of_a_rejected_request_says_so(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_certificate *c;
    char id[LETHE_ID_TEXT];
    session_new(&s, "memory_fraction = 1.0\nmax_attempts = 1\n[gate]\njs_drift = 0.000001 pass\n"
                    "[gslora]\nepochs = 1\n");
    session_import(&s);
    const struct lethe_forget_args args = {.classes = &tiny_labels[0], .n_classes = 1};
    session_forget(&s, &args, id);
    lethe_free(session_wait(&s, id, "rejected"));
    session_ok(lethe_certificate(s.l, id, false, &c, &e), e);
    assert_string_equal(c->level, "none");
    json_t *doc = json_loadb(c->text, c->bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_text(doc, "request", "outcome", "rejected");
    assert_text(doc, "level", "reachable", "none");
    json_decref(doc);
    lethe_free(c);
    session_sound(&s);
    session_free(&s);
}
