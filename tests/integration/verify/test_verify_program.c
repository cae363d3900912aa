/*
 * lethe-verify, the real program, on files as the daemon hands them out: what verifies, what is
 * false, what is unusable, and the memory of a witness.
 */
#include "tests/support/evidence_files.h"
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM LETHE_BUILD "/bin/lethe-verify"
#define PERSON  EVIDENCE_PERSON
#define ROOM    65536

static struct evidence_files files;
static struct log_fixture *the_log;
static const char *folder, *key, *witness;
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
    evidence_files_save(&files, name, bytes, n);
}

static void save_checkpoint(const char *name, const struct log_fixture *log, uint64_t n)
{
    evidence_files_checkpoint(&files, name, log, n, 0);
}

static void save_consistency(const char *name, uint64_t old_size, uint64_t new_size)
{
    evidence_files_consistency(&files, name, old_size, new_size);
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

int group_setup(void **state)
{
    (void)state;
    evidence_files_make(&files);
    the_log = files.log;
    folder = files.folder;
    key = files.key;
    witness = files.witness;
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    evidence_files_free(&files);
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

/* A sample; all of them in test_verify_flips.c, and with the program in long_verify_flips.c. */
void test_e_flipped_bits_exit_with_1(void **state)
{
    static char bytes[ROOM];
    char command[EVIDENCE_COMMAND];
    (void)state;
    for (size_t i = 0; i < EVIDENCE_FLIPS; i++) {
        const size_t n = load(evidence_flips[i].file, bytes);
        evidence_files_command(&files, &evidence_flips[i], command);
        save("flipped", bytes, n);
        assert_verdict(0, "%s", command);
        for (size_t bit = i; bit < 8 * n; bit += 8 * n / 60 + 7) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            save("flipped", bytes, n);
            assert_verdict(1, "%s", command);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        }
    }
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
    save_checkpoint("fork9", fork, 9);
    log_fixture_fill(fork, 5);
    save_checkpoint("fork14", fork, 14);
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
