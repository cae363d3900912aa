/*
 * The learner that docs/learners.md explains: it keeps the contract of every learner, finds the
 * nearest mean, forgets exactly, and the page shows its code as it is.  It belongs to no archive,
 * so its source is included here.
 */
#include "tests/property/learners/learner_contract.h"
#include "tests/property/learners/ncm/ncm_learner.c"

#include "daemon/base/sysio.h"

void test_ncm_learner_keeps_the_contract(void **state)
{
    (void)state;
    learner_contract_threads(&learner_ncm);
    learner_contract_memory(&learner_ncm);
    learner_contract_option(&learner_ncm);
    learner_contract_components(&learner_ncm);
    learner_contract_batch(&learner_ncm);
}
