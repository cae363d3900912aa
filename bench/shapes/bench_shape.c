#include "bench/shapes/bench_shape.h"

#include <string.h>

#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"

#define DEVIATION 0.05f

static const struct bench_shape shapes[] = {
    {"tiny28",
     {28, 1, 4, 128, 6, 4, 512, 10, 1e-6f, 0.17677669f, 1, 1, 1, 0, VIT_HEAD_LINEAR, 0, 0},
     128},
    {"face",
     {112, 3, 8, 512, 6, 8, 2048, 100, 1e-5f, 0.04419417f, 0, 0, 1, 1, VIT_HEAD_COSINE, 64, 0.35f},
     32},
    {"vit-b16",
     {224, 3, 16, 768, 12, 12, 3072, 100, 1e-6f, 0.125f, 1, 1, 1, 0, VIT_HEAD_LINEAR, 0, 0},
     8},
};

const struct bench_shape *bench_shape_get(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(name, shapes[i].name) == 0)
            return &shapes[i];
    return NULL;
}

float *bench_shape_weights(const struct bench_shape *shape)
{
    const size_t n = vit_weights_floats(&shape->config);
    float *weights = sysio_alloc(n, sizeof *weights);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 1}, "weights", 0);
    for (size_t i = 0; weights && i < n; i++)
        weights[i] = DEVIATION * rng_normal(&r);
    return weights;
}
