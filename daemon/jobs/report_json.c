#include "daemon/jobs/report_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Shares of at most a few million items need no more digits. */
#define DIGITS 10

/* Streisand figures beyond these mark an erased class by its answers (gslora.md, section 2). */
#define FLAG_RANK_SHARE 0.75
#define FLAG_AUC        0.1

/* All helpers hand NULL on: jansson's setters and appenders refuse it, and `ok` remembers. */
struct builder {
    int ok;
};

static void set(struct builder *b, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        b->ok = 0;
}

static void append(struct builder *b, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        b->ok = 0;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(uint32_t n)
{
    return json_integer((json_int_t)n);
}

/* 64 bits as text: a JSON number is exact up to 53 only. */
static json_t *decimal(uint64_t x)
{
    char digits[21];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + x % 10);
        x /= 10;
    } while (x > 0);
    return json_stringn(digits + at, sizeof digits - at);
}

/* Labels come from files: bytes that are no UTF-8 are shown as question marks. */
static json_t *text(const char *s)
{
    json_t *value = json_string(s);
    if (value)
        return value;
    char plain[EVAL_LABEL_SIZE];
    size_t n = 0;
    for (; s[n] && n + 1 < sizeof plain; n++)
        plain[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
    plain[n] = '\0';
    return json_string(plain);
}

static json_t *estimate(const struct eval_value *v)
{
    return number(v->n ? v->value : (double)NAN);
}

static json_t *interval(struct builder *b, const struct eval_value *v)
{
    json_t *pair = json_array();
    append(b, pair, number(v->lo));
    append(b, pair, number(v->hi));
    return pair;
}

static void set_value(struct builder *b, json_t *object, const struct eval_value *v)
{
    set(b, object, "value", number(v->value));
    set(b, object, "lo", number(v->lo));
    set(b, object, "hi", number(v->hi));
    set(b, object, "n", count(v->n));
}

static json_t *request_text(const struct request_id *id)
{
    char buffer[REQUEST_ID_TEXT_SIZE];
    request_id_format(id, buffer);
    return json_string(buffer);
}

/* A class' label, null for the index that stands for none. */
static json_t *label_of(const struct eval_report *r, uint32_t c)
{
    return c < r->n_classes ? text(r->classes[c].label) : json_null();
}

static json_t *per_class(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t c = 0; c < r->n_classes; c++) {
        const struct eval_class_row *row = &r->classes[c];
        json_t *object = json_object();
        set(b, object, "label", text(row->label));
        set(b, object, "owner", text(row->owner));
        set(b, object, "status", json_string(eval_report_class_status_name(row->status)));
        set(b, object, "n", count(row->n));
        set(b, object, "acc", estimate(&row->acc));
        set(b, object, "acc_before", estimate(&row->acc_before));
        set(b, object, "ci", interval(b, &row->acc));
        set(b, object, "acc_raw", estimate(&row->acc_raw));
        if (row->several) {
            set(b, object, "ap", number(row->ap));
            set(b, object, "ap_before", number(row->ap_before));
            set(b, object, "ap_raw", number(row->ap_raw));
        }
        if (row->status == EVAL_CLASS_LIVE && row->n < EVAL_MIN_CLASS_IMAGES)
            set(b, object, "verdict", json_string(gate_check_verdict_name(GATE_NOT_RESOLVABLE)));
        append(b, list, object);
    }
    return list;
}

static json_t *several(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_several; i++) {
        const struct eval_several_row *row = &r->several[i];
        json_t *object = json_object();
        set(b, object, "owner", text(row->owner));
        set(b, object, "n", count(row->n));
        set(b, object, "classes", count(row->n_classes));
        set(b, object, "map", estimate(&row->map));
        set(b, object, "map_before", estimate(&row->map_before));
        set(b, object, "map_raw", estimate(&row->map_raw));
        set(b, object, "ci", interval(b, &row->map));
        set(b, object, "of1", estimate(&row->of1));
        set(b, object, "of1_ci", interval(b, &row->of1));
        set(b, object, "cf1_mean_f1", estimate(&row->cf1_mean_f1));
        set(b, object, "cf1_literature", estimate(&row->cf1_literature));
        append(b, list, object);
    }
    return list;
}

static json_t *worst(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object();
    set(b, object, "label", label_of(r, r->worst_class));
    set(b, object, "acc", estimate(&r->acc_retain_worst));
    set(b, object, "loss_label", label_of(r, r->worst_loss_class));
    set(b, object, "loss", estimate(&r->retain_loss_worst));
    return object;
}

static json_t *neighbours(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object(), *labels = json_array();
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++) {
        if (r->neighbour[i] < r->n_classes)
            append(b, labels, label_of(r, r->neighbour[i]));
    }
    set(b, object, "loss", estimate(&r->near_neighbour));
    set(b, object, "labels", labels);
    return object;
}

static uint32_t set_size(const struct eval_report *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_sets; i++) {
        if (strcmp(r->sets[i].name, name) == 0)
            return r->sets[i].n;
    }
    return 0;
}

static json_t *mia(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object(), *retain = json_object();
    set(b, object, "auc", estimate(&r->mia_auc));
    set(b, object, "auc_before", estimate(&r->mia_auc_before));
    set(b, object, "n_forget", count(set_size(r, "forget")));
    set(b, object, "n_unseen", count(set_size(r, "unseen")));
    set(b, object, "ci", interval(b, &r->mia_auc));
    set(b, object, "matched", json_boolean(r->mia_matched));
    set(b, object, "entropy_auc", estimate(&r->mia_entropy_auc));
    set(b, object, "distance", estimate(&r->mia_distance));
    set(b, object, "tpr_at_fpr_01", estimate(&r->tpr_at_fpr_01));
    set(b, object, "tpr_at_fpr_001", estimate(&r->tpr_at_fpr_001));
    set(b, retain, "auc", estimate(&r->mia_retain_auc));
    set(b, retain, "auc_before", estimate(&r->mia_retain_auc_before));
    set(b, retain, "rise", estimate(&r->mia_retain_rise));
    set(b, retain, "ci", interval(b, &r->mia_retain_rise));
    set(b, object, "retain", retain);
    return object;
}

static int far_from_half(const struct eval_value *auc)
{
    return auc->n > 0 && fabs(auc->value - 0.5) > FLAG_AUC;
}

static json_t *streisand(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object();
    const int low =
        r->mean_true_rank.n > 0 && r->mean_true_rank.value > FLAG_RANK_SHARE * (double)r->n_outputs;
    set(b, object, "mean_true_rank", estimate(&r->mean_true_rank));
    set(b, object, "mean_true_p", estimate(&r->mean_true_p));
    set(b, object, "pile_up", estimate(&r->pile_up));
    set(b, object, "unseen_auc", estimate(&r->streisand_unseen_auc));
    set(b, object, "reference_auc", estimate(&r->streisand_reference_auc));
    set(b, object, "flagged",
        json_boolean(low || far_from_half(&r->streisand_unseen_auc) ||
                     far_from_half(&r->streisand_reference_auc)));
    return object;
}

static json_t *per_block(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_blocks; i++) {
        const struct eval_block_row *row = &r->blocks[i];
        json_t *object = json_object();
        set(b, object, "name", text(row->name));
        set(b, object, "ncm", estimate(&row->ncm));
        set(b, object, "ridge", estimate(&row->ridge));
        set(b, object, "reference_ncm", estimate(&row->reference_ncm));
        set(b, object, "reference_ridge", estimate(&row->reference_ridge));
        append(b, list, object);
    }
    return list;
}

static json_t *probe(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object(), *reference = json_object();
    set(b, object, "ncm", estimate(&r->probe_ncm));
    set(b, object, "ridge", estimate(&r->probe_ridge));
    set(b, reference, "ncm", estimate(&r->reference_ncm));
    set(b, reference, "ridge", estimate(&r->reference_ridge));
    set(b, reference, "classes", count(r->n_reference));
    set(b, reference, "kind", json_string(r->reference_unseen ? "never_in_base" : "unknown"));
    set(b, reference, "taught", count(r->n_reference_taught));
    set(b, object, "reference", reference);
    set(b, object, "gap_ncm", estimate(&r->gap_ncm));
    set(b, object, "gap_ridge", estimate(&r->gap_ridge));
    set(b, object, "ncm_min", number(r->ncm_min));
    set(b, object, "ncm_max", number(r->ncm_max));
    set(b, object, "support", count(r->ncm_support));
    set(b, object, "draws", count(r->ncm_draws));
    set(b, object, "lambda", number(r->ridge_lambda));
    set(b, object, "per_block", per_block(b, r));
    return object;
}

static json_t *relapse(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t q = 0; q < r->n_relapse; q++) {
        const struct eval_relapse_row *row = &r->relapse[q];
        json_t *object = json_object();
        set(b, object, "request", request_text(&row->request));
        set(b, object, "status", json_string(row->recheckable ? "checked" : "not_recheckable"));
        set(b, object, "acc", estimate(&row->acc));
        set(b, object, "ci", interval(b, &row->acc));
        set(b, object, "limit", number(row->limit));
        set(b, object, "ncm", estimate(&row->ncm));
        set(b, object, "ncm_then", number(row->ncm_then));
        append(b, list, object);
    }
    return list;
}

static json_t *checks(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_checks; i++) {
        const struct gate_check *c = &r->checks[i];
        const int at_most = gate_check_direction(c->id) == GATE_AT_MOST;
        json_t *object = json_object();
        set(b, object, "name", json_string(gate_check_name(c->id)));
        set_value(b, object, &c->measured);
        set(b, object, "limit", number(c->limit));
        set(b, object, "direction", json_string(at_most ? "at_most" : "at_least"));
        set(b, object, "rule", json_string(gate_check_rule_name(c->rule)));
        set(b, object, "verdict", json_string(gate_check_verdict_name(c->verdict)));
        if (c->id == GATE_CHECK_RELAPSE && c->relapse < r->n_relapse)
            set(b, object, "request", request_text(&r->relapse[c->relapse].request));
        append(b, list, object);
    }
    return list;
}

static json_t *gate(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object(), *reasons = json_array();
    for (uint32_t i = 0; i < r->n_checks; i++) {
        const struct gate_check *c = &r->checks[i];
        if (c->verdict == GATE_NOT_RUN || gate_check_met(c))
            continue;
        char reason[GATE_REASON_SIZE];
        gate_check_reason(c, r, reason, sizeof reason);
        append(b, reasons, json_string(reason));
    }
    set(b, object, "passed", json_boolean(r->gate.outcome == GATE_OUTCOME_PASSED));
    set(b, object, "outcome", json_string(gate_check_outcome_name(r->gate.outcome)));
    set(b, object, "all_pass", json_boolean(r->gate.all_pass));
    set(b, object, "reasons", reasons);
    return object;
}

static json_t *intervals(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object();
    for (uint32_t i = 0; i < eval_report_metric_count(); i++) {
        const struct eval_value *v = eval_report_metric(r, i);
        if (v->n == 0)
            continue;
        json_t *entry = json_object();
        set_value(b, entry, v);
        set(b, object, eval_report_metric_name(i), entry);
    }
    return object;
}

static json_t *sets(struct builder *b, const struct eval_report *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_sets; i++) {
        char digest[DIGEST_TEXT_SIZE];
        digest_format(&r->sets[i].digest, digest);
        json_t *object = json_object();
        set(b, object, "name", text(r->sets[i].name));
        set(b, object, "n", count(r->sets[i].n));
        set(b, object, "digest", json_string(digest));
        append(b, list, object);
    }
    return list;
}

static void set_head(struct builder *b, json_t *object, const struct eval_report *r)
{
    set(b, object, "kind", json_string(eval_report_kind_name(r->kind)));
    set(b, object, "outcome", json_string(eval_report_outcome_name(r->outcome)));
    set(b, object, "seed", decimal(r->seed));
    set(b, object, "n_outputs", count(r->n_outputs));
    set(b, object, "n_live", count(r->n_live));
    set(b, object, "n_eval", count(r->n_eval));
    set(b, object, "seconds", number(r->seconds));
    set(b, object, "zero_group_ratio", number(r->zero_group_ratio));
}

static void set_estimates(struct builder *b, json_t *object, const struct eval_report *r)
{
    set(b, object, "acc_forget", estimate(&r->acc_forget));
    set(b, object, "acc_forget_before", estimate(&r->acc_forget_before));
    set(b, object, "acc_unseen", estimate(&r->acc_unseen));
    set(b, object, "acc_retain", estimate(&r->acc_retain));
    set(b, object, "acc_retain_before", estimate(&r->acc_retain_before));
    set(b, object, "acc_old_forgotten", estimate(&r->acc_old_forgotten));
    set(b, object, "acc_new_task", estimate(&r->acc_new_task));
    set(b, object, "acc_retain_raw", estimate(&r->acc_retain_raw));
    set(b, object, "acc_new_task_raw", estimate(&r->acc_new_task_raw));
    set(b, object, "map", estimate(&r->map));
    set(b, object, "map_before", estimate(&r->map_before));
    set(b, object, "map_raw", estimate(&r->map_raw));
    set(b, object, "h_mean", estimate(&r->h_mean));
    set(b, object, "ece", estimate(&r->ece));
    set(b, object, "js_drift", estimate(&r->js_drift));
    set(b, object, "ks", estimate(&r->ks));
    set(b, object, "exposed_decile", estimate(&r->exposed_decile));
    set(b, object, "pile_up", estimate(&r->pile_up));
    set(b, object, "ablation", estimate(&r->ablation));
}

/* ---------------------------------------------------------------- streams */

static json_t *stream_event(struct builder *b, const struct learner_event *e)
{
    json_t *object = json_object();
    set(b, object, "batch", json_integer((json_int_t)e->batch));
    set(b, object, "expert", text(e->expert));
    set(b, object, "from", text(e->from));
    set(b, object, "loss", number(e->loss));
    set(b, object, "smoothed", number(e->smoothed));
    set(b, object, "threshold", number(e->threshold));
    set(b, object, "switched", json_boolean(e->switched));
    set(b, object, "created", json_boolean(e->created));
    set(b, object, "held", json_boolean(e->held > 0));
    set(b, object, "quarantined", json_boolean(e->quarantined > 0));
    return object;
}

/* The last event stands for the request: where it ended, and its sums. */
static void stream_outcome(struct builder *b, json_t *object, const struct learner_event *e)
{
    set(b, object, "expert", text(e->expert));
    set(b, object, "loss", number(e->loss));
    set(b, object, "threshold", number(e->threshold));
    set(b, object, "offered", count(e->offered));
    set(b, object, "trained", count(e->trained));
    set(b, object, "reserved", count(e->reserved));
    set(b, object, "tombstoned", count(e->tombstoned));
    set(b, object, "held", count(e->held));
    set(b, object, "quarantined", count(e->quarantined));
}

static json_t *stream(struct builder *b, const struct report_stream *s)
{
    json_t *object = json_object(), *events = json_array();
    uint32_t switches = 0;
    for (uint32_t i = 0; i < s->n_events; i++) {
        switches += s->events[i].switched != 0;
        append(b, events, stream_event(b, &s->events[i]));
    }
    if (s->n_events > 0)
        stream_outcome(b, object, &s->events[s->n_events - 1]);
    set(b, object, "switched", json_boolean(switches > 0));
    set(b, object, "switches", count(switches));
    set(b, object, "experts", count(s->after->n_experts));
    set(b, object, "batches", json_integer((json_int_t)s->after->batches));
    set(b, object, "held_batches", count(s->after->held));
    set(b, object, "closed", json_boolean(s->after->closed));
    set(b, object, "events", events);
    return object;
}

static json_t *report_object(struct builder *b, const struct eval_report *r)
{
    json_t *object = json_object();
    set_head(b, object, r);
    set_estimates(b, object, r);
    set(b, object, "per_class", per_class(b, r));
    set(b, object, "several", several(b, r));
    set(b, object, "worst", worst(b, r));
    set(b, object, "near_neighbour", neighbours(b, r));
    set(b, object, "mia", mia(b, r));
    set(b, object, "streisand", streisand(b, r));
    set(b, object, "probe", probe(b, r));
    set(b, object, "relapse", relapse(b, r));
    set(b, object, "checks", checks(b, r));
    set(b, object, "gate", gate(b, r));
    set(b, object, "intervals", intervals(b, r));
    set(b, object, "sets", sets(b, r));
    return object;
}

enum status report_json_text(const struct eval_report *report,
                             char **ret_text,
                             size_t *ret_size,
                             struct fault *f)
{
    return report_json_with(report, NULL, ret_text, ret_size, f);
}

enum status report_json_with(const struct eval_report *report,
                             const struct report_stream *s,
                             char **ret_text,
                             size_t *ret_size,
                             struct fault *f)
{
    struct builder b = {1};
    json_t *object = report_object(&b, report);
    if (s)
        set(&b, object, "stream", stream(&b, s));
    char *dump = NULL;
    if (object && b.ok)
        dump = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));
    json_decref(object);
    if (!dump)
        FAIL(f, STATUS_NO_MEMORY, "evaluation", "no memory for the text of the retention report");
    *ret_text = dump;
    *ret_size = strlen(dump);
    return STATUS_OK;
}
