#include "client/cli/cli.h"

#include "client/cli/format.h"
#include "client/cli/json_out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum cli_exit cli_error_exit(const struct lethe_error *e)
{
    if (e->origin == LETHE_FROM_CALLER && e->code != LETHE_DEADLINE_EXCEEDED)
        return CLI_USAGE;
    if (e->origin == LETHE_FROM_TRANSPORT || e->code == LETHE_DEADLINE_EXCEEDED)
        return CLI_UNREACHABLE;
    return CLI_REFUSED;
}

enum cli_exit cli_state_exit(const struct lethe_request *r)
{
    static const char *const BAD[] = {"rejected", "failed", "denied"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        if (strcmp(r->state, BAD[i]) == 0)
            return CLI_ENDED_BADLY;
    }
    return strcmp(r->state, "cancelled") == 0 && !r->dry_run ? CLI_ENDED_BADLY : CLI_DONE;
}

static const char *endpoint_of(const struct cli *c)
{
    return c->endpoint ? c->endpoint : LETHE_DEFAULT_ENDPOINT;
}

/* Why a socket file may not answer, and what to do about it. */
static void explain_unreachable(const struct cli *c)
{
    const char *endpoint = endpoint_of(c);
    const char *path = strncmp(endpoint, "ipc://", 6) == 0 ? endpoint + 6 : NULL;
    if (path && access(path, F_OK) == 0 && access(path, R_OK | W_OK) != 0 && errno == EACCES) {
        (void)fprintf(c->err,
                      "  %s exists, but you may not use it: join its group (lethe) or use sudo\n",
                      path);
        return;
    }
    if (path && access(path, F_OK) != 0)
        (void)fprintf(c->err, "  there is no socket %s\n", path);
    (void)fprintf(c->err,
                  "  start a daemon:    systemctl start lethed\n"
                  "                     lethed --base FOLDER --store DIR --endpoint %s\n"
                  "  look elsewhere:    lethe --endpoint URL ...   or set LETHE_ENDPOINT\n",
                  endpoint);
}

enum cli_exit cli_fail(struct cli *c, const struct lethe_error *e)
{
    if (c->json)
        (void)json_out_error(c->out, e);
    const bool named = e->field[0] != '\0' && e->origin == LETHE_FROM_DAEMON;
    (void)fprintf(c->err, "lethe: %s%s%s%s\n", e->text, named ? " (" : "", named ? e->field : "",
                  named ? ")" : "");
    if (e->origin == LETHE_FROM_TRANSPORT && strcmp(e->field, "endpoint") == 0)
        explain_unreachable(c);
    if (e->retry_after_s > 0)
        (void)fprintf(c->err, "  try again in %u s\n", e->retry_after_s);
    return cli_error_exit(e);
}

enum cli_exit cli_fail_fault(struct cli *c, const struct fault *f)
{
    struct lethe_error e = {.code = LETHE_INVALID_ARGUMENT, .origin = LETHE_FROM_CALLER};
    (void)snprintf(e.field, sizeof e.field, "%s", f->field);
    (void)snprintf(e.text, sizeof e.text, "%s", f->text);
    return cli_fail(c, &e);
}

enum cli_exit cli_usage(struct cli *c, const char *format, ...)
{
    struct lethe_error e = {.code = LETHE_INVALID_ARGUMENT, .origin = LETHE_FROM_CALLER};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e.text, sizeof e.text, format, args);
    va_end(args);
    return cli_fail(c, &e);
}

void cli_note(const struct cli *c, const char *format, ...)
{
    if (c->quiet)
        return;
    va_list args;
    va_start(args, format);
    (void)vfprintf(c->err, format, args);
    va_end(args);
    (void)fputc('\n', c->err);
}

enum cli_exit cli_printed(struct cli *c, bool good)
{
    if (good && fflush(c->out) == 0 && !ferror(c->out))
        return CLI_DONE;
    (void)fprintf(c->err, "lethe: the result could not be written\n");
    return CLI_USAGE;
}

enum cli_exit cli_connect(struct cli *c)
{
    if (c->lethe)
        return CLI_DONE;
    struct lethe_error e;
    const struct lethe_options options = {
        .key_file = c->key, .server_key_file = c->server_key, .timeout_ms = c->timeout_ms};
    if (lethe_open(endpoint_of(c), &options, &c->lethe, &e) != LETHE_OK)
        return cli_fail(c, &e);
    return CLI_DONE;
}

void cli_fini(struct cli *c)
{
    lethe_close(c->lethe);
    c->lethe = NULL;
}
