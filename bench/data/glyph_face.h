/*
 * Faces of font files and the drawing of their characters: the only FreeType user.  All faces are
 * brought to one cap height on one base line, so that signs keep their place and size; a character
 * that would leave the image is scaled down.  Light on dark, no hinting, no embedded bitmaps.
 */
#ifndef LETHE_BENCH_GLYPH_FACE_H
#define LETHE_BENCH_GLYPH_FACE_H

#include "daemon/base/status.h"

#include <stdint.h>

struct glyph_library;
struct glyph_face;

enum status glyph_library_open(struct glyph_library **ret_library, struct fault *f) MUST_CHECK;
/* After all its faces are closed; NULL is allowed. */
void glyph_library_close(struct glyph_library *library);
/* Number of faces in a font file, 0 if FreeType cannot read it. */
uint32_t glyph_library_faces(struct glyph_library *library, const char *path);

/*
 * Face `index` of a file, to be drawn in images of this side.  FAILED_PRECONDITION: no outlines, no
 * Unicode table, or made of pictures instead of letters; BAD_FORMAT: FreeType cannot read it.
 */
enum status glyph_face_open(struct glyph_library *library,
                            const char *path,
                            uint32_t index,
                            uint32_t side,
                            struct glyph_face **ret_face,
                            struct fault *f) MUST_CHECK;
void glyph_face_close(struct glyph_face *face);
/* Family name as the font gives it; borrowed. */
const char *glyph_face_family(const struct glyph_face *face);

/* Draws a character into out [side,side].  0 if the face lacks it, or draws nothing, or draws what
 * it draws for every character that it lacks; out is then undefined. */
int glyph_face_draw(struct glyph_face *face, uint32_t code, uint8_t *out);

#endif
