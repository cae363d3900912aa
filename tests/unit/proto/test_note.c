/* Signed checkpoints: the exact bytes, every flipped bit, other keys, cosignatures, bad forms. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "proto/seal/note.h"

#define NAME "example.org/lethe/7f3a9c01"

static struct sign_key *log_key, *witness_key;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    const uint8_t one[SIGN_SEED_SIZE] = {1}, two[SIGN_SEED_SIZE] = {2};
    return sign_key_from_seed(NAME, SIGN_LOG, one, &log_key, NULL) != STATUS_OK ||
           sign_key_from_seed("witness.example", SIGN_WITNESS, two, &witness_key, NULL) !=
               STATUS_OK;
}

int group_teardown(void **state)
{
    (void)state;
    sign_key_free(log_key);
    sign_key_free(witness_key);
    return 0;
}

static struct note_checkpoint checkpoint_of(uint64_t size)
{
    struct note_checkpoint c = {.origin = NAME, .size = size};
    c.root = sha256_of("root", 4);
    return c;
}

/* A note over this many entries; with the witness' line at time 1772000000 if asked. */
static size_t make(uint64_t size, int witnessed, char to[NOTE_MAX])
{
    const struct note_checkpoint c = checkpoint_of(size);
    struct byte_writer w = byte_writer_make(to, NOTE_MAX);
    note_write(&w, &c, log_key);
    assert_false(w.failed);
    if (witnessed) {
        struct note note;
        assert_int_equal(note_parse(to, w.used, &note, NULL), STATUS_OK);
        note_write_cosignature(&w, note.text, note.text_size, 1772000000, witness_key);
    }
    assert_false(w.failed);
    return w.used;
}

void test_note_exact_text(void **state)
{
    char text[NOTE_MAX];
    (void)state;
    const size_t n = make(4711, 0, text);
    static const char wanted[] = NAME "\n4711\n"
                                      "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n"
                                      "\n\xe2\x80\x94 " NAME " ";
    assert_true(n <= NOTE_SIGNED_SIZE);
    assert_memory_equal(text, wanted, sizeof wanted - 1);
    assert_int_equal(text[n - 1], '\n');
    assert_int_equal(n, sizeof wanted - 1 + 92 + 1);
}

void test_note_round_trip(void **state)
{
    static const uint64_t sizes[] = {0, 1, 9, 10, 4711, UINT64_MAX};
    char text[NOTE_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct note note;
        int64_t seconds = -1;
        const size_t n = make(sizes[i], 1, text);
        assert_int_equal(note_parse(text, n, &note, NULL), STATUS_OK);
        assert_string_equal(note.checkpoint.origin, NAME);
        assert_true(note.checkpoint.size == sizes[i]);
        const struct note_checkpoint c = checkpoint_of(sizes[i]);
        assert_true(sha256_equal(&note.checkpoint.root, &c.root));
        assert_int_equal(note.n_signatures, 2);
        assert_int_equal(note_verify(&note, sign_key_public(log_key), &seconds), NOTE_GOOD);
        assert_int_equal(seconds, 0);
        assert_int_equal(note_verify(&note, sign_key_public(witness_key), &seconds), NOTE_GOOD);
        assert_int_equal(seconds, 1772000000);
    }
}

static int is_good(const char *text, size_t n)
{
    struct note note;
    return note_parse(text, n, &note, NULL) == STATUS_OK &&
           note_verify(&note, sign_key_public(log_key), NULL) == NOTE_GOOD &&
           note_verify(&note, sign_key_public(witness_key), NULL) == NOTE_GOOD;
}

void test_note_every_flipped_bit_is_noticed(void **state)
{
    char text[NOTE_MAX];
    (void)state;
    const size_t n = make(4711, 1, text);
    assert_true(is_good(text, n));
    for (size_t bit = 0; bit < 8 * n; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        assert_false(is_good(text, n));
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_false(is_good(text, cut));
}

/* Another key of the same name, a key that did not sign, a log key of another origin. */
void test_note_other_keys(void **state)
{
    struct sign_key *same_name = NULL, *other = NULL;
    struct note note;
    char text[NOTE_MAX];
    const uint8_t three[SIGN_SEED_SIZE] = {3};
    (void)state;
    assert_int_equal(sign_key_from_seed(NAME, SIGN_LOG, three, &same_name, NULL), STATUS_OK);
    assert_int_equal(sign_key_from_seed("another.log", SIGN_LOG, three, &other, NULL), STATUS_OK);
    struct byte_writer w = byte_writer_make(text, sizeof text);
    w.used = make(7, 0, text);
    assert_int_equal(note_parse(text, w.used, &note, NULL), STATUS_OK);
    assert_int_equal(note_verify(&note, sign_key_public(same_name), NULL), NOTE_ABSENT);
    assert_int_equal(note_verify(&note, sign_key_public(witness_key), NULL), NOTE_ABSENT);
    note_write_signature(&w, note.text, note.text_size, other);
    assert_int_equal(note_parse(text, w.used, &note, NULL), STATUS_OK);
    assert_int_equal(note_verify(&note, sign_key_public(other), NULL), NOTE_FALSE);
    assert_int_equal(note_verify(&note, sign_key_public(log_key), NULL), NOTE_GOOD);
    sign_key_free(same_name);
    sign_key_free(other);
}

void test_note_bad_forms_name_the_line(void **state)
{
#define ROOT "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n"
#define SIG  "\xe2\x80\x94 k AAAAAAA=\n"
    static const struct {
        const char *text, *field;
    } bad[] = {{"", "origin"},
               {"no end", "origin"},
               {"two words\n", "origin"},
               {"k\n", "size"},
               {"k\n07\n", "size"},
               {"k\n18446744073709551616\n", "size"},
               {"k\n-1\n", "size"},
               {"k\n7\nAAAA\n", "root"},
               {"k\n7\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7J=\n", "root"},
               {"k\n7\n" ROOT, "checkpoint"},
               {"k\n7\n" ROOT "extension\n\n" SIG, "checkpoint"},
               {"k\n7\n" ROOT "\n", "signatures"},
               {"k\n7\n" ROOT "\n- k AAAAAAA=\n", "signatures"},
               {"k\n7\n" ROOT "\n" SIG SIG, "signatures"},
               {"k\n7\n" ROOT "\n" SIG "\n", "signatures"},
               {"k\n7\n" ROOT "\n\xe2\x80\x94 k AAAAAA==\n", "signatures"}};
    struct note note;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault f = {0};
        assert_int_equal(note_parse(bad[i].text, strlen(bad[i].text), &note, &f),
                         STATUS_BAD_FORMAT);
        assert_string_equal(f.field, bad[i].field);
    }
    assert_int_equal(
        note_parse("k\n7\n" ROOT "\n" SIG, strlen("k\n7\n" ROOT "\n" SIG), &note, NULL), STATUS_OK);
}

void test_note_too_many_signatures(void **state)
{
    char text[NOTE_MAX], line[64];
    struct note note;
    struct fault f = {0};
    struct byte_writer w = byte_writer_make(text, sizeof text);
    (void)state;
    put_bytes(&w, "k\n7\n" ROOT "\n", strlen("k\n7\n" ROOT "\n"));
    for (int i = 0; i <= NOTE_SIGNATURES_MAX; i++) {
        assert_int_equal(note_parse(text, w.used, &note, &f),
                         i == 0 ? STATUS_BAD_FORMAT : STATUS_OK);
        const int n = snprintf(line, sizeof line, "\xe2\x80\x94 k%d AAAAAAA=\n", i);
        put_bytes(&w, line, (size_t)n);
    }
    assert_int_equal(note_parse(text, w.used, &note, &f), STATUS_BAD_FORMAT);
    assert_string_equal(f.field, "signatures");
}
