/*
 * Data sets in NumPy files.  .npy: u8 images [N,H,W] or [N,H,W,C], labels in a file of their own;
 * or one float image [C,H,W], already preprocessed.  .npz: images and labels under one of the usual
 * pairs of names.  Labels: integers [N] (or [N,1]), or multi-hot u8 or bool [N,K].  Whose an image
 * is stands in any further member of an .npz: texts or integers [N].
 */
#include "client/dataset/dataset_internal.h"
#include "client/dataset/npy_array.h"
#include "client/dataset/zip.h"
#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NPY_FILE_SLACK ((size_t)1 << 20) /* header and directory beside the pixels */

static int npy_is(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

static enum status
npy_float_image(const struct npy_array *a, struct dataset **ret_set, struct fault *f)
{
    if (a->dims != 3 || a->shape[0] > 3 || a->shape[1] > DATASET_MAX_SIDE ||
        a->shape[2] > DATASET_MAX_SIDE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images",
             "a float array must be one image [channels, height, width]");
    const struct dataset_shape shape = {1, (uint32_t)a->shape[1], (uint32_t)a->shape[2],
                                        (uint32_t)a->shape[0]};
    struct dataset *d = NULL;
    TRY(dataset_new_tensor(shape, &d, f));
    float *x = dataset_tensor_mutable(d);
    memcpy(x, a->data, a->count * sizeof *x);
    for (size_t i = 0; i < a->count; i++)
        if (!isfinite(x[i])) {
            dataset_free(d);
            FAIL(f, STATUS_INVALID_ARGUMENT, "images", "element %zu is not a finite number", i);
        }
    *ret_set = d;
    return STATUS_OK;
}

static enum status
npy_images(const struct npy_array *a, size_t max_bytes, struct dataset **ret_set, struct fault *f)
{
    if (a->type == NPY_F32)
        return npy_float_image(a, ret_set, f);
    if (a->type != NPY_U8 || (a->dims != 3 && a->dims != 4))
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "images must be u8 [N,H,W] or [N,H,W,C]");
    for (uint32_t i = 0; i < a->dims; i++)
        if (a->shape[i] > DATASET_MAX_IMAGES)
            FAIL(f, STATUS_INVALID_ARGUMENT, "images", "size %u of the shape is out of range", i);
    const struct dataset_shape shape = {(uint32_t)a->shape[0], (uint32_t)a->shape[1],
                                        (uint32_t)a->shape[2],
                                        a->dims == 4 ? (uint32_t)a->shape[3] : 1};
    TRY(dataset_new(shape, max_bytes, ret_set, f));
    memcpy(dataset_pixels(*ret_set), a->data, a->count);
    return STATUS_OK;
}

static int64_t npy_integer(const struct npy_array *a, size_t i)
{
    int32_t small;
    int64_t large;
    switch (a->type) {
    case NPY_I32:
        memcpy(&small, a->data + 4 * i, sizeof small);
        return small;
    case NPY_I64:
        memcpy(&large, a->data + 8 * i, sizeof large);
        return large;
    case NPY_BOOL:
    case NPY_U8:
    case NPY_F32:
    case NPY_BYTES:
    case NPY_UNICODE:
        break;
    }
    return a->data[i];
}

static enum status npy_multi_hot(const struct npy_array *a, struct dataset *d, struct fault *f)
{
    if (a->type != NPY_U8 && a->type != NPY_BOOL)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "multi-hot labels must be u8 or bool");
    if (a->shape[1] > DATASET_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "more than %u classes", DATASET_MAX_CLASSES);
    uint8_t *hot = sysio_alloc(a->count + 1, 1);
    if (!hot)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for the labels");
    memcpy(hot, a->data, a->count);
    return dataset_take_multi_hot(d, hot, (uint32_t)a->shape[1], f);
}

static enum status npy_labels(const struct npy_array *a, struct dataset *d, struct fault *f)
{
    const uint32_t n = dataset_shape(d).n;
    if (!dataset_image(d, 0))
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "a preprocessed float image takes no labels");
    if (a->dims < 1 || a->dims > 2 || a->shape[0] != n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "labels must be [%u] or [%u, classes]", n, n);
    if (a->type >= NPY_F32)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "labels must be integers");
    if (a->dims == 2 && a->shape[1] != 1)
        return npy_multi_hot(a, d, f);
    int32_t *labels = sysio_alloc(n, sizeof *labels);
    if (!labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    for (uint32_t i = 0; i < n; i++) {
        const int64_t label = npy_integer(a, i);
        if (label < 0 || label >= DATASET_MAX_CLASSES) {
            sysio_free(labels);
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels",
                 "label %lld of image %u, allowed are 0 to %u", (long long)label, i,
                 DATASET_MAX_CLASSES - 1);
        }
        labels[i] = (int32_t)label;
    }
    return dataset_take_labels(d, labels, f);
}

/* ---------------------------------------------------------------- subjects */

/* UTF-8 of a code point; returns its bytes, 0 if it is no character. */
static size_t npy_utf8(uint32_t c, char to[4])
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

/* One text of fixed size; false: too long, or it holds what is no character. */
static int npy_unicode(const struct npy_array *a, size_t i, char to[DATASET_SUBJECT_SIZE])
{
    struct byte_reader r = byte_reader_make(a->data + i * a->item, a->item);
    size_t n = 0;
    for (size_t k = 0; k < a->item / 4; k++) {
        char bytes[4];
        const uint32_t c = get_u32(&r);
        if (c == 0)
            break;
        const size_t more = npy_utf8(c, bytes);
        if (more == 0 || n + more >= DATASET_SUBJECT_SIZE)
            return 0;
        memcpy(to + n, bytes, more);
        n += more;
    }
    to[n] = '\0';
    return 1;
}

static int npy_subject(const struct npy_array *a, size_t i, char to[DATASET_SUBJECT_SIZE])
{
    if (a->type == NPY_UNICODE)
        return npy_unicode(a, i, to);
    if (a->type == NPY_BYTES) {
        const char *text = (const char *)a->data + i * a->item;
        const size_t n = strnlen(text, a->item);
        if (n >= DATASET_SUBJECT_SIZE)
            return 0;
        memcpy(to, text, n);
        to[n] = '\0';
        return 1;
    }
    (void)snprintf(to, DATASET_SUBJECT_SIZE, "%lld", (long long)npy_integer(a, i));
    return 1;
}

static enum status npy_subjects(const struct npy_array *a, struct dataset *d, struct fault *f)
{
    const uint32_t n = dataset_shape(d).n;
    if (a->dims != 1 || a->shape[0] != n || a->type == NPY_F32 || a->type == NPY_BOOL)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field", "it must be texts or integers [%u]", n);
    for (uint32_t i = 0; i < n; i++) {
        char id[DATASET_SUBJECT_SIZE];
        if (!npy_subject(a, i, id))
            FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field",
                 "the subject of image %u is no text of at most %d bytes", i,
                 DATASET_SUBJECT_SIZE - 1);
        TRY(dataset_add_subject(d, id, f));
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- whole files */

/* Parsed images and, if there, labels into a data set. */
static enum status npy_build(const struct npy_array *images,
                             const struct npy_array *labels,
                             size_t max_bytes,
                             struct dataset **ret_set,
                             struct fault *f)
{
    struct dataset *d = NULL;
    TRY(npy_images(images, max_bytes, &d, f));
    const enum status st = labels ? npy_labels(labels, d, f) : STATUS_OK;
    if (st == STATUS_OK)
        *ret_set = d;
    else
        dataset_free(d);
    return st;
}

static enum status npy_open_pair(const char *path,
                                 const struct dataset_options *o,
                                 struct dataset **ret_set,
                                 struct fault *f)
{
    const size_t limit = dataset_limit(o);
    unsigned char *images = NULL, *labels = NULL;
    size_t n_images = 0, n_labels = 0;
    struct npy_array x = {0}, y = {0};
    enum status st = sysio_read_file(path, limit + NPY_FILE_SLACK, &images, &n_images, f);
    if (st == STATUS_OK && o->labels_path)
        st = sysio_read_file(o->labels_path, limit + NPY_FILE_SLACK, &labels, &n_labels, f);
    if (st == STATUS_OK)
        st = npy_array_parse(images, n_images, "images", &x, f);
    if (st == STATUS_OK && labels)
        st = npy_array_parse(labels, n_labels, "labels", &y, f);
    if (st == STATUS_OK)
        st = npy_build(&x, labels ? &y : NULL, limit, ret_set, f);
    sysio_free(images);
    sysio_free(labels);
    return st;
}

/* A member as an array; *ret_bytes holds its memory. */
static enum status npz_member(const unsigned char *file,
                              size_t n,
                              const char *name,
                              size_t limit,
                              uint8_t **ret_bytes,
                              struct npy_array *ret_array,
                              struct fault *f)
{
    size_t size = 0;
    TRY(zip_extract(file, n, name, limit + NPY_FILE_SLACK, ret_bytes, &size, f));
    return npy_array_parse(*ret_bytes, size, name, ret_array, f);
}

/* The member that says whose each image is. */
static enum status npz_subjects(const unsigned char *file,
                                size_t n,
                                const char *field,
                                size_t limit,
                                struct dataset *d,
                                struct fault *f)
{
    char member[DATASET_NAME_SIZE + 8];
    uint8_t *bytes = NULL;
    struct npy_array a = {0};
    if ((size_t)snprintf(member, sizeof member, "%s.npy", field) >= sizeof member)
        FAIL(f, STATUS_INVALID_ARGUMENT, "subject-field", "the name is too long");
    enum status st = npz_member(file, n, member, limit, &bytes, &a, f);
    if (st == STATUS_NOT_FOUND)
        st = fault_set(f, STATUS_INVALID_ARGUMENT, __FILE__, __LINE__, "subject-field",
                       "the file has no array \"%.60s\"", field);
    if (st == STATUS_OK)
        st = npy_subjects(&a, d, f);
    sysio_free(bytes);
    return st;
}

static enum status npz_build(const unsigned char *file,
                             size_t n,
                             const char *const names[2],
                             size_t limit,
                             struct dataset **ret_set,
                             struct fault *f)
{
    uint8_t *images = NULL, *labels = NULL;
    struct npy_array x = {0}, y = {0};
    enum status st = npz_member(file, n, names[0], limit, &images, &x, f);
    int labelled = 0;
    if (st == STATUS_OK) {
        st = npz_member(file, n, names[1], limit, &labels, &y, f);
        labelled = st == STATUS_OK;
        st = st == STATUS_NOT_FOUND ? STATUS_OK : st;
    }
    if (st == STATUS_OK)
        st = npy_build(&x, labelled ? &y : NULL, limit, ret_set, f);
    sysio_free(images);
    sysio_free(labels);
    return st;
}

static enum status npz_open(const char *path,
                            const struct dataset_options *o,
                            struct dataset **ret_set,
                            struct fault *f)
{
    static const char *const train[][2] = {{"images.npy", "labels.npy"},
                                           {"x_train.npy", "y_train.npy"},
                                           {"train_images.npy", "train_labels.npy"},
                                           {"arr_0.npy", "arr_1.npy"}};
    static const char *const test[][2] = {{"images.npy", "labels.npy"},
                                          {"x_test.npy", "y_test.npy"},
                                          {"test_images.npy", "test_labels.npy"},
                                          {"arr_0.npy", "arr_1.npy"}};
    const size_t limit = dataset_limit(o);
    unsigned char *file = NULL;
    size_t n = 0;
    TRY(sysio_read_file(path, limit + NPY_FILE_SLACK, &file, &n, f));
    enum status st = STATUS_NOT_FOUND;
    for (size_t i = 0; i < sizeof train / sizeof *train && st == STATUS_NOT_FOUND; i++)
        st = npz_build(file, n, o->split == DATASET_TRAIN ? train[i] : test[i], limit, ret_set, f);
    if (st == STATUS_OK && o->subject_field) {
        st = npz_subjects(file, n, o->subject_field, limit, *ret_set, f);
        if (st != STATUS_OK)
            dataset_free(*ret_set);
    }
    sysio_free(file);
    if (st == STATUS_NOT_FOUND)
        FAIL(f, STATUS_BAD_FORMAT, "images", "%.80s has no member images, x_train or train_images",
             path);
    return st;
}

enum status npy_open(const char *path,
                     const struct dataset_options *o,
                     struct dataset **ret_set,
                     struct fault *f)
{
    return npy_is(path, ".npz") ? npz_open(path, o, ret_set, f)
                                : npy_open_pair(path, o, ret_set, f);
}

int npz_has_test(const char *path)
{
    unsigned char *file = NULL;
    size_t n = 0;
    if (!npy_is(path, ".npz") ||
        sysio_read_file(path, DATASET_MAX_BYTES + NPY_FILE_SLACK, &file, &n, NULL) != STATUS_OK)
        return 0;
    const int found = !zip_has(file, n, "images.npy") &&
                      (zip_has(file, n, "x_test.npy") || zip_has(file, n, "test_images.npy"));
    sysio_free(file);
    return found;
}
