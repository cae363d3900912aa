#include "bench/multilane/lane_compose.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "learners/methods/multilane/lane.h"

static int same_sizes(const struct lane *a, const struct lane *b)
{
    return a->options.selectors == b->options.selectors &&
           a->options.prompts == b->options.prompts &&
           a->options.prompt_blocks == b->options.prompt_blocks && a->width == b->width &&
           a->multi_label == b->multi_label;
}

/* The composed lane over [n] decoded ones, its lists from the arena. */
static enum status compose(const struct lane *lanes,
                           uint32_t n,
                           const struct vit_config *c,
                           struct arena *arena,
                           struct lane *ret_lane,
                           struct fault *f)
{
    struct lane x = lanes[n - 1];
    x.n_classes = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!same_sizes(&lanes[i], &x))
            FAIL(f, STATUS_INVALID_ARGUMENT, "lanes", "lanes of different sizes");
        x.n_classes += lanes[i].n_classes;
    }
    struct lane_class *classes = arena_alloc(arena, x.n_classes, sizeof *classes);
    x.block = arena_alloc(arena, lane_floats(c, &x.options, x.n_classes), sizeof(float));
    if (!classes || !x.block)
        FAIL(f, STATUS_NO_MEMORY, "lanes", "no memory for %u classes", x.n_classes);
    struct lane_parameters to;
    lane_map(c, &x.options, x.n_classes, x.block, &to);
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; at += lanes[i++].n_classes) {
        const uint32_t k = lanes[i].n_classes;
        struct lane_parameters from;
        lane_map(c, &x.options, k, lanes[i].block, &from);
        memcpy(to.head_w + (size_t)at * c->width, from.head_w,
               (size_t)k * c->width * sizeof(float));
        memcpy(to.head_b + at, from.head_b, k * sizeof(float));
        memcpy(classes + at, lanes[i].classes, k * sizeof *classes);
        if (i + 1 == n)
            memcpy(to.selectors, from.selectors,
                   (size_t)(from.head_w - from.selectors) * sizeof(float));
    }
    x.classes = classes;
    *ret_lane = x;
    return STATUS_OK;
}

static enum status decode_and_compose(const struct learner_part *parts,
                                      uint32_t n,
                                      const struct vit_config *config,
                                      struct arena *arena,
                                      struct lane_composed *ret_composed,
                                      struct fault *f)
{
    struct lane *lanes = arena_alloc(arena, n, sizeof *lanes), x;
    if (!lanes)
        FAIL(f, STATUS_NO_MEMORY, "lanes", "no memory for %u lanes", n);
    for (uint32_t i = 0; i < n; i++)
        TRY(lane_decode(parts[i].bytes, parts[i].size, config, NULL, arena, &lanes[i], f));
    TRY(compose(lanes, n, config, arena, &x, f));
    const size_t size = lane_encoded_size(&x);
    void *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "lanes", "no memory for a lane of %zu bytes", size);
    lane_encode(&x, bytes, size);
    ret_composed->bytes = bytes;
    ret_composed->part = (struct learner_part){
        .kind = parts[0].kind, .name = "composed", .bytes = bytes, .size = size};
    return STATUS_OK;
}

enum status lane_compose(const struct learner_part *parts,
                         uint32_t n,
                         const struct vit_config *config,
                         struct lane_composed *ret_composed,
                         struct fault *f)
{
    struct arena arena;
    size_t bytes = n * sizeof(struct lane) + 4096;
    /* decoded, and once more as part of the whole */
    for (uint32_t i = 0; i < n; i++)
        bytes += lane_decode_plan(parts[i].size) + 2 * parts[i].size +
                 VIT_MAX_CLASSES / 100 * sizeof(struct lane_class);
    void *memory = sysio_alloc(bytes, 1);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, "lanes", "no memory for %zu bytes", bytes);
    arena_init(&arena, memory, bytes);
    const enum status st = decode_and_compose(parts, n, config, &arena, ret_composed, f);
    sysio_free(memory);
    return st;
}

void lane_compose_free(struct lane_composed *c)
{
    sysio_free(c->bytes);
    c->bytes = NULL;
}
