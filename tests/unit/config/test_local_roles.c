/* The roles of users without a key, from text. */
#include "tests/support/test.h"

#include "daemon/config/local_roles.h"
#include "proto/seal/curve_file.h"

#include <string.h>
#include <unistd.h>

static struct local_roles parse(const char *text)
{
    struct local_roles r;
    struct fault f = {0};
    if (local_roles_parse(text, "ipc_role", &r, &f) != STATUS_OK)
        fail_msg("%s: %s", text, f.text);
    return r;
}

#define STRANGER 4000000u

void test_local_roles_owner_and_root(void **state)
{
    (void)state;
    const struct local_roles r = parse("owner=all");
    assert_int_equal(local_roles_of(&r, geteuid(), 77), CURVE_ROLE_ALL);
    assert_int_equal(local_roles_of(&r, 0, 77), CURVE_ROLE_ALL);
    assert_int_equal(local_roles_of(&r, STRANGER, 0), 0);
}

void test_local_roles_of_all_items_that_fit(void **state)
{
    (void)state;
    const struct local_roles r =
        parse("  uid:4000000=mlops,predict \t gid:4000001=auditor user:root=none anyone=predict ");
    assert_int_equal(local_roles_of(&r, STRANGER, 1), CURVE_ROLE_MLOPS | CURVE_ROLE_PREDICT);
    assert_int_equal(local_roles_of(&r, STRANGER, 4000001),
                     CURVE_ROLE_MLOPS | CURVE_ROLE_PREDICT | CURVE_ROLE_AUDITOR);
    assert_int_equal(local_roles_of(&r, STRANGER + 5, 1), CURVE_ROLE_PREDICT);
}

void test_local_roles_names_are_looked_up(void **state)
{
    (void)state;
    const struct local_roles r = parse("user:root=admin group:root=auditor");
    assert_int_equal(local_roles_of(&r, 0, 1), CURVE_ROLE_ADMIN);
    assert_int_equal(local_roles_of(&r, STRANGER, 0), CURVE_ROLE_AUDITOR);
}

void test_local_roles_nobody(void **state)
{
    (void)state;
    const struct local_roles none = parse(""), owner = parse("owner=none");
    assert_int_equal(local_roles_of(&none, 0, 0), 0);
    assert_int_equal(local_roles_of(&owner, geteuid(), 0), 0);
}

void test_local_roles_bad_texts_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status code;
        const char *words;
    } cases[] = {
        {"owner", STATUS_INVALID_ARGUMENT, "WHO=ROLE"},
        {"owner=", STATUS_INVALID_ARGUMENT, "privacy, mlops"},
        {"owner=boss", STATUS_INVALID_ARGUMENT, "\"boss\""},
        {"owner=all,mlops", STATUS_INVALID_ARGUMENT, "\"all,mlops\""},
        {"owner:1=all", STATUS_INVALID_ARGUMENT, "owner:1"},
        {"me=all", STATUS_INVALID_ARGUMENT, "\"me\""},
        {"uid:=all", STATUS_INVALID_ARGUMENT, "no number"},
        {"uid:-1=all", STATUS_INVALID_ARGUMENT, "\"-1\""},
        {"uid:4294967295=all", STATUS_INVALID_ARGUMENT, "4294967295"},
        {"uid:99999999999999999999=all", STATUS_INVALID_ARGUMENT, "no number"},
        {"gid:7x=all", STATUS_INVALID_ARGUMENT, "\"7x\""},
        {"user:no-such-user-here=all", STATUS_NOT_FOUND, "no-such-user-here"},
        {"group:no-such-group-here=all", STATUS_NOT_FOUND, "no-such-group-here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct local_roles r;
        struct fault f = {0};
        assert_int_equal(local_roles_parse(cases[i].text, "ipc_role", &r, &f), cases[i].code);
        assert_string_equal(f.field, "ipc_role");
        if (!strstr(f.text, cases[i].words))
            fail_msg("%s: %s", cases[i].text, f.text);
    }
    char many[1200] = "";
    for (int i = 0; i <= LOCAL_ROLES_MAX; i++)
        (void)strncat(many, "owner=all ", sizeof many - strlen(many) - 1);
    struct local_roles r;
    assert_int_equal(local_roles_parse(many, "ipc_role", &r, NULL), STATUS_INVALID_ARGUMENT);
}
