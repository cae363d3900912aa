#include "daemon/jobs/group_norms.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/methods/gslora/delta.h"
#include "storage/blobs/blobs.h"
#include "storage/versions/manifest.h"

static enum status no_room(struct fault *f)
{
    FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the answer is too large");
}

static enum status norms_of_record(const void *bytes,
                                   size_t size,
                                   const struct vit_config *config,
                                   float *ret_norms,
                                   struct fault *f)
{
    const size_t plan = delta_decode_plan(size);
    void *memory = sysio_alloc(plan, 1);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "erasure", "no memory for an erasure of %zu bytes", size);
    struct arena arena;
    struct delta delta;
    arena_init(&arena, memory, plan);
    const enum status st = delta_decode(bytes, size, config, &arena, &delta, f);
    if (st == STATUS_OK)
        delta_group_norms(&delta, ret_norms);
    arena_fini(&arena);
    sysio_free(memory);
    return st;
}

static enum status tell_one(struct kv_txn *txn,
                            const struct vit_config *config,
                            struct arena *a,
                            struct wire_component *c,
                            struct fault *f)
{
    void *bytes;
    size_t size;
    struct blob_info info;
    TRY(blob_stat(txn, &c->digest, &info, f));
    if (info.destroyed) /* sealed into the base: nobody can tell any more */
        return STATUS_OK;
    float *norms = arena_alloc_zero(a, config->depth, sizeof *norms);
    if (!norms)
        return no_room(f);
    TRY(blob_load(txn, &c->digest, (size_t)c->bytes, &bytes, &size, f));
    const enum status st = norms_of_record(bytes, size, config, norms, f);
    sysio_free(bytes);
    TRY(st);
    c->group_norms = norms;
    c->n_group_norms = config->depth;
    return STATUS_OK;
}

static enum status tell_list(struct kv_txn *txn,
                             const struct vit_config *config,
                             struct arena *a,
                             const struct wire_component **list,
                             size_t n,
                             struct fault *f)
{
    struct wire_component *copy = arena_alloc_zero(a, n + 1, sizeof *copy);
    if (!copy)
        return no_room(f);
    for (size_t i = 0; i < n; i++) {
        copy[i] = (*list)[i];
        if (strcmp(copy[i].kind, VERSION_KIND_ERASURE) == 0)
            TRY(tell_one(txn, config, a, &copy[i], f));
    }
    *list = copy;
    return STATUS_OK;
}

enum status group_norms_tell(struct kv_txn *txn,
                             const struct vit_config *config,
                             struct arena *a,
                             struct wire_diff_info *d,
                             struct fault *f)
{
    TRY(tell_list(txn, config, a, &d->added, d->n_added, f));
    return tell_list(txn, config, a, &d->removed, d->n_removed, f);
}
