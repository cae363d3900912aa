#include "bench/multilane/session_answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/answer/answer.h"

#define SESSION_CHUNK 64 /* images of a run */

const char *session_decision_name(enum session_decision d)
{
    static const char *const names[SESSION_DECISIONS] = {"routed", "raw", "router"};
    return names[d];
}

enum score_link session_link(enum session_decision d, int several)
{
    return d == SESSION_ROUTED && several ? SCORE_LOG : SCORE_LOGIT;
}

/* ------------------------------------------------------------------ memory */

/* Heap that an arena lies in; not zeroed, it may be large. */
struct room {
    void *memory;
    struct arena arena;
};

static enum status room_take(struct room *r, size_t bytes, struct fault *f)
{
    r->memory = bytes == SIZE_MAX ? NULL : malloc(bytes);
    if (!r->memory)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for %zu bytes", bytes);
    arena_init(&r->arena, r->memory, bytes);
    return STATUS_OK;
}

void session_scores_free(struct session_scores *s)
{
    for (int d = 0; d < SESSION_DECISIONS; d++)
        sysio_free(s->scores[d]);
    sysio_free(s->hot);
    sysio_free(s->owner);
    *s = (struct session_scores){0};
}

/* ------------------------------------------------------------------ the images */

/* What a session is asked about and where its answers go. */
struct session {
    const struct learner_trunk *trunk;
    const struct session_parts *parts;
    const struct protocol_set *set;
    uint32_t *rows; /* [scores->n] */
    struct pool *pool;
    struct session_scores *scores;
    float *pixels; /* [SESSION_CHUNK] images */
    const float *images[SESSION_CHUNK];
    int terms; /* the router is there */
};

/* Takes the rows of a part that show a seen class, and memory for their scores. */
static enum status
session_take(struct session *s, enum protocol_part part, uint32_t tasks, struct fault *f)
{
    const struct protocol_set *set = s->set;
    const uint32_t seen = protocol_first(set->protocol, tasks), k = set->classes;
    const uint32_t most = set->from[part + 1] - set->from[part];
    struct session_scores *x = s->scores;
    int failed = 0;
    s->rows = sysio_alloc(most + 1, sizeof *s->rows);
    s->pixels = sysio_alloc(SESSION_CHUNK * images_floats(&set->images), sizeof *s->pixels);
    x->hot = sysio_alloc(most + 1, k);
    x->owner = s->terms ? sysio_alloc(most + 1, sizeof *x->owner) : NULL;
    for (int d = 0; d < SESSION_DECISIONS; d++) {
        if (d != SESSION_RAW && !s->terms)
            continue;
        x->scores[d] = sysio_alloc((size_t)(most + 1) * k, sizeof(float));
        failed |= !x->scores[d];
    }
    if (failed || !s->rows || !s->pixels || !x->hot || (s->terms && !x->owner))
        FAIL(f, STATUS_NO_MEMORY, "memory", "no memory for the scores of %u images", most);
    for (uint32_t i = set->from[part]; i < set->from[part + 1]; i++)
        if (protocol_set_shows(set, i, 0, seen)) {
            memcpy(x->hot + (size_t)x->n * k, set->hot + (size_t)i * k, k);
            s->rows[x->n++] = i;
        }
    for (int d = 0; d < SESSION_DECISIONS; d++)
        for (size_t i = 0; x->scores[d] && i < (size_t)x->n * k; i++)
            x->scores[d][i] = -INFINITY;
    return STATUS_OK;
}

/* Images from .. of the session, at most a chunk; returns how many. */
static uint32_t session_load(struct session *s, uint32_t from)
{
    const uint32_t left = s->scores->n - from, n = left < SESSION_CHUNK ? left : SESSION_CHUNK;
    const size_t floats = images_floats(&s->set->images);
    for (uint32_t i = 0; i < n; i++) {
        images_load(&s->set->images, s->rows[from + i], s->pixels + i * floats);
        s->images[i] = s->pixels + i * floats;
    }
    return n;
}

/* Number of the class of this name. */
static enum status
class_of(const struct session *s, const char *name, uint32_t *ret_class, struct fault *f)
{
    for (uint32_t c = 0; c < s->set->classes; c++)
        if (strcmp(s->set->names[c], name) == 0) {
            *ret_class = c;
            return STATUS_OK;
        }
    FAIL(f, STATUS_INTERNAL, "labels", "nobody asked for the class %.60s", name);
}

/* ------------------------------------------------------------------ lanes and router */

/* Where the columns of an answer belong. */
struct columns {
    uint32_t of_lane[PROTOCOL_CLASSES];   /* class of a column of raw and routed */
    uint32_t of_router[PROTOCOL_CLASSES]; /* class of a label of the router */
    uint32_t n, n_router;
    const struct answer_columns *answer;
};

static enum status map_columns(const struct session *s,
                               const struct answer *a,
                               const struct answer_forward *w,
                               struct columns *ret_c,
                               struct fault *f)
{
    const struct answer_label *labels;
    const uint32_t *router, n_labels = answer_labels(a, &labels);
    struct columns c = {.answer = answer_forward_columns(w),
                        .n_router = answer_router_labels(a, &router)};
    c.n = c.answer->n;
    if (c.n > PROTOCOL_CLASSES || c.n_router > PROTOCOL_CLASSES)
        FAIL(f, STATUS_INTERNAL, "labels", "%u and %u columns are too many", c.n, c.n_router);
    for (uint32_t i = 0; i < c.n; i++)
        TRY(class_of(s, labels[c.answer->labels[i]].name, &c.of_lane[i], f));
    for (uint32_t i = 0; i < c.n_router; i++) {
        if (router[i] >= n_labels)
            FAIL(f, STATUS_INTERNAL, "labels", "the router answers for nobody");
        TRY(class_of(s, labels[router[i]].name, &c.of_router[i], f));
    }
    *ret_c = c;
    return STATUS_OK;
}

static uint32_t most_believed(const float *owners, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t o = 1; o < n; o++)
        best = owners[o] > owners[best] ? o : best;
    return best;
}

/* One image's answers into row `to`. */
static void keep(struct session *s,
                 const struct columns *c,
                 const struct answer_scores *x,
                 uint32_t i,
                 uint32_t to)
{
    struct session_scores *out = s->scores;
    const size_t at = (size_t)to * s->set->classes, from = (size_t)i * c->n;
    for (uint32_t k = 0; k < c->n; k++) {
        out->scores[SESSION_RAW][at + c->of_lane[k]] = x->raw[from + k];
        if (s->terms)
            out->scores[SESSION_ROUTED][at + c->of_lane[k]] = x->routed[from + k];
    }
    if (!s->terms)
        return;
    for (uint32_t k = 0; x->router && k < c->n_router; k++)
        out->scores[SESSION_ROUTER][at + c->of_router[k]] = x->router[(size_t)i * c->n_router + k];
    if (x->owners) {
        const uint32_t o =
            most_believed(x->owners + (size_t)i * c->answer->n_owners, c->answer->n_owners);
        out->owner[to] = protocol_task_of(s->set->protocol, c->of_lane[c->answer->first[o]]);
    }
}

static enum status run_answer(struct session *s, const struct answer *a, struct fault *f)
{
    uint8_t wanted[PROTOCOL_TASKS + 1];
    struct room room = {0};
    struct answer_forward *w;
    struct columns c = {0};
    const struct answer_wish wish = {.wanted = wanted, .n_max = SESSION_CHUNK};
    TRY(answer_scope(a, "lanes", wanted, f));
    TRY(room_take(&room, answer_forward_plan(a, &wish, pool_threads(s->pool)), f));
    const struct learner_tools tools = {.pool = s->pool, .arena = &room.arena};
    enum status st = answer_forward_new(a, &wish, &tools, &w, f);
    if (st == STATUS_OK)
        st = map_columns(s, a, w, &c, f);
    for (uint32_t from = 0, n; st == STATUS_OK && from < s->scores->n; from += n) {
        struct answer_scores x;
        n = session_load(s, from);
        answer_run(w, n, s->images, &x);
        for (uint32_t i = 0; i < n; i++)
            keep(s, &c, &x, i, from + i);
    }
    free(room.memory);
    return st;
}

static enum status ask_lanes(struct session *s, struct fault *f)
{
    const struct answer_parts parts = {
        .trunk = *s->trunk, .parts = s->parts->parts, .n_parts = s->parts->n_parts};
    struct room room = {0}, scratch = {0};
    struct answer *a;
    size_t bytes;
    const size_t kept = answer_plan(&parts, pool_threads(s->pool), &bytes);
    enum status st = room_take(&room, kept, f);
    if (st == STATUS_OK)
        st = room_take(&scratch, bytes, f);
    const struct learner_tools tools = {.pool = s->pool, .arena = &room.arena};
    if (st == STATUS_OK)
        st = answer_new(&parts, &tools, &scratch.arena, &a, f);
    free(scratch.memory);
    if (st == STATUS_OK)
        st = run_answer(s, a, f);
    free(room.memory);
    return st;
}

/* ------------------------------------------------------------------ the router of one lane */

/* With a single lane there is nothing to route, and an answer does not ask the router. */
static enum status run_router(struct session *s, struct learner_model *model, struct fault *f)
{
    const struct vit_config *c = &s->trunk->config;
    const uint32_t threads = pool_threads(s->pool);
    const char *const *labels;
    const uint32_t k = learner_ridge.labels(model, &labels);
    struct arena_plan plan = {0};
    struct room room = {0};
    struct learner_forward *w;
    struct vit_batch *batch;
    arena_plan_add(&plan, vit_batch_plan(c, VIT_INFER, SESSION_CHUNK, threads), 1);
    arena_plan_add(&plan, learner_ridge.forward_plan(&model, 1, s->trunk, SESSION_CHUNK, threads),
                   1);
    arena_plan_add(&plan, SESSION_CHUNK, (c->width + k) * sizeof(float));
    TRY(room_take(&room, arena_plan_bytes(&plan), f));
    const struct learner_tools tools = {.pool = s->pool, .arena = &room.arena};
    enum status st = learner_ridge.forward_new(&model, 1, s->trunk, SESSION_CHUNK, &tools, &w, f);
    if (st == STATUS_OK)
        st = vit_batch_new(c, VIT_INFER, SESSION_CHUNK, s->pool, &room.arena, &batch);
    float *e = arena_alloc(&room.arena, SESSION_CHUNK, (c->width + k) * sizeof *e);
    if (st == STATUS_OK && !e)
        st = STATUS_NO_MEMORY;
    for (uint32_t from = 0, n; st == STATUS_OK && from < s->scores->n; from += n) {
        const struct learner_watch watch = learner_ridge.watch(w);
        n = session_load(s, from);
        float *logits = e + (size_t)SESSION_CHUNK * c->width;
        const struct vit_input in = {.n = n, .images = s->images};
        const struct vit_output out = {
            .embeddings = e, .observer = watch.observer, .observer_context = watch.context};
        const struct learner_stream stream = {.n = n, .images = s->images, .embeddings = e};
        vit_forward(batch, s->trunk->weights, &in, &out);
        learner_ridge.forward(w, &stream, &logits);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < k && st == STATUS_OK; j++) {
                uint32_t class_index = 0;
                st = class_of(s, strrchr(labels[j], '\x1f') + 1, &class_index, f);
                s->scores
                    ->scores[SESSION_ROUTER][(size_t)(from + i) * s->set->classes + class_index] =
                    logits[(size_t)i * k + j];
            }
    }
    free(room.memory);
    return st;
}

static enum status ask_router(struct session *s, struct fault *f)
{
    const struct session_parts *p = s->parts;
    struct room room = {0}, scratch = {0};
    struct learner_model *model;
    size_t bytes;
    const size_t kept =
        learner_ridge.join_plan(p->parts, p->n_parts, s->trunk, pool_threads(s->pool), &bytes);
    enum status st = room_take(&room, kept, f);
    if (st == STATUS_OK)
        st = room_take(&scratch, bytes, f);
    const struct learner_tools tools = {.pool = s->pool, .arena = &room.arena};
    if (st == STATUS_OK)
        st = learner_ridge.join(p->parts, p->n_parts, s->trunk, &tools, &scratch.arena, &model, f);
    free(scratch.memory);
    if (st == STATUS_OK)
        st = run_router(s, model, f);
    free(room.memory);
    return st;
}

/* ------------------------------------------------------------------ */

static uint32_t count_kind(const struct session_parts *p, const char *kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_parts; i++)
        n += strcmp(p->parts[i].kind, kind) == 0;
    return n;
}

enum status session_answer(const struct learner_trunk *trunk,
                           const struct session_parts *parts,
                           const struct protocol_set *set,
                           enum protocol_part part,
                           uint32_t tasks,
                           struct pool *pool,
                           struct session_scores *ret_scores,
                           struct fault *f)
{
    *ret_scores = (struct session_scores){0};
    struct session s = {.trunk = trunk,
                        .parts = parts,
                        .set = set,
                        .pool = pool,
                        .scores = ret_scores,
                        .terms = count_kind(parts, learner_ridge.kind) > 0};
    enum status st = session_take(&s, part, tasks, f);
    if (st == STATUS_OK)
        st = ask_lanes(&s, f);
    if (st == STATUS_OK && s.terms && count_kind(parts, learner_multilane.kind) == 1)
        st = ask_router(&s, f);
    sysio_free(s.rows);
    sysio_free(s.pixels);
    if (st != STATUS_OK)
        session_scores_free(ret_scores);
    return st;
}
