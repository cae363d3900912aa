/* Results files: what is read again, what a torn line is worth, and what failing to write leaves.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/results/results_file.h"

struct place {
    char folder[256], path[300];
};

static void place_new(struct place *p)
{
    test_support_mkdir(p->folder);
    (void)snprintf(p->path, sizeof p->path, "%s/results.jsonl", p->folder);
}

static json_t *line(const char *run, double figure)
{
    return json_pack("{s:s, s:f}", "run", run, "figure", figure);
}

static void append_text(const struct place *p, const char *text)
{
    FILE *file = fopen(p->path, "a");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

void test_results_file_is_read_again(void **state)
{
    (void)state;
    struct place p;
    struct results_file r;
    place_new(&p);
    results_file_init(&r, p.path);
    assert_int_equal(json_array_size(r.lines), 0);
    assert_false(results_file_has(&r, "one"));
    assert_int_equal(results_file_add(&r, line("one", 0.5)), 0);
    assert_int_equal(results_file_add(&r, line("two", 98.765)), 0);
    assert_true(results_file_has(&r, "one"));
    results_file_fini(&r);

    results_file_init(&r, p.path);
    assert_int_equal(json_array_size(r.lines), 2);
    assert_true(results_file_has(&r, "one") && results_file_has(&r, "two"));
    assert_false(results_file_has(&r, "tw"));
    const json_t *x = json_object_get(json_array_get(r.lines, 1), "figure");
    assert_near(json_real_value(x), 98.765, 1e-9);
    results_file_fini(&r);
    test_support_rmdir(p.folder);
}

/* One object a line, compact, in the order of its making. */
void test_results_file_bytes(void **state)
{
    (void)state;
    struct place p;
    struct results_file r;
    char text[128] = "";
    place_new(&p);
    results_file_init(&r, p.path);
    assert_int_equal(results_file_add(&r, json_pack("{s:s, s:i}", "run", "z", "a", 1)), 0);
    assert_int_equal(results_file_add(&r, line("third", 1.0 / 3)), 0);
    results_file_fini(&r);
    FILE *file = fopen(p.path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    (void)fclose(file);
    assert_string_equal(text,
                        "{\"run\":\"z\",\"a\":1}\n{\"run\":\"third\",\"figure\":0.33333333}\n");
    test_support_rmdir(p.folder);
}

void test_results_file_torn_and_nameless_lines(void **state)
{
    (void)state;
    struct place p;
    struct results_file r;
    place_new(&p);
    append_text(&p, "{\"run\":\"whole\"}\n{\"figure\":3}\n{\"run\":\"torn\",\"fig");
    results_file_init(&r, p.path);
    assert_int_equal(json_array_size(r.lines), 2);
    assert_true(results_file_has(&r, "whole"));
    assert_false(results_file_has(&r, "torn"));
    results_file_fini(&r);
    test_support_rmdir(p.folder);
}

void test_results_file_that_cannot_be_written(void **state)
{
    (void)state;
    struct place p;
    struct results_file r;
    place_new(&p);
    (void)snprintf(p.path, sizeof p.path, "%s/no-such-folder/results.jsonl", p.folder);
    results_file_init(&r, p.path);
    errno = 0;
    assert_int_equal(results_file_add(&r, line("one", 0.5)), -1);
    assert_int_equal(errno, ENOENT);
    assert_false(results_file_has(&r, "one"));
    results_file_fini(&r);
    test_support_rmdir(p.folder);
}
