/*
 * The commands of lethe, as a table: name, operands, options, texts, function.  A new command is a
 * row in command.c and a function in the file of its group.
 */
#ifndef LETHE_CLI_COMMAND_H
#define LETHE_CLI_COMMAND_H

#include "client/cli/cli.h"
#include "client/cli/options.h"

#include <stddef.h>

#define COMMAND_MANY 1000000

struct command {
    const char *name; /* "data import" has two words */
    const char *operands;
    const char *summary;
    const char *details; /* further lines of the help text, or NULL */
    const struct option_spec *specs;
    size_t n_specs;
    size_t min_operands, max_operands;
    enum cli_exit (*run)(struct cli *c, const struct options *o);
};

/* Runs lethe's command line (argv[0] is the program).  Streams of *c are set; the rest is filled in
 * from the environment and the options.  The exit status. */
int command_main(struct cli *c, int argc, const char *const *argv);

/* All commands: their number; fills at most `max`. */
size_t command_list(const struct command *ret_list[], size_t max);

/* Groups, in cmd_*.c; each ended by a row without name. */
extern const struct command cmd_status_table[];
extern const struct command cmd_vault_table[];
extern const struct command cmd_forget_table[];
extern const struct command cmd_learn_table[];
extern const struct command cmd_stream_table[];
extern const struct command cmd_import_table[];
extern const struct command cmd_predict_table[];
extern const struct command cmd_requests_table[];
extern const struct command cmd_keys_table[];
extern const struct command cmd_versions_table[];
extern const struct command cmd_export_table[];
extern const struct command cmd_data_table[];
extern const struct command cmd_log_table[];

#endif
