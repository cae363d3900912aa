/* From logits to scores and probabilities; answer.h has the formulas. */
#include "learners/answer/answer_internal.h"

#include "daemon/base/invariant.h"

#include <math.h>

static const struct answer_owner *owner_at(const struct answer_forward *w, uint32_t o)
{
    return &w->answer->owners[w->columns.owners[o]];
}

static uint32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static double log_add(double a, double b)
{
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

static double log_sigmoid(double z)
{
    return z < 0.0 ? z - log1p(exp(z)) : -log1p(exp(-z));
}

/* ------------------------------------------------------------------ owners */

/*
 * What the router says of one owner: *ret_sum becomes log S, and the opinions of the owner's
 * columns the router's logits of its labels; of a label that the router does not know, the average
 * one (log S over their number).  Two passes, the largest first.  Finite, because the router knows
 * at least one label of each.
 */
static void
hear_router(const struct answer_forward *w, uint32_t o, const float *logits, double *ret_sum)
{
    const struct answer *a = w->answer;
    const struct answer_owner *owner = owner_at(w, o);
    double *opinions = w->opinions + w->columns.first[o], top = -HUGE_VAL, sum = 0.0;
    uint32_t known = 0;
    for (uint32_t i = 0; i < a->n_router; i++)
        if (a->router[i] - owner->first < owner->n_labels && (double)logits[i] > top)
            top = (double)logits[i];
    for (uint32_t k = 0; k < owner->n_labels; k++)
        opinions[k] = -HUGE_VAL;
    for (uint32_t i = 0; i < a->n_router; i++)
        if (a->router[i] - owner->first < owner->n_labels) {
            opinions[a->router[i] - owner->first] = (double)logits[i];
            sum += exp((double)logits[i] - top);
            known++;
        }
    *ret_sum = top + log(sum);
    for (uint32_t k = 0; k < owner->n_labels && known < owner->n_labels; k++)
        if (opinions[k] == -HUGE_VAL)
            opinions[k] = *ret_sum - log((double)known);
}

/*
 * sums becomes the log of how far each owner is believed.  Returns the log of what the owners with
 * several labels have together.
 */
static double owner_beliefs(const struct answer_forward *w, double *sums)
{
    double all = -HUGE_VAL, several = -HUGE_VAL, best = -HUGE_VAL;
    for (uint32_t o = 0; o < w->columns.n_owners; o++) {
        all = o == 0 ? sums[o] : log_add(all, sums[o]);
        if (!owner_at(w, o)->several)
            continue;
        several = several > -HUGE_VAL ? log_add(several, sums[o]) : sums[o];
        best = sums[o] > best ? sums[o] : best;
    }
    for (uint32_t o = 0; o < w->columns.n_owners; o++)
        sums[o] = owner_at(w, o)->several ? (several - all) + (sums[o] - best) : sums[o] - all;
    return several - all;
}

/* ------------------------------------------------------------------ routed scores */

/* log sum exp of raw + opinions. */
static double log_sum_exp(const float *raw, const double *opinions, uint32_t n)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (uint32_t k = 0; k < n; k++)
        top = fmax(top, (double)raw[k] + opinions[k]);
    for (uint32_t k = 0; k < n; k++)
        sum += exp((double)raw[k] + opinions[k] - top);
    return top + log(sum);
}

static void route_owner(const struct answer_owner *owner,
                        double belief,
                        const float *raw,
                        const double *opinions,
                        float *to)
{
    const double sum = owner->several ? 0.0 : log_sum_exp(raw, opinions, owner->n_labels);
    for (uint32_t k = 0; k < owner->n_labels; k++) {
        const double z = (double)raw[k] + opinions[k];
        to[k] = (float)(belief + (owner->several ? log_sigmoid(z) : z - sum));
    }
}

/* The base answers for itself: the router chooses it or not, and has no say in its labels. */
static void forget_opinions(const struct answer_forward *w, uint32_t o)
{
    for (uint32_t k = 0; k < owner_at(w, o)->n_labels; k++)
        w->opinions[w->columns.first[o] + k] = 0.0;
}

/* Of one owner alone: nothing to choose. */
static void route_single(struct answer_forward *w, uint32_t i)
{
    const uint32_t n = w->columns.n;
    w->beliefs[i] = 0.0f;
    if (!w->routed)
        return;
    forget_opinions(w, 0);
    route_owner(owner_at(w, 0), 0.0, w->raw + (size_t)i * n, w->opinions,
                w->routed + (size_t)i * n);
}

static void route_image(struct answer_forward *w, uint32_t i)
{
    const size_t n = w->columns.n, owners = w->columns.n_owners;
    for (uint32_t o = 0; o < owners; o++) {
        hear_router(w, o, w->router + i * (size_t)w->answer->n_router, &w->sums[o]);
        if (owner_at(w, o)->kind == ANSWER_BASE)
            forget_opinions(w, o);
    }
    const double group = owner_beliefs(w, w->sums);
    for (uint32_t o = 0; o < owners; o++) {
        const struct answer_owner *owner = owner_at(w, o);
        const size_t first = w->columns.first[o], at = i * n + first;
        w->beliefs[i * owners + o] = (float)w->sums[o];
        route_owner(owner, owner->several ? group : w->sums[o], w->raw + at, w->opinions + first,
                    w->routed + at);
    }
}

void answer_scores_fill(struct answer_forward *w, uint32_t n)
{
    const float *scores = w->routed ? w->routed : w->raw;
    for (uint32_t i = 0; i < n; i++) {
        if (w->columns.n_owners == 1)
            route_single(w, i);
        else if (w->decision == ANSWER_ROUTED)
            route_image(w, i);
        const uint32_t best = argmax(scores + (size_t)i * w->columns.n, w->columns.n);
        w->chosen[i] = w->answer->labels[w->columns.labels[best]].owner;
    }
}

/* ------------------------------------------------------------------ probabilities */

/* What a row is read with. */
struct answer_row {
    const struct answer_forward *w;
    const float *scores;
    const uint8_t *live;
    int logs;    /* routed scores of several owners: exp is the probability */
    double mass; /* that the columns of one label an image have together */
};

static const struct answer_owner *owner_of(const struct answer_row *r, uint32_t c)
{
    const struct answer *a = r->w->answer;
    return &a->owners[a->labels[r->w->columns.labels[c]].owner];
}

static int is_live(const struct answer_row *r, uint32_t c)
{
    return !r->live || r->live[r->w->columns.labels[c]];
}

static double mass_of(const struct answer_row *r)
{
    double sum = 0.0;
    int several = 0;
    for (uint32_t c = 0; c < r->w->columns.n; c++) {
        if (owner_of(r, c)->several)
            several = 1;
        else
            sum += exp((double)r->scores[c]);
    }
    if (!several || !r->logs)
        return 1.0;
    return sum < 1.0 ? sum : 1.0;
}

static double several_probability(const struct answer_row *r, uint32_t c)
{
    const double z = (double)r->scores[c];
    return r->logs ? exp(z) : exp(log_sigmoid(z));
}

static void fill_probabilities(const struct answer_row *r, double *p)
{
    const uint32_t n = r->w->columns.n;
    double top = -HUGE_VAL, sum = 0.0;
    for (uint32_t c = 0; c < n; c++)
        if (!owner_of(r, c)->several && is_live(r, c) && (double)r->scores[c] > top)
            top = (double)r->scores[c];
    for (uint32_t c = 0; c < n; c++) {
        p[c] = 0.0;
        if (!is_live(r, c))
            continue;
        if (owner_of(r, c)->several) {
            p[c] = several_probability(r, c);
            continue;
        }
        p[c] = exp((double)r->scores[c] - top);
        sum += p[c];
    }
    for (uint32_t c = 0; c < n; c++) {
        if (owner_of(r, c)->several)
            continue;
        if (is_live(r, c))
            p[c] /= sum;
        if (r->mass < 1.0)
            p[c] *= r->mass;
    }
}

static void fill_present(const struct answer_row *r, const double *p, uint8_t *present)
{
    const uint32_t n = r->w->columns.n;
    uint32_t best = n;
    for (uint32_t c = 0; c < n; c++) {
        present[c] = 0;
        if (is_live(r, c) && (best == n || p[c] > p[best]))
            best = c;
    }
    if (best == n)
        return;
    const int several = owner_of(r, best)->several;
    /* given that an owner with several labels is right; 1 unless the row shares with others */
    const double given = several && r->logs && r->mass > 0.0 ? 1.0 - r->mass : 1.0;
    for (uint32_t c = 0; c < n; c++) {
        const double threshold = (double)r->w->answer->labels[r->w->columns.labels[c]].threshold;
        present[c] =
            (uint8_t)(several ? owner_of(r, c)->several && is_live(r, c) && p[c] > threshold * given
                              : c == best);
    }
}

void answer_probabilities(const struct answer_forward *w,
                          enum answer_decision decision,
                          const float *row,
                          const uint8_t *live,
                          double *p,
                          uint8_t *present)
{
    INVARIANT(w->magic == ANSWER_FORWARD_MAGIC);
    struct answer_row r = {.w = w, .scores = row, .live = live};
    r.logs = decision == ANSWER_ROUTED && w->routed != NULL;
    r.mass = mass_of(&r);
    fill_probabilities(&r, p);
    if (present)
        fill_present(&r, p, present);
}
