#include "daemon/jobs/key_changes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/serve/server.h"

/* Words of one event, "privacy,mlops k:... by k:...". */
static void write_text(const struct auth_change *c, const char *who, char text[EVENT_TEXT_SIZE])
{
    size_t n = 0;
    for (unsigned role = 1; role <= (unsigned)ROLE_ADMIN; role <<= 1)
        if (c->roles & role)
            n += (size_t)snprintf(text + n, EVENT_TEXT_SIZE - n, "%s%s", n ? "," : "",
                                  call_role_name(role));
    (void)snprintf(text + n, EVENT_TEXT_SIZE - n, " %s by %.40s", c->print, who);
}

static enum status record(struct core *core,
                          const struct auth_change *changes,
                          size_t n,
                          const char *who,
                          struct fault *f)
{
    struct store_note *notes = sysio_alloc(n, sizeof *notes);
    char(*texts)[EVENT_TEXT_SIZE] = sysio_alloc(n, sizeof *texts);
    enum status st = notes && texts ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t i = 0; st == STATUS_OK && i < n; i++) {
        write_text(&changes[i], who, texts[i]);
        notes[i] = (struct store_note){.kind = changes[i].added ? "key.added" : "key.revoked",
                                       .text = texts[i]};
        log_event(LOG_LEVEL_INFO, notes[i].kind, texts[i], NULL);
    }
    struct store_change change = {.notes = notes, .n_notes = n};
    struct store_result result;
    if (st == STATUS_OK)
        st = core_commit(core, &change, &result, f);
    sysio_free(notes);
    sysio_free(texts);
    return st;
}

enum status key_changes_record(struct core *core,
                               const struct auth_change *changes,
                               size_t n,
                               const char *who,
                               struct fault *f)
{
    int gone = 0;
    for (size_t i = 0; i < n; i++)
        gone |= !changes[i].added;
    if (gone && core->server)
        server_renew_events(core->server);
    return n > 0 ? record(core, changes, n, who, f) : STATUS_OK;
}

enum status key_changes_reload(struct core *core, struct fault *f)
{
    struct auth_changes changes;
    if (!core->server)
        return STATUS_OK;
    TRY(auth_reload(server_auth(core->server), &changes, f));
    const enum status st = key_changes_record(core, changes.at, changes.n, "reload", f);
    sysio_free(changes.at);
    return st;
}
