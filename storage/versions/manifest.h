/*
 * Manifests: what a version consists of, as a value in memory and as exact bytes.
 *
 * A version's id is BLAKE2b-256 of its manifest's exact bytes; the bytes are stored as they are and
 * never encoded again.
 *
 * Manifest, format 1, all numbers little-endian, strings as u32 length + bytes without NUL:
 *   8 bytes "lethemf1"
 *   u64 number | parent 32 (zero: first) | request 16 (zero: none) | i64 created_us
 *   report 32 (zero: none) | policy 32 | string kernel | u32 threads
 *   u32 n_components | u32 n_lineage (of all components) | u32 n_erasures | u32 n_labels
 *   components: string kind | string name | blob 32 | u64 bytes | u32 groups_total |
 *               u32 groups_zero | u64 seed | request 16 | u32 n_lineage |
 *               lineage: string kind | string name | digest 32
 *   erasures:   request 16
 *   labels:     string name | string owner | u8 status | forgotten_by 16
 * Decoding is strict: known magic, limits, valid values, no bytes left.
 */
#ifndef LETHE_STORAGE_MANIFEST_H
#define LETHE_STORAGE_MANIFEST_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define VERSION_COMPONENTS_MAX 4096
#define VERSION_LINEAGE_MAX    65536 /* of all components together */
#define VERSION_ERASURES_MAX   65536
#define VERSION_LABELS_MAX     10000
#define VERSION_STRING_MAX     4096
#define VERSION_BYTES_MAX      ((size_t)64 << 20)

#define VERSION_KIND_BASE       "base"
#define VERSION_KIND_ERASURE    "erasure"
#define VERSION_KIND_PROTOTYPES "prototypes"
#define VERSION_KIND_LABELS     "labels"

/* One thing a component was computed from. */
struct version_lineage {
    const char *kind;     /* "request", "dataset", "memory", "component", "version" */
    const char *name;     /* may be empty */
    struct digest digest; /* zero if the thing has none */
};

struct version_component {
    const char *kind; /* VERSION_KIND_* or later: "lane", "expert", "selector", "router" */
    const char *name; /* unique within its kind */
    struct digest blob;
    uint64_t bytes; /* size of the blob */
    uint32_t groups_total;
    uint32_t groups_zero;
    uint64_t seed;
    struct request_id request; /* that made it; zero: none */
    const struct version_lineage *lineage;
    size_t n_lineage;
};

enum version_label_status { VERSION_LABEL_ACTIVE = 1, VERSION_LABEL_FORGOTTEN = 2 };

struct version_label {
    const char *name;
    const char *owner; /* "base", "lane:NAME", "expert:NAME" */
    enum version_label_status status;
    struct request_id forgotten_by; /* zero while active */
};

/*
 * A version in memory.  To build one, point the arrays at your own memory.  version_decode and
 * version_get give one in a single allocation that owns everything: free with version_free.
 */
struct version {
    uint64_t number;
    struct digest parent;
    struct request_id request;
    int64_t created_us;
    struct digest report;
    struct digest policy;
    const char *kernel; /* BLAS kernel that computed it */
    uint32_t threads;
    const struct version_component *components;
    size_t n_components;
    /* Every erasure request that this version honours, oldest first, also after folding. */
    const struct request_id *erasures;
    size_t n_erasures;
    const struct version_label *labels;
    size_t n_labels;
};

/*
 * Limits, unique components, strings, label states; each erasure component's and forgotten
 * label's request must be among the erasures.  INVALID_ARGUMENT names the field.
 */
enum status version_check(const struct version *v, struct fault *f) MUST_CHECK;
/* Exact bytes into fresh memory (sysio_free).  Runs version_check. */
enum status version_encode(const struct version *v,
                           void **ret_bytes,
                           size_t *ret_size,
                           struct fault *f) MUST_CHECK;
/* The digest that version_put will give it. */
enum status
version_id(const struct version *v, struct digest *ret_digest, struct fault *f) MUST_CHECK;
/* DATA_LOSS if the bytes are not a manifest. */
enum status version_decode(const void *bytes,
                           size_t size,
                           struct version **ret_version,
                           struct fault *f) MUST_CHECK;
void version_free(struct version *v);
/* Sum of the components' bytes. */
uint64_t version_bytes(const struct version *v);
/* First component of that kind and name (name NULL: any); NULL if there is none.  Borrowed. */
const struct version_component *
version_find_component(const struct version *v, const char *kind, const char *name);
const struct version_label *version_find_label(const struct version *v, const char *name);
/*
 * A sealed base was made by folding erasures into an older one, and the lineage of its component
 * says so: "trunk" "origin" with the digest of the first base's files, then for each folded erasure
 * "erasure" REQUEST with the digest of the delta that is no more.  What is bound to the trunk by
 * its name stays bound to it that way, as the folded weights are the same to the bit.
 */
#define VERSION_LINEAGE_TRUNK "trunk"
#define VERSION_TRUNK_ORIGIN  "origin"
/* NULL: this base was not made by sealing.  Borrowed. */
const struct digest *version_origin(const struct version *v);
/* Digest of the delta of that erasure (its request id as text) if it was folded into the base;
 * NULL. */
const struct digest *version_folded(const struct version *v, const char *erasure);
int version_honours(const struct version *v, const struct request_id *erasure);

/*
 * What would come back if `target` were served instead of `serving`: called once for each erasure
 * that serving honours and target does not.  Returns the number of them.
 */
typedef void version_returning_fn(const struct request_id *erasure, void *context);
size_t version_returning(const struct version *serving,
                         const struct version *target,
                         version_returning_fn *fn,
                         void *context);

#endif
