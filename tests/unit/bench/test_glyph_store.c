/* Drawn glyphs: near duplicates, families, the division between splits. */
#include "tests/support/test.h"

#include "bench/data/glyph_store.h"

#include <stdio.h>
#include <string.h>

enum { SIDE = 32, CLASSES = 3, BYTES = SIDE * SIDE };

static struct glyph_store *store_make(void)
{
    struct glyph_store *s = NULL;
    assert_int_equal(glyph_store_new(SIDE, CLASSES, &s, NULL), STATUS_OK);
    return s;
}

/* Every class a noise pattern of its own, drawn from `seed`. */
static void pictures(uint64_t seed, uint8_t images[CLASSES * BYTES])
{
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "pictures", 0);
    for (uint32_t i = 0; i < CLASSES * BYTES; i++) {
        const uint32_t cell = i / 4 % 8 + i / (4 * SIDE) * 8;
        struct rng at;
        rng_init(&at, &root, "cell", cell);
        images[i] = (uint8_t)(rng_below(&at, 4) * 64 + 20 + rng_below(&rng, 20));
    }
}

void test_glyph_store_drops_near_duplicates_of_a_class(void **state)
{
    (void)state;
    static uint8_t a[CLASSES * BYTES], b[CLASSES * BYTES];
    const uint8_t drawn[CLASSES] = {1, 1, 0};
    struct glyph_store *s = store_make();
    pictures(1, a);
    memcpy(b, a, sizeof b);
    b[5] ^= 3; /* no cell changes its level */
    assert_int_equal(glyph_store_add(s, "First", a, drawn, NULL), STATUS_OK);
    assert_int_equal(glyph_store_add(s, "Second", b, drawn, NULL), STATUS_OK);
    assert_int_equal(glyph_store_duplicates(s), 2);
    assert_int_equal(glyph_store_families(s), 2);
    assert_int_equal(glyph_store_family(s, 0)->images, 2);
    assert_int_equal(glyph_store_family(s, 1)->images, 0);
    memset(b, 255, 4 * 4);
    memset(b + SIDE, 255, 4);
    memset(b + 2 * SIDE, 255, 4);
    memset(b + 3 * SIDE, 255, 4);
    b[2 * BYTES] ^= 1;
    const uint8_t all[CLASSES] = {1, 1, 1};
    assert_int_equal(glyph_store_add(s, "Second", b, all, NULL), STATUS_OK);
    assert_int_equal(glyph_store_family(s, 1)->faces, 2);
    assert_int_equal(glyph_store_family(s, 1)->images, 2); /* the changed one and the new class */
    assert_int_equal(glyph_store_duplicates(s), 3);
    glyph_store_free(s);
    glyph_store_free(NULL);
}

/* One picture may stand for two classes. */
void test_glyph_store_compares_within_a_class_only(void **state)
{
    (void)state;
    static uint8_t same[CLASSES * BYTES];
    const uint8_t drawn[CLASSES] = {1, 1, 1};
    struct glyph_store *s = store_make();
    memset(same, 90, sizeof same);
    assert_int_equal(glyph_store_add(s, "x", same, drawn, NULL), STATUS_OK);
    assert_int_equal(glyph_store_duplicates(s), 0);
    glyph_store_free(s);
}

void test_glyph_store_key_is_the_first_word(void **state)
{
    (void)state;
    static const struct {
        const char *family, *key;
    } cases[] = {{"DejaVu Sans Mono", "dejavu"},
                 {"Open-Dyslexic", "open"},
                 {"LMRoman10", "lmroman"},
                 {"  Lato", "lato"},
                 {"3270 Medium", "3"},
                 {"", "unnamed"},
                 {" ", "unnamed"},
                 {"ANameThatIsLongerThanThirtyOneBytes", "anamethatislongerthanthirtyoneb"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[GLYPH_FAMILY_SIZE];
        glyph_store_key(cases[i].family, key);
        assert_string_equal(key, cases[i].key);
    }
}

static void name_of(uint32_t i, char name[16])
{
    (void)snprintf(name, 16, "%c%c", (char)('a' + i / 26 % 26), (char)('a' + i % 26));
}

/* Enough families that the memory grows several times; every image is in exactly one split. */
void test_glyph_store_divides_whole_families(void **state)
{
    (void)state;
    enum { FAMILIES = 200, FACES = 1000 };
    static uint8_t images[CLASSES * BYTES];
    const uint8_t drawn[CLASSES] = {1, 0, 1};
    const struct rng_root root = {.seed = 1};
    struct rng rng;
    struct glyph_store *s = store_make();
    for (uint32_t i = 0; i < FACES; i++) {
        char name[16];
        name_of(i % FAMILIES, name);
        /* The first cells count, so that no two are alike. */
        memset(images, 0, sizeof images);
        for (uint32_t c = 0; c < CLASSES; c++)
            for (uint32_t bit = 0; bit < 7; bit++)
                for (uint32_t p = 0; p < 16; p++)
                    images[c * BYTES + p / 4 * SIDE + 4 * bit + p % 4] =
                        (uint8_t)(64 * (i >> 2 * bit & 3) + 1);
        assert_int_equal(glyph_store_add(s, name, images, drawn, NULL), STATUS_OK);
    }
    assert_int_equal(glyph_store_duplicates(s), 0);
    rng_init(&rng, &root, "division", 0);
    glyph_store_divide(s, &rng);
    uint32_t total = 0, families[GLYPH_SPLITS] = {0};
    for (uint32_t i = 0; i < glyph_store_families(s); i++)
        families[glyph_store_family(s, i)->split]++;
    assert_int_equal(families[GLYPH_TRAIN], 140);
    assert_int_equal(families[GLYPH_VALIDATION], 30);
    assert_int_equal(families[GLYPH_TEST], 30);
    for (uint32_t k = 0; k < GLYPH_SPLITS; k++) {
        struct set_file set;
        assert_int_equal(glyph_store_take(s, (enum glyph_split)k, &set, NULL), STATUS_OK);
        assert_int_equal(set.n, families[k] * 5 * 2);
        for (uint32_t i = 0; i < set.n; i++) {
            uint32_t face = 0;
            for (uint32_t bit = 0; bit < 7; bit++)
                face |= (uint32_t)(set.images[i * BYTES + 4 * bit] / 64) << 2 * bit;
            assert_int_equal(set.labels[i], i % 2 ? 2 : 0);
            assert_int_equal(glyph_store_family(s, face % FAMILIES)->split, k);
        }
        total += set.n;
        set_file_fini(&set);
    }
    assert_int_equal(total, FACES * 2);
    glyph_store_free(s);
}

void test_glyph_store_refuses_sizes_that_do_not_fit_the_hash(void **state)
{
    (void)state;
    struct glyph_store *s = NULL;
    assert_int_equal(glyph_store_new(0, 1, &s, NULL), STATUS_INVALID_ARGUMENT);
    assert_int_equal(glyph_store_new(30, 1, &s, NULL), STATUS_INVALID_ARGUMENT);
    assert_int_equal(glyph_store_new(36, 1, &s, NULL), STATUS_INVALID_ARGUMENT);
    assert_null(s);
    assert_int_equal(glyph_store_new(28, 1, &s, NULL), STATUS_OK);
    glyph_store_free(s);
}
