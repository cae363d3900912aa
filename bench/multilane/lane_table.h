/*
 * Results of protocol 4 as lines of JSON, one a run, and as tables: one a protocol, a row a
 * decision, mean and sample deviation over the seeds.
 */
#ifndef LETHE_BENCH_LANE_TABLE_H
#define LETHE_BENCH_LANE_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "bench/multilane/lane_trial.h"

/* A new reference; the caller's. */
json_t *lane_table_line(const char *name,
                        const struct lane_trial_settings *s,
                        const struct lane_trial_result *r);

/*
 * Prints the tables of the protocols [n] that `lines` (an array of lane_table_line) has results of,
 * measured on `measured`.  Only lines whose run's name is in `runs` (an array of strings) count.
 */
void lane_table_print(const json_t *lines,
                      const json_t *runs,
                      const struct protocol *const *protocols,
                      size_t n,
                      FILE *to);

#endif
