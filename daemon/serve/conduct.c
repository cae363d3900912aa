#include "daemon/serve/conduct.h"

#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>

#define PRINCIPAL_SIZE 32
#define SECOND_US      ((int64_t)1000000)

struct peer_conduct {
    char principal[PRINCIPAL_SIZE]; /* "": free */
    int64_t seen_us;
    int64_t full_us; /* when the bucket will be full again; in the past: it is */
    unsigned strikes;
    int64_t strike_us; /* the first of them */
    int64_t until_us;  /* suspended until then */
};

struct conduct {
    uint32_t calls_s;
    struct peer_conduct peers[CONDUCT_PEERS];
};

enum status conduct_new(uint32_t calls_s, struct conduct **ret_conduct, struct fault *f)
{
    struct conduct *c = sysio_alloc(1, sizeof *c);
    if (!c)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for what is remembered of peers");
    c->calls_s = calls_s;
    *ret_conduct = c;
    return STATUS_OK;
}

void conduct_free(struct conduct *c)
{
    sysio_free(c);
}

/* Whether a may be forgotten rather than b. */
static bool goes_before(const struct peer_conduct *a, const struct peer_conduct *b, int64_t now_us)
{
    const bool a_held = a->until_us > now_us, b_held = b->until_us > now_us;
    return a_held == b_held ? a->seen_us < b->seen_us : b_held;
}

static struct peer_conduct *find(struct conduct *c, const char *principal, int64_t now_us)
{
    struct peer_conduct *oldest = &c->peers[0];
    struct peer_conduct *p = NULL;
    for (size_t i = 0; i < CONDUCT_PEERS && !p; i++) {
        struct peer_conduct *x = &c->peers[i];
        if (x->principal[0] == '\0' || strcmp(x->principal, principal) == 0)
            p = x;
        else if (goes_before(x, oldest, now_us))
            oldest = x;
    }
    p = p ? p : oldest;
    if (strcmp(p->principal, principal) != 0) {
        *p = (struct peer_conduct){.full_us = now_us};
        (void)snprintf(p->principal, sizeof p->principal, "%s", principal);
    }
    p->seen_us = now_us;
    return p;
}

/*
 * The bucket holds one second's worth.  It is kept as the time when it will be full: each call
 * moves that time by what the call costs, and it may not lie more than a second ahead.
 */
int64_t conduct_take(struct conduct *c, const char *principal, int64_t now_us)
{
    if (c->calls_s == 0)
        return 0;
    struct peer_conduct *p = find(c, principal, now_us);
    const int64_t cost = SECOND_US / (int64_t)c->calls_s;
    const int64_t from = p->full_us > now_us ? p->full_us : now_us;
    const int64_t over = from + cost - (now_us + SECOND_US);
    if (over > 0)
        return over;
    p->full_us = from + cost;
    return 0;
}

int64_t conduct_suspended(struct conduct *c, const char *principal, int64_t now_us)
{
    const struct peer_conduct *p = find(c, principal, now_us);
    return p->until_us > now_us ? p->until_us - now_us : 0;
}

bool conduct_strike(struct conduct *c, const char *principal, int64_t now_us)
{
    struct peer_conduct *p = find(c, principal, now_us);
    if (p->strikes == 0 || now_us - p->strike_us > CONDUCT_SUSPEND_US) {
        p->strikes = 0;
        p->strike_us = now_us;
    }
    if (++p->strikes < CONDUCT_STRIKES)
        return false;
    p->strikes = 0;
    p->until_us = now_us + CONDUCT_SUSPEND_US;
    return true;
}
