#include "daemon/jobs/method.h"

#include <string.h>

#include "proto/seal/hash.h"

static void add(struct seal_hasher *h, const char *text)
{
    seal_hash_update(h, text, strlen(text));
}

static void add_options(struct seal_hasher *h, const struct job_option *options, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        add(h, options[i].name);
        add(h, "=");
        add(h, options[i].value);
        add(h, "\n");
    }
}

const char *method_name(const struct job_spec *spec)
{
    if (spec->kind == JOB_FORGET)
        return "gslora";
    for (uint32_t i = 0; i < spec->n_tasks; i++)
        if (!spec->tasks[i].carried)
            return spec->tasks[i].suppress ? "gslora" : spec->tasks[i].learner;
    return "drop";
}

struct digest method_parameters(const struct job_spec *spec)
{
    struct seal_hasher h;
    seal_hash_init(&h);
    add(&h, "lethe/parameters/v1\n");
    add_options(&h, spec->options, spec->n_options);
    for (uint32_t i = 0; i < spec->n_tasks; i++) {
        const struct job_task *t = &spec->tasks[i];
        add(&h, "task ");
        add(&h, t->learner);
        add(&h, t->suppress ? " suppress\n" : "\n");
        add_options(&h, t->options, t->n_options);
    }
    return seal_hash_final(&h);
}
