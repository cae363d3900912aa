/*
 * A strict reader of Prometheus' text format 0.0.4: every line must be a HELP, the TYPE of the same
 * family, or a sample of the family declared last; names, labels and values are checked to the
 * character, no series may come twice, histograms must add up.  What is wrong fails the test.
 * Header only, as session.h.
 */
#ifndef LETHE_TESTS_SUPPORT_PROMETHEUS_H
#define LETHE_TESTS_SUPPORT_PROMETHEUS_H

#include "tests/support/test.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMETHEUS_SERIES   512
#define PROMETHEUS_FAMILIES 128

struct prometheus {
    char family[PROMETHEUS_FAMILIES][80];
    char type[PROMETHEUS_FAMILIES][16];
    size_t n_families;
    char series[PROMETHEUS_SERIES][160]; /* name{labels} as written */
    size_t of[PROMETHEUS_SERIES];        /* its family */
    double value[PROMETHEUS_SERIES];
    size_t n;
};

static size_t prometheus_name(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return isdigit((unsigned char)s[0]) ? 0 : n;
}

/* {name="value",...}; its length, 0 if there is none. */
static size_t prometheus_labels(const char *s)
{
    size_t n = 0;
    if (s[0] != '{')
        return 0;
    do {
        n++;
        const size_t name = prometheus_name(s + n);
        assert_true(name > 0);
        n += name;
        assert_memory_equal(s + n, "=\"", 2);
        for (n += 2; s[n] != '"'; n++) {
            assert_true(s[n] != '\0' && s[n] != '\n');
            if (s[n] == '\\')
                assert_non_null(strchr("\\\"n", s[++n]));
        }
        n++;
    } while (s[n] == ',');
    assert_int_equal(s[n], '}');
    return n + 1;
}

static double prometheus_number(const char *s, const char *end)
{
    char *stop;
    const double x = strtod(s, &stop);
    assert_ptr_equal(stop, end);
    assert_true(*s == '-' || isdigit((unsigned char)*s));
    return x;
}

/* "# HELP name text" or "# TYPE name type". */
static void prometheus_comment(struct prometheus *p, const char *line, size_t size)
{
    const size_t name = prometheus_name(line + 7);
    assert_true(name > 0 && name < 80 && line[7 + name] == ' ' && size > 8 + name);
    if (memcmp(line, "# HELP ", 7) == 0) {
        assert_true(p->n_families < PROMETHEUS_FAMILIES);
        char *family = p->family[p->n_families];
        (void)snprintf(family, 80, "%.*s", (int)name, line + 7);
        for (size_t i = 0; i < p->n_families; i++)
            assert_string_not_equal(p->family[i], family);
        p->type[p->n_families++][0] = '\0';
        return;
    }
    assert_memory_equal(line, "# TYPE ", 7);
    assert_true(p->n_families > 0);
    char *type = p->type[p->n_families - 1];
    assert_string_equal(type, "");
    assert_int_equal(strlen(p->family[p->n_families - 1]), name);
    assert_memory_equal(p->family[p->n_families - 1], line + 7, name);
    (void)snprintf(type, 16, "%.*s", (int)(size - 8 - name), line + 8 + name);
    if (strcmp(type, "gauge") != 0 && strcmp(type, "counter") != 0)
        assert_string_equal(type, "histogram");
}

/* The sample's name belongs to the family declared last. */
static void prometheus_belongs(const struct prometheus *p, const char *name, size_t size)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};
    assert_true(p->n_families > 0);
    const char *family = p->family[p->n_families - 1];
    const char *type = p->type[p->n_families - 1];
    const size_t n = strlen(family);
    assert_true(type[0] != '\0' && size >= n && memcmp(name, family, n) == 0);
    if (strcmp(type, "histogram") == 0) {
        int known = 0;
        for (size_t i = 0; i < 3; i++)
            known |= strlen(parts[i]) == size - n && memcmp(name + n, parts[i], size - n) == 0;
        assert_true(known);
        return;
    }
    assert_int_equal(size, n);
    assert_int_equal(strcmp(type, "counter") == 0, n > 6 && strcmp(family + n - 6, "_total") == 0);
}

static void prometheus_sample(struct prometheus *p, const char *line, size_t size)
{
    const size_t name = prometheus_name(line);
    assert_true(name > 0);
    prometheus_belongs(p, line, name);
    const size_t n = name + prometheus_labels(line + name);
    assert_true(n < 160 && line[n] == ' ' && p->n < PROMETHEUS_SERIES);
    (void)snprintf(p->series[p->n], 160, "%.*s", (int)n, line);
    for (size_t i = 0; i < p->n; i++)
        assert_string_not_equal(p->series[i], p->series[p->n]);
    p->of[p->n] = p->n_families - 1;
    p->value[p->n++] = prometheus_number(line + n + 1, line + size);
}

/* Buckets in order, rising, the last one +Inf and equal to the count. */
static void prometheus_histogram(const struct prometheus *p, size_t family)
{
    double end = -1, sum = -1;
    for (size_t i = 0; i < p->n; i++) {
        const char *le = strstr(p->series[i], "_bucket{le=\"");
        if (p->of[i] != family || !le)
            continue;
        const double here = strtod(le + 12, NULL);
        assert_true(here > end && p->value[i] >= sum);
        end = here;
        sum = p->value[i];
    }
    assert_true(isinf(end));
    char count[96];
    (void)snprintf(count, sizeof count, "%s_count", p->family[family]);
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->series[i], count) == 0) {
            assert_true(p->value[i] == sum);
            return;
        }
    fail_msg("%s is missing", count);
}

static void prometheus_read(struct prometheus *p, const char *text)
{
    memset(p, 0, sizeof *p);
    while (*text) {
        const size_t size = strcspn(text, "\n");
        assert_int_equal(text[size], '\n'); /* the last line, too */
        if (text[0] == '#')
            prometheus_comment(p, text, size);
        else if (size > 0)
            prometheus_sample(p, text, size);
        text += size + 1;
    }
    for (size_t i = 0; i < p->n_families; i++)
        if (strcmp(p->type[i], "histogram") == 0)
            prometheus_histogram(p, i);
}

static int prometheus_has(const struct prometheus *p, const char *series)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->series[i], series) == 0)
            return 1;
    return 0;
}

static double prometheus_get(const struct prometheus *p, const char *series)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->series[i], series) == 0)
            return p->value[i];
    fail_msg("there is no %s", series);
    return 0;
}

#endif
