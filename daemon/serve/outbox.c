#include "daemon/serve/call_internal.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct outbox {
    pthread_mutex_t lock;
    struct call *first;
    struct call *last;
    size_t refs;
    bool closed;
    int fd;
};

enum status outbox_new(struct outbox **ret_outbox, struct fault *f)
{
    struct outbox *o = sysio_alloc(1, sizeof *o);
    if (!o)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the outbox");
    o->refs = 1;
    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->fd < 0) {
        const int errnum = errno;
        sysio_free(o);
        FAIL(f, status_from_errno(errnum), NULL, "eventfd: %s", strerror(errnum));
    }
    INVARIANT(pthread_mutex_init(&o->lock, NULL) == 0);
    *ret_outbox = o;
    return STATUS_OK;
}

struct outbox *outbox_ref(struct outbox *o)
{
    INVARIANT(pthread_mutex_lock(&o->lock) == 0);
    o->refs++;
    INVARIANT(pthread_mutex_unlock(&o->lock) == 0);
    return o;
}

void outbox_unref(struct outbox *o)
{
    if (!o)
        return;
    INVARIANT(pthread_mutex_lock(&o->lock) == 0);
    INVARIANT(o->refs > 0);
    const bool last = --o->refs == 0;
    INVARIANT(pthread_mutex_unlock(&o->lock) == 0);
    if (!last)
        return;
    INVARIANT(o->first == NULL);
    (void)close(o->fd);
    INVARIANT(pthread_mutex_destroy(&o->lock) == 0);
    sysio_free(o);
}

int outbox_fd(const struct outbox *o)
{
    return o->fd;
}

void outbox_ring(struct outbox *o)
{
    const uint64_t one = 1;
    /* EAGAIN means that the counter is full, and then the descriptor is readable anyway. */
    while (write(o->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void outbox_push(struct outbox *o, struct call *c)
{
    INVARIANT(pthread_mutex_lock(&o->lock) == 0);
    const bool closed = o->closed;
    if (!closed) {
        c->next = NULL;
        if (o->last)
            o->last->next = c;
        else
            o->first = c;
        o->last = c;
        /* Inside the lock: once it is released the call, and with it our reference, may be gone. */
        outbox_ring(o);
    }
    INVARIANT(pthread_mutex_unlock(&o->lock) == 0);
    if (closed)
        call_free(c);
}

struct call *outbox_take(struct outbox *o)
{
    uint64_t count;
    while (read(o->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    INVARIANT(pthread_mutex_lock(&o->lock) == 0);
    struct call *first = o->first;
    o->first = NULL;
    o->last = NULL;
    INVARIANT(pthread_mutex_unlock(&o->lock) == 0);
    return first;
}

void outbox_close(struct outbox *o)
{
    INVARIANT(pthread_mutex_lock(&o->lock) == 0);
    o->closed = true;
    INVARIANT(pthread_mutex_unlock(&o->lock) == 0);
    for (struct call *c = outbox_take(o), *next; c; c = next) {
        next = c->next;
        call_free(c);
    }
}
