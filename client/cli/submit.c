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

enum cli_exit submit_accepted(struct cli *c, const struct lethe_request *r, bool wait)
{
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
