/* Drawing of characters, on a font that may be absent: the tests are then skipped. */
#include "tests/support/test.h"

#include "bench/data/glyph_face.h"

#include <string.h>
#include <unistd.h>

#define FONT "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"

enum { SIDE = 32 };

static struct glyph_library *library;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    return glyph_library_open(&library, NULL) == STATUS_OK ? 0 : -1;
}

int group_teardown(void **state)
{
    (void)state;
    glyph_library_close(library);
    return 0;
}

static struct glyph_face *font_open(uint32_t side)
{
    struct glyph_face *face = NULL;
    struct fault f = {0};
    if (access(FONT, R_OK) != 0)
        skip();
    assert_int_equal(glyph_library_faces(library, FONT), 1);
    if (glyph_face_open(library, FONT, 0, side, &face, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    return face;
}

struct extent {
    uint32_t top, bottom, left, right, ink;
};

static struct extent extent_of(const uint8_t *image, uint32_t side)
{
    struct extent e = {side, 0, side, 0, 0};
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            if (image[y * side + x] < 64)
                continue;
            e.top = y < e.top ? y : e.top;
            e.bottom = y;
            e.left = x < e.left ? x : e.left;
            e.right = x > e.right ? x : e.right;
            e.ink++;
        }
    return e;
}

/* Capitals stand on the base line with the same height; the margin stays dark. */
void test_glyph_face_draws_on_one_base_line(void **state)
{
    (void)state;
    uint8_t image[SIDE * SIDE];
    struct glyph_face *face = font_open(SIDE);
    assert_string_equal(glyph_face_family(face), "DejaVu Sans");
    static const uint32_t capitals[] = {'H', 'E', 'T', 0x416, 0x393};
    for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++) {
        assert_true(glyph_face_draw(face, capitals[i], image));
        const struct extent e = extent_of(image, SIDE);
        assert_int_equal(e.top, 5);
        assert_int_equal(e.bottom, 24);
        assert_in_range(e.left + e.right, SIDE - 2, SIDE); /* in the middle */
    }
    assert_true(glyph_face_draw(face, 'g', image));
    assert_true(extent_of(image, SIDE).bottom > 27);
    assert_true(glyph_face_draw(face, '*', image));
    assert_true(extent_of(image, SIDE).bottom < 18);
    static const uint32_t wide[] = {'W', '@', 0x429, '%', 0xa9};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        assert_true(glyph_face_draw(face, wide[i], image));
        for (uint32_t k = 0; k < SIDE; k++) {
            assert_int_equal(image[k], 0);
            assert_int_equal(image[k * SIDE], 0);
            assert_int_equal(image[k * SIDE + SIDE - 1], 0);
        }
    }
    glyph_face_close(face);
}

void test_glyph_face_leaves_out_what_is_missing_or_blank(void **state)
{
    (void)state;
    uint8_t image[SIDE * SIDE];
    struct glyph_face *face = font_open(SIDE);
    static const uint32_t missing[] = {' ', 0xa0, 0x10ffff, 0x4e00};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_false(glyph_face_draw(face, missing[i], image));
    glyph_face_close(face);
}

void test_glyph_face_draws_the_same_twice_and_in_other_sizes(void **state)
{
    (void)state;
    uint8_t a[SIDE * SIDE], b[SIDE * SIDE], small[28 * 28];
    struct glyph_face *face = font_open(SIDE);
    assert_true(glyph_face_draw(face, '@', a));
    assert_true(glyph_face_draw(face, 'x', b));
    assert_true(glyph_face_draw(face, '@', b));
    assert_memory_equal(a, b, sizeof a);
    glyph_face_close(face);
    face = font_open(28);
    assert_true(glyph_face_draw(face, 'H', small));
    const struct extent e = extent_of(small, 28);
    assert_in_range(e.bottom - e.top + 1, 17, 18);
    glyph_face_close(face);
}

void test_glyph_face_refuses_files_that_are_no_fonts(void **state)
{
    (void)state;
    struct glyph_face *face = NULL;
    struct fault f = {0};
    assert_int_equal(glyph_library_faces(library, "bench/data/glyph100.txt"), 0);
    assert_int_equal(glyph_library_faces(library, "/nowhere/x.ttf"), 0);
    assert_int_equal(glyph_face_open(library, "Makefile", 0, SIDE, &face, &f), STATUS_BAD_FORMAT);
    assert_non_null(strstr(f.text, "Makefile"));
    assert_int_equal(glyph_face_open(library, FONT, 0, 7, &face, &f), STATUS_INVALID_ARGUMENT);
    assert_null(face);
    glyph_face_close(NULL);
    glyph_library_close(NULL);
}
