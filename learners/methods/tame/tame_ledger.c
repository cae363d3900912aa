#include "learners/methods/tame/tame_ledger.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define TAME_STEP_BYTES   29 /* of an entry's header in a record */
#define TAME_SAMPLE_BYTES 12

void tame_ledger_plan(uint64_t steps_max, uint64_t samples_max, struct arena_plan *p)
{
    arena_plan_add(p, steps_max, sizeof(struct tame_step));
    arena_plan_add(p, samples_max, sizeof(uint64_t));
    arena_plan_add(p, samples_max, sizeof(uint32_t));
}

int tame_ledger_new(uint64_t steps_max,
                    uint64_t samples_max,
                    struct arena *arena,
                    struct tame_ledger *ret_ledger)
{
    struct tame_ledger l = {.steps_max = steps_max, .samples_max = samples_max};
    l.steps = arena_alloc(arena, steps_max, sizeof *l.steps);
    l.ids = arena_alloc(arena, samples_max, sizeof *l.ids);
    l.labels = arena_alloc(arena, samples_max, sizeof *l.labels);
    if (!l.steps || !l.ids || !l.labels)
        return 0;
    *ret_ledger = l;
    return 1;
}

int tame_ledger_room(const struct tame_ledger *l, uint64_t steps, uint64_t samples)
{
    return steps <= l->steps_max - l->n_steps && samples <= l->samples_max - l->n_samples;
}

void tame_ledger_append(struct tame_ledger *l,
                        const struct tame_step *step,
                        const uint64_t *ids,
                        const uint32_t *labels)
{
    INVARIANT(tame_ledger_room(l, 1, step->n));
    struct tame_step *to = &l->steps[l->n_steps++];
    *to = *step;
    to->at = l->n_samples;
    memcpy(l->ids + to->at, ids, step->n * sizeof *ids);
    memcpy(l->labels + to->at, labels, step->n * sizeof *labels);
    l->n_samples += step->n;
}

uint64_t tame_ledger_next(const struct tame_ledger *l, uint32_t expert, uint64_t from)
{
    while (from < l->n_steps && l->steps[from].expert != expert)
        from++;
    return from;
}

void tame_ledger_count(const struct tame_ledger *l,
                       uint32_t expert,
                       const struct tame_cut *cut,
                       uint64_t *ret_all,
                       uint64_t *ret_hit)
{
    *ret_all = *ret_hit = 0;
    for (uint64_t i = tame_ledger_next(l, expert, 0); i < l->n_steps;
         i = tame_ledger_next(l, expert, i + 1)) {
        const struct tame_step *s = &l->steps[i];
        *ret_all += s->n;
        for (uint64_t k = s->at; k < s->at + s->n; k++)
            *ret_hit += tame_cut_hits(cut, l->labels[k], l->ids[k]) != 0;
    }
}

/* Copies what stays of step `s` to the end of the compacted lists. */
static uint32_t keep_samples(struct tame_ledger *l,
                             const struct tame_step *s,
                             const struct tame_cut *cut,
                             uint64_t to)
{
    const int all = cut->n_classes == 0 && cut->n_ids == 0;
    uint32_t n = 0;
    for (uint64_t k = s->at; k < s->at + s->n; k++) {
        if (s->expert == cut->expert && (all || tame_cut_hits(cut, l->labels[k], l->ids[k])))
            continue;
        l->ids[to + n] = l->ids[k];
        l->labels[to + n] = l->labels[k];
        n++;
    }
    return n;
}

void tame_ledger_remove(struct tame_ledger *l, const struct tame_cut *cut)
{
    uint64_t steps = 0, samples = 0;
    int headless = 0; /* the FIRST of a group has gone: the next of it takes its place */
    for (uint64_t i = 0; i < l->n_steps; i++) {
        struct tame_step s = l->steps[i];
        if (s.expert == cut->expert && s.group != TAME_STEP_REST)
            headless = 0;
        const uint32_t n = keep_samples(l, &s, cut, samples);
        if (n == 0) {
            headless |= s.group == TAME_STEP_FIRST;
            continue;
        }
        if (s.expert == cut->expert && headless) {
            s.group = TAME_STEP_FIRST;
            headless = 0;
        }
        s.n = n;
        s.at = samples;
        l->steps[steps++] = s;
        samples += n;
    }
    memset(l->ids + samples, 0, (l->n_samples - samples) * sizeof *l->ids);
    memset(l->labels + samples, 0, (l->n_samples - samples) * sizeof *l->labels);
    l->n_steps = steps;
    l->n_samples = samples;
}

/* ------------------------------------------------------------------ record */

void tame_ledger_put(const struct tame_ledger *l, uint32_t expert, struct byte_writer *w)
{
    uint64_t n = 0;
    for (uint64_t i = tame_ledger_next(l, expert, 0); i < l->n_steps;
         i = tame_ledger_next(l, expert, i + 1))
        n++;
    put_u64(w, n);
    for (uint64_t i = tame_ledger_next(l, expert, 0); i < l->n_steps;
         i = tame_ledger_next(l, expert, i + 1)) {
        const struct tame_step *s = &l->steps[i];
        put_u64(w, s->batch);
        put_bytes(w, s->request.b, REQUEST_ID_SIZE);
        put_u8(w, s->group);
        put_u32(w, s->n);
        for (uint64_t k = s->at; k < s->at + s->n; k++) {
            put_u64(w, l->ids[k]);
            put_u32(w, l->labels[k]);
        }
    }
}

static enum status
get_step(struct byte_reader *r, uint32_t expert, struct tame_step *s, struct fault *f)
{
    *s = (struct tame_step){.expert = expert};
    s->batch = get_u64(r);
    get_bytes(r, s->request.b, REQUEST_ID_SIZE);
    s->group = get_u8(r);
    s->n = get_u32(r);
    if (r->failed || s->n == 0 || s->group > TAME_STEP_REST ||
        s->n > (r->size - r->used) / TAME_SAMPLE_BYTES)
        FAIL(f, STATUS_BAD_FORMAT, "ledger", "a step does not fit the record");
    return STATUS_OK;
}

enum status tame_ledger_get(
    struct tame_ledger *l, uint32_t expert, struct byte_reader *r, int commit, struct fault *f)
{
    const uint64_t n = get_u64(r);
    if (r->failed || n > (r->size - r->used) / TAME_STEP_BYTES)
        FAIL(f, STATUS_BAD_FORMAT, "ledger", "more steps than the record holds");
    uint64_t samples = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct tame_step s;
        TRY(get_step(r, expert, &s, f));
        samples += s.n;
        if (!tame_ledger_room(l, commit ? 1 : n, commit ? s.n : samples))
            FAIL(f, STATUS_NO_MEMORY, "ledger", "the memory given is smaller than planned");
        s.at = l->n_samples;
        for (uint32_t k = 0; k < s.n; k++) {
            const uint64_t id = get_u64(r);
            const uint32_t label = get_u32(r);
            if (!commit)
                continue;
            l->ids[s.at + k] = id;
            l->labels[s.at + k] = label;
        }
        if (commit) {
            l->steps[l->n_steps++] = s;
            l->n_samples += s.n;
        }
    }
    return STATUS_OK;
}

void tame_ledger_bound(size_t record_bytes, uint64_t *ret_steps, uint64_t *ret_samples)
{
    *ret_steps = record_bytes / (TAME_STEP_BYTES + TAME_SAMPLE_BYTES);
    *ret_samples = record_bytes / TAME_SAMPLE_BYTES;
}
