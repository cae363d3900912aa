/*
 * Wire: plain structs <-> bytes of proto/lethe.proto.  Nobody else sees generated messages.
 *
 * Decoding: the bytes are walked once before anything is allocated (sizes, counts, UTF-8, no NUL in
 * a text, no singular field twice, unknown fields counted), then unpacked into the caller's arena
 * within LIMIT_DECODE_BYTES (requests, events) or LIMIT_REPLY_DECODE_BYTES (replies).  Everything a
 * decoded struct points at lives in that arena; the bytes may go.  On failure the arena is as it
 * was before.  Errors: INVALID_ARGUMENT (malformed, or a value out of range), UNIMPLEMENTED (a kind
 * this version does not know), RESOURCE_EXHAUSTED (a size, count or memory limit); fault.field is
 * the dotted name of the field, e.g. "forget.classes".
 *
 * Encoding: reads a struct that the caller filled in any memory and writes bytes into the arena;
 * the same limits hold, so what was encoded can be decoded.  Equal structs give equal bytes.  In
 * replies and events a text that is no UTF-8 (one cut to fit a record, for instance) is sent with
 * '?' for the bytes at fault; in envelopes it is refused, because there it names something.
 *
 * In all structs: texts are never NULL after decoding (NULL is taken as "" when encoding); lists
 * are a pointer and n_x; an all-zero digest or request id means absent; times are microseconds
 * since 1970 (0: absent).  All functions may be called from any thread with an arena of that
 * thread.
 */
#ifndef LETHE_PROTO_WIRE_H
#define LETHE_PROTO_WIRE_H

#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of the schema's Kind. */
enum wire_kind {
    WIRE_KIND_UNSPECIFIED = 0,
    WIRE_KIND_STATUS = 1,
    WIRE_KIND_FORGET = 2,
    WIRE_KIND_PREDICT = 3,
    WIRE_KIND_REQUESTS = 4,
    WIRE_KIND_REQUEST = 5,
    WIRE_KIND_WAIT = 6,
    WIRE_KIND_CANCEL = 7,
    WIRE_KIND_HISTORY = 8,
    WIRE_KIND_SHOW = 9,
    WIRE_KIND_DIFF = 10,
    WIRE_KIND_SERVED_AT = 11,
    WIRE_KIND_EVALUATE = 12,
    WIRE_KIND_ROLLBACK = 13,
    WIRE_KIND_PIN = 14,
    WIRE_KIND_EXPORT = 15,
    WIRE_KIND_BLOB = 16,
    WIRE_KIND_DATA_OPEN = 17,
    WIRE_KIND_DATA_CHUNK = 18,
    WIRE_KIND_DATA_CLOSE = 19,
    WIRE_KIND_DATA_LIST = 20,
    WIRE_KIND_DATA_REMOVE = 21,
    WIRE_KIND_MODEL = 22,
    WIRE_KIND_FSCK = 23,
    WIRE_KIND_LEARN = 24,
    WIRE_KIND_STREAM_OPEN = 25,
    WIRE_KIND_STREAM_PUSH = 26,
    WIRE_KIND_STREAM_CLOSE = 27,
    WIRE_KIND_IMPORT = 28,
    WIRE_KIND_APPROVE = 29,
    WIRE_KIND_DENY = 30,
    WIRE_KIND_KEYS = 31,
    WIRE_KIND_LOG = 32,
    WIRE_KIND_CHECKPOINT = 33,
    WIRE_KIND_PROVE = 34,
    WIRE_KIND_CONSISTENCY = 35,
    WIRE_KIND_CERTIFICATE = 36,
    WIRE_KIND_SEAL = 37,
    WIRE_KIND_ROTATE = 38,
    WIRE_KIND_BACKUP = 39,
    WIRE_KIND_COMPACT = 40
};

enum wire_mode { WIRE_MODE_DEFAULT, WIRE_MODE_EXACT, WIRE_MODE_FAST };

enum wire_probe {
    WIRE_PROBE_DEFAULT,
    WIRE_PROBE_KEEP,
    WIRE_PROBE_RESUBMIT,
    WIRE_PROBE_SUBSTITUTE,
    WIRE_PROBE_NONE
};

enum wire_pixel { WIRE_PIXEL_U8, WIRE_PIXEL_F32 };

struct wire_bytes {
    const uint8_t *at;
    size_t size;
};

/* ------------------------------------------------------------ requests */

struct wire_option {
    const char *name;
    const char *value;
};

struct wire_forget {
    const char *const *classes;
    size_t n_classes;
    const char *samples; /* name of an imported data set */
    const char *task;
    const char *subject;
    const char *ticket;
    int64_t due_at;
    enum wire_mode mode;
    enum wire_probe probe;
    bool dry_run;
    uint64_t seed; /* 0: derived from the request id */
    const struct wire_option *options;
    size_t n_options;
};

struct wire_learn {
    const char *task; /* name of the lane to be made */
    const char *data; /* imported data set: role train, with role test beside it if there is one */
    const char *method; /* "" or "lane", "ridge" */
    bool dry_run;
    uint64_t seed; /* 0: derived from the request id */
    const struct wire_option *options;
    size_t n_options;
    float floor; /* least accuracy on the new task; 0: the policy's.  Any bits: check it */
    const char *ticket;
};

struct wire_stream_open {
    const char *name;
    uint32_t run;       /* batches in a run of one task; 0: not known */
    const char *expert; /* "" or "adapter", "conv" */
    uint64_t seed;
    const struct wire_option *options;
    size_t n_options;
    const char *ticket;
};

struct wire_stream_push {
    const char *name;
    const char *data; /* imported data set, its images in the order of the stream */
    bool probe;       /* ask the detector, learn nothing */
    uint32_t batch;   /* images; 0: the stream's own */
    bool dry_run;
    const struct wire_option *options;
    size_t n_options;
    const char *ticket;
};

/* The file is what the raw frames hold, one after the other: 1 to LIMIT_IMPORT_BYTES. */
struct wire_import {
    const char *kind;     /* lane | expert; "": the file's */
    const char *name;     /* that it takes; "": the file's */
    struct digest digest; /* BLAKE2b-256 of the file */
    bool dry_run;
};

struct wire_keys {
    const char *action; /* "" or "list", "add", "revoke" */
    const char *name;   /* of the client; revoke: or its fingerprint */
    const char *role;   /* add */
    struct digest key;  /* add: the 32 bytes of its public key */
};

struct wire_predict {
    struct digest version; /* zero: the serving version */
    uint32_t images;       /* one raw frame each, at most LIMIT_PREDICT_IMAGES */
    enum wire_pixel pixel; /* u8 [H,W,C], or f32 [C,H,W] already normalised */
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    uint32_t top; /* 0: 1 */
    bool logits;
    const char *scope;
    const char *decision;
};

struct wire_list {
    const char *state; /* "": all */
    uint32_t limit;    /* 0: default; at most LIMIT_LIST */
    uint64_t before;   /* items with a smaller number only; 0: from the newest */
};

/* REQUEST, WAIT, CANCEL, APPROVE, DENY name a request; DATA_CLOSE names an upload. */
struct wire_by_id {
    struct request_id id;
    const char *reason;
};

/* "serving", a number, a hex digest or a unique prefix of it of 8 digits or more. */
struct wire_version_name {
    const char *version;
};

struct wire_diff {
    const char *a;
    const char *b;
};

struct wire_served_at {
    int64_t time;
    bool proof;
};

struct wire_log_list {
    uint64_t from;
    uint32_t limit; /* 0: default; at most LIMIT_LIST */
    bool newest;    /* the last ones instead */
};

struct wire_prove {
    struct request_id id;
    bool accepted;
};

struct wire_certify {
    struct request_id id;
    bool html;
};

struct wire_sizes {
    uint64_t old_size;
    uint64_t new_size; /* 0: the log as it is */
};

struct wire_evaluate {
    const char *version;
    bool full;
};

struct wire_export {
    const char *version;
    const char *format;    /* peft | merged | onnx-ready; "" with a component */
    const char *component; /* lane:NAME | expert:NAME, or "" */
};

struct wire_blob_range {
    struct digest digest;
    uint64_t offset;
    uint32_t length; /* at most LIMIT_FRAME_BYTES */
};

struct wire_by_name {
    const char *name;
    bool force; /* DATA_REMOVE */
};

struct wire_data_open {
    const char *name;
    const char *role; /* train | validation | test | unseen | probe */
    uint64_t images;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    const char *const *classes;
    size_t n_classes;
    struct digest digest; /* BLAKE2b-256 of pixels, labels and subjects */
    bool multi_label;
    bool subjects; /* 32 bytes an image follow: whose it is (proto/seal/subject.h) */
};

struct wire_data_chunk {
    struct request_id upload;
    uint64_t offset;
};

/* Which member of the body is set.  A kind has exactly one form of body (wire_kind_body). */
enum wire_body {
    WIRE_BODY_NONE,
    WIRE_BODY_FORGET,
    WIRE_BODY_PREDICT,
    WIRE_BODY_LIST,
    WIRE_BODY_BY_ID,
    WIRE_BODY_VERSION,
    WIRE_BODY_DIFF,
    WIRE_BODY_SERVED_AT,
    WIRE_BODY_EVALUATE,
    WIRE_BODY_EXPORT,
    WIRE_BODY_BLOB,
    WIRE_BODY_DATA_OPEN,
    WIRE_BODY_DATA_CHUNK,
    WIRE_BODY_BY_NAME,
    WIRE_BODY_ROLLBACK,
    WIRE_BODY_LEARN,
    WIRE_BODY_STREAM_OPEN,
    WIRE_BODY_STREAM_PUSH,
    WIRE_BODY_IMPORT,
    WIRE_BODY_KEYS,
    WIRE_BODY_LOG_LIST,
    WIRE_BODY_PROVE,
    WIRE_BODY_SIZES,
    WIRE_BODY_CERTIFY,
    WIRE_BODY_BACKUP
};

struct wire_backup {
    const char *folder;
};

struct wire_envelope {
    enum wire_kind kind;
    struct request_id request_id;
    const uint64_t *frame_bytes; /* sizes of the raw frames behind this one */
    size_t n_frames;
    uint32_t deadline_ms; /* 0: LIMIT_DEADLINE_DEFAULT_MS */
    union {
        struct wire_forget forget;           /* FORGET */
        struct wire_predict predict;         /* PREDICT */
        struct wire_list list;               /* REQUESTS, HISTORY, DATA_LIST (optional) */
        struct wire_by_id by_id;             /* REQUEST, WAIT, CANCEL, APPROVE, DENY, DATA_CLOSE */
        struct wire_version_name version;    /* SHOW, PIN ("": take it away) */
        struct wire_diff diff;               /* DIFF */
        struct wire_served_at served_at;     /* SERVED_AT */
        struct wire_evaluate evaluate;       /* EVALUATE */
        struct wire_export export;           /* EXPORT */
        struct wire_blob_range blob;         /* BLOB */
        struct wire_data_open data_open;     /* DATA_OPEN */
        struct wire_data_chunk data_chunk;   /* DATA_CHUNK, bytes in raw frame 0 */
        struct wire_by_name by_name;         /* DATA_REMOVE, STREAM_CLOSE */
        struct wire_version_name rollback;   /* ROLLBACK */
        struct wire_learn learn;             /* LEARN */
        struct wire_stream_open stream_open; /* STREAM_OPEN */
        struct wire_stream_push stream_push; /* STREAM_PUSH */
        struct wire_import import;           /* IMPORT, file in the raw frames */
        struct wire_keys keys;               /* KEYS */
        struct wire_log_list log_list;       /* LOG */
        struct wire_prove prove;             /* PROVE */
        struct wire_sizes sizes;             /* CONSISTENCY */
        struct wire_certify certify;         /* CERTIFICATE */
        struct wire_backup backup;           /* BACKUP */
    } body;
};

/* ------------------------------------------------------------ replies */

struct wire_error {
    const char *code; /* status_wire_name */
    const char *text;
    const char *field;
    uint32_t retry_after_s;
    int32_t status; /* enum status */
};

struct wire_status {
    const char *state; /* starting | serving | draining */
    const char *lethe_version;
    int64_t started_at;
    struct digest serving;
    uint64_t serving_number;
    uint64_t serving_generation;
    bool pinned;
    uint32_t queue_depth;
    const char *running; /* request id text, or "" */
    const char *model;
    struct digest base_digest;
    uint32_t classes_active;
    uint32_t classes_forgotten;
    uint64_t store_bytes;
    uint64_t store_limit;
    uint64_t predictions;
    const char *kernel;
    uint32_t threads;
    uint32_t workers_restarted;
    bool data_ready;
    uint32_t lanes; /* of the serving version */
    uint32_t experts;
    uint32_t streams; /* open ones */
};

struct wire_progress {
    const char *phase; /* prepare | train | evaluate */
    uint32_t epoch;
    uint32_t epochs;
    uint32_t step;
    uint32_t steps;
    float loss;
    float loss_retain;
    float loss_forget;
    float loss_depth;
    float acc_forget; /* negative: not measured yet */
    float acc_retain;
    const float *group_norms;
    size_t n_group_norms;
    float seconds_left; /* negative: unknown */
    uint32_t attempt;
    float acc_valid; /* of what is learned; negative: not measured */
};

struct wire_request {
    struct request_id id;
    const char *kind; /* forget | learn | stream | evaluate */
    const char *state;
    int64_t submitted_at;
    int64_t due_at;
    int64_t finished_at;
    const char *role;
    struct digest version_before;
    struct digest version_after;
    uint64_t seed;
    const struct wire_error *error; /* NULL: none */
    struct wire_bytes evaluation;   /* report document (JSON) */
    uint32_t attempts;
    const char *ticket;
    const char *const *classes;
    size_t n_classes;
    const struct wire_progress *progress; /* NULL unless running */
    const char *probe;
    bool dry_run;
    const char *reason;
    uint64_t sequence;
    int64_t started_at;
    const char *task;          /* that is learned or forgotten, or the stream's name */
    struct wire_bytes receipt; /* of its acceptance, in the answer to a submission */
};

struct wire_requests {
    const struct wire_request *items;
    size_t n_items;
    uint64_t next_before; /* 0: no more */
};

struct wire_scored_label {
    const char *label;
    const char *owner;
    float p;
};

struct wire_prediction {
    const struct wire_scored_label *labels;
    size_t n_labels;
    const char *expert; /* owner that answered: base, lane:NAME, expert:NAME */
    const float *logits;
    size_t n_logits;
};

struct wire_predictions {
    struct digest version;
    uint64_t number;
    const struct wire_prediction *items;
    size_t n_items;
    float latency_ms;
    const char *const *logit_labels;
    size_t n_logit_labels;
};

struct wire_component {
    const char *kind;
    const char *name;
    uint64_t bytes;
    struct digest digest;
    uint32_t groups_total;
    uint32_t groups_zero;
    uint64_t seed;
    const char *const *lineage;
    size_t n_lineage;
    const float *group_norms; /* DIFF, of an erasure: L2 norm of each of its groups */
    size_t n_group_norms;
};

struct wire_label_info {
    const char *name;
    const char *owner;
    const char *status; /* active | forgotten */
    struct request_id forgotten_by;
};

struct wire_version {
    struct digest id;
    uint64_t number;
    struct digest parent;
    struct request_id request;
    int64_t created_at;
    bool serving;
    bool pinned;
    const struct wire_component *components;
    size_t n_components;
    uint64_t bytes;
    const struct wire_label_info *labels;
    size_t n_labels;
    struct wire_bytes evaluation;
    const char *kernel;
    uint32_t threads;
    int64_t served_from;
    int64_t served_until;
    struct wire_bytes proof; /* SERVED_AT */
};

struct wire_versions {
    const struct wire_version *items;
    size_t n_items;
    uint64_t next_before;
};

struct wire_diff_info {
    struct digest a;
    struct digest b;
    const struct wire_component *added;
    size_t n_added;
    const struct wire_component *removed;
    size_t n_removed;
    const struct wire_label_info *labels_a; /* labels whose status or owner differs */
    size_t n_labels_a;
    const struct wire_label_info *labels_b;
    size_t n_labels_b;
    struct wire_bytes evaluation_a;
    struct wire_bytes evaluation_b;
};

struct wire_upload {
    struct request_id upload;
    uint64_t offset; /* next byte wanted */
    uint32_t credit; /* chunks that may be outstanding */
    uint64_t bytes;  /* total expected */
    bool complete;
};

struct wire_dataset {
    const char *name;
    const char *role;
    uint64_t images;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    const char *const *classes;
    size_t n_classes;
    struct digest digest;
    int64_t created_at;
    uint64_t bytes;
    bool multi_label;
    bool subjects;
};

struct wire_datasets {
    const struct wire_dataset *items;
    size_t n_items;
};

struct wire_exported_file {
    const char *path;
    struct digest digest;
    uint64_t bytes;
};

struct wire_exported {
    struct digest version;
    const struct wire_exported_file *files;
    size_t n_files;
};

struct wire_model {
    const char *name;
    uint32_t image_size;
    uint32_t channels;
    const float *mean;
    size_t n_mean;
    const float *std;
    size_t n_std;
    const char *resample;
    uint32_t resize;
    const struct wire_label_info *labels;
    size_t n_labels;
    const char *const *owners; /* base, then lanes and experts */
    size_t n_owners;
};

struct wire_fsck {
    bool ok;
    uint64_t blobs;
    uint64_t versions;
    uint64_t requests;
    const char *const *findings;
    size_t n_findings;
};

struct wire_client_key {
    const char *name;
    const char *role;
    const char *fingerprint;
    struct digest key;
};

struct wire_client_keys {
    const struct wire_client_key *items;
    size_t n_items;
};

struct wire_report {
    struct digest version;
    struct wire_bytes evaluation;
};

struct wire_vault {
    uint64_t epoch;
    uint64_t data_keys;
    uint64_t destroyed;
    const char *key_store;
    uint64_t bytes;
    struct digest version;
    const char *const *copies;
    size_t n_copies;
};

struct wire_log_entry {
    uint64_t index;
    struct wire_bytes entry;
};

struct wire_log_entries {
    const struct wire_log_entry *items;
    size_t n_items;
    uint64_t size; /* of the log */
    uint64_t next; /* index to go on from; 0: these were the last */
};

struct wire_checkpoint {
    struct wire_bytes note;
    uint64_t size;
    const char *key;
};

struct wire_proof {
    struct wire_bytes text;
    uint64_t index;
    uint64_t size;
};

struct wire_certificate {
    struct wire_bytes text;
    uint64_t index;
    uint64_t size;
    const char *level;
};

enum wire_answer {
    WIRE_ANSWER_NONE, /* an error, or done with nothing to say */
    WIRE_ANSWER_STATUS,
    WIRE_ANSWER_REQUEST,
    WIRE_ANSWER_REQUESTS,
    WIRE_ANSWER_PREDICTIONS,
    WIRE_ANSWER_VERSION,
    WIRE_ANSWER_VERSIONS,
    WIRE_ANSWER_DIFF,
    WIRE_ANSWER_UPLOAD,
    WIRE_ANSWER_DATASETS,
    WIRE_ANSWER_EXPORTED,
    WIRE_ANSWER_MODEL,
    WIRE_ANSWER_FSCK,
    WIRE_ANSWER_REPORT,
    WIRE_ANSWER_KEYS,
    WIRE_ANSWER_LOG_ENTRIES,
    WIRE_ANSWER_CHECKPOINT,
    WIRE_ANSWER_PROOF,
    WIRE_ANSWER_CERTIFICATE,
    WIRE_ANSWER_VAULT
};

/* `kind`, `request_id` and the frame sizes are filled in by the server when a call is finished. */
struct wire_reply {
    enum wire_kind kind;
    struct request_id request_id;
    const uint64_t *frame_bytes;
    size_t n_frames;
    const struct wire_error *error; /* NULL: done */
    enum wire_answer answer;
    union {
        struct wire_status status;
        struct wire_request request;
        struct wire_requests requests;
        struct wire_predictions predictions;
        struct wire_version version;
        struct wire_versions versions;
        struct wire_diff_info diff;
        struct wire_upload upload;
        struct wire_datasets datasets;
        struct wire_exported exported;
        struct wire_model model;
        struct wire_fsck fsck;
        struct wire_report report;
        struct wire_client_keys keys;
        struct wire_log_entries log_entries;
        struct wire_checkpoint checkpoint;
        struct wire_proof proof;
        struct wire_certificate certificate;
        struct wire_vault vault;
    } body;
};

struct wire_event {
    struct request_id request_id;
    const char *state;
    const struct wire_progress *progress; /* NULL: a change of state only */
    int64_t at;
    struct digest version;
};

/* ------------------------------------------------------------ functions */

enum status wire_envelope_encode(const struct wire_envelope *m,
                                 struct arena *a,
                                 const uint8_t **ret_bytes,
                                 size_t *ret_size,
                                 struct fault *f) MUST_CHECK;
enum status wire_envelope_decode(const uint8_t *bytes,
                                 size_t size,
                                 struct arena *a,
                                 const struct wire_envelope **ret_message,
                                 struct fault *f) MUST_CHECK;
/*
 * The part of an envelope that makes two requests the same: kind and body, without request id,
 * deadline and frame sizes.  Equal requests give equal bytes; digest them together with the frames.
 */
enum status wire_payload_encode(const struct wire_envelope *m,
                                struct arena *a,
                                const uint8_t **ret_bytes,
                                size_t *ret_size,
                                struct fault *f) MUST_CHECK;
/*
 * Kind and request id of bytes that may not decode, so that an error can name what it answers.
 * What cannot be read is zero.
 */
void wire_envelope_peek(const uint8_t *bytes,
                        size_t size,
                        enum wire_kind *ret_kind,
                        struct request_id *ret_id);

enum status wire_reply_encode(const struct wire_reply *m,
                              struct arena *a,
                              const uint8_t **ret_bytes,
                              size_t *ret_size,
                              struct fault *f) MUST_CHECK;
enum status wire_reply_decode(const uint8_t *bytes,
                              size_t size,
                              struct arena *a,
                              const struct wire_reply **ret_message,
                              struct fault *f) MUST_CHECK;

enum status wire_event_encode(const struct wire_event *m,
                              struct arena *a,
                              const uint8_t **ret_bytes,
                              size_t *ret_size,
                              struct fault *f) MUST_CHECK;
enum status wire_event_decode(const uint8_t *bytes,
                              size_t size,
                              struct arena *a,
                              const struct wire_event **ret_message,
                              struct fault *f) MUST_CHECK;

/* Error of a reply, from a status and its explanation; texts point into *f (borrowed). */
struct wire_error wire_error_make(enum status code, const struct fault *f, uint32_t retry_after_s);

/*
 * Puts '?' for every byte of a text that is no valid UTF-8, e.g. of a message that was cut to fit
 * its buffer: such a text can be sent.
 */
void wire_text_clean(char *text);

/* Lower-case name of a kind without its prefix, e.g. "data_open"; NULL for a number without one. */
const char *wire_kind_name(enum wire_kind kind);
/* The form of body that a kind takes. */
enum wire_body wire_kind_body(enum wire_kind kind);
/* Highest kind of the schema; numbers below it without a name (wire_kind_name) are no kinds. */
unsigned wire_kind_last(void);

/* "request." and the id: the topic of a request's events. */
#define WIRE_TOPIC_SIZE (8 + REQUEST_ID_TEXT_SIZE)
void wire_topic_format(const struct request_id *id, char text[WIRE_TOPIC_SIZE]);

#endif
