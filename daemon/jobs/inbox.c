#include "daemon/jobs/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#define INBOX_MAGIC 0x584f424eu

/* The server holds at most LIMIT_CALLS unanswered calls, so a ring of that size never overflows. */
struct inbox {
    uint32_t magic;
    int fd;
    pthread_mutex_t lock;
    int closed;
    size_t first;
    size_t n;
    struct inbox_item items[LIMIT_CALLS];
};

enum status inbox_new(struct inbox **ret_inbox, struct fault *f)
{
    struct inbox *b = sysio_alloc(1, sizeof *b);
    if (!b)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the inbox");
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd < 0) {
        sysio_free(b);
        FAIL(f, STATUS_UNAVAILABLE, NULL, "eventfd: %s", strerror(errno));
    }
    b->magic = INBOX_MAGIC;
    (void)pthread_mutex_init(&b->lock, NULL);
    *ret_inbox = b;
    return STATUS_OK;
}

void inbox_free(struct inbox *b)
{
    if (!b)
        return;
    INVARIANT(b->magic == INBOX_MAGIC);
    struct inbox_item item;
    while (inbox_take(b, &item))
        call_fail(item.call, STATUS_UNAVAILABLE, NULL);
    (void)close(b->fd);
    (void)pthread_mutex_destroy(&b->lock);
    b->magic = 0;
    sysio_free(b);
}

int inbox_fd(const struct inbox *b)
{
    return b->fd;
}

void inbox_wake(struct inbox *b)
{
    const uint64_t one = 1;
    /* EAGAIN means that the counter is at its maximum: the reader is awake anyway. */
    (void)!write(b->fd, &one, sizeof one);
}

void inbox_close(struct inbox *b)
{
    (void)pthread_mutex_lock(&b->lock);
    b->closed = 1;
    (void)pthread_mutex_unlock(&b->lock);
}

static enum status post_locked(struct inbox *b, struct inbox_item item)
{
    if (b->closed)
        return STATUS_UNAVAILABLE;
    if (b->n == LIMIT_CALLS)
        return STATUS_RESOURCE_EXHAUSTED;
    b->items[(b->first + b->n) % LIMIT_CALLS] = item;
    b->n++;
    return STATUS_OK;
}

enum status inbox_post(struct inbox *b, struct inbox_item item)
{
    INVARIANT(b->magic == INBOX_MAGIC);
    (void)pthread_mutex_lock(&b->lock);
    const enum status st = post_locked(b, item);
    (void)pthread_mutex_unlock(&b->lock);
    if (st == STATUS_OK)
        inbox_wake(b);
    return st;
}

int inbox_take(struct inbox *b, struct inbox_item *ret_item)
{
    INVARIANT(b->magic == INBOX_MAGIC);
    (void)pthread_mutex_lock(&b->lock);
    const int found = b->n > 0;
    if (found) {
        *ret_item = b->items[b->first];
        b->first = (b->first + 1) % LIMIT_CALLS;
        b->n--;
    } else {
        uint64_t drained;
        (void)!read(b->fd, &drained, sizeof drained);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}
