#include "daemon/worker/worker_terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/worker/worker_train.h"
#include "learners/methods/ridge/ridge_terms.h"
#include "learners/methods/tame/tame_learner.h"
#include "proto/seal/hash.h"

#define LEARNER_ROUTER "ridge"
#define KIND_ROUTER    "router"

/* Of five samples of an expert, the router's penalty is chosen on one. */
#define VALID_SHARE 5

/* ---------------------------------------------------------------- rows */

void worker_rows_fini(struct worker_rows *rows)
{
    sysio_free(rows->keys);
    sysio_free(rows->labels);
    sysio_free(rows->classes);
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Samples that gave the expert a gradient, each once. */
static enum status
read_keys(const struct learner_part *expert, struct worker_rows *t, struct fault *f)
{
    uint64_t n, unique = 0;
    TRY(tame_learner_trained(expert->bytes, expert->size, NULL, 0, &n, f));
    t->keys = sysio_alloc((size_t)n + 1, sizeof *t->keys);
    if (!t->keys)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for %llu keys", (unsigned long long)n);
    TRY(tame_learner_trained(expert->bytes, expert->size, t->keys, n, &n, f));
    qsort(t->keys, (size_t)n, sizeof *t->keys, compare_keys);
    for (uint64_t i = 0; i < n; i++)
        if (unique == 0 || t->keys[unique - 1] != t->keys[i])
            t->keys[unique++] = t->keys[i];
    t->n_keys = (size_t)unique;
    return STATUS_OK;
}

/* Puts the rows of these samples into job->rows; returns how many of them are there. */
static size_t split_rows(struct worker_job *job, struct worker_rows *t, uint8_t *found)
{
    uint32_t *train = job->rows, *valid = job->rows + job->images.n;
    size_t n = 0;
    t->train.rows = train;
    t->valid.rows = valid;
    for (uint32_t i = 0; i < job->spec.sets[JOB_SET_TASK_TRAIN].n; i++) {
        const uint32_t row = worker_job_row(job, JOB_SET_TASK_TRAIN, i);
        const uint64_t *key = &job->keys[row];
        const uint64_t *at =
            *key ? bsearch(key, t->keys, t->n_keys, sizeof *key, compare_keys) : NULL;
        if (!at)
            continue;
        n += !found[at - t->keys];
        found[at - t->keys] = 1;
        if (*key % VALID_SHARE == 0)
            valid[t->valid.n++] = row;
        else
            train[t->train.n++] = row;
    }
    return n;
}

/* A class whose few images all fell to the fifth that validates is fitted with them. */
static enum status fit_every_class(struct worker_job *job, struct worker_rows *t, struct fault *f)
{
    uint32_t *train = job->rows, *valid = job->rows + job->images.n, kept = 0;
    uint8_t *fitted = sysio_alloc((size_t)job->spec.n_classes + 1, 1);
    if (!fitted)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for the classes of an expert");
    for (uint32_t i = 0; i < t->train.n; i++)
        fitted[job->images.labels[train[i]]] = 1;
    for (uint32_t i = 0; i < t->valid.n; i++) {
        const uint32_t row = valid[i];
        if (fitted[job->images.labels[row]])
            valid[kept++] = row;
        else
            train[t->train.n++] = row;
    }
    t->valid.n = kept;
    sysio_free(fitted);
    return STATUS_OK;
}

/* Without all of them the terms would not be those of the expert. */
static enum status
find_rows(struct worker_job *job, const char *expert, struct worker_rows *t, struct fault *f)
{
    uint8_t *found = sysio_alloc(t->n_keys + 1, 1);
    if (!found)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for %zu samples", t->n_keys);
    const size_t n = split_rows(job, t, found);
    sysio_free(found);
    if (n < t->n_keys)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data",
             "of the %zu images that expert %s learned from %zu are no longer imported", t->n_keys,
             expert, t->n_keys - n);
    return fit_every_class(job, t, f);
}

/* Numbers the classes of the rows, in the order of the job's. */
static enum status number_classes(struct worker_job *job, struct worker_rows *t, struct fault *f)
{
    const uint32_t n = job->spec.n_classes;
    const struct learner_rows *lists[] = {&t->train, &t->valid};
    int32_t *number = sysio_alloc((size_t)n + 1, sizeof *number);
    t->labels = sysio_alloc((size_t)job->images.n + 1, sizeof *t->labels);
    t->classes = sysio_alloc((size_t)n + 1, sizeof *t->classes);
    if (!t->labels || !t->classes || !number) {
        sysio_free(number);
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for the classes of an expert");
    }
    for (size_t l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->n; i++)
            number[job->images.labels[lists[l]->rows[i]]] = 1;
    for (uint32_t k = 0; k < n; k++)
        if (number[k]) {
            number[k] = (int32_t)t->n_classes;
            t->classes[t->n_classes++] = job->spec.classes[k].name;
        }
    for (size_t l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->n; i++)
            t->labels[lists[l]->rows[i]] = number[job->images.labels[lists[l]->rows[i]]];
    sysio_free(number);
    return STATUS_OK;
}

enum status worker_rows_find(struct worker_job *job,
                             const struct learner_part *expert,
                             struct worker_rows *ret_rows,
                             struct fault *f)
{
    *ret_rows = (struct worker_rows){0};
    TRY(read_keys(expert, ret_rows, f));
    TRY(find_rows(job, expert->name, ret_rows, f));
    return number_classes(job, ret_rows, f);
}

/* ---------------------------------------------------------------- terms */

static struct digest name_rows(const struct worker_job *job, const struct worker_rows *t)
{
    const size_t bytes = (size_t)job->images.size * job->images.size * job->images.channels;
    struct seal_hasher h;
    seal_hash_init(&h);
    for (uint32_t i = 0; i < t->train.n; i++) {
        const char *label = t->classes[t->labels[t->train.rows[i]]];
        seal_hash_update(&h, job->images.pixels + t->train.rows[i] * bytes, bytes);
        seal_hash_update(&h, label, strlen(label));
    }
    return seal_hash_final(&h);
}

static enum status run_terms(struct worker_job *job,
                             const struct learner_trunk *trunk,
                             const char *name,
                             const struct worker_rows *t,
                             struct fault *f)
{
    struct learner_outcome outcome;
    struct learner_problem p = {.trunk = *trunk,
                                .name = name,
                                .images = worker_base_images(job),
                                .n_classes = t->n_classes,
                                .classes = t->classes,
                                .memory = name_rows(job, t)};
    p.images.labels = t->labels;
    p.lists[LEARNER_TRAIN] = t->train;
    p.lists[LEARNER_VALID] = t->valid;
    return worker_run_learner(job, learner_find(LEARNER_ROUTER), &p, &outcome, f);
}

enum status worker_terms_make(struct worker_job *job,
                              const struct learner_trunk *trunk,
                              const struct learner_part *expert,
                              struct fault *f)
{
    static const struct learner_outcome nothing;
    struct job_owner owner = {.kind = TAME_EXPERT_KIND};
    char name[JOB_OWNER_TEXT_SIZE];
    struct worker_rows rows;
    (void)snprintf(owner.name, sizeof owner.name, "%s", expert->name);
    job_owner_text(&owner, name);
    if (expert->size == 0) {
        const struct learner_part gone = {.kind = KIND_ROUTER, .name = name};
        return worker_keep_part(job, &gone, &nothing, f);
    }
    enum status st = worker_rows_find(job, expert, &rows, f);
    if (st == STATUS_OK)
        st = run_terms(job, trunk, name, &rows, f);
    worker_rows_fini(&rows);
    return st;
}

/* ---------------------------------------------------------------- terms that came as a file */

/* Takes the keys of `before` out. */
static enum status
leave_new(const struct learner_part *before, struct worker_rows *t, struct fault *f)
{
    struct worker_rows old = {0};
    size_t n = 0, at = 0;
    const enum status st = read_keys(before, &old, f);
    for (size_t i = 0; i < t->n_keys && st == STATUS_OK; i++) {
        while (at < old.n_keys && old.keys[at] < t->keys[i])
            at++;
        if (at == old.n_keys || old.keys[at] != t->keys[i])
            t->keys[n++] = t->keys[i];
    }
    t->n_keys = n;
    worker_rows_fini(&old);
    return st;
}

static struct learner_part made_terms(const struct worker_job *job, const char *name)
{
    for (uint32_t i = 0; i < job->n_made; i++)
        if (strcmp(job->made[i].kind, KIND_ROUTER) == 0 && strcmp(job->made[i].name, name) == 0)
            return (struct learner_part){.bytes = job->made[i].bytes, .size = job->made[i].size};
    return (struct learner_part){.size = 0};
}

/* The new sums in job->made, if there are any: *ret_more, else empty. */
static enum status count_new(struct worker_job *job,
                             const struct learner_trunk *trunk,
                             const struct learner_part *expert,
                             const struct learner_part *before,
                             const char *name,
                             struct learner_part *ret_more,
                             struct fault *f)
{
    struct worker_rows rows = {0};
    enum status st = read_keys(expert, &rows, f);
    if (st == STATUS_OK)
        st = leave_new(before, &rows, f);
    if (st == STATUS_OK && rows.n_keys > 0) {
        st = find_rows(job, expert->name, &rows, f);
        if (st == STATUS_OK)
            st = number_classes(job, &rows, f);
        if (st == STATUS_OK)
            st = run_terms(job, trunk, name, &rows, f);
        if (st == STATUS_OK)
            *ret_more = made_terms(job, name);
    }
    worker_rows_fini(&rows);
    return st;
}

/* Keeps the terms, unless they are what is there already. */
static enum status keep_terms(struct worker_job *job,
                              const struct learner_part *old,
                              const struct ridge_terms *t,
                              struct fault *f)
{
    static const struct learner_outcome nothing;
    const size_t size = ridge_terms_encoded_size(t);
    void *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "router", "no memory for terms of %zu bytes", size);
    ridge_terms_encode(t, bytes, size);
    const struct learner_part part = {
        .kind = KIND_ROUTER, .name = old->name, .bytes = bytes, .size = size};
    enum status st = STATUS_OK;
    if (size != old->size || memcmp(bytes, old->bytes, size) != 0)
        st = worker_keep_part(job, &part, &nothing, f);
    sysio_free(bytes);
    return st;
}

/* Old and new sums together. */
static enum status merge_terms(struct worker_job *job,
                               const struct learner_part *old,
                               const struct ridge_terms *a,
                               const struct ridge_terms *b,
                               struct fault *f)
{
    const struct digest both[2] = {a->origin.data, b->origin.data};
    const size_t plan = ridge_terms_merge_plan(a, b);
    struct ridge_terms sum;
    struct arena arena;
    TRY(worker_job_claim(job, plan, "router terms", f));
    void *memory = sysio_alloc(plan, 1);
    enum status st = STATUS_NO_MEMORY;
    if (memory) {
        arena_init(&arena, memory, plan);
        st = ridge_terms_merge(a, b, &arena, &sum, f);
        if (st == STATUS_OK) {
            sum.origin.data = seal_hash(both, sizeof both);
            st = keep_terms(job, old, &sum, f);
        }
        arena_fini(&arena);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, "router", "no memory to add router terms");
    }
    sysio_free(memory);
    worker_job_release(job, plan);
    return st;
}

static enum status add_terms(struct worker_job *job,
                             const struct learner_trunk *trunk,
                             const struct learner_part *old,
                             const struct learner_part *more,
                             struct arena *arena,
                             struct fault *f)
{
    struct ridge_terms a, b;
    TRY(ridge_terms_decode(old->bytes, old->size, arena, &a, f));
    a.origin.state = trunk->state;
    if (more->size == 0)
        return keep_terms(job, old, &a, f);
    TRY(ridge_terms_decode(more->bytes, more->size, arena, &b, f));
    return merge_terms(job, old, &a, &b, f);
}

enum status worker_terms_extend(struct worker_job *job,
                                const struct learner_trunk *trunk,
                                const struct learner_part *expert,
                                const struct learner_part *before,
                                const struct learner_part *terms,
                                struct fault *f)
{
    struct learner_part more = {.size = 0};
    struct arena arena;
    if (terms->size == 0)
        FAIL(f, STATUS_DATA_LOSS, "router", "expert %s has no router terms", expert->name);
    TRY(count_new(job, trunk, expert, before, terms->name, &more, f));
    struct arena_plan p = {0};
    arena_plan_add(&p, ridge_terms_decode_plan(terms->bytes, terms->size), 1);
    if (more.size > 0)
        arena_plan_add(&p, ridge_terms_decode_plan(more.bytes, more.size), 1);
    const size_t plan = arena_plan_bytes(&p);
    TRY(worker_job_claim(job, plan, "router terms", f));
    void *memory = sysio_alloc(plan, 1);
    enum status st = STATUS_NO_MEMORY;
    if (memory) {
        arena_init(&arena, memory, plan);
        st = add_terms(job, trunk, terms, &more, &arena, f);
        arena_fini(&arena);
    } else {
        (void)fault_set(f, st, __FILE__, __LINE__, "router", "no memory to read router terms");
    }
    sysio_free(memory);
    worker_job_release(job, plan);
    return st;
}
