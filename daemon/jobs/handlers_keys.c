/*
 * KIND_KEYS, on the core thread: clients with a key are listed, added and revoked.  What changes is
 * a file of the folder of clients, the table that connections are judged by, and an entry of the
 * log, in this order.
 */
#include "daemon/jobs/handlers.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/key_changes.h"
#include "daemon/jobs/wire_view.h"
#include "daemon/serve/server.h"
#include "proto/limits.h"

static enum status view_key(const struct client_entry *e,
                            struct arena *a,
                            struct wire_client_key *ret_key,
                            struct fault *f)
{
    struct wire_client_key k = {.name = wire_view_text(a, e->file.name),
                                .role = wire_view_text(a, e->file.role),
                                .fingerprint = wire_view_text(a, e->print)};
    _Static_assert(sizeof k.key.b == sizeof e->file.key.b, "a key is as long as a digest");
    memcpy(k.key.b, e->file.key.b, sizeof k.key.b);
    if (!k.name || !k.role || !k.fingerprint)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the answer is too large");
    *ret_key = k;
    return STATUS_OK;
}

static enum status view_keys(const struct client_entry *list,
                             size_t n,
                             struct arena *a,
                             struct wire_client_keys *ret_keys,
                             struct fault *f)
{
    struct wire_client_key *items = arena_alloc_zero(a, n + 1, sizeof *items);
    if (!items)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the answer is too large");
    for (size_t i = 0; i < n; i++)
        TRY(view_key(&list[i], a, &items[i], f));
    *ret_keys = (struct wire_client_keys){.items = items, .n_items = n};
    return STATUS_OK;
}

static enum status
list_keys(struct core *core, struct call *call, struct wire_client_keys *ret_keys, struct fault *f)
{
    struct client_entry *list;
    size_t n;
    TRY(auth_list(server_auth(core->server), &list, &n, f));
    const enum status st = view_keys(list, n, call_arena(call), ret_keys, f);
    sysio_free(list);
    return st;
}

static enum status
add_key(struct core *core, const struct wire_keys *m, struct client_entry *ret, struct fault *f)
{
    struct curve_entry entry = {.name = ""};
    if (digest_is_zero(&m->key))
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "the public key is missing");
    if (strlen(m->name) >= sizeof entry.name || strlen(m->role) >= sizeof entry.role)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "name or role is too long");
    (void)snprintf(entry.name, sizeof entry.name, "%s", m->name);
    (void)snprintf(entry.role, sizeof entry.role, "%s", m->role);
    memcpy(entry.key.b, m->key.b, sizeof entry.key.b);
    return auth_add(server_auth(core->server), &entry, ret, f);
}

/* Adds or revokes, and puts it on record. */
static enum status change_keys(struct core *core,
                               struct call *call,
                               int adding,
                               struct wire_client_keys *ret_keys,
                               struct fault *f)
{
    const struct wire_keys *m = &call_message(call)->body.keys;
    struct client_entry e;
    TRY(core_once(core, call, f));
    TRY(adding ? add_key(core, m, &e, f) : auth_revoke(server_auth(core->server), m->name, &e, f));
    struct auth_change change = {.added = adding != 0, .roles = e.roles};
    memcpy(change.print, e.print, sizeof change.print);
    TRY(key_changes_record(core, &change, 1, call_principal(call), f));
    return view_keys(&e, 1, call_arena(call), ret_keys, f);
}

static enum status
keys(struct core *core, struct call *call, struct wire_client_keys *ret_keys, struct fault *f)
{
    const char *action = call_message(call)->body.keys.action;
    if (!core->server)
        FAIL(f, STATUS_UNAVAILABLE, NULL, "there is no server");
    if (action[0] == '\0' || strcmp(action, "list") == 0)
        return list_keys(core, call, ret_keys, f);
    if (strcmp(action, "add") != 0 && strcmp(action, "revoke") != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "action", "\"%.40s\" is none of list, add, revoke",
             action);
    return change_keys(core, call, strcmp(action, "add") == 0, ret_keys, f);
}

static void answer_keys(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_KEYS};
    const enum status st = keys(core, call, &reply.body.keys, &f);
    core_answer(call, st, &reply, &f);
}

void handle_keys(struct core *core, struct call *call)
{
    core_post(core, answer_keys, call);
}
