#include "client/cli/command.h"

#include "client/cli/suggest.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_TEXT "0.1.0"

static const struct option_spec GLOBAL[] = {
    {"endpoint", 'e', OPTION_VALUE, "URL",
     "where the daemon listens (LETHE_ENDPOINT; default " LETHE_DEFAULT_ENDPOINT ")"},
    {"key", 0, OPTION_VALUE, "FILE", "this client's secret key (LETHE_KEY)"},
    {"server-key", 0, OPTION_VALUE, "FILE", "the daemon's public key (LETHE_SERVER_KEY)"},
    {"timeout", 0, OPTION_VALUE, "SECONDS", "give up after so long (default 15; a wait: never)"},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object (lists: one a line) on standard output"},
    {"quiet", 'q', OPTION_FLAG, NULL, "no notes and no progress bars"},
    {"help", 'h', OPTION_FLAG, NULL, "help on lethe or on a command"},
    {"version", 'V', OPTION_FLAG, NULL, "version of this program"},
};
#define N_GLOBAL (sizeof GLOBAL / sizeof GLOBAL[0])

static const struct command *const GROUPS[] = {
    cmd_status_table, cmd_forget_table,  cmd_learn_table,    cmd_stream_table, cmd_requests_table,
    cmd_keys_table,   cmd_predict_table, cmd_versions_table, cmd_export_table, cmd_import_table,
    cmd_data_table,   cmd_log_table,     cmd_vault_table,
};
#define N_GROUPS     (sizeof GROUPS / sizeof GROUPS[0])
#define MAX_COMMANDS 64

/* ------------------------------------------------------------------ the table */

/* Fills all commands of all groups; their number. */
static size_t list_commands(const struct command *ret_list[MAX_COMMANDS])
{
    size_t n = 0;
    for (size_t g = 0; g < N_GROUPS; g++) {
        for (const struct command *c = GROUPS[g]; c->name && n < MAX_COMMANDS; c++)
            ret_list[n++] = c;
    }
    return n;
}

size_t command_list(const struct command *ret_list[], size_t max)
{
    const struct command *all[MAX_COMMANDS];
    const size_t n = list_commands(all);
    memcpy(ret_list, all, (n < max ? n : max) * sizeof(const struct command *));
    return n;
}

/* Words of argv that name `c`: 0 if they name another one. */
static int words_match(const struct command *c, int argc, const char *const *argv)
{
    const char *space = strchr(c->name, ' ');
    if (!space)
        return argc > 0 && strcmp(argv[0], c->name) == 0 ? 1 : 0;
    const size_t n = (size_t)(space - c->name);
    return argc > 1 && strlen(argv[0]) == n && strncmp(argv[0], c->name, n) == 0 &&
                   strcmp(argv[1], space + 1) == 0
               ? 2
               : 0;
}

static const struct command *find_command(int argc, const char *const *argv, int *ret_words)
{
    const struct command *all[MAX_COMMANDS];
    const size_t n = list_commands(all);
    for (size_t i = 0; i < n; i++) {
        *ret_words = words_match(all[i], argc, argv);
        if (*ret_words > 0)
            return all[i];
    }
    return NULL;
}

static enum cli_exit unknown_command(struct cli *c, int argc, const char *const *argv)
{
    const struct command *all[MAX_COMMANDS];
    const char *names[MAX_COMMANDS];
    const size_t n = list_commands(all);
    for (size_t i = 0; i < n; i++)
        names[i] = all[i]->name;
    char word[128];
    const bool two = argc > 1 && (strcmp(argv[0], "data") == 0 || strcmp(argv[0], "stream") == 0);
    (void)snprintf(word, sizeof word, "%s%s%s", argv[0], two ? " " : "", two ? argv[1] : "");
    const size_t near = suggest_nearest(word, names, n);
    if (near < n)
        return cli_usage(c, "there is no command \"%s\"; did you mean \"%s\"?", word, names[near]);
    return cli_usage(c, "there is no command \"%s\"; lethe help lists them", word);
}

/* ------------------------------------------------------------------ help */

static void print_specs(FILE *out, const struct option_spec *specs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct option_spec *s = &specs[i];
        char left[80];
        (void)snprintf(left, sizeof left, "%c%c%s --%s%s%s%s", s->letter ? '-' : ' ',
                       s->letter ? s->letter : ' ', s->letter ? "," : " ", s->name,
                       s->value ? " " : "", s->value ? s->value : "",
                       s->kind == OPTION_VALUES ? "..." : "");
        (void)fprintf(out, "  %-28s %s\n", left, s->help);
    }
}

static void print_command_help(FILE *out, const struct command *c)
{
    (void)fprintf(out, "usage: lethe %s%s%s%s%s\n\n%s.\n", c->name,
                  c->n_specs > 0 ? " [OPTION]..." : "", c->operands[0] != '\0' ? " " : "",
                  c->operands, "", c->summary);
    if (c->details)
        (void)fprintf(out, "\n%s\n", c->details);
    if (c->n_specs > 0)
        (void)fprintf(out, "\nOptions:\n");
    print_specs(out, c->specs, c->n_specs);
    (void)fprintf(out, "\nOptions of every command:\n");
    print_specs(out, GLOBAL, N_GLOBAL);
}

static void print_help(FILE *out)
{
    const struct command *all[MAX_COMMANDS];
    const size_t n = list_commands(all);
    (void)fprintf(out, "usage: lethe [OPTION]... COMMAND ...\n\n"
                       "Talks to lethed, the continual learning and unlearning daemon.\n\n"
                       "Commands (lethe help COMMAND tells more):\n");
    for (size_t i = 0; i < n; i++) {
        char left[80];
        (void)snprintf(left, sizeof left, "%s %s", all[i]->name, all[i]->operands);
        (void)fprintf(out, "  %-28s %s\n", left, all[i]->summary);
    }
    (void)fprintf(out, "\nOptions:\n");
    print_specs(out, GLOBAL, N_GLOBAL);
    (void)fprintf(
        out, "\nExit status: 0 done, 1 the request ended rejected, failed, denied or cancelled,\n"
             "2 usage, 3 the daemon refused, 4 it cannot be reached or the deadline passed.\n");
}

static enum cli_exit help(struct cli *c, int argc, const char *const *argv)
{
    if (argc == 0) {
        print_help(c->out);
        return cli_printed(c, true);
    }
    int words;
    const struct command *command = find_command(argc, argv, &words);
    if (!command)
        return unknown_command(c, argc, argv);
    print_command_help(c->out, command);
    return cli_printed(c, true);
}

/* ------------------------------------------------------------------ running */

/* Takes what is given of the global options; what is not stays as it was. */
static enum status apply_global(struct cli *c, const struct options *o, struct fault *f)
{
    uint64_t seconds;
    c->endpoint = options_text(o, "endpoint", c->endpoint);
    c->key = options_text(o, "key", c->key);
    c->server_key = options_text(o, "server-key", c->server_key);
    c->json = c->json || options_flag(o, "json");
    c->quiet = c->quiet || options_flag(o, "quiet");
    TRY(options_number(o, "timeout", c->timeout_ms / 1000, 1, 86400, &seconds, f));
    c->timeout_ms = (uint32_t)seconds * 1000;
    return STATUS_OK;
}

static enum cli_exit check_operands(struct cli *c, const struct command *m, const struct options *o)
{
    if (o->n_operands < m->min_operands)
        return cli_usage(c, "lethe %s needs %s; lethe help %s tells more", m->name, m->operands,
                         m->name);
    if (o->n_operands > m->max_operands)
        return cli_usage(c, "lethe %s: \"%.100s\" is one operand too many", m->name,
                         o->operands[m->max_operands]);
    return CLI_DONE;
}

static enum cli_exit
run_command(struct cli *c, const struct command *m, int argc, const char *const *argv)
{
    /* The command's own options go first: --version of predict is not the program's. */
    const struct option_table tables[2] = {{m->specs, m->n_specs}, {GLOBAL, N_GLOBAL}};
    struct options o;
    struct fault f = {0};
    if (options_parse(tables, argc, argv, NULL, &o, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    enum cli_exit code;
    if (apply_global(c, &o, &f) != STATUS_OK) {
        code = cli_fail_fault(c, &f);
    } else if (options_flag(&o, "help")) {
        print_command_help(c->out, m);
        code = cli_printed(c, true);
    } else {
        code = check_operands(c, m, &o);
        if (code == CLI_DONE)
            code = m->run(c, &o);
    }
    options_fini(&o);
    return code;
}

/* What stands before the command. */
static enum cli_exit
run_line(struct cli *c, const struct options *o, int argc, const char *const *argv)
{
    if (options_flag(o, "version")) {
        (void)fprintf(c->out, "lethe " VERSION_TEXT "\n");
        return cli_printed(c, true);
    }
    if (options_flag(o, "help"))
        return help(c, argc, argv);
    if (argc == 0) {
        print_help(c->err);
        return CLI_USAGE;
    }
    if (strcmp(argv[0], "help") == 0)
        return help(c, argc - 1, argv + 1);
    int words;
    const struct command *m = find_command(argc, argv, &words);
    return m ? run_command(c, m, argc - words, argv + words) : unknown_command(c, argc, argv);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : NULL;
}

int command_main(struct cli *c, int argc, const char *const *argv)
{
    const struct option_table tables[2] = {{GLOBAL, N_GLOBAL}, {NULL, 0}};
    c->endpoint = environment("LETHE_ENDPOINT");
    c->key = environment("LETHE_KEY");
    c->server_key = environment("LETHE_SERVER_KEY");
    struct options o;
    struct fault f = {0};
    int rest;
    if (options_parse(tables, argc - 1, argv + 1, &rest, &o, &f) != STATUS_OK)
        return (int)cli_fail_fault(c, &f);
    enum cli_exit code = apply_global(c, &o, &f) == STATUS_OK
                             ? run_line(c, &o, argc - 1 - rest, argv + 1 + rest)
                             : cli_fail_fault(c, &f);
    options_fini(&o);
    cli_fini(c);
    return (int)code;
}
