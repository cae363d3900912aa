#include "daemon/jobs/seal.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/base_data.h"
#include "daemon/jobs/export.h"
#include "daemon/jobs/open_requests.h"
#include "proto/seal/hash.h"
#include "storage/store/log_batch.h"

/* Everything of one sealing; what is not borrowed is freed in seal_free. */
struct seal {
    struct core *core;
    struct served *from;
    struct serving serving;
    struct export_set files;
    struct model *model;
    struct base_model *base;
    struct version version;
    struct version_component *components;
    struct version_lineage *lineage;
    char (*names)[REQUEST_ID_TEXT_SIZE]; /* of the folded erasures */
    struct store_blob blobs[EXPORT_FILES_MAX];
    size_t n_blobs;
    struct digest *destroyed;
    size_t n_destroyed;
    struct dataset *train; /* the base's training set; NULL: none, or nothing to blank */
    uint32_t *rows;        /* of erased classes in it */
    size_t n_rows;
    struct served *to;
};

static void seal_free(struct seal *x)
{
    served_release(x->to);
    datasets_free(x->train);
    sysio_free(x->rows);
    sysio_free(x->destroyed);
    sysio_free(x->names);
    sysio_free(x->lineage);
    sysio_free(x->components);
    base_model_free(x->base);
    model_free(x->model);
    export_set_free(&x->files);
    served_release(x->from);
}

/* ---------------------------------------------------------------- what is to be sealed */

static size_t count_deltas(const struct version *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_components; i++)
        n += strcmp(v->components[i].kind, VERSION_KIND_ERASURE) == 0;
    return n;
}

static enum status check_now(struct seal *x, struct fault *f)
{
    struct kv_txn *txn;
    struct serving_pin pin;
    uint64_t open = 0;
    TRY(open_requests_count(x->core->store, &open, f));
    if (open > 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "requests", "%llu requests are open",
             (unsigned long long)open);
    if (count_deltas(x->from->manifest) == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "version",
             "the serving version has no erasure outside of its base");
    TRY(store_read_begin(x->core->store, &txn, f));
    enum status st = serving_get(txn, &x->serving, f);
    const enum status pinned =
        st == STATUS_OK ? serving_pinned(txn, &x->serving.version, &pin, f) : st;
    store_read_end(txn);
    TRY(st);
    if (pinned == STATUS_OK)
        FAIL(f, STATUS_FAILED_PRECONDITION, "version", "the serving version is pinned");
    return pinned == STATUS_NOT_FOUND ? STATUS_OK : pinned;
}

/* ---------------------------------------------------------------- the new base */

static enum status load_base(struct seal *x, struct fault *f)
{
    struct model_file files[MODEL_FILES] = {{0}};
    for (size_t i = 0; i < x->files.n; i++)
        for (enum model_file_kind k = 0; k < MODEL_FILES; k++)
            if (strcmp(x->files.files[i].path, model_file_name(k)) == 0)
                files[k] = (struct model_file){.bytes = x->files.files[i].bytes,
                                               .size = x->files.files[i].size};
    TRY(model_load_memory(files, &x->model, f));
    TRY(base_model_new(x->model, x->from->base->name, &x->base, f));
    base_model_set_origin(x->base, &x->from->base->digest);
    return STATUS_OK;
}

/* In how many places two blocks of weights are not the same number. */
static size_t differences(const float *a, const float *b, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += memcmp(&a[i], &b[i], sizeof *a) != 0;
    return found;
}

/*
 * What was written and read back must be what serves: the same shape, the same preprocessing, and
 * every weight the same number: the FFN matrices those that serve folded now, all others the old
 * base's.  Equal weights give equal answers, so no tolerance is needed.
 */
static enum status check_same(const struct seal *x, struct fault *f)
{
    const struct base_model *old = x->from->base;
    const struct base_model *fresh = x->base;
    const struct vit_config *c = &old->vit;
    const struct digest before = base_model_preprocessing(old);
    const struct digest after = base_model_preprocessing(fresh);
    const size_t n = (size_t)c->hidden * c->width;
    size_t folded = 0, wrong = 0;
    if (memcmp(c, &fresh->vit, sizeof *c) != 0 || !digest_equal(&before, &after))
        FAIL(f, STATUS_INTERNAL, "base", "the folded base has another configuration");
    for (uint32_t l = 0; l < c->depth; l++) {
        const struct vit_block *was = &old->weights.blocks[l];
        const struct vit_block *serves = &x->from->weights.blocks[l];
        const struct vit_block *is = &fresh->weights.blocks[l];
        wrong +=
            differences(serves->fc1_w, is->fc1_w, n) + differences(serves->fc2_w, is->fc2_w, n);
        folded += differences(was->fc1_w, is->fc1_w, n) + differences(was->fc2_w, is->fc2_w, n);
    }
    wrong += differences(old->floats, fresh->floats, vit_weights_floats(c)) - folded;
    if (wrong > 0)
        FAIL(f, STATUS_INTERNAL, "base", "%zu weights of the folded base are not those that serve",
             wrong);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the new version */

static int stays(const struct version_component *c)
{
    static const char *const GONE[] = {VERSION_KIND_BASE,    "base-config",
                                       "base-preprocessor",  "base-prototypes",
                                       VERSION_KIND_ERASURE, VERSION_KIND_PROTOTYPES};
    for (size_t i = 0; i < sizeof GONE / sizeof *GONE; i++)
        if (strcmp(c->kind, GONE[i]) == 0)
            return 0;
    return 1;
}

/* Where the base comes from: the first one, and every erasure that was ever folded into it. */
static enum status fill_lineage(struct seal *x, size_t *ret_n, struct fault *f)
{
    const struct version *v = x->from->manifest;
    size_t n = 0;
    x->lineage = sysio_alloc(v->n_erasures + 2, sizeof *x->lineage);
    x->names = sysio_alloc(v->n_erasures + 1, sizeof *x->names);
    if (!x->lineage || !x->names)
        FAIL(f, STATUS_NO_MEMORY, "erasures", "no memory for %zu erasures", v->n_erasures);
    x->lineage[n++] = (struct version_lineage){VERSION_LINEAGE_TRUNK, VERSION_TRUNK_ORIGIN,
                                               x->from->base->digest};
    x->lineage[n++] = (struct version_lineage){"version", "parent", x->serving.version};
    for (size_t i = 0; i < v->n_erasures; i++) {
        char *name = x->names[i];
        request_id_format(&v->erasures[i], name);
        const struct version_component *c = version_find_component(v, VERSION_KIND_ERASURE, name);
        const struct digest *delta = c ? &c->blob : version_folded(v, name);
        if (delta)
            x->lineage[n++] = (struct version_lineage){VERSION_KIND_ERASURE, name, *delta};
    }
    *ret_n = n;
    return STATUS_OK;
}

static enum status fill_version(struct seal *x, struct fault *f)
{
    const struct version *v = x->from->manifest;
    size_t n_lineage = 0;
    TRY(fill_lineage(x, &n_lineage, f));
    x->components = sysio_alloc(v->n_components + MODEL_FILES, sizeof *x->components);
    if (!x->components)
        FAIL(f, STATUS_NO_MEMORY, "components", "no memory for the manifest");
    x->version = *v;
    x->version.components = x->components;
    x->version.n_components = 0;
    for (enum model_file_kind k = 0; k < MODEL_FILES; k++) {
        const struct model_file *file = &x->model->files[k];
        if (!file->bytes)
            continue;
        x->blobs[x->n_blobs++] = (struct store_blob){BLOB_COMPONENT, file->bytes, file->size};
        struct version_component *c = &x->components[x->version.n_components++];
        *c = (struct version_component){.kind = base_model_kind(k),
                                        .name = x->base->name,
                                        .blob = file->digest,
                                        .bytes = file->size};
        if (k == MODEL_FILE_WEIGHTS) {
            c->lineage = x->lineage;
            c->n_lineage = n_lineage;
        }
    }
    for (size_t i = 0; i < v->n_components; i++)
        if (stays(&v->components[i]))
            x->components[x->version.n_components++] = v->components[i];
    x->version.parent = x->serving.version;
    x->version.request = (struct request_id){{0}};
    x->version.created_us = clock_wall_us();
    return STATUS_OK;
}

static enum status number_version(struct seal *x, struct fault *f)
{
    struct kv_txn *txn;
    TRY(store_read_begin(x->core->store, &txn, f));
    const enum status st = version_latest(txn, &x->version.number, f);
    store_read_end(txn);
    x->version.number++;
    return st;
}

/* ---------------------------------------------------------------- training images */

/* Is class c of the training set one of the base's that are erased? */
static int is_erased(const struct seal *x, uint32_t c, const int32_t *map)
{
    const struct version *v = x->from->manifest;
    return map[c] >= 0 && (size_t)map[c] < v->n_labels &&
           v->labels[map[c]].status == VERSION_LABEL_FORGOTTEN;
}

static enum status list_rows(struct kv_txn *txn, struct seal *x, struct fault *f)
{
    const struct dataset *d = x->train;
    uint32_t *classes = sysio_alloc((size_t)d->n + 1, sizeof *classes);
    int32_t *map = sysio_alloc((size_t)d->n_classes + 1, sizeof *map);
    x->rows = sysio_alloc((size_t)d->n + 1, sizeof *x->rows);
    enum status st = STATUS_NO_MEMORY;
    if (classes && map && x->rows)
        st = dataset_read_classes(txn, d, classes, f);
    if (st == STATUS_OK)
        (void)base_data_map(d, x->from->base, map);
    for (uint32_t i = 0; st == STATUS_OK && i < d->n; i++)
        if (is_erased(x, classes[i], map))
            x->rows[x->n_rows++] = i;
    sysio_free(map);
    sysio_free(classes);
    return st;
}

/*
 * Images of erased classes in the base's training set: nothing learns from them any more, as the
 * replay memory has lost their rows.  They are blanked in the same transaction.
 */
static enum status find_rows(struct seal *x, struct fault *f)
{
    struct kv_txn *txn;
    struct base_data data = {NULL, NULL, NULL};
    TRY(store_read_begin(x->core->store, &txn, f));
    enum status st = base_data_find(txn, x->from->base, &data, f);
    if (st == STATUS_OK && data.train) {
        x->train = data.train;
        data.train = NULL;
        st = list_rows(txn, x, f);
    }
    base_data_free(&data);
    store_read_end(txn);
    return st;
}

/* ---------------------------------------------------------------- commit */

static enum status commit(struct seal *x,
                          const struct wire_envelope *m,
                          const char *principal,
                          struct digest *ret_version,
                          struct fault *f)
{
    struct store_result result;
    struct serving_move serve = {.expected_generation = x->serving.generation,
                                 .now_us = x->version.created_us};
    TRY(version_id(&x->version, &serve.version, f));
    const struct log_value values[] = {
        log_value_digest("version", &x->serving.version),
        log_value_digest("sealed", &serve.version),
        log_value_request("request", &m->request_id),
        log_value_actor("actor", log_actor_of(principal)),
    };
    const struct store_entry entry = {LOG_KIND_VERSION_SEALED, values,
                                      sizeof values / sizeof *values};
    const struct store_blank blank = {.name = x->train ? x->train->name : "",
                                      .role = DATASET_TRAIN,
                                      .rows = x->rows,
                                      .n_rows = x->n_rows};
    struct store_change change = {.actor = principal,
                                  .blobs = x->blobs,
                                  .n_blobs = x->n_blobs,
                                  .version = &x->version,
                                  .serve = &serve,
                                  .blanked = &blank,
                                  .n_blanked = x->n_rows > 0,
                                  .destroyed = x->destroyed,
                                  .n_destroyed = x->n_destroyed,
                                  .entries = &entry,
                                  .n_entries = 1};
    TRY(core_commit(x->core, &change, &result, f));
    *ret_version = serve.version;
    return STATUS_OK;
}

static enum status plan_destruction(struct seal *x, struct fault *f)
{
    struct store *store = x->core->store;
    TRY(store_outdated(store, &x->version, &x->destroyed, &x->n_destroyed, f));
    return store_reserve(store, version_bytes(&x->version), f);
}

/* From here on the old base is only read by predictions that have begun. */
static enum status switch_base(struct seal *x, const struct digest *version, struct fault *f)
{
    struct core *core = x->core;
    TRY(served_build(x->base, core->store, version, &x->to, f));
    served_cache_rebase(core->served, x->base);
    served_cache_publish(core->served, x->to);
    x->to = NULL;
    base_model_succeed(x->base, core->base);
    core->base = x->base;
    x->base = NULL;
    return STATUS_OK;
}

static enum status prepare(struct seal *x, struct fault *f)
{
    TRY(check_now(x, f));
    TRY(export_base(x->from, &x->files, f));
    TRY(load_base(x, f));
    TRY(check_same(x, f));
    TRY(fill_version(x, f));
    TRY(number_version(x, f));
    TRY(find_rows(x, f));
    return plan_destruction(x, f);
}

enum status seal_run(struct core *core,
                     const struct wire_envelope *m,
                     const char *principal,
                     struct seal_result *ret_result,
                     struct fault *f)
{
    struct seal x = {.core = core, .from = served_take_serving(core->served)};
    struct seal_result result = {.destroyed = 0};
    enum status st = prepare(&x, f);
    if (st == STATUS_OK)
        st = commit(&x, m, principal, &result.version, f);
    if (st == STATUS_OK) {
        result.destroyed = x.n_destroyed;
        st = switch_base(&x, &result.version, f);
    }
    seal_free(&x);
    TRY(st);
    *ret_result = result;
    return STATUS_OK;
}
