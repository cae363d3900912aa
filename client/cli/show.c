#include "client/cli/show.h"

#include "client/cli/format.h"
#include "client/cli/report_view.h"
#include "client/cli/text_table.h"
#include "daemon/base/clock.h"

#include <string.h>

/* ------------------------------------------------------------------ pieces */

/* "Serving      version 3" */
static void line(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%-14s %s\n", name, value);
}

static void time_line(FILE *out, const char *name, int64_t us)
{
    char text[FORMAT_SIZE];
    if (us != 0)
        line(out, name, format_time(us, text));
}

static void text_line(FILE *out, const char *name, const char *text)
{
    if (text[0] != '\0')
        line(out, name, text);
}

static void join(const char *const *list, size_t n, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", list[i]);
    }
}

static void finish_table(struct text_table *t, FILE *out, const char *if_empty)
{
    if (text_table_rows(t) > 0)
        text_table_print(t, out, 0);
    else
        (void)fprintf(out, "%s\n", if_empty);
    text_table_free(t);
}

/* ------------------------------------------------------------------ status */

static void store_line(FILE *out, const struct lethe_status *s)
{
    char used[FORMAT_SIZE], limit[FORMAT_SIZE], text[128];
    (void)snprintf(text, sizeof text, "%s%s%s", format_bytes(s->store_bytes, used),
                   s->store_limit > 0 ? " of " : "",
                   s->store_limit > 0 ? format_bytes(s->store_limit, limit) : "");
    line(out, "store", text);
}

void show_status(FILE *out, const struct lethe_status *s)
{
    char text[256], a[FORMAT_SIZE];
    (void)snprintf(text, sizeof text, "%s (lethe %s)", s->state, s->lethe_version);
    line(out, "daemon", text);
    const double up = (double)(clock_wall_us() - s->started_at) / 1e6;
    (void)snprintf(text, sizeof text, "%s", format_duration(up, a));
    line(out, "up", text);
    (void)snprintf(text, sizeof text, "%s, %u classes active, %u forgotten", s->model,
                   s->classes_active, s->classes_forgotten);
    line(out, "model", text);
    (void)snprintf(text, sizeof text, "%u lanes, %u experts, %u open streams", s->lanes, s->experts,
                   s->streams);
    line(out, "learned", text);
    (void)snprintf(text, sizeof text, "version %llu  %s%s", (unsigned long long)s->serving_number,
                   format_short(s->serving, a), s->pinned ? "  (pinned)" : "");
    line(out, "serving", text);
    (void)snprintf(text, sizeof text, "%u waiting%s%s", s->queue_depth,
                   s->running[0] != '\0' ? ", running " : "", s->running);
    line(out, "queue", text);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)s->predictions);
    line(out, "predictions", text);
    store_line(out, s);
    (void)snprintf(text, sizeof text, "%s, %u threads, worker restarted %u times", s->kernel,
                   s->threads, s->workers_restarted);
    line(out, "compute", text);
    line(out, "training data", s->data_ready ? "imported" : "none: lethe data import NAME PATH");
}

void show_clients(FILE *out, const struct lethe_clients *list)
{
    for (size_t i = 0; i < list->n; i++)
        (void)fprintf(out, "%-24s %-24s %s\n", list->items[i].name, list->items[i].role,
                      list->items[i].fingerprint);
    if (list->n == 0)
        (void)fprintf(out, "no client has a key\n");
}

void show_fsck(FILE *out, const struct lethe_fsck *f)
{
    (void)fprintf(out, "%s: %llu blobs, %llu versions, %llu requests checked\n",
                  f->ok ? "the store is sound" : "THE STORE IS DAMAGED",
                  (unsigned long long)f->blobs, (unsigned long long)f->versions,
                  (unsigned long long)f->requests);
    for (size_t i = 0; i < f->n_findings; i++)
        (void)fprintf(out, "  %s\n", f->findings[i]);
}

void show_vault(FILE *out, const struct lethe_vault *v)
{
    if (v->version[0])
        (void)fprintf(out, "sealed: version %.16s serves\n", v->version);
    (void)fprintf(out, "epoch %llu: %llu data keys, %llu destroyed; keys in a %s; %llu bytes\n",
                  (unsigned long long)v->epoch, (unsigned long long)v->data_keys,
                  (unsigned long long)v->destroyed, v->key_store, (unsigned long long)v->bytes);
    for (size_t i = 0; i < v->n_copies; i++)
        (void)fprintf(out, "still there: %s\n", v->copies[i]);
}

/* ------------------------------------------------------------------ reports */

static bool change_row(struct text_table *t, const char *what, double before, double after)
{
    char a[FORMAT_SIZE], b[FORMAT_SIZE];
    if (!(after >= 0))
        return false;
    text_table_add(t, "%s", what);
    text_table_add(t, "%s", format_percent(before, a));
    text_table_add(t, "%s", format_percent(after, b));
    return true;
}

static bool plain_row(struct text_table *t, const char *what, double before, double after)
{
    if (!(after >= 0))
        return false;
    text_table_add(t, "%s", what);
    if (before >= 0)
        text_table_add(t, "%.3f", before);
    else
        text_table_add(t, "-");
    text_table_add(t, "%.3f", after);
    return true;
}

/* With `after` under the decision raw behind it; negative or NaN: there is no such figure. */
static void
share_row(struct text_table *t, const char *what, double before, double after, double raw)
{
    char a[FORMAT_SIZE];
    if (change_row(t, what, before, after))
        text_table_add(t, "%s", format_percent(raw, a));
}

static void value_row(struct text_table *t, const char *what, double before, double after)
{
    if (plain_row(t, what, before, after))
        text_table_add(t, "-");
}

static void show_measures(FILE *out, const struct report_view *v)
{
    struct text_table *t = text_table_new("measured|>before|>after|>raw");
    share_row(t, "accuracy, classes to forget", v->acc_forget_before, v->acc_forget, -1);
    share_row(t, "accuracy, classes to keep", v->acc_retain_before, v->acc_retain,
              v->acc_retain_raw);
    share_row(t, "accuracy on the new task", -1, v->acc_new_task, v->acc_new_task_raw);
    share_row(t, "mAP, images with several labels", v->map_before, v->map, v->map_raw);
    share_row(t, "accuracy, forgotten earlier", -1, v->acc_old_forgotten, -1);
    value_row(t, "H-mean", -1, v->h_mean);
    value_row(t, "membership attack, AUC (0.5 is best)", v->mia_auc_before, v->mia_auc);
    value_row(t, "probe on the embedding, NCM", -1, v->probe_ncm);
    value_row(t, "probe on the embedding, ridge", -1, v->probe_ridge);
    value_row(t, "the same on classes never taught", -1, v->probe_reference);
    if (text_table_rows(t) > 0 || !v->has_stream)
        finish_table(t, out, "nothing was measured");
    else
        text_table_free(t);
}

static void show_classes(FILE *out, const struct report_view *v)
{
    if (v->n_classes == 0)
        return;
    bool several = false;
    for (size_t i = 0; i < v->n_classes; i++)
        several = several || v->classes[i].ap >= 0;
    struct text_table *t =
        text_table_new(several ? "class|owner|>images|>before|>after|>raw|>AP before|>AP|>AP raw"
                               : "class|owner|>images|>before|>after|>raw");
    char a[FORMAT_SIZE];
    for (size_t i = 0; i < v->n_classes; i++) {
        const struct report_class *c = &v->classes[i];
        text_table_add(t, "%s", c->label);
        text_table_add(t, "%s", c->owner);
        text_table_add(t, "%llu", (unsigned long long)c->n);
        text_table_add(t, "%s", format_percent(c->acc_before, a));
        text_table_add(t, "%s", format_percent(c->acc, a));
        text_table_add(t, "%s", format_percent(c->acc_raw, a));
        if (!several)
            continue;
        text_table_add(t, "%s", format_percent(c->ap_before, a));
        text_table_add(t, "%s", format_percent(c->ap, a));
        text_table_add(t, "%s", format_percent(c->ap_raw, a));
    }
    (void)fputc('\n', out);
    finish_table(t, out, "");
}

/* What the detector made of a batch. */
static void event_words(const struct report_event *x, char *to, size_t size)
{
    const struct {
        bool is;
        const char *word;
    } WORDS[] = {{x->created, "new expert"},
                 {x->switched, "switched"},
                 {x->held, "held back"},
                 {x->quarantined, "put aside"}};
    to[0] = '\0';
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        const size_t used = strlen(to);
        if (WORDS[i].is)
            (void)snprintf(to + used, size - used, "%s%s", used > 0 ? ", " : "", WORDS[i].word);
    }
}

static void loss_cell(struct text_table *t, double loss)
{
    if (loss >= 0)
        text_table_add(t, "%.4f", loss);
    else
        text_table_add(t, "-");
}

static void show_stream(FILE *out, const struct report_view *v)
{
    if (!v->has_stream)
        return;
    struct text_table *t = text_table_new(">batch|expert|>loss|>threshold|decision");
    for (size_t i = 0; i < v->n_events; i++) {
        const struct report_event *x = &v->events[i];
        char words[80];
        event_words(x, words, sizeof words);
        text_table_add(t, "%llu", (unsigned long long)x->batch);
        text_table_add(t, "%s", x->expert);
        loss_cell(t, x->loss);
        loss_cell(t, x->threshold);
        text_table_add(t, "%s", words);
    }
    finish_table(t, out, "no batches");
    (void)fprintf(out, "%llu experts, %llu switches\n", (unsigned long long)v->experts,
                  (unsigned long long)v->switches);
}

static void show_relapse(FILE *out, const struct report_view *v)
{
    if (v->n_relapse == 0)
        return;
    struct text_table *t = text_table_new("earlier erasure|>accuracy now|>limit");
    char a[FORMAT_SIZE];
    for (size_t i = 0; i < v->n_relapse; i++) {
        text_table_add(t, "%s", v->relapse[i].request);
        text_table_add(t, "%s", format_percent(v->relapse[i].acc, a));
        text_table_add(t, "%s", format_percent(v->relapse[i].limit, a));
    }
    (void)fputc('\n', out);
    finish_table(t, out, "");
}

void show_report(FILE *out, const char *json, size_t bytes)
{
    struct report_view v;
    char a[FORMAT_SIZE];
    if (!report_view_init(json, bytes, &v)) {
        (void)fprintf(out, "the report cannot be read\n");
        return;
    }
    show_stream(out, &v);
    show_measures(out, &v);
    show_classes(out, &v);
    show_relapse(out, &v);
    if (v.has_gate)
        (void)fprintf(out, "\ngate: %s\n", v.gate_passed ? "passed" : "NOT PASSED");
    for (size_t i = 0; i < v.n_reasons; i++)
        (void)fprintf(out, "  %s\n", v.reasons[i]);
    if (v.n_eval > 0)
        (void)fprintf(out, "%llu images, %s\n", (unsigned long long)v.n_eval,
                      format_duration(v.seconds, a));
    report_view_fini(&v);
}

/* ------------------------------------------------------------------ requests */

static void show_request_progress(FILE *out, const struct lethe_progress *p)
{
    char text[160], left[FORMAT_SIZE];
    (void)snprintf(text, sizeof text, "%s, epoch %u of %u, step %u of %u, loss %.3g, %s left",
                   p->phase, p->epoch, p->epochs, p->step, p->steps, (double)p->loss,
                   format_duration((double)p->seconds_left, left));
    line(out, "progress", text);
}

static void show_request_error(FILE *out, const struct lethe_error *e)
{
    if (e->code == LETHE_OK)
        return;
    char text[640];
    (void)snprintf(text, sizeof text, "%s: %s", lethe_code_name(e->code), e->text);
    line(out, "error", text);
}

static void show_request_facts(FILE *out, const struct lethe_request *r)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s%s, %s", r->kind, r->dry_run ? " (dry run)" : "",
                   r->state);
    line(out, "request", r->id);
    line(out, "state", text);
    text_line(out, strcmp(r->kind, "stream") == 0 ? "stream" : "task", r->task);
    join(r->classes, r->n_classes, text, sizeof text);
    text_line(out, "classes", text);
    text_line(out, "ticket", r->ticket);
    text_line(out, "reason", r->reason);
    show_request_error(out, &r->error);
    time_line(out, "submitted", r->submitted_at);
    time_line(out, "due", r->due_at);
    time_line(out, "started", r->started_at);
    time_line(out, "finished", r->finished_at);
    text_line(out, "version before", r->version_before);
    text_line(out, "version after", r->version_after);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
    line(out, "seed", text);
}

void show_request(FILE *out, const struct lethe_request *r)
{
    show_request_facts(out, r);
    if (r->progress)
        show_request_progress(out, r->progress);
    if (r->evaluation_bytes > 0) {
        (void)fputc('\n', out);
        show_report(out, r->evaluation, r->evaluation_bytes);
    }
}

void show_requests(FILE *out, const struct lethe_request *items, size_t n)
{
    struct text_table *t = text_table_new("request|kind|state|submitted|due|task|classes");
    char text[200], a[FORMAT_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct lethe_request *r = &items[i];
        text_table_add(t, "%s", r->id);
        text_table_add(t, "%s", r->kind);
        text_table_add(t, "%s", r->state);
        text_table_add(t, "%s", format_time(r->submitted_at, a));
        text_table_add(t, "%.10s", format_time(r->due_at, a));
        text_table_add(t, "%s", r->task);
        join(r->classes, r->n_classes, text, sizeof text);
        text_table_add(t, "%s", text);
    }
    finish_table(t, out, "no requests");
}

/* ------------------------------------------------------------------ versions */

static void component_rows(struct text_table *t, const struct lethe_component *list, size_t n)
{
    char a[FORMAT_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct lethe_component *c = &list[i];
        text_table_add(t, "%s", c->kind);
        text_table_add(t, "%s", c->name);
        text_table_add(t, "%s", format_bytes(c->bytes, a));
        if (c->groups_total > 0)
            text_table_add(t, "%u of %u", c->groups_zero, c->groups_total);
        else
            text_table_add(t, "-");
        text_table_add(t, "%s", format_short(c->digest, a));
    }
}

static struct text_table *component_table(void)
{
    return text_table_new("component|name|>bytes|>zero groups|digest");
}

static void show_labels(FILE *out, const struct lethe_label *list, size_t n)
{
    struct text_table *t = text_table_new("label|owner|status|forgotten by");
    for (size_t i = 0; i < n; i++) {
        text_table_add(t, "%s", list[i].name);
        text_table_add(t, "%s", list[i].owner);
        text_table_add(t, "%s", list[i].status);
        text_table_add(t, "%s", list[i].forgotten_by);
    }
    finish_table(t, out, "no labels");
}

static void show_served(FILE *out, const struct lethe_version *v)
{
    char from[FORMAT_SIZE], until[FORMAT_SIZE], text[128];
    if (v->served_from == 0)
        return;
    (void)snprintf(text, sizeof text, "from %s until %s", format_time(v->served_from, from),
                   v->served_until != 0 ? format_time(v->served_until, until) : "now");
    line(out, "served", text);
}

void show_version(FILE *out, const struct lethe_version *v)
{
    char text[128], a[FORMAT_SIZE];
    (void)snprintf(text, sizeof text, "%llu%s%s", (unsigned long long)v->number,
                   v->serving ? "  (serving)" : "", v->pinned ? "  (pinned)" : "");
    line(out, "version", text);
    line(out, "id", v->id);
    text_line(out, "parent", v->parent);
    text_line(out, "request", v->request);
    time_line(out, "created", v->created_at);
    show_served(out, v);
    line(out, "bytes", format_bytes(v->bytes, a));
    if (v->kernel[0] != '\0') {
        (void)snprintf(text, sizeof text, "%.80s, %u threads", v->kernel, v->threads);
        line(out, "computed with", text);
    }
    struct text_table *t = component_table();
    component_rows(t, v->components, v->n_components);
    (void)fputc('\n', out);
    finish_table(t, out, "no components");
    if (v->n_labels > 0) {
        (void)fputc('\n', out);
        show_labels(out, v->labels, v->n_labels);
    }
    if (v->evaluation_bytes > 0) {
        (void)fputc('\n', out);
        show_report(out, v->evaluation, v->evaluation_bytes);
    }
}

void show_versions(FILE *out, const struct lethe_version *items, size_t n)
{
    struct text_table *t =
        text_table_new(">version|id|parent|created|>bytes|>components|request|state");
    char a[FORMAT_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct lethe_version *v = &items[i];
        text_table_add(t, "%llu", (unsigned long long)v->number);
        text_table_add(t, "%s", format_short(v->id, a));
        text_table_add(t, "%s", format_short(v->parent, a));
        text_table_add(t, "%s", format_time(v->created_at, a));
        text_table_add(t, "%s", format_bytes(v->bytes, a));
        text_table_add(t, "%zu", v->n_components);
        text_table_add(t, "%s", v->request[0] != '\0' ? v->request : "-");
        text_table_add(t, "%s%s", v->serving ? "serving" : "", v->pinned ? " pinned" : "");
    }
    finish_table(t, out, "no versions");
}

static const struct lethe_label *
find_label(const struct lethe_label *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    }
    return NULL;
}

static void label_changes(FILE *out, const struct lethe_diff *d)
{
    struct text_table *t = text_table_new("label|in the first|in the second");
    for (size_t i = 0; i < d->n_labels_a; i++) {
        const struct lethe_label *b = find_label(d->labels_b, d->n_labels_b, d->labels_a[i].name);
        text_table_add(t, "%s", d->labels_a[i].name);
        text_table_add(t, "%s (%s)", d->labels_a[i].status, d->labels_a[i].owner);
        if (b)
            text_table_add(t, "%s (%s)", b->status, b->owner);
        else
            text_table_add(t, "-");
    }
    for (size_t i = 0; i < d->n_labels_b; i++) {
        const struct lethe_label *b = &d->labels_b[i];
        if (find_label(d->labels_a, d->n_labels_a, b->name))
            continue;
        text_table_add(t, "%s", b->name);
        text_table_add(t, "-");
        text_table_add(t, "%s (%s)", b->status, b->owner);
    }
    finish_table(t, out, "the labels are the same");
}

/* Both reports' figures side by side. */
static void report_changes(FILE *out, const struct lethe_diff *d)
{
    struct report_view a, b;
    if (!report_view_init(d->evaluation_a, d->evaluation_a_bytes, &a))
        return;
    if (report_view_init(d->evaluation_b, d->evaluation_b_bytes, &b)) {
        struct text_table *t = text_table_new("measured|>first|>second");
        change_row(t, "accuracy, classes to keep", a.acc_retain, b.acc_retain);
        change_row(t, "accuracy, classes to forget", a.acc_forget, b.acc_forget);
        change_row(t, "accuracy, forgotten earlier", a.acc_old_forgotten, b.acc_old_forgotten);
        plain_row(t, "H-mean", a.h_mean, b.h_mean);
        plain_row(t, "membership attack, AUC", a.mia_auc, b.mia_auc);
        (void)fputc('\n', out);
        finish_table(t, out, "nothing was measured");
        report_view_fini(&b);
    }
    report_view_fini(&a);
}

static const struct lethe_component *
find_component(const struct lethe_component *list, size_t n, const struct lethe_component *like)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].kind, like->kind) == 0 && strcmp(list[i].name, like->name) == 0)
            return &list[i];
    }
    return NULL;
}

/* Components that both versions have under the same name, with other bytes. */
static void changed_names(FILE *out, const struct lethe_diff *d)
{
    struct text_table *t = text_table_new("changed|name|in the first|in the second");
    char a[FORMAT_SIZE], b[FORMAT_SIZE];
    size_t n = 0;
    for (size_t i = 0; i < d->n_removed; i++) {
        const struct lethe_component *old = &d->removed[i];
        const struct lethe_component *now = find_component(d->added, d->n_added, old);
        if (!now)
            continue;
        n++;
        text_table_add(t, "%s", old->kind);
        text_table_add(t, "%s", old->name);
        text_table_add(t, "%s", format_short(old->digest, a));
        text_table_add(t, "%s", format_short(now->digest, b));
    }
    if (n > 0) {
        text_table_print(t, out, 0);
        (void)fputc('\n', out);
    }
    text_table_free(t);
}

/* Norm of every group of the erasures in a list. */
static void norm_lines(FILE *out, const struct lethe_component *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].n_group_norms == 0)
            continue;
        (void)fprintf(out, "  norms of the groups of %s:", list[i].name);
        for (size_t g = 0; g < list[i].n_group_norms; g++)
            (void)fprintf(out, " %.4g", (double)list[i].group_norms[g]);
        (void)fputc('\n', out);
    }
}

static void
component_changes(FILE *out, const char *title, const struct lethe_component *list, size_t n)
{
    if (n == 0)
        return;
    (void)fprintf(out, "%s\n", title);
    struct text_table *t = component_table();
    component_rows(t, list, n);
    text_table_print(t, out, 2);
    text_table_free(t);
    norm_lines(out, list, n);
    (void)fputc('\n', out);
}

void show_diff(FILE *out, const struct lethe_diff *d)
{
    line(out, "first", d->a);
    line(out, "second", d->b);
    (void)fputc('\n', out);
    changed_names(out, d);
    component_changes(out, "only in the second:", d->added, d->n_added);
    component_changes(out, "only in the first:", d->removed, d->n_removed);
    if (d->n_added == 0 && d->n_removed == 0)
        (void)fprintf(out, "the components are the same\n\n");
    label_changes(out, d);
    report_changes(out, d);
}

/* ------------------------------------------------------------------ data sets */

void show_datasets(FILE *out, const struct lethe_dataset *items, size_t n)
{
    struct text_table *t =
        text_table_new("data set|role|>images|size|>classes|labels|subjects|>bytes|imported");
    char a[FORMAT_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct lethe_dataset *d = &items[i];
        text_table_add(t, "%s", d->name);
        text_table_add(t, "%s", d->role);
        text_table_add(t, "%llu", (unsigned long long)d->images);
        text_table_add(t, "%ux%ux%u", d->height, d->width, d->channels);
        text_table_add(t, "%zu", d->n_classes);
        text_table_add(t, "%s", d->multi_label ? "several" : "one");
        text_table_add(t, "%s", d->subjects ? "yes" : "no");
        text_table_add(t, "%s", format_bytes(d->bytes, a));
        text_table_add(t, "%s", format_time(d->created_at, a));
    }
    finish_table(t, out, "no data sets; lethe data import NAME PATH makes one");
}
