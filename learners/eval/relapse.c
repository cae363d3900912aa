#include "learners/eval/relapse.h"

void relapse_judge(const struct eval_erasure *q,
                   uint32_t K,
                   uint8_t *right,
                   uint8_t *right_before,
                   struct accuracy_tally *tally,
                   struct eval_relapse_row *row)
{
    *row = (struct eval_relapse_row){.request = q->request,
                                     .recheckable = q->n > 0 && q->logits,
                                     .acc = eval_report_absent(),
                                     .limit = q->limit,
                                     .ncm = eval_report_absent(),
                                     .ncm_then = q->ncm_then};
    if (!row->recheckable)
        return;
    const uint32_t k = accuracy_right(q->logits, q->labels, q->n, K, NULL, right);
    if (q->logits_before)
        accuracy_right(q->logits_before, q->labels, q->n, K, NULL, right_before);
    accuracy_count(q->labels, right, q->logits_before ? right_before : NULL, q->n, tally);
    row->acc = stats_wilson(k, q->n, STATS_LEVEL);
}

enum status relapse_recover(const struct eval_erasure *q,
                            uint32_t K,
                            const struct representation *live,
                            const struct representation_options *options,
                            struct arena *scratch,
                            struct eval_relapse_row *row)
{
    if (q->n == 0 || !q->features)
        return STATUS_OK;
    const struct representation_rows rows = {q->features, q->labels, q->n, K};
    struct representation_ncm ncm;
    TRY(representation_ncm_run(live, &rows, options, scratch, &ncm));
    row->ncm = ncm.accuracy;
    return STATUS_OK;
}
