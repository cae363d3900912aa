#include "daemon/jobs/waiters.h"

#include "daemon/base/sysio.h"
#include "proto/limits.h"

/* Before the caller's own deadline, so that the answer still finds it waiting. */
#define WAITERS_MARGIN_US 20000

struct waiter {
    struct call *call;
    struct request_id id;
    waiters_answer *answer;
};

struct waiters {
    size_t n;
    struct waiter items[LIMIT_CALLS];
};

enum status waiters_new(struct waiters **ret_waiters, struct fault *f)
{
    struct waiters *w = sysio_alloc(1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for waiting calls");
    *ret_waiters = w;
    return STATUS_OK;
}

void waiters_free(struct waiters *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        call_fail(w->items[i].call, STATUS_UNAVAILABLE, NULL);
    sysio_free(w);
}

void waiters_add(struct waiters *w,
                 struct core *core,
                 struct call *call,
                 const struct request_id *id,
                 waiters_answer *answer)
{
    if (w->n == LIMIT_CALLS) {
        answer(core, call, id);
        return;
    }
    w->items[w->n++] = (struct waiter){.call = call, .id = *id, .answer = answer};
}

/* The item leaves the list before its call is finished; the last one takes its place. */
static void answer_at(struct waiters *w, struct core *core, size_t i)
{
    const struct waiter item = w->items[i];
    w->items[i] = w->items[--w->n];
    item.answer(core, item.call, &item.id);
}

void waiters_wake(struct waiters *w, struct core *core, const struct request_id *id)
{
    for (size_t i = w->n; i > 0; i--)
        if (request_id_equal(&w->items[i - 1].id, id))
            answer_at(w, core, i - 1);
}

void waiters_expire(struct waiters *w, struct core *core, int64_t now_us)
{
    for (size_t i = w->n; i > 0; i--)
        if (call_expired(w->items[i - 1].call, now_us + WAITERS_MARGIN_US))
            answer_at(w, core, i - 1);
}

void waiters_flush(struct waiters *w, struct core *core)
{
    while (w->n > 0)
        answer_at(w, core, w->n - 1);
}
