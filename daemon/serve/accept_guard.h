/*
 * Accept guard: connections may use up the descriptors of this process only down to a reserve.
 *
 * libzmq 4.3.4 aborts the process when accept4 on an ipc:// socket says EMFILE, and turns in a
 * circle on a tcp:// one (both measured); it has no limit of connections, and goes on quietly after
 * ECONNABORTED.  So this file defines accept4 itself, in front of the C library's, for every
 * library in the program: a connection whose descriptor would be among the last ACCEPT_RESERVE is
 * closed at once, which the peer sees, and a lack of descriptors becomes ECONNABORTED.  The kernel
 * gives the lowest free number, so a high number means that all below it are taken.  What the
 * daemon itself needs (the worker's sockets and memory, key files) is found in the reserve.
 *
 * Keeps nothing; any thread.
 */
#ifndef LETHE_SERVE_ACCEPT_GUARD_H
#define LETHE_SERVE_ACCEPT_GUARD_H

#include "daemon/base/status.h"

#define ACCEPT_RESERVE 64 /* descriptors; a quarter of all where fewer than 256 are allowed */

/* INTERNAL: libraries would not meet the guard, because the program was linked without it. */
enum status accept_guard_check(struct fault *f) MUST_CHECK;
/* Descriptors from this number on are not for connections; `allowed` is RLIMIT_NOFILE. */
unsigned long accept_guard_ceiling(unsigned long allowed);

#endif
