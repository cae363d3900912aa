/*
 * A lane: everything that one task added to the model (MULTI-LANE, De Min et al. 2024, arXiv
 * 2405.15633).  Selectors s [S, C], key and value prompts [Lp, 2, H, K, D] split by head, head rows
 * W [n, C] and biases b [n], in this order in one block of floats; and a header that says for which
 * classes, on which model, from what and with which settings.  Lanes do not refer to each other,
 * except that `parent` names the lane whose selectors and prompts this one started from.
 *
 * Record (little-endian, daemon/base/bytes.h; one way to write it, strict to read):
 *   "LLANE1\n\0", u32 version, id (16), digests of base, trunk, preprocessing, memory, parent
 * record (32 bytes each), parent id (16), u64 seed, string name, u32 C L H F, u32 multi-label (0 or
 * 1), options (lane_options_put), u32 best epoch, u32 n and n sample keys (u64, ascending), u32 n
 * and for each class string name, f32 threshold; then the parameters as f32.
 */
#ifndef LETHE_LEARNERS_LANE_H
#define LETHE_LEARNERS_LANE_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/methods/multilane/lane_options.h"
#include "learners/vit/vit.h"

#include <stddef.h>
#include <stdint.h>

#define LANE_VERSION   1
#define LANE_NAME_SIZE 256 /* with the NUL, of a lane and of a class */
#define LANE_ID_SIZE   16

/*
 * Chosen by whoever asks for the lane (or hashed from its class names), never its place in a list:
 * it keys the lane's random streams.
 */
struct lane_id {
    uint8_t b[LANE_ID_SIZE];
};
int lane_id_equal(const struct lane_id *a, const struct lane_id *b);
/* The id of a lane that is known by its name. */
struct lane_id lane_id_of_name(const char *name);

/* Where a lane comes from; the caller's digests are only carried and compared. */
struct lane_origin {
    struct lane_id id;
    struct digest base;          /* the frozen base model */
    struct digest trunk;         /* the state of its weights (base and erasures) it was fitted on */
    struct digest preprocessing; /* how pictures become its input */
    struct digest memory;        /* the data */
    struct lane_id parent_id;    /* zero unless init is previous or anchor */
    struct digest parent;        /* digest of the parent's record */
    uint64_t seed;
};

struct lane_class {
    float threshold; /* multi-label: present above this probability */
    char name[LANE_NAME_SIZE];
};

/* Parts of a block of parameters; borrowed. */
struct lane_parameters {
    float *selectors; /* [S, C] */
    float *prompts;   /* [Lp, 2, H, K, D], keys before values */
    float *head_w;    /* [n, C] */
    float *head_b;    /* [n] */
};

/* Borrows its arrays (from the arena of a run or of a decode). */
struct lane {
    struct lane_origin origin;
    char name[LANE_NAME_SIZE];
    uint32_t width, depth, heads, hidden;
    int multi_label;
    struct lane_options options;
    uint32_t best_epoch; /* epoch, from 1, that the parameters are of */
    uint32_t n_keys;
    const uint64_t *keys; /* of the samples behind it, ascending */
    uint32_t n_classes;
    const struct lane_class *classes; /* in the order of the head's rows, no two names alike */
    float *block;                     /* lane_floats of them */
};

/* Parameters of a lane with these options and n classes: S C + 2 Lp K C + n (C + 1). */
size_t lane_floats(const struct vit_config *c, const struct lane_options *o, uint32_t n_classes);
size_t lane_prompt_floats(const struct vit_config *c, const struct lane_options *o);
void lane_map(const struct vit_config *c,
              const struct lane_options *o,
              uint32_t n_classes,
              float *block,
              struct lane_parameters *ret_p);

/*
 * Fresh parameters from the streams (root, "lane/init/...", 0), root being (seed, lane id):
 * s ~ N(0, 1/(S C)), prompts ~ N(0, 1/(K C)), W ~ N(0, 0.02^2), b = 0.  They depend on nothing
 * else.  With `parent` (same S, K, Lp) selectors and prompts are its own instead.
 */
void lane_init_parameters(const struct vit_config *c,
                          const struct lane_options *o,
                          uint32_t n_classes,
                          const struct rng_root *root,
                          const float *parent,
                          float *block);
/* The key of a lane's random streams. */
struct rng_root lane_root(const struct lane_origin *o);

/* probability of class i from its logit: sigmoid(z / temperature) */
float lane_probability(const struct lane *x, float logit);

/* Is one of these sample keys (ascending) among the lane's own? */
int lane_has_key(const struct lane *x, const uint64_t *keys, uint32_t n);
/* Row of the class of this name, or -1. */
int64_t lane_class_of(const struct lane *x, const char *name);

/*
 * Does `lane` descend from the lane `from` (through parents in `lanes` [n], or being it)?  Where
 * one does, dropping `from` does not give what never learning it would have given: not exact.
 */
int lane_descends(const struct lane *lane,
                  const struct lane *const *lanes,
                  uint32_t n,
                  const struct lane_id *from);
/* How many of `lanes` other than `from` itself descend from it; 0: forgetting `from` is exact. */
uint32_t lane_tainted(const struct lane *const *lanes, uint32_t n, const struct lane_id *from);

/*
 * FAILED_PRECONDITION naming both digests if the lane is of another base model or for another
 * preprocessing; such a lane cannot be used.
 */
enum status lane_check_model(const struct lane *x,
                             const struct digest *base,
                             const struct digest *preprocessing,
                             struct fault *f) MUST_CHECK;
/*
 * FAILED_PRECONDITION naming both states if the lane was fitted on another state of the weights.
 * It can still be used there; caches computed on the other state cannot.
 */
enum status
lane_check_trunk(const struct lane *x, const struct digest *trunk, struct fault *f) MUST_CHECK;

size_t lane_encoded_size(const struct lane *x);
/* Writes exactly lane_encoded_size bytes. */
void lane_encode(const struct lane *x, void *to, size_t size);
/*
 * Reads a record for a model of this configuration and, unless NULL, base: numbers and lists come
 * from the arena.  BAD_FORMAT for anything but the exact form (also non-finite numbers),
 * FAILED_PRECONDITION if it was made for other sizes or another base (naming both), NO_MEMORY.
 */
enum status lane_decode(const void *bytes,
                        size_t size,
                        const struct vit_config *config,
                        const struct digest *base,
                        struct arena *arena,
                        struct lane *ret_lane,
                        struct fault *f) MUST_CHECK;
/*
 * Head of a record: origin, name, sizes, options and n_classes, nothing that needs memory.
 * BAD_FORMAT, FAILED_PRECONDITION as lane_decode.
 */
enum status lane_peek(const void *bytes,
                      size_t size,
                      const struct vit_config *config,
                      struct lane *ret_lane,
                      struct fault *f) MUST_CHECK;
/* Whether a record's lane has several labels an image: 1 or 0; -1: it is no such record. */
int lane_record_several(const void *bytes, size_t size);
/* Arena bytes that decoding a record of `size` bytes can take. */
size_t lane_decode_plan(size_t size);

#endif
