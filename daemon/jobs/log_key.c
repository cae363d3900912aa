#include "daemon/jobs/log_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/config/credential.h"
#include "proto/seal/sign_file.h"
#include "storage/store/store_log.h"

#define PATH_SIZE 1200
#define NAME      "log.key"

/* Where the key is, and whether it may be made there. */
struct place {
    char path[PATH_SIZE];
    int ours;
};

static int handed_over(void)
{
    char path[PATH_SIZE];
    struct fault ignored = {0};
    return credential_path("credential:" NAME, "log_key", path, sizeof path, &ignored) ==
               STATUS_OK &&
           access(path, F_OK) == 0;
}

static enum status find_place(const struct config *c, struct place *ret_place, struct fault *f)
{
    struct place p = {.ours = 0};
    const char *value = c->log_key;
    if (value[0] == '\0' && handed_over())
        value = "credential:" NAME;
    if (value[0] != '\0') {
        TRY(credential_path(value, "log_key", p.path, sizeof p.path, f));
    } else {
        const int n = snprintf(p.path, sizeof p.path, "%s/%s", c->store, NAME);
        if (n < 0 || (size_t)n >= sizeof p.path)
            FAIL(f, STATUS_INVALID_ARGUMENT, "store", "the path is too long");
        p.ours = 1;
    }
    *ret_place = p;
    return STATUS_OK;
}

/* The name of a log that has none yet: as configured, or one that no other log has. */
static void first_name(const struct config *c, const struct store *s, char name[SIGN_NAME_SIZE])
{
    const struct request_id id = store_identity(s);
    char hex[2 * sizeof id.b + 1];
    hex_format(id.b, 8, hex);
    if (c->log_origin[0] != '\0')
        (void)snprintf(name, SIGN_NAME_SIZE, "%s", c->log_origin);
    else
        (void)snprintf(name, SIGN_NAME_SIZE, "lethe/%s", hex);
}

static enum status
make_key(const struct place *p, const char *name, struct sign_key **ret_key, struct fault *f)
{
    struct sign_key *key = NULL;
    TRY(sign_key_generate(name, SIGN_LOG, &key, f));
    const enum status st = sign_file_write(p->path, key, f);
    if (st != STATUS_OK) {
        sign_key_free(key);
        return st;
    }
    log_event(LOG_LEVEL_WARNING, "log.key",
              "a key for the log was made; it lies beside the store, better is another place",
              "path", p->path, NULL);
    *ret_key = key;
    return STATUS_OK;
}

static enum status take_key(const struct config *c,
                            struct store *s,
                            const char *origin,
                            struct sign_key **ret_key,
                            struct fault *f)
{
    struct place p;
    char name[SIGN_NAME_SIZE];
    TRY(find_place(c, &p, f));
    const enum status st = sign_file_read(p.path, ret_key, f);
    if (st == STATUS_NOT_FOUND && p.ours && origin[0] == '\0') {
        first_name(c, s, name);
        return make_key(&p, name, ret_key, f);
    }
    if (st == STATUS_NOT_FOUND && origin[0] != '\0')
        FAIL(f, STATUS_FAILED_PRECONDITION, "log_key",
             "the key of the log is missing: %.90s; put it back", p.path);
    if (st != STATUS_OK && f)
        (void)snprintf(f->field, sizeof f->field, "log_key");
    return st;
}

static enum status
check_origin(const struct config *c, const char *origin, const char *name, struct fault *f)
{
    const char *is = origin[0] != '\0' ? origin : name;
    if (c->log_origin[0] != '\0' && strcmp(c->log_origin, is) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "log_origin",
             "the log is called %.60s and keeps that name", is);
    return STATUS_OK;
}

static enum status begin(const struct config *c,
                         struct store *s,
                         struct sign_key *key,
                         struct store_log_begun *ret_begun,
                         struct fault *f)
{
    char path[PATH_SIZE];
    struct sign_key *old = NULL;
    enum status st = STATUS_OK;
    if (c->log_key_old[0] != '\0') {
        st = credential_path(c->log_key_old, "log_key_old", path, sizeof path, f);
        if (st == STATUS_OK)
            st = sign_file_read(path, &old, f);
        if (st != STATUS_OK) {
            sign_key_free(key);
            return st;
        }
    }
    st = store_log_begin(s, key, old, clock_wall_us(), ret_begun, f);
    sign_key_free(old);
    return st;
}

static void tell(const struct store *s, const struct store_log_begun *begun)
{
    char vkey[SIGN_VKEY_SIZE], count[24];
    sign_vkey_format(store_log_vkey(s), vkey);
    (void)snprintf(count, sizeof count, "%llu", (unsigned long long)begun->adopted);
    if (begun->started)
        log_event(LOG_LEVEL_INFO, "log.started", "the log begins; verifiers need this key", "vkey",
                  vkey, "adopted", count, NULL);
    else if (begun->rolled)
        log_event(LOG_LEVEL_INFO, "log.key_rolled",
                  "from now on this key signs the log; log_key_old can go", "vkey", vkey, NULL);
}

enum status log_key_begin(const struct config *config, struct store *store, struct fault *f)
{
    char origin[SIGN_NAME_SIZE];
    struct sign_key *key = NULL;
    struct store_log_begun begun;
    if (config->log_origin[0] != '\0' &&
        !sign_name_is_valid(config->log_origin, strlen(config->log_origin)))
        FAIL(f, STATUS_INVALID_ARGUMENT, "log_origin",
             "1 to %d letters, digits, '.', '_', '-', '/', ':', '~'", SIGN_NAME_MAX);
    TRY(store_log_origin(store, origin, f));
    TRY(take_key(config, store, origin, &key, f));
    const enum status st = check_origin(config, origin, sign_key_public(key)->name, f);
    if (st != STATUS_OK) {
        sign_key_free(key);
        return st;
    }
    TRY(begin(config, store, key, &begun, f));
    tell(store, &begun);
    return STATUS_OK;
}
