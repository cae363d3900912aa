#include "learners/eval/evaluate_internal.h"

#include <string.h>

#include "learners/eval/relapse.h"
#include "learners/eval/representation.h"
#include "learners/eval/ridge_probe.h"
#include "learners/eval/stats.h"

/* Streams of support draws: references and earlier erasures lie apart from the erased classes. */
#define STREAM_REFERENCE (UINT64_C(1) << 32)
#define STREAM_ERASURE   (UINT64_C(2) << 32)

/* The feature matrices of one space. */
struct space {
    uint32_t width;
    const float *retain;
    const float *probe;
    const float *reference;
};

struct probes {
    struct representation_ncm ncm;
    struct representation_ncm reference_ncm;
    struct ridge_probe ridge;
    struct ridge_probe reference_ridge;
};

static struct representation_options probe_options(const struct evaluate_work *w,
                                                   uint64_t stream_base)
{
    const struct eval_inputs *in = w->in;
    return (struct representation_options){
        .support = in->ncm_support ? in->ncm_support : REPRESENTATION_SUPPORT,
        .draws = in->ncm_draws ? in->ncm_draws : REPRESENTATION_DRAWS,
        .root = in->root,
        .stream_base = stream_base};
}

static enum status probe_space(struct evaluate_work *w,
                               const struct space *s,
                               const struct representation *live,
                               struct probes *ret_probes)
{
    const struct eval_inputs *in = w->in;
    const struct representation_rows erased = {s->probe, in->probe.labels, in->probe.n, w->K};
    const struct representation_rows reference = {s->reference, in->reference.labels,
                                                  s->reference ? in->reference.n : 0,
                                                  in->n_reference_classes};
    struct representation_options o = probe_options(w, 0);
    o.n_use = representation_common(&erased, &reference, o.support);
    TRY(representation_ncm_run(live, &erased, &o, w->scratch, &ret_probes->ncm));
    TRY(ridge_probe_run(live, &erased, &o, w->scratch, &ret_probes->ridge));
    o.stream_base = STREAM_REFERENCE;
    TRY(representation_ncm_run(live, &reference, &o, w->scratch, &ret_probes->reference_ncm));
    return ridge_probe_run(live, &reference, &o, w->scratch, &ret_probes->reference_ridge);
}

static enum status
prepare_live(struct evaluate_work *w, const struct space *s, struct representation **ret_live)
{
    const struct eval_set *retain = &w->in->retain;
    const struct representation_rows rows = {s->retain, retain->labels, retain->n, w->K};
    return representation_prepare(&rows, s->width, w->scratch, ret_live);
}

static void report_probes(struct eval_report *r, const struct probes *p)
{
    r->probe_ncm = p->ncm.accuracy;
    r->ncm_min = p->ncm.min;
    r->ncm_max = p->ncm.max;
    r->probe_ridge = p->ridge.accuracy;
    r->ridge_lambda = p->ridge.lambda;
    r->reference_ncm = p->reference_ncm.accuracy;
    r->reference_ridge = p->reference_ridge.accuracy;
    r->n_reference = p->reference_ncm.n_classes;
    if (r->n_reference < EVAL_MIN_REFERENCES)
        return;
    r->gap_ncm = stats_difference(r->probe_ncm, r->reference_ncm);
    r->gap_ridge = stats_difference(r->probe_ridge, r->reference_ridge);
}

static enum status probe_final(struct evaluate_work *w)
{
    const struct eval_inputs *in = w->in;
    const struct space s = {in->width, in->retain.features, in->probe.features,
                            in->reference.features};
    if (in->retain.n == 0 || !s.retain)
        return STATUS_OK;
    struct representation *live;
    TRY(prepare_live(w, &s, &live));
    for (uint32_t q = 0; q < in->n_erasures; q++) {
        const struct representation_options o = probe_options(w, STREAM_ERASURE * (q + 1));
        TRY(relapse_recover(&in->erasures[q], w->K, live, &o, w->scratch, &w->r->relapse[q]));
    }
    if (in->probe.n == 0 || !s.probe)
        return STATUS_OK;
    struct probes p;
    TRY(probe_space(w, &s, live, &p));
    const struct representation_options o = probe_options(w, 0);
    w->r->ncm_support = o.support;
    w->r->ncm_draws = o.draws;
    report_probes(w->r, &p);
    return STATUS_OK;
}

static enum status probe_block(struct evaluate_work *w, uint32_t b)
{
    const struct eval_block *block = &w->in->blocks[b];
    struct eval_block_row *row = &w->r->blocks[b];
    const struct space s = {block->width, block->retain, block->probe, block->reference};
    const struct eval_value none = eval_report_absent();
    *row = (struct eval_block_row){
        .ncm = none, .ridge = none, .reference_ncm = none, .reference_ridge = none};
    evaluate_copy_text(row->name, sizeof row->name, block->name);
    if (w->in->retain.n == 0 || w->in->probe.n == 0 || !s.retain || !s.probe)
        return STATUS_OK;
    struct representation *live;
    struct probes p;
    TRY(prepare_live(w, &s, &live));
    TRY(probe_space(w, &s, live, &p));
    row->ncm = p.ncm.accuracy;
    row->ridge = p.ridge.accuracy;
    row->reference_ncm = p.reference_ncm.accuracy;
    row->reference_ridge = p.reference_ridge.accuracy;
    return STATUS_OK;
}

enum status evaluate_features(struct evaluate_work *w)
{
    const struct arena_mark mark = arena_mark(w->scratch);
    enum status status = probe_final(w);
    arena_rewind(w->scratch, mark);
    for (uint32_t b = 0; status == STATUS_OK && b < w->in->n_blocks; b++) {
        status = probe_block(w, b);
        arena_rewind(w->scratch, mark);
        if (status == STATUS_OK)
            w->r->n_blocks = b + 1;
    }
    return status;
}

static size_t space_plan(const struct eval_inputs *in, uint32_t n_question, uint32_t width)
{
    const uint32_t draws = in->ncm_draws ? in->ncm_draws : REPRESENTATION_DRAWS;
    if (width == 0 || in->retain.n == 0)
        return 0;
    const size_t live = representation_prepare_plan(in->retain.n, in->n_outputs, width);
    const size_t ncm = representation_ncm_plan(n_question, width, draws);
    const size_t ridge = ridge_probe_plan(in->retain.n, in->n_outputs, n_question, width);
    const size_t probe = ncm > ridge ? ncm : ridge;
    return live > SIZE_MAX - probe ? SIZE_MAX : live + probe;
}

size_t evaluate_features_plan(const struct eval_inputs *in)
{
    uint32_t n = in->probe.n > in->reference.n ? in->probe.n : in->reference.n;
    size_t most = 0;
    for (uint32_t b = 0; b < in->n_blocks; b++) {
        const size_t block = space_plan(in, n, in->blocks[b].width);
        most = block > most ? block : most;
    }
    for (uint32_t q = 0; q < in->n_erasures; q++)
        n = in->erasures[q].n > n ? in->erasures[q].n : n;
    const size_t final = space_plan(in, n, in->width);
    return final > most ? final : most;
}
