#include "daemon/jobs/base_erased.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"
#include "proto/seal/hash.h"

static size_t row_bytes(const struct base_model *base)
{
    return (size_t)base->vit.image_size * base->vit.image_size * base->vit.channels;
}

static struct digest key_of(const struct base_model *base, const struct job_set *set, uint32_t i)
{
    const size_t bytes = row_bytes(base);
    return task_key_of(set->pixels + i * bytes, bytes, base->labels[set->labels[i]]);
}

static int is_of_base(const struct base_model *base, const struct job_set *set, uint32_t i)
{
    return set->labels[i] >= 0 && (uint32_t)set->labels[i] < base->vit.classes;
}

enum status
base_erased_add(struct kv_txn *txn, const struct base_model *base, struct job *job, struct fault *f)
{
    const struct job_set *set = &job->sets.set[JOB_SET_SAMPLES];
    struct digest *keys = sysio_alloc((size_t)set->n + 1, sizeof *keys);
    size_t n = 0;
    if (!keys)
        FAIL(f, STATUS_NO_MEMORY, "samples", "no memory for %u samples", set->n);
    for (uint32_t i = 0; i < set->n; i++)
        if (is_of_base(base, set, i))
            keys[n++] = key_of(base, set, i);
    const enum status st =
        n > 0 ? version_data_erase(txn, job, VERSION_ERASED_BASE, keys, n, f) : STATUS_OK;
    sysio_free(keys);
    return st;
}

/* ---------------------------------------------------------------- leaving out */

static void leave_out(const struct base_model *base,
                      const struct digest *keys,
                      size_t n_keys,
                      struct job_set *set)
{
    const size_t bytes = row_bytes(base);
    uint8_t *pixels = (uint8_t *)(uintptr_t)set->pixels;
    int32_t *labels = (int32_t *)(uintptr_t)set->labels;
    struct seal_hasher h;
    uint32_t kept = 0;
    seal_hash_init(&h);
    seal_hash_update(&h, set->digest.b, DIGEST_SIZE);
    for (uint32_t i = 0; i < set->n; i++) {
        const struct digest key = key_of(base, set, i);
        if (bsearch(&key, keys, n_keys, sizeof *keys, task_data_compare)) {
            seal_hash_update(&h, key.b, DIGEST_SIZE);
            continue;
        }
        memmove(pixels + kept * bytes, pixels + i * bytes, bytes);
        labels[kept++] = labels[i];
    }
    if (kept == set->n)
        return;
    set->n = kept;
    set->digest = seal_hash_final(&h); /* another set than the one it was */
}

enum status base_erased_leave_out(struct kv_txn *txn,
                                  const struct base_model *base,
                                  struct job *job,
                                  struct fault *f)
{
    static const enum job_set_role roles[] = {JOB_SET_MEMORY_TRAIN, JOB_SET_MEMORY_VALIDATION,
                                              JOB_SET_TEST};
    struct digest *keys;
    size_t n;
    TRY(version_data_erased(txn, job, VERSION_ERASED_BASE, &keys, &n, f));
    for (size_t i = 0; i < sizeof roles / sizeof *roles && n > 0; i++)
        leave_out(base, keys, n, &job->sets.set[roles[i]]);
    sysio_free(keys);
    return STATUS_OK;
}
