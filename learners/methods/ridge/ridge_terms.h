/*
 * What the router keeps of one owner (a lane, an expert, or a task learned by the router alone):
 * terms, the sums of ridge_sum.h over the owner's images, and a header that says which trunk and
 * which features they are made of.  Features themselves are never kept.
 *
 * An owner of single-label classes has one term a class: a class is forgotten exactly by leaving
 * its term out (ridge_terms_drop), which gives the bytes of an owner that never had the class.  An
 * owner of multi-label classes has one term for all of them, because an image with several classes
 * is in one Gram matrix only: there the unit of exact forgetting is the owner, and a class or a
 * sample is forgotten by computing the owner's term again without it.  So is a sample of a
 * single-label class.
 *
 * Each term holds two sums: of the images that are fitted, and of those held out to choose the
 * penalty.
 *
 * Record (little-endian, daemon/base/bytes.h; one way to write it, strict to read):
 *   "LRIDGE1\n", u32 version, digests of base, trunk state, preprocessing and data (32 bytes each),
 *   request id (16), options (ridge_options_put), u32 P, owner's name, u8 multi-label, u32 number
 * of terms, u32 number of classes, then for each term: u32 n and n class names (ascending over the
 *   whole record), and twice (fitted, held out): u64 images, u64 images of each class, the packed
 *   sum.
 */
#ifndef LETHE_LEARNERS_RIDGE_TERMS_H
#define LETHE_LEARNERS_RIDGE_TERMS_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "learners/methods/ridge/ridge_options.h"
#include "learners/methods/ridge/ridge_sum.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_TERMS_VERSION     1
#define RIDGE_TERMS_MAX_CLASSES 10000u
#define RIDGE_TERMS_NAME_SIZE   256 /* of a class, with its NUL */
#define RIDGE_TERMS_OWNER_SIZE  64

/* Where terms come from; the caller's digests are only carried and compared. */
struct ridge_origin {
    struct digest base;          /* the frozen base model; keys the random features */
    struct digest state;         /* the trunk: base and erasures */
    struct digest preprocessing; /* how pictures become images */
    struct digest data;          /* name of the images in lineage; zero: none */
    struct request_id request;
};

struct ridge_term {
    uint32_t n_classes;
    const char *const *classes; /* of decoded and learned terms: one array, term after term */
    struct ridge_packed fit;    /* fit.n >= 1 */
    struct ridge_packed held;   /* held.n 0: nothing was held out */
};

/* Borrows everything from the arena of a run or of a decode. */
struct ridge_terms {
    struct ridge_origin origin;
    struct ridge_options options;
    size_t width; /* P */
    char owner[RIDGE_TERMS_OWNER_SIZE];
    int multi; /* 1: multi-label, one term */
    uint32_t n;
    struct ridge_term *terms; /* ascending by class name */
};

uint32_t ridge_terms_classes(const struct ridge_terms *t);
size_t ridge_terms_encoded_size(const struct ridge_terms *t);
/* Writes exactly ridge_terms_encoded_size bytes. */
void ridge_terms_encode(const struct ridge_terms *t, void *to, size_t size);
/*
 * Reads a record; keeps a copy of its bytes in the arena.  BAD_FORMAT for anything but the exact
 * form, NO_MEMORY.
 */
enum status ridge_terms_decode(const void *bytes,
                               size_t size,
                               struct arena *arena,
                               struct ridge_terms *ret_terms,
                               struct fault *f) MUST_CHECK;
/* What a record's header promises; -1: it has no such header. */
struct ridge_terms_sizes {
    size_t width; /* P */
    uint32_t n_terms, n_classes;
};
int ridge_terms_sizes_of(const void *bytes, size_t size, struct ridge_terms_sizes *ret_sizes);
/* Arena bytes that decoding this record can take. */
size_t ridge_terms_decode_plan(const void *bytes, size_t size);

/*
 * FAILED_PRECONDITION naming both sides unless the terms were made on this base, trunk state and
 * preprocessing (of which a zero digest in `here` is not compared).
 */
enum status ridge_terms_check(const struct ridge_terms *t,
                              const struct ridge_origin *here,
                              struct fault *f) MUST_CHECK;
/*
 * The terms of an owner that has the images of both, single-label, a's owner and origin: sums are
 * whole numbers, so they are those of one run over all images, to the byte.  Borrows from a, b and
 * the arena (ridge_terms_merge_plan).  FAILED_PRECONDITION: other features or multi-label;
 * RESOURCE_EXHAUSTED: too many images; NO_MEMORY.
 */
size_t ridge_terms_merge_plan(const struct ridge_terms *a, const struct ridge_terms *b);
enum status ridge_terms_merge(const struct ridge_terms *a,
                              const struct ridge_terms *b,
                              struct arena *arena,
                              struct ridge_terms *ret_terms,
                              struct fault *f) MUST_CHECK;
/*
 * Leaves out a class and names what is left of the data (zero: nobody knows).  NOT_FOUND: no such
 * class; FAILED_PRECONDITION: its only class (then the owner goes), or multi-label.
 */
enum status ridge_terms_drop(struct ridge_terms *t,
                             const char *class_name,
                             const struct digest *data,
                             struct fault *f) MUST_CHECK;

#endif
