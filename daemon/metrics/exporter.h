/*
 * Exporter: the metrics and the daemon's health over HTTP, on this machine only.  It has a thread
 * of its own that reads counters and nothing else: no client of it can slow a call down.
 *
 *   GET /metrics   200, Prometheus text
 *   GET /health    200 "ok" while every part moves and calls are taken, otherwise 503
 *   other methods  405;  other paths 404
 *
 * At most EXPORTER_CONNECTIONS at a time, each with EXPORTER_IDLE_S of silence and a few KiB.  The
 * only user of libmicrohttpd.
 */
#ifndef LETHE_METRICS_EXPORTER_H
#define LETHE_METRICS_EXPORTER_H

#include "daemon/config/listen.h"
#include "daemon/metrics/metrics.h"

#define EXPORTER_CONNECTIONS 16
#define EXPORTER_IDLE_S      5

struct exporter;

/*
 * Listens.  LISTEN_OFF gives NULL and no error.  Sources are copied, what they point to must
 * outlive the exporter.  ALREADY_EXISTS: the address is taken; IO_ERROR, PERMISSION_DENIED: the
 * system.
 */
enum status exporter_open(const struct listen *at,
                          const struct metrics_sources *sources,
                          struct exporter **ret_exporter,
                          struct fault *f) MUST_CHECK;
/* NULL allowed. */
void exporter_close(struct exporter *e);

#endif
