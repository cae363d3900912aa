#include "client/verify/verify_args.h"

#include "client/verify/verify_input.h"
#include "daemon/base/clock.h"
#include "proto/seal/lines.h"

#include <getopt.h>
#include <string.h>

enum option_id {
    OPTION_KEY = 256,
    OPTION_WITNESS,
    OPTION_NEED,
    OPTION_IGNORE,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_PAYLOAD,
    OPTION_REPORT,
    OPTION_SUBJECT,
    OPTION_NEWER,
    OPTION_PROOF,
    OPTION_AT,
    OPTION_SIGN,
    OPTION_OUT,
    OPTION_FIRST
};

static const struct option the_options[] = {
    {"key", required_argument, NULL, OPTION_KEY},
    {"witness", required_argument, NULL, OPTION_WITNESS},
    {"need-witnesses", required_argument, NULL, OPTION_NEED},
    {"ignore-unknown-signers", no_argument, NULL, OPTION_IGNORE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {"payload", required_argument, NULL, OPTION_PAYLOAD},
    {"report", required_argument, NULL, OPTION_REPORT},
    {"subject", required_argument, NULL, OPTION_SUBJECT},
    {"newer", required_argument, NULL, OPTION_NEWER},
    {"proof", required_argument, NULL, OPTION_PROOF},
    {"at", required_argument, NULL, OPTION_AT},
    {"sign", required_argument, NULL, OPTION_SIGN},
    {"out", required_argument, NULL, OPTION_OUT},
    {"first", no_argument, NULL, OPTION_FIRST},
    {NULL, 0, NULL, 0},
};

#define BIT(option) (1u << ((option)-OPTION_KEY))
#define COMMON                                                                                     \
    (BIT(OPTION_KEY) | BIT(OPTION_WITNESS) | BIT(OPTION_NEED) | BIT(OPTION_IGNORE) |               \
     BIT(OPTION_JSON) | BIT(OPTION_HELP))

static const struct command_type {
    const char *name;
    const char *files;
    size_t least;
    size_t most;
    unsigned options;
} the_commands[VERIFY_COMMANDS] = {
    [VERIFY_RECEIPT] = {"receipt", "FILE", 1, 1,
                        COMMON | BIT(OPTION_PAYLOAD) | BIT(OPTION_REPORT) | BIT(OPTION_SUBJECT)},
    [VERIFY_CERTIFICATE] = {"certificate", "FILE", 1, 1,
                            COMMON | BIT(OPTION_NEWER) | BIT(OPTION_PROOF)},
    [VERIFY_CONSISTENCY] = {"consistency", "OLD-CHECKPOINT NEW-CHECKPOINT PROOF", 3, 3, COMMON},
    [VERIFY_SERVED] = {"served", "FILE", 1, 1, COMMON | BIT(OPTION_AT)},
    [VERIFY_WITNESS] = {"witness", "STATE CHECKPOINT [PROOF]", 2, 3,
                        COMMON | BIT(OPTION_SIGN) | BIT(OPTION_OUT) | BIT(OPTION_FIRST)},
};

const char *verify_args_help(void)
{
    return "Usage: lethe-verify COMMAND FILE... --key VKEY [OPTION]...\n"
           "Checks evidence of lethe without a daemon, a store or a network.\n\n"
           "  receipt FILE [--payload FILE] [--report FILE] [--subject ID]\n"
           "  certificate FILE [--newer CHECKPOINT --proof FILE]\n"
           "  consistency OLD-CHECKPOINT NEW-CHECKPOINT PROOF\n"
           "  served FILE --at TIME\n"
           "  witness STATE CHECKPOINT [PROOF] [--first] [--sign KEYFILE --out FILE]\n\n"
           "  --key VKEY                 the log's verifier key, as text or as a file; repeatable\n"
           "  --witness VKEY             a witness' verifier key, likewise\n"
           "  --need-witnesses N         how many of the witnesses must have signed (default: "
           "all)\n"
           "  --ignore-unknown-signers   pass over signatures of keys that were not given\n"
           "  --json                     one JSON object\n\n"
           "Exit status: 0 verified, 1 the evidence is false, 2 no verdict.\n";
}

/* ---------------------------------------------------------------- values */

static enum status parse_need(const char *text, size_t *ret_need, struct fault *f)
{
    uint64_t need = 0;
    if (lines_decimal(text, strlen(text), &need) != 0 || need > NOTE_SIGNATURES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--need-witnesses", "is a number from 0 to %d",
             NOTE_SIGNATURES_MAX);
    *ret_need = (size_t)need;
    return STATUS_OK;
}

static enum status parse_at(const char *text, int64_t *ret_us, struct fault *f)
{
    if (clock_parse(text, ret_us) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--at", "is a time such as 2026-03-01T10:00:00Z");
    return STATUS_OK;
}

static enum status take(struct verify_args *a, int option, const char *value, struct fault *f)
{
    switch (option) {
    case OPTION_KEY:
        return verify_input_keys(value, SIGN_LOG, a->logs, VERIFY_LOGS_MAX, &a->n_logs, f);
    case OPTION_WITNESS:
        return verify_input_keys(value, SIGN_WITNESS, a->witnesses, NOTE_SIGNATURES_MAX,
                                 &a->n_witnesses, f);
    case OPTION_NEED:
        return parse_need(value, &a->need, f);
    case OPTION_AT:
        return parse_at(value, &a->at_us, f);
    case OPTION_IGNORE:
        a->ignore_unknown = 1;
        break;
    case OPTION_JSON:
        a->json = 1;
        break;
    case OPTION_PAYLOAD:
        a->payload = value;
        break;
    case OPTION_REPORT:
        a->report = value;
        break;
    case OPTION_SUBJECT:
        a->subject = value;
        break;
    case OPTION_NEWER:
        a->newer = value;
        break;
    case OPTION_PROOF:
        a->proof = value;
        break;
    case OPTION_SIGN:
        a->sign = value;
        break;
    case OPTION_OUT:
        a->out = value;
        break;
    case OPTION_FIRST:
        a->first = 1;
        break;
    default:
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "usage: see lethe-verify --help");
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the whole */

static enum status parse_command(const char *name, struct verify_args *a, struct fault *f)
{
    for (unsigned i = 0; i < VERIFY_COMMANDS; i++)
        if (strcmp(the_commands[i].name, name) == 0) {
            a->command = (enum verify_command)i;
            return STATUS_OK;
        }
    FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "\"%.32s\" is no command; see lethe-verify --help",
         name);
}

static enum status parse_files(int n, char **files, struct verify_args *a, struct fault *f)
{
    const struct command_type *type = &the_commands[a->command];
    if ((size_t)n < type->least || (size_t)n > type->most)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "lethe-verify %s takes %s", type->name, type->files);
    for (int i = 0; i < n; i++)
        a->files[a->n_files++] = files[i];
    return STATUS_OK;
}

/* What only makes sense together. */
static enum status check_together(const struct verify_args *a, unsigned seen, struct fault *f)
{
    const unsigned foreign = seen & ~the_commands[a->command].options;
    for (const struct option *o = the_options; o->name; o++)
        if (foreign & BIT(o->val))
            FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "lethe-verify %s has no option --%s",
                 the_commands[a->command].name, o->name);
    if (a->n_logs == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--key", "the log's verifier key is required");
    if (a->command == VERIFY_SERVED && !(seen & BIT(OPTION_AT)))
        FAIL(f, STATUS_INVALID_ARGUMENT, "--at", "the time asked about is required");
    if (!a->newer != !a->proof)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--newer",
             "a newer checkpoint needs --proof, and a proof "
             "needs --newer");
    if (!a->sign != !a->out)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--sign", "a signature needs a file for it (--out)");
    if (a->need > a->n_witnesses)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--need-witnesses", "%zu, but %zu keys of witnesses given",
             a->need, a->n_witnesses);
    return STATUS_OK;
}

/* Options that stand for one thing stand once; keys may be repeated. */
static enum status note_seen(unsigned *seen, int option, const char *name, struct fault *f)
{
    if (option < OPTION_KEY || option > OPTION_FIRST)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "%.64s: unknown, or its value is missing", name);
    if ((*seen & BIT(option)) && option != OPTION_KEY && option != OPTION_WITNESS)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "%.64s: given twice", name);
    *seen |= BIT(option);
    return STATUS_OK;
}

static enum status
parse_options(int argc, char **argv, struct verify_args *a, unsigned *ret_seen, struct fault *f)
{
    opterr = 0;
    optind = 0; /* getopt_long begins anew, with argv[1] */
    for (;;) {
        const int at = optind > 0 ? optind : 1;
        const int option = getopt_long(argc, argv, "", the_options, NULL);
        if (option == -1)
            return STATUS_OK;
        TRY(note_seen(ret_seen, option, at < argc ? argv[at] : "", f));
        if (option != OPTION_HELP)
            TRY(take(a, option, optarg, f));
    }
}

static enum status
parse(int argc, char **argv, struct verify_args *a, unsigned *ret_seen, struct fault *f)
{
    TRY(parse_options(argc, argv, a, ret_seen, f));
    if (*ret_seen & BIT(OPTION_HELP))
        return STATUS_OK;
    if (optind == argc)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "no command; see lethe-verify --help");
    TRY(parse_command(argv[optind], a, f));
    TRY(parse_files(argc - optind - 1, argv + optind + 1, a, f));
    if (!(*ret_seen & BIT(OPTION_NEED)))
        a->need = a->n_witnesses;
    return check_together(a, *ret_seen, f);
}

enum verify_args_result
verify_args_parse(int argc, char **argv, struct verify_args *ret_args, struct fault *f)
{
    unsigned seen = 0;
    *ret_args = (struct verify_args){0};
    if (parse(argc, argv, ret_args, &seen, f) != STATUS_OK)
        return VERIFY_ARGS_BAD;
    return seen & BIT(OPTION_HELP) ? VERIFY_ARGS_HELP : VERIFY_ARGS_RUN;
}

struct signers verify_args_signers(const struct verify_args *a)
{
    return (struct signers){.logs = a->logs,
                            .n_logs = a->n_logs,
                            .witnesses = a->witnesses,
                            .n_witnesses = a->n_witnesses,
                            .need = a->need,
                            .ignore_unknown = a->ignore_unknown};
}
