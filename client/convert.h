/*
 * Structures of proto/wire.h to those of lethe.h.  Lists are made in the arena; texts stay where
 * they are.  Both live as long as the result that owns the arena.  Each function returns false when
 * the arena is exhausted, and then leaves *to in an unspecified state.
 */
#ifndef LETHE_CLIENT_CONVERT_H
#define LETHE_CLIENT_CONVERT_H

#include "client/lethe.h"
#include "daemon/base/arena.h"
#include "proto/wire.h"

#include <stdbool.h>

void convert_digest(const struct digest *from, char to[LETHE_DIGEST_TEXT]);
void convert_id(const struct request_id *from, char to[LETHE_ID_TEXT]);
void convert_progress(const struct wire_progress *from, struct lethe_progress *to);
/* The event borrows `progress`, which is filled if the event has one. */
void convert_event(const struct wire_event *from,
                   struct lethe_progress *progress,
                   struct lethe_event *to);

bool convert_status(struct arena *a, const struct wire_status *from, struct lethe_status *to);
bool convert_model(struct arena *a, const struct wire_model *from, struct lethe_model *to);
bool convert_request(struct arena *a, const struct wire_request *from, struct lethe_request *to);
bool convert_requests(struct arena *a, const struct wire_requests *from, struct lethe_requests *to);
bool convert_predictions(struct arena *a,
                         const struct wire_predictions *from,
                         struct lethe_predictions *to);
bool convert_version(struct arena *a, const struct wire_version *from, struct lethe_version *to);
bool convert_versions(struct arena *a, const struct wire_versions *from, struct lethe_versions *to);
bool convert_diff(struct arena *a, const struct wire_diff_info *from, struct lethe_diff *to);
bool convert_report(struct arena *a, const struct wire_report *from, struct lethe_report *to);
bool convert_export(struct arena *a, const struct wire_exported *from, struct lethe_export *to);
bool convert_dataset(struct arena *a, const struct wire_dataset *from, struct lethe_dataset *to);
bool convert_datasets(struct arena *a, const struct wire_datasets *from, struct lethe_datasets *to);
bool convert_log(struct arena *a, const struct wire_log_entries *from, struct lethe_log *to);
bool convert_checkpoint(struct arena *a,
                        const struct wire_checkpoint *from,
                        struct lethe_checkpoint *to);
bool convert_proof(struct arena *a, const struct wire_proof *from, struct lethe_proof *to);
bool convert_certificate(struct arena *a,
                         const struct wire_certificate *from,
                         struct lethe_certificate *to);
bool convert_clients(struct arena *a,
                     const struct wire_client_keys *from,
                     struct lethe_clients *to);
bool convert_fsck(struct arena *a, const struct wire_fsck *from, struct lethe_fsck *to);
bool convert_vault(struct arena *a, const struct wire_vault *from, struct lethe_vault *to);

#endif
