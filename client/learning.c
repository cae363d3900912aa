/*
 * What makes the model know more: tasks, streams, and components that come as files.  Each call
 * hands in a request and returns at its acceptance; lethe_wait follows it.
 */
#include "client/calls.h"
#include "client/client_error.h"
#include "proto/limits.h"
#include "proto/seal/hash.h"

/* NOLINTNEXTLINE(misc-redundant-expression): that they are the same is the point */
_Static_assert(LETHE_COMPONENT_MAX == LIMIT_IMPORT_BYTES, "size of a component that comes in");
_Static_assert(LIMIT_IMPORT_BYTES <= LIMIT_REQUEST_BYTES - LIMIT_ENVELOPE_BYTES &&
                   LIMIT_IMPORT_BYTES <= (uint64_t)LIMIT_FRAMES * LIMIT_FRAME_BYTES,
               "a component fits into one message");

#define IMPORT_FRAMES ((LIMIT_IMPORT_BYTES + LIMIT_FRAME_BYTES - 1) / LIMIT_FRAME_BYTES)

enum lethe_code lethe_learn(struct lethe *l,
                            const struct lethe_learn_args *args,
                            struct lethe_request **ret_request,
                            struct lethe_error *e)
{
    *ret_request = NULL;
    struct wire_option options[LIMIT_OPTIONS];
    const enum lethe_code code = calls_options(args->options, args->n_options, options, e);
    if (code != LETHE_OK)
        return code;
    struct client_call c = {.envelope = {.kind = WIRE_KIND_LEARN,
                                         .body.learn = {.task = args->task,
                                                        .data = args->data,
                                                        .method = args->method,
                                                        .dry_run = args->dry_run,
                                                        .seed = args->seed,
                                                        .options = options,
                                                        .n_options = args->n_options,
                                                        .floor = args->floor,
                                                        .ticket = args->ticket}}};
    return calls_submit(l, &c, args->request_id, ret_request, e);
}

/* ------------------------------------------------------------------ streams */

enum lethe_code lethe_stream_open(struct lethe *l,
                                  const struct lethe_stream_args *args,
                                  struct lethe_request **ret_request,
                                  struct lethe_error *e)
{
    *ret_request = NULL;
    struct wire_option options[LIMIT_OPTIONS];
    const enum lethe_code code = calls_options(args->options, args->n_options, options, e);
    if (code != LETHE_OK)
        return code;
    struct client_call c = {.envelope = {.kind = WIRE_KIND_STREAM_OPEN,
                                         .body.stream_open = {.name = args->name,
                                                              .run = args->run,
                                                              .expert = args->expert,
                                                              .seed = args->seed,
                                                              .options = options,
                                                              .n_options = args->n_options,
                                                              .ticket = args->ticket}}};
    return calls_submit(l, &c, args->request_id, ret_request, e);
}

enum lethe_code lethe_stream_push(struct lethe *l,
                                  const struct lethe_push_args *args,
                                  struct lethe_request **ret_request,
                                  struct lethe_error *e)
{
    *ret_request = NULL;
    struct wire_option options[LIMIT_OPTIONS];
    const enum lethe_code code = calls_options(args->options, args->n_options, options, e);
    if (code != LETHE_OK)
        return code;
    struct client_call c = {.envelope = {.kind = WIRE_KIND_STREAM_PUSH,
                                         .body.stream_push = {.name = args->name,
                                                              .data = args->data,
                                                              .probe = args->probe,
                                                              .batch = args->batch,
                                                              .dry_run = args->dry_run,
                                                              .options = options,
                                                              .n_options = args->n_options,
                                                              .ticket = args->ticket}}};
    return calls_submit(l, &c, args->request_id, ret_request, e);
}

enum lethe_code lethe_stream_close(struct lethe *l,
                                   const char *name,
                                   struct lethe_request **ret_request,
                                   struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_STREAM_CLOSE, .body.by_name.name = name}};
    return calls_submit(l, &c, NULL, ret_request, e);
}

/* ------------------------------------------------------------------ components */

/* The file as frames of the largest size; their number. */
static size_t cut_frames(const void *bytes, size_t size, struct wire_bytes frames[IMPORT_FRAMES])
{
    size_t n = 0;
    for (size_t at = 0; at < size; at += frames[n++].size) {
        const size_t left = size - at;
        frames[n] = (struct wire_bytes){(const uint8_t *)bytes + at,
                                        left < LIMIT_FRAME_BYTES ? left : LIMIT_FRAME_BYTES};
    }
    return n;
}

enum lethe_code lethe_component_import(struct lethe *l,
                                       const struct lethe_component_args *args,
                                       struct lethe_request **ret_request,
                                       struct lethe_error *e)
{
    *ret_request = NULL;
    if (args->size == 0 || args->size > LETHE_COMPONENT_MAX)
        return client_error_set(e, args->size ? LETHE_RESOURCE_EXHAUSTED : LETHE_INVALID_ARGUMENT,
                                LETHE_FROM_CALLER, "bytes",
                                "a component of %zu bytes; one call takes 1 to %u", args->size,
                                LETHE_COMPONENT_MAX);
    struct wire_bytes frames[IMPORT_FRAMES];
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_IMPORT,
                     .body.import = {.kind = args->kind,
                                     .name = args->name,
                                     .digest = seal_hash(args->bytes, args->size),
                                     .dry_run = args->dry_run}},
        .raw = frames,
        .n_raw = cut_frames(args->bytes, args->size, frames)};
    return calls_submit(l, &c, args->request_id, ret_request, e);
}
