#include "client/cli/learn_data.h"

#include "client/cli/submit.h"
#include "client/cli/upload.h"
#include "daemon/base/sysio.h"

#include <string.h>
#include <unistd.h>

enum status learn_data_read(struct learn_data *d, const struct options *o, struct fault *f)
{
    d->path = options_text(o, "data", NULL);
    if (!d->path || d->path[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "data",
             "images are missing: --data PATH, or the name of an imported data set");
    d->labels = options_text(o, "labels", NULL);
    d->range = options_text(o, "range", NULL);
    d->class_names = options_text(o, "class-names", NULL);
    return submit_read_list(o, "only", &d->only, &d->n_only, f);
}

void learn_data_fini(struct learn_data *d)
{
    sysio_free(d->only);
    d->only = NULL;
}

/* Whether the daemon has a set of this name in any role, and in role train. */
struct found {
    bool any, train, single; /* single: the train set has one label an image */
};

static enum cli_exit look_up(struct cli *c, const char *name, struct found *ret_found)
{
    struct lethe_datasets *list;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_data_list(c->lethe, &list, &e) != LETHE_OK)
        return cli_fail(c, &e);
    *ret_found = (struct found){false, false, false};
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i].name, name) != 0)
            continue;
        ret_found->any = true;
        if (strcmp(list->items[i].role, "train") != 0)
            continue;
        ret_found->train = true;
        ret_found->single = !list->items[i].multi_label;
    }
    lethe_free(list);
    return CLI_DONE;
}

static enum cli_exit use_imported(struct cli *c, struct learn_data *d)
{
    struct found found = {false, false, false};
    const enum cli_exit code = look_up(c, d->path, &found);
    if (code != CLI_DONE)
        return code;
    if (!found.train)
        return cli_usage(c, "%s is neither a file or folder nor an imported data set of role train",
                         d->path);
    if (d->multi_label && found.single)
        return cli_usage(c, "the images of %s have one label each, not several", d->path);
    if (d->labels || d->range || d->class_names || d->n_only > 0)
        return cli_usage(c,
                         "%s is imported already: --labels, --range, --only and --class-names "
                         "choose from files",
                         d->path);
    d->name = d->path;
    return CLI_DONE;
}

static enum cli_exit send_split(struct cli *c, const struct learn_data *d, enum dataset_split split)
{
    const bool test = split == DATASET_TEST;
    const struct upload_request request = {.name = d->name,
                                           .role = test ? "test" : "train",
                                           .path = d->path,
                                           .labels_path = test ? NULL : d->labels,
                                           .split = split,
                                           .range = test ? NULL : d->range,
                                           .only = d->only,
                                           .n_only = d->n_only,
                                           .class_names = d->class_names,
                                           .owner = d->owner,
                                           .multi_label = d->multi_label,
                                           .told = test};
    struct lethe_dataset *made;
    const enum cli_exit code = upload_dataset(c, &request, &made);
    if (code == CLI_DONE)
        lethe_free(made);
    return code;
}

static enum cli_exit send_files(struct cli *c, struct learn_data *d)
{
    struct found found = {false, false, false};
    enum cli_exit code = look_up(c, d->name, &found);
    if (code != CLI_DONE)
        return code;
    if (found.any)
        return cli_usage(c,
                         "the daemon has a data set %s already: --data %s uses it, lethe data "
                         "remove %s removes it",
                         d->name, d->name, d->name);
    code = send_split(c, d, DATASET_TRAIN);
    d->sent = code == CLI_DONE;
    if (code == CLI_DONE && !d->train_only && !d->labels && dataset_has_test(d->path))
        code = send_split(c, d, DATASET_TEST);
    if (code != CLI_DONE)
        learn_data_undo(c, d, NULL);
    return code;
}

/* IDX files may be named by what they begin with. */
static bool is_file(const char *path)
{
    struct dataset *d = NULL;
    const struct dataset_options nothing = {.max_bytes = 1};
    if (access(path, F_OK) == 0)
        return true;
    const enum status st = dataset_open(path, &nothing, &d, NULL);
    dataset_free(d);
    return st != STATUS_NOT_FOUND;
}

enum cli_exit learn_data_send(struct cli *c, struct learn_data *d)
{
    return is_file(d->path) ? send_files(c, d) : use_imported(c, d);
}

/* A daemon that is busy or out of reach may take the request later, with the data as they are. */
static bool is_for_good(const struct lethe_error *e)
{
    return !e || (e->origin == LETHE_FROM_DAEMON && e->retry_after_s == 0 &&
                  e->code != LETHE_UNAVAILABLE && e->code != LETHE_DEADLINE_EXCEEDED);
}

void learn_data_undo(struct cli *c, const struct learn_data *d, const struct lethe_error *e)
{
    if (!d->sent)
        return;
    if (is_for_good(e) && lethe_data_remove(c->lethe, d->name, NULL) == LETHE_OK)
        cli_note(c, "data set %s is removed again", d->name);
    else
        cli_note(c, "data set %s stays with the daemon: --data %s uses it", d->name, d->name);
}
