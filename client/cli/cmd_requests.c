/* requests, request, wait, cancel, approve, deny: the life of requests. */
#include "client/cli/command.h"
#include "client/cli/follow.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "proto/limits.h"

static const struct option_spec LIST_SPECS[] = {
    {"state", 's', OPTION_VALUE, "STATE",
     "received, awaiting_approval, queued, running, evaluating, committed, rejected, failed, "
     "cancelled, denied or duplicate"},
    {"limit", 'l', OPTION_VALUE, "N", "at most so many, newest first (default 50)"},
};

static const struct option_spec CANCEL_SPECS[] = {
    {"reason", 'r', OPTION_VALUE, "TEXT", "kept with the request"},
};

static const char *const STATES[] = {
    "received", "awaiting_approval", "queued", "running",   "evaluating", "committed", "rejected",
    "failed",   "cancelled",         "denied", "duplicate", NULL};

static enum cli_exit print_requests(struct cli *c, const struct lethe_requests *list)
{
    bool good = true;
    if (!c->json)
        show_requests(c->out, list->items, list->n);
    for (size_t i = 0; c->json && good && i < list->n; i++)
        good = json_out_request(c->out, &list->items[i]);
    if (!c->json && list->next_before != 0)
        cli_note(c, "there are older ones: --limit");
    return cli_printed(c, good);
}

static enum cli_exit run_requests(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    uint64_t limit;
    size_t state;
    if (options_number(o, "limit", 50, 1, LIMIT_LIST, &limit, &f) != STATUS_OK ||
        options_choice(o, "state", STATES, SIZE_MAX, &state, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    struct lethe_requests *list;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_requests(c->lethe, options_text(o, "state", NULL), (uint32_t)limit, 0, &list, &e) !=
        LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit code = print_requests(c, list);
    lethe_free(list);
    return code;
}

static enum cli_exit print_request(struct cli *c, struct lethe_request *r)
{
    bool good = true;
    if (c->json)
        good = json_out_request(c->out, r);
    else
        show_request(c->out, r);
    lethe_free(r);
    return cli_printed(c, good);
}

static enum cli_exit run_request(struct cli *c, const struct options *o)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_request(c->lethe, o->operands[0], &r, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return print_request(c, r);
}

static enum cli_exit run_wait(struct cli *c, const struct options *o)
{
    const enum cli_exit connected = cli_connect(c);
    return connected == CLI_DONE ? follow_request(c, o->operands[0]) : connected;
}

typedef enum lethe_code word_call(struct lethe *l,
                                  const char *id,
                                  const char *reason,
                                  struct lethe_request **ret_request,
                                  struct lethe_error *e);

/* A person's word on a request, with a reason or without. */
static enum cli_exit run_word(struct cli *c, const struct options *o, word_call *call)
{
    struct lethe_request *r;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (call(c->lethe, o->operands[0], options_text(o, "reason", NULL), &r, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return print_request(c, r);
}

static enum cli_exit run_cancel(struct cli *c, const struct options *o)
{
    return run_word(c, o, lethe_cancel);
}

static enum cli_exit run_approve(struct cli *c, const struct options *o)
{
    return run_word(c, o, lethe_approve);
}

static enum cli_exit run_deny(struct cli *c, const struct options *o)
{
    if (!options_text(o, "reason", NULL))
        return cli_usage(c, "to deny an erasure needs --reason TEXT");
    return run_word(c, o, lethe_deny);
}

const struct command cmd_requests_table[] = {
    {"requests", "", "List requests, newest first", NULL, LIST_SPECS,
     sizeof LIST_SPECS / sizeof LIST_SPECS[0], 0, 0, run_requests},
    {"request", "ID", "Show one request with its report", NULL, NULL, 0, 1, 1, run_request},
    {"wait", "ID", "Wait until a request is final, and show it",
     "Without --timeout it waits for ever.  Exit status 1 if the request ended rejected, failed,\n"
     "denied or cancelled; 4 if the time was over (the request goes on).",
     NULL, 0, 1, 1, run_wait},
    {"cancel", "ID", "Cancel a request", NULL, CANCEL_SPECS,
     sizeof CANCEL_SPECS / sizeof CANCEL_SPECS[0], 1, 1, run_cancel},
    {"approve", "ID", "Let an erasure go on that awaits a second person's word",
     "Not for who submitted it.", CANCEL_SPECS, sizeof CANCEL_SPECS / sizeof CANCEL_SPECS[0], 1, 1,
     run_approve},
    {"deny", "ID", "End an erasure that awaits a second person's word",
     "Not for who submitted it; --reason is needed.", CANCEL_SPECS,
     sizeof CANCEL_SPECS / sizeof CANCEL_SPECS[0], 1, 1, run_deny},
    {.name = NULL},
};
