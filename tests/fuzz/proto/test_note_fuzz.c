/*
 * Fuzzing of checkpoints and verifier keys.  For any bytes: no read outside them, a refusal says
 * why, the text of a note that parses is written again to the same bytes, and no note of a size
 * that was never signed verifies.
 */
#include "tests/support/corpus.h"
#include "tests/support/log_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_vkey log_key, witness_key;

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "note fuzz: %s\n", what);
    abort();
}

static struct signers signers(void)
{
    if (log_key.name[0] == '\0') {
        struct log_fixture *log = log_fixture_new();
        log_key = *log_fixture_key(log);
        witness_key = *sign_key_public(log_fixture_witness(log));
        log_fixture_free(log);
    }
    return (struct signers){&log_key, 1, &witness_key, 1, 1, 0};
}

static void check(const struct note *note)
{
    struct signers_seen seen;
    struct fault f = {0};
    uint8_t text[NOTE_TEXT_MAX];
    struct byte_writer w = byte_writer_make(text, sizeof text);
    const struct signers s = signers();
    note_write_text(&w, &note->checkpoint);
    require(!w.failed && w.used == note->text_size && memcmp(text, note->text, w.used) == 0,
            "other bytes");
    const enum status st = signers_check(&s, note, &seen, &f);
    if (st == STATUS_OK) {
        require(note->checkpoint.size <= 64, "a forged checkpoint verifies");
        return;
    }
    require((st == STATUS_DATA_LOSS || st == STATUS_FAILED_PRECONDITION) && f.text[0] != '\0',
            "a refusal with another status, or without a reason");
}

static void check_vkey(const uint8_t *data, size_t size)
{
    struct sign_vkey v;
    struct fault f = {0};
    char again[SIGN_VKEY_SIZE];
    if (sign_vkey_parse((const char *)data, size, &v, &f) != STATUS_OK) {
        require(f.text[0] != '\0', "a key refused without a reason");
        return;
    }
    sign_vkey_format(&v, again);
    require(strlen(again) == size && memcmp(again, data, size) == 0, "another text of a key");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct note note;
    struct fault f = {0};
    const enum status st = note_parse((const char *)data, size, &note, &f);
    if (st == STATUS_OK)
        check(&note);
    else
        require(st == STATUS_BAD_FORMAT && f.text[0] != '\0',
                "a refusal with another status, or without a reason");
    check_vkey(data, size);
    return 0;
}

#ifndef LETHE_LIBFUZZER

void test_fuzz_note(void **state)
{
    struct corpus c;
    (void)state;
    corpus_load(&c, "tests/fuzz/proto/corpus_note", 5);
    corpus_run(&c, "note-fuzz", 600, LLVMFuzzerTestOneInput);
    corpus_free(&c);
}

#endif
