/* Places of key files: plain paths, and names among the credentials of the service manager. */
#include "tests/support/test.h"

#include "daemon/config/credential.h"

#include <stdlib.h>
#include <string.h>

#define FOLDER "/run/credentials/lethed.service"

int group_teardown(void **state);

int group_teardown(void **state)
{
    (void)state;
    return unsetenv("CREDENTIALS_DIRECTORY");
}

static void expect(const char *value, const char *path)
{
    char got[64];
    struct fault f = {0};
    if (credential_path(value, "server_key", got, sizeof got, &f) != STATUS_OK)
        fail_msg("%s: %s", value, f.text);
    assert_string_equal(got, path);
}

static void expect_refused(const char *value, enum status code)
{
    char got[64] = "untouched";
    struct fault f = {0};
    assert_int_equal(credential_path(value, "server_key", got, sizeof got, &f), code);
    assert_string_equal(f.field, "server_key");
}

void test_credential_of_the_manager_and_plain_paths(void **state)
{
    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", FOLDER, 1), 0);
    expect("credential:curve.key", FOLDER "/curve.key");
    expect("/etc/lethe/curve.key", "/etc/lethe/curve.key");
    expect("curve.key", "curve.key");
    expect("", "");
}

void test_credential_names_stay_inside(void **state)
{
    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", FOLDER, 1), 0);
    expect_refused("credential:", STATUS_INVALID_ARGUMENT);
    expect_refused("credential:../shadow", STATUS_INVALID_ARGUMENT);
    expect_refused("credential:a/b", STATUS_INVALID_ARGUMENT);
    expect_refused("credential:.hidden", STATUS_INVALID_ARGUMENT);
}

void test_credential_without_a_manager(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    expect_refused("credential:curve.key", STATUS_FAILED_PRECONDITION);
    expect("/etc/lethe/curve.key", "/etc/lethe/curve.key");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "relative", 1), 0);
    expect_refused("credential:curve.key", STATUS_FAILED_PRECONDITION);
}

void test_credential_longest_path(void **state)
{
    (void)state;
    char value[80];
    memset(value, 'a', sizeof value);
    value[0] = '/';
    value[63] = '\0';
    expect(value, value);
    value[63] = 'a';
    value[64] = '\0';
    expect_refused(value, STATUS_INVALID_ARGUMENT);
}
