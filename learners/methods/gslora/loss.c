#include "learners/methods/gslora/loss.h"

#include "daemon/base/invariant.h"
#include "learners/math/softmax.h"
#include "learners/nn/kl.h"
#include "learners/nn/xent.h"

#include <string.h>

static uint32_t proto_width(const struct vit_config *c, const struct gslora_options *o)
{
    return o->proto_space == GSLORA_PROTO_LOGITS ? c->classes : c->width;
}

void loss_plan(const struct vit_config *c,
               const struct gslora_options *o,
               uint32_t n_max,
               struct arena_plan *p)
{
    const size_t width = proto_width(c, o);
    arena_plan_add(p, c->classes * width, sizeof(float));
    arena_plan_add(p, n_max, sizeof(float));
    arena_plan_add(p, n_max, sizeof(float));
    arena_plan_add(p, n_max * width, sizeof(float));
    arena_plan_add(p, n_max * width, sizeof(float));
}

int loss_new(const struct vit_config *c,
             const struct gslora_options *o,
             const float *prototypes,
             uint32_t n_max,
             struct arena *arena,
             struct loss_terms *ret_terms)
{
    const size_t width = proto_width(c, o);
    struct loss_terms t = {.options = o,
                           .classes = c->classes,
                           .width = c->width,
                           .depth = c->depth,
                           .margin =
                               c->head == VIT_HEAD_COSINE ? c->head_scale * c->head_margin : 0.0f,
                           .proto_width = (uint32_t)width,
                           .n_max = n_max};
    t.proto = arena_alloc(arena, c->classes * width, sizeof(float));
    t.losses = arena_alloc(arena, n_max, sizeof(float));
    t.weights = arena_alloc(arena, n_max, sizeof(float));
    t.targets = arena_alloc(arena, n_max * width, sizeof(float));
    t.scaled = arena_alloc(arena, n_max * width, sizeof(float));
    if (!t.proto || !t.losses || !t.weights || !t.targets || !t.scaled)
        return 0;
    for (size_t i = 0; i < c->classes * width; i++)
        t.proto[i] = prototypes ? prototypes[i] / o->temperature : 0.0f;
    softmax_forward(t.proto, c->classes, width);
    *ret_terms = t;
    return 1;
}

static double sum_of(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

static void fill(float *x, uint32_t n, double value)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)value;
}

/* 1/B_r sum CE(z^m, y). */
static double retain_term(const struct loss_terms *t, const struct loss_batch *b, double share)
{
    const struct xent_dims d = {.n = b->n_retain, .classes = t->classes, .margin = t->margin};
    xent_forward(&d, b->logits, b->labels, t->losses);
    if (b->dlogits) {
        fill(t->weights, b->n_retain, share);
        xent_backward(&d, b->logits, b->labels, t->weights, b->dlogits);
    }
    return share * sum_of(t->losses, b->n_retain);
}

/*
 * sum max(0, bound - losses), per sample or on the mean; weights become the derivative with respect
 * to each loss, times `factor`.
 */
static double hinge_weights(
    const float *losses, uint32_t n, double bound, int batch_mean, double factor, float *weights)
{
    if (n == 0)
        return 0;
    double sum = 0;
    if (batch_mean) {
        const double gap = bound - sum_of(losses, n) / n;
        fill(weights, n, gap > 0 ? -factor : 0.0);
        return gap > 0 ? gap * n : 0.0;
    }
    for (uint32_t i = 0; i < n; i++) {
        const double gap = bound - (double)losses[i];
        weights[i] = (float)(gap > 0 ? -factor : 0.0);
        sum += gap > 0 ? gap : 0.0;
    }
    return sum;
}

static double
forget_term(const struct loss_terms *t, const struct loss_batch *b, double beta, double share)
{
    const struct gslora_options *o = t->options;
    const struct xent_dims d = {
        .n = b->n_forget, .classes = t->classes, .margin = o->hinge_margin ? t->margin : 0.0f};
    const size_t skip = (size_t)b->n_retain * t->classes;
    const uint32_t *labels = b->labels + b->n_retain;
    xent_forward(&d, b->logits + skip, labels, t->losses);
    const double sum = hinge_weights(t->losses, b->n_forget, (double)o->hinge_bound,
                                     o->hinge == GSLORA_HINGE_BATCH, beta * share, t->weights);
    if (b->dlogits)
        xent_backward(&d, b->logits + skip, labels, t->weights, b->dlogits + skip);
    return beta * share * sum;
}

/* Rows start .. start+n-1: prototype distributions to targets, e / T (or z / T) to scaled. */
static void
proto_gather(const struct loss_terms *t, const struct loss_batch *b, uint32_t start, uint32_t n)
{
    const size_t width = t->proto_width;
    const int logits = t->options->proto_space == GSLORA_PROTO_LOGITS;
    const float *x = (logits ? b->logits : b->embeddings) + start * width;
    for (uint32_t i = 0; i < n; i++)
        memcpy(t->targets + i * width, t->proto + b->labels[start + i] * width,
               width * sizeof(float));
    for (size_t i = 0; i < n * width; i++)
        t->scaled[i] = x[i] / t->options->temperature;
}

static void
proto_gradient(const struct loss_terms *t, const struct loss_batch *b, uint32_t start, uint32_t n)
{
    const size_t width = t->proto_width;
    const int logits = t->options->proto_space == GSLORA_PROTO_LOGITS;
    float *dx = logits ? b->dlogits : b->dembeddings;
    if (!dx)
        return;
    for (uint32_t i = 0; i < n; i++)
        t->weights[i] /= t->options->temperature;
    const struct kl_dims d = {.n = n, .width = width};
    kl_backward(&d, t->targets, t->scaled, t->weights, dx + start * width);
}

static double pull_term(const struct loss_terms *t, const struct loss_batch *b, double share)
{
    const double w = (double)t->options->pull * share;
    if (w <= 0)
        return 0;
    const struct kl_dims d = {.n = b->n_retain, .width = t->proto_width};
    proto_gather(t, b, 0, b->n_retain);
    kl_forward(&d, t->targets, t->scaled, t->losses);
    fill(t->weights, b->n_retain, w);
    proto_gradient(t, b, 0, b->n_retain);
    return w * sum_of(t->losses, b->n_retain);
}

static double push_term(const struct loss_terms *t, const struct loss_batch *b, double share)
{
    const double w = (double)t->options->push * share;
    if (w <= 0)
        return 0;
    const struct kl_dims d = {.n = b->n_forget, .width = t->proto_width};
    proto_gather(t, b, b->n_retain, b->n_forget);
    kl_forward(&d, t->targets, t->scaled, t->losses);
    const double bound = (double)t->options->push_bound;
    const double sum = hinge_weights(t->losses, b->n_forget, bound, 0, w, t->weights);
    proto_gradient(t, b, b->n_retain, b->n_forget);
    return w * sum;
}

/* w_k 1/B_r sum_r |e - e0|^2 / C. */
static double keep_term(const struct loss_terms *t, const struct loss_batch *b, double share)
{
    const double w = (double)t->options->keep * share / t->width;
    const size_t n = (size_t)b->n_retain * t->width;
    double sum = 0;
    if (w <= 0 || !b->anchors)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const double gap = (double)b->embeddings[i] - (double)b->anchors[i];
        sum += gap * gap;
        if (b->dembeddings)
            b->dembeddings[i] += (float)(2 * w * gap);
    }
    return w * sum;
}

/* The term on the embeddings and, for depth=layers, on both tokens of every block input. */
static double
depth_term(const struct loss_terms *t, const struct loss_batch *b, struct depth *depth)
{
    const double share = b->share_depth > 0 ? b->share_depth : 1.0;
    const double w = (double)t->options->depth_weight * share;
    const size_t c = t->width, stride = 2 * c * t->depth;
    const struct depth_rows retain = {b->embeddings, c};
    const struct depth_rows forget = {b->embeddings + b->n_retain * c, c};
    float *de = b->dembeddings ? b->dembeddings + b->n_retain * c : NULL;
    double sum = depth_loss(depth, &forget, &retain, w, de);
    if (t->seek) {
        const struct depth_seek_batch all = {b->embeddings, b->labels, b->n_retain, b->n_forget};
        sum += depth_seek_loss(t->seek, &all, w * (double)t->options->depth_seek, b->dembeddings);
    }
    if (t->options->depth != GSLORA_DEPTH_LAYERS || !b->taps)
        return sum;
    for (size_t at = 2 * (size_t)(b->first_tap - 1); at < 2 * (size_t)t->depth; at++) {
        const struct depth_rows tap_r = {b->taps + at * c, stride};
        const struct depth_rows tap_f = {tap_r.x + b->n_retain * stride, stride};
        const double variance = depth_variance(depth, &tap_r);
        float *dx = b->dtaps ? b->dtaps + at * c + b->n_retain * stride : NULL;
        if (variance > 0)
            sum += depth_loss(depth, &tap_f, &tap_r, w / variance, dx);
    }
    return sum;
}

void loss_compute(const struct loss_terms *t,
                  const struct loss_batch *b,
                  double beta,
                  struct depth *depth,
                  struct loss_values *ret_values)
{
    INVARIANT(b->n_retain <= t->n_max && b->n_forget <= t->n_max);
    const double n_r = b->share_retain > 0 ? b->share_retain : b->n_retain;
    const double n_f = b->share_forget > 0 ? b->share_forget : b->n_forget;
    const double share_r = n_r > 0 ? 1.0 / n_r : 0, share_f = n_f > 0 ? 1.0 / n_f : 0;
    struct loss_values v = {0};
    v.retain = retain_term(t, b, share_r);
    v.forget = forget_term(t, b, beta, share_f);
    v.pull = pull_term(t, b, share_r);
    v.push = push_term(t, b, share_f);
    v.keep = keep_term(t, b, share_r);
    if (depth && t->options->depth != GSLORA_DEPTH_OFF)
        v.depth = depth_term(t, b, depth);
    v.total = v.retain + v.forget + v.pull + v.push + v.depth + v.keep;
    *ret_values = v;
}
