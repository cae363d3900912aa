/*
 * Relapse sweep: is anything that was erased earlier known again?  Each earlier erasure's probe is
 * answered by the candidate (arg-max over all outputs) and set against the limit that was stored
 * when the erasure committed; prototype recovery is repeated beside it.  An erasure without a probe
 * is listed as not recheckable, never as passed (evaluation.md, sections 6 and 9).
 */
#ifndef LETHE_LEARNERS_RELAPSE_H
#define LETHE_LEARNERS_RELAPSE_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/eval/accuracy.h"
#include "learners/eval/eval_report.h"
#include "learners/eval/evaluate.h"
#include "learners/eval/representation.h"

#include <stdint.h>

/*
 * Fills row from q's answers and adds them to tally [K].  right and right_before: scratch of q->n
 * bytes each.
 */
void relapse_judge(const struct eval_erasure *q,
                   uint32_t K,
                   uint8_t *right,
                   uint8_t *right_before,
                   struct accuracy_tally *tally,
                   struct eval_relapse_row *row);

/* Prototype recovery of q's classes against the live ones, into row->ncm; absent without features.
 * options->stream_base must differ from q to q. */
enum status relapse_recover(const struct eval_erasure *q,
                            uint32_t K,
                            const struct representation *live,
                            const struct representation_options *options,
                            struct arena *scratch,
                            struct eval_relapse_row *row) MUST_CHECK;

#endif
