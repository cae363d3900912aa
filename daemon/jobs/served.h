/*
 * Served versions: immutable, reference-counted models that answer predictions.  A served version
 * shares every tensor with the base except the FFN matrices, which are the base's plus all erasure
 * deltas in list order (gslora.md, 3.1: always folded from the base).
 *
 * The cache holds the version behind the serving pointer and the few versions that were last asked
 * for by name.  Taking a reference costs one short lock; building a version happens outside it, so
 * neither a swap nor a build ever blocks a prediction that needs another version.
 */
#ifndef LETHE_JOBS_SERVED_H
#define LETHE_JOBS_SERVED_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
#include "learners/vit/vit.h"
#include "storage/store/store.h"

#include <stddef.h>
#include <stdint.h>

struct served_cache;

/* Read-only for everybody; held by served_take / served_release. */
struct served {
    const struct base_model *base;
    struct digest digest;
    const struct version *manifest; /* labels in class order */
    struct vit_weights weights;     /* W_eff */
    uint32_t n_classes;
    uint32_t n_live;
    const uint8_t *live; /* [n_classes], 1: active */
};

/* One erasure delta record, in list order; borrowed. */
struct served_delta {
    const void *bytes;
    size_t size;
};

/*
 * Folds a version from its manifest (taken over, also on failure: version_free) and its deltas.
 * DATA_LOSS if a delta does not decode or the manifest does not fit the base; NO_MEMORY.
 */
enum status served_fold(const struct base_model *base,
                        const struct digest *digest,
                        struct version *manifest,
                        const struct served_delta *deltas,
                        size_t n_deltas,
                        struct served **ret_served,
                        struct fault *f) MUST_CHECK;
/*
 * The same from the store, with every component's digest verified.  Also checks that the manifest's
 * bytes give the version's digest again.
 */
enum status served_build(const struct base_model *base,
                         struct store *store,
                         const struct digest *digest,
                         struct served **ret_served,
                         struct fault *f) MUST_CHECK;
/* The erasure records of a version, loaded and verified; served_free_deltas afterwards. */
enum status served_load_deltas(struct store *store,
                               const struct digest *digest,
                               struct served_delta **ret_deltas,
                               size_t *ret_n,
                               struct fault *f) MUST_CHECK;
void served_free_deltas(struct served_delta *deltas, size_t n);
/* Gives back one reference; NULL allowed.  Any thread. */
void served_release(struct served *s);

/* `named`: how many versions besides the serving one are kept. */
enum status served_cache_new(const struct base_model *base,
                             struct store *store,
                             uint32_t named,
                             struct served_cache **ret_cache,
                             struct fault *f) MUST_CHECK;
void served_cache_free(struct served_cache *c);
/* Swaps the serving version; takes over the caller's reference.  Only the core thread calls it. */
void served_cache_publish(struct served_cache *c, struct served *s);
/* A reference to the serving version; NULL before the first publish. */
struct served *served_take_serving(struct served_cache *c);
/* A reference to a version by digest, built if necessary.  NOT_FOUND and the errors of build. */
enum status served_take(struct served_cache *c,
                        const struct digest *digest,
                        struct served **ret_served,
                        struct fault *f) MUST_CHECK;

#endif
