#include "daemon/pretrain/pretrain_train.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/pretrain/pretrain_init.h"
#include "learners/data/augment.h"
#include "learners/data/sampler.h"
#include "learners/nn/xent.h"
#include "learners/optim/adamw.h"
#include "learners/optim/clip.h"
#include "learners/optim/schedule.h"

#include <math.h>
#include <string.h>

#define TRAINER_MAX_TENSORS (8 + 12 * VIT_MAX_DEPTH)

struct trainer {
    struct vit_config config;
    const struct pretrain_options *options;
    struct train_data data;
    struct rng_root root;
    struct pool *pool;
    uint64_t steps_per_epoch, epoch_of_order;
    struct train_sums sums;

    size_t floats;
    struct vit_tensor tensors[TRAINER_MAX_TENSORS];
    size_t n_tensors;
    float *block, *gradient, *moment1, *moment2, *averaged;
    struct vit_weights weights, gradients, averages;

    void *memory;
    struct arena arena;
    struct vit_batch *batch;
    uint32_t *order; /* [n] of the current epoch */
    float *inputs;   /* [batch, image] */
    float *partners; /* [threads, image], for mixup */
    const float **images;
    uint16_t *kept;                    /* [batch, patches] at most */
    float *logits, *dlogits, *targets; /* [batch, K] */
    float *losses, *shares;            /* [batch] */
};

static size_t trainer_image_floats(const struct trainer *t)
{
    return (size_t)t->config.channels * t->config.image_size * t->config.image_size;
}

static size_t trainer_plan(const struct trainer *t)
{
    const size_t batch = t->options->batch, image = trainer_image_floats(t) * sizeof(float);
    const size_t rows = t->config.classes * sizeof(float);
    const size_t engine =
        vit_batch_plan(&t->config, VIT_TRAIN_FULL, t->options->batch, pool_threads(t->pool));
    struct arena_plan p = {0};
    for (int i = 0; i < 5; i++)
        arena_plan_add(&p, t->floats, sizeof(float));
    arena_plan_add(&p, t->data.n, sizeof(uint32_t));
    arena_plan_add(&p, batch, image);
    arena_plan_add(&p, pool_threads(t->pool), image);
    arena_plan_add(&p, batch, sizeof(float *));
    arena_plan_add(&p, batch, vit_tokens(&t->config) * sizeof(uint16_t));
    for (int i = 0; i < 3; i++)
        arena_plan_add(&p, batch, rows);
    arena_plan_add(&p, batch, sizeof(float));
    arena_plan_add(&p, batch, sizeof(float));
    const size_t own = arena_plan_bytes(&p);
    return own > SIZE_MAX - engine ? SIZE_MAX : own + engine;
}

static int trainer_alloc(struct trainer *t)
{
    const size_t batch = t->options->batch, image = trainer_image_floats(t) * sizeof(float);
    const size_t rows = t->config.classes * sizeof(float);
    float **const vectors[] = {&t->block, &t->gradient, &t->moment1, &t->moment2, &t->averaged};
    int complete = 1;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        *vectors[i] = arena_alloc_zero(&t->arena, t->floats, sizeof(float));
        complete = complete && *vectors[i];
    }
    t->order = arena_alloc(&t->arena, t->data.n, sizeof *t->order);
    t->inputs = arena_alloc(&t->arena, batch, image);
    t->partners = arena_alloc(&t->arena, pool_threads(t->pool), image);
    t->images = arena_alloc(&t->arena, batch, sizeof *t->images);
    t->kept = arena_alloc(&t->arena, batch, vit_tokens(&t->config) * sizeof *t->kept);
    t->logits = arena_alloc(&t->arena, batch, rows);
    t->dlogits = arena_alloc(&t->arena, batch, rows);
    t->targets = arena_alloc(&t->arena, batch, rows);
    t->losses = arena_alloc(&t->arena, batch, sizeof(float));
    t->shares = arena_alloc(&t->arena, batch, sizeof(float));
    return complete && t->order && t->inputs && t->partners && t->images && t->kept && t->logits &&
           t->dlogits && t->targets && t->losses && t->shares;
}

static enum status trainer_setup(struct trainer *t, struct fault *f)
{
    const size_t image = trainer_image_floats(t);
    const size_t bytes = trainer_plan(t);
    t->memory = sysio_alloc(1, bytes);
    if (!t->memory)
        FAIL(f, STATUS_NO_MEMORY, "batch", "no memory for %zu bytes", bytes);
    arena_init(&t->arena, t->memory, bytes);
    if (!trainer_alloc(t))
        FAIL(f, STATUS_NO_MEMORY, "batch", "no room in %zu bytes", bytes);
    TRY(vit_batch_new(&t->config, VIT_TRAIN_FULL, t->options->batch, t->pool, &t->arena,
                      &t->batch));
    for (uint32_t i = 0; i < t->options->batch; i++)
        t->images[i] = t->inputs + i * image;
    t->n_tensors = vit_tensors(&t->config, t->tensors, TRAINER_MAX_TENSORS);
    INVARIANT(t->n_tensors <= TRAINER_MAX_TENSORS);
    vit_weights_map(&t->config, t->block, &t->weights);
    vit_weights_map(&t->config, t->gradient, &t->gradients);
    vit_weights_map(&t->config, t->averaged, &t->averages);
    TRY(pretrain_init_weights(&t->config, &t->root, t->block, &t->weights, f));
    memcpy(t->averaged, t->block, t->floats * sizeof *t->block);
    return STATUS_OK;
}

enum status trainer_new(const struct vit_config *c,
                        const struct pretrain_options *o,
                        const struct train_data *data,
                        struct pool *pool,
                        struct trainer **ret_trainer,
                        struct fault *f)
{
    struct trainer *t = sysio_alloc(1, sizeof *t);
    if (!t)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the trainer");
    t->config = *c;
    t->options = o;
    t->data = *data;
    t->root.seed = o->seed;
    t->pool = pool;
    t->floats = vit_weights_floats(c);
    t->steps_per_epoch = (data->n + o->batch - 1) / o->batch;
    t->epoch_of_order = UINT64_MAX;
    const enum status st = trainer_setup(t, f);
    if (st == STATUS_OK)
        *ret_trainer = t;
    else
        trainer_free(t);
    return st;
}

void trainer_free(struct trainer *t)
{
    if (!t)
        return;
    if (t->memory)
        arena_fini(&t->arena);
    sysio_free(t->memory);
    sysio_free(t);
}

uint64_t trainer_steps_per_epoch(const struct trainer *t)
{
    return t->steps_per_epoch;
}

uint64_t trainer_steps(const struct trainer *t)
{
    return t->steps_per_epoch * t->options->epochs;
}

struct checkpoint trainer_state(struct trainer *t)
{
    return (struct checkpoint){.weights = t->block,
                               .ema = t->averaged,
                               .moment1 = t->moment1,
                               .moment2 = t->moment2,
                               .floats = t->floats};
}

const struct vit_weights *trainer_weights(const struct trainer *t)
{
    return &t->weights;
}

const struct vit_weights *trainer_averaged(const struct trainer *t)
{
    return &t->averages;
}

const float *trainer_averaged_block(const struct trainer *t)
{
    return t->averaged;
}

double trainer_rate(const struct trainer *t, uint64_t step)
{
    const struct pretrain_options *o = t->options;
    const struct schedule s = {.lr_max = o->lr,
                               .lr_min = o->lr_min,
                               .warmup = (uint64_t)((double)o->warmup * (double)t->steps_per_epoch),
                               .total = trainer_steps(t)};
    return (double)schedule_cosine(&s, step);
}

/* One step's images and how they are mixed. */
struct trainer_part {
    struct trainer *t;
    const uint32_t *list;
    uint32_t n;
    uint32_t epoch;
    uint32_t n_kept; /* patches an image goes on with; 0: all */
    float lambda;
};

static uint32_t trainer_kept(const struct trainer *t, uint32_t epoch)
{
    const struct pretrain_options *o = t->options;
    const uint32_t patches = vit_tokens(&t->config) - 1;
    if (!(o->patch_dropout > 0) || epoch + o->full_epochs >= o->epochs)
        return 0;
    const uint32_t kept = (uint32_t)lroundf((1 - o->patch_dropout) * (float)patches);
    return kept < 1 ? 1 : kept;
}

static void trainer_load(void *context, uint32_t i, uint32_t thread)
{
    const struct trainer_part *part = context;
    struct trainer *t = part->t;
    const struct pretrain_options *o = t->options;
    const struct augment_options a = {
        .flip = o->flip, .shift = o->shift, .cutout = o->cutout, .cutout_rate = o->cutout_rate};
    const size_t image = trainer_image_floats(t);
    float *out = t->inputs + i * image;
    augment_load(&a, t->data.table, &t->root, part->epoch, part->list[i], out);
    if (part->n_kept)
        augment_patches(&t->root, part->epoch, part->list[i], vit_tokens(&t->config) - 1,
                        part->n_kept, t->kept + (size_t)i * part->n_kept);
    if (part->lambda >= 1)
        return;
    float *partner = t->partners + thread * image;
    augment_load(&a, t->data.table, &t->root, part->epoch, part->list[part->n - 1 - i], partner);
    augment_mix(out, partner, part->lambda, image);
}

/* targets = lambda y_i + (1 - lambda) y_partner, smoothed. */
static void trainer_targets(const struct trainer_part *part)
{
    const struct trainer *t = part->t;
    const size_t classes = t->config.classes;
    const float low = t->options->smoothing / (float)classes, high = 1 - t->options->smoothing;
    for (uint32_t i = 0; i < part->n; i++) {
        float *row = t->targets + i * classes;
        for (size_t k = 0; k < classes; k++)
            row[k] = low;
        row[t->data.table->labels[part->list[i]]] += high * part->lambda;
        row[t->data.table->labels[part->list[part->n - 1 - i]]] += high * (1 - part->lambda);
    }
}

/* Loss and its gradient at the logits; false if the loss is not finite. */
static int trainer_loss(const struct trainer_part *part)
{
    struct trainer *t = part->t;
    const struct xent_dims d = {.n = part->n, .classes = t->config.classes};
    double sum = 0;
    trainer_targets(part);
    xent_forward_soft(&d, t->logits, t->targets, t->losses);
    for (uint32_t i = 0; i < part->n; i++) {
        const float *z = t->logits + (size_t)i * d.classes;
        size_t best = 0;
        for (size_t k = 1; k < d.classes; k++)
            if (z[k] > z[best])
                best = k;
        t->sums.right += best == (size_t)t->data.table->labels[part->list[i]];
        t->shares[i] = 1.0f / (float)part->n;
        sum += (double)t->losses[i];
    }
    if (!isfinite(sum))
        return 0;
    t->sums.loss += sum;
    t->sums.images += part->n;
    memset(t->dlogits, 0, part->n * d.classes * sizeof *t->dlogits);
    xent_backward_soft(&d, t->logits, t->targets, t->shares, t->dlogits);
    return 1;
}

static void trainer_update(struct trainer *t, uint64_t step)
{
    const struct pretrain_options *o = t->options;
    (void)clip_norm(t->gradient, t->floats, o->clip);
    struct adamw_options a = {
        .lr = (float)trainer_rate(t, step), .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    for (size_t i = 0; i < t->n_tensors; i++) {
        const struct vit_tensor *v = &t->tensors[i];
        a.weight_decay = v->decay ? o->weight_decay : 0;
        adamw_step(&a, step + 1, t->block + v->offset, t->gradient + v->offset,
                   t->moment1 + v->offset, t->moment2 + v->offset, v->rows * v->cols);
    }
    /* A young average follows closely: decay (1 + s) / (10 + s) until it reaches the asked one. */
    const double young = (1 + (double)step) / (10 + (double)step);
    const float decay = young < (double)o->ema ? (float)young : o->ema;
    for (size_t i = 0; i < t->floats; i++)
        t->averaged[i] = decay * t->averaged[i] + (1 - decay) * t->block[i];
}

enum status trainer_step(struct trainer *t, uint64_t step, struct fault *f)
{
    const uint64_t epoch = step / t->steps_per_epoch;
    const uint32_t batch = t->options->batch;
    const uint32_t first = (uint32_t)(step % t->steps_per_epoch) * batch;
    if (epoch != t->epoch_of_order) {
        sampler_epoch(&t->root, "shuffle", epoch, t->data.list, t->data.n, t->order);
        t->epoch_of_order = epoch;
    }
    struct trainer_part part = {.t = t,
                                .list = t->order + first,
                                .n = t->data.n - first < batch ? t->data.n - first : batch,
                                .epoch = (uint32_t)epoch,
                                .n_kept = trainer_kept(t, (uint32_t)epoch),
                                .lambda = augment_mix_weight(&t->root, step, t->options->mixup)};
    pool_run(t->pool, trainer_load, &part, part.n);
    const struct vit_input in = {.n = part.n,
                                 .images = t->images,
                                 .n_kept = part.n_kept,
                                 .kept = part.n_kept ? t->kept : NULL};
    const struct vit_output out = {.logits = t->logits};
    vit_forward(t->batch, &t->weights, &in, &out);
    if (!trainer_loss(&part))
        FAIL(f, STATUS_FAILED_PRECONDITION, "lr", "the loss of step %llu is not finite",
             (unsigned long long)step);
    const struct vit_output_grad dout = {.dlogits = t->dlogits};
    memset(t->gradient, 0, t->floats * sizeof *t->gradient);
    vit_backward_full(t->batch, &t->weights, &dout, &t->gradients);
    trainer_update(t, step);
    return STATUS_OK;
}

struct train_sums trainer_take_sums(struct trainer *t)
{
    const struct train_sums sums = t->sums;
    t->sums = (struct train_sums){0};
    return sums;
}
