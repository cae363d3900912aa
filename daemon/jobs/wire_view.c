#include "daemon/jobs/wire_view.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "proto/limits.h"

static enum status no_room(struct fault *f)
{
    FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the answer is too large");
}

const char *wire_view_text(struct arena *a, const char *text)
{
    const size_t n = strlen(text) + 1;
    char *copy = arena_alloc(a, n, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

static enum status view_text(struct arena *a, const char *text, const char **ret, struct fault *f)
{
    *ret = wire_view_text(a, text);
    return *ret ? STATUS_OK : no_room(f);
}

/* A stored document, verified, copied into the arena; a zero digest is an empty one. */
static enum status view_document(struct kv_txn *txn,
                                 const struct digest *digest,
                                 struct arena *a,
                                 struct wire_bytes *ret_bytes,
                                 struct fault *f)
{
    *ret_bytes = (struct wire_bytes){NULL, 0};
    if (digest_is_zero(digest))
        return STATUS_OK;
    void *bytes;
    size_t size;
    TRY(blob_load(txn, digest, LIMIT_REPORT_BYTES, &bytes, &size, f));
    uint8_t *copy = arena_alloc(a, size + 1, 1);
    if (copy)
        memcpy(copy, bytes, size);
    sysio_free(bytes);
    *ret_bytes = (struct wire_bytes){copy, size};
    return copy ? STATUS_OK : no_room(f);
}

/* ---------------------------------------------------------------- requests */

static const char *probe_name(enum wire_probe probe)
{
    static const char *const names[] = {"default", "keep", "resubmit", "substitute", "none"};
    return (unsigned)probe < sizeof names / sizeof names[0] ? names[probe] : "default";
}

/* What was asked, from the request's own payload. */
static enum status view_payload(struct kv_txn *txn,
                                const struct queue_record *record,
                                struct arena *a,
                                struct wire_request *r,
                                struct fault *f)
{
    void *bytes;
    size_t size;
    const struct wire_envelope *m;
    TRY(queue_payload(txn, record, &bytes, &size, f));
    const enum status st = wire_envelope_decode(bytes, size, a, &m, f);
    sysio_free(bytes);
    TRY(st);
    if (m->kind == WIRE_KIND_LEARN) {
        r->task = m->body.learn.task;
        r->ticket = m->body.learn.ticket;
        r->dry_run = m->body.learn.dry_run;
    }
    if (m->kind == WIRE_KIND_IMPORT) {
        r->task = m->body.import.name;
        r->dry_run = m->body.import.dry_run;
    }
    if (m->kind == WIRE_KIND_STREAM_OPEN) {
        r->task = m->body.stream_open.name;
        r->ticket = m->body.stream_open.ticket;
    }
    if (m->kind == WIRE_KIND_STREAM_PUSH) {
        r->task = m->body.stream_push.name;
        r->ticket = m->body.stream_push.ticket;
        r->dry_run = m->body.stream_push.dry_run;
    }
    if (m->kind == WIRE_KIND_STREAM_CLOSE)
        r->task = m->body.by_name.name;
    if (m->kind != WIRE_KIND_FORGET)
        return STATUS_OK;
    r->task = m->body.forget.task;
    r->classes = m->body.forget.classes;
    r->n_classes = m->body.forget.n_classes;
    r->ticket = m->body.forget.ticket;
    r->probe = probe_name(m->body.forget.probe);
    r->dry_run = m->body.forget.dry_run;
    return STATUS_OK;
}

/* What a second person wrote who denied it, kept as the request's answer; "": nothing. */
static enum status view_word(struct kv_txn *txn,
                             const struct queue_record *record,
                             struct arena *a,
                             const char **ret_text,
                             struct fault *f)
{
    void *bytes;
    size_t size;
    const enum status st = queue_answer(txn, record, &bytes, &size, f);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    char *copy = size <= LIMIT_STRING_BYTES ? arena_alloc(a, size + 1, 1) : NULL;
    if (copy) {
        memcpy(copy, bytes, size);
        copy[size] = '\0';
        *ret_text = copy;
    }
    sysio_free(bytes);
    return copy ? STATUS_OK : no_room(f);
}

/* A cancelled, denied or duplicate request has a reason; the others an error, if anything. */
static enum status view_error(struct kv_txn *txn,
                              const struct queue_record *record,
                              struct arena *a,
                              struct wire_request *r,
                              struct fault *f)
{
    const struct queue_error *e = &record->error;
    r->reason = "";
    if (record->state == REQUEST_DUPLICATE) {
        char id[REQUEST_ID_TEXT_SIZE];
        request_id_format(&record->duplicate_of, id);
        return view_text(a, id, &r->reason, f);
    }
    if (e->code == STATUS_OK)
        return STATUS_OK;
    TRY(view_text(a, e->text, &r->reason, f));
    if (record->state == REQUEST_CANCELLED)
        return STATUS_OK;
    struct wire_error *error = arena_alloc_zero(a, 1, sizeof *error);
    if (!error)
        return no_room(f);
    error->code = status_wire_name(e->code);
    error->status = (int32_t)e->code;
    error->text = r->reason;
    r->error = error;
    if (record->state == REQUEST_DENIED)
        TRY(view_word(txn, record, a, &r->reason, f));
    return view_text(a, e->field, &error->field, f);
}

/* The principal is ROLE/NAME. */
static enum status view_role(const struct queue_record *record,
                             struct arena *a,
                             struct wire_request *r,
                             struct fault *f)
{
    char role[QUEUE_PRINCIPAL_SIZE];
    memcpy(role, record->principal, sizeof role);
    role[strcspn(role, "/")] = '\0';
    return view_text(a, role, &r->role, f);
}

enum status wire_view_request(struct kv_txn *txn,
                              const struct queue_record *record,
                              enum wire_view_detail detail,
                              struct arena *a,
                              struct wire_request *ret_request,
                              struct fault *f)
{
    struct wire_request r = {.id = record->id,
                             .state = request_state_name(record->state),
                             .submitted_at = record->submitted_us,
                             .due_at = record->due_us,
                             .finished_at = record->finished_us,
                             .version_before = record->version_before,
                             .version_after = record->version_after,
                             .seed = record->seed,
                             .attempts = record->attempts,
                             .sequence = record->sequence,
                             .started_at = record->started_us};
    TRY(view_text(a, record->kind, &r.kind, f));
    TRY(view_role(record, a, &r, f));
    TRY(view_payload(txn, record, a, &r, f));
    TRY(view_error(txn, record, a, &r, f));
    if (detail == WIRE_VIEW_FULL)
        TRY(view_document(txn, &record->report, a, &r.evaluation, f));
    *ret_request = r;
    return STATUS_OK;
}

struct wire_progress wire_view_progress(const struct job_progress *p, uint32_t attempt)
{
    return (struct wire_progress){.phase = p->phase,
                                  .epoch = p->epoch,
                                  .epochs = p->epochs,
                                  .step = p->step,
                                  .steps = p->steps,
                                  .loss = p->loss,
                                  .loss_retain = p->loss_retain,
                                  .loss_forget = p->loss_forget,
                                  .loss_depth = p->loss_depth,
                                  .acc_forget = p->acc_forget,
                                  .acc_retain = p->acc_retain,
                                  .acc_valid = p->acc_valid,
                                  .group_norms = p->group_norms,
                                  .n_group_norms = p->n_groups,
                                  .seconds_left = p->seconds_left,
                                  .attempt = attempt};
}

/* ---------------------------------------------------------------- versions */

enum status wire_view_labels(const struct version_label *labels,
                             size_t n,
                             struct arena *a,
                             const struct wire_label_info **ret_labels,
                             struct fault *f)
{
    struct wire_label_info *list = arena_alloc_zero(a, n + 1, sizeof *list);
    if (!list)
        return no_room(f);
    for (size_t i = 0; i < n; i++) {
        TRY(view_text(a, labels[i].name, &list[i].name, f));
        TRY(view_text(a, labels[i].owner, &list[i].owner, f));
        list[i].status = labels[i].status == VERSION_LABEL_ACTIVE ? "active" : "forgotten";
        list[i].forgotten_by = labels[i].forgotten_by;
    }
    *ret_labels = list;
    return STATUS_OK;
}

/* "kind:name:digest", the digest cut to 16 digits as people cite it. */
static enum status view_lineage(const struct version_lineage *l,
                                struct arena *a,
                                const char **ret_text,
                                struct fault *f)
{
    char digest[DIGEST_TEXT_SIZE];
    digest_format(&l->digest, digest);
    const size_t size = strlen(l->kind) + strlen(l->name) + 20;
    char *text = arena_alloc(a, size, 1);
    if (!text)
        return no_room(f);
    (void)snprintf(text, size, "%s:%s:%.16s", l->kind, l->name, digest);
    *ret_text = text;
    return STATUS_OK;
}

static enum status view_component(const struct version_component *c,
                                  struct arena *a,
                                  struct wire_component *ret_component,
                                  struct fault *f)
{
    struct wire_component x = {.bytes = c->bytes,
                               .digest = c->blob,
                               .groups_total = c->groups_total,
                               .groups_zero = c->groups_zero,
                               .seed = c->seed,
                               .n_lineage = c->n_lineage};
    const char **lineage = arena_alloc_zero(a, c->n_lineage + 1, sizeof *lineage);
    if (!lineage)
        return no_room(f);
    TRY(view_text(a, c->kind, &x.kind, f));
    TRY(view_text(a, c->name, &x.name, f));
    for (size_t i = 0; i < c->n_lineage; i++)
        TRY(view_lineage(&c->lineage[i], a, &lineage[i], f));
    x.lineage = lineage;
    *ret_component = x;
    return STATUS_OK;
}

static enum status view_components(const struct version *v,
                                   struct arena *a,
                                   const struct wire_component **ret_list,
                                   struct fault *f)
{
    struct wire_component *list = arena_alloc_zero(a, v->n_components + 1, sizeof *list);
    if (!list)
        return no_room(f);
    for (size_t i = 0; i < v->n_components; i++)
        TRY(view_component(&v->components[i], a, &list[i], f));
    *ret_list = list;
    return STATUS_OK;
}

static enum status view_pointer(struct kv_txn *txn,
                                const struct digest *digest,
                                struct wire_version *r,
                                struct fault *f)
{
    struct serving s;
    struct serving_pin pin;
    enum status st = serving_get(txn, &s, f);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    r->serving = st == STATUS_OK && digest_equal(&s.version, digest);
    st = serving_pinned(txn, digest, &pin, f);
    r->pinned = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status view_manifest(struct kv_txn *txn,
                                 const struct version *v,
                                 enum wire_view_detail detail,
                                 struct arena *a,
                                 struct wire_version *r,
                                 struct fault *f)
{
    r->number = v->number;
    r->parent = v->parent;
    r->request = v->request;
    r->created_at = v->created_us;
    r->bytes = version_bytes(v);
    r->threads = v->threads;
    r->n_components = v->n_components;
    r->n_labels = v->n_labels;
    TRY(view_text(a, v->kernel, &r->kernel, f));
    TRY(view_components(v, a, &r->components, f));
    TRY(wire_view_labels(v->labels, v->n_labels, a, &r->labels, f));
    if (detail == WIRE_VIEW_FULL)
        TRY(view_document(txn, &v->report, a, &r->evaluation, f));
    return STATUS_OK;
}

enum status wire_view_version(struct kv_txn *txn,
                              const struct digest *digest,
                              enum wire_view_detail detail,
                              struct arena *a,
                              struct wire_version *ret_version,
                              struct fault *f)
{
    struct version *v;
    struct wire_version r = {.id = *digest};
    TRY(view_pointer(txn, digest, &r, f));
    TRY(version_get(txn, digest, &v, f));
    const enum status st = view_manifest(txn, v, detail, a, &r, f);
    version_free(v);
    TRY(st);
    *ret_version = r;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- differences */

static int has_component(const struct wire_version *v, const struct wire_component *c)
{
    for (size_t i = 0; i < v->n_components; i++) {
        const struct wire_component *x = &v->components[i];
        if (strcmp(x->kind, c->kind) == 0 && strcmp(x->name, c->name) == 0 &&
            digest_equal(&x->digest, &c->digest))
            return 1;
    }
    return 0;
}

/* Components of `of` that `without` does not have. */
static enum status diff_components(const struct wire_version *of,
                                   const struct wire_version *without,
                                   struct arena *a,
                                   const struct wire_component **ret_list,
                                   size_t *ret_n,
                                   struct fault *f)
{
    struct wire_component *list = arena_alloc_zero(a, of->n_components + 1, sizeof *list);
    if (!list)
        return no_room(f);
    size_t n = 0;
    for (size_t i = 0; i < of->n_components; i++)
        if (!has_component(without, &of->components[i]))
            list[n++] = of->components[i];
    *ret_list = list;
    *ret_n = n;
    return STATUS_OK;
}

static const struct wire_label_info *find_label(const struct wire_version *v, const char *name)
{
    for (size_t i = 0; i < v->n_labels; i++)
        if (strcmp(v->labels[i].name, name) == 0)
            return &v->labels[i];
    return NULL;
}

/* Labels of `of` that are absent or different in `other`, in order. */
static enum status diff_labels(const struct wire_version *of,
                               const struct wire_version *other,
                               struct arena *a,
                               const struct wire_label_info **ret_list,
                               size_t *ret_n,
                               struct fault *f)
{
    struct wire_label_info *list = arena_alloc_zero(a, of->n_labels + 1, sizeof *list);
    if (!list)
        return no_room(f);
    size_t n = 0;
    for (size_t i = 0; i < of->n_labels; i++) {
        const struct wire_label_info *label = &of->labels[i];
        const struct wire_label_info *twin = find_label(other, label->name);
        if (!twin || strcmp(twin->owner, label->owner) != 0 ||
            strcmp(twin->status, label->status) != 0)
            list[n++] = *label;
    }
    *ret_list = list;
    *ret_n = n;
    return STATUS_OK;
}

enum status wire_view_diff(struct kv_txn *txn,
                           const struct digest *a_digest,
                           const struct digest *b_digest,
                           struct arena *a,
                           struct wire_diff_info *ret_diff,
                           struct fault *f)
{
    struct wire_version x, y;
    struct wire_diff_info d = {.a = *a_digest, .b = *b_digest};
    TRY(wire_view_version(txn, a_digest, WIRE_VIEW_FULL, a, &x, f));
    TRY(wire_view_version(txn, b_digest, WIRE_VIEW_FULL, a, &y, f));
    TRY(diff_components(&y, &x, a, &d.added, &d.n_added, f));
    TRY(diff_components(&x, &y, a, &d.removed, &d.n_removed, f));
    TRY(diff_labels(&x, &y, a, &d.labels_a, &d.n_labels_a, f));
    TRY(diff_labels(&y, &x, a, &d.labels_b, &d.n_labels_b, f));
    d.evaluation_a = x.evaluation;
    d.evaluation_b = y.evaluation;
    *ret_diff = d;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- data sets */

enum status wire_view_dataset(const struct dataset *d,
                              struct arena *a,
                              struct wire_dataset *ret_dataset,
                              struct fault *f)
{
    struct wire_dataset x = {.role = dataset_role_name(d->role),
                             .images = d->n,
                             .height = d->height,
                             .width = d->width,
                             .channels = d->channels,
                             .n_classes = d->n_classes,
                             .multi_label = d->label_kind == DATASET_LABELS_MULTI,
                             .digest = d->digest,
                             .created_at = d->created_us,
                             .subjects = dataset_subject_bytes(d) > 0,
                             .bytes = dataset_pixel_bytes(d) + dataset_label_bytes(d) +
                                      dataset_subject_bytes(d)};
    const char **classes = arena_alloc_zero(a, d->n_classes + 1u, sizeof *classes);
    if (!classes)
        return no_room(f);
    TRY(view_text(a, d->name, &x.name, f));
    for (uint32_t i = 0; i < d->n_classes; i++)
        TRY(view_text(a, d->class_names[i], &classes[i], f));
    x.classes = classes;
    *ret_dataset = x;
    return STATUS_OK;
}
