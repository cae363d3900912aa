/*
 * Fuzzing of certificates that carry their proof.  For any bytes: no read outside them or behind
 * the buffer, a refusal says why, what was taken apart is put together again to the same bytes, and
 * nothing verifies but the texts that were committed to.
 */
#include "tests/support/corpus.h"
#include "tests/support/log_fixture.h"

#include "proto/seal/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_vkey log_key;

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "certificate fuzz: %s\n", what);
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

static void join_again(const struct certificate *c, const uint8_t *data, size_t size)
{
    uint8_t *to = malloc(size);
    require(to != NULL, "no memory");
    struct byte_writer w = byte_writer_make(to, size);
    require(certificate_embed(&w, c->carrier, c->carrier_size, c->receipt_text, c->receipt_size,
                              NULL) == STATUS_OK,
            "cannot be put together again");
    require(w.used == size && memcmp(to, data, size) == 0, "other bytes");
    free(to);
}

static void check(const struct certificate *c)
{
    struct certificate_verdict v;
    struct fault f = {0};
    const struct signers s = signers();
    const enum status st = certificate_verify(c, &s, &v, &f);
    if (st == STATUS_OK) {
        require(memmem(c->carrier, c->carrier_size, "Sandal", 6) != NULL, "a forged text verifies");
        return;
    }
    require(st == STATUS_DATA_LOSS || st == STATUS_FAILED_PRECONDITION ||
                st == STATUS_UNIMPLEMENTED,
            "another status of verify");
    require(f.text[0] != '\0', "a refusal without a reason");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct certificate c;
    struct fault f = {0};
    uint8_t *buffer = malloc(size ? CERTIFICATE_BUFFER(size) : 1);
    require(buffer != NULL, "no memory");
    const enum status st = certificate_parse(data, size, buffer, &c, &f);
    if (st == STATUS_OK) {
        join_again(&c, data, size);
        check(&c);
    } else {
        require((st == STATUS_BAD_FORMAT || st == STATUS_UNIMPLEMENTED) && f.text[0] != '\0',
                "a refusal with another status, or without a reason");
    }
    free(buffer);
    return 0;
}

#ifndef LETHE_LIBFUZZER

void test_fuzz_certificate(void **state)
{
    struct corpus c;
    (void)state;
    corpus_load(&c, "tests/fuzz/proto/corpus_certificate", 4);
    corpus_run(&c, "certificate-fuzz", 600, LLVMFuzzerTestOneInput);
    corpus_free(&c);
}

#endif
