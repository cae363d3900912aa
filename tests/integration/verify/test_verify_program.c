/*
 * lethe-verify, the real program, on files as the daemon hands them out: what verifies, what is
 * false, what is unusable, and the memory of a witness.
 */
#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/seal/certificate.h"
#include "proto/seal/served_proof.h"
#include "proto/seal/sign_file.h"
#include "proto/seal/subject.h"

#define PROGRAM LETHE_BUILD "/bin/lethe-verify"
#define PERSON  "person-17"
#define ROOM    65536

static const char json[] = "{\"classes\": [\"Sandal\"], \"proof\": \"" CERTIFICATE_SLOT "\"}\n";
static const char html[] = "<!DOCTYPE html><p>Sandal</p><i hidden>" CERTIFICATE_SLOT "</i>\n";
static const struct request_id id = {{1, 2, 3}};

static struct log_fixture *the_log;
static struct receipt_part payload, subject, json_part, html_part;
static uint64_t accepted, issued, moves[3];
static char folder[256], key[SIGN_VKEY_SIZE], witness[SIGN_VKEY_SIZE];
static char out[ROOM];

int group_setup(void **state);
int group_teardown(void **state);

/* ---------------------------------------------------------------- support */

static void path_of(const char *name, char path[512])
{
    (void)snprintf(path, 512, "%s/%s", folder, name);
}

static void save(const char *name, const void *bytes, size_t n)
{
    char path[512];
    path_of(name, path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static size_t load(const char *name, char *to)
{
    char path[512];
    path_of(name, path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t n = fread(to, 1, ROOM, f);
    assert_int_equal(fclose(f), 0);
    return n;
}

/* Runs it in the folder; its exit status, what it printed in `out`. */
__attribute__((format(printf, 1, 2))) static int verify(const char *format, ...)
{
    char command[4096], args[3072];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(args, sizeof args, format, list);
    va_end(list);
    (void)snprintf(command, sizeof command, "cd %s && " PROGRAM " %s 2>&1", folder, args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    const size_t n = fread(out, 1, sizeof out - 1, p);
    out[n] = '\0';
    const int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The exit status must be this, and the first line must say the same. */
#define assert_verdict(wanted, ...)                                                                \
    do {                                                                                           \
        static const char *const lines_[] = {"VERIFIED\n", "NOT VERIFIED: ", "NO VERDICT: "};      \
        const int exit_ = verify(__VA_ARGS__);                                                     \
        if (exit_ != (wanted) || strncmp(out, lines_[wanted], strlen(lines_[wanted])) != 0)        \
            fail_msg("exit %d, not %d: %s", exit_, (wanted), out);                                 \
    } while (0)
#define assert_says(text)                                                                          \
    do {                                                                                           \
        if (!strstr(out, (text)))                                                                  \
            fail_msg("\"%s\" is not in: %s", (text), out);                                         \
    } while (0)

/* ---------------------------------------------------------------- the log and its files */

static void add_entries(void)
{
    const struct digest person = subject_public(PERSON);
    payload = (struct receipt_part){"payload", {{1}}, "the request", 11};
    subject = (struct receipt_part){"subject", {{2}}, NULL, 0};
    json_part = (struct receipt_part){"json", {{3}}, NULL, 0};
    html_part = (struct receipt_part){"html", {{4}}, NULL, 0};
    const struct sha256 p = commitment_make(&payload.salt, "payload", payload.bytes, payload.size);
    const struct sha256 s = commitment_make(&subject.salt, "subject", person.b, sizeof person.b);
    struct sha256 j, h;
    assert_int_equal(certificate_commit(&json_part.salt, "json", json, sizeof json - 1, &j, NULL),
                     STATUS_OK);
    assert_int_equal(certificate_commit(&html_part.salt, "html", html, sizeof html - 1, &h, NULL),
                     STATUS_OK);
    const struct log_value accept[] = {
        log_value_request("request", &id),     log_value_word("kind", "forget"),
        log_value_word("role", "privacy"),     log_value_actor("actor", "local"),
        log_value_commitment("payload", &p),   log_value_commitment("subject", &s),
        log_value_date("due", LOG_FIXTURE_NOW)};
    const struct log_value issue[] = {
        log_value_request("request", &id), log_value_word("level", "L1"),
        log_value_commitment("json", &j), log_value_commitment("html", &h)};
    moves[1] = log_fixture_move(the_log, 1);
    accepted = log_fixture_add(the_log, LOG_KIND_REQUEST_ACCEPTED, accept, 7);
    moves[2] = log_fixture_move(the_log, 2);
    issued = log_fixture_add(the_log, LOG_KIND_CERTIFICATE_ISSUED, issue, 4);
}

static void
save_receipt(const char *name, const struct receipt_part *parts, size_t n, int witnessed)
{
    size_t size = 0;
    char *text = log_fixture_receipt(the_log, accepted, parts, n, witnessed, &size);
    save(name, text, size);
    free(text);
}

static void
save_certificate(const char *name, const char *carrier, size_t n, const struct receipt_part *part)
{
    static char file[ROOM];
    size_t size = 0;
    char *receipt = log_fixture_receipt(the_log, issued, part, 1, 1, &size);
    struct byte_writer w = byte_writer_make(file, sizeof file);
    assert_int_equal(certificate_embed(&w, carrier, n, receipt, size, NULL), STATUS_OK);
    save(name, file, w.used);
    free(receipt);
}

static void
save_checkpoint(const char *name, const struct log_fixture *log, uint64_t n, int witnessed)
{
    char text[NOTE_MAX];
    save(name, text, log_fixture_checkpoint(log, n, witnessed, text));
}

static void save_consistency(const char *name, uint64_t old_size, uint64_t new_size)
{
    char text[CONSISTENCY_MAX];
    struct consistency c;
    struct byte_writer w = byte_writer_make(text, sizeof text);
    log_fixture_consistency(the_log, old_size, new_size, &c);
    consistency_write(&w, &c);
    save(name, text, w.used);
}

static void put_move(struct byte_writer *w, uint64_t index)
{
    struct merkle_proof proof;
    size_t n = 0;
    const void *entry = log_fixture_entry(the_log, index, &n);
    log_fixture_prove(the_log, index, log_fixture_size(the_log), &proof);
    served_proof_put_move(w, entry, n, index, &proof);
}

static void save_served(const char *name, uint64_t first, uint64_t second, uint64_t later)
{
    static char text[ROOM];
    char checkpoint[NOTE_MAX];
    const uint64_t size = log_fixture_size(the_log);
    struct byte_writer w = byte_writer_make(text, sizeof text);
    served_proof_begin(&w);
    put_move(&w, first);
    if (second)
        put_move(&w, second);
    for (uint64_t i = later; i < size; i++) {
        size_t n = 0;
        const void *entry = log_fixture_entry(the_log, i, &n);
        served_proof_put_later(&w, entry, n);
    }
    if (later < size)
        served_proof_end_later(&w);
    served_proof_end(&w, checkpoint, log_fixture_checkpoint(the_log, size, 0, checkpoint));
    assert_false(w.failed);
    save(name, text, w.used);
}

int group_setup(void **state)
{
    char path[512];
    (void)state;
    test_support_mkdir(folder);
    the_log = log_fixture_new();
    log_fixture_fill(the_log, 4);
    add_entries();
    log_fixture_fill(the_log, 6);
    sign_vkey_format(log_fixture_key(the_log), key);
    sign_vkey_format(sign_key_public(log_fixture_witness(the_log)), witness);
    path_of("witness.key", path);
    if (sign_file_write(path, log_fixture_witness(the_log), NULL) != STATUS_OK)
        return -1;
    save("log.vkey", key, strlen(key));
    save_receipt("receipt", &payload, 1, 0);
    save_receipt("witnessed", &payload, 1, 1);
    save_receipt("subject", &subject, 1, 0);
    save_certificate("cert.json", json, sizeof json - 1, &json_part);
    save_certificate("cert.html", html, sizeof html - 1, &html_part);
    save_checkpoint("c5", the_log, 5, 0);
    save_checkpoint("c9", the_log, 9, 0);
    save_checkpoint("c14", the_log, 14, 1);
    save_consistency("5-9", 5, 9);
    save_consistency("9-14", 9, 14);
    save_consistency("14-14", 14, 14);
    save_served("served", moves[1], moves[2], UINT64_MAX);
    save_served("newest", moves[2], 0, moves[2] + 1);
    save_served("unended", moves[2], 0, UINT64_MAX);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    log_fixture_free(the_log);
    test_support_rmdir(folder);
    return 0;
}

/* ---------------------------------------------------------------- the program */

void test_a_links_libsodium_and_libc_alone(void **state)
{
    (void)state;
#ifdef LETHE_DEBUG
    skip(); /* a sanitizer's run-time libraries are there as well */
#endif
    char line[256];
    size_t n = 0;
    FILE *p = popen("LC_ALL=C readelf -d " PROGRAM, "r");
    assert_non_null(p);
    while (fgets(line, sizeof line, p)) {
        if (!strstr(line, "(NEEDED)"))
            continue;
        n++;
        if (!strstr(line, "[libsodium.so.") && !strstr(line, "[libc.so."))
            fail_msg("%s", line);
    }
    assert_int_equal(pclose(p), 0);
    assert_int_equal(n, 2);
}

void test_b_receipt(void **state)
{
    (void)state;
    assert_verdict(0, "receipt receipt --key %s", key);
    assert_says("log            " LOG_FIXTURE_ORIGIN "\n");
    assert_says("entry          5\n");
    assert_says("kind           request.accepted\n");
    assert_says("  role         privacy\n");
    assert_says("not checked: what the commitment subject stands for: it was not opened\n");
    assert_says("not checked: that others see the same log");
    assert_verdict(0, "receipt receipt --key log.vkey");
    assert_verdict(0, "receipt --key=log.vkey receipt");
    assert_verdict(0, "receipt witnessed --key %s --witness %s", key, witness);
    assert_says("witnesses      1\n");
}

void test_b_receipt_as_json(void **state)
{
    (void)state;
    assert_int_equal(verify("receipt receipt --key %s --json", key), 0);
    json_t *o = json_loads(out, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "verdict")), "VERIFIED");
    assert_true(json_is_null(json_object_get(o, "reason")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "facts"), "kind")),
                        "request.accepted");
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "fields"), "kind")),
                        "forget");
    assert_true(json_array_size(json_object_get(o, "not_checked")) > 0);
    json_decref(o);
    assert_int_equal(verify("receipt 'no\"such\nfile' --json --key %s", key), 2);
    o = json_loads(out, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "verdict")), "NO VERDICT");
    assert_true(json_is_string(json_object_get(o, "reason")));
    json_decref(o);
}

void test_b_receipt_opens_what_is_given(void **state)
{
    (void)state;
    save("right", "the request", 11);
    save("wrong", "the requesT", 11);
    assert_verdict(0, "receipt receipt --key %s --payload right", key);
    assert_verdict(1, "receipt receipt --key %s --payload wrong", key);
    assert_verdict(2, "receipt subject --key %s", key);
    assert_verdict(0, "receipt subject --key %s --subject " PERSON, key);
    assert_verdict(1, "receipt subject --key %s --subject person-18", key);
    assert_verdict(2, "receipt receipt --key %s --subject " PERSON, key);
    assert_verdict(1, "receipt receipt --key %s --report right", key);
}

void test_b_signers(void **state)
{
    struct sign_key *other = NULL;
    const uint8_t seed[SIGN_SEED_SIZE] = {77};
    char text[SIGN_VKEY_SIZE];
    (void)state;
    assert_int_equal(sign_key_from_seed(LOG_FIXTURE_ORIGIN, SIGN_LOG, seed, &other, NULL),
                     STATUS_OK);
    sign_vkey_format(sign_key_public(other), text);
    sign_key_free(other);
    assert_verdict(1, "receipt receipt --key %s", text);
    assert_verdict(0, "receipt receipt --key %s --key %s", text, key);
    assert_verdict(2, "receipt witnessed --key %s", key);
    assert_verdict(0, "receipt witnessed --key %s --ignore-unknown-signers", key);
    assert_says("not checked: 1 signatures of keys that were not given\n");
    assert_verdict(2, "receipt receipt --key %s --witness %s", key, witness);
    assert_verdict(0, "receipt receipt --key %s --witness %s --need-witnesses 0", key, witness);
}

void test_c_certificate(void **state)
{
    (void)state;
    assert_verdict(0, "certificate cert.json --key %s --witness %s", key, witness);
    assert_says("text           json\n");
    assert_says("kind           certificate.issued\n");
    assert_verdict(0, "certificate cert.html --key %s --witness %s", key, witness);
    assert_says("text           html\n");
    assert_verdict(1, "certificate receipt --key %s", key);
    assert_verdict(1, "receipt cert.json --key %s", key);
    assert_verdict(0, "certificate cert.json --key %s --witness %s --newer c14 --proof 14-14", key,
                   witness);
    assert_says("still held at  14\n");
    assert_verdict(1,
                   "certificate cert.json --key %s --witness %s --need-witnesses 0 --newer c9 "
                   "--proof 5-9 --ignore-unknown-signers",
                   key, witness);
}

void test_d_consistency(void **state)
{
    (void)state;
    assert_verdict(0, "consistency c5 c9 5-9 --key %s", key);
    assert_says("begins with    5 entries");
    assert_verdict(1, "consistency c9 c5 5-9 --key %s", key);
    assert_verdict(1, "consistency c5 c9 9-14 --key %s", key);
    assert_verdict(1, "consistency c5 c9 receipt --key %s", key);
    assert_verdict(2, "consistency c9 c14 9-14 --key %s", key);
    assert_verdict(0, "consistency c9 c14 9-14 --key %s --ignore-unknown-signers", key);
}

/* Moves at entries 4 and 6, one second apart each, from 10:00:00 on; 14 entries. */
void test_d_served(void **state)
{
    (void)state;
    assert_verdict(0, "served served --key %s --at 2026-03-01T10:00:04Z", key);
    assert_says("generation     1\n");
    assert_says("version        0101");
    assert_says("until          2026-03-01T10:00:06.000000Z\n");
    assert_verdict(0, "served served --key %s --at 2026-03-01T10:00:05.999999Z", key);
    assert_verdict(2, "served served --key %s --at 2026-03-01T10:00:06Z", key);
    assert_verdict(2, "served served --key %s --at 2026-03-01T10:00:03.999999Z", key);
    assert_verdict(0, "served newest --key %s --at 2026-03-01T10:00:13Z", key);
    assert_says("at least until 2026-03-01T10:00:13.000000Z\n");
    assert_verdict(2, "served newest --key %s --at 2026-03-01T10:00:14Z", key);
    assert_verdict(2, "served unended --key %s --at 2026-03-01T10:00:06Z", key);
}

/* ---------------------------------------------------------------- damage */

/* The command is BEFORE, the file, AFTER, and the keys. */
static void
flip_some(const char *name, const char *before, const char *after, int seen, size_t step)
{
    static char bytes[ROOM];
    const size_t n = load(name, bytes);
    char args[1024];
    (void)snprintf(args, sizeof args, "%s flipped %s --key %s %s %s", before, after, key,
                   seen ? "--witness" : "", seen ? witness : "");
    save("flipped", bytes, n);
    assert_verdict(0, "%s", args);
    for (size_t bit = 0; bit < 8 * n; bit += step) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        save("flipped", bytes, n);
        assert_verdict(1, "%s", args);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

void test_e_flipped_bits_exit_with_1(void **state)
{
    (void)state;
    flip_some("witnessed", "receipt", "", 1, 97);
    flip_some("receipt", "receipt", "", 0, 89);
    flip_some("cert.json", "certificate", "", 1, 101);
    flip_some("cert.html", "certificate", "", 1, 103);
    flip_some("5-9", "consistency c5 c9", "", 0, 13);
    flip_some("c5", "consistency", "c9 5-9", 0, 17);
    flip_some("c9", "consistency c5", "5-9", 0, 19);
    flip_some("served", "served", "--at 2026-03-01T10:00:04Z", 0, 107);
    flip_some("newest", "served", "--at 2026-03-01T10:00:13Z", 0, 109);
}

void test_e_unusable_exits_with_2(void **state)
{
    char path[512];
    (void)state;
    save("empty", "", 0);
    save("large", "x", 1);
    path_of("large", path);
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    save("newer", "lethe-receipt/v2\n", 17);
    save("text", "hello\n", 6);
    assert_verdict(2, "receipt empty --key %s", key);
    assert_verdict(2, "receipt large --key %s", key);
    assert_verdict(2, "certificate large --key %s", key);
    assert_verdict(2, "served large --at 2026-03-01T10:00:04Z --key %s", key);
    assert_verdict(2, "consistency large c9 5-9 --key %s", key);
    assert_verdict(2, "receipt missing --key %s", key);
    assert_verdict(2, "receipt . --key %s", key);
    assert_verdict(2, "receipt newer --key %s", key);
    assert_verdict(1, "receipt text --key %s", key);
    assert_verdict(1, "certificate text --key %s", key);
    assert_verdict(1, "consistency text c9 5-9 --key %s", key);
    assert_verdict(1, "served text --at 2026-03-01T10:00:04Z --key %s", key);
}

void test_e_usage_exits_with_2(void **state)
{
    static const char *const bad[] = {
        "",
        "receipt",
        "receipt receipt",
        "receipt receipt --key",
        "receipt receipt receipt --key log.vkey",
        "recipe receipt --key log.vkey",
        "receipt receipt --key text",
        "receipt receipt --key missing",
        "receipt receipt --key log.vkey --key log.vkey",
        "receipt receipt --key log.vkey --frobnicate",
        "receipt receipt --key log.vkey --newer c5 --proof 5-9",
        "receipt receipt --key log.vkey --at 2026-03-01T10:00:04Z",
        "receipt receipt --key log.vkey --need-witnesses 1",
        "receipt receipt --key log.vkey --need-witnesses x",
        "receipt receipt --key log.vkey --payload right --payload right",
        "certificate cert.json --key log.vkey --newer c5",
        "certificate cert.json --key log.vkey --proof 5-9",
        "served served --key log.vkey",
        "served served --key log.vkey --at yesterday",
        "consistency c5 c9 --key log.vkey",
        "witness state --key log.vkey",
        "witness state c5 --key log.vkey --sign witness.key",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_verdict(2, "%s", bad[i]);
    assert_verdict(2, "receipt receipt --key %s", witness);
    assert_verdict(2, "receipt receipt --key log.vkey --witness %s", key);
    assert_int_equal(verify("--help"), 0);
    assert_says("Usage: lethe-verify COMMAND");
}

/* ---------------------------------------------------------------- witness */

static void forget(const char *name)
{
    char path[512];
    path_of(name, path);
    (void)unlink(path);
}

static void assert_state(const char *wanted)
{
    static char is[ROOM], should[ROOM];
    const size_t n = load("state", is);
    assert_int_equal(load(wanted, should), n);
    assert_memory_equal(is, should, n);
}

void test_f_witness_goes_forward_only(void **state)
{
    (void)state;
    forget("state");
    assert_verdict(2, "witness state c5 --key %s", key);
    assert_verdict(0, "witness state c5 --key %s --first", key);
    assert_state("c5");
    assert_verdict(2, "witness state c9 --key %s --first", key);
    assert_verdict(2, "witness state c9 --key %s", key);
    assert_verdict(1, "witness state c9 9-14 --key %s", key);
    assert_state("c5");
    assert_verdict(0, "witness state c9 5-9 --key %s", key);
    assert_says("begins with    5 entries");
    assert_state("c9");
    assert_verdict(0, "witness state c9 --key %s", key);
    assert_verdict(1, "witness state c5 5-9 --key %s", key);
    assert_verdict(1, "witness state c5 --key %s", key);
    assert_state("c9");
}

/* The same log put back and written on differently: every signature in it is right. */
void test_f_witness_notices_a_fork(void **state)
{
    struct log_fixture *fork = log_fixture_new();
    (void)state;
    log_fixture_fill(fork, 5);
    (void)log_fixture_move(fork, 9);
    log_fixture_fill(fork, 3);
    save_checkpoint("fork9", fork, 9, 0);
    log_fixture_fill(fork, 5);
    save_checkpoint("fork14", fork, 14, 0);
    log_fixture_free(fork);
    forget("state");
    assert_verdict(0, "witness state c9 --key %s --first", key);
    assert_verdict(1, "witness state fork9 --key %s", key);
    assert_verdict(1, "witness state fork14 9-14 --key %s", key);
    assert_state("c9");
}

void test_f_witness_cosigns(void **state)
{
    (void)state;
    forget("state");
    assert_verdict(0, "witness state c5 --key %s --first --sign witness.key --out signed5", key);
    assert_says("cosigned       signed5\n");
    assert_state("signed5");
}

void test_f_witness_line_counts_for_others(void **state)
{
    (void)state;
    forget("state");
    save_consistency("5-5", 5, 5);
    assert_verdict(0, "witness state c5 --key %s --first --sign witness.key --out signed5", key);
    assert_verdict(0, "consistency signed5 signed5 5-5 --key %s --witness %s", key, witness);
    assert_says("witnesses      1\n");
    /* The next one, and the same again: one line of the witness, not two. */
    assert_verdict(0, "witness state c9 5-9 --key %s --sign witness.key --out signed9", key);
    assert_verdict(0, "witness state signed9 --key %s --witness %s --sign witness.key --out again",
                   key, witness);
    save_consistency("9-9", 9, 9);
    assert_verdict(0, "consistency signed9 again 9-9 --key %s --witness %s", key, witness);
    assert_verdict(0, "consistency signed5 again 5-9 --key %s --witness %s", key, witness);
}

void test_f_witness_with_a_damaged_state_gives_no_verdict(void **state)
{
    static char bytes[ROOM];
    (void)state;
    const size_t n = load("c5", bytes);
    bytes[30] ^= 1;
    save("state", bytes, n);
    assert_verdict(2, "witness state c9 5-9 --key %s", key);
    save("state", "", 0);
    assert_verdict(2, "witness state c9 5-9 --key %s", key);
}

void test_f_witness_key_must_be_a_secret_of_a_witness(void **state)
{
    char path[512];
    (void)state;
    forget("state");
    path_of("witness.key", path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_verdict(2, "witness state c5 --key %s --first --sign witness.key --out signed5", key);
    assert_int_equal(chmod(path, 0600), 0);
    assert_verdict(2, "witness state c5 --key %s --first --sign log.vkey --out signed5", key);
    assert_int_equal(access(path, F_OK), 0);
    path_of("state", path);
    assert_int_not_equal(access(path, F_OK), 0);
}
