#include "client/verify/verify_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum status verify_parts_checkpoint(const char *path,
                                    const struct signers *signers,
                                    struct verify_checkpoint *ret_checkpoint,
                                    struct fault *f)
{
    struct verify_checkpoint *c = ret_checkpoint;
    *c = (struct verify_checkpoint){0};
    TRY(verify_input_read(path, NOTE_MAX, &c->file, f));
    enum status st = note_parse((const char *)c->file.bytes, c->file.size, &c->note, f);
    if (st == STATUS_OK)
        st = signers_check(signers, &c->note, &c->seen, f);
    if (st != STATUS_OK)
        fault_prefix(f, "%.60s", path);
    return st;
}

void verify_parts_free(struct verify_checkpoint *c)
{
    verify_input_free(&c->file);
}

enum status verify_parts_consistent(const char *path,
                                    const struct note_checkpoint *older,
                                    const struct note_checkpoint *newer,
                                    struct fault *f)
{
    struct verify_file file = {0};
    struct consistency c = {.old_size = older->size, .new_size = newer->size};
    memcpy(c.origin, newer->origin, sizeof c.origin);
    if (path) {
        TRY(verify_input_read(path, CONSISTENCY_MAX, &file, f));
        const enum status st = consistency_parse((const char *)file.bytes, file.size, &c, f);
        verify_input_free(&file);
        TRY(st);
    } else if (older->size < newer->size && older->size > 0) {
        FAIL(f, STATUS_INVALID_ARGUMENT, "proof",
             "from %" PRIu64 " to %" PRIu64 " entries a consistency proof is needed", older->size,
             newer->size);
    }
    return consistency_verify(&c, older, newer, f);
}

/* ---------------------------------------------------------------- telling */

void verify_parts_time(int64_t wall_us, char text[VERIFY_TIME_SIZE])
{
    if (log_time_is_valid(wall_us))
        log_time_format(wall_us, text);
    else
        (void)snprintf(text, VERIFY_TIME_SIZE, "-");
}

void verify_parts_tell_checkpoint(struct verify_report *r,
                                  const struct note *note,
                                  const struct signers_seen *seen)
{
    char time[VERIFY_TIME_SIZE];
    verify_report_fact(r, "log", "%s", note->checkpoint.origin);
    verify_report_fact(r, "entries", "%" PRIu64, note->checkpoint.size);
    verify_report_fact(r, "witnesses", "%zu", seen->n_witnesses);
    if (seen->n_witnesses > 0) {
        verify_parts_time(
            seen->newest_seconds < INT64_MAX / 1000000 ? seen->newest_seconds * 1000000 : -1, time);
        verify_report_fact(r, "witnessed", "%s", time);
    } else {
        verify_report_note(r, "that others see the same log: no witness' signature was asked for");
    }
    if (seen->n_unknown > 0)
        verify_report_note(r, "%zu signatures of keys that were not given", seen->n_unknown);
}

void verify_parts_tell_entry(struct verify_report *r,
                             const struct receipt *receipt,
                             const struct log_entry *e)
{
    char time[VERIFY_TIME_SIZE];
    verify_report_fact(r, "entry", "%" PRIu64, receipt->index);
    verify_report_fact(r, "kind", "%s", log_kind_name(e->kind));
    verify_parts_time(e->time_us, time);
    verify_report_fact(r, "time", "%s", time);
    if (e->clock_held)
        verify_report_note(r, "the time: the daemon's clock was set back and held at this entry");
    else
        verify_report_note(r, "the time against any clock but the daemon's");
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct log_field *field = &e->fields[i];
        verify_report_field(r, field->is->name, field->text, field->size);
        if (field->is->type == LOG_TYPE_COMMITMENT && !field->absent &&
            !receipt_part_get(receipt, field->is->name))
            verify_report_note(r, "what the commitment %s stands for: it was not opened",
                               field->is->name);
    }
}
