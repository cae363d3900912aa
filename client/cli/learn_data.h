/*
 * The images that a task or a stream learns from: a data set that the daemon has already, or files
 * that are sent to it first.
 */
#ifndef LETHE_CLI_LEARN_DATA_H
#define LETHE_CLI_LEARN_DATA_H

#include "client/cli/cli.h"
#include "client/cli/options.h"

/* Rows of the option tables, and the paragraph of the help texts that belongs to them. */
#define LEARN_DATA_SPECS                                                                           \
    {"labels", 'l', OPTION_VALUE, "FILE", "labels, if they are not found beside PATH"},            \
        {"range", 'r', OPTION_VALUE, "A:B", "images A to B-1 of the train part only"},             \
        {"only", 0, OPTION_VALUES, "CLASS", "these classes only, as the files name them"},         \
    {                                                                                              \
        "class-names", 0, OPTION_VALUE, "WHICH",                                                   \
            "data, model, or a file with one name a line (default: see below)"                     \
    }
#define LEARN_DATA_DETAILS                                                                         \
    "PATH is what lethe data import takes.  If there is no such file, it is the name of a data\n"  \
    "set that the daemon has, which is used as it is.  Classes take the names of the\n"            \
    "sub-folders; classes that are only numbers are called after the task or stream, for\n"        \
    "example \"digits 7\", because a bare number says nothing beside other tasks."

struct learn_data {
    const char *name;  /* in: of the set to be made; after learn_data_send: of the one to use */
    const char *owner; /* in: task or stream, after which numbered classes are called */
    bool multi_label;  /* in: refuse one label an image */
    bool train_only;   /* in: leave the test part of the files alone */
    const char *path;
    const char *labels, *range, *class_names;
    const char **only;
    size_t n_only;
    bool sent; /* the set was made by this command */
};

/* Reads --data and the rows above.  INVALID_ARGUMENT without --data. */
enum status
learn_data_read(struct learn_data *d, const struct options *o, struct fault *f) MUST_CHECK;
void learn_data_fini(struct learn_data *d);

/* Connects, and sends the files unless the daemon has the set; sets d->name.  CLI_DONE, or the exit
 * after saying why. */
enum cli_exit learn_data_send(struct cli *c, struct learn_data *d) MUST_CHECK;
/* Takes back what was sent if the daemon refused the request for good (`e`); says so. */
void learn_data_undo(struct cli *c, const struct learn_data *d, const struct lethe_error *e);

#endif
