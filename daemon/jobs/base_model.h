/*
 * The frozen base model as the daemon serves it: what its files say, and its weights as raw float32
 * in a sealed memory file that predictions, served versions and worker jobs share.  Immutable once
 * made, so any thread may read it.  The files themselves are read by daemon/config/model_folder and
 * kept, byte for byte, as blobs of the first version.
 */
#ifndef LETHE_JOBS_BASE_MODEL_H
#define LETHE_JOBS_BASE_MODEL_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "daemon/config/model_folder.h"
#include "learners/vit/model_config.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define BASE_MODEL_NAME_SIZE 64

struct base_model {
    uint32_t magic;
    char name[BASE_MODEL_NAME_SIZE]; /* of the folder, e.g. "vit-fashion" */
    struct digest digest; /* of all files, see model_folder.h; sealed: of the first base's files */
    int sealed;           /* made by folding erasures into another (seal.h) */
    struct digest part_digest[MODEL_FILES]; /* zero: not there */
    struct vit_config vit;
    struct preprocessing prep;
    const char *const *labels; /* [K], unique */
    float scale[3], shift[3];  /* x = scale * pixel + shift, per channel */
    int weights_fd;            /* sealed, for worker_give */
    const float *floats;       /* all weights, in vit_weights order; read only */
    struct vit_weights weights;
    const float *prototypes;          /* [K, C], or NULL: not shipped */
    const uint64_t *prototype_counts; /* [K], or NULL */
    void *owned[4];                   /* mapping and allocations behind the above */
    size_t mapped;
    struct base_model *older; /* NULL: none; see base_model_succeed */
};

/* Component kind of a file in a version's manifest: "base", "base-config", ... */
const char *base_model_kind(enum model_file_kind file);
/* Last component of a folder's path. */
void base_model_folder_name(const char *folder, char name[BASE_MODEL_NAME_SIZE]);

/* Copies what it needs from `model`, which may be freed afterwards.  NO_MEMORY, INVALID_ARGUMENT.
 */
enum status base_model_new(const struct model *model,
                           const char *name,
                           struct base_model **ret_base,
                           struct fault *f) MUST_CHECK;
/* The name of the base that this one was made of; what was trained on that one stays bound to it.
 */
void base_model_set_origin(struct base_model *m, const struct digest *origin);
/* Takes over the one that it replaces: predictions that have begun still read it. */
void base_model_succeed(struct base_model *m, struct base_model *older);
/* NULL allowed. */
void base_model_free(struct base_model *m);
/* Index of a label, or -1. */
int base_model_label(const struct base_model *m, const char *name);
/* "nearest", "lanczos", "bilinear", "bicubic", "box" or "hamming". */
const char *base_model_resample(const struct base_model *m);
/* Names how pictures become the network's input; components are bound to it. */
struct digest base_model_preprocessing(const struct base_model *m);
/* Mean and standard deviation that bring p/255 to the network's input: [3] each. */
void base_model_moments(const struct base_model *m, float mean[3], float std[3]);

#endif
