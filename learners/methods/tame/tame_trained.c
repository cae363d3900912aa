/* What can be asked of an expert's record without importing it. */
#include "learners/methods/tame/tame_learner_internal.h"
#include "learners/methods/tame/tame_survey.h"

#include <string.h>

static enum status read_expert(const void *record,
                               size_t size,
                               struct tame_expert_head *h,
                               struct tame_survey *s,
                               struct fault *f)
{
    TRY(tame_expert_head_read(record, size, h, f));
    return tame_survey_expert((const uint8_t *)record + h->inner, size - h->inner, &h->options, s,
                              f);
}

struct keys {
    uint64_t *keys;
    uint64_t n, max;
};

static void collect(void *context, const struct tame_met *met)
{
    struct keys *x = context;
    if (met->use != TAME_SAMPLE_TRAINED)
        return;
    if (x->n < x->max)
        x->keys[x->n] = met->id;
    x->n++;
}

enum status tame_learner_trained(const void *record,
                                 size_t size,
                                 uint64_t *ret_keys,
                                 uint64_t max,
                                 uint64_t *ret_n,
                                 struct fault *f)
{
    struct tame_expert_head h;
    struct tame_survey s;
    struct keys x = {.keys = ret_keys, .max = max};
    TRY(read_expert(record, size, &h, &s, f));
    tame_survey_samples(&s, collect, &x);
    *ret_n = x.n;
    return STATUS_OK;
}

enum status tame_learner_moved(
    const void *record, size_t size, const struct digest *state, void *to, struct fault *f)
{
    struct tame_expert_head h;
    struct tame_survey s;
    uint8_t *bytes = to;
    TRY(read_expert(record, size, &h, &s, f));
    memcpy(bytes, record, size);
    memcpy(bytes + h.state_at, state->b, DIGEST_SIZE);
    memcpy(bytes + h.inner + s.trunk_at, state->b, DIGEST_SIZE);
    return STATUS_OK;
}
