#include "daemon/jobs/base_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/arena.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/job_wire.h"
#include "proto/seal/hash.h"

#define BASE_MODEL_MAGIC 0x45534142u

/* Places in base_model.owned. */
enum { OWNED_MAPPING, OWNED_LABELS, OWNED_PROTOTYPES, OWNED_COUNTS };

const char *base_model_kind(enum model_file_kind file)
{
    static const char *const kinds[MODEL_FILES] = {
        [MODEL_FILE_WEIGHTS] = "base",
        [MODEL_FILE_CONFIG] = "base-config",
        [MODEL_FILE_PREPROCESSOR] = "base-preprocessor",
        [MODEL_FILE_PROTOTYPES] = "base-prototypes",
    };
    return kinds[file];
}

void base_model_folder_name(const char *folder, char name[BASE_MODEL_NAME_SIZE])
{
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && folder[start - 1] != '/')
        start--;
    size_t n = end - start;
    if (n >= BASE_MODEL_NAME_SIZE)
        n = BASE_MODEL_NAME_SIZE - 1;
    memcpy(name, folder + start, n);
    name[n] = '\0';
    if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0)
        (void)snprintf(name, BASE_MODEL_NAME_SIZE, "base");
}

/* One allocation: the pointers, then the texts. */
static enum status copy_labels(struct base_model *m, const struct model *model, struct fault *f)
{
    const uint32_t n = model->config.vit.classes;
    size_t size = n * sizeof(char *);
    for (uint32_t k = 0; k < n; k++)
        size += strlen(model->config.labels[k]) + 1;
    const char **labels = sysio_alloc(size, 1);
    if (!labels)
        FAIL(f, STATUS_NO_MEMORY, "id2label", "no memory for %u labels", n);
    char *text = (char *)(labels + n);
    for (uint32_t k = 0; k < n; k++) {
        const size_t length = strlen(model->config.labels[k]) + 1;
        memcpy(text, model->config.labels[k], length);
        labels[k] = text;
        text += length;
    }
    m->labels = labels;
    m->owned[OWNED_LABELS] = labels;
    return STATUS_OK;
}

static enum status copy_prototypes(struct base_model *m, const struct model *model, struct fault *f)
{
    if (!model->prototypes || !model->prototype_counts)
        return STATUS_OK;
    const size_t k = m->vit.classes;
    float *means = sysio_alloc(k * m->vit.width, sizeof *means);
    uint64_t *counts = sysio_alloc(k, sizeof *counts);
    m->owned[OWNED_PROTOTYPES] = means;
    m->owned[OWNED_COUNTS] = counts;
    if (!means || !counts)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no memory for %zu prototypes", k);
    memcpy(means, model->prototypes, k * m->vit.width * sizeof *means);
    for (size_t i = 0; i < k; i++)
        counts[i] = (uint64_t)model->prototype_counts[i];
    m->prototypes = means;
    m->prototype_counts = counts;
    return STATUS_OK;
}

/* Weights into a memory file, sealed, mapped again for reading. */
static enum status share_weights(struct base_model *m, const struct model *model, struct fault *f)
{
    size_t size;
    if (!size_mul(vit_weights_floats(&m->vit), sizeof(float), &size))
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "model.safetensors", "the model is too large");
    void *map;
    TRY(job_memory_create("lethe-base", size, &m->weights_fd, &map, f));
    memcpy(map, model->weights, size);
    TRY(job_memory_seal(m->weights_fd, map, size, f));
    const void *shared;
    TRY(job_memory_map(m->weights_fd, &shared, &m->mapped, f));
    m->owned[OWNED_MAPPING] = (void *)(uintptr_t)shared;
    m->floats = shared;
    vit_weights_map(&m->vit, m->owned[OWNED_MAPPING], &m->weights);
    return STATUS_OK;
}

enum status base_model_new(const struct model *model,
                           const char *name,
                           struct base_model **ret_base,
                           struct fault *f)
{
    if (model->config.vit.classes < 2)
        FAIL(f, STATUS_INVALID_ARGUMENT, "id2label", "a base model needs at least two classes");
    struct base_model *m = sysio_alloc(1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "base", "no memory for the base model");
    m->magic = BASE_MODEL_MAGIC;
    m->weights_fd = -1;
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    m->digest = model->digest;
    for (enum model_file_kind i = 0; i < MODEL_FILES; i++)
        m->part_digest[i] = model->files[i].digest;
    m->vit = model->config.vit;
    m->prep = model->config.prep;
    preprocessing_affine(&m->prep, m->scale, m->shift);
    enum status st = copy_labels(m, model, f);
    if (st == STATUS_OK)
        st = copy_prototypes(m, model, f);
    if (st == STATUS_OK)
        st = share_weights(m, model, f);
    if (st != STATUS_OK) {
        base_model_free(m);
        return st;
    }
    *ret_base = m;
    return STATUS_OK;
}

void base_model_set_origin(struct base_model *m, const struct digest *origin)
{
    m->digest = *origin;
    m->sealed = 1;
}

void base_model_succeed(struct base_model *m, struct base_model *older)
{
    m->older = older;
}

static void free_one(struct base_model *m)
{
    INVARIANT(m->magic == BASE_MODEL_MAGIC);
    if (m->owned[OWNED_MAPPING])
        (void)munmap(m->owned[OWNED_MAPPING], m->mapped);
    if (m->weights_fd >= 0)
        (void)close(m->weights_fd);
    sysio_free(m->owned[OWNED_LABELS]);
    sysio_free(m->owned[OWNED_PROTOTYPES]);
    sysio_free(m->owned[OWNED_COUNTS]);
    m->magic = 0;
    sysio_free(m);
}

void base_model_free(struct base_model *m)
{
    while (m) {
        struct base_model *older = m->older;
        free_one(m);
        m = older;
    }
}

int base_model_label(const struct base_model *m, const char *name)
{
    for (uint32_t k = 0; k < m->vit.classes; k++)
        if (strcmp(m->labels[k], name) == 0)
            return (int)k;
    return -1;
}

struct digest base_model_preprocessing(const struct base_model *m)
{
    uint8_t bytes[64];
    struct byte_writer w = byte_writer_make(bytes, sizeof bytes);
    put_u32(&w, m->prep.resize);
    put_u32(&w, (uint32_t)m->prep.keep_aspect);
    put_u32(&w, m->prep.resample);
    for (size_t c = 0; c < 3; c++) {
        put_f32(&w, m->scale[c]);
        put_f32(&w, m->shift[c]);
    }
    return seal_hash(bytes, w.used);
}

const char *base_model_resample(const struct base_model *m)
{
    static const char *const names[] = {"nearest", "lanczos", "bilinear",
                                        "bicubic", "box",     "hamming"};
    const uint32_t i = m->prep.resample;
    return i < sizeof names / sizeof names[0] ? names[i] : "bilinear";
}

/*
 * In the usual case, a factor of 1/255, these are the configuration's own numbers; otherwise
 * scale * p + shift = (p/255 - mean) / std gives std = 1/(255 scale), mean = -shift std.
 */
void base_model_moments(const struct base_model *m, float mean[3], float std[3])
{
    const int usual = fabsf(m->prep.rescale * 255.0f - 1.0f) < 1e-5f;
    for (size_t c = 0; c < 3; c++) {
        const float s = m->scale[c];
        std[c] = usual ? m->prep.std[c] : s > 0.0f ? 1.0f / (255.0f * s) : 1.0f;
        mean[c] = usual ? m->prep.mean[c] : -m->shift[c] * std[c];
    }
}
