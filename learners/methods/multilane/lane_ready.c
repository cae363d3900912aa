#include "learners/methods/multilane/lane_ready.h"

#include "learners/methods/multilane/selector_chain.h"

size_t lane_ready_plan(const struct vit_config *c, const struct lane_options *o)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct lane_ready));
    arena_plan_add(&p, (size_t)c->depth * o->selectors * c->width, sizeof(float));
    const size_t own = arena_plan_bytes(&p), chain = selector_chain_plan(c, o->selectors);
    return own > SIZE_MAX / 2 || chain > SIZE_MAX / 2 ? SIZE_MAX : own + chain;
}

enum status lane_ready_new(const struct lane *lane,
                           const struct lane_trunk *trunk,
                           const struct digest *state,
                           struct arena *arena,
                           struct lane_ready **ret_ready)
{
    const struct vit_config *c = trunk->config;
    const struct lane_options *o = &lane->options;
    const struct arena_mark start = arena_mark(arena);
    struct lane_ready *x = arena_alloc(arena, 1, sizeof *x);
    float *shat = arena_alloc(arena, (size_t)c->depth * o->selectors * c->width, sizeof *shat);
    const struct arena_mark kept = arena_mark(arena);
    struct selector_chain *chain = NULL;
    if (!x || !shat ||
        selector_chain_new(c, o->selectors, (enum selector_mode)o->replace_mode, arena, &chain) !=
            STATUS_OK) {
        arena_rewind(arena, start);
        return STATUS_NO_MEMORY;
    }
    *x = (struct lane_ready){.lane = lane,
                             .state = *state,
                             .view = {.options = o, .n_classes = lane->n_classes, .shat = shat}};
    lane_map(c, o, lane->n_classes, lane->block, &x->view.p);
    selector_chain_forward(chain, trunk, x->view.p.selectors, shat);
    arena_rewind(arena, kept);
    *ret_ready = x;
    return STATUS_OK;
}

enum status
lane_ready_check(const struct lane_ready *x, const struct digest *state, struct fault *f)
{
    char made[DIGEST_TEXT_SIZE], asked[DIGEST_TEXT_SIZE];
    if (digest_equal(&x->state, state))
        return STATUS_OK;
    digest_format(&x->state, made);
    digest_format(state, asked);
    FAIL(f, STATUS_FAILED_PRECONDITION, "trunk",
         "the lane was made ready for state %.16s..., the weights are in state %.16s...", made,
         asked);
}
