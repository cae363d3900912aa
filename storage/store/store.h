/*
 * The store as a whole, and the one place through which every change of state passes.
 *
 * Writing: fill a struct store_change with everything that has to become true together and call
 * store_commit: it is applied in one durable transaction, with its entries of the log and a signed
 * checkpoint over them (store_log.h), or not at all.
 * Reading: store_read_begin, then the *_get, *_list, *_load functions of queue.h, versions.h,
 * serving.h, blobs.h, datasets.h, uploads.h, replay_memory.h, audit_log.h and evidence.h on that
 * transaction, then store_read_end; all reads of one transaction see the same moment.  The
 * store_read_* one-shots do this for a single question.
 *
 * Threads: any.  Writers queue behind each other.  A thread that holds a read transaction must end
 * it before it commits (see kv.h), and should end it soon: old pages cannot be used again
 * meanwhile.
 */
#ifndef LETHE_STORAGE_STORE_H
#define LETHE_STORAGE_STORE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/log_entry.h"
#include "proto/seal/subject.h"
#include "storage/blobs/blobs.h"
#include "storage/datasets/datasets.h"
#include "storage/datasets/replay_memory.h"
#include "storage/datasets/uploads.h"
#include "storage/kv/kv.h"
#include "storage/queue/queue.h"
#include "storage/vault/vault.h"
#include "storage/versions/serving.h"
#include "storage/versions/versions.h"

#include <stddef.h>
#include <stdint.h>

struct store;

/* Errors as kv_open and vault_open; the KEK folder is the store's folder followed by ".keys". */
enum status
store_open(const struct kv_options *options, struct store **ret_store, struct fault *f) MUST_CHECK;
/* The same with the KEKs in another folder, best on another medium. */
enum status store_open_keyed(const struct kv_options *options,
                             const char *kek_folder,
                             struct store **ret_store,
                             struct fault *f) MUST_CHECK;
/* NULL allowed; no transaction may be open. */
void store_close(struct store *s);
/* 16 random bytes made with the store; they name this installation. */
struct request_id store_identity(const struct store *s);

/*
 * The secret under which subjects are stored (proto/seal/subject.h); made when it is first asked
 * for, and never shown.
 */
enum status
store_subject_key(struct store *s, struct subject_key *ret_key, struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- changes */

struct store_blob {
    enum blob_kind kind;
    const void *bytes;
    size_t size;
};

struct store_answer {
    struct request_id id;
    const void *bytes;
    size_t size;
};

struct store_dataset_name {
    const char *name;
    enum dataset_role role;
    int in_use; /* an open request names it: removal is refused */
};

/* Rows of a data set that are blanked; rising. */
struct store_blank {
    const char *name;
    enum dataset_role role;
    const uint32_t *rows;
    size_t n_rows;
};

struct store_upload_end {
    struct request_id id;
    enum blob_kind kind; /* BLOB_PIXELS, BLOB_LABELS, ... */
};

struct store_memory_class {
    const char *name;
    uint32_t class_index;
};

/* How a version was made, for its entry; all of it may be left out. */
struct store_method {
    const char *name; /* word: of the learner, or of the change */
    const struct digest *parameters;
    uint64_t seed;
    int has_seed;
};

/* An entry that goes with no other change, e.g. rollback.refused. */
struct store_entry {
    enum log_kind kind;
    const struct log_value *values;
    size_t n_values;
};

/* A certificate of a request, with one empty slot in each text (proto/seal/certificate.h). */
struct store_certificate {
    struct request_id request;
    struct digest state; /* of what the texts depend on: the same, the same certificate */
    const char *level;   /* word: of the ladder, or "none" */
    uint64_t epoch;      /* whose keys were destroyed for it; 0: none yet */
    const char *json;
    size_t json_size;
    const char *html;
    size_t html_size;
};

/*
 * Everything is optional and borrowed; a field that is not set changes nothing.  Applied in the
 * order written here, so later parts may refer to earlier ones (a manifest to the blobs).
 */
struct store_change {
    int64_t now_us; /* required: time of the entries */
    /* Who asked for it, for the log: an actor (proto/seal/log_value.h); NULL: the daemon itself. */
    const char *actor;
    /* If this request is known already, nothing else of the change is applied. */
    const struct queue_submission *accept;
    const struct store_blob *blobs;
    size_t n_blobs;
    const struct store_upload_end *uploads; /* complete uploads that become blobs */
    size_t n_uploads;
    const struct dataset *datasets;
    size_t n_datasets;
    const struct store_dataset_name *datasets_removed;
    size_t n_datasets_removed;
    const struct replay_memory *memory;              /* stored or replaced */
    const struct store_memory_class *memory_classes; /* taken out of their memories */
    size_t n_memory_classes;
    const char *memory_removed; /* name */
    const struct version *version;
    const struct store_method *method; /* how the version was made */
    const struct serving_move *serve; /* see serving_swap; version_id gives the digest beforehand */
    const struct queue_move *moves;
    size_t n_moves;
    const struct store_answer *answer;
    const struct request_id *cancel; /* sets the cancel flag of a running request */
    const struct serving_pin *pin;
    const struct digest *unpin;
    const struct store_blank *blanked;
    size_t n_blanked;
    const struct digest *destroyed; /* blobs whose content is given up for good (blob_destroy) */
    size_t n_destroyed;
    int shred_done; /* the KEK of the epoch before was seen to be gone (vault/rotation.h) */
    const struct store_entry *entries;
    size_t n_entries;
    const struct store_certificate *certificate;
};

struct store_result {
    int known;                    /* the accepted request was there before */
    struct queue_record accepted; /* with accept */
    struct queue_record moved;    /* after the last move */
    struct digest version;        /* with version */
    struct serving serving;       /* with serve */
    struct digest memory;         /* with memory */
    uint64_t memory_rows;         /* rows taken out by memory_classes */
    uint64_t log_size;            /* entries of the log after it; 0: it added none */
};

/*
 * Applies a change.  ret_result may be NULL.  On any failure the store is as it was: the errors
 * are those of the parts, and NO_SPACE, RESOURCE_EXHAUSTED, UNAVAILABLE of kv_update.
 * FAILED_PRECONDITION, field "log": the log was not begun.
 */
enum status store_commit(struct store *s,
                         const struct store_change *change,
                         struct store_result *ret_result,
                         struct fault *f) MUST_CHECK;

/*
 * Part of every start: puts requests that were running or evaluating back into the queue (event
 * RESTART, same seed, cancel flag kept).  *ret_moved (NULL allowed) says how many.
 */
enum status
store_recover(struct store *s, int64_t now_us, size_t *ret_moved, struct fault *f) MUST_CHECK;

/* What a rotation did. */
struct store_shredding {
    uint64_t epoch; /* in which the store now is */
    uint64_t keys;  /* data keys that live on */
    uint64_t dead;  /* that do not */
    int pending;    /* the old KEK could not be destroyed yet: store_shred_finish */
};

/*
 * Rotates the epoch (vault/rotation.h): what was deleted until now can never be read again, here or
 * in an older copy of the store.  Notes shred.begin and shred.done.  On failure either nothing has
 * changed, or only the end is missing (`pending`, with the status of the last attempt).
 */
enum status store_shred(struct store *s,
                        int64_t now_us,
                        struct store_shredding *ret_shredding,
                        struct fault *f) MUST_CHECK;
/* Ends a rotation that was cut off after its switch; does nothing if there is none. */
enum status
store_shred_finish(struct store *s, int64_t now_us, int *ret_finished, struct fault *f) MUST_CHECK;
/*
 * Every component that some version names and `kept` does not, and whose content is still there;
 * *ret_list is in fresh memory (sysio_free).
 */
enum status store_outdated(struct store *s,
                           const struct version *kept,
                           struct digest **ret_list,
                           size_t *ret_n,
                           struct fault *f) MUST_CHECK;
/* Epoch, living and dead data keys, key store. */
enum status
store_vault_state(struct store *s, struct vault_state *ret_state, struct fault *f) MUST_CHECK;
/*
 * Writes the live pages into a new file and forgets the old one (kv_compact).  Nobody else may hold
 * a transaction open for long: UNAVAILABLE.
 */
enum status store_compact(struct store *s, struct fault *f) MUST_CHECK;

/* Uploads in progress: see uploads.h.  Pieces are durable when these return; no events. */
enum status store_upload_open(struct store *s,
                              const struct upload_open *o,
                              struct upload *ret_upload,
                              struct fault *f) MUST_CHECK;
enum status store_upload_append(struct store *s,
                                const struct request_id *id,
                                uint64_t offset,
                                const void *bytes,
                                size_t n,
                                struct upload *ret_upload,
                                struct fault *f) MUST_CHECK;
enum status
store_upload_abort(struct store *s, const struct request_id *id, struct fault *f) MUST_CHECK;
enum status store_upload_expire(struct store *s,
                                int64_t now_us,
                                size_t *ret_removed,
                                struct fault *f) MUST_CHECK;

/*
 * Deletes blobs that nothing names: no version, request, data set, memory.  Not blobs of kind
 * OTHER, which are their owner's business.  *ret_removed and *ret_bytes may be NULL.
 */
enum status store_collect(struct store *s,
                          size_t *ret_removed,
                          uint64_t *ret_bytes,
                          struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- reading */

enum status store_read_begin(struct store *s, struct kv_txn **ret_txn, struct fault *f) MUST_CHECK;
/* NULL allowed. */
void store_read_end(struct kv_txn *txn);

/* One question each; errors and ownership as the function they call. */
enum status store_read_request(struct store *s,
                               const struct request_id *id,
                               struct queue_record *ret_record,
                               struct fault *f) MUST_CHECK;
enum status store_read_payload(struct store *s,
                               const struct request_id *id,
                               void **ret_bytes,
                               size_t *ret_size,
                               struct fault *f) MUST_CHECK;
enum status store_read_oldest(struct store *s,
                              enum request_state state,
                              struct queue_record *ret_record,
                              struct fault *f) MUST_CHECK;
enum status
store_read_counts(struct store *s, uint64_t ret_counts[REQUEST_STATES], struct fault *f) MUST_CHECK;
enum status store_read_version(struct store *s,
                               const struct digest *digest,
                               struct version **ret_version,
                               struct fault *f) MUST_CHECK;
enum status
store_read_serving(struct store *s, struct serving *ret_serving, struct fault *f) MUST_CHECK;
enum status store_read_blob(struct store *s,
                            const struct digest *digest,
                            size_t max,
                            void **ret_bytes,
                            size_t *ret_size,
                            struct fault *f) MUST_CHECK;
enum status store_read_dataset(struct store *s,
                               const char *name,
                               enum dataset_role role,
                               struct dataset **ret_dataset,
                               struct fault *f) MUST_CHECK;
enum status store_read_memory(struct store *s,
                              const char *name,
                              struct replay_memory **ret_memory,
                              struct fault *f) MUST_CHECK;

/* kv_reserve and kv_stats of the store. */
enum status store_reserve(struct store *s, uint64_t bytes, struct fault *f) MUST_CHECK;
enum status store_stats(struct store *s, struct kv_stats *ret_stats, struct fault *f) MUST_CHECK;

#endif
