/* Terms of one owner that were counted in two parts, as if they had been counted together. */
#include "learners/methods/ridge/ridge_terms.h"

#include <string.h>

#include "daemon/base/invariant.h"

static size_t packed_room(const struct ridge_terms *t, uint64_t n)
{
    return 2 * ridge_sum_packed_bound(t->width, 1, n);
}

/* Images of both sides' largest terms: no sum of two has more. */
static uint64_t most_images(const struct ridge_terms *t)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const uint64_t n = t->terms[i].fit.n + t->terms[i].held.n;
        most = n > most ? n : most;
    }
    return most;
}

size_t ridge_terms_merge_plan(const struct ridge_terms *a, const struct ridge_terms *b)
{
    struct arena_plan p = {0};
    const uint32_t n = a->n + b->n, both = a->n < b->n ? a->n : b->n;
    arena_plan_add(&p, n, sizeof(struct ridge_term));
    arena_plan_add(&p, 2 * (size_t)n, sizeof(uint64_t));
    arena_plan_add(&p, both, packed_room(a, most_images(a) + most_images(b)));
    arena_plan_add(&p, a->width, a->width * sizeof(double));
    arena_plan_add(&p, a->width, sizeof(double));
    return arena_plan_bytes(&p);
}

/* What a merge works with: one sum at a time, packed sums one after the other. */
struct merge {
    struct ridge_sum sum;
    uint64_t *positives; /* the next one */
    struct byte_writer packed;
};

static enum status add(struct merge *m,
                       const struct ridge_packed *a,
                       const struct ridge_packed *b,
                       struct ridge_packed *ret_p,
                       struct fault *f)
{
    const struct ridge_packed *const both[2] = {a, b};
    struct ridge_sum *s = &m->sum;
    const size_t start = m->packed.used;
    if (a->n + b->n > RIDGE_SUM_MAX_IMAGES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "more than %u images of one class",
             RIDGE_SUM_MAX_IMAGES);
    memset(s->gram, 0, s->width * s->width * sizeof *s->gram);
    memset(s->products, 0, s->width * sizeof *s->products);
    for (size_t i = 0; i < 2; i++) {
        ridge_packed_add_gram(both[i], 1.0, s->gram);
        ridge_packed_add_products(both[i], 1.0, s->products);
    }
    s->n = a->n + b->n;
    *m->positives = s->n;
    ridge_sum_pack(s, &m->packed);
    INVARIANT(!m->packed.failed);
    *ret_p = (struct ridge_packed){.width = s->width,
                                   .columns = 1,
                                   .n = s->n,
                                   .positives = m->positives++,
                                   .bytes = m->packed.at + start,
                                   .size = m->packed.used - start};
    return STATUS_OK;
}

static enum status take_memory(const struct ridge_terms *a,
                               const struct ridge_terms *b,
                               struct arena *arena,
                               struct merge *m,
                               struct ridge_terms *t,
                               struct fault *f)
{
    const uint32_t n = a->n + b->n, both = a->n < b->n ? a->n : b->n;
    const size_t bytes = both * packed_room(a, most_images(a) + most_images(b));
    t->terms = arena_alloc(arena, n, sizeof *t->terms);
    m->positives = arena_alloc(arena, 2 * (size_t)n, sizeof *m->positives);
    uint8_t *packed = arena_alloc(arena, bytes, 1);
    m->sum.gram = arena_alloc(arena, a->width, a->width * sizeof(double));
    m->sum.products = arena_alloc(arena, a->width, sizeof(double));
    if (!t->terms || !m->positives || !packed || !m->sum.gram || !m->sum.products)
        FAIL(f, STATUS_NO_MEMORY, "term", "no room to add terms of %u classes", n);
    m->packed = byte_writer_make(packed, bytes);
    m->sum.width = a->width;
    m->sum.columns = 1;
    return STATUS_OK;
}

static enum status
check_alike(const struct ridge_terms *a, const struct ridge_terms *b, struct fault *f)
{
    if (a->multi || b->multi)
        FAIL(f, STATUS_FAILED_PRECONDITION, "term", "several labels an image: count them again");
    if (a->width != b->width || !ridge_options_same_features(&a->options, &b->options))
        FAIL(f, STATUS_FAILED_PRECONDITION, "term", "the terms are of different features");
    return STATUS_OK;
}

enum status ridge_terms_merge(const struct ridge_terms *a,
                              const struct ridge_terms *b,
                              struct arena *arena,
                              struct ridge_terms *ret_terms,
                              struct fault *f)
{
    struct merge m = {.positives = NULL};
    struct ridge_terms t = *a;
    uint32_t i = 0, k = 0;
    TRY(check_alike(a, b, f));
    TRY(take_memory(a, b, arena, &m, &t, f));
    for (t.n = 0; i < a->n || k < b->n; t.n++) {
        const int order = i == a->n   ? 1
                          : k == b->n ? -1
                                      : strcmp(a->terms[i].classes[0], b->terms[k].classes[0]);
        struct ridge_term *to = &t.terms[t.n];
        *to = order <= 0 ? a->terms[i] : b->terms[k];
        if (order == 0) {
            TRY(add(&m, &a->terms[i].fit, &b->terms[k].fit, &to->fit, f));
            TRY(add(&m, &a->terms[i].held, &b->terms[k].held, &to->held, f));
        }
        i += order <= 0;
        k += order >= 0;
    }
    *ret_terms = t;
    return STATUS_OK;
}
