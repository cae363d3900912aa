/*
 * From files to a data set in the daemon's store: opened, prepared as the model wants it, some of
 * its images and classes chosen, its classes named, sent with a bar on the terminal.
 */
#ifndef LETHE_CLI_UPLOAD_H
#define LETHE_CLI_UPLOAD_H

#include "client/cli/cli.h"
#include "client/dataset/dataset.h"

struct upload_request {
    const char *name; /* of the data set to be */
    const char *role;
    const char *path;
    const char *labels_path;   /* NULL: found beside the path */
    const char *subject_field; /* see dataset.h; NULL: it does not say whose images are */
    const char *subjects_path;
    enum dataset_split split;
    const char *range;       /* "A:B"; NULL: all images */
    const char *const *only; /* classes by the names that the files give them; the others stay */
    size_t n_only;           /* behind; 0: all of them */
    const char *class_names; /* see class_names.h; NULL: by habit */
    const char *owner;       /* classes that are only numbers are named after it; NULL: they may be
                                the model's own */
    bool multi_label;        /* refuse a set with one label an image */
    bool told;               /* how classes are named was said with another part of the set */
};

/*
 * Connects if need be and sends the set; *ret_made is the caller's (lethe_free).  CLI_DONE, or the
 * exit after saying why.
 */
enum cli_exit upload_dataset(struct cli *c,
                             const struct upload_request *r,
                             struct lethe_dataset **ret_made) MUST_CHECK;

#endif
