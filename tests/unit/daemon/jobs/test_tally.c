/* Figures that the core collects: time of a training step from the progress that it hears. */
#include "daemon/jobs/tally.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

static struct job_progress at(const char *phase, uint32_t epoch, uint32_t step)
{
    struct job_progress p = {.epoch = epoch, .step = step};
    (void)snprintf(p.phase, sizeof p.phase, "%s", phase);
    return p;
}

static double hear(struct tally *t, const char *phase, uint32_t epoch, uint32_t step, int64_t us)
{
    const struct job_progress p = at(phase, epoch, step);
    struct core_stats stats;
    tally_progress(t, &p, us);
    tally_get(t, &stats);
    return stats.step_seconds;
}

void test_tally_times_steps_across_epochs(void **state)
{
    (void)state;
    struct tally *t;
    assert_int_equal(tally_new(&t, NULL), STATUS_OK);
    assert_true(isnan(hear(t, "prepare", 0, 3, 1000000)));
    assert_true(isnan(hear(t, "train", 0, 4, 2000000)));
    /* four steps in two seconds, although every message is of another epoch */
    assert_true(fabs(hear(t, "train", 2, 8, 4000000) - 0.5) < 1e-9);
    assert_true(fabs(hear(t, "train", 2, 10, 4500000) - 0.25) < 1e-9);
    /* the same step again, a job that begins, another phase: nothing to measure, the figure stays
     */
    assert_true(fabs(hear(t, "train", 2, 10, 5000000) - 0.25) < 1e-9);
    assert_true(fabs(hear(t, "train", 0, 1, 6000000) - 0.25) < 1e-9);
    assert_true(fabs(hear(t, "evaluate", 0, 2, 9000000) - 0.25) < 1e-9);
    tally_free(t);
}
