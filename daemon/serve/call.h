/*
 * A call: one decoded request of one peer, from its arrival until its answer is handed to the
 * socket.  The serve thread makes it and passes it to the handler named in the dispatch table; from
 * then on the handler's side owns it and finishes it exactly once, from any thread, at any later
 * time (a long poll may keep it until its deadline).  Finishing frees the call and everything
 * borrowed from it.  If the server has been closed or the peer is gone, finishing frees quietly.
 *
 * Handlers run on the serve thread: they hand the call over to another thread or answer from
 * memory, and never block.
 */
#ifndef LETHE_SERVE_CALL_H
#define LETHE_SERVE_CALL_H

#include "proto/wire.h"

struct call;
struct core; /* the daemon's state, opaque to daemon/serve; made by daemon/jobs */

typedef void call_handler(struct core *core, struct call *call);

/* Roles of operations.md section 3, as bits. */
enum call_role {
    ROLE_PRIVACY = 1u << 0,
    ROLE_MLOPS = 1u << 1,
    ROLE_PREDICT = 1u << 2,
    ROLE_AUDITOR = 1u << 3,
    ROLE_ADMIN = 1u << 4,
    ROLE_ANY = ROLE_PRIVACY | ROLE_MLOPS | ROLE_PREDICT | ROLE_AUDITOR | ROLE_ADMIN
};

#define CALL_PRINCIPAL_SIZE 24

/* Lower-case name of the one role in `role`; "local" if there are several. */
const char *call_role_name(unsigned roles);

/* The decoded request; lives in the call's arena. */
const struct wire_envelope *call_message(const struct call *c);
/* Raw frames behind the envelope; their number and sizes have been checked against the envelope. */
size_t call_frames_count(const struct call *c);
/* Borrowed; i below call_frames_count. */
const uint8_t *call_frame(const struct call *c, size_t i, size_t *ret_size);
/*
 * Memory that lives as long as the call, LIMIT_CALL_ARENA_BYTES less what decoding took; meant for
 * the reply.  Used by one thread at a time: the one that holds the call.
 */
struct arena *call_arena(struct call *c);
/*
 * Identity of the peer: "k:" and 16 digits for a client's key; for a user of the socket file
 * without one "local" (who lethed runs as) or "uid:N".
 */
const char *call_principal(const struct call *c);
/* All roles of the peer, bits. */
unsigned call_roles(const struct call *c);
/*
 * The role that this call is made in: of the peer's roles one that the call's row admits; "local"
 * for users of the socket file, who came without one.
 */
const char *call_role(const struct call *c);
/* Monotonic time by which the caller wants an answer. */
int64_t call_deadline_us(const struct call *c);
/* True if the caller no longer waits at monotonic time now_us (clock_mono_us). */
bool call_expired(const struct call *c, int64_t now_us);

/* Raw frames of an answer; copied before call_finish returns. */
struct call_frames {
    size_t n; /* at most LIMIT_FRAMES */
    const struct wire_bytes *items;
};

/*
 * Answers and frees the call.  The reply is encoded before this returns, so it may live anywhere,
 * the call's arena included; kind, request id and frame sizes are filled in here.  `raw` may be
 * NULL.  A reply that breaks a limit is answered as the error it gives.
 */
void call_finish(struct call *c, const struct wire_reply *reply, const struct call_frames *raw);
/* Answers with an error and frees the call.  *f may be NULL: the status' own text is sent. */
void call_fail(struct call *c, enum status code, const struct fault *f);
/* The same, with a hint when to try again. */
void call_fail_retry(struct call *c,
                     enum status code,
                     const struct fault *f,
                     uint32_t retry_after_s);

#endif
