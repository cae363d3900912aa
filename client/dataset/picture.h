/*
 * Decoding of PNG and JPEG pictures into u8 pixels.  Client side only: the daemon never decodes a
 * picture.  Files are hostile: sizes and memory are bounded before anything is taken, and damaged
 * data is an error, not a guess.  Transparency is dropped, 16-bit samples are scaled to 8, palettes
 * become RGB, grey stays grey; orientation tags are not applied.
 */
#ifndef LETHE_CLIENT_PICTURE_H
#define LETHE_CLIENT_PICTURE_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PICTURE_MAX_FILE   ((size_t)64 << 20) /* bytes */
#define PICTURE_MAX_SIDE   16384u
#define PICTURE_MAX_PIXELS ((uint64_t)1 << 26)

struct picture {
    uint32_t height, width, channels; /* channels 1 or 3 */
    uint8_t *pixels;                  /* [height, width, channels]; owned, picture_free */
};

/* By its first bytes.  BAD_FORMAT, RESOURCE_EXHAUSTED, NO_MEMORY; *ret_picture is then empty. */
enum status picture_decode(const uint8_t *bytes,
                           size_t n,
                           struct picture *ret_picture,
                           struct fault *f) MUST_CHECK;
/* The same from a file; the text names it. */
enum status picture_read(const char *path, struct picture *ret_picture, struct fault *f) MUST_CHECK;
void picture_free(struct picture *p);

#endif
