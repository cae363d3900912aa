/*
 * A base model's folder: model.safetensors, config.json and, if there, preprocessor_config.json and
 * prototypes.safetensors, read whole, parsed by learners/vit and kept with their exact bytes, so
 * that a store can take the files over byte for byte.  Immutable after loading; any thread may read
 * it.
 */
#ifndef LETHE_DAEMON_MODEL_FOLDER_H
#define LETHE_DAEMON_MODEL_FOLDER_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/vit/model_config.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define MODEL_MAX_WEIGHT_BYTES ((size_t)8 << 30)

enum model_file_kind {
    MODEL_FILE_WEIGHTS,      /* model.safetensors */
    MODEL_FILE_CONFIG,       /* config.json */
    MODEL_FILE_PREPROCESSOR, /* preprocessor_config.json, optional */
    MODEL_FILE_PROTOTYPES,   /* prototypes.safetensors, optional */
    MODEL_FILES
};

struct model_file {
    const void *bytes; /* NULL: the file is not there */
    size_t size;
    struct digest digest; /* BLAKE2b-256 of the bytes; zero if not there */
};

struct model {
    struct model_config config; /* labels are owned by the model */
    float *weights;             /* one block, vit_weights_floats(&config.vit) */
    struct vit_weights w;       /* the table over it */
    float *prototypes;          /* [K, C], or NULL */
    int64_t *prototype_counts;  /* [K], or NULL */
    const char *scheme;         /* naming scheme of the weight file, see vit_weights_scheme */
    struct model_file files[MODEL_FILES];
    struct digest digest; /* BLAKE2b-256 over all files: of each, its size as u64 and its bytes */
    void *memory[4];      /* what model_free frees; not for others */
    void *owned_bytes[MODEL_FILES];
};

const char *model_file_name(enum model_file_kind kind);

/* Reads and parses a folder; the caller owns *ret_model (model_free). Errors name file and field.
 */
enum status
model_load_folder(const char *folder, struct model **ret_model, struct fault *f) MUST_CHECK;
/*
 * The same from memory: files[i].bytes and .size are read (digests are computed), the bytes are
 * borrowed and must outlive the model.
 */
enum status model_load_memory(const struct model_file files[MODEL_FILES],
                              struct model **ret_model,
                              struct fault *f) MUST_CHECK;
/* NULL is allowed. */
void model_free(struct model *m);

/*
 * Writes a model folder (created if missing): weights as F16 or F32 in Hugging Face's layout, both
 * configurations, prototypes if given.  Each file is written whole or not at all.
 */
enum status model_write_folder(const char *folder,
                               const struct model_config *c,
                               const float *weights,
                               int half,
                               const float *prototypes,
                               const int64_t *counts,
                               struct fault *f) MUST_CHECK;

#endif
