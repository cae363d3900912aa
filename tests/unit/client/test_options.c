/* The option parser: every form a value can take, and every way to get it wrong. */
#include "tests/support/test.h"

#include "client/cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct option_spec OWN[] = {
    {"class", 'c', OPTION_VALUES, "NAME", ""},   {"top", 'k', OPTION_VALUE, "K", ""},
    {"dry-run", 'n', OPTION_FLAG, NULL, ""},     {"wait", 'w', OPTION_FLAG, NULL, ""},
    {"version", 0, OPTION_VALUE, "VERSION", ""},
};
static const struct option_spec GLOBAL[] = {
    {"json", 0, OPTION_FLAG, NULL, ""},
    {"version", 'V', OPTION_FLAG, NULL, ""},
    {"endpoint", 'e', OPTION_VALUE, "URL", ""},
};
static const struct option_table TABLES[2] = {{OWN, 5}, {GLOBAL, 3}};

#define WORDS(...)                                                                                 \
    (const char *[])                                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define COUNT(...) (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))
#define PARSE(o, f, ...)                                                                           \
    options_parse(TABLES, COUNT(__VA_ARGS__), WORDS(__VA_ARGS__), NULL, (o), (f))

void test_options_values_and_operands(void **state)
{
    (void)state;
    struct options o;
    const char *names[8];
    assert_int_equal(PARSE(&o, NULL, "--class", "T-shirt/top", "Bag, small", "--top=5", "in.png",
                           "--class", "Coat", "-nw", "-k3", "-e", "ipc:///x", "--", "-not", "-"),
                     STATUS_OK);
    assert_int_equal(options_list(&o, "class", names, 8), 3);
    assert_string_equal(names[0], "T-shirt/top");
    assert_string_equal(names[1], "Bag, small");
    assert_string_equal(names[2], "Coat");
    assert_int_equal(options_list(&o, "class", names, 1), 3);
    assert_string_equal(options_text(&o, "top", "-"), "3");
    assert_string_equal(options_text(&o, "endpoint", "-"), "ipc:///x");
    assert_string_equal(options_text(&o, "version", "none"), "none");
    assert_true(options_flag(&o, "dry-run") && options_flag(&o, "wait"));
    assert_false(options_flag(&o, "json"));
    assert_int_equal(o.n_operands, 3);
    assert_string_equal(o.operands[0], "in.png");
    assert_string_equal(o.operands[1], "-not");
    assert_string_equal(o.operands[2], "-");
    options_fini(&o);
}

void test_options_prefixes_and_precedence(void **state)
{
    (void)state;
    struct options o;
    struct fault f = {0};
    assert_int_equal(PARSE(&o, NULL, "--dry", "--end", "a"), STATUS_OK);
    assert_true(options_flag(&o, "dry-run"));
    assert_string_equal(options_text(&o, "endpoint", ""), "a");
    options_fini(&o);
    /* exact name in both tables: the first table's, which takes a value */
    assert_int_equal(PARSE(&o, NULL, "--version", "3"), STATUS_OK);
    assert_string_equal(options_text(&o, "version", ""), "3");
    assert_int_equal(o.n_operands, 0);
    options_fini(&o);
    assert_int_equal(PARSE(&o, &f, "--vers", "3"), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(f.text, "--vers"));
}

void test_options_negative_times_are_operands(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(PARSE(&o, NULL, "-2h"), STATUS_OK);
    assert_int_equal(o.n_operands, 1);
    options_fini(&o);
}

void test_options_errors(void **state)
{
    (void)state;
    struct options o;
    struct fault f = {0};
    assert_int_equal(PARSE(&o, &f, "--colour"), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.text, "there is no option --colour");
    assert_int_equal(PARSE(&o, &f, "-nx"), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.text, "there is no option -x");
    assert_int_equal(PARSE(&o, &f, "--top"), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.text, "--top needs a value: K");
    assert_int_equal(PARSE(&o, &f, "--wait=yes"), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.text, "--wait takes no value");
    assert_int_equal(PARSE(&o, &f, "--class"), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "class");
    assert_null(o.hits);
}

void test_options_stop_at_the_command(void **state)
{
    (void)state;
    struct options o;
    int rest = -1;
    assert_int_equal(
        options_parse(TABLES, 4, WORDS("--json", "predict", "--json", "x"), &rest, &o, NULL),
        STATUS_OK);
    assert_int_equal(rest, 1);
    assert_int_equal(o.n_hits, 1);
    options_fini(&o);
}

void test_options_numbers_and_choices(void **state)
{
    (void)state;
    static const char *const CHOICES[] = {"3", "18446744073709551615", NULL};
    struct options o;
    struct fault f = {0};
    uint64_t x = 0;
    size_t i = 9;
    assert_int_equal(PARSE(&o, NULL, "--top", "18446744073709551615"), STATUS_OK);
    assert_int_equal(options_number(&o, "top", 0, 0, UINT64_MAX, &x, &f), STATUS_OK);
    assert_true(x == UINT64_MAX);
    assert_int_equal(options_number(&o, "top", 0, 1, 100, &x, &f), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(f.text, "from 1 to 100"));
    assert_int_equal(options_choice(&o, "top", CHOICES, 7, &i, &f), STATUS_OK);
    assert_int_equal(i, 1);
    assert_int_equal(options_number(&o, "version", 42, 0, 100, &x, &f), STATUS_OK);
    assert_int_equal(x, 42);
    assert_int_equal(options_choice(&o, "version", CHOICES, 7, &i, &f), STATUS_OK);
    assert_int_equal(i, 7);
    options_fini(&o);
    static const char *const BAD[] = {"", "-1", "+1", " 1", "1x", "0x10", "18446744073709551616"};
    for (size_t k = 0; k < sizeof BAD / sizeof BAD[0]; k++) {
        char word[64];
        (void)snprintf(word, sizeof word, "--top=%s", BAD[k]);
        assert_int_equal(PARSE(&o, NULL, word), STATUS_OK);
        assert_int_equal(options_number(&o, "top", 0, 0, UINT64_MAX, &x, &f),
                         STATUS_INVALID_ARGUMENT);
        assert_int_equal(options_choice(&o, "top", CHOICES, 7, &i, &f), STATUS_INVALID_ARGUMENT);
        options_fini(&o);
    }
}
