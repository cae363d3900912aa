#include "learners/learner.h"

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
