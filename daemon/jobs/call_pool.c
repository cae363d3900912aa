#include "daemon/jobs/call_pool.h"

#include <pthread.h>
#include <time.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#define CALL_POOL_MAGIC 0x4c504c43u

struct call_pool_item {
    call_pool_task *task;
    struct call *call;
    int64_t since_us;
};

struct call_pool_thread {
    struct call_pool *pool;
    uint32_t index;
    pthread_t id;
};

struct call_pool {
    uint32_t magic;
    struct core *core;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    pthread_cond_t idle;
    size_t running;
    uint64_t done;
    int stopping;
    size_t first;
    size_t n;
    struct call_pool_item items[LIMIT_CALLS];
    uint32_t n_threads;
    struct call_pool_thread threads[CALL_POOL_MAX_THREADS];
};

/* Blocks for the next item; false when the pool stops. */
static int pool_next(struct call_pool *p, struct call_pool_item *ret_item)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->n == 0 && !p->stopping)
        (void)pthread_cond_wait(&p->arrived, &p->lock);
    const int found = !p->stopping;
    if (found) {
        *ret_item = p->items[p->first];
        p->first = (p->first + 1) % LIMIT_CALLS;
        p->n--;
        p->running++;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return found;
}

static void pool_done(struct call_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->running--;
    p->done++;
    if (p->running == 0 && p->n == 0)
        (void)pthread_cond_broadcast(&p->idle);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *thread_main(void *context)
{
    const struct call_pool_thread *t = context;
    struct call_pool_item item;
    while (pool_next(t->pool, &item)) {
        const int64_t now = clock_mono_us();
        if (call_expired(item.call, now))
            call_fail(item.call, STATUS_DEADLINE_EXCEEDED, NULL);
        else
            item.task(t->pool->core, item.call, now - item.since_us, t->index);
        pool_done(t->pool);
    }
    return NULL;
}

enum status
call_pool_new(struct core *core, uint32_t n_threads, struct call_pool **ret_pool, struct fault *f)
{
    INVARIANT(n_threads >= 1 && n_threads <= CALL_POOL_MAX_THREADS);
    struct call_pool *p = sysio_alloc(1, sizeof *p);
    if (!p)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a thread pool");
    p->magic = CALL_POOL_MAGIC;
    p->core = core;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->arrived, NULL);
    (void)pthread_cond_init(&p->idle, NULL);
    while (p->n_threads < n_threads) {
        struct call_pool_thread *t = &p->threads[p->n_threads];
        t->pool = p;
        t->index = p->n_threads;
        if (pthread_create(&t->id, NULL, thread_main, t) != 0) {
            call_pool_free(p);
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "cannot start a thread");
        }
        p->n_threads++;
    }
    *ret_pool = p;
    return STATUS_OK;
}

void call_pool_free(struct call_pool *p)
{
    if (!p)
        return;
    INVARIANT(p->magic == CALL_POOL_MAGIC);
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = 1;
    (void)pthread_cond_broadcast(&p->arrived);
    (void)pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++)
        (void)pthread_join(p->threads[i].id, NULL);
    for (size_t i = 0; i < p->n; i++)
        call_fail(p->items[(p->first + i) % LIMIT_CALLS].call, STATUS_UNAVAILABLE, NULL);
    (void)pthread_cond_destroy(&p->arrived);
    (void)pthread_cond_destroy(&p->idle);
    (void)pthread_mutex_destroy(&p->lock);
    p->magic = 0;
    sysio_free(p);
}

void call_pool_drain(struct call_pool *p, int64_t timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int error = 0;
    (void)pthread_mutex_lock(&p->lock);
    while ((p->n > 0 || p->running > 0) && error == 0)
        error = pthread_cond_timedwait(&p->idle, &p->lock, &until);
    (void)pthread_mutex_unlock(&p->lock);
}

void call_pool_load(struct call_pool *p, uint64_t *ret_open, uint64_t *ret_done)
{
    (void)pthread_mutex_lock(&p->lock);
    *ret_open = p->n + p->running;
    *ret_done = p->done;
    (void)pthread_mutex_unlock(&p->lock);
}

void call_pool_post(struct call_pool *p, call_pool_task *task, struct call *call)
{
    INVARIANT(p->magic == CALL_POOL_MAGIC);
    enum status st = STATUS_OK;
    (void)pthread_mutex_lock(&p->lock);
    if (p->stopping)
        st = STATUS_UNAVAILABLE;
    else if (p->n == LIMIT_CALLS)
        st = STATUS_RESOURCE_EXHAUSTED;
    if (st == STATUS_OK) {
        p->items[(p->first + p->n) % LIMIT_CALLS] =
            (struct call_pool_item){.task = task, .call = call, .since_us = clock_mono_us()};
        p->n++;
        (void)pthread_cond_signal(&p->arrived);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (st != STATUS_OK)
        call_fail_retry(call, st, NULL, 1);
}
