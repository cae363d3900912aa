/* Shared by model_config.c, model_timm.c and model_preprocess.c: typed reads of JSON members. */
#ifndef LETHE_LEARNERS_MODEL_CONFIG_INTERNAL_H
#define LETHE_LEARNERS_MODEL_CONFIG_INTERNAL_H

#include "learners/vit/model_config.h"

#include <jansson.h>

/* A missing or null member gives `fallback`; another type or range is INVALID_ARGUMENT. */
enum status model_get_u32(const json_t *o,
                          const char *key,
                          uint32_t fallback,
                          uint32_t *ret_x,
                          struct fault *f) MUST_CHECK;
enum status model_get_bool(
    const json_t *o, const char *key, int fallback, int *ret_x, struct fault *f) MUST_CHECK;
enum status model_get_float(
    const json_t *o, const char *key, double fallback, float *ret_x, struct fault *f) MUST_CHECK;
enum status model_get_side(const json_t *o,
                           const char *key,
                           uint32_t fallback,
                           uint32_t *ret_x,
                           struct fault *f) MUST_CHECK;
/* A list of one number per channel into ret_x[3] (a missing member leaves it). */
enum status model_get_channels(const json_t *o,
                               const char *key,
                               uint32_t channels,
                               float ret_x[3],
                               struct fault *f) MUST_CHECK;

/* Sizes from a timm architecture name, model_args and pretrained_cfg; preprocessing too. */
enum status
model_read_timm(const json_t *config, struct model_config *m, struct fault *f) MUST_CHECK;
/* preprocessor_config.json, or Hugging Face's defaults for NULL; needs m->vit's sizes. */
enum status
model_read_preprocessor(const json_t *o, struct model_config *m, struct fault *f) MUST_CHECK;

#endif
