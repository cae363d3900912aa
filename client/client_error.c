#include "client/client_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The public codes are the first numbers of status.def; a change there must show here. */
_Static_assert((int)LETHE_CANCELLED == (int)STATUS_CANCELLED &&
                   (int)LETHE_INTERNAL == (int)STATUS_INTERNAL &&
                   (int)LETHE_INVALID_ARGUMENT == (int)STATUS_INVALID_ARGUMENT &&
                   (int)LETHE_DEADLINE_EXCEEDED == (int)STATUS_DEADLINE_EXCEEDED &&
                   (int)LETHE_NOT_FOUND == (int)STATUS_NOT_FOUND &&
                   (int)LETHE_ALREADY_EXISTS == (int)STATUS_ALREADY_EXISTS &&
                   (int)LETHE_PERMISSION_DENIED == (int)STATUS_PERMISSION_DENIED &&
                   (int)LETHE_RESOURCE_EXHAUSTED == (int)STATUS_RESOURCE_EXHAUSTED &&
                   (int)LETHE_FAILED_PRECONDITION == (int)STATUS_FAILED_PRECONDITION &&
                   (int)LETHE_ABORTED == (int)STATUS_ABORTED &&
                   (int)LETHE_OUT_OF_RANGE == (int)STATUS_OUT_OF_RANGE &&
                   (int)LETHE_UNIMPLEMENTED == (int)STATUS_UNIMPLEMENTED &&
                   (int)LETHE_UNAVAILABLE == (int)STATUS_UNAVAILABLE &&
                   (int)LETHE_DATA_LOSS == (int)STATUS_DATA_LOSS,
               "codes of lethe.h and status.def");

static const enum lethe_code CODES[] = {
    LETHE_OK,
    LETHE_CANCELLED,
    LETHE_INTERNAL,
    LETHE_INVALID_ARGUMENT,
    LETHE_DEADLINE_EXCEEDED,
    LETHE_NOT_FOUND,
    LETHE_ALREADY_EXISTS,
    LETHE_PERMISSION_DENIED,
    LETHE_RESOURCE_EXHAUSTED,
    LETHE_FAILED_PRECONDITION,
    LETHE_ABORTED,
    LETHE_OUT_OF_RANGE,
    LETHE_UNIMPLEMENTED,
    LETHE_UNAVAILABLE,
    LETHE_DATA_LOSS,
};

/* The public code of a gRPC-style name; LETHE_INTERNAL for a name that this version does not know.
 */
static enum lethe_code code_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        if (strcmp(lethe_code_name(CODES[i]), name) == 0)
            return CODES[i];
    }
    return LETHE_INTERNAL;
}

const char *lethe_code_name(enum lethe_code code)
{
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        if (CODES[i] == code)
            return status_wire_name(status_from_number((int)code));
    }
    return "UNKNOWN";
}

void client_error_clear(struct lethe_error *e)
{
    if (e)
        *e = (struct lethe_error){.code = LETHE_OK};
}

enum lethe_code client_error_set(struct lethe_error *e,
                                 enum lethe_code code,
                                 enum lethe_origin origin,
                                 const char *field,
                                 const char *format,
                                 ...)
{
    if (!e)
        return code;
    *e = (struct lethe_error){.code = code, .origin = origin};
    (void)snprintf(e->field, sizeof e->field, "%s", field ? field : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return code;
}

enum lethe_code
client_error_fault(struct lethe_error *e, enum lethe_origin origin, const struct fault *f)
{
    const enum lethe_code code = code_from_name(status_wire_name(f->code));
    return client_error_set(e, code, origin, f->field, "%s", f->text);
}

enum lethe_code client_error_wire(struct lethe_error *e, const struct wire_error *w)
{
    const enum lethe_code code = code_from_name(w->code);
    const char *text = w->text[0] != '\0' ? w->text : status_text(status_from_number(w->status));
    (void)client_error_set(e, code, LETHE_FROM_DAEMON, w->field, "%s", text);
    if (e)
        e->retry_after_s = w->retry_after_s;
    return code;
}
