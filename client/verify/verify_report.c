#include "client/verify/verify_report.h"

#include <stdarg.h>
#include <string.h>

static struct verify_fact *next_fact(struct verify_report *r, const char *name)
{
    if (r->n_facts == VERIFY_REPORT_FACTS)
        return NULL;
    struct verify_fact *fact = &r->facts[r->n_facts++];
    (void)snprintf(fact->name, sizeof fact->name, "%s", name);
    return fact;
}

void verify_report_fact(struct verify_report *r, const char *name, const char *format, ...)
{
    va_list list;
    struct verify_fact *fact = next_fact(r, name);
    if (!fact)
        return;
    va_start(list, format);
    (void)vsnprintf(fact->value, sizeof fact->value, format, list);
    va_end(list);
}

void verify_report_field(struct verify_report *r, const char *name, const char *text, size_t n)
{
    struct verify_fact *fact = next_fact(r, name);
    if (!fact)
        return;
    fact->is_field = 1;
    (void)snprintf(fact->value, sizeof fact->value, "%.*s", (int)n, text);
}

void verify_report_note(struct verify_report *r, const char *format, ...)
{
    va_list list;
    if (r->n_notes == VERIFY_REPORT_NOTES)
        return;
    va_start(list, format);
    (void)vsnprintf(r->notes[r->n_notes++], VERIFY_REPORT_NOTE, format, list);
    va_end(list);
}

void verify_report_conclude(struct verify_report *r, enum status st, const struct fault *f)
{
    r->verdict = st == STATUS_OK                                     ? VERIFY_TRUE
                 : st == STATUS_DATA_LOSS || st == STATUS_BAD_FORMAT ? VERIFY_FALSE
                                                                     : VERIFY_NONE;
    r->reason[0] = '\0';
    if (st == STATUS_OK)
        return;
    r->n_facts = 0;
    r->n_notes = 0;
    if (f->field[0])
        (void)snprintf(r->reason, sizeof r->reason, "%s: %s", f->field, f->text);
    else
        (void)snprintf(r->reason, sizeof r->reason, "%s", f->text[0] ? f->text : status_text(st));
}

/* ---------------------------------------------------------------- printing */

static const char *verdict_text(enum verify_verdict verdict)
{
    return verdict == VERIFY_TRUE    ? "VERIFIED"
           : verdict == VERIFY_FALSE ? "NOT VERIFIED"
                                     : "NO VERDICT";
}

/* Names of files come from outside: no control characters reach a terminal. */
static void put_plain(FILE *to, const char *text)
{
    for (; *text; text++)
        (void)fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
}

static void put_json(FILE *to, const char *text)
{
    (void)fputc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fprintf(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            (void)fputc('?', to); /* of file names alone: all else is ASCII */
        else
            (void)fputc(*text, to);
    }
    (void)fputc('"', to);
}

static void print_text(const struct verify_report *r, FILE *to)
{
    (void)fputs(verdict_text(r->verdict), to);
    if (r->reason[0]) {
        (void)fputs(": ", to);
        put_plain(to, r->reason);
    }
    (void)fputc('\n', to);
    for (size_t i = 0; i < r->n_facts; i++) {
        const struct verify_fact *fact = &r->facts[i];
        (void)fprintf(to, "%s%-*s ", fact->is_field ? "  " : "", fact->is_field ? 12 : 14,
                      fact->name);
        put_plain(to, fact->value);
        (void)fputc('\n', to);
    }
    for (size_t i = 0; i < r->n_notes; i++) {
        (void)fputs("not checked: ", to);
        put_plain(to, r->notes[i]);
        (void)fputc('\n', to);
    }
}

static void print_object(const struct verify_report *r, int fields, const char *name, FILE *to)
{
    const char *comma = "";
    (void)fprintf(to, ", \"%s\": {", name);
    for (size_t i = 0; i < r->n_facts; i++) {
        if (r->facts[i].is_field != fields)
            continue;
        (void)fputs(comma, to);
        put_json(to, r->facts[i].name);
        (void)fputs(": ", to);
        put_json(to, r->facts[i].value);
        comma = ", ";
    }
    (void)fputc('}', to);
}

static void print_json(const struct verify_report *r, FILE *to)
{
    (void)fputs("{\"verdict\": ", to);
    put_json(to, verdict_text(r->verdict));
    (void)fputs(", \"reason\": ", to);
    if (r->reason[0])
        put_json(to, r->reason);
    else
        (void)fputs("null", to);
    print_object(r, 0, "facts", to);
    print_object(r, 1, "fields", to);
    (void)fputs(", \"not_checked\": [", to);
    for (size_t i = 0; i < r->n_notes; i++) {
        (void)fputs(i ? ", " : "", to);
        put_json(to, r->notes[i]);
    }
    (void)fputs("]}\n", to);
}

int verify_report_print(const struct verify_report *r, int json, FILE *to)
{
    if (json)
        print_json(r, to);
    else
        print_text(r, to);
    return fflush(to) == 0 && !ferror(to) ? 0 : -1;
}
