/*
 * Makes Glyph-100: the characters of a class list drawn from all fonts below some folders, grey,
 * one label each, written as OUT/train.npz, OUT/validation.npz, OUT/test.npz, OUT/classes.txt and
 * OUT/families.txt (family, split, faces, images).  A class is left out of a face that lacks its
 * character, draws nothing or its box for missing ones, draws a small letter as its capital, or
 * draws the same for three classes and more (a place holder).  Faces with fewer than MIN_CLASSES
 * classes are no text faces and are left out as a whole.
 *
 *   glyphs [--fonts DIR]... [--classes FILE] [--out DIR] [--size 32|28] [--seed N]
 */
#include "bench/data/glyph_face.h"
#include "bench/data/glyph_list.h"
#include "bench/data/glyph_store.h"
#include "bench/data/set_file.h"
#include "daemon/base/sysio.h"

#include <argp.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_FOLDERS 8u
#define MIN_CLASSES 30u
#define MAX_ALIKE   3u
#define MAX_SIDE    GLYPH_MAX_SIDE

static const char *const split_names[GLYPH_SPLITS] = {"train", "validation", "test"};

struct options {
    char *folders[MAX_FOLDERS + 1]; /* ends with NULL */
    uint32_t n_folders;
    const char *classes, *out;
    uint32_t side;
    uint64_t seed;
};

struct work {
    struct glyph_list list;
    uint32_t side;
    struct glyph_library *library;
    struct glyph_store *store;
    uint8_t *images; /* [classes,side,side] of the present face */
    uint8_t drawn[GLYPH_LIST_MAX];
    uint32_t files, faces, unusable, poor; /* counts for the report */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case 'f':
        if (o->n_folders == MAX_FOLDERS)
            argp_error(state, "more than %u font folders", MAX_FOLDERS);
        o->folders[o->n_folders++] = arg;
        return 0;
    case 'c':
        o->classes = arg;
        return 0;
    case 'o':
        o->out = arg;
        return 0;
    case 's':
        o->seed = strtoull(arg, &end, 10);
        if (*arg < '0' || *arg > '9' || *end != '\0')
            argp_error(state, "the seed must be a number, not %s", arg);
        return 0;
    case 'z':
        if (strcmp(arg, "32") != 0 && strcmp(arg, "28") != 0)
            argp_error(state, "the size is 32 or 28, not %s", arg);
        o->side = arg[0] == '3' ? 32 : 28;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argp_options[] = {
    {"fonts", 'f', "DIR", 0, "folder with fonts, may be repeated (/usr/share/fonts)", 0},
    {"classes", 'c', "FILE", 0, "class list (bench/data/glyph100.txt)", 0},
    {"out", 'o', "DIR", 0, "where to write (build/data/glyph100)", 0},
    {"size", 'z', "32|28", 0, "side of the images (32)", 0},
    {"seed", 's', "N", 0, "of the division of families (1)", 0},
    {0}};

/* ---------------------------------------------------------------- one face */

static const uint8_t *image_of(const struct work *w, uint32_t c)
{
    return w->images + (size_t)c * w->side * w->side;
}

static int same_image(const struct work *w, uint32_t a, uint32_t b)
{
    return memcmp(image_of(w, a), image_of(w, b), (size_t)w->side * w->side) == 0;
}

/* Small letters that are drawn as capitals belong to neither class. */
static void drop_small_capitals(struct work *w)
{
    for (uint32_t code = 'a'; code <= 'z'; code++) {
        const uint32_t small = glyph_list_find(&w->list, code);
        const uint32_t capital = glyph_list_find(&w->list, code - 'a' + 'A');
        if (small < w->list.n && capital < w->list.n && w->drawn[small] && w->drawn[capital] &&
            same_image(w, small, capital))
            w->drawn[small] = 0;
    }
}

static void drop_place_holders(struct work *w)
{
    uint8_t keep[GLYPH_LIST_MAX];
    for (uint32_t a = 0; a < w->list.n; a++) {
        uint32_t alike = 0;
        for (uint32_t b = 0; b < w->list.n; b++)
            alike += w->drawn[a] && w->drawn[b] && same_image(w, a, b);
        keep[a] = alike < MAX_ALIKE;
    }
    for (uint32_t a = 0; a < w->list.n; a++)
        w->drawn[a] = w->drawn[a] && keep[a];
}

static enum status add_face(struct work *w, struct glyph_face *face, struct fault *f)
{
    uint32_t usable = 0;
    for (uint32_t c = 0; c < w->list.n; c++)
        w->drawn[c] = (uint8_t)glyph_face_draw(face, w->list.code[c],
                                               w->images + (size_t)c * w->side * w->side);
    drop_small_capitals(w);
    drop_place_holders(w);
    for (uint32_t c = 0; c < w->list.n; c++)
        usable += w->drawn[c];
    if (usable < MIN_CLASSES) {
        w->poor++;
        return STATUS_OK;
    }
    w->faces++;
    return glyph_store_add(w->store, glyph_face_family(face), w->images, w->drawn, f);
}

/* A font that cannot be used is counted; memory shortage is an error. */
static enum status add_file(struct work *w, const char *path, struct fault *f)
{
    const uint32_t n = glyph_library_faces(w->library, path);
    w->files++;
    w->unusable += n == 0;
    for (uint32_t i = 0; i < n; i++) {
        struct glyph_face *face = NULL;
        enum status st = glyph_face_open(w->library, path, i, w->side, &face, f);
        if (st == STATUS_FAILED_PRECONDITION || st == STATUS_BAD_FORMAT) {
            w->unusable++;
            continue;
        }
        if (st == STATUS_OK)
            st = add_face(w, face, f);
        glyph_face_close(face);
        TRY(st);
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- all files */

static int is_font(const char *name)
{
    static const char *const endings[] = {".ttf", ".otf", ".ttc", ".otc", ".pfb"};
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > 4 && strcasecmp(name + n - 4, endings[i]) == 0)
            return 1;
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* In the order of the names, so that the same fonts give the same set. */
static enum status add_folders(struct work *w, char *const *folders, struct fault *f)
{
    enum status st = STATUS_OK;
    FTS *tree = fts_open(folders, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        FAIL(f, STATUS_IO_ERROR, "fonts", "cannot read the font folders");
    for (FTSENT *e = fts_read(tree); e && st == STATUS_OK; e = fts_read(tree)) {
        if ((e->fts_info == FTS_NS || e->fts_info == FTS_DNR) && e->fts_level == 0)
            st = fault_set(f, STATUS_NOT_FOUND, __FILE__, __LINE__, "fonts", "no folder %.100s",
                           e->fts_path);
        else if (e->fts_info == FTS_F && is_font(e->fts_name))
            st = add_file(w, e->fts_path, f);
    }
    (void)fts_close(tree);
    if (st == STATUS_OK && w->faces == 0)
        FAIL(f, STATUS_NOT_FOUND, "fonts", "no usable font; make deps-bench installs some");
    return st;
}

/* ---------------------------------------------------------------- results */

static int by_count(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void report_split(const struct set_file *s, const char *name)
{
    uint32_t counts[GLYPH_LIST_MAX] = {0};
    for (uint32_t i = 0; i < s->n; i++)
        counts[s->labels[i]]++;
    qsort(counts, s->classes, sizeof *counts, by_count);
    printf("%-10s %6u images %ux%u, %u to %u a class, median %u, sum %08x\n", name, s->n, s->side,
           s->side, counts[0], counts[s->classes - 1], counts[s->classes / 2], set_file_sum(s));
}

static enum status write_families(const struct work *w, const char *folder, struct fault *f)
{
    char path[PATH_MAX], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        FAIL(f, STATUS_NO_MEMORY, "families", "out of memory");
    for (uint32_t i = 0; i < glyph_store_families(w->store); i++) {
        const struct glyph_family *x = glyph_store_family(w->store, i);
        (void)fprintf(out, "%s\t%s\t%u\t%u\n", x->key, split_names[x->split], x->faces, x->images);
    }
    const int bad = fclose(out);
    const int n = snprintf(path, sizeof path, "%s/families.txt", folder);
    enum status st = STATUS_INVALID_ARGUMENT;
    if (bad)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, "families", "out of memory");
    else if (n < 0 || (size_t)n >= sizeof path)
        st = fault_set(f, st, __FILE__, __LINE__, "out", "the path is too long");
    else
        st = sysio_write_file(path, text, size, f);
    free(text);
    return st;
}

static enum status write_all(const struct work *w, const struct options *o, struct fault *f)
{
    const char *names[GLYPH_LIST_MAX];
    for (uint32_t c = 0; c < w->list.n; c++)
        names[c] = w->list.name[c];
    TRY(set_file_folder(o->out, f));
    TRY(set_file_write_names(o->out, names, w->list.n, f));
    TRY(write_families(w, o->out, f));
    for (uint32_t i = 0; i < GLYPH_SPLITS; i++) {
        struct set_file s;
        TRY(glyph_store_take(w->store, (enum glyph_split)i, &s, f));
        const enum status st = set_file_write(&s, o->out, split_names[i], f);
        if (st == STATUS_OK)
            report_split(&s, split_names[i]);
        set_file_fini(&s);
        TRY(st);
    }
    printf("%u files, %u faces of %u families; %u faces or files unusable, %u with fewer than %u "
           "classes; %u near duplicates dropped\n",
           w->files, w->faces, glyph_store_families(w->store), w->unusable, w->poor, MIN_CLASSES,
           glyph_store_duplicates(w->store));
    return STATUS_OK;
}

static enum status make_all(const struct options *o, struct work *w, struct fault *f)
{
    const struct rng_root root = {.seed = o->seed};
    struct rng rng;
    TRY(glyph_list_read(o->classes, &w->list, f));
    w->side = o->side;
    w->images = sysio_alloc(w->list.n, (size_t)o->side * o->side);
    if (!w->images)
        FAIL(f, STATUS_NO_MEMORY, "glyphs", "out of memory");
    TRY(glyph_library_open(&w->library, f));
    TRY(glyph_store_new(o->side, w->list.n, &w->store, f));
    TRY(add_folders(w, o->folders, f));
    rng_init(&rng, &root, "glyphs/division", 0);
    glyph_store_divide(w->store, &rng);
    return write_all(w, o, f);
}

int main(int argc, char **argv)
{
    static char system_fonts[] = "/usr/share/fonts";
    static struct work w;
    struct options o = {.classes = "bench/data/glyph100.txt",
                        .out = "build/data/glyph100",
                        .side = MAX_SIDE,
                        .seed = 1};
    const struct argp a = {argp_options, parse, NULL, "Makes the Glyph-100 data set.", 0, 0, 0};
    struct fault f = {0};
    if (argp_parse(&a, argc, argv, 0, NULL, &o) != 0)
        return 2;
    if (o.n_folders == 0)
        o.folders[0] = system_fonts;
    const enum status st = make_all(&o, &w, &f);
    glyph_store_free(w.store);
    glyph_library_close(w.library);
    sysio_free(w.images);
    if (st == STATUS_OK)
        return 0;
    (void)fprintf(stderr, "glyphs: %s: %s\n", f.field, f.text);
    return 1;
}
