/* Limits of the system: what is too little is said with both figures. */
#include "tests/support/test.h"

#include "daemon/service/limits_check.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char root[256];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(root);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(root);
    return 0;
}

static void says(const struct fault *f, const char *field, const char *text)
{
    assert_string_equal(f->field, field);
    if (!strstr(f->text, text))
        fail_msg("\"%s\" is not in: %s", text, f->text);
}

void test_limits_check_descriptors(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(limits_check_descriptors(LIMIT_DESCRIPTORS, &f), STATUS_OK);
    assert_int_equal(limits_check_descriptors(1024, &f), STATUS_RESOURCE_EXHAUSTED);
    says(&f, "LimitNOFILE", "1024 open files are allowed, 65536 are wanted");
}

void test_limits_check_memory(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(limits_check_memory(1000, 1000, &f), STATUS_OK);
    assert_int_equal(limits_check_memory(1001, 1000, &f), STATUS_RESOURCE_EXHAUSTED);
    says(&f, "worker_memory_max", "1001 bytes, the system allows 1000");
}

void test_limits_check_takes_what_the_hard_limit_leaves(void **state)
{
    (void)state;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    const uint64_t taken = limits_check_take_descriptors();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(taken, low.rlim_cur);
    assert_int_equal(taken,
                     before.rlim_max < LIMIT_DESCRIPTORS ? before.rlim_max : LIMIT_DESCRIPTORS);
}

void test_limits_check_of_the_process_itself(void **state)
{
    (void)state;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    const uint64_t allowed = limits_check_allowed_memory();
    assert_true(allowed > (uint64_t)64 << 20);
    assert_true(allowed < (uint64_t)1 << 50); /* no machine has more */
    low = before;
    low.rlim_cur = (rlim_t)1 << 30;
    assert_int_equal(setrlimit(RLIMIT_DATA, &low), 0);
    const uint64_t less = limits_check_allowed_memory();
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(less, allowed < low.rlim_cur ? allowed : low.rlim_cur);
}

static void write_limit(const char *group, const char *text)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s%s", root, group);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s%s/memory.max", root, group);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

void test_limits_check_of_the_control_groups(void **state)
{
    (void)state;
    static const char own[] = "4:cpu:/elsewhere\n0::/system.slice/lethed.service\n";
    assert_true(limits_check_group_memory(root, own) == UINT64_MAX);
    write_limit("/system.slice", "max\n");
    write_limit("/system.slice/lethed.service", "3000\n");
    assert_int_equal(limits_check_group_memory(root, own), 3000);
    write_limit("/system.slice", "2000\n");
    assert_int_equal(limits_check_group_memory(root, own), 2000);
    assert_int_equal(limits_check_group_memory(root, "0::/system.slice\n"), 2000);
    assert_true(limits_check_group_memory(root, "0::/\n") == UINT64_MAX);
    assert_true(limits_check_group_memory(root, "") == UINT64_MAX);
    assert_true(limits_check_group_memory(root, "0::") == UINT64_MAX);
    assert_true(limits_check_group_memory(root, "0::/../system.slice\n") == UINT64_MAX);
}
