/* Hex and identifier text, and the bounded writer and reader: round trips and every short buffer.
 */
#include "tests/support/test.h"

#include "daemon/base/bytes.h"

#include <string.h>

void test_bytes_digest_text_round_trip(void **state)
{
    (void)state;
    struct digest a, b;
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        a.b[i] = (uint8_t)(i * 37 + 5);
    char text[DIGEST_TEXT_SIZE];
    digest_format(&a, text);
    assert_int_equal(digest_parse(text, &b), 0);
    assert_true(digest_equal(&a, &b));
    text[3] = 'g';
    assert_int_equal(digest_parse(text, &b), -1);
    text[3] = '\0';
    assert_int_equal(digest_parse(text, &b), -1);
}

void test_bytes_request_id_is_uuid7(void **state)
{
    (void)state;
    const uint8_t random[10] = {0xff, 1, 0xff, 3, 4, 5, 6, 7, 8, 9};
    const struct request_id id = request_id_make(1700000000123000, random);
    char text[REQUEST_ID_TEXT_SIZE];
    request_id_format(&id, text);
    assert_string_equal(text, "018bcfe5-687b-7f01-bf03-040506070809");
    struct request_id back;
    assert_int_equal(request_id_parse(text, &back), 0);
    assert_true(request_id_equal(&id, &back));
    assert_int_equal(request_id_parse("018bcfe5-687b-7f01-bf03-04050607080", &back), -1);
    assert_int_equal(request_id_parse("018bcfe5x687b-7f01-bf03-040506070809", &back), -1);
}

static void write_all(struct byte_writer *w)
{
    put_u8(w, 7);
    put_u16(w, 0x1234);
    put_u32(w, 0xdeadbeefu);
    put_u64(w, 0x0123456789abcdefu);
    put_i64(w, -5);
    put_f32(w, -1.5f);
    put_f64(w, 3.25);
    put_string(w, "lethe");
}

void test_bytes_records_round_trip_and_every_truncation_fails(void **state)
{
    (void)state;
    uint8_t buffer[128];
    struct byte_writer w = byte_writer_make(buffer, sizeof buffer);
    write_all(&w);
    assert_false(w.failed);
    for (size_t size = 0; size <= w.used; size++) {
        struct byte_reader r = byte_reader_make(buffer, size);
        char name[8];
        const uint8_t a = get_u8(&r);
        const uint16_t b = get_u16(&r);
        const uint32_t c = get_u32(&r);
        const uint64_t d = get_u64(&r);
        const int64_t e = get_i64(&r);
        const float f = get_f32(&r);
        const double g = get_f64(&r);
        get_string(&r, name, sizeof name);
        assert_int_equal(byte_reader_done(&r), size == w.used);
        if (size != w.used)
            continue;
        assert_int_equal(a, 7);
        assert_int_equal(b, 0x1234);
        assert_true(c == 0xdeadbeefu && d == 0x0123456789abcdefu && e == -5);
        assert_near(f, -1.5, 0);
        assert_near(g, 3.25, 0);
        assert_string_equal(name, "lethe");
    }
}

void test_bytes_writer_never_passes_its_bound(void **state)
{
    (void)state;
    struct byte_writer count = byte_writer_make(NULL, 0);
    write_all(&count);
    for (size_t size = 0; size < count.used; size++) {
        uint8_t buffer[128];
        memset(buffer, 0xaa, sizeof buffer);
        struct byte_writer w = byte_writer_make(buffer, size);
        write_all(&w);
        assert_true(w.failed);
        for (size_t i = size; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], 0xaa);
    }
}
