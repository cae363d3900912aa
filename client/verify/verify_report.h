/*
 * The answer of lethe-verify: a verdict with its reason, facts in order, and what was not checked.
 *
 *   VERIFIED                              or  NOT VERIFIED: REASON  or  NO VERDICT: REASON
 *   NAME  VALUE                           facts; only such as were verified
 *     NAME  VALUE                         fields of an entry, indented
 *   not checked: TEXT                     one line each
 *
 * With --json one object: verdict ("VERIFIED", ...), reason (null or text), facts and fields
 * (objects of strings), not_checked (list of texts).  A verdict other than VERIFIED has no facts.
 *
 * Fixed buffers: what does not fit is cut.  One thread.
 */
#ifndef LETHE_VERIFY_REPORT_H
#define LETHE_VERIFY_REPORT_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdio.h>

#define VERIFY_REPORT_FACTS 32
#define VERIFY_REPORT_NOTES 16
#define VERIFY_REPORT_NAME  32
#define VERIFY_REPORT_VALUE 512
#define VERIFY_REPORT_NOTE  256

/* Also the exit status. */
enum verify_verdict { VERIFY_TRUE = 0, VERIFY_FALSE = 1, VERIFY_NONE = 2 };

struct verify_fact {
    char name[VERIFY_REPORT_NAME];
    char value[VERIFY_REPORT_VALUE];
    int is_field;
};

struct verify_report {
    enum verify_verdict verdict;
    char reason[FAULT_FIELD_SIZE + FAULT_TEXT_SIZE + 4];
    struct verify_fact facts[VERIFY_REPORT_FACTS];
    size_t n_facts;
    char notes[VERIFY_REPORT_NOTES][VERIFY_REPORT_NOTE];
    size_t n_notes;
};

void verify_report_fact(struct verify_report *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A field of a log entry. */
void verify_report_field(struct verify_report *r, const char *name, const char *text, size_t n);
/* Something that was not checked. */
void verify_report_note(struct verify_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * The verdict that follows from a result: evidence that is false or malformed is VERIFY_FALSE,
 * everything else that failed is VERIFY_NONE.
 */
void verify_report_conclude(struct verify_report *r, enum status st, const struct fault *f);
/* 0, or -1 if the output could not be written. */
int verify_report_print(const struct verify_report *r, int json, FILE *to);

#endif
