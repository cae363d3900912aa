/*
 * Settings of a TAME stream (see tame_options.def for every field, its limits and the published
 * value).  Plain values; nothing is owned.
 */
#ifndef LETHE_LEARNERS_TAME_OPTIONS_H
#define LETHE_LEARNERS_TAME_OPTIONS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define TAME_OPTIONS_VERSION 1
#define TAME_WINDOW_MAX      256 /* largest window, as in the list */
#define TAME_EXPERTS_MAX     256
#define TAME_PROBE_RUN       24 /* below this many batches a run the alarm comes too late */
#define TAME_PROBE_BATCHES   4  /* batches that a probe decides on, at most */

enum tame_mode { TAME_HARDENED, TAME_PARITY };
enum tame_kind_choice { TAME_KIND_ADAPTER, TAME_KIND_CONV };
enum tame_growth { TAME_GROWTH_NEW, TAME_GROWTH_EXTEND };
enum tame_probe { TAME_PROBE_AUTO, TAME_PROBE_OFF, TAME_PROBE_ON };
enum tame_store { TAME_STORE_IMAGE, TAME_STORE_FEATURE };
enum tame_selector_choice { TAME_SELECTOR_NONE, TAME_SELECTOR_LINEAR, TAME_SELECTOR_NET };

struct tame_options {
#define COUNT(name, value, parity, min, max, text) uint32_t name;
#define REAL(name, value, parity, min, max, text)  float name;
#define CHOICE(name, value, parity, names, text)   uint32_t name;
#include "learners/methods/tame/tame_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

void tame_options_default(struct tame_options *ret_o);
void tame_options_parity(struct tame_options *ret_o);
/*
 * Sets one setting from text, e.g. ("patience", "3"); the name "preset" with "default" or "parity"
 * sets them all.  NOT_FOUND: no such setting; INVALID_ARGUMENT: not a value for it.  Both name the
 * field; *o is unchanged.
 */
enum status tame_options_set(struct tame_options *o,
                             const char *name,
                             const char *value,
                             struct fault *f) MUST_CHECK;
/* INVALID_ARGUMENT naming the setting and its limits; also checks settings against each other. */
enum status tame_options_check(const struct tame_options *o, struct fault *f) MUST_CHECK;
/* Replaces automatic values by what they mean. */
void tame_options_resolve(struct tame_options *o);
/* Name of the first setting in which they differ, NULL: they are the same. */
const char *tame_options_difference(const struct tame_options *a, const struct tame_options *b);
/* Whether every push begins with a probe. */
int tame_options_probes(const struct tame_options *o);

/* Row i of the list (NULL past the end): for help texts and tests. */
struct tame_option_row {
    const char *name;
    const char *names; /* CHOICE: "a|b|c"; NULL otherwise */
    const char *text;
    double value, parity, min, max;
};
const struct tame_option_row *tame_option_row(size_t i);

/* The record of a stream's header; decoding checks every limit. */
void tame_options_put(const struct tame_options *o, struct byte_writer *w);
enum status
tame_options_get(struct byte_reader *r, struct tame_options *ret_o, struct fault *f) MUST_CHECK;

#endif
