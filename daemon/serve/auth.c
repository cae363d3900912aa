#include "daemon/serve/auth.h"

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/config/local_roles.h"
#include "daemon/serve/conduct.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One set of bits for files, rules and calls. */
_Static_assert((int)ROLE_PRIVACY == (int)CURVE_ROLE_PRIVACY, "role");
_Static_assert((int)ROLE_MLOPS == (int)CURVE_ROLE_MLOPS, "role");
_Static_assert((int)ROLE_PREDICT == (int)CURVE_ROLE_PREDICT, "role");
_Static_assert((int)ROLE_AUDITOR == (int)CURVE_ROLE_AUDITOR, "role");
_Static_assert((int)ROLE_ADMIN == (int)CURVE_ROLE_ADMIN, "role");
_Static_assert((int)ROLE_ANY == (int)CURVE_ROLE_ALL, "role");

#define OWNER_NAME    "local"
#define SECOND_US     ((int64_t)1000000)
#define DEFAULT_RULES "owner=all"

struct auth {
    pthread_mutex_t lock;    /* of everything but the counters */
    pthread_mutex_t writing; /* one change of the folder at a time; taken before `lock` */
    char *folder;            /* NULL: nobody has a key */
    struct clients *clients;
    struct local_roles local;
    struct conduct *conduct;
    enum auth_trial trial;
    struct curve_key trial_key;
    int64_t log_since_us;
    unsigned log_lines;
    uint64_t log_silent; /* refusals that were not logged since */
    atomic_uint_fast64_t denied[AUTH_DENIALS];
};

const char *auth_denial_name(enum auth_denial reason)
{
    static const char *const names[] = {
#define X(name, text) text,
#include "daemon/serve/denials.def"
#undef X
    };
    INVARIANT((unsigned)reason < AUTH_DENIALS);
    return names[reason];
}

static void lock(struct auth *a)
{
    INVARIANT(pthread_mutex_lock(&a->lock) == 0);
}

static void unlock(struct auth *a)
{
    INVARIANT(pthread_mutex_unlock(&a->lock) == 0);
}

/* ------------------------------------------------------------ making and freeing */

static enum status copy_folder(struct auth *a, const char *folder, struct fault *f)
{
    if (!folder) {
        a->clients = clients_nobody();
        if (!a->clients)
            FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the table of clients");
        return STATUS_OK;
    }
    const size_t n = strlen(folder) + 1;
    a->folder = sysio_alloc(1, n);
    if (!a->folder)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the folder of clients");
    memcpy(a->folder, folder, n);
    return clients_load(folder, &a->clients, f);
}

enum status auth_new(const struct auth_options *options, struct auth **ret_auth, struct fault *f)
{
    struct auth *a = sysio_alloc(1, sizeof *a);
    if (!a)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of clients");
    INVARIANT(pthread_mutex_init(&a->lock, NULL) == 0);
    INVARIANT(pthread_mutex_init(&a->writing, NULL) == 0);
    const char *rules = options->local_roles ? options->local_roles : DEFAULT_RULES;
    enum status st = local_roles_parse(rules, "ipc_role", &a->local, f);
    if (st == STATUS_OK)
        st = conduct_new(options->calls_s, &a->conduct, f);
    if (st == STATUS_OK)
        st = copy_folder(a, options->clients, f);
    if (st == STATUS_OK)
        *ret_auth = a;
    else
        auth_free(a);
    return st;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    clients_free(a->clients);
    conduct_free(a->conduct);
    sysio_free(a->folder);
    INVARIANT(pthread_mutex_destroy(&a->lock) == 0);
    INVARIANT(pthread_mutex_destroy(&a->writing) == 0);
    sysio_free(a);
}

/* ------------------------------------------------------------ refusals */

/* Whether this refusal may still be logged; *ret_silent says how many were not before it. */
static bool may_log(struct auth *a, uint64_t *ret_silent)
{
    const int64_t now = clock_mono_us();
    lock(a);
    if (now - a->log_since_us >= AUTH_LOG_US) {
        a->log_since_us = now;
        a->log_lines = 0;
    }
    const bool may = a->log_lines < AUTH_LOG_LINES;
    *ret_silent = may ? a->log_silent : 0;
    a->log_lines += may;
    a->log_silent = may ? 0 : a->log_silent + 1;
    unlock(a);
    return may;
}

void auth_denied(struct auth *a, enum auth_denial reason, const char *who)
{
    char silent[24] = "";
    uint64_t n;
    atomic_fetch_add(&a->denied[reason], 1);
    if (!may_log(a, &n))
        return;
    (void)snprintf(silent, sizeof silent, "%llu", (unsigned long long)n);
    log_event(LOG_LEVEL_WARNING, "auth.denied", auth_denial_name(reason), "peer", who, "unlogged",
              silent, NULL);
}

uint64_t auth_denials(const struct auth *a, enum auth_denial reason)
{
    return atomic_load(&a->denied[reason]);
}

/* ------------------------------------------------------------ at the door */

void auth_set_trial(struct auth *a, enum auth_trial trial, const struct curve_key *key)
{
    lock(a);
    a->trial = trial;
    a->trial_key = key ? *key : (struct curve_key){{0}};
    unlock(a);
}

bool auth_accept_key(struct auth *a, const struct curve_key *key, char user[AUTH_USER_SIZE])
{
    char print[CURVE_PRINT_SIZE];
    curve_key_print(key, print);
    lock(a);
    const bool known = clients_by_key(a->clients, key) != NULL;
    const bool trial = a->trial == AUTH_TRIAL_ACCEPT && curve_key_equal(&a->trial_key, key);
    const bool testing = a->trial != AUTH_TRIAL_NONE;
    unlock(a);
    (void)snprintf(user, AUTH_USER_SIZE, "%s", print);
    if (!known && !trial && !testing)
        auth_denied(a, AUTH_DENIED_UNKNOWN_KEY, print);
    return known || trial;
}

static void name_user(unsigned uid, char principal[CALL_PRINCIPAL_SIZE])
{
    if (uid == geteuid())
        (void)snprintf(principal, CALL_PRINCIPAL_SIZE, OWNER_NAME);
    else
        (void)snprintf(principal, CALL_PRINCIPAL_SIZE, "uid:%u", uid);
}

bool auth_accept_local(
    struct auth *a, unsigned uid, unsigned gid, int pid, char user[AUTH_USER_SIZE])
{
    char principal[CALL_PRINCIPAL_SIZE];
    lock(a);
    bool good = local_roles_of(&a->local, uid, gid) != 0;
    const bool trial = a->trial != AUTH_TRIAL_NONE && pid == getpid();
    if (trial)
        good = a->trial == AUTH_TRIAL_ACCEPT;
    unlock(a);
    (void)snprintf(user, AUTH_USER_SIZE, "uid:%u gid:%u", uid, gid);
    name_user(uid, principal);
    if (!good && !trial)
        auth_denied(a, AUTH_DENIED_LOCAL_USER, principal);
    return good;
}

/* ------------------------------------------------------------ each message */

/* Who it is by now; roles 0: nobody. */
static void look_up(struct auth *a, const char *user, struct auth_peer *p)
{
    unsigned uid, gid;
    if (sscanf(user, "uid:%u gid:%u", &uid, &gid) == 2) {
        p->local = true;
        name_user(uid, p->principal);
        p->roles = local_roles_of(&a->local, uid, gid);
        return;
    }
    const struct client_entry *e = clients_by_print(a->clients, user);
    (void)snprintf(p->principal, sizeof p->principal, "%.*s", CURVE_PRINT_SIZE - 1, user);
    p->roles = e ? e->roles : 0;
}

/* The user that the daemon belongs to cannot be kept out of it. */
static bool is_owner(const struct auth_peer *p)
{
    return p->local && strcmp(p->principal, OWNER_NAME) == 0;
}

static uint32_t seconds(int64_t us)
{
    return (uint32_t)((us + SECOND_US - 1) / SECOND_US);
}

static enum status check_conduct(struct auth *a,
                                 const struct auth_peer *p,
                                 int64_t suspended_us,
                                 int64_t busy_us,
                                 uint32_t *ret_retry_s,
                                 struct fault *f)
{
    if (suspended_us > 0) {
        *ret_retry_s = seconds(suspended_us);
        auth_denied(a, AUTH_DENIED_SUSPENDED, p->principal);
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "key", "suspended for malformed messages");
    }
    if (busy_us > 0) {
        *ret_retry_s = seconds(busy_us);
        auth_denied(a, AUTH_DENIED_RATE, p->principal);
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "quota_calls", "more calls a second than the quota");
    }
    return STATUS_OK;
}

enum status auth_identify(struct auth *a,
                          const char *user,
                          int64_t now_us,
                          struct auth_peer *ret_peer,
                          uint32_t *ret_retry_s,
                          struct fault *f)
{
    struct auth_peer p = {.principal = "nobody"};
    int64_t suspended_us = 0, busy_us = 0;
    *ret_retry_s = 0;
    *ret_peer = p;
    if (!user) {
        auth_denied(a, AUTH_DENIED_UNNAMED, p.principal);
        FAIL(f, STATUS_PERMISSION_DENIED, "key", "the connection was not authenticated");
    }
    lock(a);
    look_up(a, user, &p);
    if (p.roles != 0 && !is_owner(&p)) {
        suspended_us = conduct_suspended(a->conduct, p.principal, now_us);
        busy_us = suspended_us > 0 ? 0 : conduct_take(a->conduct, p.principal, now_us);
    }
    unlock(a);
    *ret_peer = p;
    if (p.roles == 0) {
        auth_denied(a, AUTH_DENIED_REVOKED, p.principal);
        FAIL(f, STATUS_PERMISSION_DENIED, "key", "%s is not known here any more", p.principal);
    }
    return check_conduct(a, &p, suspended_us, busy_us, ret_retry_s, f);
}

void auth_malformed(struct auth *a, const struct auth_peer *peer, int64_t now_us)
{
    auth_denied(a, AUTH_DENIED_MALFORMED, peer->principal);
    if (is_owner(peer))
        return;
    lock(a);
    const bool now = conduct_strike(a->conduct, peer->principal, now_us);
    unlock(a);
    if (now)
        log_event(LOG_LEVEL_WARNING, "auth.suspended", "malformed messages: refused for a minute",
                  "peer", peer->principal, NULL);
}

/* ------------------------------------------------------------ keys */

static void add_change(struct auth_changes *x, const struct client_entry *e, bool added)
{
    struct auth_change *c = &x->at[x->n++];
    *c = (struct auth_change){.added = added, .roles = e->roles};
    memcpy(c->print, e->print, sizeof c->print);
}

/* Those of `from` that `to` does not have with the same roles. */
static void add_missing(struct auth_changes *x,
                        const struct clients *from,
                        const struct clients *to,
                        bool added)
{
    for (size_t i = 0; i < clients_count(from); i++) {
        const struct client_entry *e = clients_at(from, i);
        const struct client_entry *same = clients_by_key(to, &e->file.key);
        if (!same || same->roles != e->roles)
            add_change(x, e, added);
    }
}

/* Takes over `fresh`. */
static enum status
replace(struct auth *a, struct clients *fresh, struct auth_changes *ret_changes, struct fault *f)
{
    struct auth_changes x = {0};
    const size_t most = clients_count(fresh) + clients_count(a->clients);
    x.at = sysio_alloc(most + 1, sizeof *x.at);
    if (!x.at) {
        clients_free(fresh);
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of changes");
    }
    add_missing(&x, a->clients, fresh, false);
    add_missing(&x, fresh, a->clients, true);
    lock(a);
    struct clients *old = a->clients;
    a->clients = fresh;
    unlock(a);
    clients_free(old);
    *ret_changes = x;
    return STATUS_OK;
}

/* `writing` is held. */
static enum status reload(struct auth *a, struct auth_changes *ret_changes, struct fault *f)
{
    struct clients *fresh;
    TRY(clients_load(a->folder, &fresh, f));
    return replace(a, fresh, ret_changes, f);
}

enum status auth_reload(struct auth *a, struct auth_changes *ret_changes, struct fault *f)
{
    *ret_changes = (struct auth_changes){0};
    if (!a->folder)
        return STATUS_OK;
    INVARIANT(pthread_mutex_lock(&a->writing) == 0);
    const enum status st = reload(a, ret_changes, f);
    INVARIANT(pthread_mutex_unlock(&a->writing) == 0);
    return st;
}

enum status
auth_list(struct auth *a, struct client_entry **ret_clients, size_t *ret_n, struct fault *f)
{
    lock(a);
    const size_t n = clients_count(a->clients);
    struct client_entry *list = sysio_alloc(n + 1, sizeof *list);
    for (size_t i = 0; list && i < n; i++)
        list[i] = *clients_at(a->clients, i);
    unlock(a);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of clients");
    *ret_clients = list;
    *ret_n = n;
    return STATUS_OK;
}

static enum status need_folder(const struct auth *a, struct fault *f)
{
    if (!a->folder)
        FAIL(f, STATUS_FAILED_PRECONDITION, "clients",
             "this daemon has no key of its own, so nobody comes with one: set curve_key");
    return STATUS_OK;
}

/* In the table first, which judges it, and out again if it cannot be made to last. */
static enum status add(struct auth *a,
                       const struct curve_entry *entry,
                       struct client_entry *ret_entry,
                       struct fault *f)
{
    lock(a);
    enum status st = clients_add(a->clients, entry, f);
    if (st == STATUS_OK)
        *ret_entry = *clients_by_key(a->clients, &entry->key);
    unlock(a);
    TRY(st);
    st = clients_file_add(a->folder, entry, f);
    if (st == STATUS_OK)
        return STATUS_OK;
    lock(a);
    clients_drop(a->clients, &entry->key);
    unlock(a);
    return st;
}

enum status auth_add(struct auth *a,
                     const struct curve_entry *entry,
                     struct client_entry *ret_entry,
                     struct fault *f)
{
    struct client_entry e;
    TRY(need_folder(a, f));
    INVARIANT(pthread_mutex_lock(&a->writing) == 0);
    const enum status st = add(a, entry, &e, f);
    INVARIANT(pthread_mutex_unlock(&a->writing) == 0);
    if (st == STATUS_OK)
        *ret_entry = e;
    return st;
}

static enum status
drop_client(struct auth *a, const char *name, struct client_entry *ret_entry, struct fault *f)
{
    const struct client_entry *e = clients_by_name(a->clients, name);
    e = e ? e : clients_by_print(a->clients, name);
    if (!e)
        FAIL(f, STATUS_NOT_FOUND, "name", "there is no client \"%.64s\"", name);
    const struct client_entry gone = *e;
    TRY(clients_file_remove(a->folder, gone.file.name, f));
    *ret_entry = gone;
    lock(a);
    clients_drop(a->clients, &gone.file.key);
    unlock(a);
    return STATUS_OK;
}

enum status
auth_revoke(struct auth *a, const char *name, struct client_entry *ret_entry, struct fault *f)
{
    TRY(need_folder(a, f));
    INVARIANT(pthread_mutex_lock(&a->writing) == 0);
    const enum status st = drop_client(a, name, ret_entry, f);
    INVARIANT(pthread_mutex_unlock(&a->writing) == 0);
    return st;
}
