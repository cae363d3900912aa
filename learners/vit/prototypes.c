#include "learners/vit/prototypes.h"

#include "daemon/base/invariant.h"

static enum status prototypes_find(const struct safetensors *s,
                                   const char *name,
                                   uint32_t dims,
                                   uint64_t rows,
                                   uint64_t cols,
                                   const struct safetensors_row **ret_row,
                                   struct fault *f)
{
    const struct safetensors_row *row = safetensors_find(s, name);
    if (!row)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "tensor is missing");
    if (row->dims != dims || row->shape[0] != rows || (dims == 2 && row->shape[1] != cols))
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "shape does not fit %llu classes of width %llu",
             (unsigned long long)rows, (unsigned long long)cols);
    *ret_row = row;
    return STATUS_OK;
}

enum status prototypes_read(const struct safetensors *s,
                            uint32_t classes,
                            uint32_t width,
                            float *prototypes,
                            int64_t *counts,
                            struct fault *f)
{
    const struct safetensors_row *rows = NULL, *n = NULL;
    TRY(prototypes_find(s, "prototypes", 2, classes, width, &rows, f));
    TRY(prototypes_find(s, "counts", 1, classes, width, &n, f));
    TRY(safetensors_read_f32(rows, 0, rows->count, prototypes, f));
    TRY(safetensors_read_i64(n, counts, f));
    for (uint32_t i = 0; i < classes; i++)
        if (counts[i] < 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "counts", "class %u has a negative count", i);
    return STATUS_OK;
}

size_t prototypes_write(const float *prototypes,
                        const int64_t *counts,
                        uint32_t classes,
                        uint32_t width,
                        uint8_t *out,
                        size_t size)
{
    const struct safetensors_item items[] = {
        {"prototypes", SAFETENSORS_F32, 2, {classes, width}, prototypes},
        {"counts", SAFETENSORS_I64, 1, {classes}, counts},
    };
    const size_t bytes = safetensors_write_size(items, 2, NULL, 0);
    if (out) {
        INVARIANT(size == bytes);
        safetensors_write(items, 2, NULL, 0, out);
    }
    return bytes;
}
