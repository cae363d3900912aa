/*
 * The public functions: bounds, scan, conversion, and the rules that tie fields of one message
 * together (a kind has one form of body, a count is the length of its list).
 */
#include "proto/wire.h"

#include "proto/limits.h"
#include "proto/wire_internal.h"

#include "daemon/base/invariant.h"

#include <stdio.h>
#include <string.h>

static const void *member(const void *base, size_t offset)
{
    return (const unsigned char *)base + offset;
}

/* The arena is rewound as a whole. */
static void pool_free(void *data, void *block)
{
    (void)data;
    (void)block;
}

/* ------------------------------------------------------------ whole messages */

struct bounds {
    const char *name;
    size_t bytes;  /* encoded */
    size_t decode; /* memory */
    bool clean_texts;
};

static const struct bounds envelope_bounds = {"envelope", LIMIT_ENVELOPE_BYTES, LIMIT_DECODE_BYTES,
                                              false};
static const struct bounds reply_bounds = {"reply", LIMIT_REPLY_BYTES, LIMIT_REPLY_DECODE_BYTES,
                                           true};
static const struct bounds event_bounds = {"event", LIMIT_EVENT_BYTES, LIMIT_DECODE_BYTES, true};

static enum status check_bytes(size_t size, const struct bounds *b, struct fault *f)
{
    if (size > b->bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, b->name, "%zu bytes, at most %zu", size, b->bytes);
    return STATUS_OK;
}

static enum status encode(const struct wire_shape *shape,
                          const struct bounds *b,
                          const void *from,
                          unsigned choice,
                          struct arena *a,
                          struct wire_bytes *ret_bytes,
                          struct fault *f)
{
    struct wire_pool pool = {.arena = a, .budget = SIZE_MAX, .clean_texts = b->clean_texts};
    ProtobufCMessage *m;
    if (wire_pack(&pool, shape, from, choice, &m) != STATUS_OK)
        FAIL(f, STATUS_NO_MEMORY, b->name, "no room to encode");
    const size_t size = protobuf_c_message_get_packed_size(m);
    TRY(check_bytes(size, b, f));
    uint8_t *bytes = arena_alloc(a, 1, size + 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, b->name, "no room to encode %zu bytes", size);
    (void)protobuf_c_message_pack(m, bytes);
    TRY(wire_scan(shape, bytes, size, f));
    *ret_bytes = (struct wire_bytes){bytes, size};
    return STATUS_OK;
}

/* A failed call leaves the arena as it was. */
static enum status encode_or_rewind(const struct wire_shape *shape,
                                    const struct bounds *b,
                                    const void *from,
                                    unsigned choice,
                                    struct arena *a,
                                    struct wire_bytes *ret_bytes,
                                    struct fault *f)
{
    const struct arena_mark mark = arena_mark(a);
    const enum status code = encode(shape, b, from, choice, a, ret_bytes, f);
    if (code != STATUS_OK)
        arena_rewind(a, mark);
    return code;
}

/* Which body stands in the message, counted from 1; 0: none. */
static unsigned body_choice(const struct wire_shape *shape, const ProtobufCMessage *m)
{
    unsigned body = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        if (shape->fields[i].type != WIRE_TYPE_BODY)
            continue;
        body++;
        if (*(const uint32_t *)member(m, d->quantifier_offset) == d->id)
            return body;
    }
    return 0;
}

/* Value of the COUNT field against the list behind it. */
static enum status
check_count(const struct wire_shape *shape, const ProtobufCMessage *m, struct fault *f)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (shape->fields[i].type != WIRE_TYPE_COUNT)
            continue;
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        const uint32_t said = *(const uint32_t *)member(m, d->offset);
        const size_t n = *(const size_t *)member(m, d[1].quantifier_offset);
        if (said != n)
            FAIL(f, STATUS_INVALID_ARGUMENT, d->name, "%u frames, but %zu sizes in %s", said, n,
                 d[1].name);
    }
    return STATUS_OK;
}

static enum status decode(const struct wire_shape *shape,
                          const struct bounds *b,
                          struct wire_bytes in,
                          struct arena *a,
                          void **ret_plain,
                          unsigned *ret_choice,
                          struct fault *f)
{
    TRY(check_bytes(in.size, b, f));
    TRY(wire_scan(shape, in.at, in.size, f));
    struct wire_pool pool = {.arena = a, .budget = b->decode};
    ProtobufCAllocator allocator = {wire_pool_alloc, pool_free, &pool};
    ProtobufCMessage *m = protobuf_c_message_unpack(shape->descriptor, &allocator, in.size, in.at);
    if (!m && !pool.exhausted)
        FAIL(f, STATUS_INVALID_ARGUMENT, b->name, "malformed message");
    void *plain = m ? wire_pool_zero(&pool, 1, shape->size) : NULL;
    if (!plain || wire_unpack(&pool, shape, m, plain) != STATUS_OK)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, b->name,
             "decoding needs more memory than the %zu bytes allowed", b->decode);
    TRY(check_count(shape, m, f));
    *ret_choice = body_choice(shape, m);
    *ret_plain = plain;
    return STATUS_OK;
}

static enum status decode_or_rewind(const struct wire_shape *shape,
                                    const struct bounds *b,
                                    struct wire_bytes in,
                                    struct arena *a,
                                    void **ret_plain,
                                    unsigned *ret_choice,
                                    struct fault *f)
{
    const struct arena_mark mark = arena_mark(a);
    const enum status code = decode(shape, b, in, a, ret_plain, ret_choice, f);
    if (code != STATUS_OK)
        arena_rewind(a, mark);
    return code;
}

/* ------------------------------------------------------------ requests */

enum wire_body wire_kind_body(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_KIND_FORGET:
        return WIRE_BODY_FORGET;
    case WIRE_KIND_PREDICT:
        return WIRE_BODY_PREDICT;
    case WIRE_KIND_REQUESTS:
    case WIRE_KIND_HISTORY:
    case WIRE_KIND_DATA_LIST:
        return WIRE_BODY_LIST;
    case WIRE_KIND_REQUEST:
    case WIRE_KIND_WAIT:
    case WIRE_KIND_CANCEL:
    case WIRE_KIND_APPROVE:
    case WIRE_KIND_DENY:
    case WIRE_KIND_DATA_CLOSE:
        return WIRE_BODY_BY_ID;
    case WIRE_KIND_SHOW:
    case WIRE_KIND_PIN:
        return WIRE_BODY_VERSION;
    case WIRE_KIND_DIFF:
        return WIRE_BODY_DIFF;
    case WIRE_KIND_SERVED_AT:
        return WIRE_BODY_SERVED_AT;
    case WIRE_KIND_EVALUATE:
        return WIRE_BODY_EVALUATE;
    case WIRE_KIND_ROLLBACK:
        return WIRE_BODY_ROLLBACK;
    case WIRE_KIND_EXPORT:
        return WIRE_BODY_EXPORT;
    case WIRE_KIND_BLOB:
        return WIRE_BODY_BLOB;
    case WIRE_KIND_DATA_OPEN:
        return WIRE_BODY_DATA_OPEN;
    case WIRE_KIND_DATA_CHUNK:
        return WIRE_BODY_DATA_CHUNK;
    case WIRE_KIND_DATA_REMOVE:
    case WIRE_KIND_STREAM_CLOSE:
        return WIRE_BODY_BY_NAME;
    case WIRE_KIND_LEARN:
        return WIRE_BODY_LEARN;
    case WIRE_KIND_STREAM_OPEN:
        return WIRE_BODY_STREAM_OPEN;
    case WIRE_KIND_STREAM_PUSH:
        return WIRE_BODY_STREAM_PUSH;
    case WIRE_KIND_IMPORT:
        return WIRE_BODY_IMPORT;
    case WIRE_KIND_KEYS:
        return WIRE_BODY_KEYS;
    case WIRE_KIND_LOG:
        return WIRE_BODY_LOG_LIST;
    case WIRE_KIND_PROVE:
        return WIRE_BODY_PROVE;
    case WIRE_KIND_CONSISTENCY:
        return WIRE_BODY_SIZES;
    case WIRE_KIND_CERTIFICATE:
        return WIRE_BODY_CERTIFY;
    case WIRE_KIND_BACKUP:
        return WIRE_BODY_BACKUP;
    case WIRE_KIND_UNSPECIFIED:
    case WIRE_KIND_STATUS:
    case WIRE_KIND_MODEL:
    case WIRE_KIND_FSCK:
    case WIRE_KIND_CHECKPOINT:
    case WIRE_KIND_SEAL:
    case WIRE_KIND_ROTATE:
    case WIRE_KIND_COMPACT:
        break;
    }
    return WIRE_BODY_NONE;
}

unsigned wire_kind_last(void)
{
    return (unsigned)wire_kinds->values[wire_kinds->n_values - 1].value;
}

const char *wire_kind_name(enum wire_kind kind)
{
    static const char *const names[] = {
        [WIRE_KIND_STATUS] = "status",
        [WIRE_KIND_FORGET] = "forget",
        [WIRE_KIND_PREDICT] = "predict",
        [WIRE_KIND_REQUESTS] = "requests",
        [WIRE_KIND_REQUEST] = "request",
        [WIRE_KIND_WAIT] = "wait",
        [WIRE_KIND_CANCEL] = "cancel",
        [WIRE_KIND_HISTORY] = "history",
        [WIRE_KIND_SHOW] = "show",
        [WIRE_KIND_DIFF] = "diff",
        [WIRE_KIND_SERVED_AT] = "served_at",
        [WIRE_KIND_EVALUATE] = "evaluate",
        [WIRE_KIND_ROLLBACK] = "rollback",
        [WIRE_KIND_PIN] = "pin",
        [WIRE_KIND_EXPORT] = "export",
        [WIRE_KIND_BLOB] = "blob",
        [WIRE_KIND_DATA_OPEN] = "data_open",
        [WIRE_KIND_DATA_CHUNK] = "data_chunk",
        [WIRE_KIND_DATA_CLOSE] = "data_close",
        [WIRE_KIND_DATA_LIST] = "data_list",
        [WIRE_KIND_DATA_REMOVE] = "data_remove",
        [WIRE_KIND_MODEL] = "model",
        [WIRE_KIND_FSCK] = "fsck",
        [WIRE_KIND_LEARN] = "learn",
        [WIRE_KIND_STREAM_OPEN] = "stream_open",
        [WIRE_KIND_STREAM_PUSH] = "stream_push",
        [WIRE_KIND_STREAM_CLOSE] = "stream_close",
        [WIRE_KIND_IMPORT] = "import",
        [WIRE_KIND_APPROVE] = "approve",
        [WIRE_KIND_DENY] = "deny",
        [WIRE_KIND_KEYS] = "keys",
        [WIRE_KIND_LOG] = "log",
        [WIRE_KIND_CHECKPOINT] = "checkpoint",
        [WIRE_KIND_PROVE] = "prove",
        [WIRE_KIND_CONSISTENCY] = "consistency",
        [WIRE_KIND_CERTIFICATE] = "certificate",
        [WIRE_KIND_SEAL] = "seal",
        [WIRE_KIND_ROTATE] = "rotate",
        [WIRE_KIND_BACKUP] = "backup",
        [WIRE_KIND_COMPACT] = "compact",
    };
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
}

/* Lists may leave their body out: all defaults. */
static enum status check_body(struct wire_envelope *m, unsigned choice, struct fault *f)
{
    if (m->kind == WIRE_KIND_UNSPECIFIED)
        FAIL(f, STATUS_INVALID_ARGUMENT, "kind", "the kind of request is missing");
    const enum wire_body wanted = wire_kind_body(m->kind);
    if (choice == (unsigned)wanted)
        return STATUS_OK;
    if (choice == 0 && wanted == WIRE_BODY_LIST) {
        m->body.list = (struct wire_list){.state = ""};
        return STATUS_OK;
    }
    if (choice == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "body", "a request of kind %s needs its body",
             wire_kind_name(m->kind));
    FAIL(f, STATUS_INVALID_ARGUMENT, "body", "not the body of a request of kind %s",
         wire_kind_name(m->kind));
}

enum status wire_envelope_encode(const struct wire_envelope *m,
                                 struct arena *a,
                                 const uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f)
{
    struct wire_bytes out;
    TRY(encode_or_rewind(&wire_shape_envelope, &envelope_bounds, m,
                         (unsigned)wire_kind_body(m->kind), a, &out, f));
    *ret_bytes = out.at;
    *ret_size = out.size;
    return STATUS_OK;
}

enum status wire_payload_encode(const struct wire_envelope *m,
                                struct arena *a,
                                const uint8_t **ret_bytes,
                                size_t *ret_size,
                                struct fault *f)
{
    struct wire_envelope core = *m;
    memset(&core.request_id, 0, sizeof core.request_id);
    core.frame_bytes = NULL;
    core.n_frames = 0;
    core.deadline_ms = 0;
    return wire_envelope_encode(&core, a, ret_bytes, ret_size, f);
}

enum status wire_envelope_decode(const uint8_t *bytes,
                                 size_t size,
                                 struct arena *a,
                                 const struct wire_envelope **ret_message,
                                 struct fault *f)
{
    const struct arena_mark mark = arena_mark(a);
    void *plain;
    unsigned choice;
    TRY(decode_or_rewind(&wire_shape_envelope, &envelope_bounds, (struct wire_bytes){bytes, size},
                         a, &plain, &choice, f));
    const enum status code = check_body(plain, choice, f);
    if (code == STATUS_OK)
        *ret_message = plain;
    else
        arena_rewind(a, mark);
    return code;
}

/* ------------------------------------------------------------ replies and events */

enum status wire_reply_encode(const struct wire_reply *m,
                              struct arena *a,
                              const uint8_t **ret_bytes,
                              size_t *ret_size,
                              struct fault *f)
{
    struct wire_bytes out;
    TRY(encode_or_rewind(&wire_shape_reply, &reply_bounds, m, (unsigned)m->answer, a, &out, f));
    *ret_bytes = out.at;
    *ret_size = out.size;
    return STATUS_OK;
}

enum status wire_reply_decode(const uint8_t *bytes,
                              size_t size,
                              struct arena *a,
                              const struct wire_reply **ret_message,
                              struct fault *f)
{
    void *plain;
    unsigned choice;
    TRY(decode_or_rewind(&wire_shape_reply, &reply_bounds, (struct wire_bytes){bytes, size}, a,
                         &plain, &choice, f));
    struct wire_reply *reply = plain;
    reply->answer = (enum wire_answer)choice;
    *ret_message = reply;
    return STATUS_OK;
}

enum status wire_event_encode(const struct wire_event *m,
                              struct arena *a,
                              const uint8_t **ret_bytes,
                              size_t *ret_size,
                              struct fault *f)
{
    struct wire_bytes out;
    TRY(encode_or_rewind(&wire_shape_event, &event_bounds, m, 0, a, &out, f));
    *ret_bytes = out.at;
    *ret_size = out.size;
    return STATUS_OK;
}

enum status wire_event_decode(const uint8_t *bytes,
                              size_t size,
                              struct arena *a,
                              const struct wire_event **ret_message,
                              struct fault *f)
{
    void *plain;
    unsigned choice;
    TRY(decode_or_rewind(&wire_shape_event, &event_bounds, (struct wire_bytes){bytes, size}, a,
                         &plain, &choice, f));
    *ret_message = plain;
    return STATUS_OK;
}

/* ------------------------------------------------------------ small things */

struct wire_error wire_error_make(enum status code, const struct fault *f, uint32_t retry_after_s)
{
    return (struct wire_error){
        .code = status_wire_name(code),
        .text = f && f->text[0] ? f->text : status_text(code),
        .field = f ? f->field : "",
        .retry_after_s = retry_after_s,
        .status = (int32_t)code,
    };
}

void wire_topic_format(const struct request_id *id, char text[WIRE_TOPIC_SIZE])
{
    char hex[REQUEST_ID_TEXT_SIZE];
    request_id_format(id, hex);
    (void)snprintf(text, WIRE_TOPIC_SIZE, "request.%s", hex);
}
