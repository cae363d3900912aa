/*
 * Following a request to its end, with a bar on the terminal: phase, epoch, losses, accuracies on
 * validation data, norms of the adapter's groups as small bars, time left.
 */
#ifndef LETHE_CLI_FOLLOW_H
#define LETHE_CLI_FOLLOW_H

#include "client/cli/cli.h"

/* Waits (for c->timeout_ms, or for ever), prints the final request and gives its exit. */
enum cli_exit follow_request(struct cli *c, const char *id) MUST_CHECK;

/* One line about an event; for the bar, and for tests. */
void follow_line(const struct lethe_event *event, bool unicode, char *text, size_t size);

#endif
