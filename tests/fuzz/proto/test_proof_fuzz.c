/*
 * Fuzzing of consistency proofs and of proofs of what served.  For any bytes: no read outside them,
 * a refusal says why, what parses is written again to the same bytes, and nothing verifies but what
 * a signed checkpoint holds.
 */
#include "tests/support/corpus.h"
#include "tests/support/log_fixture.h"

#include "proto/seal/served_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_vkey log_key;

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "proof fuzz: %s\n", what);
    abort();
}

static struct signers signers(void)
{
    if (log_key.name[0] == '\0') {
        struct log_fixture *log = log_fixture_new();
        log_key = *log_fixture_key(log);
        log_fixture_free(log);
    }
    return (struct signers){&log_key, 1, NULL, 0, 0, 1};
}

static void refused(enum status st, const struct fault *f)
{
    require((st == STATUS_BAD_FORMAT || st == STATUS_UNIMPLEMENTED) && f->text[0] != '\0',
            "a refusal with another status, or without a reason");
}

static void check_consistency(const uint8_t *data, size_t size)
{
    struct consistency c;
    struct fault f = {0};
    char again[CONSISTENCY_MAX];
    const enum status st = consistency_parse((const char *)data, size, &c, &f);
    if (st != STATUS_OK) {
        refused(st, &f);
        return;
    }
    struct byte_writer w = byte_writer_make(again, sizeof again);
    consistency_write(&w, &c);
    require(!w.failed && w.used == size && memcmp(again, data, size) == 0, "other bytes");
    struct note_checkpoint older = {.size = c.old_size}, newer = {.size = c.new_size};
    newer.root.b[0] = 1;
    memcpy(older.origin, c.origin, sizeof older.origin);
    memcpy(newer.origin, c.origin, sizeof newer.origin);
    require(consistency_verify(&c, &older, &newer, &f) == STATUS_DATA_LOSS, "made-up roots verify");
}

static void write_moves(struct byte_writer *w, const struct served_proof *p)
{
    served_proof_begin(w);
    for (size_t i = 0; i < p->n_moves; i++)
        served_proof_put_move(w, p->moves[i].entry, p->moves[i].size, p->moves[i].index,
                              &p->moves[i].proof);
}

static void check_served(const uint8_t *data, size_t size)
{
    static struct served_proof p;
    struct served_verdict v;
    struct fault f = {0};
    char *again = malloc(size + 1);
    require(again != NULL, "no memory");
    const enum status st = served_proof_parse((const char *)data, size, &p, &f);
    if (st == STATUS_OK) {
        const struct signers s = signers();
        struct byte_writer w = byte_writer_make(again, size);
        write_moves(&w, &p);
        require(!w.failed && memcmp(again, data, w.used) == 0, "other bytes");
        const enum status verdict = served_proof_verify(&p, &s, &v, &f);
        require(verdict != STATUS_OK || p.note.checkpoint.size <= 64, "a forged proof verifies");
        require(verdict == STATUS_OK || f.text[0] != '\0', "a refusal without a reason");
    } else {
        refused(st, &f);
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_consistency(data, size);
    check_served(data, size);
    return 0;
}

#ifndef LETHE_LIBFUZZER

void test_fuzz_proof(void **state)
{
    struct corpus c;
    (void)state;
    corpus_load(&c, "tests/fuzz/proto/corpus_proof", 5);
    corpus_run(&c, "proof-fuzz", 600, LLVMFuzzerTestOneInput);
    corpus_free(&c);
}

#endif
