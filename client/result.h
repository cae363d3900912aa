/*
 * Memory of one result: a single mapping that begins with a header, then the structure that the
 * caller sees, then everything it points at.  While a call runs, the arena over it also holds the
 * encoded request and the decoded reply; texts of the reply stay where decoding put them.
 * result_finish gives the unused tail back to the system; lethe_free unmaps the rest.
 */
#ifndef LETHE_CLIENT_RESULT_H
#define LETHE_CLIENT_RESULT_H

#include "daemon/base/arena.h"

#include <stddef.h>

struct result;

/* A fresh one with room for a zeroed root of root_bytes; NULL without memory. */
struct result *result_new(size_t root_bytes);
/* Unmaps it; NULL is allowed. */
void result_free(struct result *r);
/* The root; as long as the result lives. */
void *result_root(struct result *r);
struct arena *result_arena(struct result *r);
/* Ends allocation and gives the root, whose owner is the caller from now on (lethe_free). */
void *result_finish(struct result *r);

#endif
