/*
 * A component that came as a file (component_file.h), read and checked against the base and the
 * trunk here: its record by its own learner, its router terms, its name and its labels.  What the
 * version says about names and labels is checked by admit_import.h.
 *
 * | what                                                     | code                | field       |
 * | another digest than the call says                        | INVALID_ARGUMENT    | digest      |
 * | no file of a component, cut short, damaged, hostile      | BAD_FORMAT          | the part    |
 * | made for another base, preprocessing or trunk            | FAILED_PRECONDITION | base, ...   |
 * | another kind than the call says                          | INVALID_ARGUMENT    | kind        |
 * | an expert without router terms: nothing would reach it   | BAD_FORMAT          | router      |
 * | no valid name                                            | INVALID_ARGUMENT    | name        |
 * | a label that is no text, or too long                     | INVALID_ARGUMENT    | labels      |
 * | terms of other labels, or of other features than here    | BAD_FORMAT, FAILED_PRECONDITION |
 */
#ifndef LETHE_JOBS_IMPORTED_H
#define LETHE_JOBS_IMPORTED_H

#include "daemon/base/status.h"
#include "daemon/jobs/base_model.h"
#include "daemon/jobs/component_file.h"
#include "daemon/jobs/job_wire.h"
#include "proto/wire.h"

#include <stddef.h>
#include <stdint.h>

struct imported {
    struct component_file file; /* its records borrow from the file's bytes */
    struct digest digest;       /* of the whole file */
    /*
     * That it takes here.  An expert joins a stream: `name` is the stream's, `expert` its own
     * there, empty until imported_join has been told.
     */
    char name[JOB_NAME_SIZE], expert[JOB_NAME_SIZE];
    int several; /* an image may have several of its labels */
    uint32_t n_classes;
    const char **classes; /* owned */
    uint8_t *terms;       /* owned; of the router, under the name that it takes; NULL: none */
    size_t terms_size;
    void *owned; /* the file's bytes, if they go with it; NULL: the caller's */
};

/*
 * What the file says that the call left open: kind and name, in `ret_c`, whose texts *ret_m then
 * borrows.  Checks the digest and the form of the file only.
 */
enum status imported_named(const void *bytes,
                           size_t size,
                           const struct wire_import *m,
                           struct component_file *ret_c,
                           struct wire_import *ret_m,
                           struct fault *f) MUST_CHECK;
/* Kind and name of `m` are there.  The bytes must stay; NO_MEMORY and the above.  imported_free. */
enum status imported_read(const void *bytes,
                          size_t size,
                          const struct wire_import *m,
                          const struct base_model *base,
                          const struct digest *trunk,
                          struct imported *ret_x,
                          struct fault *f) MUST_CHECK;
/* The expert's name within its stream, for it and its router terms.  NO_MEMORY. */
enum status imported_join(struct imported *x, const char *expert, struct fault *f) MUST_CHECK;
int imported_is_expert(const struct imported *x);
void imported_free(struct imported *x);

#endif
