/* Images with several labels: average precision of every class, and the mean of each owner. */
#include "learners/eval/evaluate_internal.h"

#include <math.h>

#include "learners/eval/multilabel.h"

/* Each owner and decision has its own draws. */
enum { DRAWS_SERVED, DRAWS_BEFORE, DRAWS_RAW, N_DRAWS };
#define FIRST_STREAM 16u /* of "eval_bootstrap"; the smaller ones are evaluate_answers.c's */

size_t evaluate_several_plan(const struct eval_inputs *in)
{
    const uint32_t draws = in->bootstrap_draws ? in->bootstrap_draws : EVALUATE_DRAWS;
    size_t most = 0;
    for (uint32_t i = 0; i < in->n_several; i++) {
        const struct eval_several *s = &in->several[i];
        struct arena_plan p = {0};
        arena_plan_add(&p, s->n_classes, sizeof(double));
        arena_plan_add(&p, 1, multilabel_plan(s->n, s->n_classes, draws));
        const size_t bytes = arena_plan_bytes(&p);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* One decision's scores of an owner: ap [n_classes] and the mean with its interval. */
static enum status measure_scores(struct evaluate_work *w,
                                  const struct eval_several *s,
                                  const float *scores,
                                  uint32_t stream,
                                  double *ap,
                                  struct multilabel_figures *ret_figures)
{
    struct rng rng;
    const struct multilabel m = {.scores = scores,
                                 .labels = s->hot,
                                 .answered = s->answered,
                                 .n = s->n,
                                 .K = s->n_classes,
                                 .threshold = MULTILABEL_THRESHOLD,
                                 .draws = w->draws};
    rng_init(&rng, &w->in->root, "eval_bootstrap", stream);
    TRY(multilabel_run(&m, &rng, w->scratch, ap, ret_figures));
    if (ret_figures->n_positive_classes == 0)
        ret_figures->map = eval_report_absent();
    return STATUS_OK;
}

static double *ap_of(struct eval_class_row *c, int draws)
{
    return draws == DRAWS_SERVED ? &c->ap : draws == DRAWS_BEFORE ? &c->ap_before : &c->ap_raw;
}

/* F1 counts decisions: only those that are served are known. */
static void keep_f1(const struct eval_several *s,
                    const struct multilabel_figures *served,
                    struct eval_several_row *row)
{
    const int known = s->answered && served && served->n_images > 0;
    row->of1 = known ? served->of1 : eval_report_absent();
    row->cf1_mean_f1 = known ? served->cf1_mean_f1 : eval_report_absent();
    row->cf1_literature = known ? served->cf1_literature : eval_report_absent();
}

static enum status measure_owner(struct evaluate_work *w, uint32_t i, double *ap)
{
    const struct eval_several *s = &w->in->several[i];
    struct eval_several_row *row = &w->r->several[i];
    const float *scores[N_DRAWS] = {s->scores, s->scores_before,
                                    s->scores_raw ? s->scores_raw : s->scores};
    struct multilabel_figures figures;
    struct eval_value *maps[N_DRAWS] = {&row->map, &row->map_before, &row->map_raw};
    evaluate_copy_text(row->owner, sizeof row->owner, s->owner);
    row->n = s->n;
    keep_f1(s, NULL, row);
    for (int d = 0; d < N_DRAWS; d++) {
        *maps[d] = eval_report_absent();
        if (!scores[d] || s->n == 0)
            continue;
        TRY(measure_scores(w, s, scores[d], FIRST_STREAM + i * N_DRAWS + (uint32_t)d, ap,
                           &figures));
        *maps[d] = figures.map;
        row->n_classes = figures.n_positive_classes;
        if (d == DRAWS_SERVED)
            keep_f1(s, &figures, row);
        for (uint32_t c = 0; c < s->n_classes; c++)
            *ap_of(&w->r->classes[s->classes[c]], d) = ap[c];
    }
    for (uint32_t c = 0; c < s->n_classes; c++)
        w->r->classes[s->classes[c]].several = 1;
    if (s->learned) {
        w->r->acc_new_task = row->map;
        w->r->acc_new_task_raw = row->map_raw;
    }
    return STATUS_OK;
}

static const struct eval_value *map_of(const struct eval_several_row *row, int draws)
{
    return draws == DRAWS_SERVED   ? &row->map
           : draws == DRAWS_BEFORE ? &row->map_before
                                   : &row->map_raw;
}

/*
 * Mean over the classes of all owners; the owners' images are independent, so the distances to the
 * ends of their intervals add up in quadrature.
 */
static struct eval_value mean_of_owners(const struct eval_report *r, int draws)
{
    double classes = 0.0, sum = 0.0, below = 0.0, above = 0.0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_several; i++) {
        const struct eval_value *v = map_of(&r->several[i], draws);
        const double k = r->several[i].n_classes;
        if (v->n == 0)
            continue;
        classes += k;
        sum += k * v->value;
        below += k * k * (v->value - v->lo) * (v->value - v->lo);
        above += k * k * (v->hi - v->value) * (v->hi - v->value);
        n += v->n;
    }
    if (n == 0)
        return eval_report_absent();
    return (struct eval_value){.value = sum / classes,
                               .lo = (sum - sqrt(below)) / classes,
                               .hi = (sum + sqrt(above)) / classes,
                               .n = n};
}

enum status evaluate_several(struct evaluate_work *w)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->in->n_several; i++)
        most = w->in->several[i].n_classes > most ? w->in->several[i].n_classes : most;
    const struct arena_mark mark = arena_mark(w->scratch);
    double *ap = arena_alloc(w->scratch, most, sizeof *ap);
    enum status st = ap ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < w->in->n_several && st == STATUS_OK; i++)
        st = measure_owner(w, i, ap);
    arena_rewind(w->scratch, mark);
    w->r->map = mean_of_owners(w->r, DRAWS_SERVED);
    w->r->map_before = mean_of_owners(w->r, DRAWS_BEFORE);
    w->r->map_raw = mean_of_owners(w->r, DRAWS_RAW);
    return st;
}
