/*
 * Weight files: which tensor of a safetensors file is which part of `struct vit_weights`.  The
 * naming scheme is recognised by the names: timm, Hugging Face (ViTForImageClassification),
 * torchvision (both namings of its MLP) and vit-pytorch (with and without its Residual wrapper; the
 * head of the Face Transformer, loss.weight, included).  A tensor that is missing, one that nobody
 * asked for, a shape that does not fit and a number that is not finite are errors that name it.
 */
#ifndef LETHE_LEARNERS_VIT_WEIGHTS_H
#define LETHE_LEARNERS_VIT_WEIGHTS_H

#include "learners/vit/safetensors.h"
#include "learners/vit/vit.h"

#define VIT_WEIGHTS_NAME_SIZE 128

/* Name of the recognised scheme ("timm", "hf", "torchvision", "vit-pytorch"), or NULL. */
const char *vit_weights_scheme(const struct safetensors *s);

/*
 * Fills `block` (vit_weights_floats(c) floats, see vit_weights_map) from the file.  Patch vectors
 * are brought to the order that c->patch_channels_last asks for: convolutions are (channel, row,
 * column), vit-pytorch's Linear is (row, column, channel).  Without class_position the file may
 * hold N - 1 positions, or N of which the first is zero.  On failure `block` is undefined.
 */
enum status vit_weights_read(const struct safetensors *s,
                             const struct vit_config *c,
                             float *block,
                             struct fault *f) MUST_CHECK;

/*
 * The same weights as a safetensors file with Hugging Face's names, dtype F32 or F16, metadata
 * {"format": "pt"}.  `scratch` holds what vit_weights_write_plan says.  Returns the bytes of the
 * file; writes them only if out is not NULL (then `size` must be that number).
 */
size_t vit_weights_write_plan(const struct vit_config *c);
size_t vit_weights_write(const struct vit_config *c,
                         const float *block,
                         enum safetensors_dtype dtype,
                         struct arena *scratch,
                         uint8_t *out,
                         size_t size);

#endif
