/* Workspaces and runs: one layout function serves the plan and the arena. */
#include "learners/answer/answer_internal.h"

#include "daemon/base/invariant.h"

#include <string.h>

/* ------------------------------------------------------------------ memory */

/* Either hands out memory from `arena`, or (arena NULL) only adds up. */
struct answer_taker {
    struct arena *arena;
    struct arena_plan plan;
    int failed;
};

static void *take(struct answer_taker *t, size_t count, size_t size)
{
    if (!t->arena) {
        arena_plan_add(&t->plan, count, size);
        return NULL;
    }
    void *p = arena_alloc(t->arena, count, size);
    if (!p)
        t->failed = 1;
    return p;
}

static float *take_floats(struct answer_taker *t, size_t images, size_t floats)
{
    size_t n;
    return take(t, size_mul(images, floats, &n) ? n : SIZE_MAX, sizeof(float));
}

/* ------------------------------------------------------------------ who is asked */

/* Counts that the layout follows from. */
struct answer_sizes {
    uint32_t n_owners, n_columns;
    uint32_t seats[ANSWER_BANKS]; /* models of each bank; all of the router's or none */
    int base, single, routed, several, features;
};

static int is_wanted(const struct answer_wish *wish, uint32_t owner)
{
    return !wish->wanted || wish->wanted[owner];
}

static struct answer_sizes sizes_of(const struct answer *a, const struct answer_wish *wish)
{
    struct answer_sizes z = {.base = is_wanted(wish, 0), .routed = a->n_router > 0};
    for (uint32_t o = 0; o < a->n_owners; o++) {
        const struct answer_owner *owner = &a->owners[o];
        if (!is_wanted(wish, o))
            continue;
        z.n_owners++;
        z.n_columns += owner->n_labels;
        z.several |= owner->several;
        z.routed &= owner->routed;
        z.seats[ANSWER_BANK_LANES] += owner->kind == ANSWER_LANE;
        z.seats[ANSWER_BANK_EXPERTS] += owner->kind == ANSWER_EXPERT;
        z.seats[ANSWER_BANK_RIDGE] += owner->kind == ANSWER_RIDGE;
    }
    z.single = z.n_owners == 1;
    z.routed &= !z.single;
    z.seats[ANSWER_BANK_ROUTER] = z.routed ? a->banks[ANSWER_BANK_ROUTER].n : 0;
    z.features = wish->features || z.seats[ANSWER_BANK_LANES] || z.seats[ANSWER_BANK_EXPERTS] ||
                 z.seats[ANSWER_BANK_RIDGE] || z.routed;
    return z;
}

/* ------------------------------------------------------------------ layout */

static void
lay_columns(struct answer_forward *w, const struct answer_sizes *z, struct answer_taker *t)
{
    w->labels = take(t, z->n_columns, sizeof *w->labels);
    w->owners = take(t, z->n_owners, sizeof *w->owners);
    w->first = take(t, z->n_owners, sizeof *w->first);
}

static void
lay_seats(struct answer_forward *w, const struct answer_sizes *z, struct answer_taker *t)
{
    for (uint32_t b = 0; b < ANSWER_BANKS; b++) {
        struct answer_seat *s = &w->seats[b];
        s->models = take(t, z->seats[b], sizeof(struct learner_model *));
        s->columns = take(t, z->seats[b], sizeof *s->columns);
        s->widths = take(t, z->seats[b], sizeof *s->widths);
        s->logits = take(t, z->seats[b], sizeof(float *));
    }
}

static void
lay_scores(struct answer_forward *w, const struct answer_sizes *z, struct answer_taker *t)
{
    const struct vit_config *c = &w->answer->trunk.config;
    const size_t n = w->n_max;
    w->raw = take_floats(t, n, z->n_columns);
    if (z->routed || (z->single && z->several))
        w->routed = take_floats(t, n, z->n_columns);
    w->beliefs = take_floats(t, n, z->n_owners);
    w->sums = take(t, z->n_owners, sizeof *w->sums);
    w->opinions = take(t, z->n_columns, sizeof *w->opinions);
    if (z->routed)
        w->router = take_floats(t, n, w->answer->n_router);
    w->chosen = take(t, n, sizeof *w->chosen);
    if (!z->features)
        return;
    w->embeddings = take_floats(t, n, c->width);
    w->taps = take_floats(t, n, (size_t)c->depth * 2 * c->width);
    w->logits = take_floats(t, n, c->classes);
}

/* ------------------------------------------------------------------ seats */

/* Owners, columns and labels in the order of the label table. */
static void fill_columns(struct answer_forward *w, const struct answer_wish *wish)
{
    const struct answer *a = w->answer;
    uint32_t owners = 0, n = 0;
    for (uint32_t o = 0; o < a->n_owners; o++) {
        if (!is_wanted(wish, o))
            continue;
        w->owners[owners] = o;
        w->first[owners++] = n;
        for (uint32_t k = 0; k < a->owners[o].n_labels; k++)
            w->labels[n++] = a->owners[o].first + k;
    }
    w->columns = (struct answer_columns){
        .n = n, .labels = w->labels, .n_owners = owners, .owners = w->owners, .first = w->first};
}

static uint32_t column_of_owner(const struct answer_forward *w, uint32_t owner)
{
    uint32_t i = 0;
    while (w->columns.owners[i] != owner)
        i++;
    return w->columns.first[i];
}

static void fill_seat(struct answer_forward *w, uint32_t b, const struct answer_wish *wish)
{
    const struct answer_bank *bank = &w->answer->banks[b];
    struct answer_seat *s = &w->seats[b];
    for (uint32_t m = 0; m < bank->n; m++) {
        if (!is_wanted(wish, bank->owners[m]))
            continue;
        s->models[s->n] = bank->models[m];
        s->columns[s->n] = column_of_owner(w, bank->owners[m]);
        s->widths[s->n] = w->answer->owners[bank->owners[m]].n_labels;
        s->n++;
    }
    s->learner = s->n > 0 ? bank->learner : NULL;
}

static void fill_router_seat(struct answer_forward *w)
{
    const struct answer_bank *bank = &w->answer->banks[ANSWER_BANK_ROUTER];
    struct answer_seat *s = &w->seats[ANSWER_BANK_ROUTER];
    const char *const *names;
    uint32_t column = 0;
    for (s->n = 0; s->n < bank->n; s->n++) {
        s->models[s->n] = bank->models[s->n];
        s->columns[s->n] = column;
        s->widths[s->n] = bank->learner->labels(bank->models[s->n], &names);
        column += s->widths[s->n];
    }
    s->learner = bank->learner;
}

/* The models' own buffers and the learners' workspaces. */
static enum status
start_seat(struct answer_forward *w, uint32_t b, const struct learner_tools *tools, struct fault *f)
{
    struct answer_seat *s = &w->seats[b];
    struct answer_taker t = {.arena = tools->arena};
    for (uint32_t m = 0; m < s->n; m++)
        s->logits[m] = take_floats(&t, w->n_max, s->widths[m]);
    if (t.failed)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    if (!s->learner)
        return STATUS_OK;
    TRY(s->learner->forward_new(s->models, s->n, &w->answer->trunk, w->n_max, tools, &s->forward,
                                f));
    const struct learner_watch watch = s->learner->watch(s->forward);
    if (watch.observer)
        w->watches[w->n_watches++] = watch;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ plan */

static size_t seat_plan(const struct answer *a,
                        const struct answer_wish *wish,
                        const struct answer_sizes *z,
                        uint32_t b,
                        uint32_t threads)
{
    const struct answer_bank *bank = &a->banks[b];
    struct arena_plan plan = {0};
    if (z->seats[b] == 0)
        return 0;
    for (uint32_t m = 0; m < bank->n; m++) {
        const char *const *names;
        const size_t width = bank->learner->labels(bank->models[m], &names);
        if (b == ANSWER_BANK_ROUTER || is_wanted(wish, bank->owners[m]))
            arena_plan_add(&plan, wish->n_max * width, sizeof(float));
    }
    /* all models of the bank: a subset never needs more */
    arena_plan_add(
        &plan, bank->learner->forward_plan(bank->models, bank->n, &a->trunk, wish->n_max, threads),
        1);
    return arena_plan_bytes(&plan);
}

size_t answer_forward_plan(const struct answer *a, const struct answer_wish *wish, uint32_t threads)
{
    INVARIANT(a->magic == ANSWER_MAGIC);
    const struct answer_sizes z = sizes_of(a, wish);
    struct answer_forward w = {.answer = a, .n_max = wish->n_max};
    struct answer_taker t = {.arena = NULL};
    (void)take(&t, 1, sizeof w);
    lay_columns(&w, &z, &t);
    lay_seats(&w, &z, &t);
    lay_scores(&w, &z, &t);
    arena_plan_add(&t.plan, vit_batch_plan(&a->trunk.config, VIT_INFER, wish->n_max, threads), 1);
    if (z.features)
        arena_plan_add(&t.plan, vit_batch_watch_plan(&a->trunk.config, threads), 1);
    for (uint32_t b = 0; b < ANSWER_BANKS; b++)
        arena_plan_add(&t.plan, seat_plan(a, wish, &z, b, threads), 1);
    const size_t bytes = arena_plan_bytes(&t.plan);
    return bytes >= SIZE_MAX - ARENA_ALIGN ? SIZE_MAX : bytes;
}

/* ------------------------------------------------------------------ making */

static enum status start(struct answer_forward *w,
                         const struct answer_wish *wish,
                         const struct learner_tools *tools,
                         struct fault *f)
{
    const struct answer_sizes z = sizes_of(w->answer, wish);
    struct answer_taker t = {.arena = tools->arena};
    INVARIANT(z.n_owners > 0);
    w->magic = ANSWER_FORWARD_MAGIC;
    w->base = z.base;
    w->decision = z.routed || z.single ? ANSWER_ROUTED : ANSWER_RAW;
    lay_columns(w, &z, &t);
    lay_seats(w, &z, &t);
    lay_scores(w, &z, &t);
    if (t.failed)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    fill_columns(w, wish);
    fill_seat(w, ANSWER_BANK_LANES, wish);
    fill_seat(w, ANSWER_BANK_EXPERTS, wish);
    fill_seat(w, ANSWER_BANK_RIDGE, wish);
    if (z.routed)
        fill_router_seat(w);
    TRY(vit_batch_new(&w->answer->trunk.config, VIT_INFER, w->n_max, tools->pool, tools->arena,
                      &w->batch));
    for (uint32_t b = 0; b < ANSWER_BANKS; b++)
        TRY(start_seat(w, b, tools, f));
    return w->n_watches > 0 ? vit_batch_watch(w->batch, tools->arena) : STATUS_OK;
}

enum status answer_forward_new(const struct answer *a,
                               const struct answer_wish *wish,
                               const struct learner_tools *tools,
                               struct answer_forward **ret_forward,
                               struct fault *f)
{
    INVARIANT(a->magic == ANSWER_MAGIC);
    const struct arena_mark mark = arena_mark(tools->arena);
    struct answer_forward *w = arena_alloc_zero(tools->arena, 1, sizeof *w);
    enum status st = STATUS_NO_MEMORY;
    if (w) {
        w->answer = a;
        w->n_max = wish->n_max;
        st = start(w, wish, tools, f);
    }
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, mark);
        return st;
    }
    *ret_forward = w;
    return STATUS_OK;
}

const struct answer_columns *answer_forward_columns(const struct answer_forward *w)
{
    INVARIANT(w->magic == ANSWER_FORWARD_MAGIC);
    return &w->columns;
}

/* ------------------------------------------------------------------ a run */

static void show_all(void *context, const struct vit_observed *o)
{
    const struct answer_forward *w = context;
    for (uint32_t i = 0; i < w->n_watches; i++)
        w->watches[i].observer(w->watches[i].context, o);
}

static void run_trunk(struct answer_forward *w, uint32_t n, const float *const *images)
{
    const struct vit_input in = {.n = n, .images = images};
    struct vit_output out = {
        .embeddings = w->embeddings, .logits = w->logits ? w->logits : w->raw, .taps = w->taps};
    if (w->n_watches == 1) {
        out.observer = w->watches[0].observer;
        out.observer_context = w->watches[0].context;
    } else if (w->n_watches > 1) {
        out.observer = show_all;
        out.observer_context = w;
    }
    vit_forward(w->batch, w->answer->trunk.weights, &in, &out);
}

/* from [n, width] into columns of to [n, ld] */
static void copy_columns(uint32_t n, const float *from, uint32_t width, float *to, size_t ld)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * ld, from + i * width, width * sizeof *from);
}

static void gather_seat(const struct answer_seat *s, uint32_t n, float *to, size_t ld)
{
    for (uint32_t m = 0; m < s->n; m++)
        copy_columns(n, s->logits[m], s->widths[m], to + s->columns[m], ld);
}

static void gather(struct answer_forward *w, uint32_t n)
{
    if (w->base && w->logits)
        copy_columns(n, w->logits, w->answer->trunk.config.classes, w->raw, w->columns.n);
    gather_seat(&w->seats[ANSWER_BANK_LANES], n, w->raw, w->columns.n);
    gather_seat(&w->seats[ANSWER_BANK_EXPERTS], n, w->raw, w->columns.n);
    gather_seat(&w->seats[ANSWER_BANK_RIDGE], n, w->raw, w->columns.n);
    if (w->router)
        gather_seat(&w->seats[ANSWER_BANK_ROUTER], n, w->router, w->answer->n_router);
}

void answer_run(struct answer_forward *w,
                uint32_t n,
                const float *const *images,
                struct answer_scores *ret_scores)
{
    INVARIANT(w->magic == ANSWER_FORWARD_MAGIC && n <= w->n_max);
    run_trunk(w, n, images);
    const struct learner_stream stream = {.n = n,
                                          .images = images,
                                          .embeddings = w->embeddings,
                                          .taps = w->taps,
                                          .logits = w->logits};
    for (uint32_t b = 0; b < ANSWER_BANKS; b++)
        if (w->seats[b].learner)
            w->seats[b].learner->forward(w->seats[b].forward, &stream, w->seats[b].logits);
    gather(w, n);
    answer_scores_fill(w, n);
    *ret_scores = (struct answer_scores){.n = n,
                                         .raw = w->raw,
                                         .routed = w->routed ? w->routed : w->raw,
                                         .owners = w->decision == ANSWER_ROUTED ? w->beliefs : NULL,
                                         .chosen = w->chosen,
                                         .decision = w->decision,
                                         .router = w->router,
                                         .embeddings = w->embeddings,
                                         .taps = w->taps};
}
