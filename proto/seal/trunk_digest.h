/*
 * The name of a trunk's state: the frozen network that lanes and experts answer on, which is the
 * base with every erasure of a version folded in.  Two versions with the same base and the same
 * erasure records in the same order have the same trunk, whatever else they hold.
 *
 * BLAKE2b-256 of: 8 bytes "lethetr1" | digest of the base 32 | for each erasure, in list order, the
 * digest of its record 32.
 */
#ifndef LETHE_PROTO_SEAL_TRUNK_DIGEST_H
#define LETHE_PROTO_SEAL_TRUNK_DIGEST_H

#include "daemon/base/bytes.h"

#include <stddef.h>

/* erasures may be NULL if n is 0. */
struct digest trunk_digest(const struct digest *base, const struct digest *erasures, size_t n);

#endif
