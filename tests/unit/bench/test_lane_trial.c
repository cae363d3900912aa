/*
 * Protocol 4 in small on a random network: every part runs through all sessions, the same figures
 * for any number of threads and from kept components; results as lines and tables.
 */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/multilane/lane_compose.h"
#include "bench/multilane/lane_table.h"
#include "bench/multilane/lane_trial.h"
#include "daemon/base/sysio.h"
#include "learners/math/gemm.h"
#include "learners/methods/multilane/lane.h"
#include "tests/unit/bench/mnist_fixture.h"

static struct model *make_model(void)
{
    static const char *labels[] = {"base a", "base b"};
    struct rng r;
    struct model *m = sysio_alloc(1, sizeof *m);
    assert_non_null(m);
    m->config = (struct model_config){.vit = {.image_size = MNIST_FIXTURE_SIDE,
                                              .channels = 1,
                                              .patch_size = 7,
                                              .width = 16,
                                              .depth = 2,
                                              .heads = 2,
                                              .hidden = 32,
                                              .classes = 2,
                                              .ln_eps = 1e-6f,
                                              .attention_scale = 0.35f,
                                              .qkv_bias = 1,
                                              .head_bias = 1,
                                              .class_position = 1},
                                      .prep = {.resample = RESAMPLE_BILINEAR,
                                               .rescale = 1.0f / 255.0f,
                                               .mean = {0.5f},
                                               .std = {0.5f}},
                                      .labels = labels};
    const size_t n = vit_weights_floats(&m->config.vit);
    m->weights = sysio_alloc(n, sizeof(float));
    assert_non_null(m->weights);
    rng_init(&r, &(struct rng_root){.seed = 5}, "weights", 0);
    for (size_t i = 0; i < n; i++)
        m->weights[i] = 0.2f * rng_normal(&r);
    vit_weights_map(&m->config.vit, m->weights, &m->w);
    m->digest.b[0] = 7;
    return m;
}

static void ignore(void *context, const char *text)
{
    uint32_t *lines = context;
    *lines += strlen(text) > 0;
}

static struct lane_trial_settings settings(const char *folder, const char *components)
{
    struct lane_trial_settings s = {.protocol = protocol_at(0),
                                    .folder = folder,
                                    .seed = 4,
                                    .measured = PROTOCOL_CHECK,
                                    .sizes = {.valid = 2, .check = 2},
                                    .components = components};
    static const struct learner_option lane[] = {{"epochs", "30"}, {"prompt_blocks", "1"}};
    s.lane.n = 2;
    memcpy(s.lane.list, lane, sizeof lane);
    s.router.n = 1;
    s.router.list[0] = (struct learner_option){"features", "40"};
    return s;
}

static void execute(const struct lane_trial_settings *s,
                    const struct model *m,
                    uint32_t threads,
                    struct lane_trial_result *r)
{
    struct pool *pool;
    struct fault f = {0};
    uint32_t lines = 0;
    void *memory = sysio_alloc(pool_plan(threads), 1);
    assert_int_equal(pool_init(memory, threads, &pool), STATUS_OK);
    const struct lane_trial_tools tools = {m, pool, ignore, &lines};
    if (lane_trial_execute(s, &tools, r, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_true(lines > 0);
    pool_fini(pool);
    sysio_free(memory);
}

static void check_same(const struct lane_trial_result *a, const struct lane_trial_result *b)
{
    assert_int_equal(a->n_lines, b->n_lines);
    for (uint32_t i = 0; i < a->n_lines; i++) {
        const struct lane_trial_line *x = &a->lines[i], *y = &b->lines[i];
        assert_string_equal(x->decision, y->decision);
        assert_int_equal(x->n_sessions, y->n_sessions);
        for (uint32_t t = 0; t < x->n_sessions; t++) {
            assert_in_range((int)x->sessions[t], 0, 100);
            assert_near(x->sessions[t], y->sessions[t], 0.0);
        }
    }
}

void test_lane_trial_gives_every_part_its_sessions(void **state)
{
    (void)state;
    static const char *const names[LANE_TRIAL_PARTS][3] = {
        {"routed", "raw", "router"}, {"joint"}, {"finetune"}};
    char folder[256], kept[300], other[300];
    struct fault f = {0};
    assert_int_equal(gemm_setup(&f), STATUS_OK);
    test_support_mkdir(folder);
    (void)snprintf(kept, sizeof kept, "%s/kept", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    mnist_fixture_write(folder, "train", 80, MNIST_FIXTURE_SIDE);
    mnist_fixture_write(folder, "t10k", 20, MNIST_FIXTURE_SIDE);
    struct model *m = make_model();
    json_t *lines = json_array(), *runs = json_array();
    for (int part = 0; part < LANE_TRIAL_PARTS; part++) {
        struct lane_trial_settings s = settings(folder, kept);
        struct lane_trial_result once, again, threads;
        char name[LANE_TRIAL_NAME_SIZE];
        s.part = (enum lane_trial_part)part;
        execute(&s, m, 1, &once);
        execute(&s, m, 1, &again); /* from the kept components */
        s.components = other;
        execute(&s, m, 2, &threads);
        check_same(&once, &again);
        check_same(&once, &threads);
        assert_int_equal(once.n_train, 40);
        assert_int_equal(once.n_measured, 20);
        for (uint32_t i = 0; i < once.n_lines; i++) {
            assert_string_equal(once.lines[i].decision, names[part][i]);
            assert_int_equal(once.lines[i].n_sessions, part == LANE_TRIAL_JOINT ? 1 : 5);
        }
        if (part != LANE_TRIAL_JOINT) /* squares at known places: two classes alone are easy */
            assert_true(once.lines[0].sessions[0] > 60.0);
        assert_int_equal(lane_trial_name(&s, m, name, &f), STATUS_OK);
        (void)json_array_append_new(lines, lane_table_line(name, &s, &once));
        (void)json_array_append_new(runs, json_string(name));
    }
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    const struct protocol *protocol = protocol_at(0);
    lane_table_print(lines, runs, &protocol, 1, to);
    assert_int_equal(fclose(to), 0);
    for (int part = 0; part < LANE_TRIAL_PARTS; part++)
        assert_non_null(strstr(text, names[part][0]));
    free(text);
    json_decref(lines);
    json_decref(runs);
    sysio_free(m->weights);
    sysio_free(m);
    test_support_rmdir(folder);
}

void test_lane_trial_names_tell_settings_apart(void **state)
{
    (void)state;
    char a[LANE_TRIAL_NAME_SIZE], b[LANE_TRIAL_NAME_SIZE];
    struct fault f = {0};
    struct model *m = make_model();
    struct lane_trial_settings s = settings("folder", "components");
    assert_int_equal(lane_trial_name(&s, m, a, &f), STATUS_OK);
    s.router.list[0].value = "41";
    assert_int_equal(lane_trial_name(&s, m, b, &f), STATUS_OK);
    assert_string_not_equal(a, b);
    s.part = LANE_TRIAL_JOINT; /* has no router */
    assert_int_equal(lane_trial_name(&s, m, a, &f), STATUS_OK);
    s.router.list[0].value = "40";
    assert_int_equal(lane_trial_name(&s, m, b, &f), STATUS_OK);
    assert_string_equal(a, b);
    m->digest.b[0]++;
    assert_int_equal(lane_trial_name(&s, m, b, &f), STATUS_OK);
    assert_string_not_equal(a, b);
    s.lane.list[0].name = "epoch";
    assert_int_equal(lane_trial_name(&s, m, b, &f), STATUS_NOT_FOUND);
    sysio_free(m->weights);
    sysio_free(m);
}

/* ------------------------------------------------------------------ composed lanes */

static void encode_lane(const struct vit_config *c,
                        const char *class_name,
                        uint64_t seed,
                        float *block,
                        uint8_t bytes[8192],
                        struct learner_part *ret_part)
{
    struct lane_class class = {0.5f, ""};
    struct lane x = {.width = c->width,
                     .depth = c->depth,
                     .heads = c->heads,
                     .hidden = c->hidden,
                     .best_epoch = 1,
                     .n_classes = 1,
                     .classes = &class,
                     .block = block};
    (void)snprintf(x.name, sizeof x.name, "%s", "lane");
    (void)snprintf(class.name, sizeof class.name, "%s", class_name);
    lane_options_default(&x.options);
    x.options.selectors = 2;
    x.options.prompts = 1;
    x.options.prompt_blocks = 1;
    x.origin.seed = seed;
    x.origin.id = lane_id_of_name("lane");
    x.origin.base.b[0] = 1;
    const struct rng_root root = lane_root(&x.origin);
    lane_init_parameters(c, &x.options, 1, &root, NULL, block);
    const size_t size = lane_encoded_size(&x);
    assert_true(size <= 8192);
    lane_encode(&x, bytes, size);
    *ret_part = (struct learner_part){.kind = "lane", .name = "lane", .bytes = bytes, .size = size};
}

void test_lane_compose_takes_the_last_pathway_and_every_head(void **state)
{
    (void)state;
    struct model *m = make_model();
    const struct vit_config *c = &m->config.vit;
    static float blocks[2][512];
    static uint8_t bytes[2][8192], memory[65536];
    struct learner_part parts[2];
    struct lane_composed composed;
    struct lane x;
    struct lane_parameters of[2], whole;
    struct arena arena;
    struct fault f = {0};
    encode_lane(c, "first", 1, blocks[0], bytes[0], &parts[0]);
    encode_lane(c, "second", 2, blocks[1], bytes[1], &parts[1]);
    assert_int_equal(lane_compose(parts, 2, c, &composed, &f), STATUS_OK);
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(lane_decode(composed.part.bytes, composed.part.size, c, NULL, &arena, &x, &f),
                     STATUS_OK);
    assert_int_equal(x.n_classes, 2);
    assert_string_equal(x.classes[0].name, "first");
    assert_string_equal(x.classes[1].name, "second");
    for (int i = 0; i < 2; i++)
        lane_map(c, &x.options, 1, blocks[i], &of[i]);
    lane_map(c, &x.options, 2, x.block, &whole);
    const size_t row = c->width * sizeof(float);
    assert_memory_equal(whole.head_w, of[0].head_w, row);
    assert_memory_equal(whole.head_w + c->width, of[1].head_w, row);
    assert_memory_equal(whole.selectors, of[1].selectors,
                        (size_t)(of[1].head_w - of[1].selectors) * sizeof(float));
    lane_compose_free(&composed);
    sysio_free(m->weights);
    sysio_free(m);
}
