/*
 * What users of this machine may do who come over ipc:// without a key: a text of items, parted by
 * blanks, "WHO=ROLE[,ROLE...]".
 *
 *   WHO   owner       the user that lethed runs as, and root
 *         uid:N       a user by number, or user:NAME by name (looked up when the text is read)
 *         gid:N       a group by number, or group:NAME; the group that the client process runs with
 *                     counts, not the further groups of its user
 *         anyone      every user who can open the socket (mode 0660)
 *   ROLE  privacy, mlops, predict, auditor, admin; all; none
 *
 * A user has the roles of all items that fit.  Who has none is refused at the door.  A plain value.
 */
#ifndef LETHE_CONFIG_LOCAL_ROLES_H
#define LETHE_CONFIG_LOCAL_ROLES_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <sys/types.h>

#define LOCAL_ROLES_MAX 32

enum local_who { LOCAL_WHO_OWNER, LOCAL_WHO_UID, LOCAL_WHO_GID, LOCAL_WHO_ANYONE };

struct local_roles {
    size_t n;
    struct {
        enum local_who who;
        unsigned id;    /* UID, GID */
        unsigned roles; /* bits of curve_role */
    } items[LOCAL_ROLES_MAX];
};

/* INVALID_ARGUMENT or NOT_FOUND (an unknown name), naming `field` and the item. */
enum status local_roles_parse(const char *text,
                              const char *field,
                              struct local_roles *ret_roles,
                              struct fault *f) MUST_CHECK;
/* Roles of a peer; 0: none. */
unsigned local_roles_of(const struct local_roles *r, uid_t uid, gid_t gid);

#endif
