/* Erasures and refits: what is trained again, from which images, and what follows. */
#include "learners/methods/tame/tame_learner_internal.h"

#include "learners/methods/tame/tame_keys.h"

#include <math.h>
#include <string.h>

static void queue_refit(struct learner_run *run, uint32_t id)
{
    run->queue.refit[run->queue.n++] = id;
}

static void queue_renew(struct learner_run *run, uint32_t id)
{
    for (uint32_t i = 0; i < run->queue.n_renew; i++)
        if (run->queue.renew[i] == id)
            return;
    run->queue.renew[run->queue.n_renew++] = id;
}

/* ------------------------------------------------------------------ erasing */

/* Whatever the cut touches gets a new window; who lost data is found by its state afterwards. */
static enum status cut_out(struct learner_run *run, const struct tame_cut *cut, struct fault *f)
{
    struct tame_lineage rows[TAME_EXPERTS_MAX];
    const uint32_t n = tame_stream_lineage(run->stream, cut, rows, NULL);
    TRY(tame_stream_erase(run->stream, cut, f));
    for (uint32_t e = 0; e < n; e++)
        if (rows[e].fate == TAME_REDUCED || rows[e].fate == TAME_RETRAIN)
            queue_renew(run, rows[e].id);
    return STATUS_OK;
}

static enum status cut_expert(struct learner_run *run, const char *name, struct fault *f)
{
    const struct tame_head *h = &run->c.head;
    for (uint32_t i = 0; i < h->n_experts; i++) {
        char known[LEARNER_NAME_SIZE];
        tame_expert_name(h->name, h->experts[i], known);
        if (strcmp(known, name) == 0)
            return cut_out(run, &(struct tame_cut){.expert = h->experts[i]}, f);
    }
    FAIL(f, STATUS_NOT_FOUND, "component", "the stream has no expert '%.63s'", name);
}

/* Numbers of the named classes, in the scratch list of labels; unknown ones are not there to go. */
static uint32_t number_classes(struct learner_run *run, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < run->roll.n; i++)
        for (uint32_t k = 0; k < e->n_classes; k++)
            if (run->roll.rows[i].name[0] && strcmp(run->roll.rows[i].name, e->classes[k]) == 0) {
                run->numbers[n++] = i;
                break;
            }
    return n;
}

static enum status erase(struct learner_run *run, struct fault *f)
{
    const struct learner_erasure *e = run->problem.erasure;
    if (e->component)
        TRY(cut_expert(run, e->component, f));
    const struct tame_cut cut = {.expert = UINT32_MAX,
                                 .classes = run->numbers,
                                 .n_classes = number_classes(run, e),
                                 .ids = e->keys,
                                 .n_ids = e->n_keys};
    if (cut.n_classes == 0 && cut.n_ids == 0) {
        if (e->component)
            return STATUS_OK;
        FAIL(f, STATUS_NOT_FOUND, "subject", "the stream has none of the classes");
    }
    struct fault none = {0};
    const enum status st = cut_out(run, &cut, &none);
    if (st != STATUS_OK && !(st == STATUS_NOT_FOUND && e->component)) {
        if (f)
            *f = none;
        return st;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ what is trained again */

static enum status choose_refits(struct learner_run *run, struct fault *f)
{
    const struct tame_detector *d = tame_stream_detector(run->stream);
    const char *list = run->c.chosen;
    uint32_t n = 0, wanted = list && list[0];
    for (const char *at = list; at && *at; at++)
        wanted += *at == ',';
    for (uint32_t e = 0; e < d->n_experts; e++) {
        char name[LEARNER_NAME_SIZE];
        tame_expert_name(run->problem.name, d->experts[e].id, name);
        queue_renew(run, d->experts[e].id);
        const int listed = !list || tame_case_lists(list, name);
        n += listed != 0;
        if (listed || tame_stream_stale(run->stream, e))
            queue_refit(run, d->experts[e].id);
    }
    if (list && n != wanted)
        FAIL(f, STATUS_NOT_FOUND, "experts", "'%.80s': the stream has %u of %u", list, n, wanted);
    return STATUS_OK;
}

static void queue_stale(struct learner_run *run)
{
    const struct tame_detector *d = tame_stream_detector(run->stream);
    for (uint32_t e = 0; e < d->n_experts; e++)
        if (tame_stream_stale(run->stream, e)) {
            queue_refit(run, d->experts[e].id);
            queue_renew(run, d->experts[e].id);
        }
}

/* All that a refit will ask for must be among the images: nothing is trained on a part of it. */
static enum status check_data(struct learner_run *run, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    const struct tame_ledger *l = tame_stream_ledger(run->stream);
    uint64_t missing = 0, all = 0;
    for (uint32_t q = 0; q < run->queue.n; q++) {
        const uint32_t id = run->queue.refit[q];
        for (uint64_t i = tame_ledger_next(l, id, 0); i < l->n_steps;
             i = tame_ledger_next(l, id, i + 1)) {
            const struct tame_step *x = &l->steps[i];
            for (uint64_t k = x->at; k < x->at + x->n; k++)
                missing +=
                    tame_keys_find(p->keys, run->queue.rows, p->images.n, l->ids[k]) == UINT32_MAX;
            all += x->n;
            run->queue.steps++;
        }
    }
    if (missing)
        FAIL(f, STATUS_FAILED_PRECONDITION, "images",
             "%llu of the %llu samples to train with again are missing",
             (unsigned long long)missing, (unsigned long long)all);
    return STATUS_OK;
}

/* Pixels of the sample with this key, NULL: it is not among the images. */
static const uint8_t *input_of(void *context, uint64_t id)
{
    const struct learner_run *run = context;
    const struct learner_problem *p = &run->problem;
    const uint32_t row = tame_keys_find(p->keys, run->queue.rows, p->images.n, id);
    return row == UINT32_MAX ? NULL : tame_learner_pixels(run, row);
}

enum status tame_forget_begin(struct learner_run *run, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    tame_keys_sort(p->keys, p->images.n, run->queue.rows);
    if (p->erasure)
        TRY(erase(run, f));
    if (run->c.action == TAME_REFIT) {
        tame_stream_move_trunk(run->stream, &p->trunk.state, input_of, run);
        TRY(choose_refits(run, f));
    } else {
        queue_stale(run);
    }
    TRY(check_data(run, f));
    const uint64_t steps = run->queue.steps + 1;
    run->steps = steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ steps */

static enum status train(struct learner_run *run, const struct tame_want *want, struct fault *f)
{
    for (uint32_t i = 0; i < want->n; i++)
        run->inputs[i] = input_of(run, want->ids[i]);
    return tame_stream_refit_step(run->stream, run->inputs, &run->loss, f);
}

/* Windows and thresholds of all that changed, and the selector. */
static enum status renew(struct learner_run *run, struct fault *f)
{
    for (uint32_t i = 0; i < run->queue.n_renew; i++) {
        const uint32_t e =
            tame_detector_find(tame_stream_detector(run->stream), run->queue.renew[i]);
        if (e != TAME_NONE)
            tame_stream_rebaseline(run->stream, e, run->c.head.batch);
    }
    run->loss = (double)NAN;
    return tame_learner_settle(run, f);
}

enum status tame_forget_step(struct learner_run *run, struct fault *f)
{
    struct tame_queue *q = &run->queue;
    struct tame_want want;
    run->step++;
    if (q->at == q->n)
        return renew(run, f);
    int begun = tame_stream_refit_next(run->stream, &want);
    if (!begun) {
        TRY(tame_stream_refit_begin(run->stream, q->refit[q->at], f));
        begun = tame_stream_refit_next(run->stream, &want);
    }
    const int last = want.step + 1 == want.steps;
    TRY(train(run, &want, f));
    q->at += last != 0;
    return STATUS_OK;
}
