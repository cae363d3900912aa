/* Tombstones of a job: one list a task, in order, each key once, however many data sets bring it.
 */
#include "tests/support/test.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/version_data.h"

static struct digest key(uint8_t n)
{
    return (struct digest){.b = {n}};
}

static void expect(const struct job *job, const char *task, const uint8_t *keys, size_t n)
{
    const struct job_tombstones *t = version_data_erasing(job, task);
    assert_non_null(t);
    assert_int_equal(t->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(t->keys[i].b[0], keys[i]);
}

void test_version_erase_joins_what_several_data_sets_bring(void **state)
{
    (void)state;
    const struct version parent = {.number = 1};
    struct job job = {.parent = (struct version *)(uintptr_t)&parent};
    const struct digest first[] = {key(7), key(2)}, second[] = {key(5), key(2)}, other[] = {key(9)};
    assert_null(version_data_erasing(&job, "left"));
    assert_int_equal(version_data_erase(NULL, &job, "left", first, 2, NULL), STATUS_OK);
    assert_int_equal(version_data_erase(NULL, &job, "right", other, 1, NULL), STATUS_OK);
    assert_int_equal(version_data_erase(NULL, &job, "left", second, 2, NULL), STATUS_OK);
    assert_int_equal(job.n_tombstones, 2);
    expect(&job, "left", (const uint8_t[]){2, 5, 7}, 3);
    expect(&job, "right", (const uint8_t[]){9}, 1);
    assert_null(version_data_erasing(&job, VERSION_ERASED_BASE));
    for (size_t i = 0; i < job.n_tombstones; i++)
        sysio_free(job.tombstones[i].keys);
    sysio_free(job.tombstones);
}
