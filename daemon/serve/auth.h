/*
 * Auth: who a peer is and what it may do.  Nobody is let in by default.
 *
 * Clients with a key are the files of a folder (clients.h); their identity is the fingerprint of
 * the key, "k:" and 16 digits.  Users of this machine who come over ipc:// without a key have the
 * roles that the configuration gives them (daemon/config/local_roles.h); their identity is "local"
 * for the user that lethed runs as and "uid:N" for others.
 *
 * Two doors: the ZAP handler asks once a connection (auth_accept_*) and names the peer by a text
 * that libzmq hands out with every message (User-Id); the server asks again with every message
 * (auth_identify), so that a key that was revoked meanwhile has no effect any more.
 *
 * Refusals are counted by reason and logged with the identity, at most AUTH_LOG_LINES in
 * AUTH_LOG_US.  All functions may be called from any thread.
 */
#ifndef LETHE_SERVE_AUTH_H
#define LETHE_SERVE_AUTH_H

#include "daemon/serve/call.h"
#include "daemon/serve/clients.h"

#include <stdbool.h>
#include <stdint.h>

#define AUTH_USER_SIZE 64 /* of a User-Id */
#define AUTH_LOG_LINES 20
#define AUTH_LOG_US    ((int64_t)10 * 1000000)

enum auth_denial {
#define X(name, text) AUTH_DENIED_##name,
#include "daemon/serve/denials.def"
#undef X
    AUTH_DENIALS
};
/* "unknown_key", ... */
const char *auth_denial_name(enum auth_denial reason);

struct auth_options {
    const char *clients;     /* folder, copied; NULL: nobody has a key */
    const char *local_roles; /* text; NULL: "owner=all" */
    uint32_t calls_s;        /* of each peer but the daemon's own user; 0: no limit */
};

struct auth;

/* Errors of clients_load and local_roles_parse. */
enum status
auth_new(const struct auth_options *options, struct auth **ret_auth, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void auth_free(struct auth *a);

/* ------------------------------------------------------------ at the door, for the ZAP handler */

/* True: let in, *user is its User-Id. */
bool auth_accept_key(struct auth *a, const struct curve_key *key, char user[AUTH_USER_SIZE]);
bool auth_accept_local(
    struct auth *a, unsigned uid, unsigned gid, int pid, char user[AUTH_USER_SIZE]);
/* While a self-test runs, before calls are served: what it expects of its own connections. */
enum auth_trial {
    AUTH_TRIAL_NONE,
    AUTH_TRIAL_ACCEPT, /* `key` is let in, and this very process over ipc:// */
    AUTH_TRIAL_REFUSE  /* this very process over ipc:// is refused */
};
/* A peer let in on trial has no identity: its messages are refused. */
void auth_set_trial(struct auth *a, enum auth_trial trial, const struct curve_key *key);

/* ------------------------------------------------------------ each message */

struct auth_peer {
    char principal[CALL_PRINCIPAL_SIZE];
    unsigned roles;
    bool local; /* came without a key */
};
/*
 * Who sent a message, from its User-Id (NULL: it has none), and whether it may call now.
 * PERMISSION_DENIED: unnamed or revoked; RESOURCE_EXHAUSTED: suspended, or too many calls, with
 * *ret_retry_s (0 otherwise).  Denials are counted here.
 */
enum status auth_identify(struct auth *a,
                          const char *user,
                          int64_t now_us,
                          struct auth_peer *ret_peer,
                          uint32_t *ret_retry_s,
                          struct fault *f) MUST_CHECK;
/* A message of this peer was malformed.  The daemon's own user is not suspended for it. */
void auth_malformed(struct auth *a, const struct auth_peer *peer, int64_t now_us);
/* Counts and logs a refusal; `who` is an identity. */
void auth_denied(struct auth *a, enum auth_denial reason, const char *who);
uint64_t auth_denials(const struct auth *a, enum auth_denial reason);

/* ------------------------------------------------------------ keys */

/* One key that came or went; prints only, names are not for the log. */
struct auth_change {
    bool added;
    unsigned roles;
    char print[CURVE_PRINT_SIZE];
};
struct auth_changes {
    size_t n;
    struct auth_change *at; /* sysio_free */
};
/*
 * Reads the folder again; what changed is in *ret_changes.  A folder that does not read leaves
 * everything as it was: errors of clients_load.
 */
enum status
auth_reload(struct auth *a, struct auth_changes *ret_changes, struct fault *f) MUST_CHECK;
/* The folder's clients: copies, *ret_clients is the caller's (sysio_free). */
enum status auth_list(struct auth *a,
                      struct client_entry **ret_clients,
                      size_t *ret_n,
                      struct fault *f) MUST_CHECK;
/*
 * Adds a client to the folder and the table.  FAILED_PRECONDITION: there is no folder;
 * INVALID_ARGUMENT, ALREADY_EXISTS (field name, role or key); others of clients_file_add.
 */
enum status auth_add(struct auth *a,
                     const struct curve_entry *entry,
                     struct client_entry *ret_entry,
                     struct fault *f) MUST_CHECK;
/* Removes a client by its name or fingerprint from both.  NOT_FOUND: there is none. */
enum status auth_revoke(struct auth *a,
                        const char *name,
                        struct client_entry *ret_entry,
                        struct fault *f) MUST_CHECK;

#endif
