#include "client/cli/report_view.h"

#include "daemon/base/sysio.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double number(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

static uint64_t count(const json_t *object, const char *key)
{
    const double x = number(object, key);
    return x >= 0 && x < 9e15 ? (uint64_t)x : 0;
}

static void text(const json_t *object, const char *key, char to[REPORT_TEXT_SIZE])
{
    const char *s = json_string_value(json_object_get(object, key));
    (void)snprintf(to, REPORT_TEXT_SIZE, "%s", s ? s : "");
}

/* probe.reference is a figure, or an object of figures of which ncm is shown. */
static double reference(const json_t *probe)
{
    const json_t *x = json_object_get(probe, "reference");
    return json_is_object(x) ? number(x, "ncm") : number(probe, "reference");
}

static bool read_classes(const json_t *list, struct report_view *v)
{
    const size_t n = json_array_size(list);
    v->classes = sysio_alloc(n + 1, sizeof *v->classes);
    if (!v->classes)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(list, i);
        struct report_class *c = &v->classes[v->n_classes++];
        text(row, "label", c->label);
        text(row, "owner", c->owner);
        c->n = count(row, "n");
        c->acc = number(row, "acc");
        c->acc_before = number(row, "acc_before");
        c->acc_raw = number(row, "acc_raw");
        c->ap = number(row, "ap");
        c->ap_before = number(row, "ap_before");
        c->ap_raw = number(row, "ap_raw");
    }
    return true;
}

static bool read_relapse(const json_t *list, struct report_view *v)
{
    const size_t n = json_array_size(list);
    v->relapse = sysio_alloc(n + 1, sizeof *v->relapse);
    if (!v->relapse)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(list, i);
        struct report_relapse *r = &v->relapse[v->n_relapse++];
        text(row, "request", r->request);
        r->acc = number(row, "acc");
        r->limit = number(row, "limit");
    }
    return true;
}

static bool read_gate(const json_t *gate, struct report_view *v)
{
    v->has_gate = json_is_object(gate);
    v->gate_passed = json_is_true(json_object_get(gate, "passed"));
    const json_t *list = json_object_get(gate, "reasons");
    const size_t n = json_array_size(list);
    v->reasons = sysio_alloc(n + 1, sizeof *v->reasons);
    if (!v->reasons)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        (void)snprintf(v->reasons[v->n_reasons++], sizeof *v->reasons, "%s", s ? s : "");
    }
    return true;
}

/* Experts are known by name or by number. */
static void expert(const json_t *object, char to[REPORT_TEXT_SIZE])
{
    const json_t *x = json_object_get(object, "expert");
    text(object, "expert", to);
    if (json_is_integer(x))
        (void)snprintf(to, REPORT_TEXT_SIZE, "%lld", (long long)json_integer_value(x));
}

static bool read_stream(const json_t *stream, struct report_view *v)
{
    const json_t *list = json_object_get(stream, "events");
    const size_t n = json_array_size(list);
    v->has_stream = json_is_object(stream);
    v->experts = count(stream, "experts");
    v->switches = count(stream, "switches");
    v->events = sysio_alloc(n + 1, sizeof *v->events);
    if (!v->events)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(list, i);
        struct report_event *x = &v->events[v->n_events++];
        expert(row, x->expert);
        x->batch = count(row, "batch");
        x->loss = number(row, "loss");
        x->threshold = number(row, "threshold");
        x->switched = json_is_true(json_object_get(row, "switched"));
        x->created = json_is_true(json_object_get(row, "created"));
        x->held = json_is_true(json_object_get(row, "held"));
        x->quarantined = json_is_true(json_object_get(row, "quarantined"));
    }
    return true;
}

static bool read_document(const json_t *root, struct report_view *v)
{
    const json_t *mia = json_object_get(root, "mia");
    const json_t *probe = json_object_get(root, "probe");
    v->acc_forget = number(root, "acc_forget");
    v->acc_forget_before = number(root, "acc_forget_before");
    v->acc_retain = number(root, "acc_retain");
    v->acc_retain_before = number(root, "acc_retain_before");
    v->acc_retain_raw = number(root, "acc_retain_raw");
    v->acc_new_task = number(root, "acc_new_task");
    v->acc_new_task_raw = number(root, "acc_new_task_raw");
    v->map = number(root, "map");
    v->map_before = number(root, "map_before");
    v->map_raw = number(root, "map_raw");
    v->acc_old_forgotten = number(root, "acc_old_forgotten");
    v->h_mean = number(root, "h_mean");
    v->mia_auc = number(mia, "auc");
    v->mia_auc_before = number(mia, "auc_before");
    v->probe_ncm = number(probe, "ncm");
    v->probe_ridge = number(probe, "ridge");
    v->probe_reference = reference(probe);
    v->seconds = number(root, "seconds");
    v->n_eval = count(root, "n_eval");
    return read_classes(json_object_get(root, "per_class"), v) &&
           read_relapse(json_object_get(root, "relapse"), v) &&
           read_gate(json_object_get(root, "gate"), v) &&
           read_stream(json_object_get(root, "stream"), v);
}

bool report_view_init(const char *json, size_t bytes, struct report_view *ret_view)
{
    *ret_view = (struct report_view){0};
    json_t *root = json_loadb(json, bytes, 0, NULL);
    const bool good = json_is_object(root) && read_document(root, ret_view);
    json_decref(root);
    if (!good)
        report_view_fini(ret_view);
    return good;
}

void report_view_fini(struct report_view *v)
{
    sysio_free(v->classes);
    sysio_free(v->relapse);
    sysio_free(v->reasons);
    sysio_free(v->events);
    *v = (struct report_view){0};
}
