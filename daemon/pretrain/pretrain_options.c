#include "daemon/pretrain/pretrain_options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { OPTION_COUNT, OPTION_REAL, OPTION_TEXT };

enum option_key { KEY_EXCLUDE = 0x1000, KEY_RESUME, KEY_SEED, KEY_TABLE = 0x2000 };

/* Numbers and texts by table: argp key KEY_TABLE + row. */
static const struct option_row {
    const char *name;
    const char *arg;
    enum option_kind kind;
    size_t offset;
    double min, max;
    const char *text;
} option_rows[] = {
#define COUNT(name, field, min, max, text)                                                         \
    {                                                                                              \
        name, "N", OPTION_COUNT, offsetof(struct pretrain_options, field), min, max, text          \
    }
#define REAL(name, field, min, max, text)                                                          \
    {                                                                                              \
        name, "X", OPTION_REAL, offsetof(struct pretrain_options, field), min, max, text           \
    }
#define TEXT(name, arg, field, text)                                                               \
    {                                                                                              \
        name, arg, OPTION_TEXT, offsetof(struct pretrain_options, field), 0, 0, text               \
    }
    TEXT("data", "PATH", data, "training images (default: Fashion-MNIST)"),
    TEXT("test", "PATH", test, "test images, read once at the end (default: beside the data)"),
    TEXT("labels", "A,B,...", labels, "class names in order of their number"),
    TEXT("out", "DIR", out, "folder of the model, its log and its checkpoint"),
    COUNT("threads", threads, 1, 64, "threads; the result does not depend on it (2)"),
    COUNT("patch", patch, 1, 256, "side of a patch in pixels (4)"),
    COUNT("width", width, 4, 8192, "width of the model (128)"),
    COUNT("depth", depth, 1, 64, "number of blocks (6)"),
    COUNT("heads", heads, 1, 256, "attention heads (4)"),
    COUNT("hidden", hidden, 4, 32768, "hidden width of the MLPs (512)"),
    REAL("mean", mean, 0, 1, "mean of the pixels, taken off in every channel (0.5)"),
    REAL("std", std, 1e-3, 10, "standard deviation of the pixels (0.5)"),
    COUNT("epochs", epochs, 1, 100000, "passes over the training images (20)"),
    COUNT("batch", batch, 1, 4096, "images a step (128)"),
    COUNT("valid", valid, 0, 10000000, "stratified validation images, not trained on (5000)"),
    REAL("lr", lr, 1e-8, 1, "largest learning rate (1e-3)"),
    REAL("lr-min", lr_min, 0, 1, "learning rate at the end (1e-5)"),
    REAL("wd", weight_decay, 0, 10, "weight decay of the matrices (0.05)"),
    REAL("warmup", warmup, 0, 1000, "epochs of linear warm-up (1)"),
    REAL("smoothing", smoothing, 0, 0.9, "label smoothing (0.05)"),
    REAL("ema", ema, 0, 0.999999, "decay of the averaged weights, which are exported (0.999)"),
    REAL("clip", clip, 0, 1e6, "largest norm of the gradient, 0: no limit (1)"),
    REAL("flip", flip, 0, 1, "probability of a horizontal flip (0.5)"),
    COUNT("shift", shift, 0, 1024, "largest shift in pixels (2)"),
    COUNT("cutout", cutout, 0, 4096, "side of a blanked square, 0: none (0)"),
    REAL("cutout-rate", cutout_rate, 0, 1, "probability of the square (0.5)"),
    REAL("mixup", mixup, 0, 100, "alpha of mixup, 0: none (0)"),
    REAL("patch-dropout", patch_dropout, 0, 0.9, "share of an image's patches left out (0)"),
    COUNT("full-epochs", full_epochs, 0, 100000, "last epochs that see all patches (0)"),
#undef COUNT
#undef REAL
#undef TEXT
};
#define OPTION_ROWS (sizeof option_rows / sizeof *option_rows)

static const struct pretrain_options option_defaults = {
    .data = "/usr/share/datasets/fashion-mnist",
    .threads = 2,
    .patch = 4,
    .width = 128,
    .depth = 6,
    .heads = 4,
    .hidden = 512,
    .mean = 0.5f,
    .std = 0.5f,
    .seed = 1,
    .epochs = 20,
    .batch = 128,
    .valid = 5000,
    .lr = 1e-3f,
    .lr_min = 1e-5f,
    .weight_decay = 0.05f,
    .warmup = 1,
    .smoothing = 0.05f,
    .ema = 0.999f,
    .clip = 1,
    .flip = 0.5f,
    .cutout_rate = 0.5f,
    .shift = 2,
};

static void
option_set_count(struct argp_state *state, const struct option_row *row, const char *arg)
{
    char *end;
    errno = 0;
    const unsigned long long x = strtoull(arg, &end, 10);
    if (errno || end == arg || *end || *arg == '-' || (double)x < row->min || (double)x > row->max)
        argp_error(state, "--%s=%s: not an integer from %.0f to %.0f", row->name, arg, row->min,
                   row->max);
    const uint32_t value = (uint32_t)x;
    memcpy((char *)state->input + row->offset, &value, sizeof value);
}

static void option_set_real(struct argp_state *state, const struct option_row *row, const char *arg)
{
    char *end;
    const double x = strtod(arg, &end);
    if (end == arg || *end || !(x >= row->min && x <= row->max))
        argp_error(state, "--%s=%s: not a number from %g to %g", row->name, arg, row->min,
                   row->max);
    const float value = (float)x;
    memcpy((char *)state->input + row->offset, &value, sizeof value);
}

static void option_set_seed(struct argp_state *state, const char *arg)
{
    struct pretrain_options *o = state->input;
    char *end;
    errno = 0;
    o->seed = strtoull(arg, &end, 10);
    if (errno || end == arg || *end || *arg == '-')
        argp_error(state, "--seed=%s: not an integer from 0 to 2^64 - 1", arg);
}

static void option_exclude(struct argp_state *state, const char *arg)
{
    struct pretrain_options *o = state->input;
    for (const char *at = arg;;) {
        char *end;
        errno = 0;
        const unsigned long x = strtoul(at, &end, 10);
        if (errno || end == at || *at == '-' || x >= PRETRAIN_MAX_CLASSES || (*end && *end != ','))
            argp_error(state, "--exclude-classes=%s: not a list of class numbers below %d", arg,
                       PRETRAIN_MAX_CLASSES);
        o->excluded[x] = 1;
        if (*end == '\0')
            return;
        at = end + 1;
    }
}

static void option_check(struct argp_state *state)
{
    const struct pretrain_options *o = state->input;
    if (!o->out)
        argp_error(state, "--out DIR is missing");
    if (o->width % o->heads != 0)
        argp_error(state, "--width=%u is no multiple of --heads=%u", o->width, o->heads);
    if (o->lr_min > o->lr)
        argp_error(state, "--lr-min is larger than --lr");
    if (o->full_epochs > o->epochs)
        argp_error(state, "--full-epochs=%u is more than --epochs=%u", o->full_epochs, o->epochs);
    if ((double)o->warmup >= (double)o->epochs && o->epochs > 1)
        argp_error(state, "--warmup=%g is not shorter than --epochs=%u", (double)o->warmup,
                   o->epochs);
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
    struct pretrain_options *o = state->input;
    switch (key) {
    case KEY_EXCLUDE:
        option_exclude(state, arg);
        return 0;
    case KEY_RESUME:
        o->resume = 1;
        return 0;
    case KEY_SEED:
        option_set_seed(state, arg);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument %s", arg);
        return 0;
    case ARGP_KEY_END:
        option_check(state);
        return 0;
    default:
        break;
    }
    if (key < KEY_TABLE || (size_t)(key - KEY_TABLE) >= OPTION_ROWS)
        return ARGP_ERR_UNKNOWN;
    const struct option_row *row = &option_rows[key - KEY_TABLE];
    switch (row->kind) {
    case OPTION_COUNT:
        option_set_count(state, row, arg);
        break;
    case OPTION_REAL:
        option_set_real(state, row, arg);
        break;
    case OPTION_TEXT: {
        const char *text = arg;
        memcpy((char *)state->input + row->offset, &text, sizeof text);
        break;
    }
    }
    return 0;
}

void pretrain_options_parse(int argc, char **argv, struct pretrain_options *ret_options)
{
    struct argp_option table[OPTION_ROWS + 4] = {
        {"exclude-classes", KEY_EXCLUDE, "5,8", 0,
         "leave out all images of these classes; the head keeps its outputs", 0},
        {"resume", KEY_RESUME, NULL, 0, "continue from the checkpoint in the folder", 0},
        {"seed", KEY_SEED, "N", 0, "seed of every random choice (1)", 0},
    };
    for (size_t i = 0; i < OPTION_ROWS; i++)
        table[3 + i] = (struct argp_option){.name = option_rows[i].name,
                                            .key = KEY_TABLE + (int)i,
                                            .arg = option_rows[i].arg,
                                            .doc = option_rows[i].text};
    const struct argp argp = {
        .options = table,
        .parser = option_parse,
        .doc = "Trains a Vision Transformer from nothing and writes it as a model folder.",
    };
    argp_err_exit_status = 2;
    *ret_options = option_defaults;
    (void)argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}

void pretrain_options_text(const struct pretrain_options *o, char text[PRETRAIN_TEXT_SIZE])
{
    size_t n = 0;
    for (size_t i = 0; i < OPTION_ROWS && n < PRETRAIN_TEXT_SIZE; i++) {
        const struct option_row *row = &option_rows[i];
        const char *at = (const char *)o + row->offset;
        uint32_t count;
        float real;
        int length = 0;
        if (row->kind == OPTION_TEXT || row->offset == offsetof(struct pretrain_options, threads))
            continue;
        memcpy(&count, at, sizeof count);
        memcpy(&real, at, sizeof real);
        if (row->kind == OPTION_COUNT)
            length = snprintf(text + n, PRETRAIN_TEXT_SIZE - n, "%s=%u ", row->name, count);
        else
            length =
                snprintf(text + n, PRETRAIN_TEXT_SIZE - n, "%s=%.9g ", row->name, (double)real);
        n += (size_t)length;
    }
    if (n < PRETRAIN_TEXT_SIZE)
        n += (size_t)snprintf(text + n, PRETRAIN_TEXT_SIZE - n,
                              "seed=%llu exclude=", (unsigned long long)o->seed);
    for (size_t i = 0; i < PRETRAIN_MAX_CLASSES && n < PRETRAIN_TEXT_SIZE - 8; i++)
        if (o->excluded[i])
            n += (size_t)snprintf(text + n, PRETRAIN_TEXT_SIZE - n, "%zu,", i);
}
