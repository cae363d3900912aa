#include "client/dataset/resize.h"

#include "daemon/base/sysio.h"

#include <math.h>
#include <string.h>

#define RESIZE_BITS      22 /* of a coefficient's fraction, as in Pillow */
#define RESIZE_MAX_SIDE  65535u
#define RESIZE_MAX_BYTES ((size_t)1 << 30) /* of a result between the passes */

static double resize_box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double resize_triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double resize_hamming(double x)
{
    x = fabs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= M_PI;
    return sin(x) / x * (0.54 + 0.46 * cos(x));
}

/* Keys' cubic with a = -0.5. */
static double resize_cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double resize_sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= M_PI;
    return sin(x) / x;
}

static double resize_lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? resize_sinc(x) * resize_sinc(x / 3) : 0.0;
}

struct resize_filter {
    double (*value)(double x);
    double support;
};

static const struct resize_filter resize_filters[] = {
    [RESAMPLE_LANCZOS] = {resize_lanczos, 3.0}, [RESAMPLE_BILINEAR] = {resize_triangle, 1.0},
    [RESAMPLE_BICUBIC] = {resize_cubic, 2.0},   [RESAMPLE_BOX] = {resize_box, 0.5},
    [RESAMPLE_HAMMING] = {resize_hamming, 1.0},
};

/* Which inputs make one output, and with what weights. */
struct resize_span {
    uint32_t first, count;
};

struct resize_plan {
    uint32_t width; /* weights kept for every output */
    struct resize_span *spans;
    int32_t *weights; /* [outputs, width], fixed point */
    double *row;      /* [width], scratch */
};

static void resize_plan_free(struct resize_plan *p)
{
    sysio_free(p->spans);
    sysio_free(p->weights);
    sysio_free(p->row);
}

static void resize_plan_output(const struct resize_filter *filter,
                               uint32_t in_size,
                               double scale,
                               uint32_t at,
                               struct resize_plan *p)
{
    const double stretch = scale < 1.0 ? 1.0 : scale;
    const double support = filter->support * stretch;
    const double centre = ((double)at + 0.5) * scale;
    const double inverse = 1.0 / stretch;
    int64_t first = (int64_t)(centre - support + 0.5);
    int64_t end = (int64_t)(centre + support + 0.5);
    double sum = 0;
    first = first < 0 ? 0 : first;
    end = end > (int64_t)in_size ? (int64_t)in_size : end;
    const uint32_t count = (uint32_t)(end - first);
    for (uint32_t i = 0; i < count; i++) {
        p->row[i] = filter->value(((double)i + (double)first - centre + 0.5) * inverse);
        sum += p->row[i];
    }
    p->spans[at] = (struct resize_span){(uint32_t)first, count};
    for (uint32_t i = 0; i < count; i++) {
        const double weight = (sum != 0.0 ? p->row[i] / sum : p->row[i]) * (1 << RESIZE_BITS);
        p->weights[(size_t)at * p->width + i] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
}

static enum status resize_plan_new(enum resample filter_number,
                                   uint32_t in_size,
                                   uint32_t out_size,
                                   struct resize_plan *p,
                                   struct fault *f)
{
    const struct resize_filter *filter = &resize_filters[filter_number];
    const double scale = (double)in_size / (double)out_size;
    p->width = (uint32_t)ceil(filter->support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    p->spans = sysio_alloc(out_size, sizeof *p->spans);
    p->weights = sysio_alloc((size_t)out_size * p->width, sizeof *p->weights);
    p->row = sysio_alloc(p->width, sizeof *p->row);
    if (!p->spans || !p->weights || !p->row) {
        resize_plan_free(p);
        FAIL(f, STATUS_NO_MEMORY, "images", "no memory to resize a picture");
    }
    for (uint32_t i = 0; i < out_size; i++)
        resize_plan_output(filter, in_size, scale, i, p);
    return STATUS_OK;
}

static uint8_t resize_clip(int64_t x)
{
    x >>= RESIZE_BITS;
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* Weighted sum of `count` values that lie `stride` bytes apart. */
static uint8_t resize_sum(const uint8_t *in, size_t stride, const int32_t *weights, uint32_t count)
{
    int64_t sum = 1 << (RESIZE_BITS - 1);
    for (uint32_t i = 0; i < count; i++)
        sum += (int64_t)in[i * stride] * weights[i];
    return resize_clip(sum);
}

static void resize_rows(const uint8_t *in,
                        struct picture_size s,
                        const struct resize_plan *p,
                        uint32_t out_width,
                        uint8_t *out)
{
    for (uint32_t y = 0; y < s.height; y++) {
        const uint8_t *row = in + (size_t)y * s.width * s.channels;
        for (uint32_t x = 0; x < out_width; x++) {
            const struct resize_span span = p->spans[x];
            const int32_t *weights = p->weights + (size_t)x * p->width;
            for (uint32_t c = 0; c < s.channels; c++)
                *out++ = resize_sum(row + (size_t)span.first * s.channels + c, s.channels, weights,
                                    span.count);
        }
    }
}

static void resize_columns(const uint8_t *in,
                           struct picture_size s,
                           const struct resize_plan *p,
                           uint32_t out_height,
                           uint8_t *out)
{
    const size_t row = (size_t)s.width * s.channels;
    for (uint32_t y = 0; y < out_height; y++) {
        const struct resize_span span = p->spans[y];
        const int32_t *weights = p->weights + (size_t)y * p->width;
        for (size_t x = 0; x < row; x++)
            *out++ = resize_sum(in + span.first * row + x, row, weights, span.count);
    }
}

/* Positions are added up, not multiplied, because Pillow rounds that way. */
static void resize_nearest(
    const uint8_t *in, struct picture_size s, uint8_t *out, uint32_t out_height, uint32_t out_width)
{
    const double dx = (double)s.width / out_width, dy = (double)s.height / out_height;
    double y = dy * 0.5;
    for (uint32_t i = 0; i < out_height; i++, y += dy) {
        const uint32_t row = (uint32_t)y < s.height ? (uint32_t)y : s.height - 1;
        double x = dx * 0.5;
        for (uint32_t j = 0; j < out_width; j++, x += dx) {
            const uint32_t column = (uint32_t)x < s.width ? (uint32_t)x : s.width - 1;
            memcpy(out, in + ((size_t)row * s.width + column) * s.channels, s.channels);
            out += s.channels;
        }
    }
}

static enum status resize_one_axis(const uint8_t *in,
                                   struct picture_size s,
                                   enum resample filter,
                                   int rows,
                                   uint32_t out_size,
                                   uint8_t *out,
                                   struct fault *f)
{
    struct resize_plan p;
    TRY(resize_plan_new(filter, rows ? s.width : s.height, out_size, &p, f));
    if (rows)
        resize_rows(in, s, &p, out_size, out);
    else
        resize_columns(in, s, &p, out_size, out);
    resize_plan_free(&p);
    return STATUS_OK;
}

static enum status resize_both(const uint8_t *in,
                               struct picture_size s,
                               enum resample filter,
                               uint8_t *out,
                               uint32_t out_height,
                               uint32_t out_width,
                               struct fault *f)
{
    const size_t bytes = (size_t)s.height * out_width * s.channels;
    if (bytes > RESIZE_MAX_BYTES)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "images", "resizing needs %zu bytes, limit %zu", bytes,
             RESIZE_MAX_BYTES);
    uint8_t *middle = sysio_alloc(bytes, 1);
    if (!middle)
        FAIL(f, STATUS_NO_MEMORY, "images", "no memory to resize a picture");
    const struct picture_size half = {s.height, out_width, s.channels};
    enum status st = resize_one_axis(in, s, filter, 1, out_width, middle, f);
    if (st == STATUS_OK)
        st = resize_one_axis(middle, half, filter, 0, out_height, out, f);
    sysio_free(middle);
    return st;
}

static int resize_side_ok(uint32_t side)
{
    return side > 0 && side <= RESIZE_MAX_SIDE;
}

enum status resize_picture(const uint8_t *in,
                           struct picture_size in_size,
                           enum resample filter,
                           uint8_t *out,
                           uint32_t out_height,
                           uint32_t out_width,
                           struct fault *f)
{
    const struct picture_size s = in_size;
    if ((unsigned)filter > RESAMPLE_HAMMING)
        FAIL(f, STATUS_INVALID_ARGUMENT, "resample", "%u is no filter, allowed are 0 to %d",
             (unsigned)filter, RESAMPLE_HAMMING);
    if (!resize_side_ok(s.height) || !resize_side_ok(s.width) || !resize_side_ok(out_height) ||
        !resize_side_ok(out_width))
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "cannot resize %ux%u to %ux%u, sides 1 to %u",
             s.height, s.width, out_height, out_width, RESIZE_MAX_SIDE);
    if (s.height == out_height && s.width == out_width)
        memcpy(out, in, (size_t)s.height * s.width * s.channels);
    else if (filter == RESAMPLE_NEAREST)
        resize_nearest(in, s, out, out_height, out_width);
    else if (s.height == out_height)
        return resize_one_axis(in, s, filter, 1, out_width, out, f);
    else if (s.width == out_width)
        return resize_one_axis(in, s, filter, 0, out_height, out, f);
    else
        return resize_both(in, s, filter, out, out_height, out_width, f);
    return STATUS_OK;
}

void picture_convert(
    const uint8_t *in, uint32_t in_channels, uint8_t *out, uint32_t out_channels, size_t n)
{
    if (in_channels == out_channels) {
        memcpy(out, in, n * in_channels);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (out_channels == 1) {
            const uint8_t *p = in + 3 * i;
            out[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
        } else {
            memset(out + 3 * i, in[i], 3);
        }
    }
}

/* Sides after the resize: the shorter one becomes p->resize, the longer keeps the aspect. */
static enum status resize_sides(struct picture_size s,
                                const struct preparation *p,
                                struct picture_size *ret_size,
                                struct fault *f)
{
    uint64_t height = p->resize, width = p->resize;
    if (p->keep_aspect && s.width < s.height)
        height = (uint64_t)p->resize * s.height / s.width;
    else if (p->keep_aspect)
        width = (uint64_t)p->resize * s.width / s.height;
    if (height > RESIZE_MAX_SIDE || width > RESIZE_MAX_SIDE ||
        height * width * p->channels > RESIZE_MAX_BYTES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "a %ux%u picture is too narrow to be resized",
             s.height, s.width);
    *ret_size = (struct picture_size){(uint32_t)height, (uint32_t)width, p->channels};
    return STATUS_OK;
}

/* First row or column of a centred crop: round half to even, as Python does; negative: padding. */
static int64_t resize_crop_start(uint32_t have, uint32_t want)
{
    if (have < want)
        return -(int64_t)((want - have) / 2);
    const uint32_t extra = have - want;
    return extra % 2 == 0 ? extra / 2 : extra % 4 == 1 ? extra / 2 : extra / 2 + 1;
}

static void resize_crop(const uint8_t *in, struct picture_size s, uint32_t size, uint8_t *out)
{
    const int64_t top = resize_crop_start(s.height, size);
    const int64_t left = resize_crop_start(s.width, size);
    memset(out, 0, (size_t)size * size * s.channels);
    for (int64_t y = 0; y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            const int64_t sy = y + top, sx = x + left;
            if (sy < 0 || sy >= s.height || sx < 0 || sx >= s.width)
                continue;
            memcpy(out + ((size_t)y * size + (size_t)x) * s.channels,
                   in + ((size_t)sy * s.width + (size_t)sx) * s.channels, s.channels);
        }
}

enum status picture_prepare(const uint8_t *in,
                            struct picture_size in_size,
                            const struct preparation *p,
                            uint8_t *out,
                            struct fault *f)
{
    struct picture_size s = {0};
    const size_t pixels = (size_t)in_size.height * in_size.width;
    if (in_size.height == 0 || in_size.width == 0 || p->resize == 0 || p->size == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "images", "a picture without pixels");
    TRY(resize_sides(in_size, p, &s, f));
    uint8_t *converted = sysio_alloc(pixels, p->channels);
    uint8_t *resized = sysio_alloc((size_t)s.height * s.width, s.channels);
    enum status st = STATUS_OK;
    if (!converted || !resized)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "images",
                       "no memory to prepare a %ux%u picture", in_size.height, in_size.width);
    if (st == STATUS_OK) {
        const struct picture_size now = {in_size.height, in_size.width, p->channels};
        picture_convert(in, in_size.channels, converted, p->channels, pixels);
        st = resize_picture(converted, now, p->resample, resized, s.height, s.width, f);
    }
    if (st == STATUS_OK)
        resize_crop(resized, s, p->size, out);
    sysio_free(converted);
    sysio_free(resized);
    return st;
}
