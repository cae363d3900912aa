/*
 * Proofs as text.
 *
 *   index DECIMAL\n        of an inclusion proof: the entry's number, from 0
 *   BASE64\n               one line for each hash of the path, as proto/seal/merkle.h orders them
 *   ...
 *
 * At most PROOF_LINES_MAX lines of path.
 */
#ifndef LETHE_PROTO_SEAL_PROOF_LINES_H
#define LETHE_PROTO_SEAL_PROOF_LINES_H

#include "proto/seal/lines.h"
#include "proto/seal/merkle.h"

#define PROOF_LINES_MAX 63

void proof_lines_put_path(struct byte_writer *w, const struct merkle_proof *proof);
void proof_lines_put_inclusion(struct byte_writer *w,
                               uint64_t index,
                               const struct merkle_proof *proof);
/* Reads up to an empty line, which stays, or the end of the text.  0 or -1. */
int proof_lines_get_path(struct lines *in, struct merkle_proof *ret_proof);
int proof_lines_get_inclusion(struct lines *in,
                              uint64_t *ret_index,
                              struct merkle_proof *ret_proof);

#endif
