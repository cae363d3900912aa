/* keys: clients that may come with a key. */
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "proto/seal/curve_file.h"

typedef enum lethe_code
keys_call(struct lethe *l, const void *what, struct lethe_clients **ret, struct lethe_error *e);

static enum cli_exit run_keys(struct cli *c, keys_call *call, const void *what)
{
    struct lethe_clients *list;
    struct lethe_error e;
    bool good = true;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (call(c->lethe, what, &list, &e) != LETHE_OK)
        return cli_fail(c, &e);
    if (!c->json)
        show_clients(c->out, list);
    for (size_t i = 0; c->json && good && i < list->n; i++)
        good = json_out_client(c->out, &list->items[i]);
    lethe_free(list);
    return cli_printed(c, good);
}

static enum lethe_code
call_list(struct lethe *l, const void *what, struct lethe_clients **ret, struct lethe_error *e)
{
    (void)what;
    return lethe_keys_list(l, ret, e);
}

static enum lethe_code
call_add(struct lethe *l, const void *what, struct lethe_clients **ret, struct lethe_error *e)
{
    return lethe_keys_add(l, what, ret, e);
}

static enum lethe_code
call_revoke(struct lethe *l, const void *what, struct lethe_clients **ret, struct lethe_error *e)
{
    return lethe_keys_revoke(l, what, ret, e);
}

static enum cli_exit run_list(struct cli *c, const struct options *o)
{
    (void)o;
    return run_keys(c, call_list, NULL);
}

/* The file is what lethe-keygen made beside the secret key. */
static enum cli_exit run_add(struct cli *c, const struct options *o)
{
    struct curve_entry entry;
    struct fault f = {0};
    if (curve_file_read_entry(o->operands[0], &entry, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    const struct lethe_client client = {.name = entry.name, .role = entry.role, .key = entry.key.b};
    return run_keys(c, call_add, &client);
}

static enum cli_exit run_revoke(struct cli *c, const struct options *o)
{
    return run_keys(c, call_revoke, o->operands[0]);
}

const struct command cmd_keys_table[] = {
    {"keys list", "", "List the clients that may come with a key", NULL, NULL, 0, 0, 0, run_list},
    {"keys add", "FILE", "Let a client in; FILE is the NAME.pub of lethe-keygen", NULL, NULL, 0, 1,
     1, run_add},
    {"keys revoke", "NAME", "Shut a client out, by its name or fingerprint, at once", NULL, NULL, 0,
     1, 1, run_revoke},
    {.name = NULL},
};
