/* log, checkpoint, prove, consistency, certificate: what the log says, and files that show it to
 * others. */
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>

#define N(specs) (sizeof(specs) / sizeof(specs)[0])

#define OUT_FILE                                                                                   \
    {                                                                                              \
        "output", 'o', OPTION_VALUE, "FILE", "write it here (default: standard output)"            \
    }

static const struct option_spec LOG_SPECS[] = {
    {"from", 0, OPTION_VALUE, "INDEX", "first entry wanted, from 0 (default: the newest ones)"},
    {"limit", 'l', OPTION_VALUE, "N", "at most so many (default 50)"},
};
static const struct option_spec CHECKPOINT_SPECS[] = {
    {"key", 0, OPTION_FLAG, NULL, "the verifier key instead, as lethe-verify takes it"},
    OUT_FILE,
};
static const struct option_spec PROVE_SPECS[] = {
    {"accepted", 0, OPTION_FLAG, NULL, "of its acceptance, not of its end"},
    OUT_FILE,
};
static const struct option_spec CONSISTENCY_SPECS[] = {OUT_FILE};
static const struct option_spec CERTIFICATE_SPECS[] = {
    {"html", 0, OPTION_FLAG, NULL, "a page to print instead of JSON"},
    OUT_FILE,
};

/* ------------------------------------------------------------------ what all share */

/* The text to its file, or to standard output. */
static enum cli_exit
put_text(struct cli *c, const struct options *o, const char *text, size_t bytes)
{
    struct fault f = {0};
    const char *path = options_text(o, "output", NULL);
    if (!path)
        return cli_printed(c, fwrite(text, 1, bytes, c->out) == bytes);
    if (sysio_write_file(path, text, bytes, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    return CLI_DONE;
}

static enum cli_exit put_proof(struct cli *c, const struct options *o, struct lethe_proof *p)
{
    enum cli_exit done = CLI_DONE;
    if (!c->json || options_text(o, "output", NULL))
        done = put_text(c, o, p->text, p->bytes);
    if (done == CLI_DONE && c->json)
        done = cli_printed(c, json_out_proof(c->out, p));
    lethe_free(p);
    return done;
}

/* ------------------------------------------------------------------ log */

static bool show_entry(FILE *out, const struct lethe_log_entry *e)
{
    return fprintf(out, "#%llu ", (unsigned long long)e->index) > 0 &&
           fwrite(e->text, 1, e->bytes, out) == e->bytes && fputc('\n', out) != EOF;
}

static bool show_page(struct cli *c, const struct lethe_log *page)
{
    bool good = true;
    for (size_t i = 0; good && i < page->n; i++)
        good = c->json ? json_out_log_entry(c->out, &page->items[i])
                       : show_entry(c->out, &page->items[i]);
    return good;
}

/* Pages until there are as many as wanted, or no more. */
static enum cli_exit list_log(struct cli *c, uint64_t from, uint64_t limit, bool newest)
{
    struct lethe_error e;
    struct lethe_log *page;
    enum cli_exit done = CLI_DONE;
    uint64_t left = limit;
    do {
        const uint32_t ask = left < LIMIT_LIST ? (uint32_t)left : LIMIT_LIST;
        if (lethe_log(c->lethe, from, ask, newest, &page, &e) != LETHE_OK)
            return cli_fail(c, &e);
        done = cli_printed(c, show_page(c, page));
        left -= page->n < left ? page->n : left;
        from = page->next;
        newest = false;
        if (left == 0 && from != 0 && !c->json)
            cli_note(c, "entries %llu to %llu follow: --from %llu", (unsigned long long)from,
                     (unsigned long long)page->size - 1, (unsigned long long)from);
        lethe_free(page);
    } while (done == CLI_DONE && left > 0 && from != 0);
    return done;
}

static enum cli_exit run_log(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    uint64_t from, limit;
    if (options_number(o, "from", 0, 0, UINT64_MAX, &from, &f) != STATUS_OK ||
        options_number(o, "limit", 50, 1, UINT64_MAX, &limit, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    const bool newest = !options_text(o, "from", NULL);
    if (newest && limit > LIMIT_LIST)
        return cli_usage(c, "of the newest entries at most %u; name --from for more", LIMIT_LIST);
    const enum cli_exit connected = cli_connect(c);
    return connected == CLI_DONE ? list_log(c, from, limit, newest) : connected;
}

/* ------------------------------------------------------------------ the others */

static enum cli_exit
put_checkpoint(struct cli *c, const struct options *o, const struct lethe_checkpoint *p)
{
    const bool to_file = options_text(o, "output", NULL) != NULL;
    if (c->json && !to_file)
        return cli_printed(c, json_out_checkpoint(c->out, p));
    enum cli_exit done;
    if (options_flag(o, "key")) {
        char line[LIMIT_STRING_BYTES + 2];
        (void)snprintf(line, sizeof line, "%s\n", p->key);
        done = put_text(c, o, line, strlen(line));
    } else {
        done = put_text(c, o, p->note, p->note_bytes);
    }
    return done == CLI_DONE && c->json ? cli_printed(c, json_out_checkpoint(c->out, p)) : done;
}

static enum cli_exit run_checkpoint(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    struct lethe_checkpoint *p;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_checkpoint(c->lethe, &p, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit done = put_checkpoint(c, o, p);
    lethe_free(p);
    return done;
}

static enum cli_exit run_prove(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    struct lethe_proof *p;
    const bool accepted = options_flag(o, "accepted");
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_prove(c->lethe, o->operands[0], accepted, &p, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return put_proof(c, o, p);
}

/* A size on the command line: decimal, not 0. */
static bool read_size(const char *text, uint64_t *ret_size)
{
    char *end;
    if (text[0] < '1' || text[0] > '9' || strlen(text) > 19)
        return false;
    *ret_size = strtoull(text, &end, 10);
    return *end == '\0';
}

static enum cli_exit run_consistency(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    struct lethe_proof *p;
    uint64_t sizes[2] = {0, 0};
    for (size_t i = 0; i < o->n_operands; i++)
        if (!read_size(o->operands[i], &sizes[i]))
            return cli_usage(c, "\"%.40s\" is no size of a log", o->operands[i]);
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_consistency(c->lethe, sizes[0], sizes[1], &p, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return put_proof(c, o, p);
}

static enum cli_exit
put_certificate(struct cli *c, const struct options *o, const struct lethe_certificate *p)
{
    const char *path = options_text(o, "output", NULL);
    enum cli_exit done = CLI_DONE;
    if (!c->json || path)
        done = put_text(c, o, p->text, p->bytes);
    if (done != CLI_DONE)
        return done;
    if (c->json)
        return cli_printed(c, json_out_certificate(c->out, p));
    if (path)
        cli_note(c, "level %s, entry #%llu; check it with lethe-verify certificate %s --key VKEY",
                 p->level, (unsigned long long)p->index, path);
    return done;
}

static enum cli_exit run_certificate(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    struct lethe_certificate *p;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_certificate(c->lethe, o->operands[0], options_flag(o, "html"), &p, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit done = put_certificate(c, o, p);
    lethe_free(p);
    return done;
}

const struct command cmd_log_table[] = {
    {"log", "", "Entries of the log, as they were signed",
     "Every change of state has its entries.  They commit to what people wrote and do not tell it.",
     LOG_SPECS, N(LOG_SPECS), 0, 0, run_log},
    {"checkpoint", "", "The newest signed head of the log, or the key to verify it with",
     "Keep a checkpoint: a later one is shown to follow from it by lethe consistency.",
     CHECKPOINT_SPECS, N(CHECKPOINT_SPECS), 0, 0, run_checkpoint},
    {"prove", "REQUEST", "A receipt: what became of a request, for lethe-verify",
     "Opened for whoever handed the request in; for anybody else it shows the entry alone.",
     PROVE_SPECS, N(PROVE_SPECS), 1, 1, run_prove},
    {"consistency", "SIZE1 [SIZE2]", "That the log at one size begins with the log at another",
     "SIZE2 is left out for the log as it is.", CONSISTENCY_SPECS, N(CONSISTENCY_SPECS), 1, 2,
     run_consistency},
    {"certificate", "REQUEST", "What was done for an erasure, and what its tests found",
     "Carries its own proof, for lethe-verify certificate.  Who has it needs nothing else.",
     CERTIFICATE_SPECS, N(CERTIFICATE_SPECS), 1, 1, run_certificate},
    {.name = NULL},
};
