/* The lane object: parameter counts, fresh parameters, record, what is refused. */
#include "tests/support/test.h"

#include "learners/methods/multilane/lane.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct vit_config config = {.image_size = 8,
                                         .channels = 1,
                                         .patch_size = 4,
                                         .width = 8,
                                         .depth = 3,
                                         .heads = 2,
                                         .hidden = 12,
                                         .classes = 3,
                                         .ln_eps = 1e-6f,
                                         .attention_scale = 0.5f,
                                         .class_position = 1};
#define N_CLASSES 2
#define MAX_BYTES 4096

static const struct lane_class classes[N_CLASSES] = {{0.8f, "seven"}, {0.5f, "nine"}};
static const uint64_t keys[3] = {5, 70, 900};

static struct lane make_lane(float *block)
{
    struct lane x = {.name = "digits",
                     .width = config.width,
                     .depth = config.depth,
                     .heads = config.heads,
                     .hidden = config.hidden,
                     .multi_label = 1,
                     .best_epoch = 4,
                     .n_keys = 3,
                     .keys = keys,
                     .n_classes = N_CLASSES,
                     .classes = classes,
                     .block = block};
    lane_options_default(&x.options);
    x.options.selectors = 3;
    x.options.prompts = 2;
    x.options.prompt_blocks = 2;
    x.origin.id = lane_id_of_name("digits");
    x.origin.seed = 99;
    memset(x.origin.base.b, 0xb1, DIGEST_SIZE);
    memset(x.origin.trunk.b, 0xb2, DIGEST_SIZE);
    memset(x.origin.preprocessing.b, 0xb3, DIGEST_SIZE);
    memset(x.origin.memory.b, 0xb4, DIGEST_SIZE);
    const struct rng_root root = lane_root(&x.origin);
    lane_init_parameters(&config, &x.options, N_CLASSES, &root, NULL, block);
    return x;
}

struct made {
    struct lane lane;
    float block[256];
    uint8_t bytes[MAX_BYTES];
    size_t size;
};

static void make(struct made *m)
{
    m->lane = make_lane(m->block);
    m->size = lane_encoded_size(&m->lane);
    assert_true(m->size <= MAX_BYTES);
    lane_encode(&m->lane, m->bytes, m->size);
}

static enum status decode(const uint8_t *bytes,
                          size_t size,
                          const struct vit_config *c,
                          const struct digest *base,
                          struct lane *ret,
                          struct fault *f)
{
    static unsigned char memory[1 << 20];
    struct arena arena;
    assert_true(lane_decode_plan(size) <= sizeof memory);
    arena_init(&arena, memory, lane_decode_plan(size));
    *f = (struct fault){0};
    const enum status s = lane_decode(bytes, size, c, base, &arena, ret, f);
    arena.magic = 0; /* the lane goes on borrowing from it */
    return s;
}

void test_lane_parameter_counts(void **state)
{
    (void)state;
    const struct vit_config vit = {.width = 768, .depth = 12, .heads = 12};
    struct lane_options o;
    lane_options_parity(&o);
    assert_int_equal(lane_floats(&vit, &o, 10), 176650); /* COCO, CIFAR-100 */
    o.selectors = o.prompts = 10;
    assert_int_equal(lane_floats(&vit, &o, 4), 84480 + 3076); /* VOC B0-C4 */
    assert_int_equal(lane_floats(&vit, &o, 2), 84480 + 1538);
    o.selectors = o.prompts = 20;
    o.prompt_blocks = 12;
    assert_int_equal(lane_floats(&vit, &o, 20), 399380); /* ImageNet-R */
    o.prompt_blocks = 5;
    assert_int_equal(8 * lane_floats(&vit, &o, 10), 1413200);
}

void test_lane_parts_cover_the_block(void **state)
{
    (void)state;
    struct made m;
    struct lane_parameters p;
    make(&m);
    lane_map(&config, &m.lane.options, N_CLASSES, m.block, &p);
    assert_ptr_equal(p.selectors, m.block);
    assert_int_equal(p.prompts - p.selectors, 3 * 8);
    assert_int_equal(p.head_w - p.prompts, 2 * 2 * 2 * 8);
    assert_int_equal(p.head_b - p.head_w, N_CLASSES * 8);
    assert_int_equal(p.head_b + N_CLASSES - m.block,
                     lane_floats(&config, &m.lane.options, N_CLASSES));
}

/* Fresh parameters depend on seed and lane id alone, and have the deviations of the design. */
void test_lane_fresh_parameters(void **state)
{
    (void)state;
    const struct vit_config wide = {.width = 768, .depth = 12, .heads = 12};
    struct lane_options o;
    lane_options_parity(&o);
    const size_t n = lane_floats(&wide, &o, 10);
    float *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
    assert_true(a && b);
    struct lane_origin origin = {.id = lane_id_of_name("a"), .seed = 5};
    struct rng_root root = lane_root(&origin);
    lane_init_parameters(&wide, &o, 10, &root, NULL, a);
    lane_init_parameters(&wide, &o, 10, &root, NULL, b);
    assert_memory_equal(a, b, n * sizeof *a);
    struct lane_parameters p;
    lane_map(&wide, &o, 10, a, &p);
    double squares[3] = {0};
    for (size_t i = 0; i < 15360; i++)
        squares[0] += (double)(p.selectors[i] * p.selectors[i]);
    for (size_t i = 0; i < 153600; i++)
        squares[1] += (double)(p.prompts[i] * p.prompts[i]);
    for (size_t i = 0; i < 7680; i++)
        squares[2] += (double)(p.head_w[i] * p.head_w[i]);
    assert_near(squares[0], 1.0, 0.05); /* variance 1/(S C), S C of them */
    assert_near(squares[1], 10.0, 0.2); /* variance 1/(K C), 2 Lp K C of them */
    assert_near(sqrt(squares[2] / 7680), 0.02, 0.001);
    assert_near(p.head_b[9], 0, 0);
    origin.id = lane_id_of_name("b");
    root = lane_root(&origin);
    lane_init_parameters(&wide, &o, 10, &root, NULL, b);
    assert_memory_not_equal(a, b, 64);
    lane_init_parameters(&wide, &o, 10, &root, a, b); /* from a parent: its own head all the same */
    assert_memory_equal(a, b, 168960 * sizeof *a);
    assert_memory_not_equal(a + 168960, b + 168960, 64);
    free(a);
    free(b);
}

void test_lane_record_round_trip(void **state)
{
    (void)state;
    struct made m;
    struct lane back;
    struct fault f;
    uint8_t again[MAX_BYTES];
    make(&m);
    assert_int_equal(decode(m.bytes, m.size, &config, &m.lane.origin.base, &back, &f), STATUS_OK);
    assert_int_equal(lane_encoded_size(&back), m.size);
    lane_encode(&back, again, m.size);
    assert_memory_equal(again, m.bytes, m.size);
    assert_string_equal(back.name, "digits");
    assert_string_equal(back.classes[1].name, "nine");
    assert_near(back.classes[1].threshold, 0.5, 0);
    assert_true(back.multi_label);
    assert_int_equal(back.origin.seed, 99);
    assert_true(lane_id_equal(&back.origin.id, &m.lane.origin.id));
    assert_int_equal(lane_class_of(&back, "nine"), 1);
    assert_int_equal(lane_class_of(&back, "eight"), -1);
    assert_true(lane_has_key(&back, (const uint64_t[]){1, 70, 80}, 3));
    assert_false(lane_has_key(&back, (const uint64_t[]){1, 71, 901}, 3));
    assert_false(lane_has_key(&back, NULL, 0));
}

void test_lane_record_tells_its_labelling(void **state)
{
    (void)state;
    struct made m;
    make(&m);
    for (int several = 0; several < 2; several++) {
        m.lane.multi_label = several;
        lane_encode(&m.lane, m.bytes, m.size);
        assert_int_equal(lane_record_several(m.bytes, m.size), several);
    }
    for (size_t n = 0; n < 200; n++) /* without its head, or of something else */
        assert_int_equal(lane_record_several(m.bytes, n), -1);
    m.bytes[0] ^= 1;
    assert_int_equal(lane_record_several(m.bytes, m.size), -1);
}

void test_lane_record_is_strict(void **state)
{
    (void)state;
    struct made m;
    struct lane back;
    struct fault f;
    make(&m);
    for (size_t n = 0; n < m.size; n++)
        assert_int_equal(decode(m.bytes, n, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
    uint8_t longer[MAX_BYTES + 4] = {0};
    memcpy(longer, m.bytes, m.size);
    assert_int_equal(decode(longer, m.size + 4, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
    memcpy(longer, m.bytes, m.size);
    longer[7] = 1; /* the magic's last byte */
    assert_int_equal(decode(longer, m.size, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
    memcpy(longer, m.bytes, m.size);
    longer[8] = 9;
    assert_int_equal(decode(longer, m.size, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
    const uint8_t bad[2][4] = {{0, 0, 0xc0, 0x7f}, {0, 0, 0x80, 0xff}}; /* NaN, -infinity */
    for (int i = 0; i < 2; i++) {
        memcpy(longer, m.bytes, m.size);
        memcpy(longer + m.size - 4, bad[i], 4);
        assert_int_equal(decode(longer, m.size, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
        assert_non_null(strstr(f.text, "finite"));
    }
}

void test_lane_record_of_another_model(void **state)
{
    (void)state;
    struct made m;
    struct lane back;
    struct fault f;
    make(&m);
    struct vit_config other = config;
    other.depth = 4;
    assert_int_equal(decode(m.bytes, m.size, &other, NULL, &back, &f), STATUS_FAILED_PRECONDITION);
    other = config;
    other.width = 16;
    assert_int_equal(decode(m.bytes, m.size, &other, NULL, &back, &f), STATUS_FAILED_PRECONDITION);
    other = config;
    other.heads = 4;
    assert_int_equal(decode(m.bytes, m.size, &other, NULL, &back, &f), STATUS_FAILED_PRECONDITION);
    struct digest base;
    memset(base.b, 0xc7, sizeof base.b);
    assert_int_equal(decode(m.bytes, m.size, &config, &base, &back, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "base");
    assert_non_null(strstr(f.text, "b1b1b1b1"));
    assert_non_null(strstr(f.text, "c7c7c7c7"));
}

void test_lane_checks_name_both_sides(void **state)
{
    (void)state;
    struct made m;
    struct fault f;
    make(&m);
    const struct lane_origin *o = &m.lane.origin;
    assert_int_equal(lane_check_model(&m.lane, &o->base, &o->preprocessing, &f), STATUS_OK);
    assert_int_equal(lane_check_trunk(&m.lane, &o->trunk, &f), STATUS_OK);
    assert_int_equal(lane_check_model(&m.lane, &o->base, &o->memory, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "preprocessing");
    assert_true(strstr(f.text, "b3b3b3b3") && strstr(f.text, "b4b4b4b4"));
    assert_int_equal(lane_check_trunk(&m.lane, &o->memory, &f), STATUS_FAILED_PRECONDITION);
    assert_string_equal(f.field, "trunk");
    assert_true(strstr(f.text, "b2b2b2b2") && strstr(f.text, "b4b4b4b4"));
}

/* Records whose parents do not fit their kind of start, and parents in a circle. */
void test_lane_parents(void **state)
{
    (void)state;
    struct made m;
    struct lane back;
    struct fault f;
    make(&m);
    m.lane.options.init = LANE_INIT_PREVIOUS;
    lane_encode(&m.lane, m.bytes, m.size);
    assert_int_equal(decode(m.bytes, m.size, &config, NULL, &back, &f), STATUS_BAD_FORMAT);
    assert_string_equal(f.field, "parent");
    m.lane.origin.parent_id = lane_id_of_name("other");
    memset(m.lane.origin.parent.b, 1, DIGEST_SIZE);
    lane_encode(&m.lane, m.bytes, m.size);
    assert_int_equal(decode(m.bytes, m.size, &config, NULL, &back, &f), STATUS_OK);
    struct lane other = m.lane;
    other.origin.id = lane_id_of_name("other");
    other.origin.parent_id = m.lane.origin.id;
    const struct lane *list[2] = {&m.lane, &other};
    const struct lane_id none = lane_id_of_name("none");
    assert_false(lane_descends(&m.lane, list, 2, &none));
    assert_int_equal(lane_tainted(list, 2, &other.origin.id), 1);
}
