#include "learners/methods/tame/tame_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { OPTION_COUNT, OPTION_REAL, OPTION_CHOICE };

struct option_cell {
    enum option_kind kind;
    size_t offset; /* in struct tame_options */
};

static const struct tame_option_row tame_rows[] = {
#define COUNT(name, value, parity, min, max, text) {#name, NULL, text, value, parity, min, max},
#define REAL(name, value, parity, min, max, text)  {#name, NULL, text, value, parity, min, max},
#define CHOICE(name, value, parity, names, text)   {#name, names, text, value, parity, 0, 0},
#include "learners/methods/tame/tame_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

static const struct option_cell tame_cells[] = {
#define COUNT(name, value, parity, min, max, text)                                                 \
    {OPTION_COUNT, offsetof(struct tame_options, name)},
#define REAL(name, value, parity, min, max, text)                                                  \
    {OPTION_REAL, offsetof(struct tame_options, name)},
#define CHOICE(name, value, parity, names, text)                                                   \
    {OPTION_CHOICE, offsetof(struct tame_options, name)},
#include "learners/methods/tame/tame_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

#define TAME_ROWS (sizeof tame_rows / sizeof tame_rows[0])

const struct tame_option_row *tame_option_row(size_t i)
{
    return i < TAME_ROWS ? &tame_rows[i] : NULL;
}

static void row_store(struct tame_options *o, size_t i, double value)
{
    unsigned char *at = (unsigned char *)o + tame_cells[i].offset;
    if (tame_cells[i].kind == OPTION_REAL) {
        const float x = (float)value;
        memcpy(at, &x, sizeof x);
    } else {
        const uint32_t x = (uint32_t)value;
        memcpy(at, &x, sizeof x);
    }
}

static double row_load(const struct tame_options *o, size_t i)
{
    const unsigned char *at = (const unsigned char *)o + tame_cells[i].offset;
    if (tame_cells[i].kind == OPTION_REAL) {
        float x;
        memcpy(&x, at, sizeof x);
        return (double)x;
    }
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return (double)x;
}

void tame_options_default(struct tame_options *ret_o)
{
    for (size_t i = 0; i < TAME_ROWS; i++)
        row_store(ret_o, i, tame_rows[i].value);
}

void tame_options_parity(struct tame_options *ret_o)
{
    for (size_t i = 0; i < TAME_ROWS; i++)
        row_store(ret_o, i, tame_rows[i].parity);
}

/* Position of `value` in "a|b|c", or -1 (NULL: how many there are). */
static int row_choice(const char *names, const char *value)
{
    int i = 0;
    for (const char *at = names;; i++) {
        const char *end = strchr(at, '|');
        const size_t n = end ? (size_t)(end - at) : strlen(at);
        if (value && strlen(value) == n && memcmp(at, value, n) == 0)
            return i;
        if (!end)
            return value ? -1 : i + 1;
        at = end + 1;
    }
}

static enum status row_check(size_t i, double x, struct fault *f)
{
    const struct tame_option_row *row = &tame_rows[i];
    if (row->names) {
        if (!(x >= 0 && x < row_choice(row->names, NULL)))
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "choice %g is not one of %s", x,
                 row->names);
        return STATUS_OK;
    }
    /* limits as the field holds them: 1e-8 as a float is a little less than 1e-8 */
    const int real = tame_cells[i].kind == OPTION_REAL;
    const double min = real ? (double)(float)row->min : row->min;
    const double max = real ? (double)(float)row->max : row->max;
    if (!(x >= min && x <= max))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "%g is not in %g..%g", x, row->min, row->max);
    return STATUS_OK;
}

static enum status row_parse(size_t i, const char *value, double *ret_x, struct fault *f)
{
    const struct tame_option_row *row = &tame_rows[i];
    if (row->names) {
        const int at = row_choice(row->names, value);
        if (at < 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not one of %s", value, row->names);
        *ret_x = at;
        return STATUS_OK;
    }
    char *end = NULL;
    const double x = strtod(value, &end);
    if (end == value || *end || !isfinite(x))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not a number", value);
    if (tame_cells[i].kind == OPTION_COUNT && x != floor(x))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "'%s' is not a whole number", value);
    TRY(row_check(i, tame_cells[i].kind == OPTION_REAL ? (double)(float)x : x, f));
    *ret_x = x;
    return STATUS_OK;
}

enum status
tame_options_set(struct tame_options *o, const char *name, const char *value, struct fault *f)
{
    if (strcmp(name, "preset") == 0) {
        if (strcmp(value, "default") != 0 && strcmp(value, "parity") != 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "preset", "'%s' is not one of default|parity", value);
        if (*value == 'd')
            tame_options_default(o);
        else
            tame_options_parity(o);
        return STATUS_OK;
    }
    for (size_t i = 0; i < TAME_ROWS; i++) {
        if (strcmp(tame_rows[i].name, name) != 0)
            continue;
        double x = 0;
        TRY(row_parse(i, value, &x, f));
        row_store(o, i, x);
        return STATUS_OK;
    }
    FAIL(f, STATUS_NOT_FOUND, name, "no such setting of a stream");
}

enum status tame_options_check(const struct tame_options *o, struct fault *f)
{
    for (size_t i = 0; i < TAME_ROWS; i++)
        TRY(row_check(i, row_load(o, i), f));
    if (o->outputs > o->classes_max)
        FAIL(f, STATUS_INVALID_ARGUMENT, "outputs", "%u is above classes_max %u", o->outputs,
             o->classes_max);
    if (o->mode == TAME_PARITY && o->outputs == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "outputs", "the published rule needs a fixed number");
    if (o->window && o->maturity > o->window)
        FAIL(f, STATUS_INVALID_ARGUMENT, "maturity", "%u is above window %u", o->maturity,
             o->window);
    return STATUS_OK;
}

void tame_options_resolve(struct tame_options *o)
{
    if (o->window == 0) {
        const uint32_t quarter = (o->n_run + 3) / 4;
        const uint32_t bounded = quarter < 8 ? 8 : quarter > 100 ? 100 : quarter;
        o->window = o->n_run ? bounded : 50;
    }
    if (o->guard < 0)
        o->guard = (float)((o->window + 4) / 5);
    if (o->floor < 0)
        o->floor = o->window <= 16 ? 0.02f : 0.005f;
    if (o->scale <= 0)
        o->scale = 1.0f / (float)o->rank;
}

int tame_options_probes(const struct tame_options *o)
{
    if (o->probe == TAME_PROBE_AUTO)
        return o->n_run > 0 && o->n_run < TAME_PROBE_RUN;
    return o->probe == TAME_PROBE_ON;
}

const char *tame_options_difference(const struct tame_options *a, const struct tame_options *b)
{
    for (size_t i = 0; i < TAME_ROWS; i++) {
        const double x = row_load(a, i), y = row_load(b, i);
        if (x < y || x > y)
            return tame_rows[i].name;
    }
    return NULL;
}

void tame_options_put(const struct tame_options *o, struct byte_writer *w)
{
    put_u32(w, TAME_OPTIONS_VERSION);
    for (size_t i = 0; i < TAME_ROWS; i++) {
        const double x = row_load(o, i);
        if (tame_cells[i].kind == OPTION_REAL)
            put_f32(w, (float)x);
        else
            put_u32(w, (uint32_t)x);
    }
}

enum status tame_options_get(struct byte_reader *r, struct tame_options *ret_o, struct fault *f)
{
    struct tame_options o;
    const uint32_t version = get_u32(r);
    if (version != TAME_OPTIONS_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "options", "version %u is unknown", version);
    for (size_t i = 0; i < TAME_ROWS; i++)
        row_store(&o, i,
                  tame_cells[i].kind == OPTION_REAL ? (double)get_f32(r) : (double)get_u32(r));
    if (r->failed)
        FAIL(f, STATUS_BAD_FORMAT, "options", "the record ends within the options");
    if (tame_options_check(&o, f) != STATUS_OK) {
        fault_prefix(f, "stored options");
        return STATUS_BAD_FORMAT;
    }
    *ret_o = o;
    return STATUS_OK;
}
