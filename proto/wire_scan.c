/*
 * The walk over encoded bytes that precedes unpacking.  protobuf-c turns 1 MiB of well-formed bytes
 * into 64 MiB of heap, checks no UTF-8, keeps every unknown field and merges a field that appears
 * twice; so whatever could grow is refused here, where nothing has been allocated yet.
 */
#include "proto/wire_internal.h"

#include "daemon/base/invariant.h"
#include "proto/limits.h"

#include <string.h>

#define NAME_SIZE FAULT_FIELD_SIZE

enum wire_encoding { ENCODING_VARINT = 0, ENCODING_64 = 1, ENCODING_BYTES = 2, ENCODING_32 = 5 };

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/* One field as it stands in the bytes: number, and its value or its span. */
struct token {
    uint32_t number;
    enum wire_encoding encoding;
    uint64_t value; /* varints */
    const uint8_t *bytes;
    size_t size;
};

struct scan {
    size_t unknown;
    struct fault *f;
};

static bool read_varint(struct cursor *c, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (c->at == c->end)
            return false;
        const uint8_t b = *c->at++;
        if (shift == 63 && b > 1)
            return false;
        value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take(struct cursor *c, uint64_t n, struct token *t)
{
    if (n > (uint64_t)(c->end - c->at))
        return false;
    t->bytes = c->at;
    t->size = (size_t)n;
    c->at += n;
    return true;
}

/* False: malformed (cut off, a group, or field number 0 or above 2^29-1). */
static bool read_token(struct cursor *c, struct token *t)
{
    uint64_t key, n;
    if (!read_varint(c, &key) || key >> 3 == 0 || key >> 3 >= 1u << 29)
        return false;
    t->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case ENCODING_VARINT:
        t->encoding = ENCODING_VARINT;
        return read_varint(c, &t->value);
    case ENCODING_64:
        t->encoding = ENCODING_64;
        return take(c, 8, t);
    case ENCODING_BYTES:
        t->encoding = ENCODING_BYTES;
        return read_varint(c, &n) && take(c, n, t);
    case ENCODING_32:
        t->encoding = ENCODING_32;
        return take(c, 4, t);
    default:
        return false;
    }
}

/*
 * Bytes of the character at s (n > 0 are there), 0 if it is none.  RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF; and no NUL.
 */
static size_t character_size(const uint8_t *s, size_t n)
{
    const uint8_t c = s[0];
    const size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4 || more > n - 1)
        return 0;
    for (size_t k = 1; k <= more; k++)
        if ((s[k] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return more + 1;
}

static bool text_valid(const uint8_t *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        const size_t step = character_size(s + i, n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

bool wire_text_valid(const char *text)
{
    return text_valid((const uint8_t *)text, strlen(text));
}

void wire_text_clean(char *text)
{
    size_t left = strlen(text);
    for (char *p = text; left > 0;) {
        size_t step = character_size((const uint8_t *)p, left);
        if (step == 0) {
            *p = '?';
            step = 1;
        }
        p += step;
        left -= step;
    }
}

static enum wire_encoding encoding_of(enum wire_type type)
{
    switch (type) {
    case WIRE_TYPE_FLOAT:
        return ENCODING_32;
    case WIRE_TYPE_TEXT:
    case WIRE_TYPE_DIGEST:
    case WIRE_TYPE_ID:
    case WIRE_TYPE_BYTES:
    case WIRE_TYPE_MESSAGE:
    case WIRE_TYPE_BODY:
        return ENCODING_BYTES;
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
    case WIRE_TYPE_U32:
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_BOOL:
    case WIRE_TYPE_ENUM:
        break;
    }
    return ENCODING_VARINT;
}

static enum status
check_size(const struct token *t, uint64_t max, const char *name, struct fault *f)
{
    if (t->size > max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, name, "%zu bytes, at most %llu", t->size,
             (unsigned long long)max);
    return STATUS_OK;
}

static enum status
check_exact(const struct token *t, size_t size, const char *name, struct fault *f)
{
    if (t->size != 0 && t->size != size)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "%zu bytes, wanted %zu", t->size, size);
    return STATUS_OK;
}

static enum status
check_enum(const ProtobufCFieldDescriptor *d, uint64_t value, const char *name, struct fault *f)
{
    const ProtobufCEnumDescriptor *e = d->descriptor;
    if (value <= INT32_MAX && protobuf_c_enum_descriptor_get_value(e, (int)value))
        return STATUS_OK;
    FAIL(f, e == wire_kinds ? STATUS_UNIMPLEMENTED : STATUS_INVALID_ARGUMENT, name,
         "%llu is not a known value", (unsigned long long)value);
}

static enum status
check_number(const struct wire_field *field, uint64_t value, const char *name, struct fault *f)
{
    uint64_t max = field->max;
    if (max == 0)
        max =
            field->type == WIRE_TYPE_U32 || field->type == WIRE_TYPE_I32 ? UINT32_MAX : UINT64_MAX;
    if (field->type == WIRE_TYPE_PROTOCOL && value != LIMIT_PROTOCOL_VERSION)
        FAIL(f, STATUS_UNIMPLEMENTED, name, "version %llu, this side speaks %d",
             (unsigned long long)value, LIMIT_PROTOCOL_VERSION);
    if (value > max)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "%llu, at most %llu", (unsigned long long)value,
             (unsigned long long)max);
    return STATUS_OK;
}

static enum status scan_message(struct scan *s,
                                const struct wire_shape *shape,
                                const uint8_t *bytes,
                                size_t size,
                                const char *name);

static enum status scan_value(struct scan *s,
                              const struct wire_field *field,
                              const ProtobufCFieldDescriptor *d,
                              const struct token *t,
                              const char *name)
{
    switch (field->type) {
    case WIRE_TYPE_TEXT:
        TRY(check_size(t, field->max, name, s->f));
        if (!text_valid(t->bytes, t->size))
            FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "text is not UTF-8 without NUL");
        return STATUS_OK;
    case WIRE_TYPE_BYTES:
        return check_size(t, field->max, name, s->f);
    case WIRE_TYPE_DIGEST:
        return check_exact(t, DIGEST_SIZE, name, s->f);
    case WIRE_TYPE_ID:
        return check_exact(t, REQUEST_ID_SIZE, name, s->f);
    case WIRE_TYPE_MESSAGE:
    case WIRE_TYPE_BODY:
        return scan_message(s, field->shape, t->bytes, t->size, name);
    case WIRE_TYPE_ENUM:
        return check_enum(d, t->value, name, s->f);
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
    case WIRE_TYPE_U32:
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_BOOL:
        return check_number(field, t->value, name, s->f);
    case WIRE_TYPE_FLOAT:
        break;
    }
    return STATUS_OK;
}

/* A list of numbers in one span; *ret_items is how many. */
static enum status scan_packed(struct scan *s,
                               const struct wire_field *field,
                               const struct token *t,
                               const char *name,
                               size_t *ret_items)
{
    if (field->type == WIRE_TYPE_FLOAT) {
        if (t->size % 4)
            FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "list of floats of %zu bytes", t->size);
        *ret_items = t->size / 4;
        return STATUS_OK;
    }
    struct cursor c = {t->bytes, t->bytes + t->size};
    size_t n = 0;
    for (; c.at != c.end; n++) {
        uint64_t value;
        if (!read_varint(&c, &value))
            FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "malformed number in a list");
        TRY(check_number(field, value, name, s->f));
    }
    *ret_items = n;
    return STATUS_OK;
}

static enum status scan_field(struct scan *s,
                              const struct wire_field *field,
                              const ProtobufCFieldDescriptor *d,
                              const struct token *t,
                              const char *name,
                              size_t *count)
{
    const enum wire_encoding wanted = encoding_of(field->type);
    size_t items = 1;
    if (field->max_items && wanted != ENCODING_BYTES && t->encoding == ENCODING_BYTES)
        TRY(scan_packed(s, field, t, name, &items));
    else if (t->encoding != wanted)
        FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "wrong encoding %d", (int)t->encoding);
    *count += items;
    if (field->max_items == 0 && *count > 1)
        FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "given more than once");
    if (field->max_items && *count > field->max_items)
        FAIL(s->f, STATUS_RESOURCE_EXHAUSTED, name, "more than %zu items, the limit",
             field->max_items);
    return t->encoding == wanted ? scan_value(s, field, d, t, name) : STATUS_OK;
}

static enum status scan_unknown(struct scan *s, const char *name)
{
    if (++s->unknown > LIMIT_UNKNOWN_FIELDS)
        FAIL(s->f, STATUS_RESOURCE_EXHAUSTED, name, "more than %u unknown fields, the limit",
             LIMIT_UNKNOWN_FIELDS);
    return STATUS_OK;
}

/* Index in the shape of a field number, or n_fields. */
static size_t find_field(const struct wire_shape *shape, uint32_t number)
{
    size_t i = 0;
    while (i < shape->n_fields && shape->descriptor->fields[i].id != number)
        i++;
    return i;
}

/* "outer.inner" into to, cut at its size; a body or message at the top has no outer name. */
static void join_name(char to[NAME_SIZE], const char *outer, const char *inner)
{
    size_t n = 0;
    for (const char *p = outer; *p && n < NAME_SIZE - 1; p++)
        to[n++] = *p;
    if (n > 0 && n < NAME_SIZE - 1)
        to[n++] = '.';
    for (const char *p = inner; *p && n < NAME_SIZE - 1; p++)
        to[n++] = *p;
    to[n] = '\0';
}

/* The schema holds no recursive type, so the depth of calls is that of the shapes. */
static enum status scan_message(struct scan *s,
                                const struct wire_shape *shape,
                                const uint8_t *bytes,
                                size_t size,
                                const char *name)
{
    INVARIANT(shape->n_fields == shape->descriptor->n_fields && shape->n_fields <= WIRE_FIELDS_MAX);
    size_t counts[WIRE_FIELDS_MAX] = {0};
    size_t bodies = 0;
    struct cursor c = {bytes, bytes + size};
    while (c.at != c.end) {
        struct token t = {0};
        if (!read_token(&c, &t))
            FAIL(s->f, STATUS_INVALID_ARGUMENT, name, "malformed message at byte %zu of %zu",
                 (size_t)(c.at - bytes), size);
        const size_t i = find_field(shape, t.number);
        if (i == shape->n_fields) {
            TRY(scan_unknown(s, name));
            continue;
        }
        char inner[NAME_SIZE];
        join_name(inner, name, shape->descriptor->fields[i].name);
        TRY(scan_field(s, &shape->fields[i], &shape->descriptor->fields[i], &t, inner, &counts[i]));
        if (shape->fields[i].type == WIRE_TYPE_BODY && ++bodies > 1)
            FAIL(s->f, STATUS_INVALID_ARGUMENT, inner, "a second body");
    }
    return STATUS_OK;
}

enum status
wire_scan(const struct wire_shape *shape, const uint8_t *bytes, size_t size, struct fault *f)
{
    struct scan s = {.f = f};
    return scan_message(&s, shape, bytes, size, "");
}

void wire_envelope_peek(const uint8_t *bytes,
                        size_t size,
                        enum wire_kind *ret_kind,
                        struct request_id *ret_id)
{
    struct cursor c = {bytes, bytes + (bytes ? size : 0)};
    struct token t = {0};
    *ret_kind = WIRE_KIND_UNSPECIFIED;
    memset(ret_id, 0, sizeof *ret_id);
    while (c.at != c.end && read_token(&c, &t)) {
        if (t.number == 2 && t.encoding == ENCODING_VARINT && t.value <= wire_kind_last() &&
            wire_kind_name((enum wire_kind)t.value))
            *ret_kind = (enum wire_kind)t.value;
        if (t.number == 3 && t.encoding == ENCODING_BYTES && t.size == REQUEST_ID_SIZE)
            memcpy(ret_id->b, t.bytes, REQUEST_ID_SIZE);
    }
}
