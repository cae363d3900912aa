/* Everything of a simulated stream as bytes, and back; and a stream to do it with. */
#ifndef LETHE_TESTS_TAME_SNAPSHOT_H
#define LETHE_TESTS_TAME_SNAPSHOT_H

#include "tests/property/learners/tame_sim.h"

#define MOST_BYTES ((size_t)4 << 20)

/* Everything of a stream as bytes. */
struct snapshot {
    uint32_t n;
    size_t sizes[1 + TAME_EXPERTS_MAX];
    uint8_t *records[1 + TAME_EXPERTS_MAX];
};

static inline void snapshot_take(const struct tame_stream *s, struct snapshot *x)
{
    x->n = tame_stream_detector(s)->n_experts;
    for (uint32_t i = 0; i <= x->n; i++) {
        x->sizes[i] =
            i ? tame_stream_encode_expert(s, i - 1, NULL, 0) : tame_stream_encode(s, NULL, 0);
        assert_true(x->sizes[i] < MOST_BYTES);
        x->records[i] = malloc(x->sizes[i]);
        assert_non_null(x->records[i]);
        assert_int_equal(i ? tame_stream_encode_expert(s, i - 1, x->records[i], x->sizes[i])
                           : tame_stream_encode(s, x->records[i], x->sizes[i]),
                         x->sizes[i]);
    }
}

static inline void snapshot_free(struct snapshot *x)
{
    for (uint32_t i = 0; i <= x->n; i++)
        free(x->records[i]);
}

static inline void snapshot_open(const struct snapshot *x, struct sim_stream *y)
{
    struct tame_options o;
    struct fault f = {0};
    assert_int_equal(tame_stream_peek(x->records[0], x->sizes[0], &o, &f), STATUS_OK);
    sim_memory(y, &o, 0);
    if (tame_stream_open(&y->setup, x->records[0], x->sizes[0], &y->arena, &y->s, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    for (uint32_t i = 1; i <= x->n; i++)
        if (tame_stream_attach(y->s, x->records[i], x->sizes[i], &f) != STATUS_OK)
            fail_msg("expert %u, %s: %s", i, f.field, f.text);
    assert_int_equal(tame_stream_seal(y->s, &f), STATUS_OK);
}

static inline void assert_same(const struct snapshot *a, const struct snapshot *b)
{
    assert_int_equal(a->n, b->n);
    for (uint32_t i = 0; i <= a->n; i++) {
        assert_int_equal(a->sizes[i], b->sizes[i]);
        assert_memory_equal(a->records[i], b->records[i], a->sizes[i]);
    }
}

/* t1 t2 t3 t2 with 30 batches a run, global labels. */
#define N_RUN  30u
#define N_RUNS 4u

static inline struct tame_options kept_options(void)
{
    struct tame_options o = sim_options(TAME_HARDENED);
    o.n_run = N_RUN;
    o.buffer = 60;
    o.reserve = 0.1f;
    o.reserve_max = 40;
    o.selector = TAME_SELECTOR_LINEAR;
    o.selector_epochs = 20;
    o.experts_max = 6;
    return o;
}

/* Batches from .. until of the stream; outputs are fixed, so labels start at 0. */
static inline void feed(struct sim_stream *x, uint64_t from, uint64_t until)
{
    struct sim_batch *b = calloc(1, sizeof *b);
    const uint32_t shift = x->setup.options.outputs ? 0 : SIM_CLASSES;
    assert_non_null(b);
    for (uint64_t i = from; i < until; i++) {
        struct sim_task task;
        struct tame_event v;
        struct fault f = {0};
        const uint32_t which = sim_recurring[i / N_RUN];
        sim_task_draw(1000, which, &task);
        sim_batch_draw(&task, 1000, i, 1.0f, which * shift, 0, b);
        if (tame_stream_observe(x->s, &b->samples, &v, &f) != STATUS_OK)
            fail_msg("%s: %s", f.field, f.text);
    }
    free(b);
}

#endif
