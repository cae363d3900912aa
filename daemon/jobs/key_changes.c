#include "daemon/jobs/key_changes.h"

#include <stdio.h>

#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/serve/server.h"
#include "storage/store/log_batch.h"

#define ROLE_WORD_SIZE 48

/* Roles as one word of the log: "mlops.auditor". */
static void write_roles(unsigned roles, char word[ROLE_WORD_SIZE])
{
    size_t n = 0;
    for (unsigned role = 1; role <= (unsigned)ROLE_ADMIN; role <<= 1)
        if (roles & role)
            n += (size_t)snprintf(word + n, ROLE_WORD_SIZE - n, "%s%s", n ? "." : "",
                                  call_role_name(role));
}

static enum status
record_one(struct core *core, const struct auth_change *c, const char *actor, struct fault *f)
{
    char roles[ROLE_WORD_SIZE] = "";
    struct store_result result;
    write_roles(c->roles, roles);
    const struct log_value values[] = {
        log_value_actor("key", c->print),
        log_value_word("role", roles),
        log_value_actor("actor", log_actor_of(actor)),
    };
    const struct store_entry entry = {c->added ? LOG_KIND_KEY_ADDED : LOG_KIND_KEY_REVOKED, values,
                                      sizeof values / sizeof *values};
    struct store_change change = {.actor = actor, .entries = &entry, .n_entries = 1};
    log_event(LOG_LEVEL_INFO, c->added ? "key.added" : "key.revoked", roles, "key", c->print,
              "actor", log_actor_of(actor), NULL);
    return core_commit(core, &change, &result, f);
}

enum status key_changes_record(struct core *core,
                               const struct auth_change *changes,
                               size_t n,
                               const char *actor,
                               struct fault *f)
{
    int gone = 0;
    for (size_t i = 0; i < n; i++)
        gone |= !changes[i].added;
    if (gone && core->server)
        server_renew_events(core->server);
    for (size_t i = 0; i < n; i++)
        TRY(record_one(core, &changes[i], actor, f));
    return STATUS_OK;
}

enum status key_changes_reload(struct core *core, struct fault *f)
{
    struct auth_changes changes;
    if (!core->server)
        return STATUS_OK;
    TRY(auth_reload(server_auth(core->server), &changes, f));
    const enum status st = key_changes_record(core, changes.at, changes.n, NULL, f);
    sysio_free(changes.at);
    return st;
}
