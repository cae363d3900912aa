#include "client/dataset/picture.h"

#include "client/dataset/dataset_internal.h"
#include "client/dataset/picture_internal.h"
#include "daemon/base/sysio.h"

#include <string.h>

enum status picture_new(uint32_t height,
                        uint32_t width,
                        uint32_t channels,
                        struct picture *ret_picture,
                        struct fault *f)
{
    if (height == 0 || width == 0 || height > PICTURE_MAX_SIDE || width > PICTURE_MAX_SIDE ||
        (uint64_t)height * width > PICTURE_MAX_PIXELS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images",
             "%ux%u pixels, limit %u a side and %llu in all", height, width, PICTURE_MAX_SIDE,
             (unsigned long long)PICTURE_MAX_PIXELS);
    ret_picture->pixels = sysio_alloc((size_t)height * width, channels);
    if (!ret_picture->pixels)
        FAIL(f, STATUS_NO_MEMORY, "images", "no memory for %ux%u pixels", height, width);
    ret_picture->height = height;
    ret_picture->width = width;
    ret_picture->channels = channels;
    return STATUS_OK;
}

void picture_free(struct picture *p)
{
    sysio_free(p->pixels);
    memset(p, 0, sizeof *p);
}

enum status
picture_decode(const uint8_t *bytes, size_t n, struct picture *ret_picture, struct fault *f)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
    enum status st;
    memset(ret_picture, 0, sizeof *ret_picture);
    if (n >= sizeof png && memcmp(bytes, png, sizeof png) == 0)
        st = png_picture_decode(bytes, n, ret_picture, f);
    else if (n >= sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0)
        st = jpeg_picture_decode(bytes, n, ret_picture, f);
    else
        FAIL(f, STATUS_BAD_FORMAT, "images", "neither a PNG nor a JPEG picture");
    if (st != STATUS_OK)
        picture_free(ret_picture);
    return st;
}

enum status picture_read(const char *path, struct picture *ret_picture, struct fault *f)
{
    unsigned char *bytes;
    size_t n;
    TRY(sysio_read_file(path, PICTURE_MAX_FILE, &bytes, &n, f));
    const enum status st = picture_decode(bytes, n, ret_picture, f);
    sysio_free(bytes);
    if (st != STATUS_OK)
        fault_prefix(f, "%.100s", path);
    return st;
}

/* A picture as a data set of one image without label. */
enum status picture_open(const char *path,
                         const struct dataset_options *o,
                         struct dataset **ret_set,
                         struct fault *f)
{
    struct picture p;
    struct dataset *d = NULL;
    TRY(picture_read(path, &p, f));
    const struct picture_size size = {p.height, p.width, p.channels};
    const uint32_t side = o->prepare ? o->prepare->size : 0;
    const struct dataset_shape shape = {1, o->prepare ? side : p.height,
                                        o->prepare ? side : p.width,
                                        o->prepare ? o->prepare->channels : p.channels};
    enum status st = dataset_new(shape, dataset_limit(o), &d, f);
    if (st == STATUS_OK && o->prepare)
        st = picture_prepare(p.pixels, size, o->prepare, dataset_pixels(d), f);
    else if (st == STATUS_OK)
        memcpy(dataset_pixels(d), p.pixels, dataset_image_bytes(d));
    picture_free(&p);
    if (st == STATUS_OK)
        *ret_set = d;
    else
        dataset_free(d);
    return st;
}
