/*
 * A real daemon on the tiny model that serves tcp://127.0.0.1 with CURVE and a local socket beside
 * it, with one client of every role, and clients of it: the C library, raw frames, the command.
 * Header only, as session.h.
 */
#ifndef LETHE_TESTS_SUPPORT_KEYED_DAEMON_H
#define LETHE_TESTS_SUPPORT_KEYED_DAEMON_H

#include "tests/support/curve_fixture.h"
#include "tests/support/session.h"

#include <signal.h>

static const char *const keyed_roles[] = {"privacy", "mlops", "predict", "auditor", "admin"};
#define KEYED_ROLES 5

struct keyed {
    struct session s;                   /* its client is a user of the machine */
    struct curve_fixture x;             /* address and public key, for raw clients */
    struct curve_key keys[KEYED_ROLES]; /* secret ones */
    char clients[400];                  /* folder */
    char server_pub[400];
};

__attribute__((unused)) static void
keyed_path(const struct keyed *k, const char *name, char path[400])
{
    (void)snprintf(path, 400, "%.250s/%s", k->s.d.folder, name);
}

/* A client's entry in the folder of clients and its secret key in NAME.key. */
__attribute__((unused)) static struct curve_key
keyed_add(const struct keyed *k, const char *name, const char *role)
{
    struct curve_entry e = {0};
    struct curve_key secret;
    char path[480], file[80];
    (void)snprintf(e.name, sizeof e.name, "%s", name);
    (void)snprintf(e.role, sizeof e.role, "%s", role);
    curve_key_make(&secret, &e.key);
    (void)snprintf(path, sizeof path, "%s/%s.pub", k->clients, name);
    assert_int_equal(curve_file_write_entry(path, &e, NULL), STATUS_OK);
    (void)snprintf(file, sizeof file, "%s.key", name);
    keyed_path(k, file, path);
    assert_int_equal(curve_file_write_secret(path, &secret, NULL), STATUS_OK);
    return secret;
}

/* Everything but the running daemon; `more` are further lines of its configuration. */
__attribute__((unused)) static void keyed_prepare(struct keyed *k, const char *more)
{
    char endpoint[64], lines[2000], key[400];
    memset(k, 0, sizeof *k);
    test_support_mkdir(k->s.model);
    tiny_model_write(k->s.model);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", curve_free_port());
    test_daemon_new_at(&k->s.d, k->s.model, endpoint, "");
    keyed_path(k, "clients.d", k->clients);
    keyed_path(k, "server.pub", k->server_pub);
    keyed_path(k, "curve.key", key);
    assert_int_equal(mkdir(k->clients, 0700), 0);
    curve_key_make(&k->x.secret, &k->x.public);
    assert_int_equal(curve_file_write_secret(key, &k->x.secret, NULL), STATUS_OK);
    assert_int_equal(curve_file_write_public(k->server_pub, "test", &k->x.public, NULL), STATUS_OK);
    for (size_t i = 0; i < KEYED_ROLES; i++)
        k->keys[i] = keyed_add(k, keyed_roles[i], keyed_roles[i]);
    (void)snprintf(lines, sizeof lines,
                   "curve_key = %s\nclients = %s\nlocal_endpoint = ipc://%.250s/local\n%s", key,
                   k->clients, k->s.d.folder, more);
    FILE *file = fopen(k->s.d.config, "a");
    assert_non_null(file);
    (void)fputs(lines, file);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(k->x.f.endpoint, sizeof k->x.f.endpoint, "%s", endpoint);
    k->x.f.context = zmq_ctx_new();
    assert_non_null(k->x.f.context);
}

__attribute__((unused)) static void keyed_start(struct keyed *k)
{
    struct lethe_error e = {0};
    const struct lethe_options options = {.timeout_ms = 20000};
    char local[320];
    test_daemon_start(&k->s.d);
    (void)snprintf(local, sizeof local, "ipc://%.250s/local", k->s.d.folder);
    lethe_close(k->s.l);
    session_ok(lethe_open(local, &options, &k->s.l, &e), e);
}

__attribute__((unused)) static void keyed_new(struct keyed *k, const char *more)
{
    keyed_prepare(k, more);
    keyed_start(k);
}

__attribute__((unused)) static void keyed_free(struct keyed *k)
{
    (void)zmq_ctx_term(k->x.f.context);
    session_free(&k->s);
}

/* A client of the library with the key of NAME.key. */
__attribute__((unused)) static struct lethe *keyed_connect(const struct keyed *k, const char *name)
{
    char path[400], file[80];
    struct lethe_error e = {0};
    struct lethe *l;
    (void)snprintf(file, sizeof file, "%s.key", name);
    keyed_path(k, file, path);
    const struct lethe_options options = {
        .key_file = path, .server_key_file = k->server_pub, .timeout_ms = 20000};
    session_ok(lethe_open(k->s.d.endpoint, &options, &l, &e), e);
    return l;
}

/* The lethe command with that key and two words; its exit status. */
__attribute__((unused)) static int
keyed_cli(const struct keyed *k, const char *name, const char *word, const char *second)
{
    char path[400], file[80], out[4096];
    (void)snprintf(file, sizeof file, "%s.key", name);
    keyed_path(k, file, path);
    return test_daemon_cli(&k->s.d, out, sizeof out, "--key", path, "--server-key", k->server_pub,
                           "--timeout", "2", word, second, NULL);
}

/* SIGHUP, then until the journal says `text`. */
__attribute__((unused)) static void keyed_reload(const struct keyed *k, const char *text)
{
    const int64_t end = session_now_ms() + 10000;
    assert_int_equal(kill(k->s.d.pid, SIGHUP), 0);
    while (!test_daemon_said(&k->s.d, text)) {
        if (session_now_ms() > end)
            fail_msg("the journal does not say \"%s\"", text);
        session_sleep_ms(20);
    }
}

#endif
