/* What every test file includes: cmocka with its prerequisites, and float comparisons. */
#ifndef LETHE_TESTS_SUPPORT_TEST_H
#define LETHE_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* |a - b| <= tolerance, with both values printed on failure. */
void test_support_near(double a, double b, double tolerance, const char *file, int line);
#define assert_near(a, b, tolerance)                                                               \
    test_support_near((double)(a), (double)(b), (double)(tolerance), __FILE__, __LINE__)

/* A fresh folder under $TMPDIR or /tmp; removed (with content) by test_support_rmdir. */
void test_support_mkdir(char path[256]);
void test_support_rmdir(const char *path);

#endif
