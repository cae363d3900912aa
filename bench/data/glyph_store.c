#include "bench/data/glyph_store.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <ctype.h>
#include <string.h>

#define FIRST_IMAGES   1024u
#define FIRST_FAMILIES 64u
#define TRAIN_PERCENT  70u
#define HELD_PERCENT   15u

struct glyph_hash {
    uint64_t word[GLYPH_HASH_WORDS];
};

/* One kept image; its pixels stand at the same place of `pixels`. */
struct glyph_image {
    struct glyph_hash hash;
    uint32_t class_index, family;
};

struct glyph_store {
    uint32_t side, classes;
    struct glyph_image *images;
    uint8_t *pixels; /* [room,side,side] */
    uint32_t n, room;
    uint32_t *slots; /* open addressing over images: index + 1, 0 empty; a power of two */
    uint32_t n_slots;
    struct glyph_family *families;
    uint32_t n_families, families_room;
    uint32_t duplicates;
};

/* ---------------------------------------------------------------- memory */

/* A larger copy of `old`, which is freed; NULL if there is none. */
static void *grown(void *old, size_t n, size_t room, size_t size)
{
    void *fresh = sysio_alloc(room, size);
    if (fresh && n > 0)
        memcpy(fresh, old, n * size);
    if (fresh)
        sysio_free(old);
    return fresh;
}

enum status
glyph_store_new(uint32_t side, uint32_t classes, struct glyph_store **ret_store, struct fault *f)
{
    if (side == 0 || side % GLYPH_CELL != 0 || side > GLYPH_MAX_SIDE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "size", "%u, expected a multiple of %u up to %u", side,
             GLYPH_CELL, GLYPH_MAX_SIDE);
    struct glyph_store *s = sysio_alloc(1, sizeof *s);
    if (!s)
        FAIL(f, STATUS_NO_MEMORY, "glyphs", "out of memory");
    s->side = side;
    s->classes = classes;
    *ret_store = s;
    return STATUS_OK;
}

void glyph_store_free(struct glyph_store *s)
{
    if (!s)
        return;
    sysio_free(s->images);
    sysio_free(s->pixels);
    sysio_free(s->slots);
    sysio_free(s->families);
    sysio_free(s);
}

static enum status reserve_images(struct glyph_store *s, uint32_t more, struct fault *f)
{
    const size_t bytes = (size_t)s->side * s->side;
    uint32_t room = s->room ? s->room : FIRST_IMAGES;
    while (room - s->n < more)
        room *= 2;
    if (room == s->room)
        return STATUS_OK;
    uint8_t *pixels = grown(s->pixels, s->n, room, bytes);
    if (pixels)
        s->pixels = pixels;
    struct glyph_image *images = grown(s->images, s->n, room, sizeof *images);
    if (images)
        s->images = images;
    if (!pixels || !images)
        FAIL(f, STATUS_NO_MEMORY, "glyphs", "no memory for %u images", room);
    s->room = room;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- near duplicates */

static struct glyph_hash hash_of(const uint8_t *image, uint32_t side)
{
    struct glyph_hash h = {{0}};
    const uint32_t cells = side / GLYPH_CELL;
    for (uint32_t c = 0; c < cells * cells; c++) {
        uint32_t sum = 0;
        for (uint32_t p = 0; p < GLYPH_CELL * GLYPH_CELL; p++) {
            const uint32_t y = c / cells * GLYPH_CELL + p / GLYPH_CELL;
            const uint32_t x = c % cells * GLYPH_CELL + p % GLYPH_CELL;
            sum += image[y * side + x];
        }
        const uint64_t level = sum / (GLYPH_CELL * GLYPH_CELL * 64); /* 0 to 3 */
        h.word[c / 32] |= level << 2 * (c % 32);
    }
    return h;
}

static uint32_t slot_of(const struct glyph_store *s, const struct glyph_image *x)
{
    uint64_t mix = x->hash.word[0] * 0x9e3779b97f4a7c15u;
    mix ^= x->hash.word[1] + x->class_index;
    mix *= 0xd6e8feb86659fd93u;
    return (uint32_t)(mix >> 32) & (s->n_slots - 1);
}

static int alike(const struct glyph_image *a, const struct glyph_image *b)
{
    return a->class_index == b->class_index && memcmp(&a->hash, &b->hash, sizeof a->hash) == 0;
}

/* The slot that holds an image like x, or the empty one where x belongs. */
static uint32_t *find_slot(const struct glyph_store *s, const struct glyph_image *x)
{
    uint32_t at = slot_of(s, x);
    while (s->slots[at] && !alike(&s->images[s->slots[at] - 1], x))
        at = (at + 1) & (s->n_slots - 1);
    return &s->slots[at];
}

/* At most half of the slots are in use. */
static enum status reserve_slots(struct glyph_store *s, uint32_t more, struct fault *f)
{
    uint32_t n_slots = s->n_slots ? s->n_slots : 2 * FIRST_IMAGES;
    while (n_slots / 2 < s->n + more)
        n_slots *= 2;
    if (n_slots == s->n_slots)
        return STATUS_OK;
    uint32_t *slots = sysio_alloc(n_slots, sizeof *slots);
    if (!slots)
        FAIL(f, STATUS_NO_MEMORY, "glyphs", "no memory for %u slots", n_slots);
    sysio_free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    for (uint32_t i = 0; i < s->n; i++)
        *find_slot(s, &s->images[i]) = i + 1;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- families */

void glyph_store_key(const char *family, char key[GLYPH_FAMILY_SIZE])
{
    size_t n = 0;
    while (*family == ' ')
        family++;
    for (; *family != '\0' && n + 1 < GLYPH_FAMILY_SIZE; family++) {
        if (n > 0 && (strchr(" -_", *family) || isdigit((unsigned char)*family)))
            break;
        key[n++] = (char)tolower((unsigned char)*family);
    }
    key[n] = '\0';
    if (n == 0)
        memcpy(key, "unnamed", sizeof "unnamed");
}

static enum status
find_family(struct glyph_store *s, const char *family, uint32_t *ret_index, struct fault *f)
{
    char key[GLYPH_FAMILY_SIZE];
    glyph_store_key(family, key);
    uint32_t i = 0;
    while (i < s->n_families && strcmp(s->families[i].key, key) != 0)
        i++;
    if (i == s->families_room) {
        const uint32_t room = i ? 2 * i : FIRST_FAMILIES;
        struct glyph_family *fresh = grown(s->families, i, room, sizeof *fresh);
        if (!fresh)
            FAIL(f, STATUS_NO_MEMORY, "glyphs", "no memory for %u families", room);
        s->families = fresh;
        s->families_room = room;
    }
    if (i == s->n_families)
        memcpy(s->families[s->n_families++].key, key, sizeof key);
    *ret_index = i;
    return STATUS_OK;
}

static void put_image(struct glyph_store *s, const struct glyph_image *x, const uint8_t *pixels)
{
    uint32_t *slot = find_slot(s, x);
    if (*slot) {
        s->duplicates++;
        return;
    }
    const size_t bytes = (size_t)s->side * s->side;
    memcpy(s->pixels + s->n * bytes, pixels, bytes);
    s->images[s->n++] = *x;
    s->families[x->family].images++;
    *slot = s->n;
}

enum status glyph_store_add(struct glyph_store *s,
                            const char *family,
                            const uint8_t *images,
                            const uint8_t *drawn,
                            struct fault *f)
{
    uint32_t index = 0;
    TRY(reserve_images(s, s->classes, f));
    TRY(reserve_slots(s, s->classes, f));
    TRY(find_family(s, family, &index, f));
    s->families[index].faces++;
    for (uint32_t c = 0; c < s->classes; c++) {
        const uint8_t *pixels = images + (size_t)c * s->side * s->side;
        const struct glyph_image x = {
            .hash = hash_of(pixels, s->side), .class_index = c, .family = index};
        if (drawn[c])
            put_image(s, &x, pixels);
    }
    return STATUS_OK;
}

void glyph_store_divide(struct glyph_store *s, struct rng *rng)
{
    const uint32_t n = s->n_families;
    const uint32_t train = n * TRAIN_PERCENT / 100;
    const uint32_t held = train + n * HELD_PERCENT / 100;
    for (uint32_t i = 0; i < n; i++)
        s->families[i].split = i < train ? GLYPH_TRAIN : i < held ? GLYPH_VALIDATION : GLYPH_TEST;
    /* Shuffles the splits over the families, which keep their order. */
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = (uint32_t)rng_below(rng, i);
        const enum glyph_split other = s->families[j].split;
        s->families[j].split = s->families[i - 1].split;
        s->families[i - 1].split = other;
    }
}

enum status glyph_store_take(const struct glyph_store *s,
                             enum glyph_split split,
                             struct set_file *ret_set,
                             struct fault *f)
{
    const size_t bytes = (size_t)s->side * s->side;
    uint32_t n = 0, at = 0;
    for (uint32_t i = 0; i < s->n_families; i++)
        n += s->families[i].split == split ? s->families[i].images : 0;
    TRY(set_file_init(ret_set, n, s->side, s->classes, 0, f));
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->families[s->images[i].family].split != split)
            continue;
        memcpy(ret_set->images + at * bytes, s->pixels + i * bytes, bytes);
        ret_set->labels[at++] = (int32_t)s->images[i].class_index;
    }
    INVARIANT(at == n);
    return STATUS_OK;
}

uint32_t glyph_store_families(const struct glyph_store *s)
{
    return s->n_families;
}

const struct glyph_family *glyph_store_family(const struct glyph_store *s, uint32_t i)
{
    return &s->families[i];
}

uint32_t glyph_store_duplicates(const struct glyph_store *s)
{
    return s->duplicates;
}
