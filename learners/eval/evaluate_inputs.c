#include "learners/eval/evaluate_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rows of one set; keeps the sum of two sets within 32 bits. */
#define MAX_ROWS (UINT32_C(1) << 28)

void evaluate_name_sets(const struct eval_inputs *in, struct evaluate_set sets[EVALUATE_SETS])
{
    const uint32_t K = in->n_outputs;
    const struct evaluate_set all[EVALUATE_SETS] = {
        {"forget", &in->forget, K, 1},   {"retain", &in->retain, K, 1},
        {"test", &in->test, K, 1},       {"unseen", &in->unseen, K, 1},
        {"members", &in->members, K, 1}, {"learned", &in->learned, K, 1},
        {"probe", &in->probe, K, 0},     {"reference", &in->reference, in->n_reference_classes, 0},
    };
    memcpy(sets, all, sizeof all);
}

static enum status
check_logits(const float *logits, uint32_t n, uint32_t K, const char *name, struct fault *f)
{
    for (uint32_t i = 0; logits && i < n; i++) {
        const float *row = logits + (size_t)i * K;
        uint32_t finite = 0;
        for (uint32_t j = 0; j < K; j++) {
            if (isnan(row[j]) || row[j] > FLT_MAX)
                FAIL(f, STATUS_INVALID_ARGUMENT, name, "logit %u of row %u is NaN or +infinity", j,
                     i);
            finite += row[j] >= -FLT_MAX;
        }
        if (finite == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, name, "row %u has no finite logit", i);
    }
    return STATUS_OK;
}

static enum status
check_features(const float *x, uint32_t n, uint32_t width, const char *name, struct fault *f)
{
    if (!x)
        return STATUS_OK;
    if (width == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "features of width 0");
    for (size_t i = 0; i < (size_t)n * width; i++) {
        if (!isfinite(x[i]))
            FAIL(f, STATUS_INVALID_ARGUMENT, name, "feature %zu of row %zu is not finite",
                 i % width, i / width);
    }
    return STATUS_OK;
}

static enum status check_labels(
    const uint32_t *labels, uint32_t n, uint32_t n_labels, const char *name, struct fault *f)
{
    if (n > MAX_ROWS)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "%u rows, at most %u", n, MAX_ROWS);
    if (n > 0 && !labels)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "rows without labels");
    for (uint32_t i = 0; i < n; i++) {
        if (labels[i] >= n_labels)
            FAIL(f, STATUS_INVALID_ARGUMENT, name, "label %u of row %u, at most %u", labels[i], i,
                 n_labels ? n_labels - 1 : 0);
    }
    return STATUS_OK;
}

static enum status
check_set(const struct eval_inputs *in, const struct evaluate_set *s, struct fault *f)
{
    const struct eval_set *set = s->set;
    const uint32_t K = in->n_outputs;
    TRY(check_labels(set->labels, set->n, s->n_labels, s->name, f));
    if (set->n > 0 && s->needs_logits && !set->logits)
        FAIL(f, STATUS_INVALID_ARGUMENT, s->name, "rows without logits");
    TRY(check_logits(set->logits, set->n, K, s->name, f));
    TRY(check_logits(set->logits_before, set->n, K, s->name, f));
    TRY(check_logits(set->logits_raw, set->n, K, s->name, f));
    return check_features(set->features, set->n, in->width, s->name, f);
}

static enum status check_classes(const struct eval_inputs *in, struct fault *f)
{
    if (in->n_outputs < 2 || in->n_outputs > EVAL_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "n_outputs", "%u outputs, 2 to %u", in->n_outputs,
             EVAL_MAX_CLASSES);
    uint32_t live = 0;
    for (uint32_t c = 0; c < in->n_outputs; c++)
        live += in->classes[c].status == EVAL_CLASS_LIVE;
    if (live == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "no live class");
    return STATUS_OK;
}

/* Whether row i of logits (NULL: nothing to check) can be answered with a live label. */
static int answerable(const struct eval_inputs *in, const float *logits, uint32_t i)
{
    const float *row = logits ? logits + (size_t)i * in->n_outputs : NULL;
    for (uint32_t c = 0; row && c < in->n_outputs; c++) {
        if (in->classes[c].status == EVAL_CLASS_LIVE && row[c] >= -FLT_MAX)
            return 1;
    }
    return !row;
}

/* Sets of live classes: live labels, and a finite logit among the live outputs of every row. */
static enum status
check_live(const struct eval_inputs *in, const struct evaluate_set *s, struct fault *f)
{
    const struct eval_set *set = s->set;
    for (uint32_t i = 0; i < set->n; i++) {
        if (in->classes[set->labels[i]].status != EVAL_CLASS_LIVE)
            FAIL(f, STATUS_INVALID_ARGUMENT, s->name, "label %u of row %u is not a live class",
                 set->labels[i], i);
        if (!answerable(in, set->logits, i) || !answerable(in, set->logits_before, i) ||
            !answerable(in, set->logits_raw, i))
            FAIL(f, STATUS_INVALID_ARGUMENT, s->name, "row %u has no finite live logit", i);
    }
    return STATUS_OK;
}

static enum status check_erasures(const struct eval_inputs *in, struct fault *f)
{
    if (in->n_erasures > EVAL_MAX_RELAPSE || in->n_blocks > EVAL_MAX_BLOCKS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "erasures", "%u erasures or %u blocks, at most %u and %u",
             in->n_erasures, in->n_blocks, EVAL_MAX_RELAPSE, EVAL_MAX_BLOCKS);
    for (uint32_t q = 0; q < in->n_erasures; q++) {
        const struct eval_erasure *e = &in->erasures[q];
        TRY(check_labels(e->labels, e->n, in->n_outputs, "erasures", f));
        TRY(check_logits(e->logits, e->n, in->n_outputs, "erasures", f));
        TRY(check_logits(e->logits_before, e->n, in->n_outputs, "erasures", f));
        TRY(check_logits(e->logits_raw, e->n, in->n_outputs, "erasures", f));
        TRY(check_features(e->features, e->n, in->width, "erasures", f));
    }
    return STATUS_OK;
}

static enum status check_blocks(const struct eval_inputs *in, struct fault *f)
{
    for (uint32_t b = 0; b < in->n_blocks; b++) {
        const struct eval_block *block = &in->blocks[b];
        TRY(check_features(block->retain, in->retain.n, block->width, "blocks", f));
        TRY(check_features(block->probe, in->probe.n, block->width, "blocks", f));
        TRY(check_features(block->reference, in->reference.n, block->width, "blocks", f));
    }
    return STATUS_OK;
}

static enum status check_scores(const struct eval_several *s, const float *scores, struct fault *f)
{
    for (size_t i = 0; scores && i < (size_t)s->n * s->n_classes; i++)
        if (isnan(scores[i]))
            FAIL(f, STATUS_INVALID_ARGUMENT, "several", "score %zu of row %zu is NaN",
                 i % s->n_classes, i / s->n_classes);
    return STATUS_OK;
}

static enum status
check_several(const struct eval_inputs *in, const struct eval_several *s, struct fault *f)
{
    if (s->n > MAX_ROWS || s->n_classes > in->n_outputs || (s->n > 0 && (!s->hot || !s->scores)))
        FAIL(f, STATUS_INVALID_ARGUMENT, "several", "%u rows of %u classes", s->n, s->n_classes);
    for (uint32_t c = 0; c < s->n_classes; c++)
        if (s->classes[c] >= in->n_outputs || in->classes[s->classes[c]].status != EVAL_CLASS_LIVE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "several", "class %u is not a live one", c);
    TRY(check_scores(s, s->scores, f));
    TRY(check_scores(s, s->scores_before, f));
    return check_scores(s, s->scores_raw, f);
}

static enum status check_owners(const struct eval_inputs *in, struct fault *f)
{
    if (in->n_several > EVAL_MAX_SEVERAL)
        FAIL(f, STATUS_INVALID_ARGUMENT, "several", "%u owners, at most %u", in->n_several,
             EVAL_MAX_SEVERAL);
    for (uint32_t i = 0; i < in->n_several; i++)
        TRY(check_several(in, &in->several[i], f));
    return STATUS_OK;
}

enum status evaluate_check_inputs(const struct eval_inputs *in, struct fault *f)
{
    struct evaluate_set sets[EVALUATE_SETS];
    TRY(check_classes(in, f));
    evaluate_name_sets(in, sets);
    for (uint32_t i = 0; i < EVALUATE_SETS; i++)
        TRY(check_set(in, &sets[i], f));
    TRY(check_live(in, &sets[1], f)); /* retain */
    TRY(check_live(in, &sets[2], f)); /* test */
    for (uint32_t p = 0; p < in->n_paths; p++) {
        if (!in->paths[p].logits)
            FAIL(f, STATUS_INVALID_ARGUMENT, "paths", "path %u without logits", p);
        TRY(check_logits(in->paths[p].logits, in->forget.n, in->n_outputs, "paths", f));
    }
    TRY(check_logits(in->forget_ablated, in->forget.n, in->n_outputs, "forget_ablated", f));
    TRY(check_logits(in->forget_base, in->forget.n, in->n_outputs, "forget_base", f));
    if (!(in->hinge_bound >= 0.0))
        FAIL(f, STATUS_INVALID_ARGUMENT, "hinge_bound", "the hinge bound is negative or NaN");
    TRY(check_erasures(in, f));
    TRY(check_owners(in, f));
    return check_blocks(in, f);
}
