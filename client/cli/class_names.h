/* The names that a data set's classes take: its own, the model's labels, or those of a file. */
#ifndef LETHE_CLI_CLASS_NAMES_H
#define LETHE_CLI_CLASS_NAMES_H

#include "client/dataset/dataset.h"
#include "client/lethe.h"
#include "daemon/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct class_names {
    const char **items; /* borrowed from the set, the model or `text` */
    size_t n;
    bool from_model; /* chosen without being asked for: worth telling */
    unsigned char *text;
};

/*
 * `which`: "data", "model", the path of a file with one name a line, or NULL: the model's labels if
 * the set's classes are 0, 1, ... and as many as the model has, else the set's own.
 * INVALID_ARGUMENT: fewer names than classes, an empty name, or one twice; NOT_FOUND: no such file.
 */
enum status class_names_init(const struct dataset *d,
                             const struct lethe_model *m,
                             const char *which,
                             struct class_names *ret_names,
                             struct fault *f) MUST_CHECK;
void class_names_fini(struct class_names *names);

#endif
