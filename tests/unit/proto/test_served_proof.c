/* What served when: neighbours, the open end, every bit, and every lie about the order of moves. */
#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

#include "proto/seal/served_proof.h"

#define ROOM 65536

/* Entries: 5 others, move 1, 7 others, move 2, `tail` others. */
struct story {
    struct log_fixture *log;
    uint64_t moves[3]; /* numbers of the entries of generations 1 and 2 */
    int witnessed;
};

static struct story story_new(size_t tail)
{
    struct story s = {.log = log_fixture_new()};
    log_fixture_fill(s.log, 5);
    s.moves[1] = log_fixture_move(s.log, 1);
    log_fixture_fill(s.log, 7);
    s.moves[2] = log_fixture_move(s.log, 2);
    log_fixture_fill(s.log, tail);
    return s;
}

static void put_move(const struct story *s, struct byte_writer *w, uint64_t index)
{
    struct merkle_proof proof;
    size_t n = 0;
    const void *entry = log_fixture_entry(s->log, index, &n);
    log_fixture_prove(s->log, index, log_fixture_size(s->log), &proof);
    served_proof_put_move(w, entry, n, index, &proof);
}

static void put_end(const struct story *s, struct byte_writer *w)
{
    char checkpoint[NOTE_MAX];
    const size_t n =
        log_fixture_checkpoint(s->log, log_fixture_size(s->log), s->witnessed, checkpoint);
    served_proof_end(w, checkpoint, n);
    assert_false(w->failed);
}

static size_t make_closed(const struct story *s, uint64_t first, uint64_t second, char to[ROOM])
{
    struct byte_writer w = byte_writer_make(to, ROOM);
    served_proof_begin(&w);
    put_move(s, &w, first);
    put_move(s, &w, second);
    put_end(s, &w);
    return w.used;
}

/* With the later entries from `from` up to `end`. */
static size_t make_open(const struct story *s, uint64_t move, uint64_t from, uint64_t end, char *to)
{
    struct byte_writer w = byte_writer_make(to, ROOM);
    served_proof_begin(&w);
    put_move(s, &w, move);
    for (uint64_t i = from; i < end; i++) {
        size_t n = 0;
        const void *entry = log_fixture_entry(s->log, i, &n);
        served_proof_put_later(&w, entry, n);
    }
    if (from < end)
        served_proof_end_later(&w);
    put_end(s, &w);
    return w.used;
}

static enum status
check(const struct story *s, const char *text, size_t n, struct served_verdict *ret_verdict)
{
    static struct served_proof p;
    const struct signers signers = log_fixture_signers(s->log, s->witnessed);
    const enum status st = served_proof_parse(text, n, &p, NULL);
    return st == STATUS_OK ? served_proof_verify(&p, &signers, ret_verdict, NULL) : st;
}

void test_served_proof_of_neighbours(void **state)
{
    struct story s = story_new(3);
    struct served_verdict v;
    static char text[ROOM];
    (void)state;
    const size_t n = make_closed(&s, s.moves[1], s.moves[2], text);
    assert_int_equal(check(&s, text, n, &v), STATUS_OK);
    const struct digest version = log_fixture_version(1);
    const int64_t from = LOG_FIXTURE_NOW + 5 * LOG_FIXTURE_STEP;
    const int64_t until = LOG_FIXTURE_NOW + 13 * LOG_FIXTURE_STEP;
    assert_true(digest_equal(&v.version, &version));
    assert_true(v.generation == 1 && !v.is_open && !v.from_held && !v.until_held);
    assert_true(v.from_us == from && v.until_us == until);
    assert_true(served_proof_covers(&v, from) && served_proof_covers(&v, until - 1));
    assert_false(served_proof_covers(&v, from - 1) || served_proof_covers(&v, until));
    log_fixture_free(s.log);
}

void test_served_proof_of_the_newest(void **state)
{
    static char text[ROOM];
    (void)state;
    for (size_t tail = 0; tail < 20; tail++) {
        struct story s = story_new(tail);
        struct served_verdict v;
        const uint64_t end = log_fixture_size(s.log);
        const size_t n = make_open(&s, s.moves[2], s.moves[2] + 1, end, text);
        assert_int_equal(check(&s, text, n, &v), STATUS_OK);
        const int64_t last = LOG_FIXTURE_NOW + ((int64_t)end - 1) * LOG_FIXTURE_STEP;
        assert_true(v.generation == 2 && v.is_open && v.until_us == last);
        assert_true(served_proof_covers(&v, last));
        assert_false(served_proof_covers(&v, last + 1));
        log_fixture_free(s.log);
    }
}

/* A witness' time says that the log looked like this later than its last entry. */
void test_served_proof_witness_moves_the_end(void **state)
{
    static char text[ROOM];
    struct story s = story_new(2);
    struct served_verdict v;
    (void)state;
    s.witnessed = 1;
    const size_t n = make_open(&s, s.moves[2], s.moves[2] + 1, log_fixture_size(s.log), text);
    assert_int_equal(check(&s, text, n, &v), STATUS_OK);
    assert_true(v.until_us == LOG_FIXTURE_SECONDS * 1000000);
    log_fixture_free(s.log);
}

void test_served_proof_open_end_needs_all_that_follows(void **state)
{
    static char text[ROOM];
    struct story s = story_new(4);
    struct served_verdict v;
    const uint64_t end = log_fixture_size(s.log), m = s.moves[2];
    (void)state;
    size_t n = make_open(&s, m, end, end, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_FAILED_PRECONDITION);
    n = make_open(&s, m, m + 1, end - 1, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_open(&s, m, m + 2, end, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    /* As many as follow, but not those. */
    n = make_open(&s, m, m, end - 1, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    /* All that follow, one of them a move. */
    n = make_open(&s, s.moves[1], s.moves[1] + 1, end, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    log_fixture_free(s.log);
}

void test_served_proof_moves_must_be_neighbours(void **state)
{
    static char text[ROOM];
    struct story s = story_new(0);
    struct served_verdict v;
    (void)state;
    const uint64_t third = log_fixture_move(s.log, 3);
    const uint64_t again = log_fixture_move(s.log, 3);
    size_t n = make_closed(&s, s.moves[1], third, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_closed(&s, s.moves[2], s.moves[1], text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_closed(&s, s.moves[1], s.moves[1], text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_closed(&s, third, again, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_closed(&s, s.moves[1], s.moves[1] + 1, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    n = make_closed(&s, s.moves[2], third, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_OK);
    log_fixture_free(s.log);
}

/* Generation j + 1 that does not begin where j ended. */
void test_served_proof_moves_must_join(void **state)
{
    static char text[ROOM];
    struct story s = story_new(0);
    struct served_verdict v;
    const struct digest from = log_fixture_version(77), to = log_fixture_version(78);
    const struct log_value values[] = {log_value_number("generation", 3),
                                       log_value_digest("from", &from),
                                       log_value_digest("to", &to)};
    (void)state;
    const uint64_t third = log_fixture_add(s.log, LOG_KIND_SERVING_MOVED, values, 3);
    const size_t n = make_closed(&s, s.moves[2], third, text);
    assert_int_equal(check(&s, text, n, &v), STATUS_DATA_LOSS);
    log_fixture_free(s.log);
}

static void flip_all(const struct story *s, char *text, size_t n)
{
    struct served_verdict v;
    assert_int_equal(check(s, text, n, &v), STATUS_OK);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        const enum status st = check(s, text, n, &v);
        if (st != STATUS_DATA_LOSS && st != STATUS_BAD_FORMAT)
            fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8, status_name(st));
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_int_not_equal(check(s, text, cut, &v), STATUS_OK);
}

void test_served_proof_every_flipped_bit_is_noticed(void **state)
{
    static char text[ROOM];
    struct story s = story_new(3);
    (void)state;
    size_t n = make_closed(&s, s.moves[1], s.moves[2], text);
    flip_all(&s, text, n);
    s.witnessed = 1;
    n = make_open(&s, s.moves[2], s.moves[2] + 1, log_fixture_size(s.log), text);
    flip_all(&s, text, n);
    log_fixture_free(s.log);
    s = story_new(0);
    n = make_open(&s, s.moves[2], 0, 0, text);
    flip_all(&s, text, n);
    log_fixture_free(s.log);
}

void test_served_proof_reader_tells_newer_from_malformed(void **state)
{
    static struct served_proof p;
    static const char newer[] = "lethe-served/v2\n", bad[] = "lethe-served/v3\n";
    (void)state;
    assert_int_equal(served_proof_parse(newer, sizeof newer - 1, &p, NULL), STATUS_UNIMPLEMENTED);
    assert_int_equal(served_proof_parse(bad, sizeof bad - 1, &p, NULL), STATUS_BAD_FORMAT);
    assert_int_equal(served_proof_parse("", 0, &p, NULL), STATUS_BAD_FORMAT);
}
