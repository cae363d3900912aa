/*
 * lethe.h - the C client library of lethe, a continual learning and unlearning daemon.
 *
 *     #include <lethe.h>                           cc program.c -llethe -lzmq -lprotobuf-c -lsodium
 *
 *     struct lethe *l;
 *     struct lethe_error e;
 *     if (lethe_open(NULL, NULL, &l, &e) != LETHE_OK)
 *         errx(1, "%s", e.text);
 *     const char *classes[] = {"Sandal", "Bag"};
 *     struct lethe_forget_args what = {.classes = classes, .n_classes = 2, .ticket = "DSR-17"};
 *     struct lethe_request *r;
 *     if (lethe_forget(l, &what, &r, &e) != LETHE_OK)
 *         errx(1, "%s: %s", e.field, e.text);
 *     char id[LETHE_ID_TEXT];
 *     strcpy(id, r->id);
 *     lethe_free(r);
 *     if (lethe_wait(l, id, -1, NULL, NULL, &r, &e) == LETHE_OK)
 *         printf("%s: version %s\n", r->state, r->version_after);
 *     lethe_free(r);
 *     lethe_close(l);
 *
 * Connections.  lethe_open never blocks: a daemon that is not there shows in the first call, which
 * fails with LETHE_DEADLINE_EXCEEDED and origin LETHE_FROM_TRANSPORT.  A struct lethe belongs to
 * one thread at a time; open as many as you have threads.
 *
 * Results.  Every call that gives something back makes one allocation that holds the structure and
 * all that it points to; give it back with lethe_free.  Strings in results are never NULL unless
 * the field says so.  On failure results are set to NULL and `e` (NULL allowed) tells why.
 *
 * Repeating.  Calls that change something carry a request id (UUIDv7) that the library makes.  When
 * no answer comes in time the library sends the same message with the same id again; the daemon
 * does one id once and answers repeats from its store, so a repeat is always safe.
 *
 * Units.  Times are microseconds since 1970-01-01T00:00:00Z, 0 for "none".  Durations end in _ms or
 * _s.  Versions are named by 64 hexadecimal digits, a unique prefix of 8 or more, a number, or
 * "serving".  Reports are JSON documents exactly as stored, so that they can be hashed.
 */
#ifndef LETHE_H
#define LETHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LETHE_CALL __attribute__((warn_unused_result))

#define LETHE_DEFAULT_ENDPOINT "ipc:///run/lethe/lethe.sock"

#define LETHE_ID_TEXT     37 /* request id, 8-4-4-4-12, with its NUL */
#define LETHE_DIGEST_TEXT 65 /* version or blob digest, with its NUL */
#define LETHE_DIGEST_SIZE 32

/* ------------------------------------------------------------------ errors */

/* What a call returns.  The numbers are stable; the names are gRPC's. */
enum lethe_code {
    LETHE_OK = 0,
    LETHE_CANCELLED = -1,
    LETHE_INTERNAL = -2,
    LETHE_INVALID_ARGUMENT = -3,
    LETHE_DEADLINE_EXCEEDED = -4,
    LETHE_NOT_FOUND = -5,
    LETHE_ALREADY_EXISTS = -6,
    LETHE_PERMISSION_DENIED = -7,
    LETHE_RESOURCE_EXHAUSTED = -8,
    LETHE_FAILED_PRECONDITION = -9,
    LETHE_ABORTED = -10,
    LETHE_OUT_OF_RANGE = -11,
    LETHE_UNIMPLEMENTED = -12,
    LETHE_UNAVAILABLE = -14,
    LETHE_DATA_LOSS = -15
};

/* Who says so: an argument or file on this side, the daemon, or the way to it. */
enum lethe_origin { LETHE_FROM_CALLER, LETHE_FROM_DAEMON, LETHE_FROM_TRANSPORT };

/* Why a call failed; owned by the caller, filled by the failing call only. */
struct lethe_error {
    enum lethe_code code;
    enum lethe_origin origin;
    uint32_t retry_after_s; /* the daemon's advice; 0: none */
    char field[64];         /* the argument at fault; may be empty */
    char text[512];         /* one sentence for people */
};

/* "NOT_FOUND" and so on; "UNKNOWN" for a number that is no code. */
const char *lethe_code_name(enum lethe_code code);

/* ------------------------------------------------------------------ connection */

struct lethe; /* one connection */

/* All zero is the default of everything. */
struct lethe_options {
    const char *events_endpoint; /* NULL: derived, see lethe_events_endpoint */
    const char *key_file;        /* this client's CURVE secret key; needed for tcp:// */
    const char *server_key_file; /* the daemon's CURVE public key; needed for tcp:// */
    uint32_t timeout_ms;         /* of one call, all attempts together; 0: 15 000 */
    uint32_t attempts;           /* sends of one message within timeout_ms; 0: 3 */
    uint32_t connect_timeout_ms; /* without a connection for so long, give up; 0: 3 000 */
    uint32_t slow_timeout_ms;    /* lethe_evaluate, _fsck, _export, _data_close; 0: 600 000 */
};

/*
 * Opens a connection.  `endpoint` NULL is LETHE_DEFAULT_ENDPOINT; ipc:// and tcp:// are known.
 * A key file holds one line of 40 Z85 characters (lines that begin with # are comments); a secret
 * key that others may read is refused.  Errors: LETHE_INVALID_ARGUMENT (endpoint, key),
 * LETHE_NOT_FOUND (key file), LETHE_RESOURCE_EXHAUSTED.
 */
enum lethe_code lethe_open(const char *endpoint,
                           const struct lethe_options *options,
                           struct lethe **ret_lethe,
                           struct lethe_error *e) LETHE_CALL;
/* Closes and frees; NULL is allowed.  Waits at most 200 ms for what is still unsent. */
void lethe_close(struct lethe *l);
/* Gives back any result of this library; NULL is allowed. */
void lethe_free(void *result);

/*
 * Where the daemon at `endpoint` publishes events: "ipc://PATH" gives "ipc://PATH.events",
 * "tcp://HOST:PORT" gives PORT + 1.  False if it does not fit into `size` bytes or has no such
 * form.
 */
bool lethe_events_endpoint(const char *endpoint, char *ret_text, size_t size);

/* ------------------------------------------------------------------ status and model */

struct lethe_status {
    const char *state; /* starting, serving, draining */
    const char *lethe_version;
    int64_t started_at;
    char serving[LETHE_DIGEST_TEXT];
    uint64_t serving_number;
    uint64_t serving_generation; /* grows with every move of the serving pointer */
    bool pinned;
    uint32_t queue_depth;
    const char *running; /* id of the running request, or "" */
    const char *model;
    char base[LETHE_DIGEST_TEXT];
    uint32_t classes_active;
    uint32_t classes_forgotten;
    uint64_t store_bytes;
    uint64_t store_limit;
    uint64_t predictions;
    const char *kernel;
    uint32_t threads;
    uint32_t workers_restarted;
    bool data_ready; /* the base's training data are imported, so forgetting is possible */
    uint32_t lanes;  /* learned tasks of the serving version */
    uint32_t experts;
    uint32_t streams; /* open ones */
};
enum lethe_code
lethe_status(struct lethe *l, struct lethe_status **ret_status, struct lethe_error *e) LETHE_CALL;

struct lethe_label {
    const char *name;
    const char *owner;                /* base, lane:NAME or expert:NAME: who knows it */
    const char *status;               /* active, forgotten */
    char forgotten_by[LETHE_ID_TEXT]; /* request id, or "" */
};

/* How pictures are prepared for the serving version, and its labels. */
struct lethe_model {
    const char *name;
    uint32_t image_size; /* square */
    uint32_t channels;
    const float *mean; /* [channels] of pixels in [0,1]; the daemon applies it to u8 pixels */
    const float *std;
    size_t n_mean; /* of both */
    const char *resample;
    uint32_t resize; /* shorter side before the centre crop; 0: straight to image_size */
    const struct lethe_label *labels;
    size_t n_labels;
    const char *const *owners; /* base, then lanes and experts: who may answer */
    size_t n_owners;
};
enum lethe_code
lethe_model(struct lethe *l, struct lethe_model **ret_model, struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ requests */

struct lethe_progress {
    const char *phase; /* prepare, train, evaluate */
    uint32_t epoch;
    uint32_t epochs;
    uint32_t step;
    uint32_t steps;
    uint32_t attempt;
    float loss;
    float loss_retain;
    float loss_forget;
    float loss_depth;
    float acc_forget; /* on validation data; negative: not measured yet */
    float acc_retain;
    float acc_valid;    /* of what is learned; several labels: share of right yes-or-no answers */
    float seconds_left; /* negative: unknown */
    const float *group_norms;
    size_t n_group_norms;
};

/* A request, as the daemon has it on record. */
struct lethe_request {
    char id[LETHE_ID_TEXT];
    const char *kind;  /* forget, learn, stream, import, evaluate */
    const char *state; /* see lethe_state_is_final */
    const char *role;
    int64_t submitted_at;
    int64_t due_at;
    int64_t started_at;
    int64_t finished_at;
    char version_before[LETHE_DIGEST_TEXT]; /* "" if there is none */
    char version_after[LETHE_DIGEST_TEXT];
    uint64_t seed;
    struct lethe_error error; /* LETHE_OK if nothing went wrong */
    const char *evaluation;   /* the report document, JSON; "" until measured */
    size_t evaluation_bytes;
    uint32_t attempts;
    const char *ticket;
    const char *const *classes;
    size_t n_classes;
    const struct lethe_progress *progress; /* NULL unless running */
    const char *probe;
    const char *reason;
    bool dry_run;
    uint64_t sequence; /* place in the order of acceptance */
    const char *task;  /* that is learned or forgotten, or the stream's name; "" if there is none */
    /* From the calls that hand a request in: a signed receipt of its acceptance, for lethe-verify
     */
    const char *receipt;
    size_t receipt_bytes; /* 0: none */
};

/* committed, rejected, failed, cancelled, denied and duplicate are final. */
bool lethe_state_is_final(const char *state);

enum lethe_mode { LETHE_MODE_DEFAULT, LETHE_MODE_EXACT, LETHE_MODE_FAST };

/* What becomes of the images by which a later evaluation can tell whether the erasure holds. */
enum lethe_probe {
    LETHE_PROBE_DEFAULT,
    LETHE_PROBE_KEEP,
    LETHE_PROBE_RESUBMIT,
    LETHE_PROBE_SUBSTITUTE,
    LETHE_PROBE_NONE
};

struct lethe_option {
    const char *name;
    const char *value;
};

/*
 * What to forget, exactly one of: classes by label name, the images of an imported data set, a
 * learned task (or stream) as a whole, or what one person contributed to learned tasks.
 */
struct lethe_forget_args {
    const char *request_id; /* text; NULL: a fresh one.  Give it to repeat a call after a crash. */
    const char *const *classes;
    size_t n_classes;
    const char *samples; /* name of a data set; NULL: none */
    const char *task;    /* name of a learned task; NULL: none */
    const char *subject; /* whose samples; NULL: none */
    const char *ticket;  /* the caller's own reference; NULL: none */
    int64_t due_at;      /* 0: one calendar month from acceptance */
    enum lethe_mode mode;
    enum lethe_probe probe;
    bool dry_run;
    uint64_t seed;                      /* 0: derived from the request id */
    const struct lethe_option *options; /* of the method, e.g. {"depth", "off"} */
    size_t n_options;
};
/*
 * Submits an erasure.  Success means: durably accepted, not: done; see lethe_wait.  Errors of the
 * daemon: LETHE_NOT_FOUND (a label or data set does not exist), LETHE_INVALID_ARGUMENT (nothing to
 * forget, all classes at once, an option), LETHE_FAILED_PRECONDITION (already forgotten, no data),
 * LETHE_ALREADY_EXISTS (the id was used for something else), LETHE_RESOURCE_EXHAUSTED (queue full).
 */
enum lethe_code lethe_forget(struct lethe *l,
                             const struct lethe_forget_args *args,
                             struct lethe_request **ret_request,
                             struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ learning */

/* A task to learn from an imported data set; it becomes a lane of its own. */
struct lethe_learn_args {
    const char *request_id; /* text; NULL: a fresh one.  Give it to repeat a call after a crash. */
    const char *task;       /* the lane's name: letters, digits, ".", "_" and "-" */
    const char *data;       /* data set of role train; role test beside it measures the result */
    const char *method;     /* NULL or lane; ridge: the closed-form router alone */
    const char *ticket;
    float floor; /* least accuracy on the new task that is accepted, 0..1; 0: the daemon's policy */
    bool dry_run;
    uint64_t seed; /* 0: derived from the request id */
    const struct lethe_option *options;
    size_t n_options;
};
/*
 * Submits a task.  Success means: durably accepted, not: learned; see lethe_wait.  Errors of the
 * daemon: LETHE_NOT_FOUND (data set), LETHE_ALREADY_EXISTS (a task of this name, a label that is in
 * use), LETHE_INVALID_ARGUMENT (an option, images of another size), LETHE_FAILED_PRECONDITION (a
 * class without images), LETHE_RESOURCE_EXHAUSTED (memory plan, queue full).
 */
enum lethe_code lethe_learn(struct lethe *l,
                            const struct lethe_learn_args *args,
                            struct lethe_request **ret_request,
                            struct lethe_error *e) LETHE_CALL;

/* A stream of labelled batches without task ids: the daemon finds the tasks in it. */
struct lethe_stream_args {
    const char *request_id;
    const char *name;
    uint32_t run;       /* batches in a run of one task; 0: not known */
    const char *expert; /* NULL or adapter; conv: a small convolution net of its own */
    const char *ticket;
    uint64_t seed;
    const struct lethe_option *options;
    size_t n_options;
};
/* LETHE_ALREADY_EXISTS: a stream of this name; LETHE_INVALID_ARGUMENT: name, expert, option. */
enum lethe_code lethe_stream_open(struct lethe *l,
                                  const struct lethe_stream_args *args,
                                  struct lethe_request **ret_request,
                                  struct lethe_error *e) LETHE_CALL;

/* Images for a stream: an imported data set of role train, in its order. */
struct lethe_push_args {
    const char *request_id;
    const char *name; /* of the stream */
    const char *data;
    const char *ticket;
    bool probe; /* ask the detector only, learn nothing */
    bool dry_run;
    uint32_t batch; /* images a batch; 0: the stream's own */
    const struct lethe_option *options;
    size_t n_options;
};
/*
 * Submits a push; when it is done, the report holds the detector's decisions as an object "stream".
 * LETHE_NOT_FOUND: stream, data set; LETHE_FAILED_PRECONDITION: the stream is closed, labels that
 * were forgotten, images of another size; LETHE_RESOURCE_EXHAUSTED: as many experts as are allowed.
 */
enum lethe_code lethe_stream_push(struct lethe *l,
                                  const struct lethe_push_args *args,
                                  struct lethe_request **ret_request,
                                  struct lethe_error *e) LETHE_CALL;
/* Ends a stream; what it learned stays.  LETHE_NOT_FOUND, LETHE_FAILED_PRECONDITION (closed). */
enum lethe_code lethe_stream_close(struct lethe *l,
                                   const char *name,
                                   struct lethe_request **ret_request,
                                   struct lethe_error *e) LETHE_CALL;

#define LETHE_COMPONENT_MAX (60u << 20) /* bytes of a component that comes in */

/* A lane or expert that was exported, to be added to the serving model. */
struct lethe_component_args {
    const char *request_id;
    const char *kind; /* lane, ridge or expert; NULL: the file's */
    const char
        *name; /* that it takes here, of an expert the stream that it joins; NULL: the file's */
    const void *bytes; /* the file, borrowed; at most LETHE_COMPONENT_MAX */
    size_t size;
    bool dry_run;
};
/*
 * Submits it.  LETHE_ALREADY_EXISTS: name or a label; LETHE_FAILED_PRECONDITION: made for another
 * base, for the same with other erasures or for another preprocessing, a label that was forgotten,
 * no data with which the result can be measured, an expert whose stream is closed or has other
 * settings; LETHE_NOT_FOUND: there is no such stream; LETHE_RESOURCE_EXHAUSTED: the stream has as
 * many experts as it may have; LETHE_INVALID_ARGUMENT: the file is none of a component.
 */
enum lethe_code lethe_component_import(struct lethe *l,
                                       const struct lethe_component_args *args,
                                       struct lethe_request **ret_request,
                                       struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ life of a request */

struct lethe_requests {
    const struct lethe_request *items; /* newest first */
    size_t n;
    uint64_t next_before; /* hand it to the next call for older ones; 0: there are none */
};
/* `state` NULL: all; `limit` 0: the daemon's own; `before` 0: from the newest. */
enum lethe_code lethe_requests(struct lethe *l,
                               const char *state,
                               uint32_t limit,
                               uint64_t before,
                               struct lethe_requests **ret_requests,
                               struct lethe_error *e) LETHE_CALL;
enum lethe_code lethe_request(struct lethe *l,
                              const char *id,
                              struct lethe_request **ret_request,
                              struct lethe_error *e) LETHE_CALL;
/* `reason` may be NULL.  Gives the request as it is afterwards. */
enum lethe_code lethe_cancel(struct lethe *l,
                             const char *id,
                             const char *reason,
                             struct lethe_request **ret_request,
                             struct lethe_error *e) LETHE_CALL;

/* A second person's word on an erasure that awaits approval; never the submitter's own.  `reason`
 * may be NULL for approving. */
enum lethe_code lethe_approve(struct lethe *l,
                              const char *id,
                              const char *reason,
                              struct lethe_request **ret_request,
                              struct lethe_error *e) LETHE_CALL;
enum lethe_code lethe_deny(struct lethe *l,
                           const char *id,
                           const char *reason,
                           struct lethe_request **ret_request,
                           struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ keys of clients */

struct lethe_client {
    const char *name;
    const char *role;        /* privacy, mlops, predict, auditor, admin, with commas between */
    const char *fingerprint; /* "k:" and 16 digits: how records name it */
    const uint8_t *key;      /* 32 bytes, public */
};
struct lethe_clients {
    const struct lethe_client *items;
    size_t n;
};
enum lethe_code lethe_keys_list(struct lethe *l,
                                struct lethe_clients **ret_clients,
                                struct lethe_error *e) LETHE_CALL;
/* Gives the one that was added.  LETHE_ALREADY_EXISTS: its name or key is there. */
enum lethe_code lethe_keys_add(struct lethe *l,
                               const struct lethe_client *client,
                               struct lethe_clients **ret_clients,
                               struct lethe_error *e) LETHE_CALL;
/* By name or fingerprint; effective with the key's next message.  Gives the one that went. */
enum lethe_code lethe_keys_revoke(struct lethe *l,
                                  const char *name,
                                  struct lethe_clients **ret_clients,
                                  struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ events and waiting */

struct lethe_event {
    char request_id[LETHE_ID_TEXT];
    const char *state;
    const struct lethe_progress *progress; /* NULL if the event has none */
    int64_t at;
    char version[LETHE_DIGEST_TEXT]; /* committed: the new version; otherwise "" */
};

/* Called with each event, which it borrows; returning false ends the waiting. */
typedef bool lethe_event_fn(void *context, const struct lethe_event *event);

/* Subscribes to one request's events, or to all with `id` NULL.  Events may be lost: the stored
 * state is the truth.  The first subscription opens the events connection. */
enum lethe_code lethe_subscribe(struct lethe *l, const char *id, struct lethe_error *e) LETHE_CALL;
/*
 * Hands over the events that arrive within timeout_ms (-1: for ever) until the function returns
 * false.  LETHE_CANCELLED if it did, LETHE_OK when the time is over.
 */
enum lethe_code lethe_events(struct lethe *l,
                             int64_t timeout_ms,
                             lethe_event_fn *function,
                             void *context,
                             struct lethe_error *e) LETHE_CALL;

/*
 * Waits until a request is final or timeout_ms (-1: for ever) have passed.  `function` (NULL:
 * none) sees events as they come, and a made-up one from each poll when events do not get through.
 * LETHE_OK: *ret_request is final.  LETHE_DEADLINE_EXCEEDED: it is not, and nothing is given.
 * LETHE_CANCELLED: the function ended the waiting; the request goes on.
 */
enum lethe_code lethe_wait(struct lethe *l,
                           const char *id,
                           int64_t timeout_ms,
                           lethe_event_fn *function,
                           void *context,
                           struct lethe_request **ret_request,
                           struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ predictions */

enum lethe_pixel {
    LETHE_PIXEL_U8, /* [height, width, channels], resized and cropped, not normalised */
    LETHE_PIXEL_F32 /* [channels, height, width], normalised */
};

struct lethe_predict_args {
    const char *version;  /* NULL: the serving version */
    const char *scope;    /* NULL, base, lanes, stream:NAME, all */
    const char *decision; /* NULL, routed, raw */
    uint32_t top;         /* labels an image; 0: 1 */
    bool logits;
    enum lethe_pixel pixel;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    const void *const *images; /* borrowed, each of height x width x channels elements */
    size_t n_images;           /* at most LETHE_PREDICT_MAX */
};
#define LETHE_PREDICT_MAX 32

struct lethe_scored_label {
    const char *label;
    const char *owner;
    float p;
};
struct lethe_prediction {
    const struct lethe_scored_label *labels; /* most probable first */
    size_t n_labels;
    const char *expert;  /* owner that answered: base, lane:NAME or expert:NAME */
    const float *logits; /* in the order of logit_labels; NULL unless asked for */
    size_t n_logits;
};
struct lethe_predictions {
    char version[LETHE_DIGEST_TEXT]; /* that answered */
    uint64_t number;
    const struct lethe_prediction *items; /* one an image, in their order */
    size_t n;
    const char *const *logit_labels;
    size_t n_logit_labels;
    float latency_ms; /* in the daemon */
};
enum lethe_code lethe_predict(struct lethe *l,
                              const struct lethe_predict_args *args,
                              struct lethe_predictions **ret_predictions,
                              struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ versions */

struct lethe_component {
    const char *kind; /* base, erasure, ... */
    const char *name;
    uint64_t bytes;
    char digest[LETHE_DIGEST_TEXT];
    uint32_t groups_total;
    uint32_t groups_zero;
    uint64_t seed;
    const char *const *lineage;
    size_t n_lineage;
    const float *group_norms; /* of an erasure in a difference: L2 norm of each group (block) */
    size_t n_group_norms;
};

struct lethe_version {
    char id[LETHE_DIGEST_TEXT];
    uint64_t number;
    char parent[LETHE_DIGEST_TEXT]; /* "" for the first */
    char request[LETHE_ID_TEXT];    /* "" for the first */
    int64_t created_at;
    bool serving;
    bool pinned;
    const struct lethe_component *components;
    size_t n_components;
    uint64_t bytes;
    const struct lethe_label *labels;
    size_t n_labels;
    const char *evaluation; /* report document, JSON, or "" */
    size_t evaluation_bytes;
    const char *kernel;
    uint32_t threads;
    int64_t served_from;  /* lethe_served_at: the interval that holds the time asked for; */
    int64_t served_until; /* 0: it still serves */
    const char *proof;    /* lethe_served_proof: what shows it to others, for lethe-verify */
    size_t proof_bytes;
};

struct lethe_versions {
    const struct lethe_version *items; /* newest first */
    size_t n;
    uint64_t next_before;
};

struct lethe_diff {
    char a[LETHE_DIGEST_TEXT];
    char b[LETHE_DIGEST_TEXT];
    const struct lethe_component *added; /* in b, not in a */
    size_t n_added;
    const struct lethe_component *removed;
    size_t n_removed;
    const struct lethe_label *labels_a; /* only labels that differ, */
    const struct lethe_label *labels_b; /* the same ones in the same order */
    size_t n_labels_a;
    size_t n_labels_b;
    const char *evaluation_a;
    const char *evaluation_b;
    size_t evaluation_a_bytes;
    size_t evaluation_b_bytes;
};

enum lethe_code lethe_history(struct lethe *l,
                              uint32_t limit,
                              uint64_t before,
                              struct lethe_versions **ret_versions,
                              struct lethe_error *e) LETHE_CALL;
enum lethe_code lethe_show(struct lethe *l,
                           const char *version,
                           struct lethe_version **ret_version,
                           struct lethe_error *e) LETHE_CALL;
enum lethe_code lethe_diff(struct lethe *l,
                           const char *a,
                           const char *b,
                           struct lethe_diff **ret_diff,
                           struct lethe_error *e) LETHE_CALL;
enum lethe_code lethe_served_at(struct lethe *l,
                                int64_t time_us,
                                struct lethe_version **ret_version,
                                struct lethe_error *e) LETHE_CALL;
/* The same with the proof; LETHE_FAILED_PRECONDITION if the log does not go back so far. */
enum lethe_code lethe_served_proof(struct lethe *l,
                                   int64_t time_us,
                                   struct lethe_version **ret_version,
                                   struct lethe_error *e) LETHE_CALL;
/* LETHE_FAILED_PRECONDITION if it would bring erased state back. */
enum lethe_code lethe_rollback(struct lethe *l,
                               const char *version,
                               struct lethe_version **ret_version,
                               struct lethe_error *e) LETHE_CALL;
/*
 * Moves the serving pointer to a version and keeps it there: rollbacks are refused until the pin is
 * taken away (NULL).  An erasure outranks it: its commit moves the pointer and drops the pin.
 * Gives the version that serves.
 */
enum lethe_code lethe_pin(struct lethe *l,
                          const char *version,
                          struct lethe_version **ret_version,
                          struct lethe_error *e) LETHE_CALL;

struct lethe_report {
    char version[LETHE_DIGEST_TEXT];
    const char *evaluation; /* JSON */
    size_t evaluation_bytes;
};
/*
 * Measures a version now; `version` NULL is the serving one.  Takes minutes with `full`.  Waits for
 * the report for up to slow_timeout_ms; then LETHE_DEADLINE_EXCEEDED, and the measurement goes on.
 */
enum lethe_code lethe_evaluate(struct lethe *l,
                               const char *version,
                               bool full,
                               struct lethe_report **ret_report,
                               struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ evidence */

struct lethe_log_entry {
    uint64_t index;   /* from 0 */
    const char *text; /* the exact bytes, with a NUL behind them */
    size_t bytes;
};

struct lethe_log {
    const struct lethe_log_entry *items;
    size_t n;
    uint64_t size; /* entries of the whole log */
    uint64_t next; /* index to go on from; 0: these were the last */
};

/* Entries from an index on; `newest`: the last ones instead.  limit 0: 50. */
enum lethe_code lethe_log(struct lethe *l,
                          uint64_t from,
                          uint32_t limit,
                          bool newest,
                          struct lethe_log **ret_log,
                          struct lethe_error *e) LETHE_CALL;

struct lethe_checkpoint {
    const char *note; /* exact bytes of the newest signed head, with a NUL behind them */
    size_t note_bytes;
    uint64_t size;
    const char *key; /* verifier key; a verifier should have it from elsewhere */
};
enum lethe_code lethe_checkpoint(struct lethe *l,
                                 struct lethe_checkpoint **ret_checkpoint,
                                 struct lethe_error *e) LETHE_CALL;

/* A file for lethe-verify, with a NUL behind it. */
struct lethe_proof {
    const char *text;
    size_t bytes;
    uint64_t index; /* of the entry that it is about */
    uint64_t size;  /* of the log that it is a proof against */
};
/*
 * The receipt of how a request ended, or (`accepted`) of its acceptance.  Opened for whoever handed
 * it in.  LETHE_NOT_FOUND; LETHE_FAILED_PRECONDITION: not ended yet, or older than the log.
 */
enum lethe_code lethe_prove(struct lethe *l,
                            const char *request_id,
                            bool accepted,
                            struct lethe_proof **ret_proof,
                            struct lethe_error *e) LETHE_CALL;
/* A certificate with its proof in it, with a NUL behind it. */
struct lethe_certificate {
    const char *text;
    size_t bytes;
    uint64_t index;    /* of its entry */
    uint64_t size;     /* of the log that it is a proof against */
    const char *level; /* of the assurance ladder: none, L0 to L5 */
};
/*
 * Of an erasure that has ended: what was done, what the tests found, which level is reached.  The
 * same one again as long as nothing it says has changed.  LETHE_NOT_FOUND;
 * LETHE_FAILED_PRECONDITION: no erasure, not ended yet, or older than the log.
 */
enum lethe_code lethe_certificate(struct lethe *l,
                                  const char *request_id,
                                  bool html,
                                  struct lethe_certificate **ret_certificate,
                                  struct lethe_error *e) LETHE_CALL;
/* That the log of new_size entries (0: as it is) begins with that of old_size. */
enum lethe_code lethe_consistency(struct lethe *l,
                                  uint64_t old_size,
                                  uint64_t new_size,
                                  struct lethe_proof **ret_proof,
                                  struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ export */

struct lethe_file {
    const char *path; /* relative, never leaving the folder it is put into */
    char digest[LETHE_DIGEST_TEXT];
    uint64_t bytes;
};
struct lethe_export {
    char version[LETHE_DIGEST_TEXT];
    const struct lethe_file *files;
    size_t n_files;
};
/* `format`: peft, merged, onnx-ready.  Names the files; lethe_blob brings their bytes. */
enum lethe_code lethe_export(struct lethe *l,
                             const char *version,
                             const char *format,
                             struct lethe_export **ret_export,
                             struct lethe_error *e) LETHE_CALL;

/* One lane or expert ("lane:NAME", "expert:NAME") as the only file, for lethe_component_import. */
enum lethe_code lethe_component_export(struct lethe *l,
                                       const char *version,
                                       const char *component,
                                       struct lethe_export **ret_export,
                                       struct lethe_error *e) LETHE_CALL;

/* Takes the next bytes of a download; returning false ends it with LETHE_CANCELLED. */
typedef bool lethe_bytes_fn(void *context, const void *bytes, size_t size);
/*
 * Downloads one file of an export in order and compares its BLAKE2b-256 digest at the end.
 * LETHE_DATA_LOSS if it does not match: throw away what was written.
 */
enum lethe_code lethe_blob(struct lethe *l,
                           const struct lethe_file *file,
                           lethe_bytes_fn *function,
                           void *context,
                           struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ data sets */

struct lethe_dataset {
    const char *name;
    const char *role; /* train, validation, test, unseen, probe */
    uint64_t images;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    const char *const *classes;
    size_t n_classes;
    char digest[LETHE_DIGEST_TEXT];
    int64_t created_at;
    uint64_t bytes;
    bool multi_label; /* images have any number of its classes */
    bool subjects;    /* it says whose each image is */
};
struct lethe_datasets {
    const struct lethe_dataset *items;
    size_t n;
};

/*
 * A data set to be: its stream is u8 pixels [n,H,W,C], then labels, i32 little-endian [n], or u8
 * [n,K] when multi_label; then, with subjects, u8 [n,32] of lethe_subject: whose each image is.
 */
struct lethe_data_spec {
    const char *name;
    const char *role; /* NULL: train */
    uint64_t images;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    const char *const *classes;
    size_t n_classes;
    bool multi_label;
    bool subjects;
    uint8_t digest[LETHE_DIGEST_SIZE]; /* BLAKE2b-256 of the stream */
};
/*
 * What stands for a subject in a stream: a hash of its id, so that the id itself does not travel;
 * zero for "" and NULL, which is nobody.  The daemon keeps a keyed hash of it only.
 */
void lethe_subject(const char *id, uint8_t ret_hash[LETHE_DIGEST_SIZE]);
/* Bytes of the stream; 0 if the sizes overflow. */
uint64_t lethe_data_bytes(const struct lethe_data_spec *spec);

struct lethe_upload {
    char id[LETHE_ID_TEXT];
    char name[256];  /* of the data set */
    uint64_t offset; /* the daemon has everything before it */
    uint64_t bytes;
    uint32_t credit; /* chunks of LETHE_CHUNK_BYTES that may be on their way */
    bool complete;   /* nothing is left to send */
};
#define LETHE_CHUNK_BYTES (1u << 20)

/* Starts an upload, or finds one of the same name and digest again and tells where to go on. */
enum lethe_code lethe_data_open(struct lethe *l,
                                const struct lethe_data_spec *spec,
                                struct lethe_upload *ret_upload,
                                struct lethe_error *e) LETHE_CALL;
/* Sends `size` bytes, at most LETHE_CHUNK_BYTES, from u->offset on and updates *u. */
enum lethe_code lethe_data_chunk(struct lethe *l,
                                 struct lethe_upload *u,
                                 const void *bytes,
                                 size_t size,
                                 struct lethe_error *e) LETHE_CALL;
/* Verifies the digest and registers the data set. */
enum lethe_code lethe_data_close(struct lethe *l,
                                 const struct lethe_upload *u,
                                 struct lethe_dataset **ret_dataset,
                                 struct lethe_error *e) LETHE_CALL;

/* Gives `size` bytes of a data set's stream from `offset` on; false ends with LETHE_CANCELLED. */
typedef bool lethe_source_fn(void *context, uint64_t offset, void *to, size_t size);
/* Sees how far an import is. `done` of `total` bytes. */
typedef void lethe_meter_fn(void *context, uint64_t done, uint64_t total);

struct lethe_import_args {
    struct lethe_data_spec spec; /* its digest is computed by reading the source once */
    lethe_source_fn *source;
    lethe_meter_fn *meter; /* NULL: none */
    void *context;
};
/* All of it: digest, open or resume, chunks within the credit, close. */
enum lethe_code lethe_data_import(struct lethe *l,
                                  const struct lethe_import_args *args,
                                  struct lethe_dataset **ret_dataset,
                                  struct lethe_error *e) LETHE_CALL;

enum lethe_code lethe_data_list(struct lethe *l,
                                struct lethe_datasets **ret_datasets,
                                struct lethe_error *e) LETHE_CALL;
/*
 * Removes a data set in all its roles.  LETHE_NOT_FOUND; LETHE_FAILED_PRECONDITION: an open request
 * needs it, or a learned task of the serving version descends from it.
 */
enum lethe_code
lethe_data_remove(struct lethe *l, const char *name, struct lethe_error *e) LETHE_CALL;
/* Also if a learned task descends from it: only as a whole can that task be forgotten then. */
enum lethe_code
lethe_data_remove_forced(struct lethe *l, const char *name, struct lethe_error *e) LETHE_CALL;

/* ------------------------------------------------------------------ the store */

struct lethe_fsck {
    bool ok;
    uint64_t blobs;
    uint64_t versions;
    uint64_t requests;
    const char *const *findings;
    size_t n_findings;
};
/* Checks every stored byte against its digest. */
enum lethe_code
lethe_fsck(struct lethe *l, struct lethe_fsck **ret_fsck, struct lethe_error *e) LETHE_CALL;

/* The keys of the store, as one of the calls below leaves them.  Role admin. */
struct lethe_vault {
    uint64_t epoch;
    uint64_t data_keys;    /* that live */
    uint64_t destroyed;    /* that this call destroyed: pieces of content, or their keys */
    const char *key_store; /* "file": deletion is logical */
    uint64_t bytes;        /* of the store, or of the backup */
    char version[LETHE_DIGEST_TEXT]; /* the sealed one; "" else */
    const char *const *copies;       /* known copies of the old base outside of the store */
    size_t n_copies;
};
/* Destroys the keys of all that was deleted until now. */
enum lethe_code
lethe_rotate(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e) LETHE_CALL;
/*
 * Folds the erasures of the serving version into a new base, which serves from then on; the old
 * base, the erasures and everything that only older versions need are destroyed, and the keys
 * rotated.  There is no way back.  LETHE_FAILED_PRECONDITION: a request is under way, or there is
 * no erasure.
 */
enum lethe_code
lethe_seal(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e) LETHE_CALL;
/* Brings the backup in that folder of the daemon's machine up to date, or makes it. */
enum lethe_code lethe_backup(struct lethe *l,
                             const char *folder,
                             struct lethe_vault **ret_vault,
                             struct lethe_error *e) LETHE_CALL;
/* Gives the free pages of the data file back to the file system. */
enum lethe_code
lethe_compact(struct lethe *l, struct lethe_vault **ret_vault, struct lethe_error *e) LETHE_CALL;

#ifdef __cplusplus
}
#endif

#endif
