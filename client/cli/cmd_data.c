/* data import, list, remove: data sets in the daemon's store. */
#include "client/cli/bar.h"
#include "client/cli/class_names.h"
#include "client/cli/command.h"
#include "client/cli/json_out.h"
#include "client/cli/prepare.h"
#include "client/cli/show.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <string.h>

static const struct option_spec SPECS[] = {
    {"labels", 'l', OPTION_VALUE, "FILE", "labels, if they are not found beside PATH"},
    {"role", 0, OPTION_VALUE, "ROLE", "train, validation, test, unseen or probe (default train)"},
    {"split", 0, OPTION_VALUE, "SPLIT",
     "train or test part of a folder that holds both (default: by role)"},
    {"range", 'r', OPTION_VALUE, "A:B", "images A to B-1 only"},
    {"class-names", 0, OPTION_VALUE, "WHICH",
     "model, data, or a file with one name a line (default: see above)"},
};

static const char DETAILS[] =
    "PATH is a folder with one sub-folder of PNG or JPEG files a class, a pair of IDX files\n"
    "(one of them, or their folder; plain or .gz), .npy or .npz.  Pictures are resized and\n"
    "cropped as the model wants them; arrays must have the model's size.\n\n"
    "Classes take the names of the sub-folders.  A data set whose classes are only numbers\n"
    "takes the model's labels if it has as many classes; --class-names data keeps the numbers.\n"
    "With --role unseen (classes that the model never saw) they are named after the data set.";

static const char *const ROLES[] = {"train", "validation", "test", "unseen", "probe", NULL};

/* ------------------------------------------------------------------ import */

/* The stream that goes up: pixels of the range, then its labels. */
struct stream {
    const struct dataset *set;
    struct prepare_range range;
    uint64_t pixel_bytes;
    size_t image_bytes;
    size_t label_bytes; /* of one image */
    struct bar *bar;
};

static void label_at(const struct stream *s, uint32_t i, unsigned char *to)
{
    const uint8_t *hot = dataset_multi_hot(s->set);
    if (hot) {
        memcpy(to, hot + (size_t)i * s->label_bytes, s->label_bytes);
        return;
    }
    const uint32_t label = (uint32_t)dataset_labels(s->set)[i];
    for (size_t k = 0; k < sizeof label; k++)
        to[k] = (unsigned char)(label >> (8 * k));
}

/* Copies part of one record (image or label) and gives the bytes copied. */
static size_t copy_piece(
    const unsigned char *record, size_t record_bytes, size_t skip, unsigned char *to, size_t room)
{
    const size_t n = record_bytes - skip < room ? record_bytes - skip : room;
    memcpy(to, record + skip, n);
    return n;
}

static size_t read_some(const struct stream *s, uint64_t offset, unsigned char *to, size_t room)
{
    if (offset < s->pixel_bytes) {
        const uint32_t i = s->range.first + (uint32_t)(offset / s->image_bytes);
        return copy_piece(dataset_image(s->set, i), s->image_bytes,
                          (size_t)(offset % s->image_bytes), to, room);
    }
    unsigned char label[DATASET_MAX_CLASSES];
    const uint64_t at = offset - s->pixel_bytes;
    label_at(s, s->range.first + (uint32_t)(at / s->label_bytes), label);
    return copy_piece(label, s->label_bytes, (size_t)(at % s->label_bytes), to, room);
}

static bool read_stream(void *context, uint64_t offset, void *to, size_t size)
{
    const struct stream *s = context;
    unsigned char *at = to;
    for (size_t done = 0; done < size;)
        done += read_some(s, offset + done, at + done, size - done);
    return true;
}

static void draw_import(void *context, uint64_t done, uint64_t total)
{
    struct stream *s = context;
    bar_transfer(s->bar, "import", done, total);
}

static enum cli_exit import_set(struct cli *c,
                                struct lethe_data_spec spec,
                                const struct dataset *d,
                                struct prepare_range range)
{
    struct bar bar;
    const size_t image_bytes = dataset_image_bytes(d);
    struct stream s = {.set = d,
                       .range = range,
                       .pixel_bytes = (uint64_t)image_bytes * (range.end - range.first),
                       .image_bytes = image_bytes,
                       .label_bytes = spec.multi_label ? spec.n_classes : sizeof(int32_t),
                       .bar = &bar};
    const struct lethe_import_args args = {
        .spec = spec, .source = read_stream, .meter = draw_import, .context = &s};
    struct lethe_dataset *made;
    struct lethe_error e;
    bar_init(&bar, c->err, c->progress && !c->quiet, c->unicode);
    const enum lethe_code code = lethe_data_import(c->lethe, &args, &made, &e);
    bar_end(&bar);
    if (code != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_dataset(c->out, made);
    else
        show_datasets(c->out, made, 1);
    lethe_free(made);
    return cli_printed(c, good);
}

/* What can be said about an opened set without asking anybody. */
static enum status check_set(const struct dataset *d, const char *path, struct fault *f)
{
    if (dataset_tensor(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "path",
             "%.80s holds one preprocessed image; a data set has u8 images with labels", path);
    if (!dataset_labels(d) && !dataset_multi_hot(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
             "%.80s has no labels; name their file with --labels", path);
    return STATUS_OK;
}

struct import_job {
    const struct options *options;
    const struct lethe_model *model;
    const char *role;
};

static enum cli_exit
import_opened(struct cli *c, const struct import_job *job, const struct dataset *d)
{
    const char *path = job->options->operands[1];
    const struct dataset_shape shape = dataset_shape(d);
    struct prepare_range range;
    struct class_names names = {0};
    const struct class_names_request naming = {options_text(job->options, "class-names", NULL),
                                               job->options->operands[0],
                                               strcmp(job->role, "unseen") == 0};
    struct fault f = {0};
    enum status st = check_set(d, path, &f);
    if (st == STATUS_OK)
        st = prepare_check_shape(path, &shape, job->model, &f);
    if (st == STATUS_OK)
        st = prepare_parse_range(options_text(job->options, "range", NULL), shape.n, &range, &f);
    if (st == STATUS_OK)
        st = class_names_init(d, job->model, &naming, &names, &f);
    if (st != STATUS_OK)
        return cli_fail_fault(c, &f);
    if (names.note)
        cli_note(c, "%s", names.note);
    const struct lethe_data_spec spec = {.name = job->options->operands[0],
                                         .role = job->role,
                                         .images = range.end - range.first,
                                         .height = shape.height,
                                         .width = shape.width,
                                         .channels = shape.channels,
                                         .classes = names.items,
                                         .n_classes = names.n,
                                         .multi_label = dataset_multi_hot(d) != NULL};
    const enum cli_exit code = import_set(c, spec, d, range);
    class_names_fini(&names);
    return code;
}

static enum cli_exit import_with_model(struct cli *c, const struct import_job *job, bool test)
{
    struct preparation preparation;
    struct dataset *d = NULL;
    struct fault f = {0};
    const struct dataset_options options = {.split = test ? DATASET_TEST : DATASET_TRAIN,
                                            .labels_path =
                                                options_text(job->options, "labels", NULL),
                                            .prepare = &preparation};
    if (prepare_from_model(job->model, &preparation, &f) != STATUS_OK ||
        dataset_open(job->options->operands[1], &options, &d, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    const enum cli_exit code = import_opened(c, job, d);
    dataset_free(d);
    return code;
}

static enum cli_exit run_import(struct cli *c, const struct options *o)
{
    static const char *const SPLITS[] = {"train", "test", NULL};
    struct fault f = {0};
    size_t role, split;
    if (options_choice(o, "role", ROLES, 0, &role, &f) != STATUS_OK ||
        options_choice(o, "split", SPLITS, strcmp(ROLES[role], "test") == 0, &split, &f) !=
            STATUS_OK)
        return cli_fail_fault(c, &f);
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    struct lethe_model *m;
    struct lethe_error e;
    if (lethe_model(c->lethe, &m, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const struct import_job job = {o, m, ROLES[role]};
    const enum cli_exit code = import_with_model(c, &job, split == 1);
    lethe_free(m);
    return code;
}

/* ------------------------------------------------------------------ list, remove */

static enum cli_exit run_list(struct cli *c, const struct options *o)
{
    (void)o;
    struct lethe_datasets *list;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_data_list(c->lethe, &list, &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (!c->json)
        show_datasets(c->out, list->items, list->n);
    for (size_t i = 0; c->json && good && i < list->n; i++)
        good = json_out_dataset(c->out, &list->items[i]);
    lethe_free(list);
    return cli_printed(c, good);
}

static enum cli_exit run_remove(struct cli *c, const struct options *o)
{
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_data_remove(c->lethe, o->operands[0], &e) != LETHE_OK)
        return cli_fail(c, &e);
    bool good = true;
    if (c->json)
        good = json_out_removed(c->out, o->operands[0]);
    else
        cli_note(c, "data set %s is removed", o->operands[0]);
    return cli_printed(c, good);
}

const struct command cmd_data_table[] = {
    {"data import", "NAME PATH", "Send a data set to the daemon", DETAILS, SPECS,
     sizeof SPECS / sizeof SPECS[0], 2, 2, run_import},
    {"data list", "", "List data sets", NULL, NULL, 0, 0, 0, run_list},
    {"data remove", "NAME", "Remove a data set", NULL, NULL, 0, 1, 1, run_remove},
    {.name = NULL},
};
