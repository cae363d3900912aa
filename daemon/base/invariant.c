#include "daemon/base/invariant.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static invariant_hook *the_hook;

void invariant_set_hook(invariant_hook *hook)
{
    the_hook = hook;
}

_Noreturn void invariant_failed(const char *text, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, text);
    if (the_hook)
        the_hook(text, file, line);
    abort();
}
