/*
 * safetensors on memory.  A file is: u64 little-endian header length; that many bytes of JSON, an
 * object tensor name -> {"dtype", "shape", "data_offsets": [begin, end)} with an optional
 * "__metadata__" of strings; then the data.  The reader treats the bytes as hostile: the length,
 * the JSON (duplicate keys refused), each type and shape (overflow), and that the tensors cover the
 * data exactly, without hole or overlap.  Rows are in order of their data.
 */
#ifndef LETHE_LEARNERS_SAFETENSORS_H
#define LETHE_LEARNERS_SAFETENSORS_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_MAX_HEADER  ((size_t)100 * 1024 * 1024)
#define SAFETENSORS_MAX_TENSORS 65536u
#define SAFETENSORS_MAX_NAME    256u
#define SAFETENSORS_MAX_DIMS    8

/* The types of the format; only F32, F16 and BF16 can be read as floats. */
enum safetensors_dtype {
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_I16,
    SAFETENSORS_U16,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_I32,
    SAFETENSORS_U32,
    SAFETENSORS_F32,
    SAFETENSORS_F64,
    SAFETENSORS_I64,
    SAFETENSORS_U64,
    SAFETENSORS_DTYPES
};

struct safetensors_row {
    const char *name;
    enum safetensors_dtype dtype;
    uint32_t dims;
    uint64_t shape[SAFETENSORS_MAX_DIMS];
    size_t count; /* elements */
    const uint8_t *data;
};

struct safetensors;

const char *safetensors_dtype_name(enum safetensors_dtype dtype);
size_t safetensors_dtype_size(enum safetensors_dtype dtype);

/* Enough arena for safetensors_open on these bytes, whatever they hold. */
size_t safetensors_plan(const void *bytes, size_t n);
/*
 * Reads the header.  The table is in `arena`; rows borrow `bytes`.  BAD_FORMAT naming the tensor or
 * the header field; RESOURCE_EXHAUSTED beyond the limits above or when the arena is full.
 */
enum status safetensors_open(const void *bytes,
                             size_t n,
                             struct arena *arena,
                             struct safetensors **ret_file,
                             struct fault *f) MUST_CHECK;

size_t safetensors_count(const struct safetensors *s);
const struct safetensors_row *safetensors_row(const struct safetensors *s, size_t i);
/* NULL if there is no tensor of that name. */
const struct safetensors_row *safetensors_find(const struct safetensors *s, const char *name);
/* Value of a key of __metadata__, or NULL. */
const char *safetensors_metadata(const struct safetensors *s, const char *key);

/*
 * Converts elements [from, from + n) to float (F32 copied bit for bit).  INVALID_ARGUMENT naming
 * the tensor for any other type and for NaN or infinity.
 */
enum status safetensors_read_f32(const struct safetensors_row *row,
                                 size_t from,
                                 size_t n,
                                 float *out,
                                 struct fault *f) MUST_CHECK;
/* All elements of an I64 tensor. */
enum status
safetensors_read_i64(const struct safetensors_row *row, int64_t *out, struct fault *f) MUST_CHECK;

/* One tensor to write; data are f32 for F32, F16 and BF16 (rounded here), i64 for I64, u8 for U8.
 */
struct safetensors_item {
    const char *name; /* printable ASCII without quote and backslash */
    enum safetensors_dtype dtype;
    uint32_t dims;
    uint64_t shape[SAFETENSORS_MAX_DIMS];
    const void *data;
};

struct safetensors_meta {
    const char *key, *value; /* as the names above */
};

/* Bytes of the file. */
size_t safetensors_write_size(const struct safetensors_item *items,
                              size_t n_items,
                              const struct safetensors_meta *meta,
                              size_t n_meta);
/* Writes exactly safetensors_write_size bytes; tensors in the order given, header padded to 8. */
void safetensors_write(const struct safetensors_item *items,
                       size_t n_items,
                       const struct safetensors_meta *meta,
                       size_t n_meta,
                       uint8_t *out);

#endif
