/*
 * Inside of proto/wire: the shapes that pair a plain struct with its schema message, and the walk
 * over bytes that checks them before anything is allocated.  Only proto/wire*.c include this.
 */
#ifndef LETHE_PROTO_WIRE_INTERNAL_H
#define LETHE_PROTO_WIRE_INTERNAL_H

#include "proto/wire.h"

#include <protobuf-c/protobuf-c.h>

/* How a field looks in the plain struct. */
enum wire_type {
    WIRE_TYPE_PROTOCOL, /* the constant LIMIT_PROTOCOL_VERSION; no member */
    WIRE_TYPE_COUNT,    /* number of items of the field behind it; no member of its own */
    WIRE_TYPE_U32,
    WIRE_TYPE_U64,
    WIRE_TYPE_I64,
    WIRE_TYPE_I32,
    WIRE_TYPE_BOOL,
    WIRE_TYPE_FLOAT,
    WIRE_TYPE_ENUM,
    WIRE_TYPE_TEXT,    /* const char *, never NULL */
    WIRE_TYPE_DIGEST,  /* struct digest; zero: absent */
    WIRE_TYPE_ID,      /* struct request_id; zero: absent */
    WIRE_TYPE_BYTES,   /* struct wire_bytes */
    WIRE_TYPE_MESSAGE, /* pointer to a struct, NULL: absent; in a list the structs themselves */
    WIRE_TYPE_BODY     /* a struct in a union; the schema's oneof says which */
};

struct wire_shape;

struct wire_field {
    const char *name; /* as in the schema */
    enum wire_type type;
    size_t offset;    /* of the member in the plain struct */
    size_t n_offset;  /* lists: of its count */
    size_t max_items; /* lists: at most so many; 0: not a list */
    uint64_t max;     /* texts and bytes: length; numbers: value; 0: no bound but the type's */
    const struct wire_shape *shape; /* messages */
};

#define WIRE_FIELDS_MAX 64

/* Fields stand in the order of their numbers in the schema, as in the descriptor. */
struct wire_shape {
    const ProtobufCMessageDescriptor *descriptor;
    const struct wire_field *fields;
    size_t n_fields;
    size_t size; /* of the plain struct */
};

extern const struct wire_shape wire_shape_envelope;
extern const struct wire_shape wire_shape_reply;
extern const struct wire_shape wire_shape_event;

/* Schema's enum of kinds. */
extern const ProtobufCEnumDescriptor *const wire_kinds;

/*
 * Walks `size` bytes of a message of this shape, nested ones included, and checks what wire.h
 * promises.  Allocates nothing.  INVALID_ARGUMENT, UNIMPLEMENTED or RESOURCE_EXHAUSTED, with the
 * dotted name of the field.
 */
enum status wire_scan(const struct wire_shape *shape,
                      const uint8_t *bytes,
                      size_t size,
                      struct fault *f) MUST_CHECK;

/*
 * Memory of one conversion: small blocks cut from chunks of the arena, within a budget.
 * `exhausted` says that a block was refused.
 */
struct wire_pool {
    struct arena *arena;
    unsigned char *at;
    size_t left;
    size_t budget; /* bytes that may still be taken */
    bool exhausted;
    bool clean_texts; /* when packing: send '?' for bytes that are no UTF-8 */
};

bool wire_text_valid(const char *text);

/* Signature of ProtobufCAllocator's alloc; `pool` is a struct wire_pool. */
void *wire_pool_alloc(void *pool, size_t size);
void *wire_pool_zero(struct wire_pool *p, size_t count, size_t size);

/*
 * Fills a zeroed plain struct; what it points at is in the pool or in `from`, so `from` must stay.
 * NO_MEMORY: the pool is exhausted.
 */
enum status wire_unpack(struct wire_pool *p,
                        const struct wire_shape *shape,
                        const ProtobufCMessage *from,
                        void *to) MUST_CHECK;
/*
 * Makes a message that borrows texts, bytes and numbers from the plain struct.  `choice` is the
 * number of the body to send, counted from 1; 0: none.  NO_MEMORY as above.
 */
enum status wire_pack(struct wire_pool *p,
                      const struct wire_shape *shape,
                      const void *from,
                      unsigned choice,
                      ProtobufCMessage **ret_message) MUST_CHECK;

#endif
