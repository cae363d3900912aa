#include "learners/data/augment.h"

#include <math.h>
#include <string.h>

struct augment_draw {
    int flip;
    int32_t dx, dy; /* shift */
    int cut;
    int32_t cx, cy; /* centre of the cutout */
};

static int32_t augment_offset(struct rng *r, uint32_t reach)
{
    return (int32_t)rng_below(r, 2 * (uint64_t)reach + 1) - (int32_t)reach;
}

/* Always draws the same number of values, so that switching one change off leaves the others. */
static struct augment_draw
augment_draw(const struct augment_options *o, struct rng *r, uint32_t size)
{
    struct augment_draw d;
    d.flip = rng_uniform(r) < o->flip;
    d.dx = augment_offset(r, o->shift);
    d.dy = augment_offset(r, o->shift);
    d.cut = rng_uniform(r) < o->cutout_rate && o->cutout > 0;
    d.cx = (int32_t)rng_below(r, size);
    d.cy = (int32_t)rng_below(r, size);
    return d;
}

/* One channel: out(y, x) = in(y - dy, x - dx), mirrored first if asked. */
static void augment_plane(const struct image_table *t,
                          const uint8_t *in,
                          uint32_t c,
                          const struct augment_draw *d,
                          float *out)
{
    const int32_t size = (int32_t)t->size;
    for (int32_t y = 0; y < size; y++)
        for (int32_t x = 0; x < size; x++) {
            const int32_t sy = y - d->dy;
            int32_t sx = x - d->dx;
            uint8_t pixel = 0;
            if (sy >= 0 && sy < size && sx >= 0 && sx < size) {
                sx = d->flip ? size - 1 - sx : sx;
                pixel = in[((size_t)sy * t->size + (size_t)sx) * t->channels + c];
            }
            out[(size_t)y * t->size + (size_t)x] = t->scale[c] * (float)pixel + t->shift[c];
        }
}

static int32_t augment_clip(int32_t x, int32_t size)
{
    return x < 0 ? 0 : x > size ? size : x;
}

static void augment_cut(const struct augment_options *o,
                        uint32_t side,
                        const struct augment_draw *d,
                        float *out)
{
    const int32_t size = (int32_t)side, half = (int32_t)o->cutout / 2;
    const int32_t x0 = augment_clip(d->cx - half, size), y0 = augment_clip(d->cy - half, size);
    const int32_t x1 = augment_clip(d->cx - half + (int32_t)o->cutout, size);
    const int32_t y1 = augment_clip(d->cy - half + (int32_t)o->cutout, size);
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++)
            out[(size_t)y * side + (size_t)x] = 0;
}

void augment_load(const struct augment_options *o,
                  const struct image_table *t,
                  const struct rng_root *root,
                  uint32_t epoch,
                  uint32_t i,
                  float *out)
{
    const size_t plane = (size_t)t->size * t->size;
    const uint8_t *in = t->pixels + (size_t)i * plane * t->channels;
    struct rng r;
    rng_init(&r, root, "augment", (uint64_t)epoch << 32 | i);
    const struct augment_draw d = augment_draw(o, &r, t->size);
    for (uint32_t c = 0; c < t->channels; c++) {
        augment_plane(t, in, c, &d, out + c * plane);
        if (d.cut)
            augment_cut(o, t->size, &d, out + c * plane);
    }
}

void augment_patches(const struct rng_root *root,
                     uint32_t epoch,
                     uint32_t i,
                     uint32_t n,
                     uint32_t n_kept,
                     uint16_t *kept)
{
    struct rng r;
    uint32_t wanted = n_kept;
    rng_init(&r, root, "patches", (uint64_t)epoch << 32 | i);
    /* selection sampling: patch p is taken with probability wanted / (those not looked at) */
    for (uint32_t p = 0; p < n && wanted > 0; p++)
        if (rng_below(&r, n - p) < wanted) {
            *kept++ = (uint16_t)p;
            wanted--;
        }
}

/* log of a Gamma(alpha, 1) draw: Marsaglia and Tsang 2000, with the boost for alpha < 1. */
static double augment_log_gamma_draw(struct rng *r, double alpha)
{
    const double boosted = alpha < 1 ? alpha + 1 : alpha;
    const double d = boosted - 1.0 / 3, c = 1 / sqrt(9 * d);
    double v, x, u;
    do {
        do {
            x = (double)rng_normal(r);
            v = 1 + c * x;
        } while (v <= 0);
        v = v * v * v;
        u = 1 - (double)rng_uniform(r); /* in (0, 1] */
    } while (log(u) >= 0.5 * x * x + d - d * v + d * log(v));
    double result = log(d * v);
    if (alpha < 1)
        result += log(1 - (double)rng_uniform(r)) / alpha;
    return result;
}

float augment_mix_weight(const struct rng_root *root, uint64_t step, float alpha)
{
    struct rng r;
    if (!(alpha > 0))
        return 1;
    rng_init(&r, root, "mixup", step);
    const double a = augment_log_gamma_draw(&r, (double)alpha);
    const double b = augment_log_gamma_draw(&r, (double)alpha);
    const float lambda = (float)(1 / (1 + exp(b - a)));
    return lambda < 0.5f ? 1 - lambda : lambda;
}

void augment_mix(float *a, const float *b, float lambda, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = lambda * a[i] + (1 - lambda) * b[i];
}
