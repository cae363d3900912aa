/* Answering: which expert, and what it says. */
#include "learners/methods/tame/tame_stream_internal.h"

#include "daemon/base/invariant.h"
#include "learners/math/softmax.h"
#include "learners/nn/l2norm.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ experts */

void tame_stream_forward(
    struct tame_stream *s, uint32_t e, uint32_t n, const uint8_t *const *inputs, float *logits)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts);
    const struct tame_weights *w = tame_member_weights(s, e);
    const uint32_t most = tame_stream_options(s)->batch_max;
    tame_stream_unload(s);
    for (uint32_t at = 0; at < n; at += most) {
        const uint32_t b = n - at < most ? n - at : most;
        s->kind->load(s->engine, b, inputs + at);
        s->kind->forward(s->engine, w, 0, logits + (size_t)at * w->classes);
    }
}

/* Largest of a row, the lower index on a tie. */
static uint32_t row_best(const float *z, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t j = 1; j < n; j++)
        best = z[j] > z[best] ? j : best;
    return best;
}

static void
answer(const struct tame_stream *s, uint32_t e, float *z, struct tame_answer *ret_answer)
{
    const uint32_t classes = tame_member_weights(s, e)->classes;
    const uint32_t best = row_best(z, classes);
    softmax_forward(z, 1, classes);
    *ret_answer = (struct tame_answer){
        .expert = e, .label = tame_member_labels(s, e)[best], .confidence = z[best]};
    if (z[best] < tame_stream_options(s)->reject)
        ret_answer->expert = TAME_NONE;
}

/* Answers of expert e for those of a chunk's inputs that were sent to it. */
static void answer_group(struct tame_stream *s,
                         uint32_t e,
                         uint32_t n,
                         const uint8_t *const *inputs,
                         const uint32_t *experts,
                         struct tame_answer *answers)
{
    const struct tame_weights *w = tame_member_weights(s, e);
    uint32_t b = 0;
    for (uint32_t i = 0; i < n; i++)
        if (experts[i] == e)
            s->gather[b++] = inputs[i];
    if (b == 0)
        return;
    s->kind->load(s->engine, b, s->gather);
    s->kind->forward(s->engine, w, 0, s->logits);
    b = 0;
    for (uint32_t i = 0; i < n; i++)
        if (experts[i] == e)
            answer(s, e, s->logits + (size_t)b++ * w->classes, &answers[i]);
}

enum status tame_stream_predict(struct tame_stream *s,
                                tame_router *router,
                                void *context,
                                uint32_t n,
                                const uint8_t *const *inputs,
                                struct tame_answer *ret_answers,
                                struct fault *f)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (!router && !s->selector.ready)
        FAIL(f, STATUS_FAILED_PRECONDITION, "selector", "the stream has no trained selector");
    const uint32_t most = tame_stream_options(s)->batch_max;
    for (uint32_t at = 0; at < n; at += most) {
        const uint32_t b = n - at < most ? n - at : most;
        struct tame_answer *to = ret_answers + at;
        uint32_t *experts = s->classes; /* at least batch_max */
        if (router)
            router(context, b, inputs + at, experts);
        else
            tame_stream_select(s, b, inputs + at, experts);
        tame_stream_unload(s);
        for (uint32_t i = 0; i < b; i++)
            to[i] = (struct tame_answer){.expert = TAME_NONE};
        for (uint32_t e = 0; e < s->detector.n_experts; e++)
            answer_group(s, e, b, inputs + at, experts, to);
    }
    return STATUS_OK;
}

double tame_stream_check_reserve(struct tame_stream *s, uint32_t e, int *ret_worse)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts);
    struct tame_member *m = &s->members[e];
    const uint32_t most = tame_stream_options(s)->batch_max;
    uint32_t n, hits = 0;
    const uint32_t first = tame_buffer_of(&s->reserve, s->detector.experts[e].id, &n);
    *ret_worse = 0;
    if (n == 0 || m->stale)
        return (double)NAN;
    for (uint32_t at = 0; at < n; at += most) {
        const uint32_t b = n - at < most ? n - at : most;
        for (uint32_t i = 0; i < b; i++)
            s->gather[i] = tame_buffer_payload(&s->reserve, first + at + i);
        tame_stream_unload(s);
        s->kind->load(s->engine, b, s->gather);
        s->kind->forward(s->engine, tame_member_weights(s, e), 0, s->logits);
        const uint32_t classes = tame_member_weights(s, e)->classes;
        for (uint32_t i = 0; i < b; i++)
            hits += tame_member_labels(s, e)[row_best(s->logits + (size_t)i * classes, classes)] ==
                    s->reserve.entries[first + at + i].label;
    }
    const float accuracy = (float)hits / (float)n;
    *ret_worse = m->has_best && accuracy < m->best - 0.05f;
    if (!m->has_best || accuracy > m->best)
        m->best = accuracy;
    m->has_best = 1;
    return (double)accuracy;
}

/* ------------------------------------------------------------------ selector */

int tame_stream_has_selector(const struct tame_stream *s)
{
    return s->selector.ready;
}

/* Frozen features of a chunk, normalised, into s->features; the inputs are loaded. */
static void chunk_features(struct tame_stream *s, uint32_t n, const uint8_t *const *inputs)
{
    s->kind->load(s->engine, n, inputs);
    s->kind->features(s->engine, s->features);
}

void tame_stream_select(void *stream,
                        uint32_t n,
                        const uint8_t *const *inputs,
                        uint32_t *ret_experts)
{
    struct tame_stream *s = stream;
    struct tame_selector *x = &s->selector;
    const uint32_t most = tame_stream_options(s)->batch_max;
    const int net = tame_stream_options(s)->selector == TAME_SELECTOR_NET;
    INVARIANT(s->magic == TAME_STREAM_MAGIC && x->ready);
    tame_stream_unload(s);
    for (uint32_t at = 0; at < n; at += most) {
        const uint32_t b = n - at < most ? n - at : most;
        if (net) {
            s->kind->load(s->engine, b, inputs + at);
            s->kind->forward(s->engine, &x->net, 0, s->logits);
        } else {
            chunk_features(s, b, inputs + at);
        }
        for (uint32_t i = 0; i < b; i++) {
            float *z = s->logits + (size_t)i * x->n_experts;
            if (!net)
                tame_selector_logits(x, s->features + (size_t)i * x->width, z);
            ret_experts[at + i] =
                tame_detector_find(&s->detector, x->ids[row_best(z, x->n_experts)]);
        }
    }
}

/* Entries of the buffer in ascending order of key, then id: an order that no arrival decides. */
static void order_by_key(struct tame_stream *s)
{
    const struct tame_buffer *b = &s->buffer;
    uint32_t *order = s->selector.order;
    for (uint32_t i = 0; i < b->n; i++)
        order[i] = i;
    /* Shell sort with Ciura's gaps: no memory, no recursion, a few thousand entries */
    static const uint32_t gaps[] = {88573, 29524, 9841, 3280, 1093, 364, 121, 40, 13, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (uint32_t i = gaps[g]; i < b->n; i++) {
            const uint32_t x = order[i];
            const struct tame_entry *ex = &b->entries[x];
            uint32_t k = i;
            for (; k >= gaps[g]; k -= gaps[g]) {
                const struct tame_entry *ey = &b->entries[order[k - gaps[g]]];
                if (ey->key < ex->key || (ey->key == ex->key && ey->id <= ex->id))
                    break;
                order[k] = order[k - gaps[g]];
            }
            order[k] = x;
        }
}

/* Features of all kept samples, normalised, in the selector's order. */
static void gather_features(struct tame_stream *s)
{
    struct tame_selector *x = &s->selector;
    const struct tame_buffer *b = &s->buffer;
    const uint32_t most = tame_stream_options(s)->batch_max;
    const int stored = tame_stream_options(s)->store == TAME_STORE_FEATURE;
    for (uint32_t at = 0; at < b->n; at += most) {
        const uint32_t n = b->n - at < most ? b->n - at : most;
        for (uint32_t i = 0; i < n; i++) {
            s->gather[i] = tame_buffer_payload(b, x->order[at + i]);
            if (stored)
                memcpy(s->features + (size_t)i * x->width, s->gather[i], x->width * sizeof(float));
        }
        if (!stored)
            chunk_features(s, n, s->gather);
        for (uint32_t i = 0; i < n; i++)
            l2norm_forward(s->features + (size_t)i * x->width, x->width,
                           x->x + (size_t)(at + i) * x->width);
    }
}

static void fit_net(struct tame_stream *s)
{
    struct tame_selector *x = &s->selector;
    const struct tame_options *o = tame_stream_options(s);
    const uint32_t most = o->selector_batch < o->batch_max ? o->selector_batch : o->batch_max;
    tame_expert_start(s->kind, s->engine, &s->shape, tame_member_seed(s, TAME_NONE), x->n_experts,
                      &x->net);
    for (uint32_t epoch = 0; epoch < o->selector_epochs; epoch++)
        for (uint32_t at = 0; at < s->buffer.n; at += most) {
            const uint32_t n = s->buffer.n - at < most ? s->buffer.n - at : most;
            for (uint32_t i = 0; i < n; i++)
                s->gather[i] = tame_buffer_payload(&s->buffer, x->order[at + i]);
            s->kind->load(s->engine, n, s->gather);
            s->kind->forward(s->engine, &x->net, 1, s->logits);
            tame_expert_gradient(&s->shape, n, x->n_experts, s->logits, x->targets + at,
                                 s->dlogits);
            x->net.steps++;
            s->kind->step(s->engine, &x->net, s->dlogits);
            x->net.revision++;
        }
}

enum status tame_stream_fit_selector(struct tame_stream *s, struct fault *f)
{
    struct tame_selector *x = &s->selector;
    const struct tame_options *o = tame_stream_options(s);
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (o->selector == TAME_SELECTOR_NONE)
        FAIL(f, STATUS_FAILED_PRECONDITION, "selector", "the stream's settings say none");
    if (s->failed || !s->sealed || s->refit.active || s->buffer.n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "selector", "there is nothing to train it on");
    tame_stream_unload(s);
    x->ready = 0;
    x->n_experts = s->detector.n_experts;
    for (uint32_t e = 0; e < x->n_experts; e++)
        x->ids[e] = s->detector.experts[e].id;
    order_by_key(s);
    for (uint32_t i = 0; i < s->buffer.n; i++)
        x->targets[i] = tame_detector_find(&s->detector, s->buffer.entries[x->order[i]].expert);
    if (o->selector == TAME_SELECTOR_NET) {
        fit_net(s);
    } else {
        gather_features(s);
        tame_selector_fit(x, o, s->buffer.n);
    }
    x->ready = 1;
    tame_stream_unload(s);
    return STATUS_OK;
}
