#include "learners/methods/multilane/selector_chain.h"

#include "daemon/base/invariant.h"
#include "learners/math/elementwise.h"
#include "learners/nn/layernorm.h"

#include <string.h>

#define CHAIN_MAGIC 0x4c434841u

/* One block's part of the tape. */
struct chain_block {
    float *s, *u;       /* [S, C] */
    float *mean, *rstd; /* [S] of LN1 */
    struct lane_ffn_tape ffn;
};

struct selector_chain {
    uint32_t magic;
    enum selector_mode mode;
    size_t selectors;
    struct chain_block blocks[VIT_MAX_DEPTH];
    struct lane_ffn_scratch scratch;
    float *ds; /* [S, C] */
};

static void chain_plan_floats(struct arena_plan *p, size_t rows, size_t cols)
{
    size_t n;
    if (!size_mul(rows, cols, &n))
        n = SIZE_MAX;
    arena_plan_add(p, n, sizeof(float));
}

size_t selector_chain_plan(const struct vit_config *c, uint32_t selectors)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct selector_chain));
    for (uint32_t l = 0; l < c->depth; l++) {
        for (int i = 0; i < 2; i++)
            chain_plan_floats(&p, selectors, c->width);
        for (int i = 0; i < 4; i++)
            chain_plan_floats(&p, selectors, 1);
        chain_plan_floats(&p, selectors, c->hidden);
    }
    for (int i = 0; i < 2; i++) {
        chain_plan_floats(&p, selectors, c->width);
        chain_plan_floats(&p, selectors, c->hidden);
    }
    const size_t bytes = arena_plan_bytes(&p);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

static int chain_take(struct arena *a, size_t rows, size_t cols, float **ret_x)
{
    *ret_x = arena_alloc_zero(a, rows * cols, sizeof(float));
    return *ret_x != NULL;
}

static int
chain_take_block(struct arena *a, const struct vit_config *c, size_t rows, struct chain_block *b)
{
    return chain_take(a, rows, c->width, &b->s) && chain_take(a, rows, c->width, &b->u) &&
           chain_take(a, rows, 1, &b->mean) && chain_take(a, rows, 1, &b->rstd) &&
           chain_take(a, rows, 1, &b->ffn.mean) && chain_take(a, rows, 1, &b->ffn.rstd) &&
           chain_take(a, rows, c->hidden, &b->ffn.z);
}

enum status selector_chain_new(const struct vit_config *c,
                               uint32_t selectors,
                               enum selector_mode mode,
                               struct arena *arena,
                               struct selector_chain **ret_chain)
{
    const struct arena_mark mark = arena_mark(arena);
    struct selector_chain *x = arena_alloc_zero(arena, 1, sizeof *x);
    int ok = x != NULL;
    for (uint32_t l = 0; ok && l < c->depth; l++)
        ok = chain_take_block(arena, c, selectors, &x->blocks[l]);
    ok = ok && chain_take(arena, selectors, c->width, &x->scratch.narrow) &&
         chain_take(arena, selectors, c->hidden, &x->scratch.wide) &&
         chain_take(arena, selectors, c->hidden, &x->scratch.act) &&
         chain_take(arena, selectors, c->width, &x->ds);
    if (!ok) {
        arena_rewind(arena, mark);
        return STATUS_NO_MEMORY;
    }
    x->magic = CHAIN_MAGIC;
    x->mode = mode;
    x->selectors = selectors;
    *ret_chain = x;
    return STATUS_OK;
}

static struct layernorm_dims chain_norm(const struct selector_chain *x, const struct lane_trunk *k)
{
    return (struct layernorm_dims){x->selectors, k->config->width, k->config->ln_eps};
}

void selector_chain_forward(struct selector_chain *x,
                            const struct lane_trunk *k,
                            const float *s,
                            float *shat)
{
    INVARIANT(x->magic == CHAIN_MAGIC);
    const struct layernorm_dims ln = chain_norm(x, k);
    const size_t depth = k->config->depth, floats = x->selectors * k->config->width;
    memcpy(x->blocks[0].s, s, floats * sizeof *s);
    for (size_t l = 0; l < depth; l++) {
        const struct vit_block *w = &k->weights->blocks[l];
        const struct chain_block *b = &x->blocks[l];
        float *to = shat + l * floats;
        layernorm_forward(&ln, b->s, w->ln1_w, w->ln1_b, to, b->mean, b->rstd);
        if (l + 1 == depth)
            break;
        float *next = x->blocks[l + 1].s;
        if (x->mode == SELECTOR_PURE) {
            memcpy(next, s, floats * sizeof *s);
            continue;
        }
        memcpy(b->u, b->s, floats * sizeof *s);
        elementwise_add(b->u, to, floats);
        lane_rows_ffn(k, l, x->selectors, b->u, &b->ffn, &x->scratch, next);
    }
}

void selector_chain_backward(struct selector_chain *x,
                             const struct lane_trunk *k,
                             const float *dshat,
                             float *ds)
{
    INVARIANT(x->magic == CHAIN_MAGIC);
    const struct layernorm_dims ln = chain_norm(x, k);
    const size_t depth = k->config->depth, floats = x->selectors * k->config->width;
    float *dnorm = x->scratch.narrow; /* free between two FFNs */
    memset(x->ds, 0, floats * sizeof *x->ds);
    for (size_t l = depth; l-- > 0;) {
        const struct chain_block *b = &x->blocks[l];
        const struct vit_block *w = &k->weights->blocks[l];
        const int passes = x->mode == SELECTOR_PARITY && l + 1 < depth;
        if (passes)
            lane_rows_ffn_backward(k, l, x->selectors, b->u, &b->ffn, &x->scratch, x->ds);
        memcpy(dnorm, dshat + l * floats, floats * sizeof *dnorm);
        if (passes)
            elementwise_add(dnorm, x->ds, floats);
        layernorm_backward_input(&ln, dnorm, b->s, w->ln1_w, b->mean, b->rstd, x->ds);
    }
    elementwise_add(ds, x->ds, floats);
}
