#include "daemon/pretrain/pretrain_checkpoint.h"

#include "daemon/base/sysio.h"
#include "learners/vit/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINT_MAX_BYTES ((size_t)16 << 30)
#define CHECKPOINT_VECTORS   4

static const char *const checkpoint_names[CHECKPOINT_VECTORS] = {"weights", "ema", "moment1",
                                                                 "moment2"};

static float *checkpoint_vector(const struct checkpoint *c, int i)
{
    float *const vectors[CHECKPOINT_VECTORS] = {c->weights, c->ema, c->moment1, c->moment2};
    return vectors[i];
}

enum status checkpoint_write(const char *path,
                             const struct checkpoint *c,
                             const char *options,
                             const char *data,
                             struct fault *f)
{
    char epoch[24], step[24];
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)c->epoch);
    (void)snprintf(step, sizeof step, "%llu", (unsigned long long)c->step);
    const struct safetensors_meta meta[] = {
        {"epoch", epoch}, {"step", step}, {"options", options}, {"data", data}};
    struct safetensors_item items[CHECKPOINT_VECTORS];
    for (int i = 0; i < CHECKPOINT_VECTORS; i++)
        items[i] = (struct safetensors_item){
            checkpoint_names[i], SAFETENSORS_F32, 1, {c->floats}, checkpoint_vector(c, i)};
    const size_t size = safetensors_write_size(items, CHECKPOINT_VECTORS, meta, 4);
    uint8_t *out = sysio_alloc(1, size);
    if (!out)
        FAIL(f, STATUS_NO_MEMORY, "checkpoint", "no memory for %zu bytes", size);
    safetensors_write(items, CHECKPOINT_VECTORS, meta, 4, out);
    const enum status st = sysio_write_file(path, out, size, f);
    sysio_free(out);
    return st;
}

static enum status
checkpoint_number(const struct safetensors *s, const char *key, uint64_t *ret_x, struct fault *f)
{
    const char *text = safetensors_metadata(s, key);
    char *end;
    errno = 0;
    const unsigned long long x = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || end == text || *end)
        FAIL(f, STATUS_BAD_FORMAT, key, "the checkpoint has no number here");
    *ret_x = x;
    return STATUS_OK;
}

static enum status
checkpoint_same(const struct safetensors *s, const char *key, const char *now, struct fault *f)
{
    const char *then = safetensors_metadata(s, key);
    size_t at = 0;
    if (then && strcmp(then, now) == 0)
        return STATUS_OK;
    while (then && then[at] && then[at] == now[at])
        at++;
    while (at > 0 && now[at - 1] != ' ') /* back to the start of the pair that differs */
        at--;
    FAIL(f, STATUS_FAILED_PRECONDITION, key, "the checkpoint has \"%.40s\", this run \"%.40s\"",
         then ? then + at : "", now + at);
}

static enum status checkpoint_fill(const struct safetensors *s,
                                   struct checkpoint *c,
                                   const char *options,
                                   const char *data,
                                   struct fault *f)
{
    TRY(checkpoint_same(s, "options", options, f));
    TRY(checkpoint_same(s, "data", data, f));
    TRY(checkpoint_number(s, "epoch", &c->epoch, f));
    TRY(checkpoint_number(s, "step", &c->step, f));
    for (int i = 0; i < CHECKPOINT_VECTORS; i++) {
        const struct safetensors_row *row = safetensors_find(s, checkpoint_names[i]);
        if (!row || row->count != c->floats)
            FAIL(f, STATUS_BAD_FORMAT, checkpoint_names[i], "missing or of another size");
        TRY(safetensors_read_f32(row, 0, row->count, checkpoint_vector(c, i), f));
    }
    return STATUS_OK;
}

enum status checkpoint_read(
    const char *path, struct checkpoint *c, const char *options, const char *data, struct fault *f)
{
    unsigned char *bytes;
    size_t size;
    if (access(path, F_OK) != 0)
        FAIL(f, STATUS_NOT_FOUND, "resume", "no checkpoint at %.110s", path);
    TRY(sysio_read_file(path, CHECKPOINT_MAX_BYTES, &bytes, &size, f));
    const size_t plan = safetensors_plan(bytes, size);
    void *memory = sysio_alloc(1, plan);
    struct safetensors *s;
    struct arena arena;
    enum status st;
    if (memory) {
        arena_init(&arena, memory, plan);
        st = safetensors_open(bytes, size, &arena, &s, f);
        if (st == STATUS_OK)
            st = checkpoint_fill(s, c, options, data, f);
        arena_fini(&arena);
    } else {
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "resume", "no memory");
    }
    sysio_free(memory);
    sysio_free(bytes);
    return st;
}
