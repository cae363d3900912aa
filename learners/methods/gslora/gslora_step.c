/* Training steps of a run: batches, forward, loss, backward, update, wake check. */
#include "learners/methods/gslora/gslora_internal.h"

#include "daemon/base/invariant.h"

#include <string.h>

void gslora_cycle_restart(struct gslora_cycle *c, const struct rng_root *root, uint64_t cycle)
{
    struct rng r;
    rng_init(&r, root, c->name, cycle);
    memcpy(c->items, c->list, c->n * sizeof *c->items);
    rng_shuffle(&r, c->items, c->n);
    c->cycle = cycle;
    c->at = 0;
}

void gslora_cycle_take(struct gslora_cycle *c,
                       const struct rng_root *root,
                       uint32_t n,
                       uint32_t *out)
{
    INVARIANT(n <= c->n);
    for (uint32_t i = 0; i < n; i++) {
        if (c->at == c->n)
            gslora_cycle_restart(c, root, c->cycle + 1);
        out[i] = c->items[c->at++];
    }
}

static void batch_label(struct gslora_run *run)
{
    struct gslora_batch *b = &run->batch;
    for (uint32_t i = 0; i < b->n_retain + b->n_forget; i++)
        b->labels[i] = (uint32_t)run->problem->images.labels[b->list[i]];
}

/* Inputs of the batch from pixels. */
static struct vit_input batch_pixels(struct gslora_run *run)
{
    struct gslora_batch *b = &run->batch;
    const struct image_table *images = &run->problem->images;
    const uint32_t n = b->n_retain + b->n_forget;
    for (uint32_t i = 0; i < n; i++) {
        float *to = b->pixels + i * images_floats(images);
        images_load(images, b->list[i], to);
        b->inputs[i] = to;
    }
    return (struct vit_input){.n = n, .images = b->inputs};
}

/* Inputs of the batch from the cached prefix of block l0. */
static struct vit_input batch_prefix(struct gslora_run *run, uint32_t l0)
{
    struct gslora_batch *b = &run->batch;
    const uint32_t n = b->n_retain + b->n_forget;
    prefix_cache_fetch(&run->cache, l0, b->list, n, b->inputs);
    return (struct vit_input){.n = n, .first = l0, .prefix = b->inputs};
}

/* Anchors of the images in list[0..n) that have none yet. */
static void anchors_compute(struct gslora_run *run, uint32_t l0, const uint32_t *list, uint32_t n)
{
    struct gslora_anchors *a = &run->anchors;
    const size_t width = run->problem->config.width;
    uint32_t missing[GSLORA_CHUNK], m = 0;
    for (uint32_t i = 0; i <= n; i++) {
        if (m == GSLORA_CHUNK || (i == n && m > 0)) {
            gslora_infer(run, run->problem->weights, l0, missing, m,
                         a->rows + (a->used - m) * width);
            m = 0;
        }
        if (i == n || a->slot[list[i]])
            continue;
        a->slot[list[i]] = ++a->used;
        missing[m++] = list[i];
    }
}

/* Before the batch's own inputs are fetched: a fetch ends the life of the one before. */
static void anchors_gather(struct gslora_run *run, uint32_t l0)
{
    struct gslora_anchors *a = &run->anchors;
    const struct gslora_batch *b = &run->batch;
    const size_t width = run->problem->config.width;
    if (!a->batch)
        return;
    anchors_compute(run, l0, b->list, b->n_retain);
    for (uint32_t i = 0; i < b->n_retain; i++)
        memcpy(a->batch + i * width, a->rows + (a->slot[b->list[i]] - 1) * width,
               width * sizeof(float));
}

/* Forward with the folded weights, loss, and the loss's gradient at the network's outputs. */
static void batch_loss(struct gslora_run *run,
                       const struct vit_input *in,
                       const struct loss_batch *shares,
                       uint32_t first_tap,
                       struct loss_values *ret_values)
{
    struct gslora_batch *b = &run->batch;
    const struct vit_config *c = &run->problem->config;
    const size_t taps = (size_t)in->n * c->depth * 2 * c->width;
    const int with_taps = b->taps && first_tap <= c->depth;
    const struct vit_output out = {
        .embeddings = b->embeddings, .logits = b->logits, .taps = with_taps ? b->taps : NULL};
    vit_forward(run->train, &run->folded, in, &out);
    memset(b->dlogits, 0, (size_t)in->n * c->classes * sizeof *b->dlogits);
    memset(b->dembeddings, 0, (size_t)in->n * c->width * sizeof *b->dembeddings);
    if (with_taps)
        memset(b->dtaps, 0, taps * sizeof *b->dtaps);
    const struct loss_batch loss = {.n_retain = b->n_retain,
                                    .n_forget = b->n_forget,
                                    .share_retain = shares->share_retain,
                                    .share_forget = shares->share_forget,
                                    .share_depth = shares->share_depth,
                                    .labels = b->labels,
                                    .logits = b->logits,
                                    .embeddings = b->embeddings,
                                    .anchors = run->anchors.batch,
                                    .taps = with_taps ? b->taps : NULL,
                                    .first_tap = first_tap,
                                    .dlogits = b->dlogits,
                                    .dembeddings = b->dembeddings,
                                    .dtaps = with_taps ? b->dtaps : NULL};
    struct depth *depth = run->options.depth == GSLORA_DEPTH_OFF ? NULL : &run->depth;
    loss_compute(&run->terms, &loss, run->beta, depth, ret_values);
}

/* Backward into `to` (adds). */
static void batch_backward(struct gslora_run *run, uint32_t first_tap, struct vit_lora *to)
{
    const struct gslora_batch *b = &run->batch;
    const int with_taps = b->taps && first_tap <= run->problem->config.depth;
    const struct vit_output_grad grad = {
        .dlogits = b->dlogits, .dembeddings = b->dembeddings, .dtaps = with_taps ? b->dtaps : NULL};
    vit_backward_lora(run->train, &run->folded, &run->set.lora, &grad, to);
}

static void draw_depth(struct gslora_run *run, const char *name, uint64_t index)
{
    if (run->options.depth != GSLORA_DEPTH_OFF)
        depth_draw(&run->depth, &run->root, name, index, run->batch.n_forget, run->batch.n_retain);
}

void gslora_step(struct gslora_run *run, float lr, int penalty, struct loss_values *ret_values)
{
    const uint32_t l0 = active_set_first(&run->set);
    INVARIANT(l0 <= run->problem->config.depth);
    batch_label(run);
    active_set_fold(&run->set, run->problem->weights, run->fold_memory, &run->folded);
    active_set_clear_gradient(&run->set);
    anchors_gather(run, l0);
    const struct vit_input in = run->options.cache ? batch_prefix(run, l0) : batch_pixels(run);
    draw_depth(run, "depth", run->step);
    batch_loss(run, &in, &(struct loss_batch){0}, l0 + 1, ret_values);
    batch_backward(run, l0 + 1, &run->set.grad);
    active_set_update(&run->set, &run->options, lr, penalty);
}

/* ------------------------------------------------------------------ wake check */

/* Every k-th item so that about `most` of n remain. */
static uint32_t
spread(const uint32_t *from, uint32_t n, uint32_t most, uint32_t at, uint32_t take, uint32_t *out)
{
    const uint32_t total = n < most ? n : most;
    uint32_t taken = 0;
    for (; taken < take && at + taken < total; taken++)
        out[taken] = from[(uint64_t)(at + taken) * n / total];
    return taken;
}

/* Parts of a check set: enough that noise averages out in the moments of untrained groups. */
#define WAKE_PARTS 8

struct wake_set {
    uint32_t n_retain, n_forget; /* images of the whole check set */
    uint32_t each;               /* images of each kind in a part */
    uint32_t n_parts;
};

static struct wake_set wake_set_of(const struct gslora_run *run)
{
    const uint32_t most = run->options.wake_images / 2, half = run->batch.n_max / 2;
    struct wake_set w = {.n_retain = run->retain.n < most ? run->retain.n : most,
                         .n_forget = run->forget.n < most ? run->forget.n : most};
    const uint32_t longest = w.n_retain > w.n_forget ? w.n_retain : w.n_forget;
    w.each = (longest + WAKE_PARTS - 1) / WAKE_PARTS;
    if (w.each > half)
        w.each = half ? half : 1;
    w.n_parts = (longest + w.each - 1) / w.each;
    return w;
}

/* Fills the batch with part `part` of the check set. */
static void wake_batch(struct gslora_run *run, const struct wake_set *w, uint32_t part)
{
    struct gslora_batch *b = &run->batch;
    const uint32_t at = part * w->each;
    b->n_retain = spread(run->retain.list, run->retain.n, w->n_retain, at, w->each, b->list);
    b->n_forget =
        spread(run->forget.list, run->forget.n, w->n_forget, at, w->each, b->list + b->n_retain);
    batch_label(run);
}

/*
 * Gradient of the loss over the check set with every group in the backward pass; the weights are
 * frozen before block l0.
 */
static void wake_gradient(struct gslora_run *run, uint32_t l0)
{
    const struct wake_set w = wake_set_of(run);
    const struct loss_batch shares = {
        .share_retain = w.n_retain, .share_forget = w.n_forget, .share_depth = 1.0 / w.n_parts};
    struct active_set *s = &run->set;
    active_set_clear_gradient(s);
    active_set_clear_moments(s);
    for (uint32_t part = 0; part < w.n_parts; part++) {
        wake_batch(run, &w, part);
        anchors_gather(run, l0);
        const struct vit_input in = batch_pixels(run);
        struct loss_values values;
        draw_depth(run, "depth/wake", ((uint64_t)run->step << 16) + part);
        batch_loss(run, &in, &shares, 1, &values);
        active_set_begin_part(s);
        batch_backward(run, 1, &s->part_grad);
        active_set_end_part(s, w.n_parts);
    }
}

uint32_t gslora_wake_check(struct gslora_run *run)
{
    struct active_set *s = &run->set;
    const uint32_t first = active_set_first(s);
    uint8_t asleep[VIT_MAX_DEPTH];
    for (uint32_t l = 0; l < s->depth; l++) {
        asleep[l] = !s->lora.blocks[l].awake;
        /* at the dormant point B is 0, so that the folded weights stay those of the awake groups */
        s->lora.blocks[l].awake = s->grad.blocks[l].awake = 1;
    }
    active_set_fold(s, run->problem->weights, run->fold_memory, &run->folded);
    wake_gradient(run, first < s->depth ? first : s->depth);
    uint32_t woken = 0;
    for (uint32_t l = 0; l < s->depth; l++) {
        if (!asleep[l])
            continue;
        s->lora.blocks[l].awake = s->grad.blocks[l].awake = 0;
        if (active_set_pressure(s, &run->options, l) <= 1.1 * (double)run->options.alpha)
            continue;
        active_set_wake(s, l);
        woken++;
    }
    if (woken)
        prefix_cache_drop_after(&run->cache, active_set_first(s));
    return woken;
}
