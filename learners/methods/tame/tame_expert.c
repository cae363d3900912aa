#include "learners/methods/tame/tame_expert.h"

#include "daemon/base/arena.h"
#include "daemon/base/invariant.h"
#include "learners/nn/xent.h"

#include <math.h>
#include <string.h>

size_t tame_expert_floats(const struct tame_shape *s, uint32_t classes)
{
    size_t head;
    if (!size_mul(classes, s->head_width + 1, &head) || head > SIZE_MAX / 16 - s->body)
        return SIZE_MAX;
    return s->body + head;
}

size_t tame_expert_memory(const struct tame_shape *s, uint32_t classes_max)
{
    size_t n;
    return size_mul(tame_expert_floats(s, classes_max), s->vectors, &n) ? n : SIZE_MAX;
}

void tame_expert_map(const struct tame_shape *s,
                     uint32_t classes_max,
                     float *memory,
                     struct tame_weights *ret_w)
{
    const size_t stride = tame_expert_floats(s, classes_max);
    INVARIANT(s->vectors >= 1 && s->vectors <= TAME_VECTORS_MAX);
    *ret_w = (struct tame_weights){.classes_max = classes_max};
    for (uint32_t i = 0; i < s->vectors; i++)
        ret_w->v[i] = memory + i * stride;
}

void tame_expert_start(const struct tame_kind *kind,
                       void *engine,
                       const struct tame_shape *s,
                       uint64_t seed,
                       uint32_t classes,
                       struct tame_weights *w)
{
    INVARIANT(classes <= w->classes_max);
    for (uint32_t i = 0; i < s->vectors; i++)
        memset(w->v[i], 0, tame_expert_floats(s, w->classes_max) * sizeof(float));
    w->classes = classes;
    w->seed = seed;
    w->steps = 0;
    w->revision++;
    kind->init(engine, w);
}

void tame_expert_grow(const struct tame_shape *s, uint32_t classes, struct tame_weights *w)
{
    INVARIANT(classes >= w->classes && classes <= w->classes_max);
    const size_t old = w->classes, added = classes - old;
    for (uint32_t i = 0; i < s->vectors && added; i++) {
        float *head = w->v[i] + s->body;
        float *bias = head + old * s->head_width, *to = bias + added * s->head_width;
        memmove(to, bias, old * sizeof(float));
        memset(bias, 0, added * s->head_width * sizeof(float));
        memset(to + old, 0, added * sizeof(float));
    }
    w->classes = classes;
    w->revision++;
}

void tame_expert_put(const struct tame_shape *s,
                     const struct tame_weights *w,
                     struct byte_writer *to)
{
    const size_t n = tame_expert_floats(s, w->classes);
    put_u32(to, w->classes);
    put_u64(to, w->seed);
    put_u64(to, w->steps);
    for (uint32_t i = 0; i < s->vectors; i++)
        for (size_t k = 0; k < n; k++)
            put_f32(to, w->v[i][k]);
}

enum status tame_expert_get(const struct tame_shape *s,
                            struct byte_reader *from,
                            struct tame_weights *w,
                            struct fault *f)
{
    w->classes = get_u32(from);
    w->seed = get_u64(from);
    w->steps = get_u64(from);
    if (from->failed || w->classes == 0 || w->classes > w->classes_max)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "%u classes; 1 to %u are possible", w->classes,
             w->classes_max);
    const size_t n = tame_expert_floats(s, w->classes);
    if ((from->size - from->used) / sizeof(float) / s->vectors < n)
        FAIL(f, STATUS_BAD_FORMAT, "weights", "the record ends within the weights");
    for (uint32_t i = 0; i < s->vectors; i++) {
        memset(w->v[i], 0, tame_expert_floats(s, w->classes_max) * sizeof(float));
        for (size_t k = 0; k < n; k++) {
            w->v[i][k] = get_f32(from);
            if (!isfinite(w->v[i][k]))
                FAIL(f, STATUS_BAD_FORMAT, "weights", "a number is not finite");
        }
    }
    w->revision++;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ loss */

double tame_expert_unknown_loss(uint32_t classes)
{
    return 2.0 * log(classes > 2 ? (double)classes : 2.0);
}

static float sigmoid_of(float z)
{
    return (float)(1.0 / (1.0 + exp(-(double)z)));
}

/* Loss of one row whose scores are sigmoids, all within (0, 1): no overflow to guard against. */
static float bounded_loss(const float *z, uint32_t classes, uint32_t target)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < classes; j++)
        sum += exp((double)sigmoid_of(z[j]));
    return (float)(log(sum) - (double)sigmoid_of(z[target]));
}

double tame_expert_loss(const struct tame_shape *s,
                        uint32_t n,
                        uint32_t classes,
                        const float *z,
                        const uint32_t *targets,
                        float *losses)
{
    const struct xent_dims one = {.n = 1, .classes = classes};
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        const float *row = z + (size_t)i * classes;
        if (targets[i] == TAME_UNKNOWN)
            losses[i] = (float)tame_expert_unknown_loss(classes);
        else if (s->sigmoid)
            losses[i] = bounded_loss(row, classes, targets[i]);
        else
            xent_forward(&one, row, targets + i, losses + i);
        sum += (double)losses[i];
    }
    return n ? sum / n : 0.0;
}

/* d/dz of the loss on p = sigmoid(z): (softmax(p)_j - [j = y]) p_j (1 - p_j), times `weight`. */
static void
bounded_gradient(const float *z, uint32_t classes, uint32_t target, double weight, float *dz)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < classes; j++)
        sum += exp((double)sigmoid_of(z[j]));
    for (uint32_t j = 0; j < classes; j++) {
        const double p = (double)sigmoid_of(z[j]);
        const double hit = j == target ? 1.0 : 0.0;
        dz[j] = (float)(weight * (exp(p) / sum - hit) * p * (1.0 - p));
    }
}

void tame_expert_gradient(const struct tame_shape *s,
                          uint32_t n,
                          uint32_t classes,
                          const float *z,
                          const uint32_t *targets,
                          float *dz)
{
    const struct xent_dims one = {.n = 1, .classes = classes};
    const float weight = 1.0f / (float)n;
    memset(dz, 0, (size_t)n * classes * sizeof *dz);
    for (uint32_t i = 0; i < n; i++) {
        const size_t at = (size_t)i * classes;
        if (s->sigmoid)
            bounded_gradient(z + at, classes, targets[i], (double)weight, dz + at);
        else
            xent_backward(&one, z + at, targets + i, &weight, dz + at);
    }
}

void tame_expert_widen(uint32_t n, uint32_t from, uint32_t to, float *z)
{
    INVARIANT(to >= from);
    for (uint32_t i = n; i-- > 0 && to > from;) {
        memmove(z + (size_t)i * to, z + (size_t)i * from, from * sizeof *z);
        memset(z + (size_t)i * to + from, 0, (to - from) * sizeof *z);
    }
}
