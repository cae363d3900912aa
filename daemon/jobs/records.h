/*
 * Small stored records of daemon/jobs, all little-endian (daemon/base/bytes.h), named by content
 * like every blob.  Readers refuse unknown formats, wrong sizes and trailing bytes (DATA_LOSS).
 *
 *   relapse     "LRELAPS1" | f64 limit | f64 ncm_then | u8 recheckable
 *   prototypes  "LPROTOT1" | u32 K | u32 C | u64 counts [K] | f32 means [K, C]
 */
#ifndef LETHE_JOBS_RECORDS_H
#define LETHE_JOBS_RECORDS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Component kinds and names in manifests. */
#define RECORD_KIND_RELAPSE "relapse" /* name: the erasure's request id */
#define RECORD_NAME_BASE    "base"

/* What the relapse sweep needs of one erasure (evaluation.md, 6). */
struct record_relapse {
    double limit;    /* upper end of its accuracy when it committed, plus the tolerance */
    double ncm_then; /* prototype recovery at its completion; NaN: not measured */
    int recheckable; /* its probe images may be used again */
};

#define RECORD_RELAPSE_SIZE 25
void record_relapse_encode(const struct record_relapse *r, uint8_t to[RECORD_RELAPSE_SIZE]);
enum status record_relapse_decode(const void *bytes,
                                  size_t size,
                                  struct record_relapse *ret_r,
                                  struct fault *f) MUST_CHECK;

struct record_prototypes {
    uint32_t classes, width;
    const uint64_t *counts;
    const float *means;
};
/* Fresh memory (sysio_free); NULL: out of memory. */
uint8_t *record_prototypes_encode(const struct record_prototypes *p, size_t *ret_size);
/* counts [K] and means [K, C] in one allocation that *ret_owned names (sysio_free). */
enum status record_prototypes_decode(const void *bytes,
                                     size_t size,
                                     struct record_prototypes *ret_p,
                                     void **ret_owned,
                                     struct fault *f) MUST_CHECK;

#endif
