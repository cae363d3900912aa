/* The core thread's inbox: order, wake-ups, room, closing, two producers. */
#include "tests/support/test.h"

#include <poll.h>
#include <pthread.h>

#include "daemon/jobs/inbox.h"
#include "proto/limits.h"

/* Only addresses matter here: nothing looks into a call. */
static char calls[2 * LIMIT_CALLS];

static struct inbox_item item_of(size_t i)
{
    return (struct inbox_item){.run = NULL, .call = (struct call *)(void *)&calls[i]};
}

static int readable(const struct inbox *b)
{
    struct pollfd p = {.fd = inbox_fd(b), .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

void test_inbox_keeps_order_and_wakes(void **state)
{
    (void)state;
    struct inbox *b;
    struct inbox_item item;
    assert_int_equal(inbox_new(&b, NULL), STATUS_OK);
    assert_false(readable(b));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(inbox_post(b, item_of(i)), STATUS_OK);
    assert_true(readable(b));
    for (size_t i = 0; i < 5; i++) {
        assert_true(inbox_take(b, &item));
        assert_ptr_equal(item.call, item_of(i).call);
    }
    assert_false(inbox_take(b, &item));
    assert_false(readable(b));
    inbox_wake(b);
    assert_true(readable(b));
    assert_false(inbox_take(b, &item));
    assert_false(readable(b));
    inbox_free(b);
}

void test_inbox_is_bounded_and_can_be_closed(void **state)
{
    (void)state;
    struct inbox *b;
    struct inbox_item item;
    assert_int_equal(inbox_new(&b, NULL), STATUS_OK);
    for (size_t i = 0; i < LIMIT_CALLS; i++)
        assert_int_equal(inbox_post(b, item_of(i)), STATUS_OK);
    assert_int_equal(inbox_post(b, item_of(0)), STATUS_RESOURCE_EXHAUSTED);
    assert_true(inbox_take(b, &item));
    assert_int_equal(inbox_post(b, item_of(0)), STATUS_OK);
    inbox_close(b);
    assert_int_equal(inbox_post(b, item_of(0)), STATUS_UNAVAILABLE);
    while (inbox_take(b, &item)) {
    }
    inbox_free(b);
}

struct producer {
    struct inbox *b;
    size_t first;
};

static void *produce(void *context)
{
    const struct producer *p = context;
    for (size_t i = 0; i < LIMIT_CALLS / 2; i++)
        if (inbox_post(p->b, item_of(p->first + i)) != STATUS_OK)
            return context;
    return NULL;
}

void test_inbox_two_producers_lose_nothing(void **state)
{
    (void)state;
    struct inbox *b;
    struct inbox_item item;
    pthread_t threads[2];
    static char seen[2 * LIMIT_CALLS];
    assert_int_equal(inbox_new(&b, NULL), STATUS_OK);
    struct producer producers[2] = {{b, 0}, {b, LIMIT_CALLS}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    size_t n = 0;
    while (inbox_take(b, &item)) {
        const size_t i = (size_t)((char *)(void *)item.call - calls);
        assert_int_equal(seen[i]++, 0);
        n++;
    }
    assert_int_equal(n, LIMIT_CALLS);
    inbox_free(b);
}
