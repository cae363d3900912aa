/*
 * A request and everything that shows what became of it, as those see it who trust nobody:
 * receipts, the log rebuilt from its entries, checkpoints, what served, and the keys that sign it.
 */
#include "tests/support/evidence_check.h"
#include "tests/support/session.h"

#include <sys/stat.h>

#include "daemon/base/sysio.h"
#include "proto/seal/sign_file.h"
#include "proto/seal/subject.h"

#define CONFIG SESSION_GATE SESSION_FAST

/* ---------------------------------------------------------------- small things */

static struct sign_vkey key_of(struct session *s)
{
    struct lethe_error e = {0};
    struct lethe_checkpoint *p;
    struct sign_vkey vkey;
    session_ok(lethe_checkpoint(s->l, &p, &e), e);
    assert_int_equal(sign_vkey_parse(p->key, strlen(p->key), &vkey, NULL), STATUS_OK);
    lethe_free(p);
    return vkey;
}

static struct note_checkpoint head_of(struct session *s, const struct sign_vkey *vkey)
{
    struct lethe_error e = {0};
    struct lethe_checkpoint *p;
    session_ok(lethe_checkpoint(s->l, &p, &e), e);
    const struct note_checkpoint head = evidence_checkpoint(vkey, p->note, p->note_bytes);
    lethe_free(p);
    return head;
}

static struct request_id id_of(const char *text)
{
    struct request_id id;
    assert_int_equal(request_id_parse(text, &id), 0);
    return id;
}

static struct lethe_request *
submit(struct session *s, const char *id, const char *label, const char *ticket)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    const struct lethe_forget_args args = {
        .request_id = id, .classes = &label, .n_classes = 1, .ticket = ticket};
    session_ok(lethe_forget(s->l, &args, &r, &e), e);
    return r;
}

static int has(const char *text, size_t n, const char *what)
{
    return memmem(text, n, what, strlen(what)) != NULL;
}

/* ---------------------------------------------------------------- receipts */

static void check_accepted(struct session *s, const struct sign_vkey *vkey, const char *label)
{
    struct lethe_error e = {0};
    struct lethe_request *r = submit(s, NULL, label, "DSR-1");
    const struct request_id id = id_of(r->id);
    evidence_receipt(vkey, r->receipt, r->receipt_bytes, NULL, 0, LOG_KIND_REQUEST_ACCEPTED, &id);
    assert_true(has(r->receipt, r->receipt_bytes, "attach payload "));
    session_refused(lethe_prove(s->l, r->id, false, &(struct lethe_proof *){NULL}, &e),
                    LETHE_FAILED_PRECONDITION, "id", e);
    /* the same request again, now and when it has ended: the same receipt */
    struct lethe_request *again = submit(s, r->id, label, "DSR-1");
    assert_int_equal(r->receipt_bytes, again->receipt_bytes);
    assert_memory_equal(r->receipt, again->receipt, r->receipt_bytes);
    lethe_free(again);
    lethe_free(session_wait(s, r->id, NULL));
    struct lethe_proof *p;
    session_ok(lethe_prove(s->l, r->id, true, &p, &e), e);
    assert_int_equal(p->bytes, r->receipt_bytes);
    assert_memory_equal(p->text, r->receipt, p->bytes);
    lethe_free(p);
    session_ok(lethe_prove(s->l, r->id, false, &p, &e), e);
    evidence_receipt(vkey, p->text, p->bytes, NULL, 0, LOG_KIND_REQUEST_DONE, &id);
    assert_true(has(p->text, p->bytes, "attach payload "));
    assert_true(has(p->text, p->bytes, "attach report "));
    lethe_free(p);
    lethe_free(r);
}

void test_evidence_story_of_a_request(void **state)
{
    (void)state;
    struct session s;
    session_new(&s, CONFIG);
    session_import(&s);
    const struct sign_vkey vkey = key_of(&s);
    check_accepted(&s, &vkey, tiny_labels[0]);
    session_sound(&s);
    session_free(&s);
}

/* What does not exist is refused by name. */
void test_evidence_story_unknown_requests(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_proof *p;
    session_new(&s, CONFIG);
    session_refused(lethe_prove(s.l, "0195515f-9d00-7a3c-8f21-5b6c7d8e9f00", true, &p, &e),
                    LETHE_NOT_FOUND, "id", e);
    session_refused(lethe_consistency(s.l, 0, 1, &p, &e), LETHE_OUT_OF_RANGE, "size", e);
    session_refused(lethe_consistency(s.l, 1, 1000, &p, &e), LETHE_OUT_OF_RANGE, "size", e);
    struct lethe_version *v;
    session_refused(lethe_served_proof(s.l, 1000000, &v, &e), LETHE_NOT_FOUND, "time", e);
    session_free(&s);
}

/* ---------------------------------------------------------------- the log as a whole */

/* Every entry, page by page; the tree over them is the one that was signed. */
static void rebuild(struct session *s, const struct sign_vkey *vkey, const char *const *secrets)
{
    struct lethe_error e = {0};
    struct lethe_log *page;
    struct merkle_range range;
    struct merkle_full full[MERKLE_DEPTH];
    uint64_t from = 0;
    const struct note_checkpoint head = head_of(s, vkey);
    merkle_range_init(&range);
    do {
        session_ok(lethe_log(s->l, from, 7, false, &page, &e), e);
        for (size_t i = 0; i < page->n; i++) {
            const struct lethe_log_entry *x = &page->items[i];
            assert_int_equal(x->index, range.size);
            const struct sha256 leaf = merkle_leaf(x->text, x->bytes);
            (void)merkle_append(&range, &leaf, full);
            for (size_t k = 0; secrets[k]; k++)
                if (has(x->text, x->bytes, secrets[k]))
                    fail_msg("entry %llu tells \"%s\"", (unsigned long long)x->index, secrets[k]);
        }
        from = page->next;
        lethe_free(page);
    } while (from != 0);
    const struct sha256 root = merkle_root(&range);
    assert_int_equal(range.size, head.size);
    assert_true(sha256_equal(&root, &head.root));
}

static size_t count_kind(struct session *s, enum log_kind kind, struct log_entry *ret_last)
{
    struct lethe_error e = {0};
    struct lethe_log *page;
    struct log_entry entry;
    size_t n = 0;
    session_ok(lethe_log(s->l, 0, 1000, false, &page, &e), e);
    assert_int_equal(page->next, 0);
    for (size_t i = 0; i < page->n; i++) {
        assert_int_equal(log_entry_parse(page->items[i].text, page->items[i].bytes, &entry, NULL),
                         STATUS_OK);
        n += entry.kind == kind;
        if (entry.kind == kind && ret_last)
            *ret_last = entry; /* fields borrow from the page: only kind and time are used */
    }
    lethe_free(page);
    return n;
}

void test_evidence_story_of_the_log(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_version *v;
    struct lethe_proof *p;
    struct fault f = {0};
    static const char *const SECRETS[] = {"Circle", "DSR-secret", "tiny", NULL};
    session_new(&s, CONFIG);
    const struct sign_vkey vkey = key_of(&s);
    const struct note_checkpoint before = head_of(&s, &vkey);
    session_import(&s);
    assert_string_equal(tiny_labels[0], SECRETS[0]);
    struct lethe_request *r = submit(&s, NULL, tiny_labels[0], "DSR-secret");
    struct lethe_request *end = session_wait(&s, r->id, NULL);
    assert_string_equal(end->state, "committed");
    session_refused(lethe_rollback(s.l, "1", &v, &e), LETHE_FAILED_PRECONDITION, "version", e);
    rebuild(&s, &vkey, SECRETS);
    assert_int_equal(count_kind(&s, LOG_KIND_STARTED, NULL), 1);
    assert_int_equal(count_kind(&s, LOG_KIND_REQUEST_ACCEPTED, NULL), 1);
    assert_int_equal(count_kind(&s, LOG_KIND_REQUEST_DONE, NULL), 1);
    assert_int_equal(count_kind(&s, LOG_KIND_VERSION_COMMITTED, NULL), 2);
    assert_int_equal(count_kind(&s, LOG_KIND_SERVING_MOVED, NULL), 2);
    assert_int_equal(count_kind(&s, LOG_KIND_ROLLBACK_REFUSED, NULL), 1);
    assert_int_equal(count_kind(&s, LOG_KIND_DATA_IMPORTED, NULL), 2);
    assert_int_equal(count_kind(&s, LOG_KIND_EVALUATION, NULL), 1);
    const struct note_checkpoint after = head_of(&s, &vkey);
    session_ok(lethe_consistency(s.l, before.size, 0, &p, &e), e);
    assert_int_equal(evidence_continues(&before, &after, p->text, p->bytes, &f), STATUS_OK);
    lethe_free(p);
    lethe_free(end);
    lethe_free(r);
    session_free(&s);
}

/* ---------------------------------------------------------------- what served */

static void
check_served(struct session *s, const struct sign_vkey *vkey, int64_t time_us, uint64_t generation)
{
    struct lethe_error e = {0};
    struct lethe_version *v;
    struct digest id;
    session_ok(lethe_served_proof(s->l, time_us, &v, &e), e);
    const struct served_verdict verdict = evidence_served_verdict(vkey, v->proof, v->proof_bytes);
    assert_int_equal(digest_parse(v->id, &id), 0);
    assert_true(digest_equal(&id, &verdict.version));
    assert_int_equal(verdict.generation, generation);
    assert_true(served_proof_covers(&verdict, time_us));
    assert_true(verdict.from_us == v->served_from);
    lethe_free(v);
    session_ok(lethe_served_at(s->l, time_us, &v, &e), e);
    assert_int_equal(v->proof_bytes, 0); /* not asked for */
    lethe_free(v);
}

void test_evidence_story_of_what_served(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct lethe_version *v;
    session_new(&s, CONFIG);
    session_import(&s);
    const struct sign_vkey vkey = key_of(&s);
    struct lethe_request *r = submit(&s, NULL, tiny_labels[0], NULL);
    struct lethe_request *end = session_wait(&s, r->id, NULL);
    assert_string_equal(end->state, "committed");
    session_ok(lethe_show(s.l, "serving", &v, &e), e);
    lethe_free(v);
    check_served(&s, &vkey, r->submitted_at, 1);
    check_served(&s, &vkey, end->submitted_at + 1, 1);
    session_ok(lethe_served_at(s.l, 0, &v, &e), e);
    const int64_t moved = v->served_from;
    lethe_free(v);
    check_served(&s, &vkey, moved - 1, 1);
    check_served(&s, &vkey, moved, 2);
    lethe_free(end);
    lethe_free(r);
    session_free(&s);
}

/* ---------------------------------------------------------------- command line */

static char *read_text(const char *path, size_t *ret_n)
{
    uint8_t *bytes;
    struct fault f = {0};
    assert_int_equal(sysio_read_file(path, 1 << 20, &bytes, ret_n, &f), STATUS_OK);
    return (char *)bytes;
}

void test_evidence_story_on_the_command_line(void **state)
{
    (void)state;
    struct session s;
    char out[65536], path[600], again[600];
    size_t n, m;
    session_new(&s, CONFIG);
    session_import(&s);
    const struct sign_vkey vkey = key_of(&s);
    (void)snprintf(path, sizeof path, "%s/accepted.txt", s.d.folder);
    (void)snprintf(again, sizeof again, "%s/again.txt", s.d.folder);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "--json", "forget", "--class",
                                     tiny_labels[0], "--receipt", path, "--wait", NULL),
                     0);
    const char *at = strstr(out, "\"id\":\"");
    assert_non_null(at);
    char id[LETHE_ID_TEXT];
    (void)snprintf(id, sizeof id, "%.36s", at + 6);
    const struct request_id request = id_of(id);
    assert_int_equal(
        test_daemon_cli(&s.d, out, sizeof out, "prove", id, "--accepted", "-o", again, NULL), 0);
    char *first = read_text(path, &n), *second = read_text(again, &m);
    evidence_receipt(&vkey, first, n, NULL, 0, LOG_KIND_REQUEST_ACCEPTED, &request);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    sysio_free(first);
    sysio_free(second);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "prove", id, NULL), 0);
    evidence_receipt(&vkey, out, strlen(out), NULL, 0, LOG_KIND_REQUEST_DONE, &request);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "checkpoint", NULL), 0);
    const struct note_checkpoint head = evidence_checkpoint(&vkey, out, strlen(out));
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "checkpoint", "--key", NULL), 0);
    char text[SIGN_VKEY_SIZE];
    sign_vkey_format(&vkey, text);
    assert_int_equal(strncmp(out, text, strlen(text)), 0);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "consistency", "1", NULL), 0);
    assert_true(has(out, strlen(out), "lethe-consistency/v1\n"));
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "consistency", "0", NULL), 2);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "consistency", "99999", NULL), 3);
    assert_int_equal(
        test_daemon_cli(&s.d, out, sizeof out, "log", "--from", "0", "--limit", "1000", NULL), 0);
    size_t entries = 0;
    for (const char *c = out; (c = strstr(c, "lethe-log/v1 ")); c++)
        entries++;
    assert_int_equal(entries, head.size);
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "--json", "log", "--limit", "1", NULL),
                     0);
    assert_true(has(out, strlen(out), "\"kind\":\"request.done\""));
    assert_int_equal(test_daemon_cli(&s.d, out, sizeof out, "prove",
                                     "0195515f-9d00-7a3c-8f21-5b6c7d8e9f00", NULL),
                     3);
    session_free(&s);
}

/* ---------------------------------------------------------------- the key */

static void append_config(const struct session *s, const char *line)
{
    size_t n;
    struct fault f = {0};
    char *old = read_text(s->d.config, &n);
    const size_t room = n + strlen(line) + 1;
    char *text = sysio_alloc(room, 1);
    assert_non_null(text);
    (void)snprintf(text, room, "%s%.*s", line, (int)n, old);
    assert_int_equal(sysio_write_file(s->d.config, text, strlen(text), &f), STATUS_OK);
    sysio_free(text);
    sysio_free(old);
}

static void make_key(const char *path, const char *name)
{
    struct sign_key *key;
    assert_int_equal(sign_key_generate(name, SIGN_LOG, &key, NULL), STATUS_OK);
    assert_int_equal(sign_file_write(path, key, NULL), STATUS_OK);
    sign_key_free(key);
}

/* A key that is not the log's, that others can read, or that is gone: the daemon does not start. */
void test_evidence_story_daemon_wants_its_key(void **state)
{
    (void)state;
    struct session s;
    char path[600], kept[600];
    struct stat info;
    session_new(&s, "");
    const struct sign_vkey vkey = key_of(&s);
    (void)snprintf(path, sizeof path, "%s/log.key", s.d.store);
    (void)snprintf(kept, sizeof kept, "%s/kept.key", s.d.folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    lethe_close(s.l);
    s.l = NULL;
    test_daemon_stop(&s.d);
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    assert_true(test_daemon_said(&s.d, "the key of the log is missing"));
    make_key(path, vkey.name);
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    assert_true(test_daemon_said(&s.d, "not the key that signed the log"));
    assert_int_equal(rename(kept, path), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    assert_true(test_daemon_said(&s.d, "others can read it"));
    assert_int_equal(chmod(path, 0600), 0);
    append_config(&s, "log_origin = another.example/log\n");
    assert_int_equal(test_daemon_start_refused(&s.d), 1);
    assert_true(test_daemon_said(&s.d, "log_origin"));
    session_free(&s);
}

/* A named key in a place of its own, and the change to another one. */
void test_evidence_story_key_is_rolled(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e = {0};
    struct fault f = {0};
    struct lethe_proof *p;
    char folder[256], line[900], first[300], second[300];
    test_support_mkdir(folder);
    (void)snprintf(first, sizeof first, "%s/first.key", folder);
    (void)snprintf(second, sizeof second, "%s/second.key", folder);
    make_key(first, "example.org/lethe/roll");
    make_key(second, "example.org/lethe/roll");
    (void)snprintf(line, sizeof line, "log_key = %s\nlog_origin = example.org/lethe/roll\n", first);
    session_new(&s, line);
    const struct sign_vkey old = key_of(&s);
    const struct note_checkpoint before = head_of(&s, &old);
    lethe_close(s.l);
    s.l = NULL;
    test_daemon_stop(&s.d);
    uint8_t *bytes;
    size_t n;
    assert_int_equal(sysio_read_file(s.d.config, 1 << 16, &bytes, &n, &f), STATUS_OK);
    char *at = strstr((char *)bytes, "first.key");
    assert_non_null(at);
    char *text = sysio_alloc(n + 1000, 1);
    (void)snprintf(text, n + 1000, "log_key_old = %s\n%.*ssecond.key%s", first,
                   (int)(at - (char *)bytes), (char *)bytes, at + strlen("first.key"));
    assert_int_equal(sysio_write_file(s.d.config, text, strlen(text), &f), STATUS_OK);
    sysio_free(text);
    sysio_free(bytes);
    test_daemon_start(&s.d);
    session_connect(&s);
    const struct sign_vkey now = key_of(&s);
    assert_memory_not_equal(old.public, now.public, sizeof old.public);
    assert_true(test_daemon_said(&s.d, "log.key_rolled"));
    const struct note_checkpoint after = head_of(&s, &now);
    (void)head_of(&s, &old); /* the head with the roll bears both signatures */
    assert_int_equal(after.size, before.size + 1);
    session_ok(lethe_consistency(s.l, before.size, after.size, &p, &e), e);
    assert_int_equal(evidence_continues(&before, &after, p->text, p->bytes, &f), STATUS_OK);
    lethe_free(p);
    struct log_entry entry;
    struct lethe_log *page;
    struct sign_vkey told;
    session_ok(lethe_log(s.l, 0, 1, true, &page, &e), e);
    assert_int_equal(log_entry_parse(page->items[0].text, page->items[0].bytes, &entry, NULL),
                     STATUS_OK);
    assert_int_equal(entry.kind, LOG_KIND_KEY_ROLLED);
    assert_true(log_entry_vkey(&entry, "new", &told));
    assert_memory_equal(told.public, now.public, sizeof now.public);
    lethe_free(page);
    session_import(&s);
    (void)head_of(&s, &now);
    session_sound(&s);
    session_free(&s);
    test_support_rmdir(folder);
}
