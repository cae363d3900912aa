#include "daemon/jobs/component_file.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/arena.h"
#include "daemon/base/sysio.h"
#include "learners/vit/safetensors.h"
#include "proto/seal/hash.h"

#define FORMAT "lethe-component-1"
#define TENSOR "component"

/* ---------------------------------------------------------------- names */

static int kind_is_known(const char *kind)
{
    return strcmp(kind, "lane") == 0 || strcmp(kind, "expert") == 0;
}

static int name_is_valid(const char *name)
{
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-/");
    return n >= 1 && n < COMPONENT_NAME_SIZE && name[n] == '\0';
}

enum status component_file_parse(const char *text, struct component_file *ret_c, struct fault *f)
{
    const char *colon = strchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : 0;
    struct component_file c = {0};
    if (n > 0 && n < sizeof c.kind)
        memcpy(c.kind, text, n);
    if (!kind_is_known(c.kind) || !name_is_valid(colon + 1))
        FAIL(f, STATUS_INVALID_ARGUMENT, "component", "must be lane:NAME or expert:NAME");
    (void)snprintf(c.name, sizeof c.name, "%s", colon + 1);
    *ret_c = c;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- writing */

enum status component_file_write(const struct component_file *c,
                                 uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f)
{
    if (!kind_is_known(c->kind) || !name_is_valid(c->name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "component", "%.15s %.63s cannot be a file", c->kind,
             c->name);
    char digest[DIGEST_TEXT_SIZE], base[DIGEST_TEXT_SIZE];
    const struct digest d = seal_hash(c->bytes, c->size);
    digest_format(&d, digest);
    digest_format(&c->base, base);
    const struct safetensors_meta meta[] = {{"format", FORMAT},
                                            {"kind", c->kind},
                                            {"name", c->name},
                                            {"digest", digest},
                                            {"base", base}};
    const size_t n_meta = sizeof meta / sizeof meta[0];
    const struct safetensors_item item = {
        .name = TENSOR, .dtype = SAFETENSORS_U8, .dims = 1, .shape = {c->size}, .data = c->bytes};
    const size_t size = safetensors_write_size(&item, 1, meta, n_meta);
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory for a file of %zu bytes", size);
    safetensors_write(&item, 1, meta, n_meta, bytes);
    *ret_bytes = bytes;
    *ret_size = size;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- reading */

static enum status
read_text(const struct safetensors *s, const char *key, char *to, size_t size, struct fault *f)
{
    const char *text = safetensors_metadata(s, key);
    if (!text || strlen(text) >= size)
        FAIL(f, STATUS_BAD_FORMAT, key, "no file of a lane or expert: its %s is %s", key,
             text ? "too long" : "missing");
    (void)snprintf(to, size, "%s", text);
    return STATUS_OK;
}

static enum status
read_digest(const struct safetensors *s, const char *key, struct digest *to, struct fault *f)
{
    char text[DIGEST_TEXT_SIZE];
    TRY(read_text(s, key, text, sizeof text, f));
    if (digest_parse(text, to) != 0)
        FAIL(f, STATUS_BAD_FORMAT, key, "its %s is no digest", key);
    return STATUS_OK;
}

static enum status
read_metadata(const struct safetensors *s, struct component_file *c, struct fault *f)
{
    char format[sizeof FORMAT];
    TRY(read_text(s, "format", format, sizeof format, f));
    if (strcmp(format, FORMAT) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "format", "the format is not " FORMAT);
    TRY(read_text(s, "kind", c->kind, sizeof c->kind, f));
    TRY(read_text(s, "name", c->name, sizeof c->name, f));
    TRY(read_digest(s, "digest", &c->digest, f));
    TRY(read_digest(s, "base", &c->base, f));
    if (!kind_is_known(c->kind))
        FAIL(f, STATUS_BAD_FORMAT, "kind", "the file holds neither a lane nor an expert");
    if (!name_is_valid(c->name))
        FAIL(f, STATUS_BAD_FORMAT, "name", "the name in the file is not valid");
    return STATUS_OK;
}

static enum status
read_record(const struct safetensors *s, struct component_file *c, struct fault *f)
{
    const struct safetensors_row *row = safetensors_find(s, TENSOR);
    if (!row || safetensors_count(s) != 1 || row->dtype != SAFETENSORS_U8 || row->dims != 1)
        FAIL(f, STATUS_BAD_FORMAT, TENSOR, "the file must hold one tensor, " TENSOR ", u8 [size]");
    c->bytes = row->data;
    c->size = row->count;
    const struct digest d = seal_hash(c->bytes, c->size);
    if (!digest_equal(&d, &c->digest))
        FAIL(f, STATUS_BAD_FORMAT, "digest", "the record is not the one that its digest names");
    return STATUS_OK;
}

static enum status
check_base(const struct component_file *c, const struct digest *base, struct fault *f)
{
    char theirs[DIGEST_TEXT_SIZE], ours[DIGEST_TEXT_SIZE];
    if (!base || digest_equal(&c->base, base))
        return STATUS_OK;
    digest_format(&c->base, theirs);
    digest_format(base, ours);
    FAIL(f, STATUS_FAILED_PRECONDITION, "base",
         "%s %.63s was made for the base %.16s, this one is %.16s", c->kind, c->name, theirs, ours);
}

enum status component_file_read(const void *bytes,
                                size_t size,
                                const struct digest *base,
                                struct component_file *ret_c,
                                struct fault *f)
{
    if (size > COMPONENT_BYTES_MAX)
        FAIL(f, STATUS_BAD_FORMAT, TENSOR, "the file has %zu bytes, at most %zu are read", size,
             COMPONENT_BYTES_MAX);
    const size_t plan = safetensors_plan(bytes, size);
    void *memory = plan < SIZE_MAX ? sysio_alloc(plan, 1) : NULL;
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, TENSOR, "no memory to read a file of %zu bytes", size);
    struct arena arena;
    struct safetensors *s;
    struct component_file c = {0};
    arena_init(&arena, memory, plan);
    enum status st = safetensors_open(bytes, size, &arena, &s, f);
    if (st == STATUS_OK)
        st = read_metadata(s, &c, f);
    if (st == STATUS_OK)
        st = read_record(s, &c, f);
    arena_fini(&arena);
    sysio_free(memory);
    TRY(st);
    TRY(check_base(&c, base, f));
    *ret_c = c;
    return STATUS_OK;
}
