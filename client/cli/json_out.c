#include "client/cli/json_out.h"

#include "daemon/base/clock.h"
#include "proto/seal/log_entry.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* 15 digits show 0.92 as 0.92; single-precision figures get the 9 that bring them back exactly. */
#define DOUBLE_DIGITS 15
#define FLOAT_DIGITS  9
#define EXACT_MAX     (UINT64_C(1) << 53)

static bool print(FILE *out, json_t *object, size_t digits)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(digits);
    const bool good = object && json_dumpf(object, out, flags) == 0 && fputc('\n', out) != EOF;
    json_decref(object);
    return good;
}

/* ------------------------------------------------------------------ values */

static json_t *text_or_null(const char *s)
{
    return s && s[0] != '\0' ? json_string(s) : json_null();
}

static json_t *time_or_null(int64_t us)
{
    if (us == 0)
        return json_null();
    char text[CLOCK_TEXT_SIZE];
    clock_format(us, text);
    return json_string(text);
}

static json_t *whole(uint64_t x)
{
    if (x <= EXACT_MAX)
        return json_integer((json_int_t)x);
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)x);
    return json_string(text);
}

/* Figures that were not measured are NaN or, on the wire, negative. */
static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *share_or_null(float x)
{
    return x >= 0 ? real_or_null((double)x) : json_null();
}

static json_t *texts(const char *const *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_string(list[i]));
    return array;
}

static json_t *floats(const float *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, real_or_null((double)list[i]));
    return array;
}

static json_t *document(const char *text, size_t bytes)
{
    json_t *d = bytes > 0 ? json_loadb(text, bytes, 0, NULL) : NULL;
    return d ? d : json_null();
}

static json_t *error_object(const struct lethe_error *e)
{
    if (e->code == LETHE_OK)
        return json_null();
    return json_pack("{s:s, s:s, s:o}", "code", lethe_code_name(e->code), "message", e->text,
                     "field", text_or_null(e->field));
}

static json_t *progress_object(const struct lethe_progress *p)
{
    if (!p)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "phase", p->phase, "epoch", whole(p->epoch), "epochs", whole(p->epochs),
                     "step", whole(p->step), "steps", whole(p->steps), "attempt", whole(p->attempt),
                     "loss", real_or_null((double)p->loss), "loss_retain",
                     real_or_null((double)p->loss_retain), "loss_forget",
                     real_or_null((double)p->loss_forget), "loss_depth",
                     real_or_null((double)p->loss_depth), "acc_forget",
                     share_or_null(p->acc_forget), "acc_retain", share_or_null(p->acc_retain),
                     "group_norms", floats(p->group_norms, p->n_group_norms), "seconds_left",
                     share_or_null(p->seconds_left), "acc_valid", share_or_null(p->acc_valid));
}

/* Only differences come with the norms of groups. */
static json_t *components(const struct lethe_component *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct lethe_component *c = &list[i];
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o*}", "kind", c->kind,
                             "name", c->name, "bytes", whole(c->bytes), "digest",
                             text_or_null(c->digest), "groups_total", whole(c->groups_total),
                             "groups_zero", whole(c->groups_zero), "seed", whole(c->seed),
                             "lineage", texts(c->lineage, c->n_lineage), "group_norms",
                             c->n_group_norms ? floats(c->group_norms, c->n_group_norms) : NULL));
    }
    return array;
}

static json_t *labels(const struct lethe_label *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct lethe_label *l = &list[i];
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:o}", "label", l->name, "owner",
                                               l->owner, "status", l->status, "forgotten_by",
                                               text_or_null(l->forgotten_by)));
    }
    return array;
}

/* ------------------------------------------------------------------ objects */

bool json_out_status(FILE *out, const struct lethe_status *s)
{
    return print(
        out,
        json_pack(
            "{s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, "
            "s:o, s:s, s:o, s:o, s:b, s:o, s:o, s:o}",
            "state", s->state, "lethe_version", s->lethe_version, "started_at",
            time_or_null(s->started_at), "serving", text_or_null(s->serving), "serving_number",
            whole(s->serving_number), "serving_generation", whole(s->serving_generation), "pinned",
            s->pinned, "queue_depth", whole(s->queue_depth), "running", text_or_null(s->running),
            "model", s->model, "base", text_or_null(s->base), "classes_active",
            whole(s->classes_active), "classes_forgotten", whole(s->classes_forgotten),
            "store_bytes", whole(s->store_bytes), "store_limit", whole(s->store_limit),
            "predictions", whole(s->predictions), "kernel", s->kernel, "threads", whole(s->threads),
            "workers_restarted", whole(s->workers_restarted), "data_ready", s->data_ready, "lanes",
            whole(s->lanes), "experts", whole(s->experts), "streams", whole(s->streams)),
        DOUBLE_DIGITS);
}

bool json_out_request(FILE *out, const struct lethe_request *r)
{
    return print(
        out,
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                  "s:o, s:b, s:o, s:o, s:o, s:o, s:o}",
                  "id", r->id, "kind", r->kind, "state", r->state, "submitted_at",
                  time_or_null(r->submitted_at), "due_at", time_or_null(r->due_at), "finished_at",
                  time_or_null(r->finished_at), "role", text_or_null(r->role), "version_before",
                  text_or_null(r->version_before), "version_after", text_or_null(r->version_after),
                  "seed", whole(r->seed), "error", error_object(&r->error), "evaluation",
                  document(r->evaluation, r->evaluation_bytes), "started_at",
                  time_or_null(r->started_at), "attempts", whole(r->attempts), "ticket",
                  text_or_null(r->ticket), "classes", texts(r->classes, r->n_classes), "dry_run",
                  r->dry_run, "probe", text_or_null(r->probe), "reason", text_or_null(r->reason),
                  "sequence", whole(r->sequence), "progress", progress_object(r->progress), "task",
                  text_or_null(r->task)),
        DOUBLE_DIGITS);
}

bool json_out_version(FILE *out, const struct lethe_version *v)
{
    return print(
        out,
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}",
                  "id", v->id, "number", whole(v->number), "parent", text_or_null(v->parent),
                  "request", text_or_null(v->request), "created_at", time_or_null(v->created_at),
                  "serving", v->serving, "components", components(v->components, v->n_components),
                  "bytes", whole(v->bytes), "pinned", v->pinned, "labels",
                  labels(v->labels, v->n_labels), "evaluation",
                  document(v->evaluation, v->evaluation_bytes), "kernel", text_or_null(v->kernel),
                  "threads", whole(v->threads), "served_from", time_or_null(v->served_from),
                  "served_until", time_or_null(v->served_until)),
        DOUBLE_DIGITS);
}

bool json_out_diff(FILE *out, const struct lethe_diff *d)
{
    return print(out,
                 json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "a", d->a, "b", d->b,
                           "added", components(d->added, d->n_added), "removed",
                           components(d->removed, d->n_removed), "labels_a",
                           labels(d->labels_a, d->n_labels_a), "labels_b",
                           labels(d->labels_b, d->n_labels_b), "evaluation_a",
                           document(d->evaluation_a, d->evaluation_a_bytes), "evaluation_b",
                           document(d->evaluation_b, d->evaluation_b_bytes)),
                 DOUBLE_DIGITS);
}

bool json_out_report(FILE *out, const struct lethe_report *r)
{
    json_t *stored = document(r->evaluation, r->evaluation_bytes);
    json_t *object = json_pack("{s:o}", "version", text_or_null(r->version));
    if (json_is_object(stored))
        (void)json_object_update_missing(object, stored);
    json_decref(stored);
    return print(out, object, DOUBLE_DIGITS);
}

bool json_out_prediction(
    FILE *out, const struct lethe_predictions *p, size_t i, const char *input, uint64_t index)
{
    const struct lethe_prediction *x = &p->items[i];
    json_t *list = json_array();
    for (size_t k = 0; k < x->n_labels; k++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "label", x->labels[k].label,
                                              "owner", x->labels[k].owner, "p",
                                              real_or_null((double)x->labels[k].p)));
    json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "version", p->version,
                               "labels", list, "expert", text_or_null(x->expert), "latency_ms",
                               real_or_null((double)p->latency_ms), "number", whole(p->number),
                               "input", input, "index", whole(index));
    if (object && x->logits) {
        json_object_set_new(object, "logits", floats(x->logits, x->n_logits));
        json_object_set_new(object, "logit_labels", texts(p->logit_labels, p->n_logit_labels));
    }
    return print(out, object, FLOAT_DIGITS);
}

bool json_out_dataset(FILE *out, const struct lethe_dataset *d)
{
    return print(out,
                 json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "name",
                           d->name, "role", d->role, "images", whole(d->images), "height",
                           whole(d->height), "width", whole(d->width), "channels",
                           whole(d->channels), "classes", texts(d->classes, d->n_classes), "digest",
                           text_or_null(d->digest), "created_at", time_or_null(d->created_at),
                           "bytes", whole(d->bytes), "multi_label", d->multi_label, "subjects",
                           d->subjects),
                 DOUBLE_DIGITS);
}

bool json_out_removed(FILE *out, const char *name)
{
    return print(out, json_pack("{s:s, s:b}", "name", name, "removed", 1), DOUBLE_DIGITS);
}

bool json_out_export(FILE *out, const struct lethe_export *x, const char *folder)
{
    json_t *files = json_array();
    for (size_t i = 0; i < x->n_files; i++)
        json_array_append_new(files,
                              json_pack("{s:s, s:o, s:s}", "path", x->files[i].path, "bytes",
                                        whole(x->files[i].bytes), "digest", x->files[i].digest));
    return print(out,
                 json_pack("{s:s, s:o, s:o}", "version", x->version, "folder", text_or_null(folder),
                           "files", files),
                 DOUBLE_DIGITS);
}

bool json_out_client(FILE *out, const struct lethe_client *k)
{
    return print(out,
                 json_pack("{s:s, s:s, s:s}", "name", k->name, "role", k->role, "fingerprint",
                           k->fingerprint),
                 DOUBLE_DIGITS);
}

bool json_out_fsck(FILE *out, const struct lethe_fsck *f)
{
    return print(out,
                 json_pack("{s:b, s:o, s:o, s:o, s:o}", "ok", f->ok, "blobs", whole(f->blobs),
                           "versions", whole(f->versions), "requests", whole(f->requests),
                           "findings", texts(f->findings, f->n_findings)),
                 DOUBLE_DIGITS);
}

bool json_out_vault(FILE *out, const struct lethe_vault *v)
{
    return print(out,
                 json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "epoch", whole(v->epoch),
                           "data_keys", whole(v->data_keys), "destroyed", whole(v->destroyed),
                           "key_store", v->key_store, "bytes", whole(v->bytes), "version",
                           text_or_null(v->version), "copies", texts(v->copies, v->n_copies)),
                 DOUBLE_DIGITS);
}

bool json_out_error(FILE *out, const struct lethe_error *e)
{
    json_t *object = json_pack("{s:o}", "error", error_object(e));
    if (object && e->retry_after_s > 0)
        json_object_set_new(json_object_get(object, "error"), "retry_after_s",
                            whole(e->retry_after_s));
    return print(out, object, DOUBLE_DIGITS);
}

/* ------------------------------------------------------------------ evidence */

/* What an entry says; without them if it is of a kind that this program does not know. */
static json_t *entry_fields(const struct log_entry *e)
{
    json_t *fields = json_object();
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct log_field *field = &e->fields[i];
        json_t *value = field->absent ? json_null() : json_stringn(field->text, field->size);
        (void)json_object_set_new(fields, field->is->name, value);
    }
    return fields;
}

bool json_out_log_entry(FILE *out, const struct lethe_log_entry *entry)
{
    struct log_entry e;
    json_t *o = json_pack("{s:o}", "index", whole(entry->index));
    if (o && log_entry_parse(entry->text, entry->bytes, &e, NULL) == STATUS_OK) {
        (void)json_object_set_new(o, "kind", json_string(log_kind_name(e.kind)));
        (void)json_object_set_new(o, "time", time_or_null(e.time_us));
        (void)json_object_set_new(o, "clock_held", json_boolean(e.clock_held));
        (void)json_object_set_new(o, "fields", entry_fields(&e));
    }
    if (o)
        (void)json_object_set_new(o, "text", json_stringn(entry->text, entry->bytes));
    return print(out, o, DOUBLE_DIGITS);
}

bool json_out_checkpoint(FILE *out, const struct lethe_checkpoint *checkpoint)
{
    json_t *o = json_pack("{s:o,s:s,s:s%}", "size", whole(checkpoint->size), "key", checkpoint->key,
                          "note", checkpoint->note, checkpoint->note_bytes);
    return print(out, o, DOUBLE_DIGITS);
}

bool json_out_proof(FILE *out, const struct lethe_proof *proof)
{
    json_t *o = json_pack("{s:o,s:o,s:s%}", "index", whole(proof->index), "size",
                          whole(proof->size), "text", proof->text, proof->bytes);
    return print(out, o, DOUBLE_DIGITS);
}

bool json_out_certificate(FILE *out, const struct lethe_certificate *c)
{
    json_t *o = json_pack("{s:o,s:o,s:s,s:s%}", "index", whole(c->index), "size", whole(c->size),
                          "level", c->level, "text", c->text, c->bytes);
    return print(out, o, DOUBLE_DIGITS);
}
