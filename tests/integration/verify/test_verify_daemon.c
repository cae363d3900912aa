/*
 * What a real daemon hands out, checked by the real lethe-verify after the daemon has ended and its
 * store is gone: receipts, consistency, what served, and the memory of a witness.
 */
#include "tests/support/session.h"
#include "tests/support/verify_call.h"

#define CONFIG SESSION_GATE SESSION_FAST

static void save(const char *folder, const char *name, const char *text, size_t n)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static uint64_t save_checkpoint(struct session *s, const char *folder, const char *name)
{
    struct lethe_error e = {0};
    struct lethe_checkpoint *p;
    session_ok(lethe_checkpoint(s->l, &p, &e), e);
    const uint64_t size = p->size;
    save(folder, name, p->note, p->note_bytes);
    save(folder, "log.vkey", p->key, strlen(p->key));
    lethe_free(p);
    return size;
}

static void save_receipt(struct session *s, const char *folder, const char *id, bool accepted)
{
    struct lethe_error e = {0};
    struct lethe_proof *p;
    session_ok(lethe_prove(s->l, id, accepted, &p, &e), e);
    save(folder, accepted ? "accepted" : "done", p->text, p->bytes);
    lethe_free(p);
}

static void save_consistency(struct session *s, const char *folder, uint64_t from, uint64_t to)
{
    struct lethe_error e = {0};
    struct lethe_proof *p;
    session_ok(lethe_consistency(s->l, from, to, &p, &e), e);
    save(folder, "consistency", p->text, p->bytes);
    lethe_free(p);
}

static int64_t save_served(struct session *s, const char *folder)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_ok(lethe_served_at(s->l, 0, &v, &e), e);
    const int64_t before = v->served_from - 1000000;
    lethe_free(v);
    session_ok(lethe_served_proof(s->l, before, &v, &e), e);
    save(folder, "served", v->proof, v->proof_bytes);
    const int64_t from = v->served_from;
    lethe_free(v);
    return from;
}

/* Everything of one erasure; the daemon and its store are gone afterwards. */
static int64_t gather(const char *folder)
{
    struct session s;
    session_new(&s, CONFIG);
    session_import(&s);
    const uint64_t old_size = save_checkpoint(&s, folder, "old");
    session_sleep_ms(1100); /* so that a time in seconds lies before the new version served */
    struct lethe_request *end = session_forget_class(&s, tiny_labels[0]);
    save_receipt(&s, folder, end->id, true);
    save_receipt(&s, folder, end->id, false);
    const int64_t from = save_served(&s, folder);
    const uint64_t new_size = save_checkpoint(&s, folder, "new");
    save_consistency(&s, folder, old_size, new_size);
    lethe_free(end);
    session_free(&s);
    return from;
}

static void expect(int wanted, const char *command)
{
    static struct verify_call c;
    verify_call_set(&c, command);
    verify_call_check(&c, verify_call_program(&c), wanted);
}

void test_evidence_of_a_daemon_that_is_gone(void **state)
{
    char folder[256], home[4096];
    (void)state;
    test_support_mkdir(folder);
    const int64_t from_us = gather(folder);
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(folder), 0);
    expect(0, "receipt accepted --key log.vkey");
    expect(0, "receipt done --key log.vkey");
    expect(0, "consistency old new consistency --key log.vkey");
    expect(1, "consistency new old consistency --key log.vkey");
    expect(0, "witness state old --key log.vkey --first");
    expect(2, "witness state new --key log.vkey");
    expect(0, "witness state new consistency --key log.vkey");
    expect(1, "witness state old consistency --key log.vkey");
    char at[32], command[128];
    const time_t inside = (time_t)(from_us / 1000000 + 1);
    struct tm tm;
    assert_non_null(gmtime_r(&inside, &tm));
    assert_int_equal(strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &tm), 20);
    (void)snprintf(command, sizeof command, "served served --at %s --key log.vkey", at);
    expect(0, command);
    expect(2, "served served --at 2001-01-01T00:00:00Z --key log.vkey");
    assert_int_equal(chdir(home), 0);
    test_support_rmdir(folder);
}
