/* Certificates that carry their proof: JSON and HTML, every bit, and slots that are none. */
#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

#include "proto/seal/certificate.h"

static const char json[] =
    "{\n  \"request\": \"0195515f-9d00-7a3c-8f21-5b6c7d8e9f00\",\n"
    "  \"classes\": [\"Sandal\"],\n  \"proof\": \"" CERTIFICATE_SLOT "\"\n}\n";
static const char html[] =
    "<!DOCTYPE html>\n<html><head><title>Certificate</title></head>\n"
    "<body><p>Sandal</p>\n<pre id=\"proof\">" CERTIFICATE_SLOT "</pre></body></html>\n";
static const struct request_id id = {{1, 2, 3}};

static struct log_fixture *the_log;
static struct receipt_part json_part, html_part, payload_part;
static uint64_t issued, other;

int group_setup(void **state);
int group_teardown(void **state);

static uint64_t add_issued(void)
{
    struct sha256 j, h;
    assert_int_equal(certificate_commit(&json_part.salt, "json", json, sizeof json - 1, &j, NULL),
                     STATUS_OK);
    assert_int_equal(certificate_commit(&html_part.salt, "html", html, sizeof html - 1, &h, NULL),
                     STATUS_OK);
    const struct log_value values[] = {
        log_value_request("request", &id), log_value_word("level", "L1"),
        log_value_commitment("json", &j), log_value_commitment("html", &h)};
    return log_fixture_add(the_log, LOG_KIND_CERTIFICATE_ISSUED, values, 4);
}

int group_setup(void **state)
{
    (void)state;
    the_log = log_fixture_new();
    json_part = (struct receipt_part){"json", {{1}}, NULL, 0};
    html_part = (struct receipt_part){"html", {{2}}, NULL, 0};
    payload_part = (struct receipt_part){"content", {{3}}, "x", 1};
    log_fixture_fill(the_log, 6);
    issued = add_issued();
    const struct sha256 c = commitment_make(&payload_part.salt, "content", "x", 1);
    const struct log_value value = log_value_commitment("content", &c);
    other = log_fixture_add(the_log, LOG_KIND_DATA_UPLOADED, &value, 1);
    log_fixture_fill(the_log, 3);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    log_fixture_free(the_log);
    return 0;
}

/* The file (free). */
static char *embed(const char *carrier,
                   size_t n,
                   uint64_t index,
                   const struct receipt_part *parts,
                   size_t n_parts,
                   size_t *ret_size)
{
    size_t size = 0;
    char *receipt = log_fixture_receipt(the_log, index, parts, n_parts, 1, &size);
    struct byte_writer w = byte_writer_make(NULL, 0);
    assert_int_equal(certificate_embed(&w, carrier, n, receipt, size, NULL), STATUS_OK);
    const size_t counted = w.used;
    char *file = malloc(counted);
    assert_non_null(file);
    w = byte_writer_make(file, counted);
    assert_int_equal(certificate_embed(&w, carrier, n, receipt, size, NULL), STATUS_OK);
    assert_int_equal(w.used, counted);
    free(receipt);
    *ret_size = counted;
    return file;
}

static enum status check(const char *file, size_t n, struct certificate_verdict *ret_verdict)
{
    struct certificate c;
    const struct signers signers = log_fixture_signers(the_log, 1);
    void *buffer = malloc(CERTIFICATE_BUFFER(n) + 1);
    assert_non_null(buffer);
    enum status st = certificate_parse(file, n, buffer, &c, NULL);
    if (st == STATUS_OK)
        st = certificate_verify(&c, &signers, ret_verdict, NULL);
    free(buffer);
    return st;
}

void test_certificate_of_both_texts(void **state)
{
    struct certificate_verdict v;
    size_t n = 0;
    (void)state;
    char *file = embed(json, sizeof json - 1, issued, &json_part, 1, &n);
    assert_int_equal(check(file, n, &v), STATUS_OK);
    assert_string_equal(v.field, "json");
    assert_int_equal(v.receipt.entry.kind, LOG_KIND_CERTIFICATE_ISSUED);
    free(file);
    file = embed(html, sizeof html - 1, issued, &html_part, 1, &n);
    assert_int_equal(check(file, n, &v), STATUS_OK);
    assert_string_equal(v.field, "html");
    free(file);
}

static void flip_all(char *file, size_t n)
{
    struct certificate_verdict v;
    assert_int_equal(check(file, n, &v), STATUS_OK);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        file[bit / 8] = (char)(file[bit / 8] ^ (1 << bit % 8));
        const enum status st = check(file, n, &v);
        if (st != STATUS_DATA_LOSS && st != STATUS_BAD_FORMAT)
            fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8, status_name(st));
        file[bit / 8] = (char)(file[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_int_not_equal(check(file, cut, &v), STATUS_OK);
}

void test_certificate_every_flipped_bit_is_noticed(void **state)
{
    size_t n = 0;
    (void)state;
    char *file = embed(json, sizeof json - 1, issued, &json_part, 1, &n);
    flip_all(file, n);
    free(file);
    file = embed(html, sizeof html - 1, issued, &html_part, 1, &n);
    flip_all(file, n);
    free(file);
}

/* The proof of one text in the other, of both, of none, of another entry. */
void test_certificate_proof_must_open_this_text(void **state)
{
    const struct receipt_part both[] = {json_part, html_part};
    struct certificate_verdict v;
    size_t n = 0;
    (void)state;
    char *file = embed(html, sizeof html - 1, issued, &json_part, 1, &n);
    assert_int_equal(check(file, n, &v), STATUS_DATA_LOSS);
    free(file);
    file = embed(json, sizeof json - 1, issued, both, 2, &n);
    assert_int_equal(check(file, n, &v), STATUS_DATA_LOSS);
    free(file);
    file = embed(json, sizeof json - 1, issued, NULL, 0, &n);
    assert_int_equal(check(file, n, &v), STATUS_DATA_LOSS);
    free(file);
    file = embed(json, sizeof json - 1, other, &payload_part, 1, &n);
    assert_int_equal(check(file, n, &v), STATUS_DATA_LOSS);
    free(file);
}

/* Its bytes attached to the receipt, instead of standing around it. */
void test_certificate_text_must_not_be_attached(void **state)
{
    struct receipt_part part = json_part;
    struct certificate_verdict v;
    size_t n = 0;
    (void)state;
    part.bytes = json;
    part.size = sizeof json - 1;
    char *file = embed("another text " CERTIFICATE_SLOT, 13 + sizeof CERTIFICATE_SLOT - 1, issued,
                       &part, 1, &n);
    assert_int_equal(check(file, n, &v), STATUS_DATA_LOSS);
    free(file);
}

void test_certificate_carrier_needs_one_empty_slot(void **state)
{
    static const char *const bad[] = {
        "",
        "no slot",
        CERTIFICATE_SLOT CERTIFICATE_SLOT,
        CERTIFICATE_BEGIN "AAAA" CERTIFICATE_END,
        CERTIFICATE_BEGIN,
        CERTIFICATE_END,
        CERTIFICATE_BEGIN ":lethe",
        "lethe-embedded-receipt/v2:" CERTIFICATE_END,
        "lethe-embedded-receipt/v " CERTIFICATE_SLOT,
    };
    struct sha256 c;
    char to[512];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct byte_writer w = byte_writer_make(to, sizeof to);
        assert_int_equal(
            certificate_commit(&json_part.salt, "json", bad[i], strlen(bad[i]), &c, NULL),
            STATUS_INVALID_ARGUMENT);
        assert_int_equal(certificate_embed(&w, bad[i], strlen(bad[i]), "x", 1, NULL),
                         STATUS_INVALID_ARGUMENT);
    }
    for (size_t room = 0; room < sizeof CERTIFICATE_SLOT - 1 + 4; room++) {
        struct byte_writer w = byte_writer_make(to, room);
        assert_int_equal(
            certificate_embed(&w, CERTIFICATE_SLOT, sizeof CERTIFICATE_SLOT - 1, "xyz", 3, NULL),
            STATUS_RESOURCE_EXHAUSTED);
    }
}

void test_certificate_reader_tells_newer_from_malformed(void **state)
{
    static const char newer[] = "x lethe-embedded-receipt/v2:AAAA" CERTIFICATE_END " y";
    static const char *const bad[] = {"lethe-embedded-receipt/v3:AAAA" CERTIFICATE_END,
                                      "lethe-embedded-receipt/v:AAAA" CERTIFICATE_END,
                                      "lethe-embedded-receipt/v1",
                                      "lethe-embedded-receipt/v",
                                      "lethe-embedded-receipt/v1:AAA" CERTIFICATE_END,
                                      "lethe-embedded-receipt/v1:AAAA" CERTIFICATE_END,
                                      "lethe-embedded-receipt/v1:" CERTIFICATE_END};
    struct certificate_verdict v;
    (void)state;
    assert_int_equal(check(newer, sizeof newer - 1, &v), STATUS_UNIMPLEMENTED);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(check(bad[i], strlen(bad[i]), &v), STATUS_BAD_FORMAT);
}
