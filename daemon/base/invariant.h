/*
 * Checks of our own reasoning.  INVARIANT is always compiled in: it prints, calls the hook (so that
 * the daemon can write a last journal line) and aborts.  What arrives from outside, disk contents
 * and memory shortage are errors, never invariants.
 */
#ifndef LETHE_BASE_INVARIANT_H
#define LETHE_BASE_INVARIANT_H

#define INVARIANT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            invariant_failed(#condition, __FILE__, __LINE__);                                      \
    } while (0)

/* For inner loops: compiled in only with -DLETHE_DEBUG (the sanitizer builds set it). */
#ifdef LETHE_DEBUG
#define DEBUG_ASSERT(condition) INVARIANT(condition)
#else
#define DEBUG_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

typedef void invariant_hook(const char *text, const char *file, int line);

/* Replaces the hook (NULL: none).  Process-wide; call before threads start. */
void invariant_set_hook(invariant_hook *hook);

_Noreturn void invariant_failed(const char *text, const char *file, int line);

#endif
