/*
 * The selector chain of a MULTI-LANE lane (De Min et al. 2024, arXiv 2405.15633): how its selector
 * tokens s [S, C] pass through the frozen blocks, once per lane and never per image.
 *   parity:  Shat_l = LN1_l(s);  u = s + Shat_l;  s <- u + MLP_l(LN2_l(u))
 *   pure:    Shat_l = LN1_l(s) with the same s for every block
 * Rows are independent and the same bits in any company.
 */
#ifndef LETHE_LEARNERS_SELECTOR_CHAIN_H
#define LETHE_LEARNERS_SELECTOR_CHAIN_H

#include "daemon/base/arena.h"
#include "learners/methods/multilane/lane_rows.h"

enum selector_mode { SELECTOR_PARITY, SELECTOR_PURE };

struct selector_chain;

/* Arena bytes of selector_chain_new; SIZE_MAX: too large. */
size_t selector_chain_plan(const struct vit_config *c, uint32_t selectors);
/* Memory for a chain of `selectors` tokens; NO_MEMORY. */
enum status selector_chain_new(const struct vit_config *c,
                               uint32_t selectors,
                               enum selector_mode mode,
                               struct arena *arena,
                               struct selector_chain **ret_chain) MUST_CHECK;

/* Overwrites shat [L, S, C]; keeps what the backward pass needs. */
void selector_chain_forward(struct selector_chain *x,
                            const struct lane_trunk *k,
                            const float *s,
                            float *shat);
/* Adds to ds [S, C] from dshat [L, S, C]; needs the last forward with the same trunk. */
void selector_chain_backward(struct selector_chain *x,
                             const struct lane_trunk *k,
                             const float *dshat,
                             float *ds);

#endif
