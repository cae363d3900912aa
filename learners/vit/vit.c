#include "learners/vit/vit_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/gemm.h"

#include <math.h>
#include <string.h>

#define VIT_MAX_IMAGE  1024
#define VIT_MAX_WIDTH  4096
#define VIT_MAX_HIDDEN 16384
#define VIT_MAX_TOKENS 4097

uint32_t vit_tokens(const struct vit_config *c)
{
    uint32_t side = c->patch_size ? c->image_size / c->patch_size : 0;
    return side * side + 1;
}

size_t vit_patch_length(const struct vit_config *c)
{
    return (size_t)c->channels * c->patch_size * c->patch_size;
}

static enum status
vit_check_range(const char *field, uint32_t value, uint32_t min, uint32_t max, struct fault *f)
{
    if (value < min || value > max)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%s is %u, must be %u to %u", field,
             (unsigned)value, (unsigned)min, (unsigned)max);
    return STATUS_OK;
}

static enum status
vit_check_divides(const char *field, uint32_t part, uint32_t whole, struct fault *f)
{
    if (whole % part != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%s %u does not divide %u", field, (unsigned)part,
             (unsigned)whole);
    return STATUS_OK;
}

static enum status vit_check_positive(const char *field, float value, struct fault *f)
{
    if (!(value > 0.0f) || !isfinite(value))
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "%s must be positive and finite", field);
    return STATUS_OK;
}

enum status vit_config_check(const struct vit_config *c, struct fault *f)
{
    TRY(vit_check_range("image_size", c->image_size, 1, VIT_MAX_IMAGE, f));
    if (c->channels != 1 && c->channels != 3)
        FAIL(f, STATUS_INVALID_ARGUMENT, "channels", "channels is %u, must be 1 or 3", c->channels);
    TRY(vit_check_range("patch_size", c->patch_size, 1, c->image_size, f));
    TRY(vit_check_divides("patch_size", c->patch_size, c->image_size, f));
    TRY(vit_check_range("tokens", vit_tokens(c), 2, VIT_MAX_TOKENS, f));
    TRY(vit_check_range("width", c->width, 1, VIT_MAX_WIDTH, f));
    TRY(vit_check_range("depth", c->depth, 1, VIT_MAX_DEPTH, f));
    TRY(vit_check_range("heads", c->heads, 1, c->width, f));
    TRY(vit_check_divides("heads", c->heads, c->width, f));
    TRY(vit_check_range("hidden", c->hidden, 1, VIT_MAX_HIDDEN, f));
    TRY(vit_check_range("classes", c->classes, 1, VIT_MAX_CLASSES, f));
    TRY(vit_check_positive("ln_eps", c->ln_eps, f));
    TRY(vit_check_positive("attention_scale", c->attention_scale, f));
    if (c->head != VIT_HEAD_LINEAR && c->head != VIT_HEAD_COSINE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "head", "unknown kind of head");
    if (c->head == VIT_HEAD_COSINE) {
        TRY(vit_check_positive("head_scale", c->head_scale, f));
        if (!(c->head_margin >= 0.0f && c->head_margin < 1.0f))
            FAIL(f, STATUS_INVALID_ARGUMENT, "head_margin", "head_margin must be in [0, 1)");
    }
    return STATUS_OK;
}

enum vit_where { VIT_FRONT, VIT_BLOCK, VIT_BACK };

/*
 * One walk over vit_params.def.  Whatever the caller gave is done at every tensor: filling a row of
 * `list`, pointing the table `map` into `memory`, or reading the table `read` into `pointers`.
 */
struct vit_walk {
    const struct vit_config *c;
    struct vit_tensor *list;
    size_t max;
    struct vit_weights *map;
    float *memory;
    const struct vit_weights *read;
    float **pointers;
    size_t count;
    size_t offset;
    int overflow;
};

/* `place` is the offset in bytes of the tensor's pointer in struct vit_weights. */
static void vit_walk_visit(struct vit_walk *k, const struct vit_tensor *t, size_t place)
{
    if (k->count < k->max)
        k->list[k->count] = *t;
    if (k->map) {
        float *at = k->memory + k->offset;
        memcpy((char *)k->map + place, &at, sizeof at);
    }
    if (k->read)
        memcpy(&k->pointers[k->count], (const char *)k->read + place, sizeof(float *));
    k->count++;
    size_t floats;
    if (!size_mul(t->rows, t->cols, &floats) || floats > SIZE_MAX / sizeof(float) - k->offset)
        k->overflow = 1;
    else
        k->offset += floats;
}

#define VIT_PLACE_FRONT(name) offsetof(struct vit_weights, name)
#define VIT_PLACE_BACK(name)  offsetof(struct vit_weights, name)
#define VIT_PLACE_BLOCK(name)                                                                      \
    (offsetof(struct vit_weights, blocks) + block * sizeof(struct vit_block) +                     \
     offsetof(struct vit_block, name))

static void vit_walk_part(struct vit_walk *k, enum vit_where part, uint32_t block)
{
    const struct vit_config *c = k->c;
#define X(where, name, n_rows, n_cols, decays, present)                                            \
    if (part == VIT_##where && (present))                                                          \
        vit_walk_visit(k,                                                                          \
                       &(struct vit_tensor){.kind = #name,                                         \
                                            .block = block,                                        \
                                            .offset = k->offset,                                   \
                                            .rows = (n_rows),                                      \
                                            .cols = (n_cols),                                      \
                                            .decay = (decays)},                                    \
                       VIT_PLACE_##where(name));
#include "learners/vit/vit_params.def"
#undef X
}

static void vit_walk_run(struct vit_walk *k)
{
    vit_walk_part(k, VIT_FRONT, 0);
    for (uint32_t block = 0; block < k->c->depth; block++)
        vit_walk_part(k, VIT_BLOCK, block);
    vit_walk_part(k, VIT_BACK, 0);
}

size_t vit_tensors(const struct vit_config *c, struct vit_tensor *ret_list, size_t max)
{
    struct vit_walk k = {.c = c, .list = ret_list, .max = max};
    vit_walk_run(&k);
    return k.count;
}

size_t vit_weights_floats(const struct vit_config *c)
{
    struct vit_walk k = {.c = c};
    vit_walk_run(&k);
    return k.overflow ? SIZE_MAX : k.offset;
}

void vit_weights_map(const struct vit_config *c, float *block, struct vit_weights *ret_w)
{
    *ret_w = (struct vit_weights){0};
    vit_walk_run(&(struct vit_walk){.c = c, .map = ret_w, .memory = block});
}

size_t vit_weights_list(const struct vit_config *c,
                        const struct vit_weights *w,
                        float *list[VIT_MAX_TENSORS])
{
    struct vit_walk k = {.c = c, .read = w, .pointers = list};
    vit_walk_run(&k);
    return k.count;
}

void vit_lora_fold(const float *w,
                   const float *b,
                   const float *a,
                   float s,
                   size_t rows,
                   size_t cols,
                   uint32_t r,
                   float *out)
{
    if (out != w)
        memcpy(out, w, rows * cols * sizeof *w);
    gemm_nn(&(struct gemm_dims){rows, cols, r, r, cols, cols}, s, b, a, 1.0f, out);
}
