#include "daemon/config/local_roles.h"

#include "proto/seal/curve_file.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ITEM_SIZE   128
#define LOOKUP_SIZE 16384 /* what a name service may need for one entry */

static enum status parse_number(const char *text, const char *field, unsigned *ret, struct fault *f)
{
    char *end;
    errno = 0;
    const unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n >= UINT_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.32s\" is no number of a user or group", text);
    *ret = (unsigned)n;
    return STATUS_OK;
}

static enum status find_user(const char *name, const char *field, unsigned *ret, struct fault *f)
{
    char memory[LOOKUP_SIZE];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(name, &entry, memory, sizeof memory, &found) != 0 || !found)
        FAIL(f, STATUS_NOT_FOUND, field, "there is no user \"%.32s\"", name);
    *ret = entry.pw_uid;
    return STATUS_OK;
}

static enum status find_group(const char *name, const char *field, unsigned *ret, struct fault *f)
{
    char memory[LOOKUP_SIZE];
    struct group entry, *found = NULL;
    if (getgrnam_r(name, &entry, memory, sizeof memory, &found) != 0 || !found)
        FAIL(f, STATUS_NOT_FOUND, field, "there is no group \"%.32s\"", name);
    *ret = entry.gr_gid;
    return STATUS_OK;
}

typedef enum status
who_parse(const char *text, const char *field, unsigned *ret_id, struct fault *f);

static const struct {
    const char *prefix;
    enum local_who who;
    who_parse *parse; /* of what follows the prefix; NULL: nothing does */
} whos[] = {
    {"owner", LOCAL_WHO_OWNER, NULL},      {"anyone", LOCAL_WHO_ANYONE, NULL},
    {"uid:", LOCAL_WHO_UID, parse_number}, {"user:", LOCAL_WHO_UID, find_user},
    {"gid:", LOCAL_WHO_GID, parse_number}, {"group:", LOCAL_WHO_GID, find_group},
};

static enum status parse_who(
    const char *text, const char *field, enum local_who *ret_who, unsigned *ret_id, struct fault *f)
{
    for (size_t i = 0; i < sizeof whos / sizeof whos[0]; i++) {
        const size_t n = strlen(whos[i].prefix);
        if (strncmp(text, whos[i].prefix, n) != 0 || (!whos[i].parse && text[n] != '\0'))
            continue;
        *ret_who = whos[i].who;
        return whos[i].parse ? whos[i].parse(text + n, field, ret_id, f) : STATUS_OK;
    }
    FAIL(f, STATUS_INVALID_ARGUMENT, field,
         "\"%.32s\" is none of owner, anyone, uid:N, user:NAME, gid:N, group:NAME", text);
}

static enum status
parse_roles(const char *text, const char *field, unsigned *ret_roles, struct fault *f)
{
    unsigned roles = CURVE_ROLE_ALL;
    if (strcmp(text, "none") == 0)
        roles = 0;
    else if (strcmp(text, "all") != 0)
        roles = curve_roles_parse(text);
    if (roles == 0 && strcmp(text, "none") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, field,
             "\"%.40s\": privacy, mlops, predict, auditor, admin with commas, all or none", text);
    *ret_roles = roles;
    return STATUS_OK;
}

static enum status
parse_item(const char *at, size_t n, const char *field, struct local_roles *r, struct fault *f)
{
    char item[ITEM_SIZE];
    if (r->n == LOCAL_ROLES_MAX || n >= sizeof item)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "at most %d items of at most %d bytes",
             LOCAL_ROLES_MAX, ITEM_SIZE - 1);
    memcpy(item, at, n);
    item[n] = '\0';
    char *equals = strchr(item, '=');
    if (!equals)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.40s\" is not WHO=ROLE", item);
    *equals = '\0';
    TRY(parse_who(item, field, &r->items[r->n].who, &r->items[r->n].id, f));
    TRY(parse_roles(equals + 1, field, &r->items[r->n].roles, f));
    r->n++;
    return STATUS_OK;
}

enum status local_roles_parse(const char *text,
                              const char *field,
                              struct local_roles *ret_roles,
                              struct fault *f)
{
    struct local_roles r = {0};
    for (const char *at = text + strspn(text, " \t"); *at;) {
        const size_t n = strcspn(at, " \t");
        TRY(parse_item(at, n, field, &r, f));
        at += n + strspn(at + n, " \t");
    }
    *ret_roles = r;
    return STATUS_OK;
}

unsigned local_roles_of(const struct local_roles *r, uid_t uid, gid_t gid)
{
    unsigned roles = 0;
    for (size_t i = 0; i < r->n; i++) {
        const unsigned id = r->items[i].id;
        const int fits = r->items[i].who == LOCAL_WHO_ANYONE ||
                         (r->items[i].who == LOCAL_WHO_OWNER && (uid == 0 || uid == geteuid())) ||
                         (r->items[i].who == LOCAL_WHO_UID && uid == id) ||
                         (r->items[i].who == LOCAL_WHO_GID && gid == id);
        roles |= fits ? r->items[i].roles : 0;
    }
    return roles;
}
