#include "daemon/jobs/assurance.h"

#include "daemon/base/invariant.h"

#define N(a) (sizeof(a) / sizeof(a)[0])

/* ---------------------------------------------------------------- requirements */

static int committed(const struct assurance_facts *x)
{
    return x->committed;
}
static int honoured(const struct assurance_facts *x)
{
    return x->honoured;
}
static int unreadable(const struct assurance_facts *x)
{
    return x->readable == 0;
}
static int of_base(const struct assurance_facts *x)
{
    return x->in_base;
}
static int of_component(const struct assurance_facts *x)
{
    return !x->in_base;
}
static int folded(const struct assurance_facts *x)
{
    return x->folded && x->parts == 0;
}
static int destroyed(const struct assurance_facts *x)
{
    return x->parts == 0;
}
static int shredded(const struct assurance_facts *x)
{
    return x->shredded;
}
static int no_copies(const struct assurance_facts *x)
{
    return x->copies == 0;
}
static int probes(const struct assurance_facts *x)
{
    return x->ncm && x->ridge;
}
static int membership(const struct assurance_facts *x)
{
    return x->membership;
}
static int relearn(const struct assurance_facts *x)
{
    return x->relearn;
}
static int isolated(const struct assurance_facts *x)
{
    return x->isolated;
}
static int never(const struct assurance_facts *x)
{
    (void)x;
    return 0;
}

static const struct {
    enum assurance_level level;
    int (*holds)(const struct assurance_facts *x);
    const char *why_not;
} REQUIRED[] = {
    {ASSURANCE_L0, committed, "the request was not committed"},
    {ASSURANCE_L0, honoured, "the version that serves does not honour the erasure"},
    {ASSURANCE_L1, unreadable,
     "versions from before the erasure still answer when asked for by name"},
    {ASSURANCE_L2, of_base, "it was not in the base: there is nothing to fold"},
    {ASSURANCE_L2, folded, "the base from before the erasure, or its delta, can still be read"},
    {ASSURANCE_L2, shredded, "the keys of what was given up are not destroyed yet"},
    {ASSURANCE_L2, no_copies, "copies of the base or of exports exist elsewhere"},
    {ASSURANCE_L3, of_base, "it was not in the base: see L4"},
    {ASSURANCE_L3, probes, "prototype recovery and ridge probe did not both pass"},
    {ASSURANCE_L3, membership, "membership inference did not pass"},
    {ASSURANCE_L3, relearn, "steps to learn it again were not measured, or not within the limit"},
    {ASSURANCE_L4, of_component, "it was in the base, which other components descend from"},
    {ASSURANCE_L4, isolated, "a component that serves descends from one that went"},
    {ASSURANCE_L4, destroyed, "components from before the erasure can still be read"},
    {ASSURANCE_L4, shredded, "the keys of what was given up are not destroyed yet"},
    {ASSURANCE_L5, never, "the base was not trained again by this service"},
};

/* ---------------------------------------------------------------- the ladder */

static void find_reasons(const struct assurance_facts *x, struct assurance *a)
{
    for (size_t i = 0; i < N(REQUIRED); i++) {
        if (REQUIRED[i].holds(x))
            continue;
        const enum assurance_level k = REQUIRED[i].level;
        INVARIANT(a->level[k].n < ASSURANCE_REASONS_MAX);
        a->level[k].why[a->level[k].n++] = REQUIRED[i].why_not;
    }
}

static enum assurance_level climb(const struct assurance_facts *x, const struct assurance *a)
{
    static const enum assurance_level BASE[] = {ASSURANCE_L0, ASSURANCE_L1, ASSURANCE_L2,
                                                ASSURANCE_L3};
    static const enum assurance_level COMPONENT[] = {ASSURANCE_L0, ASSURANCE_L1, ASSURANCE_L4};
    const enum assurance_level *way = x->in_base ? BASE : COMPONENT;
    const size_t n = x->in_base ? N(BASE) : N(COMPONENT);
    enum assurance_level at = ASSURANCE_NONE;
    for (size_t i = 0; i < n && a->level[way[i]].n == 0; i++)
        at = way[i];
    return at;
}

/* What this service could still do itself is taken as done; what it cannot is not. */
static enum assurance_level could_reach(const struct assurance_facts *x)
{
    struct assurance_facts best = *x;
    struct assurance a = {.reached = ASSURANCE_NONE};
    best.readable = 0;
    best.parts = 0;
    best.folded = 1;
    best.shredded = 1;
    best.relearn = x->relearn || x->relearn_available;
    find_reasons(&best, &a);
    return climb(&best, &a);
}

struct assurance assurance_judge(const struct assurance_facts *facts)
{
    struct assurance a = {.reached = ASSURANCE_NONE};
    find_reasons(facts, &a);
    a.reached = climb(facts, &a);
    a.reachable = could_reach(facts);
    return a;
}

const char *assurance_name(enum assurance_level level)
{
    static const char *const NAMES[ASSURANCE_LEVELS] = {"none", "L0", "L1", "L2", "L3", "L4", "L5"};
    INVARIANT((size_t)level < ASSURANCE_LEVELS);
    return NAMES[level];
}

const char *assurance_text(enum assurance_level level)
{
    static const char *const TEXTS[ASSURANCE_LEVELS] = {
        "no change is served for this request",
        "predictions changed",
        "not reachable through this service",
        "not restorable from this installation by removing an adapter",
        "the tests listed found no more than of classes that were never taught",
        "the component trained on the data was destroyed or trained again without them; nothing "
        "else that serves was trained from it",
        "the base was trained again without the data",
    };
    INVARIANT((size_t)level < ASSURANCE_LEVELS);
    return TEXTS[level];
}
