/* Batches into the stream, and what is told about them. */
#include "learners/methods/tame/tame_learner_internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ events */

/* An average is made of every loss of an active expert; a probe knows only those of its steps. */
static double loss_of(const struct tame_verdict *x)
{
    if (!isnan(x->average))
        return x->loss;
    return x->trained > 0 ? x->taken : (double)NAN;
}

static struct learner_event
event_of(const struct learner_run *run, const struct tame_event *v, const struct tame_verdict *x)
{
    const char *stream = run->problem.name;
    struct learner_event e = {.batch = v->batch,
                              .loss = loss_of(x),
                              .smoothed = x->average,
                              .threshold = x->threshold,
                              .created = x->outcome == TAME_CREATED,
                              .switched = x->old_id != TAME_NONE && x->id != x->old_id,
                              .offered = v->offered,
                              .trained = v->trained,
                              .reserved = v->reserved,
                              .tombstoned = v->tombstoned,
                              .held = x->held,
                              .quarantined = v->quarantined};
    tame_expert_name(stream, x->id, e.expert);
    tame_expert_name(stream, x->old_id, e.from);
    if (x->window == 0 && !(x->threshold > 0)) /* nothing was compared with one */
        e.threshold = (double)NAN;
    return e;
}

/* Every event is the last one until the next comes; switches are kept. */
static void note(struct learner_run *run, const struct tame_event *v)
{
    struct tame_journal *j = &run->journal;
    const struct learner_event e = event_of(run, v, &v->verdict);
    if (j->any && (j->last.switched || j->last.created))
        j->ring[j->n++ % (LEARNER_EVENTS - 1)] = j->last;
    j->last = e;
    j->any = 1;
    j->offered += v->offered;
    j->trained += v->trained;
    j->reserved += v->reserved;
    j->tombstoned += v->tombstoned;
    j->quarantined += v->quarantined;
}

static uint32_t capped(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Turns the ring so that the oldest comes first: three reversals. */
static void reverse(struct learner_event *e, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const struct learner_event x = e[i];
        e[i] = e[n - 1 - i];
        e[n - 1 - i] = x;
    }
}

const struct learner_event *tame_journal_read(struct learner_run *run, uint32_t *ret_n)
{
    struct tame_journal *j = &run->journal;
    const size_t most = LEARNER_EVENTS - 1, n = j->n < most ? (size_t)j->n : most;
    const size_t turn = j->n > most ? (size_t)(j->n % most) : 0;
    *ret_n = 0;
    if (!j->any)
        return NULL;
    if (turn) {
        reverse(j->ring, turn);
        reverse(j->ring + turn, n - turn);
        reverse(j->ring, n);
        j->n = n; /* in order now */
    }
    j->last.offered = capped(j->offered);
    j->last.trained = capped(j->trained);
    j->last.reserved = capped(j->reserved);
    j->last.tombstoned = capped(j->tombstoned);
    j->last.quarantined = capped(j->quarantined);
    j->ring[n] = j->last;
    *ret_n = (uint32_t)n + 1;
    return j->ring;
}

/* ------------------------------------------------------------------ classes */

static int is_forgotten(const struct learner_erasure *e, const char *class)
{
    for (uint32_t i = 0; e && i < e->n_classes; i++)
        if (strcmp(e->classes[i], class) == 0)
            return 1;
    return 0;
}

static int is_key(const struct learner_erasure *e, uint64_t key)
{
    const struct tame_cut cut = {.ids = e ? e->keys : NULL, .n_ids = e ? e->n_keys : 0};
    return tame_cut_hits(&cut, TAME_UNKNOWN, key);
}

/* A class appears with its first sample that may be learned. */
static enum status number_class(struct learner_run *run, uint32_t row, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    const uint32_t k = (uint32_t)p->images.labels[row];
    if (run->numbers[k] != TAME_NONE || is_key(p->erasure, p->keys[row]))
        return STATUS_OK;
    if (is_forgotten(p->erasure, p->classes[k])) {
        run->numbers[k] = TAME_FORGOTTEN;
        return STATUS_OK;
    }
    run->numbers[k] = tame_roll_add(&run->roll, p->classes[k]);
    if (run->numbers[k] == TAME_NONE || run->numbers[k] >= TAME_ROLL_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "classes", "a stream sees at most %d classes",
             TAME_ROLL_MAX);
    return STATUS_OK;
}

enum status tame_push_begin(struct learner_run *run, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    const struct learner_rows *train = &p->lists[LEARNER_TRAIN];
    const struct tame_push_row push = {p->request, p->memory};
    for (uint32_t k = 0; k < p->n_classes; k++)
        run->numbers[k] = TAME_NONE;
    for (uint32_t i = 0; i < train->n; i++)
        TRY(number_class(run, train->rows[i], f));
    tame_roll_push(&run->roll, &push);
    const uint32_t first =
        run->c.n_batches < TAME_PROBE_BATCHES ? run->c.n_batches : TAME_PROBE_BATCHES;
    run->steps = run->c.probe ? run->c.n_batches - first + 1 : run->c.n_batches;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ batches */

/* The next batch of the push into place k of the scratch lists. */
static struct tame_samples next_batch(struct learner_run *run, uint32_t k)
{
    const struct learner_problem *p = &run->problem;
    const struct learner_rows *train = &p->lists[LEARNER_TRAIN];
    const uint32_t left = train->n - run->at, n = left < run->c.batch ? left : run->c.batch;
    const size_t from = (size_t)k * run->c.batch;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = train->rows[run->at + i];
        const uint32_t number = run->numbers[p->images.labels[row]];
        run->inputs[from + i] = tame_learner_pixels(run, row);
        run->ids[from + i] = p->keys[row];
        /* a class whose samples are all forgotten one by one has no number */
        run->labels[from + i] = number == TAME_NONE ? TAME_FORGOTTEN : number;
    }
    run->at += n;
    return (struct tame_samples){.n = n,
                                 .inputs = run->inputs + from,
                                 .labels = run->labels + from,
                                 .ids = run->ids + from,
                                 .keys = run->ids + from,
                                 .request = p->request};
}

static enum status probe(struct learner_run *run, struct tame_event *v, struct fault *f)
{
    struct tame_samples batches[TAME_PROBE_BATCHES];
    uint32_t n = 0;
    while (n < TAME_PROBE_BATCHES && run->at < run->problem.lists[LEARNER_TRAIN].n) {
        batches[n] = next_batch(run, n);
        n++;
    }
    return tame_stream_probe(run->stream, batches, n, v, f);
}

enum status tame_push_step(struct learner_run *run, struct fault *f)
{
    struct tame_event v;
    if (run->c.probe && run->at == 0) {
        TRY(probe(run, &v, f));
    } else {
        const struct tame_samples batch = next_batch(run, 0);
        TRY(tame_stream_observe(run->stream, &batch, &v, f));
    }
    note(run, &v);
    run->loss = loss_of(&v.verdict);
    run->step++;
    return run->step == run->steps ? tame_learner_settle(run, f) : STATUS_OK;
}

enum status tame_close_step(struct learner_run *run, struct fault *f)
{
    struct tame_event v;
    TRY(tame_stream_close(run->stream, &v, f));
    note(run, &v);
    run->step++;
    return tame_learner_settle(run, f);
}
