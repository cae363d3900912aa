#include "learners/eval/eval_report.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"

/* Fields in the order of eval_metrics.def. */
static const struct {
    const char *name;
    const char *text;
    size_t offset;
} METRICS[] = {
#define X(name, text) {#name, text, offsetof(struct eval_report, name)},
#include "learners/eval/eval_metrics.def"
#undef X
};

#define N_METRICS ((uint32_t)(sizeof METRICS / sizeof *METRICS))

static const char MAGIC[4] = {'L', 'R', 'P', 'T'};

struct eval_value eval_report_absent(void)
{
    const double nan = (double)NAN;
    return (struct eval_value){.value = nan, .lo = nan, .hi = nan, .n = 0};
}

uint32_t eval_report_metric_count(void)
{
    return N_METRICS;
}

const char *eval_report_metric_name(uint32_t i)
{
    INVARIANT(i < N_METRICS);
    return METRICS[i].name;
}

const char *eval_report_metric_text(uint32_t i)
{
    INVARIANT(i < N_METRICS);
    return METRICS[i].text;
}

const struct eval_value *eval_report_metric(const struct eval_report *r, uint32_t i)
{
    INVARIANT(i < N_METRICS);
    return (const struct eval_value *)(const void *)((const char *)r + METRICS[i].offset);
}

static void set_metric(struct eval_report *r, uint32_t i, struct eval_value v)
{
    memcpy((char *)r + METRICS[i].offset, &v, sizeof v);
}

void eval_report_init(struct eval_report *r)
{
    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < N_METRICS; i++)
        set_metric(r, i, eval_report_absent());
    r->zero_group_ratio = r->ks_p = r->ridge_lambda = r->ncm_min = r->ncm_max = (double)NAN;
}

const char *eval_report_kind_name(enum eval_kind kind)
{
    static const char *const NAMES[] = {"forget_classes", "forget_samples", "learn", "recheck"};
    INVARIANT((unsigned)kind < EVAL_KIND_COUNT);
    return NAMES[kind];
}

const char *eval_report_outcome_name(enum eval_outcome outcome)
{
    static const char *const NAMES[] = {"none", "target_met", "target_not_met", "not_validated",
                                        "all_groups_zero"};
    INVARIANT((unsigned)outcome < EVAL_OUTCOME_COUNT);
    return NAMES[outcome];
}

const char *eval_report_class_status_name(enum eval_class_status status)
{
    static const char *const NAMES[] = {"live", "forgetting", "forgotten"};
    INVARIANT((unsigned)status < EVAL_CLASS_STATUS_COUNT);
    return NAMES[status];
}

double eval_report_relapse_limit(const struct eval_report *r, double margin)
{
    return r->acc_forget.n ? r->acc_forget.hi + margin : (double)NAN;
}

/* ------------------------------------------------------------------ writing */

/* All NaNs are written alike, so that equal reports give equal bytes. */
static void put_number(struct byte_writer *w, double x)
{
    put_f64(w, isnan(x) ? (double)NAN : x);
}

static void put_value(struct byte_writer *w, struct eval_value v)
{
    put_number(w, v.value);
    put_number(w, v.lo);
    put_number(w, v.hi);
    put_u32(w, v.n);
}

static void put_scalars(struct byte_writer *w, const struct eval_report *r)
{
    put_u8(w, (uint8_t)r->kind);
    put_u8(w, (uint8_t)r->outcome);
    put_u64(w, r->seed);
    put_u32(w, r->n_outputs);
    put_u32(w, r->n_live);
    put_u32(w, r->n_eval);
    put_u32(w, r->n_path);
    put_u32(w, r->n_class_too_small);
    put_u32(w, r->n_reference);
    put_u8(w, r->mia_matched);
    put_u8(w, r->reference_unseen);
    put_u32(w, r->n_reference_taught);
    put_number(w, r->seconds);
    put_number(w, r->zero_group_ratio);
    put_number(w, r->ks_p);
    put_number(w, r->ridge_lambda);
    put_number(w, r->ncm_min);
    put_number(w, r->ncm_max);
    put_u32(w, r->ncm_support);
    put_u32(w, r->ncm_draws);
    put_u32(w, r->worst_class);
    put_u32(w, r->worst_loss_class);
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++)
        put_u32(w, r->neighbour[i]);
}

static void put_sets(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_sets);
    for (uint32_t i = 0; i < r->n_sets; i++) {
        put_string(w, r->sets[i].name);
        put_u32(w, r->sets[i].n);
        put_bytes(w, r->sets[i].digest.b, DIGEST_SIZE);
    }
}

static void put_classes(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_classes);
    for (uint32_t i = 0; i < r->n_classes; i++) {
        const struct eval_class_row *c = &r->classes[i];
        put_string(w, c->label);
        put_string(w, c->owner);
        put_u8(w, (uint8_t)c->status);
        put_u32(w, c->n);
        put_u32(w, c->n_before);
        put_value(w, c->acc);
        put_value(w, c->acc_before);
        put_value(w, c->loss);
        put_value(w, c->acc_raw);
        put_u8(w, c->several);
        put_number(w, c->ap);
        put_number(w, c->ap_before);
        put_number(w, c->ap_raw);
    }
}

static void put_relapse(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_relapse);
    for (uint32_t i = 0; i < r->n_relapse; i++) {
        const struct eval_relapse_row *q = &r->relapse[i];
        put_bytes(w, q->request.b, REQUEST_ID_SIZE);
        put_u8(w, q->recheckable);
        put_value(w, q->acc);
        put_number(w, q->limit);
        put_value(w, q->ncm);
        put_number(w, q->ncm_then);
    }
}

static void put_blocks(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_blocks);
    for (uint32_t i = 0; i < r->n_blocks; i++) {
        const struct eval_block_row *b = &r->blocks[i];
        put_string(w, b->name);
        put_value(w, b->ncm);
        put_value(w, b->ridge);
        put_value(w, b->reference_ncm);
        put_value(w, b->reference_ridge);
    }
}

static void put_several(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_several);
    for (uint32_t i = 0; i < r->n_several; i++) {
        const struct eval_several_row *s = &r->several[i];
        put_string(w, s->owner);
        put_u32(w, s->n);
        put_u32(w, s->n_classes);
        put_value(w, s->map);
        put_value(w, s->map_before);
        put_value(w, s->map_raw);
        put_value(w, s->of1);
        put_value(w, s->cf1_mean_f1);
        put_value(w, s->cf1_literature);
    }
}

static void put_checks(struct byte_writer *w, const struct eval_report *r)
{
    put_u32(w, r->n_checks);
    for (uint32_t i = 0; i < r->n_checks; i++) {
        const struct gate_check *c = &r->checks[i];
        put_u8(w, (uint8_t)c->id);
        put_u32(w, c->relapse);
        put_value(w, c->measured);
        put_number(w, c->limit);
        put_u8(w, (uint8_t)c->rule);
        put_u8(w, (uint8_t)c->verdict);
    }
    put_u8(w, (uint8_t)r->gate.outcome);
    put_u8(w, (uint8_t)(r->gate.all_pass != 0));
}

static void put_report(struct byte_writer *w, const struct eval_report *r)
{
    put_bytes(w, MAGIC, sizeof MAGIC);
    put_u16(w, EVAL_REPORT_FORMAT);
    put_scalars(w, r);
    for (uint32_t i = 0; i < N_METRICS; i++)
        put_value(w, *eval_report_metric(r, i));
    put_sets(w, r);
    put_classes(w, r);
    put_relapse(w, r);
    put_blocks(w, r);
    put_several(w, r);
    put_checks(w, r);
}

size_t eval_report_encoded_size(const struct eval_report *r)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    put_report(&w, r);
    return w.used;
}

enum status
eval_report_encode(const struct eval_report *r, void *bytes, size_t size, struct fault *f)
{
    const size_t needed = eval_report_encoded_size(r);
    if (size < needed)
        FAIL(f, STATUS_NO_SPACE, "report", "the report takes %zu bytes, not %zu", needed, size);
    struct byte_writer w = byte_writer_make(bytes, size);
    put_report(&w, r);
    INVARIANT(!w.failed && w.used == needed);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ reading */

/* A number below `count`; marks the reader as failed otherwise. */
static unsigned get_enum(struct byte_reader *r, unsigned count)
{
    const unsigned x = get_u8(r);
    if (x < count)
        return x;
    r->failed = 1;
    return 0;
}

static struct eval_value get_value(struct byte_reader *r)
{
    struct eval_value v;
    v.value = get_f64(r);
    v.lo = get_f64(r);
    v.hi = get_f64(r);
    v.n = get_u32(r);
    return v;
}

static void get_scalars(struct byte_reader *r, struct eval_report *to)
{
    to->kind = (enum eval_kind)get_enum(r, EVAL_KIND_COUNT);
    to->outcome = (enum eval_outcome)get_enum(r, EVAL_OUTCOME_COUNT);
    to->seed = get_u64(r);
    to->n_outputs = get_u32(r);
    to->n_live = get_u32(r);
    to->n_eval = get_u32(r);
    to->n_path = get_u32(r);
    to->n_class_too_small = get_u32(r);
    to->n_reference = get_u32(r);
    to->mia_matched = (uint8_t)get_enum(r, 2);
    to->reference_unseen = (uint8_t)get_enum(r, 2);
    to->n_reference_taught = get_u32(r);
    to->seconds = get_f64(r);
    to->zero_group_ratio = get_f64(r);
    to->ks_p = get_f64(r);
    to->ridge_lambda = get_f64(r);
    to->ncm_min = get_f64(r);
    to->ncm_max = get_f64(r);
    to->ncm_support = get_u32(r);
    to->ncm_draws = get_u32(r);
    to->worst_class = get_u32(r);
    to->worst_loss_class = get_u32(r);
    for (uint32_t i = 0; i < EVAL_NEIGHBOURS; i++)
        to->neighbour[i] = get_u32(r);
}

/* A list's count; over the limit, or more rows than bytes are left for, it fails. */
static uint32_t get_count(struct byte_reader *r, uint32_t limit, size_t row_bytes)
{
    const uint32_t n = get_u32(r);
    if (n <= limit && n <= (r->size - r->used) / row_bytes)
        return n;
    r->failed = 1;
    return 0;
}

#define VALUE_BYTES   28u
#define SET_BYTES     (4u + 4u + DIGEST_SIZE)
#define CLASS_BYTES   (4u + 4u + 1u + 4u + 4u + 4u * VALUE_BYTES + 1u + 3u * 8u)
#define RELAPSE_BYTES (REQUEST_ID_SIZE + 1u + 2u * VALUE_BYTES + 16u)
#define BLOCK_BYTES   (4u + 4u * VALUE_BYTES)
#define SEVERAL_BYTES (4u + 4u + 4u + 6u * VALUE_BYTES)
#define CHECK_BYTES   (1u + 4u + VALUE_BYTES + 8u + 2u)

static void get_sets(struct byte_reader *r, struct eval_report *to)
{
    to->n_sets = get_count(r, EVAL_MAX_SETS, SET_BYTES);
    for (uint32_t i = 0; i < to->n_sets; i++) {
        get_string(r, to->sets[i].name, EVAL_NAME_SIZE);
        to->sets[i].n = get_u32(r);
        get_bytes(r, to->sets[i].digest.b, DIGEST_SIZE);
    }
}

static void get_class(struct byte_reader *r, struct eval_class_row *c)
{
    get_string(r, c->label, EVAL_LABEL_SIZE);
    get_string(r, c->owner, EVAL_OWNER_SIZE);
    c->status = (enum eval_class_status)get_enum(r, EVAL_CLASS_STATUS_COUNT);
    c->n = get_u32(r);
    c->n_before = get_u32(r);
    c->acc = get_value(r);
    c->acc_before = get_value(r);
    c->loss = get_value(r);
    c->acc_raw = get_value(r);
    c->several = (uint8_t)get_enum(r, 2);
    c->ap = get_f64(r);
    c->ap_before = get_f64(r);
    c->ap_raw = get_f64(r);
}

static void get_relapse(struct byte_reader *r, struct eval_relapse_row *q)
{
    get_bytes(r, q->request.b, REQUEST_ID_SIZE);
    q->recheckable = (uint8_t)get_enum(r, 2);
    q->acc = get_value(r);
    q->limit = get_f64(r);
    q->ncm = get_value(r);
    q->ncm_then = get_f64(r);
}

static void get_block(struct byte_reader *r, struct eval_block_row *b)
{
    get_string(r, b->name, EVAL_NAME_SIZE);
    b->ncm = get_value(r);
    b->ridge = get_value(r);
    b->reference_ncm = get_value(r);
    b->reference_ridge = get_value(r);
}

static void get_several(struct byte_reader *r, struct eval_several_row *s)
{
    get_string(r, s->owner, EVAL_OWNER_SIZE);
    s->n = get_u32(r);
    s->n_classes = get_u32(r);
    s->map = get_value(r);
    s->map_before = get_value(r);
    s->map_raw = get_value(r);
    s->of1 = get_value(r);
    s->cf1_mean_f1 = get_value(r);
    s->cf1_literature = get_value(r);
}

static void get_check(struct byte_reader *r, uint32_t n_relapse, struct gate_check *c)
{
    c->id = (enum gate_check_id)get_enum(r, GATE_CHECK_COUNT);
    c->relapse = get_u32(r);
    c->measured = get_value(r);
    c->limit = get_f64(r);
    c->rule = (enum gate_rule)get_enum(r, GATE_RULE_COUNT);
    c->verdict = (enum gate_verdict)get_enum(r, GATE_VERDICT_COUNT);
    /* A relapse check points at a row; the others carry 0. */
    if (c->id == GATE_CHECK_RELAPSE ? c->relapse >= n_relapse : c->relapse != 0)
        r->failed = 1;
}

/* The lists of the decoded report: counted first, then allocated together. */
static enum status get_lists(struct byte_reader *r, struct arena *out, struct eval_report *to)
{
    to->n_classes = get_count(r, EVAL_MAX_CLASSES, CLASS_BYTES);
    to->classes = arena_alloc_zero(out, to->n_classes, sizeof *to->classes);
    for (uint32_t i = 0; to->classes && i < to->n_classes; i++)
        get_class(r, &to->classes[i]);
    to->n_relapse = get_count(r, EVAL_MAX_RELAPSE, RELAPSE_BYTES);
    to->relapse = arena_alloc_zero(out, to->n_relapse, sizeof *to->relapse);
    for (uint32_t i = 0; to->relapse && i < to->n_relapse; i++)
        get_relapse(r, &to->relapse[i]);
    to->n_blocks = get_count(r, EVAL_MAX_BLOCKS, BLOCK_BYTES);
    to->blocks = arena_alloc_zero(out, to->n_blocks, sizeof *to->blocks);
    for (uint32_t i = 0; to->blocks && i < to->n_blocks; i++)
        get_block(r, &to->blocks[i]);
    to->n_several = get_count(r, EVAL_MAX_SEVERAL, SEVERAL_BYTES);
    to->several = arena_alloc_zero(out, to->n_several, sizeof *to->several);
    for (uint32_t i = 0; to->several && i < to->n_several; i++)
        get_several(r, &to->several[i]);
    to->n_checks = get_count(r, EVAL_REPORT_MAX_CHECKS, CHECK_BYTES);
    to->checks = arena_alloc_zero(out, to->n_checks, sizeof *to->checks);
    for (uint32_t i = 0; to->checks && i < to->n_checks; i++)
        get_check(r, to->n_relapse, &to->checks[i]);
    to->gate.outcome = (enum gate_outcome)get_enum(r, GATE_OUTCOME_COUNT);
    to->gate.all_pass = (int)get_enum(r, 2);
    return to->classes && to->relapse && to->blocks && to->several && to->checks ? STATUS_OK
                                                                                 : STATUS_NO_MEMORY;
}

static int get_head(struct byte_reader *r)
{
    char magic[sizeof MAGIC];
    get_bytes(r, magic, sizeof magic);
    return memcmp(magic, MAGIC, sizeof MAGIC) == 0 && get_u16(r) == EVAL_REPORT_FORMAT &&
           !r->failed;
}

enum status eval_report_decode(const void *bytes,
                               size_t size,
                               struct arena *out,
                               struct eval_report *ret_report,
                               struct fault *f)
{
    const struct arena_mark mark = arena_mark(out);
    struct byte_reader r = byte_reader_make(bytes, size);
    struct eval_report to;
    if (!get_head(&r))
        FAIL(f, STATUS_BAD_FORMAT, "report", "not a retention report of format %d",
             EVAL_REPORT_FORMAT);
    eval_report_init(&to);
    get_scalars(&r, &to);
    for (uint32_t i = 0; i < N_METRICS; i++)
        set_metric(&to, i, get_value(&r));
    get_sets(&r, &to);
    const enum status status = get_lists(&r, out, &to);
    if (status == STATUS_OK && byte_reader_done(&r)) {
        *ret_report = to;
        return STATUS_OK;
    }
    arena_rewind(out, mark);
    if (status != STATUS_OK)
        FAIL(f, status, "report", "the lists of the report do not fit in %zu bytes", out->size);
    FAIL(f, STATUS_BAD_FORMAT, "report", "damaged retention report (byte %zu of %zu)", r.used,
         size);
}

/* Skips one row: a string or two, then fixed bytes. */
static void skip_rows(struct byte_reader *r, uint32_t n, unsigned strings, size_t fixed)
{
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        size_t length;
        for (unsigned s = 0; s < strings; s++)
            (void)get_blob(r, &length);
        if (r->size - r->used < fixed)
            r->failed = 1;
        else
            r->used += fixed;
    }
}

size_t eval_report_decode_plan(const void *bytes, size_t size)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct arena_plan p = {0};
    struct eval_report to;
    if (!get_head(&r))
        return 0;
    get_scalars(&r, &to);
    for (uint32_t i = 0; i < N_METRICS; i++)
        (void)get_value(&r);
    get_sets(&r, &to);
    const uint32_t classes = get_count(&r, EVAL_MAX_CLASSES, CLASS_BYTES);
    skip_rows(&r, classes, 2, CLASS_BYTES - 8);
    const uint32_t relapse = get_count(&r, EVAL_MAX_RELAPSE, RELAPSE_BYTES);
    skip_rows(&r, relapse, 0, RELAPSE_BYTES);
    const uint32_t blocks = get_count(&r, EVAL_MAX_BLOCKS, BLOCK_BYTES);
    skip_rows(&r, blocks, 1, BLOCK_BYTES - 4);
    const uint32_t several = get_count(&r, EVAL_MAX_SEVERAL, SEVERAL_BYTES);
    skip_rows(&r, several, 1, SEVERAL_BYTES - 4);
    const uint32_t checks = get_count(&r, EVAL_REPORT_MAX_CHECKS, CHECK_BYTES);
    arena_plan_add(&p, classes, sizeof *to.classes);
    arena_plan_add(&p, relapse, sizeof *to.relapse);
    arena_plan_add(&p, blocks, sizeof *to.blocks);
    arena_plan_add(&p, several, sizeof *to.several);
    arena_plan_add(&p, checks, sizeof *to.checks);
    return r.failed ? 0 : arena_plan_bytes(&p);
}
