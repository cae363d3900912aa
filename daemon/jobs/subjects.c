#include "daemon/jobs/subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "proto/seal/hash.h"
#include "proto/seal/subject.h"

enum status subjects_name(struct store *store,
                          const char *id,
                          struct arena *arena,
                          const char **ret_text,
                          struct fault *f)
{
    struct subject_key key;
    char *text = arena_alloc(arena, SUBJECT_TEXT_SIZE, 1);
    if (!text)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the request");
    TRY(store_subject_key(store, &key, f));
    const struct digest from_public = subject_public(id);
    const struct digest stored = subject_stored(&key, &from_public);
    memset(&key, 0, sizeof key);
    subject_format(&stored, text);
    *ret_text = text;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- one data set */

/* A subject's rows of one data set, for one owner. */
struct part {
    const struct base_model *base;
    const struct version *version;
    struct digest subject;
    const struct dataset *set;
    const char *owner; /* as labels name it; of a stream: its name, for all its experts */
    const char *task;  /* as tombstones name it */
    int is_stream;
    int32_t *map;        /* [classes of the set] number of the label, or -1: not alive here */
    uint32_t *classes;   /* [rows of the set]; NULL: several labels an image */
    uint8_t *hot;        /* [rows of the set, classes of the set]; NULL: one */
    uint32_t *rows;      /* [n] */
    uint8_t *pixels;     /* [n, row bytes] */
    struct digest *keys; /* [n] */
    uint32_t n, erased;
};

static void part_free(struct part *x)
{
    sysio_free(x->map);
    sysio_free(x->classes);
    sysio_free(x->hot);
    sysio_free(x->rows);
    sysio_free(x->pixels);
    sysio_free(x->keys);
}

static enum status no_memory(const struct part *x, struct fault *f)
{
    FAIL(f, STATUS_NO_MEMORY, "subject", "no memory for the rows of %s", x->set->name);
}

static int is_base(const struct part *x)
{
    return strcmp(x->owner, "base") == 0;
}

static int owns(const struct part *x, const char *owner)
{
    return x->is_stream ? version_data_of_stream(owner, x->owner) : strcmp(owner, x->owner) == 0;
}

/* Which of the set's classes are alive, and whose label each is. */
static enum status part_map(struct part *x, struct fault *f)
{
    const struct version *v = x->version;
    x->map = sysio_alloc((size_t)x->set->n_classes + 1, sizeof *x->map);
    if (!x->map)
        return no_memory(x, f);
    if (is_base(x))
        (void)base_data_map(x->set, x->base, x->map);
    for (uint32_t c = 0; c < x->set->n_classes; c++) {
        if (!is_base(x)) {
            x->map[c] = -1;
            for (size_t k = 0; k < v->n_labels; k++)
                if (owns(x, v->labels[k].owner) &&
                    strcmp(v->labels[k].name, x->set->class_names[c]) == 0)
                    x->map[c] = (int32_t)k;
        }
        if (x->map[c] >= 0 && v->labels[x->map[c]].status != VERSION_LABEL_ACTIVE)
            x->map[c] = -1;
    }
    return STATUS_OK;
}

static enum status part_labels(struct kv_txn *txn, struct part *x, struct fault *f)
{
    const size_t bytes = (size_t)dataset_label_bytes(x->set);
    if (x->set->label_kind == DATASET_LABELS_MULTI) {
        x->hot = sysio_alloc(bytes + 1, 1);
        return x->hot ? dataset_read_multi(txn, x->set, x->hot, f) : no_memory(x, f);
    }
    x->classes = sysio_alloc(bytes + 1, 1);
    return x->classes ? dataset_read_classes(txn, x->set, x->classes, f) : no_memory(x, f);
}

/* Labels of a row that are alive, ascending; returns how many there are. */
static uint32_t labels_of(const struct part *x, uint32_t row, uint32_t *to)
{
    const uint32_t classes = x->set->n_classes;
    uint32_t n = 0;
    for (uint32_t c = 0; c < classes; c++) {
        const int has = x->hot ? x->hot[(size_t)row * classes + c] : x->classes[row] == c;
        if (!has || x->map[c] < 0)
            continue;
        uint32_t at = n++;
        for (; at > 0 && to[at - 1] > (uint32_t)x->map[c]; at--)
            to[at] = to[at - 1];
        to[at] = (uint32_t)x->map[c];
    }
    return n;
}

static enum status part_rows(struct kv_txn *txn, struct part *x, struct fault *f)
{
    const uint32_t n = (uint32_t)x->set->n;
    struct digest *people = sysio_alloc((size_t)n + 1, sizeof *people);
    uint32_t *labels = sysio_alloc((size_t)x->set->n_classes + 1, sizeof *labels);
    x->rows = sysio_alloc((size_t)n + 1, sizeof *x->rows);
    enum status st = STATUS_NO_MEMORY;
    if (people && labels && x->rows)
        st = dataset_read_subjects(txn, x->set, people, f);
    else
        (void)no_memory(x, f);
    for (uint32_t i = 0; i < n && st == STATUS_OK; i++)
        if (digest_equal(&people[i], &x->subject) && labels_of(x, i, labels) > 0)
            x->rows[x->n++] = i;
    sysio_free(people);
    sysio_free(labels);
    return st;
}

/* As task_keys.h has it; the base's classes by the base's own names. */
static struct digest key_of(const struct part *x, uint32_t i)
{
    const size_t bytes = (size_t)dataset_row_bytes(x->set);
    const uint8_t *pixels = x->pixels + i * bytes;
    if (x->hot)
        return task_key_of(pixels, bytes, NULL);
    const uint32_t c = x->classes[x->rows[i]];
    return task_key_of(pixels, bytes,
                       is_base(x) ? x->base->labels[x->map[c]] : x->set->class_names[c]);
}

static enum status part_keys(struct kv_txn *txn, struct part *x, struct fault *f)
{
    const size_t bytes = (size_t)dataset_row_bytes(x->set);
    x->pixels = sysio_alloc((size_t)x->n + 1, bytes);
    x->keys = sysio_alloc((size_t)x->n + 1, sizeof *x->keys);
    if (!x->pixels || !x->keys)
        return no_memory(x, f);
    TRY(dataset_read_rows(txn, x->set, x->rows, x->n, x->pixels, f));
    for (uint32_t i = 0; i < x->n; i++)
        x->keys[i] = key_of(x, i);
    return STATUS_OK;
}

/* What earlier requests erased is not erased again. */
static enum status part_drop_erased(struct kv_txn *txn, struct part *x, struct fault *f)
{
    const size_t bytes = (size_t)dataset_row_bytes(x->set);
    struct digest *erased;
    size_t n_erased;
    uint32_t kept = 0;
    TRY(version_data_tombstones(txn, x->version, x->task, &erased, &n_erased, f));
    for (uint32_t i = 0; i < x->n; i++) {
        if (n_erased > 0 &&
            bsearch(&x->keys[i], erased, n_erased, sizeof *erased, task_data_compare)) {
            x->erased++;
            continue;
        }
        x->keys[kept] = x->keys[i];
        x->rows[kept] = x->rows[i];
        memmove(x->pixels + kept * bytes, x->pixels + i * bytes, bytes);
        kept++;
    }
    x->n = kept;
    sysio_free(erased);
    return STATUS_OK;
}

static enum status part_read(struct kv_txn *txn, struct part *x, struct fault *f)
{
    TRY(part_map(x, f));
    TRY(part_labels(txn, x, f));
    TRY(part_rows(txn, x, f));
    if (x->n == 0)
        return STATUS_OK;
    TRY(part_keys(txn, x, f));
    return part_drop_erased(txn, x, f);
}

/* ---------------------------------------------------------------- all of a version */

typedef enum status
part_fn(struct kv_txn *txn, const struct part *x, void *context, struct fault *f);

struct walk {
    struct kv_txn *txn;
    struct part part; /* what all parts have in common */
    part_fn *fn;
    void *context;
};

static enum status walk_set(const struct walk *w,
                            const struct dataset *d,
                            const char *owner,
                            const char *task,
                            struct fault *f)
{
    struct part x = w->part;
    if (!d || dataset_subject_bytes(d) == 0)
        return STATUS_OK;
    x.set = d;
    x.owner = owner;
    x.task = task;
    enum status st = part_read(w->txn, &x, f);
    if (st == STATUS_OK)
        st = w->fn(w->txn, &x, w->context, f);
    part_free(&x);
    return st;
}

static enum status walk_base(const struct walk *w, struct fault *f)
{
    struct base_data data;
    TRY(base_data_find(w->txn, w->part.base, &data, f));
    const enum status st = walk_set(w, data.train, "base", VERSION_ERASED_BASE, f);
    base_data_free(&data);
    return st;
}

static enum status
walk_lane(const struct walk *w, const struct version_component *c, struct fault *f)
{
    char owner[JOB_OWNER_TEXT_SIZE];
    struct dataset *d;
    const char *source = version_data_dataset(w->part.version, c->kind, c->name);
    if (!source)
        return STATUS_OK;
    const enum status found = dataset_get(w->txn, source, DATASET_TRAIN, &d, f);
    if (found == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(found);
    (void)snprintf(owner, sizeof owner, "%.15s:%.63s", c->kind, c->name);
    const enum status st = walk_set(w, d, owner, c->name, f);
    datasets_free(d);
    return st;
}

/* Everything that was pushed to a stream and is still there. */
static enum status
walk_stream(const struct walk *w, const struct version_component *c, struct fault *f)
{
    struct walk of_stream = *w;
    of_stream.part.is_stream = 1;
    for (size_t i = 0; i < c->n_lineage; i++) {
        struct dataset *d;
        if (strcmp(c->lineage[i].kind, "dataset") != 0)
            continue;
        const enum status found = dataset_get(w->txn, c->lineage[i].name, DATASET_TRAIN, &d, f);
        if (found == STATUS_NOT_FOUND)
            continue;
        TRY(found);
        const enum status st = walk_set(&of_stream, d, c->name, c->name, f);
        datasets_free(d);
        TRY(st);
    }
    return STATUS_OK;
}

static enum status walk(const struct walk *w, struct fault *f)
{
    const struct version *v = w->part.version;
    TRY(walk_base(w, f));
    for (size_t i = 0; i < v->n_components; i++) {
        const struct version_component *c = &v->components[i];
        if (version_data_is_task(c->kind))
            TRY(walk_lane(w, c, f));
        else if (strcmp(c->kind, VERSION_KIND_STREAM) == 0)
            TRY(walk_stream(w, c, f));
    }
    return STATUS_OK;
}

static enum status parse(const char *text, struct digest *ret_subject, struct fault *f)
{
    if (subject_parse(text, ret_subject) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject", "no name of a subject");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- counting */

static enum status
count_part(struct kv_txn *txn, const struct part *x, void *context, struct fault *f)
{
    struct subjects_count *c = context;
    (void)txn;
    (void)f;
    if (is_base(x))
        c->base += x->n;
    else
        c->others += x->n;
    c->erased += x->erased;
    return STATUS_OK;
}

enum status subjects_find(struct kv_txn *txn,
                          const struct base_model *base,
                          const struct version *v,
                          const char *text,
                          struct subjects_count *ret_count,
                          struct fault *f)
{
    struct walk w = {
        .txn = txn, .part = {.base = base, .version = v}, .fn = count_part, .context = ret_count};
    *ret_count = (struct subjects_count){0};
    TRY(parse(text, &w.part.subject, f));
    return walk(&w, f);
}

/* ---------------------------------------------------------------- loading */

/* Room for more rows behind those of the set; their labels in full. */
static enum status samples_room(struct job_set *set, const struct part *x, struct fault *f)
{
    const size_t bytes = (size_t)dataset_row_bytes(x->set), total = (size_t)set->n + x->n;
    uint8_t *pixels = sysio_alloc(total + 1, bytes);
    int32_t *labels = sysio_alloc(total + 1, sizeof *labels);
    const size_t n_more = (size_t)set->n_more + (x->hot ? (size_t)x->n * x->set->n_classes : 0);
    struct job_label *more = sysio_alloc(n_more + 1, sizeof *more);
    if (!pixels || !labels || !more) {
        sysio_free(pixels);
        sysio_free(labels);
        sysio_free(more);
        return no_memory(x, f);
    }
    if (set->n > 0) {
        memcpy(pixels, set->pixels, set->n * bytes);
        memcpy(labels, set->labels, set->n * sizeof *labels);
    }
    if (set->n_more > 0)
        memcpy(more, set->more, set->n_more * sizeof *more);
    memcpy(pixels + set->n * bytes, x->pixels, x->n * bytes);
    sysio_free((void *)(uintptr_t)set->pixels);
    sysio_free((void *)(uintptr_t)set->labels);
    sysio_free((void *)(uintptr_t)set->more);
    set->pixels = pixels;
    set->labels = labels;
    set->more = more;
    return STATUS_OK;
}

static enum status samples_append(struct job_set *set, const struct part *x, struct fault *f)
{
    uint32_t *found = sysio_alloc((size_t)x->set->n_classes + 1, sizeof *found);
    if (!found)
        return no_memory(x, f);
    const enum status st = samples_room(set, x, f);
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    for (uint32_t i = 0; i < x->n && st == STATUS_OK; i++, set->n++) {
        const uint32_t n = labels_of(x, x->rows[i], found);
        ((int32_t *)(uintptr_t)set->labels)[set->n] = (int32_t)found[0];
        for (uint32_t j = 1; j < n; j++)
            ((struct job_label *)(uintptr_t)set->more)[set->n_more++] =
                (struct job_label){.row = set->n, .class = found[j]};
        seal_hash_update(&h, x->keys[i].b, DIGEST_SIZE);
    }
    set->digest = seal_hash_final(&h);
    sysio_free(found);
    return st;
}

static enum status
load_part(struct kv_txn *txn, const struct part *x, void *context, struct fault *f)
{
    struct job *job = context;
    if (x->n == 0)
        return STATUS_OK;
    TRY(samples_append(&job->sets.set[JOB_SET_SAMPLES], x, f));
    return version_data_erase(txn, job, x->task, x->keys, x->n, f);
}

enum status subjects_load(struct kv_txn *txn,
                          const struct base_model *base,
                          const char *text,
                          struct job *job,
                          struct fault *f)
{
    struct walk w = {.txn = txn,
                     .part = {.base = base, .version = job->parent},
                     .fn = load_part,
                     .context = job};
    TRY(parse(text, &w.part.subject, f));
    return walk(&w, f);
}
