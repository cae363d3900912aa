/*
 * The learner that docs/learners.md explains: it keeps the contract of every learner, finds the
 * nearest mean, forgets exactly, and the page shows its code as it is.  It belongs to no archive,
 * so its source is included here.
 */
#include "tests/property/learners/learner_contract.h"
#include "tests/property/learners/ncm/ncm_learner.c"

#include "daemon/base/sysio.h"

void test_ncm_learner_keeps_the_contract(void **state)
{
    (void)state;
    learner_contract_threads(&learner_ncm);
    learner_contract_memory(&learner_ncm);
    learner_contract_option(&learner_ncm);
    learner_contract_components(&learner_ncm);
    learner_contract_batch(&learner_ncm);
}

/* ------------------------------------------------------------------ what it computes */

/* A run on the fixture's problem after `change`; the caller frees the bytes. */
typedef void change_fn(struct learner_problem *p);

static struct learner_made run_with(change_fn *change, float *ret_acc)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    struct learner_problem p = learner_contract_problem_of(&x);
    if (change)
        change(&p);
    const size_t size = learner_ncm.plan(&p, 1);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x.pool, .arena = &arena};
    struct learner_run *run;
    struct learner_progress progress = {0};
    struct learner_part parts[LEARNER_PARTS];
    struct learner_made m = {0};
    struct fault f = {0};
    uint32_t n;
    if (learner_ncm.init(&p, &tools, &run, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    while (!progress.done)
        assert_int_equal(learner_ncm.step(run, &progress, &f), STATUS_OK);
    assert_int_equal(progress.step, progress.steps);
    assert_int_equal(learner_ncm.export(run, parts, &n, &m.outcome, &f), STATUS_OK);
    m.size = parts[0].size;
    m.bytes = vit_fixture_alloc(m.size, 1);
    memcpy(m.bytes, parts[0].bytes, m.size);
    if (ret_acc)
        *ret_acc = progress.acc_valid;
    arena_fini(&arena);
    free(memory);
    gslora_fixture_fini(&x);
    return m;
}

/* Its means are those that the erasure's prototypes are made of. */
void test_ncm_learner_means_are_the_prototypes(void **state)
{
    (void)state;
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_prototypes(&x);
    const struct learner_problem p = learner_contract_problem_of(&x);
    float acc;
    struct learner_made m = run_with(NULL, &acc);
    struct learner_model *model;
    assert_int_equal(
        learner_contract_read_back(&learner_ncm, &p.trunk, m.bytes, m.size, &x.arena, &model),
        STATUS_OK);
    const struct ncm *ncm = &model->ncm;
    static const char *const want[] = {"a", "c", "d", "e"}; /* no image of "b" in the list */
    static const uint32_t number[] = {0, 2, 3, 4};
    assert_int_equal(ncm->n_classes, 4);
    for (uint32_t k = 0; k < 4; k++) {
        assert_string_equal(ncm->classes[k].name, want[k]);
        assert_int_equal(ncm->classes[k].count, 24);
        for (uint32_t j = 0; j < c.width; j++)
            assert_near(ncm->classes[k].mean[j], x.prototypes[number[k] * c.width + j], 1e-6);
    }
    assert_true(acc > 0.5f); /* chance is 0.25 */
    free(m.bytes);
    gslora_fixture_fini(&x);
}

/* ------------------------------------------------------------------ exact erasure */

static uint64_t keys[GSLORA_FIXTURE_IMAGES];
static uint32_t kept[GSLORA_FIXTURE_IMAGES];

static void with_keys(struct learner_problem *p)
{
    for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++)
        keys[i] = 1000 + i;
    p->keys = keys;
}

/* As if the first image of the list had never been there. */
static void without_the_first(struct learner_problem *p)
{
    with_keys(p);
    struct learner_rows *train = &p->lists[LEARNER_TRAIN];
    memcpy(kept, train->rows + 1, (train->n - 1) * sizeof *kept);
    *train = (struct learner_rows){kept, train->n - 1};
}

/* The same, and its pixels are others: they must not matter. */
static void without_the_first_and_its_pixels(struct learner_problem *p)
{
    static uint8_t pixels[GSLORA_FIXTURE_IMAGES * 64];
    const uint32_t gone = p->lists[LEARNER_TRAIN].rows[0];
    without_the_first(p);
    memcpy(pixels, p->images.pixels, sizeof pixels);
    memset(pixels + (size_t)gone * 64, 255, 64);
    p->images.pixels = pixels;
}

void test_ncm_learner_retrained_is_never_having_seen(void **state)
{
    (void)state;
    struct learner_made all = run_with(with_keys, NULL);
    struct learner_made again = run_with(without_the_first, NULL);
    struct learner_made never = run_with(without_the_first_and_its_pixels, NULL);
    assert_int_equal(again.size, never.size);
    assert_memory_equal(again.bytes, never.bytes, again.size);
    assert_true(all.size == again.size + sizeof(uint64_t));
    free(all.bytes);
    free(again.bytes);
    free(never.bytes);
}

void test_ncm_learner_fates(void **state)
{
    (void)state;
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    const struct learner_problem p = learner_contract_problem_of(&x);
    struct learner_made m = run_with(with_keys, NULL);
    struct learner_model *model;
    assert_int_equal(
        learner_contract_read_back(&learner_ncm, &p.trunk, m.bytes, m.size, &x.arena, &model),
        STATUS_OK);
    static const char *const all[] = {"a", "c", "d", "e"}, *const foreign[] = {"b"};
    const uint64_t mine[] = {1, 1000 + p.lists[LEARNER_TRAIN].rows[5]}, others[] = {1, 2};
    const struct digest other = {.b = {9}};
    const struct {
        struct learner_erasure what;
        enum learner_fate fate;
    } rows[] = {{{.component = "thing"}, LEARNER_DESTROY},
                {{.component = "another"}, LEARNER_UNAFFECTED},
                {{.classes = all, .n_classes = 4}, LEARNER_DESTROY},
                {{.classes = all, .n_classes = 3}, LEARNER_RETRAIN},
                {{.classes = foreign, .n_classes = 1}, LEARNER_UNAFFECTED},
                {{.keys = mine, .n_keys = 2}, LEARNER_RETRAIN},
                {{.keys = others, .n_keys = 2}, LEARNER_UNAFFECTED},
                {{.sources = &p.memory, .n_sources = 1}, LEARNER_DESTROY},
                {{.sources = &other, .n_sources = 1}, LEARNER_UNAFFECTED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(learner_ncm.erase(model, &rows[i].what), rows[i].fate);
    free(m.bytes);
    gslora_fixture_fini(&x);
}

void test_ncm_learner_refuses(void **state)
{
    (void)state;
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    const struct learner_tools tools = {.pool = x.pool, .arena = &x.arena};
    struct learner_problem p = learner_contract_problem_of(&x);
    struct learner_run *run;
    struct fault f = {0};
    static const uint8_t hot[1];
    p.hot = hot;
    assert_int_equal(learner_ncm.init(&p, &tools, &run, &f), STATUS_INVALID_ARGUMENT);
    p.hot = NULL;
    const struct learner_rows none = {NULL, 0}, train = p.lists[LEARNER_TRAIN];
    p.lists[LEARNER_TRAIN] = none;
    assert_int_equal(learner_ncm.init(&p, &tools, &run, &f), STATUS_FAILED_PRECONDITION);
    p.lists[LEARNER_TRAIN] = train;
    static const char *const bad[] = {"0", "-1", "inf", "nan", "1x", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct learner_option option = {"scale", bad[i]};
        p.options = &option;
        p.n_options = 1;
        assert_int_equal(learner_ncm.init(&p, &tools, &run, &f), STATUS_INVALID_ARGUMENT);
        assert_string_equal(f.field, "scale");
    }
    gslora_fixture_fini(&x);
}

/* ------------------------------------------------------------------ the page */

/* Every ```c block of the page stands in the source, letter for letter. */
void test_ncm_learner_is_what_the_page_shows(void **state)
{
    (void)state;
    unsigned char *page, *source;
    size_t size;
    size_t blocks = 0;
    assert_int_equal(sysio_read_file("docs/learners.md", 1u << 20, &page, &size, NULL), STATUS_OK);
    assert_int_equal(sysio_read_file("tests/property/learners/ncm/ncm_learner.c", 1u << 20, &source,
                                     &size, NULL),
                     STATUS_OK);
    for (char *at = strstr((char *)page, "\n```c\n"); at; at = strstr(at, "\n```c\n")) {
        char *from = at + 6, *to = strstr(from, "\n```\n");
        assert_non_null(to);
        *to = '\0';
        if (!strstr((const char *)source, from))
            fail_msg("docs/learners.md shows what ncm_learner.c does not have:\n%s", from);
        blocks++;
        at = to + 1;
    }
    assert_true(blocks >= 6);
    sysio_free(page);
    sysio_free(source);
}
