/*
 * The pairing of plain structs and schema messages, one row a field, and the limit of each.  This
 * is the only file that sees the generated code.
 */
#include "proto/wire_internal.h"

#include "proto/limits.h"

#include "lethe.pb-c.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

#define ONE(t, s, member, bound)                                                                   \
    {                                                                                              \
        .name = #member, .type = WIRE_TYPE_##t, .offset = offsetof(struct s, member),              \
        .max = (bound)                                                                             \
    }
#define MANY(t, s, member, items, bound)                                                           \
    {                                                                                              \
        .name = #member, .type = WIRE_TYPE_##t, .offset = offsetof(struct s, member),              \
        .n_offset = offsetof(struct s, n_##member), .max_items = (items), .max = (bound)           \
    }
#define SIZES(s)                                                                                   \
    {                                                                                              \
        .name = "frame_bytes", .type = WIRE_TYPE_U64, .offset = offsetof(struct s, frame_bytes),   \
        .n_offset = offsetof(struct s, n_frames), .max_items = LIMIT_FRAMES,                       \
        .max = LIMIT_FRAME_BYTES                                                                   \
    }
#define SUB(s, member, of)                                                                         \
    {                                                                                              \
        .name = #member, .type = WIRE_TYPE_MESSAGE, .offset = offsetof(struct s, member),          \
        .shape = &(of)                                                                             \
    }
#define SUBS(s, member, items, of)                                                                 \
    {                                                                                              \
        .name = #member, .type = WIRE_TYPE_MESSAGE, .offset = offsetof(struct s, member),          \
        .n_offset = offsetof(struct s, n_##member), .max_items = (items), .shape = &(of)           \
    }
#define BODY(s, field, of)                                                                         \
    {                                                                                              \
        .name = #field, .type = WIRE_TYPE_BODY, .offset = offsetof(struct s, body), .shape = &(of) \
    }
#define SHAPE(name, s, message, ...)                                                               \
    static const struct wire_field fields_##name[] = {__VA_ARGS__};                                \
    static const struct wire_shape shape_##name = {.descriptor =                                   \
                                                       &lethe__v1__##message##__descriptor,        \
                                                   .fields = fields_##name,                        \
                                                   .n_fields = COUNT_OF(fields_##name),            \
                                                   .size = sizeof(struct s)}

#define TEXT LIMIT_STRING_BYTES
#define NAME LIMIT_NAME_BYTES

/* clang-format off */

/* ------------------------------------------------------------ requests */

SHAPE(option, wire_option, option,
    ONE(TEXT, wire_option, name, NAME),
    ONE(TEXT, wire_option, value, TEXT));

SHAPE(forget, wire_forget, forget,
    MANY(TEXT, wire_forget, classes, LIMIT_LABELS, TEXT),
    ONE(TEXT, wire_forget, samples, NAME),
    ONE(TEXT, wire_forget, task, NAME),
    ONE(TEXT, wire_forget, subject, TEXT),
    ONE(TEXT, wire_forget, ticket, TEXT),
    ONE(I64, wire_forget, due_at, 0),
    ONE(ENUM, wire_forget, mode, 0),
    ONE(ENUM, wire_forget, probe, 0),
    ONE(BOOL, wire_forget, dry_run, 0),
    ONE(U64, wire_forget, seed, 0),
    SUBS(wire_forget, options, LIMIT_OPTIONS, shape_option));

SHAPE(learn, wire_learn, learn,
    ONE(TEXT, wire_learn, task, NAME),
    ONE(TEXT, wire_learn, data, NAME),
    ONE(TEXT, wire_learn, method, NAME),
    ONE(BOOL, wire_learn, dry_run, 0),
    ONE(U64, wire_learn, seed, 0),
    SUBS(wire_learn, options, LIMIT_OPTIONS, shape_option),
    ONE(FLOAT, wire_learn, floor, 0),
    ONE(TEXT, wire_learn, ticket, TEXT));

SHAPE(stream_open, wire_stream_open, stream_open,
    ONE(TEXT, wire_stream_open, name, NAME),
    ONE(U32, wire_stream_open, run, 0),
    ONE(TEXT, wire_stream_open, expert, NAME),
    ONE(U64, wire_stream_open, seed, 0),
    SUBS(wire_stream_open, options, LIMIT_OPTIONS, shape_option),
    ONE(TEXT, wire_stream_open, ticket, TEXT));

SHAPE(stream_push, wire_stream_push, stream_push,
    ONE(TEXT, wire_stream_push, name, NAME),
    ONE(TEXT, wire_stream_push, data, NAME),
    ONE(BOOL, wire_stream_push, probe, 0),
    ONE(U32, wire_stream_push, batch, 0),
    ONE(BOOL, wire_stream_push, dry_run, 0),
    SUBS(wire_stream_push, options, LIMIT_OPTIONS, shape_option),
    ONE(TEXT, wire_stream_push, ticket, TEXT));

SHAPE(import, wire_import, import,
    ONE(TEXT, wire_import, kind, NAME),
    ONE(TEXT, wire_import, name, NAME),
    ONE(DIGEST, wire_import, digest, 0),
    ONE(BOOL, wire_import, dry_run, 0));

SHAPE(keys, wire_keys, keys,
    ONE(TEXT, wire_keys, action, NAME),
    ONE(TEXT, wire_keys, name, NAME),
    ONE(TEXT, wire_keys, role, NAME),
    ONE(DIGEST, wire_keys, key, 0));

SHAPE(predict, wire_predict, predict,
    ONE(DIGEST, wire_predict, version, 0),
    ONE(U32, wire_predict, images, LIMIT_PREDICT_IMAGES),
    ONE(ENUM, wire_predict, pixel, 0),
    ONE(U32, wire_predict, height, LIMIT_IMAGE_SIDE),
    ONE(U32, wire_predict, width, LIMIT_IMAGE_SIDE),
    ONE(U32, wire_predict, channels, LIMIT_IMAGE_CHANNELS),
    ONE(U32, wire_predict, top, LIMIT_PREDICT_TOP),
    ONE(BOOL, wire_predict, logits, 0),
    ONE(TEXT, wire_predict, scope, NAME),
    ONE(TEXT, wire_predict, decision, NAME));

SHAPE(list, wire_list, list,
    ONE(TEXT, wire_list, state, NAME),
    ONE(U32, wire_list, limit, LIMIT_LIST),
    ONE(U64, wire_list, before, 0));

SHAPE(by_id, wire_by_id, by_id,
    ONE(ID, wire_by_id, id, 0),
    ONE(TEXT, wire_by_id, reason, TEXT));

SHAPE(version_name, wire_version_name, version,
    ONE(TEXT, wire_version_name, version, NAME));

SHAPE(rollback, wire_version_name, rollback,
    ONE(TEXT, wire_version_name, version, NAME));

SHAPE(diff, wire_diff, diff,
    ONE(TEXT, wire_diff, a, NAME),
    ONE(TEXT, wire_diff, b, NAME));

SHAPE(served_at, wire_served_at, served_at,
    ONE(I64, wire_served_at, time, 0),
    ONE(BOOL, wire_served_at, proof, 0));

SHAPE(log_list, wire_log_list, log_list,
    ONE(U64, wire_log_list, from, 0),
    ONE(U32, wire_log_list, limit, LIMIT_LIST),
    ONE(BOOL, wire_log_list, newest, 0));

SHAPE(prove, wire_prove, prove,
    ONE(ID, wire_prove, id, 0),
    ONE(BOOL, wire_prove, accepted, 0));

SHAPE(sizes, wire_sizes, sizes,
    ONE(U64, wire_sizes, old_size, 0),
    ONE(U64, wire_sizes, new_size, 0));

SHAPE(certify, wire_certify, certify,
    ONE(ID, wire_certify, id, 0),
    ONE(BOOL, wire_certify, html, 0));

SHAPE(evaluate, wire_evaluate, evaluate,
    ONE(TEXT, wire_evaluate, version, NAME),
    ONE(BOOL, wire_evaluate, full, 0));

SHAPE(export, wire_export, export,
    ONE(TEXT, wire_export, version, NAME),
    ONE(TEXT, wire_export, format, NAME),
    ONE(TEXT, wire_export, component, TEXT));

SHAPE(blob, wire_blob_range, blob_range,
    ONE(DIGEST, wire_blob_range, digest, 0),
    ONE(U64, wire_blob_range, offset, 0),
    ONE(U32, wire_blob_range, length, LIMIT_FRAME_BYTES));

SHAPE(by_name, wire_by_name, by_name,
    ONE(TEXT, wire_by_name, name, NAME),
    ONE(BOOL, wire_by_name, force, 0));

SHAPE(backup, wire_backup, backup,
    ONE(TEXT, wire_backup, folder, TEXT));

SHAPE(data_open, wire_data_open, data_open,
    ONE(TEXT, wire_data_open, name, NAME),
    ONE(TEXT, wire_data_open, role, NAME),
    ONE(U64, wire_data_open, images, LIMIT_DATASET_IMAGES),
    ONE(U32, wire_data_open, height, LIMIT_IMAGE_SIDE),
    ONE(U32, wire_data_open, width, LIMIT_IMAGE_SIDE),
    ONE(U32, wire_data_open, channels, LIMIT_IMAGE_CHANNELS),
    MANY(TEXT, wire_data_open, classes, LIMIT_LABELS, TEXT),
    ONE(DIGEST, wire_data_open, digest, 0),
    ONE(BOOL, wire_data_open, multi_label, 0),
    ONE(BOOL, wire_data_open, subjects, 0));

SHAPE(data_chunk, wire_data_chunk, data_chunk,
    ONE(ID, wire_data_chunk, upload, 0),
    ONE(U64, wire_data_chunk, offset, LIMIT_DATASET_BYTES));

/* ------------------------------------------------------------ replies */

SHAPE(error, wire_error, error,
    ONE(TEXT, wire_error, code, NAME),
    ONE(TEXT, wire_error, text, TEXT),
    ONE(TEXT, wire_error, field, NAME),
    ONE(U32, wire_error, retry_after_s, 0),
    ONE(I32, wire_error, status, 0));

SHAPE(status, wire_status, status,
    ONE(TEXT, wire_status, state, NAME),
    ONE(TEXT, wire_status, lethe_version, NAME),
    ONE(I64, wire_status, started_at, 0),
    ONE(DIGEST, wire_status, serving, 0),
    ONE(U64, wire_status, serving_number, 0),
    ONE(U64, wire_status, serving_generation, 0),
    ONE(BOOL, wire_status, pinned, 0),
    ONE(U32, wire_status, queue_depth, 0),
    ONE(TEXT, wire_status, running, NAME),
    ONE(TEXT, wire_status, model, TEXT),
    ONE(DIGEST, wire_status, base_digest, 0),
    ONE(U32, wire_status, classes_active, 0),
    ONE(U32, wire_status, classes_forgotten, 0),
    ONE(U64, wire_status, store_bytes, 0),
    ONE(U64, wire_status, store_limit, 0),
    ONE(U64, wire_status, predictions, 0),
    ONE(TEXT, wire_status, kernel, NAME),
    ONE(U32, wire_status, threads, 0),
    ONE(U32, wire_status, workers_restarted, 0),
    ONE(BOOL, wire_status, data_ready, 0),
    ONE(U32, wire_status, lanes, 0),
    ONE(U32, wire_status, experts, 0),
    ONE(U32, wire_status, streams, 0));

SHAPE(progress, wire_progress, progress,
    ONE(TEXT, wire_progress, phase, NAME),
    ONE(U32, wire_progress, epoch, 0),
    ONE(U32, wire_progress, epochs, 0),
    ONE(U32, wire_progress, step, 0),
    ONE(U32, wire_progress, steps, 0),
    ONE(FLOAT, wire_progress, loss, 0),
    ONE(FLOAT, wire_progress, loss_retain, 0),
    ONE(FLOAT, wire_progress, loss_forget, 0),
    ONE(FLOAT, wire_progress, loss_depth, 0),
    ONE(FLOAT, wire_progress, acc_forget, 0),
    ONE(FLOAT, wire_progress, acc_retain, 0),
    MANY(FLOAT, wire_progress, group_norms, LIMIT_GROUPS, 0),
    ONE(FLOAT, wire_progress, seconds_left, 0),
    ONE(U32, wire_progress, attempt, 0),
    ONE(FLOAT, wire_progress, acc_valid, 0));

SHAPE(request, wire_request, request,
    ONE(ID, wire_request, id, 0),
    ONE(TEXT, wire_request, kind, NAME),
    ONE(TEXT, wire_request, state, NAME),
    ONE(I64, wire_request, submitted_at, 0),
    ONE(I64, wire_request, due_at, 0),
    ONE(I64, wire_request, finished_at, 0),
    ONE(TEXT, wire_request, role, NAME),
    ONE(DIGEST, wire_request, version_before, 0),
    ONE(DIGEST, wire_request, version_after, 0),
    ONE(U64, wire_request, seed, 0),
    SUB(wire_request, error, shape_error),
    ONE(BYTES, wire_request, evaluation, LIMIT_REPORT_BYTES),
    ONE(U32, wire_request, attempts, 0),
    ONE(TEXT, wire_request, ticket, TEXT),
    MANY(TEXT, wire_request, classes, LIMIT_LABELS, TEXT),
    SUB(wire_request, progress, shape_progress),
    ONE(TEXT, wire_request, probe, NAME),
    ONE(BOOL, wire_request, dry_run, 0),
    ONE(TEXT, wire_request, reason, TEXT),
    ONE(U64, wire_request, sequence, 0),
    ONE(I64, wire_request, started_at, 0),
    ONE(TEXT, wire_request, task, NAME),
    ONE(BYTES, wire_request, receipt, LIMIT_PROOF_BYTES));

SHAPE(requests, wire_requests, requests,
    SUBS(wire_requests, items, LIMIT_LIST, shape_request),
    ONE(U64, wire_requests, next_before, 0));

SHAPE(scored_label, wire_scored_label, scored_label,
    ONE(TEXT, wire_scored_label, label, TEXT),
    ONE(TEXT, wire_scored_label, owner, TEXT),
    ONE(FLOAT, wire_scored_label, p, 0));

SHAPE(prediction, wire_prediction, prediction,
    SUBS(wire_prediction, labels, LIMIT_LABELS, shape_scored_label),
    ONE(TEXT, wire_prediction, expert, TEXT),
    MANY(FLOAT, wire_prediction, logits, LIMIT_LABELS, 0));

SHAPE(predictions, wire_predictions, predictions,
    ONE(DIGEST, wire_predictions, version, 0),
    ONE(U64, wire_predictions, number, 0),
    SUBS(wire_predictions, items, LIMIT_PREDICT_IMAGES, shape_prediction),
    ONE(FLOAT, wire_predictions, latency_ms, 0),
    MANY(TEXT, wire_predictions, logit_labels, LIMIT_LABELS, TEXT));

SHAPE(component, wire_component, component,
    ONE(TEXT, wire_component, kind, NAME),
    ONE(TEXT, wire_component, name, TEXT),
    ONE(U64, wire_component, bytes, 0),
    ONE(DIGEST, wire_component, digest, 0),
    ONE(U32, wire_component, groups_total, 0),
    ONE(U32, wire_component, groups_zero, 0),
    ONE(U64, wire_component, seed, 0),
    MANY(TEXT, wire_component, lineage, LIMIT_LINEAGE, TEXT),
    MANY(FLOAT, wire_component, group_norms, LIMIT_GROUPS, 0));

SHAPE(label_info, wire_label_info, label_info,
    ONE(TEXT, wire_label_info, name, TEXT),
    ONE(TEXT, wire_label_info, owner, TEXT),
    ONE(TEXT, wire_label_info, status, NAME),
    ONE(ID, wire_label_info, forgotten_by, 0));

SHAPE(version, wire_version, version_info,
    ONE(DIGEST, wire_version, id, 0),
    ONE(U64, wire_version, number, 0),
    ONE(DIGEST, wire_version, parent, 0),
    ONE(ID, wire_version, request, 0),
    ONE(I64, wire_version, created_at, 0),
    ONE(BOOL, wire_version, serving, 0),
    ONE(BOOL, wire_version, pinned, 0),
    SUBS(wire_version, components, LIMIT_COMPONENTS, shape_component),
    ONE(U64, wire_version, bytes, 0),
    SUBS(wire_version, labels, LIMIT_LABELS, shape_label_info),
    ONE(BYTES, wire_version, evaluation, LIMIT_REPORT_BYTES),
    ONE(TEXT, wire_version, kernel, NAME),
    ONE(U32, wire_version, threads, 0),
    ONE(I64, wire_version, served_from, 0),
    ONE(I64, wire_version, served_until, 0),
    ONE(BYTES, wire_version, proof, LIMIT_PROOF_BYTES));

SHAPE(versions, wire_versions, versions,
    SUBS(wire_versions, items, LIMIT_LIST, shape_version),
    ONE(U64, wire_versions, next_before, 0));

SHAPE(diff_info, wire_diff_info, diff_info,
    ONE(DIGEST, wire_diff_info, a, 0),
    ONE(DIGEST, wire_diff_info, b, 0),
    SUBS(wire_diff_info, added, LIMIT_COMPONENTS, shape_component),
    SUBS(wire_diff_info, removed, LIMIT_COMPONENTS, shape_component),
    SUBS(wire_diff_info, labels_a, LIMIT_LABELS, shape_label_info),
    SUBS(wire_diff_info, labels_b, LIMIT_LABELS, shape_label_info),
    ONE(BYTES, wire_diff_info, evaluation_a, LIMIT_REPORT_BYTES),
    ONE(BYTES, wire_diff_info, evaluation_b, LIMIT_REPORT_BYTES));

SHAPE(upload, wire_upload, upload,
    ONE(ID, wire_upload, upload, 0),
    ONE(U64, wire_upload, offset, 0),
    ONE(U32, wire_upload, credit, 0),
    ONE(U64, wire_upload, bytes, 0),
    ONE(BOOL, wire_upload, complete, 0));

SHAPE(dataset, wire_dataset, dataset,
    ONE(TEXT, wire_dataset, name, NAME),
    ONE(TEXT, wire_dataset, role, NAME),
    ONE(U64, wire_dataset, images, 0),
    ONE(U32, wire_dataset, height, 0),
    ONE(U32, wire_dataset, width, 0),
    ONE(U32, wire_dataset, channels, 0),
    MANY(TEXT, wire_dataset, classes, LIMIT_LABELS, TEXT),
    ONE(DIGEST, wire_dataset, digest, 0),
    ONE(I64, wire_dataset, created_at, 0),
    ONE(U64, wire_dataset, bytes, 0),
    ONE(BOOL, wire_dataset, multi_label, 0),
    ONE(BOOL, wire_dataset, subjects, 0));

SHAPE(datasets, wire_datasets, datasets,
    SUBS(wire_datasets, items, LIMIT_LIST, shape_dataset));

SHAPE(exported_file, wire_exported_file, exported_file,
    ONE(TEXT, wire_exported_file, path, TEXT),
    ONE(DIGEST, wire_exported_file, digest, 0),
    ONE(U64, wire_exported_file, bytes, 0));

SHAPE(exported, wire_exported, exported,
    ONE(DIGEST, wire_exported, version, 0),
    SUBS(wire_exported, files, LIMIT_LIST, shape_exported_file));

SHAPE(model, wire_model, model,
    ONE(TEXT, wire_model, name, TEXT),
    ONE(U32, wire_model, image_size, 0),
    ONE(U32, wire_model, channels, 0),
    MANY(FLOAT, wire_model, mean, LIMIT_IMAGE_CHANNELS, 0),
    MANY(FLOAT, wire_model, std, LIMIT_IMAGE_CHANNELS, 0),
    ONE(TEXT, wire_model, resample, NAME),
    ONE(U32, wire_model, resize, 0),
    SUBS(wire_model, labels, LIMIT_LABELS, shape_label_info),
    MANY(TEXT, wire_model, owners, LIMIT_OWNERS, TEXT));

SHAPE(fsck, wire_fsck, fsck,
    ONE(BOOL, wire_fsck, ok, 0),
    ONE(U64, wire_fsck, blobs, 0),
    ONE(U64, wire_fsck, versions, 0),
    ONE(U64, wire_fsck, requests, 0),
    MANY(TEXT, wire_fsck, findings, LIMIT_LIST, TEXT));

SHAPE(vault, wire_vault, vault,
    ONE(U64, wire_vault, epoch, 0),
    ONE(U64, wire_vault, data_keys, 0),
    ONE(U64, wire_vault, destroyed, 0),
    ONE(TEXT, wire_vault, key_store, NAME),
    ONE(U64, wire_vault, bytes, 0),
    ONE(DIGEST, wire_vault, version, 0),
    MANY(TEXT, wire_vault, copies, LIMIT_LIST, TEXT));

SHAPE(report, wire_report, report,
    ONE(DIGEST, wire_report, version, 0),
    ONE(BYTES, wire_report, evaluation, LIMIT_REPORT_BYTES));

SHAPE(client_key, wire_client_key, client_key,
    ONE(TEXT, wire_client_key, name, NAME),
    ONE(TEXT, wire_client_key, role, NAME),
    ONE(TEXT, wire_client_key, fingerprint, NAME),
    ONE(DIGEST, wire_client_key, key, 0));

SHAPE(client_keys, wire_client_keys, client_keys,
    SUBS(wire_client_keys, items, LIMIT_CLIENTS, shape_client_key));
SHAPE(log_entry, wire_log_entry, log_entry,
    ONE(U64, wire_log_entry, index, 0),
    ONE(BYTES, wire_log_entry, entry, LIMIT_ENTRY_BYTES));

SHAPE(log_entries, wire_log_entries, log_entries,
    SUBS(wire_log_entries, items, LIMIT_LIST, shape_log_entry),
    ONE(U64, wire_log_entries, size, 0),
    ONE(U64, wire_log_entries, next, 0));

SHAPE(checkpoint, wire_checkpoint, checkpoint,
    ONE(BYTES, wire_checkpoint, note, LIMIT_NOTE_BYTES),
    ONE(U64, wire_checkpoint, size, 0),
    ONE(TEXT, wire_checkpoint, key, TEXT));

SHAPE(proof, wire_proof, proof,
    ONE(BYTES, wire_proof, text, LIMIT_PROOF_BYTES),
    ONE(U64, wire_proof, index, 0),
    ONE(U64, wire_proof, size, 0));

SHAPE(certificate, wire_certificate, certificate,
    ONE(BYTES, wire_certificate, text, LIMIT_PROOF_BYTES),
    ONE(U64, wire_certificate, index, 0),
    ONE(U64, wire_certificate, size, 0),
    ONE(TEXT, wire_certificate, level, NAME));

/* ------------------------------------------------------------ the three outer messages */

static const struct wire_field fields_envelope[] = {
    {.name = "protocol", .type = WIRE_TYPE_PROTOCOL, .max = LIMIT_PROTOCOL_VERSION},
    ONE(ENUM, wire_envelope, kind, 0),
    ONE(ID, wire_envelope, request_id, 0),
    {.name = "frames", .type = WIRE_TYPE_COUNT, .max = LIMIT_FRAMES},
    SIZES(wire_envelope),
    ONE(U32, wire_envelope, deadline_ms, LIMIT_DEADLINE_MS),
    BODY(wire_envelope, forget, shape_forget),
    BODY(wire_envelope, predict, shape_predict),
    BODY(wire_envelope, list, shape_list),
    BODY(wire_envelope, by_id, shape_by_id),
    BODY(wire_envelope, version, shape_version_name),
    BODY(wire_envelope, diff, shape_diff),
    BODY(wire_envelope, served_at, shape_served_at),
    BODY(wire_envelope, evaluate, shape_evaluate),
    BODY(wire_envelope, export, shape_export),
    BODY(wire_envelope, blob, shape_blob),
    BODY(wire_envelope, data_open, shape_data_open),
    BODY(wire_envelope, data_chunk, shape_data_chunk),
    BODY(wire_envelope, by_name, shape_by_name),
    BODY(wire_envelope, rollback, shape_rollback),
    BODY(wire_envelope, learn, shape_learn),
    BODY(wire_envelope, stream_open, shape_stream_open),
    BODY(wire_envelope, stream_push, shape_stream_push),
    BODY(wire_envelope, import, shape_import),
    BODY(wire_envelope, keys, shape_keys),
    BODY(wire_envelope, log_list, shape_log_list),
    BODY(wire_envelope, prove, shape_prove),
    BODY(wire_envelope, sizes, shape_sizes),
    BODY(wire_envelope, certify, shape_certify),
    BODY(wire_envelope, backup, shape_backup),
};

static const struct wire_field fields_reply[] = {
    {.name = "protocol", .type = WIRE_TYPE_PROTOCOL, .max = LIMIT_PROTOCOL_VERSION},
    ONE(ENUM, wire_reply, kind, 0),
    ONE(ID, wire_reply, request_id, 0),
    {.name = "frames", .type = WIRE_TYPE_COUNT, .max = LIMIT_FRAMES},
    SIZES(wire_reply),
    SUB(wire_reply, error, shape_error),
    BODY(wire_reply, status, shape_status),
    BODY(wire_reply, request, shape_request),
    BODY(wire_reply, requests, shape_requests),
    BODY(wire_reply, predictions, shape_predictions),
    BODY(wire_reply, version, shape_version),
    BODY(wire_reply, versions, shape_versions),
    BODY(wire_reply, diff, shape_diff_info),
    BODY(wire_reply, upload, shape_upload),
    BODY(wire_reply, datasets, shape_datasets),
    BODY(wire_reply, exported, shape_exported),
    BODY(wire_reply, model, shape_model),
    BODY(wire_reply, fsck, shape_fsck),
    BODY(wire_reply, report, shape_report),
    BODY(wire_reply, keys, shape_client_keys),
    BODY(wire_reply, log_entries, shape_log_entries),
    BODY(wire_reply, checkpoint, shape_checkpoint),
    BODY(wire_reply, proof, shape_proof),
    BODY(wire_reply, certificate, shape_certificate),
    BODY(wire_reply, vault, shape_vault),
};

static const struct wire_field fields_event[] = {
    ONE(ID, wire_event, request_id, 0),
    ONE(TEXT, wire_event, state, NAME),
    SUB(wire_event, progress, shape_progress),
    ONE(I64, wire_event, at, 0),
    ONE(DIGEST, wire_event, version, 0),
};

/* clang-format on */

const struct wire_shape wire_shape_envelope = {.descriptor = &lethe__v1__envelope__descriptor,
                                               .fields = fields_envelope,
                                               .n_fields = COUNT_OF(fields_envelope),
                                               .size = sizeof(struct wire_envelope)};
const struct wire_shape wire_shape_reply = {.descriptor = &lethe__v1__reply__descriptor,
                                            .fields = fields_reply,
                                            .n_fields = COUNT_OF(fields_reply),
                                            .size = sizeof(struct wire_reply)};
const struct wire_shape wire_shape_event = {.descriptor = &lethe__v1__event__descriptor,
                                            .fields = fields_event,
                                            .n_fields = COUNT_OF(fields_event),
                                            .size = sizeof(struct wire_event)};

const ProtobufCEnumDescriptor *const wire_kinds = &lethe__v1__kind__descriptor;

/* Plain enums carry the schema's numbers. */
_Static_assert((int)WIRE_KIND_STATUS == LETHE__V1__KIND__KIND_STATUS, "kind");
_Static_assert((int)WIRE_KIND_FORGET == LETHE__V1__KIND__KIND_FORGET, "kind");
_Static_assert((int)WIRE_KIND_FSCK == LETHE__V1__KIND__KIND_FSCK, "kind");
_Static_assert((int)WIRE_KIND_IMPORT == LETHE__V1__KIND__KIND_IMPORT, "kind");
_Static_assert((int)WIRE_KIND_KEYS == LETHE__V1__KIND__KIND_KEYS, "kind");
_Static_assert((int)WIRE_KIND_CONSISTENCY == LETHE__V1__KIND__KIND_CONSISTENCY, "kind");
_Static_assert((int)WIRE_KIND_COMPACT == LETHE__V1__KIND__KIND_COMPACT, "kind");
_Static_assert((int)WIRE_MODE_FAST == LETHE__V1__MODE__MODE_FAST, "mode");
_Static_assert((int)WIRE_PROBE_NONE == LETHE__V1__PROBE__PROBE_NONE, "probe");
_Static_assert((int)WIRE_PIXEL_F32 == LETHE__V1__PIXEL_TYPE__PIXEL_F32, "pixel");
