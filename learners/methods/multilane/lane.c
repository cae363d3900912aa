#include "learners/methods/multilane/lane.h"

#include "daemon/base/invariant.h"

#include <math.h>
#include <string.h>

#define LANE_MAGIC_SIZE  8
#define LANE_HEAD_INIT   0.02f
#define LANE_CLASS_BYTES 9 /* of a class in a record, at least: length, one letter, threshold */

static const char lane_magic[LANE_MAGIC_SIZE] = {'L', 'L', 'A', 'N', 'E', '1', '\n', '\0'};

int lane_id_equal(const struct lane_id *a, const struct lane_id *b)
{
    return memcmp(a->b, b->b, LANE_ID_SIZE) == 0;
}

struct lane_id lane_id_of_name(const char *name)
{
    struct lane_id id;
    struct rng r;
    rng_init(&r, &(struct rng_root){0}, name, 0);
    for (size_t i = 0; i < LANE_ID_SIZE; i += 8) {
        const uint64_t x = rng_u64(&r);
        for (size_t j = 0; j < 8; j++)
            id.b[i + j] = (uint8_t)(x >> (8 * j));
    }
    return id;
}

static int lane_id_is_zero(const struct lane_id *a)
{
    return lane_id_equal(a, &(struct lane_id){0});
}

/* ------------------------------------------------------------------ parameters */

size_t lane_prompt_floats(const struct vit_config *c, const struct lane_options *o)
{
    return 2 * (size_t)o->prompt_blocks * o->prompts * c->width;
}

size_t lane_floats(const struct vit_config *c, const struct lane_options *o, uint32_t n_classes)
{
    return (size_t)o->selectors * c->width + lane_prompt_floats(c, o) +
           (size_t)n_classes * ((size_t)c->width + 1);
}

void lane_map(const struct vit_config *c,
              const struct lane_options *o,
              uint32_t n_classes,
              float *block,
              struct lane_parameters *ret_p)
{
    ret_p->selectors = block;
    ret_p->prompts = ret_p->selectors + (size_t)o->selectors * c->width;
    ret_p->head_w = ret_p->prompts + lane_prompt_floats(c, o);
    ret_p->head_b = ret_p->head_w + (size_t)n_classes * c->width;
}

struct rng_root lane_root(const struct lane_origin *o)
{
    struct rng_root root = {.seed = o->seed};
    memcpy(root.request, o->id.b, LANE_ID_SIZE);
    return root;
}

static void
lane_draw(const struct rng_root *root, const char *name, float deviation, float *x, size_t n)
{
    struct rng r;
    rng_init(&r, root, name, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * rng_normal(&r);
}

void lane_init_parameters(const struct vit_config *c,
                          const struct lane_options *o,
                          uint32_t n_classes,
                          const struct rng_root *root,
                          const float *parent,
                          float *block)
{
    struct lane_parameters p;
    lane_map(c, o, n_classes, block, &p);
    const size_t s = (size_t)o->selectors * c->width, k = (size_t)o->prompts * c->width;
    if (parent) {
        memcpy(block, parent, (s + lane_prompt_floats(c, o)) * sizeof *block);
    } else {
        lane_draw(root, "lane/init/selectors", 1.0f / sqrtf((float)s), p.selectors, s);
        lane_draw(root, "lane/init/prompts", k ? 1.0f / sqrtf((float)k) : 0.0f, p.prompts,
                  lane_prompt_floats(c, o));
    }
    lane_draw(root, "lane/init/head", LANE_HEAD_INIT, p.head_w, (size_t)n_classes * c->width);
    memset(p.head_b, 0, n_classes * sizeof *p.head_b);
}

float lane_probability(const struct lane *x, float logit)
{
    return 1.0f / (1.0f + expf(-logit / x->options.temperature));
}

/* ------------------------------------------------------------------ lineage and use */

int lane_has_key(const struct lane *x, const uint64_t *keys, uint32_t n)
{
    uint32_t i = 0, j = 0;
    while (i < n && j < x->n_keys) {
        if (keys[i] == x->keys[j])
            return 1;
        if (keys[i] < x->keys[j])
            i++;
        else
            j++;
    }
    return 0;
}

int64_t lane_class_of(const struct lane *x, const char *name)
{
    for (uint32_t i = 0; i < x->n_classes; i++)
        if (strcmp(x->classes[i].name, name) == 0)
            return i;
    return -1;
}

static const struct lane *
lane_find(const struct lane *const *lanes, uint32_t n, const struct lane_id *id)
{
    for (uint32_t i = 0; i < n; i++)
        if (lane_id_equal(&lanes[i]->origin.id, id))
            return lanes[i];
    return NULL;
}

int lane_descends(const struct lane *lane,
                  const struct lane *const *lanes,
                  uint32_t n,
                  const struct lane_id *from)
{
    /* at most n steps: a record from outside could name parents in a circle */
    for (uint32_t step = 0; lane && step <= n; step++) {
        if (lane_id_equal(&lane->origin.id, from) || lane_id_equal(&lane->origin.parent_id, from))
            return 1;
        if (lane_id_is_zero(&lane->origin.parent_id))
            return 0;
        lane = lane_find(lanes, n, &lane->origin.parent_id);
    }
    return 0;
}

uint32_t lane_tainted(const struct lane *const *lanes, uint32_t n, const struct lane_id *from)
{
    uint32_t tainted = 0;
    for (uint32_t i = 0; i < n; i++)
        tainted +=
            !lane_id_equal(&lanes[i]->origin.id, from) && lane_descends(lanes[i], lanes, n, from);
    return tainted;
}

/* Both digests by their first 16 digits: two whole ones do not fit a fault's text. */
static enum status lane_same(const struct digest *of_lane,
                             const struct digest *of_model,
                             const char *field,
                             const char *what,
                             struct fault *f)
{
    char lane[DIGEST_TEXT_SIZE], model[DIGEST_TEXT_SIZE];
    if (digest_equal(of_lane, of_model))
        return STATUS_OK;
    digest_format(of_lane, lane);
    digest_format(of_model, model);
    FAIL(f, STATUS_FAILED_PRECONDITION, field,
         "the lane is for %s %.16s..., the model has %.16s...", what, lane, model);
}

enum status lane_check_model(const struct lane *x,
                             const struct digest *base,
                             const struct digest *preprocessing,
                             struct fault *f)
{
    TRY(lane_same(&x->origin.base, base, "base", "base", f));
    return lane_same(&x->origin.preprocessing, preprocessing, "preprocessing", "preprocessing", f);
}

enum status lane_check_trunk(const struct lane *x, const struct digest *trunk, struct fault *f)
{
    return lane_same(&x->origin.trunk, trunk, "trunk", "weights in state", f);
}

/* ------------------------------------------------------------------ writing */

static void lane_put_header(struct byte_writer *w, const struct lane *x)
{
    put_bytes(w, lane_magic, sizeof lane_magic);
    put_u32(w, LANE_VERSION);
    put_bytes(w, x->origin.id.b, LANE_ID_SIZE);
    put_bytes(w, x->origin.base.b, DIGEST_SIZE);
    put_bytes(w, x->origin.trunk.b, DIGEST_SIZE);
    put_bytes(w, x->origin.preprocessing.b, DIGEST_SIZE);
    put_bytes(w, x->origin.memory.b, DIGEST_SIZE);
    put_bytes(w, x->origin.parent.b, DIGEST_SIZE);
    put_bytes(w, x->origin.parent_id.b, LANE_ID_SIZE);
    put_u64(w, x->origin.seed);
    put_string(w, x->name);
    put_u32(w, x->width);
    put_u32(w, x->depth);
    put_u32(w, x->heads);
    put_u32(w, x->hidden);
    put_u32(w, x->multi_label != 0);
    lane_options_put(&x->options, w);
    put_u32(w, x->best_epoch);
    put_u32(w, x->n_keys);
    for (uint32_t i = 0; i < x->n_keys; i++)
        put_u64(w, x->keys[i]);
    put_u32(w, x->n_classes);
    for (uint32_t i = 0; i < x->n_classes; i++) {
        put_string(w, x->classes[i].name);
        put_f32(w, x->classes[i].threshold);
    }
}

static size_t lane_block_floats(const struct lane *x)
{
    const struct vit_config c = {.width = x->width};
    return lane_floats(&c, &x->options, x->n_classes);
}

size_t lane_encoded_size(const struct lane *x)
{
    struct byte_writer w = byte_writer_make(NULL, 0);
    lane_put_header(&w, x);
    return w.used + lane_block_floats(x) * sizeof(float);
}

void lane_encode(const struct lane *x, void *to, size_t size)
{
    struct byte_writer w = byte_writer_make(to, size);
    lane_put_header(&w, x);
    for (size_t i = 0, n = lane_block_floats(x); i < n; i++)
        put_f32(&w, x->block[i]);
    INVARIANT(!w.failed && w.used == size);
}

/* ------------------------------------------------------------------ reading */

static enum status lane_get_origin(struct byte_reader *r, struct lane *x, struct fault *f)
{
    char magic[LANE_MAGIC_SIZE];
    get_bytes(r, magic, sizeof magic);
    if (memcmp(magic, lane_magic, sizeof magic) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "lane", "not a lane record");
    const uint32_t version = get_u32(r);
    if (version != LANE_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "lane", "version %u is unknown", version);
    get_bytes(r, x->origin.id.b, LANE_ID_SIZE);
    get_bytes(r, x->origin.base.b, DIGEST_SIZE);
    get_bytes(r, x->origin.trunk.b, DIGEST_SIZE);
    get_bytes(r, x->origin.preprocessing.b, DIGEST_SIZE);
    get_bytes(r, x->origin.memory.b, DIGEST_SIZE);
    get_bytes(r, x->origin.parent.b, DIGEST_SIZE);
    get_bytes(r, x->origin.parent_id.b, LANE_ID_SIZE);
    x->origin.seed = get_u64(r);
    get_string(r, x->name, sizeof x->name);
    if (r->failed || x->name[0] == '\0')
        FAIL(f, STATUS_BAD_FORMAT, "name", "no name of 1 to %d bytes", LANE_NAME_SIZE - 1);
    return STATUS_OK;
}

static enum status
lane_get_sizes(struct byte_reader *r, const struct vit_config *c, struct lane *x, struct fault *f)
{
    x->width = get_u32(r);
    x->depth = get_u32(r);
    x->heads = get_u32(r);
    x->hidden = get_u32(r);
    const uint32_t multi_label = get_u32(r);
    if (r->failed || multi_label > 1)
        FAIL(f, STATUS_BAD_FORMAT, "lane", "the record's sizes are damaged");
    x->multi_label = multi_label == 1;
    if (x->width != c->width || x->depth != c->depth || x->heads != c->heads ||
        x->hidden != c->hidden)
        FAIL(f, STATUS_FAILED_PRECONDITION, "lane",
             "made for width %u, %u blocks, %u heads, hidden %u; the model has %u, %u, %u, %u",
             x->width, x->depth, x->heads, x->hidden, c->width, c->depth, c->heads, c->hidden);
    return STATUS_OK;
}

static enum status lane_get_settings(struct byte_reader *r,
                                     const struct vit_config *c,
                                     struct lane *x,
                                     struct fault *f)
{
    TRY(lane_options_get(r, &x->options, f));
    if (x->options.prompt_blocks > c->depth)
        FAIL(f, STATUS_BAD_FORMAT, "prompt_blocks", "%u of %u blocks", x->options.prompt_blocks,
             c->depth);
    const int has_parent = !lane_id_is_zero(&x->origin.parent_id);
    if (has_parent != (x->options.init != LANE_INIT_FIXED) ||
        has_parent == digest_is_zero(&x->origin.parent))
        FAIL(f, STATUS_BAD_FORMAT, "parent", "the parent does not fit the kind of start");
    x->best_epoch = get_u32(r);
    return STATUS_OK;
}

static enum status
lane_get_keys(struct byte_reader *r, struct arena *arena, struct lane *x, struct fault *f)
{
    x->n_keys = get_u32(r);
    if (r->failed || x->n_keys > (r->size - r->used) / sizeof(uint64_t))
        FAIL(f, STATUS_BAD_FORMAT, "keys", "%u keys do not fit the record", x->n_keys);
    uint64_t *keys = arena_alloc(arena, x->n_keys, sizeof *keys);
    if (!keys)
        FAIL(f, STATUS_NO_MEMORY, "keys", "no room for %u keys", x->n_keys);
    for (uint32_t i = 0; i < x->n_keys; i++) {
        keys[i] = get_u64(r);
        if (i > 0 && keys[i] <= keys[i - 1])
            FAIL(f, STATUS_BAD_FORMAT, "keys", "keys are not ascending");
    }
    x->keys = keys;
    return STATUS_OK;
}

static enum status lane_get_class(struct byte_reader *r, struct lane_class *k, struct fault *f)
{
    get_string(r, k->name, sizeof k->name);
    k->threshold = get_f32(r);
    if (r->failed || k->name[0] == '\0')
        FAIL(f, STATUS_BAD_FORMAT, "classes", "a class has no name of 1 to %d bytes",
             LANE_NAME_SIZE - 1);
    if (!(k->threshold >= 0.0f && k->threshold <= 1.0f))
        FAIL(f, STATUS_BAD_FORMAT, "threshold", "a class's threshold is not in 0..1");
    return STATUS_OK;
}

static enum status
lane_get_classes(struct byte_reader *r, struct arena *arena, struct lane *x, struct fault *f)
{
    x->n_classes = get_u32(r);
    const size_t most = (r->size - r->used) / LANE_CLASS_BYTES;
    if (r->failed || x->n_classes == 0 || x->n_classes > VIT_MAX_CLASSES || x->n_classes > most)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "%u classes; 1 to %d are possible", x->n_classes,
             VIT_MAX_CLASSES);
    struct lane_class *list = arena_alloc(arena, x->n_classes, sizeof *list);
    if (!list)
        FAIL(f, STATUS_NO_MEMORY, "classes", "no room for %u classes", x->n_classes);
    for (uint32_t i = 0; i < x->n_classes; i++) {
        TRY(lane_get_class(r, &list[i], f));
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(list[i].name, list[j].name) == 0)
                FAIL(f, STATUS_BAD_FORMAT, "classes", "'%.64s' is there twice", list[i].name);
    }
    x->classes = list;
    return STATUS_OK;
}

static enum status
lane_get_block(struct byte_reader *r, struct arena *arena, struct lane *x, struct fault *f)
{
    const size_t n = lane_block_floats(x);
    if (r->size - r->used != n * sizeof(float))
        FAIL(f, STATUS_BAD_FORMAT, "lane", "%zu bytes of numbers where %zu belong",
             r->size - r->used, n * sizeof(float));
    x->block = arena_alloc(arena, n, sizeof *x->block);
    if (!x->block)
        FAIL(f, STATUS_NO_MEMORY, "lane", "no room for %zu numbers", n);
    for (size_t i = 0; i < n; i++) {
        x->block[i] = get_f32(r);
        if (!isfinite(x->block[i]))
            FAIL(f, STATUS_BAD_FORMAT, "lane", "number %zu is not finite", i);
    }
    return STATUS_OK;
}

static enum status lane_get(struct byte_reader *r,
                            const struct vit_config *config,
                            const struct digest *base,
                            struct arena *arena,
                            struct lane *x,
                            struct fault *f)
{
    TRY(lane_get_origin(r, x, f));
    TRY(lane_get_sizes(r, config, x, f));
    if (base)
        TRY(lane_same(&x->origin.base, base, "base", "base", f));
    TRY(lane_get_settings(r, config, x, f));
    TRY(lane_get_keys(r, arena, x, f));
    TRY(lane_get_classes(r, arena, x, f));
    TRY(lane_get_block(r, arena, x, f));
    INVARIANT(byte_reader_done(r));
    return STATUS_OK;
}

enum status lane_decode(const void *bytes,
                        size_t size,
                        const struct vit_config *config,
                        const struct digest *base,
                        struct arena *arena,
                        struct lane *ret_lane,
                        struct fault *f)
{
    const struct arena_mark mark = arena_mark(arena);
    struct byte_reader r = byte_reader_make(bytes, size);
    struct lane x = {0};
    const enum status s = lane_get(&r, config, base, arena, &x, f);
    if (s != STATUS_OK) {
        arena_rewind(arena, mark);
        return s;
    }
    *ret_lane = x;
    return STATUS_OK;
}

enum status lane_peek(const void *bytes,
                      size_t size,
                      const struct vit_config *config,
                      struct lane *ret_lane,
                      struct fault *f)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct lane x = {0};
    TRY(lane_get_origin(&r, &x, f));
    TRY(lane_get_sizes(&r, config, &x, f));
    TRY(lane_get_settings(&r, config, &x, f));
    x.n_keys = get_u32(&r);
    if (r.failed || x.n_keys > (r.size - r.used) / sizeof(uint64_t))
        FAIL(f, STATUS_BAD_FORMAT, "keys", "%u keys do not fit the record", x.n_keys);
    r.used += x.n_keys * sizeof(uint64_t);
    x.n_classes = get_u32(&r);
    if (r.failed || x.n_classes == 0 || x.n_classes > VIT_MAX_CLASSES)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "%u classes; 1 to %d are possible", x.n_classes,
             VIT_MAX_CLASSES);
    *ret_lane = x;
    return STATUS_OK;
}

int lane_record_several(const void *bytes, size_t size)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct lane x;
    if (lane_get_origin(&r, &x, NULL) != STATUS_OK)
        return -1;
    for (int i = 0; i < 4; i++)
        (void)get_u32(&r); /* the model's sizes */
    const uint32_t several = get_u32(&r);
    return r.failed || several > 1 ? -1 : (int)several;
}

size_t lane_decode_plan(size_t size)
{
    const size_t classes = size / LANE_CLASS_BYTES;
    struct arena_plan p = {0};
    arena_plan_add(&p, size, 1);
    arena_plan_add(&p, 1, sizeof(uint64_t)); /* the keys' own rounding; their bytes are in size */
    arena_plan_add(&p, classes < VIT_MAX_CLASSES ? classes : VIT_MAX_CLASSES,
                   sizeof(struct lane_class));
    return arena_plan_bytes(&p);
}
