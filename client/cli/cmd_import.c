/* import: a lane or expert from the file that lethe export --component wrote. */
#include "client/cli/command.h"
#include "client/cli/submit.h"
#include "daemon/base/sysio.h"

static const struct option_spec SPECS[] = {
    {"kind", 0, OPTION_VALUE, "KIND",
     "lane, ridge or expert: refuse a file of another (default: any)"},
    {"name", 0, OPTION_VALUE, "NAME", "that it takes here (default: the one it has)"},
    SUBMIT_ID,
    SUBMIT_DRY_RUN,
    SUBMIT_WAIT,
    SUBMIT_RECEIPT,
};

static const char DETAILS[] =
    "FILE must have been made for the same base with the same erasures, and the same\n"
    "preprocessing.  It becomes part of a new version once that is measured, with an imported "
    "data\n"
    "set of role test that has its labels if there is one; its labels and its name must be free.\n"
    "Its own data are not here, so it can be forgotten as a whole only.\n"
    "An expert joins the stream NAME, opened before with the same settings, as its next one.\n\n"
    "  lethe export serving --component lane:digits -o digits.safetensors\n"
    "  lethe import digits.safetensors --name more-digits --wait";

static enum cli_exit
submit(struct cli *c, const struct lethe_component_args *args, const struct options *o)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_component_import(c->lethe, args, &r, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit code = submit_accepted(c, o, r, options_flag(o, "wait"));
    lethe_free(r);
    return code;
}

static enum cli_exit run_import(struct cli *c, const struct options *o)
{
    static const char *const KINDS[] = {"lane", "ridge", "expert", NULL};
    struct fault f = {0};
    size_t kind;
    unsigned char *bytes;
    struct lethe_component_args args = {.request_id = options_text(o, "request-id", NULL),
                                        .name = options_text(o, "name", NULL),
                                        .dry_run = options_flag(o, "dry-run")};
    if (options_choice(o, "kind", KINDS, SIZE_MAX, &kind, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    if (args.name && args.name[0] == '\0')
        return cli_usage(c, "--name is empty");
    if (sysio_read_file(o->operands[0], LETHE_COMPONENT_MAX, &bytes, &args.size, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    args.kind = kind == SIZE_MAX ? NULL : KINDS[kind];
    args.bytes = bytes;
    const enum cli_exit code = submit(c, &args, o);
    sysio_free(bytes);
    return code;
}

const struct command cmd_import_table[] = {
    {"import", "FILE", "Add a lane or expert from a file", DETAILS, SPECS,
     sizeof SPECS / sizeof SPECS[0], 1, 1, run_import},
    {.name = NULL},
};
