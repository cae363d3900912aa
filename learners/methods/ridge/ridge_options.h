/*
 * Options of the closed-form router (see ridge_options.def for every field and its limits).  Plain
 * values; nothing is owned.  The first part describes the features and binds a term's numbers:
 * terms of different features cannot be added.  The second part says how terms are solved and read.
 */
#ifndef LETHE_LEARNERS_RIDGE_OPTIONS_H
#define LETHE_LEARNERS_RIDGE_OPTIONS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_OPTIONS_VERSION 1

enum ridge_contrast { RIDGE_CONTRAST_ALL, RIDGE_CONTRAST_OWNER };
enum ridge_weighting { RIDGE_WEIGHTING_BALANCED, RIDGE_WEIGHTING_PLAIN };
enum ridge_rule { RIDGE_RULE_MAX, RIDGE_RULE_SUM, RIDGE_RULE_SOFT };

struct ridge_options {
#define COUNT(name, value, min, max, text) uint32_t name;
#define REAL(name, value, min, max, text)  float name;
#define CHOICE(name, value, names, text)   uint32_t name;
#include "learners/methods/ridge/ridge_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

void ridge_options_default(struct ridge_options *ret_o);
/*
 * Sets one option from text, e.g. ("features", "2000").  NOT_FOUND: no such option;
 * INVALID_ARGUMENT: not a value for it.  Both name the field; *o is unchanged.
 */
enum status ridge_options_set(struct ridge_options *o,
                              const char *name,
                              const char *value,
                              struct fault *f) MUST_CHECK;
/* INVALID_ARGUMENT naming the option and its limits; also checks options against each other. */
enum status ridge_options_check(const struct ridge_options *o, struct fault *f) MUST_CHECK;
/* Whether the options that describe the features are the same. */
int ridge_options_same_features(const struct ridge_options *a, const struct ridge_options *b);
/* Whether all are the same. */
int ridge_options_same(const struct ridge_options *a, const struct ridge_options *b);

/* Row i of the list (NULL past the end): for help texts and tests. */
struct ridge_option_row {
    const char *name;
    const char *names; /* CHOICE: "a|b|c"; NULL otherwise */
    const char *text;
    double value, min, max;
};
const struct ridge_option_row *ridge_option_row(size_t i);

/* The options in a record; decoding checks every limit. */
void ridge_options_put(const struct ridge_options *o, struct byte_writer *w);
enum status
ridge_options_get(struct byte_reader *r, struct ridge_options *ret_o, struct fault *f) MUST_CHECK;

#endif
