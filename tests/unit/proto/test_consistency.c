/* Consistency files: every pair of sizes, every bit, and what does not belong together. */
#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>

#define SIZE 40

static struct log_fixture *the_log;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    the_log = log_fixture_new();
    log_fixture_fill(the_log, SIZE);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    log_fixture_free(the_log);
    return 0;
}

static struct note_checkpoint checkpoint(uint64_t size)
{
    char text[NOTE_MAX];
    struct note note;
    const size_t n = log_fixture_checkpoint(the_log, size, 0, text);
    assert_int_equal(note_parse(text, n, &note, NULL), STATUS_OK);
    return note.checkpoint;
}

static size_t make(uint64_t old_size, uint64_t new_size, char to[CONSISTENCY_MAX])
{
    struct consistency c;
    struct byte_writer w = byte_writer_make(to, CONSISTENCY_MAX);
    log_fixture_consistency(the_log, old_size, new_size, &c);
    consistency_write(&w, &c);
    assert_false(w.failed);
    return w.used;
}

static enum status check(const char *text, size_t n, uint64_t old_size, uint64_t new_size)
{
    struct consistency c;
    const struct note_checkpoint older = checkpoint(old_size), newer = checkpoint(new_size);
    const enum status st = consistency_parse(text, n, &c, NULL);
    return st == STATUS_OK ? consistency_verify(&c, &older, &newer, NULL) : st;
}

void test_consistency_exact_text(void **state)
{
    static const char wanted[] =
        "lethe-consistency/v1\norigin " LOG_FIXTURE_ORIGIN "\nold 8\nnew 9\n";
    char text[CONSISTENCY_MAX];
    (void)state;
    const size_t n = make(8, 9, text);
    assert_memory_equal(text, wanted, sizeof wanted - 1);
    assert_int_equal(n, sizeof wanted - 1 + 45);
}

void test_consistency_of_every_pair(void **state)
{
    char text[CONSISTENCY_MAX];
    (void)state;
    for (uint64_t new_size = 0; new_size <= SIZE; new_size++)
        for (uint64_t old_size = 0; old_size <= new_size; old_size++) {
            const size_t n = make(old_size, new_size, text);
            assert_int_equal(check(text, n, old_size, new_size), STATUS_OK);
        }
}

void test_consistency_every_flipped_bit_is_noticed(void **state)
{
    static const uint64_t pairs[][2] = {{8, 9}, {7, 39}, {13, 13}, {0, 5}, {32, 40}, {1, 2}};
    char text[CONSISTENCY_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const size_t n = make(pairs[i][0], pairs[i][1], text);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
            const enum status st = check(text, n, pairs[i][0], pairs[i][1]);
            assert_true(st == STATUS_DATA_LOSS || st == STATUS_BAD_FORMAT);
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        }
        for (size_t cut = 0; cut < n; cut++)
            assert_int_not_equal(check(text, cut, pairs[i][0], pairs[i][1]), STATUS_OK);
    }
}

void test_consistency_of_other_checkpoints(void **state)
{
    char text[CONSISTENCY_MAX];
    struct consistency c;
    (void)state;
    const size_t n = make(8, 9, text);
    assert_int_equal(check(text, n, 8, 10), STATUS_DATA_LOSS);
    assert_int_equal(check(text, n, 7, 9), STATUS_DATA_LOSS);
    assert_int_equal(check(text, n, 9, 8), STATUS_DATA_LOSS);
    assert_int_equal(consistency_parse(text, n, &c, NULL), STATUS_OK);
    struct note_checkpoint older = checkpoint(8), newer = checkpoint(9);
    older.root.b[0] ^= 1;
    assert_int_equal(consistency_verify(&c, &older, &newer, NULL), STATUS_DATA_LOSS);
    older = checkpoint(8);
    newer.origin[0] = 'E';
    assert_int_equal(consistency_verify(&c, &older, &newer, NULL), STATUS_DATA_LOSS);
    older.origin[0] = 'E';
    assert_int_equal(consistency_verify(&c, &older, &newer, NULL), STATUS_DATA_LOSS);
}

/* Equal sizes with other roots: a log that was put back and written on differently. */
void test_consistency_of_a_forked_log(void **state)
{
    char text[CONSISTENCY_MAX];
    struct consistency c;
    (void)state;
    const size_t n = make(9, 9, text);
    const struct note_checkpoint older = checkpoint(9);
    struct note_checkpoint newer = checkpoint(9);
    newer.root.b[31] ^= 0x80;
    assert_int_equal(consistency_parse(text, n, &c, NULL), STATUS_OK);
    assert_int_equal(consistency_verify(&c, &older, &newer, NULL), STATUS_DATA_LOSS);
}

void test_consistency_reader_refuses_other_shapes(void **state)
{
    static const char *const bad[] = {
        "",
        "lethe-consistency/v1\n",
        "lethe-consistency/v1\norigin a b\nold 1\nnew 1\n",
        "lethe-consistency/v1\norigin a\nold 2\nnew 1\n",
        "lethe-consistency/v1\norigin a\nold 01\nnew 1\n",
        "lethe-consistency/v1\norigin a\nold 1\nnew 18446744073709551616\n",
        "lethe-consistency/v1\norigin a\nold 1\nnew 1\n\n",
        "lethe-consistency/v1\norigin a\nold 1\nnew 1\nAAAA\n",
        "lethe-consistency/v1\norigin a\nold 1\nnew 1",
        "lethe-consistency/v5\norigin a\nold 1\nnew 1\n",
        "lethe-receipt/v1\norigin a\nold 1\nnew 1\n",
    };
    struct consistency c;
    char long_text[CONSISTENCY_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(consistency_parse(bad[i], strlen(bad[i]), &c, NULL), STATUS_BAD_FORMAT);
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(consistency_parse(long_text, sizeof long_text, &c, NULL), STATUS_BAD_FORMAT);
    static const char newer[] = "lethe-consistency/v2\n";
    assert_int_equal(consistency_parse(newer, sizeof newer - 1, &c, NULL), STATUS_UNIMPLEMENTED);
}

/* 63 lines of path are read, 64 are not; and the longest text fits into the stated room. */
void test_consistency_bounds_the_path(void **state)
{
    struct consistency c = {.old_size = UINT64_MAX, .new_size = UINT64_MAX};
    char text[CONSISTENCY_MAX + 45];
    (void)state;
    memset(c.origin, 'a', SIGN_NAME_MAX);
    c.proof.n = PROOF_LINES_MAX;
    struct byte_writer w = byte_writer_make(text, CONSISTENCY_MAX);
    consistency_write(&w, &c);
    assert_false(w.failed);
    struct consistency again;
    assert_int_equal(consistency_parse(text, w.used, &again, NULL), STATUS_OK);
    assert_int_equal(again.proof.n, PROOF_LINES_MAX);
    memcpy(c.origin, "a", 2);
    c.proof.n++;
    w = byte_writer_make(text, sizeof text);
    consistency_write(&w, &c);
    assert_false(w.failed);
    assert_int_equal(consistency_parse(text, w.used, &again, NULL), STATUS_BAD_FORMAT);
}
