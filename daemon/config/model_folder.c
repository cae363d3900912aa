#include "daemon/config/model_folder.h"

#include "daemon/base/sysio.h"
#include "learners/vit/prototypes.h"
#include "learners/vit/safetensors.h"
#include "learners/vit/vit_weights.h"
#include "proto/seal/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_PATH_SIZE 4096

enum { MODEL_MEMORY_LABELS, MODEL_MEMORY_WEIGHTS, MODEL_MEMORY_PROTOTYPES, MODEL_MEMORY_COUNTS };

const char *model_file_name(enum model_file_kind kind)
{
    switch (kind) {
    case MODEL_FILE_WEIGHTS:
        return "model.safetensors";
    case MODEL_FILE_CONFIG:
        return "config.json";
    case MODEL_FILE_PREPROCESSOR:
        return "preprocessor_config.json";
    case MODEL_FILE_PROTOTYPES:
        return "prototypes.safetensors";
    case MODEL_FILES:
        break;
    }
    return "";
}

void model_free(struct model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < sizeof m->memory / sizeof *m->memory; i++)
        sysio_free(m->memory[i]);
    for (int i = 0; i < MODEL_FILES; i++)
        sysio_free(m->owned_bytes[i]);
    sysio_free(m);
}

static enum status
model_alloc(struct model *m, int slot, size_t count, size_t size, void **ret, struct fault *f)
{
    m->memory[slot] = sysio_alloc(count, size);
    if (!m->memory[slot])
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu x %zu bytes of the model", count, size);
    *ret = m->memory[slot];
    return STATUS_OK;
}

static enum status model_parse_config(struct model *m, struct fault *f)
{
    const struct model_file *config = &m->files[MODEL_FILE_CONFIG];
    const struct model_file *prep = &m->files[MODEL_FILE_PREPROCESSOR];
    const size_t size = model_config_plan(config->size);
    struct arena arena;
    void *memory = NULL;
    TRY(model_alloc(m, MODEL_MEMORY_LABELS, 1, size, &memory, f));
    arena_init(&arena, memory, size);
    const enum status st = model_config_parse(config->bytes, config->size, prep->bytes, prep->size,
                                              &arena, &m->config, f);
    arena_fini(&arena);
    return st;
}

/* Opens a safetensors file on scratch memory and hands it to `use`. */
typedef enum status model_use(struct model *m, const struct safetensors *s, struct fault *f);

static enum status
model_with_tensors(struct model *m, enum model_file_kind kind, model_use *use, struct fault *f)
{
    const struct model_file *file = &m->files[kind];
    const size_t size = safetensors_plan(file->bytes, file->size);
    struct arena arena;
    struct safetensors *s;
    void *memory = sysio_alloc(1, size);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the table of %s", model_file_name(kind));
    arena_init(&arena, memory, size);
    enum status st = safetensors_open(file->bytes, file->size, &arena, &s, f);
    if (st == STATUS_OK)
        st = use(m, s, f);
    arena_fini(&arena);
    sysio_free(memory);
    if (st != STATUS_OK)
        fault_prefix(f, "%s", model_file_name(kind));
    return st;
}

static enum status model_use_weights(struct model *m, const struct safetensors *s, struct fault *f)
{
    const size_t floats = vit_weights_floats(&m->config.vit);
    void *memory = NULL;
    TRY(model_alloc(m, MODEL_MEMORY_WEIGHTS, floats, sizeof(float), &memory, f));
    m->weights = memory;
    m->scheme = vit_weights_scheme(s);
    TRY(vit_weights_read(s, &m->config.vit, m->weights, f));
    vit_weights_map(&m->config.vit, m->weights, &m->w);
    return STATUS_OK;
}

static enum status
model_use_prototypes(struct model *m, const struct safetensors *s, struct fault *f)
{
    const struct vit_config *c = &m->config.vit;
    void *rows = NULL, *counts = NULL;
    TRY(model_alloc(m, MODEL_MEMORY_PROTOTYPES, (size_t)c->classes * c->width, sizeof(float), &rows,
                    f));
    TRY(model_alloc(m, MODEL_MEMORY_COUNTS, c->classes, sizeof(int64_t), &counts, f));
    TRY(prototypes_read(s, c->classes, c->width, rows, counts, f));
    m->prototypes = rows;
    m->prototype_counts = counts;
    return STATUS_OK;
}

static void model_digest(struct model *m)
{
    struct seal_hasher all;
    seal_hash_init(&all);
    for (int i = 0; i < MODEL_FILES; i++) {
        uint8_t size[8];
        struct byte_writer w = byte_writer_make(size, sizeof size);
        put_u64(&w, m->files[i].size);
        seal_hash_update(&all, size, sizeof size);
        memset(&m->files[i].digest, 0, sizeof m->files[i].digest);
        if (!m->files[i].bytes)
            continue;
        m->files[i].digest = seal_hash(m->files[i].bytes, m->files[i].size);
        seal_hash_update(&all, m->files[i].bytes, m->files[i].size);
    }
    m->digest = seal_hash_final(&all);
}

static enum status model_parse(struct model *m, struct fault *f)
{
    for (int i = 0; i <= MODEL_FILE_CONFIG; i++)
        if (!m->files[i].bytes)
            FAIL(f, STATUS_NOT_FOUND, "base", "%s is missing",
                 model_file_name((enum model_file_kind)i));
    TRY(model_parse_config(m, f));
    TRY(model_with_tensors(m, MODEL_FILE_WEIGHTS, model_use_weights, f));
    if (m->files[MODEL_FILE_PROTOTYPES].bytes)
        TRY(model_with_tensors(m, MODEL_FILE_PROTOTYPES, model_use_prototypes, f));
    model_digest(m);
    return STATUS_OK;
}

static enum status model_new(struct model **ret_model, struct fault *f)
{
    *ret_model = sysio_alloc(1, sizeof **ret_model);
    if (!*ret_model)
        FAIL(f, STATUS_NO_MEMORY, "base", "no memory for the model");
    return STATUS_OK;
}

/* Parses *m and hands it over, or frees it. */
static enum status model_finish(struct model *m, struct model **ret_model, struct fault *f)
{
    const enum status st = model_parse(m, f);
    if (st == STATUS_OK)
        *ret_model = m;
    else
        model_free(m);
    return st;
}

enum status model_load_memory(const struct model_file files[MODEL_FILES],
                              struct model **ret_model,
                              struct fault *f)
{
    struct model *m;
    TRY(model_new(&m, f));
    memcpy(m->files, files, sizeof m->files);
    return model_finish(m, ret_model, f);
}

static enum status model_path(const char *folder,
                              enum model_file_kind kind,
                              char path[MODEL_PATH_SIZE],
                              struct fault *f)
{
    const int n = snprintf(path, MODEL_PATH_SIZE, "%s/%s", folder, model_file_name(kind));
    if (n < 0 || n >= MODEL_PATH_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "base", "path is longer than %d bytes", MODEL_PATH_SIZE);
    return STATUS_OK;
}

static enum status
model_read_file(struct model *m, const char *folder, enum model_file_kind kind, struct fault *f)
{
    char path[MODEL_PATH_SIZE];
    const int large = kind == MODEL_FILE_WEIGHTS || kind == MODEL_FILE_PROTOTYPES;
    unsigned char *bytes;
    TRY(model_path(folder, kind, path, f));
    if (access(path, F_OK) != 0) {
        if (kind == MODEL_FILE_PREPROCESSOR || kind == MODEL_FILE_PROTOTYPES)
            return STATUS_OK;
        FAIL(f, STATUS_NOT_FOUND, "base", "no %s in %.90s", model_file_name(kind), folder);
    }
    TRY(sysio_read_file(path, large ? MODEL_MAX_WEIGHT_BYTES : MODEL_CONFIG_MAX_BYTES, &bytes,
                        &m->files[kind].size, f));
    m->owned_bytes[kind] = bytes;
    m->files[kind].bytes = bytes;
    return STATUS_OK;
}

enum status model_load_folder(const char *folder, struct model **ret_model, struct fault *f)
{
    struct model *m;
    enum status st = STATUS_OK;
    TRY(model_new(&m, f));
    for (int i = 0; i < MODEL_FILES && st == STATUS_OK; i++)
        st = model_read_file(m, folder, (enum model_file_kind)i, f);
    if (st != STATUS_OK) {
        model_free(m);
        return st;
    }
    return model_finish(m, ret_model, f);
}

static enum status model_put_file(
    const char *folder, enum model_file_kind kind, const void *bytes, size_t n, struct fault *f)
{
    char path[MODEL_PATH_SIZE];
    TRY(model_path(folder, kind, path, f));
    return sysio_write_file(path, bytes, n, f);
}

static enum status model_put_weights(
    const char *folder, const struct vit_config *c, const float *weights, int half, struct fault *f)
{
    const enum safetensors_dtype dtype = half ? SAFETENSORS_F16 : SAFETENSORS_F32;
    const size_t plan = vit_weights_write_plan(c);
    struct arena arena;
    enum status st = STATUS_NO_MEMORY;
    void *memory = sysio_alloc(1, plan);
    uint8_t *out = NULL;
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to write the weights");
    arena_init(&arena, memory, plan);
    const size_t size = vit_weights_write(c, weights, dtype, &arena, NULL, 0);
    out = sysio_alloc(1, size);
    if (out) {
        (void)vit_weights_write(c, weights, dtype, &arena, out, size);
        st = model_put_file(folder, MODEL_FILE_WEIGHTS, out, size, f);
    }
    arena_fini(&arena);
    sysio_free(memory);
    sysio_free(out);
    return st;
}

typedef size_t model_writer(const struct model_config *c, char *to, size_t size);

static enum status model_put_json(const char *folder,
                                  enum model_file_kind kind,
                                  const struct model_config *c,
                                  model_writer *write,
                                  struct fault *f)
{
    const size_t size = write(c, NULL, 0);
    char *text = size > 0 ? sysio_alloc(size + 1, 1) : NULL;
    if (!text)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to write %s", model_file_name(kind));
    (void)write(c, text, size);
    text[size] = '\n';
    const enum status st = model_put_file(folder, kind, text, size + 1, f);
    sysio_free(text);
    return st;
}

static enum status model_put_prototypes(const char *folder,
                                        const struct vit_config *c,
                                        const float *prototypes,
                                        const int64_t *counts,
                                        struct fault *f)
{
    const size_t size = prototypes_write(prototypes, counts, c->classes, c->width, NULL, 0);
    uint8_t *out = sysio_alloc(1, size);
    if (!out)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory to write the prototypes");
    (void)prototypes_write(prototypes, counts, c->classes, c->width, out, size);
    const enum status st = model_put_file(folder, MODEL_FILE_PROTOTYPES, out, size, f);
    sysio_free(out);
    return st;
}

enum status model_write_folder(const char *folder,
                               const struct model_config *c,
                               const float *weights,
                               int half,
                               const float *prototypes,
                               const int64_t *counts,
                               struct fault *f)
{
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        FAIL(f, status_from_errno(errno), "out", "cannot create %.100s: %s", folder,
             strerror(errno));
    TRY(model_put_weights(folder, &c->vit, weights, half, f));
    TRY(model_put_json(folder, MODEL_FILE_CONFIG, c, model_config_write, f));
    TRY(model_put_json(folder, MODEL_FILE_PREPROCESSOR, c, model_config_write_preprocessor, f));
    return prototypes ? model_put_prototypes(folder, &c->vit, prototypes, counts, f) : STATUS_OK;
}
