/*
 * Metrics: one look at every module's figures, and their text in Prometheus' exposition format
 * (version 0.0.4).  Modules are asked (core_stats, server_stats); none of them knows of this.
 * metrics.def is the list.  Any thread; reads counters only.
 */
#ifndef LETHE_METRICS_METRICS_H
#define LETHE_METRICS_METRICS_H

#include "daemon/base/status.h"
#include "daemon/jobs/core_stats.h"
#include "daemon/metrics/process_figures.h"
#include "daemon/serve/server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;

/* Who is asked.  `ready` (any thread) says whether every part moves and calls are taken. */
struct metrics_sources {
    const struct core *core;
    const struct server *server;
    const char *version; /* of the program */
    bool (*ready)(void *context);
    void *context;
};

struct metrics_view {
    struct core_stats core;
    struct server_stats server;
    struct process_figures process;
    const char *version;
    const char *kernel;
    bool ready;
    int64_t now_us; /* wall time */
};

void metrics_look(const struct metrics_sources *sources, struct metrics_view *ret_view);
/* The text of a view; free() it.  NO_MEMORY. */
enum status metrics_text(const struct metrics_view *v,
                         char **ret_text,
                         size_t *ret_size,
                         struct fault *f) MUST_CHECK;

#endif
