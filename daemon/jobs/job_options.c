/* Options of a job: configuration, request, parameter step; and the seed of its random streams. */
#include "daemon/jobs/forget_job.h"

#include <stdio.h>
#include <string.h>

#include "learners/methods/gslora/gslora_options.h"
#include "proto/seal/hash.h"

/*
 * After a failed gate the same request runs again, with the same seed, under the next of these
 * settings (evaluation.md, 5): a hinge that weighs more and grows while the validation target is
 * missed, retained features held faster, and at last a weaker depth term.  Step 0 is the request as
 * it is. What the request sets itself is never overridden.
 */
static const struct {
    uint32_t step;
    const char *name;
    const char *value;
} step_table[] = {
    {1, "beta", "5"},       {1, "beta_raise", "1.5"}, {1, "keep", "30"},        {2, "beta", "8"},
    {2, "beta_raise", "2"}, {2, "keep", "40"},        {2, "depth_weight", "8"},
};
#define STEP_ROWS (sizeof step_table / sizeof step_table[0])

uint32_t job_parameter_steps(void)
{
    return step_table[STEP_ROWS - 1].step;
}

static struct job_option *option_find(struct job_option *options, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* Sets or replaces; the parser has accepted name and value, here they must fit their room. */
static enum status option_put(
    struct job_option *options, uint32_t *n, const char *name, const char *value, struct fault *f)
{
    struct job_option *o = option_find(options, *n, name);
    if (!o && *n == JOB_MAX_OPTIONS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "options", "at most %d options", JOB_MAX_OPTIONS);
    if (strlen(name) >= sizeof o->name || strlen(value) >= sizeof o->value)
        FAIL(f, STATUS_INVALID_ARGUMENT, name, "the option's name or value is too long");
    if (!o)
        o = &options[(*n)++];
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    (void)snprintf(o->value, sizeof o->value, "%s", value);
    return STATUS_OK;
}

/* A preset would undo what stands before it, so it may only come first. */
static enum status option_check(
    struct gslora_options *parsed, uint32_t n, const char *name, const char *value, struct fault *f)
{
    if (strcmp(name, "preset") == 0 && n > 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "preset", "must be the first option");
    return gslora_options_set(parsed, name, value, f);
}

static enum status put_step(struct job_option *options,
                            uint32_t *n,
                            const struct wire_forget *forget,
                            uint32_t step,
                            struct fault *f)
{
    for (size_t i = 0; i < STEP_ROWS; i++) {
        int own = step_table[i].step != step;
        for (size_t j = 0; j < forget->n_options && !own; j++)
            own = strcmp(forget->options[j].name, step_table[i].name) == 0;
        if (!own)
            TRY(option_put(options, n, step_table[i].name, step_table[i].value, f));
    }
    return STATUS_OK;
}

enum status job_options(const struct config *config,
                        const struct wire_forget *forget,
                        uint32_t step,
                        struct job_option options[JOB_MAX_OPTIONS],
                        uint32_t *ret_n,
                        struct fault *f)
{
    struct gslora_options parsed;
    uint32_t n = 0;
    gslora_options_default(&parsed);
    /* A preset of the request replaces the configuration's options as a whole. */
    const int preset = forget->n_options > 0 && strcmp(forget->options[0].name, "preset") == 0;
    for (size_t i = 0; i < config->n_gslora && !preset; i++)
        TRY(option_put(options, &n, config->gslora[i].name, config->gslora[i].value, f));
    for (size_t i = 0; i < forget->n_options; i++) {
        const struct wire_option *o = &forget->options[i];
        TRY(option_check(&parsed, (uint32_t)i, o->name, o->value, f));
        TRY(option_put(options, &n, o->name, o->value, f));
    }
    TRY(put_step(options, &n, forget, step, f));
    for (uint32_t i = 0; i < n; i++)
        TRY(gslora_options_set(&parsed, options[i].name, options[i].value, f));
    TRY(gslora_options_check(&parsed, f));
    *ret_n = n;
    return STATUS_OK;
}

uint64_t job_seed(const struct config *config, uint64_t asked, const struct request_id *id)
{
    if (asked != 0)
        return asked;
    if (config->seed != 0)
        return (uint64_t)config->seed;
    const struct digest d = seal_hash(id->b, sizeof id->b);
    struct byte_reader r = byte_reader_make(d.b, sizeof d.b);
    return get_u64(&r);
}
