/*
 * Log lines of the daemon, the worker and the tools: to the journal with fields when the service
 * manager gave us one, otherwise one JSON object a line on standard error.  Libraries never log.
 * Never put a payload, a label or a subject into a line.
 */
#ifndef LETHE_BASE_LOG_H
#define LETHE_BASE_LOG_H

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* Call once, before threads start.  `program` is borrowed for good. */
void log_open(const char *program, enum log_level max);
/*
 * One line.  `event` is a fixed lower-case name ("request.queued"); the text is for people.  Fields
 * are passed as pairs (name, value) of strings, ended by NULL.
 */
void log_event(enum log_level level, const char *event, const char *text, ...)
    __attribute__((sentinel));

#endif
