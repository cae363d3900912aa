#include "learners/methods/ridge/ridge_router_internal.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/math/vector.h"
#include "learners/methods/ridge/ridge_solve.h"

#define SCORE_LANES 8

double ridge_router_lambda(uint32_t i)
{
    static const double grid[RIDGE_ROUTER_GRID] = {1e-4, 3e-4, 1e-3, 3e-3, 1e-2,
                                                   3e-2, 1e-1, 3e-1, 1.0};
    INVARIANT(i < RIDGE_ROUTER_GRID);
    return grid[i];
}

/* ------------------------------------------------------------------ lists */

void ridge_router_plan_lists(struct arena_plan *p, const struct ridge_router *r)
{
    arena_plan_add(p, r->n_owners, sizeof *r->owners);
    arena_plan_add(p, r->n_owners, sizeof *r->terms);
    arena_plan_add(p, r->n_classes, sizeof *r->classes);
    arena_plan_add(p, r->n_classes, sizeof *r->owner_of);
    arena_plan_add(p, r->n_choices, sizeof *r->choices);
    arena_plan_add(p, r->n_classes, sizeof *r->shares);
    arena_plan_add(p, r->n_classes, r->width * sizeof *r->weights);
}

int ridge_router_allocate(struct ridge_router *r, struct arena *arena)
{
    r->owners = arena_alloc_zero(arena, r->n_owners, sizeof *r->owners);
    r->terms = arena_alloc_zero(arena, r->n_owners, sizeof *r->terms);
    r->classes = arena_alloc_zero(arena, r->n_classes, sizeof *r->classes);
    r->owner_of = arena_alloc_zero(arena, r->n_classes, sizeof *r->owner_of);
    r->choices = arena_alloc_zero(arena, r->n_choices, sizeof *r->choices);
    r->shares = arena_alloc_zero(arena, r->n_classes, sizeof *r->shares);
    r->weights = arena_alloc_zero(arena, r->n_classes, r->width * sizeof *r->weights);
    return r->owners && r->terms && r->classes && r->owner_of && r->choices && r->shares &&
                   r->weights
               ? 0
               : -1;
}

/* ------------------------------------------------------------------ solving */

/* The terms of one group, in order, and the sums over them. */
struct solving {
    const struct ridge_source **order; /* [n] by owner name */
    uint32_t n;
    const struct ridge_options *o;
    struct pool *pool;
    size_t width;
    uint32_t first, last; /* owners of the group */
    uint32_t classes;     /* of the group */
    double *gram;         /* [P, P] fitted */
    double *factor;       /* [P, P] */
    double *held;         /* [P, P] */
    double *products;     /* [K, P] fitted */
    double *held_products;
    double *x;     /* [K, P] */
    double *terms; /* [K] */
};

/* Which images of a term. */
enum part { PART_FIT, PART_HELD, PART_BOTH };

static uint64_t images_of(const struct ridge_term *t, enum part part)
{
    return (part != PART_HELD ? t->fit.n : 0) + (part != PART_FIT ? t->held.n : 0);
}

static uint64_t group_images(const struct solving *s, enum part part)
{
    uint64_t n = 0;
    for (uint32_t i = s->first; i < s->last; i++)
        for (uint32_t t = 0; t < s->order[i]->terms->n; t++)
            n += images_of(&s->order[i]->terms->terms[t], part);
    return n;
}

/* What every image of a term counts; the mean over the group's images is about 1. */
static double
weight_of(const struct solving *s, const struct ridge_term *t, enum part part, uint64_t images)
{
    const uint64_t own = images_of(t, part);
    if (own == 0)
        return 0.0;
    if (s->o->weighting == RIDGE_WEIGHTING_PLAIN)
        return 1.0;
    return (double)images * t->n_classes / ((double)s->classes * (double)own);
}

/* gram [P, P] and products [K, P] of the group's images of one part. */
static void add_up(const struct solving *s, enum part part, double *gram, double *products)
{
    const uint64_t images = group_images(s, part);
    uint32_t column = 0;
    memset(gram, 0, s->width * s->width * sizeof *gram);
    memset(products, 0, s->classes * s->width * sizeof *products);
    for (uint32_t i = s->first; i < s->last; i++) {
        const struct ridge_terms *owner = s->order[i]->terms;
        for (uint32_t t = 0; t < owner->n; t++) {
            const struct ridge_term *term = &owner->terms[t];
            const double w = weight_of(s, term, part, images);
            double *own = products + column * s->width;
            if (part != PART_HELD) {
                ridge_packed_add_gram(&term->fit, w, gram);
                ridge_packed_add_products(&term->fit, w, own);
            }
            if (part != PART_FIT && term->held.n) {
                ridge_packed_add_gram(&term->held, w, gram);
                ridge_packed_add_products(&term->held, w, own);
            }
            column += term->n_classes;
        }
    }
}

/* Squared norm of the held-out targets: the number of ones, weighted. */
static double held_targets(const struct solving *s)
{
    const uint64_t images = group_images(s, PART_HELD);
    double sum = 0.0;
    for (uint32_t i = s->first; i < s->last; i++) {
        const struct ridge_terms *owner = s->order[i]->terms;
        for (uint32_t t = 0; t < owner->n; t++) {
            const struct ridge_term *term = &owner->terms[t];
            const double w = weight_of(s, term, PART_HELD, images);
            for (uint32_t c = 0; c < term->n_classes; c++)
                sum += w * (double)term->held.positives[c];
        }
    }
    return sum;
}

/* x [K, P] of one penalty; -1 if the system has no solution. */
static int solve_at(struct solving *s, double lambda)
{
    const size_t p = s->width;
    double diagonal = 0.0;
    for (size_t j = 0; j + 1 < p; j++)
        diagonal += s->gram[j * p + j];
    diagonal /= p > 1 ? (double)(p - 1) : 1.0;
    memcpy(s->factor, s->gram, p * p * sizeof *s->factor);
    for (size_t j = 0; j + 1 < p; j++)
        s->factor[j * p + j] += lambda * diagonal;
    if (ridge_solve_factor(s->factor, p, s->pool) != 0)
        return -1;
    memcpy(s->x, s->products, s->classes * p * sizeof *s->x);
    ridge_solve_apply(s->factor, p, s->x, s->classes, s->pool);
    for (size_t j = 0; j < s->classes * p; j++)
        if (!isfinite(s->x[j]))
            return -1;
    return 0;
}

/* Squared error of x on the held-out images, an image. */
static double held_error(const struct solving *s, double targets, double images)
{
    double cross = 0.0;
    const double form = ridge_solve_form(s->held, s->width, s->x, s->classes, s->terms, s->pool);
    for (size_t j = 0; j < s->classes * s->width; j++)
        cross += s->x[j] * s->held_products[j];
    return (form - 2.0 * cross + targets) / images;
}

/* The least penalty within `slack` of the least error; the grid's size if every error is NaN. */
static uint32_t elect(const double error[RIDGE_ROUTER_GRID], double slack)
{
    double best = (double)INFINITY;
    for (uint32_t i = 0; i < RIDGE_ROUTER_GRID; i++)
        best = error[i] < best ? error[i] : best;
    for (uint32_t i = 0; i < RIDGE_ROUTER_GRID; i++)
        if (error[i] <= best + slack * fabs(best))
            return i;
    return RIDGE_ROUTER_GRID;
}

static int choose_lambda(struct solving *s, struct ridge_choice *choice)
{
    const uint64_t images = group_images(s, PART_HELD);
    for (uint32_t i = 0; i < RIDGE_ROUTER_GRID; i++)
        choice->error[i] = (double)NAN;
    choice->lambda = s->o->lambda > 0 ? (double)s->o->lambda : RIDGE_ROUTER_FALLBACK;
    if (s->o->lambda > 0 || images == 0)
        return 0;
    add_up(s, PART_HELD, s->held, s->held_products);
    const double targets = held_targets(s);
    for (uint32_t i = 0; i < RIDGE_ROUTER_GRID; i++)
        if (solve_at(s, ridge_router_lambda(i)) == 0)
            choice->error[i] = held_error(s, targets, (double)images);
    const uint32_t elected = elect(choice->error, (double)s->o->lambda_slack);
    if (elected == RIDGE_ROUTER_GRID)
        return -1;
    choice->voted = 1;
    choice->lambda = ridge_router_lambda(elected);
    return 0;
}

/* Weighted means of the targets over the images of the part. */
static void take_shares(const struct solving *s, enum part part, double *shares)
{
    const uint64_t images = group_images(s, part);
    double all = 0.0;
    uint32_t column = 0;
    for (uint32_t i = s->first; i < s->last; i++) {
        const struct ridge_terms *owner = s->order[i]->terms;
        for (uint32_t t = 0; t < owner->n; t++) {
            const struct ridge_term *term = &owner->terms[t];
            const double w = weight_of(s, term, part, images);
            all += w * (double)images_of(term, part);
            for (uint32_t c = 0; c < term->n_classes; c++)
                shares[column++] = w * (double)((part != PART_HELD ? term->fit.positives[c] : 0) +
                                                (part != PART_FIT ? term->held.positives[c] : 0));
        }
    }
    for (uint32_t c = 0; c < column; c++)
        shares[c] /= all;
}

/* Solves owners s->first .. s->last - 1; shares and weights [classes of the group], [.., P]. */
static enum status solve_group(struct solving *s,
                               struct ridge_choice *choice,
                               double *shares,
                               double *weights,
                               struct fault *f)
{
    s->classes = 0;
    for (uint32_t i = s->first; i < s->last; i++)
        s->classes += ridge_terms_classes(s->order[i]->terms);
    add_up(s, PART_FIT, s->gram, s->products);
    if (choose_lambda(s, choice) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "terms", "no penalty gives a solution");
    const enum part part = s->o->refit && group_images(s, PART_HELD) > 0 ? PART_BOTH : PART_FIT;
    if (part == PART_BOTH)
        add_up(s, part, s->gram, s->products);
    if (solve_at(s, choice->lambda) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "terms", "penalty %g gives no solution",
             choice->lambda);
    memcpy(weights, s->x, s->classes * s->width * sizeof *weights);
    take_shares(s, part, shares);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ owners together */

static uint32_t count_classes(const struct ridge_source *sources, uint32_t n)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++)
        k += ridge_terms_classes(sources[i].terms);
    return k;
}

static void plan_scratch(struct arena_plan *p, uint32_t n, size_t width, uint32_t classes)
{
    arena_plan_add(p, n, sizeof(struct ridge_source *));
    for (int i = 0; i < 3; i++) {
        arena_plan_add(p, width, width * sizeof(double));
        arena_plan_add(p, classes, width * sizeof(double));
    }
    arena_plan_add(p, classes, sizeof(double));
}

static struct ridge_router
sizes_of(const struct ridge_source *sources, uint32_t n, const struct ridge_options *o)
{
    const struct ridge_terms *first = sources[0].terms;
    return (struct ridge_router){
        .origin = {.base = first->origin.base,
                   .state = first->origin.state,
                   .preprocessing = first->origin.preprocessing},
        .options = *o,
        .width = first->width,
        .n_owners = n,
        .n_classes = count_classes(sources, n),
        .n_choices = o->contrast == RIDGE_CONTRAST_OWNER ? n : 1,
    };
}

size_t ridge_router_plan(const struct ridge_router_sizes *sizes, size_t *ret_scratch)
{
    /* with contrast=owner the lists are longest */
    const struct ridge_router r = {.width = sizes->width,
                                   .n_owners = sizes->n_owners,
                                   .n_classes = sizes->n_classes,
                                   .n_choices = sizes->n_owners};
    struct arena_plan kept = {0}, scratch = {0};
    ridge_router_plan_lists(&kept, &r);
    plan_scratch(&scratch, r.n_owners, r.width, r.n_classes);
    *ret_scratch = arena_plan_bytes(&scratch);
    return arena_plan_bytes(&kept);
}

static int scratch_allocate(struct solving *s, uint32_t classes, struct arena *arena)
{
    s->order = arena_alloc(arena, s->n, sizeof *s->order);
    s->gram = arena_alloc(arena, s->width, s->width * sizeof *s->gram);
    s->factor = arena_alloc(arena, s->width, s->width * sizeof *s->factor);
    s->held = arena_alloc(arena, s->width, s->width * sizeof *s->held);
    s->products = arena_alloc(arena, classes, s->width * sizeof *s->products);
    s->held_products = arena_alloc(arena, classes, s->width * sizeof *s->held_products);
    s->x = arena_alloc(arena, classes, s->width * sizeof *s->x);
    s->terms = arena_alloc(arena, classes, sizeof *s->terms);
    return s->order && s->gram && s->factor && s->held && s->products && s->held_products && s->x &&
           s->terms;
}

/* Sources by owner name (insertion sort: owners are few); -1 if a name comes twice. */
static int sort_owners(const struct ridge_source *sources, struct solving *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t at = i;
        for (; at > 0; at--) {
            const int order = strcmp(s->order[at - 1]->terms->owner, sources[i].terms->owner);
            if (order == 0)
                return -1;
            if (order < 0)
                break;
            s->order[at] = s->order[at - 1];
        }
        s->order[at] = &sources[i];
    }
    return 0;
}

static void name_all(const struct solving *s, struct ridge_router *r)
{
    uint32_t column = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct ridge_terms *owner = s->order[i]->terms;
        memcpy(r->owners[i], owner->owner, sizeof r->owners[i]);
        r->terms[i] = s->order[i]->digest;
        for (uint32_t t = 0; t < owner->n; t++)
            for (uint32_t c = 0; c < owner->terms[t].n_classes; c++, column++) {
                const char *name = owner->terms[t].classes[c];
                memcpy(r->classes[column], name, strlen(name) + 1);
                r->owner_of[column] = i;
            }
    }
}

/* All terms on the same trunk, with the features that are asked for. */
static enum status check_sources(const struct ridge_source *sources,
                                 uint32_t n,
                                 const struct ridge_options *o,
                                 struct fault *f)
{
    const struct ridge_terms *first = sources[0].terms;
    TRY(ridge_options_check(o, f));
    for (uint32_t i = 0; i < n; i++) {
        const struct ridge_terms *t = sources[i].terms;
        if (!ridge_options_same_features(&t->options, o) || t->width != first->width)
            FAIL(f, STATUS_FAILED_PRECONDITION, "features",
                 "%s has terms of other features than the router", t->owner);
        if (ridge_terms_check(t, &first->origin, f) != STATUS_OK) {
            fault_prefix(f, "%s and %s", t->owner, first->owner);
            return STATUS_FAILED_PRECONDITION;
        }
    }
    return STATUS_OK;
}

static enum status solve_all(struct solving *s, struct ridge_router *r, struct fault *f)
{
    if (r->n_choices == 1) {
        s->first = 0;
        s->last = s->n;
        return solve_group(s, &r->choices[0], r->shares, r->weights, f);
    }
    double *shares = r->shares, *weights = r->weights;
    for (uint32_t i = 0; i < s->n; i++) {
        s->first = i;
        s->last = i + 1;
        TRY(solve_group(s, &r->choices[i], shares, weights, f));
        shares += s->classes;
        weights += s->classes * s->width;
    }
    return STATUS_OK;
}

/* With the lists of *r allocated: everything else on scratch. */
static enum status solve_lists(const struct ridge_source *sources,
                               struct solving *s,
                               struct ridge_router *r,
                               struct arena *scratch,
                               struct fault *f)
{
    if (!scratch_allocate(s, r->n_classes, scratch))
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    if (sort_owners(sources, s) != 0)
        FAIL(f, STATUS_ALREADY_EXISTS, "owner", "an owner is given twice");
    name_all(s, r);
    return solve_all(s, r, f);
}

enum status ridge_router_solve(const struct ridge_source *sources,
                               uint32_t n,
                               const struct ridge_options *o,
                               const struct ridge_memory *memory,
                               struct ridge_router *ret_router,
                               struct fault *f)
{
    INVARIANT(n >= 1);
    TRY(check_sources(sources, n, o, f));
    const struct arena_mark start = arena_mark(memory->arena);
    struct ridge_router r = sizes_of(sources, n, o);
    if (ridge_router_allocate(&r, memory->arena) != 0) {
        arena_rewind(memory->arena, start);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    struct solving s = {.n = n, .o = o, .pool = memory->pool, .width = r.width};
    const struct arena_mark scratch = arena_mark(memory->scratch);
    const enum status status = solve_lists(sources, &s, &r, memory->scratch, f);
    arena_rewind(memory->scratch, scratch);
    if (status != STATUS_OK) {
        arena_rewind(memory->arena, start);
        return status;
    }
    *ret_router = r;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ scores */

struct score_call {
    const struct ridge_router *r;
    const float *rows;
    float *scores;
};

VECTOR_CLONES static void
score_row(const double *weights, size_t width, uint32_t classes, const float *row, float *scores)
{
    for (uint32_t c = 0; c < classes; c++) {
        const double *restrict w = weights + c * width;
        double lane[SCORE_LANES] = {0};
        size_t i = 0;
        for (; i + SCORE_LANES <= width; i += SCORE_LANES)
            for (size_t j = 0; j < SCORE_LANES; j++)
                lane[j] += w[i + j] * (double)row[i + j];
        for (size_t j = 0; i + j < width; j++)
            lane[j] += w[i + j] * (double)row[i + j];
        scores[c] = (float)(((lane[0] + lane[4]) + (lane[2] + lane[6])) +
                            ((lane[1] + lane[5]) + (lane[3] + lane[7])));
    }
}

static void score_item(void *context, uint32_t i, uint32_t thread)
{
    (void)thread;
    const struct score_call *call = context;
    const struct ridge_router *r = call->r;
    score_row(r->weights, r->width, r->n_classes, call->rows + i * r->width,
              call->scores + (size_t)i * r->n_classes);
}

void ridge_router_scores(
    const struct ridge_router *r, const float *rows, uint32_t n, struct pool *pool, float *scores)
{
    struct score_call call = {r, rows, scores};
    pool_run(pool, score_item, &call, n);
}

/* One owner's score from its classes' scores. */
static float owner_score(const struct ridge_options *o, const float *scores, uint32_t n)
{
    double best = (double)scores[0], sum = 0.0;
    for (uint32_t c = 1; c < n; c++)
        best = (double)scores[c] > best ? (double)scores[c] : best;
    if (o->rule == RIDGE_RULE_MAX)
        return (float)best;
    const double temperature = (double)o->temperature;
    for (uint32_t c = 0; c < n; c++)
        sum += o->rule == RIDGE_RULE_SUM ? (double)scores[c]
                                         : exp(((double)scores[c] - best) / temperature);
    return (float)(o->rule == RIDGE_RULE_SUM ? sum : best + temperature * log(sum));
}

void ridge_router_owner_scores(const struct ridge_router *r,
                               const float *scores,
                               uint32_t n,
                               float *owner_scores)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *row = scores + (size_t)i * r->n_classes;
        for (uint32_t c = 0; c < r->n_classes;) {
            const uint32_t owner = r->owner_of[c];
            uint32_t end = c + 1;
            while (end < r->n_classes && r->owner_of[end] == owner)
                end++;
            owner_scores[(size_t)i * r->n_owners + owner] =
                owner_score(&r->options, row + c, end - c);
            c = end;
        }
    }
}

void ridge_router_choose(const struct ridge_router *r,
                         const float *owner_scores,
                         uint32_t n,
                         uint32_t *ret_owners)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *row = owner_scores + (size_t)i * r->n_owners;
        uint32_t best = 0;
        for (uint32_t k = 1; k < r->n_owners; k++)
            best = row[k] > row[best] ? k : best;
        ret_owners[i] = best;
    }
}

int ridge_router_is_of(const struct ridge_router *r, const struct ridge_source *sources, uint32_t n)
{
    if (n != r->n_owners)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = 0;
        while (at < n && strcmp(r->owners[at], sources[i].terms->owner) != 0)
            at++;
        if (at == n || digest_is_zero(&r->terms[at]) ||
            !digest_equal(&r->terms[at], &sources[i].digest))
            return 0;
    }
    return 1;
}
