/*
 * Wire: the shapes agree with the schema, and every message, filled at random by its shape, comes
 * back as it was.  The messages that people write most are also checked by hand.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "proto/limits.h"
#include "proto/wire_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (8u << 20)

static struct arena arena;
static void *memory;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    memory = malloc(ARENA_BYTES);
    arena_init(&arena, memory, ARENA_BYTES);
    return memory ? 0 : -1;
}

int group_teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    free(memory);
    return 0;
}

/* ------------------------------------------------------------ shapes against the schema */

static int type_fits(const struct wire_field *field, ProtobufCType type)
{
    switch (field->type) {
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
    case WIRE_TYPE_U32:
        return type == PROTOBUF_C_TYPE_UINT32;
    case WIRE_TYPE_U64:
        return type == PROTOBUF_C_TYPE_UINT64;
    case WIRE_TYPE_I64:
        return type == PROTOBUF_C_TYPE_INT64;
    case WIRE_TYPE_I32:
        return type == PROTOBUF_C_TYPE_SINT32;
    case WIRE_TYPE_BOOL:
        return type == PROTOBUF_C_TYPE_BOOL;
    case WIRE_TYPE_FLOAT:
        return type == PROTOBUF_C_TYPE_FLOAT;
    case WIRE_TYPE_ENUM:
        return type == PROTOBUF_C_TYPE_ENUM;
    case WIRE_TYPE_TEXT:
        return type == PROTOBUF_C_TYPE_STRING && field->max > 0;
    case WIRE_TYPE_DIGEST:
    case WIRE_TYPE_ID:
        return type == PROTOBUF_C_TYPE_BYTES;
    case WIRE_TYPE_BYTES:
        return type == PROTOBUF_C_TYPE_BYTES && field->max > 0;
    case WIRE_TYPE_MESSAGE:
    case WIRE_TYPE_BODY:
        return type == PROTOBUF_C_TYPE_MESSAGE;
    }
    return 0;
}

static void check_shape(const struct wire_shape *shape, int depth)
{
    assert_true(depth < 8);
    assert_int_equal(shape->n_fields, shape->descriptor->n_fields);
    assert_true(shape->n_fields <= WIRE_FIELDS_MAX);
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct wire_field *field = &shape->fields[i];
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        assert_string_equal(field->name, d->name);
        if (!type_fits(field, d->type))
            fail_msg("%s.%s: type", shape->descriptor->name, d->name);
        assert_int_equal(field->max_items > 0, d->label == PROTOBUF_C_LABEL_REPEATED);
        assert_int_equal(field->type == WIRE_TYPE_BODY,
                         (d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0);
        if (!field->shape)
            continue;
        assert_ptr_equal(field->shape->descriptor, d->descriptor);
        check_shape(field->shape, depth + 1);
    }
}

void test_wire_shapes_match_the_schema(void **state)
{
    (void)state;
    check_shape(&wire_shape_envelope, 0);
    check_shape(&wire_shape_reply, 0);
    check_shape(&wire_shape_event, 0);
}

void test_wire_kinds_match_the_schema(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= wire_kind_last(); i++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(wire_kinds, (int)i);
        const char *name = wire_kind_name((enum wire_kind)i);
        assert_true((name != NULL) == (v != NULL));
        if (!name)
            continue;
        assert_int_equal(strlen(v->name), strlen(name) + 5);
        for (size_t k = 0; name[k]; k++)
            assert_int_equal(v->name[k + 5] | 0x20, name[k] == '_' ? '_' | 0x20 : name[k]);
    }
    assert_null(wire_kind_name(WIRE_KIND_UNSPECIFIED));
    assert_non_null(wire_kind_name((enum wire_kind)wire_kind_last()));
    assert_null(wire_kind_name((enum wire_kind)(wire_kind_last() + 1)));
}

/* ------------------------------------------------------------ random content */

static void *need(size_t count, size_t size)
{
    void *p = arena_alloc_zero(&arena, count, size);
    assert_non_null(p);
    return p;
}

static void fill_struct(struct rng *r, const struct wire_shape *shape, unsigned choice, void *to);

static const char *random_text(struct rng *r)
{
    static const char *const pieces[] = {"", "a", "T-shirt/top", "\xc3\xa9", "\xe2\x82\xac", "x y"};
    char *text = need(1, 64);
    const uint64_t n = rng_below(r, 4);
    for (uint64_t i = 0; i < n; i++)
        strcat(text, pieces[rng_below(r, 6)]);
    return text;
}

static void
fill_one(struct rng *r, const struct wire_field *field, const ProtobufCFieldDescriptor *d, void *to)
{
    uint64_t number = rng_u64(r) >> rng_below(r, 64);
    if (field->max && number > field->max)
        number = rng_below(r, field->max + 1);
    switch (field->type) {
    case WIRE_TYPE_U32:
    case WIRE_TYPE_I32:
        *(uint32_t *)to = (uint32_t)number;
        break;
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
        *(uint64_t *)to = number;
        break;
    case WIRE_TYPE_BOOL:
        *(bool *)to = rng_below(r, 2) == 1;
        break;
    case WIRE_TYPE_FLOAT:
        *(float *)to = rng_normal(r);
        break;
    case WIRE_TYPE_ENUM: {
        const ProtobufCEnumDescriptor *e = d->descriptor;
        *(int *)to = e->values[rng_below(r, e->n_values)].value;
        break;
    }
    case WIRE_TYPE_TEXT:
        *(const char **)to = random_text(r);
        break;
    case WIRE_TYPE_DIGEST:
    case WIRE_TYPE_ID: {
        const size_t n = field->type == WIRE_TYPE_ID ? REQUEST_ID_SIZE : DIGEST_SIZE;
        const int absent = rng_below(r, 3) == 0;
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)to)[i] = absent ? 0 : (uint8_t)rng_u64(r);
        break;
    }
    case WIRE_TYPE_BYTES: {
        const size_t n = (size_t)rng_below(r, 40);
        uint8_t *bytes = need(1, n + 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)rng_u64(r);
        *(struct wire_bytes *)to = (struct wire_bytes){bytes, n};
        break;
    }
    case WIRE_TYPE_MESSAGE:
        if (rng_below(r, 3) > 0) {
            void *inner = need(1, field->shape->size);
            fill_struct(r, field->shape, 0, inner);
            *(void **)to = inner;
        }
        break;
    case WIRE_TYPE_BODY:
        fill_struct(r, field->shape, 0, to);
        break;
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
        break;
    }
}

static size_t item_size(const struct wire_field *field)
{
    if (field->type == WIRE_TYPE_MESSAGE)
        return field->shape->size;
    return field->type == WIRE_TYPE_FLOAT ? 4 : 8;
}

static void *at(void *base, size_t offset)
{
    return (unsigned char *)base + offset;
}

static void fill_list(struct rng *r,
                      const struct wire_field *field,
                      const ProtobufCFieldDescriptor *d,
                      void *to)
{
    const size_t most = field->max_items < 3 ? field->max_items : 3;
    const size_t n = (size_t)rng_below(r, most + 1);
    unsigned char *items = need(n + 1, item_size(field));
    for (size_t i = 0; i < n; i++) {
        unsigned char *item = items + i * item_size(field);
        if (field->type == WIRE_TYPE_MESSAGE)
            fill_struct(r, field->shape, 0, item);
        else
            fill_one(r, field, d, item);
    }
    *(void **)at(to, field->offset) = n ? items : NULL;
    *(size_t *)at(to, field->n_offset) = n;
}

static void fill_struct(struct rng *r, const struct wire_shape *shape, unsigned choice, void *to)
{
    unsigned body = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct wire_field *field = &shape->fields[i];
        const ProtobufCFieldDescriptor *d = &shape->descriptor->fields[i];
        if (field->type == WIRE_TYPE_BODY && ++body != choice)
            continue;
        if (field->max_items)
            fill_list(r, field, d, to);
        else
            fill_one(r, field, d, (unsigned char *)to + field->offset);
    }
}

/* ------------------------------------------------------------ comparison */

static void compare_struct(const struct wire_shape *shape,
                           unsigned choice,
                           const unsigned char *a,
                           const unsigned char *b);

static void compare_one(const struct wire_field *field, const void *a, const void *b)
{
    switch (field->type) {
    case WIRE_TYPE_TEXT:
        assert_string_equal(*(const char *const *)a, *(const char *const *)b);
        break;
    case WIRE_TYPE_BYTES: {
        const struct wire_bytes *x = a, *y = b;
        assert_int_equal(x->size, y->size);
        assert_memory_equal(x->at, y->at, x->size);
        break;
    }
    case WIRE_TYPE_MESSAGE: {
        const void *x = *(const void *const *)a, *y = *(const void *const *)b;
        assert_int_equal(x == NULL, y == NULL);
        if (x)
            compare_struct(field->shape, 0, x, y);
        break;
    }
    case WIRE_TYPE_BODY:
        compare_struct(field->shape, 0, a, b);
        break;
    case WIRE_TYPE_DIGEST:
        assert_memory_equal(a, b, DIGEST_SIZE);
        break;
    case WIRE_TYPE_ID:
        assert_memory_equal(a, b, REQUEST_ID_SIZE);
        break;
    case WIRE_TYPE_BOOL:
        assert_int_equal(*(const bool *)a, *(const bool *)b);
        break;
    case WIRE_TYPE_U64:
    case WIRE_TYPE_I64:
        assert_memory_equal(a, b, 8);
        break;
    case WIRE_TYPE_U32:
    case WIRE_TYPE_I32:
    case WIRE_TYPE_ENUM:
    case WIRE_TYPE_FLOAT:
        assert_memory_equal(a, b, 4);
        break;
    case WIRE_TYPE_PROTOCOL:
    case WIRE_TYPE_COUNT:
        break;
    }
}

static void
compare_list(const struct wire_field *field, const unsigned char *a, const unsigned char *b)
{
    size_t n, m;
    const unsigned char *x, *y;
    memcpy(&n, a + field->n_offset, sizeof n);
    memcpy(&m, b + field->n_offset, sizeof m);
    memcpy(&x, a + field->offset, sizeof x);
    memcpy(&y, b + field->offset, sizeof y);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++, x += item_size(field), y += item_size(field)) {
        if (field->type == WIRE_TYPE_MESSAGE)
            compare_struct(field->shape, 0, x, y);
        else
            compare_one(field, x, y);
    }
}

static void compare_struct(const struct wire_shape *shape,
                           unsigned choice,
                           const unsigned char *a,
                           const unsigned char *b)
{
    unsigned body = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct wire_field *field = &shape->fields[i];
        if (field->type == WIRE_TYPE_BODY && ++body != choice)
            continue;
        if (field->max_items)
            compare_list(field, a, b);
        else
            compare_one(field, a + field->offset, b + field->offset);
    }
}

/* ------------------------------------------------------------ round trips */

static void fail_with(const char *what, const struct fault *f)
{
    fail_msg("%s: %s: %s", what, f->field, f->text);
}

typedef enum status
decoder(const uint8_t *bytes, size_t size, struct arena *a, const void **ret, struct fault *f);

static enum status decode_envelope(
    const uint8_t *bytes, size_t size, struct arena *a, const void **ret, struct fault *f)
{
    const struct wire_envelope *m;
    TRY(wire_envelope_decode(bytes, size, a, &m, f));
    *ret = m;
    return STATUS_OK;
}

static enum status
decode_reply(const uint8_t *bytes, size_t size, struct arena *a, const void **ret, struct fault *f)
{
    const struct wire_reply *m;
    TRY(wire_reply_decode(bytes, size, a, &m, f));
    *ret = m;
    return STATUS_OK;
}

static enum status
decode_event(const uint8_t *bytes, size_t size, struct arena *a, const void **ret, struct fault *f)
{
    const struct wire_event *m;
    TRY(wire_event_decode(bytes, size, a, &m, f));
    *ret = m;
    return STATUS_OK;
}

/* Every prefix decodes or is refused with a reason, and a refusal leaves the arena as it was. */
static void check_truncations(decoder *decode, const uint8_t *bytes, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        const struct arena_mark mark = arena_mark(&arena);
        uint8_t *exact = malloc(n + (n == 0));
        assert_non_null(exact);
        memcpy(exact, bytes, n);
        const void *m;
        struct fault f = {0};
        const enum status code = decode(exact, n, &arena, &m, &f);
        if (code != STATUS_OK) {
            assert_int_equal(arena_mark(&arena).used, mark.used);
            assert_true(f.text[0] != '\0');
            assert_int_equal(f.code, code);
        }
        arena_rewind(&arena, mark);
        free(exact);
    }
}

/* Decoding in arenas of every small size fails cleanly until one is large enough. */
static void check_memory(decoder *decode, const uint8_t *bytes, size_t size)
{
    size_t room = 64;
    for (;; room += 512) {
        assert_true(room < ARENA_BYTES);
        void *block = malloc(room);
        struct arena small;
        arena_init(&small, block, room);
        const void *m;
        struct fault f = {0};
        const enum status code = decode(bytes, size, &small, &m, &f);
        if (code != STATUS_OK)
            assert_int_equal(code, STATUS_RESOURCE_EXHAUSTED);
        arena_fini(&small);
        free(block);
        if (code == STATUS_OK)
            return;
    }
}

static struct rng stream(const char *name, uint64_t index)
{
    const struct rng_root root = {.seed = 20260101};
    struct rng r;
    rng_init(&r, &root, name, index);
    return r;
}

static void round_trip_envelope(enum wire_kind kind, uint64_t index, int thorough)
{
    const struct arena_mark mark = arena_mark(&arena);
    struct rng r = stream("envelope", index);
    const unsigned choice = (unsigned)wire_kind_body(kind);
    struct wire_envelope m = {0};
    fill_struct(&r, &wire_shape_envelope, choice, &m);
    m.kind = kind;
    const uint8_t *bytes;
    size_t size;
    struct fault f = {0};
    const struct wire_envelope *back = NULL;
    if (wire_envelope_encode(&m, &arena, &bytes, &size, &f) != STATUS_OK ||
        wire_envelope_decode(bytes, size, &arena, &back, &f) != STATUS_OK)
        fail_with(wire_kind_name(kind), &f);
    compare_struct(&wire_shape_envelope, choice, (const unsigned char *)&m,
                   (const unsigned char *)back);
    enum wire_kind seen;
    struct request_id id;
    wire_envelope_peek(bytes, size, &seen, &id);
    assert_int_equal(seen, kind);
    assert_true(request_id_equal(&id, &m.request_id));
    if (thorough) {
        check_truncations(decode_envelope, bytes, size);
        check_memory(decode_envelope, bytes, size);
    }
    arena_rewind(&arena, mark);
}

void test_wire_envelopes_of_every_kind_round_trip(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= wire_kind_last(); kind++)
        for (uint64_t i = 0; wire_kind_name((enum wire_kind)kind) && i < 30; i++)
            round_trip_envelope((enum wire_kind)kind, kind * 1000 + i, i < 3);
}

static void round_trip_reply(enum wire_answer answer, uint64_t index, int thorough)
{
    const struct arena_mark mark = arena_mark(&arena);
    struct rng r = stream("reply", index);
    struct wire_reply m = {0};
    fill_struct(&r, &wire_shape_reply, (unsigned)answer, &m);
    m.answer = answer;
    const uint8_t *bytes;
    size_t size;
    struct fault f = {0};
    const struct wire_reply *back = NULL;
    if (wire_reply_encode(&m, &arena, &bytes, &size, &f) != STATUS_OK ||
        wire_reply_decode(bytes, size, &arena, &back, &f) != STATUS_OK)
        fail_with("reply", &f);
    assert_int_equal(back->answer, answer);
    compare_struct(&wire_shape_reply, (unsigned)answer, (const unsigned char *)&m,
                   (const unsigned char *)back);
    if (thorough) {
        check_truncations(decode_reply, bytes, size);
        check_memory(decode_reply, bytes, size);
    }
    arena_rewind(&arena, mark);
}

void test_wire_replies_of_every_form_round_trip(void **state)
{
    (void)state;
    for (unsigned answer = WIRE_ANSWER_NONE; answer <= WIRE_ANSWER_KEYS; answer++)
        for (uint64_t i = 0; i < 30; i++)
            round_trip_reply((enum wire_answer)answer, answer * 1000 + i, i < 2);
}

void test_wire_events_round_trip(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 50; i++) {
        const struct arena_mark mark = arena_mark(&arena);
        struct rng r = stream("event", i);
        struct wire_event m = {0};
        fill_struct(&r, &wire_shape_event, 0, &m);
        const uint8_t *bytes;
        size_t size;
        const struct wire_event *back;
        assert_int_equal(wire_event_encode(&m, &arena, &bytes, &size, NULL), STATUS_OK);
        assert_int_equal(wire_event_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
        compare_struct(&wire_shape_event, 0, (const unsigned char *)&m,
                       (const unsigned char *)back);
        check_truncations(decode_event, bytes, size);
        arena_rewind(&arena, mark);
    }
}

void test_wire_forget_by_hand(void **state)
{
    (void)state;
    const char *const classes[] = {"Sandal", "Bag"};
    const struct wire_option option = {"depth", "off"};
    struct wire_envelope m = {.kind = WIRE_KIND_FORGET, .deadline_ms = 5000};
    m.request_id.b[0] = 7;
    m.body.forget = (struct wire_forget){.classes = classes,
                                         .n_classes = 2,
                                         .ticket = "DSR-17",
                                         .mode = WIRE_MODE_FAST,
                                         .probe = WIRE_PROBE_KEEP,
                                         .due_at = 1700000000000000,
                                         .dry_run = true,
                                         .seed = 42,
                                         .options = &option,
                                         .n_options = 1};
    const uint8_t *bytes;
    size_t size;
    const struct wire_envelope *back;
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, NULL), STATUS_OK);
    assert_int_equal(wire_envelope_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
    const struct wire_forget *g = &back->body.forget;
    assert_int_equal(back->deadline_ms, 5000);
    assert_int_equal(g->n_classes, 2);
    assert_string_equal(g->classes[0], "Sandal");
    assert_string_equal(g->classes[1], "Bag");
    assert_string_equal(g->ticket, "DSR-17");
    assert_string_equal(g->samples, "");
    assert_int_equal(g->mode, WIRE_MODE_FAST);
    assert_int_equal(g->probe, WIRE_PROBE_KEEP);
    assert_true(g->due_at == 1700000000000000 && g->seed == 42 && g->dry_run);
    assert_int_equal(g->n_options, 1);
    assert_string_equal(g->options[0].name, "depth");
    assert_string_equal(g->options[0].value, "off");
}

void test_wire_learning_by_hand(void **state)
{
    (void)state;
    const struct wire_option option = {"lr", "0.01"};
    struct wire_envelope m = {.kind = WIRE_KIND_LEARN};
    m.body.learn = (struct wire_learn){.task = "digits-01",
                                       .data = "mnist",
                                       .method = "ridge",
                                       .dry_run = true,
                                       .seed = 9,
                                       .options = &option,
                                       .n_options = 1,
                                       .floor = 0.75f,
                                       .ticket = "T-1"};
    const uint8_t *bytes;
    size_t size;
    const struct wire_envelope *back;
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, NULL), STATUS_OK);
    /* kind 24; body 24 begins with the task as field 1 */
    static const uint8_t head[] = {8, 1, 16, 24, 0xc2, 1};
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + sizeof head + 1,
                        "\x0a\x09"
                        "digits-01",
                        11);
    assert_int_equal(wire_envelope_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
    const struct wire_learn *l = &back->body.learn;
    assert_string_equal(l->task, "digits-01");
    assert_string_equal(l->data, "mnist");
    assert_string_equal(l->method, "ridge");
    assert_true(l->dry_run && l->seed == 9);
    assert_near(l->floor, 0.75f, 0);
    assert_string_equal(l->options[0].value, "0.01");
    assert_string_equal(l->ticket, "T-1");
    m = (struct wire_envelope){.kind = WIRE_KIND_STREAM_PUSH};
    m.body.stream_push =
        (struct wire_stream_push){.name = "s", .data = "d", .probe = true, .batch = 64};
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, NULL), STATUS_OK);
    assert_int_equal(wire_envelope_decode(bytes, size, &arena, &back, NULL), STATUS_OK);
    assert_string_equal(back->body.stream_push.data, "d");
    assert_true(back->body.stream_push.probe && !back->body.stream_push.dry_run);
    assert_int_equal(back->body.stream_push.batch, 64);
}

void test_wire_payload_is_the_same_for_the_same_request(void **state)
{
    (void)state;
    const uint64_t sizes[] = {12};
    struct wire_envelope a = {.kind = WIRE_KIND_DATA_REMOVE, .body.by_name.name = "digits"};
    struct wire_envelope b = a, c = a;
    b.deadline_ms = 9;
    b.request_id.b[3] = 1;
    b.frame_bytes = sizes;
    b.n_frames = 1;
    c.body.by_name.name = "letters";
    const uint8_t *x, *y, *z;
    size_t nx, ny, nz;
    assert_int_equal(wire_payload_encode(&a, &arena, &x, &nx, NULL), STATUS_OK);
    assert_int_equal(wire_payload_encode(&b, &arena, &y, &ny, NULL), STATUS_OK);
    assert_int_equal(wire_payload_encode(&c, &arena, &z, &nz, NULL), STATUS_OK);
    assert_int_equal(nx, ny);
    assert_memory_equal(x, y, nx);
    assert_true(nx != nz || memcmp(x, z, nx) != 0);
}

void test_wire_errors_carry_status_and_field(void **state)
{
    (void)state;
    struct fault f = {0};
    (void)fault_set(&f, STATUS_NO_SPACE, "x.c", 1, "store", "disk is full");
    const struct wire_error e = wire_error_make(STATUS_NO_SPACE, &f, 30);
    assert_string_equal(e.code, "RESOURCE_EXHAUSTED");
    assert_string_equal(e.text, "disk is full");
    assert_string_equal(e.field, "store");
    assert_int_equal(e.status, STATUS_NO_SPACE);
    assert_int_equal(e.retry_after_s, 30);
    assert_string_equal(wire_error_make(STATUS_NOT_FOUND, NULL, 0).text, "not found");
}

void test_wire_text_clean_replaces_what_is_no_text(void **state)
{
    (void)state;
    char text[] = "ab\xff\xc3\xa9\xe2\x82";
    wire_text_clean(text);
    assert_string_equal(text, "ab?\xc3\xa9??");
    char empty[] = "";
    wire_text_clean(empty);
    assert_string_equal(empty, "");
}

void test_wire_topic_names_the_request(void **state)
{
    (void)state;
    const uint8_t random[10] = {0xff, 1, 0xff, 3, 4, 5, 6, 7, 8, 9};
    const struct request_id id = request_id_make(1700000000123000, random);
    char text[WIRE_TOPIC_SIZE];
    wire_topic_format(&id, text);
    assert_string_equal(text, "request.018bcfe5-687b-7f01-bf03-040506070809");
}
