/*
 * Options of one lane (see lane_options.def for every field, its limits and the reference
 * implementation's value).  Plain values; nothing is owned.
 */
#ifndef LETHE_LEARNERS_LANE_OPTIONS_H
#define LETHE_LEARNERS_LANE_OPTIONS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define LANE_OPTIONS_VERSION 1

enum lane_init { LANE_INIT_FIXED, LANE_INIT_PREVIOUS, LANE_INIT_ANCHOR };
enum lane_replace { LANE_REPLACE_PARITY, LANE_REPLACE_PURE };

struct lane_options {
#define COUNT(name, value, parity, min, max, text) uint32_t name;
#define REAL(name, value, parity, min, max, text)  float name;
#define CHOICE(name, value, parity, names, text)   uint32_t name;
#include "learners/methods/multilane/lane_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

/* lethe's defaults. */
void lane_options_default(struct lane_options *ret_o);
/* The reference implementation's behaviour. */
void lane_options_parity(struct lane_options *ret_o);
/*
 * Sets one option from text, e.g. ("init", "previous") or ("lr", "0.005"); the name "preset" with
 * "default" or "parity" sets them all.  NOT_FOUND: no such option; INVALID_ARGUMENT: not a value
 * for it.  Both name the field; *o is unchanged.
 */
enum status lane_options_set(struct lane_options *o,
                             const char *name,
                             const char *value,
                             struct fault *f) MUST_CHECK;
/* INVALID_ARGUMENT naming the option and its limits; also against each other and the model. */
enum status lane_options_check(const struct lane_options *o,
                               const struct vit_config *c,
                               struct fault *f) MUST_CHECK;
/* Training images are changed from epoch to epoch. */
int lane_options_augment(const struct lane_options *o);

/* Row i of the list (NULL past the end): for help texts and tests. */
struct lane_option_row {
    const char *name;
    const char *names; /* CHOICE: "a|b|c"; NULL otherwise */
    const char *text;
    double value, parity, min, max;
};
const struct lane_option_row *lane_option_row(size_t i);

/* The record of a lane's header; decoding checks every limit. */
void lane_options_put(const struct lane_options *o, struct byte_writer *w);
enum status
lane_options_get(struct byte_reader *r, struct lane_options *ret_o, struct fault *f) MUST_CHECK;

#endif
