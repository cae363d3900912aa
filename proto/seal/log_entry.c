#include "proto/seal/log_entry.h"

#include "daemon/base/invariant.h"
#include "proto/seal/lines.h"

#include <string.h>

#define MAGIC        "lethe-log/v1 "
#define MAGIC_SIZE   (sizeof MAGIC - 1)
#define FAMILY       "lethe-log/v" /* of any version */
#define FAMILY_SIZE  (sizeof FAMILY - 1)
#define KIND_AND_END (LOG_FIELDS_MAX + 1)

/* ---------------------------------------------------------------- the table */

struct kind_type {
    const char *name;
    struct log_field_type fields[KIND_AND_END]; /* ended by one without a name */
};

static const struct kind_type KINDS[LOG_KINDS] = {
#define MUST(field, type)       {#field, LOG_TYPE_##type, 0},
#define MAY(field, type)        {#field, LOG_TYPE_##type, 1},
#define KIND(id, name, columns) [LOG_KIND_##id] = {name, {columns{NULL, LOG_TYPES, 0}}},
#include "proto/seal/log_kinds.def"
#undef KIND
#undef MAY
#undef MUST
};

const char *log_kind_name(enum log_kind kind)
{
    INVARIANT((unsigned)kind < LOG_KINDS);
    return KINDS[kind].name;
}

enum log_kind log_kind_parse(const char *name, size_t n)
{
    unsigned kind = 0;
    while (kind < LOG_KINDS && !lines_same(name, n, KINDS[kind].name))
        kind++;
    return (enum log_kind)kind;
}

const struct log_field_type *log_kind_fields(enum log_kind kind, size_t *ret_n)
{
    size_t n = 0;
    INVARIANT((unsigned)kind < LOG_KINDS);
    while (KINDS[kind].fields[n].name)
        n++;
    *ret_n = n;
    return KINDS[kind].fields;
}

/* ---------------------------------------------------------------- writing */

/* What was given belongs to the kind, once, with the right type. */
static enum status check_given(enum log_kind kind,
                               const struct log_field_type *fields,
                               size_t n_fields,
                               const struct log_value *values,
                               size_t n_values,
                               struct fault *f)
{
    for (size_t i = 0; i < n_values; i++) {
        const char *name = values[i].name;
        size_t k = 0;
        while (k < n_fields && strcmp(fields[k].name, name) != 0)
            k++;
        if (k == n_fields)
            FAIL(f, STATUS_INVALID_ARGUMENT, name, "no field of %s", KINDS[kind].name);
        if (values[i].type != fields[k].type)
            FAIL(f, STATUS_INVALID_ARGUMENT, name, "is a %s in %s, given as %s",
                 log_type_name(fields[k].type), KINDS[kind].name, log_type_name(values[i].type));
        for (size_t j = 0; j < i; j++)
            if (strcmp(values[j].name, name) == 0)
                FAIL(f, STATUS_INVALID_ARGUMENT, name, "given twice");
    }
    return STATUS_OK;
}

static const struct log_value *
find_value(const struct log_value *values, size_t n_values, const char *name)
{
    for (size_t i = 0; i < n_values; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].absent ? NULL : &values[i];
    return NULL;
}

/* One line.  The text is checked as a reader will, so that what is written can be read. */
static enum status put_field(struct byte_writer *w,
                             const struct log_field_type *field,
                             const struct log_value *value,
                             struct fault *f)
{
    lines_put(w, field->name);
    lines_put(w, " ");
    if (!value && !field->optional)
        FAIL(f, STATUS_INVALID_ARGUMENT, field->name, "required");
    const size_t from = w->used;
    if (value)
        log_value_write(w, value);
    else
        lines_put(w, "-");
    if (value && !w->failed &&
        !log_text_is(field->type, (const char *)w->at + from, w->used - from))
        FAIL(f, STATUS_INVALID_ARGUMENT, field->name, "is no %s", log_type_name(field->type));
    lines_put(w, "\n");
    return STATUS_OK;
}

static void put_head(struct byte_writer *w, enum log_kind kind, int64_t time_us, int clock_held)
{
    char time[LOG_TIME_CHARS + 1];
    log_time_format(time_us, time);
    lines_put(w, MAGIC);
    lines_put(w, KINDS[kind].name);
    lines_put(w, "\ntime ");
    lines_put(w, time);
    lines_put(w, clock_held ? "\nclock held\n" : "\nclock ok\n");
}

enum status log_entry_write(enum log_kind kind,
                            int64_t time_us,
                            int clock_held,
                            const struct log_value *values,
                            size_t n_values,
                            char ret_bytes[LOG_ENTRY_MAX],
                            size_t *ret_size,
                            struct fault *f)
{
    size_t n = 0;
    struct byte_writer w = byte_writer_make(ret_bytes, LOG_ENTRY_MAX);
    const struct log_field_type *fields = log_kind_fields(kind, &n);
    if (!log_time_is_valid(time_us))
        FAIL(f, STATUS_INVALID_ARGUMENT, "time", "not between the years 1970 and 9999");
    TRY(check_given(kind, fields, n, values, n_values, f));
    put_head(&w, kind, time_us, clock_held);
    for (size_t i = 0; i < n; i++)
        TRY(put_field(&w, &fields[i], find_value(values, n_values, fields[i].name), f));
    if (w.failed)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "an entry of more than %u bytes", LOG_ENTRY_MAX);
    *ret_size = w.used;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- reading */

static enum status parse_kind(struct lines *in, struct log_entry *e, struct fault *f)
{
    const char *line = NULL;
    size_t n = 0;
    if (lines_next(in, &line, &n) != 0 || n < FAMILY_SIZE || memcmp(line, FAMILY, FAMILY_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "entry", "line 1 is not the first of a log entry");
    if (n < MAGIC_SIZE || memcmp(line, MAGIC, MAGIC_SIZE) != 0)
        FAIL(f, STATUS_UNIMPLEMENTED, "entry", "a version of log entries not known here");
    e->kind = log_kind_parse(line + MAGIC_SIZE, n - MAGIC_SIZE);
    if (e->kind == LOG_KINDS)
        FAIL(f, STATUS_UNIMPLEMENTED, "kind", "a kind of log entry not known here");
    return STATUS_OK;
}

/* The value of the next line, whose name must be this. */
static enum status parse_value(
    struct lines *in, const char *name, const char **ret_text, size_t *ret_size, struct fault *f)
{
    if (lines_value(in, name, ret_text, ret_size) != 0)
        FAIL(f, STATUS_BAD_FORMAT, name, "line %zu of the entry is not this field", in->number);
    return STATUS_OK;
}

static enum status parse_time(struct lines *in, struct log_entry *e, struct fault *f)
{
    const char *text = NULL;
    size_t n = 0;
    TRY(parse_value(in, "time", &text, &n, f));
    if (log_time_parse(text, n, &e->time_us) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "time", "is no time in its one form");
    TRY(parse_value(in, "clock", &text, &n, f));
    e->clock_held = lines_same(text, n, "held");
    if (!e->clock_held && !lines_same(text, n, "ok"))
        FAIL(f, STATUS_BAD_FORMAT, "clock", "is neither ok nor held");
    return STATUS_OK;
}

static enum status parse_field(struct lines *in,
                               const struct log_field_type *is,
                               struct log_field *ret,
                               struct fault *f)
{
    struct log_field field = {.is = is};
    TRY(parse_value(in, is->name, &field.text, &field.size, f));
    field.absent = is->optional && lines_same(field.text, field.size, "-");
    if (!field.absent && !log_text_is(is->type, field.text, field.size))
        FAIL(f, STATUS_BAD_FORMAT, is->name, "is no %s", log_type_name(is->type));
    *ret = field;
    return STATUS_OK;
}

enum status
log_entry_parse(const void *bytes, size_t n, struct log_entry *ret_entry, struct fault *f)
{
    struct lines in = lines_of(bytes, n);
    struct log_entry e = {0};
    if (n > LOG_ENTRY_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "entry", "%zu bytes, at most %u", n, LOG_ENTRY_MAX);
    TRY(parse_kind(&in, &e, f));
    TRY(parse_time(&in, &e, f));
    const struct log_field_type *fields = log_kind_fields(e.kind, &e.n_fields);
    for (size_t i = 0; i < e.n_fields; i++)
        TRY(parse_field(&in, &fields[i], &e.fields[i], f));
    if (in.left)
        FAIL(f, STATUS_BAD_FORMAT, "entry", "something follows line %zu, its last", in.number);
    *ret_entry = e;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- values */

const struct log_field *log_entry_field(const struct log_entry *e, const char *name)
{
    for (size_t i = 0; i < e->n_fields; i++)
        if (strcmp(e->fields[i].is->name, name) == 0)
            return &e->fields[i];
    return NULL;
}

/* The field if it is there with one of two types. */
static const struct log_field *
present(const struct log_entry *e, const char *name, enum log_type type, enum log_type or_type)
{
    const struct log_field *field = log_entry_field(e, name);
    return field && !field->absent && (field->is->type == type || field->is->type == or_type)
               ? field
               : NULL;
}

int log_entry_request(const struct log_entry *e, const char *name, struct request_id *ret_id)
{
    const struct log_field *x = present(e, name, LOG_TYPE_REQUEST, LOG_TYPE_REQUEST);
    if (x)
        *ret_id = log_text_request(x->text, x->size);
    return x != NULL;
}

int log_entry_number(const struct log_entry *e, const char *name, uint64_t *ret_number)
{
    const struct log_field *x = present(e, name, LOG_TYPE_NUMBER, LOG_TYPE_NUMBER);
    if (x)
        *ret_number = log_text_number(x->text, x->size);
    return x != NULL;
}

int log_entry_time(const struct log_entry *e, const char *name, int64_t *ret_wall_us)
{
    const struct log_field *x = present(e, name, LOG_TYPE_TIME, LOG_TYPE_DATE);
    if (x)
        *ret_wall_us = log_text_time(x->text, x->size);
    return x != NULL;
}

int log_entry_digest(const struct log_entry *e, const char *name, struct digest *ret_digest)
{
    const struct log_field *x = present(e, name, LOG_TYPE_DIGEST, LOG_TYPE_DIGEST);
    if (x)
        *ret_digest = log_text_digest(x->text, x->size);
    return x != NULL;
}

int log_entry_hash(const struct log_entry *e, const char *name, struct sha256 *ret_hash)
{
    const struct log_field *x = present(e, name, LOG_TYPE_SHA256, LOG_TYPE_COMMITMENT);
    if (x)
        *ret_hash = log_text_hash(x->text, x->size);
    return x != NULL;
}

int log_entry_word(const struct log_entry *e, const char *name, char ret_word[LOG_WORD_SIZE])
{
    const struct log_field *x = present(e, name, LOG_TYPE_WORD, LOG_TYPE_ACTOR);
    if (x) {
        memcpy(ret_word, x->text, x->size);
        ret_word[x->size] = '\0';
    }
    return x != NULL;
}

int log_entry_vkey(const struct log_entry *e, const char *name, struct sign_vkey *ret_vkey)
{
    const struct log_field *x = present(e, name, LOG_TYPE_VKEY, LOG_TYPE_VKEY);
    return x && sign_vkey_parse(x->text, x->size, ret_vkey, NULL) == STATUS_OK;
}

size_t log_entry_requests(const struct log_entry *e,
                          const char *name,
                          struct request_id *ret_ids,
                          size_t max)
{
    const struct log_field *x = present(e, name, LOG_TYPE_REQUESTS, LOG_TYPE_REQUESTS);
    return x ? log_text_requests(x->text, x->size, ret_ids, max) : 0;
}
