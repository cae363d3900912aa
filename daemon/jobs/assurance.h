/*
 * The assurance ladder (evaluation.md, 8): what may be said of an erasure, from facts alone.
 *
 *   L0 predictions changed             L3 L2, and the tests found no more than of a class never
 * seen L1 older versions answer no call   L4 the component trained on the data was destroyed, or L2
 * folded in, the old base and        trained again without them; nothing descends from it the delta
 * shredded              L5 the base itself was trained again: not done here
 *
 * What was in the base climbs L0 to L3; what came in by a learn request and left with its component
 * goes from L1 to L4.  A level is reached if every requirement of it and of those below holds.
 * Pure; any thread.
 */
#ifndef LETHE_JOBS_ASSURANCE_H
#define LETHE_JOBS_ASSURANCE_H

#include <stddef.h>
#include <stdint.h>

enum assurance_level {
    ASSURANCE_NONE,
    ASSURANCE_L0,
    ASSURANCE_L1,
    ASSURANCE_L2,
    ASSURANCE_L3,
    ASSURANCE_L4,
    ASSURANCE_L5
};
#define ASSURANCE_LEVELS 7

/* Everything 0 or 1 but the counts. */
struct assurance_facts {
    int committed;
    int honoured;      /* by the version that serves */
    int in_base;       /* a delta was trained against the base */
    int folded;        /* no delta is left outside of the base */
    uint64_t readable; /* versions without the erasure that still answer when asked for by name */
    uint64_t parts;    /* components that only such versions have, and whose content is there */
    int shredded;      /* keys of what was given up are destroyed */
    uint64_t copies;   /* of the base or of exports, declared or known */
    int ncm, ridge, membership; /* passed */
    int relearn;                /* passed; 0 as well if it was not run */
    int relearn_available;      /* it can be run at all */
    int isolated;               /* no component that serves descends from those that went */
};

#define ASSURANCE_REASONS_MAX 4

struct assurance {
    enum assurance_level reached, reachable;
    /* Why a level is not held, by itself; n 0: it is.  Static texts. */
    struct {
        const char *why[ASSURANCE_REASONS_MAX];
        size_t n;
    } level[ASSURANCE_LEVELS];
};

struct assurance assurance_judge(const struct assurance_facts *facts);
/* "none", "L0" ... "L5". */
const char *assurance_name(enum assurance_level level);
/* What may be said. */
const char *assurance_text(enum assurance_level level);

#endif
