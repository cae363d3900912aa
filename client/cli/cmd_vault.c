/* seal, rotate, backup, compact: keys and bytes of the store. */
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"

static enum cli_exit
finish(struct cli *c, enum lethe_code code, struct lethe_vault *v, const struct lethe_error *e)
{
    if (code != LETHE_OK)
        return cli_fail(c, e);
    bool good = true;
    if (c->json)
        good = json_out_vault(c->out, v);
    else
        show_vault(c->out, v);
    lethe_free(v);
    return cli_printed(c, good);
}

typedef enum lethe_code
vault_call(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e);

static enum cli_exit plain(struct cli *c, vault_call *call)
{
    struct lethe_vault *v = NULL;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    const enum lethe_code code = call(c->lethe, &v, &e);
    return finish(c, code, v, &e);
}

static enum cli_exit run_rotate(struct cli *c, const struct options *o)
{
    (void)o;
    return plain(c, lethe_rotate);
}

static enum cli_exit run_seal(struct cli *c, const struct options *o)
{
    (void)o;
    return plain(c, lethe_seal);
}

static enum cli_exit run_compact(struct cli *c, const struct options *o)
{
    (void)o;
    return plain(c, lethe_compact);
}

static enum cli_exit run_backup(struct cli *c, const struct options *o)
{
    struct lethe_vault *v = NULL;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    const enum lethe_code code = lethe_backup(c->lethe, o->operands[0], &v, &e);
    return finish(c, code, v, &e);
}

const struct command cmd_vault_table[] = {
    {"seal", "", "Fold the erasures into a new base and destroy the old one",
     "There is no way back: older versions cannot be read any more.", NULL, 0, 0, 0, run_seal},
    {"rotate", "", "Destroy the keys of everything that was deleted", NULL, NULL, 0, 0, 0,
     run_rotate},
    {"backup", "DIR", "Bring the backup in a folder of the daemon's machine up to date",
     "lethe-restore makes a store of it again.", NULL, 0, 1, 1, run_backup},
    {"compact", "", "Give the free pages of the data file back", NULL, NULL, 0, 0, 0, run_compact},
    {.name = NULL},
};
