/*
 * Conversion by walking a shape beside protobuf-c's descriptor: the plain struct on one
 * side, the generated message on the other.  All memory is taken from the caller's arena in small
 * chunks, so that ten thousand short labels do not cost an aligned block each.
 */
#include "proto/wire_internal.h"

#include "daemon/base/invariant.h"
#include "proto/limits.h"

#include <string.h>

#define POOL_CHUNK 4096u
#define POOL_ALIGN 16u

/* ------------------------------------------------------------ memory */

static void *pool_block(struct wire_pool *p, size_t n)
{
    if (n > POOL_CHUNK / 4)
        return arena_alloc(p->arena, 1, n);
    if (n > p->left) {
        p->at = arena_alloc(p->arena, 1, POOL_CHUNK);
        p->left = p->at ? POOL_CHUNK : 0;
    }
    if (n > p->left)
        return NULL;
    void *block = p->at;
    p->at += n;
    p->left -= n;
    return block;
}

void *wire_pool_alloc(void *data, size_t size)
{
    struct wire_pool *p = data;
    const size_t n = size > SIZE_MAX - POOL_ALIGN
                         ? SIZE_MAX
                         : (size + (size == 0) + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
    void *block = n <= p->budget ? pool_block(p, n) : NULL;
    if (block)
        p->budget -= n;
    else
        p->exhausted = true;
    return block;
}

void *wire_pool_zero(struct wire_pool *p, size_t count, size_t size)
{
    size_t n;
    void *block = size_mul(count, size, &n) ? wire_pool_alloc(p, n) : NULL;
    if (block)
        memset(block, 0, n);
    return block;
}

/* ------------------------------------------------------------ members of either side */

static void *member(void *base, size_t offset)
{
    return (unsigned char *)base + offset;
}

static const void *member_const(const void *base, size_t offset)
{
    return (const unsigned char *)base + offset;
}

/* Bytes of one list item in the plain struct. */
static size_t plain_size(const struct wire_field *field)
{
    switch (field->type) {
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
        return 8;
    case WIRE_TYPE_FLOAT:
        return sizeof(float);
    case WIRE_TYPE_TEXT:
        return sizeof(char *);
    case WIRE_TYPE_MESSAGE:
        return field->shape->size;
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
    case WIRE_TYPE_U32:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_BOOL:
    case WIRE_TYPE_ENUM:
    case WIRE_TYPE_DIGEST:
    case WIRE_TYPE_ID:
    case WIRE_TYPE_BYTES:
    case WIRE_TYPE_BODY:
        break;
    }
    invariant_failed("a list of this type exists", __FILE__, __LINE__);
}

/* ------------------------------------------------------------ message -> plain */

/* Digests and ids: empty leaves the zeroed target alone; other sizes were refused by the scan. */
static void unpack_fixed(const ProtobufCBinaryData *from, void *to, size_t size)
{
    if (from->len == size)
        memcpy(to, from->data, size);
}

static enum status
unpack_one(struct wire_pool *p, const struct wire_field *field, const void *from, void *to)
{
    switch (field->type) {
    case WIRE_TYPE_U32:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_ENUM:
    case WIRE_TYPE_FLOAT:
        memcpy(to, from, 4);
        break;
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
        memcpy(to, from, 8);
        break;
    case WIRE_TYPE_BOOL:
        *(bool *)to = *(const protobuf_c_boolean *)from != 0;
        break;
    case WIRE_TYPE_TEXT: {
        const char *text = *(char *const *)from;
        *(const char **)to = text ? text : "";
        break;
    }
    case WIRE_TYPE_DIGEST:
        unpack_fixed(from, to, DIGEST_SIZE);
        break;
    case WIRE_TYPE_ID:
        unpack_fixed(from, to, REQUEST_ID_SIZE);
        break;
    case WIRE_TYPE_BYTES: {
        const ProtobufCBinaryData *b = from;
        *(struct wire_bytes *)to = (struct wire_bytes){b->data, b->len};
        break;
    }
    case WIRE_TYPE_BODY:
        return wire_unpack(p, field->shape, *(ProtobufCMessage *const *)from, to);
    case WIRE_TYPE_MESSAGE: {
        const ProtobufCMessage *inner = *(ProtobufCMessage *const *)from;
        if (!inner)
            break;
        void *made = wire_pool_zero(p, 1, field->shape->size);
        if (!made)
            return STATUS_NO_MEMORY;
        *(const void **)to = made;
        return wire_unpack(p, field->shape, inner, made);
    }
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
        break;
    }
    return STATUS_OK;
}

static enum status unpack_list(
    struct wire_pool *p, const struct wire_field *field, size_t n, const void *from, void *to)
{
    if (n == 0)
        return STATUS_OK;
    const void *const items = *(const void *const *)member_const(from, 0);
    const size_t size = plain_size(field);
    void *made = wire_pool_zero(p, n, size);
    if (!made)
        return STATUS_NO_MEMORY;
    *(const void **)member(to, field->offset) = made;
    *(size_t *)member(to, field->n_offset) = n;
    if (field->type != WIRE_TYPE_MESSAGE && field->type != WIRE_TYPE_TEXT) {
        memcpy(made, items, n * size);
        return STATUS_OK;
    }
    for (size_t i = 0; i < n; i++) {
        const void *item = member_const(items, i * sizeof(void *));
        void *slot = member(made, i * size);
        if (field->type == WIRE_TYPE_TEXT)
            TRY(unpack_one(p, field, item, slot));
        else
            TRY(wire_unpack(p, field->shape, *(ProtobufCMessage *const *)item, slot));
    }
    return STATUS_OK;
}

enum status wire_unpack(struct wire_pool *p,
                        const struct wire_shape *shape,
                        const ProtobufCMessage *from,
                        void *to)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct wire_field *field = &shape->fields[i];
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        const void *source = member_const(from, d->offset);
        if (field->max_items) {
            const size_t n = *(const size_t *)member_const(from, d->quantifier_offset);
            TRY(unpack_list(p, field, n, source, to));
        } else if (field->type == WIRE_TYPE_BODY) {
            if (*(const uint32_t *)member_const(from, d->quantifier_offset) == d->id)
                TRY(unpack_one(p, field, source, member(to, field->offset)));
        } else {
            TRY(unpack_one(p, field, source, member(to, field->offset)));
        }
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------ plain -> message */

static void pack_fixed(const void *from, size_t size, ProtobufCBinaryData *to)
{
    static const uint8_t zero[DIGEST_SIZE];
    if (memcmp(from, zero, size) != 0)
        *to = (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)from};
}

/* Borrows the text, or makes a clean copy of one that could not be sent. */
static enum status pack_text(struct wire_pool *p, const char *text, void *to)
{
    text = text ? text : "";
    if (p->clean_texts && !wire_text_valid(text)) {
        const size_t size = strlen(text) + 1;
        char *copy = wire_pool_alloc(p, size);
        if (!copy)
            return STATUS_NO_MEMORY;
        memcpy(copy, text, size);
        wire_text_clean(copy);
        text = copy;
    }
    *(const char **)to = text;
    return STATUS_OK;
}

static enum status
pack_one(struct wire_pool *p, const struct wire_field *field, const void *from, void *to)
{
    switch (field->type) {
    case WIRE_TYPE_U32:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_ENUM:
    case WIRE_TYPE_FLOAT:
        memcpy(to, from, 4);
        break;
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
        memcpy(to, from, 8);
        break;
    case WIRE_TYPE_BOOL:
        *(protobuf_c_boolean *)to = *(const bool *)from;
        break;
    case WIRE_TYPE_TEXT:
        return pack_text(p, *(const char *const *)from, to);
    case WIRE_TYPE_DIGEST:
        pack_fixed(from, DIGEST_SIZE, to);
        break;
    case WIRE_TYPE_ID:
        pack_fixed(from, REQUEST_ID_SIZE, to);
        break;
    case WIRE_TYPE_BYTES: {
        const struct wire_bytes *b = from;
        *(ProtobufCBinaryData *)to =
            (ProtobufCBinaryData){.len = b->size, .data = (uint8_t *)(uintptr_t)b->at};
        break;
    }
    case WIRE_TYPE_BODY:
        return wire_pack(p, field->shape, from, 0, to);
    case WIRE_TYPE_MESSAGE:
        if (*(const void *const *)from)
            return wire_pack(p, field->shape, *(const void *const *)from, 0, to);
        break;
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
        break;
    }
    return STATUS_OK;
}

/* Numbers are lent to the message as they are; texts and messages get a list of pointers. */
static enum status pack_list(
    struct wire_pool *p, const struct wire_field *field, size_t n, const void *items, void *to)
{
    if (field->type != WIRE_TYPE_MESSAGE && field->type != WIRE_TYPE_TEXT) {
        *(const void **)to = items;
        return STATUS_OK;
    }
    const size_t size = plain_size(field);
    void **made = wire_pool_zero(p, n, sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const void *item = member_const(items, i * size);
        if (field->type == WIRE_TYPE_TEXT) {
            TRY(pack_text(p, *(const char *const *)item, &made[i]));
        } else {
            ProtobufCMessage *inner;
            TRY(wire_pack(p, field->shape, item, 0, &inner));
            made[i] = inner;
        }
    }
    *(void **)to = made;
    return STATUS_OK;
}

static enum status pack_field(struct wire_pool *p,
                              const struct wire_shape *shape,
                              size_t i,
                              const void *from,
                              ProtobufCMessage *to)
{
    const struct wire_field *field = &shape->fields[i];
    const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
    const void *source = member_const(from, field->offset);
    void *target = member(to, d->offset);
    if (field->type == WIRE_TYPE_PROTOCOL) {
        *(uint32_t *)target = LIMIT_PROTOCOL_VERSION;
        return STATUS_OK;
    }
    if (field->type == WIRE_TYPE_COUNT) {
        *(uint32_t *)target = (uint32_t) * (const size_t *)member_const(from, field[1].n_offset);
        return STATUS_OK;
    }
    if (!field->max_items)
        return pack_one(p, field, source, target);
    const size_t n = *(const size_t *)member_const(from, field->n_offset);
    *(size_t *)member(to, d->quantifier_offset) = n;
    return n ? pack_list(p, field, n, *(const void *const *)source, target) : STATUS_OK;
}

enum status wire_pack(struct wire_pool *p,
                      const struct wire_shape *shape,
                      const void *from,
                      unsigned choice,
                      ProtobufCMessage **ret_message)
{
    ProtobufCMessage *m = wire_pool_alloc(p, shape->descriptor->sizeof_message);
    if (!m)
        return STATUS_NO_MEMORY;
    shape->descriptor->message_init(m);
    unsigned body = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        if (shape->fields[i].type == WIRE_TYPE_BODY) {
            if (++body != choice)
                continue;
            *(uint32_t *)member(m, d->quantifier_offset) = d->id;
        }
        TRY(pack_field(p, shape, i, from, m));
    }
    *ret_message = m;
    return STATUS_OK;
}
