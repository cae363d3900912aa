/* Options of a job: what wins over what, parameter steps, and the seed. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/forget_job.h"

static const char *value_of(const struct job_option *options, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(options[i].name, name) == 0)
            return options[i].value;
    return "";
}

static struct config configured(const char *name, const char *value)
{
    struct config c;
    config_default(&c);
    c.n_gslora = 1;
    (void)snprintf(c.gslora[0].name, sizeof c.gslora[0].name, "%s", name);
    (void)snprintf(c.gslora[0].value, sizeof c.gslora[0].value, "%s", value);
    return c;
}

void test_job_options_request_wins_over_configuration(void **state)
{
    (void)state;
    const struct config c = configured("depth_weight", "0.7");
    struct job_option options[JOB_MAX_OPTIONS];
    struct wire_option own = {"depth_weight", "0.2"};
    struct wire_forget m = {0};
    uint32_t n;
    assert_int_equal(job_options(&c, &m, 0, options, &n, NULL), STATUS_OK);
    assert_int_equal(n, 1);
    assert_string_equal(value_of(options, n, "depth_weight"), "0.7");
    m.options = &own;
    m.n_options = 1;
    assert_int_equal(job_options(&c, &m, 0, options, &n, NULL), STATUS_OK);
    assert_int_equal(n, 1);
    assert_string_equal(value_of(options, n, "depth_weight"), "0.2");
}

void test_job_options_steps_never_override_the_request(void **state)
{
    (void)state;
    const struct config c = configured("keep", "0.7");
    struct job_option options[JOB_MAX_OPTIONS];
    const struct wire_option own = {"beta", "0.3"};
    const struct wire_forget m = {.options = &own, .n_options = 1};
    uint32_t n;
    assert_true(job_parameter_steps() >= 1);
    for (uint32_t step = 1; step <= job_parameter_steps(); step++) {
        assert_int_equal(job_options(&c, &m, step, options, &n, NULL), STATUS_OK);
        assert_string_equal(value_of(options, n, "beta"), "0.3");
        assert_string_not_equal(value_of(options, n, "beta_raise"), "");
        assert_string_not_equal(value_of(options, n, "keep"), "0.7");
    }
}

void test_job_options_preset_replaces_the_configuration(void **state)
{
    (void)state;
    const struct config c = configured("depth_weight", "0.7");
    struct job_option options[JOB_MAX_OPTIONS];
    const struct wire_option own[] = {{"preset", "parity"}, {"epochs", "3"}};
    const struct wire_option late[] = {{"epochs", "3"}, {"preset", "parity"}};
    struct wire_forget m = {.options = own, .n_options = 2};
    struct fault f = {0};
    uint32_t n;
    assert_int_equal(job_options(&c, &m, 0, options, &n, NULL), STATUS_OK);
    assert_int_equal(n, 2);
    assert_string_equal(options[0].name, "preset");
    m.options = late;
    assert_int_equal(job_options(&c, &m, 0, options, &n, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "preset");
}

void test_job_options_seed(void **state)
{
    (void)state;
    struct config c;
    const struct request_id a = {{1}}, b = {{2}};
    config_default(&c);
    assert_int_equal(job_seed(&c, 42, &a), 42);
    assert_true(job_seed(&c, 0, &a) == job_seed(&c, 0, &a));
    assert_true(job_seed(&c, 0, &a) != job_seed(&c, 0, &b));
    c.seed = 7;
    assert_int_equal(job_seed(&c, 0, &a), 7);
    assert_int_equal(job_seed(&c, 42, &a), 42);
}
