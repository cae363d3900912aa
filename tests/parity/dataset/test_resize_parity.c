/*
 * Resizing, preparation and decoding against Pillow and torchvision, bit for bit.  The fixtures are
 * written by tests/parity/make_resize_fixtures.py, which tells their layout.
 */
#include "tests/support/test.h"

#include "client/dataset/picture.h"
#include "client/dataset/resize.h"
#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <string.h>

#define FIXTURES "tests/parity/dataset/"

static struct byte_reader open_fixture(const char *path, unsigned char **bytes)
{
    size_t n = 0;
    assert_int_equal(sysio_read_file(path, 1 << 22, bytes, &n, NULL), STATUS_OK);
    return byte_reader_make(*bytes, n);
}

static const uint8_t *take(struct byte_reader *r, size_t n)
{
    assert_true(n <= r->size - r->used);
    const uint8_t *at = r->at + r->used;
    r->used += n;
    return at;
}

void test_resize_equals_pillow(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    struct byte_reader r = open_fixture(FIXTURES "resize.bin", &bytes);
    int cases = 0;
    while (r.used < r.size) {
        const uint32_t filter = get_u32(&r);
        const uint32_t h = get_u32(&r), w = get_u32(&r), c = get_u32(&r);
        const uint32_t out_h = get_u32(&r), out_w = get_u32(&r);
        const uint8_t *in = take(&r, (size_t)h * w * c);
        const uint8_t *expected = take(&r, (size_t)out_h * out_w * c);
        uint8_t out[4096];
        const struct picture_size size = {h, w, c};
        assert_true((size_t)out_h * out_w * c <= sizeof out);
        assert_int_equal(resize_picture(in, size, (enum resample)filter, out, out_h, out_w, NULL),
                         STATUS_OK);
        assert_memory_equal(out, expected, (size_t)out_h * out_w * c);
        cases++;
    }
    assert_int_equal(cases, 66);
    assert_true(byte_reader_done(&r));
    sysio_free(bytes);
}

void test_prepare_equals_torchvision(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    struct byte_reader r = open_fixture(FIXTURES "prepare.bin", &bytes);
    int cases = 0;
    while (r.used < r.size) {
        const uint32_t filter = get_u32(&r);
        const uint32_t h = get_u32(&r), w = get_u32(&r), c = get_u32(&r);
        struct preparation p = {.channels = get_u32(&r), .resample = (enum resample)filter};
        p.resize = get_u32(&r);
        p.keep_aspect = (int)get_u32(&r);
        p.size = get_u32(&r);
        const uint8_t *in = take(&r, (size_t)h * w * c);
        const size_t n = (size_t)p.size * p.size * p.channels;
        const uint8_t *expected = take(&r, n);
        uint8_t out[4096];
        const struct picture_size size = {h, w, c};
        assert_int_equal(picture_prepare(in, size, &p, out, NULL), STATUS_OK);
        assert_memory_equal(out, expected, n);
        cases++;
    }
    assert_int_equal(cases, 7);
    sysio_free(bytes);
}

void test_pictures_decode_as_pillow_decodes_them(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    struct byte_reader r = open_fixture(FIXTURES "pictures.bin", &bytes);
    int cases = 0;
    while (r.used < r.size) {
        const uint32_t n = get_u32(&r);
        const uint32_t h = get_u32(&r), w = get_u32(&r), c = get_u32(&r);
        const uint8_t *file = take(&r, n);
        const uint8_t *expected = take(&r, (size_t)h * w * c);
        struct picture p;
        assert_int_equal(picture_decode(file, n, &p, NULL), STATUS_OK);
        assert_true(p.height == h && p.width == w && p.channels == c);
        assert_memory_equal(p.pixels, expected, (size_t)h * w * c);
        picture_free(&p);
        cases++;
    }
    assert_int_equal(cases, 11);
    sysio_free(bytes);
}

/* Every truncation is an error and leaves nothing behind; so are single changed bytes, or a
 * picture. */
void test_damaged_pictures_are_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    struct byte_reader r = open_fixture(FIXTURES "pictures.bin", &bytes);
    while (r.used < r.size) {
        const uint32_t n = get_u32(&r);
        const size_t pixels = (size_t)get_u32(&r) * get_u32(&r) * get_u32(&r);
        const uint8_t *file = take(&r, n);
        (void)take(&r, pixels);
        uint8_t damaged[4096];
        assert_true(n <= sizeof damaged);
        for (uint32_t size = 0; size < n; size++) {
            struct picture p;
            struct fault f = {0};
            /* The last two bytes of a JPEG are its end mark, the last twelve of a PNG its end
             * chunk. */
            const enum status st = picture_decode(file, size, &p, &f);
            if (size + 2 < n)
                assert_int_not_equal(st, STATUS_OK);
            assert_true(st == STATUS_OK ? p.pixels != NULL : !p.pixels && f.text[0]);
            picture_free(&p);
        }
        for (uint32_t at = 0; at < n; at++) {
            struct picture p;
            memcpy(damaged, file, n);
            damaged[at] ^= 0x55;
            const enum status st = picture_decode(damaged, n, &p, NULL);
            assert_true((st == STATUS_OK) == (p.pixels != NULL));
            picture_free(&p);
        }
    }
    sysio_free(bytes);
}
