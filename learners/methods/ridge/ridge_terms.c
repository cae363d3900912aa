#include "learners/methods/ridge/ridge_terms.h"

#include <string.h>

#include "daemon/base/invariant.h"
#include "learners/methods/ridge/ridge_map.h"

static const char terms_magic[8] = {'L', 'R', 'I', 'D', 'G', 'E', '1', '\n'};

uint32_t ridge_terms_classes(const struct ridge_terms *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++)
        n += t->terms[i].n_classes;
    return n;
}

/* ------------------------------------------------------------------ writing */

static void put_header(struct byte_writer *w, const struct ridge_terms *t)
{
    put_bytes(w, terms_magic, sizeof terms_magic);
    put_u32(w, RIDGE_TERMS_VERSION);
    put_bytes(w, t->origin.base.b, DIGEST_SIZE);
    put_bytes(w, t->origin.state.b, DIGEST_SIZE);
    put_bytes(w, t->origin.preprocessing.b, DIGEST_SIZE);
    put_bytes(w, t->origin.data.b, DIGEST_SIZE);
    put_bytes(w, t->origin.request.b, REQUEST_ID_SIZE);
    ridge_options_put(&t->options, w);
    put_u32(w, (uint32_t)t->width);
    put_string(w, t->owner);
    put_u8(w, t->multi != 0);
    put_u32(w, t->n);
    put_u32(w, ridge_terms_classes(t));
}

static void put_sum(struct byte_writer *w, const struct ridge_packed *p)
{
    put_u64(w, p->n);
    for (uint32_t c = 0; c < p->columns; c++)
        put_u64(w, p->positives[c]);
    put_bytes(w, p->bytes, p->size);
}

static void put_terms(struct byte_writer *w, const struct ridge_terms *t)
{
    put_header(w, t);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct ridge_term *term = &t->terms[i];
        put_u32(w, term->n_classes);
        for (uint32_t c = 0; c < term->n_classes; c++)
            put_string(w, term->classes[c]);
        put_sum(w, &term->fit);
        put_sum(w, &term->held);
    }
}

size_t ridge_terms_encoded_size(const struct ridge_terms *t)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    put_terms(&w, t);
    return w.used;
}

void ridge_terms_encode(const struct ridge_terms *t, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    put_terms(&w, t);
    INVARIANT(!w.failed && w.used == size);
}

/* ------------------------------------------------------------------ reading */

/* One decode: what it takes from the arena, sized by the header. */
struct terms_reader {
    struct byte_reader r;
    uint32_t n_classes;   /* of the header */
    uint32_t read;        /* classes so far */
    const char **names;   /* [n_classes] */
    char *text;           /* [n_classes, RIDGE_TERMS_NAME_SIZE] */
    uint64_t *positives;  /* [2, n_classes] */
    uint32_t n_positives; /* used */
};

static enum status
get_header(struct byte_reader *r, struct ridge_terms *t, uint32_t *ret_classes, struct fault *f)
{
    char magic[sizeof terms_magic];
    get_bytes(r, magic, sizeof magic);
    if (r->failed || memcmp(magic, terms_magic, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "term", "not a record of the router");
    const uint32_t version = get_u32(r);
    if (version != RIDGE_TERMS_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "term", "version %u of the record is unknown", version);
    get_bytes(r, t->origin.base.b, DIGEST_SIZE);
    get_bytes(r, t->origin.state.b, DIGEST_SIZE);
    get_bytes(r, t->origin.preprocessing.b, DIGEST_SIZE);
    get_bytes(r, t->origin.data.b, DIGEST_SIZE);
    get_bytes(r, t->origin.request.b, REQUEST_ID_SIZE);
    TRY(ridge_options_get(r, &t->options, f));
    t->width = get_u32(r);
    get_string(r, t->owner, sizeof t->owner);
    const uint8_t multi = get_u8(r);
    t->multi = multi;
    t->n = get_u32(r);
    *ret_classes = get_u32(r);
    if (r->failed || multi > 1 || t->owner[0] == '\0')
        FAIL(f, STATUS_BAD_FORMAT, "term", "the header is damaged");
    if (t->n < 1 || *ret_classes < t->n || *ret_classes > RIDGE_TERMS_MAX_CLASSES ||
        t->n != (multi ? 1 : *ret_classes))
        FAIL(f, STATUS_BAD_FORMAT, "term", "%u terms of %u classes", t->n, *ret_classes);
    if (t->width <= t->options.features || t->width > RIDGE_MAP_MAX_SOURCES + 8192 + 1)
        FAIL(f, STATUS_BAD_FORMAT, "term", "%zu numbers a row", t->width);
    return STATUS_OK;
}

int ridge_terms_sizes_of(const void *bytes, size_t size, struct ridge_terms_sizes *ret_sizes)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct ridge_terms t = {0};
    uint32_t n_classes = 0;
    if (get_header(&r, &t, &n_classes, NULL) != STATUS_OK)
        return -1;
    *ret_sizes = (struct ridge_terms_sizes){t.width, t.n, n_classes};
    return 0;
}

size_t ridge_terms_decode_plan(const void *bytes, size_t size)
{
    struct ridge_terms_sizes s;
    struct arena_plan p = {0};
    arena_plan_add(&p, size, 1);
    /* a damaged header fails before anything else is taken */
    if (ridge_terms_sizes_of(bytes, size, &s) == 0) {
        arena_plan_add(&p, s.n_terms, sizeof(struct ridge_term));
        arena_plan_add(&p, s.n_classes, sizeof(char *));
        arena_plan_add(&p, s.n_classes, RIDGE_TERMS_NAME_SIZE);
        arena_plan_add(&p, s.n_classes, 2 * sizeof(uint64_t));
    }
    return arena_plan_bytes(&p);
}

static enum status get_names(struct terms_reader *d, struct ridge_term *term, struct fault *f)
{
    term->n_classes = get_u32(&d->r);
    if (d->r.failed || term->n_classes < 1 || term->n_classes > d->n_classes - d->read)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a term's number of classes is damaged");
    term->classes = d->names + d->read;
    for (uint32_t c = 0; c < term->n_classes; c++, d->read++) {
        char *text = d->text + (size_t)d->read * RIDGE_TERMS_NAME_SIZE;
        get_string(&d->r, text, RIDGE_TERMS_NAME_SIZE);
        if (d->r.failed || text[0] == '\0')
            FAIL(f, STATUS_BAD_FORMAT, "term", "a class name is damaged");
        if (d->read > 0 && strcmp(d->names[d->read - 1], text) >= 0)
            FAIL(f, STATUS_BAD_FORMAT, "term", "class names are not in order");
        d->names[d->read] = text;
    }
    return STATUS_OK;
}

static enum status get_sum(struct terms_reader *d,
                           const struct ridge_terms *t,
                           const struct ridge_term *term,
                           struct ridge_packed *ret_p,
                           struct fault *f)
{
    struct ridge_packed p = {.width = t->width,
                             .columns = term->n_classes,
                             .n = get_u64(&d->r),
                             .positives = d->positives + d->n_positives};
    for (uint32_t c = 0; c < p.columns; c++) {
        const uint64_t n = get_u64(&d->r);
        if (d->r.failed || n > p.n || (!t->multi && n != p.n))
            FAIL(f, STATUS_BAD_FORMAT, "term", "a class's number of images is damaged");
        d->positives[d->n_positives++] = n;
    }
    TRY(ridge_packed_read(&d->r, &p, f));
    *ret_p = p;
    return STATUS_OK;
}

static enum status get_term(struct terms_reader *d,
                            const struct ridge_terms *t,
                            struct ridge_term *term,
                            struct fault *f)
{
    TRY(get_names(d, term, f));
    if (!t->multi && term->n_classes != 1)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a single-label term has %u classes", term->n_classes);
    TRY(get_sum(d, t, term, &term->fit, f));
    TRY(get_sum(d, t, term, &term->held, f));
    if (term->fit.n == 0)
        FAIL(f, STATUS_BAD_FORMAT, "term", "a term has no images");
    return STATUS_OK;
}

static enum status
get_terms(struct terms_reader *d, struct arena *arena, struct ridge_terms *t, struct fault *f)
{
    TRY(get_header(&d->r, t, &d->n_classes, f));
    t->terms = arena_alloc(arena, t->n, sizeof *t->terms);
    d->names = arena_alloc(arena, d->n_classes, sizeof *d->names);
    d->text = arena_alloc(arena, d->n_classes, RIDGE_TERMS_NAME_SIZE);
    d->positives = arena_alloc(arena, d->n_classes, 2 * sizeof *d->positives);
    if (!t->terms || !d->names || !d->text || !d->positives)
        FAIL(f, STATUS_NO_MEMORY, "term", "no room for %u terms", t->n);
    for (uint32_t i = 0; i < t->n; i++)
        TRY(get_term(d, t, &t->terms[i], f));
    if (!byte_reader_done(&d->r) || d->read != d->n_classes)
        FAIL(f, STATUS_BAD_FORMAT, "term", "the record does not end with its last term");
    return STATUS_OK;
}

enum status ridge_terms_decode(const void *bytes,
                               size_t size,
                               struct arena *arena,
                               struct ridge_terms *ret_terms,
                               struct fault *f)
{
    const struct arena_mark start = arena_mark(arena);
    struct ridge_terms t = {0};
    void *copy = arena_alloc(arena, size ? size : 1, 1);
    if (!copy)
        FAIL(f, STATUS_NO_MEMORY, "term", "no room for a record of %zu bytes", size);
    memcpy(copy, bytes, size);
    struct terms_reader d = {.r = byte_reader_make(copy, size)};
    const enum status s = get_terms(&d, arena, &t, f);
    if (s != STATUS_OK) {
        arena_rewind(arena, start);
        return s;
    }
    *ret_terms = t;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ use */

static enum status check_digest(const char *field,
                                const struct digest *made,
                                const struct digest *here,
                                struct fault *f)
{
    char a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];
    if (digest_is_zero(here) || digest_equal(made, here))
        return STATUS_OK;
    digest_format(made, a);
    digest_format(here, b);
    FAIL(f, STATUS_FAILED_PRECONDITION, field,
         "the router's terms were made on %s %.16s, this one is %.16s", field, a, b);
}

enum status
ridge_terms_check(const struct ridge_terms *t, const struct ridge_origin *here, struct fault *f)
{
    TRY(check_digest("base", &t->origin.base, &here->base, f));
    TRY(check_digest("trunk", &t->origin.state, &here->state, f));
    return check_digest("preprocessing", &t->origin.preprocessing, &here->preprocessing, f);
}

enum status ridge_terms_drop(struct ridge_terms *t,
                             const char *class_name,
                             const struct digest *data,
                             struct fault *f)
{
    uint32_t at = 0;
    if (t->multi)
        FAIL(f, STATUS_FAILED_PRECONDITION, "class",
             "%s has one term for all its classes: compute it again without '%s'", t->owner,
             class_name);
    while (at < t->n && strcmp(t->terms[at].classes[0], class_name) != 0)
        at++;
    if (at == t->n)
        FAIL(f, STATUS_NOT_FOUND, "class", "%s has no class '%s'", t->owner, class_name);
    if (t->n == 1)
        FAIL(f, STATUS_FAILED_PRECONDITION, "class", "'%s' is the only class of %s", class_name,
             t->owner);
    memmove(t->terms + at, t->terms + at + 1, (t->n - at - 1) * sizeof *t->terms);
    t->n--;
    t->origin.data = *data;
    return STATUS_OK;
}
