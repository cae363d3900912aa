/*
 * Configuration of lethed: an INI file, read with libinih, and a few command-line options that
 * override it.  Keys of the daemon stand before the first section or in [lethed]; section [gate]
 * holds limits of the policy gate by the name of the check, "0.02" or "0.02 pass" (limit, then the
 * rule pass, point, no-fail or report); section [gslora] holds the method's default options.  An
 * unknown key or section, a key given twice and a value out of range are errors that name key and
 * line.  Texts after " ;" are comments.  A plain value; owns nothing; read-only once threads run.
 */
#ifndef LETHE_CONFIG_CONFIG_H
#define LETHE_CONFIG_CONFIG_H

#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "proto/limits.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE_MAX_BYTES (1u << 20)
#define CONFIG_OPTIONS_MAX    LIMIT_OPTIONS
#define CONFIG_OPTION_SIZE    128
#define CONFIG_ADDRESS_SIZE   257

/* Positions in the list of params.def. */
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

/* One line of [gslora]; the name and value were accepted by the learner. */
struct config_option {
    char name[CONFIG_OPTION_SIZE];
    char value[CONFIG_OPTION_SIZE];
};

struct config {
#define TEXT(name, max, value, text)             char name[(max) + 1];
#define COUNT(name, min, max, value, unit, text) int64_t name;
#define SIZE(name, min, max, value, text)        int64_t name;
#define REAL(name, min, max, value, unit, text)  double name;
#define CHOICE(name, names, value, text)         unsigned name;
#include "daemon/config/params.def"
#undef TEXT
#undef COUNT
#undef SIZE
#undef REAL
#undef CHOICE
    char local_events_endpoint[CONFIG_ADDRESS_SIZE]; /* derived; empty: there is none */
    struct gate_limits gate;
    struct config_option gslora[CONFIG_OPTIONS_MAX];
    size_t n_gslora;
};

/* Defaults of params.def, of the gate and no method options. */
void config_default(struct config *ret_config);
/*
 * Sets one key from text.  `section` is "" or "lethed", "gate" or "gslora".  NOT_FOUND: no such
 * section or key; INVALID_ARGUMENT: not a value for it, with its range.  *c is unchanged then.
 */
enum status config_set(struct config *c,
                       const char *section,
                       const char *key,
                       const char *value,
                       struct fault *f) MUST_CHECK;
/* Sets what the file says; the fault's text begins with "PATH line N". */
enum status config_load(struct config *c, const char *path, struct fault *f) MUST_CHECK;
/*
 * Fills in what is derived (events_endpoint, worker, threads) and checks what belongs together:
 * base and store are named, the endpoints differ.  Looks for no file except the worker's place.
 */
enum status config_complete(struct config *c, struct fault *f) MUST_CHECK;

struct config_args {
    int check_only;     /* --check-config: complain or say that all is well, then leave */
    const char *config; /* --config, borrowed from argv; NULL: not given */
};

/*
 * Defaults, then the file of --config, then --base, --store, --endpoint; completed.  Wrong usage,
 * --help and --version are dealt with by argp, which prints and ends the program (status 2 for
 * usage); everything else comes back as a status.
 */
enum status config_from_args(struct config *ret_config,
                             struct config_args *ret_args,
                             int argc,
                             char **argv,
                             struct fault *f) MUST_CHECK;

/* Row i of params.def for help texts and tests; NULL past the end. */
struct config_param {
    const char *name;
    const char *unit;
    const char *text;
    char value[64]; /* default, as it would be written in the file; empty for long texts */
};
int config_param_get(size_t i, struct config_param *ret_param);
/*
 * Writes a configuration file with every key of every section and its default, each under a line
 * that explains it.  config_load reads it, and it changes nothing.
 */
void config_help(FILE *out);

#endif
