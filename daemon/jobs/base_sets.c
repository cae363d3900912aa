/* Loading of the image sets of a job: replay memory, fixed test and reference parts, samples. */
#include "daemon/jobs/base_data.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/data/replay.h"
#include "proto/seal/hash.h"

/* Rows of one data set that become a job's set, with the label that each gets. */
struct picks {
    uint32_t *rows;
    int32_t *labels;
    uint32_t n;
};

static void picks_free(struct picks *p)
{
    sysio_free(p->rows);
    sysio_free(p->labels);
}

static enum status picks_new(struct picks *p, size_t n, const char *name, struct fault *f)
{
    *p = (struct picks){.rows = sysio_alloc(n + 1, sizeof *p->rows),
                        .labels = sysio_alloc(n + 1, sizeof *p->labels)};
    if (p->rows && p->labels)
        return STATUS_OK;
    picks_free(p);
    FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %zu rows of %s", n, name);
}

/* The set's name in reports: its data set's content and the chosen rows. */
static struct digest picks_digest(const struct dataset *d, const struct picks *p)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, d->digest.b, DIGEST_SIZE);
    for (uint32_t i = 0; i < p->n; i++) {
        uint8_t row[4];
        struct byte_writer w = byte_writer_make(row, sizeof row);
        put_u32(&w, p->rows[i]);
        seal_hash_update(&h, row, sizeof row);
    }
    return seal_hash_final(&h);
}

/* Takes the labels over and reads the pixels. */
static enum status picks_load(struct kv_txn *txn,
                              const struct dataset *d,
                              struct picks *p,
                              struct job_set *ret_set,
                              struct fault *f)
{
    uint8_t *pixels = sysio_alloc((size_t)p->n + 1, (size_t)dataset_row_bytes(d));
    if (!pixels)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u images of %s", p->n, d->name);
    const enum status st = dataset_read_rows(txn, d, p->rows, p->n, pixels, f);
    if (st != STATUS_OK) {
        sysio_free(pixels);
        return st;
    }
    *ret_set = (struct job_set){
        .n = p->n, .pixels = pixels, .labels = p->labels, .digest = picks_digest(d, p)};
    p->labels = NULL;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- replay memory */

static enum status pick_memory(const struct replay_memory *m,
                               const struct dataset *d,
                               const int32_t *map,
                               struct picks *p,
                               struct fault *f)
{
    size_t n = 0;
    for (uint32_t i = 0; i < m->n_lists; i++)
        n += m->lists[i].n_rows;
    TRY(picks_new(p, n, d->name, f));
    for (uint32_t i = 0; i < m->n_lists; i++) {
        const struct replay_memory_list *list = &m->lists[i];
        for (uint32_t j = 0; j < list->n_rows; j++) {
            p->rows[p->n] = list->rows[j];
            p->labels[p->n] = map[list->class_index];
            p->n++;
        }
    }
    return STATUS_OK;
}

static enum status load_memory(struct kv_txn *txn,
                               const char *name,
                               const struct dataset *d,
                               const int32_t *map,
                               struct job_set *ret_set,
                               struct digest *ret_digest,
                               struct fault *f)
{
    struct replay_memory *m;
    struct picks p;
    TRY(replay_memory_get(txn, name, &m, f));
    enum status st = pick_memory(m, d, map, &p, f);
    if (st == STATUS_OK) {
        st = picks_load(txn, d, &p, ret_set, f);
        picks_free(&p);
    }
    *ret_digest = m->digest;
    replay_memory_free(m);
    return st;
}

static enum status load_memories(struct kv_txn *txn,
                                 const struct base_model *base,
                                 const struct dataset *train,
                                 struct base_sets *sets,
                                 struct fault *f)
{
    int32_t *map = sysio_alloc(train->n_classes, sizeof *map);
    struct digest validation;
    if (!map)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", train->n_classes);
    (void)base_data_map(train, base, map);
    enum status st = load_memory(txn, BASE_MEMORY_TRAIN, train, map,
                                 &sets->set[JOB_SET_MEMORY_TRAIN], &sets->memory, f);
    if (st == STATUS_OK)
        st = load_memory(txn, BASE_MEMORY_VALIDATION, train, map,
                         &sets->set[JOB_SET_MEMORY_VALIDATION], &validation, f);
    sets->train = train->digest;
    sysio_free(map);
    return st;
}

/* ---------------------------------------------------------------- fixed parts */

/* At most per_class images of each class, drawn from a stream that depends on the set alone. */
static enum status draw_part(const struct dataset *d,
                             const uint32_t *labels,
                             uint32_t per_class,
                             uint32_t *scratch,
                             struct picks *p,
                             struct fault *f)
{
    struct rng_root root = {0};
    for (int i = 0; i < 8; i++)
        root.seed = root.seed << 8 | d->digest.b[i];
    uint32_t none;
    struct replay m = {.train = p->rows, .valid = &none};
    const struct replay_size size = {.train_per_class = per_class};
    replay_draw((const int32_t *)labels, (uint32_t)d->n, d->n_classes, NULL, &size, &root, scratch,
                &m);
    p->n = m.n_train;
    if (p->n == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "data", "data set %s holds no images", d->name);
    return STATUS_OK;
}

static enum status pick_part(struct kv_txn *txn,
                             const struct dataset *d,
                             const int32_t *map,
                             uint32_t per_class,
                             struct picks *p,
                             struct fault *f)
{
    uint32_t *labels = sysio_alloc(d->n, sizeof *labels);
    uint32_t *scratch = sysio_alloc(d->n, sizeof *scratch);
    enum status st = STATUS_NO_MEMORY;
    if (labels && scratch)
        st = dataset_read_classes(txn, d, labels, f);
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "data", "no memory for the labels of %s",
                        d->name);
    if (st == STATUS_OK)
        st = draw_part(d, labels, per_class, scratch, p, f);
    for (uint32_t i = 0; st == STATUS_OK && i < p->n; i++) {
        const uint32_t c = labels[p->rows[i]];
        p->labels[i] = map ? map[c] : (int32_t)c;
    }
    sysio_free(labels);
    sysio_free(scratch);
    return st;
}

/* map NULL: labels are the data set's own. */
static enum status load_part(struct kv_txn *txn,
                             const struct dataset *d,
                             const int32_t *map,
                             uint32_t per_class,
                             struct job_set *ret_set,
                             struct fault *f)
{
    struct picks p;
    const uint64_t most = (uint64_t)per_class * d->n_classes;
    TRY(picks_new(&p, (size_t)(most < d->n ? most : d->n), d->name, f));
    enum status st = pick_part(txn, d, map, per_class, &p, f);
    if (st == STATUS_OK)
        st = picks_load(txn, d, &p, ret_set, f);
    picks_free(&p);
    return st;
}

static enum status load_known(struct kv_txn *txn,
                              const struct base_model *base,
                              const struct dataset *d,
                              uint32_t per_class,
                              struct job_set *ret_set,
                              struct fault *f)
{
    int32_t *map = sysio_alloc(d->n_classes, sizeof *map);
    if (!map)
        FAIL(f, STATUS_NO_MEMORY, "data", "no memory for %u classes", d->n_classes);
    (void)base_data_map(d, base, map);
    const enum status st = load_part(txn, d, map, per_class, ret_set, f);
    sysio_free(map);
    return st;
}

static enum status load_sets(struct kv_txn *txn,
                             const struct base_model *base,
                             const struct base_data *data,
                             uint32_t per_class,
                             struct base_sets *sets,
                             struct fault *f)
{
    if (data->train)
        TRY(load_memories(txn, base, data->train, sets, f));
    if (data->test)
        TRY(load_known(txn, base, data->test, per_class, &sets->set[JOB_SET_TEST], f));
    if (data->reference)
        TRY(load_part(txn, data->reference, NULL, per_class, &sets->set[JOB_SET_REFERENCE], f));
    return STATUS_OK;
}

enum status base_data_load(struct kv_txn *txn,
                           const struct base_model *base,
                           uint32_t per_class,
                           struct base_sets *ret_sets,
                           struct fault *f)
{
    struct base_data data;
    struct base_sets sets = {0};
    TRY(base_data_find(txn, base, &data, f));
    const enum status st = load_sets(txn, base, &data, per_class, &sets, f);
    base_data_free(&data);
    if (st != STATUS_OK) {
        base_sets_free(&sets);
        return st;
    }
    *ret_sets = sets;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- samples */

/* All rows; map[c] is the job's class of the set's class c. */
static enum status pick_all(struct kv_txn *txn,
                            const struct dataset *d,
                            const int32_t *map,
                            struct picks *p,
                            struct fault *f)
{
    uint32_t *labels = sysio_alloc(d->n, sizeof *labels);
    enum status st = STATUS_NO_MEMORY;
    if (labels)
        st = d->label_kind == DATASET_LABELS_CLASS ? dataset_read_classes(txn, d, labels, f)
                                                   : STATUS_OK;
    else
        (void)fault_set(f, st, __FILE__, __LINE__, "samples", "no memory for %s", d->name);
    for (uint32_t i = 0; st == STATUS_OK && i < d->n; i++) {
        p->rows[i] = i;
        p->labels[i] = map[labels[i]];
    }
    p->n = (uint32_t)d->n;
    sysio_free(labels);
    return st;
}

/* Labels of a row with several, ascending, into to [classes of the set]; returns how many. */
static uint32_t mapped_classes(const uint8_t *hot, const int32_t *map, uint32_t n, uint32_t *to)
{
    uint32_t found = 0;
    for (uint32_t c = 0; c < n; c++) {
        if (!hot[c] || map[c] < 0)
            continue;
        uint32_t at = found++;
        for (; at > 0 && to[at - 1] > (uint32_t)map[c]; at--)
            to[at] = to[at - 1];
        to[at] = (uint32_t)map[c];
    }
    return found;
}

/* All labels of a loaded set whose images have several. */
static enum status fill_several(const struct dataset *d,
                                const int32_t *map,
                                const uint8_t *hot,
                                struct job_set *set,
                                struct fault *f)
{
    int32_t *labels = (int32_t *)(uintptr_t)set->labels;
    size_t further = 0;
    for (size_t i = 0; i < (size_t)d->n * d->n_classes; i++)
        further += hot[i];
    struct job_label *more = sysio_alloc(further + 1, sizeof *more);
    uint32_t *found = sysio_alloc((size_t)d->n_classes + 1, sizeof *found);
    for (uint32_t i = 0; i < d->n && more && found; i++) {
        const uint32_t n = mapped_classes(hot + (size_t)i * d->n_classes, map, d->n_classes, found);
        labels[i] = n > 0 ? (int32_t)found[0] : -1;
        for (uint32_t j = 1; j < n; j++)
            more[set->n_more++] = (struct job_label){.row = i, .class = found[j]};
    }
    set->more = more;
    sysio_free(found);
    if (!more || !found)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for the labels of %s", d->name);
    return STATUS_OK;
}

static enum status load_several(struct kv_txn *txn,
                                const struct dataset *d,
                                const int32_t *map,
                                struct job_set *set,
                                struct fault *f)
{
    if (d->label_kind != DATASET_LABELS_MULTI)
        return STATUS_OK;
    uint8_t *hot = sysio_alloc((size_t)dataset_label_bytes(d) + 1, 1);
    if (!hot)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for the labels of %s", d->name);
    enum status st = dataset_read_multi(txn, d, hot, f);
    if (st == STATUS_OK)
        st = fill_several(d, map, hot, set, f);
    sysio_free(hot);
    return st;
}

enum status base_data_load_samples(struct kv_txn *txn,
                                   const struct dataset *samples,
                                   const int32_t *map,
                                   struct base_sets *sets,
                                   struct fault *f)
{
    struct picks p;
    TRY(picks_new(&p, (size_t)samples->n, samples->name, f));
    enum status st = pick_all(txn, samples, map, &p, f);
    if (st == STATUS_OK)
        st = picks_load(txn, samples, &p, &sets->set[JOB_SET_SAMPLES], f);
    picks_free(&p);
    TRY(st);
    return load_several(txn, samples, map, &sets->set[JOB_SET_SAMPLES], f);
}

void base_sets_free(struct base_sets *sets)
{
    for (int i = 0; i < JOB_SETS; i++) {
        sysio_free((void *)(uintptr_t)sets->set[i].pixels);
        sysio_free((void *)(uintptr_t)sets->set[i].labels);
        sysio_free((void *)(uintptr_t)sets->set[i].more);
    }
    sysio_free(sets->task_keys);
    memset(sets, 0, sizeof *sets);
}
