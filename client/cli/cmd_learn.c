/* learn: a task from labelled images, as a lane of its own. */
#include "client/cli/command.h"
#include "client/cli/learn_data.h"
#include "client/cli/submit.h"
#include "daemon/base/sysio.h"

#include <stdlib.h>

static const struct option_spec SPECS[] = {
    {"task", 0, OPTION_VALUE, "NAME", "name of the task; its lane and its data set are called so"},
    {"data", 0, OPTION_VALUE, "PATH", "labelled images, or the name of an imported data set"},
    LEARN_DATA_SPECS,
    {"multi-label", 0, OPTION_FLAG, NULL, "images have several labels: refuse data with one"},
    {"method", 0, OPTION_VALUE, "METHOD", "lane (default), or ridge: the closed-form router alone"},
    {"floor", 0, OPTION_VALUE, "X",
     "least accuracy (mAP with several labels) on the new task, 0 to 1 (default: policy)"},
    {"set", 0, OPTION_VALUES, "NAME=VALUE", "options of the method, e.g. epochs=5"},
    SUBMIT_TICKET,
    SUBMIT_SEED,
    SUBMIT_ID,
    SUBMIT_DRY_RUN,
    SUBMIT_WAIT,
    SUBMIT_RECEIPT,
};

static const char DETAILS[] =
    "The images become data set NAME of the daemon (role train, and role test if PATH has a test\n"
    "part), then the task is learned from them; what was learned before stays as it is.  If the\n"
    "daemon refuses the task, the data set is removed again.\n\n" LEARN_DATA_DETAILS "\n\n"
    "  lethe learn --task digits --data /usr/share/datasets/mnist --wait\n"
    "  lethe learn --task low --data mnist --only 0 1 2 3 4 --floor 0.9 --set epochs=3\n"
    "  lethe learn --task digits --data digits --dry-run --wait\n"
    "  lethe learn --task scenes --data scenes.npz --multi-label --only 0 1 2 3 --wait";

struct learn {
    struct lethe_learn_args args;
    struct submit_options options;
    struct learn_data data;
};

/* A share, or the daemon's policy if the option is not there. */
static enum status read_floor(const struct options *o, float *ret_floor, struct fault *f)
{
    const char *text = options_text(o, "floor", NULL);
    char *end;
    *ret_floor = 0;
    if (!text)
        return STATUS_OK;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x > 0) || x > 1)
        FAIL(f, STATUS_INVALID_ARGUMENT, "floor",
             "--floor is a share above 0, at most 1; not \"%.40s\"", text);
    *ret_floor = (float)x;
    return STATUS_OK;
}

static enum status read_args(struct learn *t, const struct options *o, struct fault *f)
{
    static const char *const METHODS[] = {"lane", "ridge", NULL};
    size_t method;
    t->args.task = options_text(o, "task", NULL);
    if (!t->args.task || t->args.task[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "task", "lethe learn needs --task NAME and --data PATH");
    TRY(options_choice(o, "method", METHODS, SIZE_MAX, &method, f));
    TRY(read_floor(o, &t->args.floor, f));
    TRY(options_number(o, "seed", 0, 0, UINT64_MAX, &t->args.seed, f));
    TRY(submit_read_options(o, "set", &t->options, f));
    t->args.method = method == SIZE_MAX ? NULL : METHODS[method];
    t->args.ticket = options_text(o, "ticket", NULL);
    t->args.request_id = options_text(o, "request-id", NULL);
    t->args.dry_run = options_flag(o, "dry-run");
    t->args.options = t->options.items;
    t->args.n_options = t->options.n;
    return learn_data_read(&t->data, o, f);
}

static enum cli_exit submit(struct cli *c, struct learn *t, const struct options *o)
{
    struct lethe_request *r;
    struct lethe_error e;
    t->data.name = t->data.owner = t->args.task;
    t->data.multi_label = options_flag(o, "multi-label");
    const enum cli_exit sent = learn_data_send(c, &t->data);
    if (sent != CLI_DONE)
        return sent;
    t->args.data = t->data.name;
    if (lethe_learn(c->lethe, &t->args, &r, &e) != LETHE_OK) {
        const enum cli_exit refused = cli_fail(c, &e);
        learn_data_undo(c, &t->data, &e);
        return refused;
    }
    const enum cli_exit code = submit_accepted(c, o, r, options_flag(o, "wait"));
    lethe_free(r);
    return code;
}

static enum cli_exit run_learn(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    struct learn *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return cli_usage(c, "out of memory");
    const enum cli_exit code =
        read_args(t, o, &f) == STATUS_OK ? submit(c, t, o) : cli_fail_fault(c, &f);
    learn_data_fini(&t->data);
    sysio_free(t);
    return code;
}

const struct command cmd_learn_table[] = {
    {"learn", "", "Learn a task from labelled images", DETAILS, SPECS,
     sizeof SPECS / sizeof SPECS[0], 0, 0, run_learn},
    {.name = NULL},
};
