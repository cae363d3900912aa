/* seal, rotate, backup, compact: the store's keys and its file. */
#include "client/calls.h"

static enum lethe_code
run(struct lethe *l, struct client_call *c, struct lethe_vault **ret_vault, struct lethe_error *e)
{
    void *root;
    c->timeout_ms = client_slow_timeout_ms(l);
    c->attempts = 1;
    c->expects = WIRE_ANSWER_VAULT;
    const enum lethe_code code = calls_run(l, c, &root, e);
    *ret_vault = root;
    return code;
}

enum lethe_code lethe_rotate(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_ROTATE};
    return run(l, &c, ret_vault, e);
}

enum lethe_code lethe_seal(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_SEAL};
    return run(l, &c, ret_vault, e);
}

enum lethe_code lethe_backup(struct lethe *l,
                             const char *folder,
                             struct lethe_vault **ret_vault,
                             struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_BACKUP, .body.backup.folder = folder}};
    return run(l, &c, ret_vault, e);
}

enum lethe_code
lethe_compact(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_COMPACT};
    return run(l, &c, ret_vault, e);
}
