/*
 * Data that moves in pieces: blobs of an export coming down, data sets going up.  Both are checked
 * by their BLAKE2b-256 digest.  An upload is found again by name and digest, so a broken one goes
 * on where the daemon has got to.
 */
#include "client/calls.h"
#include "client/client_error.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"
#include "proto/seal/subject.h"

#include <stdio.h>
#include <string.h>

/* NOLINTNEXTLINE(misc-redundant-expression): that they are the same is the point */
_Static_assert(LETHE_CHUNK_BYTES == LIMIT_CHUNK_BYTES && LETHE_DIGEST_SIZE == DIGEST_SIZE,
               "sizes of lethe.h and of the wire");

#define REOPEN_MAX 3

/* ------------------------------------------------------------------ export */

static enum lethe_code run_export(struct lethe *l,
                                  const struct wire_export *body,
                                  struct lethe_export **ret_export,
                                  struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_EXPORT, .body.export = *body},
                            .timeout_ms = client_slow_timeout_ms(l),
                            .attempts = 1,
                            .expects = WIRE_ANSWER_EXPORTED};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_export = root;
    return code;
}

enum lethe_code lethe_export(struct lethe *l,
                             const char *version,
                             const char *format,
                             struct lethe_export **ret_export,
                             struct lethe_error *e)
{
    return run_export(l, &(struct wire_export){.version = version, .format = format}, ret_export,
                      e);
}

enum lethe_code lethe_component_export(struct lethe *l,
                                       const char *version,
                                       const char *component,
                                       struct lethe_export **ret_export,
                                       struct lethe_error *e)
{
    return run_export(l, &(struct wire_export){.version = version, .component = component},
                      ret_export, e);
}

struct download {
    struct seal_hasher hasher;
    struct digest digest;
    uint64_t offset;
    uint64_t bytes;
    lethe_bytes_fn *function;
    void *context;
};

static enum lethe_code download_piece(struct lethe *l, struct download *d, struct lethe_error *e)
{
    const uint64_t left = d->bytes - d->offset;
    const uint32_t want = left < LIMIT_FRAME_BYTES ? (uint32_t)left : LIMIT_FRAME_BYTES;
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_BLOB, .body.blob = {d->digest, d->offset, want}}};
    struct result *r = result_new(0);
    if (!r)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL,
                                "out of memory");
    enum lethe_code code = client_call(l, &c, r, e);
    if (code == LETHE_OK && (c.n_answer_raw != 1 || c.answer_raw[0].size != want))
        code = client_error_set(e, LETHE_DATA_LOSS, LETHE_FROM_TRANSPORT, "blob",
                                "the daemon did not send the %u bytes asked for", want);
    if (code == LETHE_OK) {
        seal_hash_update(&d->hasher, c.answer_raw[0].at, want);
        d->offset += want;
        if (!d->function(d->context, c.answer_raw[0].at, want))
            code = client_error_set(e, LETHE_CANCELLED, LETHE_FROM_CALLER, NULL,
                                    "the caller ended the download");
    }
    result_free(r);
    return code;
}

enum lethe_code lethe_blob(struct lethe *l,
                           const struct lethe_file *file,
                           lethe_bytes_fn *function,
                           void *context,
                           struct lethe_error *e)
{
    client_error_clear(e);
    struct download d = {.bytes = file->bytes, .function = function, .context = context};
    if (digest_parse(file->digest, &d.digest) != 0)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "digest",
                                "\"%.70s\" is no digest", file->digest);
    seal_hash_init(&d.hasher);
    enum lethe_code code = LETHE_OK;
    while (code == LETHE_OK && d.offset < d.bytes)
        code = download_piece(l, &d, e);
    const struct digest got = seal_hash_final(&d.hasher);
    if (code == LETHE_OK && !digest_equal(&got, &d.digest))
        return client_error_set(e, LETHE_DATA_LOSS, LETHE_FROM_TRANSPORT, "digest",
                                "the bytes of %.100s do not match their digest", file->path);
    return code;
}

/* ------------------------------------------------------------------ data sets */

void lethe_subject(const char *id, uint8_t ret_hash[LETHE_DIGEST_SIZE])
{
    const struct digest d = subject_public(id ? id : "");
    memcpy(ret_hash, d.b, DIGEST_SIZE);
}

uint64_t lethe_data_bytes(const struct lethe_data_spec *spec)
{
    const uint64_t label = (spec->multi_label ? spec->n_classes : sizeof(int32_t)) +
                           (spec->subjects ? LETHE_DIGEST_SIZE : 0);
    uint64_t image, bytes;
    if (__builtin_mul_overflow((uint64_t)spec->height, (uint64_t)spec->width, &image) ||
        __builtin_mul_overflow(image, (uint64_t)spec->channels, &image) ||
        __builtin_add_overflow(image, label, &image) ||
        __builtin_mul_overflow(image, spec->images, &bytes))
        return 0;
    return bytes;
}

enum lethe_code lethe_data_open(struct lethe *l,
                                const struct lethe_data_spec *spec,
                                struct lethe_upload *ret_upload,
                                struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_DATA_OPEN,
                     .body.data_open = {.name = spec->name,
                                        .role = spec->role ? spec->role : "train",
                                        .images = spec->images,
                                        .height = spec->height,
                                        .width = spec->width,
                                        .channels = spec->channels,
                                        .classes = spec->classes,
                                        .n_classes = spec->n_classes,
                                        .multi_label = spec->multi_label,
                                        .subjects = spec->subjects}},
        .expects = WIRE_ANSWER_UPLOAD};
    memcpy(c.envelope.body.data_open.digest.b, spec->digest, DIGEST_SIZE);
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    if (code != LETHE_OK)
        return code;
    memcpy(ret_upload, root, sizeof *ret_upload);
    (void)snprintf(ret_upload->name, sizeof ret_upload->name, "%s", spec->name);
    lethe_free(root);
    return LETHE_OK;
}

enum lethe_code lethe_data_chunk(
    struct lethe *l, struct lethe_upload *u, const void *bytes, size_t size, struct lethe_error *e)
{
    client_error_clear(e);
    if (size == 0 || size > LETHE_CHUNK_BYTES)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "size",
                                "a chunk has 1 to %u bytes", LETHE_CHUNK_BYTES);
    const struct wire_bytes frame = {bytes, size};
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_DATA_CHUNK, .body.data_chunk.offset = u->offset},
        .raw = &frame,
        .n_raw = 1,
        .expects = WIRE_ANSWER_UPLOAD};
    enum lethe_code code = calls_parse_id(u->id, "upload", &c.envelope.body.data_chunk.upload, e);
    if (code != LETHE_OK)
        return code;
    void *root;
    code = calls_run(l, &c, &root, e);
    if (code != LETHE_OK)
        return code;
    const struct lethe_upload *now = root;
    u->offset = now->offset;
    u->credit = now->credit;
    u->complete = now->complete;
    lethe_free(root);
    return LETHE_OK;
}

static bool
find_dataset(const struct lethe_datasets *list, const char *name, struct lethe_dataset *ret_dataset)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            *ret_dataset = list->items[i];
            return true;
        }
    }
    return false;
}

enum lethe_code lethe_data_close(struct lethe *l,
                                 const struct lethe_upload *u,
                                 struct lethe_dataset **ret_dataset,
                                 struct lethe_error *e)
{
    *ret_dataset = NULL;
    client_error_clear(e);
    struct client_call c = {.envelope.kind = WIRE_KIND_DATA_CLOSE,
                            .timeout_ms = client_slow_timeout_ms(l),
                            .expects = WIRE_ANSWER_DATASETS};
    enum lethe_code code = calls_parse_id(u->id, "upload", &c.envelope.body.by_id.id, e);
    if (code != LETHE_OK)
        return code;
    void *root;
    code = calls_run(l, &c, &root, e);
    if (code != LETHE_OK)
        return code;
    /* The list becomes the data set: both lie at the start of the result, and the set's lists
     * behind it. */
    struct lethe_dataset found;
    if (!find_dataset(root, u->name, &found)) {
        lethe_free(root);
        return client_error_set(e, LETHE_INTERNAL, LETHE_FROM_TRANSPORT, "name",
                                "the daemon's answer does not name data set %.100s", u->name);
    }
    memcpy(root, &found, sizeof found);
    *ret_dataset = root;
    return LETHE_OK;
}

/* ------------------------------------------------------------------ import */

struct import {
    struct lethe *l;
    const struct lethe_import_args *args;
    struct lethe_data_spec spec;
    uint64_t bytes;
    unsigned char *chunk; /* LETHE_CHUNK_BYTES */
    struct lethe_error *e;
};

static enum lethe_code import_read(struct import *m, uint64_t offset, size_t *ret_size)
{
    const uint64_t left = m->bytes - offset;
    const size_t size = left < LETHE_CHUNK_BYTES ? (size_t)left : LETHE_CHUNK_BYTES;
    if (!m->args->source(m->args->context, offset, m->chunk, size))
        return client_error_set(m->e, LETHE_CANCELLED, LETHE_FROM_CALLER, "source",
                                "the source gave no bytes at offset %llu",
                                (unsigned long long)offset);
    *ret_size = size;
    return LETHE_OK;
}

static enum lethe_code import_digest(struct import *m)
{
    struct seal_hasher hasher;
    seal_hash_init(&hasher);
    enum lethe_code code = LETHE_OK;
    for (uint64_t at = 0; code == LETHE_OK && at < m->bytes;) {
        size_t size = 0;
        code = import_read(m, at, &size);
        if (code == LETHE_OK)
            seal_hash_update(&hasher, m->chunk, size);
        at += size;
    }
    const struct digest digest = seal_hash_final(&hasher);
    memcpy(m->spec.digest, digest.b, DIGEST_SIZE);
    return code;
}

static enum lethe_code import_send(struct import *m, struct lethe_upload *u)
{
    while (!u->complete && u->offset < m->bytes) {
        size_t size = 0;
        enum lethe_code code = import_read(m, u->offset, &size);
        const uint64_t before = u->offset;
        if (code == LETHE_OK)
            code = lethe_data_chunk(m->l, u, m->chunk, size, m->e);
        if (code != LETHE_OK)
            return code;
        if (u->offset <= before)
            return client_error_set(m->e, LETHE_ABORTED, LETHE_FROM_TRANSPORT, "offset",
                                    "the upload does not move on at byte %llu",
                                    (unsigned long long)before);
        if (m->args->meter)
            m->args->meter(m->args->context, u->offset, m->bytes);
    }
    return LETHE_OK;
}

/* A restart of the daemon, or a chunk that came twice, moves the offset or makes the upload
 * unknown: opening it again tells where to go on.  More than once is not worth much, so it is
 * bounded. */
static bool worth_reopening(enum lethe_code code)
{
    static const enum lethe_code CODES[] = {LETHE_ABORTED,     LETHE_OUT_OF_RANGE,
                                            LETHE_UNAVAILABLE, LETHE_DEADLINE_EXCEEDED,
                                            LETHE_NOT_FOUND,   LETHE_FAILED_PRECONDITION};
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        if (code == CODES[i])
            return true;
    }
    return false;
}

static enum lethe_code import_run(struct import *m, struct lethe_dataset **ret_dataset)
{
    enum lethe_code code = import_digest(m);
    if (code != LETHE_OK)
        return code;
    struct lethe_upload u;
    for (int i = 0; i <= REOPEN_MAX; i++) {
        code = lethe_data_open(m->l, &m->spec, &u, m->e);
        if (code == LETHE_OK)
            code = import_send(m, &u);
        if (code == LETHE_OK)
            code = lethe_data_close(m->l, &u, ret_dataset, m->e);
        if (!worth_reopening(code))
            break;
    }
    return code;
}

enum lethe_code lethe_data_import(struct lethe *l,
                                  const struct lethe_import_args *args,
                                  struct lethe_dataset **ret_dataset,
                                  struct lethe_error *e)
{
    *ret_dataset = NULL;
    client_error_clear(e);
    struct import m = {.l = l, .args = args, .spec = args->spec, .e = e};
    m.bytes = lethe_data_bytes(&args->spec);
    if (m.bytes == 0 || m.bytes > LIMIT_DATASET_BYTES)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "images",
                                "a data set has 1 to %llu bytes",
                                (unsigned long long)LIMIT_DATASET_BYTES);
    m.chunk = sysio_alloc(1, LETHE_CHUNK_BYTES);
    if (!m.chunk)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL,
                                "out of memory");
    const enum lethe_code code = import_run(&m, ret_dataset);
    sysio_free(m.chunk);
    return code;
}

enum lethe_code
lethe_data_list(struct lethe *l, struct lethe_datasets **ret_datasets, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_DATA_LIST, .expects = WIRE_ANSWER_DATASETS};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_datasets = root;
    return code;
}

static enum lethe_code
remove_set(struct lethe *l, const char *name, bool force, struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_DATA_REMOVE,
                                         .body.by_name = {.name = name, .force = force}}};
    void *root;
    return calls_run(l, &c, &root, e);
}

enum lethe_code lethe_data_remove(struct lethe *l, const char *name, struct lethe_error *e)
{
    return remove_set(l, name, false, e);
}

enum lethe_code lethe_data_remove_forced(struct lethe *l, const char *name, struct lethe_error *e)
{
    return remove_set(l, name, true, e);
}
