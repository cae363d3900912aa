#include "learners/eval/evaluate.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/eval/evaluate_internal.h"
#include "learners/eval/stats.h"

static uint32_t largest_set(const struct eval_inputs *in)
{
    struct evaluate_set sets[EVALUATE_SETS];
    uint32_t most = 0;
    evaluate_name_sets(in, sets);
    for (uint32_t i = 0; i < EVALUATE_SETS; i++)
        most = sets[i].set->n > most ? sets[i].set->n : most;
    for (uint32_t q = 0; q < in->n_erasures; q++)
        most = in->erasures[q].n > most ? in->erasures[q].n : most;
    return most;
}

size_t evaluate_plan(const struct eval_inputs *in)
{
    struct arena_plan p = {0};
    const size_t K = in->n_outputs, n = largest_set(in);
    const size_t answers = evaluate_answers_plan(in), features = evaluate_features_plan(in);
    const size_t several = evaluate_several_plan(in);
    for (int i = 0; i < 2; i++) {
        arena_plan_add(&p, K, sizeof(uint8_t));
        arena_plan_add(&p, n, sizeof(uint8_t));
    }
    for (int i = 0; i < 4; i++)
        arena_plan_add(&p, K, sizeof(struct accuracy_tally));
    arena_plan_add(&p, GATE_CHECK_COUNT + (size_t)in->n_erasures, sizeof(struct gate_check));
    arena_plan_add(&p, 1, answers > features ? answers : features);
    arena_plan_add(&p, 1, several);
    return arena_plan_bytes(&p);
}

size_t evaluate_report_plan(const struct eval_inputs *in)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, in->n_outputs, sizeof(struct eval_class_row));
    arena_plan_add(&p, in->n_erasures, sizeof(struct eval_relapse_row));
    arena_plan_add(&p, in->n_blocks, sizeof(struct eval_block_row));
    arena_plan_add(&p, in->n_several, sizeof(struct eval_several_row));
    arena_plan_add(&p, GATE_CHECK_COUNT + (size_t)in->n_erasures, sizeof(struct gate_check));
    return arena_plan_bytes(&p);
}

static enum status work_init(struct evaluate_work *w, struct arena *scratch, struct fault *f)
{
    const struct eval_inputs *in = w->in;
    const size_t n = largest_set(in);
    w->scratch = scratch;
    w->K = in->n_outputs;
    w->draws = in->bootstrap_draws ? in->bootstrap_draws : EVALUATE_DRAWS;
    w->live = arena_alloc_zero(scratch, w->K, sizeof *w->live);
    w->target = arena_alloc_zero(scratch, w->K, sizeof *w->target);
    w->right = arena_alloc(scratch, n, sizeof *w->right);
    w->right_before = arena_alloc(scratch, n, sizeof *w->right_before);
    w->retain = arena_alloc_zero(scratch, w->K, sizeof *w->retain);
    w->forget = arena_alloc_zero(scratch, w->K, sizeof *w->forget);
    w->erasure = arena_alloc_zero(scratch, w->K, sizeof *w->erasure);
    w->raw = arena_alloc_zero(scratch, w->K, sizeof *w->raw);
    if (!w->live || !w->target || !w->right || !w->right_before || !w->retain || !w->forget ||
        !w->erasure || !w->raw)
        FAIL(f, STATUS_NO_MEMORY, "scratch", "the evaluation takes %zu bytes", evaluate_plan(in));
    for (uint32_t c = 0; c < w->K; c++)
        w->live[c] = in->classes[c].status == EVAL_CLASS_LIVE;
    for (uint32_t i = 0; i < in->forget.n; i++)
        w->target[in->forget.labels[i]] = 1;
    return STATUS_OK;
}

/* What is known before anything is measured, and the lists. */
static enum status report_init(struct evaluate_work *w, struct arena *out, struct fault *f)
{
    const struct eval_inputs *in = w->in;
    struct eval_report *r = w->r;
    eval_report_init(r);
    r->kind = in->kind;
    r->outcome = in->outcome;
    r->zero_group_ratio = in->zero_group_ratio;
    r->seed = in->root.seed;
    r->n_outputs = w->K;
    r->n_path = in->forget.n ? 1 + in->n_paths : 0;
    r->mia_matched = in->unseen.n > 0 && in->unseen_matched;
    r->reference_unseen = in->reference.n > 0 && in->reference_unseen;
    r->n_reference_taught = in->n_reference_taught;
    for (uint32_t c = 0; c < w->K; c++)
        r->n_live += w->live[c];
    r->n_classes = w->K;
    r->n_relapse = in->n_erasures;
    r->classes = arena_alloc_zero(out, w->K, sizeof *r->classes);
    r->relapse = arena_alloc_zero(out, in->n_erasures, sizeof *r->relapse);
    r->blocks = arena_alloc_zero(out, in->n_blocks, sizeof *r->blocks);
    r->n_several = in->n_several;
    r->several = arena_alloc_zero(out, in->n_several, sizeof *r->several);
    if (!r->classes || !r->relapse || !r->blocks || !r->several)
        FAIL(f, STATUS_NO_MEMORY, "out", "the report's lists take %zu bytes",
             evaluate_report_plan(in));
    return STATUS_OK;
}

void evaluate_copy_text(char *to, size_t size, const char *from)
{
    size_t length = from ? strnlen(from, size) : 0;
    if (length == size) {
        /* Cut before a UTF-8 sequence, not inside it. */
        for (length--; length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80;)
            length--;
    }
    memset(to, 0, size);
    if (length > 0)
        memcpy(to, from, length);
}

/* Names, sizes and digests of the sets; n_eval counts `probe` not again, it repeats D_u or D_f. */
static void report_sets(struct evaluate_work *w)
{
    struct evaluate_set sets[EVALUATE_SETS];
    struct eval_report *r = w->r;
    evaluate_name_sets(w->in, sets);
    for (uint32_t i = 0; i < EVALUATE_SETS; i++) {
        const struct eval_set *set = sets[i].set;
        if (set->n == 0)
            continue;
        struct eval_set_row *row = &r->sets[r->n_sets++];
        evaluate_copy_text(row->name, sizeof row->name, sets[i].name);
        row->n = set->n;
        row->digest = set->digest;
        if (set != &w->in->probe)
            r->n_eval += set->n;
    }
    for (uint32_t q = 0; q < w->in->n_erasures; q++)
        r->n_eval += w->in->erasures[q].n;
}

/* The tally that speaks for a class: D_r while it lives, D_f while it is being erased, its
 * erasure's probe afterwards. */
static const struct accuracy_tally *
class_tally(const struct evaluate_work *w, uint32_t c, enum eval_class_status status)
{
    switch (status) {
    case EVAL_CLASS_LIVE:
        return &w->retain[c];
    case EVAL_CLASS_FORGETTING:
        return &w->forget[c];
    case EVAL_CLASS_FORGOTTEN:
        return &w->erasure[c];
    }
    return &w->retain[c];
}

static void report_classes(struct evaluate_work *w)
{
    for (uint32_t c = 0; c < w->K; c++) {
        const struct eval_class *class = &w->in->classes[c];
        const struct accuracy_tally *t = class_tally(w, c, class->status);
        struct eval_class_row *row = &w->r->classes[c];
        evaluate_copy_text(row->label, sizeof row->label, class->label);
        evaluate_copy_text(row->owner, sizeof row->owner, class->owner);
        row->status = class->status;
        row->n = t->n;
        row->n_before = t->paired.n;
        row->acc = accuracy_micro(t);
        row->acc_before = accuracy_micro_before(t);
        row->loss = stats_paired_loss(t->paired, STATS_LEVEL);
        row->acc_raw = accuracy_micro(&w->raw[c]);
        row->ap = row->ap_before = row->ap_raw = (double)NAN;
    }
}

/*
 * Whether a required check that needs no features has failed already, so that the dear probes may
 * be spared.  Judged on a copy: the probes' own checks are not measured yet and must not count.
 */
static enum status failed_early(struct evaluate_work *w,
                                const struct gate_limits *limits,
                                int *ret_failed,
                                struct fault *f)
{
    const struct arena_mark mark = arena_mark(w->scratch);
    struct eval_report copy = *w->r;
    *ret_failed = 0;
    TRY(gate_check_apply(&copy, limits, w->scratch, f));
    for (uint32_t i = 0; i < copy.n_checks; i++)
        *ret_failed |= copy.checks[i].id < GATE_CHECK_PROTOTYPE && !gate_check_met(&copy.checks[i]);
    arena_rewind(w->scratch, mark);
    return STATUS_OK;
}

static enum status run(struct evaluate_work *w, struct arena *out, struct fault *f)
{
    const struct gate_limits defaults = gate_check_defaults();
    const struct gate_limits *limits = w->in->limits ? w->in->limits : &defaults;
    int failed;
    TRY(report_init(w, out, f));
    report_sets(w);
    enum status status = evaluate_answers(w);
    if (status != STATUS_OK)
        FAIL(f, status, "scratch", "the answers could not be evaluated");
    report_classes(w);
    status = evaluate_several(w);
    if (status != STATUS_OK)
        FAIL(f, status, "scratch", "the images with several labels could not be evaluated");
    TRY(failed_early(w, limits, &failed, f));
    status = failed && !w->in->run_all ? STATUS_OK : evaluate_features(w);
    if (status != STATUS_OK)
        FAIL(f, status, "scratch", "the features could not be probed");
    return gate_check_apply(w->r, limits, out, f);
}

enum status evaluate_run(const struct eval_inputs *in,
                         struct arena *out,
                         struct arena *scratch,
                         struct eval_report *ret_report,
                         struct fault *f)
{
    INVARIANT(out != scratch);
    TRY(evaluate_check_inputs(in, f));
    const struct arena_mark out_mark = arena_mark(out), scratch_mark = arena_mark(scratch);
    struct eval_report report;
    struct evaluate_work w = {.in = in, .r = &report};
    enum status status = work_init(&w, scratch, f);
    if (status == STATUS_OK)
        status = run(&w, out, f);
    arena_rewind(scratch, scratch_mark);
    if (status == STATUS_OK)
        *ret_report = report;
    else
        arena_rewind(out, out_mark);
    return status;
}
