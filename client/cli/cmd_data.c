/* data import, list, remove: data sets in the daemon's store. */
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/show.h"
#include "client/cli/upload.h"
#include "daemon/base/sysio.h"

#include <string.h>

static const struct option_spec SPECS[] = {
    {"labels", 'l', OPTION_VALUE, "FILE", "labels, if they are not found beside PATH"},
    {"role", 0, OPTION_VALUE, "ROLE", "train, validation, test, unseen or probe (default train)"},
    {"split", 0, OPTION_VALUE, "SPLIT",
     "train or test part of a folder that holds both (default: by role)"},
    {"range", 'r', OPTION_VALUE, "A:B", "images A to B-1 only"},
    {"only", 0, OPTION_VALUES, "CLASS",
     "these classes only, by the names that the files give them"},
    {"subject-field", 0, OPTION_VALUE, "F",
     "whose an image is: array F of an .npz, or part F of the file names a_b_c.png"},
    {"subjects", 0, OPTION_VALUE, "FILE", "the same from a file with one id a line"},
    {"class-names", 0, OPTION_VALUE, "WHICH",
     "model, data, or a file with one name a line (default: see above)"},
};

static const struct option_spec REMOVE_SPECS[] = {
    {"force", 0, OPTION_FLAG, NULL, "also if a learned task descends from it"},
};

static const char DETAILS[] =
    "PATH is a folder with one sub-folder of PNG or JPEG files a class (or with two such folders,\n"
    "train and test), a pair of IDX files (one of them, or their folder; plain or .gz), .npy or\n"
    ".npz.  Pictures are resized and cropped as the model wants them; arrays must have the\n"
    "model's size.  Labels are one number an image, or a multi-hot array [images, classes].\n\n"
    "Classes take the names of the sub-folders.  A data set whose classes are only numbers\n"
    "takes the model's labels if it has as many classes; --class-names data keeps the numbers.\n"
    "With --role unseen (classes that the model never saw) they are named after the data set.\n\n"
    "With --subject-field or --subjects the data set says whose each image is, so that lethe\n"
    "forget --subject ID finds them.  Ids are hashed here and hashed again under a key of the\n"
    "daemon's; the ids themselves are sent and stored nowhere.";

static const char *const ROLES[] = {"train", "validation", "test", "unseen", "probe", NULL};

/* ------------------------------------------------------------------ import */

static enum cli_exit
import_chosen(struct cli *c, const struct options *o, const char *role, bool test)
{
    const size_t n_only = options_list(o, "only", NULL, 0);
    const char **only = sysio_alloc(n_only + 1, sizeof *only);
    if (!only)
        return cli_usage(c, "out of memory");
    (void)options_list(o, "only", only, n_only);
    const struct upload_request request = {.name = o->operands[0],
                                           .role = role,
                                           .path = o->operands[1],
                                           .labels_path = options_text(o, "labels", NULL),
                                           .subject_field = options_text(o, "subject-field", NULL),
                                           .subjects_path = options_text(o, "subjects", NULL),
                                           .split = test ? DATASET_TEST : DATASET_TRAIN,
                                           .range = options_text(o, "range", NULL),
                                           .only = only,
                                           .n_only = n_only,
                                           .class_names = options_text(o, "class-names", NULL),
                                           .owner =
                                               strcmp(role, "unseen") == 0 ? o->operands[0] : NULL};
    struct lethe_dataset *made;
    const enum cli_exit code = upload_dataset(c, &request, &made);
    sysio_free(only);
    if (code != CLI_DONE)
        return code;
    bool good = true;
    if (c->json)
        good = json_out_dataset(c->out, made);
    else
        show_datasets(c->out, made, 1);
    lethe_free(made);
    return cli_printed(c, good);
}

static enum cli_exit run_import(struct cli *c, const struct options *o)
{
    static const char *const SPLITS[] = {"train", "test", NULL};
    struct fault f = {0};
    size_t role, split;
    if (options_choice(o, "role", ROLES, 0, &role, &f) != STATUS_OK ||
        options_choice(o, "split", SPLITS, strcmp(ROLES[role], "test") == 0, &split, &f) !=
            STATUS_OK)
        return cli_fail_fault(c, &f);
    return import_chosen(c, o, ROLES[role], split == 1);
}

/* ------------------------------------------------------------------ list, remove */

static enum cli_exit run_list(struct cli *c, const struct options *o)
{
    (void)o;
    struct lethe_datasets *list;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_data_list(c->lethe, &list, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (!c->json)
        show_datasets(c->out, list->items, list->n);
    for (size_t i = 0; c->json && good && i < list->n; i++)
        good = json_out_dataset(c->out, &list->items[i]);
    lethe_free(list);
    return cli_printed(c, good);
}

static enum cli_exit run_remove(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    const char *name = o->operands[0];
    const enum lethe_code code = options_flag(o, "force")
                                     ? lethe_data_remove_forced(c->lethe, name, &e)
                                     : lethe_data_remove(c->lethe, name, &e);
    if (code != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_removed(c->out, o->operands[0]);
    else
        cli_note(c, "data set %s is removed", o->operands[0]);
    return cli_printed(c, good);
}

const struct command cmd_data_table[] = {
    {"data import", "NAME PATH", "Send a data set to the daemon", DETAILS, SPECS,
     sizeof SPECS / sizeof SPECS[0], 2, 2, run_import},
    {"data list", "", "List data sets", NULL, NULL, 0, 0, 0, run_list},
    {"data remove", "NAME", "Remove a data set",
     "A data set that a learned task descends from stays: without it no class, sample or subject "
     "of\n"
     "the task could be forgotten exactly, only the task as a whole.  --force removes it.",
     REMOVE_SPECS, sizeof REMOVE_SPECS / sizeof REMOVE_SPECS[0], 1, 1, run_remove},
    {.name = NULL},
};
