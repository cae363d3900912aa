/*
 * Slots: the serve thread's record of unanswered calls, which bounds how many there are, how many
 * of one peer, and what their raw frames hold.
 */
#ifndef LETHE_SERVE_SLOTS_H
#define LETHE_SERVE_SLOTS_H

#include "daemon/serve/call_internal.h"

struct slot {
    bool used;
    struct route route;
    size_t bytes;
};

struct slots {
    struct slot at[LIMIT_CALLS];
    size_t n;
    size_t bytes;
    size_t bytes_max;
};

/*
 * Notes one more unanswered call of a peer.  RESOURCE_EXHAUSTED, with an empty field because it is
 * not the call's own fault: the peer or the daemon has too many, or they hold too many bytes.
 */
enum status slots_take(struct slots *s,
                       const struct route *route,
                       size_t bytes,
                       size_t *ret_slot,
                       struct fault *f) MUST_CHECK;
/* NO_SLOT is allowed. */
void slots_give(struct slots *s, size_t slot);

#endif
