#include "learners/methods/ridge/ridge_map.h"

#include <math.h>
#include <string.h>

#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"
#include "learners/math/elementwise.h"
#include "learners/math/vector.h"

#define MAP_MAGIC    0x524d4150u
#define SOURCE_UNIT  16.0f /* a source is in 1/16 */
#define SOURCE_LIMIT 127.0f
#define FEATURE_UNIT ((float)RIDGE_MAP_UNIT)
#define SIGN_BIT     0x80000000u
#define SMALL        16 /* least order of a transform */

/* What is read, from config and options. */
struct map_sizes {
    uint32_t first, last; /* blocks, from 0 */
    uint32_t side;        /* patches a side */
    uint32_t regions;     /* a side */
    uint32_t tokens;
    size_t width;   /* C */
    size_t vectors; /* read of an image */
    size_t sources; /* R */
    size_t order;   /* of the transform */
    size_t rounds;
    size_t random; /* D */
    size_t row;    /* P */
};

struct ridge_map {
    uint32_t magic;
    struct map_sizes s;
    float eps;
    uint32_t n_max;
    struct pool *pool;
    uint32_t *place; /* [rounds, R] where a source enters the transform; SIGN_BIT: negated */
    uint32_t *pick;  /* [D] which output of its round is feature j */
    float *seen;     /* [n_max, R] sources as the trunk gave them */
    int32_t *whole;  /* [threads, R] normalised and rounded */
    int32_t *mixed;  /* [threads, order] */
};

static uint32_t vectors_of_block(const struct map_sizes *s, uint32_t block)
{
    const uint32_t tokens = s->tokens ? (block == 0 ? 1 : 2) : 0;
    return tokens + s->regions * s->regions;
}

/* 0 if they fit, -1 with *ret_field naming the option that does not. */
static int sizes_of(const struct vit_config *c,
                    const struct ridge_options *o,
                    struct map_sizes *ret_s,
                    const char **ret_field)
{
    struct map_sizes s = {.first = o->first_block - 1,
                          .last = o->last_block && o->last_block < c->depth ? o->last_block - 1
                                                                            : c->depth - 1,
                          .side = c->image_size / c->patch_size,
                          .tokens = o->tokens,
                          .width = c->width,
                          .random = o->features,
                          .order = SMALL};
    *ret_field = "first_block";
    if (o->first_block < 1 || s.first > s.last)
        return -1;
    s.regions = o->regions < s.side ? o->regions : s.side;
    for (uint32_t b = s.first; b <= s.last; b++)
        s.vectors += vectors_of_block(&s, b);
    s.vectors += s.tokens;
    s.sources = s.vectors * s.width;
    *ret_field = "regions";
    if (s.sources == 0 || s.sources > RIDGE_MAP_MAX_SOURCES)
        return -1;
    while (s.order < s.sources)
        s.order *= 2;
    s.rounds = (s.random + s.order - 1) / s.order;
    s.row = s.random + (o->raw ? s.sources : 0) + 1;
    *ret_s = s;
    return 0;
}

size_t ridge_map_width_of(const struct vit_config *c, const struct ridge_options *o)
{
    struct map_sizes s;
    const char *field;
    return sizes_of(c, o, &s, &field) == 0 ? s.row : 0;
}

size_t ridge_map_plan(const struct vit_config *c,
                      const struct ridge_options *o,
                      uint32_t n_max,
                      uint32_t threads)
{
    struct map_sizes s;
    const char *field;
    if (sizes_of(c, o, &s, &field) != 0)
        return SIZE_MAX;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct ridge_map));
    arena_plan_add(&p, s.rounds * s.sources, sizeof(uint32_t));
    arena_plan_add(&p, s.random, sizeof(uint32_t));
    arena_plan_add(&p, n_max, s.sources * sizeof(float));
    arena_plan_add(&p, threads, s.sources * sizeof(int32_t));
    arena_plan_add(&p, threads, s.order * sizeof(int32_t));
    /* while the map is drawn */
    arena_plan_add(&p, s.order, sizeof(uint32_t));
    return arena_plan_bytes(&p);
}

/* ------------------------------------------------------------------ drawing */

/* The root of the map's streams: the first 24 bytes of the base's digest. */
static struct rng_root root_of(const struct digest *base)
{
    struct rng_root root = {0};
    struct byte_reader r = byte_reader_make(base->b, DIGEST_SIZE);
    root.seed = get_u64(&r);
    get_bytes(&r, root.request, sizeof root.request);
    return root;
}

static void shuffled(struct rng *r, uint32_t *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        items[i] = (uint32_t)i;
    rng_shuffle(r, items, n);
}

/* Places and signs of every round, and which outputs are taken.  -1: no room for scratch. */
static int draw(struct ridge_map *m, const struct digest *base, struct arena *arena)
{
    const struct map_sizes *s = &m->s;
    const struct arena_mark mark = arena_mark(arena);
    uint32_t *items = arena_alloc(arena, s->order, sizeof *items);
    if (!items)
        return -1;
    const struct rng_root root = root_of(base);
    for (size_t round = 0; round < s->rounds; round++) {
        struct rng r;
        uint32_t *place = m->place + round * s->sources;
        rng_init(&r, &root, "ridge.places", round);
        shuffled(&r, items, s->order);
        for (size_t i = 0; i < s->sources; i++)
            place[i] = items[i] | (rng_u64(&r) >> 63 ? SIGN_BIT : 0);
        rng_init(&r, &root, "ridge.picks", round);
        shuffled(&r, items, s->order);
        const size_t at = round * s->order, left = s->random - at;
        memcpy(m->pick + at, items, (left < s->order ? left : s->order) * sizeof *items);
    }
    arena_rewind(arena, mark);
    return 0;
}

static int map_allocate(struct ridge_map *m, struct arena *arena)
{
    const struct map_sizes *s = &m->s;
    const uint32_t threads = pool_threads(m->pool);
    m->place = arena_alloc(arena, s->rounds * s->sources, sizeof *m->place);
    m->pick = arena_alloc(arena, s->random, sizeof *m->pick);
    m->seen = arena_alloc(arena, m->n_max, s->sources * sizeof *m->seen);
    m->whole = arena_alloc(arena, threads, s->sources * sizeof *m->whole);
    m->mixed = arena_alloc(arena, threads, s->order * sizeof *m->mixed);
    return m->place && m->pick && m->seen && m->whole && m->mixed;
}

enum status ridge_map_new(const struct vit_config *c,
                          const struct ridge_options *o,
                          const struct digest *base,
                          uint32_t n_max,
                          struct pool *pool,
                          struct arena *arena,
                          struct ridge_map **ret_map,
                          struct fault *f)
{
    struct map_sizes s;
    const char *field;
    TRY(ridge_options_check(o, f));
    if (sizes_of(c, o, &s, &field) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, field,
             "does not fit a model of %u blocks of width %u (at most %u inputs)", c->depth,
             c->width, RIDGE_MAP_MAX_SOURCES);
    const struct arena_mark start = arena_mark(arena);
    struct ridge_map *m = arena_alloc(arena, 1, sizeof *m);
    if (m)
        *m = (struct ridge_map){
            .magic = MAP_MAGIC, .s = s, .eps = c->ln_eps, .n_max = n_max, .pool = pool};
    if (!m || !map_allocate(m, arena) || draw(m, base, arena) != 0) {
        arena_rewind(arena, start);
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    }
    *ret_map = m;
    return STATUS_OK;
}

size_t ridge_map_width(const struct ridge_map *m)
{
    return m->s.row;
}

size_t ridge_map_sources(const struct ridge_map *m)
{
    return m->s.sources;
}

int ridge_map_reads_embedding(const struct ridge_map *m)
{
    return m->s.tokens != 0;
}

/* ------------------------------------------------------------------ gathering */

/* Patches lo .. hi - 1 of one axis belong to region r; regions overlap where they do not divide. */
struct span {
    uint32_t lo, hi;
};

static struct span region_span(const struct map_sizes *s, uint32_t r)
{
    const struct span span = {r * s->side / s->regions,
                              ((r + 1) * s->side + s->regions - 1) / s->regions};
    return span;
}

/* Mean of the patch rows of a window, in row order; x [N, C] with the class row first. */
static void window_mean(
    const struct map_sizes *s, const float *x, struct span rows, struct span cols, float *out)
{
    const size_t c = s->width;
    memset(out, 0, c * sizeof *out);
    for (uint32_t y = rows.lo; y < rows.hi; y++)
        for (uint32_t z = cols.lo; z < cols.hi; z++)
            elementwise_add(out, x + (1 + (size_t)y * s->side + z) * c, c);
    elementwise_scale(out, 1.0f / (float)((rows.hi - rows.lo) * (cols.hi - cols.lo)), c);
}

void ridge_map_observe(void *map, const struct vit_observed *o)
{
    struct ridge_map *m = map;
    const struct map_sizes *s = &m->s;
    INVARIANT(m->magic == MAP_MAGIC && o->image < m->n_max);
    if (o->block < s->first || o->block > s->last)
        return;
    float *out = m->seen + o->image * s->sources;
    for (uint32_t b = s->first; b < o->block; b++)
        out += vectors_of_block(s, b) * s->width;
    if (s->tokens && o->block > 0) {
        memcpy(out, o->x, s->width * sizeof *out);
        out += s->width;
    }
    if (s->tokens) {
        window_mean(s, o->x, (struct span){0, s->side}, (struct span){0, s->side}, out);
        out += s->width;
    }
    for (uint32_t y = 0; y < s->regions; y++)
        for (uint32_t z = 0; z < s->regions; z++, out += s->width)
            window_mean(s, o->x, region_span(s, y), region_span(s, z), out);
}

/* ------------------------------------------------------------------ rows */

/* x within -limit .. limit, rounded to the nearest whole number; NaN counts as -limit. */
static inline float rounded(float x, float limit)
{
    x = x > -limit ? x : -limit;
    x = x < limit ? x : limit;
    return rintf(x);
}

struct vector_scale {
    float mean, inverse; /* (v - mean) * inverse */
};

static struct vector_scale scale_of(const float *v, size_t n, float eps)
{
    const float mean = vector_sum(v, n) / (float)n;
    float lane[VECTOR_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % VECTOR_LANES] += (v[i] - mean) * (v[i] - mean);
    const float variance = vector_lanes_sum(lane) / (float)n;
    return (struct vector_scale){mean, 1.0f / sqrtf(variance + eps)};
}

/* Sources of one image, normalised: whole [R] in 1/16 and, if asked for, raw [R] in
 * 1/RIDGE_MAP_UNIT. */
static void normalise(const struct ridge_map *m, const float *seen, int32_t *whole, float *raw)
{
    const size_t c = m->s.width;
    for (size_t v = 0; v < m->s.vectors; v++, seen += c) {
        const struct vector_scale scale = scale_of(seen, c, m->eps);
        for (size_t i = 0; i < c; i++) {
            const float x = (seen[i] - scale.mean) * scale.inverse;
            whole[v * c + i] = (int32_t)rounded(x * SOURCE_UNIT, SOURCE_LIMIT);
            if (raw)
                raw[v * c + i] = rounded(x * FEATURE_UNIT, (float)RIDGE_MAP_LEVELS);
        }
    }
}

/* The first stages on SMALL neighbours, in registers. */
static inline void hadamard_small(int32_t *z)
{
    for (size_t half = 1; half < SMALL; half *= 2) {
        for (size_t i = 0; i < SMALL; i++) {
            if (i & half)
                continue;
            const int32_t a = z[i], b = z[i + half];
            z[i] = a + b;
            z[i + half] = a - b;
        }
    }
}

/* Walsh-Hadamard transform in place, without scaling; n is a power of two, at least SMALL. */
VECTOR_CLONES static void hadamard(int32_t *z, size_t n)
{
    for (size_t at = 0; at < n; at += SMALL)
        hadamard_small(z + at);
    for (size_t half = SMALL; half < n; half *= 2) {
        for (size_t at = 0; at < n; at += 2 * half) {
            int32_t *restrict a = z + at, *restrict b = z + at + half;
            for (size_t i = 0; i < half; i++) {
                const int32_t sum = a[i] + b[i], difference = a[i] - b[i];
                a[i] = sum;
                b[i] = difference;
            }
        }
    }
}

/* The random features of one image. */
static void mix(const struct ridge_map *m, const int32_t *whole, int32_t *mixed, float *out)
{
    const struct map_sizes *s = &m->s;
    const float unit = FEATURE_UNIT / (SOURCE_UNIT * sqrtf((float)s->sources));
    for (size_t round = 0; round < s->rounds; round++) {
        const uint32_t *place = m->place + round * s->sources;
        memset(mixed, 0, s->order * sizeof *mixed);
        for (size_t i = 0; i < s->sources; i++)
            mixed[place[i] & ~SIGN_BIT] = place[i] & SIGN_BIT ? -whole[i] : whole[i];
        hadamard(mixed, s->order);
        const size_t at = round * s->order;
        for (size_t j = at; j < s->random && j < at + s->order; j++) {
            const float x = (float)mixed[m->pick[j]] * unit;
            out[j] = rounded(x > 0.0f ? x : 0.0f, (float)RIDGE_MAP_LEVELS);
        }
    }
}

struct rows_call {
    struct ridge_map *m;
    const float *embeddings;
    float *rows;
};

static void make_row(void *context, uint32_t i, uint32_t thread)
{
    const struct rows_call *call = context;
    const struct ridge_map *m = call->m;
    const struct map_sizes *s = &m->s;
    float *row = call->rows + i * s->row, *seen = m->seen + i * s->sources;
    int32_t *whole = m->whole + thread * s->sources;
    if (s->tokens)
        memcpy(seen + s->sources - s->width, call->embeddings + i * s->width,
               s->width * sizeof *seen);
    normalise(m, seen, whole, s->row > s->random + 1 ? row + s->random : NULL);
    mix(m, whole, m->mixed + thread * s->order, row);
    row[s->row - 1] = 1.0f;
}

void ridge_map_rows(struct ridge_map *m, uint32_t n, const float *embeddings, float *rows)
{
    INVARIANT(m->magic == MAP_MAGIC && n <= m->n_max && (embeddings || !m->s.tokens));
    struct rows_call call = {m, embeddings, rows};
    pool_run(m->pool, make_row, &call, n);
}
