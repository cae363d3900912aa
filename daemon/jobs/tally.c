#include "daemon/jobs/tally.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#define TALLY_MAGIC 0x594c4154u
#define NOTHING     ((double)NAN) /* not measured yet */

struct tally {
    uint32_t magic;
    pthread_mutex_t lock;
    struct core_stats stats;

    /* core thread */
    uint64_t last_txn; /* of the store when it was read */
    char phase[16];    /* of the progress before */
    uint32_t step;
    int64_t step_us;
};

static const char *const kind_names[CORE_STATS_KINDS] = {
    [CORE_STATS_FORGET] = "forget",     [CORE_STATS_LEARN] = "learn",
    [CORE_STATS_STREAM] = "stream",     [CORE_STATS_IMPORT] = "import",
    [CORE_STATS_EVALUATE] = "evaluate",
};

static const char *const set_names[CORE_STATS_SETS] = {
    [CORE_STATS_SET_FORGET] = "forget",
    [CORE_STATS_SET_RETAIN] = "retain",
    [CORE_STATS_SET_OLD_FORGOTTEN] = "old_forgotten",
    [CORE_STATS_SET_NEW_TASK] = "new_task",
};

static const double buckets[CORE_STATS_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,   0.25,   0.5,   1.0,  2.5,   HUGE_VAL};

const char *core_stats_kind_name(enum core_stats_kind kind)
{
    return kind_names[kind];
}

const char *core_stats_set_name(enum core_stats_set set)
{
    return set_names[set];
}

double core_stats_bucket(size_t i)
{
    return buckets[i];
}

enum status tally_new(struct tally **ret_tally, struct fault *f)
{
    struct tally *t = sysio_alloc(1, sizeof *t);
    if (!t)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the daemon's figures");
    t->magic = TALLY_MAGIC;
    (void)pthread_mutex_init(&t->lock, NULL);
    struct core_stats *s = &t->stats;
    for (size_t i = 0; i < CORE_STATS_SETS; i++)
        s->accuracy[i] = NOTHING;
    s->mia_auc = s->relapse_max = s->step_seconds = s->gflops = NOTHING;
    s->started_us = clock_wall_us();
    *ret_tally = t;
    return STATUS_OK;
}

void tally_free(struct tally *t)
{
    if (!t)
        return;
    INVARIANT(t->magic == TALLY_MAGIC);
    (void)pthread_mutex_destroy(&t->lock);
    t->magic = 0;
    sysio_free(t);
}

/* The figures, locked until tally_done. */
static struct core_stats *tally_begin(struct tally *t)
{
    INVARIANT(t->magic == TALLY_MAGIC);
    (void)pthread_mutex_lock(&t->lock);
    return &t->stats;
}

static void tally_done(struct tally *t)
{
    (void)pthread_mutex_unlock(&t->lock);
}

/* ---------------------------------------------------------------- requests and jobs */

void tally_move(struct tally *t, const char *kind, enum request_state state)
{
    if (!request_state_is_final(state))
        return;
    for (size_t i = 0; i < CORE_STATS_KINDS; i++) {
        if (strcmp(kind_names[i], kind) != 0)
            continue;
        tally_begin(t)->requests[i][state]++;
        tally_done(t);
    }
}

void tally_refusal(struct tally *t, enum core_stats_kind kind)
{
    tally_begin(t)->requests[kind][REQUEST_NONE]++;
    tally_done(t);
}

void tally_attempt(struct tally *t)
{
    tally_begin(t)->job_attempts++;
    tally_done(t);
}

static void keep(double *figure, const struct eval_value *v)
{
    if (v->n > 0)
        *figure = v->value;
}

void tally_report(struct tally *t, const struct eval_report *report)
{
    double relapse = NOTHING;
    for (uint32_t i = 0; i < report->n_relapse; i++)
        if (report->relapse[i].acc.n > 0)
            relapse = fmax(relapse, report->relapse[i].acc.value);
    struct core_stats *s = tally_begin(t);
    for (uint32_t i = 0; i < report->n_checks; i++)
        s->gate[report->checks[i].id][report->checks[i].verdict]++;
    keep(&s->accuracy[CORE_STATS_SET_FORGET], &report->acc_forget);
    keep(&s->accuracy[CORE_STATS_SET_RETAIN], &report->acc_retain);
    keep(&s->accuracy[CORE_STATS_SET_OLD_FORGOTTEN], &report->acc_old_forgotten);
    keep(&s->accuracy[CORE_STATS_SET_NEW_TASK], &report->acc_new_task);
    keep(&s->mia_auc, &report->mia_auc);
    if (!isnan(relapse))
        s->relapse_max = relapse;
    tally_done(t);
}

void tally_progress(struct tally *t, const struct job_progress *progress, int64_t now_us)
{
    /* steps count through the run, so an epoch of few steps is timed with its neighbours */
    const bool same = strcmp(t->phase, progress->phase) == 0 && progress->step > t->step;
    const double seconds =
        same ? (double)(now_us - t->step_us) / 1e6 / (progress->step - t->step) : NOTHING;
    memcpy(t->phase, progress->phase, sizeof t->phase);
    t->step = progress->step;
    t->step_us = now_us;
    if (!same || strcmp(t->phase, "train") != 0)
        return;
    tally_begin(t)->step_seconds = seconds;
    tally_done(t);
}

/* ---------------------------------------------------------------- store */

static enum status note_due(const struct queue_record *record, void *context, struct fault *f)
{
    (void)f;
    int64_t *due = context;
    const int erasure = strcmp(record->kind, kind_names[CORE_STATS_FORGET]) == 0;
    if (erasure && record->due_us > 0 && (*due == 0 || record->due_us < *due))
        *due = record->due_us;
    return STATUS_OK;
}

/* Earliest deadline among the erasures that are not final. */
static enum status read_due(struct kv_txn *txn, int64_t *ret_due_us)
{
    int64_t due = 0;
    for (unsigned i = 0; i < REQUEST_STATES; i++) {
        const struct queue_filter filter = {.state = (enum request_state)i};
        if (!request_state_is_valid(i) || request_state_is_final(filter.state))
            continue;
        TRY(queue_list(txn, &filter, note_due, &due, NULL));
    }
    *ret_due_us = due;
    return STATUS_OK;
}

static enum status read_moved(struct tally *t, struct store *store)
{
    struct kv_txn *txn;
    uint64_t counts[REQUEST_STATES] = {0};
    struct serving serving = {0};
    int64_t due = 0;
    TRY(store_read_begin(store, &txn, NULL));
    enum status st = queue_counts(txn, counts, NULL);
    if (st == STATUS_OK)
        st = read_due(txn, &due);
    if (st == STATUS_OK)
        st = serving_get(txn, &serving, NULL);
    store_read_end(txn);
    TRY(st);
    struct core_stats *s = tally_begin(t);
    memcpy(s->open, counts, sizeof s->open);
    s->due_us = due;
    s->serving_generation = serving.generation;
    tally_done(t);
    return STATUS_OK;
}

void tally_store(struct tally *t, struct store *store)
{
    struct kv_stats kv;
    if (store_stats(store, &kv, NULL) != STATUS_OK)
        return;
    struct core_stats *s = tally_begin(t);
    s->store_used = kv.file_used;
    s->store_max = kv.map_max;
    s->reader_lag = kv.reader_lag;
    tally_done(t);
    if (kv.last_txn != t->last_txn && read_moved(t, store) == STATUS_OK)
        t->last_txn = kv.last_txn;
}

/* ---------------------------------------------------------------- the rest */

void tally_worker(struct tally *t, bool busy, uint64_t restarts)
{
    struct core_stats *s = tally_begin(t);
    s->worker_busy = busy;
    s->worker_restarts = restarts;
    tally_done(t);
}

void tally_gflops(struct tally *t, double gflops)
{
    tally_begin(t)->gflops = gflops;
    tally_done(t);
}

void tally_get(struct tally *t, struct core_stats *ret_stats)
{
    *ret_stats = *tally_begin(t);
    tally_done(t);
}
