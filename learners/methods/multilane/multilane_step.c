/* One pass over a list of images: forward, loss, and in training backward. */
#include "learners/methods/multilane/multilane_internal.h"

#include "learners/math/elementwise.h"
#include "learners/methods/multilane/lane_loss.h"

#include <string.h>

/* What the work items of a chunk share. */
struct chunk_pass {
    struct multilane_run *run;
    const uint32_t *list; /* [n] images of the chunk */
    uint32_t n;
    int train;
    double divisor;
    /* A loss of somebody else's, of the same images; NULL: the lane's own. */
    float *logits, *embeddings;         /* to be filled */
    const float *dlogits, *dembeddings; /* train: its gradients */
};

/* A shard on a thread. */
struct chunk_shard {
    const struct chunk_pass *pass;
    uint32_t at, n;
    uint32_t thread;
};

static struct pathway_features *shard_features(const struct chunk_shard *s)
{
    const struct multilane_run *r = s->pass->run;
    const size_t depth = r->problem->config.depth;
    struct pathway_features *to = r->shard_features + s->thread * depth * MULTILANE_SHARD;
    for (size_t l = 0; l < depth; l++)
        memcpy(to + l * s->n, r->features + l * s->pass->n + s->at, s->n * sizeof *to);
    return to;
}

static void shard_forward(const struct chunk_shard *s, const struct pathway_features *features)
{
    const struct multilane_run *r = s->pass->run;
    const struct multilane_problem *p = r->problem;
    const struct lane_trunk trunk = {&p->config, p->weights};
    struct pathway *x = r->pathways[s->thread];
    const struct pathway_lane *lanes[MULTILANE_SHARD];
    struct pathway_row rows[MULTILANE_SHARD];
    float *logits[MULTILANE_SHARD];
    for (uint32_t i = 0; i < s->n; i++) {
        lanes[i] = &r->view;
        logits[i] = r->logits + (size_t)(s->at + i) * p->n_classes;
    }
    pathway_start(x, &trunk, s->n, lanes);
    for (uint32_t l = 0; l < p->config.depth; l++) {
        for (uint32_t i = 0; i < s->n; i++)
            rows[i] = (struct pathway_row){lanes[i], features[l * s->n + i]};
        pathway_step(x, &trunk, l, s->n, rows);
    }
    pathway_finish(x, &trunk, s->n, lanes, logits);
}

/* Losses of the shard, and (unless NULL) the gradients of its logits. */
static void shard_loss(const struct chunk_shard *s, float *dz)
{
    const struct multilane_run *r = s->pass->run;
    const struct multilane_problem *p = r->problem;
    const struct lane_loss_dims d = {s->n, p->n_classes, s->pass->divisor};
    const float *z = r->logits + (size_t)s->at * p->n_classes;
    const uint32_t *list = s->pass->list + s->at;
    uint32_t labels[MULTILANE_SHARD];
    const uint8_t *hot[MULTILANE_SHARD];
    for (uint32_t i = 0; i < s->n; i++) {
        labels[i] = p->hot ? 0 : (uint32_t)p->images.labels[list[i]];
        hot[i] = p->hot ? p->hot + (size_t)list[i] * p->n_classes : NULL;
    }
    if (p->hot)
        lane_loss_multi(&d, z, hot, r->losses + s->at, dz);
    else
        lane_loss_single(&d, z, labels, r->losses + s->at, dz);
}

/* What the shard gave, to where the caller wants it. */
static void shard_tell(const struct chunk_shard *s)
{
    const struct multilane_run *r = s->pass->run;
    const size_t classes = r->problem->n_classes, width = r->problem->config.width;
    memcpy(s->pass->logits + s->at * classes, r->logits + s->at * classes,
           s->n * classes * sizeof(float));
    for (uint32_t i = 0; i < s->n; i++)
        memcpy(s->pass->embeddings + (s->at + i) * width,
               pathway_embedding(r->pathways[s->thread], i), width * sizeof(float));
}

static void shard_run(const struct chunk_shard *s, const struct multilane_sum *sum)
{
    const struct multilane_run *r = s->pass->run;
    const struct multilane_problem *p = r->problem;
    const struct lane_trunk trunk = {&p->config, p->weights};
    const struct pathway_features *features = shard_features(s);
    float *dz = r->dz + (size_t)s->thread * MULTILANE_SHARD * p->n_classes;
    shard_forward(s, features);
    if (s->pass->logits) {
        shard_tell(s);
        return;
    }
    if (s->pass->dlogits) {
        pathway_backward(r->pathways[s->thread], &trunk, s->n, &r->view, features,
                         s->pass->dlogits + (size_t)s->at * p->n_classes,
                         s->pass->dembeddings + (size_t)s->at * p->config.width, &sum->g);
        return;
    }
    shard_loss(s, s->pass->train ? dz : NULL);
    if (s->pass->train)
        pathway_backward(r->pathways[s->thread], &trunk, s->n, &r->view, features, dz, NULL,
                         &sum->g);
}

/* Work item i: the shards of accumulator i, in order. */
static void chunk_task(void *context, uint32_t i, uint32_t thread)
{
    const struct chunk_pass *pass = context;
    const uint32_t shards = (pass->n + MULTILANE_SHARD - 1) / MULTILANE_SHARD;
    for (uint32_t s = i; s < shards; s += MULTILANE_LANES) {
        const uint32_t at = s * MULTILANE_SHARD, left = pass->n - at;
        const struct chunk_shard shard = {pass, at, left < MULTILANE_SHARD ? left : MULTILANE_SHARD,
                                          thread};
        shard_run(&shard, &pass->run->sums[i]);
    }
}

static void
chunk_run(struct multilane_run *r, struct chunk_pass *pass, const struct feature_change *change)
{
    feature_cache_fetch(r->cache, pass->list, pass->n, change, r->features);
    pool_run(r->pool, chunk_task, pass, MULTILANE_LANES);
}

static double divisor_of(const struct multilane_run *r, uint32_t n)
{
    const uint32_t all = r->options.all_classes;
    if (!r->problem->hot)
        return n;
    return (double)n * (all ? all : r->problem->n_classes);
}

/* Sum of the accumulators, in order, and through the chain into the selectors. */
static void gradient_gather(struct multilane_run *r)
{
    const struct multilane_problem *p = r->problem;
    const struct lane_trunk trunk = {&p->config, p->weights};
    const size_t selectors = (size_t)r->options.selectors * p->config.width;
    const struct pathway_gradient *first = &r->sums[0].g;
    for (size_t i = 1; i < MULTILANE_LANES; i++)
        elementwise_add(r->sums[0].block, r->sums[i].block, r->sum_floats);
    memset(r->dp.selectors, 0, selectors * sizeof(float));
    selector_chain_backward(r->chain, &trunk, first->shat, r->dp.selectors);
    memcpy(r->dp.prompts, first->prompts, (r->floats - selectors) * sizeof(float));
}

static struct feature_change change_of(const struct multilane_run *r)
{
    const struct lane_options *o = &r->options;
    return (struct feature_change){
        {o->flip, o->shift, o->cutout, o->cutout_rate}, r->root, r->epoch};
}

static void chain_run(struct multilane_run *r)
{
    const struct lane_trunk trunk = {&r->problem->config, r->problem->weights};
    selector_chain_forward(r->chain, &trunk, r->p.selectors, r->shat);
}

double multilane_gradient(struct multilane_run *r, const uint32_t *list, uint32_t n)
{
    const struct feature_change change = change_of(r);
    const int changes = lane_options_augment(&r->options);
    struct chunk_pass pass = {.run = r, .train = 1, .divisor = divisor_of(r, n)};
    double loss = 0.0;
    chain_run(r);
    for (size_t i = 0; i < MULTILANE_LANES; i++)
        memset(r->sums[i].block, 0, r->sum_floats * sizeof(float));
    for (uint32_t at = 0; at < n; at += pass.n) {
        pass.list = list + at;
        pass.n = n - at < r->chunk ? n - at : r->chunk;
        chunk_run(r, &pass, changes ? &change : NULL);
        for (uint32_t i = 0; i < pass.n; i++)
            loss += r->losses[i];
    }
    gradient_gather(r);
    if (r->problem->hot && r->options.all_classes)
        loss += lane_loss_constant(r->problem->n_classes, r->options.all_classes);
    return loss;
}

void multilane_forward(
    struct multilane_run *r, const uint32_t *list, uint32_t n, float *logits, float *embeddings)
{
    const size_t classes = r->problem->n_classes, width = r->problem->config.width;
    struct chunk_pass pass = {.run = r};
    chain_run(r);
    for (uint32_t at = 0; at < n; at += pass.n) {
        pass.list = list + at;
        pass.n = n - at < r->chunk ? n - at : r->chunk;
        pass.logits = logits + at * classes;
        pass.embeddings = embeddings + at * width;
        chunk_run(r, &pass, NULL);
    }
}

void multilane_backward(struct multilane_run *r,
                        const uint32_t *list,
                        uint32_t n,
                        const float *dlogits,
                        const float *dembeddings)
{
    const size_t classes = r->problem->n_classes, width = r->problem->config.width;
    struct chunk_pass pass = {.run = r, .train = 1};
    chain_run(r);
    for (size_t i = 0; i < MULTILANE_LANES; i++)
        memset(r->sums[i].block, 0, r->sum_floats * sizeof(float));
    for (uint32_t at = 0; at < n; at += pass.n) {
        pass.list = list + at;
        pass.n = n - at < r->chunk ? n - at : r->chunk;
        pass.dlogits = dlogits + at * classes;
        pass.dembeddings = dembeddings + at * width;
        chunk_run(r, &pass, NULL);
    }
    gradient_gather(r);
}

/* Right answers of an image: 1 or 0, or the share of classes rightly present or absent. */
static double answer_right(const struct multilane_run *r, const float *z, uint32_t image)
{
    const uint32_t n = r->problem->n_classes;
    if (!r->problem->hot) {
        uint32_t best = 0;
        for (uint32_t k = 1; k < n; k++)
            if (z[k] > z[best])
                best = k;
        return best == (uint32_t)r->problem->images.labels[image] ? 1.0 : 0.0;
    }
    const uint8_t *hot = r->problem->hot + (size_t)image * n;
    uint32_t right = 0;
    for (uint32_t k = 0; k < n; k++)
        right += (z[k] > 0.0f) == (hot[k] != 0);
    return (double)right / n;
}

void multilane_measure(struct multilane_run *r,
                       const uint32_t *list,
                       uint32_t n,
                       struct multilane_figures *ret_figures)
{
    struct chunk_pass pass = {.run = r, .divisor = divisor_of(r, n)};
    struct multilane_figures x = {0};
    chain_run(r);
    for (uint32_t at = 0; at < n; at += pass.n) {
        pass.list = list + at;
        pass.n = n - at < r->chunk ? n - at : r->chunk;
        chunk_run(r, &pass, NULL);
        for (uint32_t i = 0; i < pass.n; i++) {
            x.loss += r->losses[i];
            x.accuracy +=
                answer_right(r, r->logits + (size_t)i * r->problem->n_classes, pass.list[i]) / n;
        }
    }
    *ret_figures = x;
}
