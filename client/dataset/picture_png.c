/*
 * The only libpng user.  libpng reports errors by longjmp: everything that must survive a jump
 * lives in struct png_reader, which the function that called setjmp does not change afterwards.
 */
#include "client/dataset/picture_internal.h"
#include "daemon/base/sysio.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

#define PNG_READER_CHUNK ((png_alloc_size_t)8 << 20) /* memory of one ancillary chunk */

struct png_reader {
    const uint8_t *at;
    size_t left;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    struct picture *picture;
    struct fault *f;
    enum status st;
};

static void png_reader_error(png_structp png, png_const_charp text)
{
    struct png_reader *r = png_get_error_ptr(png);
    r->st = fault_set(r->f, STATUS_BAD_FORMAT, __FILE__, __LINE__, "images", "PNG: %.100s", text);
    png_longjmp(png, 1);
}

static void png_reader_warning(png_structp png, png_const_charp text)
{
    (void)png; /* warnings are about metadata that is not used */
    (void)text;
}

static void png_reader_read(png_structp png, png_bytep to, size_t n)
{
    struct png_reader *r = png_get_io_ptr(png);
    if (n > r->left)
        png_error(png, "the data end early");
    memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
}

static void png_reader_transform(struct png_reader *r)
{
    const int type = png_get_color_type(r->png, r->info);
    png_set_scale_16(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_strip_alpha(r->png);
    (void)png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

/* Memory for the picture and its row table; the status is left in r->st. */
static void png_reader_take(struct png_reader *r)
{
    const png_uint_32 height = png_get_image_height(r->png, r->info);
    const png_uint_32 width = png_get_image_width(r->png, r->info);
    const uint32_t channels = png_get_channels(r->png, r->info);
    r->st = picture_new(height, width, channels, r->picture, r->f);
    if (r->st != STATUS_OK)
        return;
    if (channels != 1 && channels != 3)
        png_error(r->png, "unexpected channels");
    if (png_get_rowbytes(r->png, r->info) != (size_t)width * channels)
        png_error(r->png, "unexpected row size");
    r->rows = sysio_alloc(height, sizeof *r->rows);
    if (!r->rows) {
        r->st = fault_set(r->f, STATUS_NO_MEMORY, __FILE__, __LINE__, "images",
                          "no memory for a picture");
        return;
    }
    for (png_uint_32 y = 0; y < height; y++)
        r->rows[y] = r->picture->pixels + (size_t)y * width * channels;
}

static void png_reader_run(struct png_reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return;
    png_set_user_limits(r->png, PICTURE_MAX_SIDE, PICTURE_MAX_SIDE);
    png_set_chunk_malloc_max(r->png, PNG_READER_CHUNK);
    png_set_chunk_cache_max(r->png, 64);
    png_set_read_fn(r->png, r, png_reader_read);
    png_read_info(r->png, r->info);
    png_reader_transform(r);
    png_reader_take(r);
    if (r->st != STATUS_OK)
        return;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

enum status
png_picture_decode(const uint8_t *bytes, size_t n, struct picture *ret_picture, struct fault *f)
{
    struct png_reader r = {.at = bytes, .left = n, .picture = ret_picture, .f = f};
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, png_reader_error, png_reader_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (r.info)
        png_reader_run(&r);
    else
        r.st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "images", "no memory for libpng");
    png_destroy_read_struct(&r.png, &r.info, NULL);
    sysio_free(r.rows);
    return r.st;
}
