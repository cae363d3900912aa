/*
 * One handler for every kind of call in proto/lethe.proto, for the dispatch table.  Each takes over
 * the call on the serve thread and returns at once; the answer is given later by the core thread or
 * by one of the pools (core.h).
 */
#ifndef LETHE_JOBS_HANDLERS_H
#define LETHE_JOBS_HANDLERS_H

#include "daemon/serve/call.h"

void handle_status(struct core *core, struct call *call);
void handle_forget(struct core *core, struct call *call);
void handle_learn(struct core *core, struct call *call);
void handle_import(struct core *core, struct call *call);
void handle_approve(struct core *core, struct call *call);
void handle_deny(struct core *core, struct call *call);
void handle_keys(struct core *core, struct call *call);
void handle_stream_open(struct core *core, struct call *call);
void handle_stream_push(struct core *core, struct call *call);
void handle_stream_close(struct core *core, struct call *call);
void handle_predict(struct core *core, struct call *call);
void handle_requests(struct core *core, struct call *call);
void handle_request(struct core *core, struct call *call);
void handle_wait(struct core *core, struct call *call);
void handle_cancel(struct core *core, struct call *call);
void handle_history(struct core *core, struct call *call);
void handle_show(struct core *core, struct call *call);
void handle_diff(struct core *core, struct call *call);
void handle_served_at(struct core *core, struct call *call);
void handle_evaluate(struct core *core, struct call *call);
void handle_rollback(struct core *core, struct call *call);
void handle_pin(struct core *core, struct call *call);
void handle_export(struct core *core, struct call *call);
void handle_blob(struct core *core, struct call *call);
void handle_data_open(struct core *core, struct call *call);
void handle_data_chunk(struct core *core, struct call *call);
void handle_data_close(struct core *core, struct call *call);
void handle_data_list(struct core *core, struct call *call);
void handle_data_remove(struct core *core, struct call *call);
void handle_model(struct core *core, struct call *call);
void handle_fsck(struct core *core, struct call *call);
void handle_log(struct core *core, struct call *call);
void handle_checkpoint(struct core *core, struct call *call);
void handle_prove(struct core *core, struct call *call);
void handle_consistency(struct core *core, struct call *call);
void handle_certificate(struct core *core, struct call *call);
void handle_seal(struct core *core, struct call *call);
void handle_rotate(struct core *core, struct call *call);
void handle_backup(struct core *core, struct call *call);
void handle_compact(struct core *core, struct call *call);

#endif
