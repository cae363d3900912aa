/* seal, rotate, compact: the keys of the store and its file.  Core thread; see handlers_backup.c.
 */
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/handlers.h"
#include "daemon/jobs/seal.h"
#include "daemon/jobs/vault_view.h"

#include <stdio.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- rotate */

static enum status rotate(struct core *core, struct wire_vault *v, struct fault *f)
{
    struct store_shredding s = {0};
    TRY(store_shred(core->store, clock_wall_us(), &s, f));
    v->destroyed += s.dead;
    return STATUS_OK;
}

static void answer_rotate(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VAULT};
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = rotate(core, &reply.body.vault, &f);
    if (st == STATUS_OK)
        st = vault_view(core, &reply.body.vault, &f);
    core_answer(call, st, &reply, &f);
}

void handle_rotate(struct core *core, struct call *call)
{
    core_post(core, answer_rotate, call);
}

/* ---------------------------------------------------------------- compact */

static void answer_compact(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VAULT};
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = store_compact(core->store, &f);
    if (st == STATUS_OK)
        st = vault_view(core, &reply.body.vault, &f);
    core_answer(call, st, &reply, &f);
}

void handle_compact(struct core *core, struct call *call)
{
    core_post(core, answer_compact, call);
}

/* ---------------------------------------------------------------- seal */

/* What still holds the old base and is not the store's to destroy. */
static void tell_copies(const struct core *core, struct call *call, struct wire_vault *v)
{
    static const char PROCESS[] = "the memory of this process, until it is started again";
    const char *folder = core->config->base;
    struct stat info;
    const char **copies = arena_alloc_zero(call_arena(call), 2, sizeof *copies);
    const size_t room = sizeof core->config->base + 32;
    char *text = arena_alloc_zero(call_arena(call), room, 1);
    if (!copies || !text)
        return;
    copies[v->n_copies++] = PROCESS;
    if (folder[0] && stat(folder, &info) == 0) {
        (void)snprintf(text, room, "the base folder %s", folder);
        copies[v->n_copies++] = text;
    }
    v->copies = copies;
}

static enum status seal(struct core *core, struct call *call, struct wire_vault *v, struct fault *f)
{
    struct seal_result r;
    TRY(seal_run(core, call_message(call), call_principal(call), &r, f));
    v->version = r.version;
    v->destroyed = r.destroyed;
    tell_copies(core, call, v);
    /* It is done whatever comes; should the keys live on, the timer tries again. */
    struct fault why = {0};
    uint64_t keys = v->destroyed;
    if (rotate(core, v, &why) != STATUS_OK)
        log_event(LOG_LEVEL_WARNING, "shred.delayed", why.text, "field", why.field, NULL);
    v->destroyed = keys;
    return STATUS_OK;
}

static void answer_seal(struct core *core, struct call *call)
{
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VAULT};
    enum status st = core_once(core, call, &f);
    if (st == STATUS_OK)
        st = seal(core, call, &reply.body.vault, &f);
    if (st == STATUS_OK)
        st = vault_view(core, &reply.body.vault, &f);
    core_answer(call, st, &reply, &f);
}

void handle_seal(struct core *core, struct call *call)
{
    core_post(core, answer_seal, call);
}
