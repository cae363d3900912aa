#include "daemon/jobs/component_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/arena.h"
#include "daemon/base/sysio.h"
#include "learners/vit/safetensors.h"
#include "proto/seal/hash.h"

#define FORMAT "lethe-component-2"
#define FIRST  "lethe-component-1" /* had no place and no router terms */
#define TENSOR "component"
#define ROUTER "router"

/* ---------------------------------------------------------------- names */

static int kind_is_known(const char *kind)
{
    return strcmp(kind, "lane") == 0 || strcmp(kind, "ridge") == 0 || strcmp(kind, "expert") == 0;
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
        FAIL(f, STATUS_INVALID_ARGUMENT, "component",
             "must be lane:NAME, ridge:NAME or expert:NAME");
    (void)snprintf(c.name, sizeof c.name, "%s", colon + 1);
    *ret_c = c;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- writing */

struct texts {
    char digest[DIGEST_TEXT_SIZE], router[DIGEST_TEXT_SIZE];
    char base[DIGEST_TEXT_SIZE], trunk[DIGEST_TEXT_SIZE], preprocessing[DIGEST_TEXT_SIZE];
    char seed[24];
};

static void format_texts(const struct component_file *c, struct texts *t)
{
    struct digest d = seal_hash(c->bytes, c->size);
    digest_format(&d, t->digest);
    t->router[0] = '\0';
    if (c->router) {
        d = seal_hash(c->router, c->router_size);
        digest_format(&d, t->router);
    }
    digest_format(&c->place.base, t->base);
    digest_format(&c->place.trunk, t->trunk);
    digest_format(&c->place.preprocessing, t->preprocessing);
    (void)snprintf(t->seed, sizeof t->seed, "%" PRIu64, c->seed);
}

enum status component_file_write(const struct component_file *c,
                                 uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f)
{
    if (!kind_is_known(c->kind) || !name_is_valid(c->name))
        FAIL(f, STATUS_INVALID_ARGUMENT, "component", "%.15s %.63s cannot be a file", c->kind,
             c->name);
    struct texts t;
    format_texts(c, &t);
    const struct safetensors_meta meta[] = {
        {"format", FORMAT},   {"kind", c->kind},
        {"name", c->name},    {"digest", t.digest},
        {"router", t.router}, {"base", t.base},
        {"trunk", t.trunk},   {"preprocessing", t.preprocessing},
        {"seed", t.seed}};
    const size_t n_meta = sizeof meta / sizeof meta[0], n = c->router ? 2 : 1;
    const struct safetensors_item items[] = {
        {.name = TENSOR, .dtype = SAFETENSORS_U8, .dims = 1, .shape = {c->size}, .data = c->bytes},
        {.name = ROUTER,
         .dtype = SAFETENSORS_U8,
         .dims = 1,
         .shape = {c->router_size},
         .data = c->router}};
    const size_t size = safetensors_write_size(items, (uint32_t)n, meta, n_meta);
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "component", "no memory for a file of %zu bytes", size);
    safetensors_write(items, (uint32_t)n, meta, n_meta, bytes);
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

static enum status read_seed(const struct safetensors *s, uint64_t *ret_seed, struct fault *f)
{
    char text[24], again[24];
    TRY(read_text(s, "seed", text, sizeof text, f));
    *ret_seed = strtoull(text, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRIu64, *ret_seed);
    if (strcmp(text, again) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "seed", "its seed is no number of 64 bits");
    return STATUS_OK;
}

static enum status check_format(const struct safetensors *s, struct fault *f)
{
    char format[sizeof FORMAT];
    TRY(read_text(s, "format", format, sizeof format, f));
    if (strcmp(format, FIRST) == 0)
        FAIL(f, STATUS_BAD_FORMAT, "format",
             "the file has the old format " FIRST ", without what deciding needs: export it again");
    if (strcmp(format, FORMAT) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "format", "the format is not " FORMAT);
    return STATUS_OK;
}

static enum status
read_metadata(const struct safetensors *s, struct component_file *c, struct fault *f)
{
    TRY(check_format(s, f));
    TRY(read_text(s, "kind", c->kind, sizeof c->kind, f));
    TRY(read_text(s, "name", c->name, sizeof c->name, f));
    TRY(read_digest(s, "digest", &c->digest, f));
    TRY(read_digest(s, "base", &c->place.base, f));
    TRY(read_digest(s, "trunk", &c->place.trunk, f));
    TRY(read_digest(s, "preprocessing", &c->place.preprocessing, f));
    TRY(read_seed(s, &c->seed, f));
    if (!kind_is_known(c->kind))
        FAIL(f, STATUS_BAD_FORMAT, "kind", "the file holds no lane, ridge or expert");
    if (!name_is_valid(c->name))
        FAIL(f, STATUS_BAD_FORMAT, "name", "the name in the file is not valid");
    return STATUS_OK;
}

/* One record, with the digest that the metadata give it. */
static enum status read_record(const struct safetensors *s,
                               const char *tensor,
                               const struct digest *digest,
                               const void **ret_bytes,
                               size_t *ret_size,
                               struct fault *f)
{
    const struct safetensors_row *row = safetensors_find(s, tensor);
    if (!row || row->dtype != SAFETENSORS_U8 || row->dims != 1)
        FAIL(f, STATUS_BAD_FORMAT, tensor, "the file must hold a tensor %s, u8 [size]", tensor);
    const struct digest d = seal_hash(row->data, row->count);
    if (!digest_equal(&d, digest))
        FAIL(f, STATUS_BAD_FORMAT, "digest", "the %s is not the one that its digest names", tensor);
    *ret_bytes = row->data;
    *ret_size = row->count;
    return STATUS_OK;
}

static enum status
read_records(const struct safetensors *s, struct component_file *c, struct fault *f)
{
    struct digest router;
    const char *text = safetensors_metadata(s, ROUTER);
    const int has_router = !text || text[0] != '\0';
    if (has_router)
        TRY(read_digest(s, ROUTER, &router, f));
    if (safetensors_count(s) != (has_router ? 2u : 1u))
        FAIL(f, STATUS_BAD_FORMAT, TENSOR, "the file has %u tensors, it says %d",
             (unsigned)safetensors_count(s), has_router ? 2 : 1);
    TRY(read_record(s, TENSOR, &c->digest, &c->bytes, &c->size, f));
    if (has_router)
        TRY(read_record(s, ROUTER, &router, &c->router, &c->router_size, f));
    return STATUS_OK;
}

static enum status check_same(const struct component_file *c,
                              const char *what,
                              const struct digest *theirs,
                              const struct digest *ours,
                              const char *advice,
                              struct fault *f)
{
    char a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];
    if (digest_equal(theirs, ours))
        return STATUS_OK;
    digest_format(theirs, a);
    digest_format(ours, b);
    FAIL(f, STATUS_FAILED_PRECONDITION, what, "%s %.63s was made for the %s %.16s, this is %.16s%s",
         c->kind, c->name, what, a, b, advice);
}

static enum status
check_place(const struct component_file *c, const struct component_place *here, struct fault *f)
{
    if (!here)
        return STATUS_OK;
    TRY(check_same(c, "base", &c->place.base, &here->base, "", f));
    TRY(check_same(c, "preprocessing", &c->place.preprocessing, &here->preprocessing, "", f));
    return check_same(c, "trunk", &c->place.trunk, &here->trunk,
                      ": the same base with other erasures", f);
}

static enum status read_file(
    const void *bytes, size_t size, struct arena *a, struct component_file *c, struct fault *f)
{
    struct safetensors *s;
    TRY(safetensors_open(bytes, size, a, &s, f));
    TRY(read_metadata(s, c, f));
    return read_records(s, c, f);
}

enum status component_file_read(const void *bytes,
                                size_t size,
                                const struct component_place *here,
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
    struct component_file c = {0};
    arena_init(&arena, memory, plan);
    const enum status st = read_file(bytes, size, &arena, &c, f);
    arena_fini(&arena);
    sysio_free(memory);
    TRY(st);
    TRY(check_place(&c, here, f));
    *ret_c = c;
    return STATUS_OK;
}
