#include "daemon/jobs/recover.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/config/model_folder.h"

/* ---------------------------------------------------------------- first version */

static enum status
first_labels(const struct base_model *base, struct version_label **ret_labels, struct fault *f)
{
    const uint32_t n = base->vit.classes;
    struct version_label *labels = sysio_alloc(n, sizeof *labels);
    if (!labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    for (uint32_t k = 0; k < n; k++)
        labels[k] = (struct version_label){
            .name = base->labels[k], .owner = "base", .status = VERSION_LABEL_ACTIVE};
    *ret_labels = labels;
    return STATUS_OK;
}

/* Files of the base as components and blobs of version 1, which serves from then on. */
static enum status commit_first(struct store *store,
                                const struct model *model,
                                const struct base_model *base,
                                struct fault *f)
{
    struct store_blob blobs[MODEL_FILES];
    struct version_component components[MODEL_FILES];
    size_t n = 0;
    for (enum model_file_kind i = 0; i < MODEL_FILES; i++) {
        const struct model_file *file = &model->files[i];
        if (!file->bytes)
            continue;
        blobs[n] = (struct store_blob){BLOB_COMPONENT, file->bytes, file->size};
        components[n] = (struct version_component){.kind = base_model_kind(i),
                                                   .name = base->name,
                                                   .blob = file->digest,
                                                   .bytes = file->size};
        n++;
    }
    struct version_label *labels = NULL;
    TRY(first_labels(base, &labels, f));
    const int64_t now = clock_wall_us();
    const struct version v = {.number = 1,
                              .created_us = now,
                              .kernel = "",
                              .components = components,
                              .n_components = n,
                              .labels = labels,
                              .n_labels = base->vit.classes};
    struct serving_move serve = {.now_us = now};
    enum status st = version_id(&v, &serve.version, f);
    const struct store_change change = {
        .now_us = now, .blobs = blobs, .n_blobs = n, .version = &v, .serve = &serve};
    if (st == STATUS_OK)
        st = store_commit(store, &change, NULL, f);
    sysio_free(labels);
    return st;
}

static enum status
start_new(struct store *store, const char *folder, struct base_model **ret_base, struct fault *f)
{
    if (folder[0] == '\0')
        FAIL(f, STATUS_FAILED_PRECONDITION, "base",
             "the store is new: name the folder of a base model");
    char name[BASE_MODEL_NAME_SIZE];
    struct model *model;
    struct base_model *base;
    base_model_folder_name(folder, name);
    TRY(model_load_folder(folder, &model, f));
    enum status st = base_model_new(model, name, &base, f);
    if (st == STATUS_OK) {
        st = commit_first(store, model, base, f);
        if (st != STATUS_OK)
            base_model_free(base);
    }
    model_free(model);
    TRY(st);
    *ret_base = base;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- later starts */

struct stored_base {
    struct digest origin; /* zero: it was not made by sealing */
    char name[BASE_MODEL_NAME_SIZE];
    struct model_file files[MODEL_FILES];
};

static void stored_free(struct stored_base *b)
{
    for (enum model_file_kind i = 0; i < MODEL_FILES; i++)
        sysio_free((void *)(uintptr_t)b->files[i].bytes);
    memset(b, 0, sizeof *b);
}

static enum status
load_files(struct kv_txn *txn, const struct version *v, struct stored_base *b, struct fault *f)
{
    for (enum model_file_kind i = 0; i < MODEL_FILES; i++) {
        const struct version_component *c = version_find_component(v, base_model_kind(i), NULL);
        if (!c)
            continue;
        void *bytes;
        TRY(blob_load(txn, &c->blob, MODEL_MAX_WEIGHT_BYTES, &bytes, &b->files[i].size, f));
        b->files[i].bytes = bytes;
        (void)snprintf(b->name, sizeof b->name, "%s", c->name);
    }
    return STATUS_OK;
}

static enum status load_stored(struct store *store, struct stored_base *ret_base, struct fault *f)
{
    struct kv_txn *txn;
    struct serving serving;
    struct version *v;
    struct stored_base b = {0};
    TRY(store_read_begin(store, &txn, f));
    enum status st = serving_get(txn, &serving, f);
    if (st == STATUS_NOT_FOUND)
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "serving",
                       "the store has versions, but none was ever served");
    if (st == STATUS_OK)
        st = version_get(txn, &serving.version, &v, f);
    if (st == STATUS_OK) {
        if (version_origin(v))
            b.origin = *version_origin(v);
        st = load_files(txn, v, &b, f);
        version_free(v);
    }
    store_read_end(txn);
    if (st != STATUS_OK) {
        stored_free(&b);
        return st;
    }
    *ret_base = b;
    return STATUS_OK;
}

static int folder_exists(const char *folder)
{
    struct stat info;
    return folder[0] != '\0' && stat(folder, &info) == 0;
}

/* A folder that was changed or exchanged must not go unnoticed, though the store decides. */
static enum status
compare_folder(const char *folder, const struct base_model *base, struct fault *f)
{
    struct model *model;
    TRY(model_load_folder(folder, &model, f));
    const struct digest found = model->digest;
    model_free(model);
    if (digest_equal(&found, &base->digest))
        return STATUS_OK;
    char ours[DIGEST_TEXT_SIZE], theirs[DIGEST_TEXT_SIZE];
    digest_format(&base->digest, ours);
    digest_format(&found, theirs);
    FAIL(f, STATUS_FAILED_PRECONDITION, "base",
         "the store was made for base %.16s, the folder holds %.16s: use its own folder or another "
         "store",
         ours, theirs);
}

static enum status
start_known(struct store *store, const char *folder, struct base_model **ret_base, struct fault *f)
{
    struct stored_base stored;
    struct model *model;
    struct base_model *base = NULL;
    TRY(load_stored(store, &stored, f));
    enum status st = model_load_memory(stored.files, &model, f);
    if (st == STATUS_OK) {
        st = base_model_new(model, stored.name, &base, f);
        model_free(model);
    }
    if (st == STATUS_OK && !digest_is_zero(&stored.origin))
        base_model_set_origin(base, &stored.origin);
    stored_free(&stored);
    if (st == STATUS_OK && folder_exists(folder))
        st = compare_folder(folder, base, f);
    if (st != STATUS_OK) {
        base_model_free(base);
        return st;
    }
    *ret_base = base;
    return STATUS_OK;
}

enum status
recover_base(struct store *store, const char *folder, struct base_model **ret_base, struct fault *f)
{
    struct kv_txn *txn;
    uint64_t latest = 0;
    TRY(store_read_begin(store, &txn, f));
    const enum status st = version_latest(txn, &latest, f);
    store_read_end(txn);
    TRY(st);
    return latest == 0 ? start_new(store, folder, ret_base, f)
                       : start_known(store, folder, ret_base, f);
}

/* ---------------------------------------------------------------- requests and serving version */

enum status recover_requests(struct store *store, struct fault *f)
{
    size_t moved = 0, expired = 0;
    const int64_t now = clock_wall_us();
    TRY(store_recover(store, now, &moved, f));
    TRY(store_upload_expire(store, now, &expired, f));
    if (moved > 0) {
        char count[24];
        (void)snprintf(count, sizeof count, "%zu", moved);
        log_event(LOG_LEVEL_INFO, "recovery.requests", "requests under way are queued again",
                  "count", count, NULL);
    }
    return STATUS_OK;
}

enum status recover_serving(struct store *store,
                            const struct base_model *base,
                            struct served **ret_served,
                            struct fault *f)
{
    struct serving s;
    const enum status st = store_read_serving(store, &s, f);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_DATA_LOSS, "serving", "the store has versions, but none was ever served");
    TRY(st);
    const enum status built = served_build(base, store, &s.version, ret_served, f);
    if (built != STATUS_OK)
        fault_prefix(f, "serving version");
    return built;
}
