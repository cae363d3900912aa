/* Stored records: round trips; every shorter, longer or altered form is refused. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/records.h"

void test_records_relapse_round_trip(void **state)
{
    (void)state;
    const struct record_relapse r = {.limit = 0.138, .ncm_then = 0.25, .recheckable = 1};
    uint8_t bytes[RECORD_RELAPSE_SIZE + 1] = {0};
    record_relapse_encode(&r, bytes);
    struct record_relapse back;
    assert_int_equal(record_relapse_decode(bytes, RECORD_RELAPSE_SIZE, &back, NULL), STATUS_OK);
    assert_near(back.limit, r.limit, 0);
    assert_near(back.ncm_then, r.ncm_then, 0);
    assert_int_equal(back.recheckable, 1);
}

void test_records_relapse_refuses_damage(void **state)
{
    (void)state;
    const struct record_relapse r = {.limit = (double)NAN, .ncm_then = (double)NAN};
    uint8_t bytes[RECORD_RELAPSE_SIZE + 1] = {0};
    struct record_relapse back;
    record_relapse_encode(&r, bytes);
    for (size_t n = 0; n <= sizeof bytes; n++)
        if (n != RECORD_RELAPSE_SIZE)
            assert_int_equal(record_relapse_decode(bytes, n, &back, NULL), STATUS_DATA_LOSS);
    bytes[0] ^= 1;
    assert_int_equal(record_relapse_decode(bytes, RECORD_RELAPSE_SIZE, &back, NULL),
                     STATUS_DATA_LOSS);
    bytes[0] ^= 1;
    bytes[RECORD_RELAPSE_SIZE - 1] = 2;
    assert_int_equal(record_relapse_decode(bytes, RECORD_RELAPSE_SIZE, &back, NULL),
                     STATUS_DATA_LOSS);
}

void test_records_prototypes_round_trip_and_damage(void **state)
{
    (void)state;
    const uint64_t counts[3] = {7, 0, 1ull << 40};
    const float means[6] = {0.5f, -1.0f, 3.25f, 0.0f, 1e-9f, 8.0f};
    const struct record_prototypes p = {3, 2, counts, means};
    size_t size;
    uint8_t *bytes = record_prototypes_encode(&p, &size);
    assert_non_null(bytes);
    struct record_prototypes back;
    void *owned;
    assert_int_equal(record_prototypes_decode(bytes, size, &back, &owned, NULL), STATUS_OK);
    assert_int_equal(back.classes, 3);
    assert_int_equal(back.width, 2);
    assert_memory_equal(back.counts, counts, sizeof counts);
    assert_memory_equal(back.means, means, sizeof means);
    sysio_free(owned);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(record_prototypes_decode(bytes, n, &back, &owned, NULL), STATUS_DATA_LOSS);
    bytes[8] = 0xff; /* K that the bytes cannot hold */
    assert_int_equal(record_prototypes_decode(bytes, size, &back, &owned, NULL), STATUS_DATA_LOSS);
    sysio_free(bytes);
}
