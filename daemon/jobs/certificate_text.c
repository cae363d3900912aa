#include "daemon/jobs/certificate_text.h"

#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"
#include "proto/seal/certificate.h"
#include "proto/seal/hash.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS 10

/* jansson's setters refuse NULL; `ok` remembers. */
struct builder {
    int ok;
};

static void set(struct builder *b, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        b->ok = 0;
}

static void append(struct builder *b, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0)
        b->ok = 0;
}

static json_t *whole(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* An entry noted as 1 + its index. */
static json_t *entry_or_null(uint64_t entry)
{
    return entry ? whole(entry - 1) : json_null();
}

static json_t *hex(const struct digest *d)
{
    char text[DIGEST_TEXT_SIZE];
    if (digest_is_zero(d))
        return json_null();
    digest_format(d, text);
    return json_string(text);
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

/* ---------------------------------------------------------------- parts */

static json_t *of_request(struct builder *b, const struct certificate_facts *x)
{
    char id[REQUEST_ID_TEXT_SIZE];
    json_t *o = json_object(), *classes = json_array();
    request_id_format(&x->record.id, id);
    for (size_t i = 0; i < x->request.n_classes; i++)
        append(b, classes, json_string(x->request.classes[i]));
    set(b, o, "id", json_string(id));
    set(b, o, "kind", json_string(x->record.kind));
    set(b, o, "outcome", json_string(request_state_name(x->record.state)));
    set(b, o, "reason", text_or_null(x->record.error.text));
    set(b, o, "dry_run", json_boolean(x->request.dry_run));
    set(b, o, "classes", classes);
    set(b, o, "task", text_or_null(x->request.task));
    set(b, o, "probe", text_or_null(x->request.probe));
    set(b, o, "accepted_entry", whole(x->accepted));
    set(b, o, "ended_entry", whole(x->done));
    return o;
}

static json_t *of_procedure(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    set(b, o, "service", json_string("lethe " LETHE_VERSION));
    set(b, o, "method", text_or_null(x->method));
    set(b, o, "parameters", text_or_null(x->parameters));
    set(b, o, "version_before", hex(&x->record.version_before));
    set(b, o, "version_after", hex(&x->record.version_after));
    set(b, o, "served_since_entry", entry_or_null(x->served));
    set(b, o, "attempts", whole(x->record.attempts));
    return o;
}

static json_t *of_level(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    const struct assurance *a = &x->assurance;
    set(b, o, "reached", json_string(assurance_name(a->reached)));
    set(b, o, "meaning", json_string(assurance_text(a->reached)));
    set(b, o, "reachable", json_string(assurance_name(a->reachable)));
    return o;
}

static json_t *of_ladder(struct builder *b, const struct certificate_facts *x)
{
    json_t *list = json_array();
    for (int k = ASSURANCE_L0; k < ASSURANCE_LEVELS; k++) {
        json_t *o = json_object(), *why = json_array();
        for (size_t i = 0; i < x->assurance.level[k].n; i++)
            append(b, why, json_string(x->assurance.level[k].why[i]));
        set(b, o, "level", json_string(assurance_name((enum assurance_level)k)));
        set(b, o, "requirements_met", json_boolean(x->assurance.level[k].n == 0));
        set(b, o, "missing", why);
        append(b, list, o);
    }
    return list;
}

static json_t *copy_of(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return v ? json_incref(v) : json_null();
}

static json_t *of_tests(struct builder *b, const struct certificate_facts *x)
{
    static const char *const KEYS[] = {"name",  "value",     "lo",   "hi",     "n",
                                       "limit", "direction", "rule", "verdict"};
    size_t i;
    json_t *check, *list = json_array(), *relearn = json_object();
    json_array_foreach(json_object_get(x->report, "checks"), i, check)
    {
        json_t *o = json_object();
        for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++)
            set(b, o, KEYS[k], copy_of(check, KEYS[k]));
        append(b, list, o);
    }
    for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++)
        set(b, relearn, KEYS[k], json_null());
    set(b, relearn, "name", json_string("relearn_steps"));
    set(b, relearn, "verdict", json_string("NOT_RUN"));
    append(b, list, relearn);
    return list;
}

static json_t *of_reversal(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    set(b, o, "test", json_string("accuracy on what was erased with the adapter left out"));
    set(b, o, "accuracy", copy_of(x->report, "ablation"));
    set(b, o, "accuracy_as_served", copy_of(x->report, "acc_forget"));
    set(b, o, "accuracy_before", copy_of(x->report, "acc_forget_before"));
    return o;
}

static json_t *of_keys(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    const char *state = x->shredded ? "done" : x->sealed ? "pending" : "not begun";
    set(b, o, "key_store", json_string(x->key_store));
    set(b, o, "deletion", json_string("logical"));
    set(b, o, "sealed_entry", entry_or_null(x->sealed));
    set(b, o, "shredding", json_string(state));
    set(b, o, "epoch", x->shredded ? whole(x->epoch) : json_null());
    set(b, o, "shredded_entry", entry_or_null(x->shredded));
    return o;
}

static json_t *of_copies(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    set(b, o, "declared_by_operator", json_string(x->declared[0] ? x->declared : "none declared"));
    set(b, o, "known_base_folder", text_or_null(x->base_folder));
    set(b, o, "readable_versions_without_the_erasure", whole(x->ladder.readable));
    set(b, o, "note",
        json_string("This service keeps no record of exports; until it is started again, the "
                    "memory of its process may hold the base from before a sealing."));
    return o;
}

static json_t *of_claims(struct builder *b)
{
    static const char *const TEXTS[] = {
        "This record shows that the stated procedure was run and what the listed tests found.",
        "It does not prove that no information about the subject remains in the parameters.",
        "It draws no legal conclusion.",
        "Tests of populations overstate privacy; single items may fare worse.",
        "Every later change is followed by a re-check as far as probes were kept; see the log.",
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        append(b, list, json_string(TEXTS[i]));
    return list;
}

static json_t *of_log(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    set(b, o, "size_before_this_entry", whole(x->log_size));
    set(b, o, "root_sha256", hex(&x->log_root));
    set(b, o, "replaces_certificate_of_entry", entry_or_null(x->previous));
    set(b, o, "check_with", json_string("lethe-verify certificate FILE --key VKEY"));
    return o;
}

static json_t *document(struct builder *b, const struct certificate_facts *x)
{
    json_t *o = json_object();
    set(b, o, "format", json_string("lethe-certificate/v1"));
    set(b, o, "request", of_request(b, x));
    set(b, o, "procedure", of_procedure(b, x));
    set(b, o, "level", of_level(b, x));
    set(b, o, "ladder", of_ladder(b, x));
    set(b, o, "tests", of_tests(b, x));
    set(b, o, "reversal", of_reversal(b, x));
    set(b, o, "keys", of_keys(b, x));
    set(b, o, "copies", of_copies(b, x));
    set(b, o, "not_claimed", of_claims(b));
    return o;
}

/* ---------------------------------------------------------------- texts */

static char *dump(const json_t *o)
{
    return json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS));
}

static enum status make_page(const json_t *o, struct certificate_texts *t, struct fault *f)
{
    struct byte_writer count = byte_writer_make(NULL, SIZE_MAX);
    certificate_page_put(&count, o);
    t->html = sysio_alloc(count.used + 1, 1);
    if (!t->html)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a certificate");
    struct byte_writer w = byte_writer_make(t->html, count.used + 1);
    certificate_page_put(&w, o);
    t->html_size = w.used;
    return STATUS_OK;
}

static enum status make(json_t *o,
                        struct builder *b,
                        const struct certificate_facts *x,
                        struct certificate_texts *t,
                        struct fault *f)
{
    char *plain = dump(o);
    if (!plain || !b->ok) {
        free(plain);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a certificate");
    }
    t->state = seal_hash(plain, strlen(plain));
    free(plain);
    set(b, o, "log", of_log(b, x));
    set(b, o, "proof", json_string(CERTIFICATE_SLOT));
    t->json = dump(o);
    if (!t->json || !b->ok)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a certificate");
    return make_page(o, t, f);
}

enum status certificate_text_make(const struct certificate_facts *x,
                                  struct certificate_texts *ret_texts,
                                  struct fault *f)
{
    struct builder b = {1};
    struct certificate_texts t = {.json = NULL};
    json_t *o = document(&b, x);
    const enum status st = make(o, &b, x, &t, f);
    json_decref(o);
    if (st != STATUS_OK) {
        certificate_text_free(&t);
        return st;
    }
    *ret_texts = t;
    return STATUS_OK;
}

void certificate_text_free(struct certificate_texts *t)
{
    free(t->json);
    sysio_free(t->html);
}
