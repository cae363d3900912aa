/*
 * Rounds of kill -9.  Each submits a request (or imports data) to a real daemon while another
 * thread kills the daemon or its worker at a random moment, starts the daemon again if need be and
 * checks what was promised: what was acknowledged is on record, what was not may be repeated, the
 * store is sound, and a version that served before serves with the same logits.  When the classes
 * of a store are used up, every request must reach a final state, `lethe fsck` must pass, the
 * serving manifest must have its digest, and a new store is made.  A worker that dies counts as a
 * failed run, hence max_attempts.
 *
 * Evidence is kept outside as a client keeps it: the receipt of every acknowledged request and the
 * checkpoint of every round.  In every round the daemon must give each receipt again, byte for
 * byte, and show that its log continues every head that it ever signed.
 *
 * The random stream comes from LETHE_CRASH_SEED or the clock; it is printed.
 */
#ifndef LETHE_TESTS_SUPPORT_CRASH_ROUNDS_H
#define LETHE_TESTS_SUPPORT_CRASH_ROUNDS_H

#include "tests/support/session.h"

#include <pthread.h>

#include "daemon/base/clock.h"
#include "storage/store/store.h"
#include "tests/support/evidence_check.h"

#define CRASH_REQUESTS_MAX 64
#define CRASH_STORE_ROUNDS 8 /* rounds on one store */
#define CRASH_CALL_MS      900
#define CRASH_RECEIPT_MAX  4096
#define CRASH_HEADS_MAX    (2 * CRASH_STORE_ROUNDS + CRASH_REQUESTS_MAX)

struct crash_request {
    char id[LETHE_ID_TEXT];
    int dry_run;
    char receipt[CRASH_RECEIPT_MAX];
    size_t receipt_bytes;
};

struct crash {
    struct session s;
    struct rng rng;
    struct crash_request requests[CRASH_REQUESTS_MAX];
    size_t n_requests;
    uint32_t classes_used;
    uint32_t sets; /* data sets imported so far */
    char serving[LETHE_DIGEST_TEXT];
    float logits[TINY_CLASSES];
    struct sign_vkey vkey; /* taken once, when the store was new */
    struct note_checkpoint heads[CRASH_HEADS_MAX];
    size_t n_heads;
    unsigned receipts, proofs; /* that were verified */
    /* what the rounds met, for the summary */
    unsigned daemon_kills, worker_kills, unacknowledged, committed, dry_runs;
};

/* ---------------------------------------------------------------- killing */

struct crash_shot {
    const struct test_daemon *d;
    long delay_us;
    int at_worker;
    pid_t hit; /* 0: there was no worker */
};

static void *crash_shoot(void *argument)
{
    struct crash_shot *shot = argument;
    const struct timespec t = {.tv_sec = shot->delay_us / 1000000,
                               .tv_nsec = shot->delay_us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
    shot->hit = shot->at_worker ? test_daemon_worker(shot->d) : shot->d->pid;
    if (shot->hit > 0)
        (void)kill(shot->hit, SIGKILL);
    return NULL;
}

/* Half of the shots come while the call is under way, the others during training. */
static struct crash_shot crash_aim(struct crash *x)
{
    const uint32_t within_us = rng_below(&x->rng, 2) ? 15000u : 700000u;
    return (struct crash_shot){.d = &x->s.d,
                               .delay_us = (long)rng_below(&x->rng, within_us),
                               .at_worker = rng_below(&x->rng, 5) < 2};
}

/* ---------------------------------------------------------------- checks */

static void crash_logits(struct crash *x, float logits[TINY_CLASSES])
{
    uint8_t pixels[TINY_PIXELS];
    struct lethe_error e = {0};
    struct lethe_predictions *p;
    const void *images[] = {pixels};
    tiny_image(2, 3, 1, pixels);
    const struct lethe_predict_args args = {.height = TINY_SIZE,
                                            .width = TINY_SIZE,
                                            .channels = 1,
                                            .logits = true,
                                            .images = images,
                                            .n_images = 1};
    session_ok(lethe_predict(x->s.l, &args, &p, &e), e);
    assert_int_equal(p->items[0].n_logits, TINY_CLASSES);
    memcpy(logits, p->items[0].logits, TINY_CLASSES * sizeof *logits);
    lethe_free(p);
}

/* A version that served before gives the same bytes again. */
static void crash_check_serving(struct crash *x)
{
    char serving[LETHE_DIGEST_TEXT];
    float logits[TINY_CLASSES];
    session_serving(&x->s, serving);
    crash_logits(x, logits);
    /* a commit may have come between the two calls; then this is a new version */
    char again[LETHE_DIGEST_TEXT];
    session_serving(&x->s, again);
    if (strcmp(serving, again) != 0)
        return;
    if (strcmp(serving, x->serving) == 0)
        assert_memory_equal(logits, x->logits, sizeof logits);
    memcpy(x->serving, serving, sizeof serving);
    memcpy(x->logits, logits, sizeof logits);
}

static void crash_check_requests(struct crash *x)
{
    for (size_t i = 0; i < x->n_requests; i++) {
        struct lethe_error e = {0};
        struct lethe_request *r;
        if (lethe_request(x->s.l, x->requests[i].id, &r, &e) == LETHE_OK)
            lethe_free(r);
        else
            fail_msg("acknowledged request %s: %s", x->requests[i].id, e.text);
    }
}

/* ---------------------------------------------------------------- evidence */

static struct note_checkpoint crash_head(struct crash *x)
{
    struct lethe_error e = {0};
    struct lethe_checkpoint *p;
    session_ok(lethe_checkpoint(x->s.l, &p, &e), e);
    const struct note_checkpoint head = evidence_checkpoint(&x->vkey, p->note, p->note_bytes);
    assert_int_equal(head.size, p->size);
    lethe_free(p);
    return head;
}

static void crash_keep_head(struct crash *x, const struct note_checkpoint *head)
{
    assert_true(x->n_heads < CRASH_HEADS_MAX);
    x->heads[x->n_heads++] = *head;
}

static void crash_take_key(struct crash *x)
{
    struct lethe_error e = {0};
    struct lethe_checkpoint *p;
    x->n_heads = 0;
    session_ok(lethe_checkpoint(x->s.l, &p, &e), e);
    assert_int_equal(sign_vkey_parse(p->key, strlen(p->key), &x->vkey, NULL), STATUS_OK);
    lethe_free(p);
}

/* Of a head that was seen: the log still begins with it. */
static void crash_check_head(struct crash *x,
                             const struct note_checkpoint *old,
                             const struct note_checkpoint *now)
{
    struct fault f = {0};
    struct lethe_error e = {0};
    struct lethe_proof *p;
    session_ok(lethe_consistency(x->s.l, old->size, now->size, &p, &e), e);
    if (evidence_continues(old, now, p->text, p->bytes, &f) != STATUS_OK)
        fail_msg("the log of %llu does not continue that of %llu: %s",
                 (unsigned long long)now->size, (unsigned long long)old->size, f.text);
    lethe_free(p);
    x->proofs++;
}

/* What was handed out with the acknowledgement is given again, and is right. */
static void crash_check_receipt(struct crash *x, const struct crash_request *q)
{
    struct lethe_error e = {0};
    struct lethe_proof *p;
    struct request_id id;
    assert_int_equal(request_id_parse(q->id, &id), 0);
    session_ok(lethe_prove(x->s.l, q->id, true, &p, &e), e);
    assert_int_equal(p->bytes, q->receipt_bytes);
    assert_memory_equal(p->text, q->receipt, q->receipt_bytes);
    evidence_receipt(&x->vkey, p->text, p->bytes, NULL, 0, LOG_KIND_REQUEST_ACCEPTED, &id);
    lethe_free(p);
    x->receipts++;
}

static void crash_check_evidence(struct crash *x)
{
    const struct note_checkpoint now = crash_head(x);
    for (size_t i = 0; i < x->n_requests; i++)
        crash_check_receipt(x, &x->requests[i]);
    for (size_t i = 0; i < x->n_heads; i++)
        crash_check_head(x, &x->heads[i], &now);
    crash_keep_head(x, &now);
}

static void crash_check_store(struct crash *x)
{
    struct lethe_error e = {0};
    struct lethe_fsck *fsck;
    session_ok(lethe_fsck(x->s.l, &fsck, &e), e);
    if (!fsck->ok)
        fail_msg("fsck: %s", fsck->n_findings > 0 ? fsck->findings[0] : "not ok");
    lethe_free(fsck);
}

/* The stored manifest of the serving version, hashed again. */
static void crash_check_manifest(struct crash *x)
{
    struct fault f = {0};
    struct store *store;
    struct serving serving;
    struct kv_txn *txn;
    struct version *version;
    struct digest digest;
    const struct kv_options options = {.folder = x->s.d.store};
    assert_int_equal(store_open(&options, &store, &f), STATUS_OK);
    assert_int_equal(store_read_serving(store, &serving, &f), STATUS_OK);
    assert_int_equal(store_read_begin(store, &txn, &f), STATUS_OK);
    assert_int_equal(version_get(txn, &serving.version, &version, &f), STATUS_OK);
    store_read_end(txn);
    assert_int_equal(version_id(version, &digest, &f), STATUS_OK);
    assert_memory_equal(&digest, &serving.version, sizeof digest);
    version_free(version);
    store_close(store);
}

/* ---------------------------------------------------------------- rounds */

static void crash_connect(struct crash *x)
{
    struct lethe_error e = {0};
    const struct lethe_options options = {
        .timeout_ms = CRASH_CALL_MS, .attempts = 1, .connect_timeout_ms = 500};
    lethe_close(x->s.l);
    x->s.l = NULL;
    session_ok(lethe_open(x->s.d.endpoint, &options, &x->s.l, &e), e);
}

/* A dead daemon is started again; its worker died with it. */
static void crash_restart(struct crash *x, pid_t worker)
{
    test_daemon_kill(&x->s.d);
    test_daemon_start(&x->s.d);
    session_connect(&x->s);
    for (int i = 0; worker > 0 && kill(worker, 0) == 0 && i < 400; i++)
        session_sleep_ms(5);
    if (worker > 0 && kill(worker, 0) == 0)
        fail_msg("worker %d outlived its daemon", (int)worker);
}

/* With the checkpoint of its receipt, which is one more head that the daemon has signed. */
static void
crash_remember(struct crash *x, const char *id, int dry_run, const struct lethe_request *answer)
{
    struct receipt parsed;
    static uint8_t decoded[CRASH_RECEIPT_MAX];
    assert_true(x->n_requests < CRASH_REQUESTS_MAX);
    struct crash_request *r = &x->requests[x->n_requests++];
    memcpy(r->id, id, LETHE_ID_TEXT);
    r->dry_run = dry_run;
    assert_in_range(answer->receipt_bytes, 1, sizeof r->receipt);
    memcpy(r->receipt, answer->receipt, answer->receipt_bytes);
    r->receipt_bytes = answer->receipt_bytes;
    assert_int_equal(receipt_parse(r->receipt, r->receipt_bytes, decoded, &parsed, NULL),
                     STATUS_OK);
    crash_keep_head(x, &parsed.note.checkpoint);
}

static void crash_new_id(struct crash *x, char id[LETHE_ID_TEXT])
{
    uint8_t random[10];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)rng_below(&x->rng, 256);
    const struct request_id made = request_id_make(clock_wall_us(), random);
    request_id_format(&made, id);
}

/*
 * Submits while a shot falls.  Without an answer the same call is made again afterwards, with the
 * same id, as a client would: it must be taken then, once.
 */
static void crash_submit(struct crash *x, struct crash_shot *shot)
{
    struct lethe_error e = {0};
    struct lethe_request *r = NULL;
    char id[LETHE_ID_TEXT];
    pthread_t thread;
    const int dry_run = x->classes_used + 2 >= TINY_CLASSES || rng_below(&x->rng, 4) == 0;
    const char *label = tiny_labels[x->classes_used];
    const struct lethe_forget_args args = {
        .request_id = id, .classes = &label, .n_classes = 1, .dry_run = dry_run};
    x->classes_used += !dry_run;
    crash_new_id(x, id);
    crash_connect(x);
    const pid_t worker = test_daemon_worker(&x->s.d);
    assert_int_equal(pthread_create(&thread, NULL, crash_shoot, shot), 0);
    const int acknowledged = lethe_forget(x->s.l, &args, &r, &e) == LETHE_OK;
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (!shot->at_worker)
        crash_restart(x, worker);
    else
        session_connect(&x->s);
    x->unacknowledged += !acknowledged;
    if (!acknowledged)
        session_ok(lethe_forget(x->s.l, &args, &r, &e), e);
    crash_remember(x, id, dry_run, r);
    lethe_free(r);
}

/* An import that is cut off is taken up again; one that was acknowledged is there. */
static void crash_import(struct crash *x, struct crash_shot *shot)
{
    char name[32];
    pthread_t thread;
    struct lethe_error e = {0};
    struct lethe_datasets *sets;
    (void)snprintf(name, sizeof name, "set-%u", x->sets++);
    shot->delay_us %= 15000;
    shot->at_worker = 0;
    const pid_t worker = test_daemon_worker(&x->s.d);
    crash_connect(x);
    assert_int_equal(pthread_create(&thread, NULL, crash_shoot, shot), 0);
    const int acknowledged = session_try_import(&x->s, name, "probe", 7, &e) == LETHE_OK;
    assert_int_equal(pthread_join(thread, NULL), 0);
    crash_restart(x, worker);
    x->unacknowledged += !acknowledged;
    if (!acknowledged && session_try_import(&x->s, name, "probe", 7, &e) != LETHE_OK &&
        e.code != LETHE_ALREADY_EXISTS) /* registered, only the answer was lost */
        fail_msg("import again: %s (%s)", e.text, e.field);
    int found = 0;
    session_ok(lethe_data_list(x->s.l, &sets, &e), e);
    for (size_t i = 0; i < sets->n; i++)
        found += strcmp(sets->items[i].name, name) == 0;
    lethe_free(sets);
    assert_int_equal(found, 1);
}

static void crash_round(struct crash *x, unsigned round)
{
    struct crash_shot shot = crash_aim(x);
    const int import = rng_below(&x->rng, 6) == 0;
    if (import)
        crash_import(x, &shot);
    else
        crash_submit(x, &shot);
    x->daemon_kills += !shot.at_worker && shot.hit > 0;
    x->worker_kills += shot.at_worker && shot.hit > 0;
    print_message("  round %u: %s, %s %d after %ld us\n", round, import ? "import" : "forget",
                  shot.at_worker ? "worker" : "daemon", (int)shot.hit, shot.delay_us);
    crash_check_requests(x);
    crash_check_serving(x);
    crash_check_evidence(x);
    crash_check_store(x);
}

/* ---------------------------------------------------------------- stores */

static void crash_store_new(struct crash *x)
{
    session_new(&x->s, "max_attempts = 10\n" SESSION_GATE SESSION_FAST);
    session_import(&x->s);
    crash_take_key(x);
    x->n_requests = 0;
    x->classes_used = 0;
    x->serving[0] = '\0';
}

/* An erasure commits in spite of all kills; a dry run ends without a version. */
static void crash_check_end(struct crash *x, const struct crash_request *q)
{
    struct lethe_request *r = session_wait(&x->s, q->id, NULL);
    const int committed = strcmp(r->state, "committed") == 0;
    assert_true(lethe_state_is_final(r->state));
    if (committed == q->dry_run)
        fail_msg("request %s is %s: %s", q->id, r->state, r->error.text);
    (*(committed ? &x->committed : &x->dry_runs))++;
    lethe_free(r);
}

static void crash_store_end(struct crash *x)
{
    char out[4096];
    for (size_t i = 0; i < x->n_requests; i++)
        crash_check_end(x, &x->requests[i]);
    crash_check_evidence(x);
    session_sound(&x->s);
    if (test_daemon_cli(&x->s.d, out, sizeof out, "fsck", NULL) != 0)
        fail_msg("lethe fsck: %s", out);
    test_daemon_stop(&x->s.d);
    crash_check_manifest(x);
    session_free(&x->s);
}

static uint64_t crash_number(const char *variable, uint64_t standard)
{
    const char *text = getenv(variable);
    return text && text[0] != '\0' ? strtoull(text, NULL, 10) : standard;
}

/* n rounds, unless LETHE_CRASH_ROUNDS says another number. */
__attribute__((unused)) static void crash_rounds(unsigned n)
{
    static struct crash x;
    const struct rng_root root = {.seed =
                                      crash_number("LETHE_CRASH_SEED", (uint64_t)clock_wall_us())};
    n = (unsigned)crash_number("LETHE_CRASH_ROUNDS", n);
    memset(&x, 0, sizeof x);
    rng_init(&x.rng, &root, "crash", 0);
    print_message("  LETHE_CRASH_SEED=%llu, %u rounds\n", (unsigned long long)root.seed, n);
    for (unsigned round = 0; round < n; round++) {
        if (round % CRASH_STORE_ROUNDS == 0)
            crash_store_new(&x);
        crash_round(&x, round);
        if (round % CRASH_STORE_ROUNDS == CRASH_STORE_ROUNDS - 1 || round + 1 == n)
            crash_store_end(&x);
    }
    print_message("  %u daemons and %u workers killed, %u calls unanswered; %u erasures committed, "
                  "%u dry runs ended; %u receipts and %u proofs of consistency verified\n",
                  x.daemon_kills, x.worker_kills, x.unacknowledged, x.committed, x.dry_runs,
                  x.receipts, x.proofs);
}

#endif
