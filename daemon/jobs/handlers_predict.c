/* KIND_PREDICT: from the serve thread straight to the predict pool. */
#include "daemon/jobs/handlers.h"

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "proto/limits.h"

/* Lists of an answer, in the call's arena. */
struct answer_room {
    float *logits;                 /* [n, K] */
    struct predict_score *scratch; /* [K] */
    struct wire_prediction *items;
    struct wire_scored_label *labels; /* [n, top] */
    const char **names;               /* [K] */
};

static enum status room_take(struct arena *a,
                             uint32_t n,
                             uint32_t top,
                             uint32_t n_classes,
                             struct answer_room *ret_room,
                             struct fault *f)
{
    *ret_room = (struct answer_room){
        .logits = arena_alloc(a, (size_t)n * n_classes, sizeof(float)),
        .scratch = arena_alloc(a, n_classes, sizeof(struct predict_score)),
        .items = arena_alloc_zero(a, n, sizeof(struct wire_prediction)),
        .labels = arena_alloc(a, (size_t)n * top, sizeof(struct wire_scored_label)),
        .names = arena_alloc(a, n_classes, sizeof(char *))};
    if (!ret_room->logits || !ret_room->scratch || !ret_room->items || !ret_room->labels ||
        !ret_room->names)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "top", "the answer is too large");
    return STATUS_OK;
}

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

static void fill_answer(const struct served *s,
                        const struct wire_predict *m,
                        uint32_t top,
                        const struct answer_room *room,
                        struct wire_predictions *ret_answer)
{
    for (uint32_t i = 0; i < m->images; i++) {
        const float *logits = room->logits + (size_t)i * s->n_classes;
        struct wire_scored_label *labels = room->labels + (size_t)i * top;
        struct wire_prediction *item = &room->items[i];
        item->n_labels = predict_rank(s, logits, top, room->scratch, labels);
        item->labels = labels;
        item->expert = "base";
        item->logits = m->logits ? logits : NULL;
        item->n_logits = m->logits ? s->n_classes : 0;
    }
    for (uint32_t k = 0; k < s->n_classes; k++)
        room->names[k] = s->manifest->labels[k].name;
    *ret_answer = (struct wire_predictions){.version = s->digest,
                                            .number = s->manifest->number,
                                            .items = room->items,
                                            .n_items = m->images,
                                            .logit_labels = m->logits ? room->names : NULL,
                                            .n_logit_labels = m->logits ? s->n_classes : 0};
}

static enum status predict_answer(struct core *core,
                                  struct call *call,
                                  uint32_t thread,
                                  const struct served *s,
                                  struct wire_predictions *ret_answer,
                                  struct fault *f)
{
    const struct wire_predict *m = &call_message(call)->body.predict;
    struct predict_frames frames;
    struct answer_room room;
    uint32_t top = m->top == 0 ? 1 : m->top;
    if (top > s->n_live)
        top = s->n_live;
    TRY(frames_of(call, &frames, f));
    TRY(predict_check(s->base, m, &frames, f));
    TRY(room_take(call_arena(call), m->images, top, s->n_classes, &room, f));
    TRY(predict_logits(core->predictor, thread, s, m, &frames, room.logits, f));
    fill_answer(s, m, top, &room, ret_answer);
    return STATUS_OK;
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
    reply.body.predictions.latency_ms = (float)(waited_us + clock_mono_us() - start) / 1000.0f;
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
