/* backup: on the reader pool, as it may take long; only its entry in the log is a write. */
#include "daemon/base/clock.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/handlers.h"
#include "daemon/jobs/vault_view.h"
#include "storage/store/backup.h"
#include "storage/store/log_batch.h"

static enum status
backup(struct core *core, struct call *call, struct wire_vault *v, struct fault *f)
{
    struct backup_result r;
    const struct config *config = core->config;
    TRY(backup_make(core->store, call_message(call)->body.backup.folder,
                    (uint64_t)config->backup_rate, &r, f));
    const struct log_value values[] = {
        log_value_digest("backup", &r.digest),
        log_value_number("bytes", r.bytes),
        log_value_number("epoch", r.epoch),
        log_value_actor("actor", log_actor_of(call_principal(call))),
    };
    const struct store_entry entry = {LOG_KIND_BACKUP_MADE, values, sizeof values / sizeof *values};
    const struct store_change change = {.now_us = clock_wall_us(),
                                        .actor = call_principal(call),
                                        .entries = &entry,
                                        .n_entries = 1};
    TRY(store_commit(core->store, &change, NULL, f));
    v->bytes = r.bytes;
    return vault_view(core, v, f);
}

static void backup_task(struct core *core, struct call *call, int64_t waited_us, uint32_t thread)
{
    (void)waited_us;
    (void)thread;
    struct fault f = {0};
    struct wire_reply reply = {.answer = WIRE_ANSWER_VAULT};
    const enum status st = backup(core, call, &reply.body.vault, &f);
    core_answer(call, st, &reply, &f);
}

void handle_backup(struct core *core, struct call *call)
{
    call_pool_post(core->readers, backup_task, call);
}
