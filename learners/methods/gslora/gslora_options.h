/*
 * Options of one GS-LoRA++ request (see gslora_options.def for every field, its limits and the
 * reference implementation's value).  Plain values; nothing is owned.
 */
#ifndef LETHE_LEARNERS_GSLORA_OPTIONS_H
#define LETHE_LEARNERS_GSLORA_OPTIONS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define GSLORA_OPTIONS_VERSION 1

enum gslora_hinge { GSLORA_HINGE_SAMPLE, GSLORA_HINGE_BATCH };
enum gslora_proto_space { GSLORA_PROTO_EMBED, GSLORA_PROTO_LOGITS };
enum gslora_proto_source { GSLORA_PROTO_BASE, GSLORA_PROTO_CURRENT };
enum gslora_depth { GSLORA_DEPTH_OFF, GSLORA_DEPTH_MATCH, GSLORA_DEPTH_LAYERS };
enum gslora_sparse { GSLORA_SPARSE_PROXIMAL, GSLORA_SPARSE_SUBGRADIENT };
enum gslora_metric { GSLORA_METRIC_PLAIN, GSLORA_METRIC_ADAPTIVE };

struct gslora_options {
#define COUNT(name, value, parity, min, max, text) uint32_t name;
#define REAL(name, value, parity, min, max, text)  float name;
#define CHOICE(name, value, parity, names, text)   uint32_t name;
#include "learners/methods/gslora/gslora_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

/* What the automatic values depend on. */
struct gslora_sizes {
    uint32_t classes;     /* K */
    uint32_t rank_inputs; /* C + F */
    uint32_t n_retain;    /* retained training images after train_per_class or few_shot */
    uint32_t n_forget;
};

/* lethe's defaults. */
void gslora_options_default(struct gslora_options *ret_o);
/* The reference implementation's behaviour. */
void gslora_options_parity(struct gslora_options *ret_o);
/*
 * Sets one option from text, e.g. ("depth", "layers") or ("lr", "0.005"); the name "preset" with
 * "default" or "parity" sets them all.  NOT_FOUND: no such option; INVALID_ARGUMENT: not a value
 * for it.  Both name the field; *o is unchanged.
 */
enum status gslora_options_set(struct gslora_options *o,
                               const char *name,
                               const char *value,
                               struct fault *f) MUST_CHECK;
/* INVALID_ARGUMENT naming the option and its limits; also checks options against each other. */
enum status gslora_options_check(const struct gslora_options *o, struct fault *f) MUST_CHECK;
/* Replaces automatic values by what they mean for a problem of this size. */
void gslora_options_resolve(struct gslora_options *o, const struct gslora_sizes *sizes);

/* Row i of the list (NULL past the end): for help texts and tests. */
struct gslora_option_row {
    const char *name;
    const char *names; /* CHOICE: "a|b|c"; NULL otherwise */
    const char *text;
    double value, parity, min, max;
};
const struct gslora_option_row *gslora_option_row(size_t i);

/* The record of a delta's header; decoding checks every limit. */
void gslora_options_put(const struct gslora_options *o, struct byte_writer *w);
enum status
gslora_options_get(struct byte_reader *r, struct gslora_options *ret_o, struct fault *f) MUST_CHECK;

#endif
