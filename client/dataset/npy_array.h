/*
 * NumPy's .npy format on memory: "\x93NUMPY", version, header length, a Python dictionary with the
 * keys 'descr', 'fortran_order' and 'shape' and nothing else, the elements.  Little-endian, C
 * order.
 */
#ifndef LETHE_CLIENT_NPY_ARRAY_H
#define LETHE_CLIENT_NPY_ARRAY_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define NPY_MAX_DIMS 8

enum npy_type {
    NPY_BOOL,
    NPY_U8,
    NPY_I32,
    NPY_I64,
    NPY_F32,
    NPY_BYTES,  /* texts of `item` bytes, filled up with NUL */
    NPY_UNICODE /* texts of item / 4 code points as u32, filled up with 0 */
};

struct npy_array {
    enum npy_type type;
    size_t item; /* bytes of an element */
    uint32_t dims;
    uint64_t shape[NPY_MAX_DIMS];
    size_t count;        /* elements */
    const uint8_t *data; /* borrowed from the bytes; unaligned */
};

/* BAD_FORMAT naming `name` for anything else than exactly one array of the types above. */
enum status npy_array_parse(const uint8_t *bytes,
                            size_t n,
                            const char *name,
                            struct npy_array *ret_array,
                            struct fault *f) MUST_CHECK;

#endif
