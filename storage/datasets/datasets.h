/*
 * Imported data sets: u8 pixels [n, height, width, channels], row-major, and one label per row, as
 * blobs; the record names them.  A set is known by (name, role), so the splits of one collection
 * share a name.  Rows are addressable: any subset is read without loading the rest.
 *
 * Labels: DATASET_LABELS_CLASS is u32 little-endian [n], each below n_classes;
 * DATASET_LABELS_MULTI is u8 [n, n_classes], each 0 or 1.
 * The digest of a set is BLAKE2b-256 of the content part of its record, so it does not depend on
 * name, role or time.
 *
 * Subjects, if the set has them: 32 bytes a row, which say whose it is (proto/seal/subject.h, the
 * stored form; zero: nobody's).  They are no part of the content, as they differ between stores.
 *
 * Rows can be blanked: their pixels and subjects become zero, in new blobs, and the old blobs go.
 * The set keeps its digest, the one of what was imported, so that lineage goes on naming it; the
 * digest of what is there now stands beside it (format 3).
 *
 * Record (database "datasets", key = name, 0, role u8), strings as u32 length + bytes:
 *   u8 format = 2 | i64 created_us | content digest 32 | subjects 32, zero: none | tag 16 | content
 * (format 1, without subjects, is read as having none; format 3, of a set with blanked rows, has a
 * digest 32 of the content as it is now in front of it): u64 n | u32 height | u32 width | u32
 * channels | u8 label kind | pixels 32 | labels 32 | u32 n_classes | string class name ...
 *
 * Functions that write take a write transaction and are called by storage/store only.
 */
#ifndef LETHE_STORAGE_DATASETS_H
#define LETHE_STORAGE_DATASETS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/blobs/extents.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define DATASET_NAME_SIZE   64 /* with NUL; letters, digits, '.', '_', '-', not first '.' or '-' */
#define DATASET_CLASSES_MAX 10000
#define DATASET_CLASS_MAX   4096 /* bytes of a class name */
#define DATASET_SIDE_MAX    4096
#define DATASET_ROWS_MAX    ((uint64_t)100000000)

/* Numbers are stored; only add. */
enum dataset_role {
    DATASET_TRAIN = 1,
    DATASET_VALIDATION = 2,
    DATASET_TEST = 3,
    DATASET_UNSEEN = 4, /* never-seen items of known classes, or never-seen classes */
    DATASET_PROBE = 5,
    DATASET_ROLES
};

enum dataset_labels { DATASET_LABELS_CLASS = 1, DATASET_LABELS_MULTI = 2 };

const char *dataset_role_name(enum dataset_role role);
/* 0 on success, -1 if the name is unknown. */
int dataset_role_parse(const char *name, enum dataset_role *ret_role);

/*
 * To import one, point class_names at your own memory.  dataset_get gives a single allocation that
 * owns everything: free with datasets_free.
 */
struct dataset {
    char name[DATASET_NAME_SIZE];
    enum dataset_role role;
    uint64_t n;
    uint32_t height;
    uint32_t width;
    uint32_t channels; /* 1 or 3 */
    enum dataset_labels label_kind;
    const char *const *class_names;
    uint32_t n_classes;
    struct digest pixels;   /* blob of n * height * width * channels bytes */
    struct digest labels;   /* blob of n * 4 or n * n_classes bytes */
    struct digest subjects; /* blob of n * 32 bytes; zero: it does not say whose rows are */
    int64_t created_us;
    struct digest digest; /* of the content as it was imported; set by dataset_put */
    int blanked;          /* some rows are, since */
};

/* The rule stated at DATASET_NAME_SIZE. */
int dataset_name_is_valid(const char *name);

/* Bytes of one row; of all pixels; of all labels. */
uint64_t dataset_row_bytes(const struct dataset *d);
uint64_t dataset_pixel_bytes(const struct dataset *d);
uint64_t dataset_label_bytes(const struct dataset *d);
/* Of all subjects; 0: the set has none. */
uint64_t dataset_subject_bytes(const struct dataset *d);

/*
 * Adds a set whose blobs are in the store; checks sizes and every label.  ALREADY_EXISTS if
 * (name, role) is taken; INVALID_ARGUMENT names the field; NOT_FOUND for a missing blob.
 */
enum status dataset_put(struct kv_txn *txn,
                        const struct dataset *d,
                        struct digest *ret_digest,
                        struct fault *f) MUST_CHECK;
/* NOT_FOUND with a fault. */
enum status dataset_get(struct kv_txn *txn,
                        const char *name,
                        enum dataset_role role,
                        struct dataset **ret_dataset,
                        struct fault *f) MUST_CHECK;
void datasets_free(struct dataset *d);
/*
 * Blanks rows (rising).  The blobs that held them are the caller's to drop, if nothing else names
 * them: *ret_pixels and *ret_subjects (zero: none).  OUT_OF_RANGE.
 */
enum status dataset_blank_rows(struct kv_txn *txn,
                               const char *name,
                               enum dataset_role role,
                               const uint32_t *rows,
                               size_t n_rows,
                               struct digest *ret_pixels,
                               struct digest *ret_subjects,
                               struct fault *f) MUST_CHECK;
/*
 * Removes the record; the store deletes its blobs in the same change if nothing else names them.
 * FAILED_PRECONDITION if `in_use` (an open request names it; the caller knows) or if a replay
 * memory refers to it.
 */
enum status dataset_remove(struct kv_txn *txn,
                           const char *name,
                           enum dataset_role role,
                           int in_use,
                           struct fault *f) MUST_CHECK;

typedef enum status dataset_list_fn(const struct dataset *d, void *context, struct fault *f);
/* In order of name and role. */
enum status
dataset_list(struct kv_txn *txn, dataset_list_fn *fn, void *context, struct fault *f) MUST_CHECK;

/* Pixels of rows[0..n_rows) into to[n_rows, row bytes]; rising rows are fastest.  OUT_OF_RANGE. */
enum status dataset_read_rows(struct kv_txn *txn,
                              const struct dataset *d,
                              const uint32_t *rows,
                              size_t n_rows,
                              uint8_t *to,
                              struct fault *f) MUST_CHECK;
/* All class labels into to[n]; FAILED_PRECONDITION for a multi-label set. */
enum status dataset_read_classes(struct kv_txn *txn,
                                 const struct dataset *d,
                                 uint32_t *to,
                                 struct fault *f) MUST_CHECK;
/* Whose each row is, into to[n]; zero is nobody, in a set without subjects everywhere. */
enum status dataset_read_subjects(struct kv_txn *txn,
                                  const struct dataset *d,
                                  struct digest *to,
                                  struct fault *f) MUST_CHECK;
/* All multi-hot labels into to[n, n_classes]; FAILED_PRECONDITION for a class set. */
enum status dataset_read_multi(struct kv_txn *txn,
                               const struct dataset *d,
                               uint8_t *to,
                               struct fault *f) MUST_CHECK;

#endif
