/*
 * What the files beside the weights say: config.json (Hugging Face's ViT keys, or timm's
 * architecture + pretrained_cfg) and, if there is one, preprocessor_config.json.  Works on memory.
 *
 * Keys of ours, beside Hugging Face's, with their defaults:
 *   attention_scale     "head" (D^-0.5) or "model" (C^-0.5)                        "head"
 *   head                "linear" or "cosine"                                       "linear"
 *   head_bias           the linear head has a bias                                 true
 *   head_scale          kappa of the cosine head                                   64
 *   head_margin         m of the cosine head                                       0.35
 *   class_position      the class token has a position embedding                   true
 *   patch_channels_last patch vectors are (row, column, channel)                   false
 * Without preprocessor_config.json: Hugging Face's defaults (bilinear to image_size, mean and
 * standard deviation 0.5), or timm's pretrained_cfg.
 */
#ifndef LETHE_LEARNERS_MODEL_CONFIG_H
#define LETHE_LEARNERS_MODEL_CONFIG_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define MODEL_CONFIG_MAX_BYTES ((size_t)4 << 20) /* of either file */
#define MODEL_LABEL_MAX        255               /* bytes of a class name */

/* How a picture becomes the network's input; the client resizes, the model's side scales. */
struct preprocessing {
    uint32_t resize;       /* side before the centre crop to image_size */
    int keep_aspect;       /* 1: the shorter side becomes `resize`; 0: both do */
    uint32_t resample;     /* Pillow's number: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5
                              Hamming */
    float rescale;         /* factor on u8 pixels, 1/255 */
    float mean[3], std[3]; /* after rescaling, per channel */
};

struct model_config {
    struct vit_config vit;
    struct preprocessing prep;
    const char **labels; /* [K], unique, in the arena */
};

/* Enough arena for model_config_parse on a config.json of n bytes. */
size_t model_config_plan(size_t n);
/*
 * Parses config.json and preprocessor_config.json (NULL: none).  Sizes are checked by
 * vit_config_check.  BAD_FORMAT: no JSON; INVALID_ARGUMENT naming the key: missing, wrong type, out
 * of range, or a feature that the engine does not have.
 */
enum status model_config_parse(const char *config,
                               size_t n_config,
                               const char *preprocessor,
                               size_t n_preprocessor,
                               struct arena *arena,
                               struct model_config *ret_config,
                               struct fault *f) MUST_CHECK;

/*
 * Writes the two files in Hugging Face's layout (ViTForImageClassification, ViTImageProcessor).
 * Returns the bytes the text has (no NUL is written); nothing is written if that is more than
 * `size` (so NULL, 0 asks for the size); 0: out of memory.
 */
size_t model_config_write(const struct model_config *c, char *to, size_t size);
size_t model_config_write_preprocessor(const struct model_config *c, char *to, size_t size);

/* x = scale * pixel + shift, per channel. */
void preprocessing_affine(const struct preprocessing *p, float scale[3], float shift[3]);

#endif
