/*
 * The ZAP handler (ZeroMQ RFC 27): a thread that libzmq asks, on inproc://zeromq.zap.01 of the
 * server's context, whether a new connection may stay.  It answers from auth.h and refuses what it
 * does not understand.  libzmq 4.3.4 lets **everybody** in while there is no handler, so it starts
 * before anything is bound, and whoever starts it tries it out (zap_check.h).
 *
 * Request, 6 frames or 7: "1.0" | request id | domain | address | routing id | mechanism | key.
 * Reply: "1.0" | request id | status code | status text | User-Id | metadata.
 */
#ifndef LETHE_SERVE_ZAP_H
#define LETHE_SERVE_ZAP_H

#include "daemon/serve/auth.h"

/* Set on sockets before they bind (ZMQ_ZAP_DOMAIN): who may come in where. */
#define ZAP_DOMAIN_KEYS  "lethe"       /* CURVE: clients with a key */
#define ZAP_DOMAIN_LOCAL "lethe.local" /* NULL on ipc://: users of this machine */

struct zap;

/*
 * Binds and starts the thread.  `context` and `auth` are borrowed until zap_join.  INTERNAL: the
 * transport will not; NO_MEMORY.
 */
enum status
zap_open(void *context, struct auth *auth, struct zap **ret_zap, struct fault *f) MUST_CHECK;
/*
 * Waits for the thread, which ends when the context is terminated (zmq_ctx_term in another thread
 * waits for it in turn) or shut down (zmq_ctx_shutdown).  Frees.  NULL allowed.
 */
void zap_join(struct zap *z);

#endif
