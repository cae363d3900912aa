/*
 * Served versions: immutable, reference-counted models that answer predictions.  A served version
 * shares every tensor with the base except the FFN matrices, which are the base's plus all erasure
 * deltas in list order (gslora.md, 3.1: always folded from the base).  On this trunk answer its
 * lanes and experts, imported once, with the router that chooses among them (learners/answer).
 * Components of other kinds (relapse limits, prototypes, ...) play no part in serving.
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
#include "learners/answer/answer.h"
#include "learners/vit/vit.h"
#include "storage/store/store.h"

#include <stddef.h>
#include <stdint.h>

struct served_cache;

/* Read-only for everybody; held by served_take / served_release. */
struct served {
    const struct base_model *base;
    struct digest digest;
    struct digest trunk; /* state of `weights`: base and erasures (proto/seal/trunk_digest.h) */
    uint64_t tag;        /* tells this object from every other, even one at its address */
    const struct version *manifest;
    struct vit_weights weights;  /* W_eff */
    const struct answer *answer; /* the owners and their labels */
    uint32_t n_classes;          /* outputs of the base's head */
    uint32_t n_labels;           /* of the answer's label table; the base's n_classes come first */
    uint32_t n_live;
    uint32_t n_streams;   /* that are open */
    const uint8_t *live;  /* [n_labels], 1: active */
    const uint32_t *rows; /* [n_labels] where the manifest lists it; the base's k is row k */
};

/* A component's record; borrowed. */
struct served_delta {
    const void *bytes;
    size_t size;
};

/*
 * Makes a version from its manifest (taken over, also on failure: version_free) and the records of
 * its erasures, lanes, experts and router in any order.  Each is known by its digest; what the
 * manifest does not name is not used.  DATA_LOSS if one is missing or cannot be read on this base,
 * or if the manifest's labels are not those of the base and the components: every label of a
 * component is listed under its owner, and every active label belongs to one; a forgotten one may
 * have lost its component.  NO_MEMORY.
 */
enum status served_fold(const struct base_model *base,
                        const struct digest *digest,
                        struct version *manifest,
                        const struct served_delta *records,
                        size_t n_records,
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
/*
 * The versions that are built from now on stand on this base; those that were kept ready are let
 * go.  Only the core thread calls it, before it publishes the first version on the new base.
 */
void served_cache_rebase(struct served_cache *c, const struct base_model *base);
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
