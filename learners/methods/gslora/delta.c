#include "learners/methods/gslora/delta.h"

#include "daemon/base/invariant.h"
#include "learners/math/reduce.h"

#include <math.h>
#include <string.h>

static const char delta_magic[8] = {'L', 'D', 'E', 'L', 'T', 'A', '1', '\n'};

uint32_t delta_blocks(const struct delta *d)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < d->depth; l++)
        n += d->lora.blocks[l].awake != 0;
    return n;
}

uint32_t delta_first_block(const struct delta *d)
{
    for (uint32_t l = 0; l < d->depth; l++)
        if (d->lora.blocks[l].awake)
            return l + 1;
    return d->depth + 1;
}

void delta_group_norms(const struct delta *d, float *ret_norms)
{
    const size_t r = d->lora.rank;
    for (uint32_t l = 0; l < d->depth; l++) {
        const struct vit_lora_block *b = &d->lora.blocks[l];
        ret_norms[l] = 0.0f;
        if (!b->awake)
            continue;
        const double squares =
            reduce_squares(b->a1, r * d->width) + reduce_squares(b->b1, r * d->hidden) +
            reduce_squares(b->a2, r * d->hidden) + reduce_squares(b->b2, r * d->width);
        ret_norms[l] = (float)sqrt(squares);
    }
}

size_t delta_group_floats(uint32_t width, uint32_t hidden, uint32_t rank)
{
    return 2 * (size_t)rank * ((size_t)width + hidden);
}

/* ------------------------------------------------------------------ record */

static void put_floats(struct byte_writer *w, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_f32(w, x[i]);
}

static void put_numbers(struct byte_writer *w, const uint32_t *x, uint32_t n)
{
    put_u32(w, n);
    for (uint32_t i = 0; i < n; i++)
        put_u32(w, x[i]);
}

static void put_header(struct byte_writer *w, const struct delta *d)
{
    put_bytes(w, delta_magic, sizeof delta_magic);
    put_u32(w, DELTA_VERSION);
    put_bytes(w, d->origin.base.b, DIGEST_SIZE);
    put_bytes(w, d->origin.parent.b, DIGEST_SIZE);
    put_bytes(w, d->origin.memory.b, DIGEST_SIZE);
    put_bytes(w, d->origin.prototypes.b, DIGEST_SIZE);
    put_bytes(w, d->origin.request.b, REQUEST_ID_SIZE);
    put_u64(w, d->origin.seed);
    put_u32(w, d->depth);
    put_u32(w, d->width);
    put_u32(w, d->hidden);
    put_u32(w, d->classes);
    put_u32(w, d->lora.rank);
    put_f32(w, d->lora.scale);
    gslora_options_put(&d->options, w);
    put_numbers(w, d->erased, d->n_erased);
    put_numbers(w, d->trained_with, d->n_trained_with);
}

static void put_delta(struct byte_writer *w, const struct delta *d)
{
    put_header(w, d);
    put_u32(w, delta_blocks(d));
    for (uint32_t l = 0; l < d->depth; l++)
        if (d->lora.blocks[l].awake)
            put_u32(w, l);
    const size_t r = d->lora.rank;
    for (uint32_t l = 0; l < d->depth; l++) {
        const struct vit_lora_block *b = &d->lora.blocks[l];
        if (!b->awake)
            continue;
        put_floats(w, b->a1, r * d->width);
        put_floats(w, b->b1, d->hidden * r);
        put_floats(w, b->a2, r * d->hidden);
        put_floats(w, b->b2, d->width * r);
    }
}

size_t delta_encoded_size(const struct delta *d)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    put_header(&w, d);
    const size_t n = delta_blocks(d);
    return w.used + 4 + n * (4 + 4 * delta_group_floats(d->width, d->hidden, d->lora.rank));
}

void delta_encode(const struct delta *d, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    put_delta(&w, d);
    INVARIANT(!w.failed && w.used == size);
}

static enum status
get_floats(struct byte_reader *r, size_t n, struct arena *arena, float **ret_x, struct fault *f)
{
    float *x = arena_alloc(arena, n, sizeof *x);
    if (!x)
        FAIL(f, STATUS_NO_MEMORY, "delta", "no room for %zu numbers", n);
    for (size_t i = 0; i < n; i++) {
        x[i] = get_f32(r);
        if (!isfinite(x[i]))
            FAIL(f, STATUS_BAD_FORMAT, "delta", "a matrix holds a number that is not finite");
    }
    *ret_x = x;
    return STATUS_OK;
}

/* A list of numbers below `limit`, strictly ascending. */
static enum status get_numbers(struct byte_reader *r,
                               const char *field,
                               uint32_t limit,
                               struct arena *arena,
                               uint32_t *ret_n,
                               const uint32_t **ret_list,
                               struct fault *f)
{
    const uint32_t n = get_u32(r);
    if (r->failed || n > limit)
        FAIL(f, STATUS_BAD_FORMAT, field, "%u entries; at most %u are possible", n, limit);
    uint32_t *list = arena_alloc(arena, n ? n : 1, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, field, "no room for %u numbers", n);
    for (uint32_t i = 0; i < n; i++) {
        list[i] = get_u32(r);
        if (r->failed || list[i] >= limit || (i > 0 && list[i] <= list[i - 1]))
            FAIL(f, STATUS_BAD_FORMAT, field, "numbers are not ascending and below %u", limit);
    }
    *ret_n = n;
    *ret_list = list;
    return STATUS_OK;
}

static enum status
get_sizes(struct byte_reader *r, const struct vit_config *c, struct delta *d, struct fault *f)
{
    d->depth = get_u32(r);
    d->width = get_u32(r);
    d->hidden = get_u32(r);
    d->classes = get_u32(r);
    d->lora.rank = get_u32(r);
    d->lora.scale = get_f32(r);
    if (r->failed)
        FAIL(f, STATUS_BAD_FORMAT, "delta", "the record ends within its header");
    if (d->depth != c->depth || d->width != c->width || d->hidden != c->hidden ||
        d->classes != c->classes)
        FAIL(f, STATUS_FAILED_PRECONDITION, "delta",
             "made for %u blocks, width %u, hidden %u, %u classes; the model has %u, %u, %u, %u",
             d->depth, d->width, d->hidden, d->classes, c->depth, c->width, c->hidden, c->classes);
    if (d->lora.rank == 0 || d->lora.rank > VIT_MAX_RANK || !isfinite(d->lora.scale))
        FAIL(f, STATUS_BAD_FORMAT, "rank", "rank %u or its scale is impossible", d->lora.rank);
    return STATUS_OK;
}

static enum status get_header(struct byte_reader *r,
                              const struct vit_config *c,
                              struct arena *arena,
                              struct delta *d,
                              struct fault *f)
{
    char magic[sizeof delta_magic];
    get_bytes(r, magic, sizeof magic);
    if (memcmp(magic, delta_magic, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "delta", "not a delta record");
    const uint32_t version = get_u32(r);
    if (version != DELTA_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "delta", "version %u is unknown", version);
    get_bytes(r, d->origin.base.b, DIGEST_SIZE);
    get_bytes(r, d->origin.parent.b, DIGEST_SIZE);
    get_bytes(r, d->origin.memory.b, DIGEST_SIZE);
    get_bytes(r, d->origin.prototypes.b, DIGEST_SIZE);
    get_bytes(r, d->origin.request.b, REQUEST_ID_SIZE);
    d->origin.seed = get_u64(r);
    TRY(get_sizes(r, c, d, f));
    TRY(gslora_options_get(r, &d->options, f));
    TRY(get_numbers(r, "erased", c->classes, arena, &d->n_erased, &d->erased, f));
    return get_numbers(r, "trained_with", c->classes, arena, &d->n_trained_with, &d->trained_with,
                       f);
}

static enum status
get_blocks(struct byte_reader *r, struct arena *arena, struct delta *d, struct fault *f)
{
    uint32_t n;
    const uint32_t *present;
    TRY(get_numbers(r, "blocks", d->depth, arena, &n, &present, f));
    const size_t floats = delta_group_floats(d->width, d->hidden, d->lora.rank);
    if (r->size - r->used != n * floats * sizeof(float))
        FAIL(f, STATUS_BAD_FORMAT, "blocks", "%u blocks do not fit the record's size", n);
    const size_t rank = d->lora.rank;
    for (uint32_t i = 0; i < n; i++) {
        struct vit_lora_block *b = &d->lora.blocks[present[i]];
        TRY(get_floats(r, rank * d->width, arena, &b->a1, f));
        TRY(get_floats(r, d->hidden * rank, arena, &b->b1, f));
        TRY(get_floats(r, rank * d->hidden, arena, &b->a2, f));
        TRY(get_floats(r, d->width * rank, arena, &b->b2, f));
        b->awake = 1;
    }
    return STATUS_OK;
}

enum status delta_decode(const void *bytes,
                         size_t size,
                         const struct vit_config *config,
                         struct arena *arena,
                         struct delta *ret_delta,
                         struct fault *f)
{
    const struct arena_mark mark = arena_mark(arena);
    struct byte_reader r = byte_reader_make(bytes, size);
    struct delta d = {0};
    enum status s = get_header(&r, config, arena, &d, f);
    if (s == STATUS_OK)
        s = get_blocks(&r, arena, &d, f);
    if (s == STATUS_OK && !byte_reader_done(&r))
        s = fault_set(f, STATUS_BAD_FORMAT, __FILE__, __LINE__, "delta",
                      "bytes are left after the record");
    if (s != STATUS_OK) {
        arena_rewind(arena, mark);
        return s;
    }
    *ret_delta = d;
    return STATUS_OK;
}

size_t delta_decode_plan(size_t size)
{
    /* the record's own bytes, and rounding and red zones of 3 lists and 4 matrices a block */
    const size_t pieces = 3 + 4 * (size_t)VIT_MAX_DEPTH;
    struct arena_plan p = {0};
    arena_plan_add(&p, size, 1);
    for (size_t i = 0; i < pieces; i++)
        arena_plan_add(&p, 1, sizeof(float));
    return arena_plan_bytes(&p);
}

/* ------------------------------------------------------------------ folding */

size_t delta_fold_floats(const struct vit_config *config)
{
    return 2 * (size_t)config->depth * config->hidden * config->width;
}

void delta_fold_map(const struct vit_config *config,
                    const struct vit_weights *base,
                    float *memory,
                    struct vit_weights *ret_out)
{
    const size_t matrix = (size_t)config->hidden * config->width;
    *ret_out = *base;
    for (uint32_t l = 0; l < config->depth; l++) {
        ret_out->blocks[l].fc1_w = memory + 2 * l * matrix;
        ret_out->blocks[l].fc2_w = memory + (2 * l + 1) * matrix;
    }
}

void delta_fold(const struct vit_config *config,
                const struct vit_weights *base,
                const struct delta *deltas,
                uint32_t n,
                struct vit_weights *out)
{
    const size_t c = config->width, h = config->hidden;
    for (uint32_t l = 0; l < config->depth; l++) {
        struct vit_block *to = &out->blocks[l];
        INVARIANT(to->fc1_w != base->blocks[l].fc1_w && to->fc2_w != base->blocks[l].fc2_w);
        memcpy(to->fc1_w, base->blocks[l].fc1_w, h * c * sizeof(float));
        memcpy(to->fc2_w, base->blocks[l].fc2_w, h * c * sizeof(float));
        for (uint32_t k = 0; k < n; k++) {
            const struct vit_lora_block *b = &deltas[k].lora.blocks[l];
            if (!b->awake)
                continue;
            const uint32_t r = deltas[k].lora.rank;
            const float s = deltas[k].lora.scale;
            vit_lora_fold(to->fc1_w, b->b1, b->a1, s, h, c, r, to->fc1_w);
            vit_lora_fold(to->fc2_w, b->b2, b->a2, s, c, h, r, to->fc2_w);
        }
    }
}
