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
    const char *note; /* NULL, or what was chosen without being asked for */
    unsigned char *text;
};

/*
 * `which`: "data", "model", the path of a file with one name a line, or NULL: the set's own, except
 * that classes called 0, 1, ... take the model's labels if they are as many as the model has, or,
 * in a set whose classes the model never saw (`foreign`), names "SET 0", "SET 1": a bare number
 * would mean a class of the model.
 * INVALID_ARGUMENT: fewer names than classes, an empty name, or one twice; NOT_FOUND: no such file.
 */
struct class_names_request {
    const char *which;
    const char *set;
    bool foreign;
};
enum status class_names_init(const struct dataset *d,
                             const struct lethe_model *m,
                             const struct class_names_request *request,
                             struct class_names *ret_names,
                             struct fault *f) MUST_CHECK;
void class_names_fini(struct class_names *names);

#endif
