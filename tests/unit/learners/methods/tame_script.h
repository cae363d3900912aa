/*
 * Scripted losses for the detector: the loss of expert number `id` on batch `b` is a function of
 * the two, training is only noted down.
 */
#ifndef LETHE_TESTS_TAME_SCRIPT_H
#define LETHE_TESTS_TAME_SCRIPT_H

#include "tests/support/test.h"

#include "learners/methods/tame/tame_detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8
#define LOG  256

/* Loss of expert number `id` on batch `b` is loss[id][b]; training is only noted down. */
struct script {
    struct tame_detector d;
    struct arena arena;
    void *memory;
    double (*loss)(uint32_t id, uint64_t batch);
    uint64_t slot_batch[TAME_SLOTS_MAX];
    uint64_t now;
    uint32_t classes;
    struct {
        uint32_t id;
        uint64_t batch;
    } trained[LOG];
    uint32_t n_trained;
    uint64_t given_up[LOG];
    uint32_t n_given_up;
    uint32_t calls;
    uint64_t new_from, odd; /* batches of unknown classes; 0: none */
    uint32_t extended;
};

static inline double script_loss(void *context, uint32_t e, uint32_t slot)
{
    struct script *s = context;
    s->calls++;
    return s->loss(s->d.experts[e].id, s->slot_batch[slot]);
}

static inline void script_train(void *context, uint32_t e, uint32_t slot)
{
    struct script *s = context;
    assert_true(s->n_trained < LOG);
    s->trained[s->n_trained].id = s->d.experts[e].id;
    s->trained[s->n_trained++].batch = s->slot_batch[slot];
}

static inline enum status script_create(void *context,
                                        uint32_t e,
                                        uint32_t id,
                                        uint32_t slot,
                                        uint32_t n,
                                        uint32_t *ret_classes,
                                        struct fault *f)
{
    struct script *s = context;
    (void)slot;
    (void)n;
    (void)f;
    assert_int_equal(e, s->d.n_experts);
    assert_int_equal(id, s->d.next_id);
    s->d.experts[e].id = id; /* so that a loss asked for at birth has a name */
    *ret_classes = s->classes;
    return STATUS_OK;
}

static inline void script_give_up(void *context, uint32_t slot)
{
    struct script *s = context;
    s->given_up[s->n_given_up++] = s->slot_batch[slot];
}

/* From batch new_from on the classes are unknown to expert 0, until it is extended; those of the
 * batch `odd` always are. */
static inline int script_mostly_new(void *context, uint32_t e, uint32_t slot, uint32_t n)
{
    const struct script *s = context;
    (void)n;
    const uint64_t batch = s->slot_batch[slot];
    const int from = s->new_from && batch >= s->new_from;
    return e == 0 && !s->extended && (from || (s->odd && batch == s->odd));
}

static inline uint32_t script_extend(void *context, uint32_t e, uint32_t n)
{
    struct script *s = context;
    (void)e;
    s->extended += n;
    return s->classes + 2;
}

static inline struct tame_ops ops_of(struct script *s)
{
    return (struct tame_ops){.context = s,
                             .loss = script_loss,
                             .train = script_train,
                             .create = script_create,
                             .give_up = script_give_up,
                             .mostly_new = script_mostly_new,
                             .extend = script_extend};
}

static inline void
script_open(struct script *s, const struct tame_options *o, double (*loss)(uint32_t, uint64_t))
{
    struct tame_options resolved = *o;
    struct arena_plan plan = {0};
    *s = (struct script){.loss = loss, .classes = 2};
    tame_options_resolve(&resolved);
    assert_int_equal(tame_options_check(&resolved, NULL), STATUS_OK);
    tame_detector_plan(&resolved, &plan);
    s->memory = malloc(arena_plan_bytes(&plan));
    assert_non_null(s->memory);
    arena_init(&s->arena, s->memory, arena_plan_bytes(&plan));
    assert_true(tame_detector_new(&resolved, &s->arena, &s->d));
}

static inline void script_close(struct script *s)
{
    arena_fini(&s->arena);
    free(s->memory);
}

static inline struct tame_verdict script_next(struct script *s)
{
    const struct tame_ops ops = ops_of(s);
    struct tame_verdict v;
    s->slot_batch[tame_detector_slot(&s->d)] = s->now;
    assert_int_equal(tame_detector_observe(&s->d, &ops, &v, NULL), STATUS_OK);
    s->now++;
    return v;
}

static inline struct tame_verdict script_run(struct script *s, uint64_t until)
{
    struct tame_verdict v = {0};
    while (s->now < until)
        v = script_next(s);
    return v;
}

static inline struct tame_options hardened(void)
{
    struct tame_options o;
    tame_options_default(&o);
    o.window = 50;
    o.patience = 2; /* the scripts count on it */
    o.experts_max = MOST;
    return o;
}

static inline struct tame_options parity(uint32_t window)
{
    struct tame_options o;
    tame_options_parity(&o);
    o.window = window;
    o.experts_max = MOST;
    o.outputs = 2;
    return o;
}

/* Task of a batch: 0, 1, 2, 1 for 60 batches each; an expert knows the task it was born in. */
static inline double task_loss(uint32_t id, uint64_t batch)
{
    static const uint32_t order[] = {0, 1, 2, 1};
    const uint32_t task = order[batch / 60 < 4 ? batch / 60 : 3];
    const double noise = 0.01 * (double)((batch * 2654435761u >> 7) % 100) / 100.0;
    if (id == task)
        return batch % 60 < 5 && batch / 60 < 3 ? 0.69 - 0.1 * (double)(batch % 60) : 0.1 + noise;
    return 3.0 + noise;
}

#endif
