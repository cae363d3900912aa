/*
 * IDX pairs (the format of the MNIST files): big-endian magic 00 00 TT DD with element type TT
 * (08: u8) and DD dimensions, DD sizes of 32 bits, then the elements, row-major.  Plain or gzip.
 */
#include "client/dataset/dataset_internal.h"
#include "client/dataset/zstream.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IDX_U8       0x08u
#define IDX_MAX_DIMS 4

struct idx_header {
    uint32_t dims;
    uint32_t size[IDX_MAX_DIMS];
};

static uint32_t idx_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum status
idx_read_header(struct zfile *z, const char *what, struct idx_header *ret_header, struct fault *f)
{
    uint8_t b[4 + 4 * IDX_MAX_DIMS];
    TRY(zfile_read(z, b, 4, f));
    const uint32_t magic = idx_u32(b);
    const uint32_t dims = magic & 0xffu;
    if (magic >> 16 != 0 || (magic >> 8 & 0xffu) != IDX_U8)
        FAIL(f, STATUS_BAD_FORMAT, what, "IDX magic %08x, expected 000008DD (u8)", magic);
    if (dims == 0 || dims > IDX_MAX_DIMS)
        FAIL(f, STATUS_BAD_FORMAT, what, "IDX with %u dimensions", dims);
    TRY(zfile_read(z, b + 4, 4 * (size_t)dims, f));
    ret_header->dims = dims;
    for (uint32_t i = 0; i < dims; i++)
        ret_header->size[i] = idx_u32(b + 4 + 4 * (size_t)i);
    return STATUS_OK;
}

static enum status
idx_fill_images(struct zfile *z, size_t max_bytes, struct dataset **ret_set, struct fault *f)
{
    struct idx_header h;
    TRY(idx_read_header(z, "images", &h, f));
    if (h.dims != 3 && h.dims != 4)
        FAIL(f, STATUS_BAD_FORMAT, "images", "IDX images with %u dimensions, expected 3 or 4",
             h.dims);
    const struct dataset_shape shape = {h.size[0], h.size[1], h.size[2],
                                        h.dims == 4 ? h.size[3] : 1};
    const size_t image = (size_t)shape.height * shape.width; /* each below 2^32 */
    /* Refuse a lying header before memory is taken for it. */
    if (image > 0 && shape.n > zfile_bound(z) / image)
        FAIL(f, STATUS_BAD_FORMAT, "images",
             "header promises %u images of %ux%u, file is too short", shape.n, shape.height,
             shape.width);
    TRY(dataset_new(shape, max_bytes, ret_set, f));
    TRY(zfile_read(z, dataset_pixels(*ret_set), shape.n * dataset_image_bytes(*ret_set), f));
    return zfile_expect_end(z, f);
}

static enum status idx_fill_labels(struct zfile *z, struct dataset *d, struct fault *f)
{
    struct idx_header h;
    const uint32_t n = dataset_shape(d).n;
    TRY(idx_read_header(z, "labels", &h, f));
    if (h.dims != 1)
        FAIL(f, STATUS_BAD_FORMAT, "labels", "IDX labels with %u dimensions, expected 1", h.dims);
    if (h.size[0] != n)
        FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "%u labels for %u images", h.size[0], n);
    int32_t *labels = sysio_alloc(n, sizeof *labels);
    if (!labels)
        FAIL(f, STATUS_NO_MEMORY, "labels", "no memory for %u labels", n);
    uint8_t *bytes = (uint8_t *)labels + (size_t)n * 3; /* widened in place, front to back */
    enum status st = zfile_read(z, bytes, n, f);
    if (st == STATUS_OK)
        st = zfile_expect_end(z, f);
    if (st != STATUS_OK) {
        sysio_free(labels);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        const int32_t label = bytes[i];
        memcpy((uint8_t *)labels + (size_t)i * 4, &label, 4);
    }
    return dataset_take_labels(d, labels, f);
}

enum status idx_open(const char *images_path,
                     const char *labels_path,
                     const struct dataset_options *o,
                     struct dataset **ret_set,
                     struct fault *f)
{
    struct dataset *d = NULL;
    struct zfile *images = NULL, *labels = NULL;
    enum status st = zfile_open(images_path, &images, f);
    if (st == STATUS_OK)
        st = idx_fill_images(images, dataset_limit(o), &d, f);
    if (st == STATUS_OK && labels_path[0] != '\0')
        st = zfile_open(labels_path, &labels, f);
    if (st == STATUS_OK && labels)
        st = idx_fill_labels(labels, d, f);
    zfile_close(images);
    zfile_close(labels);
    if (st != STATUS_OK) {
        dataset_free(d);
        return st;
    }
    *ret_set = d;
    return STATUS_OK;
}

/* First of "<base>", "<base>.gz" that exists. */
static int idx_existing(const char *base, char found[4096])
{
    static const char *const endings[] = {"", ".gz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const int n = snprintf(found, 4096, "%s%s", base, endings[i]);
        if (n > 0 && n < 4096 && access(found, F_OK) == 0)
            return 1;
    }
    found[0] = '\0';
    return 0;
}

/* "<prefix>-images-idx3-ubyte" and its common variants, with the labels beside it. */
static int idx_pair(const char *prefix, char images[4096], char labels[4096])
{
    static const char *const forms[][2] = {
        {"images-idx3-ubyte", "labels-idx1-ubyte"},
        {"images.idx3-ubyte", "labels.idx1-ubyte"},
        {"images-idx4-ubyte", "labels-idx1-ubyte"},
    };
    char base[4096];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int n = snprintf(base, sizeof base, "%s-%s", prefix, forms[i][0]);
        if (n < 0 || (size_t)n >= sizeof base || !idx_existing(base, images))
            continue;
        n = snprintf(base, sizeof base, "%s-%s", prefix, forms[i][1]);
        if (n > 0 && (size_t)n < sizeof base)
            (void)idx_existing(base, labels);
        return 1;
    }
    return 0;
}

/* True if `path` ends in an IDX images name; the labels' name follows from it. */
static int idx_from_file(const char *path, char images[4096], char labels[4096])
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *at = strstr(name, "images");
    if (!at || !strstr(name, "ubyte") || at == name || access(path, F_OK) != 0)
        return 0;
    char prefix[4096];
    const size_t n = (size_t)(at - path) - 1; /* without the '-' */
    memcpy(prefix, path, n);
    prefix[n] = '\0';
    if (!idx_pair(prefix, images, labels))
        return 0;
    (void)snprintf(images, 4096, "%s", path);
    return 1;
}

int idx_find(const char *path,
             const struct dataset_options *o,
             char images[4096],
             char labels[4096])
{
    static const char *const train[] = {"train"}, *const test[] = {"t10k", "test"};
    const char *const *names = o->split == DATASET_TRAIN ? train : test;
    const size_t n_names = o->split == DATASET_TRAIN ? 1 : 2;
    labels[0] = '\0';
    if (idx_from_file(path, images, labels) || idx_pair(path, images, labels))
        return 1;
    for (size_t i = 0; i < n_names; i++) {
        char prefix[4096];
        const int n = snprintf(prefix, sizeof prefix, "%s/%s", path, names[i]);
        if (n > 0 && (size_t)n < sizeof prefix && idx_pair(prefix, images, labels))
            return 1;
    }
    return 0;
}

int idx_has_test(const char *path)
{
    static const struct dataset_options train = {.split = DATASET_TRAIN};
    static const struct dataset_options test = {.split = DATASET_TEST};
    char images[2][4096], labels[4096];
    return idx_find(path, &train, images[0], labels) && idx_find(path, &test, images[1], labels) &&
           strcmp(images[0], images[1]) != 0;
}
