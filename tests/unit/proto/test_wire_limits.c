/*
 * Wire: every limit of proto/limits.h at its maximum and one above, and every kind of malformed
 * bytes, each refused with its own status and the name of the field.
 */
#include "tests/support/test.h"

#include "proto/limits.h"
#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ bytes by hand */

struct message {
    uint8_t *bytes;
    size_t size;
    size_t room;
};

static void add(struct message *m, const void *bytes, size_t n)
{
    if (m->size + n > m->room) {
        m->room = 2 * (m->size + n) + 64;
        m->bytes = realloc(m->bytes, m->room);
        assert_non_null(m->bytes);
    }
    if (n > 0)
        memcpy(m->bytes + m->size, bytes, n);
    m->size += n;
}

static void add_varint(struct message *m, uint64_t x)
{
    do {
        const uint8_t b = (uint8_t)((x & 0x7f) | (x > 0x7f ? 0x80 : 0));
        add(m, &b, 1);
        x >>= 7;
    } while (x);
}

static void add_number(struct message *m, unsigned field, uint64_t x)
{
    add_varint(m, field << 3);
    add_varint(m, x);
}

static void add_bytes(struct message *m, unsigned field, const void *bytes, size_t n)
{
    add_varint(m, field << 3 | 2);
    add_varint(m, n);
    add(m, bytes, n);
}

static void add_repeated_byte(struct message *m, unsigned field, char byte, size_t n)
{
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, byte, n);
    add_bytes(m, field, text, n);
    free(text);
}

static void add_message(struct message *m, unsigned field, struct message *inner)
{
    add_bytes(m, field, inner->bytes, inner->size);
    free(inner->bytes);
    *inner = (struct message){0};
}

/* Schema numbers used below. */
enum { KIND = 2, REQUEST_ID = 3, FRAMES = 4, FRAME_BYTES = 5, DEADLINE = 6 };
enum { BODY_FORGET = 10, BODY_PREDICT = 11, BODY_LIST = 12, BODY_OPEN = 20, BODY_NAME = 22 };
enum { BODY_EXPORT = 18, BODY_LEARN = 24, BODY_STREAM_OPEN, BODY_STREAM_PUSH, BODY_IMPORT };
enum { FORGET_CLASSES = 1, FORGET_SAMPLES = 2, FORGET_OPTIONS = 11 };

static struct message begin(uint64_t kind)
{
    struct message m = {0};
    add_number(&m, 1, 1);
    add_number(&m, KIND, kind);
    return m;
}

/* Decodes within the budget of a request; frees the message. */
static enum status decode(struct message *m, struct fault *f)
{
    const size_t room = 2 * LIMIT_DECODE_BYTES;
    void *block = malloc(room);
    struct arena arena;
    const struct wire_envelope *back;
    assert_non_null(block);
    arena_init(&arena, block, room);
    *f = (struct fault){0};
    const enum status code = wire_envelope_decode(m->bytes, m->size, &arena, &back, f);
    if (code != STATUS_OK)
        assert_int_equal(arena_mark(&arena).used, 0);
    arena_fini(&arena);
    free(block);
    free(m->bytes);
    *m = (struct message){0};
    return code;
}

static void expect_ok(struct message *m)
{
    struct fault f;
    if (decode(m, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
}

static void expect(struct message *m, enum status code, const char *field)
{
    struct fault f;
    const enum status got = decode(m, &f);
    if (got != code)
        fail_msg("%s instead of %s (%s: %s)", status_name(got), status_name(code), f.field, f.text);
    assert_string_equal(f.field, field);
    assert_true(f.text[0] != '\0');
}

/* ------------------------------------------------------------ limits */

void test_wire_limits_envelope_size(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        struct message m = begin(WIRE_KIND_STATUS);
        /* One unknown field fills the envelope to the byte. */
        add_varint(&m, 900 << 3 | 2);
        const size_t left = LIMIT_ENVELOPE_BYTES - m.size - 3 + extra;
        add_varint(&m, left);
        char *filler = calloc(1, left);
        add(&m, filler, left);
        free(filler);
        assert_int_equal(m.size, LIMIT_ENVELOPE_BYTES + extra);
        if (extra == 0)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "envelope");
    }
}

void test_wire_limits_frames(void **state)
{
    (void)state;
    for (unsigned n = LIMIT_FRAMES; n <= LIMIT_FRAMES + 1; n++) {
        struct message m = begin(WIRE_KIND_STATUS);
        add_number(&m, FRAMES, LIMIT_FRAMES);
        for (unsigned i = 0; i < n; i++)
            add_number(&m, FRAME_BYTES, 5);
        if (n == LIMIT_FRAMES)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "frame_bytes");
    }
    struct message m = begin(WIRE_KIND_STATUS);
    add_number(&m, FRAMES, LIMIT_FRAMES + 1);
    expect(&m, STATUS_INVALID_ARGUMENT, "frames");
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, FRAMES, 1);
    add_number(&m, FRAME_BYTES, LIMIT_FRAME_BYTES);
    expect_ok(&m);
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, FRAMES, 1);
    add_number(&m, FRAME_BYTES, LIMIT_FRAME_BYTES + 1);
    expect(&m, STATUS_INVALID_ARGUMENT, "frame_bytes");
}

void test_wire_limits_frame_sizes_may_be_packed(void **state)
{
    (void)state;
    for (unsigned n = LIMIT_FRAMES; n <= LIMIT_FRAMES + 1; n++) {
        struct message m = begin(WIRE_KIND_STATUS);
        add_number(&m, FRAMES, LIMIT_FRAMES);
        add_repeated_byte(&m, FRAME_BYTES, 5, n);
        if (n == LIMIT_FRAMES)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "frame_bytes");
    }
    struct message m = begin(WIRE_KIND_STATUS);
    add_bytes(&m, FRAME_BYTES, "\x05\x80", 2);
    expect(&m, STATUS_INVALID_ARGUMENT, "frame_bytes");
}

void test_wire_limits_a_count_that_lies(void **state)
{
    (void)state;
    struct message m = begin(WIRE_KIND_STATUS);
    add_number(&m, FRAMES, 2);
    add_number(&m, FRAME_BYTES, 5);
    expect(&m, STATUS_INVALID_ARGUMENT, "frames");
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, FRAME_BYTES, 5);
    expect(&m, STATUS_INVALID_ARGUMENT, "frames");
}

void test_wire_limits_labels(void **state)
{
    (void)state;
    for (unsigned n = LIMIT_LABELS; n <= LIMIT_LABELS + 1; n++) {
        struct message m = begin(WIRE_KIND_FORGET), body = {0};
        for (unsigned i = 0; i < n; i++)
            add_bytes(&body, FORGET_CLASSES, "abc", 3);
        add_message(&m, BODY_FORGET, &body);
        if (n == LIMIT_LABELS)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "forget.classes");
    }
}

void test_wire_limits_empty_labels_stay_within_the_budget(void **state)
{
    (void)state;
    /* Two bytes each: 48 times as much heap in a naive decoder. */
    struct message m = begin(WIRE_KIND_FORGET), body = {0};
    for (unsigned i = 0; i < LIMIT_LABELS; i++)
        add_bytes(&body, FORGET_CLASSES, "", 0);
    add_message(&m, BODY_FORGET, &body);
    expect_ok(&m);
    m = begin(WIRE_KIND_FORGET);
    for (unsigned i = 0; i < 30000; i++)
        add_bytes(&body, FORGET_CLASSES, "", 0);
    add_message(&m, BODY_FORGET, &body);
    expect(&m, STATUS_RESOURCE_EXHAUSTED, "forget.classes");
}

void test_wire_limits_options(void **state)
{
    (void)state;
    for (unsigned n = LIMIT_OPTIONS; n <= LIMIT_OPTIONS + 1; n++) {
        struct message m = begin(WIRE_KIND_FORGET), body = {0};
        for (unsigned i = 0; i < n; i++)
            add_bytes(&body, FORGET_OPTIONS, "", 0);
        add_message(&m, BODY_FORGET, &body);
        if (n == LIMIT_OPTIONS)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "forget.options");
    }
}

void test_wire_limits_options_of_learning(void **state)
{
    (void)state;
    static const struct {
        uint64_t kind;
        unsigned body;
        unsigned field;
        const char *name;
    } rows[] = {{WIRE_KIND_LEARN, BODY_LEARN, 6, "learn.options"},
                {WIRE_KIND_STREAM_OPEN, BODY_STREAM_OPEN, 5, "stream_open.options"},
                {WIRE_KIND_STREAM_PUSH, BODY_STREAM_PUSH, 6, "stream_push.options"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned n = LIMIT_OPTIONS; n <= LIMIT_OPTIONS + 1; n++) {
            struct message m = begin(rows[i].kind), body = {0};
            for (unsigned k = 0; k < n; k++)
                add_bytes(&body, rows[i].field, "", 0);
            add_message(&m, rows[i].body, &body);
            if (n == LIMIT_OPTIONS)
                expect_ok(&m);
            else
                expect(&m, STATUS_RESOURCE_EXHAUSTED, rows[i].name);
        }
}

void test_wire_limits_texts_of_learning(void **state)
{
    (void)state;
    static const struct {
        uint64_t kind;
        unsigned body;
        unsigned field;
        size_t max;
        const char *name;
    } rows[] = {
        {WIRE_KIND_LEARN, BODY_LEARN, 1, LIMIT_NAME_BYTES, "learn.task"},
        {WIRE_KIND_LEARN, BODY_LEARN, 2, LIMIT_NAME_BYTES, "learn.data"},
        {WIRE_KIND_LEARN, BODY_LEARN, 3, LIMIT_NAME_BYTES, "learn.method"},
        {WIRE_KIND_LEARN, BODY_LEARN, 8, LIMIT_STRING_BYTES, "learn.ticket"},
        {WIRE_KIND_STREAM_OPEN, BODY_STREAM_OPEN, 1, LIMIT_NAME_BYTES, "stream_open.name"},
        {WIRE_KIND_STREAM_OPEN, BODY_STREAM_OPEN, 3, LIMIT_NAME_BYTES, "stream_open.expert"},
        {WIRE_KIND_STREAM_OPEN, BODY_STREAM_OPEN, 6, LIMIT_STRING_BYTES, "stream_open.ticket"},
        {WIRE_KIND_STREAM_PUSH, BODY_STREAM_PUSH, 1, LIMIT_NAME_BYTES, "stream_push.name"},
        {WIRE_KIND_STREAM_PUSH, BODY_STREAM_PUSH, 2, LIMIT_NAME_BYTES, "stream_push.data"},
        {WIRE_KIND_STREAM_PUSH, BODY_STREAM_PUSH, 7, LIMIT_STRING_BYTES, "stream_push.ticket"},
        {WIRE_KIND_STREAM_CLOSE, BODY_NAME, 1, LIMIT_NAME_BYTES, "by_name.name"},
        {WIRE_KIND_IMPORT, BODY_IMPORT, 1, LIMIT_NAME_BYTES, "import.kind"},
        {WIRE_KIND_IMPORT, BODY_IMPORT, 2, LIMIT_NAME_BYTES, "import.name"},
        {WIRE_KIND_EXPORT, BODY_EXPORT, 3, LIMIT_STRING_BYTES, "export.component"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t n = rows[i].max; n <= rows[i].max + 1; n++) {
            struct message m = begin(rows[i].kind), body = {0};
            add_repeated_byte(&body, rows[i].field, 'x', n);
            add_message(&m, rows[i].body, &body);
            if (n == rows[i].max)
                expect_ok(&m);
            else
                expect(&m, STATUS_RESOURCE_EXHAUSTED, rows[i].name);
        }
}

void test_wire_limits_texts(void **state)
{
    (void)state;
    static const struct {
        unsigned field;
        size_t max;
        const char *name;
    } rows[] = {{FORGET_CLASSES, LIMIT_STRING_BYTES, "forget.classes"},
                {FORGET_SAMPLES, LIMIT_NAME_BYTES, "forget.samples"},
                {4, LIMIT_STRING_BYTES, "forget.subject"},
                {5, LIMIT_STRING_BYTES, "forget.ticket"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t n = rows[i].max; n <= rows[i].max + 1; n++) {
            struct message m = begin(WIRE_KIND_FORGET), body = {0};
            add_repeated_byte(&body, rows[i].field, 'x', n);
            add_message(&m, BODY_FORGET, &body);
            if (n == rows[i].max)
                expect_ok(&m);
            else
                expect(&m, STATUS_RESOURCE_EXHAUSTED, rows[i].name);
        }
}

void test_wire_limits_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t kind;
        unsigned body;
        unsigned field;
        uint64_t max;
        const char *name;
    } rows[] = {
        {WIRE_KIND_PREDICT, BODY_PREDICT, 2, LIMIT_PREDICT_IMAGES, "predict.images"},
        {WIRE_KIND_PREDICT, BODY_PREDICT, 4, LIMIT_IMAGE_SIDE, "predict.height"},
        {WIRE_KIND_PREDICT, BODY_PREDICT, 5, LIMIT_IMAGE_SIDE, "predict.width"},
        {WIRE_KIND_PREDICT, BODY_PREDICT, 6, LIMIT_IMAGE_CHANNELS, "predict.channels"},
        {WIRE_KIND_PREDICT, BODY_PREDICT, 7, LIMIT_PREDICT_TOP, "predict.top"},
        {WIRE_KIND_REQUESTS, BODY_LIST, 2, LIMIT_LIST, "list.limit"},
        {WIRE_KIND_BLOB, 19, 3, LIMIT_FRAME_BYTES, "blob.length"},
        {WIRE_KIND_DATA_OPEN, BODY_OPEN, 3, LIMIT_DATASET_IMAGES, "data_open.images"},
        {WIRE_KIND_DATA_CHUNK, 21, 2, LIMIT_DATASET_BYTES, "data_chunk.offset"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint64_t extra = 0; extra < 2; extra++) {
            struct message m = begin(rows[i].kind), body = {0};
            add_number(&body, rows[i].field, rows[i].max + extra);
            add_message(&m, rows[i].body, &body);
            if (extra == 0)
                expect_ok(&m);
            else
                expect(&m, STATUS_INVALID_ARGUMENT, rows[i].name);
        }
    struct message m = begin(WIRE_KIND_STATUS);
    add_number(&m, DEADLINE, LIMIT_DEADLINE_MS);
    expect_ok(&m);
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, DEADLINE, LIMIT_DEADLINE_MS + 1);
    expect(&m, STATUS_INVALID_ARGUMENT, "deadline_ms");
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, DEADLINE, 1ull << 32);
    expect(&m, STATUS_INVALID_ARGUMENT, "deadline_ms");
}

void test_wire_limits_unknown_fields(void **state)
{
    (void)state;
    for (unsigned n = LIMIT_UNKNOWN_FIELDS; n <= LIMIT_UNKNOWN_FIELDS + 1; n++) {
        struct message m = begin(WIRE_KIND_DATA_REMOVE), body = {0};
        add_bytes(&body, 1, "digits", 6);
        /* Outer and inner ones count together. */
        for (unsigned i = 0; i < n / 2; i++)
            add_number(&body, 100 + i, i);
        add_message(&m, BODY_NAME, &body);
        for (unsigned i = n / 2; i < n; i++)
            add_bytes(&m, 100 + i, "u", 1);
        if (n == LIMIT_UNKNOWN_FIELDS)
            expect_ok(&m);
        else
            expect(&m, STATUS_RESOURCE_EXHAUSTED, "");
    }
}

/* ------------------------------------------------------------ malformed */

void test_wire_malformed_kind_and_protocol(void **state)
{
    (void)state;
    struct message m = begin(wire_kind_last() + 1);
    expect(&m, STATUS_UNIMPLEMENTED, "kind");
    m = begin(UINT64_MAX);
    expect(&m, STATUS_UNIMPLEMENTED, "kind");
    m = begin(0);
    expect(&m, STATUS_INVALID_ARGUMENT, "kind");
    add_number(&m, 1, 2);
    add_number(&m, KIND, WIRE_KIND_STATUS);
    expect(&m, STATUS_UNIMPLEMENTED, "protocol");
    add_number(&m, KIND, WIRE_KIND_STATUS);
    expect_ok(&m);                               /* left out: version 1 */
    expect(&m, STATUS_INVALID_ARGUMENT, "kind"); /* no bytes at all */
}

void test_wire_malformed_body(void **state)
{
    (void)state;
    struct message m = begin(WIRE_KIND_FORGET), body = {0};
    expect(&m, STATUS_INVALID_ARGUMENT, "body");
    m = begin(WIRE_KIND_FORGET);
    add_message(&m, BODY_PREDICT, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "body");
    m = begin(WIRE_KIND_STATUS);
    add_message(&m, BODY_LIST, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "body");
    m = begin(WIRE_KIND_FORGET);
    add_message(&m, BODY_FORGET, &body);
    add_message(&m, BODY_PREDICT, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "predict");
    m = begin(WIRE_KIND_FORGET);
    add_message(&m, BODY_FORGET, &body);
    add_message(&m, BODY_FORGET, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "forget");
    m = begin(WIRE_KIND_REQUESTS);
    expect_ok(&m);
}

void test_wire_malformed_fixed_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, REQUEST_ID_SIZE - 1, REQUEST_ID_SIZE + 1, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct message m = begin(WIRE_KIND_STATUS);
        add_repeated_byte(&m, REQUEST_ID, 'x', sizes[i]);
        expect(&m, STATUS_INVALID_ARGUMENT, "request_id");
    }
    struct message m = begin(WIRE_KIND_PREDICT), body = {0};
    add_repeated_byte(&body, 1, 'x', DIGEST_SIZE - 1);
    add_message(&m, BODY_PREDICT, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "predict.version");
}

void test_wire_malformed_import_digest(void **state)
{
    (void)state;
    struct message m = begin(WIRE_KIND_IMPORT), body = {0};
    add_repeated_byte(&body, 3, 'x', DIGEST_SIZE + 1);
    add_message(&m, BODY_IMPORT, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "import.digest");
    m = begin(WIRE_KIND_IMPORT);
    expect(&m, STATUS_INVALID_ARGUMENT, "body");
    m = begin(WIRE_KIND_STREAM_CLOSE);
    add_repeated_byte(&body, 1, 'x', 3);
    add_message(&m, BODY_STREAM_PUSH, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "body");
}

void test_wire_malformed_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xff",         "\xc3",
                                      "\xc0\x80",     "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                      "a\x80",        "\xf4\x90\x80\x80",
                                      "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct message m = begin(WIRE_KIND_FORGET), body = {0};
        add_bytes(&body, FORGET_SAMPLES, bad[i], strlen(bad[i]));
        add_message(&m, BODY_FORGET, &body);
        expect(&m, STATUS_INVALID_ARGUMENT, "forget.samples");
    }
    struct message m = begin(WIRE_KIND_FORGET), body = {0};
    add_bytes(&body, FORGET_SAMPLES, "a\0b", 3);
    add_message(&m, BODY_FORGET, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "forget.samples");
    m = begin(WIRE_KIND_FORGET);
    add_bytes(&body, FORGET_SAMPLES, "\xf4\x8f\xbf\xbf\xed\x9f\xbf", 7);
    add_message(&m, BODY_FORGET, &body);
    expect_ok(&m);
}

void test_wire_malformed_encodings(void **state)
{
    (void)state;
    struct message m = {0};
    add_bytes(&m, KIND, "\1", 1);
    expect(&m, STATUS_INVALID_ARGUMENT, "kind");
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, REQUEST_ID, 5);
    expect(&m, STATUS_INVALID_ARGUMENT, "request_id");
    m = begin(WIRE_KIND_STATUS);
    add_number(&m, DEADLINE, 5);
    add_number(&m, DEADLINE, 6);
    expect(&m, STATUS_INVALID_ARGUMENT, "deadline_ms");
    m = begin(WIRE_KIND_FORGET);
    struct message body = {0};
    add_number(&body, 7, 3);
    add_message(&m, BODY_FORGET, &body);
    expect(&m, STATUS_INVALID_ARGUMENT, "forget.mode");
}

void test_wire_malformed_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x00", 1},                                          /* field number 0 */
        {"\x0b\x0c", 2},                                      /* a group */
        {"\x0e", 1},                                          /* an encoding that does not exist */
        {"\x80", 1},                                          /* a key cut off */
        {"\x10", 1},                                          /* a value cut off */
        {"\x1a\x05zz", 4},                                    /* more bytes stated than there are */
        {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* 2^64-1 of them */
        {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* a number above 64 bits */
        {"\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* eleven digits */
        {"\xf9\x07yyy", 5},                                       /* 8 bytes of which 3 are there */
        {"\xfd\x07yyy", 5},                                       /* 4 bytes of which 3 are there */
        {"\xff\xff\xff\xff\xff\x01", 6},                          /* field number above 2^29 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct message m = {0};
        add(&m, bad[i].bytes, bad[i].size);
        expect(&m, STATUS_INVALID_ARGUMENT, "");
    }
}

/* ------------------------------------------------------------ what we send ourselves */

void test_wire_limits_hold_for_what_is_encoded(void **state)
{
    (void)state;
    const size_t room = 4u << 20;
    void *block = malloc(room);
    struct arena arena;
    struct fault f = {0};
    const uint8_t *bytes;
    size_t size;
    arena_init(&arena, block, room);
    char *name = calloc(1, LIMIT_NAME_BYTES + 2);
    memset(name, 'n', LIMIT_NAME_BYTES + 1);
    struct wire_envelope m = {.kind = WIRE_KIND_DATA_REMOVE, .body.by_name.name = name};
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, &f),
                     STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f.field, "by_name.name");
    assert_int_equal(arena_mark(&arena).used, 0);
    name[LIMIT_NAME_BYTES] = '\0';
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, &f), STATUS_OK);

    const char **classes = calloc(LIMIT_LABELS, sizeof *classes);
    for (size_t i = 0; i < LIMIT_LABELS; i++)
        classes[i] = "a label";
    struct wire_envelope large = {.kind = WIRE_KIND_FORGET};
    large.body.forget.classes = classes;
    large.body.forget.n_classes = LIMIT_LABELS;
    assert_int_equal(wire_envelope_encode(&large, &arena, &bytes, &size, &f),
                     STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f.field, "envelope");
    free(classes);
    free(name);
    arena_fini(&arena);
    free(block);
}

void test_wire_texts_that_are_no_utf8(void **state)
{
    (void)state;
    static unsigned char block[32768];
    struct arena arena;
    struct fault f = {0};
    const uint8_t *bytes;
    size_t size;
    const struct wire_reply *back;
    arena_init(&arena, block, sizeof block);
    const char *const classes[] = {"Bag", "caf\xc3"};
    const struct wire_reply reply = {
        .answer = WIRE_ANSWER_REQUEST,
        .body.request = {.reason = "cut \xe2\x82", .classes = classes, .n_classes = 2}};
    assert_int_equal(wire_reply_encode(&reply, &arena, &bytes, &size, &f), STATUS_OK);
    assert_int_equal(wire_reply_decode(bytes, size, &arena, &back, &f), STATUS_OK);
    assert_string_equal(back->body.request.reason, "cut ??");
    assert_string_equal(back->body.request.classes[0], "Bag");
    assert_string_equal(back->body.request.classes[1], "caf?");
    struct wire_envelope m = {.kind = WIRE_KIND_FORGET};
    m.body.forget.classes = classes;
    m.body.forget.n_classes = 2;
    assert_int_equal(wire_envelope_encode(&m, &arena, &bytes, &size, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "forget.classes");
    arena_fini(&arena);
}

void test_wire_limits_largest_reply_fits_its_decode_budget(void **state)
{
    (void)state;
    const size_t room = LIMIT_REPLY_DECODE_BYTES + (8u << 20);
    unsigned char *block = malloc(room);
    struct arena arena;
    struct fault f = {0};
    const uint8_t *bytes;
    size_t size;
    const struct wire_reply *back;
    arena_init(&arena, block, room);
    struct wire_label_info *labels = calloc(LIMIT_LABELS, sizeof *labels);
    for (size_t i = 0; i < LIMIT_LABELS; i++)
        labels[i] = (struct wire_label_info){.name = "n", .owner = "base", .status = "active"};
    const struct wire_reply reply = {
        .answer = WIRE_ANSWER_MODEL,
        .body.model = {.name = "large", .labels = labels, .n_labels = LIMIT_LABELS}};
    assert_int_equal(wire_reply_encode(&reply, &arena, &bytes, &size, &f), STATUS_OK);
    assert_int_equal(wire_reply_decode(bytes, size, &arena, &back, &f), STATUS_OK);
    assert_int_equal(back->body.model.n_labels, LIMIT_LABELS);
    assert_string_equal(back->body.model.labels[LIMIT_LABELS - 1].owner, "base");
    free(labels);
    arena_fini(&arena);
    free(block);
}
