/*
 * What the store's part of a request costs as history grows: real commits through the store's own
 * calls (sealed, logged, signed, synced), with components of a few bytes, so that nothing but the
 * book-keeping is measured.  For 1 and 100 lanes a version names, and after 10, 100 and 1000
 * versions, prints a table on stderr and one JSON object a line on stdout: medians in milliseconds
 * of a whole request (accepted, started, evaluated, committed with a version: four commits), of
 * what show, diff, served-at and status read, of opening the store; operations of the store per
 * request; entries of the log; bytes of the file.
 *
 *     build/bench/scale FOLDER      (must exist; the stores in it are left there)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/audit/audit_log.h"
#include "storage/store/store.h"
#include "storage/store/store_log.h"

#define LANES_MAX 100u
#define ROUNDS    9u /* of each measurement */
#define REPEATS   25u

struct scale {
    char folder[512];
    struct store *store;
    uint32_t lanes;
    uint64_t versions;
    int64_t now_us;
};

static void check(enum status st, const struct fault *f)
{
    if (st == STATUS_OK)
        return;
    (void)fprintf(stderr, "scale: %s: %s %s\n", status_name(st), f->field, f->text);
    exit(1);
}

static void open_store(struct scale *x)
{
    struct fault f = {0};
    struct sign_key *key;
    struct store_log_begun begun;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    const struct kv_options o = {.folder = x->folder};
    check(store_open(&o, &x->store, &f), &f);
    check(sign_key_from_seed("lethe.bench/log", SIGN_LOG, seed, &key, &f), &f);
    check(store_log_begin(x->store, key, NULL, x->now_us, &begun, &f), &f);
}

static struct request_id id_of(uint64_t n)
{
    struct request_id id = {{0x01, 0x95}};
    id.b[6] = 0x70;
    for (unsigned i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(n >> (8 * i));
    return id;
}

static void move_request(struct scale *x, uint64_t n, enum request_event event)
{
    struct fault f = {0};
    const struct queue_move move = {.id = id_of(n), .event = event, .now_us = ++x->now_us};
    const struct store_change c = {.now_us = x->now_us, .moves = &move, .n_moves = 1};
    check(store_commit(x->store, &c, NULL, &f), &f);
}

static void accept_request(struct scale *x, uint64_t n)
{
    struct fault f = {0};
    char file[40];
    (void)snprintf(file, sizeof file, "file of request %llu", (unsigned long long)n);
    const struct digest attachment = seal_hash(file, strlen(file));
    const struct store_blob blob = {BLOB_FILE, file, strlen(file)};
    const struct queue_submission s = {.id = id_of(n),
                                       .principal = "mlops/bench",
                                       .kind = "learn",
                                       .payload = file,
                                       .payload_size = strlen(file),
                                       .attachment = &attachment,
                                       .submitted_us = ++x->now_us};
    const struct queue_move move = {
        .id = s.id, .event = REQUEST_EVENT_ENQUEUE, .now_us = x->now_us};
    const struct store_change c = {.now_us = x->now_us,
                                   .accept = &s,
                                   .blobs = &blob,
                                   .n_blobs = 1,
                                   .moves = &move,
                                   .n_moves = 1};
    check(store_commit(x->store, &c, NULL, &f), &f);
}

/* Version n replaces the lane n modulo their number; the others are what they were. */
static void commit_request(struct scale *x, uint64_t n)
{
    static char texts[LANES_MAX + 2][40], names[LANES_MAX][16];
    struct version_component parts[LANES_MAX + 1];
    struct store_blob blobs[LANES_MAX + 2];
    struct fault f = {0};
    struct serving serving = {0};
    memset(parts, 0, sizeof parts);
    for (uint32_t i = 0; i <= x->lanes; i++) {
        const uint64_t made = n < i ? 0 : n - (n - i) % x->lanes;
        (void)snprintf(texts[i], sizeof texts[i], i ? "lane %u of %llu" : "base", i,
                       (unsigned long long)made);
        if (i)
            (void)snprintf(names[i - 1], sizeof names[0], "l%u", i);
        blobs[i] = (struct store_blob){BLOB_COMPONENT, texts[i], strlen(texts[i])};
        parts[i] = (struct version_component){.kind = i ? "lane" : VERSION_KIND_BASE,
                                              .name = i ? names[i - 1] : "base",
                                              .blob = seal_hash(texts[i], strlen(texts[i])),
                                              .bytes = strlen(texts[i])};
    }
    char *report = texts[LANES_MAX + 1];
    (void)snprintf(report, sizeof texts[0], "report of %llu", (unsigned long long)n);
    blobs[x->lanes + 1] = (struct store_blob){BLOB_REPORT, report, strlen(report)};
    const enum status st = store_read_serving(x->store, &serving, &f);
    if (st != STATUS_NOT_FOUND)
        check(st, &f);
    const struct version v = {.number = n,
                              .parent = serving.version,
                              .request = id_of(n),
                              .created_us = ++x->now_us,
                              .report = seal_hash(report, strlen(report)),
                              .kernel = "bench",
                              .threads = 1,
                              .components = parts,
                              .n_components = x->lanes + 1};
    struct serving_move serve = {.expected_generation = serving.generation, .now_us = x->now_us};
    check(version_id(&v, &serve.version, &f), &f);
    const struct queue_move move = {.id = v.request,
                                    .event = REQUEST_EVENT_COMMIT,
                                    .now_us = x->now_us,
                                    .version_after = &serve.version,
                                    .report = &v.report};
    const struct store_change c = {.now_us = x->now_us,
                                   .blobs = blobs,
                                   .n_blobs = x->lanes + 2,
                                   .version = &v,
                                   .serve = &serve,
                                   .moves = &move,
                                   .n_moves = 1};
    check(store_commit(x->store, &c, NULL, &f), &f);
}

/* ---------------------------------------------------------------- what is measured */

static void request(struct scale *x)
{
    const uint64_t n = ++x->versions;
    accept_request(x, n);
    move_request(x, n, REQUEST_EVENT_START);
    move_request(x, n, REQUEST_EVENT_CANDIDATE);
    commit_request(x, n);
}

static void get_version(struct scale *x, struct kv_txn *txn, uint64_t number)
{
    struct fault f = {0};
    struct digest d;
    struct version *v;
    (void)x;
    check(version_by_number(txn, number, &d, &f), &f);
    check(version_get(txn, &d, &v, &f), &f);
    version_free(v);
}

static void show(struct scale *x)
{
    struct fault f = {0};
    struct kv_txn *txn;
    check(store_read_begin(x->store, &txn, &f), &f);
    get_version(x, txn, x->versions / 2 + 1);
    store_read_end(txn);
}

static void diff(struct scale *x)
{
    struct fault f = {0};
    struct kv_txn *txn;
    check(store_read_begin(x->store, &txn, &f), &f);
    get_version(x, txn, 1);
    get_version(x, txn, x->versions);
    store_read_end(txn);
}

/* The first move ever: farthest from the newest. */
static void served_at(struct scale *x)
{
    struct fault f = {0};
    struct kv_txn *txn;
    struct serving s;
    check(store_read_begin(x->store, &txn, &f), &f);
    check(serving_generation(txn, 1, &s, &f), &f);
    check(serving_at(txn, s.since_us, &s, &f), &f);
    store_read_end(txn);
}

static void status(struct scale *x)
{
    struct fault f = {0};
    uint64_t counts[REQUEST_STATES];
    struct serving s;
    struct kv_stats stats;
    check(store_read_counts(x->store, counts, &f), &f);
    check(store_read_serving(x->store, &s, &f), &f);
    check(store_stats(x->store, &stats, &f), &f);
}

static void reopen(struct scale *x)
{
    store_close(x->store);
    open_store(x);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median over ROUNDS of `n` calls each, milliseconds a call. */
static double median_ms(struct scale *x, void (*what)(struct scale *), unsigned n)
{
    double ms[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        const int64_t start = clock_mono_us();
        for (unsigned k = 0; k < n; k++)
            what(x);
        ms[i] = (double)(clock_mono_us() - start) * 1e-3 / n;
    }
    qsort(ms, ROUNDS, sizeof ms[0], by_value);
    return ms[ROUNDS / 2];
}

static void measure(struct scale *x)
{
    struct fault f = {0};
    struct kv_stats before, after;
    struct audit_head head;
    struct kv_txn *txn;
    const uint64_t versions = x->versions;
    check(store_stats(x->store, &before, &f), &f);
    const double request_ms = median_ms(x, request, 1);
    check(store_stats(x->store, &after, &f), &f);
    const double show_ms = median_ms(x, show, REPEATS), diff_ms = median_ms(x, diff, REPEATS);
    const double at_ms = median_ms(x, served_at, REPEATS), status_ms = median_ms(x, status, REPEATS);
    const double open_ms = median_ms(x, reopen, 1);
    check(store_read_begin(x->store, &txn, &f), &f);
    check(audit_head_get(txn, &head, &f), &f);
    store_read_end(txn);
    const unsigned long long steps = (after.operations - before.operations) / ROUNDS;
    (void)printf("{\"lanes\": %u, \"versions\": %llu, \"request_ms\": %.3f, \"operations\": %llu, "
                 "\"show_ms\": %.3f, \"diff_ms\": %.3f, \"served_at_ms\": %.3f, \"status_ms\": "
                 "%.3f, \"open_ms\": %.3f, \"log_entries\": %llu, \"store_bytes\": %llu}\n",
                 x->lanes, (unsigned long long)versions, request_ms, steps, show_ms, diff_ms, at_ms,
                 status_ms, open_ms, (unsigned long long)head.range.size,
                 (unsigned long long)after.file_used);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%5u %8llu %10.3f %8llu %8.3f %8.3f %9.3f %8.3f %8.3f %8llu %8.1f\n",
                  x->lanes, (unsigned long long)versions, request_ms, steps, show_ms, diff_ms,
                  at_ms, status_ms, open_ms, (unsigned long long)head.range.size,
                  (double)after.file_used / 1048576.0);
}

int main(int argc, char **argv)
{
    static const uint32_t lanes[] = {1, LANES_MAX};
    static const uint64_t versions[] = {10, 100, 1000};
    if (argc != 2) {
        (void)fputs("usage: scale FOLDER\n", stderr);
        return 2;
    }
    (void)fprintf(stderr, "%5s %8s %10s %8s %8s %8s %9s %8s %8s %8s %8s\n", "lanes", "versions",
                  "request ms", "steps", "show", "diff", "served-at", "status", "open", "log",
                  "MiB");
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        struct scale x = {.lanes = lanes[i], .now_us = 1700000000000000};
        (void)snprintf(x.folder, sizeof x.folder, "%s/lanes%u", argv[1], lanes[i]);
        open_store(&x);
        for (size_t k = 0; k < sizeof versions / sizeof versions[0]; k++) {
            while (x.versions < versions[k])
                request(&x);
            measure(&x);
        }
        store_close(x.store);
    }
    return 0;
}
