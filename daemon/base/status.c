#include "daemon/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    enum status code;
    enum status_class class;
    const char *name;
    const char *wire;
    const char *text;
};

static const struct status_row ROWS[] = {
#define X(name, number, class, wire, text) {STATUS_##name, STATUS_CLASS_##class, #name, wire, text},
#include "daemon/base/status.def"
#undef X
};

static const struct status_row *status_row_get(enum status code)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].code == code)
            return &ROWS[i];
    }
    return NULL;
}

const char *status_name(enum status code)
{
    const struct status_row *row = status_row_get(code);
    return row ? row->name : "UNKNOWN";
}

const char *status_wire_name(enum status code)
{
    const struct status_row *row = status_row_get(code);
    return row ? row->wire : "UNKNOWN";
}

const char *status_text(enum status code)
{
    const struct status_row *row = status_row_get(code);
    return row ? row->text : "unknown status";
}

enum status_class status_class_of(enum status code)
{
    const struct status_row *row = status_row_get(code);
    return row ? row->class : STATUS_CLASS_BUG;
}

enum status status_from_number(int number)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if ((int)ROWS[i].code == number)
            return ROWS[i].code;
    }
    return STATUS_INTERNAL;
}

enum status status_from_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
        return STATUS_PERMISSION_DENIED;
    default:
        return STATUS_IO_ERROR;
    }
}

enum status fault_set(struct fault *f,
                      enum status code,
                      const char *file,
                      int line,
                      const char *field,
                      const char *format,
                      ...)
{
    if (!f)
        return code;
    f->code = code;
    f->file = file;
    f->line = line;
    (void)snprintf(f->field, sizeof f->field, "%s", field ? field : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return code;
}

void fault_prefix(struct fault *f, const char *format, ...)
{
    if (!f)
        return;
    char old[FAULT_TEXT_SIZE];
    memcpy(old, f->text, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n + 2 >= sizeof f->text)
        return;
    /* a message that no longer fits is cut at its end */
    if (snprintf(f->text + n, sizeof f->text - (size_t)n, ": %s", old) < 0)
        f->text[n] = '\0';
}
