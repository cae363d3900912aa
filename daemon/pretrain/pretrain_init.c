#include "daemon/pretrain/pretrain_init.h"

#include <math.h>
#include <string.h>

#include "daemon/base/sysio.h"

#define MAX_TENSORS    (8 + 12 * VIT_MAX_DEPTH)
#define TEMPERATURE    100.0
#define POSITION_SIZE  0.5f /* amplitude; patch vectors of normalised pixels are as large */
#define QK_ROTATION    0.84f
#define QK_NOISE       0.3f
#define VALUE_ROTATION 0.63f
#define VALUE_NOISE    0.63f

/* Normal with deviation sd, drawn again beyond two deviations. */
static float truncated(struct rng *r, float sd)
{
    float x;
    do {
        x = rng_normal(r);
    } while (fabsf(x) > 2.0f);
    return x * sd;
}

static int is(const struct vit_tensor *v, const char *kind)
{
    return strcmp(v->kind, kind) == 0;
}

static void init_tensor(const struct vit_tensor *v, struct rng *r, float *x)
{
    const size_t n = v->rows * v->cols;
    const int gain = is(v, "ln1_w") || is(v, "ln2_w") || is(v, "norm_w");
    const int small = is(v, "cls") || is(v, "head_w");
    const float sd = small ? 0.02f : sqrtf(2.0f / (float)(v->rows + v->cols));
    for (size_t k = 0; k < n; k++)
        x[k] = gain ? 1.0f : v->decay || small ? truncated(r, sd) : 0.0f;
}

/* Rows of `m` [n, n] become orthonormal: modified Gram-Schmidt on normal draws. */
static void random_rotation(struct rng *r, size_t n, float *m)
{
    for (size_t i = 0; i < n * n; i++)
        m[i] = rng_normal(r);
    for (size_t i = 0; i < n; i++) {
        float *row = m + i * n;
        for (size_t j = 0; j < i; j++) {
            double dot = 0;
            for (size_t k = 0; k < n; k++)
                dot += (double)row[k] * (double)m[j * n + k];
            for (size_t k = 0; k < n; k++)
                row[k] -= (float)dot * m[j * n + k];
        }
        double square = 0;
        for (size_t k = 0; k < n; k++)
            square += (double)row[k] * (double)row[k];
        const float scale = (float)(1.0 / sqrt(square));
        for (size_t k = 0; k < n; k++)
            row[k] *= scale;
    }
}

/* to = rotation * R (or its transpose) + noise * Glorot, [n, n]. */
static void mix(struct rng *r,
                const float *rotation,
                int transpose,
                float share,
                float noise,
                size_t n,
                float *to)
{
    const float sd = sqrtf(1.0f / (float)n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            to[i * n + j] =
                share * rotation[transpose ? j * n + i : i * n + j] + noise * truncated(r, sd);
    }
}

static void init_attention(const struct vit_config *c,
                           const struct rng_root *root,
                           struct vit_weights *w,
                           float *rotation)
{
    const size_t n = c->width;
    for (uint32_t l = 0; l < c->depth; l++) {
        struct vit_block *b = &w->blocks[l];
        struct rng r;
        rng_init(&r, root, "init_attention", l);
        random_rotation(&r, n, rotation);
        mix(&r, rotation, 0, QK_ROTATION, QK_NOISE, n, b->qkv_w);
        mix(&r, rotation, 0, QK_ROTATION, QK_NOISE, n, b->qkv_w + n * n);
        random_rotation(&r, n, rotation);
        mix(&r, rotation, 0, VALUE_ROTATION, VALUE_NOISE, n, b->qkv_w + 2 * n * n);
        mix(&r, rotation, 1, -VALUE_ROTATION, VALUE_NOISE, n, b->proj_w);
    }
}

/* Quarter k of a row: sine and cosine of the column, then of the row of the patch. */
static void init_positions(const struct vit_config *c, float *pos)
{
    const uint32_t grid = c->image_size / c->patch_size;
    const size_t quarter = c->width / 4;
    memset(pos, 0, (size_t)c->width * sizeof *pos);
    for (uint32_t t = 0; t < grid * grid; t++) {
        float *row = pos + (t + 1) * (size_t)c->width;
        for (size_t k = 0; k < quarter; k++) {
            const double omega =
                pow(TEMPERATURE, -(double)k / (double)(quarter > 1 ? quarter - 1 : 1));
            const double x = omega * (t % grid), y = omega * (t / grid);
            row[k] = POSITION_SIZE * (float)sin(x);
            row[quarter + k] = POSITION_SIZE * (float)cos(x);
            row[2 * quarter + k] = POSITION_SIZE * (float)sin(y);
            row[3 * quarter + k] = POSITION_SIZE * (float)cos(y);
        }
        for (size_t k = 4 * quarter; k < c->width; k++)
            row[k] = 0.0f;
    }
}

enum status pretrain_init_weights(const struct vit_config *c,
                                  const struct rng_root *root,
                                  float *block,
                                  struct vit_weights *w,
                                  struct fault *f)
{
    static struct vit_tensor tensors[MAX_TENSORS];
    float *rotation = sysio_alloc((size_t)c->width * c->width, sizeof *rotation);
    if (!rotation)
        FAIL(f, STATUS_NO_MEMORY, "init", "no memory for the first weights");
    const size_t n = vit_tensors(c, tensors, MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        struct rng r;
        rng_init(&r, root, "init", i);
        init_tensor(&tensors[i], &r, block + tensors[i].offset);
    }
    init_positions(c, w->pos);
    init_attention(c, root, w, rotation);
    sysio_free(rotation);
    return STATUS_OK;
}
