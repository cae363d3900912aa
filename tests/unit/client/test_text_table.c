/* Tables for people, and figures as text. */
#include "tests/support/test.h"

#include "client/cli/bar.h"
#include "client/cli/format.h"
#include "client/cli/text_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *printed(const struct text_table *t, int indent)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    text_table_print(t, out, indent);
    assert_int_equal(fclose(out), 0);
    return text;
}

void test_text_table_golden(void **state)
{
    (void)state;
    struct text_table *t = text_table_new("name|>images|note");
    text_table_add(t, "%s", "Schuhe größer");
    text_table_add(t, "%d", 12);
    text_table_add(t, "%s", "");
    text_table_add(t, "%s", "a\x1b[31mb");
    text_table_add(t, "%d", 60000);
    text_table_add(t, "%s", "x");
    assert_int_equal(text_table_rows(t), 2);
    char *text = printed(t, 2);
    assert_string_equal(text, "  name           images  note\n"
                              "  Schuhe größer      12\n"
                              "  a?[31mb         60000  x\n");
    free(text);
    text_table_free(t);
}

void test_text_table_grows_and_cuts(void **state)
{
    (void)state;
    struct text_table *t = text_table_new("n|text");
    char long_text[1000];
    memset(long_text, 'z', sizeof long_text);
    long_text[999] = '\0';
    for (int i = 0; i < 500; i++) {
        text_table_add(t, "%d", i);
        text_table_add(t, "%s", i == 499 ? long_text : "");
    }
    assert_int_equal(text_table_rows(t), 500);
    char *text = printed(t, 0);
    assert_non_null(strstr(text, "\n498\n499  zzz"));
    assert_int_equal(strspn(strstr(text, "499  ") + 5, "z"), 255);
    free(text);
    text_table_free(t);
    text_table_add(NULL, "%s", "nothing happens");
    text_table_print(NULL, stdout, 0);
    text_table_free(NULL);
}

void test_format_figures(void **state)
{
    (void)state;
    char a[FORMAT_SIZE];
    assert_string_equal(format_time(0, a), "-");
    assert_string_equal(format_time(INT64_C(1795435200123456), a), "2026-11-23 12:00:00Z");
    assert_string_equal(format_duration(-1, a), "-");
    assert_string_equal(format_duration((double)NAN, a), "-");
    assert_string_equal(format_duration(0.85, a), "850 ms");
    assert_string_equal(format_duration(12.34, a), "12.3 s");
    assert_string_equal(format_duration(245, a), "4 min 05 s");
    assert_string_equal(format_duration(12000, a), "3 h 20 min");
    assert_string_equal(format_duration(2 * 86400 + 4 * 3600, a), "2 d 4 h");
    assert_string_equal(format_bytes(812, a), "812 B");
    assert_string_equal(format_bytes(1536, a), "1.5 KiB");
    assert_string_equal(format_bytes((UINT64_C(1) << 20) - 1, a), "1.0 MiB");
    assert_string_equal(format_bytes(UINT64_MAX, a), "16.0 EiB");
    assert_string_equal(format_percent(0.9337, a), "93.4 %");
    assert_string_equal(format_percent(-1, a), "-");
    assert_string_equal(format_short("", a), "-");
    assert_string_equal(format_short("0123456789abcdef", a), "0123456789ab");
}

void test_format_bars(void **state)
{
    (void)state;
    const float norms[] = {0, 0.01f, 0.5f, 1, 0};
    char text[64];
    format_bars(norms, 5, 16, 0, text);
    assert_string_equal(text, ".148.");
    format_bars(norms, 5, 16, 1, text);
    assert_string_equal(text, ".▁▄█.");
    format_bars(norms, 4, 2, 0, text); /* pairs share a bar: the larger one counts */
    assert_string_equal(text, "18");
    format_bars(norms, 0, 16, 1, text);
    assert_string_equal(text, "");
    const float odd[] = {INFINITY, 1, NAN, -1};
    format_bars(odd, 4, 4, 0, text);
    assert_string_equal(text, "88..");
}

void test_bar_cells_and_cut(void **state)
{
    (void)state;
    char text[64];
    bar_cells(0.5, 4, false, text);
    assert_string_equal(text, "[##..]");
    bar_cells(7, 2, true, text);
    assert_string_equal(text, "[██]");
    bar_cells((double)NAN, 2, false, text);
    assert_string_equal(text, "[..]");
    strcpy(text, "a▁▂b");
    bar_cut(text, 2);
    assert_string_equal(text, "a▁");
}

void test_bar_is_silent_when_off(void **state)
{
    (void)state;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct bar b;
    bar_init(&b, out, false, false);
    bar_draw(&b, true, "x");
    bar_transfer(&b, "import", 1, 2);
    bar_end(&b);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(size, 0);
    free(text);
}

void test_bar_draws_over_itself(void **state)
{
    (void)state;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct bar b;
    bar_init(&b, out, true, false);
    bar_draw(&b, true, "one");
    bar_draw(&b, false, "too soon");
    bar_transfer(&b, "import", 2048, 2048);
    bar_end(&b);
    bar_end(&b);
    assert_int_equal(fclose(out), 0);
    assert_memory_equal(text, "\rone\x1b[K\rimport [###", 17);
    assert_non_null(strstr(text, "100 %  2.0 KiB of 2.0 KiB"));
    assert_null(strstr(text, "too soon"));
    assert_string_equal(text + size - 4, "\r\x1b[K");
    free(text);
}
