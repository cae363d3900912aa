#include "learners/methods/multilane/lane_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { OPTION_COUNT, OPTION_REAL, OPTION_CHOICE };

struct option_cell {
    enum option_kind kind;
    size_t offset; /* in struct lane_options */
};

static const struct lane_option_row option_rows[] = {
#define COUNT(name, value, parity, min, max, text) {#name, NULL, text, value, parity, min, max},
#define REAL(name, value, parity, min, max, text)  {#name, NULL, text, value, parity, min, max},
#define CHOICE(name, value, parity, names, text)   {#name, names, text, value, parity, 0, 0},
#include "learners/methods/multilane/lane_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

static const struct option_cell option_cells[] = {
#define COUNT(name, value, parity, min, max, text)                                                 \
    {OPTION_COUNT, offsetof(struct lane_options, name)},
#define REAL(name, value, parity, min, max, text)                                                  \
    {OPTION_REAL, offsetof(struct lane_options, name)},
#define CHOICE(name, value, parity, names, text)                                                   \
    {OPTION_CHOICE, offsetof(struct lane_options, name)},
#include "learners/methods/multilane/lane_options.def"
#undef COUNT
#undef REAL
#undef CHOICE
};

#define OPTION_ROWS (sizeof option_rows / sizeof option_rows[0])

const struct lane_option_row *lane_option_row(size_t i)
{
    return i < OPTION_ROWS ? &option_rows[i] : NULL;
}

static void option_store(struct lane_options *o, size_t i, double value)
{
    unsigned char *at = (unsigned char *)o + option_cells[i].offset;
    if (option_cells[i].kind == OPTION_REAL) {
        const float x = (float)value;
        memcpy(at, &x, sizeof x);
    } else {
        const uint32_t x = (uint32_t)value;
        memcpy(at, &x, sizeof x);
    }
}

static double option_load(const struct lane_options *o, size_t i)
{
    const unsigned char *at = (const unsigned char *)o + option_cells[i].offset;
    if (option_cells[i].kind == OPTION_REAL) {
        float x;
        memcpy(&x, at, sizeof x);
        return (double)x;
    }
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return (double)x;
}

void lane_options_default(struct lane_options *ret_o)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        option_store(ret_o, i, option_rows[i].value);
}

void lane_options_parity(struct lane_options *ret_o)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        option_store(ret_o, i, option_rows[i].parity);
}

/* Number of choices in "a|b|c". */
static uint32_t choice_count(const char *names)
{
    uint32_t n = 1;
    for (const char *c = names; *c; c++)
        n += *c == '|';
    return n;
}

/* Position of `value` in "a|b|c", or -1. */
static int choice_find(const char *names, const char *value)
{
    const size_t length = strlen(value);
    int i = 0;
    for (const char *at = names;; i++) {
        const char *end = strchr(at, '|');
        const size_t n = end ? (size_t)(end - at) : strlen(at);
        if (n == length && memcmp(at, value, n) == 0)
            return i;
        if (!end)
            return -1;
        at = end + 1;
    }
}

static enum status option_check(size_t i, double x, struct fault *f)
{
    const struct lane_option_row *row = &option_rows[i];
    if (row->names) {
        if (!(x >= 0 && x < choice_count(row->names)))
            FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "choice %g is not one of %s", x,
                 row->names);
        return STATUS_OK;
    }
    /* limits as the field holds them: 1e-8 as a float is a little less than 1e-8 */
    const int real = option_cells[i].kind == OPTION_REAL;
    const double min = real ? (double)(float)row->min : row->min;
    const double max = real ? (double)(float)row->max : row->max;
    if (!(x >= min && x <= max))
        FAIL(f, STATUS_INVALID_ARGUMENT, row->name, "%g is not in %g..%g", x, row->min, row->max);
    return STATUS_OK;
}

static enum status option_parse(size_t i, const char *value, double *ret_x, struct fault *f)
{
    const struct lane_option_row *row = &option_rows[i];
    if (row->names) {
        const int at = choice_find(row->names, value);
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
    const double stored = option_cells[i].kind == OPTION_REAL ? (double)(float)x : x;
    TRY(option_check(i, stored, f));
    *ret_x = x;
    return STATUS_OK;
}

static enum status option_preset(struct lane_options *o, const char *value, struct fault *f)
{
    if (strcmp(value, "default") == 0)
        lane_options_default(o);
    else if (strcmp(value, "parity") == 0)
        lane_options_parity(o);
    else
        FAIL(f, STATUS_INVALID_ARGUMENT, "preset", "'%s' is not one of default|parity", value);
    return STATUS_OK;
}

enum status
lane_options_set(struct lane_options *o, const char *name, const char *value, struct fault *f)
{
    if (strcmp(name, "preset") == 0)
        return option_preset(o, value, f);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if (strcmp(option_rows[i].name, name) != 0)
            continue;
        double x = 0;
        TRY(option_parse(i, value, &x, f));
        option_store(o, i, x);
        return STATUS_OK;
    }
    FAIL(f, STATUS_NOT_FOUND, name, "no such option of a lane");
}

/* What the rows say, without a model. */
static enum status option_check_all(const struct lane_options *o, struct fault *f)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        TRY(option_check(i, option_load(o, i), f));
    if (o->lr_min > o->lr)
        FAIL(f, STATUS_INVALID_ARGUMENT, "lr_min", "%g is above lr %g", (double)o->lr_min,
             (double)o->lr);
    return STATUS_OK;
}

enum status
lane_options_check(const struct lane_options *o, const struct vit_config *c, struct fault *f)
{
    TRY(option_check_all(o, f));
    if (o->prompt_blocks > c->depth)
        FAIL(f, STATUS_INVALID_ARGUMENT, "prompt_blocks", "%u, but the model has %u blocks",
             o->prompt_blocks, c->depth);
    return STATUS_OK;
}

int lane_options_augment(const struct lane_options *o)
{
    return o->flip > 0.0f || o->shift > 0 || (o->cutout > 0 && o->cutout_rate > 0.0f);
}

void lane_options_put(const struct lane_options *o, struct byte_writer *w)
{
    put_u32(w, LANE_OPTIONS_VERSION);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const double x = option_load(o, i);
        if (option_cells[i].kind == OPTION_REAL)
            put_f32(w, (float)x);
        else
            put_u32(w, (uint32_t)x);
    }
}

enum status lane_options_get(struct byte_reader *r, struct lane_options *ret_o, struct fault *f)
{
    struct lane_options o;
    const uint32_t version = get_u32(r);
    if (version != LANE_OPTIONS_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "options", "version %u is unknown", version);
    for (size_t i = 0; i < OPTION_ROWS; i++)
        option_store(&o, i,
                     option_cells[i].kind == OPTION_REAL ? (double)get_f32(r) : (double)get_u32(r));
    if (r->failed)
        FAIL(f, STATUS_BAD_FORMAT, "options", "the record ends within the options");
    if (option_check_all(&o, f) != STATUS_OK) {
        fault_prefix(f, "stored options");
        return STATUS_BAD_FORMAT;
    }
    *ret_o = o;
    return STATUS_OK;
}
