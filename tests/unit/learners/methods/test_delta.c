/* The delta object: record, folding, export; parameter counts of the published backbones. */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/methods/gslora/delta.h"

#include <stdlib.h>
#include <string.h>

#define L 3
#define C 4
#define F 6
#define K 5

static const struct vit_config config = {.image_size = 8,
                                         .channels = 1,
                                         .patch_size = 4,
                                         .width = C,
                                         .depth = L,
                                         .heads = 2,
                                         .hidden = F,
                                         .classes = K,
                                         .ln_eps = 1e-6f,
                                         .attention_scale = 0.5f,
                                         .class_position = 1};

static float *noise(size_t n, uint64_t index)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 5}, "noise", index);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&r);
    return x;
}

static const uint32_t erased[2] = {1, 4}, kept[3] = {0, 2, 3};

/* Blocks with a set bit in `blocks` are part of it; matrices are freed by free_delta. */
static struct delta make_delta(uint32_t rank, unsigned blocks, uint64_t index)
{
    struct delta d = {.depth = L,
                      .width = C,
                      .hidden = F,
                      .classes = K,
                      .n_erased = 2,
                      .erased = erased,
                      .n_trained_with = 3,
                      .trained_with = kept,
                      .lora = {.rank = rank, .scale = 0.25f}};
    gslora_options_default(&d.options);
    d.origin.seed = 77;
    memset(d.origin.base.b, 0xaa, DIGEST_SIZE);
    d.origin.request.b[3] = 9;
    for (uint32_t l = 0; l < L; l++) {
        if (!(blocks >> l & 1))
            continue;
        const uint64_t at = index * 100 + l * 10;
        d.lora.blocks[l] = (struct vit_lora_block){.a1 = noise(rank * C, at),
                                                   .b1 = noise(F * rank, at + 1),
                                                   .a2 = noise(rank * F, at + 2),
                                                   .b2 = noise(C * rank, at + 3),
                                                   .awake = 1};
    }
    return d;
}

static void free_delta(struct delta *d)
{
    for (uint32_t l = 0; l < L; l++) {
        free(d->lora.blocks[l].a1);
        free(d->lora.blocks[l].b1);
        free(d->lora.blocks[l].a2);
        free(d->lora.blocks[l].b2);
    }
}

void test_delta_parameter_counts_of_the_published_backbones(void **state)
{
    (void)state;
    assert_int_equal(delta_group_floats(512, 2048, 8), 40960);
    assert_int_equal(6 * delta_group_floats(512, 2048, 8), 245760);
    assert_int_equal(delta_group_floats(768, 3072, 8), 61440);
    assert_int_equal(12 * delta_group_floats(768, 3072, 8), 737280);
    assert_int_equal(4 * 6 * delta_group_floats(512, 2048, 8), 983040);
    assert_int_equal(4 * 12 * delta_group_floats(768, 3072, 8), 2949120);
}

/* One matrix at a time holds a 3 or a 4: the norm of the group is 5 where two of them meet. */
void test_delta_group_norms(void **state)
{
    (void)state;
    struct delta d = make_delta(2, 5, 1);
    float norms[L];
    for (uint32_t l = 0; l < L; l++) {
        struct vit_lora_block *b = &d.lora.blocks[l];
        if (!b->awake)
            continue;
        memset(b->a1, 0, 2 * C * sizeof(float));
        memset(b->b1, 0, F * 2 * sizeof(float));
        memset(b->a2, 0, 2 * F * sizeof(float));
        memset(b->b2, 0, C * 2 * sizeof(float));
    }
    d.lora.blocks[0].a1[2 * C - 1] = 3;
    d.lora.blocks[0].b2[C * 2 - 1] = -4;
    d.lora.blocks[2].b1[F * 2 - 1] = 4;
    d.lora.blocks[2].a2[2 * F - 1] = 3;
    delta_group_norms(&d, norms);
    assert_true(norms[0] == 5.0f && norms[1] == 0.0f && norms[2] == 5.0f);
    d.lora.blocks[2].awake = 0;
    delta_group_norms(&d, norms);
    assert_true(norms[2] == 0.0f);
    d.lora.blocks[2].awake = 1;
    free_delta(&d);
}

static uint8_t *encode(const struct delta *d, size_t *ret_size)
{
    *ret_size = delta_encoded_size(d);
    uint8_t *bytes = malloc(*ret_size);
    assert_non_null(bytes);
    delta_encode(d, bytes, *ret_size);
    return bytes;
}

struct room {
    void *memory;
    struct arena arena;
};

static struct room make_room(size_t size)
{
    struct room r;
    r.memory = malloc(size);
    assert_non_null(r.memory);
    arena_init(&r.arena, r.memory, size);
    return r;
}

static void free_room(struct room *r)
{
    arena_fini(&r->arena);
    free(r->memory);
}

void test_delta_record_round_trip_leaves_zero_groups_out(void **state)
{
    (void)state;
    struct delta d = make_delta(2, 5, 1), back;
    size_t size, again;
    uint8_t *bytes = encode(&d, &size);
    struct room room = make_room(delta_decode_plan(size));
    struct fault f = {0};
    assert_int_equal(delta_decode(bytes, size, &config, &room.arena, &back, &f), STATUS_OK);
    assert_true(arena_high_water(&room.arena) <= delta_decode_plan(size));
    assert_int_equal(delta_blocks(&back), 2);
    assert_int_equal(delta_first_block(&back), 1);
    assert_null(back.lora.blocks[1].a1);
    assert_int_equal(back.n_erased, 2);
    assert_int_equal(back.erased[1], 4);
    assert_int_equal(back.n_trained_with, 3);
    assert_int_equal(back.origin.seed, 77);
    assert_memory_equal(back.lora.blocks[2].b1, d.lora.blocks[2].b1, F * 2 * sizeof(float));
    uint8_t *copy = encode(&back, &again);
    assert_int_equal(again, size);
    assert_memory_equal(copy, bytes, size);
    struct delta empty = make_delta(2, 0, 1);
    assert_int_equal(delta_first_block(&empty), L + 1);
    assert_int_equal(delta_encoded_size(&empty), size - 2 * (4 + 4 * delta_group_floats(C, F, 2)));
    free(bytes);
    free(copy);
    free_room(&room);
    free_delta(&d);
}

void test_delta_every_truncation_is_refused(void **state)
{
    (void)state;
    struct delta d = make_delta(1, 4, 2), back;
    size_t size;
    uint8_t *bytes = encode(&d, &size);
    struct room room = make_room(delta_decode_plan(size));
    for (size_t cut = 0; cut < size; cut++) {
        struct fault f = {0};
        assert_int_not_equal(delta_decode(bytes, cut, &config, &room.arena, &back, &f), STATUS_OK);
        assert_int_equal(room.arena.used, 0);
    }
    uint8_t *longer = realloc(bytes, size + 1);
    assert_non_null(longer);
    longer[size] = 0;
    assert_int_equal(delta_decode(longer, size + 1, &config, &room.arena, &back, NULL),
                     STATUS_BAD_FORMAT);
    free(longer);
    free_room(&room);
    free_delta(&d);
}

void test_delta_foreign_records_are_refused(void **state)
{
    (void)state;
    struct delta d = make_delta(1, 4, 2), back;
    size_t size;
    uint8_t *bytes = encode(&d, &size);
    struct room room = make_room(delta_decode_plan(size));
    struct vit_config other = config;
    struct fault f = {0};
    other.width = 8;
    assert_int_equal(delta_decode(bytes, size, &other, &room.arena, &back, &f),
                     STATUS_FAILED_PRECONDITION);
    memset(bytes + size - 4, 0xff, 4); /* a NaN */
    assert_int_equal(delta_decode(bytes, size, &config, &room.arena, &back, &f), STATUS_BAD_FORMAT);
    bytes[0] ^= 1;
    assert_int_equal(delta_decode(bytes, size, &config, &room.arena, &back, &f), STATUS_BAD_FORMAT);
    free(bytes);
    free_room(&room);
    free_delta(&d);
}

/* ------------------------------------------------------------------ folding */

struct model {
    float *weights, *memory;
    struct vit_weights base, out;
};

static struct model make_model(void)
{
    struct model m;
    m.weights = noise(vit_weights_floats(&config), 1000);
    m.memory = noise(delta_fold_floats(&config), 1001);
    vit_weights_map(&config, m.weights, &m.base);
    delta_fold_map(&config, &m.base, m.memory, &m.out);
    return m;
}

static void free_model(struct model *m)
{
    free(m->weights);
    free(m->memory);
}

void test_delta_fold_is_the_sum_of_products_and_rolls_back(void **state)
{
    (void)state;
    struct delta d[2] = {make_delta(2, 4, 3), make_delta(1, 6, 4)};
    struct model m = make_model();
    const size_t floats = delta_fold_floats(&config);
    float *one = malloc(floats * sizeof *one), *two = malloc(floats * sizeof *two);
    assert_true(one && two);
    delta_fold(&config, &m.base, d, 1, &m.out);
    memcpy(one, m.memory, floats * sizeof *one);
    delta_fold(&config, &m.base, d, 2, &m.out);
    memcpy(two, m.memory, floats * sizeof *two);
    for (size_t i = 0; i < F; i++) {
        for (size_t j = 0; j < C; j++) {
            double w = (double)m.base.blocks[2].fc1_w[i * C + j];
            for (int k = 0; k < 2; k++)
                for (size_t r = 0; r < d[k].lora.rank; r++)
                    w += 0.25 * (double)d[k].lora.blocks[2].b1[i * d[k].lora.rank + r] *
                         (double)d[k].lora.blocks[2].a1[r * C + j];
            assert_near(m.out.blocks[2].fc1_w[i * C + j], w, 1e-5);
        }
    }
    delta_fold(&config, &m.base, d, 2, &m.out);
    assert_memory_equal(m.memory, two, floats * sizeof *two);
    delta_fold(&config, &m.base, d, 1, &m.out);
    assert_memory_equal(m.memory, one, floats * sizeof *one);
    delta_fold(&config, &m.base, d, 0, &m.out);
    assert_memory_equal(m.out.blocks[1].fc2_w, m.base.blocks[1].fc2_w, F * C * sizeof(float));
    free(one);
    free(two);
    free_model(&m);
    free_delta(&d[0]);
    free_delta(&d[1]);
}

/* ------------------------------------------------------------------ export */

void test_delta_peft_adapter_is_the_same_update(void **state)
{
    (void)state;
    struct delta d[2] = {make_delta(2, 4, 3), make_delta(1, 6, 4)};
    struct model m = make_model();
    delta_fold(&config, &m.base, d, 2, &m.out);
    assert_int_equal(delta_peft_rank(d, 2), 3);
    assert_int_equal(delta_peft_tensors(d, 2), 8);
    float a[3 * F], b[F * 3];
    struct delta_tensor ta, tb;
    for (uint32_t i = 0; i < 8; i += 2) {
        delta_peft_tensor(d, 2, i, &ta, a);
        delta_peft_tensor(d, 2, i + 1, &tb, b);
        assert_int_equal(ta.rows, 3);
        assert_int_equal(tb.cols, 3);
        const uint32_t block = 1 + i / 4;
        const int second = i % 4 == 2;
        const float *base = second ? m.base.blocks[block].fc2_w : m.base.blocks[block].fc1_w;
        const float *out = second ? m.out.blocks[block].fc2_w : m.out.blocks[block].fc1_w;
        for (size_t j = 0; j < (size_t)tb.rows * ta.cols; j++) {
            double w = (double)base[j];
            for (size_t r = 0; r < 3; r++)
                w += (double)b[j / ta.cols * 3 + r] * (double)a[r * ta.cols + j % ta.cols];
            assert_near(out[j], w, 1e-5);
        }
    }
    delta_peft_tensor(d, 2, 4, &ta, NULL);
    assert_string_equal(ta.name,
                        "base_model.model.vit.encoder.layer.2.intermediate.dense.lora_A.weight");
    delta_peft_tensor(d, 2, 7, &tb, NULL);
    assert_string_equal(tb.name, "base_model.model.vit.encoder.layer.2.output.dense.lora_B.weight");
    free_model(&m);
    free_delta(&d[0]);
    free_delta(&d[1]);
}

void test_delta_peft_config_names_only_the_blocks_used(void **state)
{
    (void)state;
    struct delta d = make_delta(2, 6, 3);
    char text[1024];
    const size_t n = delta_peft_config(&d, 1, text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_non_null(strstr(text, "\"r\": 2,"));
    assert_non_null(strstr(text, "\"lora_alpha\": 2,"));
    assert_non_null(strstr(text, "layer\\\\.(1|2)\\\\.(intermediate|output)\\\\.dense"));
    assert_true(delta_peft_config(&d, 1, text, n) == SIZE_MAX);
    free_delta(&d);
}
