#include "daemon/base/log.h"

#include "daemon/base/clock.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#define LOG_LINE_SIZE  2048
#define LOG_MAX_FIELDS 12

static const char *the_program = "lethe";
static enum log_level the_max = LOG_LEVEL_INFO;
static int the_journal;

void log_open(const char *program, enum log_level max)
{
    the_program = program;
    the_max = max;
    the_journal = getenv("JOURNAL_STREAM") != NULL;
}

struct line {
    char text[LOG_LINE_SIZE];
    size_t used;
};

static void line_add(struct line *l, const char *s)
{
    while (*s && l->used + 1 < sizeof l->text)
        l->text[l->used++] = *s++;
}

/* JSON string body: quotes, backslashes and control bytes escaped. */
static void line_add_escaped(struct line *l, const char *s)
{
    for (; *s; s++) {
        char piece[8] = {*s, 0};
        if (*s == '"' || *s == '\\')
            (void)snprintf(piece, sizeof piece, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            (void)snprintf(piece, sizeof piece, "\\u%04x", (unsigned)(unsigned char)*s);
        line_add(l, piece);
    }
}

static void line_add_pair(struct line *l, const char *name, const char *value)
{
    line_add(l, l->used > 1 ? ",\"" : "\"");
    line_add_escaped(l, name);
    line_add(l, "\":\"");
    line_add_escaped(l, value);
    line_add(l, "\"");
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    default:
        return "unknown";
    }
}

static void log_stderr(enum log_level level, const char *event, const char *text, va_list args)
{
    struct line l = {.used = 0};
    char when[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), when);
    line_add(&l, "{");
    line_add_pair(&l, "time", when);
    line_add_pair(&l, "level", level_name(level));
    line_add_pair(&l, "program", the_program);
    line_add_pair(&l, "event", event);
    line_add_pair(&l, "text", text);
    for (const char *name = va_arg(args, const char *); name; name = va_arg(args, const char *))
        line_add_pair(&l, name, va_arg(args, const char *));
    if (l.used + 3 > sizeof l.text)
        l.used = sizeof l.text - 3;
    l.text[l.used++] = '}';
    l.text[l.used++] = '\n';
    if (write(STDERR_FILENO, l.text, l.used) < 0)
        return; /* nowhere left to say so */
}

struct journal_field {
    char text[256];
};

static void journal_field_set(struct journal_field *to, const char *name, const char *value)
{
    (void)snprintf(to->text, sizeof to->text, "%s=%s", name, value);
    for (char *c = to->text; *c && *c != '='; c++)
        *c = (char)toupper((unsigned char)*c);
}

static void log_journal(enum log_level level, const char *event, const char *text, va_list args)
{
    struct journal_field fields[LOG_MAX_FIELDS + 4];
    struct iovec parts[LOG_MAX_FIELDS + 4];
    int n = 0;
    char number[8];
    (void)snprintf(number, sizeof number, "%d", (int)level);
    journal_field_set(&fields[n++], "MESSAGE", text);
    journal_field_set(&fields[n++], "PRIORITY", number);
    journal_field_set(&fields[n++], "LETHE_EVENT", event);
    journal_field_set(&fields[n++], "SYSLOG_IDENTIFIER", the_program);
    for (const char *name = va_arg(args, const char *); name && n < LOG_MAX_FIELDS + 4;
         name = va_arg(args, const char *)) {
        char full[64];
        (void)snprintf(full, sizeof full, "LETHE_%s", name);
        journal_field_set(&fields[n++], full, va_arg(args, const char *));
    }
    for (int i = 0; i < n; i++)
        parts[i] = (struct iovec){fields[i].text, strlen(fields[i].text)};
    (void)sd_journal_sendv(parts, n);
}

void log_event(enum log_level level, const char *event, const char *text, ...)
{
    if (level > the_max)
        return;
    va_list args;
    va_start(args, text);
    if (the_journal)
        log_journal(level, event, text, args);
    else
        log_stderr(level, event, text, args);
    va_end(args);
}
