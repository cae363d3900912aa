/*
 * The drawn glyphs of many faces on their way to a data set: near duplicates dropped, families of
 * fonts divided between the splits.
 *
 * Near duplicates: the image is averaged over cells of 4x4 pixels and each mean is kept with 2
 * bits; of the images of one class with the same cells, the first added stays.  Families: faces
 * whose family names begin with the same word go into the same split, because weights and variants
 * of one design must not be on both sides.
 */
#ifndef LETHE_BENCH_GLYPH_STORE_H
#define LETHE_BENCH_GLYPH_STORE_H

#include "bench/data/set_file.h"
#include "daemon/base/rng.h"
#include "daemon/base/status.h"

#include <stdint.h>

#define GLYPH_FAMILY_SIZE 32u
#define GLYPH_HASH_WORDS  2u
#define GLYPH_CELL        4u  /* pixels */
#define GLYPH_MAX_SIDE    32u /* 8x8 cells fill the hash */

enum glyph_split { GLYPH_TRAIN, GLYPH_VALIDATION, GLYPH_TEST, GLYPH_SPLITS };

struct glyph_family {
    char key[GLYPH_FAMILY_SIZE];
    enum glyph_split split;
    uint32_t faces, images;
};

struct glyph_store;

/* Side: a multiple of GLYPH_CELL up to GLYPH_MAX_SIDE. */
enum status glyph_store_new(uint32_t side,
                            uint32_t classes,
                            struct glyph_store **ret_store,
                            struct fault *f) MUST_CHECK;
void glyph_store_free(struct glyph_store *s);

/* First word of a family name in lower case: up to a blank, hyphen, underscore or digit that
 * follows another character.  "unnamed" if there is none. */
void glyph_store_key(const char *family, char key[GLYPH_FAMILY_SIZE]);

/*
 * Adds one face's drawings: images [classes,side,side], drawn [classes] 0 or 1.  Near duplicates of
 * what is there are counted and left out.
 */
enum status glyph_store_add(struct glyph_store *s,
                            const char *family,
                            const uint8_t *images,
                            const uint8_t *drawn,
                            struct fault *f) MUST_CHECK;

/* Divides the families, drawn in the order of `rng`, so that 70 % of them are for training, 15 %
 * for validation and the rest for test. */
void glyph_store_divide(struct glyph_store *s, struct rng *rng);

/* The images of a split in the order they were added, into a fresh set (set_file_fini). */
enum status glyph_store_take(const struct glyph_store *s,
                             enum glyph_split split,
                             struct set_file *ret_set,
                             struct fault *f) MUST_CHECK;

uint32_t glyph_store_families(const struct glyph_store *s);
const struct glyph_family *glyph_store_family(const struct glyph_store *s, uint32_t i);
uint32_t glyph_store_duplicates(const struct glyph_store *s);

#endif
