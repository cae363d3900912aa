#include "daemon/pretrain/pretrain_data.h"

#include "client/dataset/dataset.h"
#include "daemon/base/sysio.h"
#include "learners/data/sampler.h"
#include "proto/seal/hash.h"

#include <string.h>

static enum status pretrain_data_labels(struct pretrain_data *d, struct fault *f)
{
    const int32_t *labels = dataset_labels(d->set);
    const struct dataset_shape s = dataset_shape(d->set);
    if (!labels || !dataset_image(d->set, 0))
        FAIL(f, STATUS_INVALID_ARGUMENT, "data",
             "the data set has no pictures with one label each");
    if (s.height != s.width)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "%ux%u pictures: only squares are possible",
             s.height, s.width);
    d->classes = dataset_classes(d->set);
    if (d->classes > PRETRAIN_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "data", "%u classes, limit %d", d->classes,
             PRETRAIN_MAX_CLASSES);
    d->table = (struct image_table){.pixels = dataset_image(d->set, 0),
                                    .labels = labels,
                                    .n = s.n,
                                    .size = s.height,
                                    .channels = s.channels};
    return STATUS_OK;
}

static void pretrain_data_digest(struct pretrain_data *d)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, d->table.pixels, d->table.n * dataset_image_bytes(d->set));
    seal_hash_update(&h, d->table.labels, d->table.n * sizeof *d->table.labels);
    d->digest = seal_hash_final(&h);
}

/* All indices whose class is not excluded, in order. */
static uint32_t pretrain_data_alive(const struct pretrain_options *o,
                                    const struct pretrain_data *d,
                                    uint32_t *items)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->table.n; i++)
        if (!o->excluded[d->table.labels[i]])
            items[n++] = i;
    return n;
}

static enum status pretrain_data_split(const struct pretrain_options *o,
                                       struct pretrain_data *d,
                                       uint32_t n_valid,
                                       struct fault *f)
{
    const struct rng_root root = {.seed = o->seed};
    const size_t n = d->table.n;
    uint32_t *items = sysio_alloc(n, sizeof *items);
    uint32_t *scratch = sysio_alloc(n + 2 * (size_t)d->classes, sizeof *scratch);
    d->train = sysio_alloc(n, sizeof *d->train);
    d->valid = sysio_alloc(n, sizeof *d->valid);
    enum status st = STATUS_OK;
    if (!items || !scratch || !d->train || !d->valid) {
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "data", "no memory for the split");
    } else {
        const uint32_t alive = pretrain_data_alive(o, d, items);
        if (alive <= n_valid) {
            st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "valid",
                           "%u validation images of %u leave nothing to train on", n_valid, alive);
        } else {
            d->n_valid = n_valid;
            d->n_train = alive - n_valid;
            sampler_split(&root, "valid", d->table.labels, d->classes, items, alive, n_valid,
                          d->valid, d->train, scratch);
        }
    }
    sysio_free(items);
    sysio_free(scratch);
    return st;
}

enum status
pretrain_data_open(const struct pretrain_options *o, struct pretrain_data *d, struct fault *f)
{
    const struct dataset_options train = {.split = DATASET_TRAIN};
    memset(d, 0, sizeof *d);
    TRY(dataset_open(o->data, &train, &d->set, f));
    TRY(pretrain_data_labels(d, f));
    pretrain_data_digest(d);
    return pretrain_data_split(o, d, o->valid, f);
}

enum status
pretrain_data_open_test(const struct pretrain_options *o, struct pretrain_data *d, struct fault *f)
{
    const struct dataset_options test = {.split = DATASET_TEST};
    memset(d, 0, sizeof *d);
    TRY(dataset_open(o->test ? o->test : o->data, &test, &d->set, f));
    TRY(pretrain_data_labels(d, f));
    return pretrain_data_split(o, d, 0, f);
}

void pretrain_data_close(struct pretrain_data *d)
{
    dataset_free(d->set);
    sysio_free(d->train);
    sysio_free(d->valid);
    memset(d, 0, sizeof *d);
}

void pretrain_data_scale(struct pretrain_data *d, const struct preprocessing *p)
{
    preprocessing_affine(p, d->table.scale, d->table.shift);
}

enum status pretrain_data_names(const struct pretrain_options *o,
                                const struct pretrain_data *d,
                                const char **names,
                                char *text,
                                size_t size,
                                struct fault *f)
{
    if (!o->labels) {
        for (uint32_t i = 0; i < d->classes; i++)
            names[i] = dataset_class_name(d->set, i);
        return STATUS_OK;
    }
    uint32_t n = 0;
    if (strlen(o->labels) >= size)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "longer than %zu bytes", size - 1);
    memcpy(text, o->labels, strlen(o->labels) + 1);
    for (char *at = text; at; n++) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma++ = '\0';
        if (n < d->classes)
            names[n] = at;
        at = comma;
    }
    if (n != d->classes)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "%u names for %u classes", n, d->classes);
    return STATUS_OK;
}
