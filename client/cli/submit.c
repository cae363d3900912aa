#include "client/cli/submit.h"

#include "client/cli/follow.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "daemon/base/sysio.h"

#include <string.h>

static enum status
add_option(const char *option, const char *word, struct submit_options *to, struct fault *f)
{
    const char *equals = strchr(word, '=');
    const size_t n = equals ? (size_t)(equals - word) : 0;
    if (n == 0 || n >= LIMIT_NAME_BYTES)
        FAIL(f, STATUS_INVALID_ARGUMENT, option, "--%s takes NAME=VALUE, not \"%.60s\"", option,
             word);
    char *name = to->names[to->n];
    memcpy(name, word, n);
    name[n] = '\0';
    to->items[to->n++] = (struct lethe_option){name, equals + 1};
    return STATUS_OK;
}

enum status submit_read_options(const struct options *o,
                                const char *name,
                                struct submit_options *to,
                                struct fault *f)
{
    const char *words[LIMIT_OPTIONS];
    const size_t n = options_list(o, name, words, LIMIT_OPTIONS);
    if (n > LIMIT_OPTIONS - to->n)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "more than %u method options", LIMIT_OPTIONS);
    for (size_t i = 0; i < n; i++)
        TRY(add_option(name, words[i], to, f));
    return STATUS_OK;
}

enum status submit_read_list(const struct options *o,
                             const char *name,
                             const char ***ret_list,
                             size_t *ret_n,
                             struct fault *f)
{
    const size_t n = options_list(o, name, NULL, 0);
    const char **list = sysio_alloc(n + 1, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    *ret_n = options_list(o, name, list, n);
    *ret_list = list;
    return STATUS_OK;
}

/* A receipt that cannot be written is told, but the request stands: it can be had again. */
static enum cli_exit
write_receipt(struct cli *c, const struct options *o, const struct lethe_request *r)
{
    struct fault f = {0};
    const char *path = options_text(o, "receipt", NULL);
    if (!path)
        return CLI_DONE;
    if (r->receipt_bytes == 0)
        return cli_usage(c, "the daemon gave no receipt for request %s", r->id);
    if (sysio_write_file(path, r->receipt, r->receipt_bytes, &f) == STATUS_OK)
        return CLI_DONE;
    cli_note(c, "request %s is accepted; lethe prove %s --accepted -o FILE has its receipt", r->id,
             r->id);
    return cli_fail_fault(c, &f);
}

enum cli_exit
submit_accepted(struct cli *c, const struct options *o, const struct lethe_request *r, bool wait)
{
    const enum cli_exit written = write_receipt(c, o, r);
    if (written != CLI_DONE)
        return written;
    if (wait && !lethe_state_is_final(r->state)) {
        cli_note(c, "request %s is %s", r->id, r->state);
        return follow_request(c, r->id);
    }
    bool good = true;
    if (c->json)
        good = json_out_request(c->out, r);
    else
        show_request(c->out, r);
    if (!c->json && !lethe_state_is_final(r->state))
        cli_note(c, "\nlethe wait %s   follows it to its end", r->id);
    const enum cli_exit printed = cli_printed(c, good);
    if (printed != CLI_DONE || !lethe_state_is_final(r->state))
        return printed;
    return cli_state_exit(r);
}
