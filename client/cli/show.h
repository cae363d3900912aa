/* Results as tables for people.  Nothing here is meant to be parsed: programs use --json. */
#ifndef LETHE_CLI_SHOW_H
#define LETHE_CLI_SHOW_H

#include "client/lethe.h"

#include <stdio.h>

void show_status(FILE *out, const struct lethe_status *s);
void show_clients(FILE *out, const struct lethe_clients *list);
void show_fsck(FILE *out, const struct lethe_fsck *f);
void show_vault(FILE *out, const struct lethe_vault *v);
void show_request(FILE *out, const struct lethe_request *r);
void show_requests(FILE *out, const struct lethe_request *items, size_t n);
void show_version(FILE *out, const struct lethe_version *v);
void show_versions(FILE *out, const struct lethe_version *items, size_t n);
void show_diff(FILE *out, const struct lethe_diff *d);
/* A report document; says so if it cannot be read. */
void show_report(FILE *out, const char *json, size_t bytes);
void show_datasets(FILE *out, const struct lethe_dataset *items, size_t n);

#endif
