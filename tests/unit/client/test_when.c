/* Times as people write them. */
#include "tests/support/test.h"

#include "client/cli/when.h"

#define S INT64_C(1000000)
/* 2026-11-23T12:00:00Z */
#define NOW (INT64_C(1795435200) * S)

static int64_t parse(const char *text, bool end_of_day)
{
    int64_t us = -1;
    assert_true(when_parse(text, NOW, end_of_day, &us));
    return us;
}

void test_when_absolute_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("2026-11-23T12:00:00Z", false), NOW);
    assert_int_equal(parse("2026-11-23T13:00:00+01:00", true), NOW);
    assert_int_equal(parse("2026-11-23T12:00:00.250Z", false), NOW + S / 4);
    assert_int_equal(parse("2026-11-23 12:00", false), NOW);
    assert_int_equal(parse("2026-11-23 12:00:07", true), NOW + 7 * S);
    assert_int_equal(parse("2026-11-23", false), NOW - 12 * 3600 * S);
    assert_int_equal(parse("2026-11-23", true), NOW + (12 * 3600 - 1) * S);
    assert_int_equal(parse("2024-02-29", false), INT64_C(1709164800) * S);
    assert_int_equal(parse("@1795435200", false), NOW);
}

void test_when_relative_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("now", false), NOW);
    assert_int_equal(parse("+30d", true), NOW + 30 * 86400 * S);
    assert_int_equal(parse("-2h", false), NOW - 7200 * S);
    assert_int_equal(parse("+5m", false), NOW + 300 * S);
    assert_int_equal(parse("+1w", false), NOW + 7 * 86400 * S);
}

void test_when_refuses(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "tomorrow",
                                      "2026-02-29",
                                      "2026-13-01",
                                      "2026-11-31",
                                      "2026-11-23 25:00",
                                      "+30",
                                      "+d",
                                      "30d",
                                      "+1y",
                                      "2026-11-23x",
                                      "@",
                                      "@12x",
                                      "2026-11-23 12:00 UTC",
                                      "+99999999999999999999d",
                                      "+9999999999999d",
                                      "23.11.2026"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        int64_t us = 5;
        if (when_parse(BAD[i], NOW, false, &us))
            fail_msg("\"%s\" was taken", BAD[i]);
        assert_int_equal(us, 5);
    }
}
