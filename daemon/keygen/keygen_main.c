/*
 * lethe-keygen: makes the keys of a daemon and of its clients, as files.  Needs no daemon.  Never
 * overwrites a file, never prints a secret, and says what to do next.
 * Exit status: 0 done, 1 a file cannot be written, 2 usage.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/seal/curve_file.h"
#include "proto/seal/hash.h"
#include "proto/seal/sign_file.h"

#define PATH_SIZE 1024

struct arguments {
    const char *what; /* server | client | log */
    const char *name;
    const char *role;
    const char *folder;
};

/* ------------------------------------------------------------ files */

static enum status
place(const char *folder, const char *name, const char *end, char path[PATH_SIZE], struct fault *f)
{
    const int n = snprintf(path, PATH_SIZE, "%s/%s%s", folder, name, end);
    if (n < 0 || n >= PATH_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "the path is longer than %d bytes", PATH_SIZE - 1);
    return STATUS_OK;
}

/* Takes the secret file back when its public half could not be written. */
static enum status both(enum status st, const char *secret_path)
{
    if (st != STATUS_OK)
        (void)remove(secret_path);
    return st;
}

static enum status make_server(const struct arguments *a, struct fault *f)
{
    char secret_path[PATH_SIZE], public_path[PATH_SIZE], print[CURVE_PRINT_SIZE];
    struct curve_key secret, public;
    TRY(place(a->folder, "curve", ".key", secret_path, f));
    TRY(place(a->folder, "server", ".pub", public_path, f));
    curve_key_make(&secret, &public);
    enum status st = curve_file_write_secret(secret_path, &secret, f);
    curve_key_wipe(&secret);
    TRY(st);
    TRY(both(curve_file_write_public(public_path, "public key of the daemon", &public, f),
             secret_path));
    curve_key_print(&public, print);
    (void)printf("daemon's key %s\n"
                 "  %s  secret: readable for lethed's user alone\n"
                 "  %s  public: give it to every client (--server-key)\n"
                 "next: a key for every client: lethe-keygen client NAME --role ROLE\n",
                 print, secret_path, public_path);
    return STATUS_OK;
}

static enum status make_client(const struct arguments *a, struct fault *f)
{
    char secret_path[PATH_SIZE], entry_path[PATH_SIZE], print[CURVE_PRINT_SIZE];
    struct curve_key secret;
    struct curve_entry entry = {0};
    TRY(place(a->folder, a->name, ".key", secret_path, f));
    TRY(place(a->folder, a->name, ".pub", entry_path, f));
    (void)snprintf(entry.name, sizeof entry.name, "%s", a->name);
    (void)snprintf(entry.role, sizeof entry.role, "%s", a->role);
    curve_key_make(&secret, &entry.key);
    enum status st = curve_file_write_secret(secret_path, &secret, f);
    curve_key_wipe(&secret);
    TRY(st);
    TRY(both(curve_file_write_entry(entry_path, &entry, f), secret_path));
    curve_key_print(&entry.key, print);
    (void)printf("%s, %s, key %s\n"
                 "  %s  secret: stays with the client (--key)\n"
                 "  %s  entry: goes into the daemon's folder of clients\n",
                 entry.name, entry.role, print, secret_path, entry_path);
    return STATUS_OK;
}

static enum status make_log(const struct arguments *a, struct fault *f)
{
    char secret_path[PATH_SIZE], public_path[PATH_SIZE], vkey[SIGN_VKEY_SIZE];
    struct sign_key *key = NULL;
    TRY(place(a->folder, "log", ".key", secret_path, f));
    TRY(place(a->folder, "log", ".vkey", public_path, f));
    TRY(sign_key_generate(a->name, SIGN_LOG, &key, f));
    sign_vkey_format(sign_key_public(key), vkey);
    enum status st = sign_file_write(secret_path, key, f);
    if (st == STATUS_OK)
        st = both(sign_file_write_public(public_path, sign_key_public(key), f), secret_path);
    sign_key_free(key);
    TRY(st);
    (void)printf(
        "log %s\n"
        "  %s  secret: readable for lethed's user alone (log_key); nobody can make it again\n"
        "  %s  public: give it to everybody who verifies (lethe-verify --key)\n",
        vkey, secret_path, public_path);
    return STATUS_OK;
}

/* ------------------------------------------------------------ command line */

static void check_log(struct argp_state *state, const struct arguments *a)
{
    if (!a->name || !sign_name_is_valid(a->name, strlen(a->name)))
        argp_error(state,
                   "a log needs a name that no other has, such as example.org/lethe/1: 1 to "
                   "%d letters, digits, '.', '_', '-', '/', ':', '~'",
                   SIGN_NAME_MAX);
    if (a->role)
        argp_error(state, "the key of a log has no role");
}

static void check(struct argp_state *state, const struct arguments *a)
{
    if (!a->what)
        argp_error(state, "say what to make: server, client NAME --role ROLE, or log NAME");
    if (strcmp(a->what, "log") == 0) {
        check_log(state, a);
        return;
    }
    if (strcmp(a->what, "server") == 0) {
        if (a->name || a->role)
            argp_error(state, "a daemon's key has neither name nor role");
        return;
    }
    if (strcmp(a->what, "client") != 0)
        argp_error(state, "\"%s\" is neither server, client nor log", a->what);
    if (!a->name || !curve_name_good(a->name))
        argp_error(state, "a client needs a name of 1 to 64 letters, digits, '.', '_', '-', not "
                          "first '.' or '-'");
    if (!a->role || strlen(a->role) >= CURVE_ROLE_SIZE || curve_roles_parse(a->role) == 0)
        argp_error(state, "--role is one or more of privacy, mlops, predict, auditor, admin, with "
                          "commas between");
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'r':
        a->role = value;
        return 0;
    case 'o':
        a->folder = value;
        return 0;
    case ARGP_KEY_ARG:
        if (!a->what)
            a->what = value;
        else if (!a->name)
            a->name = value;
        else
            argp_error(state, "unexpected argument \"%s\"", value);
        return 0;
    case ARGP_KEY_END:
        check(state, a);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"role", 'r', "ROLE", 0,
     "of a client: privacy, mlops, predict, auditor, admin; several with commas between", 0},
    {"out", 'o', "FOLDER", 0, "where the files go (default: here)", 0},
    {0},
};

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "server\nclient NAME --role ROLE\nlog NAME",
        .doc = "Makes the CURVE keys of lethed and of its clients, and the key that signs the log."
               "\v"
               "A server gets curve.key and server.pub, a client NAME.key and NAME.pub, a log "
               "log.key and log.vkey.  A key that follows another has the log's name.  Files that "
               "exist are never overwritten.",
    };
    struct arguments a = {.folder = "."};
    struct fault f = {0};
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return 2;
    enum status st = seal_init(&f);
    if (st == STATUS_OK)
        st = strcmp(a.what, "server") == 0 ? make_server(&a, &f)
             : strcmp(a.what, "log") == 0  ? make_log(&a, &f)
                                           : make_client(&a, &f);
    if (st == STATUS_OK && fflush(stdout) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "lethe-keygen: %s\n", f.text[0] ? f.text : status_text(st));
    return EXIT_FAILURE;
}
