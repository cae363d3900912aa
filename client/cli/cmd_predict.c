/* predict: classify pictures and arrays. */
#include "client/cli/command.h"
#include "client/cli/format.h"
#include "client/cli/json_out.h"
#include "client/cli/prepare.h"
#include "client/cli/text_table.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <string.h>

static const struct option_spec SPECS[] = {
    {"version", 0, OPTION_VALUE, "VERSION", "which one answers (default: the serving one)"},
    {"scope", 0, OPTION_VALUE, "SCOPE", "base, lanes, stream:NAME or all"},
    {"decision", 0, OPTION_VALUE, "HOW", "routed or raw"},
    {"top", 'k', OPTION_VALUE, "K",
     "labels an image, most probable first (default 1); 0: all that are present"},
    {"range", 'r', OPTION_VALUE, "A:B", "images A to B-1 of each input that holds many"},
    {"logits", 0, OPTION_FLAG, NULL, "add the raw logits, 9 significant digits"},
};

static const char DETAILS[] =
    "INPUT is a PNG or JPEG file (resized and cropped as the model wants it), a .npy file with\n"
    "float32 [C,H,W] (already preprocessed), or a data set of u8 images in the model's size: IDX,\n"
    ".npy, .npz or a folder with one sub-folder a class.\n\n"
    "With --top 0 an image gets the label that is most probable and, if that belongs to a task\n"
    "whose images have several labels, every one of theirs above its threshold.";

/* A batch of images of one kind, copied, with the place that each came from. */
struct batch {
    struct cli *cli;
    const struct options *options;
    const struct lethe_model *model;
    struct lethe_predict_args args;
    size_t image_bytes;
    size_t max; /* images that fit into one message */
    unsigned char *memory;
    const void *images[LETHE_PREDICT_MAX];
    const char *inputs[LETHE_PREDICT_MAX];
    uint32_t index[LETHE_PREDICT_MAX];
    struct text_table *table; /* NULL with --json */
};

/* ------------------------------------------------------------------ printing */

static void add_rows(struct batch *b, const struct lethe_predictions *p, size_t i)
{
    const struct lethe_prediction *x = &p->items[i];
    char a[FORMAT_SIZE];
    for (size_t k = 0; k < x->n_labels; k++) {
        text_table_add(b->table, "%s", k == 0 ? b->inputs[i] : "");
        if (k == 0)
            text_table_add(b->table, "%u", b->index[i]);
        else
            text_table_add(b->table, "%s", "");
        text_table_add(b->table, "%s", x->labels[k].label);
        text_table_add(b->table, "%s", x->labels[k].owner);
        text_table_add(b->table, "%s", format_percent((double)x->labels[k].p, a));
    }
}

static void print_logits(struct batch *b, const struct lethe_predictions *p, size_t i)
{
    const struct lethe_prediction *x = &p->items[i];
    FILE *out = b->cli->out;
    (void)fprintf(out, "%s %u logits:", b->inputs[i], b->index[i]);
    for (size_t k = 0; k < x->n_logits; k++)
        (void)fprintf(out, " %.9g", (double)x->logits[k]);
    (void)fputc('\n', out);
}

static enum cli_exit print_answers(struct batch *b, const struct lethe_predictions *p)
{
    bool good = true;
    for (size_t i = 0; good && i < p->n; i++) {
        if (b->cli->json)
            good = json_out_prediction(b->cli->out, p, i, b->inputs[i], b->index[i]);
        else
            add_rows(b, p, i);
        if (!b->cli->json && p->items[i].logits)
            print_logits(b, p, i);
    }
    return cli_printed(b->cli, good);
}

/* ------------------------------------------------------------------ sending */

static enum cli_exit flush(struct batch *b)
{
    if (b->args.n_images == 0)
        return CLI_DONE;
    struct lethe_predictions *p;
    struct lethe_error e;
    b->args.images = b->images;
    if (lethe_predict(b->cli->lethe, &b->args, &p, &e) != LETHE_OK)
        return cli_fail(b->cli, &e);
    enum cli_exit code;
    if (p->n == b->args.n_images)
        code = print_answers(b, p);
    else
        code = cli_usage(b->cli, "%zu answers came for %zu images", p->n, b->args.n_images);
    lethe_free(p);
    b->args.n_images = 0;
    return code;
}

/* Takes memory for images of this kind, after sending what is there of another. */
static enum cli_exit begin_kind(struct batch *b, enum lethe_pixel pixel)
{
    const struct lethe_model *m = b->model;
    if (b->memory && b->args.pixel == pixel)
        return CLI_DONE;
    const enum cli_exit code = flush(b);
    if (code != CLI_DONE)
        return code;
    const size_t element = pixel == LETHE_PIXEL_F32 ? sizeof(float) : 1;
    b->args.pixel = pixel;
    b->args.height = b->args.width = m->image_size;
    b->args.channels = m->channels;
    b->image_bytes = (size_t)m->image_size * m->image_size * m->channels * element;
    const size_t fits = (LIMIT_MESSAGE_BYTES - LIMIT_ENVELOPE_BYTES) / b->image_bytes;
    b->max = fits < 1 ? 1 : fits < LETHE_PREDICT_MAX ? fits : LETHE_PREDICT_MAX;
    sysio_free(b->memory);
    b->memory = sysio_alloc(b->max, b->image_bytes);
    return b->memory ? CLI_DONE : cli_usage(b->cli, "out of memory");
}

static enum cli_exit
add_image(struct batch *b, const void *pixels, const char *input, uint32_t index)
{
    const size_t i = b->args.n_images++;
    unsigned char *to = b->memory + i * b->image_bytes;
    memcpy(to, pixels, b->image_bytes);
    b->images[i] = to;
    b->inputs[i] = input;
    b->index[i] = index;
    return b->args.n_images == b->max ? flush(b) : CLI_DONE;
}

static enum cli_exit
add_dataset(struct batch *b, const struct dataset *d, const char *input, struct prepare_range range)
{
    const float *tensor = dataset_tensor(d);
    enum cli_exit code = begin_kind(b, tensor ? LETHE_PIXEL_F32 : LETHE_PIXEL_U8);
    for (uint32_t i = range.first; code == CLI_DONE && i < range.end; i++)
        code = add_image(b, tensor ? (const void *)tensor : dataset_image(d, i), input, i);
    return code;
}

static enum cli_exit add_input(struct batch *b, const char *input)
{
    struct fault f = {0};
    struct preparation preparation;
    struct dataset *d = NULL;
    struct prepare_range range;
    const struct dataset_options options = {.prepare = &preparation};
    enum status st = prepare_from_model(b->model, &preparation, &f);
    if (st == STATUS_OK)
        st = dataset_open(input, &options, &d, &f);
    if (st != STATUS_OK)
        return cli_fail_fault(b->cli, &f);
    const struct dataset_shape shape = dataset_shape(d);
    st = prepare_check_shape(input, &shape, b->model, &f);
    if (st == STATUS_OK)
        st = prepare_parse_range(options_text(b->options, "range", NULL), shape.n, &range, &f);
    const enum cli_exit code =
        st == STATUS_OK ? add_dataset(b, d, input, range) : cli_fail_fault(b->cli, &f);
    dataset_free(d);
    return code;
}

/* ------------------------------------------------------------------ running */

static enum cli_exit predict_inputs(struct batch *b, const struct options *o)
{
    enum cli_exit code = CLI_DONE;
    for (size_t i = 0; code == CLI_DONE && i < o->n_operands; i++)
        code = add_input(b, o->operands[i]);
    if (code == CLI_DONE)
        code = flush(b);
    if (code == CLI_DONE && b->table) {
        text_table_print(b->table, b->cli->out, 0);
        code = cli_printed(b->cli, true);
    }
    return code;
}

static enum cli_exit predict(struct batch *b, const struct options *o)
{
    struct lethe_model *m;
    struct lethe_error e;
    if (lethe_model(b->cli->lethe, &m, &e) != LETHE_OK)
        return cli_fail(b->cli, &e);
    b->model = m;
    b->table = b->cli->json ? NULL : text_table_new("input|>image|label|owner|>probability");
    const enum cli_exit code = predict_inputs(b, o);
    text_table_free(b->table);
    sysio_free(b->memory);
    lethe_free(m);
    return code;
}

static enum cli_exit run_predict(struct cli *c, const struct options *o)
{
    static const char *const DECISIONS[] = {"routed", "raw", NULL};
    struct fault f = {0};
    uint64_t top;
    size_t decision;
    if (options_number(o, "top", 1, 0, LIMIT_PREDICT_TOP, &top, &f) != STATUS_OK ||
        options_choice(o, "decision", DECISIONS, SIZE_MAX, &decision, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    struct batch b = {.cli = c,
                      .options = o,
                      .args = {.version = options_text(o, "version", NULL),
                               .scope = options_text(o, "scope", NULL),
                               .decision = options_text(o, "decision", NULL),
                               .top = (uint32_t)top,
                               .logits = options_flag(o, "logits")}};
    return predict(&b, o);
}

const struct command cmd_predict_table[] = {
    {"predict", "INPUT...", "Classify pictures and arrays", DETAILS, SPECS,
     sizeof SPECS / sizeof SPECS[0], 1, COMMAND_MANY, run_predict},
    {.name = NULL},
};
