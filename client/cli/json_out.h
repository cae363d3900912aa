/*
 * What --json prints: one object a line, keys as interface.md fixes them, in that order; further
 * keys follow.  Absent is null.  Times are RFC 3339 UTC with milliseconds.  64-bit seeds above 2^53
 * are decimal strings, because JSON readers keep 53 bits.  Reports are embedded as stored. Each
 * function prints its line and returns false only if memory or the stream failed.
 */
#ifndef LETHE_CLI_JSON_OUT_H
#define LETHE_CLI_JSON_OUT_H

#include "client/lethe.h"

#include <stdio.h>

bool json_out_status(FILE *out, const struct lethe_status *s);
bool json_out_request(FILE *out, const struct lethe_request *r);
bool json_out_version(FILE *out, const struct lethe_version *v);
bool json_out_diff(FILE *out, const struct lethe_diff *d);
/* `evaluation` with "version" in front. */
bool json_out_report(FILE *out, const struct lethe_report *r);
/* Prediction i of p; `input` and `index` say which picture it answers. */
bool json_out_prediction(
    FILE *out, const struct lethe_predictions *p, size_t i, const char *input, uint64_t index);
bool json_out_dataset(FILE *out, const struct lethe_dataset *d);
bool json_out_removed(FILE *out, const char *name);
/* `folder` is where the files were written; NULL: paths are as they are. */
bool json_out_export(FILE *out, const struct lethe_export *x, const char *folder);
bool json_out_client(FILE *out, const struct lethe_client *k);
bool json_out_fsck(FILE *out, const struct lethe_fsck *f);
bool json_out_vault(FILE *out, const struct lethe_vault *v);
bool json_out_error(FILE *out, const struct lethe_error *e);

bool json_out_log_entry(FILE *out, const struct lethe_log_entry *entry);
bool json_out_checkpoint(FILE *out, const struct lethe_checkpoint *checkpoint);
bool json_out_certificate(FILE *out, const struct lethe_certificate *c);
bool json_out_proof(FILE *out, const struct lethe_proof *proof);

#endif
