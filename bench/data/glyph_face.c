#include "bench/data/glyph_face.h"

#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H
#include FT_BBOX_H
#include FT_TRUETYPE_TABLES_H

#define ONE           64      /* FreeType's unit: 1/64 pixel */
#define CAP_HEIGHT    0.625   /* of the side */
#define BASE_LINE     0.21875 /* of the side, from below */
#define MARGIN        1       /* pixels that stay dark on each side */
#define CAP_OF_EM     0.7     /* of a face without capitals */
#define SMALLEST_CAP  0.2     /* of the em; less is not a text face */
#define PANOSE_SYMBOL 5       /* "Latin Symbol": pictures at the places of letters */
#define MAX_SIDE      256u

struct glyph_library {
    FT_Library ft;
};

struct glyph_face {
    FT_Library ft;
    FT_Face face;
    uint32_t side;
    uint8_t *missing; /* [side,side] what the face draws for characters that it lacks */
    char family[128];
};

enum status glyph_library_open(struct glyph_library **ret_library, struct fault *f)
{
    struct glyph_library *l = sysio_alloc(1, sizeof *l);
    if (!l)
        FAIL(f, STATUS_NO_MEMORY, "fonts", "out of memory");
    const FT_Error error = FT_Init_FreeType(&l->ft);
    if (error) {
        sysio_free(l);
        FAIL(f, STATUS_INTERNAL, "fonts", "FreeType does not start: error %d", error);
    }
    *ret_library = l;
    return STATUS_OK;
}

void glyph_library_close(struct glyph_library *library)
{
    if (!library)
        return;
    (void)FT_Done_FreeType(library->ft);
    sysio_free(library);
}

/* The outline of a glyph at the present size in face->glyph; 0 if there is none. */
static int load_outline(FT_Face face, FT_UInt glyph, FT_Int32 flags)
{
    return FT_Load_Glyph(face, glyph, (FT_Int32)(flags | FT_LOAD_NO_HINTING | FT_LOAD_NO_BITMAP)) ==
               0 &&
           face->glyph->format == FT_GLYPH_FORMAT_OUTLINE;
}

/* Height of H, or of another capital, as a share of the em. */
static double cap_share(FT_Face face)
{
    static const FT_ULong capitals[] = {'H', 'E', 'I', 'O', '0'};
    for (size_t i = 0; i < sizeof capitals / sizeof *capitals; i++) {
        const FT_UInt glyph = FT_Get_Char_Index(face, capitals[i]);
        FT_BBox box;
        if (glyph == 0 || !load_outline(face, glyph, FT_LOAD_NO_SCALE) ||
            FT_Outline_Get_BBox(&face->glyph->outline, &box) != 0 || box.yMax <= 0)
            continue;
        return (double)box.yMax / face->units_per_EM;
    }
    return CAP_OF_EM;
}

static int is_pictures(FT_Face face)
{
    const TT_OS2 *os2 = FT_Get_Sfnt_Table(face, FT_SFNT_OS2);
    return os2 && os2->version != 0xffffu && os2->panose[0] == PANOSE_SYMBOL;
}

static enum status prepare_face(FT_Face face, uint32_t side, struct fault *f)
{
    if (!FT_IS_SCALABLE(face) || face->units_per_EM == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "font", "no outlines");
    if (FT_Select_Charmap(face, FT_ENCODING_UNICODE) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "font", "no Unicode table");
    if (is_pictures(face))
        FAIL(f, STATUS_FAILED_PRECONDITION, "font", "pictures instead of letters");
    const double share = cap_share(face);
    if (share < SMALLEST_CAP)
        FAIL(f, STATUS_FAILED_PRECONDITION, "font", "capitals of %.2f of the em", share);
    const double em = side * CAP_HEIGHT / share;
    if (FT_Set_Char_Size(face, 0, (FT_F26Dot6)(em * ONE + 0.5), 72, 72) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "font", "cannot be scaled");
    return STATUS_OK;
}

/* Scales the outline down if it does not fit, centres it, keeps the base line if that fits. */
static int place_outline(FT_Outline *outline, uint32_t side)
{
    FT_BBox box;
    if (outline->n_points == 0 || FT_Outline_Get_BBox(outline, &box) != 0)
        return 0;
    const FT_Pos room = (FT_Pos)(side - 2 * MARGIN) * ONE;
    const FT_Pos width = box.xMax - box.xMin, height = box.yMax - box.yMin;
    const FT_Pos most = width > height ? width : height;
    if (most <= 0)
        return 0;
    if (most > room) {
        const FT_Fixed scale = (FT_Fixed)((double)room / (double)most * 0x10000);
        const FT_Matrix m = {scale, 0, 0, scale};
        FT_Outline_Transform(outline, &m);
        if (FT_Outline_Get_BBox(outline, &box) != 0)
            return 0;
    }
    const FT_Pos low = (FT_Pos)MARGIN * ONE, high = (FT_Pos)(side - MARGIN) * ONE;
    FT_Pos up = (FT_Pos)(side * ONE * BASE_LINE);
    if (box.yMin + up < low)
        up = low - box.yMin;
    if (box.yMax + up > high)
        up = high - box.yMax;
    const FT_Pos right = ((FT_Pos)side * ONE - (box.xMax - box.xMin)) / 2 - box.xMin;
    FT_Outline_Translate(outline, right, up);
    return 1;
}

/* 0 if nothing was drawn. */
static int draw_glyph(struct glyph_face *face, FT_UInt glyph, uint8_t *out)
{
    const size_t pixels = (size_t)face->side * face->side;
    memset(out, 0, pixels);
    if (!load_outline(face->face, glyph, 0))
        return 0;
    FT_Outline *outline = &face->face->glyph->outline;
    if (!place_outline(outline, face->side))
        return 0;
    const FT_Bitmap bitmap = {.rows = face->side,
                              .width = face->side,
                              .pitch = (int)face->side,
                              .buffer = out,
                              .num_grays = 256,
                              .pixel_mode = FT_PIXEL_MODE_GRAY};
    if (FT_Outline_Get_Bitmap(face->ft, outline, &bitmap) != 0)
        return 0;
    for (size_t i = 0; i < pixels; i++)
        if (out[i] >= 128)
            return 1;
    return 0;
}

uint32_t glyph_library_faces(struct glyph_library *library, const char *path)
{
    FT_Face ft;
    if (FT_New_Face(library->ft, path, -1, &ft) != 0)
        return 0;
    const uint32_t n = ft->num_faces > 0 ? (uint32_t)ft->num_faces : 0;
    (void)FT_Done_Face(ft);
    return n;
}

/* Takes `ft` over, on success only. */
static enum status new_face(
    FT_Library library, FT_Face ft, uint32_t side, struct glyph_face **ret_face, struct fault *f)
{
    TRY(prepare_face(ft, side, f));
    struct glyph_face *face = sysio_alloc(1, sizeof *face);
    uint8_t *missing = sysio_alloc(side, side);
    if (!face || !missing) {
        sysio_free(face);
        sysio_free(missing);
        FAIL(f, STATUS_NO_MEMORY, "font", "out of memory");
    }
    *face = (struct glyph_face){.ft = library, .face = ft, .side = side, .missing = missing};
    (void)snprintf(face->family, sizeof face->family, "%s", ft->family_name ? ft->family_name : "");
    (void)draw_glyph(face, 0, face->missing);
    *ret_face = face;
    return STATUS_OK;
}

enum status glyph_face_open(struct glyph_library *library,
                            const char *path,
                            uint32_t index,
                            uint32_t side,
                            struct glyph_face **ret_face,
                            struct fault *f)
{
    FT_Face ft;
    if (side < 8 || side > MAX_SIDE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "size", "%u, allowed are 8 to %u", side, MAX_SIDE);
    const FT_Error error = FT_New_Face(library->ft, path, (FT_Long)index, &ft);
    if (error)
        FAIL(f, STATUS_BAD_FORMAT, "font", "%.100s: FreeType error %d", path, error);
    const enum status st = new_face(library->ft, ft, side, ret_face, f);
    if (st != STATUS_OK)
        (void)FT_Done_Face(ft);
    return st;
}

void glyph_face_close(struct glyph_face *face)
{
    if (!face)
        return;
    (void)FT_Done_Face(face->face);
    sysio_free(face->missing);
    sysio_free(face);
}

const char *glyph_face_family(const struct glyph_face *face)
{
    return face->family;
}

int glyph_face_draw(struct glyph_face *face, uint32_t code, uint8_t *out)
{
    const FT_UInt glyph = FT_Get_Char_Index(face->face, code);
    if (glyph == 0 || !draw_glyph(face, glyph, out))
        return 0;
    return memcmp(out, face->missing, (size_t)face->side * face->side) != 0;
}
