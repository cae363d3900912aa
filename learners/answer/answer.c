#include "learners/answer/answer_internal.h"

#include "daemon/base/invariant.h"

#include <string.h>

static const char *const bank_kinds[ANSWER_BANKS] = {"lane", "expert", "ridge", "router"};
static const enum answer_kind owner_kinds[ANSWER_BANKS] = {ANSWER_LANE, ANSWER_EXPERT,
                                                           ANSWER_RIDGE};

/* Which bank a part belongs to, ANSWER_BANKS: none. */
static uint32_t bank_of(const char *kind)
{
    uint32_t b = 0;
    while (b < ANSWER_BANKS && strcmp(bank_kinds[b], kind) != 0)
        b++;
    return b;
}

/* Erasures are in the trunk's weights already. */
static int is_skipped(const struct learner_part *part)
{
    return strcmp(part->kind, "erasure") == 0;
}

static const struct learner *find_learner(const struct answer_parts *p, const char *kind)
{
    return p->lookup ? p->lookup(kind) : learner_of_kind(kind);
}

/* ------------------------------------------------------------------ plan */

/* A label takes at least a byte of its record. */
static size_t labels_max(const struct answer_parts *p)
{
    size_t n = p->trunk.config.classes;
    for (uint32_t i = 0; i < p->n_parts && n < ANSWER_LABELS_MAX; i++)
        n = p->parts[i].size < ANSWER_LABELS_MAX ? n + p->parts[i].size : ANSWER_LABELS_MAX;
    return n < ANSWER_LABELS_MAX ? n : ANSWER_LABELS_MAX;
}

static size_t name_bytes(const struct learner_part *part)
{
    return strlen(part->kind) + 1 + strlen(part->name) + 1;
}

/* The learner of routers if their parts answer together only and there are any; else NULL. */
static const struct learner *find_joiner(const struct answer_parts *p)
{
    const struct learner *l = find_learner(p, bank_kinds[ANSWER_BANK_ROUTER]);
    for (uint32_t i = 0; i < p->n_parts && l && l->join; i++)
        if (bank_of(p->parts[i].kind) == ANSWER_BANK_ROUTER)
            return l;
    return NULL;
}

/* What import takes of each part, and names. */
static void plan_parts(const struct answer_parts *p, struct arena_plan *plan)
{
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct learner_part *part = &p->parts[i];
        const uint32_t b = bank_of(part->kind);
        const struct learner *l = b < ANSWER_BANKS ? find_learner(p, part->kind) : NULL;
        arena_plan_add(plan, name_bytes(part), 1);
        if (l && !(b == ANSWER_BANK_ROUTER && l->join))
            arena_plan_add(plan, l->import_plan(part, &p->trunk), 1);
    }
}

size_t answer_plan(const struct answer_parts *p, uint32_t threads, size_t *ret_scratch)
{
    const struct learner *joiner = find_joiner(p);
    struct arena_plan plan = {0};
    arena_plan_add(&plan, 1, sizeof(struct answer));
    arena_plan_add(&plan, (size_t)p->n_parts + 1, sizeof(struct answer_owner));
    arena_plan_add(&plan, labels_max(p), sizeof(struct answer_label));
    arena_plan_add(&plan, ANSWER_LABELS_MAX, sizeof(uint32_t));
    for (uint32_t b = 0; b < ANSWER_BANKS; b++) {
        arena_plan_add(&plan, p->n_parts, sizeof(struct learner_model *));
        arena_plan_add(&plan, p->n_parts, sizeof(uint32_t));
    }
    plan_parts(p, &plan);
    *ret_scratch = 0;
    if (joiner)
        arena_plan_add(&plan,
                       joiner->join_plan(p->parts, p->n_parts, &p->trunk, threads, ret_scratch), 1);
    const size_t bytes = arena_plan_bytes(&plan);
    return bytes >= SIZE_MAX - ARENA_ALIGN ? SIZE_MAX : bytes;
}

/* ------------------------------------------------------------------ importing */

static enum status no_memory(struct fault *f)
{
    FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
}

static enum status check_part(const struct answer_parts *p, uint32_t i, struct fault *f)
{
    const struct learner_part *part = &p->parts[i];
    const uint32_t b = bank_of(part->kind);
    if (b == ANSWER_BANKS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "a component of kind %.32s cannot answer",
             part->kind);
    if (!find_learner(p, part->kind))
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "no learner reads components of kind %.32s",
             part->kind);
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(p->parts[j].kind, part->kind) != 0)
            continue;
        if (strcmp(p->parts[j].name, part->name) == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "name", "there are two of the name %s %.64s",
                 part->kind, part->name);
    }
    return STATUS_OK;
}

/* "KIND:NAME" */
static const char *owner_name(const struct learner_part *part, struct arena *arena)
{
    const size_t kind = strlen(part->kind), name = strlen(part->name);
    char *text = arena_alloc(arena, name_bytes(part), 1);
    if (!text)
        return NULL;
    memcpy(text, part->kind, kind);
    text[kind] = ':';
    memcpy(text + kind + 1, part->name, name + 1);
    return text;
}

static enum status import_model(struct answer *a,
                                const struct answer_parts *p,
                                const struct learner_part *part,
                                struct arena *arena,
                                struct fault *f)
{
    struct answer_bank *bank = &a->banks[bank_of(part->kind)];
    bank->learner = find_learner(p, part->kind);
    const enum status st = bank->learner->import(part, &a->trunk, arena, &bank->models[bank->n], f);
    if (st != STATUS_OK) {
        fault_prefix(f, "%s %.64s", part->kind, part->name);
        return st;
    }
    bank->n++;
    return STATUS_OK;
}

static enum status
add_owner(struct answer *a, const struct learner_part *part, struct arena *arena, struct fault *f)
{
    struct answer_bank *bank = &a->banks[bank_of(part->kind)];
    const struct learner *l = bank->learner;
    const struct learner_model *m = bank->models[bank->n - 1];
    const char *const *names;
    const uint32_t n = l->labels(m, &names);
    const char *name = owner_name(part, arena);
    if (!name)
        return no_memory(f);
    if (n == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "%.64s answers with no label", name);
    if (n > ANSWER_LABELS_MAX - a->n_labels)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "labels", "the version has more than %d labels",
             ANSWER_LABELS_MAX);
    bank->owners[bank->n - 1] = a->n_owners;
    a->owners[a->n_owners++] =
        (struct answer_owner){.kind = owner_kinds[bank - a->banks],
                              .name = name,
                              .component = name + strlen(part->kind) + 1,
                              .first = a->n_labels,
                              .n_labels = n,
                              .several = l->threshold && l->threshold(m, 0) >= 0.0f};
    a->n_labels += n;
    return STATUS_OK;
}

static enum status join_router(struct answer *a,
                               const struct answer_parts *p,
                               const struct learner_tools *tools,
                               struct arena *scratch,
                               struct fault *f)
{
    const struct learner *l = find_joiner(p);
    struct answer_bank *bank = &a->banks[ANSWER_BANK_ROUTER];
    if (!l)
        return STATUS_OK;
    const struct arena_mark start = arena_mark(scratch);
    const enum status st =
        l->join(p->parts, p->n_parts, &a->trunk, tools, scratch, &bank->models[0], f);
    arena_rewind(scratch, start);
    if (st != STATUS_OK) {
        fault_prefix(f, "router");
        return st;
    }
    bank->learner = l;
    bank->n = 1;
    return STATUS_OK;
}

static enum status import_parts(struct answer *a,
                                const struct answer_parts *p,
                                const struct learner_tools *tools,
                                struct arena *scratch,
                                struct fault *f)
{
    const int joins = find_joiner(p) != NULL;
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct learner_part *part = &p->parts[i];
        if (is_skipped(part))
            continue;
        TRY(check_part(p, i, f));
        const int router = bank_of(part->kind) == ANSWER_BANK_ROUTER;
        if (!router || !joins)
            TRY(import_model(a, p, part, tools->arena, f));
        if (!router)
            TRY(add_owner(a, part, tools->arena, f));
    }
    return join_router(a, p, tools, scratch, f);
}

/* ------------------------------------------------------------------ labels */

static void fill_owner_labels(struct answer *a,
                              uint32_t owner,
                              const struct learner *l,
                              const struct learner_model *m)
{
    const struct answer_owner *o = &a->owners[owner];
    const char *const *names;
    const uint32_t n = l->labels(m, &names);
    INVARIANT(n == o->n_labels);
    for (uint32_t k = 0; k < n; k++)
        a->labels[o->first + k] = (struct answer_label){
            .name = names[k], .owner = owner, .threshold = o->several ? l->threshold(m, k) : 0.0f};
}

static enum status fill_labels(struct answer *a, struct arena *arena, struct fault *f)
{
    a->labels = arena_alloc(arena, a->n_labels, sizeof *a->labels);
    if (!a->labels)
        return no_memory(f);
    for (uint32_t k = 0; k < a->trunk.config.classes; k++)
        a->labels[k] = (struct answer_label){.name = a->trunk.labels[k]};
    for (uint32_t b = 0; b < ANSWER_BANK_ROUTER; b++)
        for (uint32_t m = 0; m < a->banks[b].n; m++)
            fill_owner_labels(a, a->banks[b].owners[m], a->banks[b].learner, a->banks[b].models[m]);
    return STATUS_OK;
}

/* Lists are usually in the same order: the search starts behind what was found last. */
static uint32_t
find_label_from(const struct answer *a, uint32_t owner, const char *name, uint32_t start)
{
    const struct answer_owner *o = &a->owners[owner];
    for (uint32_t i = 0; i < o->n_labels; i++) {
        const uint32_t k = (start + i) % o->n_labels;
        if (strcmp(a->labels[o->first + k].name, name) == 0)
            return o->first + k;
    }
    return ANSWER_NONE;
}

static uint32_t find_owner_n(const struct answer *a, const char *name, size_t length)
{
    for (uint32_t o = 0; o < a->n_owners; o++)
        if (strncmp(a->owners[o].name, name, length) == 0 && a->owners[o].name[length] == '\0')
            return o;
    return ANSWER_NONE;
}

/* Where a label of the router is in the label table; `last` is a guess, and the next one. */
static enum status
map_label(struct answer *a, const char *name, uint32_t *last, uint32_t *ret_label, struct fault *f)
{
    const char *split = strchr(name, ANSWER_LABEL_SEPARATOR);
    if (!split)
        FAIL(f, STATUS_INVALID_ARGUMENT, "router", "label %.64s of the router names no owner",
             name);
    const uint32_t o = find_owner_n(a, name, (size_t)(split - name));
    *ret_label = o == ANSWER_NONE ? ANSWER_NONE : find_label_from(a, o, split + 1, *last);
    if (*ret_label == ANSWER_NONE)
        return STATUS_OK;
    a->owners[o].routed = 1;
    *last = *ret_label - a->owners[o].first + 1;
    return STATUS_OK;
}

static enum status map_router(struct answer *a, struct arena *arena, struct fault *f)
{
    const struct answer_bank *bank = &a->banks[ANSWER_BANK_ROUTER];
    const char *const *names;
    for (uint32_t m = 0; m < bank->n; m++) {
        const uint32_t n = bank->learner->labels(bank->models[m], &names);
        if (n > ANSWER_LABELS_MAX - a->n_router)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "router", "the router has more than %d labels",
                 ANSWER_LABELS_MAX);
        a->n_router += n;
    }
    a->router = arena_alloc(arena, a->n_router, sizeof *a->router);
    if (!a->router)
        return no_memory(f);
    uint32_t last = 0, at = 0;
    for (uint32_t m = 0; m < bank->n; m++) {
        const uint32_t n = bank->learner->labels(bank->models[m], &names);
        for (uint32_t k = 0; k < n; k++)
            TRY(map_label(a, names[k], &last, &a->router[at++], f));
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ making */

static enum status
take_lists(struct answer *a, const struct answer_parts *p, struct arena *arena, struct fault *f)
{
    a->owners = arena_alloc_zero(arena, (size_t)p->n_parts + 1, sizeof *a->owners);
    int complete = a->owners != NULL;
    for (uint32_t b = 0; b < ANSWER_BANKS; b++) {
        a->banks[b].models = arena_alloc(arena, p->n_parts, sizeof *a->banks[b].models);
        a->banks[b].owners = arena_alloc(arena, p->n_parts, sizeof *a->banks[b].owners);
        complete = complete && a->banks[b].models && a->banks[b].owners;
    }
    return complete ? STATUS_OK : no_memory(f);
}

static enum status fill(struct answer *a,
                        const struct answer_parts *p,
                        const struct learner_tools *tools,
                        struct arena *scratch,
                        struct fault *f)
{
    a->magic = ANSWER_MAGIC;
    a->trunk = p->trunk;
    TRY(take_lists(a, p, tools->arena, f));
    a->n_owners = 1;
    a->n_labels = p->trunk.config.classes;
    a->owners[0] = (struct answer_owner){.kind = ANSWER_BASE,
                                         .name = "base",
                                         .component = "base",
                                         .n_labels = p->trunk.config.classes};
    TRY(import_parts(a, p, tools, scratch, f));
    TRY(fill_labels(a, tools->arena, f));
    return map_router(a, tools->arena, f);
}

enum status answer_new(const struct answer_parts *p,
                       const struct learner_tools *tools,
                       struct arena *scratch,
                       struct answer **ret_answer,
                       struct fault *f)
{
    const struct arena_mark start = arena_mark(tools->arena);
    struct answer *a = arena_alloc_zero(tools->arena, 1, sizeof *a);
    const enum status st = a ? fill(a, p, tools, scratch, f) : no_memory(f);
    if (st != STATUS_OK) {
        arena_rewind(tools->arena, start);
        return st;
    }
    *ret_answer = a;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ asking */

uint32_t answer_owners(const struct answer *a, const struct answer_owner **ret_owners)
{
    *ret_owners = a->owners;
    return a->n_owners;
}

uint32_t answer_labels(const struct answer *a, const struct answer_label **ret_labels)
{
    *ret_labels = a->labels;
    return a->n_labels;
}

uint32_t answer_find_owner(const struct answer *a, const char *name)
{
    return find_owner_n(a, name, strlen(name));
}

uint32_t answer_find_label(const struct answer *a, uint32_t owner, const char *name)
{
    INVARIANT(owner < a->n_owners);
    return find_label_from(a, owner, name, 0);
}

uint32_t answer_router_labels(const struct answer *a, const uint32_t **ret_labels)
{
    *ret_labels = a->router;
    return a->n_router;
}

/* An expert is of its stream, and may be asked for alone. */
static int of_stream(const struct answer_owner *o, const char *stream)
{
    const size_t n = strlen(stream);
    return o->kind == ANSWER_EXPERT && n > 0 && strncmp(o->component, stream, n) == 0 &&
           (o->component[n] == '\0' || learner_stream_length(o->component) == n);
}

enum status
answer_scope(const struct answer *a, const char *scope, uint8_t *wanted, struct fault *f)
{
    const int stream = strncmp(scope, "stream:", 7) == 0, lanes = strcmp(scope, "lanes") == 0;
    const int all = scope[0] == '\0' || strcmp(scope, "all") == 0;
    if (!stream && !lanes && !all && strcmp(scope, "base") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "scope", "must be base, lanes, stream:NAME or all");
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n_owners; i++) {
        const struct answer_owner *o = &a->owners[i];
        const int task = o->kind == ANSWER_LANE || o->kind == ANSWER_RIDGE;
        wanted[i] = (uint8_t)(all || (lanes    ? task
                                      : stream ? of_stream(o, scope + 7)
                                               : o->kind == ANSWER_BASE));
        n += wanted[i];
    }
    if (n == 0 && lanes)
        FAIL(f, STATUS_NOT_FOUND, "scope", "this version has no lanes");
    if (n == 0)
        FAIL(f, STATUS_NOT_FOUND, "scope", "this version has no stream %.64s", scope + 7);
    return STATUS_OK;
}
