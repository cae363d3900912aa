/*
 * The only libjpeg user.  Errors leave by longjmp, damaged data (which libjpeg only warns of and
 * fills with grey) is an error too, and a file with an absurd number of scans is refused.
 */
#include "client/dataset/picture_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#define JPEG_READER_SCANS  200
#define JPEG_READER_MEMORY (512L << 20)

struct jpeg_reader {
    struct jpeg_error_mgr errors; /* first: libjpeg hands back a pointer to it */
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf jump;
    struct picture *picture;
    struct fault *f;
    enum status st;
};

static struct jpeg_reader *jpeg_reader_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static void jpeg_reader_exit(j_common_ptr jpeg)
{
    struct jpeg_reader *r = jpeg_reader_of(jpeg);
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    r->st = fault_set(r->f, STATUS_BAD_FORMAT, __FILE__, __LINE__, "images", "JPEG: %.100s", text);
    longjmp(r->jump, 1);
}

/* Level -1 is damaged data; others are traces. */
static void jpeg_reader_message(j_common_ptr jpeg, int level)
{
    if (level < 0)
        jpeg_reader_exit(jpeg);
}

static void jpeg_reader_output(j_common_ptr jpeg)
{
    (void)jpeg; /* a library prints nothing */
}

static void jpeg_reader_progress(j_common_ptr jpeg)
{
    struct jpeg_reader *r = jpeg_reader_of(jpeg);
    if (r->jpeg.input_scan_number <= JPEG_READER_SCANS)
        return;
    r->st = fault_set(r->f, STATUS_RESOURCE_EXHAUSTED, __FILE__, __LINE__, "images",
                      "JPEG with more than %d scans", JPEG_READER_SCANS);
    longjmp(r->jump, 1);
}

static void jpeg_reader_rows(struct jpeg_reader *r)
{
    const size_t row = (size_t)r->picture->width * r->picture->channels;
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        JSAMPROW at = r->picture->pixels + r->jpeg.output_scanline * row;
        (void)jpeg_read_scanlines(&r->jpeg, &at, 1);
    }
}

static void jpeg_reader_run(struct jpeg_reader *r, const uint8_t *bytes, size_t n)
{
    if (setjmp(r->jump))
        return;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.client_data = r;
    r->jpeg.progress = &r->progress;
    r->jpeg.mem->max_memory_to_use = JPEG_READER_MEMORY;
    jpeg_mem_src(&r->jpeg, bytes, (unsigned long)n);
    (void)jpeg_read_header(&r->jpeg, TRUE);
    const int grey = r->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    r->jpeg.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    /* The size is checked before libjpeg takes memory for whole progressive pictures. */
    r->st = picture_new(r->jpeg.image_height, r->jpeg.image_width, grey ? 1 : 3, r->picture, r->f);
    if (r->st != STATUS_OK)
        return;
    (void)jpeg_start_decompress(&r->jpeg);
    jpeg_reader_rows(r);
    (void)jpeg_finish_decompress(&r->jpeg);
}

enum status
jpeg_picture_decode(const uint8_t *bytes, size_t n, struct picture *ret_picture, struct fault *f)
{
    struct jpeg_reader r;
    memset(&r, 0, sizeof r);
    r.picture = ret_picture;
    r.f = f;
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.jpeg.client_data = &r; /* an error inside jpeg_create_decompress finds it too */
    r.errors.error_exit = jpeg_reader_exit;
    r.errors.emit_message = jpeg_reader_message;
    r.errors.output_message = jpeg_reader_output;
    r.progress.progress_monitor = jpeg_reader_progress;
    jpeg_reader_run(&r, bytes, n);
    jpeg_destroy_decompress(&r.jpeg);
    return r.st;
}
