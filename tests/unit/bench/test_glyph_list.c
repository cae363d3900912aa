/* The class list of glyphs: the one in the tree, and malformed ones. */
#include "tests/support/test.h"

#include "bench/data/glyph_list.h"

#include <stdio.h>
#include <string.h>

static struct glyph_list list;

void test_glyph_list_of_the_tree_has_a_hundred_classes(void **state)
{
    (void)state;
    struct fault f = {0};
    if (glyph_list_read("bench/data/glyph100.txt", &list, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_int_equal(list.n, 100);
    for (uint32_t c = '0'; c <= '9'; c++)
        assert_int_equal(glyph_list_find(&list, c), c - '0');
    for (uint32_t c = 'A'; c <= 'Z'; c++)
        assert_int_equal(glyph_list_find(&list, c), 10 + c - 'A');
    assert_string_equal(list.name[glyph_list_find(&list, 0x416)], "cyrillic Zhe");
    /* Drawn like a class that is in. */
    static const uint32_t out[] = {'o', 's', 0x391, 0x395, 0x410, 0x413, 0x41f, ')'};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        assert_int_equal(glyph_list_find(&list, out[i]), list.n);
}

void test_glyph_list_takes_comments_and_a_missing_last_newline(void **state)
{
    (void)state;
    assert_int_equal(glyph_list_parse("# x\n\nU+41\tA\twhy\nU+1F600\tface\ta b\tc", &list, NULL),
                     STATUS_OK);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.code[1], 0x1f600);
    assert_string_equal(list.name[0], "A");
}

void test_glyph_list_refuses_what_is_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "no class"},
        {"# only a comment\n", "no class"},
        {"U+0041\tA\twhy\n0042\tB\twhy\n", "line 2"},
        {"U+\tA\twhy\n", "line 1"},
        {"U+0041 A why\n", "line 1"},
        {"U+0041\tA\n", "line 1"},
        {"U+0041\tA\t\n", "line 1"},
        {"U+0041\t\twhy\n", "line 1"},
        {"U+004g\tA\twhy\n", "line 1"},
        {"U+110000\tA\twhy\n", "line 1"},
        {"U+0000041\tA\twhy\n", "line 1"},
        {"U+0041\tA\twhy\nU+0041\tB\twhy\n", "twice"},
        {"U+0041\tA\twhy\n\nU+0042\tA\twhy\n", "line 3"},
        {"U+0041\tA name of more than thirty-one bytes\twhy\n", "31 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault f = {0};
        assert_int_equal(glyph_list_parse(cases[i].text, &list, &f), STATUS_BAD_FORMAT);
        if (!strstr(f.text, cases[i].word))
            fail_msg("case %zu: %s", i, f.text);
    }
    char text[(GLYPH_LIST_MAX + 1) * 16], *at = text;
    for (unsigned i = 0; i <= GLYPH_LIST_MAX; i++)
        at += snprintf(at, 16, "U+%04X\tn%u\tw\n", 0x100 + i, i);
    assert_int_equal(glyph_list_parse(text, &list, NULL), STATUS_BAD_FORMAT);
    assert_int_equal(glyph_list_read("/nowhere/list.txt", &list, NULL), STATUS_NOT_FOUND);
}
