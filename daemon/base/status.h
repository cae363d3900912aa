/*
 * Results of fallible functions.  `enum status` is generated from status.def: 0 is success, every
 * failure is negative.  `struct fault` is the optional explanation that a failing function leaves
 * with its caller: field at fault, text for people, place in the source.  It is a fixed buffer,
 * owned by the caller, never shared between threads.
 */
#ifndef LETHE_BASE_STATUS_H
#define LETHE_BASE_STATUS_H

enum status {
#define X(name, number, class, wire, text) STATUS_##name = (number),
#include "daemon/base/status.def"
#undef X
};

enum status_class {
    STATUS_CLASS_OK,
    STATUS_CLASS_CALLER,
    STATUS_CLASS_TRANSIENT,
    STATUS_CLASS_CORRUPT,
    STATUS_CLASS_LIMIT,
    STATUS_CLASS_BUG
};

#define MUST_CHECK __attribute__((warn_unused_result))

#define FAULT_FIELD_SIZE 64
#define FAULT_TEXT_SIZE  160

struct fault {
    enum status code;
    int line;
    const char *file;
    char field[FAULT_FIELD_SIZE]; /* name of the argument, key or tensor at fault; may be empty */
    char text[FAULT_TEXT_SIZE];
};

/* Stable upper-case name, e.g. "NO_SPACE"; "UNKNOWN" for a number that is no status. */
const char *status_name(enum status code);
/* gRPC-style name that is sent to clients, e.g. "RESOURCE_EXHAUSTED". */
const char *status_wire_name(enum status code);
/* One short phrase for people. */
const char *status_text(enum status code);
enum status_class status_class_of(enum status code);
/* Status for a number read from disk or wire; STATUS_INTERNAL if it is unknown. */
enum status status_from_number(int number);
/* Status for an errno value: ENOSPC and EDQUOT give NO_SPACE, ENOMEM NO_MEMORY, others IO_ERROR. */
enum status status_from_errno(int errnum);

/* Fills *f (NULL allowed) and returns code.  `field` may be NULL.  Text is cut at 159 bytes. */
enum status fault_set(struct fault *f,
                      enum status code,
                      const char *file,
                      int line,
                      const char *field,
                      const char *format,
                      ...) __attribute__((format(printf, 6, 7)));
/* Puts "text: " before the message of *f (NULL allowed), for callers that know the context. */
void fault_prefix(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Return `code` from the calling function, explained.  Field may be NULL. */
#define FAIL(f, code, field, ...)                                                                  \
    return fault_set((f), (code), __FILE__, __LINE__, (field), __VA_ARGS__)

/* Forward a failure to the caller. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum status try_status_ = (expression);                                                    \
        if (try_status_ != STATUS_OK)                                                              \
            return try_status_;                                                                    \
    } while (0)

#endif
