/* The command line of lethed. */
#include "daemon/config/config.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_CONFIG = 256, KEY_CHECK, KEY_BASE, KEY_STORE, KEY_ENDPOINT, KEY_HELP_CONFIG };

struct arguments {
    const char *config;
    const char *base;
    const char *store;
    const char *endpoint;
    int check_only;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_CONFIG:
        a->config = value;
        break;
    case KEY_CHECK:
        a->check_only = 1;
        break;
    case KEY_BASE:
        a->base = value;
        break;
    case KEY_STORE:
        a->store = value;
        break;
    case KEY_ENDPOINT:
        a->endpoint = value;
        break;
    case KEY_HELP_CONFIG:
        config_help(stdout);
        exit(0);
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", value);
        break;
    case ARGP_KEY_END:
        if (!a->config && !a->base)
            argp_error(state, "give --config FILE, or --base FOLDER --store DIR --endpoint URL");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_option options[] = {
    {"config", KEY_CONFIG, "FILE", 0, "configuration file", 0},
    {"check-config", KEY_CHECK, NULL, 0, "check the configuration and leave", 0},
    {"base", KEY_BASE, "FOLDER", 0, "folder of the base model", 0},
    {"store", KEY_STORE, "DIR", 0, "folder of the store", 0},
    {"endpoint", KEY_ENDPOINT, "URL", 0, "socket for requests, ipc:///path or tcp://ADDRESS:PORT",
     0},
    {"help-config", KEY_HELP_CONFIG, NULL, 0,
     "print a configuration file with every key and its default", 0},
    {0},
};

static enum status override(struct config *c, const char *key, const char *value, struct fault *f)
{
    return value ? config_set(c, "", key, value, f) : STATUS_OK;
}

enum status config_from_args(
    struct config *ret_config, struct config_args *ret_args, int argc, char **argv, struct fault *f)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = "lethed: continual learning and unlearning daemon"
               "\vWithout --config the defaults hold (see --help-config).",
    };
    struct arguments a = {0};
    struct config c;
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, NULL, "the command line cannot be read");
    config_default(&c);
    if (a.config)
        TRY(config_load(&c, a.config, f));
    TRY(override(&c, "base", a.base, f));
    TRY(override(&c, "store", a.store, f));
    TRY(override(&c, "endpoint", a.endpoint, f));
    TRY(config_complete(&c, f));
    *ret_config = c;
    *ret_args = (struct config_args){.check_only = a.check_only, .config = a.config};
    return STATUS_OK;
}
