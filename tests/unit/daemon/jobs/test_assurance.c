/* The assurance ladder: every combination of facts against the rules said once more in words. */
#include "daemon/jobs/assurance.h"

#include "tests/support/test.h"

#define BITS 13

static struct assurance_facts facts_of(unsigned bits)
{
    return (struct assurance_facts){
        .committed = bits & 1,
        .honoured = bits >> 1 & 1,
        .in_base = bits >> 2 & 1,
        .folded = bits >> 3 & 1,
        .readable = bits >> 4 & 1,
        .parts = bits >> 5 & 1,
        .shredded = bits >> 6 & 1,
        .copies = bits >> 7 & 1,
        .ncm = bits >> 8 & 1,
        .ridge = bits >> 9 & 1,
        .membership = bits >> 10 & 1,
        .relearn = bits >> 11 & 1,
        .isolated = bits >> 12 & 1,
    };
}

static enum assurance_level expected(const struct assurance_facts *x)
{
    if (!x->committed || !x->honoured)
        return ASSURANCE_NONE;
    if (x->readable)
        return ASSURANCE_L0;
    const int gone = x->parts == 0 && x->shredded;
    if (!x->in_base)
        return gone && x->isolated ? ASSURANCE_L4 : ASSURANCE_L1;
    if (!gone || !x->folded || x->copies)
        return ASSURANCE_L1;
    const int tested = x->ncm && x->ridge && x->membership && x->relearn;
    return tested ? ASSURANCE_L3 : ASSURANCE_L2;
}

void test_assurance_every_combination(void **state)
{
    (void)state;
    unsigned seen[ASSURANCE_LEVELS] = {0};
    for (unsigned bits = 0; bits < 1u << BITS; bits++) {
        const struct assurance_facts x = facts_of(bits);
        const struct assurance a = assurance_judge(&x);
        assert_int_equal(a.reached, expected(&x));
        assert_true(a.reachable >= a.reached);
        seen[a.reached]++;
        for (unsigned k = ASSURANCE_L0; k < ASSURANCE_LEVELS; k++)
            for (size_t i = 0; i < a.level[k].n; i++)
                assert_true(a.level[k].why[i][0] != '\0');
    }
    assert_int_equal(seen[ASSURANCE_L5], 0);
    for (unsigned k = ASSURANCE_NONE; k < ASSURANCE_L5; k++)
        assert_true(seen[k] > 0);
}

/* A level that is not held says why, and one above it that is reached does not exist. */
void test_assurance_the_next_level_says_why_not(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1u << BITS; bits++) {
        const struct assurance_facts x = facts_of(bits);
        const struct assurance a = assurance_judge(&x);
        if (a.reached == ASSURANCE_L4)
            continue;
        const unsigned next = a.reached + 1u;
        const unsigned after = next == ASSURANCE_L2 && !x.in_base ? ASSURANCE_L4 : next;
        assert_true(a.level[after].n > 0);
    }
}

/* Copies elsewhere and steps that cannot be measured bound what is reachable. */
void test_assurance_reachable(void **state)
{
    (void)state;
    struct assurance_facts x = {.committed = 1, .honoured = 1, .in_base = 1, .readable = 3};
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_L2);
    x.copies = 1;
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_L1);
    x.copies = 0;
    x.ncm = x.ridge = x.membership = x.relearn_available = 1;
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_L3);
    x = (struct assurance_facts){.committed = 1, .honoured = 1, .isolated = 1, .parts = 9};
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_L4);
    x.isolated = 0;
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_L1);
    x.committed = 0;
    assert_int_equal(assurance_judge(&x).reachable, ASSURANCE_NONE);
}

void test_assurance_names(void **state)
{
    (void)state;
    assert_string_equal(assurance_name(ASSURANCE_NONE), "none");
    assert_string_equal(assurance_name(ASSURANCE_L5), "L5");
    for (unsigned k = 0; k < ASSURANCE_LEVELS; k++)
        assert_true(assurance_text((enum assurance_level)k)[0] != '\0');
}
