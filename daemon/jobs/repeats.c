#include "daemon/jobs/repeats.h"

#include "daemon/base/sysio.h"

struct repeats_item {
    struct request_id id;
    struct digest payload;
};

struct repeats {
    size_t n;
    size_t next; /* the oldest goes first */
    struct repeats_item items[REPEATS_MAX];
};

enum status repeats_new(struct repeats **ret_repeats, struct fault *f)
{
    struct repeats *r = sysio_alloc(1, sizeof *r);
    if (!r)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of request ids");
    *ret_repeats = r;
    return STATUS_OK;
}

void repeats_free(struct repeats *r)
{
    sysio_free(r);
}

static const struct repeats_item *find(const struct repeats *r, const struct request_id *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (request_id_equal(&r->items[i].id, id))
            return &r->items[i];
    return NULL;
}

int repeats_known(const struct repeats *r, const struct request_id *id)
{
    return find(r, id) != NULL;
}

enum status repeats_check(struct repeats *r,
                          const struct request_id *id,
                          const struct digest *payload,
                          struct fault *f)
{
    const struct repeats_item *known = find(r, id);
    if (known && !digest_equal(&known->payload, payload))
        FAIL(f, STATUS_ALREADY_EXISTS, "request_id",
             "this request id was used with another payload");
    if (known)
        return STATUS_OK;
    r->items[r->next] = (struct repeats_item){*id, *payload};
    r->next = (r->next + 1) % REPEATS_MAX;
    if (r->n < REPEATS_MAX)
        r->n++;
    return STATUS_OK;
}
