#!/bin/sh
# Writes the cmocka table of one test object: every global function test_* is a test.
# usage: make_table.sh OBJECT NAME
set -eu
names=$(nm "$1" | awk '$2 == "T" && $3 ~ /^test_/ { print $3 }' | sort)
[ -n "$names" ] || { echo "no test_* function in $1" >&2; exit 1; }
cat <<'T'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
T
for n in $names; do echo "void $n(void **state);"; done
cat <<'T'
int group_setup(void **state) __attribute__((weak));
int group_teardown(void **state) __attribute__((weak));
int main(void)
{
    const struct CMUnitTest tests[] = {
T
for n in $names; do echo "        cmocka_unit_test($n),"; done
cat <<T
    };
    return cmocka_run_group_tests_name("$2", tests, group_setup, group_teardown);
}
T
