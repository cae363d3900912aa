/* The record of a solved router; layout in ridge_router.h. */
#include "learners/methods/ridge/ridge_router_internal.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/methods/ridge/ridge_map.h"

static const char router_magic[8] = {'L', 'R', 'O', 'U', 'T', 'E', '1', '\n'};

static uint32_t classes_of(const struct ridge_router *r, uint32_t owner)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < r->n_classes; c++)
        n += r->owner_of[c] == owner;
    return n;
}

static void put_owners(struct byte_writer *w, const struct ridge_router *r)
{
    uint32_t column = 0;
    for (uint32_t i = 0; i < r->n_owners; i++) {
        const uint32_t n = classes_of(r, i);
        put_string(w, r->owners[i]);
        put_bytes(w, r->terms[i].b, DIGEST_SIZE);
        put_u32(w, n);
        for (uint32_t c = 0; c < n; c++, column++)
            put_string(w, r->classes[column]);
    }
}

static void put_router(struct byte_writer *w, const struct ridge_router *r)
{
    put_bytes(w, router_magic, sizeof router_magic);
    put_u32(w, RIDGE_ROUTER_VERSION);
    put_bytes(w, r->origin.base.b, DIGEST_SIZE);
    put_bytes(w, r->origin.state.b, DIGEST_SIZE);
    put_bytes(w, r->origin.preprocessing.b, DIGEST_SIZE);
    ridge_options_put(&r->options, w);
    put_u32(w, (uint32_t)r->width);
    put_u32(w, r->n_owners);
    put_u32(w, r->n_classes);
    put_owners(w, r);
    put_u32(w, r->n_choices);
    for (uint32_t i = 0; i < r->n_choices; i++) {
        const struct ridge_choice *choice = &r->choices[i];
        put_f64(w, choice->lambda);
        put_u8(w, choice->voted != 0);
        for (uint32_t g = 0; choice->voted && g < RIDGE_ROUTER_GRID; g++)
            put_f64(w, choice->error[g]);
    }
    for (uint32_t c = 0; c < r->n_classes; c++)
        put_f64(w, r->shares[c]);
    for (size_t j = 0; j < r->n_classes * r->width; j++)
        put_f64(w, r->weights[j]);
}

size_t ridge_router_encoded_size(const struct ridge_router *r)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    put_router(&w, r);
    return w.used;
}

void ridge_router_encode(const struct ridge_router *r, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    put_router(&w, r);
    INVARIANT(!w.failed && w.used == size);
}

/* ------------------------------------------------------------------ reading */

static enum status get_header(struct byte_reader *r, struct ridge_router *to, struct fault *f)
{
    char magic[sizeof router_magic];
    get_bytes(r, magic, sizeof magic);
    if (r->failed || memcmp(magic, router_magic, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "router", "not a solved router");
    const uint32_t version = get_u32(r);
    if (version != RIDGE_ROUTER_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "router", "version %u of the record is unknown", version);
    get_bytes(r, to->origin.base.b, DIGEST_SIZE);
    get_bytes(r, to->origin.state.b, DIGEST_SIZE);
    get_bytes(r, to->origin.preprocessing.b, DIGEST_SIZE);
    TRY(ridge_options_get(r, &to->options, f));
    to->width = get_u32(r);
    to->n_owners = get_u32(r);
    to->n_classes = get_u32(r);
    if (r->failed || to->width <= to->options.features ||
        to->width > RIDGE_MAP_MAX_SOURCES + 8192 + 1)
        FAIL(f, STATUS_BAD_FORMAT, "router", "the header is damaged");
    if (to->n_owners < 1 || to->n_owners > RIDGE_ROUTER_OWNERS || to->n_classes < to->n_owners ||
        (r->size - r->used) / sizeof(double) / to->width < to->n_classes)
        FAIL(f, STATUS_BAD_FORMAT, "router", "%u owners of %u classes", to->n_owners,
             to->n_classes);
    to->n_choices = to->options.contrast == RIDGE_CONTRAST_OWNER ? to->n_owners : 1;
    return STATUS_OK;
}

size_t ridge_router_decode_plan(const void *bytes, size_t size)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct ridge_router to = {0};
    struct arena_plan p = {0};
    /* a damaged header fails before anything is taken */
    if (get_header(&r, &to, NULL) == STATUS_OK)
        ridge_router_plan_lists(&p, &to);
    return arena_plan_bytes(&p);
}

/* The owner's name, digest and classes; *column moves past them. */
static enum status get_owner(
    struct byte_reader *r, struct ridge_router *to, uint32_t i, uint32_t *column, struct fault *f)
{
    const uint32_t first = *column;
    get_string(r, to->owners[i], sizeof to->owners[i]);
    get_bytes(r, to->terms[i].b, DIGEST_SIZE);
    const uint32_t n = get_u32(r);
    if (r->failed || to->owners[i][0] == '\0' || n < 1 || n > to->n_classes - first)
        FAIL(f, STATUS_BAD_FORMAT, "router", "an owner is damaged");
    if (i > 0 && strcmp(to->owners[i - 1], to->owners[i]) >= 0)
        FAIL(f, STATUS_BAD_FORMAT, "router", "owners are not in order");
    for (; *column < first + n; ++*column) {
        char *name = to->classes[*column];
        get_string(r, name, RIDGE_TERMS_NAME_SIZE);
        if (r->failed || name[0] == '\0' ||
            (*column > first && strcmp(to->classes[*column - 1], name) >= 0))
            FAIL(f, STATUS_BAD_FORMAT, "router", "the classes of an owner are damaged");
        to->owner_of[*column] = i;
    }
    return STATUS_OK;
}

static enum status get_choice(struct byte_reader *r, struct ridge_choice *choice, struct fault *f)
{
    choice->lambda = get_f64(r);
    const uint8_t voted = get_u8(r);
    choice->voted = voted;
    if (r->failed || voted > 1 || !(choice->lambda > 0) || !isfinite(choice->lambda))
        FAIL(f, STATUS_BAD_FORMAT, "router", "a penalty is damaged");
    for (uint32_t g = 0; g < RIDGE_ROUTER_GRID; g++)
        choice->error[g] = voted ? get_f64(r) : (double)NAN;
    return STATUS_OK;
}

static enum status get_body(struct byte_reader *r, struct ridge_router *to, struct fault *f)
{
    uint32_t column = 0;
    for (uint32_t i = 0; i < to->n_owners; i++)
        TRY(get_owner(r, to, i, &column, f));
    if (column != to->n_classes || get_u32(r) != to->n_choices)
        FAIL(f, STATUS_BAD_FORMAT, "router", "the owners do not have the classes they should");
    for (uint32_t i = 0; i < to->n_choices; i++)
        TRY(get_choice(r, &to->choices[i], f));
    for (uint32_t c = 0; c < to->n_classes; c++) {
        to->shares[c] = get_f64(r);
        if (!(to->shares[c] >= 0 && to->shares[c] <= 1))
            FAIL(f, STATUS_BAD_FORMAT, "router", "a class' share is damaged");
    }
    for (size_t j = 0; j < to->n_classes * to->width; j++) {
        to->weights[j] = get_f64(r);
        if (!isfinite(to->weights[j]))
            FAIL(f, STATUS_BAD_FORMAT, "router", "a weight is not finite");
    }
    if (!byte_reader_done(r))
        FAIL(f, STATUS_BAD_FORMAT, "router", "the record does not end with its last weight");
    return STATUS_OK;
}

enum status ridge_router_decode(const void *bytes,
                                size_t size,
                                struct arena *arena,
                                struct ridge_router *ret_router,
                                struct fault *f)
{
    const struct arena_mark start = arena_mark(arena);
    struct byte_reader r = byte_reader_make(bytes, size);
    struct ridge_router to = {0};
    TRY(get_header(&r, &to, f));
    if (ridge_router_allocate(&to, arena) != 0) {
        arena_rewind(arena, start);
        FAIL(f, STATUS_NO_MEMORY, "router", "no room for %u classes", to.n_classes);
    }
    const enum status s = get_body(&r, &to, f);
    if (s != STATUS_OK) {
        arena_rewind(arena, start);
        return s;
    }
    *ret_router = to;
    return STATUS_OK;
}
