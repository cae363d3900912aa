/* Files kept for download: ranges, expiry, room. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/exports.h"

static struct digest add(struct exports *e, const char *text, int64_t now)
{
    const size_t n = strlen(text);
    char *bytes = sysio_alloc(n + 1, 1);
    assert_non_null(bytes);
    memcpy(bytes, text, n);
    struct digest d;
    assert_int_equal(exports_add(e, bytes, n, now, &d, NULL), STATUS_OK);
    return d;
}

void test_exports_ranges(void **state)
{
    (void)state;
    struct exports *e;
    struct fault f = {0};
    const uint8_t *at;
    assert_int_equal(exports_new(&e, NULL), STATUS_OK);
    const struct digest d = add(e, "0123456789", 0);
    assert_int_equal(exports_read(e, &d, 3, 4, 1, &at, &f), STATUS_OK);
    assert_memory_equal(at, "3456", 4);
    assert_int_equal(exports_read(e, &d, 10, 0, 1, &at, &f), STATUS_OK);
    assert_int_equal(exports_read(e, &d, 7, 4, 1, &at, &f), STATUS_OUT_OF_RANGE);
    assert_int_equal(exports_read(e, &d, UINT64_MAX, 4, 1, &at, &f), STATUS_OUT_OF_RANGE);
    const struct digest unknown = {{9}};
    assert_int_equal(exports_read(e, &unknown, 0, 1, 1, &at, &f), STATUS_NOT_FOUND);
    exports_free(e);
}

void test_exports_expire_and_are_renewed(void **state)
{
    (void)state;
    struct exports *e;
    const uint8_t *at;
    assert_int_equal(exports_new(&e, NULL), STATUS_OK);
    const struct digest a = add(e, "first", 0);
    const struct digest b = add(e, "second", 0);
    const struct digest again = add(e, "first", EXPORTS_KEEP_US - 1);
    assert_true(digest_equal(&a, &again));
    assert_int_equal(exports_read(e, &a, 0, 5, EXPORTS_KEEP_US, &at, NULL), STATUS_OK);
    assert_int_equal(exports_read(e, &b, 0, 5, EXPORTS_KEEP_US, &at, NULL), STATUS_NOT_FOUND);
    exports_free(e);
}

void test_exports_oldest_makes_room(void **state)
{
    (void)state;
    struct exports *e;
    const uint8_t *at;
    struct digest d[EXPORTS_FILES_MAX + 1];
    assert_int_equal(exports_new(&e, NULL), STATUS_OK);
    for (int i = 0; i <= EXPORTS_FILES_MAX; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "file %d", i);
        d[i] = add(e, text, 0);
    }
    assert_int_equal(exports_read(e, &d[0], 0, 1, 1, &at, NULL), STATUS_NOT_FOUND);
    assert_int_equal(exports_read(e, &d[1], 0, 1, 1, &at, NULL), STATUS_OK);
    assert_int_equal(exports_read(e, &d[EXPORTS_FILES_MAX], 0, 1, 1, &at, NULL), STATUS_OK);
    exports_free(e);
}
