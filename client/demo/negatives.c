/*
 * The negatives of a data set: every value becomes 255 minus itself, dark ink on white paper, as
 * another scanner would give it.  For the demo, whose stream must not teach what its lanes know.
 *
 *     build/tools/negatives FROM TO
 *
 * FROM is a folder with the four IDX files of MNIST or the like; TO, which must exist, gets the
 * same four, uncompressed, with the same labels.
 */
#include "client/dataset/dataset.h"
#include "daemon/base/sysio.h"

#include <stdio.h>

#define IDX_HEADER_MAX 16u

static void put_be32(uint8_t *to, uint32_t x)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* Magic and sizes of u8 elements; returns the bytes written. */
static size_t put_header(uint8_t *to, const uint32_t *sizes, uint32_t dims)
{
    put_be32(to, 0x0800u + dims);
    for (uint32_t i = 0; i < dims; i++)
        put_be32(to + 4 + 4 * (size_t)i, sizes[i]);
    return 4 + 4 * (size_t)dims;
}

static enum status
write_part(const char *folder, const char *part, const uint8_t *bytes, size_t n, struct fault *f)
{
    char path[4096];
    const int used = snprintf(path, sizeof path, "%s/%s", folder, part);
    if (used < 0 || (size_t)used >= sizeof path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "TO", "the name of the folder is too long");
    return sysio_write_file(path, bytes, n, f);
}

static enum status
write_images(const struct dataset *d, const char *folder, const char *part, struct fault *f)
{
    const struct dataset_shape shape = dataset_shape(d);
    const uint32_t sizes[] = {shape.n, shape.height, shape.width};
    const size_t image = dataset_image_bytes(d), n = IDX_HEADER_MAX + shape.n * image;
    uint8_t *bytes = sysio_alloc(n, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "FROM", "no memory for %u images", shape.n);
    uint8_t *to = bytes + put_header(bytes, sizes, 3);
    for (uint32_t i = 0; i < shape.n; i++) {
        const uint8_t *from = dataset_image(d, i);
        for (size_t k = 0; k < image; k++)
            *to++ = (uint8_t)(255 - from[k]);
    }
    const enum status st = write_part(folder, part, bytes, n, f);
    sysio_free(bytes);
    return st;
}

static enum status
write_labels(const struct dataset *d, const char *folder, const char *part, struct fault *f)
{
    const uint32_t n = dataset_shape(d).n;
    const int32_t *labels = dataset_labels(d);
    uint8_t *bytes = sysio_alloc((size_t)n + IDX_HEADER_MAX, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "FROM", "no memory for %u labels", n);
    uint8_t *to = bytes + put_header(bytes, &n, 1);
    for (uint32_t i = 0; i < n; i++)
        *to++ = (uint8_t)labels[i];
    const enum status st = write_part(folder, part, bytes, (size_t)(to - bytes), f);
    sysio_free(bytes);
    return st;
}

static enum status check_form(const struct dataset *d, struct fault *f)
{
    if (!dataset_labels(d) || dataset_tensor(d))
        FAIL(f, STATUS_INVALID_ARGUMENT, "FROM", "its images need one label each");
    if (dataset_shape(d).channels != 1)
        FAIL(f, STATUS_INVALID_ARGUMENT, "FROM", "its images are not grey");
    if (dataset_classes(d) > 256)
        FAIL(f, STATUS_INVALID_ARGUMENT, "FROM", "it has %u classes, at most 256 fit into a byte",
             dataset_classes(d));
    return STATUS_OK;
}

static enum status
convert(const char *from, const char *to, enum dataset_split split, struct fault *f)
{
    const struct dataset_options options = {.split = split};
    const int train = split == DATASET_TRAIN;
    struct dataset *d;
    TRY(dataset_open(from, &options, &d, f));
    enum status st = check_form(d, f);
    if (st == STATUS_OK)
        st = write_images(d, to, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte", f);
    if (st == STATUS_OK)
        st = write_labels(d, to, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte", f);
    dataset_free(d);
    return st;
}

int main(int argc, char **argv)
{
    struct fault f = {0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: negatives FROM TO\n");
        return 2;
    }
    enum status st = convert(argv[1], argv[2], DATASET_TRAIN, &f);
    if (st == STATUS_OK)
        st = convert(argv[1], argv[2], DATASET_TEST, &f);
    if (st != STATUS_OK)
        (void)fprintf(stderr, "negatives: %s: %s: %s\n", status_name(st), f.field, f.text);
    return st == STATUS_OK ? 0 : 1;
}
