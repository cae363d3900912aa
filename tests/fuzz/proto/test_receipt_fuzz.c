/*
 * Fuzzing of receipts.  For any bytes: no read outside them or behind the decode buffer, a refusal
 * says why, a receipt whose entry and parts hold together is written again to the same bytes, and
 * nothing verifies but entries of the one log whose key signed.
 */
#include "tests/support/corpus.h"
#include "tests/support/log_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_vkey log_key, witness_key;

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "receipt fuzz: %s\n", what);
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
    return (struct signers){&log_key, 1, &witness_key, 1, 0, 1};
}

static void write_again(const struct receipt *r, const uint8_t *data, size_t size)
{
    const struct receipt_draft d = {.entry = r->entry_bytes,
                                    .entry_size = r->entry_size,
                                    .parts = r->parts,
                                    .n_parts = r->n_parts,
                                    .index = r->index,
                                    .proof = &r->proof,
                                    .checkpoint = r->note.text,
                                    .checkpoint_size = r->note.size};
    uint8_t *to = malloc(size + 1);
    require(to != NULL, "no memory");
    struct byte_writer w = byte_writer_make(to, size);
    if (receipt_write(&w, &d, NULL) == STATUS_OK) {
        require(w.used == size, "another size");
        /* The writer puts parts into the order of the fields, which the reader leaves to verify. */
        require(r->n_parts > 1 || memcmp(to, data, size) == 0, "other bytes");
    }
    free(to);
}

static void check(const struct receipt *r, const uint8_t *data, size_t size)
{
    struct receipt_verdict v;
    struct fault f = {0};
    const struct signers s = signers();
    const enum status st = receipt_verify(r, &s, NULL, 0, &v, &f);
    write_again(r, data, size);
    if (st == STATUS_OK) {
        /* Our fixtures log at most 64 entries; nothing else was ever signed. */
        require(r->note.checkpoint.size <= 64 && r->index < 64, "a forged receipt verifies");
        return;
    }
    require(st == STATUS_DATA_LOSS || st == STATUS_FAILED_PRECONDITION ||
                st == STATUS_UNIMPLEMENTED,
            "another status of verify");
    require(f.text[0] != '\0', "a refusal without a reason");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct receipt r;
    struct fault f = {0};
    uint8_t *decoded = malloc(size ? size : 1);
    require(decoded != NULL, "no memory");
    const enum status st = receipt_parse((const char *)data, size, decoded, &r, &f);
    if (st == STATUS_OK)
        check(&r, data, size);
    else
        require((st == STATUS_BAD_FORMAT || st == STATUS_UNIMPLEMENTED) && f.text[0] != '\0',
                "a refusal with another status, or without a reason");
    free(decoded);
    return 0;
}

#ifndef LETHE_LIBFUZZER

void test_fuzz_receipt(void **state)
{
    struct corpus c;
    (void)state;
    corpus_load(&c, "tests/fuzz/proto/corpus_receipt", 5);
    corpus_run(&c, "receipt-fuzz", 600, LLVMFuzzerTestOneInput);
    corpus_free(&c);
}

#endif
