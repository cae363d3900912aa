#include "learners/methods/ridge/ridge_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { OPTION_COUNT, OPTION_REAL, OPTION_CHOICE };

struct option_cell {
    enum option_kind kind;
    size_t offset; /* in struct ridge_options */
};

static const struct ridge_option_row option_rows[] = {
#define COUNT(name, value, min, max, text) {#name, NULL, text, value, min, max},
#define REAL(name, value, min, max, text)  {#name, NULL, text, value, min, max},
#define CHOICE(name, value, names, text)   {#name, names, text, value, 0, 0},
#include "learners/methods/ridge/ridge_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

static const struct option_cell option_cells[] = {
#define COUNT(name, value, min, max, text) {OPTION_COUNT, offsetof(struct ridge_options, name)},
#define REAL(name, value, min, max, text)  {OPTION_REAL, offsetof(struct ridge_options, name)},
#define CHOICE(name, value, names, text)   {OPTION_CHOICE, offsetof(struct ridge_options, name)},
#include "learners/methods/ridge/ridge_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

#define OPTION_ROWS (sizeof option_rows / sizeof option_rows[0])

const struct ridge_option_row *ridge_option_row(size_t i)
{
    return i < OPTION_ROWS ? &option_rows[i] : NULL;
}

static void option_store(struct ridge_options *o, size_t i, double value)
{
    unsigned char *at = (unsigned char *)o + option_cells[i].offset;
    const float real = (float)value;
    const uint32_t count = option_cells[i].kind == OPTION_REAL ? 0 : (uint32_t)value;
    if (option_cells[i].kind == OPTION_REAL)
        memcpy(at, &real, sizeof real);
    else
        memcpy(at, &count, sizeof count);
}

static double option_load(const struct ridge_options *o, size_t i)
{
    const unsigned char *at = (const unsigned char *)o + option_cells[i].offset;
    float real;
    uint32_t count;
    memcpy(&real, at, sizeof real);
    memcpy(&count, at, sizeof count);
    return option_cells[i].kind == OPTION_REAL ? (double)real : (double)count;
}

void ridge_options_default(struct ridge_options *ret_o)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        option_store(ret_o, i, option_rows[i].value);
}

/* Position of `value` in "a|b|c"; *ret_n: how many there are.  -1: not among them. */
static int choice_find(const char *names, const char *value, uint32_t *ret_n)
{
    const size_t length = strlen(value);
    int found = -1;
    uint32_t n = 0;
    for (const char *at = names; at; n++) {
        const char *end = strchr(at, '|');
        const size_t size = end ? (size_t)(end - at) : strlen(at);
        if (size == length && memcmp(at, value, size) == 0)
            found = (int)n;
        at = end ? end + 1 : NULL;
    }
    *ret_n = n;
    return found;
}

static enum status option_check(size_t i, double x, struct fault *f)
{
    const struct ridge_option_row *row = &option_rows[i];
    if (row->names) {
        uint32_t n;
        (void)choice_find(row->names, "", &n);
        if (!(x >= 0 && x < n))
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "choice %g is not one of %s", x,
                 row->names);
        return STATUS_OK;
    }
    const int real = option_cells[i].kind == OPTION_REAL;
    const double min = real ? (double)(float)row->min : row->min;
    const double max = real ? (double)(float)row->max : row->max;
    if (!(x >= min && x <= max))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "%g is not in %g..%g", x, row->min, row->max);
    return STATUS_OK;
}

static enum status option_parse(size_t i, const char *value, double *ret_x, struct fault *f)
{
    const struct ridge_option_row *row = &option_rows[i];
    if (row->names) {
        uint32_t n;
        const int at = choice_find(row->names, value, &n);
        if (at < 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not one of %s", value, row->names);
        *ret_x = at;
        return STATUS_OK;
    }
    char *end = NULL;
    const double x = strtod(value, &end);
    if (end == value || *end || !isfinite(x))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not a number", value);
    if (option_cells[i].kind == OPTION_COUNT && x != floor(x))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not a whole number", value);
    TRY(option_check(i, option_cells[i].kind == OPTION_REAL ? (double)(float)x : x, f));
    *ret_x = x;
    return STATUS_OK;
}

enum status
ridge_options_set(struct ridge_options *o, const char *name, const char *value, struct fault *f)
{
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if (strcmp(option_rows[i].name, name) != 0)
            continue;
        double x = 0;
        TRY(option_parse(i, value, &x, f));
        option_store(o, i, x);
        return STATUS_OK;
    }
    FAIL(f, STATUS_NOT_FOUND, name, "no such option of the router");
}

enum status ridge_options_check(const struct ridge_options *o, struct fault *f)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        TRY(option_check(i, option_load(o, i), f));
    if (o->features == 0 && !o->raw)
        FAIL(f, STATUS_INVALID_ARGUMENT, "features", "0 leaves nothing to solve unless raw is 1");
    if (o->regions == 0 && !o->tokens)
        FAIL(f, STATUS_INVALID_ARGUMENT, "regions", "0 leaves nothing to read unless tokens is 1");
    if (o->last_block && o->last_block < o->first_block)
        FAIL(f, STATUS_INVALID_ARGUMENT, "last_block", "%u is before first_block %u", o->last_block,
             o->first_block);
    return STATUS_OK;
}

int ridge_options_same_features(const struct ridge_options *a, const struct ridge_options *b)
{
    return a->features == b->features && a->raw == b->raw && a->regions == b->regions &&
           a->tokens == b->tokens && a->first_block == b->first_block &&
           a->last_block == b->last_block;
}

int ridge_options_same(const struct ridge_options *a, const struct ridge_options *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void ridge_options_put(const struct ridge_options *o, struct byte_writer *w)
{
    put_u32(w, RIDGE_OPTIONS_VERSION);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const double x = option_load(o, i);
        if (option_cells[i].kind == OPTION_REAL)
            put_f32(w, (float)x);
        else
            put_u32(w, (uint32_t)x);
    }
}

enum status ridge_options_get(struct byte_reader *r, struct ridge_options *ret_o, struct fault *f)
{
    struct ridge_options o;
    const uint32_t version = get_u32(r);
    if (version != RIDGE_OPTIONS_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "options", "version %u is unknown", version);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const double x =
            option_cells[i].kind == OPTION_REAL ? (double)get_f32(r) : (double)get_u32(r);
        if (r->failed)
            FAIL(f, STATUS_BAD_FORMAT, "options", "the record ends within the options");
        if (option_check(i, x, f) != STATUS_OK) {
            fault_prefix(f, "stored options");
            return STATUS_BAD_FORMAT;
        }
        option_store(&o, i, x);
    }
    if (ridge_options_check(&o, f) != STATUS_OK) {
        fault_prefix(f, "stored options");
        return STATUS_BAD_FORMAT;
    }
    *ret_o = o;
    return STATUS_OK;
}
