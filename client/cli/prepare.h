/*
 * From files to what the model takes: pictures are resized and cropped by the model's own
 * preprocessing, arrays must fit as they are.  The daemon never sees a file.
 */
#ifndef LETHE_CLI_PREPARE_H
#define LETHE_CLI_PREPARE_H

#include "client/dataset/dataset.h"
#include "client/lethe.h"
#include "daemon/base/status.h"

#include <stdint.h>

/* Images [first, end) of a data set, from "A:B", "A:", ":B" or "A". */
struct prepare_range {
    uint32_t first, end;
};
/* INVALID_ARGUMENT if `text` is no range or reaches beyond n.  NULL text: all. */
enum status prepare_parse_range(const char *text,
                                uint32_t n,
                                struct prepare_range *ret_range,
                                struct fault *f) MUST_CHECK;

/* How the model wants its pictures.  INVALID_ARGUMENT if the daemon names an unknown filter or a
 * size that no picture can have. */
enum status prepare_from_model(const struct lethe_model *m,
                               struct preparation *ret_preparation,
                               struct fault *f) MUST_CHECK;

/* INVALID_ARGUMENT, saying both sizes, if images of this shape do not fit the model. */
enum status prepare_check_shape(const char *path,
                                const struct dataset_shape *shape,
                                const struct lethe_model *m,
                                struct fault *f) MUST_CHECK;

#endif
