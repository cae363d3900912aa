/* status, fsck: how the daemon is. */
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"

static enum cli_exit run_status(struct cli *c, const struct options *o)
{
    (void)o;
    struct lethe_status *s;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_status(c->lethe, &s, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_status(c->out, s);
    else
        show_status(c->out, s);
    lethe_free(s);
    return cli_printed(c, good);
}

static enum cli_exit run_fsck(struct cli *c, const struct options *o)
{
    (void)o;
    struct lethe_fsck *f;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_fsck(c->lethe, &f, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_fsck(c->out, f);
    else
        show_fsck(c->out, f);
    const bool sound = f->ok;
    lethe_free(f);
    const enum cli_exit printed = cli_printed(c, good);
    return printed != CLI_DONE || sound ? printed : CLI_ENDED_BADLY;
}

const struct command cmd_status_table[] = {
    {"status", "", "Health, serving version, queue, model and uptime", NULL, NULL, 0, 0, 0,
     run_status},
    {"fsck", "", "Check every stored byte against its digest",
     "Exit status 1 if something is damaged; the findings say what.", NULL, 0, 0, 0, run_fsck},
    {.name = NULL},
};
