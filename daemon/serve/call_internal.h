/*
 * Inside of daemon/serve: how a call is built, and the outbox through which finished calls come
 * back to the serve thread.  The outbox outlives the server for as long as a call refers to it, so
 * that a call may be finished after the server is gone.
 */
#ifndef LETHE_SERVE_CALL_INTERNAL_H
#define LETHE_SERVE_CALL_INTERNAL_H

#include "daemon/serve/auth.h"
#include "daemon/serve/call.h"
#include "proto/limits.h"

#define ROUTE_SIZE 256u /* a routing id has at most 255 bytes */
#define NO_SLOT    SIZE_MAX

struct route {
    uint8_t bytes[ROUTE_SIZE];
    size_t size;
};

/* ------------------------------------------------------------ outbox */

struct outbox;

enum status outbox_new(struct outbox **ret_outbox, struct fault *f) MUST_CHECK;
struct outbox *outbox_ref(struct outbox *o);
void outbox_unref(struct outbox *o);
/* Readable while something is inside or outbox_ring was called since the last outbox_take. */
int outbox_fd(const struct outbox *o);
/* Makes the descriptor readable.  Any thread. */
void outbox_ring(struct outbox *o);
/* Takes over a finished call.  Any thread. */
void outbox_push(struct outbox *o, struct call *c);
/* All finished calls in order, linked by `next`; NULL: none.  Clears the descriptor. */
struct call *outbox_take(struct outbox *o);
/* Frees what is inside and whatever is pushed from now on. */
void outbox_close(struct outbox *o);

/* ------------------------------------------------------------ call */

/* The raw message as the transport holds it; released when the call is finished. */
struct call_raw {
    const struct wire_bytes *frames; /* envelope first */
    size_t n_frames;
    void *owner;
    void (*release)(void *owner);
};

struct call {
    uint32_t magic;
    struct outbox *outbox;
    struct call *next;
    size_t slot; /* the server's record of it, or NO_SLOT */
    struct route route;
    struct auth_peer peer;
    unsigned acting; /* of its roles those that the row admits */
    bool admitted;   /* it went to its handler */
    int64_t deadline_us;

    /* Until it is finished. */
    struct call_raw raw;
    void *memory;
    struct arena arena;
    const struct wire_envelope *message; /* NULL: did not decode */
    enum wire_kind kind;                 /* of the message, or what could be read of it */
    struct request_id request_id;

    /* From then on: what to send, each part owned (sysio_alloc). */
    void *part[1 + LIMIT_FRAMES];
    size_t part_size[1 + LIMIT_FRAMES];
    size_t n_parts; /* 0: nothing can be sent */
    enum status code;
};

/*
 * A call that has just arrived; takes over `raw` when it succeeds.  Nothing is decoded yet.
 * NO_MEMORY.
 */
enum status call_new(struct outbox *outbox,
                     const struct route *route,
                     const struct call_raw *raw,
                     struct call **ret_call,
                     struct fault *f) MUST_CHECK;
/* Decodes the envelope into the call's arena and compares the stated frames with those that came.
 */
enum status call_decode(struct call *c, int64_t now_us, struct fault *f) MUST_CHECK;
/* Frees a call in any state.  NULL allowed. */
void call_free(struct call *c);

#endif
