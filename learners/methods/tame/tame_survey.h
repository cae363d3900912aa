/*
 * Records of experts and streams read without building a stream: what an expert answers with, what
 * trained it, what is kept of it, and the samples of held batches.  Strict: what passes is safe to
 * open.  The layout is that of tame_stream_record.c.  Everything found points into the record.
 */
#ifndef LETHE_LEARNERS_TAME_SURVEY_H
#define LETHE_LEARNERS_TAME_SURVEY_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/tame/tame_expert.h"
#include "learners/methods/tame/tame_options.h"

#include <stddef.h>
#include <stdint.h>

struct tame_survey {
    struct tame_shape shape; /* input_bytes, body, head_width, vectors, feature_width, sigmoid */
    struct digest trunk;
    size_t trunk_at; /* offset of it */
    uint32_t id;
    uint32_t classes; /* rows of the last layer */
    uint64_t steps;   /* optimiser steps */
    int stale;
    size_t weights;   /* offset of the weights, f32 [body + classes (head_width + 1)] */
    size_t labels;    /* offset of the label table, u32 [classes] */
    size_t ledger;    /* offset */
    uint64_t n_steps; /* of the ledger, with n_samples samples */
    uint64_t n_samples;
    uint32_t n_buffer, n_reserve, n_prune; /* kept samples */
    const uint8_t *record;
    size_t size;
    size_t payload_bytes; /* of a sample in the selector's buffer */
};

/* BAD_FORMAT.  `o` are the stream's settings, resolved. */
enum status tame_survey_expert(const void *record,
                               size_t size,
                               const struct tame_options *o,
                               struct tame_survey *ret_survey,
                               struct fault *f) MUST_CHECK;

enum tame_sample_use { TAME_SAMPLE_TRAINED, TAME_SAMPLE_KEPT };

/* A sample as it is met; `request` is that of its push, NULL for kept samples. */
struct tame_met {
    enum tame_sample_use use;
    uint64_t id;
    uint32_t label;
    const struct request_id *request;
};
typedef void tame_survey_visit(void *context, const struct tame_met *met);
/* Ledger first, in the order of training, then selector, reserve and pruning samples. */
void tame_survey_samples(const struct tame_survey *s, tame_survey_visit *visit, void *context);
/* Class number of row i < classes, and weight i. */
uint32_t tame_survey_label(const struct tame_survey *s, uint32_t i);
float tame_survey_weight(const struct tame_survey *s, size_t i);

/*
 * A copy of the expert's record for another stream, into to [size]: class numbers as `number` gives
 * them (which must keep their order), and `request` as the one that brought every sample.
 */
struct tame_rewrite {
    uint32_t (*number)(void *context, uint32_t old);
    void *context;
    struct request_id request;
};
void tame_survey_rewrite(const struct tame_survey *s, const struct tame_rewrite *x, void *to);

/* The id that a stream gives its next expert, TAME_NONE: none is left.  BAD_FORMAT. */
enum status
tame_survey_next(const void *record, size_t size, uint32_t *ret_id, struct fault *f) MUST_CHECK;

/* Samples of a stream's held batches, and how many batches.  BAD_FORMAT. */
enum status tame_survey_held(const void *record,
                             size_t size,
                             tame_survey_visit *visit,
                             void *context,
                             uint32_t *ret_batches,
                             struct fault *f) MUST_CHECK;

#endif
