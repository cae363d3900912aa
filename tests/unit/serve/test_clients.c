/* The folder of clients: what is read, what hostile or careless files lead to, and its writing. */
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "daemon/serve/clients.h"
#include "proto/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static void path_of(const char *name, char path[400])
{
    (void)snprintf(path, 400, "%s/%s", folder, name);
}

static void write_text(const char *name, const char *text, size_t n)
{
    char path[400];
    path_of(name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static void remove_file(const char *name)
{
    char path[400];
    path_of(name, path);
    assert_int_equal(unlink(path), 0);
}

static struct curve_key write_client(const char *name, const char *role)
{
    struct curve_key secret, public;
    char key[CURVE_TEXT_SIZE], text[400], file[100];
    curve_key_make(&secret, &public);
    curve_key_text(&public, key);
    (void)snprintf(text, sizeof text, "name = %s\nrole = %s\nkey = %s\n", name, role, key);
    (void)snprintf(file, sizeof file, "%s.pub", name);
    write_text(file, text, strlen(text));
    return public;
}

static void expect_refused(enum status code, const char *words)
{
    struct clients *c = NULL;
    struct fault f = {0};
    const enum status got = clients_load(folder, &c, &f);
    if (got != code || !strstr(f.text, words))
        fail_msg("%s \"%s\" instead of %s \"%s\"", status_name(got), f.text, status_name(code),
                 words);
    assert_null(c);
}

static size_t count_clients(void)
{
    struct clients *c = NULL;
    struct fault f = {0};
    if (clients_load(folder, &c, &f) != STATUS_OK)
        fail_msg("%s", f.text);
    const size_t n = clients_count(c);
    clients_free(c);
    return n;
}

void test_clients_are_read_and_found(void **state)
{
    (void)state;
    struct clients *c;
    test_support_mkdir(folder);
    assert_int_equal(count_clients(), 0);
    const struct curve_key zoe = write_client("zoe", "privacy");
    const struct curve_key bob = write_client("bob", "mlops,predict");
    write_text(".hidden.pub", "x", 1); /* names that do not count */
    write_text("README", "x", 1);
    write_text(".pub", "x", 1);
    assert_int_equal(clients_load(folder, &c, NULL), STATUS_OK);
    assert_int_equal(clients_count(c), 2);
    assert_string_equal(clients_at(c, 0)->file.name, "bob");
    assert_int_equal(clients_at(c, 0)->roles, CURVE_ROLE_MLOPS | CURVE_ROLE_PREDICT);
    const struct client_entry *e = clients_by_key(c, &zoe);
    assert_non_null(e);
    assert_string_equal(e->file.name, "zoe");
    assert_ptr_equal(clients_by_print(c, e->print), e);
    assert_ptr_equal(clients_by_name(c, "zoe"), e);
    assert_null(clients_by_name(c, "zo"));
    assert_null(clients_by_print(c, "k:0000000000000000"));
    clients_drop(c, &zoe);
    assert_null(clients_by_key(c, &zoe));
    assert_non_null(clients_by_key(c, &bob));
    clients_drop(c, &zoe);
    assert_int_equal(clients_count(c), 1);
    clients_free(c);
    test_support_rmdir(folder);
}

void test_clients_hostile_files_are_refused_with_file_and_line(void **state)
{
    (void)state;
    static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"", "name is missing"},
        {"name = a\nrole = boss\n", "line 2"},
        {"name = a\nrole = admin,\nkey = KEY\n", "line 2"},
        {"name = a\nrole = admin,admin\nkey = KEY\n", "line 2"},
        {"name = a\nrole = admin,privacy\nkey = KEY\n", "two different keys"},
        {"name = a\n\n# c\nrole = mlops\nkey = short\n", "line 5"},
        {"name = ../../etc/x\nrole = mlops\nkey = KEY\n", "line 1"},
        {"name = b\nrole = mlops\nkey = KEY\n", "name the file b.pub"},
        {"name = a\nrole = mlops\nkey = KEY\nkey = KEY\n", "line 4"},
        {"name = a\nrole = mlops\nkey = KEY\nshell = /bin/sh\n", "line 4"},
        {"\x7f\x45\x4c\x46 binary", "line 1"},
    };
    test_support_mkdir(folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[400] = "";
        for (const char *at = cases[i].text; *at;) {
            const int here = strncmp(at, "KEY", 3) == 0;
            const size_t n = strlen(text);
            (void)snprintf(text + n, sizeof text - n, "%.*s", here ? 40 : 1, here ? key : at);
            at += here ? 3 : 1;
        }
        write_text("a.pub", text, strlen(text));
        expect_refused(STATUS_INVALID_ARGUMENT, cases[i].words);
        expect_refused(STATUS_INVALID_ARGUMENT, "a.pub");
    }
    write_text("a.pub", "name = a\0role", 13);
    expect_refused(STATUS_INVALID_ARGUMENT, "NUL");
    char large[CURVE_FILE_MAX + 1];
    memset(large, '#', sizeof large);
    write_text("a.pub", large, sizeof large);
    expect_refused(STATUS_RESOURCE_EXHAUSTED, "a.pub");
    test_support_rmdir(folder);
}

void test_clients_one_key_is_one_client(void **state)
{
    (void)state;
    char text[400], path[400];
    test_support_mkdir(folder);
    (void)write_client("a", "mlops");
    path_of("a.pub", path);
    FILE *file = fopen(path, "r");
    const size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    text[strlen("name = ")] = 'b';
    write_text("b.pub", text, n);
    expect_refused(STATUS_ALREADY_EXISTS, "has the same key");
    test_support_rmdir(folder);
}

void test_clients_what_others_can_write_is_refused(void **state)
{
    (void)state;
    char path[400];
    test_support_mkdir(folder);
    (void)write_client("a", "mlops");
    path_of("a.pub", path);
    assert_int_equal(chmod(path, 0664), 0);
    expect_refused(STATUS_PERMISSION_DENIED, "chmod 644");
    assert_int_equal(chmod(path, 0606), 0);
    expect_refused(STATUS_PERMISSION_DENIED, "chmod 644");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    expect_refused(STATUS_PERMISSION_DENIED, "chmod o-w");
    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(count_clients(), 1);
    test_support_rmdir(folder);
}

/* Opening a FIFO would wait for its writer, and a link may lead anywhere. */
void test_clients_only_regular_files_are_opened(void **state)
{
    (void)state;
    char path[400];
    test_support_mkdir(folder);
    path_of("a.pub", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(STATUS_INVALID_ARGUMENT, "no regular file");
    remove_file("a.pub");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    expect_refused(STATUS_INVALID_ARGUMENT, "no regular file");
    remove_file("a.pub");
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(STATUS_INVALID_ARGUMENT, "no regular file");
    test_support_rmdir(folder);
}

void test_clients_without_a_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/no/such/folder");
    expect_refused(STATUS_NOT_FOUND, "/no/such/folder");
}

void test_clients_are_limited(void **state)
{
    (void)state;
    struct clients *c = clients_nobody();
    struct curve_entry e = {.role = "predict"};
    struct curve_key secret;
    struct fault f = {0};
    assert_non_null(c);
    for (unsigned i = 0; i < LIMIT_CLIENTS; i++) {
        (void)snprintf(e.name, sizeof e.name, "c%u", i);
        curve_key_make(&secret, &e.key);
        assert_int_equal(clients_add(c, &e, NULL), STATUS_OK);
    }
    (void)snprintf(e.name, sizeof e.name, "one-more");
    curve_key_make(&secret, &e.key);
    assert_int_equal(clients_add(c, &e, &f), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(clients_count(c), LIMIT_CLIENTS);
    for (size_t i = 1; i < LIMIT_CLIENTS; i++)
        assert_true(strcmp(clients_at(c, i - 1)->file.name, clients_at(c, i)->file.name) < 0);
    clients_free(c);
}

void test_clients_files_are_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct curve_entry e = {.name = "ann", .role = "auditor"};
    struct curve_key secret;
    test_support_mkdir(folder);
    curve_key_make(&secret, &e.key);
    static const enum sysio_call kinds[] = {SYSIO_OPEN, SYSIO_WRITE, SYSIO_FSYNC};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (uint64_t n = 1;; n++) {
            struct fault f = {0};
            sysio_fail_at(kinds[k], n, 1, ENOSPC);
            const enum status st = clients_file_add(folder, &e, &f);
            sysio_fail_at(kinds[k], 0, 0, 0);
            if (st == STATUS_OK)
                break;
            assert_true(f.text[0] != '\0');
            assert_int_equal(count_clients(), 0);
            assert_true(n < 20);
        }
        assert_int_equal(count_clients(), 1);
        assert_int_equal(clients_file_add(folder, &e, NULL), STATUS_ALREADY_EXISTS);
        assert_int_equal(clients_file_remove(folder, "ann", NULL), STATUS_OK);
        assert_int_equal(clients_file_remove(folder, "ann", NULL), STATUS_OK);
        assert_int_equal(count_clients(), 0);
    }
    test_support_rmdir(folder);
}
