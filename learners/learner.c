#include "learners/learner.h"

#include <math.h>
#include <string.h>

static const struct learner *const learners[] = {
#define LEARNER(name) &learner_##name,
#include "learners/learners.def"
#undef LEARNER
};

size_t learner_count(void)
{
    return sizeof learners / sizeof *learners;
}

const struct learner *learner_at(size_t i)
{
    return i < learner_count() ? learners[i] : NULL;
}

const struct learner *learner_find(const char *name)
{
    for (size_t i = 0; i < learner_count(); i++)
        if (strcmp(learners[i]->name, name) == 0)
            return learners[i];
    return NULL;
}

const struct learner *learner_of_kind(const char *kind)
{
    for (size_t i = 0; i < learner_count(); i++)
        if (strcmp(learners[i]->kind, kind) == 0)
            return learners[i];
    return NULL;
}

size_t learner_stream_length(const char *expert)
{
    const char *dot = strrchr(expert, '.');
    if (!dot || dot[1] == '\0' || dot[1 + strspn(dot + 1, "0123456789")] != '\0')
        return 0;
    return (size_t)(dot - expert);
}

const char *learner_option(const struct learner_problem *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_options; i++)
        if (strcmp(p->options[i].name, name) == 0)
            return p->options[i].value;
    return NULL;
}

struct learner_progress
learner_progress_at(uint32_t epoch, uint32_t epochs, uint32_t step, uint32_t steps)
{
    return (struct learner_progress){.epoch = epoch,
                                     .epochs = epochs,
                                     .step = step,
                                     .steps = steps,
                                     .loss = NAN,
                                     .loss_retain = NAN,
                                     .loss_forget = NAN,
                                     .loss_depth = NAN,
                                     .acc_forget = NAN,
                                     .acc_retain = NAN,
                                     .acc_valid = NAN};
}

uint32_t learner_sources(const struct learner_source *rows,
                         size_t n,
                         struct learner_source *ret_list,
                         uint32_t max)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (digest_is_zero(&rows[i].digest))
            continue;
        if (found < max)
            ret_list[found] = rows[i];
        found++;
    }
    return found;
}
