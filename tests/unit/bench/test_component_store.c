/* Components kept in files: trained once a key, and again where the file is not it. */
#include "tests/support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "bench/multilane/component_store.h"
#include "daemon/base/sysio.h"

/* A learner whose component is the name it was given and how often it was trained. */
static uint32_t trained;

struct learner_run {
    const struct learner_problem *problem;
    struct arena *arena;
};

static size_t plan(const struct learner_problem *p, uint32_t threads)
{
    (void)threads;
    return p->seed ? 4096 : SIZE_MAX;
}

static enum status init(const struct learner_problem *p,
                        const struct learner_tools *tools,
                        struct learner_run **ret_run,
                        struct fault *f)
{
    if (!p->seed)
        FAIL(f, STATUS_INVALID_ARGUMENT, "seed", "0 is no seed here");
    *ret_run = arena_alloc(tools->arena, 1, sizeof **ret_run);
    assert_non_null(*ret_run);
    **ret_run = (struct learner_run){p, tools->arena};
    return STATUS_OK;
}

static enum status
step(struct learner_run *run, struct learner_progress *ret_progress, struct fault *f)
{
    (void)run, (void)f;
    *ret_progress = (struct learner_progress){.done = 1};
    return STATUS_OK;
}

static enum status export_parts(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    (void)f;
    char *bytes = arena_alloc_zero(run->arena, 64, 1);
    assert_non_null(bytes);
    (void)snprintf(bytes, 64, "%s %u", run->problem->name, ++trained);
    ret_parts[0] = (struct learner_part){.kind = "fake", .bytes = bytes, .size = 64};
    *ret_n = 1;
    *ret_outcome = (struct learner_outcome){.text = "done", .target_met = -1};
    return STATUS_OK;
}

static const struct learner fake = {.name = "fake",
                                    .kind = "fake",
                                    .plan = plan,
                                    .init = init,
                                    .step = step,
                                    .export = export_parts};

static void make(const char *folder, const char *key, struct pool *pool, const char *expected)
{
    const struct learner_problem problem = {.name = "it", .seed = 1};
    const struct component_job job = {&fake, &problem, folder, key, "given"};
    struct component c = {0};
    struct fault f = {0};
    if (component_make(&job, pool, &c, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_string_equal(c.part.bytes, expected);
    assert_int_equal(c.part.size, 64);
    assert_string_equal(c.part.kind, "fake");
    assert_string_equal(c.part.name, "given");
    component_free(&c);
}

/* Makes the only file of the folder one byte shorter. */
static void tear(const char *folder)
{
    char path[512] = "";
    unsigned char *bytes;
    size_t size;
    struct fault f = {0};
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (strstr(e->d_name, ".part"))
            (void)snprintf(path, sizeof path, "%s/%.200s", folder, e->d_name);
    assert_int_equal(closedir(d), 0);
    assert_int_equal(sysio_read_file(path, 1 << 20, &bytes, &size, &f), STATUS_OK);
    assert_int_equal(sysio_write_file(path, bytes, size - 1, &f), STATUS_OK);
    sysio_free(bytes);
}

void test_component_store_trains_once_a_key(void **state)
{
    (void)state;
    char folder[256], inner[300];
    struct pool *pool;
    void *memory = sysio_alloc(pool_plan(1), 1);
    assert_int_equal(pool_init(memory, 1, &pool), STATUS_OK);
    test_support_mkdir(folder);
    (void)snprintf(inner, sizeof inner, "%s/parts", folder);
    trained = 0;
    make(inner, "a", pool, "it 1");
    make(inner, "a", pool, "it 1");
    tear(inner);
    make(inner, "a", pool, "it 2");
    make(inner, "b", pool, "it 3");
    make(inner, "a", pool, "it 2");
    test_support_rmdir(folder);
    pool_fini(pool);
    sysio_free(memory);
}

void test_component_store_passes_errors_on(void **state)
{
    (void)state;
    char folder[256];
    const struct learner_problem problem = {.name = "it"};
    const struct component_job job = {&fake, &problem, folder, "a", "given"};
    struct component c = {0};
    struct fault f = {0};
    struct pool *pool;
    void *memory = sysio_alloc(pool_plan(1), 1);
    assert_int_equal(pool_init(memory, 1, &pool), STATUS_OK);
    test_support_mkdir(folder);
    assert_int_equal(component_make(&job, pool, &c, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "seed");
    test_support_rmdir(folder);
    pool_fini(pool);
    sysio_free(memory);
}
