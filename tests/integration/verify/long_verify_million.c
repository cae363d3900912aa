/*
 * A receipt against a log of 1,000,000 entries is verified in under 5 ms: 99 of 100 calls, of the
 * function and of the whole program with its start.
 */
#include "tests/support/log_fixture.h"
#include "tests/support/verify_call.h"

#include "daemon/base/clock.h"

#define ENTRIES 1000000u
#define CALLS   1000u

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct verify_call *c, const char *what, int (*call)(struct verify_call *))
{
    static double ms[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        const int64_t start = clock_mono_us();
        const int exit_status = call(c);
        ms[i] = (double)(clock_mono_us() - start) * 1e-3;
        verify_call_check(c, exit_status, 0);
    }
    qsort(ms, CALLS, sizeof *ms, by_value);
    print_message("%s: median %.2f ms, p99 %.2f ms\n", what, ms[CALLS / 2], ms[CALLS * 99 / 100]);
    assert_true(ms[CALLS * 99 / 100] < 5.0);
}

void test_a_receipt_of_a_million_entries_takes_under_5_ms(void **state)
{
    static struct verify_call c;
    char folder[256], path[300], key[SIGN_VKEY_SIZE], command[1024];
    size_t n = 0;
    (void)state;
    struct log_fixture *log = log_fixture_new();
    log_fixture_fill(log, 5);
    log_fixture_fill_leaves(log, ENTRIES - 5);
    char *text = log_fixture_receipt(log, 3, NULL, 0, 0, &n);
    sign_vkey_format(log_fixture_key(log), key);
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/receipt", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(command, sizeof command, "receipt %s --key %s", path, key);
    verify_call_set(&c, command);
    measure(&c, "function", verify_call_inside);
    assert_non_null(strstr(c.out, "1000000"));
    measure(&c, "program", verify_call_program);
    assert_non_null(strstr(c.out, "1000000"));
    free(text);
    log_fixture_free(log);
    test_support_rmdir(folder);
}
