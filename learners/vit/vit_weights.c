#include "learners/vit/vit_weights.h"

#include "daemon/base/invariant.h"
#include "learners/vit/vit_schemes.h"

#include <string.h>

/* Tensors outside the blocks and in one block: patch 2, cls, pos, norm 2, head 2; 12. */
#define VIT_WEIGHTS_MAX_TENSORS (8 + 12 * VIT_MAX_DEPTH)

static const char *const vit_thirds[3] = {"query", "key", "value"};

static const struct vit_scheme *vit_weights_recognise(const struct safetensors *s)
{
    for (size_t i = 0; i < vit_schemes_count; i++)
        if (safetensors_find(s, vit_schemes[i].probe))
            return &vit_schemes[i];
    return NULL;
}

const char *vit_weights_scheme(const struct safetensors *s)
{
    const struct vit_scheme *scheme = vit_weights_recognise(s);
    return scheme ? scheme->name : NULL;
}

static void vit_weights_append(char name[VIT_WEIGHTS_NAME_SIZE], size_t *n, const char *text)
{
    const size_t length = strlen(text);
    INVARIANT(*n + length < VIT_WEIGHTS_NAME_SIZE);
    memcpy(name + *n, text, length);
    *n += length;
}

/* Pattern with '#' replaced by the block's number and '%' by query, key or value. */
static void vit_weights_name(const char *pattern,
                             uint32_t block,
                             const char *third,
                             char name[VIT_WEIGHTS_NAME_SIZE])
{
    size_t n = 0;
    for (const char *p = pattern; *p; p++) {
        char text[3] = {*p, '\0', '\0'};
        if (*p == '#') {
            text[0] = (char)('0' + (block >= 10 ? block / 10 : block));
            text[1] = (char)(block >= 10 ? '0' + block % 10 : 0);
        }
        vit_weights_append(name, &n, *p == '%' ? third : text);
    }
    name[n] = '\0';
}

/* Expected shape of a tensor in a file. */
struct vit_shape {
    uint32_t dims;
    uint64_t size[4];
};

static struct vit_shape vit_weights_shape(const struct vit_config *c,
                                          const struct vit_scheme *scheme,
                                          enum vit_part part,
                                          uint64_t rows,
                                          uint64_t cols)
{
    if (part == VIT_PART_CLS || part == VIT_PART_POS)
        return (struct vit_shape){3, {1, rows, cols, 0}};
    if (part == VIT_PART_PATCH_W && !scheme->patch_linear)
        return (struct vit_shape){4, {rows, c->channels, c->patch_size, c->patch_size}};
    if (rows == 1 && part != VIT_PART_HEAD_W && part != VIT_PART_PATCH_W)
        return (struct vit_shape){1, {cols, 0, 0, 0}};
    return (struct vit_shape){2, {rows, cols, 0, 0}};
}

/* "[3, 4]" for messages. */
static void vit_weights_shape_text(const uint64_t *size, uint32_t dims, char text[96])
{
    size_t n = 0;
    text[n++] = '[';
    for (uint32_t i = 0; i < dims && n < 70; i++) {
        char back[20];
        size_t digits = 0;
        uint64_t x = size[i];
        do {
            back[digits++] = (char)('0' + x % 10);
            x /= 10;
        } while (x > 0);
        if (i > 0)
            text[n++] = ',';
        while (digits > 0)
            text[n++] = back[--digits];
    }
    text[n++] = ']';
    text[n] = '\0';
}

static enum status vit_weights_find(const struct safetensors *s,
                                    const char *name,
                                    const struct vit_shape *shape,
                                    const struct safetensors_row **ret_row,
                                    struct fault *f)
{
    const struct safetensors_row *row = safetensors_find(s, name);
    if (!row)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "tensor is missing");
    int same = row->dims == shape->dims;
    for (uint32_t i = 0; same && i < row->dims; i++)
        same = row->shape[i] == shape->size[i];
    if (!same) {
        char is[96], expected[96];
        vit_weights_shape_text(row->shape, row->dims, is);
        vit_weights_shape_text(shape->size, shape->dims, expected);
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "shape %.60s, the configuration asks for %.60s", is,
             expected);
    }
    *ret_row = row;
    return STATUS_OK;
}

/* Position p of a patch vector in (c, row, col) order and in (row, col, c) order. */
static size_t vit_patch_index(const struct vit_config *c, size_t ch, size_t pixel, int last)
{
    const size_t area = (size_t)c->patch_size * c->patch_size;
    return last ? pixel * c->channels + ch : ch * area + pixel;
}

static enum status vit_weights_read_patch(const struct safetensors_row *row,
                                          const struct vit_config *c,
                                          int file_last,
                                          float *out,
                                          struct fault *f)
{
    const size_t area = (size_t)c->patch_size * c->patch_size, cols = area * c->channels;
    for (size_t w = 0; w < c->width; w++)
        for (size_t ch = 0; ch < c->channels; ch++)
            for (size_t pixel = 0; pixel < area; pixel++) {
                const size_t from = w * cols + vit_patch_index(c, ch, pixel, file_last);
                const size_t to = w * cols + vit_patch_index(c, ch, pixel, c->patch_channels_last);
                TRY(safetensors_read_f32(row, from, 1, out + to, f));
            }
    return STATUS_OK;
}

/* Positions without the class token's: N - 1 rows, or N of which the first is zero. */
static enum status vit_weights_read_positions(const struct safetensors *s,
                                              const struct vit_config *c,
                                              const char *name,
                                              float *out,
                                              struct fault *f)
{
    const uint64_t n = vit_tokens(c);
    const struct safetensors_row *row = safetensors_find(s, name);
    const int with_class = row && row->dims == 3 && row->shape[1] == n;
    const struct vit_shape shape = {3, {1, with_class ? n : n - 1, c->width, 0}};
    TRY(vit_weights_find(s, name, &shape, &row, f));
    float *at = with_class ? out : out + c->width;
    memset(out, 0, c->width * sizeof *out);
    TRY(safetensors_read_f32(row, 0, row->count, at, f));
    for (uint32_t i = 0; i < c->width; i++)
        if (out[i] != 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, name,
                 "the class token has a position, but class_position is false");
    return STATUS_OK;
}

static enum status vit_weights_read_tensor(const struct safetensors *s,
                                           const struct vit_config *c,
                                           const struct vit_scheme *scheme,
                                           const struct vit_tensor *t,
                                           float *out,
                                           struct fault *f)
{
    const enum vit_part part = vit_part_of(t->kind);
    INVARIANT(part < VIT_PARTS);
    const char *pattern = scheme->parts[part];
    const size_t pieces = strchr(pattern, '%') ? 3 : 1;
    const size_t rows = t->rows > 1 ? t->rows / pieces : 1;
    const size_t cols = t->rows > 1 ? t->cols : t->cols / pieces;
    const struct vit_shape shape = vit_weights_shape(c, scheme, part, rows, cols);
    for (size_t i = 0; i < pieces; i++) {
        char name[VIT_WEIGHTS_NAME_SIZE];
        const struct safetensors_row *row;
        vit_weights_name(pattern, t->block, vit_thirds[i], name);
        if (part == VIT_PART_POS && !c->class_position)
            return vit_weights_read_positions(s, c, name, out, f);
        TRY(vit_weights_find(s, name, &shape, &row, f));
        if (part == VIT_PART_PATCH_W && scheme->patch_linear != c->patch_channels_last)
            return vit_weights_read_patch(row, c, scheme->patch_linear, out, f);
        TRY(safetensors_read_f32(row, 0, row->count, out + i * rows * cols, f));
    }
    return STATUS_OK;
}

/* True if some part of the configuration has this name. */
static int vit_weights_known(const struct vit_scheme *scheme,
                             const struct vit_tensor *list,
                             size_t n,
                             const char *name)
{
    for (size_t i = 0; i < n; i++) {
        const char *pattern = scheme->parts[vit_part_of(list[i].kind)];
        const size_t pieces = strchr(pattern, '%') ? 3 : 1;
        for (size_t k = 0; k < pieces; k++) {
            char expected[VIT_WEIGHTS_NAME_SIZE];
            vit_weights_name(pattern, list[i].block, vit_thirds[k], expected);
            if (strcmp(expected, name) == 0)
                return 1;
        }
    }
    return 0;
}

static enum status vit_weights_check_extra(const struct safetensors *s,
                                           const struct vit_scheme *scheme,
                                           const struct vit_tensor *list,
                                           size_t n,
                                           size_t n_expected,
                                           struct fault *f)
{
    if (safetensors_count(s) == n_expected) /* all expected ones were found */
        return STATUS_OK;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const char *name = safetensors_row(s, i)->name;
        if (!vit_weights_known(scheme, list, n, name))
            FAIL(f, STATUS_INVALID_ARGUMENT, name,
                 "the configuration has no such tensor (%s names)", scheme->name);
    }
    invariant_failed("as many known names as tensors", __FILE__, __LINE__);
}

enum status vit_weights_read(const struct safetensors *s,
                             const struct vit_config *c,
                             float *block,
                             struct fault *f)
{
    struct vit_tensor list[VIT_WEIGHTS_MAX_TENSORS];
    const struct vit_scheme *scheme = vit_weights_recognise(s);
    if (!scheme)
        FAIL(f, STATUS_INVALID_ARGUMENT, "model.safetensors",
             "tensor names are none of timm, Hugging Face, torchvision, vit-pytorch");
    const size_t n = vit_tensors(c, list, VIT_WEIGHTS_MAX_TENSORS);
    size_t expected = 0;
    INVARIANT(n <= VIT_WEIGHTS_MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        TRY(vit_weights_read_tensor(s, c, scheme, &list[i], block + list[i].offset, f));
        expected += strchr(scheme->parts[vit_part_of(list[i].kind)], '%') ? 3 : 1;
    }
    return vit_weights_check_extra(s, scheme, list, n, expected, f);
}

/* What the writer needs: three items a tensor at most, their names, the patch map in (c, r, c). */
size_t vit_weights_write_plan(const struct vit_config *c)
{
    struct arena_plan p = {0};
    arena_plan_add(&p, 3 * VIT_WEIGHTS_MAX_TENSORS, sizeof(struct safetensors_item));
    arena_plan_add(&p, 3 * VIT_WEIGHTS_MAX_TENSORS, VIT_WEIGHTS_NAME_SIZE);
    arena_plan_add(&p, (size_t)c->width * c->channels * c->patch_size,
                   c->patch_size * sizeof(float));
    return arena_plan_bytes(&p);
}

static const float *vit_weights_conv_patch(const struct vit_config *c, const float *w, float *to)
{
    const size_t area = (size_t)c->patch_size * c->patch_size, cols = area * c->channels;
    if (!c->patch_channels_last)
        return w;
    for (size_t row = 0; row < c->width; row++)
        for (size_t ch = 0; ch < c->channels; ch++)
            for (size_t pixel = 0; pixel < area; pixel++)
                to[row * cols + vit_patch_index(c, ch, pixel, 0)] =
                    w[row * cols + vit_patch_index(c, ch, pixel, 1)];
    return to;
}

/* Items of one tensor; returns how many. */
static size_t vit_weights_items(const struct vit_config *c,
                                const struct vit_tensor *t,
                                const float *data,
                                enum safetensors_dtype dtype,
                                struct safetensors_item *items,
                                char (*names)[VIT_WEIGHTS_NAME_SIZE])
{
    const struct vit_scheme *scheme = &vit_schemes[VIT_SCHEME_HF];
    const enum vit_part part = vit_part_of(t->kind);
    const char *pattern = scheme->parts[part];
    const size_t pieces = strchr(pattern, '%') ? 3 : 1;
    const size_t rows = t->rows > 1 ? t->rows / pieces : 1;
    const size_t cols = t->rows > 1 ? t->cols : t->cols / pieces;
    const struct vit_shape shape = vit_weights_shape(c, scheme, part, rows, cols);
    for (size_t i = 0; i < pieces; i++) {
        vit_weights_name(pattern, t->block, vit_thirds[i], names[i]);
        items[i] = (struct safetensors_item){
            .name = names[i], .dtype = dtype, .dims = shape.dims, .data = data + i * rows * cols};
        memcpy(items[i].shape, shape.size, sizeof shape.size);
    }
    return pieces;
}

size_t vit_weights_write(const struct vit_config *c,
                         const float *block,
                         enum safetensors_dtype dtype,
                         struct arena *scratch,
                         uint8_t *out,
                         size_t size)
{
    static const struct safetensors_meta meta[] = {{"format", "pt"}};
    const struct arena_mark mark = arena_mark(scratch);
    struct safetensors_item *items =
        arena_alloc(scratch, 3 * VIT_WEIGHTS_MAX_TENSORS, sizeof *items);
    char(*names)[VIT_WEIGHTS_NAME_SIZE] =
        arena_alloc(scratch, 3 * VIT_WEIGHTS_MAX_TENSORS, sizeof *names);
    float *patch = arena_alloc(scratch, (size_t)c->width * c->channels * c->patch_size,
                               c->patch_size * sizeof(float));
    INVARIANT(items && names && patch);
    struct vit_tensor list[VIT_WEIGHTS_MAX_TENSORS];
    const size_t n = vit_tensors(c, list, VIT_WEIGHTS_MAX_TENSORS);
    size_t n_items = 0;
    for (size_t i = 0; i < n; i++) {
        const float *data = block + list[i].offset;
        if (vit_part_of(list[i].kind) == VIT_PART_PATCH_W)
            data = vit_weights_conv_patch(c, data, patch);
        n_items += vit_weights_items(c, &list[i], data, dtype, items + n_items, names + n_items);
    }
    const size_t bytes = safetensors_write_size(items, n_items, meta, 1);
    if (out) {
        INVARIANT(size == bytes);
        safetensors_write(items, n_items, meta, 1, out);
    }
    arena_rewind(scratch, mark);
    return bytes;
}
