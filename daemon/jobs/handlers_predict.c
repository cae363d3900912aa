/* KIND_PREDICT: from the serve thread straight to the predict pool. */
#include "daemon/jobs/handlers.h"

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "proto/limits.h"

static enum status frames_of(struct call *call, struct predict_frames *ret_frames, struct fault *f)
{
    const size_t n = call_frames_count(call);
    const uint8_t **at = arena_alloc(call_arena(call), n + 1, sizeof *at);
    size_t *size = arena_alloc(call_arena(call), n + 1, sizeof *size);
    if (!at || !size)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "no memory for %zu images", n);
    for (size_t i = 0; i < n; i++)
        at[i] = call_frame(call, i, &size[i]);
    *ret_frames = (struct predict_frames){.n = (uint32_t)n, .at = at, .size = size};
    return STATUS_OK;
}

/* Names of the columns, in the order of the logits. */
static enum status names_of(const struct served *s,
                            const struct predict_choice *choice,
                            struct arena *arena,
                            struct wire_predictions *answer,
                            struct fault *f)
{
    const char **names = arena_alloc(arena, choice->n_columns, sizeof *names);
    if (!names)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "logits", "the answer is too large");
    for (uint32_t k = 0; k < choice->n_columns; k++)
        names[k] = s->manifest->labels[s->rows[choice->columns[k]]].name;
    answer->logit_labels = names;
    answer->n_logit_labels = choice->n_columns;
    return STATUS_OK;
}

static enum status predict_answer(struct core *core,
                                  struct call *call,
                                  uint32_t thread,
                                  const struct served *s,
                                  struct wire_predictions *ret_answer,
                                  struct fault *f)
{
    const struct wire_predict *m = &call_message(call)->body.predict;
    struct arena *arena = call_arena(call);
    struct predict_frames frames;
    struct predict_choice choice;
    TRY(frames_of(call, &frames, f));
    TRY(predict_check(s->base, m, &frames, f));
    TRY(predict_choose(s, m, arena, &choice, f));
    struct wire_prediction *items = arena_alloc_zero(arena, m->images, sizeof *items);
    if (!items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "the answer is too large");
    *ret_answer = (struct wire_predictions){
        .version = s->digest, .number = s->manifest->number, .items = items, .n_items = m->images};
    if (m->logits)
        TRY(names_of(s, &choice, arena, ret_answer, f));
    return predict_run(core->predictor, thread, s, &choice, m, &frames, arena, items, f);
}

static enum status
take_version(struct core *core, const struct digest *digest, struct served **ret_s, struct fault *f)
{
    if (!digest_is_zero(digest))
        return served_take(core->served, digest, ret_s, f);
    *ret_s = served_take_serving(core->served);
    if (!*ret_s)
        FAIL(f, STATUS_UNAVAILABLE, "version", "no version serves yet");
    return STATUS_OK;
}

static void predict_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread)
{
    const int64_t start = clock_mono_us();
    struct fault fault = {0};
    struct served *s;
    const struct digest *version = &call_message(call)->body.predict.version;
    enum status st = take_version(core, version, &s, &fault);
    if (st != STATUS_OK) {
        call_fail(call, st, &fault);
        return;
    }
    struct wire_reply reply = {.answer = WIRE_ANSWER_PREDICTIONS};
    st = predict_answer(core, call, thread, s, &reply.body.predictions, &fault);
    const int64_t took_us = waited_us + clock_mono_us() - start;
    reply.body.predictions.latency_ms = (float)took_us / 1000.0f;
    if (st == STATUS_OK)
        predictor_note(core->predictor, (double)took_us / 1e6);
    if (st == STATUS_OK)
        call_finish(call, &reply, NULL);
    else
        call_fail(call, st, &fault);
    served_release(s);
}

void handle_predict(struct core *core, struct call *call)
{
    call_pool_post(core->predictors, predict_task, call);
}
