#include "daemon/jobs/certificate_facts.h"

#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/wire_view.h"
#include "storage/store/certificates.h"
#include "storage/store/log_requests.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- log */

static void note_version(struct certificate_facts *x, const struct log_entry *e)
{
    struct request_id id;
    struct digest d;
    char word[LOG_WORD_SIZE];
    if (!log_entry_request(e, "request", &id) || memcmp(&id, &x->record.id, sizeof id) != 0)
        return;
    if (log_entry_word(e, "method", word))
        (void)snprintf(x->method, sizeof x->method, "%.31s", word);
    if (log_entry_digest(e, "parameters", &d))
        digest_format(&d, x->parameters);
}

static void note_entry(struct certificate_facts *x, const struct log_entry *e, uint64_t index)
{
    struct digest to;
    if (e->kind == LOG_KIND_VERSION_COMMITTED) {
        note_version(x, e);
    } else if (e->kind == LOG_KIND_SERVING_MOVED) {
        if (x->served == 0 && log_entry_digest(e, "to", &to) &&
            digest_equal(&to, &x->record.version_after))
            x->served = index + 1;
    } else if (e->kind == LOG_KIND_VERSION_SEALED) {
        if (x->sealed == 0 && index > x->done)
            x->sealed = index + 1;
    } else if (e->kind == LOG_KIND_SHRED_BEGIN) {
        x->shredding = x->sealed > 0; /* one that began before the sealing does not count */
    } else if (e->kind == LOG_KIND_SHRED_DONE && x->shredded == 0 && x->shredding) {
        x->shredded = index + 1;
        (void)log_entry_number(e, "epoch", &x->epoch);
    }
}

/* Most entries are of kinds that say nothing here; they are not parsed. */
static int matters(const struct kv_bytes *entry)
{
    static const char *const FIRST[] = {"lethe-log/v1 version.", "lethe-log/v1 serving.",
                                        "lethe-log/v1 shred."};
    for (size_t i = 0; i < sizeof FIRST / sizeof *FIRST; i++) {
        const size_t n = strlen(FIRST[i]);
        if (entry->size > n && memcmp(entry->data, FIRST[i], n) == 0)
            return 1;
    }
    return 0;
}

static enum status read_log(struct kv_txn *txn, struct certificate_facts *x, struct fault *f)
{
    struct log_request known;
    struct audit_head head;
    struct sha256 root;
    struct certificate_record old;
    struct log_entry e;
    TRY(log_request_get(txn, &x->record.id, &known, f));
    TRY(audit_head_get(txn, &head, f));
    if (known.accepted == 0 || known.done == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is older than the log");
    x->accepted = known.accepted - 1;
    x->done = known.done - 1;
    x->log_size = head.range.size;
    TRY(audit_root_at(txn, x->log_size, &root, f));
    memcpy(x->log_root.b, root.b, sizeof x->log_root.b);
    for (uint64_t i = x->accepted; i < x->log_size; i++) {
        struct kv_bytes entry = {0};
        TRY(audit_entry(txn, i, &entry, f));
        if (!matters(&entry))
            continue;
        TRY(log_entry_parse(entry.data, entry.size, &e, f));
        note_entry(x, &e, i);
    }
    const enum status st = certificate_record_get(txn, &x->record.id, &old, f);
    if (st == STATUS_OK)
        x->previous = old.index + 1;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* ---------------------------------------------------------------- versions */

static enum status content_there(struct kv_txn *txn,
                                 const struct version_component *c,
                                 int *ret_there,
                                 struct fault *f)
{
    struct blob_info info;
    const enum status st = blob_stat(txn, &c->blob, &info, f);
    *ret_there = st == STATUS_OK && !info.destroyed;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static int names_blob(const struct version *v, const struct digest *blob)
{
    for (size_t i = 0; i < v->n_components; i++)
        if (digest_equal(&v->components[i].blob, blob))
            return 1;
    return 0;
}

static int descends_from(const struct version *v, const struct digest *blob)
{
    for (size_t i = 0; i < v->n_components; i++)
        for (size_t k = 0; k < v->components[i].n_lineage; k++)
            if (digest_equal(&v->components[i].lineage[k].digest, blob))
                return 1;
    return 0;
}

/* A version from before the erasure, beside the one that serves. */
static enum status look_at(struct kv_txn *txn,
                           const struct version *old,
                           const struct version *serving,
                           struct certificate_facts *x,
                           struct fault *f)
{
    int whole = 1;
    for (size_t i = 0; i < old->n_components; i++) {
        const struct version_component *c = &old->components[i];
        int there = 0;
        TRY(content_there(txn, c, &there, f));
        const int shared = names_blob(serving, &c->blob);
        whole &= there;
        x->ladder.parts += there && !shared ? 1 : 0;
        if (!shared && descends_from(serving, &c->blob))
            x->ladder.isolated = 0;
    }
    x->ladder.readable += whole ? 1 : 0;
    return STATUS_OK;
}

static enum status look_back(struct kv_txn *txn,
                             const struct version *serving,
                             struct certificate_facts *x,
                             struct fault *f)
{
    uint64_t latest = 0;
    TRY(version_latest(txn, &latest, f));
    for (uint64_t n = 1; n <= latest; n++) {
        struct digest digest = {0};
        struct version *v = NULL;
        TRY(version_by_number(txn, n, &digest, f));
        TRY(version_get(txn, &digest, &v, f));
        const enum status st =
            version_honours(v, &x->record.id) ? STATUS_OK : look_at(txn, v, serving, x, f);
        version_free(v);
        TRY(st);
    }
    return STATUS_OK;
}

static enum status read_versions(struct kv_txn *txn, struct certificate_facts *x, struct fault *f)
{
    struct serving s;
    struct version *v = NULL;
    char name[REQUEST_ID_TEXT_SIZE];
    if (!x->ladder.committed)
        return STATUS_OK;
    request_id_format(&x->record.id, name);
    TRY(serving_get(txn, &s, f));
    TRY(version_get(txn, &s.version, &v, f));
    const int delta = version_find_component(v, VERSION_KIND_ERASURE, name) != NULL;
    const int folded = version_folded(v, name) != NULL;
    x->ladder.honoured = version_honours(v, &x->record.id);
    x->ladder.in_base = delta || folded;
    x->ladder.folded = folded;
    x->ladder.isolated = 1;
    const enum status st = look_back(txn, v, x, f);
    version_free(v);
    return st;
}

/* ---------------------------------------------------------------- report */

/* Whether the named check is there and passed. */
static int passed(const json_t *report, const char *name)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(report, "checks"), i, c)
    {
        const char *is = json_string_value(json_object_get(c, "name"));
        const char *verdict = json_string_value(json_object_get(c, "verdict"));
        if (is && verdict && strcmp(is, name) == 0)
            return strcmp(verdict, "PASS") == 0;
    }
    return 0;
}

static enum status read_report(struct certificate_facts *x, struct fault *f)
{
    const struct wire_bytes *text = &x->request.evaluation;
    if (text->size == 0)
        return STATUS_OK;
    x->report = json_loadb((const char *)text->at, text->size, JSON_REJECT_DUPLICATES, NULL);
    if (!x->report)
        FAIL(f, STATUS_DATA_LOSS, "evaluation", "the report of the request is damaged");
    x->ladder.ncm = passed(x->report, "prototype_gap");
    x->ladder.ridge = passed(x->report, "ridge_gap");
    x->ladder.membership = passed(x->report, "mia_forget");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- all of it */

static void read_copies(const struct core *core, struct certificate_facts *x)
{
    struct stat info;
    x->declared = core->config->declared_copies;
    if (core->config->base[0] && stat(core->config->base, &info) == 0)
        (void)snprintf(x->base_folder, sizeof x->base_folder, "%s", core->config->base);
    x->ladder.copies = x->declared[0] ? 1 : 0;
    x->ladder.copies += x->base_folder[0] ? 1 : 0;
}

enum status certificate_facts_read(struct core *core,
                                   struct kv_txn *txn,
                                   const struct request_id *id,
                                   struct arena *arena,
                                   struct certificate_facts *x,
                                   struct fault *f)
{
    struct vault_state vault;
    TRY(queue_get(txn, id, &x->record, f));
    if (strcmp(x->record.kind, JOB_TEXT_KIND_FORGET) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "a certificate is of an erasure, this is a %s",
             x->record.kind);
    if (!request_state_is_final(x->record.state))
        FAIL(f, STATUS_FAILED_PRECONDITION, "id", "the request is %s: it has not ended yet",
             request_state_name(x->record.state));
    TRY(wire_view_request(txn, &x->record, WIRE_VIEW_FULL, arena, &x->request, f));
    /* a dry run ends well, and changes nothing */
    x->ladder.committed = x->record.state == REQUEST_COMMITTED && !x->request.dry_run;
    TRY(read_report(x, f));
    TRY(read_log(txn, x, f));
    TRY(read_versions(txn, x, f));
    TRY(vault_state(txn, &vault, f));
    x->key_store = vault.backend;
    x->ladder.shredded = x->shredded > 0;
    read_copies(core, x);
    x->assurance = assurance_judge(&x->ladder);
    return STATUS_OK;
}

void certificate_facts_fini(struct certificate_facts *x)
{
    json_decref(x->report);
    x->report = NULL;
}
