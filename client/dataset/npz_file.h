/*
 * Writing of NumPy's .npz: a ZIP archive of stored members, each one array in .npy format 1.0,
 * C order, little-endian.  The bytes depend on the arrays alone (fixed time stamps), so that equal
 * data sets are equal files.  The file appears whole or not at all.
 */
#ifndef LETHE_CLIENT_NPZ_FILE_H
#define LETHE_CLIENT_NPZ_FILE_H

#include "client/dataset/npy_array.h"
#include "daemon/base/status.h"

#include <stdint.h>

#define NPZ_MAX_MEMBERS   16u
#define NPZ_MAX_NAME      64u
#define NPZ_MAX_FILE_SIZE 0x7fffffffu /* bytes; no ZIP64 */

struct npz_member {
    const char *name; /* without ".npy" */
    struct npy_array array;
};

/*
 * `count` of each array is ignored, the shape tells.  INVALID_ARGUMENT: no member, too many, a name
 * that is empty, too long or used twice, more dimensions than NPY_MAX_DIMS; RESOURCE_EXHAUSTED:
 * larger than NPZ_MAX_FILE_SIZE; NOT_FOUND: no such folder; NO_MEMORY, IO_ERROR,
 * NO_SPACE.
 */
enum status npz_file_write(const char *path,
                           const struct npz_member *members,
                           uint32_t n,
                           struct fault *f) MUST_CHECK;

#endif
