#include "client/dataset/dataset.h"

#include "client/dataset/dataset_internal.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define DATASET_MAGIC 0x64736574u

struct dataset {
    uint32_t magic;
    struct dataset_shape shape;
    uint8_t *pixels;
    float *tensor;
    int32_t *labels;
    uint8_t *multi_hot;
    uint32_t classes;
    char (*names)[DATASET_NAME_SIZE];
    size_t *subjects; /* [n] where each image's id begins in the texts; NULL: not told */
    uint32_t n_subjects;
    char *texts; /* ids with their NUL */
    size_t texts_used, texts_size;
};

size_t dataset_limit(const struct dataset_options *o)
{
    return o->max_bytes > 0 ? o->max_bytes : DATASET_MAX_BYTES;
}

static enum status dataset_shape_check(struct dataset_shape s, struct fault *f)
{
    if (s.n == 0 || s.n > DATASET_MAX_IMAGES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%u images, allowed are 1 to %u", s.n,
             DATASET_MAX_IMAGES);
    if (s.height == 0 || s.width == 0 || s.height > DATASET_MAX_SIDE || s.width > DATASET_MAX_SIDE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%ux%u pixels, a side may be 1 to %u", s.height,
             s.width, DATASET_MAX_SIDE);
    if (s.channels != 1 && s.channels != 3)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "%u channels, allowed are 1 and 3", s.channels);
    return STATUS_OK;
}

static struct dataset *dataset_empty(struct dataset_shape shape)
{
    struct dataset *d = sysio_alloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->magic = DATASET_MAGIC;
    d->shape = shape;
    return d;
}

enum status
dataset_new(struct dataset_shape shape, size_t max_bytes, struct dataset **ret_set, struct fault *f)
{
    TRY(dataset_shape_check(shape, f));
    /* At most 2^24 * 2^12 * 2^12 * 3: no overflow in 64 bits. */
    const size_t bytes = (size_t)shape.n * shape.height * shape.width * shape.channels;
    if (bytes > max_bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "%zu bytes of pixels, limit %zu", bytes,
             max_bytes);
    struct dataset *d = dataset_empty(shape);
    if (d)
        d->pixels = sysio_alloc(bytes, 1);
    if (!d || !d->pixels) {
        dataset_free(d);
        FAIL(f, STATUS_NO_MEMORY, "images", "no memory for %zu bytes of pixels", bytes);
    }
    *ret_set = d;
    return STATUS_OK;
}

enum status
dataset_new_tensor(struct dataset_shape shape, struct dataset **ret_set, struct fault *f)
{
    TRY(dataset_shape_check(shape, f));
    INVARIANT(shape.n == 1);
    struct dataset *d = dataset_empty(shape);
    if (d)
        d->tensor = sysio_alloc((size_t)shape.height * shape.width * shape.channels, sizeof(float));
    if (!d || !d->tensor) {
        dataset_free(d);
        FAIL(f, STATUS_NO_MEMORY, "images", "no memory for the float image");
    }
    *ret_set = d;
    return STATUS_OK;
}

void dataset_free(struct dataset *d)
{
    if (!d)
        return;
    INVARIANT(d->magic == DATASET_MAGIC);
    d->magic = 0;
    sysio_free(d->pixels);
    sysio_free(d->tensor);
    sysio_free(d->labels);
    sysio_free(d->multi_hot);
    sysio_free(d->names);
    sysio_free(d->subjects);
    sysio_free(d->texts);
    sysio_free(d);
}

uint8_t *dataset_pixels(struct dataset *d)
{
    return d->pixels;
}

float *dataset_tensor_mutable(struct dataset *d)
{
    return d->tensor;
}

enum status
dataset_set_names(struct dataset *d, const char *const *names, uint32_t n, struct fault *f)
{
    INVARIANT(!d->names && n > 0 && n <= DATASET_MAX_CLASSES);
    d->names = sysio_alloc(n, sizeof *d->names);
    if (!d->names)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u class names", n);
    for (uint32_t i = 0; i < n; i++) {
        const size_t length = strlen(names[i]);
        if (length >= DATASET_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "classes", "class name of %zu bytes, limit %d", length,
                 DATASET_NAME_SIZE - 1);
        memcpy(d->names[i], names[i], length + 1);
    }
    d->classes = n;
    return STATUS_OK;
}

static enum status dataset_number_names(struct dataset *d, uint32_t n, struct fault *f)
{
    d->names = sysio_alloc(n, sizeof *d->names);
    if (!d->names)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no memory for %u class names", n);
    for (uint32_t i = 0; i < n; i++)
        (void)snprintf(d->names[i], DATASET_NAME_SIZE, "%u", i);
    d->classes = n;
    return STATUS_OK;
}

enum status dataset_take_labels(struct dataset *d, int32_t *labels, struct fault *f)
{
    int32_t top = -1;
    d->labels = labels;
    for (uint32_t i = 0; i < d->shape.n; i++) {
        if (labels[i] < 0 || (uint32_t)labels[i] >= DATASET_MAX_CLASSES)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "label %d of image %u, allowed are 0 to %u",
                 labels[i], i, DATASET_MAX_CLASSES - 1);
        if (labels[i] > top)
            top = labels[i];
    }
    if (d->names) {
        INVARIANT((uint32_t)top < d->classes);
        return STATUS_OK;
    }
    return dataset_number_names(d, (uint32_t)top + 1, f);
}

enum status
dataset_take_multi_hot(struct dataset *d, uint8_t *hot, uint32_t classes, struct fault *f)
{
    d->multi_hot = hot;
    if (classes == 0 || classes > DATASET_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "%u classes, allowed are 1 to %u", classes,
             DATASET_MAX_CLASSES);
    for (size_t i = 0; i < (size_t)d->shape.n * classes; i++)
        if (hot[i] > 1)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
                 "multi-hot label %u of image %zu is %u, allowed are 0 and 1",
                 (unsigned)(i % classes), i / classes, hot[i]);
    return dataset_number_names(d, classes, f);
}

/* ---------------------------------------------------------------- subjects */

static enum status subjects_room(struct dataset *d, size_t more, struct fault *f)
{
    if (!d->subjects)
        d->subjects = sysio_alloc(d->shape.n, sizeof *d->subjects);
    if (d->texts_used + more > d->texts_size) {
        const size_t size = 2 * (d->texts_used + more);
        char *texts = sysio_alloc(size, 1);
        if (texts && d->texts_used > 0)
            memcpy(texts, d->texts, d->texts_used);
        sysio_free(d->texts);
        d->texts = texts;
        d->texts_size = texts ? size : 0;
    }
    if (!d->subjects || !d->texts)
        FAIL(f, STATUS_NO_MEMORY, "subjects", "no memory for the subjects of %u images",
             d->shape.n);
    return STATUS_OK;
}

enum status dataset_add_subject(struct dataset *d, const char *id, struct fault *f)
{
    const size_t n = strlen(id) + 1;
    if (d->n_subjects == d->shape.n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subjects", "more subjects than the %u images",
             d->shape.n);
    if (n > DATASET_SUBJECT_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subjects",
             "the subject of image %u has %zu bytes, at most %d", d->n_subjects, n - 1,
             DATASET_SUBJECT_SIZE - 1);
    TRY(subjects_room(d, n, f));
    d->subjects[d->n_subjects++] = d->texts_used;
    memcpy(d->texts + d->texts_used, id, n);
    d->texts_used += n;
    return STATUS_OK;
}

/* One id a line; the last line may lack its end. */
static enum status subjects_read(struct dataset *d, const char *path, struct fault *f)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(sysio_read_file(path, (size_t)d->shape.n * DATASET_SUBJECT_SIZE, &bytes, &size, f));
    enum status st = STATUS_OK;
    for (size_t at = 0; at < size && st == STATUS_OK;) {
        char id[DATASET_SUBJECT_SIZE] = "";
        const unsigned char *end = memchr(bytes + at, '\n', size - at);
        size_t n = end ? (size_t)(end - bytes) - at : size - at;
        const size_t next = at + n + 1;
        if (n > 0 && bytes[at + n - 1] == '\r')
            n--;
        if (n >= sizeof id || memchr(bytes + at, 0, n))
            st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "subjects",
                           "line %u of %.80s is no id of at most %d bytes", d->n_subjects + 1, path,
                           DATASET_SUBJECT_SIZE - 1);
        else
            memcpy(id, bytes + at, n);
        if (st == STATUS_OK)
            st = dataset_add_subject(d, id, f);
        at = next;
    }
    sysio_free(bytes);
    return st;
}

static enum status
take_subjects(struct dataset *d, const struct dataset_options *o, struct fault *f)
{
    if (o->subjects_path && o->subject_field)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subjects", "a file of subjects or a field, not both");
    if (o->subjects_path)
        TRY(subjects_read(d, o->subjects_path, f));
    if (o->subject_field && !d->subjects)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field",
             "only .npz files and folders of pictures have fields; give a file with --subjects");
    if (d->subjects && d->n_subjects != d->shape.n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subjects", "%u subjects for %u images", d->n_subjects,
             d->shape.n);
    return STATUS_OK;
}

const char *dataset_subject(const struct dataset *d, uint32_t i)
{
    INVARIANT(i < d->shape.n);
    return d->subjects ? d->texts + d->subjects[i] : NULL;
}

/* ---------------------------------------------------------------- opening */

static int dataset_has_suffix(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

static int dataset_is_picture(const char *path)
{
    return dataset_has_suffix(path, ".png") || dataset_has_suffix(path, ".jpg") ||
           dataset_has_suffix(path, ".jpeg");
}

static enum status open_any(const char *path,
                            const struct dataset_options *o,
                            struct dataset **ret_set,
                            struct fault *f)
{
    char images[4096], labels[4096];
    struct stat info;
    if (strlen(path) >= sizeof images - 64)
        FAIL(f, STATUS_INVALID_ARGUMENT, "path", "path is longer than %zu bytes",
             sizeof images - 65);
    if (dataset_has_suffix(path, ".npy") || dataset_has_suffix(path, ".npz"))
        return npy_open(path, o, ret_set, f);
    if (dataset_is_picture(path))
        return picture_open(path, o, ret_set, f);
    if (idx_find(path, o, images, labels))
        return idx_open(images, o->labels_path ? o->labels_path : labels, o, ret_set, f);
    if (stat(path, &info) != 0)
        FAIL(f, STATUS_NOT_FOUND, "path", "no data set at %.120s", path);
    if (S_ISDIR(info.st_mode))
        return imagefolder_open(imagefolder_split(path, o->split, images) ? images : path, o,
                                ret_set, f);
    FAIL(f, STATUS_BAD_FORMAT, "path",
         "%.100s is no IDX images file, .npy, .npz, PNG, JPEG or folder", path);
}

enum status dataset_open(const char *path,
                         const struct dataset_options *options,
                         struct dataset **ret_set,
                         struct fault *f)
{
    static const struct dataset_options defaults = {.split = DATASET_TRAIN};
    const struct dataset_options *o = options ? options : &defaults;
    struct dataset *d = NULL;
    TRY(open_any(path, o, &d, f));
    const enum status st = take_subjects(d, o, f);
    if (st != STATUS_OK) {
        dataset_free(d);
        return st;
    }
    *ret_set = d;
    return STATUS_OK;
}

int dataset_has_test(const char *path)
{
    char folder[4096];
    return npz_has_test(path) || idx_has_test(path) ||
           imagefolder_split(path, DATASET_TEST, folder);
}

struct dataset_shape dataset_shape(const struct dataset *d)
{
    return d->shape;
}

size_t dataset_image_bytes(const struct dataset *d)
{
    return (size_t)d->shape.height * d->shape.width * d->shape.channels;
}

const uint8_t *dataset_image(const struct dataset *d, uint32_t i)
{
    INVARIANT(i < d->shape.n);
    return d->pixels ? d->pixels + i * dataset_image_bytes(d) : NULL;
}

const float *dataset_tensor(const struct dataset *d)
{
    return d->tensor;
}

const int32_t *dataset_labels(const struct dataset *d)
{
    return d->labels;
}

const uint8_t *dataset_multi_hot(const struct dataset *d)
{
    return d->multi_hot;
}

uint32_t dataset_classes(const struct dataset *d)
{
    return d->classes;
}

const char *dataset_class_name(const struct dataset *d, uint32_t label)
{
    INVARIANT(label < d->classes);
    return d->names[label];
}
