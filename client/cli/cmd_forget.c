/* forget: submit an erasure request. */
#include "client/cli/command.h"
#include "client/cli/submit.h"
#include "client/cli/suggest.h"
#include "client/cli/when.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec SPECS[] = {
    {"class", 'c', OPTION_VALUES, "NAME", "classes to forget, by label"},
    {"samples", 's', OPTION_VALUE, "DATASET", "forget the images of an imported data set"},
    {"task", 0, OPTION_VALUE, "NAME", "forget a learned task, or all that a stream taught"},
    {"subject", 0, OPTION_VALUE, "ID", "forget what imported data say is one person's, everywhere"},
    SUBMIT_TICKET,
    {"due", 'd', OPTION_VALUE, "DATE", "deadline: 2026-12-31, +30d, RFC 3339 (default: one month)"},
    {"mode", 0, OPTION_VALUE, "MODE",
     "learned tasks: exact retrains without the data (default), fast suppresses"},
    {"probe", 0, OPTION_VALUE, "HOW",
     "images for later checks: keep, resubmit, substitute or none"},
    {"option", 0, OPTION_VALUES, "NAME=VALUE", "options of the method, e.g. depth=off w_d=0.3"},
    {"set", 0, OPTION_VALUES, "NAME=VALUE", "the same as --option"},
    SUBMIT_SEED,
    SUBMIT_ID,
    SUBMIT_DRY_RUN,
    SUBMIT_WAIT,
    SUBMIT_RECEIPT,
};

static const char DETAILS[] =
    "What to forget is one of: --class, --samples, --task, --subject.\n"
    "The daemon acknowledges once the request is durable; then it trains, measures and commits a\n"
    "new version, or rejects it and leaves the serving version as it is.\n\n"
    "  lethe forget --class Sandal Bag --ticket DSR-2026-117 --wait\n"
    "  lethe forget --class \"T-shirt/top\" --class \"Ankle boot\" --due +30d\n"
    "  lethe forget --samples user-4711 --dry-run --wait\n"
    "  lethe forget --task digits --wait";

/* ------------------------------------------------------------------ reading the options */

struct forget {
    struct lethe_forget_args args;
    const char **classes;
    struct submit_options options;
};

/* Exactly one way to say what is to be forgotten. */
static enum status read_scope(struct forget *t, const struct options *o, struct fault *f)
{
    struct lethe_forget_args *a = &t->args;
    a->samples = options_text(o, "samples", NULL);
    a->task = options_text(o, "task", NULL);
    a->subject = options_text(o, "subject", NULL);
    TRY(submit_read_list(o, "class", &t->classes, &a->n_classes, f));
    a->classes = t->classes;
    const int scopes =
        (a->n_classes > 0) + (a->samples != NULL) + (a->task != NULL) + (a->subject != NULL);
    if (scopes == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class",
             "nothing to forget: give --class NAME..., --samples DATASET, --task NAME or "
             "--subject ID");
    if (scopes > 1)
        FAIL(f, STATUS_INVALID_ARGUMENT, "class",
             "one request forgets one of --class, --samples, --task and --subject");
    return STATUS_OK;
}

static enum status read_due(struct forget *t, const struct options *o, struct fault *f)
{
    const char *due = options_text(o, "due", NULL);
    const int64_t now = clock_wall_us();
    if (!due)
        return STATUS_OK;
    if (!when_parse(due, now, true, &t->args.due_at))
        FAIL(f, STATUS_INVALID_ARGUMENT, "due",
             "--due \"%.40s\" is no date; write 2026-12-31, +30d or an RFC 3339 time", due);
    if (t->args.due_at <= now)
        FAIL(f, STATUS_INVALID_ARGUMENT, "due", "--due %.40s has passed", due);
    return STATUS_OK;
}

static enum status read_method_options(struct forget *t, const struct options *o, struct fault *f)
{
    TRY(submit_read_options(o, "option", &t->options, f));
    TRY(submit_read_options(o, "set", &t->options, f));
    t->args.options = t->options.items;
    t->args.n_options = t->options.n;
    return STATUS_OK;
}

static enum status read_args(struct forget *t, const struct options *o, struct fault *f)
{
    static const char *const MODES[] = {"exact", "fast", NULL};
    static const char *const PROBES[] = {"keep", "resubmit", "substitute", "none", NULL};
    size_t mode = 0, probe = 0;
    TRY(options_choice(o, "mode", MODES, SIZE_MAX, &mode, f));
    TRY(options_choice(o, "probe", PROBES, SIZE_MAX, &probe, f));
    /* The numbers of both enumerations begin with DEFAULT, which is no word on the command line. */
    t->args.mode = (enum lethe_mode)(mode + 1);
    t->args.probe = (enum lethe_probe)(probe + 1);
    TRY(options_number(o, "seed", 0, 0, UINT64_MAX, &t->args.seed, f));
    t->args.ticket = options_text(o, "ticket", NULL);
    t->args.request_id = options_text(o, "request-id", NULL);
    t->args.dry_run = options_flag(o, "dry-run");
    TRY(read_due(t, o, f));
    TRY(read_method_options(t, o, f));
    return read_scope(t, o, f);
}

/* ------------------------------------------------------------------ when a label is unknown */

static size_t active_labels(const struct lethe_model *m, const char **ret_names)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_labels; i++) {
        if (strcmp(m->labels[i].status, "active") == 0)
            ret_names[n++] = m->labels[i].name;
    }
    return n;
}

static bool is_label(const struct lethe_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_labels; i++) {
        if (strcmp(m->labels[i].name, name) == 0)
            return true;
    }
    return false;
}

static void print_suggestions(struct cli *c,
                              const struct lethe_forget_args *args,
                              const struct lethe_model *m,
                              const char **names)
{
    const size_t n = active_labels(m, names);
    for (size_t i = 0; i < args->n_classes; i++) {
        if (is_label(m, args->classes[i]))
            continue;
        const size_t near = suggest_nearest(args->classes[i], names, n);
        if (near < n)
            (void)fprintf(c->err, "  \"%s\" is no label; did you mean \"%s\"?\n", args->classes[i],
                          names[near]);
    }
    (void)fprintf(c->err, "  labels that can be forgotten:");
    for (size_t i = 0; i < n && i < 40; i++)
        (void)fprintf(c->err, "%s %s", i > 0 ? "," : "", names[i]);
    (void)fprintf(c->err, "%s\n", n > 40 ? ", ..." : "");
}

/* Further help when the daemon refused for its classes; costs one more call. */
static void
suggest_labels(struct cli *c, const struct lethe_forget_args *args, const struct lethe_error *e)
{
    struct lethe_model *m;
    if (e->origin != LETHE_FROM_DAEMON || !strstr(e->field, "class") || c->quiet ||
        lethe_model(c->lethe, &m, NULL) != LETHE_OK)
        return;
    const char **names = sysio_alloc(m->n_labels + 1, sizeof *names);
    if (names)
        print_suggestions(c, args, m, names);
    sysio_free(names);
    lethe_free(m);
}

/* ------------------------------------------------------------------ running */

static enum cli_exit submit(struct cli *c, const struct forget *t, const struct options *o)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_forget(c->lethe, &t->args, &r, &e) != LETHE_OK) {
        const enum cli_exit code = cli_fail(c, &e);
        suggest_labels(c, &t->args, &e);
        return code;
    }
    const enum cli_exit code = submit_accepted(c, o, r, options_flag(o, "wait"));
    lethe_free(r);
    return code;
}

static enum cli_exit run_forget(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    struct forget *t = sysio_alloc(1, sizeof *t);
    if (!t)
        return cli_usage(c, "out of memory");
    const enum cli_exit code =
        read_args(t, o, &f) == STATUS_OK ? submit(c, t, o) : cli_fail_fault(c, &f);
    sysio_free(t->classes);
    sysio_free(t);
    return code;
}

const struct command cmd_forget_table[] = {
    {"forget", "", "Submit an erasure request: classes, samples, a learned task, a subject",
     DETAILS, SPECS, sizeof SPECS / sizeof SPECS[0], 0, 0, run_forget},
    {.name = NULL},
};
