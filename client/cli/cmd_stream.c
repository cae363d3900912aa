/* stream open, push, close: labelled batches without task ids. */
#include "client/cli/command.h"
#include "client/cli/learn_data.h"
#include "client/cli/submit.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"

#include <stdio.h>

static const struct option_spec OPEN_SPECS[] = {
    {"run", 0, OPTION_VALUE, "N", "batches in a run of one task, if it is known"},
    {"expert", 0, OPTION_VALUE, "KIND",
     "adapter (default): low-rank matrices on the model; conv: small nets of their own"},
    {"set", 0, OPTION_VALUES, "NAME=VALUE", "options of the detector and its experts"},
    SUBMIT_TICKET,
    SUBMIT_SEED,
    SUBMIT_ID,
    SUBMIT_WAIT,
    SUBMIT_RECEIPT,
};

static const struct option_spec PUSH_SPECS[] = {
    {"data", 0, OPTION_VALUE, "PATH", "labelled images, or the name of an imported data set"},
    LEARN_DATA_SPECS,
    {"probe", 0, OPTION_FLAG, NULL, "ask the detector only, learn nothing"},
    {"batch", 'b', OPTION_VALUE, "N", "images a batch (default: the stream's)"},
    {"set", 0, OPTION_VALUES, "NAME=VALUE", "options of the detector"},
    SUBMIT_TICKET,
    SUBMIT_ID,
    SUBMIT_DRY_RUN,
    SUBMIT_RECEIPT,
};

static const struct option_spec CLOSE_SPECS[] = {SUBMIT_WAIT, SUBMIT_RECEIPT};

static const char OPEN_DETAILS[] =
    "A stream is fed with pushes.  The daemon notices by itself when another task begins, takes\n"
    "up an expert that knows it or makes a new one.";

static const char PUSH_DETAILS[] =
    "Images go in as they lie in PATH, batch after batch, without a word on tasks.  The command\n"
    "waits until they are learned and shows for each decision of the detector the expert, its\n"
    "loss, the threshold and whether the stream switched.  The images become a data set that is\n"
    "called after the stream and the time; it stays, so that parts of it can be forgotten\n"
    "exactly.\n\n" LEARN_DATA_DETAILS "\n\n"
    "  lethe stream open camera --run 30\n"
    "  lethe stream push camera --data monday.npz\n"
    "  lethe stream push camera --data tuesday.npz --probe --json";

/* ------------------------------------------------------------------ open */

struct opening {
    struct lethe_stream_args args;
    struct submit_options options;
};

static enum status read_opening(struct opening *t, const struct options *o, struct fault *f)
{
    static const char *const EXPERTS[] = {"adapter", "conv", NULL};
    size_t expert;
    uint64_t run;
    TRY(options_number(o, "run", 0, 1, UINT32_MAX, &run, f));
    TRY(options_choice(o, "expert", EXPERTS, SIZE_MAX, &expert, f));
    TRY(options_number(o, "seed", 0, 0, UINT64_MAX, &t->args.seed, f));
    TRY(submit_read_options(o, "set", &t->options, f));
    t->args.name = o->operands[0];
    t->args.run = (uint32_t)run;
    t->args.expert = expert == SIZE_MAX ? NULL : EXPERTS[expert];
    t->args.ticket = options_text(o, "ticket", NULL);
    t->args.request_id = options_text(o, "request-id", NULL);
    t->args.options = t->options.items;
    t->args.n_options = t->options.n;
    return STATUS_OK;
}

/* Shows what a call gave. */
static enum cli_exit finish(struct cli *c,
                            const struct options *o,
                            enum lethe_code code,
                            struct lethe_request *r,
                            struct lethe_error *e,
                            bool wait)
{
    if (code != LETHE_OK)
        return cli_fail(c, e);
    const enum cli_exit done = submit_accepted(c, o, r, wait);
    lethe_free(r);
    return done;
}

static enum cli_exit run_open(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    struct lethe_error e;
    struct lethe_request *r;
    struct opening *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return cli_usage(c, "out of memory");
    enum cli_exit code =
        read_opening(t, o, &f) == STATUS_OK ? cli_connect(c) : cli_fail_fault(c, &f);
    if (code == CLI_DONE) {
        const enum lethe_code got = lethe_stream_open(c->lethe, &t->args, &r, &e);
        code = finish(c, o, got, r, &e, options_flag(o, "wait"));
    }
    sysio_free(t);
    return code;
}

/* ------------------------------------------------------------------ push */

struct push {
    struct lethe_push_args args;
    struct submit_options options;
    struct learn_data data;
    char name[256];
};

static enum status read_push(struct push *t, const struct options *o, struct fault *f)
{
    uint64_t batch;
    TRY(options_number(o, "batch", 0, 1, UINT32_MAX, &batch, f));
    TRY(submit_read_options(o, "set", &t->options, f));
    t->args.name = o->operands[0];
    t->args.batch = (uint32_t)batch;
    t->args.probe = options_flag(o, "probe");
    t->args.dry_run = options_flag(o, "dry-run");
    t->args.ticket = options_text(o, "ticket", NULL);
    t->args.request_id = options_text(o, "request-id", NULL);
    t->args.options = t->options.items;
    t->args.n_options = t->options.n;
    const int n = snprintf(t->name, sizeof t->name, "%s.%lld", t->args.name,
                           (long long)(clock_wall_us() / 1000));
    if (n < 0 || (size_t)n >= sizeof t->name)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "the name of the stream is too long");
    t->data.name = t->name;
    t->data.owner = t->args.name;
    t->data.train_only = true;
    return learn_data_read(&t->data, o, f);
}

static enum cli_exit push(struct cli *c, struct push *t, const struct options *o)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit sent = learn_data_send(c, &t->data);
    if (sent != CLI_DONE)
        return sent;
    t->args.data = t->data.name;
    const enum lethe_code code = lethe_stream_push(c->lethe, &t->args, &r, &e);
    const enum cli_exit done = finish(c, o, code, r, &e, true);
    if (code != LETHE_OK)
        learn_data_undo(c, &t->data, &e);
    return done;
}

static enum cli_exit run_push(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    struct push *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return cli_usage(c, "out of memory");
    const enum cli_exit code =
        read_push(t, o, &f) == STATUS_OK ? push(c, t, o) : cli_fail_fault(c, &f);
    learn_data_fini(&t->data);
    sysio_free(t);
    return code;
}

/* ------------------------------------------------------------------ close */

static enum cli_exit run_close(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    struct lethe_request *r;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    const enum lethe_code code = lethe_stream_close(c->lethe, o->operands[0], &r, &e);
    return finish(c, o, code, r, &e, options_flag(o, "wait"));
}

const struct command cmd_stream_table[] = {
    {"stream open", "NAME", "Open a stream: batches with labels, without task ids", OPEN_DETAILS,
     OPEN_SPECS, sizeof OPEN_SPECS / sizeof OPEN_SPECS[0], 1, 1, run_open},
    {"stream push", "NAME", "Feed a stream and see what the detector made of it", PUSH_DETAILS,
     PUSH_SPECS, sizeof PUSH_SPECS / sizeof PUSH_SPECS[0], 1, 1, run_push},
    {"stream close", "NAME", "End a stream; what it learned stays", NULL, CLOSE_SPECS,
     sizeof CLOSE_SPECS / sizeof CLOSE_SPECS[0], 1, 1, run_close},
    {.name = NULL},
};
