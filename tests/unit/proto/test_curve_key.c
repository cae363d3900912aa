/* Keys as text, fingerprints, and the files that hold them. */
#include "tests/support/test.h"

#include "proto/seal/curve_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ZeroMQ RFC 32's own example, repeated to 32 bytes. */
void test_curve_key_text_is_z85(void **state)
{
    (void)state;
    static const uint8_t example[8] = {0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b};
    struct curve_key key, back;
    char text[CURVE_TEXT_SIZE];
    for (size_t i = 0; i < 4; i++)
        memcpy(key.b + 8 * i, example, sizeof example);
    curve_key_text(&key, text);
    assert_string_equal(text, "HelloWorldHelloWorldHelloWorldHelloWorld");
    assert_int_equal(curve_key_parse(text, 40, &back), 0);
    assert_true(curve_key_equal(&key, &back));
}

/* RFC 7748, section 6.1: Alice. */
void test_curve_key_public_of_secret(void **state)
{
    (void)state;
    static const uint8_t secret[] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
                                     0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
                                     0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a,
                                     0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
    static const uint8_t public[] = {0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54,
                                     0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
                                     0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4,
                                     0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};
    struct curve_key key;
    memcpy(key.b, secret, sizeof secret);
    key = curve_key_public(&key);
    assert_memory_equal(key.b, public, sizeof public);
}

void test_curve_key_refuses_other_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "HelloWorld",
                                      "HelloWorldHelloWorldHelloWorldHelloWorl~",
                                      "HelloWorldHelloWorldHelloWorldHelloWorldH",
                                      "#####HelloWorldHelloWorldHelloWorldHello", /* above 2^32 */
                                      "HelloWorldHelloWorldHelloWorldHelloWor d"};
    struct curve_key key = {{7}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(curve_key_parse(bad[i], strlen(bad[i]), &key), -1);
    assert_int_equal(key.b[0], 7);
}

void test_curve_key_pairs_differ(void **state)
{
    (void)state;
    struct curve_key s[2], p[2], again;
    char print[2][CURVE_PRINT_SIZE];
    for (size_t i = 0; i < 2; i++) {
        curve_key_make(&s[i], &p[i]);
        again = curve_key_public(&s[i]);
        assert_true(curve_key_equal(&again, &p[i]));
        curve_key_print(&p[i], print[i]);
        assert_int_equal(strlen(print[i]), 18);
        assert_memory_equal(print[i], "k:", 2);
    }
    assert_false(curve_key_equal(&s[0], &s[1]));
    assert_string_not_equal(print[0], print[1]);
}

/* ------------------------------------------------------------ files */

void test_curve_file_secret_is_for_its_owner(void **state)
{
    (void)state;
    char folder[256], path[300];
    struct curve_key secret, public, back;
    struct fault f;
    struct stat info;
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/a.key", folder);
    curve_key_make(&secret, &public);
    assert_int_equal(curve_file_write_secret(path, &secret, &f), STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(curve_file_read_secret(path, &back, &f), STATUS_OK);
    assert_true(curve_key_equal(&secret, &back));
    assert_int_equal(curve_file_write_secret(path, &public, &f), STATUS_ALREADY_EXISTS);
    assert_int_equal(curve_file_read_secret(path, &back, &f), STATUS_OK);
    assert_true(curve_key_equal(&secret, &back));
    static const mode_t open_modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(chmod(path, open_modes[i]), 0);
        assert_int_equal(curve_file_read_secret(path, &back, &f), STATUS_PERMISSION_DENIED);
        assert_non_null(strstr(f.text, "chmod 600"));
    }
    /* The service manager's access list shows as group bits. */
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_int_equal(chmod(path, 0440), 0);
    assert_int_equal(curve_file_read_secret(path, &back, &f), STATUS_OK);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(curve_file_read_secret(path, &back, &f), STATUS_PERMISSION_DENIED);
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    test_support_rmdir(folder);
}

void test_curve_file_entry_round_trip(void **state)
{
    (void)state;
    char folder[256], path[300];
    struct curve_key secret;
    struct curve_entry e = {.name = "alice", .role = "privacy"}, back;
    struct fault f;
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/alice.pub", folder);
    curve_key_make(&secret, &e.key);
    assert_int_equal(curve_file_write_entry(path, &e, &f), STATUS_OK);
    assert_int_equal(curve_file_read_entry(path, &back, &f), STATUS_OK);
    assert_string_equal(back.name, "alice");
    assert_string_equal(back.role, "privacy");
    assert_true(curve_key_equal(&back.key, &e.key));
    assert_int_equal(curve_file_write_entry(path, &e, &f), STATUS_ALREADY_EXISTS);
    test_support_rmdir(folder);
}

#define KEY "HelloWorldHelloWorldHelloWorldHelloWorld"

void test_curve_entry_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } bad[] = {
        {"", "name"},
        {"name = a\nrole = admin\n", "key"},
        {"name = a\nkey = " KEY "\n", "role"},
        {"name = a\nname = b\nrole = admin\nkey = " KEY "\n", "name"},
        {"name = a\nrole = admin\nrole = admin\nkey = " KEY "\n", "role"},
        {"name = a\nrole = admin\nkey = " KEY "\nkey = " KEY "\n", "key"},
        {"name = a b\nrole = admin\nkey = " KEY "\n", "name"},
        {"name = ../a\nrole = admin\nkey = " KEY "\n", "name"},
        {"name = a\nrole =\nkey = " KEY "\n", "role"},
        {"name = a\nrole = admin\nkey = short\n", "key"},
        {"name = a\nrole = admin\nkey = " KEY "\nmore = 1\n", "more"},
        {"name = a\nrole = admin\nkey = " KEY "\nnonsense\n", ""},
    };
    struct curve_entry e;
    struct fault f;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f = (struct fault){0};
        assert_int_equal(curve_entry_parse(bad[i].text, strlen(bad[i].text), &e, &f),
                         STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, bad[i].field);
        assert_true(f.text[0] != '\0');
    }
    static const char good[] = "# c\n\n  \n name=a \nrole\t= admin\r\nkey = " KEY;
    assert_int_equal(curve_entry_parse(good, sizeof good - 1, &e, &f), STATUS_OK);
    assert_string_equal(e.name, "a");
    assert_int_equal(curve_entry_parse(good, sizeof good, &e, &f), STATUS_INVALID_ARGUMENT);
}
