#include "client/calls.h"

#include "client/client_error.h"
#include "client/convert.h"
#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "proto/limits.h"

#include <string.h>

#define EVALUATE_SLICE_MS 30000
#define EVALUATE_GRACE_MS 15000

_Static_assert(LETHE_PREDICT_MAX == LIMIT_PREDICT_IMAGES, "images of one call");
_Static_assert((int)LETHE_MODE_FAST == (int)WIRE_MODE_FAST &&
                   (int)LETHE_PROBE_NONE == (int)WIRE_PROBE_NONE &&
                   (int)LETHE_PIXEL_F32 == (int)WIRE_PIXEL_F32,
               "numbers of lethe.h and wire.h");

/* ------------------------------------------------------------------ one exchange */

static size_t root_bytes(enum wire_answer answer)
{
    switch (answer) {
    case WIRE_ANSWER_STATUS:
        return sizeof(struct lethe_status);
    case WIRE_ANSWER_REQUEST:
        return sizeof(struct lethe_request);
    case WIRE_ANSWER_REQUESTS:
        return sizeof(struct lethe_requests);
    case WIRE_ANSWER_PREDICTIONS:
        return sizeof(struct lethe_predictions);
    case WIRE_ANSWER_VERSION:
        return sizeof(struct lethe_version);
    case WIRE_ANSWER_VERSIONS:
        return sizeof(struct lethe_versions);
    case WIRE_ANSWER_DIFF:
        return sizeof(struct lethe_diff);
    case WIRE_ANSWER_UPLOAD:
        return sizeof(struct lethe_upload);
    case WIRE_ANSWER_DATASETS:
        /* lethe_data_close turns the list into its one data set, in place */
        return sizeof(struct lethe_dataset) > sizeof(struct lethe_datasets)
                   ? sizeof(struct lethe_dataset)
                   : sizeof(struct lethe_datasets);
    case WIRE_ANSWER_EXPORTED:
        return sizeof(struct lethe_export);
    case WIRE_ANSWER_MODEL:
        return sizeof(struct lethe_model);
    case WIRE_ANSWER_FSCK:
        return sizeof(struct lethe_fsck);
    case WIRE_ANSWER_VAULT:
        return sizeof(struct lethe_vault);
    case WIRE_ANSWER_KEYS:
        return sizeof(struct lethe_clients);
    case WIRE_ANSWER_REPORT:
        return sizeof(struct lethe_report);
    case WIRE_ANSWER_LOG_ENTRIES:
        return sizeof(struct lethe_log);
    case WIRE_ANSWER_CHECKPOINT:
        return sizeof(struct lethe_checkpoint);
    case WIRE_ANSWER_PROOF:
        return sizeof(struct lethe_proof);
    case WIRE_ANSWER_CERTIFICATE:
        return sizeof(struct lethe_certificate);
    case WIRE_ANSWER_NONE:
        return 0;
    }
    return 0;
}

static bool convert_upload(const struct wire_upload *from, struct lethe_upload *to)
{
    *to = (struct lethe_upload){.offset = from->offset,
                                .bytes = from->bytes,
                                .credit = from->credit,
                                .complete = from->complete};
    convert_id(&from->upload, to->id);
    return true;
}

static bool convert_answer(struct arena *a, const struct wire_reply *reply, void *root)
{
    switch (reply->answer) {
    case WIRE_ANSWER_STATUS:
        return convert_status(a, &reply->body.status, root);
    case WIRE_ANSWER_REQUEST:
        return convert_request(a, &reply->body.request, root);
    case WIRE_ANSWER_REQUESTS:
        return convert_requests(a, &reply->body.requests, root);
    case WIRE_ANSWER_PREDICTIONS:
        return convert_predictions(a, &reply->body.predictions, root);
    case WIRE_ANSWER_VERSION:
        return convert_version(a, &reply->body.version, root);
    case WIRE_ANSWER_VERSIONS:
        return convert_versions(a, &reply->body.versions, root);
    case WIRE_ANSWER_DIFF:
        return convert_diff(a, &reply->body.diff, root);
    case WIRE_ANSWER_UPLOAD:
        return convert_upload(&reply->body.upload, root);
    case WIRE_ANSWER_DATASETS:
        return convert_datasets(a, &reply->body.datasets, root);
    case WIRE_ANSWER_EXPORTED:
        return convert_export(a, &reply->body.exported, root);
    case WIRE_ANSWER_MODEL:
        return convert_model(a, &reply->body.model, root);
    case WIRE_ANSWER_FSCK:
        return convert_fsck(a, &reply->body.fsck, root);
    case WIRE_ANSWER_VAULT:
        return convert_vault(a, &reply->body.vault, root);
    case WIRE_ANSWER_KEYS:
        return convert_clients(a, &reply->body.keys, root);
    case WIRE_ANSWER_REPORT:
        return convert_report(a, &reply->body.report, root);
    case WIRE_ANSWER_LOG_ENTRIES:
        return convert_log(a, &reply->body.log_entries, root);
    case WIRE_ANSWER_CHECKPOINT:
        return convert_checkpoint(a, &reply->body.checkpoint, root);
    case WIRE_ANSWER_PROOF:
        return convert_proof(a, &reply->body.proof, root);
    case WIRE_ANSWER_CERTIFICATE:
        return convert_certificate(a, &reply->body.certificate, root);
    case WIRE_ANSWER_NONE:
        return true;
    }
    return false;
}

static enum lethe_code no_memory(struct lethe_error *e)
{
    return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, NULL, "out of memory");
}

enum lethe_code
calls_run(struct lethe *l, struct client_call *c, void **ret_root, struct lethe_error *e)
{
    *ret_root = NULL;
    client_error_clear(e);
    struct result *r = result_new(root_bytes(c->expects));
    if (!r)
        return no_memory(e);
    enum lethe_code code = client_call(l, c, r, e);
    if (code == LETHE_OK && c->expects != WIRE_ANSWER_NONE &&
        !convert_answer(result_arena(r), c->reply, result_root(r)))
        code = no_memory(e);
    if (code != LETHE_OK || c->expects == WIRE_ANSWER_NONE) {
        result_free(r);
        return code;
    }
    *ret_root = result_finish(r);
    return LETHE_OK;
}

enum lethe_code calls_parse_id(const char *text,
                               const char *field,
                               struct request_id *ret_id,
                               struct lethe_error *e)
{
    if (text && request_id_parse(text, ret_id) == 0)
        return LETHE_OK;
    return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, field,
                            "\"%.50s\" is no id; one looks like "
                            "018bcfe5-687b-7f01-bf03-040506070809",
                            text ? text : "");
}

/* ------------------------------------------------------------------ status, model, fsck */

enum lethe_code
lethe_status(struct lethe *l, struct lethe_status **ret_status, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_STATUS, .expects = WIRE_ANSWER_STATUS};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_status = root;
    return code;
}

enum lethe_code lethe_model(struct lethe *l, struct lethe_model **ret_model, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_MODEL, .expects = WIRE_ANSWER_MODEL};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_model = root;
    return code;
}

enum lethe_code lethe_fsck(struct lethe *l, struct lethe_fsck **ret_fsck, struct lethe_error *e)
{
    struct client_call c = {.envelope.kind = WIRE_KIND_FSCK,
                            .timeout_ms = client_slow_timeout_ms(l),
                            .attempts = 1,
                            .expects = WIRE_ANSWER_FSCK};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_fsck = root;
    return code;
}

/* ------------------------------------------------------------------ requests */

bool lethe_state_is_final(const char *state)
{
    static const char *const FINAL[] = {"committed", "rejected", "failed",
                                        "cancelled", "denied",   "duplicate"};
    for (size_t i = 0; i < sizeof FINAL / sizeof FINAL[0]; i++) {
        if (strcmp(state, FINAL[i]) == 0)
            return true;
    }
    return false;
}

enum lethe_code calls_options(const struct lethe_option *from,
                              size_t n,
                              struct wire_option to[LIMIT_OPTIONS],
                              struct lethe_error *e)
{
    if (n > LIMIT_OPTIONS)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "options",
                                "more than %u options", LIMIT_OPTIONS);
    for (size_t i = 0; i < n; i++)
        to[i] = (struct wire_option){from[i].name, from[i].value};
    return LETHE_OK;
}

enum lethe_code calls_submit(struct lethe *l,
                             struct client_call *c,
                             const char *request_id,
                             struct lethe_request **ret_request,
                             struct lethe_error *e)
{
    *ret_request = NULL;
    if (request_id) {
        const enum lethe_code code =
            calls_parse_id(request_id, "request_id", &c->envelope.request_id, e);
        if (code != LETHE_OK)
            return code;
    }
    c->expects = WIRE_ANSWER_REQUEST;
    void *root;
    const enum lethe_code code = calls_run(l, c, &root, e);
    *ret_request = root;
    return code;
}

enum lethe_code lethe_forget(struct lethe *l,
                             const struct lethe_forget_args *args,
                             struct lethe_request **ret_request,
                             struct lethe_error *e)
{
    *ret_request = NULL;
    struct wire_option options[LIMIT_OPTIONS];
    const enum lethe_code code = calls_options(args->options, args->n_options, options, e);
    if (code != LETHE_OK)
        return code;
    struct client_call c = {.envelope = {.kind = WIRE_KIND_FORGET,
                                         .body.forget = {.classes = args->classes,
                                                         .n_classes = args->n_classes,
                                                         .samples = args->samples,
                                                         .task = args->task,
                                                         .subject = args->subject,
                                                         .ticket = args->ticket,
                                                         .due_at = args->due_at,
                                                         .mode = (enum wire_mode)args->mode,
                                                         .probe = (enum wire_probe)args->probe,
                                                         .dry_run = args->dry_run,
                                                         .seed = args->seed,
                                                         .options = options,
                                                         .n_options = args->n_options}}};
    return calls_submit(l, &c, args->request_id, ret_request, e);
}

enum lethe_code lethe_requests(struct lethe *l,
                               const char *state,
                               uint32_t limit,
                               uint64_t before,
                               struct lethe_requests **ret_requests,
                               struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_REQUESTS, .body.list = {state, limit, before}},
        .expects = WIRE_ANSWER_REQUESTS};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_requests = root;
    return code;
}

static enum lethe_code request_by_id(struct lethe *l,
                                     enum wire_kind kind,
                                     const char *id,
                                     const char *reason,
                                     struct lethe_request **ret_request,
                                     struct lethe_error *e)
{
    *ret_request = NULL;
    struct client_call c = {.envelope = {.kind = kind, .body.by_id.reason = reason},
                            .expects = WIRE_ANSWER_REQUEST};
    enum lethe_code code = calls_parse_id(id, "id", &c.envelope.body.by_id.id, e);
    if (code != LETHE_OK)
        return code;
    void *root;
    code = calls_run(l, &c, &root, e);
    *ret_request = root;
    return code;
}

enum lethe_code lethe_request(struct lethe *l,
                              const char *id,
                              struct lethe_request **ret_request,
                              struct lethe_error *e)
{
    return request_by_id(l, WIRE_KIND_REQUEST, id, NULL, ret_request, e);
}

enum lethe_code lethe_cancel(struct lethe *l,
                             const char *id,
                             const char *reason,
                             struct lethe_request **ret_request,
                             struct lethe_error *e)
{
    return request_by_id(l, WIRE_KIND_CANCEL, id, reason, ret_request, e);
}

enum lethe_code lethe_approve(struct lethe *l,
                              const char *id,
                              const char *reason,
                              struct lethe_request **ret_request,
                              struct lethe_error *e)
{
    return request_by_id(l, WIRE_KIND_APPROVE, id, reason, ret_request, e);
}

enum lethe_code lethe_deny(struct lethe *l,
                           const char *id,
                           const char *reason,
                           struct lethe_request **ret_request,
                           struct lethe_error *e)
{
    return request_by_id(l, WIRE_KIND_DENY, id, reason, ret_request, e);
}

/* ------------------------------------------------------------------ versions */

static enum lethe_code one_version(struct lethe *l,
                                   struct client_call *c,
                                   struct lethe_version **ret_version,
                                   struct lethe_error *e)
{
    c->expects = WIRE_ANSWER_VERSION;
    void *root;
    const enum lethe_code code = calls_run(l, c, &root, e);
    *ret_version = root;
    return code;
}

enum lethe_code lethe_show(struct lethe *l,
                           const char *version,
                           struct lethe_version **ret_version,
                           struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_SHOW, .body.version.version = version}};
    return one_version(l, &c, ret_version, e);
}

enum lethe_code lethe_served_at(struct lethe *l,
                                int64_t time_us,
                                struct lethe_version **ret_version,
                                struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_SERVED_AT, .body.served_at.time = time_us}};
    return one_version(l, &c, ret_version, e);
}

enum lethe_code lethe_served_proof(struct lethe *l,
                                   int64_t time_us,
                                   struct lethe_version **ret_version,
                                   struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_SERVED_AT,
                                         .body.served_at = {.time = time_us, .proof = true}}};
    return one_version(l, &c, ret_version, e);
}

enum lethe_code lethe_rollback(struct lethe *l,
                               const char *version,
                               struct lethe_version **ret_version,
                               struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_ROLLBACK, .body.rollback.version = version}};
    return one_version(l, &c, ret_version, e);
}

enum lethe_code lethe_pin(struct lethe *l,
                          const char *version,
                          struct lethe_version **ret_version,
                          struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_PIN, .body.version.version = version}};
    return one_version(l, &c, ret_version, e);
}

enum lethe_code lethe_history(struct lethe *l,
                              uint32_t limit,
                              uint64_t before,
                              struct lethe_versions **ret_versions,
                              struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_HISTORY, .body.list = {.limit = limit, .before = before}},
        .expects = WIRE_ANSWER_VERSIONS};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_versions = root;
    return code;
}

enum lethe_code lethe_diff(struct lethe *l,
                           const char *a,
                           const char *b,
                           struct lethe_diff **ret_diff,
                           struct lethe_error *e)
{
    struct client_call c = {.envelope = {.kind = WIRE_KIND_DIFF, .body.diff = {a, b}},
                            .expects = WIRE_ANSWER_DIFF};
    void *root;
    const enum lethe_code code = calls_run(l, &c, &root, e);
    *ret_diff = root;
    return code;
}

/*
 * An evaluation is a job of its own.  The daemon answers a call whose deadline comes first with
 * DEADLINE_EXCEEDED; the same id again goes on waiting for the same job, also after a restart.
 */
enum lethe_code lethe_evaluate(struct lethe *l,
                               const char *version,
                               bool full,
                               struct lethe_report **ret_report,
                               struct lethe_error *e)
{
    struct client_call c = {
        .envelope = {.kind = WIRE_KIND_EVALUATE, .body.evaluate = {version, full}},
        .timeout_ms = EVALUATE_SLICE_MS + EVALUATE_GRACE_MS,
        .attempts = 1,
        .expects = WIRE_ANSWER_REPORT};
    const int64_t end_us = clock_mono_us() + (int64_t)client_slow_timeout_ms(l) * 1000;
    struct lethe_error own; /* the caller may want none; who spoke decides here */
    e = e ? e : &own;
    do {
        void *root;
        c.envelope.deadline_ms = EVALUATE_SLICE_MS;
        const enum lethe_code code = calls_run(l, &c, &root, e);
        *ret_report = root;
        if (code != LETHE_DEADLINE_EXCEEDED || e->origin != LETHE_FROM_DAEMON)
            return code;
    } while (clock_mono_us() < end_us);
    return client_error_set(e, LETHE_DEADLINE_EXCEEDED, LETHE_FROM_TRANSPORT, NULL,
                            "the evaluation was not done within %u s; it goes on",
                            client_slow_timeout_ms(l) / 1000);
}

/* ------------------------------------------------------------------ predictions */

/* Predictions name a version by its whole digest; other names are looked up first. */
static enum lethe_code
resolve_version(struct lethe *l, const char *name, struct digest *ret_digest, struct lethe_error *e)
{
    *ret_digest = (struct digest){{0}};
    if (!name || name[0] == '\0' || strcmp(name, "serving") == 0 ||
        digest_parse(name, ret_digest) == 0)
        return LETHE_OK;
    struct lethe_version *v;
    const enum lethe_code code = lethe_show(l, name, &v, e);
    if (code == LETHE_OK && digest_parse(v->id, ret_digest) != 0) {
        lethe_free(v);
        return client_error_set(e, LETHE_INTERNAL, LETHE_FROM_TRANSPORT, "version",
                                "the daemon named no digest for version %.80s", name);
    }
    lethe_free(v);
    return code;
}

static enum lethe_code
check_images(const struct lethe_predict_args *args, size_t *ret_bytes, struct lethe_error *e)
{
    const size_t element = args->pixel == LETHE_PIXEL_F32 ? sizeof(float) : 1;
    if (args->n_images == 0 || args->n_images > LETHE_PREDICT_MAX)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "images",
                                "%zu images; one call takes 1 to %d", args->n_images,
                                LETHE_PREDICT_MAX);
    if (args->height == 0 || args->width == 0 || args->height > LIMIT_IMAGE_SIDE ||
        args->width > LIMIT_IMAGE_SIDE || args->channels == 0 ||
        args->channels > LIMIT_IMAGE_CHANNELS)
        return client_error_set(e, LETHE_INVALID_ARGUMENT, LETHE_FROM_CALLER, "images",
                                "images of %u x %u pixels and %u channels cannot be sent",
                                args->height, args->width, args->channels);
    *ret_bytes = (size_t)args->height * args->width * args->channels * element;
    if (*ret_bytes > LIMIT_FRAME_BYTES ||
        *ret_bytes * args->n_images > LIMIT_MESSAGE_BYTES - LIMIT_ENVELOPE_BYTES)
        return client_error_set(e, LETHE_RESOURCE_EXHAUSTED, LETHE_FROM_CALLER, "images",
                                "%zu images of %zu bytes; the limits are %u bytes each and %u "
                                "together",
                                args->n_images, *ret_bytes, LIMIT_FRAME_BYTES,
                                LIMIT_MESSAGE_BYTES - LIMIT_ENVELOPE_BYTES);
    return LETHE_OK;
}

enum lethe_code lethe_predict(struct lethe *l,
                              const struct lethe_predict_args *args,
                              struct lethe_predictions **ret_predictions,
                              struct lethe_error *e)
{
    *ret_predictions = NULL;
    client_error_clear(e);
    size_t bytes = 0;
    enum lethe_code code = check_images(args, &bytes, e);
    if (code != LETHE_OK)
        return code;
    struct wire_bytes frames[LETHE_PREDICT_MAX];
    for (size_t i = 0; i < args->n_images; i++)
        frames[i] = (struct wire_bytes){args->images[i], bytes};
    struct client_call c = {.envelope = {.kind = WIRE_KIND_PREDICT,
                                         .body.predict = {.images = (uint32_t)args->n_images,
                                                          .pixel = (enum wire_pixel)args->pixel,
                                                          .height = args->height,
                                                          .width = args->width,
                                                          .channels = args->channels,
                                                          .top = args->top,
                                                          .logits = args->logits,
                                                          .scope = args->scope,
                                                          .decision = args->decision}},
                            .raw = frames,
                            .n_raw = args->n_images,
                            .expects = WIRE_ANSWER_PREDICTIONS};
    code = resolve_version(l, args->version, &c.envelope.body.predict.version, e);
    if (code != LETHE_OK)
        return code;
    void *root;
    code = calls_run(l, &c, &root, e);
    *ret_predictions = root;
    return code;
}
