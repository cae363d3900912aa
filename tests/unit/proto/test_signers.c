/* Whose signatures a checkpoint needs. */
#include "tests/support/log_fixture.h"
#include "tests/support/test.h"

static struct log_fixture *the_log;
static struct sign_vkey other_log, other_witness;

int group_setup(void **state);
int group_teardown(void **state);

static struct sign_vkey vkey_of(const char *name, enum sign_type type, uint8_t seed)
{
    const uint8_t bytes[SIGN_SEED_SIZE] = {seed};
    struct sign_key *key = NULL;
    assert_int_equal(sign_key_from_seed(name, type, bytes, &key, NULL), STATUS_OK);
    const struct sign_vkey vkey = *sign_key_public(key);
    sign_key_free(key);
    return vkey;
}

int group_setup(void **state)
{
    (void)state;
    the_log = log_fixture_new();
    log_fixture_fill(the_log, 3);
    other_log = vkey_of(LOG_FIXTURE_ORIGIN, SIGN_LOG, 9);
    other_witness = vkey_of("other.example", SIGN_WITNESS, 8);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    log_fixture_free(the_log);
    return 0;
}

struct trial {
    const struct sign_vkey *logs[2];
    const struct sign_vkey *witnesses[2];
    size_t need;
    int ignore_unknown;
    int witnessed;
};

static size_t collect(const struct sign_vkey *const from[2], struct sign_vkey to[2])
{
    size_t n = 0;
    for (size_t i = 0; i < 2; i++)
        if (from[i])
            to[n++] = *from[i];
    return n;
}

static enum status try(const struct trial *t, struct signers_seen *ret_seen)
{
    char text[NOTE_MAX];
    struct note note;
    struct sign_vkey logs[2], witnesses[2];
    const size_t n_logs = collect(t->logs, logs);
    const size_t n_witnesses = collect(t->witnesses, witnesses);
    const struct signers s = {logs, n_logs, witnesses, n_witnesses, t->need, t->ignore_unknown};
    const size_t n = log_fixture_checkpoint(the_log, 3, t->witnessed, text);
    assert_int_equal(note_parse(text, n, &note, NULL), STATUS_OK);
    return signers_check(&s, &note, ret_seen, NULL);
}

void test_signers_table(void **state)
{
    const struct sign_vkey *log = log_fixture_key(the_log);
    const struct sign_vkey *witness = sign_key_public(log_fixture_witness(the_log));
    const struct {
        struct trial trial;
        enum status wanted;
    } rows[] = {
        {{.logs = {log}}, STATUS_OK},
        {{.logs = {log}, .witnesses = {witness}, .need = 1, .witnessed = 1}, STATUS_OK},
        {{.logs = {&other_log, log}}, STATUS_OK},
        /* Missing. */
        {{.logs = {&other_log}}, STATUS_DATA_LOSS},
        {{.logs = {&other_log}, .ignore_unknown = 1}, STATUS_DATA_LOSS},
        {{.logs = {log}, .witnesses = {witness}, .need = 1}, STATUS_FAILED_PRECONDITION},
        {{.logs = {log}, .witnesses = {witness}}, STATUS_OK},
        {{.logs = {log}, .witnesses = {witness, &other_witness}, .need = 2, .witnessed = 1},
         STATUS_FAILED_PRECONDITION},
        {{.logs = {log}, .witnesses = {witness, &other_witness}, .need = 1, .witnessed = 1},
         STATUS_OK},
        /* Lines of keys that were not given. */
        {{.logs = {log}, .witnessed = 1}, STATUS_FAILED_PRECONDITION},
        {{.logs = {log}, .witnessed = 1, .ignore_unknown = 1}, STATUS_OK},
        {{.logs = {log}, .witnesses = {&other_witness}, .witnessed = 1}, STATUS_DATA_LOSS},
        {{.logs = {log, &other_log}, .witnessed = 1}, STATUS_DATA_LOSS},
        {{.logs = {log}, .witnesses = {&other_witness}, .witnessed = 1, .ignore_unknown = 1},
         STATUS_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct signers_seen seen;
        const enum status st = try(&rows[i].trial, &seen);
        if (st != rows[i].wanted)
            fail_msg("row %zu: %s, not %s", i, status_name(st), status_name(rows[i].wanted));
    }
}

void test_signers_tell_what_they_saw(void **state)
{
    struct signers_seen seen;
    const struct sign_vkey *witness = sign_key_public(log_fixture_witness(the_log));
    const struct trial known = {.logs = {log_fixture_key(the_log)},
                                .witnesses = {witness, &other_witness},
                                .need = 1,
                                .witnessed = 1};
    const struct trial unknown = {
        .logs = {log_fixture_key(the_log)}, .witnessed = 1, .ignore_unknown = 1};
    (void)state;
    assert_int_equal(try(&known, &seen), STATUS_OK);
    assert_int_equal(seen.n_witnesses, 1);
    assert_true(seen.newest_seconds == LOG_FIXTURE_SECONDS);
    assert_int_equal(seen.n_unknown, 0);
    assert_int_equal(try(&unknown, &seen), STATUS_OK);
    assert_int_equal(seen.n_witnesses, 0);
    assert_true(seen.newest_seconds == -1);
    assert_int_equal(seen.n_unknown, 1);
}
