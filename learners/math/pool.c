#include "learners/math/pool.h"

#include "daemon/base/invariant.h"
#include "learners/math/gemm.h"

#include <pthread.h>
#include <stdatomic.h>

#define POOL_MAGIC 0x504f4f4cu

struct pool_thread {
    struct pool *pool;
    pthread_t handle;
    uint32_t index;
};

/*
 * A round is one pool_run.  `generation` counts rounds under the mutex; a thread that sees a new
 * one while it is open counts itself into `busy`, works, and out again.  When the caller has no
 * work left it closes the round and returns when busy is 0, so nobody reads a task of the round
 * before, and nobody waits for a thread that a busy machine has not yet let start.  `next` hands
 * out work items.
 */
struct pool {
    uint32_t magic;
    uint32_t n_threads;
    pthread_mutex_t mutex;
    pthread_cond_t start;
    pthread_cond_t done;
    uint64_t generation;
    uint32_t busy;
    int open;
    int stop;
    pool_task *task;
    void *context;
    uint32_t n;
    atomic_uint next;
    pool_pulse *pulse; /* NULL: none */
    void *pulse_context;
    struct pool_thread threads[];
};

size_t pool_plan(uint32_t n_threads)
{
    return sizeof(struct pool) + n_threads * sizeof(struct pool_thread);
}

static void pool_work(struct pool *p, uint32_t thread)
{
    for (;;) {
        uint32_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n)
            return;
        p->task(p->context, i, thread);
    }
}

static void *pool_thread_main(void *argument)
{
    const struct pool_thread *self = argument;
    struct pool *p = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (p->generation == seen && !p->stop)
            pthread_cond_wait(&p->start, &p->mutex);
        if (p->stop)
            break;
        seen = p->generation;
        if (!p->open)
            continue;
        p->busy++;
        pthread_mutex_unlock(&p->mutex);
        pool_work(p, self->index);
        pthread_mutex_lock(&p->mutex);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Stops and joins threads 1 .. n_started-1 and destroys the locks. */
static void pool_stop(struct pool *p, uint32_t n_started)
{
    pthread_mutex_lock(&p->mutex);
    p->stop = 1;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
    for (uint32_t i = 1; i < n_started; i++)
        pthread_join(p->threads[i].handle, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->mutex);
    p->magic = 0;
}

enum status pool_init(void *memory, uint32_t n_threads, struct pool **ret_pool)
{
    struct pool *p = memory;
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return STATUS_INVALID_ARGUMENT;
    TRY(gemm_setup(NULL));
    *p = (struct pool){.magic = POOL_MAGIC, .n_threads = n_threads};
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    for (uint32_t i = 0; i < n_threads; i++) {
        struct pool_thread *t = &p->threads[i];
        *t = (struct pool_thread){.pool = p, .index = i};
        if (i > 0 && pthread_create(&t->handle, NULL, pool_thread_main, t) != 0) {
            pool_stop(p, i);
            return STATUS_UNAVAILABLE;
        }
    }
    *ret_pool = p;
    return STATUS_OK;
}

void pool_fini(struct pool *p)
{
    if (!p)
        return;
    INVARIANT(p->magic == POOL_MAGIC);
    pool_stop(p, p->n_threads);
}

uint32_t pool_threads(const struct pool *p)
{
    INVARIANT(p->magic == POOL_MAGIC);
    return p->n_threads;
}

void pool_watch(struct pool *p, pool_pulse *pulse, void *context)
{
    INVARIANT(p->magic == POOL_MAGIC);
    p->pulse = pulse;
    p->pulse_context = context;
}

static void run_round(struct pool *p, pool_task *task, void *context, uint32_t n)
{
    pthread_mutex_lock(&p->mutex);
    p->task = task;
    p->context = context;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->open = 1;
    p->generation++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
    pool_work(p, 0);
    pthread_mutex_lock(&p->mutex);
    p->open = 0;
    while (p->busy > 0)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

void pool_run(struct pool *p, pool_task *task, void *context, uint32_t n)
{
    INVARIANT(p->magic == POOL_MAGIC);
    if (p->n_threads == 1 || n <= 1) {
        for (uint32_t i = 0; i < n; i++)
            task(context, i, 0);
    } else {
        run_round(p, task, context, n);
    }
    if (p->pulse)
        p->pulse(p->pulse_context);
}
