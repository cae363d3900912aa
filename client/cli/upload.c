#include "client/cli/upload.h"

#include "client/cli/bar.h"
#include "client/cli/class_names.h"
#include "client/cli/prepare.h"
#include "daemon/base/sysio.h"

#include <string.h>

#define DROPPED UINT32_MAX

/* ------------------------------------------------------------------ what is sent of a set */

struct selection {
    uint32_t *rows; /* [n_rows] images of the set */
    uint32_t n_rows;
    const char **names; /* [n_classes] of the classes that are sent, in the set's order */
    uint32_t *classes; /* [n_classes] their numbers in the set; beyond its own: no image has them */
    uint32_t n_classes;
    uint32_t *place; /* [classes of the set] number among the sent ones, or DROPPED */
};

static void selection_fini(struct selection *s)
{
    sysio_free(s->rows);
    sysio_free(s->names);
    sysio_free(s->classes);
    sysio_free(s->place);
    *s = (struct selection){0};
}

static bool is_wanted(const struct upload_request *r, const char *name)
{
    bool wanted = r->n_only == 0;
    for (size_t i = 0; !wanted && i < r->n_only; i++)
        wanted = strcmp(r->only[i], name) == 0;
    return wanted;
}

static enum status
check_only(const struct upload_request *r, const struct dataset *d, struct fault *f)
{
    const uint32_t n = dataset_classes(d);
    for (size_t i = 0; i < r->n_only; i++) {
        uint32_t k = 0;
        while (k < n && strcmp(dataset_class_name(d, k), r->only[i]) != 0)
            k++;
        if (k == n)
            FAIL(f, STATUS_INVALID_ARGUMENT, "only", "%.80s has no class \"%.40s\"", r->path,
                 r->only[i]);
    }
    return STATUS_OK;
}

static void select_classes(struct selection *s,
                           const struct upload_request *r,
                           const struct dataset *d,
                           const struct class_names *names)
{
    const uint32_t own = dataset_classes(d);
    for (uint32_t k = 0; k < names->n; k++) {
        /* A list of names may be longer than the set: the model's, for example. */
        const bool wanted = k < own ? is_wanted(r, dataset_class_name(d, k)) : r->n_only == 0;
        if (k < own)
            s->place[k] = wanted ? s->n_classes : DROPPED;
        if (!wanted)
            continue;
        s->names[s->n_classes] = names->items[k];
        s->classes[s->n_classes++] = k;
    }
}

/* With several labels an image goes along if it has one class that does. */
static bool has_class(const struct selection *s, const struct dataset *d, uint32_t row)
{
    const uint8_t *hot = dataset_multi_hot(d);
    const uint32_t own = dataset_classes(d);
    if (!hot)
        return s->place[dataset_labels(d)[row]] != DROPPED;
    for (uint32_t k = 0; k < own; k++)
        if (hot[(size_t)row * own + k] && s->place[k] != DROPPED)
            return true;
    return false;
}

static enum status select_rows(struct selection *s,
                               const struct upload_request *r,
                               const struct dataset *d,
                               struct prepare_range range,
                               struct fault *f)
{
    for (uint32_t row = range.first; row < range.end; row++)
        if (r->n_only == 0 || has_class(s, d, row))
            s->rows[s->n_rows++] = row;
    if (s->n_rows == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "only", "%.80s has no images of these classes", r->path);
    return STATUS_OK;
}

static enum status selection_init(struct selection *s,
                                  const struct upload_request *r,
                                  const struct dataset *d,
                                  const struct class_names *names,
                                  struct fault *f)
{
    struct prepare_range range;
    TRY(prepare_parse_range(r->range, dataset_shape(d).n, &range, f));
    TRY(check_only(r, d, f));
    s->rows = sysio_alloc(range.end - range.first, sizeof *s->rows);
    s->names = sysio_alloc(names->n + 1, sizeof *s->names);
    s->classes = sysio_alloc(names->n + 1, sizeof *s->classes);
    s->place = sysio_alloc((size_t)dataset_classes(d) + 1, sizeof *s->place);
    if (!s->rows || !s->names || !s->classes || !s->place)
        FAIL(f, STATUS_NO_MEMORY, NULL, "out of memory");
    select_classes(s, r, d, names);
    return select_rows(s, r, d, range, f);
}

/* ------------------------------------------------------------------ the stream that goes up */

/* Pixels of the chosen images, then their labels, then, if the set says it, whose they are. */
struct stream {
    const struct dataset *set;
    const struct selection *selection;
    uint64_t pixel_bytes;
    size_t image_bytes;
    uint64_t all_label_bytes;
    size_t label_bytes; /* of one image */
    struct bar *bar;
};

static void label_at(const struct stream *s, uint32_t row, unsigned char *to)
{
    const uint8_t *hot = dataset_multi_hot(s->set);
    const uint32_t own = dataset_classes(s->set);
    for (uint32_t k = 0; hot && k < s->selection->n_classes; k++) {
        const uint32_t from = s->selection->classes[k];
        to[k] = from < own ? hot[(size_t)row * own + from] : 0;
    }
    if (hot)
        return;
    const uint32_t label = s->selection->place[dataset_labels(s->set)[row]];
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
    const uint32_t *rows = s->selection->rows;
    if (offset < s->pixel_bytes)
        return copy_piece(dataset_image(s->set, rows[offset / s->image_bytes]), s->image_bytes,
                          (size_t)(offset % s->image_bytes), to, room);
    unsigned char label[DATASET_MAX_CLASSES];
    const uint64_t at = offset - s->pixel_bytes;
    if (at >= s->all_label_bytes) {
        const uint64_t from = at - s->all_label_bytes;
        lethe_subject(dataset_subject(s->set, rows[from / LETHE_DIGEST_SIZE]), label);
        return copy_piece(label, LETHE_DIGEST_SIZE, (size_t)(from % LETHE_DIGEST_SIZE), to, room);
    }
    label_at(s, rows[at / s->label_bytes], label);
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

static enum cli_exit send_set(struct cli *c,
                              const struct upload_request *r,
                              const struct dataset *d,
                              const struct selection *selection,
                              struct lethe_dataset **ret_made)
{
    struct bar bar;
    const struct dataset_shape shape = dataset_shape(d);
    const bool multi = dataset_multi_hot(d) != NULL;
    const size_t image_bytes = dataset_image_bytes(d);
    struct stream s = {.set = d,
                       .selection = selection,
                       .pixel_bytes = (uint64_t)image_bytes * selection->n_rows,
                       .image_bytes = image_bytes,
                       .label_bytes = multi ? selection->n_classes : sizeof(int32_t),
                       .bar = &bar};
    s.all_label_bytes = (uint64_t)s.label_bytes * selection->n_rows;
    const struct lethe_import_args args = {.spec = {.name = r->name,
                                                    .role = r->role,
                                                    .images = selection->n_rows,
                                                    .height = shape.height,
                                                    .width = shape.width,
                                                    .channels = shape.channels,
                                                    .classes = selection->names,
                                                    .n_classes = selection->n_classes,
                                                    .multi_label = multi,
                                                    .subjects = dataset_subject(d, 0) != NULL},
                                           .source = read_stream,
                                           .meter = draw_import,
                                           .context = &s};
    struct lethe_error e;
    bar_init(&bar, c->err, c->progress && !c->quiet, c->unicode);
    const enum lethe_code code = lethe_data_import(c->lethe, &args, ret_made, &e);
    bar_end(&bar);
    return code == LETHE_OK ? CLI_DONE : cli_fail(c, &e);
}

/* ------------------------------------------------------------------ from the path */

/* What can be said about an opened set without asking anybody. */
static enum status
check_set(const struct upload_request *r, const struct dataset *d, struct fault *f)
{
    if (dataset_tensor(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "path",
             "%.80s holds one preprocessed image; a data set has u8 images with labels", r->path);
    if (!dataset_labels(d) && !dataset_multi_hot(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
             "%.80s has no labels; name their file with --labels", r->path);
    if (r->multi_label && !dataset_multi_hot(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "multi-label",
             "%.80s has one label an image; several are a multi-hot array [images, classes]",
             r->path);
    return STATUS_OK;
}

static enum cli_exit send_opened(struct cli *c,
                                 const struct upload_request *r,
                                 const struct lethe_model *m,
                                 const struct dataset *d,
                                 struct lethe_dataset **ret_made)
{
    const struct dataset_shape shape = dataset_shape(d);
    const struct class_names_request naming = {r->class_names, r->owner ? r->owner : r->name,
                                               r->owner != NULL};
    struct class_names names = {0};
    struct selection selection = {0};
    struct fault f = {0};
    enum status st = check_set(r, d, &f);
    if (st == STATUS_OK)
        st = prepare_check_shape(r->path, &shape, m, &f);
    if (st == STATUS_OK)
        st = class_names_init(d, m, &naming, &names, &f);
    if (st == STATUS_OK)
        st = selection_init(&selection, r, d, &names, &f);
    if (st == STATUS_OK && names.note && !r->told)
        cli_note(c, "%s", names.note);
    const enum cli_exit code =
        st == STATUS_OK ? send_set(c, r, d, &selection, ret_made) : cli_fail_fault(c, &f);
    selection_fini(&selection);
    class_names_fini(&names);
    return code;
}

static enum cli_exit send_path(struct cli *c,
                               const struct upload_request *r,
                               const struct lethe_model *m,
                               struct lethe_dataset **ret_made)
{
    struct preparation preparation;
    struct dataset *d = NULL;
    struct fault f = {0};
    const struct dataset_options options = {.split = r->split,
                                            .labels_path = r->labels_path,
                                            .subject_field = r->subject_field,
                                            .subjects_path = r->subjects_path,
                                            .prepare = &preparation};
    if (prepare_from_model(m, &preparation, &f) != STATUS_OK ||
        dataset_open(r->path, &options, &d, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    const enum cli_exit code = send_opened(c, r, m, d, ret_made);
    dataset_free(d);
    return code;
}

enum cli_exit
upload_dataset(struct cli *c, const struct upload_request *r, struct lethe_dataset **ret_made)
{
    *ret_made = NULL;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    struct lethe_model *m;
    struct lethe_error e;
    if (lethe_model(c->lethe, &m, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit code = send_path(c, r, m, ret_made);
    lethe_free(m);
    return code;
}
