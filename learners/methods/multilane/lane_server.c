#include "learners/methods/multilane/lane_server.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define LANE_SERVER_MAGIC 0x4c535256u

/* One thread's own. */
struct lane_server_thread {
    struct pathway *pathway;
    struct pathway_row *rows; /* [n_lanes] */
    float **logits;           /* [n_lanes] */
};

struct lane_server {
    uint32_t magic;
    struct lane_trunk trunk;
    uint32_t n_lanes, n_max;
    size_t n_logits;                   /* of one image, all lanes */
    const struct pathway_lane **views; /* [n_lanes] */
    size_t *offsets;                   /* [n_lanes] of a lane's logits among an image's */
    float *rows;                       /* [n_max, n_lanes, C] class rows between two blocks */
    float *logits;                     /* [n_max, n_logits] */
    struct lane_server_thread *threads;
};

void lane_server_count(struct lane_server_sizes *s, const struct pathway_lane *lane)
{
    const struct lane_options *o = lane->options;
    s->n_lanes++;
    s->selectors = o->selectors > s->selectors ? o->selectors : s->selectors;
    s->prompts = o->prompts > s->prompts ? o->prompts : s->prompts;
    s->n_logits += lane->n_classes;
}

static struct pathway_sizes server_sizes(const struct lane_server_sizes *s)
{
    return (struct pathway_sizes){s->n_lanes, s->selectors, s->prompts};
}

size_t lane_server_plan(const struct vit_config *c,
                        const struct lane_server_sizes *sizes,
                        uint32_t n_max,
                        uint32_t threads)
{
    const struct pathway_sizes set = server_sizes(sizes);
    const uint32_t n_lanes = sizes->n_lanes;
    const size_t rows = (size_t)n_max * n_lanes, logits = sizes->n_logits;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct lane_server));
    arena_plan_add(&p, n_lanes, sizeof(struct pathway_lane *));
    arena_plan_add(&p, n_lanes, sizeof(size_t));
    arena_plan_add(&p, rows > SIZE_MAX / c->width ? SIZE_MAX : rows * c->width, sizeof(float));
    arena_plan_add(&p, logits > SIZE_MAX / n_max ? SIZE_MAX : logits * n_max, sizeof(float));
    arena_plan_add(&p, threads, sizeof(struct lane_server_thread));
    for (uint32_t i = 0; i < threads; i++) {
        arena_plan_add(&p, n_lanes, sizeof(struct pathway_row));
        arena_plan_add(&p, n_lanes, sizeof(float *));
        arena_plan_add(&p, pathway_plan(c, &set, 0), 1);
    }
    const size_t bytes = arena_plan_bytes(&p);
    return bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

static enum status server_take_thread(const struct vit_config *c,
                                      const struct pathway_sizes *sizes,
                                      struct arena *arena,
                                      struct lane_server_thread *t)
{
    t->rows = arena_alloc(arena, sizes->rows, sizeof *t->rows);
    t->logits = arena_alloc(arena, sizes->rows, sizeof *t->logits);
    if (!t->rows || !t->logits)
        return STATUS_NO_MEMORY;
    return pathway_new(c, sizes, 0, arena, &t->pathway);
}

static enum status server_take(struct lane_server *x,
                               const struct lane_ready *const *lanes,
                               const struct lane_server_sizes *bounds,
                               uint32_t threads,
                               struct arena *arena)
{
    const struct vit_config *c = x->trunk.config;
    const struct pathway_sizes sizes = server_sizes(bounds);
    x->views = arena_alloc(arena, x->n_lanes, sizeof *x->views);
    x->offsets = arena_alloc(arena, x->n_lanes, sizeof *x->offsets);
    x->rows = arena_alloc(arena, (size_t)x->n_max * x->n_lanes * c->width, sizeof *x->rows);
    x->logits = arena_alloc_zero(arena, x->n_max * x->n_logits, sizeof *x->logits);
    x->threads = arena_alloc_zero(arena, threads, sizeof *x->threads);
    if (!x->views || !x->offsets || !x->rows || !x->logits || !x->threads)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < threads; i++)
        TRY(server_take_thread(c, &sizes, arena, &x->threads[i]));
    for (size_t i = 0, at = 0; i < x->n_lanes; at += lanes[i++]->view.n_classes) {
        x->views[i] = &lanes[i]->view;
        x->offsets[i] = at;
    }
    return STATUS_OK;
}

enum status lane_server_new(const struct lane_trunk *trunk,
                            const struct digest *state,
                            const struct lane_ready *const *lanes,
                            uint32_t n_lanes,
                            uint32_t n_max,
                            uint32_t threads,
                            struct arena *arena,
                            struct lane_server **ret_server,
                            struct fault *f)
{
    struct lane_server_sizes bounds = {0};
    for (uint32_t i = 0; i < n_lanes; i++) {
        TRY(lane_ready_check(lanes[i], state, f));
        lane_server_count(&bounds, &lanes[i]->view);
    }
    const struct arena_mark mark = arena_mark(arena);
    struct lane_server *x = arena_alloc(arena, 1, sizeof *x);
    enum status s = x ? STATUS_OK : STATUS_NO_MEMORY;
    if (x) {
        *x = (struct lane_server){.magic = LANE_SERVER_MAGIC,
                                  .trunk = *trunk,
                                  .n_lanes = n_lanes,
                                  .n_max = n_max,
                                  .n_logits = bounds.n_logits};
        s = server_take(x, lanes, &bounds, threads, arena);
    }
    if (s != STATUS_OK) {
        arena_rewind(arena, mark);
        FAIL(f, s, "memory", "no room for %u lanes on %u images", n_lanes, n_max);
    }
    *ret_server = x;
    return STATUS_OK;
}

/* The last block is behind: heads. */
static void server_finish(struct lane_server *x, struct lane_server_thread *t, uint32_t image)
{
    for (uint32_t i = 0; i < x->n_lanes; i++)
        t->logits[i] = x->logits + image * x->n_logits + x->offsets[i];
    pathway_finish(t->pathway, &x->trunk, x->n_lanes, x->views, t->logits);
}

void lane_server_observe(void *server, const struct vit_observed *o)
{
    struct lane_server *x = server;
    INVARIANT(x->magic == LANE_SERVER_MAGIC && o->image < x->n_max);
    if (x->n_lanes == 0)
        return;
    struct lane_server_thread *t = &x->threads[o->thread];
    pathway_attach(t->pathway, x->rows + (size_t)o->image * x->n_lanes * x->trunk.config->width);
    if (o->block == 0)
        pathway_start(t->pathway, &x->trunk, x->n_lanes, x->views);
    for (uint32_t i = 0; i < x->n_lanes; i++)
        t->rows[i] = (struct pathway_row){x->views[i], {o->xh, o->k, o->v, o->ld}};
    pathway_step(t->pathway, &x->trunk, o->block, x->n_lanes, t->rows);
    if (o->block + 1 == x->trunk.config->depth)
        server_finish(x, t, o->image);
}

void lane_server_read(const struct lane_server *x, uint32_t n, float *const *logits)
{
    INVARIANT(x->magic == LANE_SERVER_MAGIC && n <= x->n_max);
    for (uint32_t i = 0; i < x->n_lanes; i++) {
        const size_t classes = x->views[i]->n_classes;
        for (uint32_t j = 0; j < n; j++)
            memcpy(logits[i] + j * classes, x->logits + j * x->n_logits + x->offsets[i],
                   classes * sizeof(float));
    }
}
