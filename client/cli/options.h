/*
 * GNU-style options from tables: --name VALUE, --name=VALUE, unique prefixes of long names, -o
 * VALUE, -oVALUE, "--" ends them.  An option of kind OPTION_VALUES takes every following word up to
 * the next one that begins with "-", and may be repeated, so that names with commas and slashes
 * need no quoting of their own.  Words are borrowed from argv.
 */
#ifndef LETHE_CLI_OPTIONS_H
#define LETHE_CLI_OPTIONS_H

#include "daemon/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_FLAG, OPTION_VALUE, OPTION_VALUES };

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum option_kind kind;
    const char *value; /* name of the value in the help text */
    const char *help;
};

struct option_table {
    const struct option_spec *specs;
    size_t n;
};

struct option_hit {
    const struct option_spec *spec;
    const char *value; /* NULL for a flag */
};

struct options {
    struct option_hit *hits; /* in order */
    size_t n_hits;
    const char **operands;
    size_t n_operands;
};

/*
 * Parses argv[0..argc-1] (no program name) by two tables, either of which may be empty.
 * `ret_rest` not NULL: stops at the first operand, whose index (or argc) it becomes.
 * INVALID_ARGUMENT with a sentence naming the option; *ret_options holds nothing then.
 */
enum status options_parse(const struct option_table tables[2],
                          int argc,
                          const char *const *argv,
                          int *ret_rest,
                          struct options *ret_options,
                          struct fault *f) MUST_CHECK;
void options_fini(struct options *o);

bool options_flag(const struct options *o, const char *name);
/* Last value given, or `standard`. */
const char *options_text(const struct options *o, const char *name, const char *standard);
/* Number of values; fills at most `max` of them (ret_values may be NULL with max 0). */
size_t options_list(const struct options *o, const char *name, const char **ret_values, size_t max);
/* An unsigned decimal within [min, max], or `standard` if the option is not there. */
enum status options_number(const struct options *o,
                           const char *name,
                           uint64_t standard,
                           uint64_t min,
                           uint64_t max,
                           uint64_t *ret_number,
                           struct fault *f) MUST_CHECK;
/* Index into `choices` (ended by NULL) of the value, or `standard` if the option is not there. */
enum status options_choice(const struct options *o,
                           const char *name,
                           const char *const *choices,
                           size_t standard,
                           size_t *ret_index,
                           struct fault *f) MUST_CHECK;

#endif
